//! Two runs, image by image.

use super::{Judged, Run, RunAnswer, SHORT_HASH};
use crate::metrics::paired::Paired;

/// What a run said of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The class.
    pub class: String,
    /// Its probability.
    pub confidence: f32,
    /// Whether it is right.
    pub is_right: bool,
}

/// An image on which two runs differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The beginning of its content hash.
    pub hash: [u8; SHORT_HASH],
    /// Its class.
    pub truth: String,
    /// What A says.
    pub a: Answered,
    /// What B says.
    pub b: Answered,
}

/// Two runs, A and B, on the images that both were judged on.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Images that A was judged on.
    pub n_a: usize,
    /// Images that B was judged on.
    pub n_b: usize,
    /// Images that have another label in B than in A; the later run's counts.
    pub n_relabelled: usize,
    /// The test on the images in common; `None` without any.
    pub paired: Option<Paired>,
    /// Where B is right and A is wrong, A surest of its mistake first.
    pub only_b: Vec<Difference>,
    /// Where A is right and B is wrong, B surest of its mistake first.
    pub only_a: Vec<Difference>,
    /// Where both are wrong in different ways.
    pub neither: Vec<Difference>,
}

impl Comparison {
    /// Images that both were judged on.
    pub fn n_common(&self) -> usize {
        self.paired.map_or(0, |paired| paired.n_rows())
    }

    /// Whether one was judged on images that the other was not.
    pub fn sets_differ(&self) -> bool {
        self.n_common() != self.n_a || self.n_common() != self.n_b
    }

    /// What it says, in a sentence or two, of runs that are called `a` and `b`.
    pub fn words(&self, a: &str, b: &str) -> String {
        let Some(paired) = self.paired else {
            return "No image was judged by both: nothing can be said about which is better.".to_owned();
        };
        let images = |n: usize| if n == 1 { "1 image".to_owned() } else { format!("{n} images") };
        if (paired.n_only_a, paired.n_only_b) == (0, 0) {
            return format!("{a} and {b} are right and wrong on the same of {}.", images(paired.n_rows()));
        }
        let verdict = match (paired.is_clear(), paired.n_only_b > paired.n_only_a) {
            (true, true) => format!("{b} is better"),
            (true, false) => format!("{a} is better"),
            (false, _) => "no clear difference".to_owned(),
        };
        format!(
            "{b} is right on {} where {a} is wrong, {a} on {}: {verdict} (p = {}).",
            images(paired.n_only_b),
            paired.n_only_a,
            p_text(paired.p_value)
        )
    }
}

/// `0.18`, `0.003`, or `below 0.001`.
fn p_text(p: f64) -> String {
    match p {
        p if p < 0.001 => "below 0.001".to_owned(),
        p if p < 0.1 => format!("{p:.3}"),
        p => format!("{p:.2}"),
    }
}

/// A difference of shares in points: `+2.5`, `−7.8`, `0.0`.
pub fn points(share: f64) -> String {
    let text = format!("{:+.1}", 100.0 * share);
    match text.strip_prefix(['+', '-']) {
        Some("0.0") => "0.0".to_owned(),
        Some(digits) if share < 0.0 => format!("\u{2212}{digits}"),
        _ => text,
    }
}

/// Compares runs on the images that both were judged on, which are found by their content.
pub fn compare(a: &Run, b: &Run) -> Comparison {
    let mut comparison = Comparison {
        n_a: a.judged.len(),
        n_b: b.judged.len(),
        n_relabelled: 0,
        paired: None,
        only_b: Vec::new(),
        only_a: Vec::new(),
        neither: Vec::new(),
    };
    let (mut rows, mut i, mut j) = (Vec::new(), 0, 0);
    while let (Some(in_a), Some(in_b)) = (a.judged.get(i), b.judged.get(j)) {
        match in_a.hash.cmp(&in_b.hash) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                if let (Some(of_a), Some(of_b)) = (a.answers.get(i), b.answers.get(j)) {
                    rows.push(comparison.add((a, in_a, of_a), (b, in_b, of_b)));
                }
                (i, j) = (i + 1, j + 1);
            }
        }
    }
    comparison.paired = Paired::new(rows).ok();
    let by = |key: fn(&Difference) -> f32| {
        move |x: &Difference, y: &Difference| key(y).total_cmp(&key(x)).then(x.hash.cmp(&y.hash))
    };
    comparison.only_b.sort_by(by(|d| d.a.confidence));
    comparison.only_a.sort_by(by(|d| d.b.confidence));
    comparison.neither.sort_by(by(|d| d.a.confidence.max(d.b.confidence)));
    comparison
}

