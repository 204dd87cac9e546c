//! When the answer is "unknown": what the user wishes, and the rule that follows from images which are known.
//!
//! A wish ("right 95 % of the time", "keep 95 % of what is known") is what a project keeps; it is settled anew on the
//! validation images whenever the head changes. A rule is numbers, and is what an export carries.

use serde::{Deserialize, Deserializer, Serialize};

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum UnknownWish {
    /// Every image gets an answer.
    #[default]
    Off,
    /// Answers with a smaller probability than this are "unknown".
    Probability {
        /// The threshold, 0..1.
        below: f32,
    },
    /// Of the answers that remain, this share is right on the validation images.
    Precision {
        /// The share, 0..1.
        at_least: f64,
    },
    /// Images that are further from every class than images of the classes are.
    Distance {
        /// The share of known images that keep their answer, 0..1.
        keep: f64,
    },
}

impl UnknownWish {
    /// Reads a wish, or what project files had before there were wishes: a threshold on the top probability, or `null`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn from_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Any {
            Wish(UnknownWish),
            Threshold(Option<f32>),
        }
        Ok(match Any::deserialize(deserializer)? {
            Any::Wish(wish) => wish,
            Any::Threshold(Some(below)) => Self::Probability { below },
            Any::Threshold(None) => Self::Off,
        })
    }

    /// The rule that does what is wished on images that are known and were held out.
    ///
    /// - `Precision`: the smallest threshold on the top probability at which the share of right answers is the wanted one
    ///   or more. It lies half-way between the last answer that is refused and the first that is given.
    /// - `Distance`: the `ceil((n + 1) keep)`-th smallest of the `n` distances, so that the next image of the same kind is kept
    ///   with the wanted probability or more (split conformal prediction, Papadopoulos et al. 2002), or the largest
    ///   where there are too few images for that; and half-way to the next.
    ///
    /// # Errors
    /// Without held-out images where some are needed, where no threshold reaches the precision, where nothing has a
    /// distance.
    pub fn settle(self, known: &[KnownImage]) -> Result<UnknownRule, UnknownError> {
        match self {
            Self::Off => Ok(UnknownRule::Off),
            Self::Probability { below } => Ok(UnknownRule::Probability { below }),
            _ if known.is_empty() => Err(UnknownError::NothingKnown),
            Self::Precision { at_least } => for_precision(known, at_least),
            Self::Distance { keep } => for_distance(known, keep),
        }
    }
}

/// The largest share of known images that a rule by distance can keep while at most `rate` of the strangers, of which the
/// distances are given, get an answer: for [`UnknownWish::Distance`].
///
/// # Errors
/// Without distances on either side, or where strangers are nearer than every known image.
pub fn keep_for_false_accept(known: &[KnownImage], strangers: &[f32], rate: f64) -> Result<f64, UnknownError> {
    if known.is_empty() {
        return Err(UnknownError::NothingKnown);
    }
    let n = known.iter().filter(|k| k.distance.is_some_and(f32::is_finite)).count();
    if n == 0 || strangers.is_empty() {
        return Err(UnknownError::NoDistance);
    }
    let keep = |n_kept: usize| n_kept as f64 / (n + 1) as f64;
    let rate_at = |n_kept: usize| -> Result<f64, UnknownError> {
        let rule = for_distance(known, keep(n_kept))?;
        let n_let_in = strangers.iter().filter(|d| !rule.is_unknown(1.0, Some(**d))).count();
        Ok(n_let_in as f64 / strangers.len() as f64)
    };
    // It grows with the number that is kept.
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if rate_at(middle)? <= rate {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    if low == 0 { Err(UnknownError::StrangersTooNear { wanted: rate, least: rate_at(1)? }) } else { Ok(keep(low)) }
}

/// The rule itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum UnknownRule {
    /// Every image gets an answer.
    #[default]
    Off,
    /// "Unknown" where the largest probability is smaller.
    Probability {
        /// The threshold, 0..1.
        below: f32,
    },
    /// "Unknown" where the distance to the nearest class is larger (see [`super::NearestClass`]).
    Distance {
        /// The threshold.
        above: f32,
    },
}

