//! From commands to changes and effects.

use std::sync::Arc;

use super::action::Action;
use super::command::{Command, Dialog, DropInto, Effect, ScreenEffect, Target};
use super::drops;
use super::gallery::{Filter, SelectOp, SortBy, Usable};
use super::live::model_choice;
use super::notices::Tone;
use super::state::{AppState, EmbedPause, Place, Purpose, RuntimeState};
use super::views::{EvaluateView, ImagesView};
use super::why::WhyCommand;
use crate::dataset::Split;
use crate::head::UnknownWish;
use crate::jobs::{EmbedRequest, ExportRequest, FilesRequest, HeadExport, JobRequest, LaneKind, ProjectRequest};
use crate::project::{ImageId, RootId};
use crate::store::project::Write;

/// Does what the user wants: changes the state and returns what follows from it.
pub fn update(state: &mut AppState, command: Command) -> Vec<Effect> {
    let mut effects = Vec::new();
    state.run(command, &mut effects);
    state.follow_up(&mut effects);
    effects
}

impl AppState {
    fn run(&mut self, command: Command, effects: &mut Vec<Effect>) {
        match command {
            Command::Act(action) => self.act(action, effects),
            Command::Go(place) => self.go(place, effects),
            Command::ShowImages(view) => self.show_images(view),
            Command::ShowEvaluate(view) => self.evaluate_view = view,
            Command::Hover(paths) => self.hover(paths, effects),
            Command::Drop { paths, into } => self.drop_paths(paths, into, effects),
            Command::OpenProject(path) => self.open_project(&path, effects),
            Command::CreateProject(path) if self.asks_to_discard(Command::CreateProject(path.clone()), effects) => {}
            Command::CreateProject(path) => {
                let session = self.next_session();
                let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
                let request = ProjectRequest::Create { session, path: Some(path), name };
                self.job(JobRequest::Project(request), Purpose::Open, effects);
            }
            Command::SaveCopy(path) => {
                if let Some(session) = self.session() {
                    self.job(JobRequest::Project(ProjectRequest::CopyTo { session, path }), Purpose::Copy, effects);
                }
            }
            Command::ForgetRecent(path) => {
                self.settings.forget(&path);
                self.save_settings(effects);
            }
            Command::AddClass(name) => {
                self.add_class(&name, effects);
            }
            Command::RenameClass(id, name) => self.rename_class(id, &name, effects),
            Command::RecolourClass(id, colour) => self.recolour_class(id, colour, effects),
            Command::DeleteClass(id) => self.delete_class(id, effects),
            Command::MergeClasses { from, into } => self.merge_classes(from, into, effects),
            Command::Label { images, class } => self.label(&images, class, effects),
            Command::LabelByDigit(digit) => self.label_by_digit(digit, effects),
            Command::SetSplit(images, split) => self.set_split(&images, split, effects),
            Command::Remove(images) => self.remove(&images, effects),
            Command::Relocate(root, candidate) => self.relocate(root, candidate, effects),
            Command::Select(op) => {
                if let Some(project) = &mut self.project {
                    project.gallery.select(op);
                }
            }
            Command::SetFilter(filter) => self.set_filter(filter),
            Command::SetSort(sort) => {
                if let Some(project) = &mut self.project {
                    project.gallery.sort = sort;
                    project.gallery.leave();
                    project.gallery.is_stale = true;
                }
            }
            Command::SetMapColour(colour_by) => {
                if let Some(project) = &mut self.project {
                    project.map.colour_by = colour_by;
                }
            }
            Command::ShowFaults(kind) => {
                if let Some(project) = &mut self.project {
                    project.faults.shown = kind;
                }
            }
            Command::SelectFault(id) => {
                if let Some(project) = &mut self.project {
                    project.faults.select(id);
                }
            }
            Command::MoveFault(by) => {
                if let Some(project) = &mut self.project {
                    project.faults.step(by);
                }
            }
            Command::Look(id) => self.look(id),
            Command::Next(command) => self.next_command(command, effects),
            Command::Why(command) => self.why_command(command, effects),
            Command::ChooseHead(kind) => self.change_settings("choose the head", |s| s.head = kind, effects),
            Command::SetUnknown(wish) => {
                self.change_settings("change when it says “unknown”", |s| s.unknown = wish, effects);
            }
            Command::SetValFraction(fraction) => {
                let fraction = fraction.clamp(0.05, 0.5);
                self.change_settings("set the validation share", |s| s.val_fraction = fraction, effects);
            }
            Command::ChooseModel(model) => self.change_settings(
                "choose the model",
                |s| {
                    s.model = model;
                    (s.layer, s.preprocess) = (None, None);
                    (s.zero_shot.text_graph, s.zero_shot.logit_scale) = (None, None);
                },
                effects,
            ),
            Command::ChooseLayer(layer) => self.change_settings("choose the layer", |s| s.layer = layer, effects),
            Command::SetPreprocess(spec) => {
                self.change_settings("change the preprocessing", |s| s.preprocess = spec, effects);
            }
            Command::TypeLabels(text) => self.type_labels(&text),
            Command::KeepLabels => self.keep_labels(effects),
            Command::SetTemplates(templates) => {
                self.change_settings("choose the prompt templates", |s| s.zero_shot.templates = templates, effects);
            }
            Command::SetNoneOfThese(on) => {
                let title = if on { "add “none of these”" } else { "leave out “none of these”" };
                self.change_settings(title, |s| s.zero_shot.none_of_these = on, effects);
            }
            Command::SetTextGraph(path) => {
                self.change_settings("choose the text tower", |s| s.zero_shot.text_graph = path, effects);
            }
            Command::SetLogitScale(scale) => {
                self.change_settings("set the logit scale", |s| s.zero_shot.logit_scale = scale, effects);
            }
            Command::ReadAgain => {
                if let Some(project) = &mut self.project {
                    project.zero_shot.read_again();
                }
            }
            Command::SortByLabel(label) => self.sort_by_label(label),
            Command::SetShare(share) => self.set_share(share),
            Command::Inspect(choice) => {
                self.models.inspect_error = None;
                let request = FilesRequest::Inspect(choice.clone());
                self.job(JobRequest::Files(request), Purpose::Inspect(choice), effects);
            }
            Command::ImportModel(path) => self.import_model(&path, effects),
            Command::ChooseCompared { name, on } => self.choose_compared(&name, on),
            Command::SetImportInPlace(on) => self.models.imports_in_place = on,
            Command::SetProvider(provider) => {
                self.settings.provider = Some(provider.label().to_owned());
                self.save_settings(effects);
            }
            Command::SetDevice(device) => {
                self.settings.device = device;
                self.models.self_tests.clear();
                self.job(JobRequest::Files(FilesRequest::SetDevice(device)), Purpose::Settings, effects);
                self.save_settings(effects);
            }
            Command::SelfTest(provider) => {
                self.models.testing = Some(provider);
                let request = ExportRequest::SelfTest { model: self.model_choice(), provider };
                self.job(JobRequest::Export(request), Purpose::SelfTest(provider), effects);
            }
            Command::SavePredictions(path) => {
                self.with_predictions(effects, |predictions| ExportRequest::Csv { path, predictions })
            }
            Command::SortPredictions(dir) => {
                self.with_predictions(effects, |predictions| ExportRequest::Sort { dir, predictions })
            }
            Command::ChooseRun { id, on } => self.choose_run(id, on),
            Command::NameRun(id, name) => self.name_run(id, &name, effects),
            Command::NoteOnRun(id, note) => self.note_on_run(id, &note, effects),
            Command::PinRun(id, on) => self.pin_run(id, on, effects),
            Command::DeleteRun(id) => self.delete_run(id, effects),
            Command::WriteReport(path) => self.write_report(path, effects),
            Command::SetExportContents(contents) => {
                if let Some(project) = &mut self.project {
                    project.export.contents = contents;
                }
            }
            Command::SetExportDir(dir) => {
                if let Some(project) = &mut self.project {
                    project.export.dir = Some(dir).filter(|d| !d.as_os_str().is_empty());
                    project.export.error = None;
                }
            }
            Command::Cancel(lane) => self.cancel(lane, effects),
            Command::ChooseRuntime(path) => {
                self.settings.ort_library = Some(path);
                self.save_settings(effects);
                self.load_runtime(effects);
            }
            Command::SetTheme(theme) => {
                self.settings.theme = theme;
                self.save_settings(effects);
            }
            Command::SetTileSize(size) => {
                self.settings.tile_px = size.round() as u32;
                self.save_settings(effects);
            }
            Command::EditClassName(id) => {
                self.place = Place::Images;
                self.look(None);
                effects.push(Effect::Screen(ScreenEffect::RenameClass(id)));
            }
            Command::AskDeleteClass(id) => {
                if self.project.as_ref().is_some_and(|p| p.counts.of(id) > 0) {
                    self.place = Place::Images;
                    self.look(None);
                    effects.push(Effect::Screen(ScreenEffect::AskDeleteClass(id)));
                } else {
                    self.delete_class(id, effects);
                }
            }
            Command::AskRelocate(root) => effects.push(Effect::Screen(ScreenEffect::Dialog(Dialog::Relocate(root)))),
            Command::TakeBack => self.take_back(effects),
            Command::ShowFolder(path) => effects.push(Effect::Screen(ScreenEffect::OpenFolder(path))),
            Command::Notify(text) => self.notices.push(Tone::Warning, text, None, None),
            Command::Dismiss(id) => self.notices.dismiss(id),
            Command::RememberWindow { place, scale } => {
                self.settings.window = Some(place);
                self.settings.ui_scale = scale;
                self.save_settings(effects);
            }
            Command::DiscardUnsaved => {
                self.save_error = None;
                self.close_project(true, effects);
            }
            Command::Quitting => {
                self.keep_labels(effects);
                self.note_recent(effects);
                self.close_file(false, effects);
            }
        }
    }

