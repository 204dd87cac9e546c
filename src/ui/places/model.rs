//! The Model place: what is installed, what the chosen one is made of, and where models run.

mod cards;
mod compare;
mod depth;
mod draft;
mod inspect;
mod preprocess;
mod provider;
pub(super) mod study;

use eframe::egui::{Align, Layout, Margin, ScrollArea, Ui, UiBuilder, pos2, vec2};

use crate::app::{Action, Command, Place, Purpose, RuntimeState};
use crate::jobs::{Inspected, ModelCard, ModelChoice};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::icons;
use crate::ui::places::page::{MAX_WIDTH, Split, can_edit, page};
use crate::ui::theme::space;
use crate::ui::widgets::{self, Banner, Button, Card, Meaning, NoticeEvent};

/// The list stands beside what is known of the selected model.
const SPLIT: Split = Split { side_pt: 320.0, least_pt: 380.0, side_first: true };

/// What is shown of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum View {
    #[default]
    About,
    Layers,
    Compare,
}

/// What this place remembers from frame to frame.
#[derive(Debug, Default)]
pub struct ModelPlace {
    view: View,
    depth: depth::DepthCard,
    compare: compare::CompareCard,
    /// Name of the card that is looked at; the one in use without.
    selected: Option<String>,
    editing: Option<preprocess::Editing>,
    layers: inspect::LayerChoice,
    import_path: String,
    scroll_to_detail: bool,
}

