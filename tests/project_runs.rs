//! Runs in the project file: kept, marked, dropped, and what older files have.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use graft::classes::{ClassIdx, ClassSet};
use graft::dataset::Split;
use graft::embedding::EmbeddingSpace;
use graft::head::{HeadKind, TrainRecord};
use graft::metrics::Report;
use graft::project::runs::{DataRevision, Judged, Run, RunAnswer, RunId, RunMarks, Runs, SHORT_HASH};
use graft::project::{Edit, Project};
use graft::store::project::{Access, Opened, ProjectFile, ReadOnlyReason, Write};
use ndarray::Array2;
use rusqlite::Connection;

/// A run on `n` judged images, whose contents are told apart by `data`.
fn run(id: u32, n: usize, data: u8) -> Run {
    let classes = ClassSet::from_ordered(["ant", "bee"]);
    let hash = |i: usize| *blake3::hash(&[data, i as u8, (i >> 8) as u8]).as_bytes();
    let images = (0..n).map(|i| (hash(i), ClassIdx::from(i % 2), Split::Val));
    let p = Array2::from_shape_fn((n, 2), |(row, class)| if (row % 2 == class) == (row % 5 != 0) { 0.9 } else { 0.1 });
    let y: Vec<ClassIdx> = (0..n).map(|i| ClassIdx::from(i % 2)).collect();
    let short = |i: usize| *hash(i).first_chunk::<SHORT_HASH>().unwrap();
    let mut judged: Vec<Judged> = (0..n).map(|i| Judged { hash: short(i), truth: (i % 2) as u16 }).collect();
    judged.sort_unstable();
    Run {
        id: RunId(id),
        unix_secs: 1_795_705_500 + u64::from(id) * 3600,
        model: "Starter".to_owned(),
        space: EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim: 2 },
        data: DataRevision::new(classes.clone(), images, (false, 0.2, 3)),
        record: TrainRecord::unfitted(HeadKind::Prototype, None),
        val: Report::new(p.view(), &y, &classes, 0).ok(),
        test: None,
        judged: judged.into(),
        answers: (0..n).map(|i| RunAnswer { class: (i % 3 % 2) as u16, confidence: 0.5 + i as f32 / 4000.0 }).collect(),
    }
}

fn add(run: &Run) -> Write {
    Write::AddRun(Box::new(run.clone()))
}

/// Marks a run, in memory and as a write.
fn mark(project: &mut Project, id: u32, change: impl FnOnce(&mut RunMarks)) -> Write {
    let changes = vec![project.run_change(RunId(id), change).unwrap()];
    let edit = Edit { title: "mark".to_owned(), changes };
    project.apply(&edit);
    Write::Did(edit)
}

fn count(path: &Path, table: &str) -> i64 {
    Connection::open(path).unwrap().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn runs_come_back_as_they_were_with_what_is_said_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.graft");
    let mut file = ProjectFile::create(&path, "p").unwrap();
    let mut project = Project::default();
    let runs = [run(0, 40, 0), run(1, 40, 0), run(2, 0, 1)];
    file.write(&runs.iter().map(add).collect::<Vec<_>>()).unwrap();
    let name = mark(&mut project, 1, |marks| marks.name = "before <cleaning>".to_owned());
    let delete = mark(&mut project, 0, |marks| marks.is_deleted = true);
    file.write(&[name, delete]).unwrap();
    drop(file);

    let Opened { mut file, project: loaded, runs: found, history, .. } = ProjectFile::open(&path).unwrap();
    assert_eq!(found, Runs::from_parts(runs.to_vec(), 3));
    assert!(Arc::ptr_eq(&found.all()[0].judged, &found.all()[1].judged), "one state of the data is there once");
    assert_eq!((loaded.run_marks.clone(), history.undoable().unwrap().title.as_str()), (project.run_marks, "mark"));
    let shown: Vec<u32> = found.shown(&loaded.run_marks).iter().map(|run| run.id.0).collect();
    assert_eq!(shown, [2, 1]);
    // Undone, the deleted one is back.
    file.write(&[Write::Undid]).unwrap();
    drop(file);
    let opened = ProjectFile::open(&path).unwrap();
    assert_eq!(opened.runs.shown(&opened.project.run_marks).len(), 3);
    assert_eq!(opened.project.run_marks[&RunId(1)].title(RunId(1)), "before <cleaning>");
    drop(opened);
    assert_eq!((count(&path, "run"), count(&path, "judged")), (3, 2));
}

#[test]
fn dropped_runs_leave_nothing_and_their_identifiers_are_not_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.graft");
    let mut file = ProjectFile::create(&path, "p").unwrap();
    file.write(&[add(&run(0, 30, 0)), add(&run(1, 30, 1))]).unwrap();
    file.write(&[Write::DropRuns(vec![RunId(1), RunId(9)])]).unwrap();
    // An edit of one that is gone is none.
    let gone = mark(&mut Project::default(), 1, |marks| marks.is_pinned = true);
    file.write(&[gone]).unwrap();
    drop(file);
    assert_eq!((count(&path, "run"), count(&path, "judged")), (1, 1));
    let mut opened = ProjectFile::open(&path).unwrap();
    assert!(opened.project.run_marks.is_empty());
    let kept = opened.runs.keep(vec![run(0, 30, 2)], &opened.project.run_marks);
    assert_eq!(kept.added[0].id, RunId(2));
}

#[test]
fn older_files_have_no_runs_and_get_room_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.graft");
    Connection::open(&path).unwrap().execute_batch(include_str!("fixtures/project_v1.sql")).unwrap();
    let before = std::fs::read(&path).unwrap();
    // Read, it stays as it is.
    let read = ProjectFile::read(&path).unwrap();
    assert!(read.runs.all().is_empty() && read.info.migrated_from == Some(1));
    assert_eq!(read.file.access(), &Access::ReadOnly { why: ReadOnlyReason::Reading });
    drop(read);
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let mut opened = ProjectFile::open(&path).unwrap();
    opened.file.write(&[add(&run(0, 10, 0))]).unwrap();
    // A window has it open: it can be read all the same, with what was written last.
    assert_eq!(ProjectFile::read(&path).unwrap().runs.all().len(), 1);
    drop(opened);
    assert_eq!(ProjectFile::open(&path).unwrap().runs.all().len(), 1);
}

#[test]
fn a_run_that_cannot_be_understood_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.graft");
    for damage in [
        "UPDATE run SET answers = x'0102' WHERE id = 0",
        "UPDATE run SET facts = '{}' WHERE id = 0",
        "UPDATE run SET marks = 'no' WHERE id = 0",
        "UPDATE judged SET images = x'00' WHERE id = (SELECT judged FROM run WHERE id = 0)",
    ] {
        std::fs::remove_file(&path).ok();
        let mut file = ProjectFile::create(&path, "p").unwrap();
        file.write(&[add(&run(0, 10, 0)), add(&run(1, 10, 1))]).unwrap();
        drop(file);
        Connection::open(&path).unwrap().execute_batch(damage).unwrap();
        let opened = ProjectFile::open(&path).unwrap();
        assert_eq!(opened.runs.all().iter().map(|run| run.id.0).collect::<Vec<_>>(), [1], "{damage}");
    }
}