    fn act(&mut self, action: Action, effects: &mut Vec<Effect>) {
        if let Err(reason) = action.availability(self) {
            return self.notices.info(format!("{reason}."));
        }
        if let Some(place) = action.place() {
            return self.go(place, effects);
        }
        let mut dialog = |dialog| effects.push(Effect::Screen(ScreenEffect::Dialog(dialog)));
        match action {
            Action::NewProject => dialog(Dialog::NewProject),
            Action::OpenProject => dialog(Dialog::OpenProject),
            Action::SaveCopy => dialog(Dialog::SaveCopy),
            Action::AddFolder => dialog(Dialog::AddFolder),
            Action::AddFiles => dialog(Dialog::AddFiles),
            Action::PredictFiles => dialog(Dialog::PredictFiles),
            Action::PredictFolder => dialog(Dialog::PredictFolder),
            Action::TestStrangers => dialog(Dialog::Strangers),
            Action::SavePredictions => dialog(Dialog::SavePredictions),
            Action::SortPredictions => dialog(Dialog::SortPredictions),
            Action::WriteReport => dialog(Dialog::Report),
            Action::ImportModel => dialog(Dialog::ImportModel),
            Action::ChooseExportDir => dialog(Dialog::ExportDir),
            Action::ChooseRuntime => dialog(Dialog::Runtime),
            Action::Palette => effects.push(Effect::Screen(ScreenEffect::TogglePalette)),
            Action::TypePath => effects.push(Effect::Screen(ScreenEffect::AskPath)),
            Action::AddClass => {
                self.place = Place::Images;
                self.look(None);
                effects.push(Effect::Screen(ScreenEffect::EditNewClass));
            }
            Action::Shortcuts => effects.push(Effect::Screen(ScreenEffect::ShowShortcuts)),
            Action::Quit if self.asks_to_discard(Command::Act(action), effects) => {}
            Action::Quit => effects.push(Effect::Screen(ScreenEffect::Quit)),
            Action::Undo => self.undo(effects),
            Action::Redo => self.redo(effects),
            Action::CloseProject | Action::TrySample if self.asks_to_discard(Command::Act(action), effects) => {}
            Action::CloseProject => self.close_project(false, effects),
            Action::TrySample => {
                self.close_project(false, effects);
                self.job(JobRequest::Files(FilesRequest::ScanSample), Purpose::Sample, effects);
            }
            Action::SelectAll => self.run(Command::Select(SelectOp::All), effects),
            Action::SelectNone => self.run(Command::Select(SelectOp::None), effects),
            Action::LabelAsPredicted => self.label_as_predicted(effects),
            Action::ConfirmLabels => self.confirm_labels(effects),
            Action::Unlabel => self.label(&Target::Selection, None, effects),
            Action::Remove => self.remove(&Target::Selection, effects),
            Action::ClearFilter => self.set_filter(Filter::default()),
            Action::ShowSkipped => {
                self.images_view = ImagesView::Gallery;
                self.set_filter(Filter { usable: Usable::Skipped, ..Filter::default() });
                self.place = Place::Images;
            }
            Action::ShowMistakes => {
                self.images_view = ImagesView::Gallery;
                // As they are counted: on images that the head was not fitted on.
                self.set_filter(Filter { is_right: Some(false), split: Some(Split::Val), ..Filter::default() });
                self.run(Command::SetSort(SortBy::WorstMistake), effects);
                self.place = Place::Images;
            }
            Action::RetrySkipped => self.retry_skipped(effects),
            Action::ResumeEmbedding => {
                if let Some(project) = &mut self.project {
                    project.live.pause = None;
                    project.live.wants_embedding = true;
                }
            }
            Action::CancelWork => {
                // A fit is over in a moment, and nothing would ask for it again.
                for lane in [
                    LaneKind::Files,
                    LaneKind::Embed,
                    LaneKind::Predict,
                    LaneKind::Strangers,
                    LaneKind::Text,
                    LaneKind::Study,
                    LaneKind::Map,
                    LaneKind::Explain,
                    LaneKind::Check,
                    LaneKind::Export,
                ] {
                    if self.activity(lane).is_some() {
                        self.cancel(lane, effects);
                    }
                }
            }
            Action::ClearPredictions => {
                if let Some(project) = &mut self.project {
                    project.predictions = None;
                }
            }
            Action::ForgetStrangers => self.forget_strangers(effects),
            Action::AlwaysAnswer => self.run(Command::SetUnknown(UnknownWish::Off), effects),
            Action::UnknownByPrecision => {
                self.run(Command::SetUnknown(UnknownWish::Precision { at_least: USUAL_PRECISION }), effects);
            }
            Action::UnknownByDistance => {
                self.run(Command::SetUnknown(UnknownWish::Distance { keep: USUAL_KEEP }), effects)
            }
            Action::Export => self.export(effects),
            Action::ExportZeroShot => self.export_zero_shot(effects),
            Action::UseAsClasses => self.use_as_classes(effects),
            Action::LabelByClassNames => self.label_by_class_names(effects),
            Action::DrawCurve => self.draw_curve(effects),
            Action::ProbeLayers => self.probe_layers(effects),
            Action::DrawHeadCurves => {
                // From the palette: where it is seen.
                self.go(Place::Train, effects);
                self.draw_head_curves(effects);
            }
            Action::CompareModels => self.compare_models(effects),
            Action::LayOutMap => self.lay_out_map(),
            Action::FitMap => effects.push(Effect::Screen(ScreenEffect::FitMap)),
            Action::OpenExportFolder => {
                let dir = self.project.as_ref().and_then(|p| p.export.done.as_ref()).map(|(dir, _)| dir.clone());
                effects.extend(dir.map(|dir| Effect::Screen(ScreenEffect::OpenFolder(dir))));
            }
            Action::ShowGallery => self.show_images(ImagesView::Gallery),
            Action::ShowMap => self.show_images(ImagesView::Map),
            Action::ShowCheck => self.show_images(ImagesView::Check),
            Action::FixFault => self.fix_fault(effects),
            Action::DismissFault => self.dismiss_fault(effects),
            Action::CheckAgain => self.check_again(),
            Action::ShowNext => self.show_images(ImagesView::Next),
            Action::ShowCertainty => self.show_evaluate(EvaluateView::Certainty, effects),
            Action::ShowRuns => self.show_evaluate(EvaluateView::Runs, effects),
            Action::OpenReport => {
                let path = self.project.as_ref().and_then(|p| p.runs.report.clone());
                effects.extend(path.map(|path| Effect::Screen(ScreenEffect::OpenFolder(path))));
            }
            Action::Why => {
                let is_open = self.project.as_ref().is_some_and(|p| p.why.is_open);
                self.why_command(WhyCommand::Open(!is_open), effects);
            }
            Action::ShowWhere => {
                let is_on = self.project.as_ref().is_some_and(|p| p.why.shows_map);
                self.why_command(WhyCommand::Map(!is_on), effects);
            }
            Action::RetryRuntime => self.load_runtime(effects),
            Action::ToggleTheme => effects.push(Effect::Screen(ScreenEffect::ToggleTheme)),
            Action::GoModel
            | Action::GoImages
            | Action::GoTrain
            | Action::GoEvaluate
            | Action::GoZeroShot
            | Action::GoExport => {}
        }
    }

