#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::classes::{ClassIdx, ClassSet};
use crate::head::{ChosenBy, HeadKind, PathPoint, UnknownRule};
use crate::metrics::Interval;
use crate::project::runs::{Answered, Difference};

/// A name that would be a script, an attribute, a comment and an entity, had it the chance.
const HOSTILE: &str =
    "<script src=\"http://example.com/x.js\">alert('x')</script>--><img src=x onerror=y>&amp;\u{202e}";

fn report(classes: &ClassSet) -> Report {
    let k = classes.len();
    let rows = 12 * k;
    let p = ndarray::Array2::from_shape_fn((rows, k), |(row, class)| {
        let answer = if row % 7 == 0 { (row + 1) % k } else { row % k };
        if class == answer { 0.8 } else { 0.2 / (k - 1) as f32 }
    });
    let y: Vec<ClassIdx> = (0..rows).map(|row| ClassIdx::from(row % k)).collect();
    Report::new(p.view(), &y, classes, 0).unwrap()
}

fn estimate(value: f64) -> Estimate {
    Estimate { value, interval: Interval { low: value - 0.1, high: value + 0.05 } }
}

fn row(name: &str) -> RunRow {
    RunRow {
        name: name.to_owned(),
        unix_secs: 1_795_705_500,
        model: name.to_owned(),
        head: "Linear".to_owned(),
        n: [80, 20],
        accuracy: Some(estimate(0.9)),
        calibration_error: None,
    }
}

/// Everything that a report can have, with `name` wherever a name from outside stands.
fn document(name: &str, n_classes: usize) -> Document {
    let classes =
        ClassSet::from_ordered((0..n_classes).map(|i| if i == 0 { name.to_owned() } else { format!("class {i}") }));
    let report = report(&classes);
    let mut record = TrainRecord::unfitted(HeadKind::Linear, None);
    record.c = Some(1.0);
    record.chosen_by = ChosenBy::Validation { n_rows: 20 };
    record.loss_curve = vec![0.7, 0.3, 0.2];
    record.path = [0.1, 1.0, 10.0]
        .map(|c| PathPoint { c, accuracy: 0.8 + 0.01 * c, log_loss: 0.5, train_loss: 0.4, n_iter: 3 })
        .to_vec();
    let prototype = TrainRecord::unfitted(HeadKind::Prototype, None);
    let jpeg = Some(Jpeg { bytes: vec![0xff, 0xd8, 0xff, 0xd9], width_px: 8, height_px: 6 });
    let picture = || Picture { name: name.to_owned(), jpeg: jpeg.clone() };
    let gone = || Picture { name: name.to_owned(), jpeg: None };
    let answered = |is_right| Answered { class: name.to_owned(), confidence: 0.7, is_right };
    let difference =
        |i: u8, a, b| Difference { hash: [i; SHORT_HASH], truth: name.to_owned(), a: answered(a), b: answered(b) };
    let comparison = Comparison {
        n_a: 20,
        n_b: 21,
        n_relabelled: 1,
        paired: crate::metrics::paired::Paired::new([(true, true), (true, false), (false, true)]).ok(),
        only_b: vec![difference(1, false, true)],
        only_a: vec![difference(2, true, false)],
        neither: vec![difference(3, false, false)],
    };
    Document {
        title: name.to_owned(),
        unix_secs: 1_795_705_500,
        data: Data {
            classes: classes.names().iter().map(|c| (c.clone(), [8, 12, 3])).collect(),
            val_is_given: false,
            skipped: vec![(name.to_owned(), name.to_owned())],
            notes: vec![name.to_owned()],
        },
        model: Model {
            name: name.to_owned(),
            facts: vec![("Source".to_owned(), name.to_owned())],
            preprocess: vec![("resize".to_owned(), name.to_owned(), name.to_owned())],
        },
        heads: vec![
            HeadFigures { record, val: Some(report.clone()), test: Some(report.clone()) },
            HeadFigures { record: prototype, val: None, test: None },
        ],
        shown: 0,
        before_scaling: Some(BeforeScaling { bins: report.calibration.clone(), error: 0.2, cross_fitted: None }),
        answers: (0..20).map(|i| (0.05 * i as f32, i % 3 != 0)).collect(),
        unknown: UnknownRule::Probability { below: 0.4 },
        left_by_distance: None,
        mistakes: vec![
            Mistake { picture: picture(), truth: name.to_owned(), predicted: name.to_owned(), confidence: 0.9 },
            Mistake { picture: gone(), truth: name.to_owned(), predicted: name.to_owned(), confidence: 0.8 },
        ],
        n_mistakes: 3,
        faults: Some(Faults {
            labels: Ok(vec![DoubtfulLabel {
                picture: picture(),
                given: name.to_owned(),
                suggested: name.to_owned(),
                quality: 0.1,
            }]),
            n_labels: 2,
            copies: vec![Copies { names: vec![name.to_owned(); 2], is_leak: true, disagree: true }],
        }),
        curve: Some(LearningCurve {
            series: vec![(
                name.to_owned(),
                vec![
                    CurvePoint { n_per_class: 4.0, accuracy: estimate(0.7) },
                    CurvePoint { n_per_class: 16.0, accuracy: estimate(0.9) },
                ],
            )],
            words: name.to_owned(),
        }),
        compared: Some(Compared {
            a: row(name),
            b: row("B"),
            comparison,
            pictures: BTreeMap::from([([1; SHORT_HASH], picture())]),
        }),
        runs: vec![row(name)],
        reproduce: Reproduce {
            command: name.to_owned(),
            differs: Vec::new(),
            facts: vec![("Graft".to_owned(), name.to_owned())],
        },
    }
}