impl Comparison {
    /// Takes in an image; whether A and B are right.
    fn add(&mut self, a: (&Run, &Judged, &RunAnswer), b: (&Run, &Judged, &RunAnswer)) -> (bool, bool) {
        let name =
            |run: &Run, class: u16| run.data.classes.names().get(usize::from(class)).cloned().unwrap_or_default();
        let (truth_a, truth_b) = (name(a.0, a.1.truth), name(b.0, b.1.truth));
        self.n_relabelled += usize::from(truth_a != truth_b);
        let truth = if (a.0.unix_secs, a.0.id) > (b.0.unix_secs, b.0.id) { truth_a } else { truth_b };
        let answered = |(run, _, answer): (&Run, &Judged, &RunAnswer)| {
            let class = name(run, answer.class);
            Answered { is_right: class == truth, class, confidence: answer.confidence }
        };
        let (a, b, hash) = (answered(a), answered(b), a.1.hash);
        let rights = (a.is_right, b.is_right);
        if a.class != b.class {
            let list = match rights {
                (true, _) => &mut self.only_a,
                (false, true) => &mut self.only_b,
                (false, false) => &mut self.neither,
            };
            list.push(Difference { hash, truth, a, b });
        }
        rights
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::RunId;
    use super::super::tests::run;
    use super::*;

    /// A run judged on images, given as hash, truth and answer.
    fn judged(secs: u64, rows: &[(u8, u16, u16)]) -> Run {
        let mut run = run(secs, 0);
        run.id = RunId(secs as u32);
        run.judged = rows.iter().map(|(hash, truth, _)| Judged { hash: [*hash; SHORT_HASH], truth: *truth }).collect();
        let answer = |(i, row): (usize, &(u8, u16, u16))| RunAnswer { class: row.2, confidence: 0.5 + 0.01 * i as f32 };
        run.answers = rows.iter().enumerate().map(answer).collect();
        run
    }

    #[test]
    fn images_are_found_by_content_and_judged_by_the_later_label() {
        // Of 1, 2, 3, 5 in common: both right, only B, only A; 5 was relabelled to what both say.
        let a = judged(1, &[(1, 0, 0), (2, 0, 1), (3, 1, 1), (4, 1, 1), (5, 0, 1)]);
        let b = judged(2, &[(1, 0, 0), (2, 0, 0), (3, 1, 0), (5, 1, 1), (9, 0, 0)]);
        let found = compare(&a, &b);
        assert_eq!((found.n_a, found.n_b, found.n_common(), found.n_relabelled), (5, 5, 4, 1));
        assert!(found.sets_differ());
        let paired = found.paired.unwrap();
        assert_eq!((paired.n_both, paired.n_only_a, paired.n_only_b, paired.n_neither), (2, 1, 1, 0));
        assert_eq!((found.only_b[0].hash[0], found.only_a[0].hash[0]), (2, 3));
        assert_eq!((found.only_b[0].a.class.as_str(), found.only_b[0].truth.as_str()), ("bee", "ant"));
        assert!(found.neither.is_empty());
        assert_eq!(
            found.words("A", "B"),
            "B is right on 1 image where A is wrong, A on 1: no clear difference (p = 1.00)."
        );
    }

    #[test]
    fn points_have_a_sign() {
        assert_eq!([0.025, -0.078, 0.0, -0.0001].map(points), ["+2.5", "\u{2212}7.8", "0.0", "0.0"]);
    }

    #[test]
    fn the_words_say_what_the_test_says() {
        let rows = |right: std::ops::Range<u8>| -> Vec<(u8, u16, u16)> {
            (0..40).map(|i| (i, 0, u16::from(!right.contains(&i)))).collect()
        };
        let (none, all) = (judged(1, &rows(0..30)), judged(2, &rows(0..40)));
        let found = compare(&none, &all);
        assert_eq!(
            found.words("Before", "After"),
            "After is right on 10 images where Before is wrong, Before on 0: \
                    After is better (p = 0.002)."
        );
        assert!(!found.sets_differ());
        assert!(compare(&all, &all).words("A", "B").contains("the same of 40 images"));
        let other = judged(3, &[(99, 0, 0)]);
        assert!(compare(&all, &other).words("A", "B").starts_with("No image"));
    }
}