impl UnknownRule {
    /// Whether the answer is "unknown", of an image's largest probability and its distance to the nearest class.
    ///
    /// What is no number is unknown. A rule on distances says nothing where there is none.
    pub fn is_unknown(self, confidence: f32, distance: Option<f32>) -> bool {
        match self {
            Self::Off => false,
            Self::Probability { below } => confidence.is_nan() || confidence < below,
            Self::Distance { above } => distance.is_some_and(|d| d.is_nan() || d > above),
        }
    }

    /// Why the answer is "unknown", in a sentence; `None` where it is not.
    pub fn why(self, confidence: f32, distance: Option<f32>) -> Option<String> {
        let is_it = self.is_unknown(confidence, distance);
        let text = match (self, distance) {
            (Self::Probability { below }, _) => {
                format!("{:.1} % sure, and below {:.1} %", 100.0 * confidence, 100.0 * below)
            }
            (Self::Distance { above }, Some(distance)) => {
                format!("It is {distance:.3} from the nearest class, and beyond {above:.3}")
            }
            (Self::Off | Self::Distance { .. }, _) => return None,
        };
        is_it.then(|| format!("{text} the answer is “unknown”."))
    }

    /// Whether it needs distances.
    pub fn needs_distance(self) -> bool {
        matches!(self, Self::Distance { .. })
    }
}

/// A held-out image whose class is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnownImage {
    /// Largest calibrated probability.
    pub confidence: f32,
    /// Distance to the nearest class, where the head has one.
    pub distance: Option<f32>,
    /// Whether the head names its class.
    pub is_right: bool,
}

/// Why there is no rule that does what is wished.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum UnknownError {
    /// There are no images to settle it on.
    #[error(
        "a rule for \"unknown\" is found on validation images, and there are none: each class needs two images or more"
    )]
    NothingKnown,
    /// Also the surest answers are not right often enough.
    #[error(
        "no threshold makes {:.0} % of the answers right: the best is {:.1} %, above a probability of {below:.3}", .wanted * 100.0, .best * 100.0
    )]
    OutOfReach {
        /// The precision that was wanted.
        wanted: f64,
        /// The highest that there is.
        best: f64,
        /// At this threshold.
        below: f32,
    },
    /// Also the nearest known image is no nearer than too many strangers.
    #[error(
        "no distance keeps all but {:.0} % of the strangers out: {:.1} % of them are as near to a class as the nearest known image", .wanted * 100.0, .least * 100.0
    )]
    StrangersTooNear {
        /// The share of strangers that was to get an answer at most.
        wanted: f64,
        /// The smallest share that there is.
        least: f64,
    },
    /// The head was made of texts alone, so that no class has an image to be near to.
    #[error("there are no training images to measure a distance to: choose a rule by probability")]
    NoDistance,
}

/// How far above the largest distance a threshold lies that keeps all of them: right at it, another implementation of the
/// same sums would refuse what is kept here.
const LEAST_MARGIN: f32 = 1e-3;

/// A value between two neighbours, that counts with the upper one.
fn between(lower: f32, upper: f32) -> f32 {
    let middle = lower + (upper - lower) / 2.0;
    if middle > lower { middle } else { upper }
}

fn for_precision(known: &[KnownImage], wanted: f64) -> Result<UnknownRule, UnknownError> {
    let mut rows: Vec<(f32, bool)> = known.iter().map(|k| (k.confidence, k.is_right)).collect();
    // The surest first; what is no number is the least sure.
    let key = |confidence: f32| if confidence.is_nan() { f32::NEG_INFINITY } else { confidence };
    rows.sort_by(|a, b| key(b.0).total_cmp(&key(a.0)));
    let (mut n_right, mut reached, mut best) = (0_usize, None, (-1.0, 1.0));
    for (i, row) in rows.iter().enumerate() {
        n_right += usize::from(row.1);
        let next = rows.get(i + 1).map(|next| next.0);
        // Equal ones are answered together.
        if next == Some(row.0) {
            continue;
        }
        let precision = n_right as f64 / (i + 1) as f64;
        let below = next.map_or(0.0, |next| between(next.max(0.0), row.0));
        if precision >= wanted {
            reached = Some(below);
        }
        if precision > best.0 {
            best = (precision, below);
        }
    }
    match reached {
        Some(below) => Ok(UnknownRule::Probability { below }),
        None => Err(UnknownError::OutOfReach { wanted, best: best.0, below: best.1 }),
    }
}

