//! Charts: `egui_plot` with our lines, labels and manners.

use eframe::egui::{Color32, Rangef, Response, RichText, Role, Ui, Vec2, WidgetInfo, vec2};
use egui_plot::{AxisHints, Plot, PlotResponse, PlotUi, uniform_grid_spacer};

use super::text;
use crate::ui::theme::{Weight, font, size, space, tokens};

/// An axis of a [`chart`].
#[derive(Clone, Copy, Debug)]
pub struct ChartAxis<'a> {
    /// What it measures, with its unit; may be empty.
    pub label: &'a str,
    /// Ends that are always in view; what lies beyond them widens the axis.
    pub bounds: Option<(f64, f64)>,
    /// Distance of its ticks; by itself if there is none.
    pub step: Option<f64>,
    /// How its ticks read.
    pub format: fn(f64) -> String,
    /// At least so thick, in points: charts under one another with as much room at the left share their lines.
    pub least_pt: f32,
}

impl<'a> ChartAxis<'a> {
    /// Plain numbers.
    pub fn new(label: &'a str) -> Self {
        Self { label, bounds: None, step: None, format: |value| format!("{value}"), least_pt: 0.0 }
    }

    /// From 0 to 1, read in per cent.
    pub fn fraction(label: &'a str) -> Self {
        let format = |value| format!("{:.0} %", value * 100.0);
        Self { label, bounds: Some((0.0, 1.0)), step: Some(0.25), format, least_pt: 0.0 }
    }

    /// Ends that are always in view.
    pub fn bounds(mut self, from: f64, to: f64) -> Self {
        self.bounds = Some((from, to));
        self
    }

    /// Distance of its ticks.
    pub fn step(mut self, step: f64) -> Self {
        self.step = Some(step);
        self
    }

    /// How its ticks read.
    pub fn format(mut self, format: fn(f64) -> String) -> Self {
        self.format = format;
        self
    }

    /// At least so thick, in points.
    pub fn least(mut self, least_pt: f32) -> Self {
        self.least_pt = least_pt;
        self
    }

    fn hints(self, ui: &Ui, hints: AxisHints<'a>) -> AxisHints<'a> {
        let t = tokens(ui);
        let format = self.format;
        hints
            .min_thickness(self.least_pt)
            .label(RichText::new(self.label).font(font(size::SMALL, Weight::Regular)).color(t.text_weak))
            .tick_label_color(t.text_weak)
            .tick_label_font(font(size::CAPTION, Weight::Regular))
            .formatter(move |mark, _| format(mark.value))
    }
}

/// A chart over all of the width, `height_pt` high; `add` draws its lines and points. It neither zooms nor scrolls: the
/// page under it does. `label` is its accessible name.
pub fn chart<'a, R>(
    ui: &mut Ui,
    label: &'a str,
    height_pt: f32,
    (x, y): (ChartAxis<'a>, ChartAxis<'a>),
    add: impl FnOnce(&mut PlotUi<'a>) -> R + 'a,
) -> PlotResponse<R> {
    let t = tokens(ui);
    let mut plot = Plot::new(label)
        .height(height_pt)
        .show_background(false)
        .grid_color(t.border)
        .grid_fade(0.0)
        .grid_spacing(Rangef::new(24.0, 300.0))
        .cursor_color(t.border_control)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .set_margin_fraction(vec2(0.02, 0.04))
        .custom_x_axes(vec![x.hints(ui, AxisHints::new_x().label_spacing(Rangef::new(36.0, 40.0)))])
        .custom_y_axes(vec![y.hints(ui, AxisHints::new_y().label_spacing(Rangef::new(20.0, 24.0)))]);
    if let Some(step) = x.step {
        plot = plot.x_grid_spacer(uniform_grid_spacer(move |_| [step; 3]));
    }
    if let Some(step) = y.step {
        plot = plot.y_grid_spacer(uniform_grid_spacer(move |_| [step; 3]));
    }
    if let Some((from, to)) = x.bounds {
        plot = plot.include_x(from).include_x(to);
    }
    if let Some((from, to)) = y.bounds {
        plot = plot.include_y(from).include_y(to);
    }
    let shown = ui.scope(|ui| plot.show(ui, add)).inner;
    // The room for ticks is known once they have been drawn: a chart of another size needs another frame.
    let (id, size) = (shown.response.id.with("size"), shown.response.rect.size());
    if ui.data(|d| d.get_temp::<Vec2>(id)) != Some(size) {
        ui.data_mut(|d| d.insert_temp(id, size));
        ui.ctx().request_repaint();
    }
    shown.response.widget_info(|| WidgetInfo::labeled(Role::Image, true, label));
    shown
}

/// What the colours of a chart mean: names with their colours, side by side.
pub fn legend(ui: &mut Ui, names: &[(&str, Color32)]) -> Response {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(space::XS, space::XS);
        ui.spacing_mut().interact_size.y = 18.0;
        for (name, colour) in names {
            super::class_dot(ui, *colour);
            text::caption(ui, name);
            ui.add_space(space::S);
        }
    })
    .response
}
