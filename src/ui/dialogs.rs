//! The system's dialogs for files, on threads of their own, and the box that takes a typed path where there are none.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use eframe::egui::{Context, Id, Key};

use super::cx::Cx;
use super::widgets as text;
use super::widgets::{Button, Dialog as Modal, FieldEvent, dialog_buttons, rename_field};
use crate::app::{Command, Dialog, DropInto};

/// A dialog that answers "cancelled" sooner than anybody could have seen it was never there: the system has no portal and
/// no helper program for it.
const NEVER_SHOWN: Duration = Duration::from_millis(250);

struct Answer {
    dialog: Dialog,
    paths: Option<Vec<PathBuf>>,
    took: Duration,
}

/// The dialogs of the system.
pub struct Dialogs {
    ctx: Context,
    sender: Sender<Answer>,
    answers: Receiver<Answer>,
    open: Option<Dialog>,
    failed: Option<Dialog>,
    unopened: (Sender<PathBuf>, Receiver<PathBuf>),
}

impl Dialogs {
    /// None is open.
    pub fn new(ctx: Context) -> Self {
        let (sender, answers) = unbounded();
        Self { ctx, sender, answers, open: None, failed: None, unopened: unbounded() }
    }

    /// Shows a dialog, unless one is open. `dir` is where it begins.
    pub fn show(&mut self, dialog: Dialog, dir: Option<PathBuf>) {
        if self.open.is_some() {
            return;
        }
        self.open = Some(dialog);
        let mut file = rfd::AsyncFileDialog::new().set_title(title(dialog));
        if let Some(dir) = dir
            .filter(|_| matches!(dialog, Dialog::NewProject | Dialog::OpenProject | Dialog::SaveCopy | Dialog::Report))
        {
            file = file.set_directory(dir);
        }
        let images = ["jpg", "jpeg", "png", "webp", "gif", "tif", "tiff", "bmp"];
        file = match dialog {
            Dialog::AddFiles | Dialog::PredictFiles => file.add_filter("Images", &images),
            Dialog::OpenProject => file.add_filter("Graft projects", &["graft"]),
            Dialog::NewProject => file.add_filter("Graft projects", &["graft"]).set_file_name("Untitled.graft"),
            Dialog::SaveCopy => file.add_filter("Graft projects", &["graft"]).set_file_name("Copy.graft"),
            Dialog::ImportModel => file.add_filter("ONNX models", &["onnx"]),
            Dialog::SavePredictions => file.add_filter("Tables", &["csv"]).set_file_name("predictions.csv"),
            Dialog::Report => file.add_filter("HTML", &["html"]).set_file_name("report.html"),
            _ => file,
        };
        // The dialog is made on this thread, as some systems want it, and waited for on another.
        let future: std::pin::Pin<Box<dyn Future<Output = Option<Vec<rfd::FileHandle>>> + Send>> = match dialog {
            Dialog::AddFolder | Dialog::PredictFolder | Dialog::Strangers => Box::pin(file.pick_folders()),
            Dialog::SortPredictions | Dialog::ExportDir | Dialog::Relocate(_) => {
                let folder = file.pick_folder();
                Box::pin(async { folder.await.map(|f| vec![f]) })
            }
            Dialog::AddFiles | Dialog::PredictFiles => Box::pin(file.pick_files()),
            Dialog::OpenProject | Dialog::ImportModel | Dialog::Runtime => {
                let file = file.pick_file();
                Box::pin(async { file.await.map(|f| vec![f]) })
            }
            Dialog::NewProject | Dialog::SaveCopy | Dialog::SavePredictions | Dialog::Report => {
                let file = file.save_file();
                Box::pin(async { file.await.map(|f| vec![f]) })
            }
        };
        let (sender, ctx) = (self.sender.clone(), self.ctx.clone());
        let started = Instant::now();
        let thread = std::thread::Builder::new().name("dialog".to_owned()).spawn(move || {
            let files = pollster::block_on(future);
            let paths = files.map(|f| f.into_iter().map(|f| named(dialog, f.path().to_owned())).collect());
            // Nobody waits for the answer any more when the window is closed.
            if sender.send(Answer { dialog, paths, took: started.elapsed() }).is_ok() {
                ctx.request_repaint();
            }
        });
        if thread.is_err() {
            self.open = None;
            self.failed = Some(dialog);
        }
    }

    /// The commands that answers mean.
    pub fn take(&mut self, out: &mut Vec<Command>) {
        while let Ok(answer) = self.answers.try_recv() {
            self.open = None;
            match answer.paths {
                Some(paths) if !paths.is_empty() => out.extend(command(answer.dialog, paths)),
                _ if answer.took < NEVER_SHOWN => self.failed = Some(answer.dialog),
                _ => {}
            }
        }
    }