    pub(super) fn go(&mut self, place: Place, effects: &mut Vec<Effect>) {
        self.keep_labels(effects);
        self.place = place;
        let remembered = Some(place.label().to_owned());
        if self.settings.place != remembered {
            self.settings.place = remembered;
            self.save_settings(effects);
        }
        if place == Place::Model {
            self.models.list_error = None;
        }
    }

    fn show_evaluate(&mut self, view: EvaluateView, effects: &mut Vec<Effect>) {
        self.evaluate_view = view;
        self.go(Place::Evaluate, effects);
    }

    pub(super) fn list_models(&mut self, effects: &mut Vec<Effect>) {
        if !self.is_busy_with(|p| *p == Purpose::ListModels) {
            self.job(JobRequest::Files(FilesRequest::ListModels), Purpose::ListModels, effects);
        }
    }

    pub(super) fn load_runtime(&mut self, effects: &mut Vec<Effect>) {
        self.runtime = RuntimeState::Loading;
        let request =
            FilesRequest::LoadRuntime { chosen: self.settings.ort_library.clone(), device: self.settings.device };
        self.job(JobRequest::Files(request), Purpose::Runtime, effects);
    }

    fn hover(&mut self, paths: Vec<std::path::PathBuf>, effects: &mut Vec<Effect>) {
        if paths.is_empty() {
            self.hover = None;
        } else if self.hover.as_ref().is_none_or(|(known, _)| *known != paths) {
            self.job(JobRequest::Files(FilesRequest::Peek(paths.clone())), Purpose::Peek, effects);
            self.hover = Some((paths, None));
        }
    }

