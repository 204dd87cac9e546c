//! Learning curves as a report shows them.

use crate::export::report::{CurvePoint, LearningCurve};
use crate::workflow::curve::{CurveOutcome, Source, words};

/// The curves with what they say; `None` where there is none.
pub fn reported_curve(outcome: &CurveOutcome) -> Option<LearningCurve> {
    let best = outcome.best()?;
    let series = outcome.curves.iter().map(|curve| {
        let name = match curve.source {
            Source::Pretrained => curve.head.label().to_owned(),
            source => format!("{}, {}", source.label(), curve.head.label().to_lowercase()),
        };
        let point =
            |p: &crate::workflow::curve::CurvePoint| CurvePoint { n_per_class: p.n_per_class, accuracy: p.accuracy };
        (name, curve.points.iter().map(point).collect())
    });
    let said = [
        words::outlook(best),
        words::far(best),
        outcome.needs.as_ref().and_then(words::needs),
        outcome.transfer.as_ref().map(words::transfer),
    ];
    let words: Vec<String> = said.into_iter().flatten().collect();
    Some(LearningCurve { series: series.collect(), words: words.join(" ") })
}
