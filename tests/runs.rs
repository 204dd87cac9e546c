//! Runs in the application without a screen, with real worker threads and a small model: kept once the data stand still,
//! marked, compared, reported.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use common::{RED_GREEN, TINY, World};
use graft::app::{Action, AppState, Command, DropInto, OpenProject, Runner, Target};
use graft::head::HeadKind;
use graft::project::ImageId;
use graft::project::runs::RunId;
use graft::store::dirs;
use graft::store::settings::AppSettings;

const PATIENCE: Duration = Duration::from_secs(60);

/// The folders are those of the process.
static ALONE: Mutex<()> = Mutex::new(());

/// The application, and the folder that everything lies in.
struct App {
    runner: Runner,
    world: World,
    _alone: MutexGuard<'static, ()>,
}

impl App {
    fn new() -> Self {
        static DIRS: OnceLock<tempfile::TempDir> = OnceLock::new();
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        DIRS.get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            dirs::keep_below(dir.path().to_owned());
            dir
        });
        let runner = Runner::new(AppSettings::default(), Arc::new(|| {})).unwrap();
        Self { runner, world: World::new(), _alone: alone }
    }

    /// With a project of ten images of each of two classes, trained on the small model.
    fn trained() -> Self {
        let mut app = Self::new();
        let images = app.world.colours("set", &RED_GREEN, 10);
        let path = app.world.path("p.graft");
        app.do_it(Command::CreateProject(path));
        app.wait("the project is there", |s| s.project.is_some());
        app.do_it(Command::ChooseModel(Some(TINY.to_owned())));
        app.do_it(Command::Drop { paths: vec![images.into()], into: DropInto::Add });
        app.rest();
        app
    }

    fn do_it(&mut self, command: Command) {
        self.runner.dispatch(command);
    }

    fn wait(&mut self, what: &str, holds: impl Fn(&AppState) -> bool) {
        assert!(self.runner.wait_until(PATIENCE, holds), "{what}: {:?}", self.runner.state.activities);
    }

    /// Until nothing runs or waits.
    fn rest(&mut self) {
        self.wait("it is at rest", |s| s.is_idle() && s.project.as_ref().is_some_and(|p| p.live.fit.is_some()));
    }

    fn project(&self) -> &OpenProject {
        self.runner.state.project.as_ref().unwrap()
    }

    /// Identifiers of the runs that are shown, latest first, of one fit in the order of its heads.
    fn ids(&self) -> Vec<u32> {
        self.project().shown_runs().iter().map(|run| run.id.0).collect()
    }

    fn relabel(&mut self, image: u32, class: &str) {
        let class = self.project().data.class_by_name(class);
        self.do_it(Command::Label { images: Target::Images(vec![ImageId(image)]), class });
        self.rest();
    }

    fn report(&mut self, path: &Path) {
        self.do_it(Command::WriteReport(path.to_owned()));
        self.wait("the report is written", AppState::is_idle);
    }
}

/// An image that the heads are trained on, so that the judged ones stay.
fn trained_on(project: &OpenProject) -> u32 {
    let of = |id: &ImageId| project.live.split_of(*id) == Some(graft::dataset::Split::Train);
    (0..20).map(ImageId).find(of).unwrap().0
}

#[test]
fn heads_are_kept_once_the_data_stand_still_and_are_there_again() {
    let mut app = App::trained();
    let runs: Vec<_> = app.project().shown_runs().into_iter().cloned().collect();
    assert_eq!(runs.iter().map(|run| run.kind()).collect::<Vec<_>>(), HeadKind::OF_EXAMPLES, "not those on the way");
    for run in &runs {
        assert_eq!((run.data.n_images(), run.judged.len(), run.answers.len()), (20, 4, 4));
        let right = run.judged.iter().zip(run.answers.iter()).filter(|(j, a)| j.truth == a.class).count();
        assert!(
            (run.report().unwrap().accuracy.value - right as f64 / 4.0).abs() < 1e-12,
            "answers are those of the figures"
        );
        assert!(run.judged.is_sorted() && !run.model.is_empty());
    }
    // What changes nothing about heads makes no run.
    app.do_it(Command::SetUnknown(graft::head::UnknownWish::Probability { below: 0.6 }));
    app.rest();
    assert_eq!(app.ids(), [0, 1]);

    app.do_it(Command::NameRun(RunId(1), "  first  ".to_owned()));
    app.rest();
    let path = app.project().path.clone();
    app.do_it(Command::Act(Action::CloseProject));
    app.wait("it is closed", AppState::is_idle);
    app.do_it(Command::OpenProject(path));
    app.rest();
    assert_eq!(app.ids(), [0, 1], "trained again on the same data it is the same run");
    let again: Vec<_> = app.project().shown_runs().into_iter().cloned().collect();
    assert_eq!(again[0].judged, runs[0].judged);
    assert_eq!((again[0].answers.clone(), again[1].data.clone()), (runs[0].answers.clone(), runs[1].data.clone()));
    assert_eq!(app.project().run_title(RunId(1)), "first");
    assert_eq!(app.project().run_title(RunId(0)), "Run 1");
}

