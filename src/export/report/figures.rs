//! Plots: how sure it may be, when to say "unknown", more images, how it was fitted.

use super::page::{count, escape, note, p, percent, section};
use super::plot::{Axis, Plot, figure, number};
use super::{Document, HeadFigures};
use crate::export::describe::rule_text;
use crate::head::UnknownRule;
use crate::metrics::CalibrationBin;

/// Steps of the curve of thresholds.
const N_THRESHOLDS: usize = 101;
/// Points of a loss curve that are drawn, at most.
const MAX_POINTS: usize = 300;
/// As many as there are curves at the most: three heads on pretrained features, two each on pixels and on random weights.
const SERIES: [&str; 7] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6"];

/// A plot's figures beside each other.
fn plots(figures: &[String]) -> String {
    if figures.is_empty() { String::new() } else { format!("<div class=\"plots\">\n{}</div>\n", figures.concat()) }
}

pub(super) fn calibration(document: &Document) -> String {
    let Some(report) = document.head().and_then(HeadFigures::report) else { return String::new() };
    let diagram = |bins: &[CalibrationBin], caption: &str| {
        let most = bins.iter().map(|bin| bin.n_rows).max().unwrap_or(1).max(1);
        let axes = (Axis::share("How sure it is", 0.0, 1.0), Axis::share("How often it is right", 0.0, 1.0));
        let mut plot = Plot::new(axes.0, axes.1);
        for bin in bins.iter().filter(|bin| bin.n_rows > 0) {
            // Bins with few images say little and are drawn faintly.
            let weight = 0.35 + 0.65 * f64::from(bin.n_rows) / f64::from(most);
            let n = bin.n_rows;
            let title = format!("{n} answers, {} sure, {} right", percent(bin.mean_confidence), percent(bin.accuracy));
            let gap = 0.06 * (bin.high - bin.low);
            plot = plot.bar((bin.low + gap, bin.high - gap), bin.accuracy, weight, &title);
        }
        let svg = plot.line("ideal", [(0.0, 0.0), (1.0, 1.0)]).svg(caption);
        figure(caption, &svg, &[("s0", "answers, stronger where there are more"), ("ideal", "as it should be")])
    };
    let error = &report.calibration_error;
    let mut figures = Vec::new();
    let mut words = format!(
        "Answers by how sure they were: of those that are 80 % sure, 80 % should be right. The mean distance from that, the \
         calibration error, is {}.",
        percent(error.value)
    );
    if let Some(before) = &document.before_scaling {
        figures.push(diagram(&before.bins, &format!("Before temperature scaling: error {}", percent(before.error))));
        let (bins, after) = match &before.cross_fitted {
            Some((bins, after)) => (bins, *after),
            None => (&report.calibration, error.value),
        };
        figures.push(diagram(bins, &format!("As it answers: error {}", percent(after))));
        words += &format!(" Before temperature scaling it was {}.", percent(before.error));
        if before.cross_fitted.is_some() {
            words += &format!(
                " These images chose the temperature; with one that was chosen without the image, the error is {}.",
                percent(after)
            );
        }
    } else {
        figures.push(diagram(&report.calibration, &format!("Calibration error {}", percent(error.value))));
    }
    section("calibration", "How sure it may be", &(p(&words) + &plots(&figures)))
}

pub(super) fn unknown(document: &Document) -> String {
    let rows = &document.answers;
    if rows.is_empty() {
        return String::new();
    }
    let n = rows.len() as f64;
    let at = |threshold: f32| {
        let answered = rows.iter().filter(|row| row.0 >= threshold);
        let (n_answered, n_right) = answered.fold((0, 0), |(n, right), row| (n + 1, right + usize::from(row.1)));
        (n_answered, n_right)
    };
    let curve: Vec<(f64, f64)> = (0..N_THRESHOLDS)
        .map(|i| at(i as f32 / (N_THRESHOLDS - 1) as f32))
        .filter(|(n_answered, _)| *n_answered > 0)
        .map(|(n_answered, n_right)| (n_answered as f64 / n, n_right as f64 / n_answered as f64))
        .collect();
    let least = curve.iter().map(|point| point.1).fold(1.0, f64::min);
    let floor = ((least * 20.0).floor() / 20.0 - 0.05).max(0.0);
    let mut plot = Plot::new(
        Axis::share("Images that get an answer", 0.0, 1.0),
        Axis::share("Answers that are right", floor, 1.0),
    );
    plot = plot.line("s0", curve.iter().copied());
    let words = match document.unknown {
        UnknownRule::Distance { .. } => {
            let left = document.left_by_distance.map(|left| {
                let right = match left.n_answered {
                    0 => "no answer is left".to_owned(),
                    n => format!("{} of the answers are right", percent(left.n_right as f64 / n as f64)),
                };
                let answered = percent(left.n_answered as f64 / left.n.max(1) as f64);
                format!(" {answered} of {} get an answer, and {right}.", count(left.n, "validation image"))
            });
            format!(
                "{}{} The plot shows what a rule by probability would do instead: fewer images with an answer (to the left), more \
                 of the answers right (upwards).",
                rule_text(document.unknown),
                left.unwrap_or_default()
            )
        }
        UnknownRule::Off => "Every image gets an answer. Had it to be surer before it answers, fewer images would get an answer and more \
                 of the answers would be right:"
            .to_owned(),
        UnknownRule::Probability { below: threshold } => {
            let (n_answered, n_right) = at(threshold);
            let right = if n_answered == 0 { "no answer is left".to_owned() } else {
                let share = n_right as f64 / n_answered as f64;
                plot = plot.mark("s1", n_answered as f64 / n, share);
                format!("{} of the answers are right", percent(share))
            };
            format!(
                "Answers less sure than {} are “unknown”: {} of the judged images get an answer, and {right}.",
                percent(f64::from(threshold)),
                percent(n_answered as f64 / n)
            )
        }
    };
    let mut legend = vec![("s0", "from always answering (right) to answering only when sure (left)")];
    if matches!(document.unknown, UnknownRule::Probability { .. }) {
        legend.push(("s1", "the threshold in use"));
    }
    let caption = "Share of right answers over share of images that get one";
    section("unknown", "When to say “unknown”", &(p(&words) + &plots(&[figure(caption, &plot.svg(caption), &legend)])))
}

