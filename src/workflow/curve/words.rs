//! What curves say, in words: the same on the command line and in the window.

use super::outlook::said_first;
use super::{CurveHead, CurveOutcome, HeadCurve, N_MORE, Needs, Outlook, Transfer, Verdict};
use crate::metrics::Estimate;

/// Accuracies, or differences of them, below this many points are as good as none.
const LEAST_POINTS: f64 = 0.05;

/// `200 more images would give about 2 points (1 to 3)`, or why nothing can be said; one sentence.
pub fn outlook(curve: &HeadCurve) -> Option<String> {
    Some(match curve.outlook.as_ref()? {
        Outlook::TooFewSizes => "There are too few images to see where the curve is going.".to_owned(),
        Outlook::AtCeiling => "Nearly everything is right already: more images would give next to nothing.".to_owned(),
        Outlook::Flat => {
            "More images have not helped so far beyond chance: more of the same kind need not help either.".to_owned()
        }
        Outlook::Rising { gains, .. } => {
            let gain = said_first(gains, &curve.points)?;
            format!("{} more images would give {}.", thousands(gain.n_more), points_with_range(&gain.gain))
        }
    })
}

/// What lies farther ahead, and where the telling ends.
pub fn far(curve: &HeadCurve) -> Option<String> {
    let Some(Outlook::Rising { gains, .. }) = &curve.outlook else { return None };
    let last = gains.last().filter(|_| gains.len() > 2)?;
    Some(format!(
        "{} more would give {}; what still more would give is too far to say.",
        thousands(last.n_more),
        points_with_range(&last.gain)
    ))
}

/// `about 2 points (1 to 3)`, `hardly anything (0 to 0.4 points)`.
fn points_with_range(gain: &Estimate) -> String {
    let (value, low, high) = (100.0 * gain.value, 100.0 * gain.interval.low, 100.0 * gain.interval.high);
    // As many digits as the smallest of them needs.
    let is_fine = high < 3.0 || value < 0.95;
    let text = |v: f64| if is_fine { format!("{:.1}", v + 0.0) } else { format!("{:.0}", v + 0.0) };
    if value < LEAST_POINTS {
        return format!("hardly anything ({} to {} points)", text(low), text(high));
    }
    let unit = if text(value) == "1" { "point" } else { "points" };
    format!("about {} {unit} ({} to {})", text(value), text(low), text(high))
}

/// Which class most needs more.
pub fn needs(needs: &Needs) -> Option<String> {
    let first = needs.classes.first()?;
    let gain = first.gain?;
    Some(match &needs.stands_out {
        Some(class) => format!(
            "{class} most needs more images: {N_MORE} of it would raise the mean recall by about {:.1} points.",
            100.0 * gain.value
        ),
        None => "No class stands out: none needs more images than the others beyond chance.".to_owned(),
    })
}

/// Whether pretrained features are worth their while.
pub fn transfer(transfer: &Transfer) -> String {
    let Estimate { value, interval } = transfer.difference;
    let signed = |v: f64| format!("{:+.1}", 100.0 * v).replace("-0.0", "+0.0");
    let range = format!("({} to {} points on the same images)", signed(interval.low), signed(interval.high));
    let of = format!("{} ({} head)", transfer.baseline.label().to_lowercase(), head(transfer.baseline_head));
    match transfer.verdict {
        Verdict::Helps => format!("Pretrained features are better than {of} by {:.1} points {range}.", 100.0 * value),
        Verdict::NoBetter => format!(
            "The pretrained features are no better than {of}, as far as these images can tell {range}: another model or layer may \
             suit them better."
        ),
        Verdict::Worse => format!(
            "Negative transfer: the pretrained features are worse than {of} by {:.1} points {range}. This model does not see what \
             tells these classes apart; try another model or an earlier layer.",
            -100.0 * value
        ),
    }
}

/// How many images pretrained features save.
pub fn efficiency(transfer: &Transfer) -> Option<String> {
    let of = transfer.baseline.label().to_lowercase();
    let Some(found) = &transfer.efficiency else {
        let words = "The pretrained features never reach the accuracy that";
        return Some(format!("{words} {of} reach with all images.")).filter(|_| transfer.verdict != Verdict::Helps);
    };
    let least = if found.is_at_least { "at least " } else { "about " };
    if found.times < 1.05 {
        return None;
    }
    Some(format!(
        "They need {least}{} times fewer images for the {:.1} % that {of} reach with all {:.0} a class: {} a class.",
        times(found.times),
        100.0 * found.accuracy,
        found.n_baseline,
        times(found.n_pretrained)
    ))
}

