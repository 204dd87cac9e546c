//! Preprocessing as a form in which every value says where it comes from.

use eframe::egui::{Align, Color32, Layout, Response, RichText, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, vec2};

use super::draft::{Draft, Field, Mode, Problems, sentence};
use crate::app::Command;
use crate::backbone::manifest::{Manifest, Origin};
use crate::image::spec::{ChannelOrder, CropOffset, Filter, TensorLayout};
use crate::jobs::Inspected;
use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::theme::{Weight, font, height, radius, size, space, tokens};
use crate::ui::widgets::{self, Button, Card, FieldEvent, Meaning};

/// Widths of the name and of the origin beside it, in points.
const NAME: f32 = 112.0;
const ORIGIN: f32 = 92.0;
/// Narrower than this the controls go below the name.
const ROOMY: f32 = 500.0;
/// Widths of fields for a size and for a decimal number, in points.
const PX_FIELD: f32 = 58.0;
const NUMBER_FIELD: f32 = 74.0;

/// What is being edited, and of which model.
#[derive(Debug)]
pub struct Editing {
    of: crate::jobs::ModelChoice,
    id: String,
    draft: Draft,
}

/// Shows the form. `editable` says why it cannot be applied, if it cannot; `has_own` whether the user's own
/// preprocessing is in use.
pub fn ui(
    cx: &mut Cx<'_>,
    ui: &mut Ui,
    inspected: &Inspected,
    editing: &mut Option<Editing>,
    editable: Result<(), &'static str>,
    has_own: bool,
) {
    let manifest = &*inspected.manifest;
    if editing.as_ref().is_none_or(|e| e.of != inspected.choice || e.id != manifest.id) {
        let draft = Draft::of(&manifest.preprocess.spec);
        *editing = Some(Editing { of: inspected.choice.clone(), id: manifest.id.clone(), draft });
    }
    let Some(Editing { draft, .. }) = editing else { return };
    Card::new().title("Preprocessing").note("What happens to an image before the model sees it").show(ui, |ui| {
        let checked = draft.spec(&manifest.input);
        let problems = checked.as_ref().err().cloned().unwrap_or_default();
        guesses(ui, manifest);
        let mut form = Form { manifest, changed: checked.as_ref().ok(), problems: &problems };
        widgets::stack(ui, space::S, |ui| rows(ui, &mut form, draft));
        ui.add_space(space::XS);
        match &checked {
            Ok(spec) => widgets::well(ui, |ui| {
                ui.take_available_width();
                widgets::small(ui, &sentence(spec));
            }),
            Err(_) => widgets::well(ui, |ui| {
                ui.take_available_width();
                let t = tokens(ui);
                let text = RichText::new("Mend what is marked, and the steps are put into words here.");
                ui.label(text.font(font(size::SMALL, Weight::Regular)).color(t.text_weak));
            }),
        }
        ui.add_space(space::XS);
        let is_changed = *draft != Draft::of(&manifest.preprocess.spec);
        let apply = match (editable, is_changed, checked.is_ok()) {
            (Err(reason), ..) => Err(reason),
            (_, false, _) => Err("Nothing has been changed"),
            (_, _, false) => Err("A value is not usable"),
            _ => Ok(()),
        };
        ui.horizontal_wrapped(|ui| {
            let button = Button::new("Apply").label("Apply preprocessing").primary().availability(apply);
            if let (true, Ok(spec)) = (ui.add(button).clicked(), &checked) {
                cx.send(Command::SetPreprocess(Some(spec.clone())));
            }
            if is_changed && ui.add(Button::new("Undo changes").quiet()).clicked() {
                *draft = Draft::of(&manifest.preprocess.spec);
            }
            if has_own {
                let back = Button::new("Back to the model’s").icon(icons::ARROW_COUNTER_CLOCKWISE).quiet();
                if ui.add(back.availability(editable)).clicked() {
                    cx.send(Command::SetPreprocess(None));
                }
            }
        });
        match editable {
            Ok(()) => widgets::caption(ui, "Applying embeds the images again; heads follow by themselves."),
            Err(reason) => widgets::caption(ui, &format!("{reason}, so that this can be looked at but not applied.")),
        };
    });
}