impl ModelPlace {
    /// Draws the place.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let wanted = self.wanted(cx);
        self.look_into(cx, &wanted);
        let width = ui.available_width() - 2.0 * space::XL;
        if SPLIT.fits(width.min(MAX_WIDTH)) {
            self.side_by_side(cx, ui, &wanted);
        } else {
            page(ui, "model", MAX_WIDTH, |ui| {
                header(cx, ui);
                self.list(cx, ui);
                ui.add_space(space::M);
                self.detail(cx, ui, &wanted);
            });
        }
    }

    /// List and details, each scrolled by itself.
    fn side_by_side(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, wanted: &ModelChoice) {
        let room = ui.available_rect_before_wrap();
        let width = (room.width() - 2.0 * space::XL).min(MAX_WIDTH);
        let left = room.left() + ((room.width() - width) / 2.0).floor();
        let column =
            eframe::egui::Rect::from_min_max(pos2(left, room.top() + space::XL), pos2(left + width, room.bottom()));
        let builder = UiBuilder::new().max_rect(column).layout(Layout::top_down(Align::Min));
        ui.scope_builder(builder, |ui| {
            header(cx, ui);
            ui.add_space(space::XS);
            let rest = ui.available_rect_before_wrap();
            let area = |from: f32, to: f32| eframe::egui::Rect::from_x_y_ranges(from..=to, rest.y_range());
            // Scroll bars lie beside the contents, in the gaps.
            let gap = space::L;
            let side = area(rest.left() - space::XXS, rest.left() + SPLIT.side_pt + gap);
            let main = area(side.right(), rest.right() + gap);
            for (id, rect, is_list) in [("models", side, true), ("model", main, false)] {
                ui.scope_builder(UiBuilder::new().max_rect(rect).id_salt(id), |ui| {
                    ScrollArea::vertical().id_salt(id).auto_shrink(false).show(ui, |ui| {
                        let margin = Margin { left: 2, right: gap as i8, top: 2, bottom: space::XL as i8 };
                        eframe::egui::Frame::new().inner_margin(margin).show(ui, |ui| {
                            ui.spacing_mut().item_spacing.y = space::M;
                            if is_list { self.list(cx, ui) } else { self.detail(cx, ui, wanted) }
                        });
                    });
                });
            }
        });
        self.scroll_to_detail = false;
    }

    /// What is to be looked into: the project's choice, or another model as it is by itself.
    fn wanted(&self, cx: &Cx<'_>) -> ModelChoice {
        let own = cx.state.model_choice();
        match self.selected_card(cx) {
            Some(card) if !cards::is_meant(card, own.model.as_deref()) => {
                ModelChoice { model: cards::setting(card), ..ModelChoice::default() }
            }
            _ => own,
        }
    }

    /// The card that is looked at.
    fn selected_card<'a>(&self, cx: &Cx<'a>) -> Option<&'a ModelCard> {
        let cards = cx.state.models.cards.as_ref()?;
        let by_name = self.selected.as_ref().and_then(|name| cards.iter().find(|c| c.installed.name == *name));
        let own = cx.state.model_choice().model;
        by_name.or_else(|| cards.iter().find(|c| cards::is_meant(c, own.as_deref())))
    }

    /// Asks for details where they are other ones than those at hand.
    fn look_into(&mut self, cx: &mut Cx<'_>, wanted: &ModelChoice) {
        let models = &cx.state.models;
        let is_unusable = self.selected_card(cx).is_some_and(|card| card.manifest.is_err());
        let is_ready = matches!(cx.state.runtime, RuntimeState::Ready { .. });
        let is_known = models.inspected.as_ref().is_some_and(|i| i.choice == *wanted);
        let has_failed = models.inspect_error.as_ref().is_some_and(|(of, _)| of == wanted);
        let is_asked = cx.state.is_busy_with(|p| matches!(p, Purpose::Inspect(choice) if choice == wanted));
        if models.cards.is_some() && !is_unusable && is_ready && !is_known && !has_failed && !is_asked {
            cx.send(Command::Inspect(wanted.clone()));
        }
    }

    fn list(&mut self, cx: &mut Cx<'_>, ui: &mut Ui) {
        let own = cx.state.model_choice().model;
        let in_use = cx.state.project.as_ref().map(|_| own.as_deref());
        let selected = self.selected_card(cx).map(|c| c.installed.name.as_str());
        if let Some(idx) = cards::ui(cx, ui, selected, in_use)
            && let Some(card) = cx.state.models.cards.as_ref().and_then(|cards| cards.get(idx))
        {
            if self.selected.as_ref() != Some(&card.installed.name) {
                self.layers.reset();
            }
            self.selected = Some(card.installed.name.clone());
            self.scroll_to_detail = true;
        }
        cards::import(cx, ui, &mut self.import_path);
    }

    fn detail(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, wanted: &ModelChoice) {
        let Some(cards) = &cx.state.models.cards else {
            let Some(why) = &cx.state.models.list_error else { return skeleton(ui) };
            let banner = Banner::new(Meaning::Warning, "The installed models were not listed").text(why);
            if banner.actions(&["Try again"]).show(ui) == NoticeEvent::Action(0) {
                // Going there looks for them again.
                cx.send(Command::Go(Place::Model));
            }
            return;
        };
        let card = self.selected_card(cx);
        let views = [(View::About, "About"), (View::Layers, "Layers"), (View::Compare, "Compare models")];
        widgets::segmented(ui, "What is shown of the model", &mut self.view, &views);
        if self.view == View::Compare {
            return self.compare.ui(cx, ui);
        }
        self.title(cx, ui, card, wanted);
        if let Some(Err(reason)) = card.map(|card| &card.manifest) {
            Card::new().title("Why it cannot be used").show(ui, |ui| {
                widgets::selectable(ui, &format::sentence(reason));
            });
            return;
        }
        let models = &cx.state.models;
        let error = models.inspect_error.as_ref().filter(|(of, _)| of == wanted).map(|(_, text)| text.as_str());
        if let Some(text) = error {
            let banner = Banner::new(Meaning::Negative, "This model could not be looked into").text(text);
            if banner.actions(&["Try again"]).show(ui) == NoticeEvent::Action(0) {
                cx.send(Command::Inspect(wanted.clone()));
            }
        }
        match &models.inspected {
            Some(inspected) if inspected.choice.model == wanted.model => self.inspected(cx, ui, inspected, wanted),
            _ if error.is_some() => {
                // A layer or preprocessing that does not work is taken back here.
                let is_own = wanted.layer.is_some() || wanted.preprocess.is_some();
                if is_own && ui.add(Button::new("Back to the model’s own layer and preprocessing")).clicked() {
                    cx.send(Command::ChooseLayer(None));
                    cx.send(Command::SetPreprocess(None));
                }
                provider::ui(cx, ui);
            }
            _ if card.is_none() && !cards.is_empty() => {
                widgets::weak(ui, "Choose a model in the list.");
            }
            _ => skeleton(ui),
        }
    }

    /// Name, what can be done with it, and what that costs.
    fn title(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, card: Option<&ModelCard>, wanted: &ModelChoice) {
        let Some(card) = card else {
            if let Some(name) = &wanted.model {
                let title = format!("The project’s model “{name}” is not installed here");
                Banner::new(Meaning::Warning, &title).text("Import it again, or choose another one.").show(ui);
            }
            return;
        };
        let state = cx.state;
        let own = state.model_choice().model;
        let in_use = state.project.is_some() && cards::is_meant(card, own.as_deref());
        let availability = match &card.manifest {
            Err(_) => Err("The model cannot be used"),
            Ok(_) => can_edit(state),
        };
        let response = widgets::row_ends(
            ui,
            |ui| {
                widgets::heading(ui, cards::title(card));
            },
            |ui| {
                if in_use {
                    widgets::badge_icon(ui, icons::CHECK, "In use", Meaning::Accent)
                } else {
                    let response = ui.add(Button::new("Use this model").primary().availability(availability));
                    if response.clicked() {
                        cx.send(Command::ChooseModel(cards::setting(card)));
                    }
                    response
                }
            },
        );
        if std::mem::take(&mut self.scroll_to_detail) {
            response.scroll_to_me(Some(Align::Min));
        }
        if in_use {
            return;
        }
        let text = match (availability, &state.project) {
            (Err(reason), _) => format!("{reason}, so that it can be looked at but not used."),
            (Ok(()), Some(project)) if project.counts.n_images > 0 => format!(
                "Using it embeds {} again, and the heads follow. Undo takes it back at once.",
                format::images(project.counts.n_images)
            ),
            _ => String::new(),
        };
        if !text.is_empty() {
            widgets::weak(ui, &text);
        }
    }

    fn inspected(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, inspected: &Inspected, wanted: &ModelChoice) {
        let own = cx.state.model_choice();
        let in_use = own.model == wanted.model;
        let is_fresh = inspected.choice == *wanted;
        let has_failed = cx.state.models.inspect_error.as_ref().is_some_and(|(of, _)| of == wanted);
        let editable = match can_edit(cx.state) {
            Ok(()) if !in_use => Err("This model is not in use"),
            Ok(()) if !is_fresh && !has_failed => Err("The last change is being applied"),
            other => other,
        };
        if self.view == View::Layers {
            self.layers.ui(cx, ui, inspected, editable);
            if in_use {
                self.depth.ui(cx, ui, &inspected.layer, editable);
            } else {
                widgets::weak(ui, "Use this model to see how good its layers are on your images.");
            }
            return;
        }
        widgets::columns(ui, &[1.0, 1.0], |ui, column| match column {
            0 => inspect::about(ui, inspected),
            _ => provider::ui(cx, ui),
        });
        let has_own = in_use && own.preprocess.is_some();
        preprocess::ui(cx, ui, inspected, &mut self.editing, editable, has_own);
    }
}

fn header(cx: &mut Cx<'_>, ui: &mut Ui) {
    let state = "A pretrained model turns images into features; your classes are learned from those";
    let text = if ui.available_width() < 640.0 { "" } else { state };
    widgets::place_header(ui, "Model", text, |ui| {
        let action = Action::ImportModel;
        if ui.add(Button::new(action.label()).icon(icons::PLUS).tip(action.tooltip())).clicked() {
            cx.act(action);
        }
    });
}

fn skeleton(ui: &mut Ui) {
    let width = ui.available_width();
    widgets::skeleton(ui, vec2(width * 0.4, 24.0));
    for tall in [180.0, 260.0] {
        widgets::skeleton(ui, vec2(width, tall));
    }
}
