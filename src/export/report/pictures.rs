//! Sections that show images.

use super::page::{base64, count, escape, note, p, percent, section, table};
use super::sections::{RUN_COLUMNS, run_cells};
use super::{Compared, Copies, Document, NotLookedFor, Picture};
use crate::project::runs::{Answered, Difference, points};

/// Groups of copies that are listed, at most.
const MAX_COPIES: usize = 20;
/// Images of each kind on which runs differ, at most.
pub(crate) const MAX_DIFFERENCES: usize = 12;

/// An image in a grid; `text` is HTML, `alt` is not.
fn tile(picture: &Picture, alt: &str, text: &str) -> String {
    let image = match &picture.jpeg {
        Some(jpeg) => format!(
            "<img src=\"data:image/jpeg;base64,{}\" width=\"{}\" height=\"{}\" alt=\"{}\">",
            base64(&jpeg.bytes),
            jpeg.width_px,
            jpeg.height_px,
            escape(alt)
        ),
        None => "<span class=\"none\">The file is not there any more</span>".to_owned(),
    };
    let file = match picture.name.is_empty() {
        true => String::new(),
        false => format!("<p class=\"file\">{}</p>", escape(&picture.name)),
    };
    format!("<li>{image}<p>{text}</p>{file}</li>\n")
}

fn grid(tiles: &str) -> String {
    format!("<ul class=\"pictures\">\n{tiles}</ul>\n")
}

pub(super) fn mistakes(document: &Document) -> String {
    if document.mistakes.is_empty() {
        return String::new();
    }
    let tiles: String = document
        .mistakes
        .iter()
        .map(|mistake| {
            let alt = format!("{} taken for {}", mistake.truth, mistake.predicted);
            let sure = percent(f64::from(mistake.confidence));
            let (truth, predicted) = (escape(&mistake.truth), escape(&mistake.predicted));
            let text = format!("{truth} <span class=\"wrong\">taken for {predicted}</span>, {sure} sure");
            tile(&mistake.picture, &alt, &text)
        })
        .collect();
    let shown = match document.n_mistakes > document.mistakes.len() {
        true => format!("The {} surest of {}.", document.mistakes.len(), count(document.n_mistakes, "mistake")),
        false => "All of them, the surest first.".to_owned(),
    };
    let text = format!("{shown} Sometimes it is the label that is wrong.");
    section("mistakes", "Worst mistakes", &(note(&text) + &grid(&tiles)))
}

pub(super) fn faults(document: &Document) -> String {
    let Some(faults) = &document.faults else { return String::new() };
    let mut body = String::new();
    match &faults.labels {
        Err(NotLookedFor::TooMany) => {
            body += &note("Wrong labels were not looked for: there are too many images for a report.");
        }
        Err(NotLookedFor::TooFew) => body += &note("Wrong labels were not looked for: no class has two images."),
        Ok(labels) if labels.is_empty() => body += &p("No label looks wrong."),
        Ok(labels) => {
            let words = match faults.n_labels {
                1 => "1 label is probably wrong".to_owned(),
                n => format!("{n} labels are probably wrong"),
            };
            let shown = if faults.n_labels > labels.len() {
                format!("; the likeliest {} are shown", labels.len())
            } else {
                String::new()
            };
            body += &p(&format!(
                "{words}, as heads that have not seen the image find (confident learning){shown}. Look before you change one."
            ));
            let tiles: String = labels
                .iter()
                .map(|label| {
                    let alt = format!("Labelled {}, looks like {}", label.given, label.suggested);
                    let (given, suggested) = (escape(&label.given), escape(&label.suggested));
                    let text = format!("{given}, <span class=\"wrong\">looks like {suggested}</span>");
                    tile(&label.picture, &alt, &text)
                })
                .collect();
            body += &grid(&tiles);
        }
    }
    if !faults.copies.is_empty() {
        let n_leaks = faults.copies.iter().filter(|c| c.is_leak).count();
        let leak = if n_leaks > 0 { " Those of judged images were left out of training." } else { "" };
        body += &format!(
            "<h3>The same picture more than once</h3>\n{}<ul class=\"plain\">\n{}</ul>\n",
            note(&format!(
                "{} with the same bytes; each counts once.{leak} Copies that were resized, cropped or compressed again are not \
                 listed here: graft clean finds them.",
                count(faults.copies.len(), "group")
            )),
            copies(&faults.copies)
        );
    }
    section("faults", "Faults in the data", &body)
}

