//! The window: what frames the places, and how they are connected with the application.
//!
//! A frame has two parts. [`Shell::logic`] takes in what happened: results of the workers, drops, keys, dialogs.
//! [`Shell::draw`] only reads the state; what the user wants is gathered as commands and done after it.

mod keys;
mod keys_next;
mod overlay;
mod rail;
mod status;
mod toasts;

pub(in crate::ui) use keys::columns_id;
pub(in crate::ui) use rail::icon_of;

use std::path::PathBuf;
use std::time::Duration;

use eframe::egui::{self, CentralPanel, Context, Frame, Panel, Ui};

use super::cx::{Cx, Thumbs};
use super::dialogs::{Dialogs, PathBox};
use super::palette::Palette;
use super::places::evaluate::EvaluatePlace;
use super::places::export::ExportPlace;
use super::places::images::ImagesPlace;
use super::places::model::ModelPlace;
use super::places::runtime::RuntimePage;
use super::places::start::StartPlace;
use super::places::train::TrainPlace;
use super::places::zero_shot::ZeroShotPlace;
use super::theme::{self, tokens};
use super::widgets::{Question, RAIL_WIDTH, RAIL_WIDTH_NARROW, confirm};
use crate::app::{Action, AppState, Command, DropInto, Place, Runner, RuntimeState, ScreenEffect};
use crate::jobs::Session;
use crate::store::settings::{AppSettings, ThemeChoice};

/// Time a frame may spend on taking in results.
const PUMP_BUDGET: Duration = Duration::from_millis(3);

/// Below this width in points the rail shows icons only.
const NARROW_WIDTH: f32 = 960.0;

/// The window's content.
pub struct Shell {
    runner: Runner,
    thumbs: Thumbs,
    start: StartPlace,
    model: ModelPlace,
    images: ImagesPlace,
    train: TrainPlace,
    evaluate: EvaluatePlace,
    zero_shot: ZeroShotPlace,
    export: ExportPlace,
    runtime: RuntimePage,
    palette: Palette,
    dialogs: Dialogs,
    path_box: PathBox,
    toasts: toasts::Toasts,
    shows_shortcuts: bool,
    /// A text field had the keyboard at the end of the last frame.
    was_typing: bool,
    /// What is done once changes that cannot be saved are given up.
    asks_discard: Option<Command>,
    /// The opening of a project that places remember things of.
    session: Option<Session>,
    out: Vec<Command>,
    theme: Option<ThemeChoice>,
    hover_is_shown: bool,
    title: String,
}

