//! `graft report`

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::args::ReportArgs;
use super::output::{percent, print, print_json, report_json};
use super::terminal::Terminal;
use crate::backbone::library;
use crate::progress::Reporter;
use crate::project::runs::{RunId, RunMarks, Runs};
use crate::project::{Project, ProjectSettings};
use crate::store::dirs;
use crate::store::project::{Opened, ProjectFile};
use crate::workflow::models::{open_cache, open_model, open_path_with};
use crate::workflow::report::{
    Gathered, ReportError, check_target, document, folder_name, from_folder, from_project, write,
};
use crate::workflow::{SharedCache, WorkflowError};

pub(super) fn run(args: &ReportArgs, terminal: &Terminal) -> Result<()> {
    let replaced = |error: ReportError| match error {
        error @ ReportError::Occupied { .. } => anyhow::anyhow!("{error}, or say --force to replace it"),
        error => error.into(),
    };
    match args.runs.as_deref() {
        Some(_) if args.project.is_none() => {
            bail!("--runs compares runs of a project: say --project instead of --images")
        }
        _ => {}
    }
    check_target(&args.out, args.force).map_err(replaced)?;
    let cache = open_cache(terminal);
    let embed = args.model.run.embed();
    let (mut gathered, backbone) = match (&args.images, &args.project) {
        (Some(images), _) => {
            let backbone = open_model(args.model.model.as_deref(), args.model.layer.as_deref(), &cache)?;
            let seed = args.seed.unwrap_or(0);
            let folders = (images.as_path(), args.val.as_deref());
            (from_folder(&backbone, folders, seed, embed, &cache, terminal)?, backbone)
        }
        (None, Some(path)) => {
            let Opened { mut project, runs, .. } = ProjectFile::read(path)?;
            overridden(&mut project.settings, args);
            let backbone = open_as(&project.settings, &cache)?;
            let compared = match args.runs.as_deref() {
                Some([a, b]) => {
                    let pair = (find_run(a, &runs, &project)?, find_run(b, &runs, &project)?);
                    if pair.0 == pair.1 {
                        bail!("--runs compares two runs, and {a:?} and {b:?} are the same");
                    }
                    Some(pair)
                }
                _ => None,
            };
            let title = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let source = (title.as_str(), &project, &runs);
            (from_project(&backbone, source, compared, embed, &cache, terminal)?, backbone)
        }
        (None, None) => bail!("either --images or --project is wanted"),
    };
    if args.curve {
        gathered.draw_curve(&backbone, &cache, terminal)?;
    }
    let heads: Vec<_> = gathered.heads().iter().collect();
    let input = gathered.input(&backbone, &heads, command(args), args.full_paths)?;
    let document = document(input, terminal)?;
    if terminal.cancelled() {
        return Err(WorkflowError::Cancelled.into());
    }
    write(&args.out, &document, args.force).map_err(replaced)?;
    said(args, &gathered)
}

fn said(args: &ReportArgs, gathered: &Gathered) -> Result<()> {
    let head = gathered.shown();
    let report = head.and_then(|head| head.val.as_ref().or(head.test.as_ref()));
    if args.json {
        return print_json(&json!({
            "out": args.out.to_string_lossy(),
            "head": head.map(|head| head.trained.record.kind),
            "figures": report.map(report_json),
        }));
    }
    let accuracy = report.map_or_else(String::new, |report| {
        let interval = report.accuracy.interval;
        let (low, high) = (percent(interval.low), percent(interval.high));
        format!(": accuracy {} ({low} to {high} at 95 %) on {} images", percent(report.accuracy.value), report.n_rows)
    });
    print(&format!("Wrote {}{accuracy}", args.out.display()))
}

/// What the command line says goes before what the project says.
fn overridden(settings: &mut ProjectSettings, args: &ReportArgs) {
    if let Some(model) = &args.model.model {
        (settings.layer, settings.preprocess) = (None, None);
        settings.model = Some(model.clone());
    }
    if let Some(layer) = &args.model.layer {
        settings.layer = Some(layer.clone());
    }
    if let Some(seed) = args.seed {
        settings.seed = seed;
    }
}

/// The backbone that a project uses.
fn open_as(settings: &ProjectSettings, cache: &SharedCache) -> Result<crate::backbone::Backbone> {
    let path = library::find(settings.model.as_deref(), &dirs::model_dirs()).map_err(WorkflowError::from)?;
    Ok(open_path_with(&path, settings.layer.as_deref(), settings.preprocess.clone(), cache)?)
}

/// A run by its name, or by its number as the window shows it.
fn find_run(wanted: &str, runs: &Runs, project: &Project) -> Result<RunId> {
    let marks = &project.run_marks;
    let shown = runs.shown(marks);
    let title = |id: RunId| marks.get(&id).cloned().unwrap_or_default().title(id);
    let number = wanted.strip_prefix("Run ").unwrap_or(wanted);
    let is_it = |id: RunId| title(id) == wanted || RunMarks::default().title(id) == format!("Run {number}");
    // A name goes before a number.
    let found = shown.iter().find(|run| title(run.id) == wanted).or_else(|| shown.iter().find(|run| is_it(run.id)));
    found.map(|run| run.id).with_context(|| match shown.as_slice() {
        [] => format!("there is no run {wanted:?}: the project has kept none yet, open it in the window and train"),
        some => {
            let names: Vec<String> = some.iter().take(12).map(|run| title(run.id)).collect();
            format!("there is no run {wanted:?}: the project has {}", names.join(", "))
        }
    })
}

/// The command that gives such a report, without where things lie on this machine unless that is wanted.
fn command(args: &ReportArgs) -> String {
    let shown = |path: &Path| if args.full_paths { path.display().to_string() } else { folder_name(path) };
    let mut words = vec!["graft".to_owned(), "report".to_owned()];
    let mut say = |flag: &str, value: String| words.extend([flag.to_owned(), quoted(&value)]);
    let paths = [("--images", &args.images), ("--val", &args.val), ("--project", &args.project)];
    paths.into_iter().for_each(|(flag, path)| path.iter().for_each(|path| say(flag, shown(path))));
    let model = args.model.model.as_ref().map(|model| match Path::new(model).components().count() {
        0 | 1 => model.clone(),
        _ => shown(Path::new(model)),
    });
    model.into_iter().for_each(|model| say("--model", model));
    args.model.layer.iter().for_each(|layer| say("--layer", layer.clone()));
    args.seed.iter().for_each(|seed| say("--seed", seed.to_string()));
    if let Some([a, b]) = args.runs.as_deref() {
        words.extend(["--runs".to_owned(), quoted(a), quoted(b)]);
    }
    if args.curve {
        words.push("--curve".to_owned());
    }
    let mut say = |flag: &str, value: String| words.extend([flag.to_owned(), quoted(&value)]);
    say("--out", shown(&args.out));
    words.join(" ")
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("pets/cat-1.jpg"), "pets/cat-1.jpg");
        assert_eq!(
            (quoted("my pets"), quoted("it's"), quoted("")),
            ("'my pets'".into(), "'it'\\''s'".into(), "''".into())
        );
    }
}