/// The names of all elements and of all attributes, as a browser would see them; panics where tags do not match.
fn elements(html: &str) -> Vec<(String, Vec<String>)> {
    const VOID: [&str; 6] = ["meta", "link", "br", "img", "!DOCTYPE", "hr"];
    // What stands in a style element is no markup.
    let (head, rest) = html.split_once("<style>").unwrap();
    let (style, tail) = rest.split_once("</style>").unwrap();
    assert!(!style.contains("</"), "nothing closes the style but its end");
    let html = format!("{head}<style></style>{tail}");
    let (mut found, mut open) = (Vec::new(), Vec::new());
    for part in html.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("no end: {part}"));
        assert!(!text.contains('>'), "a stray >: {text}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed out of order");
            continue;
        }
        let name: String = tag.chars().take_while(|c| !c.is_whitespace() && *c != '/').collect();
        let outside: Vec<&str> = tag.split('"').step_by(2).collect();
        assert_eq!(tag.matches('"').count() % 2, 0, "an open quote: {tag}");
        let attributes = outside.iter().flat_map(|text| text.split_whitespace());
        let attributes = attributes.filter_map(|word| word.strip_suffix('=')).map(str::to_owned).collect();
        if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name.clone());
        }
        found.push((name, attributes));
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    found
}

