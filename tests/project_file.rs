//! The project file: what is written is there again, whatever comes between.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use graft::classes::{ClassIdx, ClassSet};
use graft::dataset::Split;
use graft::embedding::EmbeddingSpace;
use graft::head::{
    ChosenBy, ClassWeight, Distance, Head, HeadKind, LinearHead, PathPoint, PrototypeHead, TrainRecord, UnknownWish,
};
use graft::metrics::Report;
use graft::project::{
    Change, ClassId, Edit, FaultKind, History, Image, ImageId, MAX_EDITS, N_COLOURS, Project, ProjectSettings, RootId,
};
use graft::rng::SplitMix64;
use graft::store::project::{
    Access, MovedRoot, Opened, OutOfStep, ProjectFile, ProjectFileError, ReadOnlyReason, StoredHead, Write,
};
use ndarray::array;
use rusqlite::Connection;

/// A project in memory with what is to be written of it.
#[derive(Clone, Debug, Default)]
struct Model {
    project: Project,
    history: History,
    heads: Vec<StoredHead>,
    writes: Vec<Write>,
}

impl Model {
    fn root(&mut self, path: impl Into<PathBuf>) -> RootId {
        let (path, n) = (path.into(), self.project.roots.len());
        let id = self.project.root(&path);
        if id.as_usize() == n {
            self.writes.push(Write::AddRoot { id, path });
        }
        id
    }

    fn add(&mut self, images: Vec<Image>) {
        let first = ImageId::from(self.project.images.len());
        self.project.images.extend(images.iter().cloned());
        self.writes.push(Write::AddImages { first, images });
    }

    fn did(&mut self, title: &str, changes: Vec<Change>) {
        let edit = Edit { title: title.to_owned(), changes };
        self.project.apply(&edit);
        self.history.push(edit.clone());
        self.writes.push(Write::Did(edit));
    }

    fn undo(&mut self) {
        if let Some(edit) = self.history.undo() {
            self.project.apply(&edit.inverse());
            self.writes.push(Write::Undid);
        }
    }

    fn redo(&mut self) {
        if let Some(edit) = self.history.redo() {
            self.project.apply(edit);
            self.writes.push(Write::Redid);
        }
    }

    fn class(&mut self, name: &str) -> ClassId {
        let (id, change) = self.project.add_class_change(name);
        self.did(&format!("add class {name}"), vec![change]);
        id
    }

    fn write_to(&mut self, file: &mut ProjectFile) {
        file.write(&std::mem::take(&mut self.writes)).unwrap();
    }

    #[track_caller]
    fn assert_is(&self, opened: &Opened) {
        assert_eq!(opened.project, self.project);
        assert_eq!(opened.history, self.history);
        assert_eq!(opened.heads, self.heads);
    }
}

fn image(root: RootId, rel: impl Into<PathBuf>) -> Image {
    Image {
        root,
        rel: rel.into(),
        hash: None,
        class: None,
        split: None,
        is_present: true,
        skipped: None,
        is_guessed: false,
    }
}

/// A file of `n` images and two classes, and the model of it.
fn small(path: &Path, n: usize) -> (ProjectFile, Model) {
    let mut file = ProjectFile::create(path, "Small").unwrap();
    let mut model = Model::default();
    let root = model.root(path.parent().unwrap());
    model.add((0..n).map(|i| image(root, format!("{i}.png"))).collect());
    model.class("ant");
    model.class("bee");
    model.write_to(&mut file);
    (file, model)
}

fn open(path: &Path) -> Opened {
    let opened = ProjectFile::open(path).unwrap();
    assert_eq!(opened.file.access(), &Access::Writable);
    opened
}