    fn drop_paths(&mut self, paths: Vec<std::path::PathBuf>, into: DropInto, effects: &mut Vec<Effect>) {
        self.hover = None;
        if paths.is_empty() {
            return;
        }
        let is_other = |p: &std::path::Path| {
            p.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx") || e.eq_ignore_ascii_case("graft"))
        };
        if drops::is_strangers(self, into) && !paths.iter().any(|p| is_other(p)) {
            return self.test_strangers(paths, effects);
        }
        if drops::is_prediction(self, into) && !paths.iter().any(|p| is_other(p)) {
            return self.predict(paths, effects);
        }
        let shown = self.project.as_ref().and_then(drops::shown_class);
        let purpose = Purpose::Drop { into, shown, session: self.session() };
        self.job(JobRequest::Files(FilesRequest::Scan(paths)), purpose, effects);
    }

    fn close_project(&mut self, discard: bool, effects: &mut Vec<Effect>) {
        if self.project.is_none() {
            return;
        }
        effects.extend(LaneKind::OF_PROJECT.into_iter().chain([LaneKind::Export]).map(Effect::Cancel));
        self.keep_labels(effects);
        self.note_recent(effects);
        self.close_file(discard, effects);
        self.project = None;
        self.place = Place::Images;
        self.notices.forget_undo();
        effects.push(Effect::ForgetEmbeddings);
    }