impl Shell {
    /// Sets up the look and starts the worker threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(ctx: &Context, settings: AppSettings) -> std::io::Result<Self> {
        theme::install(ctx);
        let waker = {
            let ctx = ctx.clone();
            std::sync::Arc::new(move || ctx.request_repaint())
        };
        Ok(Self {
            runner: Runner::new(settings, waker.clone())?,
            thumbs: Thumbs::new(waker)?,
            start: StartPlace::default(),
            model: ModelPlace::default(),
            images: ImagesPlace::default(),
            train: TrainPlace::default(),
            evaluate: EvaluatePlace::default(),
            zero_shot: ZeroShotPlace::default(),
            export: ExportPlace::default(),
            runtime: RuntimePage::default(),
            palette: Palette::default(),
            dialogs: Dialogs::new(ctx.clone()),
            path_box: PathBox::default(),
            toasts: toasts::Toasts::default(),
            shows_shortcuts: false,
            was_typing: false,
            asks_discard: None,
            session: None,
            out: Vec::new(),
            theme: None,
            hover_is_shown: false,
            title: String::new(),
        })
    }

    /// What the application knows.
    pub fn state(&self) -> &AppState {
        &self.runner.state
    }

    /// The application behind the screen, for tests and for the command line.
    pub fn runner_mut(&mut self) -> &mut Runner {
        &mut self.runner
    }

    /// Asks for a command, as if the user had given it.
    pub fn dispatch(&mut self, command: Command) {
        self.runner.dispatch(command);
    }

    /// Takes in what happened since the last frame.
    pub fn logic(&mut self, ctx: &Context) {
        if self.runner.pump(PUMP_BUDGET) {
            ctx.request_repaint();
        }
        self.take_drops(ctx);
        let mut commands = Vec::new();
        self.dialogs.take(&mut commands);
        // What lies over everything else has the keys to itself.
        let is_free = ctx.memory(|m| m.top_modal_layer().is_none());
        if is_free && !self.path_box.is_open() && !self.palette.is_open() {
            keys::commands(ctx, self.state(), self.was_typing, &mut commands);
        }
        for command in commands {
            self.runner.dispatch(command);
        }
        for effect in self.runner.take_screen_effects() {
            self.do_effect(ctx, effect);
        }
        self.apply_look(ctx);
    }

    fn take_drops(&mut self, ctx: &Context) {
        let (dropped, hovered) = ctx.input(|i| {
            let dropped: Vec<PathBuf> = i.raw.dropped_files.iter().map(|f| f.path().to_owned()).collect();
            let hovered: Vec<PathBuf> = i.raw.hovered_files.iter().filter_map(|f| f.path.clone()).collect();
            (dropped, hovered)
        });
        if !dropped.is_empty() {
            self.hover_is_shown = false;
            self.runner.dispatch(Command::Drop { paths: dropped, into: DropInto::Auto });
        } else if !hovered.is_empty() || self.hover_is_shown {
            self.hover_is_shown = !hovered.is_empty();
            self.runner.dispatch(Command::Hover(hovered));
        }
    }

    fn do_effect(&mut self, ctx: &Context, effect: ScreenEffect) {
        match effect {
            ScreenEffect::Dialog(dialog) => {
                let dir = self.state().project.as_ref().and_then(|p| Some(p.path.parent()?.to_owned()));
                self.dialogs.show(dialog, dir);
            }
            ScreenEffect::AskPath => self.path_box.open(None),
            ScreenEffect::TogglePalette => self.palette.toggle(),
            ScreenEffect::OpenFolder(path) => self.dialogs.open_folder(path),
            ScreenEffect::AskDiscard(command) => self.asks_discard = Some(*command),
            ScreenEffect::RenameClass(id) => self.images.rename_class(id),
            ScreenEffect::AskDeleteClass(id) => self.images.ask_delete_class(id),
            ScreenEffect::EditNewClass => self.images.edit_new_class(),
            ScreenEffect::FitMap => self.images.fit_map(),
            ScreenEffect::ShowShortcuts => self.shows_shortcuts = !self.shows_shortcuts,
            ScreenEffect::ToggleTheme => {
                let is_dark = ctx.theme() == egui::Theme::Dark;
                self.dispatch(Command::SetTheme(if is_dark { ThemeChoice::Light } else { ThemeChoice::Dark }));
            }
            ScreenEffect::Quit => ctx.send_viewport_cmd(egui::ViewportCommand::Close),
        }
    }

    fn apply_look(&mut self, ctx: &Context) {
        let choice = self.state().settings.theme;
        if self.theme != Some(choice) {
            self.theme = Some(choice);
            ctx.set_theme(match choice {
                ThemeChoice::System => egui::ThemePreference::System,
                ThemeChoice::Light => egui::ThemePreference::Light,
                ThemeChoice::Dark => egui::ThemePreference::Dark,
            });
        }
        let title = match &self.state().project {
            Some(project) => format!("{} - Graft", project.name()),
            None => "Graft".to_owned(),
        };
        if title != self.title {
            ctx.send_viewport_cmd(egui::ViewportCommand::Title(title.clone()));
            self.title = title;
        }
    }

    /// Draws everything and does what the user wants.
    pub fn draw(&mut self, ui: &mut Ui) {
        let t = tokens(ui);
        let ctx = ui.ctx().clone();
        self.forget_other_project();
        self.thumbs.begin_frame(&ctx, &self.runner.state);
        let mut out = std::mem::take(&mut self.out);
        {
            let Self { runner, thumbs, .. } = self;
            let mut cx = Cx::new(&runner.state, runner.table(), &mut out, thumbs);
            if let RuntimeState::Missing { .. } = cx.state.runtime {
                let frame = Frame::new().fill(t.canvas);
                CentralPanel::default().frame(frame).show(ui, |ui| self.runtime.ui(&mut cx, ui));
            } else {
                let has_frame = cx.state.project.is_some() || cx.state.place == Place::Model;
                if has_frame {
                    let is_narrow = ctx.content_rect().width() < NARROW_WIDTH;
                    let width = if is_narrow { RAIL_WIDTH_NARROW } else { RAIL_WIDTH };
                    Panel::bottom("status")
                        .frame(Frame::new().fill(t.canvas))
                        .show_separator_line(false)
                        .resizable(false)
                        .exact_size(28.0)
                        .show(ui, |ui| status::status_ui(&mut cx, ui));
                    Panel::left("rail")
                        .frame(Frame::new().fill(t.canvas).inner_margin(8))
                        .show_separator_line(false)
                        .resizable(false)
                        .exact_size(width)
                        .show(ui, |ui| rail::rail_ui(&mut cx, ui));
                }
                CentralPanel::default().frame(Frame::new().fill(t.surface)).show(ui, |ui| {
                    if cx.state.project.is_none() && cx.state.place != Place::Model {
                        return self.start.ui(&mut cx, ui);
                    }
                    match cx.state.place {
                        Place::Model => self.model.ui(&mut cx, ui),
                        Place::Images => self.images.ui(&mut cx, ui),
                        Place::Train => self.train.ui(&mut cx, ui),
                        Place::Evaluate => self.evaluate.ui(&mut cx, ui),
                        Place::ZeroShot => self.zero_shot.ui(&mut cx, ui),
                        Place::Export => self.export.ui(&mut cx, ui),
                    }
                });
            }
            overlay::drop_overlay(&cx, &ctx);
            self.toasts.ui(&mut cx, &ctx);
            self.palette.ui(&mut cx, &ctx);
            self.path_box.ui(&mut cx, &ctx);
            if self.shows_shortcuts {
                self.shows_shortcuts = !keys::shortcuts_dialog(&ctx);
            }
            if let Some(dialog) = self.dialogs.take_failed() {
                self.path_box.open(Some(dialog));
            }
            if let Some(path) = self.dialogs.take_unopened() {
                cx.send(Command::Notify(format!(
                    "This could not be opened from here: {}",
                    crate::ui::format::path(&path)
                )));
            }
        }
        for command in out.drain(..) {
            self.runner.dispatch(command);
        }
        self.out = out;
        self.thumbs.end_frame();
        self.discard_ui(&ctx);
        self.was_typing = ctx.text_edit_focused();
        for effect in self.runner.take_screen_effects() {
            self.do_effect(&ctx, effect);
        }
    }

    /// What places remember of another project is not this one's.
    fn forget_other_project(&mut self) {
        let session = self.state().project.as_ref().map(|p| p.session);
        if session != self.session {
            self.session = session;
            self.images = ImagesPlace::default();
            self.train = TrainPlace::default();
            self.evaluate = EvaluatePlace::default();
            self.zero_shot = ZeroShotPlace::default();
            self.export = ExportPlace::default();
        }
    }

    /// Asks before changes that cannot be saved are given up.
    fn discard_ui(&mut self, ctx: &Context) {
        let Some(command) = self.asks_discard.take() else { return };
        let Some(why) = self.state().save_error.clone() else {
            // It could be saved meanwhile.
            return self.dispatch(command);
        };
        let text = format!(
            "The last changes cannot be saved: {why}\n\nTo keep them, cancel and use “Save a copy…” in the project menu.",
        );
        let question = Question {
            title: "Give up the changes that are not saved?",
            text: &text,
            confirm: "Give up",
            danger: true,
        };
        match confirm(ctx, "give up changes", question) {
            None => self.asks_discard = Some(command),
            Some(true) => {
                self.dispatch(Command::DiscardUnsaved);
                if command != Command::Act(Action::CloseProject) {
                    self.dispatch(command);
                }
            }
            Some(false) => {}
        }
    }

    /// Whether the window may close now; if not, it is asked about.
    pub fn may_close(&mut self) -> bool {
        let may = self.state().save_error.is_none() || self.state().project.is_none();
        if !may {
            self.dispatch(Command::Act(Action::Quit));
        }
        may
    }

    /// Saves what is to be saved and ends the worker threads.
    pub fn shut_down(self) {
        self.runner.shut_down();
    }
}