fn open_error(path: &Path) -> ProjectFileError {
    ProjectFile::open(path).map(|_| ()).unwrap_err()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// All files of a folder that a killed process could leave: copied while the project is open.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        if from.join(&name).is_file() && !name.ends_with("-lock") {
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

#[test]
fn a_new_project_is_one_file_with_nothing_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/flowers.graft");
    let file = ProjectFile::create(&path, "Flowers").unwrap();
    assert_eq!(file.access(), &Access::Writable);
    assert_eq!(names(path.parent().unwrap())[..2], ["flowers.graft", "flowers.graft-lock"]);
    drop(file);
    assert_eq!(names(path.parent().unwrap()), ["flowers.graft"]);
    let opened = open(&path);
    Model::default().assert_is(&opened);
    assert_eq!(opened.info.name, "Flowers");
    assert_eq!(opened.info.migrated_from, None);
    drop(opened);
    let before = fs::read(&path).unwrap();
    assert!(matches!(ProjectFile::create(&path, "x"), Err(ProjectFileError::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(path.parent().unwrap()), ["flowers.graft"]);
}

/// One random action of a user.
fn act(model: &mut Model, rng: &mut SplitMix64) {
    let n = model.project.images.len();
    let some = |rng: &mut SplitMix64| -> Vec<ImageId> {
        let (start, every) = (rng.below(n.max(1)), 1 + rng.below(3));
        (start..n).step_by(every).take(rng.below(40)).map(ImageId::from).collect()
    };
    let live: Vec<ClassId> = model.project.sorted_classes().iter().map(|(id, _)| *id).collect();
    let pick = |rng: &mut SplitMix64| (!live.is_empty()).then(|| live[rng.below(live.len())]);
    match rng.below(15) {
        0 => {
            let root = model.root(format!("/no/such/{}", rng.below(3)));
            let images: Vec<_> = (0..rng.below(60))
                .map(|i| Image {
                    class: pick(rng),
                    split: [None, Some(Split::Train), Some(Split::Test)][rng.below(3)],
                    is_present: false,
                    hash: (rng.below(2) == 0).then_some([rng.below(256) as u8; 32]),
                    ..image(root, format!("{}/{i}.png", rng.below(1000)))
                })
                .collect();
            let ids: Vec<_> = (n..n + images.len()).map(ImageId::from).collect();
            model.add(images);
            let changes = model.project.presence_changes(ids, true);
            model.did("import", changes);
        }
        1 => drop(model.class(&format!("class {}", rng.below(1_000_000)))),
        2..=4 => {
            let (ids, class): (Vec<ImageId>, _) = (some(rng), pick(rng));
            let changes = match class {
                Some(class) if rng.below(2) == 0 => model.project.guessed_label_changes(&ids, class),
                class => model.project.label_changes(ids, class),
            };
            model.did("label", changes);
        }
        5 => {
            let split = [None, Some(Split::Val), Some(Split::Test)][rng.below(3)];
            let changes = model.project.split_changes(some(rng), split);
            model.did("split", changes);
        }
        6 => {
            let changes = model.project.presence_changes(some(rng), rng.below(2) == 0);
            model.did("remove or restore", changes);
        }
        7 => {
            // Delete a class: its images lose it.
            let Some(id) = pick(rng) else { return };
            let of_class: Vec<_> = (0..n).filter(|&i| model.project.images[i].class == Some(id)).collect();
            let mut changes = model.project.label_changes(of_class.into_iter().map(ImageId::from), None);
            changes.push(Change::Class { id, before: model.project.class(id).cloned(), after: None });
            model.did("delete a class", changes);
        }
        8 => {
            let Some(id) = pick(rng) else { return };
            let before = model.project.class(id).cloned();
            let mut after = before.clone();
            after.as_mut().unwrap().colour = rng.below(N_COLOURS) as u8;
            model.did("colour", vec![Change::Class { id, before, after }]);
        }
        9 => {
            let before = model.project.settings.clone();
            let after = ProjectSettings {
                unknown: UnknownWish::Probability { below: 0.1 * rng.below(10) as f32 },
                seed: rng.next_u64(),
                val_fraction: 0.1 + rng.below(7) as f64 / 13.0,
                head: [None, Some(HeadKind::Linear)][rng.below(2)],
                ..before.clone()
            };
            model.did("settings", vec![Change::Settings { before: before.into(), after: after.into() }]);
        }
        10 | 11 => model.undo(),
        12 => model.redo(),
        13 => {
            let kind = FaultKind::ALL[rng.below(4)];
            let changes = model.project.dismissal_changes(some(rng), kind, rng.below(3) > 0);
            model.did("dismiss", changes);
        }
        _ => {
            let ids = some(rng);
            let hashes: Vec<_> = ids.iter().map(|id| (*id, [rng.below(256) as u8; 32])).collect();
            for (id, hash) in &hashes {
                model.project.set_hash(*id, *hash);
            }
            let skips: Vec<_> =
                ids.iter().take(3).map(|id| (*id, (rng.below(2) == 0).then(|| "too \"small\"".to_owned()))).collect();
            for (id, reason) in &skips {
                model.project.set_skipped(*id, reason.clone());
            }
            model.writes.extend([Write::Hashes(hashes), Write::Skips(skips)]);
        }
    }
}

#[test]
fn any_sequence_of_actions_is_there_after_reopening() {
    for seed in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.graft");
        let mut rng = SplitMix64::new(seed);
        let (mut file, mut model) = small(&path, 30);
        for _ in 0..8 {
            for _ in 0..10 {
                act(&mut model, &mut rng);
                if rng.below(3) == 0 {
                    model.write_to(&mut file);
                }
            }
            model.write_to(&mut file);
            drop(file);
            let opened = open(&path);
            model.assert_is(&opened);
            file = opened.file;
        }
        drop(file);
        // And with every edit taken back.
        let mut opened = open(&path);
        while model.history.undoable().is_some() {
            model.undo();
        }
        model.write_to(&mut opened.file);
        drop(opened);
        model.assert_is(&open(&path));
    }
}

#[test]
fn the_oldest_edits_are_forgotten_as_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.graft");
    let (mut file, mut model) = small(&path, 5);
    for i in 0..MAX_EDITS + 20 {
        let class = Some(ClassId((i % 2) as u32));
        let changes = model.project.label_changes([ImageId((i % 5) as u32)], class);
        model.did(&i.to_string(), changes);
    }
    model.write_to(&mut file);
    drop(file);
    let mut opened = open(&path);
    model.assert_is(&opened);
    (0..MAX_EDITS).for_each(|_| model.undo());
    assert!(model.history.undoable().is_none());
    model.write_to(&mut opened.file);
    drop(opened);
    let mut opened = open(&path);
    model.assert_is(&opened);
    model.redo();
    model.redo();
    model.did("another way", Vec::new());
    model.write_to(&mut opened.file);
    drop(opened);
    model.assert_is(&open(&path));
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_survive() {
    use std::os::unix::ffi::OsStringExt;
    let name = |bytes: &[u8]| PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name(b"\xe4\xf6.graft"));
    let mut file = ProjectFile::create(&path, "Ä").unwrap();
    let mut model = Model::default();
    let root = model.root(dir.path().join(name(b"pictures \xff")));
    model.add(vec![image(root, name(b"a/\xfe.png")), image(root, "a/ä.png"), image(root, "%41 'x'\n.png")]);
    model.write_to(&mut file);
    let copy = dir.path().join(name(b"copy \xe4.graft"));
    file.copy_to(&copy).unwrap();
    drop(file);
    model.assert_is(&open(&path));
    model.assert_is(&open(&copy));
}

