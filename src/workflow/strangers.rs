//! Strangers: images of none of the classes, to see how many of them get an answer all the same.

use serde::Serialize;

use super::predict::Predictions;
use crate::head::{KnownImage, UnknownRule};
use crate::metrics::Interval;
use crate::metrics::strangers::{Separation, separation};

/// How well strangers are told from known images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StrangerFigures {
    /// Held-out images of the classes.
    pub n_known: usize,
    /// Strangers that could be used.
    pub n_strangers: usize,
    /// By the largest calibrated probability.
    pub probability: Separation,
    /// By the distance to the nearest class, where there is one.
    pub distance: Option<Separation>,
    /// The rule that was in force.
    pub rule: UnknownRule,
    /// Share of known images that the rule gives an answer.
    pub known_answered: f64,
    /// Share of strangers that the rule gives an answer: the false-accept rate.
    pub false_accept: f64,
    /// Its 95 % interval (Wilson's).
    pub false_accept_interval: Interval,
}

/// Below this, no score tells strangers from known images any better than a coin or so.
const INDISTINCT: f64 = 0.6;

impl StrangerFigures {
    /// Of known images and strangers; `None` where one of them is empty.
    pub fn new(known: &[KnownImage], strangers: &Predictions, rule: UnknownRule) -> Option<Self> {
        let confidences: Vec<f32> = strangers.answers.top().into_iter().map(|(_, p)| p).collect();
        let of_known: Vec<f32> = known.iter().map(|k| k.confidence).collect();
        let nearness =
            |all: &mut dyn Iterator<Item = Option<f32>>| all.map(|d| d.map(|d| -d)).collect::<Option<Vec<_>>>();
        let distances = strangers.answers.distances.as_deref();
        let distance = distances.and_then(|distances| {
            let known = nearness(&mut known.iter().map(|k| k.distance))?;
            separation(&known, &nearness(&mut distances.iter().copied().map(Some))?)
        });
        let n_answered = known.iter().filter(|k| !rule.is_unknown(k.confidence, k.distance)).count();
        let is_let_in = |(row, p): (usize, &f32)| !rule.is_unknown(*p, distances.and_then(|d| d.get(row).copied()));
        let n_let_in = confidences.iter().enumerate().filter(|row| is_let_in(*row)).count();
        let n_strangers = confidences.len();
        let false_accept = n_let_in as f64 / n_strangers.max(1) as f64;
        Some(Self {
            n_known: known.len(),
            n_strangers,
            probability: separation(&of_known, &confidences)?,
            distance,
            rule,
            known_answered: n_answered as f64 / known.len() as f64,
            false_accept,
            false_accept_interval: Interval::wilson(false_accept, n_strangers),
        })
    }

    /// The better of the two.
    pub fn best_auroc(&self) -> f64 {
        self.distance.map_or(self.probability.auroc, |d| d.auroc.max(self.probability.auroc))
    }

    /// What to say where no score tells the two apart, as it is when the "strangers" are images of the classes.
    pub fn note(&self) -> Option<String> {
        (self.best_auroc() < INDISTINCT).then(|| {
            format!(
                "Neither probability nor distance tells the strangers from images of the classes (AUROC {:.2}; 0.5 is \
                 chance): check that they show something else.",
                self.best_auroc()
            )
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::classes::ClassSet;
    use crate::workflow::evaluate::Answers;

    fn strangers(rows: &[(f32, f32)]) -> Predictions {
        let probabilities =
            Array2::from_shape_fn((rows.len(), 2), |(i, k)| if k == 0 { rows[i].0 } else { 1.0 - rows[i].0 });
        let answers = Answers {
            paths: (0..rows.len()).map(|i| format!("{i}.png").into()).collect(),
            probabilities,
            distances: Some(rows.iter().map(|r| r.1).collect()),
            skipped: Vec::new(),
        };
        Predictions { classes: ClassSet::from_ordered(["a", "b"]), answers, rule: UnknownRule::Off }
    }

    fn known(rows: &[(f32, f32)]) -> Vec<KnownImage> {
        let image = |&(confidence, d): &(f32, f32)| KnownImage { confidence, distance: Some(d), is_right: true };
        rows.iter().map(image).collect()
    }

    #[test]
    fn each_score_is_judged_and_the_rule_is_applied() {
        let known = known(&[(0.9, 0.1), (0.7, 0.2), (0.8, 0.3), (0.6, 0.15)]);
        let strangers = strangers(&[(0.95, 0.5), (0.55, 0.6), (0.65, 0.12)]);
        let found = StrangerFigures::new(&known, &strangers, UnknownRule::Distance { above: 0.25 }).unwrap();
        assert_eq!((found.n_known, found.n_strangers), (4, 3));
        assert!((found.probability.auroc - 7.0 / 12.0).abs() < 1e-12, "{}", found.probability.auroc);
        assert!((found.distance.unwrap().auroc - 9.0 / 12.0).abs() < 1e-12);
        assert_eq!((found.known_answered, found.false_accept), (0.75, 1.0 / 3.0));
        assert!(found.false_accept_interval.low > 0.05 && found.false_accept_interval.high < 0.8);
        assert_eq!(found.note(), None);
        let off = StrangerFigures::new(&known, &strangers, UnknownRule::Off).unwrap();
        assert_eq!((off.known_answered, off.false_accept), (1.0, 1.0));
    }

    #[test]
    fn what_is_no_stranger_is_said() {
        let rows = [(0.9, 0.1), (0.7, 0.2), (0.8, 0.3)];
        let found = StrangerFigures::new(&known(&rows), &strangers(&rows), UnknownRule::Off).unwrap();
        assert_eq!(found.best_auroc(), 0.5);
        assert!(found.note().unwrap().contains("0.50"));
        assert_eq!(StrangerFigures::new(&[], &strangers(&rows), UnknownRule::Off), None);
        assert_eq!(StrangerFigures::new(&known(&rows), &strangers(&[]), UnknownRule::Off), None);
    }
}
