//! Plots as SVG.

use std::fmt::Write as _;

use super::page::escape;

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 22.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 46.0;

/// An axis: what it shows, from where to where, and what stands at it.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    label: String,
    low: f64,
    high: f64,
    is_log: bool,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Shares from `low` to `high`, in per cent.
    pub(super) fn share(label: &str, low: f64, high: f64) -> Self {
        Self::linear(label, low, high, |v| format!("{:.0}%", 100.0 * v))
    }

    /// Numbers from `low` to `high`.
    pub(super) fn linear(label: &str, low: f64, high: f64, text: impl Fn(f64) -> String) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        let step = nice_step((high - low) / 5.0);
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let ticks = (first..=last).map(|i| (i as f64 * step, text(i as f64 * step))).collect();
        Self { label: label.to_owned(), low, high, is_log: false, ticks }
    }

    /// Positive numbers by their logarithm, with a tick a decade.
    pub(super) fn log(label: &str, low: f64, high: f64) -> Self {
        let (low, high) = (low.max(1e-12), high.max(low.max(1e-12) * 1.01));
        let decades = (low.log10() - 1e-9).ceil() as i32..=(high.log10() + 1e-9).floor() as i32;
        let mut ticks: Vec<(f64, String)> = decades.map(|d| (10_f64.powi(d), number(10_f64.powi(d)))).collect();
        if ticks.len() < 2 {
            ticks = vec![(low, number(low)), (high, number(high))];
        }
        // Names of many decades would run into each other.
        let every = ticks.len().div_ceil(7);
        let ticks = ticks.into_iter().step_by(every).collect();
        Self { label: label.to_owned(), low, high, is_log: true, ticks }
    }

    /// Where a value lies, 0 to 1.
    fn at(&self, value: f64) -> f64 {
        let share = match self.is_log {
            true => (value.max(1e-12) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn nice_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-12).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(power)
}

/// `0.001`, `10`, `1e6`.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if !(1e-3..1e5).contains(&v) => format!("{value:.0e}"),
        v if v >= 10.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.1}").trim_end_matches(".0").to_owned(),
        _ => format!("{value:.4}").trim_end_matches('0').to_owned(),
    }
}

/// A plot that is being drawn.
#[derive(Debug)]
pub(super) struct Plot {
    x: Axis,
    y: Axis,
    body: String,
}

impl Plot {
    pub(super) fn new(x: Axis, y: Axis) -> Self {
        Self { x, y, body: String::new() }
    }

    fn px(&self, x: f64) -> f64 {
        LEFT + self.x.at(x) * (WIDTH - LEFT - RIGHT)
    }

    fn py(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.at(y) * (HEIGHT - TOP - BOTTOM)
    }

    /// A line through points.
    pub(super) fn line(mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let points: Vec<String> = points
            .into_iter()
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .map(|(x, y)| format!("{:.1},{:.1}", self.px(x), self.py(y)))
            .collect();
        if points.len() > 1 {
            writeln!(self.body, "<polyline class=\"line {class}\" points=\"{}\"/>", points.join(" ")).ok();
        }
        self
    }

    /// Dots of radius `r`, each with a word for whoever points at it.
    pub(super) fn dots(mut self, class: &str, points: impl IntoIterator<Item = (f64, f64, f64, String)>) -> Self {
        for (x, y, r, title) in points {
            let (x, y) = (self.px(x), self.py(y));
            writeln!(
                self.body,
                "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r:.1}\"><title>{}</title></circle>",
                escape(&title)
            )
            .ok();
        }
        self
    }

    /// A ring around a point.
    pub(super) fn mark(mut self, class: &str, x: f64, y: f64) -> Self {
        let (x, y) = (self.px(x), self.py(y));
        writeln!(self.body, "<circle class=\"mark {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\"/>").ok();
        self
    }

    /// A line from `low` to `high` at `x`.
    pub(super) fn whisker(mut self, class: &str, x: f64, low: f64, high: f64) -> Self {
        let (x, low, high) = (self.px(x), self.py(low), self.py(high));
        writeln!(
            self.body,
            "<line class=\"whisker {class}\" x1=\"{x:.1}\" y1=\"{low:.1}\" x2=\"{x:.1}\" y2=\"{high:.1}\"/>"
        )
        .ok();
        self
    }