/// Heads of two classes and three dimensions that use all there is to store.
fn heads() -> Vec<StoredHead> {
    let space = EmbeddingSpace { backbone: "b".into(), layer: "l|gap".into(), preprocess: "p".into(), dim: 3 };
    let classes = ClassSet::from_ordered(["ant", "bee"]);
    let matrix = array![[0.1_f32, -f32::MIN_POSITIVE, 3e38], [1.0, 2.0, -0.0]];
    let probabilities = array![[0.25_f32, 0.75], [0.9, 0.1], [0.5, 0.5]];
    let y = [ClassIdx(1), ClassIdx(0), ClassIdx(1)];
    let report = Report::new(probabilities.view(), &y, &classes, 3).unwrap();
    let record = TrainRecord {
        kind: HeadKind::Linear,
        n_train: 12,
        chosen_by: ChosenBy::Defaults,
        temperature: 1.0 / 3.0,
        temperature_by: None,
        selection_accuracy: Some(0.1 + 0.2),
        selection_log_loss: None,
        c: Some(1e-4),
        path: Vec::<PathPoint>::new(),
        loss_curve: vec![0.7, 1e-300],
        n_iter: 4,
        converged: true,
        class_weight: ClassWeight::Balanced,
        distance: None,
        seed: u64::MAX,
        text: None,
    };
    let stored = |head, val, test| StoredHead {
        head,
        record: record.clone(),
        val,
        test,
        class_ids: vec![ClassId(4), ClassId(2)],
        revision: u64::MAX - 1,
        n_train: 12,
        n_val: 3,
    };
    let linear = LinearHead::new(space.clone(), classes.clone(), matrix.clone(), array![0.5, -0.5]).unwrap();
    let prototype = PrototypeHead::new(space, classes, matrix, Distance::Cosine, 0.07).unwrap();
    vec![
        stored(Head::Linear(linear), Some(report.clone()), None),
        stored(Head::Prototype(prototype), None, Some(report)),
    ]
}

#[test]
fn heads_come_back_bit_for_bit_and_are_replaced_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.graft");
    let (mut file, mut model) = small(&path, 3);
    model.heads = heads();
    assert_eq!(model.heads[1].kind(), HeadKind::Prototype);
    file.write(&[Write::Heads(heads())]).unwrap();
    drop(file);
    let mut opened = open(&path);
    model.assert_is(&opened);
    model.heads.truncate(1);
    opened.file.write(&[Write::Heads(model.heads.clone())]).unwrap();
    drop(opened);
    model.assert_is(&open(&path));

    // One that cannot be understood is no reason to refuse the project.
    for damage in ["matrix = x'00'", "meta = '{}'", "class_ids = '[1]'", "record = 'x'", "n_val = -1"] {
        let opened = open(&path);
        let mut file = opened.file;
        file.write(&[Write::Heads(heads())]).unwrap();
        drop(file);
        Connection::open(&path).unwrap().execute(&format!("UPDATE head SET {damage} WHERE id = 1"), []).unwrap();
        let opened = open(&path);
        assert_eq!(opened.heads, heads()[1..], "{damage}");
        assert_eq!(opened.project, model.project);
    }
}