pub(super) fn curve(document: &Document) -> String {
    let Some(curve) = document.curve.as_ref().filter(|c| c.series.iter().any(|s| s.1.len() > 1)) else {
        return String::new();
    };
    let points = || curve.series.iter().flat_map(|(_, points)| points);
    let (low, high) =
        points().fold((f64::MAX, 1.0), |(low, high), p| (p.n_per_class.min(low), p.n_per_class.max(high)));
    let least = points().map(|p| p.accuracy.interval.low).fold(1.0, f64::min);
    let floor = ((least * 10.0).floor() / 10.0).clamp(0.0, 0.9);
    let mut plot = Plot::new(Axis::log("Training images a class", low, high), Axis::share("Accuracy", floor, 1.0));
    let mut legend = Vec::new();
    for ((name, points), class) in curve.series.iter().zip(SERIES.iter().cycle()) {
        plot = plot.line(class, points.iter().map(|p| (p.n_per_class, p.accuracy.value)));
        for point in points {
            plot = plot.whisker(class, point.n_per_class, point.accuracy.interval.low, point.accuracy.interval.high);
        }
        let title =
            |p: &super::CurvePoint| format!("{} images a class: {}", number(p.n_per_class), percent(p.accuracy.value));
        plot = plot.dots(class, points.iter().map(|p| (p.n_per_class, p.accuracy.value, 3.5, title(p))));
        legend.push((*class, name.as_str()));
    }
    let caption = "Accuracy over the number of training images, with 95 % intervals";
    let words = if curve.words.is_empty() { String::new() } else { p(&curve.words) };
    section("curve", "Would more images help?", &(words + &plots(&[figure(caption, &plot.svg(caption), &legend)])))
}

/// The regularisation path and the loss of a linear head.
pub(super) fn training(document: &Document) -> String {
    let linear = document.heads.iter().filter(|head| !head.record.path.is_empty() || head.record.loss_curve.len() > 1);
    let body: String = linear.map(|head| fitted(head, document.heads.len() > 1)).collect();
    section("training", "How it was fitted", &body)
}

fn fitted(head: &HeadFigures, is_one_of_several: bool) -> String {
    let record = &head.record;
    let mut figures = Vec::new();
    if record.path.len() > 1 {
        let (low, high) = (record.path[0].c, record.path[record.path.len() - 1].c);
        let least = record.path.iter().map(|p| p.accuracy).fold(1.0, f64::min);
        let floor = ((least * 10.0).floor() / 10.0).clamp(0.0, 0.9);
        let x = Axis::log("Inverse strength C: weaker penalty to the right", low, high);
        let title = |p: &crate::head::PathPoint| format!("C = {}: {}", number(p.c), percent(p.accuracy));
        let mut plot = Plot::new(x, Axis::share("Held-out accuracy", floor, 1.0))
            .line("s0", record.path.iter().map(|p| (p.c, p.accuracy)))
            .dots("s0", record.path.iter().map(|p| (p.c, p.accuracy, 3.0, title(p))));
        let mut legend = vec![("s0", "accuracy on rows that were held out")];
        if let Some(chosen) = record.c.and_then(|c| record.path.iter().find(|p| (p.c / c - 1.0).abs() < 1e-6)) {
            plot = plot.mark("s1", chosen.c, chosen.accuracy);
            legend.push(("s1", "chosen"));
        }
        let caption = "Strength of the penalty";
        figures.push(figure(caption, &plot.svg(caption), &legend));
    }
    if record.loss_curve.len() > 1 {
        let losses = &record.loss_curve;
        let every = losses.len().div_ceil(MAX_POINTS);
        let positive = losses.iter().copied().filter(|l| *l > 0.0);
        let (low, high) = positive.fold((f64::MAX, 0.0), |(low, high): (f64, f64), l| (low.min(l), high.max(l)));
        let x = Axis::linear("Iteration", 0.0, (losses.len() - 1) as f64, number);
        let y = match low > 0.0 && high / low > 30.0 {
            true => Axis::log("Objective", low, high),
            false => Axis::linear("Objective", 0.0, high, number),
        };
        let last = losses.len() - 1;
        let points = losses.iter().enumerate().filter(|(i, _)| i % every == 0 || *i == last);
        let plot = Plot::new(x, y).line("s0", points.map(|(i, loss)| (i as f64, *loss)));
        let caption = "Loss of the final fit";
        figures.push(figure(caption, &plot.svg(caption), &[]));
    }
    let heading = match is_one_of_several {
        true => format!("<h3>{} head</h3>\n", escape(record.kind.label())),
        false => String::new(),
    };
    let ended = match record.converged {
        true => format!("The fit met its tolerance after {} iterations.", record.n_iter),
        false => format!("The fit was ended after {} iterations, before it met its tolerance.", record.n_iter),
    };
    heading + &plots(&figures) + &note(&ended)
}