#[test]
fn hostile_names_stay_text() {
    let (hostile, tame) = (document(HOSTILE, 3).html(), document("ant", 3).html());
    assert_eq!(elements(&hostile), elements(&tame), "a name makes no element and no attribute");
    let names: Vec<String> = elements(&hostile).into_iter().map(|(name, _)| name).collect();
    for name in ["script", "iframe", "object", "base", "form", "a"] {
        assert!(!names.iter().any(|found| found == name), "{name}");
    }
    let attributes: Vec<String> = elements(&hostile).into_iter().flat_map(|(_, attributes)| attributes).collect();
    assert!(attributes.iter().all(|a| !a.starts_with("on")), "nothing runs");
    assert!(hostile.contains("&lt;script src=&quot;http://example.com/x.js&quot;&gt;"));
    assert!(!hostile.contains('\u{202e}'));
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let html = document("ant", 3).html();
    let values = |name: &str| -> Vec<String> {
        html.split(&format!(" {name}=\"")).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    for name in ["src", "href"] {
        assert!(values(name).iter().all(|value| value.starts_with("data:")), "{name}");
    }
    assert_eq!(values("src").len(), 3, "the pictures that are there");
    assert!(!html.contains("url(") && !html.contains("@import") && !html.contains("http:") && !html.contains("https:"));
    assert!(html.contains("default-src 'none'"));
    assert!(values("alt").iter().all(|alt| !alt.is_empty()));
}

#[test]
fn every_section_is_there_and_says_its_figures() {
    let html = document("ant", 3).html();
    for id in [
        "glance",
        "limits",
        "data",
        "model",
        "heads",
        "confusion",
        "classes",
        "calibration",
        "unknown",
        "mistakes",
        "faults",
        "curve",
        "training",
        "compared",
        "runs",
        "reproduce",
    ] {
        assert!(html.contains(&format!("<section id=\"{id}\">")), "{id}");
    }
    assert!(html.contains("26 November 2026, 15:05 UTC"));
    assert!(html.contains("B is right on 1 image where A is wrong, A on 1: no clear difference (p = 1.00)."));
    assert!(html.contains("Judged on 36 images: the accuracy is known to about ±"));
    assert!(html.contains("The 2 surest of 3 mistakes."));
    assert!(!html.contains("NaN") && !html.contains("inf"));
}

#[test]
fn a_rule_by_distance_says_what_it_leaves() {
    let mut found = document("ant", 3);
    found.unknown = UnknownRule::Distance { above: 0.5 };
    found.left_by_distance = Some(LeftByRule { n: 20, n_answered: 18, n_right: 9 });
    let html = found.html();
    elements(&html);
    assert!(
        html.contains("90.0\u{a0}% of 20 validation images get an answer, and 50.0\u{a0}% of the answers are right."),
        "{html}"
    );
    found.left_by_distance = Some(LeftByRule { n: 20, n_answered: 0, n_right: 0 });
    assert!(found.html().contains("and no answer is left."));
    found.left_by_distance = None;
    assert!(!found.html().contains("get an answer, and"));
}

#[test]
fn a_report_without_figures_says_so() {
    let mut bare = document("ant", 2);
    bare.heads.truncate(1);
    (bare.heads[0].val, bare.heads[0].test) = (None, None);
    (bare.before_scaling, bare.faults, bare.curve, bare.compared) = (None, None, None, None);
    (bare.answers, bare.mistakes, bare.runs, bare.n_mistakes) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let html = bare.html();
    elements(&html);
    assert!(html.contains("Nothing is known about how good it is"));
    for id in ["limits", "confusion", "calibration", "unknown", "mistakes", "faults", "curve", "compared", "runs"] {
        assert!(!html.contains(&format!("<section id=\"{id}\">")), "{id}");
    }
    bare.heads.clear();
    elements(&bare.html());
}

#[test]
fn many_classes_are_a_picture_and_very_many_a_list() {
    let some = document("ant", 40).html();
    elements(&some);
    assert!(some.contains("Confusion matrix of 40 classes") && !some.contains("class=\"matrix"));
    let many = document("ant", 150).html();
    elements(&many);
    assert!(!many.contains("Confusion matrix of") && many.contains("Most frequent"));
}

#[test]
fn only_an_older_report_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let document = document("ant", 2);
    write(&at("r.html"), &document, false).unwrap();
    write(&at("r.html"), &document, false).unwrap();
    fs::write(at("thesis.html"), "<!DOCTYPE html><p>years of work").unwrap();
    assert!(matches!(write(&at("thesis.html"), &document, false), Err(ReportError::Occupied { .. })));
    assert!(fs::read_to_string(at("thesis.html")).unwrap().contains("years of work"));
    write(&at("thesis.html"), &document, true).unwrap();
    assert!(matches!(write(dir.path(), &document, true), Err(ReportError::Folder { .. })));
    assert!(matches!(write(&at("no/such/r.html"), &document, false), Err(ReportError::Write { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left behind");
    assert_eq!(fs::read_to_string(at("r.html")).unwrap(), document.html());
}