#[test]
fn a_file_of_version_1_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.graft");
    Connection::open(&path).unwrap().execute_batch(include_str!("fixtures/project_v1.sql")).unwrap();
    let version = || -> u32 {
        let db = Connection::open(&path).unwrap();
        db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(version(), 1);
    let mut opened = open(&path);
    assert_eq!(opened.info.migrated_from, Some(1));
    assert_eq!(opened.info.name, "Insects");
    assert_eq!(opened.info.missing_roots, [RootId(0)]);
    let project = &opened.project;
    let settings = ProjectSettings {
        model: Some("starter".into()),
        unknown: UnknownWish::Probability { below: 0.25 },
        val_fraction: 0.3,
        seed: 7,
        ..ProjectSettings::default()
    };
    assert_eq!(project.settings, settings);
    let classes: Vec<_> = project.classes.iter().map(|c| c.as_ref().map(|c| (c.name.as_str(), c.colour))).collect();
    assert_eq!(classes, [Some(("ant", 0)), None, Some(("bee", 2))]);
    assert_eq!(project.images.len(), 3);
    let first = Image {
        class: Some(ClassId(0)),
        split: Some(Split::Train),
        hash: Some([0; 32]),
        ..image(RootId(0), "ant/1.jpg")
    };
    assert_eq!(project.images[0], first);
    assert_eq!(project.images[1].skipped.as_deref(), Some("the file is empty"));
    assert!(!project.images[2].is_present);
    assert_eq!(opened.history.undoable().unwrap().title, "remove 1 image");
    assert_eq!(opened.history.redoable().unwrap().title, "label 1 image as ant");

    // It takes part in everything from then on.
    opened.file.write(&[Write::Undid, Write::Redid, Write::Redid, Write::Heads(heads())]).unwrap();
    drop(opened);
    assert_eq!(version(), 5);
    let opened = open(&path);
    assert_eq!(opened.info.migrated_from, None);
    assert_eq!(opened.project.images[2].class, Some(ClassId(0)));
    assert_eq!(opened.heads, heads());
}

#[test]
fn what_is_no_project_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("text.graft"), "SQLite format 3 is what this is not, however long it may be. ".repeat(9)).unwrap();
    fs::write(path("empty.graft"), b"").unwrap();
    let other = Connection::open(path("other.graft")).unwrap();
    other.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE image (id INTEGER PRIMARY KEY);").unwrap();
    drop(other);
    fs::create_dir(path("folder.graft")).unwrap();
    let before = names(dir.path());
    for name in ["text.graft", "empty.graft", "other.graft", "folder.graft"] {
        let bytes = fs::read(path(name)).ok();
        let error = open_error(&path(name));
        assert!(matches!(error, ProjectFileError::NotAProject { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(name));
        assert_eq!(fs::read(path(name)).ok(), bytes, "{name}");
    }
    assert!(matches!(open_error(&path("none.graft")), ProjectFileError::Missing { .. }));
    assert_eq!(names(dir.path()), before);
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.graft");
    drop(small(&path, 3));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&path).unwrap();
    let error = open_error(&path);
    assert!(matches!(error, ProjectFileError::TooNew { version: 99, known: 5, .. }), "{error:?}");
    assert!(error.to_string().contains("update Graft"));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(dir.path()), ["p.graft"]);
}

#[test]
fn a_damaged_file_is_said_to_be_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.graft");
    drop(small(&path, 2000));
    let good = fs::read(&path).unwrap();
    type Damage<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));
    let damages: [Damage<'_>; 4] = [
        ("half of it is gone", &|bytes| bytes.truncate(good.len() / 2 / 4096 * 4096)),
        ("cut within a page", &|bytes| bytes.truncate(good.len() - 1000)),
        ("overwritten", &|bytes| bytes[8192..].fill(b'x')),
        ("the first page is gone", &|bytes| bytes[100..4096].fill(0)),
    ];
    for (name, damage) in damages {
        let mut bytes = good.clone();
        damage(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        let error = open_error(&path);
        assert!(matches!(error, ProjectFileError::Damaged { .. }), "{name}: {error:?}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{name}");
        assert_eq!(names(dir.path()), ["p.graft"], "{name}");
    }
    for change in [
        "DELETE FROM image WHERE id = 1000",
        "UPDATE image SET root = 7 WHERE id = 5",
        "UPDATE image SET class = 7 WHERE id = 5",
        "UPDATE image SET split = 'x' WHERE id = 5",
        "UPDATE image SET hash = x'00' WHERE id = 5",
        "UPDATE image SET path = 7 WHERE id = 5",
        "UPDATE image SET class = -1 WHERE id = 5",
        "UPDATE edit SET changes = '[' WHERE id = 1",
        "UPDATE meta SET value = 'x' WHERE key = 'settings'",
        "DELETE FROM meta WHERE key = 'done_edit'",
        "DROP TABLE edit",
    ] {
        fs::write(&path, &good).unwrap();
        let db = Connection::open(&path).unwrap();
        db.execute_batch(&format!("PRAGMA foreign_keys = OFF; {change}")).unwrap();
        drop(db);
        let error = open_error(&path);
        assert!(matches!(error, ProjectFileError::Damaged { .. }), "{change}: {error:?}");
    }
    fs::write(&path, &good).unwrap();
    open(&path);
}