    /// Shows a folder in the system's file manager, which may take a while to begin.
    pub fn open_folder(&self, path: PathBuf) {
        let (sender, ctx) = (self.unopened.0.clone(), self.ctx.clone());
        let open = move || {
            if let Err(error) = open::that(&path) {
                tracing::warn!(%error, path = %path.display(), "the folder could not be shown");
                sender.send(path).ok();
                ctx.request_repaint();
            }
        };
        if let Err(error) = std::thread::Builder::new().name("show folder".to_owned()).spawn(open) {
            tracing::warn!(%error, "no thread to show a folder");
        }
    }

    /// A folder that could not be shown.
    pub fn take_unopened(&mut self) -> Option<PathBuf> {
        self.unopened.1.try_recv().ok()
    }

    /// A dialog that could not be shown: its path is to be typed.
    pub fn take_failed(&mut self) -> Option<Dialog> {
        self.failed.take()
    }
}

/// The file to be written for the name that was given. The system's dialog asked before the name had its extension: a
/// file that has it already is not replaced, the new one gets a number.
fn named(dialog: Dialog, path: PathBuf) -> PathBuf {
    let extension = match dialog {
        Dialog::NewProject | Dialog::SaveCopy => "graft",
        Dialog::SavePredictions => "csv",
        Dialog::Report => "html",
        _ => return path,
    };
    if path.extension().is_some() {
        return path;
    }
    let stem = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let numbered = (2..1000).map(|n| format!("{stem} {n}.{extension}"));
    std::iter::once(format!("{stem}.{extension}"))
        .chain(numbered)
        .map(|name| path.with_file_name(name))
        .find(|path| !path.exists())
        .unwrap_or(path)
}

/// What choosing paths in a dialog means.
fn command(dialog: Dialog, paths: Vec<PathBuf>) -> Option<Command> {
    let one = paths.first().cloned();
    Some(match dialog {
        Dialog::AddFolder | Dialog::AddFiles => Command::Drop { paths, into: DropInto::Add },
        Dialog::PredictFiles | Dialog::PredictFolder => Command::Drop { paths, into: DropInto::Predict },
        Dialog::Strangers => Command::Drop { paths, into: DropInto::Strangers },
        Dialog::NewProject => Command::CreateProject(one?),
        Dialog::SaveCopy => Command::SaveCopy(one?),
        Dialog::SavePredictions => Command::SavePredictions(one?),
        Dialog::Report => Command::WriteReport(one?),
        Dialog::OpenProject => Command::OpenProject(one?),
        Dialog::ImportModel => Command::ImportModel(one?),
        Dialog::SortPredictions => Command::SortPredictions(one?),
        Dialog::ExportDir => Command::SetExportDir(one?),
        Dialog::Runtime => Command::ChooseRuntime(one?),
        Dialog::Relocate(root) => Command::Relocate(root, one?),
    })
}

fn title(dialog: Dialog) -> &'static str {
    match dialog {
        Dialog::AddFolder => "Add a folder of images",
        Dialog::AddFiles => "Add images",
        Dialog::OpenProject => "Open a project",
        Dialog::NewProject => "New project",
        Dialog::SaveCopy => "Save a copy of the project",
        Dialog::ImportModel => "Import a model",
        Dialog::PredictFiles => "Predict images",
        Dialog::PredictFolder => "Predict a folder of images",
        Dialog::Strangers => "Folder of images of none of the classes",
        Dialog::SavePredictions => "Save predictions",
        Dialog::Report => "Write a report",
        Dialog::SortPredictions => "Folder for sorted copies",
        Dialog::ExportDir => "Folder for the export",
        Dialog::Runtime => "ONNX Runtime library",
        Dialog::Relocate(_) => "Where the images are now",
    }
}

/// Takes a typed or pasted path.
#[derive(Default)]
pub struct PathBox {
    open: Option<Option<Dialog>>,
    text: String,
}

impl PathBox {
    /// Whether it is shown.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Opens it, in the place of a dialog or for anything that can be dropped.
    pub fn open(&mut self, instead_of: Option<Dialog>) {
        self.open = Some(instead_of);
        self.text.clear();
    }