    /// Has the file of the open project closed.
    pub(super) fn close_file(&mut self, discard: bool, effects: &mut Vec<Effect>) {
        if let Some(session) = self.session() {
            let request = ProjectRequest::Close { session, discard };
            self.job(JobRequest::Project(request), Purpose::Close, effects);
        }
    }

    /// Whether changes that cannot be saved would be lost by a command, which is then asked about.
    pub(super) fn asks_to_discard(&self, command: Command, effects: &mut Vec<Effect>) -> bool {
        let asks = self.save_error.is_some() && self.project.is_some();
        if asks {
            effects.push(Effect::Screen(ScreenEffect::AskDiscard(Box::new(command))));
        }
        asks
    }

    fn cancel(&mut self, lane: LaneKind, effects: &mut Vec<Effect>) {
        effects.push(Effect::Cancel(lane));
        self.ended.insert(lane);
        if let (LaneKind::Embed, Some(project)) = (lane, &mut self.project) {
            project.live.pause = Some(EmbedPause::Cancelled);
        }
    }

    fn set_filter(&mut self, filter: Filter) {
        self.show_filtered();
        let Some(project) = &mut self.project else { return };
        // What is asked for is not to lie behind a picture.
        project.gallery.large = None;
        if project.gallery.filter != filter {
            project.gallery.leave();
            project.gallery.filter = filter;
            project.gallery.is_stale = true;
        }
    }