#[test]
fn the_second_opener_reads_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.graft");
    let (mut first, mut model) = small(&path, 10);
    let changes = model.project.label_changes((0..5).map(ImageId), Some(ClassId(1)));
    model.did("label", changes);
    model.write_to(&mut first);
    let mut second = ProjectFile::open(&path).unwrap();
    let why = ReadOnlyReason::OpenElsewhere;
    assert_eq!(second.file.access(), &Access::ReadOnly { why: why.clone() });
    model.assert_is(&second);
    let error = second.file.write(&[Write::Undid]).unwrap_err();
    assert!(matches!(&error, ProjectFileError::ReadOnly { why: found, .. } if *found == why), "{error:?}");
    assert!(error.to_string().contains("open in another window"));

    // The first goes on, and the second keeps what it saw.
    model.undo();
    model.write_to(&mut first);
    assert_eq!(second.project.images[0].class, Some(ClassId(1)));
    let copy = dir.path().join("copy.graft");
    second.file.copy_to(&copy).unwrap();
    drop(first);
    assert_eq!(names(dir.path()), ["copy.graft", "p.graft"]);
    model.assert_is(&open(&path));
    model.assert_is(&open(&copy));
    drop(second);
    model.assert_is(&open(&path));
}

#[test]
fn writes_that_do_not_fit_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.graft");
    let (mut file, model) = small(&path, 10);
    let root = RootId(0);
    let label = |class| {
        let mut project = model.project.clone();
        project.classes.resize(100, None);
        Write::Did(Edit { title: String::new(), changes: project.label_changes([ImageId(1)], Some(class)) })
    };
    let settings = ProjectSettings { val_fraction: f64::NAN, ..ProjectSettings::default() };
    let settings = Change::Settings { before: Box::default(), after: Box::new(settings) };
    let cases = [
        (Write::AddImages { first: ImageId(9), images: vec![image(root, "x")] }, "image 9 was to be added where 10"),
        (Write::AddRoot { id: RootId(0), path: "/x".into() }, "root 0 was to be added where 1"),
        (Write::Redid, "no edit to redo"),
        (label(ClassId(7)), "folder or class"),
        (Write::AddImages { first: ImageId(10), images: vec![image(RootId(3), "x")] }, "folder or class"),
        (Write::Did(Edit { title: String::new(), changes: vec![settings] }), "settings cannot be stored"),
    ];
    for (write, says) in cases {
        let error = file.write(&[label(ClassId(0)), Write::Undid, label(ClassId(1)), write]).unwrap_err();
        assert!(matches!(error, ProjectFileError::OutOfStep { .. }), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let n_edits = 2;
    let error = file.write(&vec![Write::Undid; n_edits + 1]).unwrap_err();
    assert!(matches!(error, ProjectFileError::OutOfStep { what: OutOfStep::NothingToUndo, .. }), "{error:?}");
    drop(file);
    model.assert_is(&open(&path));
}

#[test]
fn another_writer_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.graft");
    let (mut file, _) = small(&path, 10);
    file.write(&[Write::Undid]).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute("UPDATE meta SET value = value + 1 WHERE key = 'n_writes'", []).unwrap();
    for _ in 0..2 {
        let error = file.write(&[Write::Undid]).unwrap_err();
        assert!(matches!(error, ProjectFileError::ChangedElsewhere { .. }), "{error:?}");
    }
}