#[test]
fn one_label_after_another_is_one_run_but_what_is_held_stays() {
    let mut app = App::trained();
    let image = trained_on(app.project());
    let class = app.project().data.image(ImageId(image)).unwrap().class;
    let other = if class == app.project().data.class_by_name("red") { "green" } else { "red" };
    // At once after the first: a step on the way.
    app.relabel(image, other);
    assert_eq!(app.ids(), [2, 3], "they take the place of the first");
    app.do_it(Command::PinRun(RunId(2), true));
    app.do_it(Command::Act(Action::Undo));
    app.do_it(Command::PinRun(RunId(2), true));
    app.do_it(Command::NoteOnRun(RunId(3), "one label is wrong".to_owned()));
    let back = if other == "red" { "green" } else { "red" };
    app.relabel(image, back);
    assert_eq!(app.ids(), [4, 5, 2, 3], "what is pinned or has a note stays");

    app.do_it(Command::ChooseRun { id: RunId(4), on: true });
    assert!(app.project().runs.compared.is_none());
    app.do_it(Command::ChooseRun { id: RunId(2), on: true });
    let pair = app.project().runs.compared.clone().unwrap();
    assert_eq!((pair.a, pair.b), (RunId(2), RunId(4)), "the later one is B");
    assert_eq!(pair.comparison.n_common(), 4);
    assert!(!pair.comparison.sets_differ());
    assert!(pair.comparison.words("A", "B").contains("the same of 4 images"), "{}", pair.comparison.words("A", "B"));

    // A third takes the place of the first that was chosen; what is deleted is chosen no more.
    app.do_it(Command::ChooseRun { id: RunId(5), on: true });
    assert_eq!(app.project().runs.chosen, [RunId(2), RunId(5)]);
    app.do_it(Command::DeleteRun(RunId(5)));
    assert_eq!((app.ids(), app.project().runs.compared.is_none()), (vec![4, 2, 3], true));
    app.do_it(Command::Act(Action::Undo));
    assert_eq!(app.ids(), [4, 5, 2, 3]);
    app.do_it(Command::Act(Action::Redo));
    app.do_it(Command::Act(Action::Undo));
    app.rest();
    let path: PathBuf = app.project().path.clone();
    app.do_it(Command::Act(Action::CloseProject));
    app.wait("it is closed", AppState::is_idle);
    let opened = graft::store::project::ProjectFile::read(&path).unwrap();
    let shown: Vec<u32> = opened.runs.shown(&opened.project.run_marks).iter().map(|run| run.id.0).collect();
    assert_eq!(shown, [4, 5, 2, 3], "the file says the same");
    assert!(opened.project.run_marks[&RunId(2)].is_pinned);
}

#[test]
fn a_report_is_written_beside_the_work() {
    let mut app = App::trained();
    let path = app.world.path("r.html");
    assert!(Action::OpenReport.availability(&app.runner.state).is_err());
    app.report(&path);
    assert_eq!(app.project().runs.report.as_deref(), Some(path.as_path()), "{:?}", app.project().runs.report_error);
    let html = std::fs::read_to_string(&path).unwrap();
    assert!(html.contains("<h1>p</h1>") && html.contains("graft report --project &#39;p.graft&#39; --out report.html"));
    assert!(html.contains("<section id=\"runs\">") && !html.contains("<section id=\"compared\">"));
    let here = app.world.path("").to_string_lossy().into_owned();
    assert!(!html.contains(here.trim_end_matches('/')), "where things lie is nobody's business");
    app.do_it(Command::ChooseRun { id: RunId(0), on: true });
    app.do_it(Command::ChooseRun { id: RunId(1), on: true });
    app.report(&path);
    let html = std::fs::read_to_string(&path).unwrap();
    assert!(html.contains("<section id=\"compared\">"), "an older report is replaced");
    // The command line says the same of the project, which the window has open.
    let (project, out) = (app.project().path.clone(), app.world.path("r2.html"));
    let (project, out) = (project.to_string_lossy(), out.to_string_lossy());
    let ran = app.world.graft(&["report", "--project", &project, "--runs", "Run 1", "2", "--out", &out]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let other = std::fs::read_to_string(&*out).unwrap();
    for id in ["glance", "confusion", "calibration", "heads", "data", "faults", "compared", "runs", "model", "training"]
    {
        let section = |html: &str| {
            let at = html.find(&format!("<section id=\"{id}\">")).unwrap_or_else(|| panic!("{id}"));
            html[at..].split("</section>").next().unwrap().to_owned()
        };
        assert_eq!(section(&html), section(&other), "{id}");
    }

    // Something else is not.
    let thesis = app.world.write("thesis.html", b"years of work");
    app.report(&thesis);
    assert!(app.project().runs.report_error.as_ref().unwrap().contains("is no report of Graft"));
    assert_eq!(std::fs::read(&thesis).unwrap(), b"years of work");
    assert_eq!(app.project().runs.report.as_deref(), Some(path.as_path()));

    // Pictures that are gone are no reason not to write it.
    std::fs::remove_dir_all(app.world.path("set")).unwrap();
    app.report(&path);
    assert!(app.project().runs.report_error.is_none());
}

#[test]
fn without_a_head_there_is_nothing_to_report_and_nothing_kept() {
    let mut app = App::new();
    app.do_it(Command::CreateProject(app.world.path("empty.graft")));
    app.wait("the project is there", |s| s.project.is_some() && s.is_idle());
    assert!(Action::WriteReport.availability(&app.runner.state).is_err());
    app.do_it(Command::WriteReport(app.world.path("r.html")));
    app.wait("nothing happens", AppState::is_idle);
    assert!(app.ids().is_empty() && !app.world.path("r.html").exists());
    for command in [
        Command::NameRun(RunId(7), "x".to_owned()),
        Command::DeleteRun(RunId(7)),
        Command::ChooseRun { id: RunId(7), on: true },
    ] {
        app.do_it(command);
    }
    assert!(app.project().data.run_marks.is_empty() && app.project().runs.chosen.is_empty());
}