    /// A bar from the lower edge to `y`; `weight` (0 to 1) is how strongly it is drawn.
    pub(super) fn bar(mut self, (from, to): (f64, f64), y: f64, weight: f64, title: &str) -> Self {
        let (left, right, top, bottom) = (self.px(from), self.px(to), self.py(y), self.py(self.y.low));
        writeln!(
            self.body,
            "<rect class=\"fill0\" fill-opacity=\"{weight:.2}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" \
             height=\"{:.1}\"><title>{}</title></rect>",
            (right - left).max(0.5),
            (bottom - top).max(0.0),
            escape(title)
        )
        .ok();
        self
    }

    /// The plot with its axes; `label` says what it shows to those who do not see it.
    pub(super) fn svg(self, label: &str) -> String {
        let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n", escape(label));
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (value, text) in &self.y.ticks {
            let y = self.py(*value);
            writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 7.0,
                y + 4.0,
                escape(text)
            )
            .ok();
        }
        for (value, text) in &self.x.ticks {
            let x = self.px(*value);
            writeln!(
                out,
                "<line class=\"axis\" x1=\"{x:.1}\" y1=\"{bottom}\" x2=\"{x:.1}\" y2=\"{:.1}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 4.0,
                bottom + 18.0,
                escape(text)
            )
            .ok();
        }
        let middle = (LEFT + right) / 2.0;
        writeln!(
            out,
            "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{bottom}\"/>\n\
             <text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(13 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 8.0,
            escape(&self.x.label),
            (TOP + bottom) / 2.0,
            escape(&self.y.label),
        )
        .ok();
        out.push_str(&self.body);
        out.push_str("</svg>\n");
        out
    }
}

/// A plot in a figure with what it shows.
pub(super) fn figure(caption: &str, svg: &str, legend: &[(&str, &str)]) -> String {
    let items: String =
        legend.iter().map(|(class, name)| format!("<li><i class=\"{class}\"></i>{}</li>", escape(name))).collect();
    let legend = if items.is_empty() { String::new() } else { format!("<ul class=\"legend\">{items}</ul>\n") };
    format!("<figure>\n<figcaption>{}</figcaption>\n{svg}{legend}</figure>\n", escape(caption))
}

/// An interval as a small bar between `low` and 1.
pub(super) fn interval_bar(value: f64, (from, to): (f64, f64), low: f64) -> String {
    let at = |v: f64| 100.0 * ((v - low) / (1.0 - low).max(1e-9)).clamp(0.0, 1.0);
    format!(
        "<svg class=\"bar\" viewBox=\"-2 0 104 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <line class=\"grid\" x1=\"0\" y1=\"5\" x2=\"100\" y2=\"5\"/>\
         <line class=\"line s0\" x1=\"{:.1}\" y1=\"5\" x2=\"{:.1}\" y2=\"5\"/>\
         <rect class=\"fill0\" x=\"{:.1}\" y=\"1\" width=\"2.4\" height=\"8\"/></svg>",
        at(from),
        at(to),
        at(value) - 1.2
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_ticks() {
        let texts = |axis: Axis| axis.ticks.into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(texts(Axis::share("", 0.0, 1.0)), ["0%", "20%", "40%", "60%", "80%", "100%"]);
        assert_eq!(texts(Axis::share("", 0.85, 1.0)), ["85%", "90%", "95%", "100%"]);
        assert_eq!(texts(Axis::log("", 1e-3, 1e2)), ["0.001", "0.01", "0.1", "1", "10", "100"]);
        assert_eq!(texts(Axis::linear("", 2.0, 2.0, number)).len(), 6, "a span of nothing is no division by nothing");
    }

    #[test]
    fn what_is_no_number_is_not_drawn() {
        let plot = Plot::new(Axis::share("x", 0.0, 1.0), Axis::share("y", 0.0, 1.0));
        let svg = plot.line("s0", [(0.0, 0.0), (f64::NAN, 0.5), (1.0, 1.0)]).svg("<label>");
        assert!(!svg.contains("NaN") && svg.contains("&lt;label&gt;"));
        assert_eq!(svg.matches("<polyline").count(), 1);
    }
}