#[test]
fn folders_that_move_with_the_project_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(dir.path()).unwrap();
    let (old, new) = (base.join("old"), base.join("new/place"));
    for sub in ["projects", "pictures/ants", "lost"] {
        fs::create_dir_all(old.join(sub)).unwrap();
    }
    fs::create_dir(base.join("elsewhere")).unwrap();
    let mut file = ProjectFile::create(&old.join("projects/p.graft"), "p").unwrap();
    let mut model = Model::default();
    for path in [old.join("pictures"), old.join("lost"), base.join("elsewhere"), old.join("projects")] {
        model.root(path);
    }
    model.write_to(&mut file);
    file.copy_to(&base.join("elsewhere/copy.graft")).unwrap();
    drop(file);
    fs::create_dir(base.join("new")).unwrap();
    fs::rename(&old, &new).unwrap();
    fs::remove_dir(new.join("lost")).unwrap();

    let path = new.join("projects/p.graft");
    let reader = open(&path);
    // A second opener finds them too, without writing.
    for opened in [&reader, &ProjectFile::open(&path).unwrap()] {
        let expected = [new.join("pictures"), old.join("lost"), base.join("elsewhere"), new.join("projects")];
        assert_eq!(opened.project.roots, expected);
        assert_eq!(opened.info.missing_roots, [RootId(1)]);
    }
    let moved = [(0, "pictures"), (3, "projects")].map(|(id, sub)| MovedRoot {
        id: RootId(id),
        from: old.join(sub),
        to: new.join(sub),
    });
    assert_eq!(reader.info.moved_roots, moved);
    drop(reader);

    // From then on they are where they are, and the project may move alone.
    fs::rename(&path, base.join("p.graft")).unwrap();
    let mut opened = open(&base.join("p.graft"));
    assert_eq!(opened.info.moved_roots, []);
    assert_eq!(opened.project.roots[0], new.join("pictures"));
    fs::create_dir(base.join("found")).unwrap();
    opened.file.write(&[Write::MoveRoot { id: RootId(1), path: base.join("found") }]).unwrap();
    drop(opened);
    assert_eq!(open(&base.join("p.graft")).info.missing_roots, []);

    // A copy made before knows the folders as seen from where it lies.
    let copy = open(&base.join("elsewhere/copy.graft"));
    assert_eq!(copy.info.missing_roots, [RootId(0), RootId(1), RootId(3)]);
    drop(copy);
    fs::rename(&new, base.join("old")).unwrap();
    assert_eq!(open(&base.join("elsewhere/copy.graft")).info.missing_roots, [RootId(1)]);
}

#[test]
fn a_copy_is_whole_and_replaces_only_what_nobody_uses() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (mut file, mut model) = small(&at("p.graft"), 100);
    let changes = model.project.label_changes((0..50).map(ImageId), Some(ClassId(1)));
    model.did("label", changes);
    model.heads = heads();
    model.writes.push(Write::Heads(heads()));
    model.write_to(&mut file);

    fs::write(at("notes.txt"), b"something else").unwrap();
    for name in ["copy.graft", "copy.graft", "notes.txt"] {
        file.copy_to(&at(name)).unwrap();
        model.assert_is(&open(&at(name)));
    }
    fs::hard_link(at("p.graft"), at("hard.graft")).unwrap();
    let mut itself = vec![at("p.graft"), dir.path().join("./p.graft"), at("hard.graft")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("p.graft", at("link.graft")).unwrap();
        itself.push(at("link.graft"));
    }
    for target in itself {
        let error = file.copy_to(&target).unwrap_err();
        assert!(matches!(error, ProjectFileError::CopyOntoItself { .. }), "{error:?}");
    }
    let (other, other_model) = small(&at("other.graft"), 5);
    let error = file.copy_to(&at("other.graft")).unwrap_err();
    assert!(matches!(error, ProjectFileError::CopyTargetOpen { .. }), "{error:?}");
    drop(other);
    other_model.assert_is(&open(&at("other.graft")));
    assert!(matches!(file.copy_to(&at("none/x.graft")), Err(ProjectFileError::Io { .. })));

    // What a killed project left beside its file does not become part of the copy.
    let (killed, _) = small(&at("killed.graft"), 500);
    copy_files(dir.path(), &at("left"));
    drop(killed);
    assert!(fs::metadata(at("left/killed.graft-wal")).unwrap().len() > 0);
    file.copy_to(&at("left/killed.graft")).unwrap();
    assert!(!at("left/killed.graft-wal").exists());
    model.assert_is(&open(&at("left/killed.graft")));
    let hidden: Vec<_> = names(dir.path()).into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(hidden, Vec::<String>::new());
}

#[test]
fn leftovers_of_a_killed_project_come_back_or_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.graft");
    let (file, model) = small(&path, 500);
    copy_files(dir.path(), &dir.path().join("left"));
    drop(file);
    let left = dir.path().join("left/p.graft");
    model.assert_is(&open(&left));
    assert_eq!(names(&dir.path().join("left")), ["p.graft"]);

    // The file deleted, its leftovers not: they do not become part of a new project of that name.
    let (file, _) = small(&dir.path().join("q.graft"), 500);
    fs::copy(dir.path().join("q.graft-wal"), dir.path().join("r.graft-wal")).unwrap();
    drop(file);
    drop(ProjectFile::create(&dir.path().join("r.graft"), "r").unwrap());
    Model::default().assert_is(&open(&dir.path().join("r.graft")));
}

/// The name of the test is the child's job, and the variable its project.
const CHILD: &str = "GRAFT_TEST_PROJECT_FILE";

fn child(exe: &Path, job: &str, path: &Path) -> Command {
    let mut command = Command::new(exe);
    command.args(["--exact", job, "--nocapture", "--test-threads=1"]).env(CHILD, path).stdout(Stdio::piped());
    command
}

#[allow(clippy::print_stdout, reason = "how the child talks")]
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nchild: {line}").unwrap();
    out.flush().unwrap();
}