    /// Draws it.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ctx: &Context) {
        let Some(instead_of) = self.open else { return };
        let heading = instead_of.map_or("Type or paste a path", title);
        let hint = match instead_of {
            None => "A folder, an image, a model or a project",
            Some(
                Dialog::AddFolder
                | Dialog::PredictFolder
                | Dialog::Strangers
                | Dialog::SortPredictions
                | Dialog::ExportDir,
            ) => "Folder",
            Some(_) => "Path",
        };
        let mut is_done = false;
        let response = Modal::new("path box", heading).width(560.0).show(ctx, |ui| {
            if instead_of.is_some() {
                text::caption(ui, "This system offers no file dialog to Graft, so type or paste the path.");
            }
            let event = rename_field(ui, Id::unique("path box field"), "Path", &mut self.text);
            text::caption(ui, hint);
            let entered = event == FieldEvent::Commit && ui.input(|i| i.key_pressed(Key::Enter));
            dialog_buttons(ui, |ui| {
                let is_typed = !self.text.trim().is_empty();
                let ok = ui.add(Button::new("OK").primary().enabled(is_typed)).clicked();
                is_done = is_typed && (ok || entered);
                ui.add(Button::new("Cancel")).clicked()
            })
        });
        if is_done {
            let paths = typed_paths(&self.text);
            let wanted = match instead_of {
                None => (!paths.is_empty()).then_some(Command::Drop { paths, into: DropInto::Auto }),
                Some(dialog) => command(dialog, paths.into_iter().map(|path| named(dialog, path)).collect()),
            };
            cx.out.extend(wanted);
        }
        if is_done || response.close || response.inner {
            self.open = None;
        }
    }
}

/// The path that was typed: quotes taken off, `~` and `file:` understood. Several stand on lines of their own.
pub fn typed_paths(text: &str) -> Vec<PathBuf> {
    text.lines().map(str::trim).filter(|l| !l.is_empty()).filter_map(path_of_line).collect()
}

/// Paths in text from the clipboard; nothing unless every line is an absolute path.
pub fn paths_of_text(text: &str) -> Vec<PathBuf> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let is_path = |line: &&str| {
        let plain = unquoted(line);
        line.starts_with("file://") || plain.starts_with("~/") || Path::new(plain).is_absolute()
    };
    if lines.is_empty() || !lines.iter().all(is_path) {
        return Vec::new();
    }
    lines.into_iter().filter_map(path_of_line).collect()
}

fn unquoted(line: &str) -> &str {
    let quoted = |q: char| line.strip_prefix(q).and_then(|l| l.strip_suffix(q));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(line)
}

fn path_of_line(line: &str) -> Option<PathBuf> {
    let line = unquoted(line);
    if let Some(rest) = line.strip_prefix("file://") {
        // `file:///path`, or `file://host/path`.
        let path = &rest[rest.find('/')?..];
        return Some(PathBuf::from(percent_decoded(path)));
    }
    if let Some(rest) = line.strip_prefix("~/").or((line == "~").then_some("")) {
        let home = directories::BaseDirs::new()?.home_dir().to_owned();
        return Some(home.join(rest));
    }
    // From where the program was started, as a shell has it; an empty line names nothing.
    std::path::absolute(line).ok()
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()).filter(|_| bytes[i] == b'%') {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn typed_and_pasted_paths_are_understood() {
        let one = |text: &str| typed_paths(text);
        assert_eq!(one("  \"/a b/c\" \n"), [PathBuf::from("/a b/c")]);
        assert_eq!(one("'/a'\nfile:///b%20c"), [PathBuf::from("/a"), PathBuf::from("/b c")]);
        assert_eq!(one("relative/x"), [std::env::current_dir().unwrap().join("relative/x")]);
        assert_eq!(one("file://host/x"), [PathBuf::from("/x")]);
        let home = directories::BaseDirs::new().unwrap().home_dir().to_owned();
        assert_eq!((one("~/x"), one("~")), (vec![home.join("x")], vec![home.clone()]));
        assert_eq!(paths_of_text(&crate::ui::format::path(&home.join("a b"))), [home.join("a b")], "as it is shown");
        assert!(paths_of_text("some words").is_empty() && paths_of_text("").is_empty());
        assert!(paths_of_text("/a\nand words").is_empty());
        assert_eq!(paths_of_text("file:///a%C3%A9\n").len(), 1);
    }

    #[test]
    fn files_to_be_written_get_their_extension() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert_eq!(named(Dialog::NewProject, at("pets")), at("pets.graft"));
        std::fs::write(at("answers.csv"), "").unwrap();
        assert_eq!(
            named(Dialog::SavePredictions, at("answers")),
            at("answers 2.csv"),
            "nobody was asked about that one"
        );
        assert_eq!(named(Dialog::SavePredictions, at("answers.csv")), at("answers.csv"), "this one was asked about");
        assert_eq!(named(Dialog::ExportDir, at("out")), at("out"));
        assert_eq!(command(Dialog::OpenProject, Vec::new()), None);
        let add = command(Dialog::AddFolder, vec!["/x".into()]);
        assert!(matches!(add, Some(Command::Drop { into: DropInto::Add, .. })), "also where drops are predicted");
    }
}