fn copies(groups: &[Copies]) -> String {
    let item = |group: &Copies| {
        let words = [(group.is_leak, "on both sides of the split"), (group.disagree, "in different classes")];
        let words: Vec<&str> = words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
        let words = if words.is_empty() {
            String::new()
        } else {
            format!(" <span class=\"wrong\">({})</span>", words.join(", "))
        };
        let names: Vec<String> = group.names.iter().map(|name| escape(name)).collect();
        format!("<li>{}{words}</li>\n", names.join(" = "))
    };
    let rest = match groups.len().saturating_sub(MAX_COPIES) {
        0 => String::new(),
        rest => format!("<li>and {rest} more</li>\n"),
    };
    groups.iter().take(MAX_COPIES).map(item).collect::<String>() + &rest
}

pub(super) fn compared(document: &Document) -> String {
    let Some(compared) = &document.compared else { return String::new() };
    let Compared { a, b, comparison, .. } = compared;
    let rows: Vec<Vec<String>> = [("A", a), ("B", b)]
        .into_iter()
        .map(|(letter, run)| {
            let mut cells = run_cells(run);
            cells[0] = format!("<span class=\"keep\">{letter}: {}</span>", escape(&run.name));
            cells
        })
        .collect();
    let mut body = table("The two runs", &RUN_COLUMNS, &rows);
    body += &format!("<p class=\"verdict\">{}</p>\n", escape(&comparison.words("A", "B")));
    if let Some(paired) = &comparison.paired {
        let columns = [("", false), ("B right", true), ("B wrong", true)];
        let rows = [
            vec!["A right".to_owned(), paired.n_both.to_string(), paired.n_only_a.to_string()],
            vec!["A wrong".to_owned(), paired.n_only_b.to_string(), paired.n_neither.to_string()],
        ];
        body += &format!("<div class=\"small\">{}</div>\n", table("Images on which each is right", &columns, &rows));
        body += &note(&format!(
            "On {} that both were judged on, A is right on {}, B on {}: a difference of {} points (95 % interval {} to {}). \
             McNemar’s exact test, two-sided; Newcombe’s interval for paired shares.",
            count(paired.n_rows(), "image"),
            percent(paired.accuracy_a()),
            percent(paired.accuracy_b()),
            points(paired.difference.value),
            points(paired.difference.interval.low),
            points(paired.difference.interval.high),
        ));
    }
    if comparison.sets_differ() {
        body += &note(&format!(
            "They were judged on different images: A on {}, B on {}, of which {} are the same. Only those count here.",
            comparison.n_a,
            comparison.n_b,
            comparison.n_common()
        ));
    }
    if comparison.n_relabelled > 0 {
        let n = comparison.n_relabelled;
        let text = format!("{} got another label between the two; the later label counts for both.", count(n, "image"));
        body += &note(&text);
    }
    body += &differences("B is right and A is wrong", &comparison.only_b, compared);
    body += &differences("A is right and B is wrong", &comparison.only_a, compared);
    body += &differences("Both are wrong, in different ways", &comparison.neither, compared);
    section("compared", "Two runs compared", &body)
}

fn differences(heading: &str, list: &[Difference], compared: &Compared) -> String {
    if list.is_empty() {
        return String::new();
    }
    let answer = |letter: &str, answered: &Answered| {
        let class = if answered.is_right { "right" } else { "wrong" };
        let sure = percent(f64::from(answered.confidence));
        format!("{letter}: <span class=\"{class}\">{}</span> {sure}", escape(&answered.class))
    };
    let none = Picture::default();
    let tiles: String = list
        .iter()
        .take(MAX_DIFFERENCES)
        .map(|difference| {
            let picture = compared.pictures.get(&difference.hash).unwrap_or(&none);
            let Difference { truth, a, b, .. } = difference;
            let alt = format!("{truth}: A says {}, B says {}", a.class, b.class);
            let text = format!("{}<br>{}<br>{}", escape(truth), answer("A", a), answer("B", b));
            tile(picture, &alt, &text)
        })
        .collect();
    let rest = list.len().saturating_sub(MAX_DIFFERENCES);
    let rest = if rest > 0 {
        note(&format!("and {}", if rest == 1 { "1 more image".to_owned() } else { format!("{rest} more images") }))
    } else {
        String::new()
    };
    format!("<h3>{} ({})</h3>\n{}{rest}", escape(heading), list.len(), grid(&tiles))
}