/// How much of it is guesswork.
fn guesses(ui: &mut Ui, manifest: &Manifest) {
    let origins = &manifest.preprocess.origins;
    let n = origins.iter().filter(|(_, o)| matches!(o, Origin::Guess { .. })).count();
    if n > 0 {
        let text = format!(
            "{n} of {} values are guesses, because the model’s files are silent. If accuracy is poor, compare them with the \
             model’s own page.",
            origins.len()
        );
        widgets::caption(ui, &text);
    }
}

fn rows(ui: &mut Ui, form: &mut Form<'_>, draft: &mut Draft) {
    form.row(ui, Field::Resize, |ui, bad| {
        let modes = [
            (Mode::ShortestSide, "Shorter side"),
            (Mode::Squash, "Squash"),
            (Mode::Border, "Fit and pad"),
            (Mode::None, "Leave as it is"),
        ];
        widgets::select(ui, "Resize mode", &mut draft.mode, &modes);
        match draft.mode {
            Mode::None => {}
            Mode::ShortestSide => {
                number(ui, "Resize shorter side", &mut draft.shortest_px, PX_FIELD, bad);
                widgets::weak(ui, "px");
            }
            Mode::Squash | Mode::Border => height_width(ui, "Resize", &mut draft.resize_px, bad),
        }
    });
    form.row(ui, Field::Filter, |ui, _| {
        let filters = [(Filter::Bilinear, "Bilinear"), (Filter::Bicubic, "Bicubic"), (Filter::Lanczos, "Lanczos")];
        widgets::segmented(ui, "Filter", &mut draft.filter, &filters);
    });
    form.row(ui, Field::Crop, |ui, bad| {
        widgets::toggle(ui, &mut draft.crops, "Keep the middle");
        if draft.crops {
            height_width(ui, "Crop", &mut draft.crop_px, bad);
            let offsets = [(CropOffset::Floor, "Round margins down"), (CropOffset::Round, "Round to nearest")];
            widgets::select(ui, "Odd margins", &mut draft.offset, &offsets);
        }
    });
    form.row(ui, Field::PadRgb, |ui, bad| {
        triple(ui, "Padding", &mut draft.pad_rgb, PX_FIELD, bad);
        swatch(ui, &draft.pad_rgb);
    });
    form.row(ui, Field::Rescale, |ui, bad| {
        number(ui, "Scale values by", &mut draft.rescale, NUMBER_FIELD, bad);
        widgets::weak(ui, "from 0 to 255");
    });
    form.row(ui, Field::Mean, |ui, bad| triple(ui, "Mean", &mut draft.mean, NUMBER_FIELD, bad));
    form.row(ui, Field::Std, |ui, bad| triple(ui, "Standard deviation", &mut draft.std, NUMBER_FIELD, bad));
    form.row(ui, Field::Channels, |ui, _| {
        let orders = [(ChannelOrder::Rgb, "RGB"), (ChannelOrder::Bgr, "BGR")];
        widgets::segmented(ui, "Channel order", &mut draft.channels, &orders);
    });
    form.row(ui, Field::Layout, |ui, _| {
        let layouts = [(TensorLayout::Nchw, "NCHW"), (TensorLayout::Nhwc, "NHWC")];
        widgets::segmented(ui, "Tensor layout", &mut draft.layout, &layouts);
    });
}

/// What the rows need to know.
struct Form<'a> {
    manifest: &'a Manifest,
    /// What the fields say, where they make sense.
    changed: Option<&'a crate::image::spec::PreprocessSpec>,
    problems: &'a Problems,
}