    pub(super) fn look(&mut self, id: Option<ImageId>) {
        let Some(project) = &mut self.project else { return };
        project.gallery.large = id;
        if let Some(id) = id {
            project.gallery.select(SelectOp::Only(id));
        }
    }

    /// Settles the rule for "unknown" on the head as it is now; the project's rule is that of everything.
    pub(super) fn settle_unknown(&mut self) {
        let Some(project) = &mut self.project else { return };
        project.live.settle(project.data.settings.unknown);
        project.gallery.is_stale |= project.gallery.filter.is_unknown.is_some();
        let rule = project.live.rule();
        if let Some(predictions) = project.predictions.as_mut().filter(|p| p.rule != rule) {
            Arc::make_mut(predictions).rule = rule;
        }
        if let Some(strangers) = &mut project.strangers {
            strangers.set_rule(rule, project.live.known());
        }
    }

    fn relocate(&mut self, root: RootId, candidate: std::path::PathBuf, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let Some(was) = project.data.roots.get(root.as_usize()).cloned() else { return };
        let session = project.session;
        let samples = project.data.present().filter(|(_, i)| i.root == root);
        let samples = samples.map(|(_, i)| i.rel.clone()).take(20).collect();
        let request = FilesRequest::FindRoot { root, was, candidate, samples };
        self.job(JobRequest::Files(request), Purpose::FindRoot { session }, effects);
    }

    fn retry_skipped(&mut self, effects: &mut Vec<Effect>) {
        let Some(project) = &mut self.project else { return };
        let skipped: Vec<_> = project.data.present().filter(|(_, i)| i.skipped.is_some()).map(|(id, _)| id).collect();
        for id in &skipped {
            project.data.set_skipped(*id, None);
        }
        project.live.wants_embedding = true;
        project.live.pause = None;
        project.gallery.is_stale = true;
        project.n_retries += 1;
        self.set_filter(Filter::default());
        self.write(vec![Write::Skips(skipped.into_iter().map(|id| (id, None)).collect())], effects);
    }

    fn with_predictions(
        &mut self,
        effects: &mut Vec<Effect>,
        request: impl FnOnce(Arc<crate::workflow::predict::Predictions>) -> ExportRequest,
    ) {
        let Some(predictions) = self.project.as_ref().and_then(|p| p.predictions.clone()) else { return };
        self.job(JobRequest::Export(request(predictions)), Purpose::Predictions, effects);
    }