fn for_distance(known: &[KnownImage], keep: f64) -> Result<UnknownRule, UnknownError> {
    let mut distances: Vec<f32> = known.iter().filter_map(|k| k.distance).filter(|d| d.is_finite()).collect();
    if distances.is_empty() {
        return Err(UnknownError::NoDistance);
    }
    distances.sort_by(f32::total_cmp);
    let n = distances.len();
    // The product of two decimals may be a hair above a whole number.
    let wanted = ((n + 1) as f64 * keep - 1e-9).ceil() as usize;
    let last = wanted.clamp(1, n) - 1;
    let kept = distances[last];
    let next = distances[last..].iter().find(|d| **d > kept);
    let above = next.map_or(kept + LEAST_MARGIN, |next| kept + (next - kept) / 2.0);
    Ok(UnknownRule::Distance { above: if next.is_some_and(|next| above >= *next) { kept } else { above } })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn known(rows: &[(f32, bool)]) -> Vec<KnownImage> {
        rows.iter().map(|&(confidence, is_right)| KnownImage { confidence, distance: None, is_right }).collect()
    }

    fn at(distances: &[f32]) -> Vec<KnownImage> {
        let row = |&d: &f32| KnownImage { confidence: 1.0, distance: Some(d), is_right: true };
        distances.iter().map(row).collect()
    }

    #[test]
    fn the_smallest_threshold_that_reaches_the_precision() {
        let rows = known(&[(0.9, true), (0.8, true), (0.7, false), (0.6, true), (0.5, true), (0.4, false)]);
        let below = |at_least| match (UnknownWish::Precision { at_least }).settle(&rows) {
            Ok(UnknownRule::Probability { below }) => below,
            other => panic!("{other:?}"),
        };
        assert_eq!(below(0.6), 0.0, "4 of 6: everything is answered");
        assert_eq!(below(0.8), 0.45, "4 of 5, although 3 of 4 would be too few");
        assert_eq!(below(0.81), 0.75);
        assert_eq!(below(1.0), 0.75);
        let wrong = known(&[(0.9, false), (0.8, true), (0.7, true)]);
        let error = (UnknownWish::Precision { at_least: 0.95 }).settle(&wrong).unwrap_err();
        assert_eq!(error, UnknownError::OutOfReach { wanted: 0.95, best: 2.0 / 3.0, below: 0.0 });
        assert!(error.to_string().contains("95 %") && error.to_string().contains("66.7 %"));
    }

    #[test]
    fn equal_probabilities_are_answered_together_and_nan_is_refused_first() {
        let rows = known(&[(0.9, true), (0.9, false), (0.9, true), (f32::NAN, true)]);
        let rule = (UnknownWish::Precision { at_least: 0.7 }).settle(&rows).unwrap();
        assert_eq!(rule, UnknownRule::Probability { below: 0.0 }, "3 of 4");
        assert!(rule.is_unknown(f32::NAN, None));
        assert!((UnknownWish::Precision { at_least: 0.76 }).settle(&rows).is_err());
    }

    #[test]
    fn distances_keep_what_is_known() {
        let rows = at(&(1..=99).map(|i| i as f32).collect::<Vec<_>>());
        let rule = (UnknownWish::Distance { keep: 0.95 }).settle(&rows).unwrap();
        assert_eq!(rule, UnknownRule::Distance { above: 95.5 });
        assert_eq!(rows.iter().filter(|k| rule.is_unknown(1.0, k.distance)).count(), 4);
        let few = (UnknownWish::Distance { keep: 0.95 }).settle(&at(&[1.0, 3.0])).unwrap();
        assert_eq!(few, UnknownRule::Distance { above: 3.001 }, "too few images: all are kept");
        // All the same: none is refused.
        let same = (UnknownWish::Distance { keep: 0.5 }).settle(&at(&[2.0; 9])).unwrap();
        assert!(!same.is_unknown(1.0, Some(2.0)) && same.is_unknown(1.0, Some(2.1)));
        assert!(same.is_unknown(1.0, Some(f32::NAN)) && !same.is_unknown(0.0, None));
        assert_eq!((UnknownWish::Distance { keep: 0.9 }).settle(&known(&[(0.5, true)])), Err(UnknownError::NoDistance));
    }

    #[test]
    fn strangers_say_how_many_known_images_can_be_kept() {
        let known = at(&(1..=9).map(|i| i as f32).collect::<Vec<_>>());
        let keep = keep_for_false_accept(&known, &[4.2, 6.2, 20.0, 30.0], 0.25).unwrap();
        let rule = (UnknownWish::Distance { keep }).settle(&known).unwrap();
        assert_eq!(rule, UnknownRule::Distance { above: 5.5 });
        assert_eq!(keep_for_false_accept(&known, &[50.0], 0.0).unwrap(), 0.9, "all nine are kept");
        let error = keep_for_false_accept(&known, &[0.5, 50.0], 0.1).unwrap_err();
        assert_eq!(error, UnknownError::StrangersTooNear { wanted: 0.1, least: 0.5 });
        assert_eq!(keep_for_false_accept(&[], &[1.0], 0.1), Err(UnknownError::NothingKnown));
        assert_eq!(keep_for_false_accept(&known, &[], 0.1), Err(UnknownError::NoDistance));
    }

    #[test]
    fn without_known_images_only_fixed_rules_are_settled() {
        assert_eq!(UnknownWish::Off.settle(&[]), Ok(UnknownRule::Off));
        let fixed = UnknownWish::Probability { below: 0.5 }.settle(&[]).unwrap();
        assert!(fixed.is_unknown(0.49, None) && !fixed.is_unknown(0.5, None));
        for wish in [UnknownWish::Precision { at_least: 0.9 }, UnknownWish::Distance { keep: 0.9 }] {
            assert_eq!(wish.settle(&[]), Err(UnknownError::NothingKnown));
        }
    }

    #[test]
    fn a_threshold_of_older_files_is_a_wish() {
        #[derive(Deserialize)]
        struct Holder {
            #[serde(default, alias = "unknown_below", deserialize_with = "UnknownWish::from_any")]
            unknown: UnknownWish,
        }
        let read = |text: &str| serde_json::from_str::<Holder>(text).unwrap().unknown;
        assert_eq!(read(r#"{"unknown_below": 0.25}"#), UnknownWish::Probability { below: 0.25 });
        assert_eq!(read(r#"{"unknown_below": null}"#), UnknownWish::Off);
        assert_eq!(read("{}"), UnknownWish::Off);
        for wish in [
            UnknownWish::Off,
            UnknownWish::Probability { below: 0.5 },
            UnknownWish::Precision { at_least: 0.95 },
            UnknownWish::Distance { keep: 0.95 },
        ] {
            assert_eq!(read(&format!(r#"{{"unknown": {}}}"#, serde_json::to_string(&wish).unwrap())), wish);
        }
    }

    #[test]
    fn it_is_said_why_an_answer_is_unknown() {
        let by_probability = UnknownRule::Probability { below: 0.7 };
        let said = by_probability.why(0.654, Some(0.9)).unwrap();
        assert_eq!(said, "65.4 % sure, and below 70.0 % the answer is “unknown”.");
        let by_distance = UnknownRule::Distance { above: 0.5 };
        let said = by_distance.why(0.99, Some(0.6234)).unwrap();
        assert_eq!(said, "It is 0.623 from the nearest class, and beyond 0.500 the answer is “unknown”.");
        for (rule, p, d) in [
            (by_probability, 0.7, None),
            (by_distance, 0.1, Some(0.5)),
            (by_distance, 0.1, None),
            (UnknownRule::Off, 0.0, Some(2.0)),
        ] {
            assert!(rule.why(p, d).is_none() && !rule.is_unknown(p, d));
        }
    }
}
