//! How well a score tells images of the classes from images of none ("strangers"): out-of-distribution detection.

use serde::{Deserialize, Serialize};

/// The share of known images that is to keep its answer where the other share is compared.
pub const KNOWN_KEPT: f64 = 0.95;

/// How well one score tells known images from strangers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Separation {
    /// Area under the ROC curve: how often a known image has the higher score of the two, ties counting half.
    pub auroc: f64,
    /// Share of strangers that are let in where 95 % of the known images are ("FPR at 95 % TPR").
    pub false_accept_at_95: f64,
}

/// Separation of `known` and `strangers` by scores of which the higher are the more familiar. `None` where one of them is
/// empty. What is no number is the least familiar.
pub fn separation(known: &[f32], strangers: &[f32]) -> Option<Separation> {
    if known.is_empty() || strangers.is_empty() {
        return None;
    }
    let sorted = |values: &[f32]| {
        let mut values: Vec<f32> = values.iter().map(|v| if v.is_nan() { f32::NEG_INFINITY } else { *v }).collect();
        values.sort_by(f32::total_cmp);
        values
    };
    let (known, strangers) = (sorted(known), sorted(strangers));
    let (mut below, mut up_to, mut wins) = (0, 0, 0.0);
    for score in &known {
        while below < strangers.len() && strangers[below] < *score {
            below += 1;
        }
        up_to = up_to.max(below);
        while up_to < strangers.len() && strangers[up_to] <= *score {
            up_to += 1;
        }
        wins += below as f64 + 0.5 * (up_to - below) as f64;
    }
    let n_refused = ((1.0 - KNOWN_KEPT) * known.len() as f64 + 1e-9).floor() as usize;
    let threshold = known[n_refused.min(known.len() - 1)];
    let n_let_in = strangers.len() - strangers.partition_point(|s| *s < threshold);
    Some(Separation {
        auroc: wins / (known.len() as f64 * strangers.len() as f64),
        false_accept_at_95: n_let_in as f64 / strangers.len() as f64,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn ties_count_half_and_order_does_not_matter() {
        let of = |known: &[f32], strangers: &[f32]| separation(known, strangers).unwrap();
        assert_eq!(of(&[0.9, 0.8], &[0.1, 0.2]).auroc, 1.0);
        assert_eq!(of(&[0.1, 0.2], &[0.9, 0.8]).auroc, 0.0);
        assert_eq!(of(&[0.5, 0.5], &[0.5]), Separation { auroc: 0.5, false_accept_at_95: 1.0 });
        assert_eq!(of(&[3.0, 1.0, 2.0], &[2.0, 0.0]).auroc, 4.5 / 6.0);
        assert_eq!(of(&[f32::NAN, 1.0], &[0.5]).auroc, 0.5);
        assert_eq!((separation(&[], &[1.0]), separation(&[1.0], &[])), (None, None));
    }

    #[test]
    fn strangers_that_are_let_in_with_95_percent_of_the_known() {
        let known: Vec<f32> = (1..=100).map(|i| i as f32).collect();
        // Five of a hundred are refused: the threshold is 6.
        let found = separation(&known, &[5.0, 5.9, 6.0, 50.0]).unwrap();
        assert_eq!(found.false_accept_at_95, 0.5);
    }
}