    fn export(&mut self, effects: &mut Vec<Effect>) {
        let Some(project) = &mut self.project else { return };
        let Some((fit, head)) = project.live.fit.as_ref().and_then(|fit| Some((fit, fit.head()?))) else { return };
        let n_classes = fit.output.class_ids.len();
        let (mut n_train, mut n_val) = (vec![0; n_classes], vec![0; n_classes]);
        let mut of_split: [Vec<(ImageId, u32)>; 2] = Default::default();
        for (id, split) in &fit.output.splits {
            let class = project.data.image(*id).and_then(|i| i.class);
            let Some(idx) = fit.output.class_ids.iter().position(|c| Some(*c) == class) else { continue };
            match split {
                Split::Train => n_train[idx] += 1,
                Split::Val => n_val[idx] += 1,
                Split::Test => continue,
            }
            of_split[usize::from(*split == Split::Val)].push((*id, idx as u32));
        }
        let (epoch, revision) = (project.live.epoch, fit.output.revision);
        let [train, val] = of_split;
        // The proof is about agreement, so that training images serve where there are no others.
        let all = if val.is_empty() { train } else { val };
        let taken = all.len().min(MAX_PROOF);
        let (mut shown, mut shown_classes) = (Vec::with_capacity(taken), Vec::with_capacity(taken));
        for i in 0..taken {
            let (id, class) = all[i * all.len() / taken];
            if let (Some(path), Some(row)) = (project.data.path(id), project.live.row(id)) {
                shown.push((path, row));
                shown_classes.push(class);
            }
        }
        project.export.error = None;
        let request = HeadExport {
            dir: project.export_dir(),
            contents: project.export.contents,
            epoch,
            model: model_choice(&project.data),
            head: Arc::clone(&head.judged),
            rule: project.live.rule(),
            shown,
            shown_classes,
            n_train_per_class: n_train,
            n_val_per_class: n_val,
            seed: project.data.settings.seed,
        };
        self.place = Place::Export;
        self.job(
            JobRequest::Export(ExportRequest::Head(Box::new(request))),
            Purpose::Export { epoch, revision },
            effects,
        );
    }

    /// What follows by itself from the state as it is now: work that is due begins, what is shown is brought up to date.
    pub(super) fn follow_up(&mut self, effects: &mut Vec<Effect>) {
        if self.runtime == RuntimeState::Unknown {
            self.load_runtime(effects);
        }
        if self.place == Place::Model && self.models.cards.is_none() && self.models.list_error.is_none() {
            self.list_models(effects);
        }
        self.embed_if_due(effects);
        self.zero_shot_if_due(effects);
        self.fit_if_due(effects);
        self.keep_runs_if_due(effects);
        self.next_if_due(effects);
        self.why_if_due(effects);
        self.check_if_due(effects);
        self.strangers_if_due(effects);
        if let Some(project) = &mut self.project {
            project.refresh_if_stale();
            project.refresh_faults();
        }
        self.drop_unseen_cursor();
        // By the images as they are counted now.
        self.map_if_due(effects);
    }

    fn embed_if_due(&mut self, effects: &mut Vec<Effect>) {
        let is_ready = matches!(self.runtime, RuntimeState::Ready { .. });
        let is_busy = self.is_busy_with(|p| matches!(p, Purpose::Embed { .. }));
        let Some(project) = &mut self.project else { return };
        if !project.live.wants_embedding || project.live.pause.is_some() || !is_ready || is_busy {
            return;
        }
        project.live.wants_embedding = false;
        let images: Vec<_> = project
            .data
            .present()
            .filter(|(id, i)| i.skipped.is_none() && project.live.row(*id).is_none() && project.is_root_there(i.root))
            .filter_map(|(id, _)| Some((id, project.data.path(id)?)))
            .collect();
        if images.is_empty() {
            return;
        }
        let epoch = project.live.epoch;
        let model = model_choice(&project.data);
        let provider = self.provider();
        let request = EmbedRequest { epoch, model, provider, images };
        self.job(JobRequest::Embed(request), Purpose::Embed { epoch }, effects);
    }

    fn fit_if_due(&mut self, effects: &mut Vec<Effect>) {
        let is_embedding = self.is_busy_with(|p| matches!(p, Purpose::Embed { .. }));
        let Some(project) = &mut self.project else { return };
        let revision = project.revision;
        let texts = project.fit_texts();
        if let Some(request) = project.live.due_fit(&project.data, revision, is_embedding, texts) {
            self.job(JobRequest::Fit(Box::new(request)), Purpose::Fit { revision }, effects);
        }
    }
}

/// The precision that is wished for at first.
pub const USUAL_PRECISION: f64 = 0.95;
/// The share of known images that a rule by distance keeps at first.
pub const USUAL_KEEP: f64 = 0.95;

/// Images that an export is compared on, at most.
const MAX_PROOF: usize = 256;