/// How fast heads are fitted.
pub fn convergence(transfer: &Transfer) -> Option<String> {
    let found = transfer.convergence?;
    let of = transfer.baseline.label().to_lowercase();
    let (own, other) = (iterations(found.pretrained), iterations(found.baseline));
    Some(match found.to_baseline {
        Some(n) => format!(
            "On pretrained features the linear head is below the training loss that it ends with on {of} after {} ({own} to its \
             own end, {other} on {of}).",
            iterations(n)
        ),
        None => format!(
            "On pretrained features the linear head never comes down to the training loss that it ends with on {of} ({own} \
             against {other})."
        ),
    })
}

fn thousands(n: usize) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", thousands(n / 1000), n % 1000) }
}

fn iterations(n: usize) -> String {
    if n == 1 { "1 iteration".to_owned() } else { format!("{n} iterations") }
}

fn times(n: f64) -> String {
    if n < 9.95 { format!("{n:.1}") } else { format!("{n:.0}") }
}

fn head(head: CurveHead) -> String {
    head.label().to_lowercase()
}

/// What the curves were judged on.
pub fn judged(outcome: &CurveOutcome) -> String {
    let n = outcome.n_judged;
    match outcome.is_given {
        true => format!("judged on the {n} validation or test images"),
        false => format!("judged on all {n} images, a fifth at a time, by heads that had not seen that fifth"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CurvePoint, Gain, Source};
    use super::*;
    use crate::metrics::{Interval, PowerLaw};

    fn estimate(value: f64, low: f64, high: f64) -> Estimate {
        Estimate { value, interval: Interval { low, high } }
    }

    fn rising(gains: &[(usize, f64, f64, f64)]) -> HeadCurve {
        let point = CurvePoint {
            n_per_class: 66.7,
            n_images: 200.0,
            n_draws: 1,
            accuracy: estimate(0.9, 0.85, 0.94),
            variance: 1e-4,
            variance_of_set: 1e-5,
            log_loss: 0.3,
            recall: Vec::new(),
            f1: Vec::new(),
        };
        let gain = |&(n_more, v, l, h): &(usize, f64, f64, f64)| Gain {
            n_more,
            accuracy: estimate(0.9 + v, 0.9 + l, 0.9 + h),
            gain: estimate(v, l, h),
        };
        HeadCurve {
            source: Source::Pretrained,
            head: CurveHead::Linear,
            points: vec![point],
            outlook: Some(Outlook::Rising {
                law: PowerLaw { a: 0.1, b: 0.5, c: 0.5 },
                gains: gains.iter().map(gain).collect(),
            }),
            fitted: Vec::new(),
            loss_curve: Vec::new(),
        }
    }

    #[test]
    fn gains_are_said_as_finely_as_they_are_known() {
        let said = |v, l, h| outlook(&rising(&[(100, v, l, h), (200, v, l, h)])).unwrap_or_default();
        assert_eq!(said(0.021, 0.012, 0.034), "200 more images would give about 2 points (1 to 3).");
        assert_eq!(said(0.012, 0.006, 0.034), "200 more images would give about 1 point (1 to 3).");
        assert_eq!(said(0.004, 0.001, 0.009), "200 more images would give about 0.4 points (0.1 to 0.9).");
        assert_eq!(said(0.0, 0.0, 0.004), "200 more images would give hardly anything (0.0 to 0.4 points).");
        let curve = rising(&[(100, 0.01, 0.0, 0.02), (200, 0.02, 0.01, 0.03), (500, 0.04, 0.02, 0.09)]);
        assert_eq!(
            far(&curve).unwrap_or_default(),
            "500 more would give about 4 points (2 to 9); what still more would give is too far to say."
        );
        let flat = HeadCurve { outlook: Some(Outlook::Flat), ..curve };
        assert!(outlook(&flat).is_some_and(|text| text.contains("beyond chance")) && far(&flat).is_none());
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(
            (thousands(999), thousands(1000), thousands(2_050_007)),
            ("999".into(), "1,000".into(), "2,050,007".into())
        );
    }

    #[test]
    fn negative_transfer_is_said_plainly() {
        let of = |verdict, value, low, high| {
            transfer(&Transfer {
                pretrained: CurveHead::Linear,
                baseline: Source::RawPixels,
                baseline_head: CurveHead::Prototype,
                difference: estimate(value, low, high),
                verdict,
                efficiency: None,
                convergence: None,
            })
        };
        let worse = of(Verdict::Worse, -0.2, -0.3, -0.1);
        assert!(
            worse.starts_with("Negative transfer: the pretrained features are worse than raw pixels (prototype head)")
        );
        assert!(worse.contains("by 20.0 points (-30.0 to -10.0 points on the same images)"), "{worse}");
        assert!(of(Verdict::NoBetter, 0.0, -0.01, 0.01).contains("no better than raw pixels"));
        assert!(of(Verdict::Helps, 0.4, 0.3, 0.5).contains("better than raw pixels (prototype head) by 40.0 points"));
    }
}
