//! The learning curve: what more images would give, which class most needs them, and whether pretrained features help.

use eframe::egui::{Color32, Stroke, Ui};
use egui_plot::{Line, LineStyle, MarkerShape, PlotPoints, Points};

use crate::app::{Action, OpenProject, Study};
use crate::jobs::DrawnCurve;
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::places::model::study;
use crate::ui::theme::{Tokens, space, tokens};
use crate::ui::widgets::{self, Banner, Button, Card, ChartAxis, Column, Meaning, Table, chart, legend, percent};
use crate::workflow::curve::{CurveHead, CurveOutcome, HeadCurve, N_MORE, Needs, Source, Verdict, words};

const HEIGHT: f32 = 300.0;
/// Heads at the same place stand side by side, so far apart in octaves.
const APART: f64 = 0.06;

/// The card with the curves, or with a button to draw them.
pub(super) fn curve_card(cx: &mut Cx<'_>, ui: &mut Ui, project: &OpenProject) {
    let state = cx.state;
    let action = Action::DrawHeadCurves;
    let drawn = project.drawn_curve();
    let mut is_asked = false;
    let trailing = |ui: &mut Ui| {
        let text = if drawn.is_some() { "Draw again" } else { "Draw" };
        let button = Button::new(text).small().tip(action.tooltip()).label(action.label());
        is_asked = ui.add(button.availability(action.availability(state))).clicked();
    };
    Card::new().title("Learning curve").show_with(ui, trailing, |ui| {
        widgets::caption(
            ui,
            "The same heads, trained on fewer images: how fast they become better, and so what more images would give. In grey \
             the same on features that have learned nothing.",
        );
        if let Some(why) = &project.studies.curve_error {
            Banner::new(Meaning::Negative, "The learning curve could not be drawn").text(why).show(ui);
        }
        study::progress(cx, ui, Study::Curve, "Drawing the learning curve", "");
        match drawn {
            Some(drawn) => drawn_ui(ui, project, drawn),
            None if state.studying().is_some() => {}
            None => {
                let why = match action.availability(state) {
                    Ok(()) => "Draw it to see whether more images would help, and of which class.",
                    Err(why) => why,
                };
                widgets::weak(ui, why);
            }
        }
    });
    if is_asked {
        cx.act(action);
    }
}

fn drawn_ui(ui: &mut Ui, project: &OpenProject, drawn: &DrawnCurve) {
    let outcome = &drawn.outcome;
    if drawn.revision != project.revision {
        let title = "Labels or images have changed since it was drawn";
        Banner::new(Meaning::Warning, title).text("Draw it again to have it of the images as they are now.").show(ui);
    }
    if let Some(transfer) = outcome.transfer.as_ref().filter(|transfer| transfer.verdict != Verdict::Helps) {
        let (meaning, title) = match transfer.verdict {
            Verdict::Worse => (Meaning::Negative, "The pretrained features are worse than none"),
            _ => (Meaning::Warning, "The pretrained features are no better than none"),
        };
        Banner::new(meaning, title).text(&words::transfer(transfer)).show(ui);
    }
    let best = outcome.best();
    if let Some(text) = best.and_then(words::outlook) {
        widgets::strong(ui, &text);
    }
    if let Some(text) = best.and_then(words::far) {
        widgets::caption(ui, &text);
    }
    ui.add_space(space::S);
    plot(ui, outcome);
    if let Some(transfer) = &outcome.transfer {
        let helps = Some(words::transfer(transfer)).filter(|_| transfer.verdict == Verdict::Helps);
        for text in [helps, words::efficiency(transfer)].into_iter().flatten() {
            widgets::body(ui, &text);
        }
        if let Some(text) = words::convergence(transfer) {
            widgets::caption(ui, &text);
        }
    }
    if let Some(needs) = &outcome.needs {
        widgets::separator(ui);
        needs_ui(ui, needs);
    }
    let basis = format!(
        "Trained on up to {}, {}. Bars are 95 % intervals of both the draw of the training images and the images judged on; lines \
         are power laws through the points, dashed beyond the images there are.",
        format::images(outcome.n_train.round() as usize),
        words::judged(outcome)
    );
    widgets::caption(ui, &basis);
    for note in &outcome.notes {
        widgets::caption(ui, note);
    }
}