/// Not a test by itself: labels images for ever and says each edit once it is written.
#[test]
fn child_that_labels() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let Opened { mut file, project, history, .. } = open(Path::new(&path));
    let mut model = Model { project, history, ..Model::default() };
    let mut rng = SplitMix64::new(model.history.undoable().map_or(0, |edit| edit.title.len() as u64));
    let start: u64 = model.history.undoable().and_then(|edit| edit.title.parse().ok()).unwrap_or(0);
    for i in start + 1.. {
        let (first, n) = (rng.below(model.project.images.len()), 1 + rng.below(300));
        let ids: Vec<_> = (first..model.project.images.len()).take(n).map(ImageId::from).collect();
        let class = ClassId(rng.below(2) as u32);
        let changes = model.project.label_changes(ids, Some(class));
        model.did(&i.to_string(), changes);
        // Large writes too, so that a kill falls within one.
        if rng.below(10) == 0 {
            let images = (0..500).map(|k| image(RootId(0), format!("{i}/{k}.png"))).collect();
            model.add(images);
        }
        model.write_to(&mut file);
        say(&format!("did {i}"));
    }
}

/// The same edits without a file.
fn rebuilt(opened: &Opened, model: &Model) -> Project {
    let mut project = model.project.clone();
    project.images.resize_with(opened.project.images.len(), || image(RootId(0), ""));
    for (i, image) in project.images.iter_mut().enumerate() {
        image.rel.clone_from(&opened.project.images[i].rel);
    }
    let mut history = opened.history.clone();
    let mut edits = Vec::new();
    while let Some(edit) = history.undo() {
        edits.push(edit.clone());
    }
    for edit in edits.iter().rev() {
        project.apply(edit);
    }
    project
}

#[test]
fn every_label_that_was_written_outlives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.graft");
    let exe = std::env::current_exe().unwrap();
    let mut rng = SplitMix64::new(7);
    let mut n_total = 0;
    for round in 0..20 {
        if round % 10 == 0 {
            // Begun anew before edits are forgotten, so that all of them can be made again.
            fs::remove_file(&path).ok();
            let (mut file, mut model) = small(&path, 2000);
            model.undo();
            model.undo();
            model.redo();
            model.redo();
            model.write_to(&mut file);
        }
        let mut running = child(&exe, "child_that_labels", &path).spawn().unwrap();
        let lines = BufReader::new(running.stdout.take().unwrap()).lines();
        let mut said = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("child: did ").map(|i| i.parse::<u64>().unwrap()));
        let last = said.by_ref().nth(rng.below(40)).unwrap();
        // Between two lines or within a write, wherever it is by now.
        let spins = rng.below(200_000) as u64;
        for i in 0..spins {
            std::hint::black_box(i);
        }
        running.kill().unwrap();
        let last = said.last().unwrap_or(last);
        running.wait().unwrap();

        let opened = open(&path);
        let reached: u64 = opened.history.undoable().unwrap().title.parse().unwrap();
        assert!(reached == last || reached == last + 1, "said {last}, found {reached}");
        assert_eq!(opened.project.classes.len(), 2);
        let empty = Model {
            project: Project { roots: opened.project.roots.clone(), ..Project::default() },
            ..Model::default()
        };
        assert_eq!(rebuilt(&opened, &empty), opened.project, "the edits explain the tables");
        drop(opened);
        assert_eq!(names(dir.path()), ["p.graft"]);
        let check: String =
            Connection::open(&path).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        n_total = reached;
    }
    assert!(n_total > 20, "the child got somewhere: {n_total}");
}

/// Not a test by itself: opens each project below a folder and says what it sees.
#[test]
fn child_that_reads() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    for place in ["file", "folder", "left", "old"] {
        let path = Path::new(&dir).join(place).join("p.graft");
        match ProjectFile::open(&path) {
            Ok(mut opened) => {
                let refused = matches!(opened.file.write(&[Write::Undid]), Err(ProjectFileError::ReadOnly { .. }));
                let copied = opened.file.copy_to(&Path::new(&dir).join(format!("open/{place}.graft"))).is_ok();
                let access = match opened.file.access() {
                    Access::ReadOnly { why: ReadOnlyReason::NotWritable { path } } => {
                        path.strip_prefix(&dir).unwrap().display().to_string()
                    }
                    other => format!("{other:?}"),
                };
                say(&format!("{place}: {access} {} {refused} {copied}", opened.project.images.len()));
            }
            Err(error) => say(&format!("{place}: {error}")),
        }
    }
}

