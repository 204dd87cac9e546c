//! Bars: probabilities, intervals, progress.

use std::f32::consts::TAU;
use std::time::Duration;

use eframe::egui::{
    Align2, Color32, CornerRadius, Pos2, Rect, Response, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2,
};

use super::paint::{cut_line, galley_in, line};
use crate::ui::theme::{Weight, size, space, tokens};

/// Time between two frames of something that moves by itself: smooth enough, and cheap beside work on all cores.
const FRAME: Duration = Duration::from_millis(33);

fn described(role: Role, label: &str, value: f64, text: String) -> WidgetInfo {
    let mut info = WidgetInfo::labeled(role, true, label);
    info.value = Some(value);
    info.current_text_value = Some(text);
    info
}

/// `0.934` as `93.4 %`.
pub fn percent(fraction: f32) -> String {
    format!("{:.1} %", f64::from(fraction) * 100.0)
}

/// A row with a label, a bar from 0 to 1 and the value in per cent. `strong` marks the likeliest.
pub fn probability_bar(ui: &mut Ui, label: &str, colour: Color32, probability: f32, strong: bool) -> Response {
    let t = tokens(ui);
    let width = ui.available_width();
    let (rect, response) = ui.allocate_exact_size(vec2(width, 24.0), Sense::hover());
    let value = percent(probability);
    response.widget_info(|| described(Role::Meter, label, f64::from(probability), value.clone()));
    if !ui.is_rect_visible(rect) {
        return response;
    }
    let y = rect.center().y;
    let (weight, text) = if strong { (Weight::SemiBold, t.text_strong) } else { (Weight::Regular, t.text) };
    let (label_width, value_width) = ((width * 0.36).clamp(60.0, 200.0), 56.0);
    let name = cut_line(ui, label, size::BODY, weight, text, label_width - space::S);
    galley_in(ui, Align2::LEFT_CENTER, pos2(rect.left(), y), name, text);
    let number = line(ui, &value, size::BODY, weight, text);
    galley_in(ui, Align2::RIGHT_CENTER, pos2(rect.right(), y), number, text);
    let track = Rect::from_x_y_ranges(
        rect.left() + label_width..=(rect.right() - value_width - space::S).max(rect.left() + label_width),
        y - 4.0..=y + 4.0,
    );
    filled_bar(ui, track, colour, probability);
    response
}

/// A bar in a rectangle, filled up to `fraction`; what is not nothing shows.
pub fn filled_bar(ui: &Ui, track: Rect, colour: Color32, fraction: f32) {
    let t = tokens(ui);
    let round = CornerRadius::same((track.height() / 2.0) as u8);
    ui.painter().rect_filled(track, round, t.sunken);
    if fraction > 0.0 {
        let least = track.height().min(track.width());
        let width = (track.width() * fraction.clamp(0.0, 1.0)).max(least);
        ui.painter().rect_filled(Rect::from_min_size(track.min, vec2(width, track.height())), round, colour);
    }
}

/// What an [`interval_bar`] shows, all on its axis from `axis.0` to `axis.1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub value: f32,
    /// Lower end of the 95 % interval.
    pub low: f32,
    /// Upper end of the 95 % interval.
    pub high: f32,
    /// Ends of the axis, normally `(0.0, 1.0)`.
    pub axis: (f32, f32),
}

impl Interval {
    /// On an axis from 0 to 1.
    pub fn new(value: f32, low: f32, high: f32) -> Self {
        Self { value, low, high, axis: (0.0, 1.0) }
    }

    /// `93.4 % (91.0 to 95.2)`.
    pub fn text(&self) -> String {
        let per_cent = |x: f32| f64::from(x) * 100.0;
        format!("{} ({:.1} to {:.1})", percent(self.value), per_cent(self.low), per_cent(self.high))
    }
}

/// A point with its 95 % interval as a whisker, over all of the available width.
pub fn interval_bar(ui: &mut Ui, label: &str, interval: Interval, colour: Color32) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 20.0), Sense::hover());
    response.widget_info(|| described(Role::Meter, label, f64::from(interval.value), interval.text()));
    interval_at(ui, rect, interval, colour);
    response
}

/// A row with a label, an [`interval_bar`] and its text, to stand above and below its like.
pub fn interval_row(ui: &mut Ui, label: &str, interval: Interval, colour: Color32, strong: bool) -> Response {
    let t = tokens(ui);
    let width = ui.available_width();
    let (rect, response) = ui.allocate_exact_size(vec2(width, 24.0), Sense::hover());
    let said = interval.text();
    response.widget_info(|| described(Role::Meter, label, f64::from(interval.value), said.clone()));
    let y = rect.center().y;
    let (weight, text) = if strong { (Weight::SemiBold, t.text_strong) } else { (Weight::Regular, t.text) };
    let range = line(ui, said.trim_start_matches(&percent(interval.value)), size::SMALL, Weight::Regular, t.text_weak);
    let right = galley_in(ui, Align2::RIGHT_CENTER, pos2(rect.right(), y), range, t.text_weak).left();
    let number = line(ui, &percent(interval.value), size::BODY, weight, text);
    galley_in(ui, Align2::RIGHT_CENTER, pos2(right, y), number, text);
    let (label_width, value_width) = ((width * 0.3).clamp(60.0, 180.0), 150.0);
    let name = cut_line(ui, label, size::BODY, weight, text, label_width - space::S);
    galley_in(ui, Align2::LEFT_CENTER, pos2(rect.left(), y), name, text);
    let axis = rect.left() + label_width..=(rect.right() - value_width - space::S).max(rect.left() + label_width);
    interval_at(ui, Rect::from_x_y_ranges(axis, rect.y_range()), interval, colour);
    response
}