/// How a curve looks.
#[derive(Clone, Copy)]
struct Look {
    colour: Color32,
    shape: MarkerShape,
    /// On pretrained features; those from scratch stay behind.
    is_own: bool,
    /// How the line within the data is drawn.
    line: LineStyle,
}

fn look(curve: &HeadCurve, t: &Tokens) -> Look {
    let (colour, shape) = match (curve.source, curve.head) {
        (Source::Pretrained, CurveHead::Linear) => (t.accent.solid, MarkerShape::Circle),
        (Source::Pretrained, CurveHead::Prototype) => (t.warning.solid, MarkerShape::Diamond),
        (Source::Pretrained, CurveHead::Text) => (t.positive.solid, MarkerShape::Up),
        (Source::RawPixels, _) => (t.text_weak, MarkerShape::Square),
        (Source::RandomWeights, _) => (t.text_faint, MarkerShape::Cross),
    };
    let line = if curve.source == Source::RandomWeights { LineStyle::dotted_dense() } else { LineStyle::Solid };
    Look { colour, shape, is_own: curve.source == Source::Pretrained, line }
}

/// Those that are drawn: every head on pretrained features, the better one of each kind of features from scratch.
fn shown(outcome: &CurveOutcome) -> Vec<&HeadCurve> {
    let mut shown: Vec<&HeadCurve> = Vec::new();
    for curve in &outcome.curves {
        let value = |curve: &HeadCurve| curve.accuracy().map_or(0.0, |accuracy| accuracy.value);
        match shown.iter_mut().find(|known| curve.source != Source::Pretrained && known.source == curve.source) {
            Some(known) if value(curve) > value(known) => *known = curve,
            Some(_) => {}
            None => shown.push(curve),
        }
    }
    shown
}

fn name(curve: &HeadCurve) -> String {
    let head = curve.head.label().to_lowercase();
    match curve.source {
        Source::Pretrained => format!("{head} head"),
        Source::RandomWeights => format!("random weights, {head} head (dotted)"),
        Source::RawPixels => format!("raw pixels, {head} head"),
    }
}

fn plot(ui: &mut Ui, outcome: &CurveOutcome) {
    let t = tokens(ui);
    let curves = shown(outcome);
    let Some((first, last)) =
        curves.first().and_then(|c| Some((c.points.first()?.n_per_class, c.points.last()?.n_per_class)))
    else {
        return;
    };
    let at = |n: f64| n.max(0.5).log2();
    let end = curves.iter().filter_map(|c| c.fitted.last()).map(|p| at(p.n_per_class)).fold(at(last), f64::max);
    let x = ChartAxis::new("Images a class to train on").step(1.0).bounds(at(first) - 0.3, end + 0.2).format(octave);
    let least = curves.iter().flat_map(|c| &c.points).map(|p| p.accuracy.interval.low).fold(1.0, f64::min);
    let floor = (10.0 * least).floor().max(0.0) / 10.0;
    let y = ChartAxis::fraction("").bounds(floor, 1.0).step(if floor < 0.5 { 0.25 } else { 0.1 });
    struct Drawn {
        name: String,
        look: Look,
        within: Vec<[f64; 2]>,
        beyond: Vec<[f64; 2]>,
        points: Vec<[f64; 2]>,
        bars: Vec<[[f64; 2]; 2]>,
    }
    let mut drawn: Vec<Drawn> = Vec::new();
    let n_own = curves.iter().filter(|c| c.source == Source::Pretrained).count();
    for (idx, curve) in curves.iter().enumerate() {
        let look = look(curve, t);
        let aside = if look.is_own { APART * (idx as f64 - 0.5 * (n_own as f64 - 1.0)) } else { 0.0 };
        let fitted = |is_beyond: bool| -> Vec<[f64; 2]> {
            let places = curve.fitted.iter().filter(|p| (p.n_per_class > last * 1.001) == is_beyond);
            places.map(|p| [at(p.n_per_class), p.accuracy.value]).collect()
        };
        let (mut within, mut beyond) = (fitted(false), fitted(true));
        if within.is_empty() {
            within = curve.points.iter().map(|p| [at(p.n_per_class), p.accuracy.value]).collect();
        } else if let Some(joint) = within.last() {
            beyond.insert(0, *joint);
        }
        drawn.push(Drawn {
            name: name(curve),
            look,
            within,
            beyond: if look.is_own { beyond } else { Vec::new() },
            points: curve.points.iter().map(|p| [at(p.n_per_class) + aside, p.accuracy.value]).collect(),
            bars: curve
                .points
                .iter()
                .map(|p| {
                    let x = at(p.n_per_class) + aside;
                    [[x, p.accuracy.interval.low], [x, p.accuracy.interval.high]]
                })
                .collect(),
        });
    }
    let names: Vec<(String, Color32)> = drawn.iter().map(|d| (d.name.clone(), d.look.colour)).collect();
    chart(ui, "Accuracy over images a class", HEIGHT, (x, y), move |plot| {
        // What matters is drawn last.
        for Drawn { name, look, within, beyond, points, bars } in drawn.into_iter().rev() {
            let width = if look.is_own { 2.0 } else { 1.5 };
            for bar in bars {
                let stroke = Stroke::new(if look.is_own { 1.5 } else { 1.0 }, look.colour.gamma_multiply(0.55));
                plot.line(Line::new(name.clone(), PlotPoints::from(bar.to_vec())).stroke(stroke));
            }
            let solid = Line::new(name.clone(), PlotPoints::from(within)).stroke(Stroke::new(width, look.colour));
            plot.line(solid.style(look.line));
            let dashed = Line::new(name.clone(), PlotPoints::from(beyond)).stroke(Stroke::new(width, look.colour));
            plot.line(dashed.style(LineStyle::dashed_dense()));
            let radius = if look.is_own { 4.0 } else { 3.0 };
            plot.points(
                Points::new(name, PlotPoints::from(points)).radius(radius).shape(look.shape).color(look.colour),
            );
        }
    });
    let names: Vec<(&str, Color32)> = names.iter().map(|(name, colour)| (name.as_str(), *colour)).collect();
    legend(ui, &names);
}