#[cfg(unix)]
#[test]
fn what_may_not_be_written_is_read() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let dir = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(dir.path()).unwrap();
    let place = |name: &str| base.join(name);
    for name in ["file", "folder", "left", "old", "open"] {
        fs::create_dir(place(name)).unwrap();
    }
    drop(small(&place("file/p.graft"), 11));
    drop(small(&place("folder/p.graft"), 12));
    // Killed: most of it is in the side file.
    let (file, _) = small(&place("open/p.graft"), 13);
    copy_files(&place("open"), &place("left"));
    drop(file);
    fs::remove_file(place("left/p.graft-shm")).unwrap();
    assert!(fs::metadata(place("left/p.graft-wal")).unwrap().len() > 0);
    Connection::open(place("old/p.graft")).unwrap().execute_batch(include_str!("fixtures/project_v1.sql")).unwrap();

    // Root may write everywhere, so the child is somebody else. It needs a program that it may read.
    let exe = place("test");
    fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&exe, 0o755);
    mode(&base, 0o755);
    mode(&place("open"), 0o777);
    mode(&place("file"), 0o777);
    mode(&place("file/p.graft"), 0o444);
    for name in ["folder", "left", "old"] {
        mode(&place(name).join("p.graft"), 0o644);
        mode(&place(name), 0o555);
    }
    let mut command = child(&exe, "child_that_reads", &base);
    if fs::write(place("folder/probe"), b"").is_ok() {
        fs::remove_file(place("folder/probe")).unwrap();
        command.uid(65534).gid(65534);
    }
    let before: BTreeMap<_, _> = ["file", "folder", "left", "old"].map(|name| (name, names(&place(name)))).into();
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("child: ")).collect();
    let expected = [
        "file: file/p.graft 11 true true",
        "folder: folder 12 true true",
        "left: left 13 true true",
        "old: old 3 true true",
    ];
    assert_eq!(said, expected, "{text}");
    for (name, files) in before {
        assert_eq!(names(&place(name)), files, "{name}");
    }
    for (name, n) in [("file", 11), ("folder", 12), ("left", 13), ("old", 3)] {
        assert_eq!(open(&place(&format!("open/{name}.graft"))).project.images.len(), n);
    }
    // So that the folder can be removed.
    ["folder", "left", "old"].iter().for_each(|name| mode(&place(name), 0o755));
}

/// Through the application: what cannot be written is told, goes into copies, and can be given up.
#[test]
fn changes_that_cannot_be_written_are_kept_until_they_are_given_up() {
    use graft::app::{Command, Runner};
    let dir = tempfile::tempdir().unwrap();
    graft::store::dirs::keep_below(dir.path().join("home"));
    let (path, copy) = (dir.path().join("a.graft"), dir.path().join("copy.graft"));
    let patience = std::time::Duration::from_secs(20);
    let mut runner = Runner::new(Default::default(), std::sync::Arc::new(|| {})).unwrap();
    runner.dispatch(Command::CreateProject(path.clone()));
    assert!(runner.wait_until(patience, |s| s.project.is_some()));
    runner.dispatch(Command::AddClass("first".into()));
    assert!(runner.wait_until(patience, |s| s.is_saved()));
    // Another program writes to it: nothing of ours goes in any more.
    let other = Connection::open(&path).unwrap();
    other.execute("UPDATE meta SET value = value + 7 WHERE key = 'n_writes'", []).unwrap();
    drop(other);
    runner.dispatch(Command::AddClass("second".into()));
    assert!(runner.wait_until(patience, |s| s.save_error.is_some()));
    runner.dispatch(Command::SaveCopy(copy.clone()));
    assert!(runner.wait_until(patience, |s| s.notices.iter().any(|n| n.text.contains("copy.graft"))));
    let names = |path: &Path| -> Vec<String> {
        open(path).project.sorted_classes().into_iter().map(|(_, c)| c.name.clone()).collect()
    };
    assert_eq!(names(&copy), ["first", "second"]);
    runner.dispatch(Command::DiscardUnsaved);
    runner.dispatch(Command::OpenProject(path.clone()));
    assert!(runner.wait_until(patience, |s| s.project.as_ref().is_some_and(|p| p.is_writable())));
    assert_eq!(runner.state.project.as_ref().unwrap().data.sorted_classes().len(), 1);
    let session = runner.state.project.as_ref().unwrap().session;
    runner.dispatch(Command::OpenProject(path.clone()));
    assert!(runner.wait_until(patience, |s| s.is_idle()));
    let project = runner.state.project.as_ref().unwrap();
    assert!(project.session == session && project.is_writable(), "it is open already, and stays so");
    // What another program had open is opened for writing once that has gone.
    runner.dispatch(Command::Act(graft::app::Action::CloseProject));
    assert!(runner.wait_until(patience, |s| s.is_idle()));
    let other = ProjectFile::open(&path).unwrap();
    runner.dispatch(Command::OpenProject(path.clone()));
    assert!(runner.wait_until(patience, |s| s.project.as_ref().is_some_and(|p| !p.is_writable())));
    drop(other);
    runner.dispatch(Command::OpenProject(path));
    assert!(runner.wait_until(patience, |s| s.project.as_ref().is_some_and(|p| p.is_writable())));
    runner.shut_down();
}