/// As [`interval_bar`], painted into a rectangle.
pub fn interval_at(ui: &Ui, rect: Rect, interval: Interval, colour: Color32) {
    let t = tokens(ui);
    let y = rect.center().y;
    let (from, to) = interval.axis;
    let x = |value: f32| {
        let along = ((value - from) / (to - from).max(f32::EPSILON)).clamp(0.0, 1.0);
        rect.left() + 3.5 + along * (rect.width() - 7.0).max(0.0)
    };
    let painter = ui.painter();
    painter.hline(x(from)..=x(to), y, Stroke::new(1.0, t.border_control));
    for tick in 0..=4 {
        let at = x(from + (to - from) * tick as f32 / 4.0);
        painter.vline(at, y - 2.5..=y + 2.5, Stroke::new(1.0, t.border_control));
    }
    let band = Rect::from_x_y_ranges(x(interval.low)..=x(interval.high), y - 4.0..=y + 4.0);
    painter.rect_filled(band, CornerRadius::same(4), colour.gamma_multiply(0.4));
    painter.circle_filled(pos2(x(interval.value), y), 3.5, colour);
}

/// A thin bar of progress over all of the available width: a fraction from 0 to 1, or `None` for no telling.
pub fn progress_bar(ui: &mut Ui, label: &str, fraction: Option<f32>) -> Response {
    let t = tokens(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 4.0), Sense::hover());
    response.widget_info(|| match fraction {
        Some(done) => described(Role::ProgressIndicator, label, f64::from(done), percent(done)),
        None => WidgetInfo::labeled(Role::ProgressIndicator, true, label),
    });
    match fraction {
        Some(done) => filled_bar(ui, rect, t.accent.solid, done),
        None => {
            filled_bar(ui, rect, t.accent.solid, 0.0);
            let phase = (ui.input(|i| i.time) / 1.4).fract() as f32;
            let eased = phase * phase * (3.0 - 2.0 * phase);
            let width = rect.width() * 0.3;
            let left = rect.left() - width + eased * (rect.width() + width);
            let part = Rect::from_min_size(pos2(left, rect.top()), vec2(width, rect.height())).intersect(rect);
            ui.painter().rect_filled(part, CornerRadius::same(2), t.accent.solid);
            ui.ctx().request_repaint_after(FRAME);
        }
    }
    response
}

/// Something is going on.
pub fn spinner(ui: &mut Ui, label: &str, size_pt: f32) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(size_pt, size_pt), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, label));
    spinner_at(ui, rect.center(), size_pt / 2.0 - 1.5);
    response
}

/// A spinner painted around a point.
pub fn spinner_at(ui: &Ui, centre: Pos2, radius_pt: f32) {
    let t = tokens(ui);
    let start = (ui.input(|i| i.time) / 0.9).fract() as f32 * TAU;
    let arc = |from: f32, sweep: f32| -> Vec<Pos2> {
        (0..=24)
            .map(|i| {
                let angle = from + sweep * i as f32 / 24.0;
                centre + radius_pt * vec2(angle.cos(), angle.sin())
            })
            .collect()
    };
    ui.painter().circle_stroke(centre, radius_pt, Stroke::new(2.0, t.border));
    ui.painter().add(Shape::line(arc(start, TAU * 0.3), Stroke::new(2.0, t.accent.solid)));
    ui.ctx().request_repaint_after(FRAME);
}

/// Bars of a histogram or of counts, side by side, over the whole width. `values` are heights of at least 0.
pub fn spark_bars(ui: &mut Ui, label: &str, values: &[f32], colour: Color32, height_pt: f32) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height_pt), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, label));
    let highest = values.iter().copied().fold(0.0_f32, f32::max);
    if values.is_empty() || highest <= 0.0 {
        return response;
    }
    let step = rect.width() / values.len() as f32;
    let gap = (step * 0.2).min(3.0);
    for (i, value) in values.iter().enumerate() {
        let tall = rect.height() * (value / highest).clamp(0.0, 1.0);
        let left = rect.left() + step * i as f32;
        let bar = Rect::from_min_max(pos2(left, rect.bottom() - tall), pos2(left + step - gap, rect.bottom()));
        ui.painter().rect_filled(bar, CornerRadius { nw: 2, ne: 2, ..CornerRadius::ZERO }, colour);
    }
    response
}