/// The number of images at a place of the axis.
fn octave(position: f64) -> String {
    if (position - position.round()).abs() > 1e-6 || !(-0.5..40.0).contains(&position) {
        return String::new();
    }
    format::thousands(2_f64.powf(position).round() as usize)
}

fn needs_ui(ui: &mut Ui, needs: &Needs) {
    let t = tokens(ui);
    if let Some(text) = words::needs(needs) {
        widgets::strong(ui, &text);
    }
    // The last column is what it is about.
    let (has_counts, has_f1) = (ui.available_width() > 470.0, ui.available_width() > 620.0);
    let all = [
        Column::text("Class").min_width(90.0).sortable(false),
        Column::number("Images", 64.0).sortable(false),
        Column::number("Recall", 72.0).sortable(false),
        Column::number("F1", 56.0).sortable(false),
        Column::number("10 more images give", 190.0).sortable(false),
    ];
    let is_shown = [true, has_counts, true, has_f1, true];
    let columns: Vec<Column<'_>> = all.into_iter().zip(is_shown).filter(|(_, shown)| *shown).map(|(c, _)| c).collect();
    Table::new("classes that need images", &columns).max_height(280.0).show(ui, needs.classes.len(), |idx, row| {
        let need = &needs.classes[idx];
        row.text(&need.class);
        if has_counts {
            row.weak(&format::thousands(need.n_images));
        }
        row.text(&need.recall.map_or("–".to_owned(), |v| percent(v as f32)));
        if has_f1 {
            row.weak(&need.f1.map_or("–".to_owned(), |v| format!("{v:.2}")));
        }
        let gain = need.gain.map_or("not known".to_owned(), |gain| {
            let points = |v: f64| format!("{:.2}", 100.0 * v).replace("-0.00", "0.00").replace('-', "−");
            let range = format!("{} to {}", points(gain.interval.low), points(gain.interval.high));
            format!("{} points ({range})", points(gain.value))
        });
        let stands_out = needs.stands_out.as_ref() == Some(&need.class);
        row.coloured(&gain, if stands_out { t.warning.text } else { t.text });
    });
    widgets::caption(
        ui,
        &format!(
            "What {N_MORE} more images of a class would add to the mean recall over the classes, by how its own recall has risen \
             of late, not by how few it has."
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::octave;

    #[test]
    fn ticks_are_powers_of_two() {
        assert_eq!((octave(0.0), octave(7.0), octave(11.0)), ("1".into(), "128".into(), "2,048".into()));
        assert_eq!(octave(1.5), "");
        assert_eq!(octave(-1.0), "");
    }
}