impl Form<'_> {
    /// A row: name, origin, controls, and what is wrong with them.
    fn row(&mut self, ui: &mut Ui, field: Field, controls: impl FnOnce(&mut Ui, bool)) {
        let problem = self.problems.iter().find(|(f, _)| *f == field).map(|(_, text)| text.as_str());
        let is_changed = self.changed.is_some_and(|spec| !field.is_same(spec, &self.manifest.preprocess.spec));
        let origins = &self.manifest.preprocess.origins;
        let origin = origins.iter().find(|(name, _)| *name == field.key()).map(|(_, origin)| origin);
        let is_roomy = ui.available_width() >= ROOMY;
        let head = |ui: &mut Ui| {
            let cell = |ui: &mut Ui, width: f32, add: &dyn Fn(&mut Ui)| {
                let size = vec2(width, height::CONTROL);
                ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
                    ui.set_min_size(size);
                    add(ui);
                });
            };
            cell(ui, NAME, &|ui| drop(widgets::body(ui, field.label())));
            cell(ui, ORIGIN, &|ui| origin_badge(ui, field, origin, is_changed));
        };
        let body = |ui: &mut Ui| {
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = space::XS;
                ui.horizontal_wrapped(|ui| {
                    ui.spacing_mut().item_spacing = vec2(6.0, 6.0);
                    ui.set_min_height(height::CONTROL);
                    controls(ui, problem.is_some());
                });
                if let Some(problem) = problem {
                    let colour = tokens(ui).negative.text;
                    ui.label(RichText::new(problem).font(font(size::SMALL, Weight::Regular)).color(colour));
                }
            });
        };
        if is_roomy {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                head(ui);
                body(ui);
            });
        } else {
            widgets::stack(ui, 0.0, |ui| {
                ui.horizontal(head);
                body(ui);
            });
        }
    }
}

/// Where a value comes from: in a word, and in full as a tooltip and for screen readers.
fn origin_badge(ui: &mut Ui, field: Field, origin: Option<&Origin>, is_changed: bool) {
    let (word, meaning, full) = match origin {
        _ if is_changed => ("Not applied", Meaning::Accent, "changed here, and not applied yet".to_owned()),
        None => return,
        Some(origin) => {
            let (word, meaning) = match origin {
                Origin::File { .. } => ("From file", Meaning::Neutral),
                Origin::Graph => ("From graph", Meaning::Neutral),
                Origin::Guess { .. } => ("Guessed", Meaning::Warning),
                Origin::User => ("Set by you", Meaning::Accent),
            };
            (word, meaning, origin.to_string())
        }
    };
    let said = format!("{}: {full}", field.label());
    let response = widgets::badge(ui, word, meaning);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &said));
    response.on_hover_text(said);
}

/// A field for a number, `width_pt` wide, marked when it is `bad`.
fn number(ui: &mut Ui, label: &str, text: &mut String, width_pt: f32, bad: bool) -> FieldEvent {
    let size = vec2(width_pt, height::CONTROL);
    let shown = ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
        ui.set_width(width_pt);
        widgets::text_field(ui, label, text, "")
    });
    if bad {
        let ring = Stroke::new(1.5, tokens(ui).negative.solid);
        ui.painter().rect_stroke(shown.response.rect, radius::CONTROL, ring, StrokeKind::Inside);
    }
    shown.inner
}

fn height_width(ui: &mut Ui, of: &str, px: &mut [String; 2], bad: bool) {
    let [height, width] = px;
    number(ui, &format!("{of} height"), height, PX_FIELD, bad);
    widgets::weak(ui, "×");
    number(ui, &format!("{of} width"), width, PX_FIELD, bad);
    widgets::weak(ui, "px");
}

/// Three values, one a channel, each with the colour that it is of.
fn triple(ui: &mut Ui, of: &str, values: &mut [String; 3], width_pt: f32, bad: bool) {
    for (channel, value) in ["red", "green", "blue"].into_iter().zip(values) {
        number(ui, &format!("{of} of {channel}"), value, width_pt, bad);
    }
    widgets::weak(ui, "R, G, B");
}

fn swatch(ui: &mut Ui, rgb: &[String; 3]) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(20.0, height::CONTROL), Sense::hover());
    let [r, g, b] = [0, 1, 2].map(|i| rgb[i].trim().parse::<u8>().ok());
    if let (Some(r), Some(g), Some(b)) = (r, g, b) {
        let square = eframe::egui::Rect::from_center_size(rect.center(), vec2(18.0, 18.0));
        let line = Stroke::new(1.0, tokens(ui).border_control);
        ui.painter().rect(square, radius::SMALL, Color32::from_rgb(r, g, b), line, StrokeKind::Inside);
    }
    response
}
