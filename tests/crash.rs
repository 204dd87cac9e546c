//! Killing the program at random moments while it imports, embeds, relabels and exports: the project opens each time with
//! every label made more than a second before, and no half-written export exists.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use graft::app::{Action, Command, DropInto, Runner, Target};
use graft::project::{ClassId, ImageId};
use graft::rng::SplitMix64;
use graft::store::dirs;
use graft::store::project::{Access, ProjectFile};
use graft::store::settings::AppSettings;

/// Set for the process that is to be killed: the folder that it works in.
const CHILD: &str = "GRAFT_CRASH_TEST_FOLDER";
const N_KILLS: u64 = 50;
/// A label that is older than this when the process is killed must be there.
const GRACE: Duration = Duration::from_secs(1);
/// Between two labels.
const PACE: Duration = Duration::from_millis(25);

/// The process that is killed: it opens the project, imports a folder, and labels and exports without end.
fn child(folder: &Path) {
    dirs::keep_below(folder.join("state"));
    let mut random = SplitMix64::new(u64::from(std::process::id()));
    let mut runner = Runner::new(AppSettings::default(), Arc::new(|| {})).unwrap();
    let project = folder.join("pets.graft");
    let command = if project.exists() { Command::OpenProject(project) } else { Command::CreateProject(project) };
    runner.dispatch(command);
    assert!(runner.wait_until(Duration::from_secs(60), |s| s.project.is_some()), "{:?}", runner.state.notices);
    runner.dispatch(Command::Drop { paths: vec![folder.join("incoming")], into: DropInto::Auto });
    let mut out = std::io::stdout();
    let mut n_exports = 0;
    loop {
        let until = Instant::now() + PACE;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            runner.wait(left);
        }
        let open = runner.state.project.as_ref().unwrap();
        let classes: Vec<ClassId> = open.data.sorted_classes().into_iter().map(|(id, _)| id).collect();
        let images: Vec<ImageId> = open.data.present().map(|(id, _)| id).collect();
        if classes.is_empty() || images.is_empty() {
            continue;
        }
        let image = images[random.below(images.len())];
        let class = classes[random.below(classes.len())];
        runner.dispatch(Command::Label { images: Target::Images(vec![image]), class: Some(class) });
        writeln!(out, "label {} {}", image.0, class.0).unwrap();
        out.flush().unwrap();
        if Action::Export.availability(&runner.state).is_ok() && random.below(8) == 0 {
            n_exports += 1;
            let name = format!("export {} {n_exports}", std::process::id());
            runner.dispatch(Command::SetExportDir(folder.join("exports").join(name)));
            runner.dispatch(Command::Act(Action::Export));
        }
    }
}

fn start(folder: &Path) -> Child {
    Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_at_any_moment_nothing_is_lost", "--nocapture"])
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// New pictures for the next import: noise, so that no two are the same.
fn pictures(folder: &Path, round: u64) {
    let incoming = folder.join("incoming");
    let mut random = SplitMix64::new(round);
    for (class, base) in [("dark", 40_u8), ("light", 180)] {
        let dir = incoming.join(class);
        std::fs::create_dir_all(&dir).unwrap();
        for i in 0..4 {
            let pixels = (0..32 * 32 * 3).map(|_| base + random.below(60) as u8).collect();
            let image = image::RgbImage::from_raw(32, 32, pixels).unwrap();
            image.save(dir.join(format!("{round}-{i}.bmp"))).unwrap();
        }
    }
}

/// Everything that a label was said of, with when it was heard.
type Heard = BTreeMap<u32, Vec<(Instant, u32)>>;

fn listen(child: &mut Child) -> (Arc<Mutex<Heard>>, std::thread::JoinHandle<()>) {
    let heard = Arc::new(Mutex::new(Heard::new()));
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let thread = std::thread::spawn({
        let heard = Arc::clone(&heard);
        move || {
            for line in lines.map_while(Result::ok) {
                let mut words = line.split_whitespace();
                if let (Some("label"), Some(id), Some(class)) = (words.next(), words.next(), words.next()) {
                    let (id, class) = (id.parse().unwrap(), class.parse().unwrap());
                    heard.lock().unwrap().entry(id).or_default().push((Instant::now(), class));
                }
            }
        }
    });
    (heard, thread)
}

/// Opens the project as the next start would, and checks what was heard. Returns how many labels had to be there.
fn check(project: &Path, heard: &Heard, killed: Instant) -> usize {
    if !project.exists() {
        assert!(heard.is_empty(), "a project with labels is there");
        return 0;
    }
    let opened = ProjectFile::open(project).unwrap();
    assert_eq!(*opened.file.access(), Access::Writable, "the lock of a killed process is no lock");
    let mut n_sure = 0;
    for (id, labels) in heard {
        let Some(sure) = labels.iter().rposition(|(at, _)| killed.duration_since(*at) > GRACE) else { continue };
        n_sure += 1;
        let found = opened.project.image(ImageId(*id)).unwrap().class.map(|c| c.0);
        let allowed: Vec<u32> = labels[sure..].iter().map(|l| l.1).collect();
        assert!(found.is_some_and(|c| allowed.contains(&c)), "image {id} has {found:?}, one of {allowed:?} was said");
    }
    n_sure
}

/// Every export that is there is whole. Returns their number.
fn check_exports(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let visible: Vec<PathBuf> = entries
        .map(|e| e.unwrap().path())
        .filter(|p| !p.file_name().unwrap().to_string_lossy().starts_with('.'))
        .collect();
    for export in &visible {
        let meta = std::fs::read(export.join("graft.json")).unwrap();
        let meta: serde_json::Value = serde_json::from_slice(&meta).unwrap();
        assert!(meta["verification"]["n"].as_u64().unwrap() > 0, "{}", export.display());
        for file in graft::export::files::ALL {
            assert!(export.join(file).metadata().unwrap().len() > 0, "{} of {}", file, export.display());
        }
    }
    visible.len()
}

#[test]
fn killed_at_any_moment_nothing_is_lost() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return child(Path::new(&folder));
    }
    let (mut n_sure, mut n_exports) = (0, 0);
    let mut random = SplitMix64::new(7);
    let mut root = tempfile::tempdir().unwrap();
    for round in 0..N_KILLS {
        // A new project now and then, so that its beginning is met as well.
        if round % 10 == 0 {
            root = tempfile::tempdir().unwrap();
        }
        pictures(root.path(), round);
        let mut child = start(root.path());
        let (heard, thread) = listen(&mut child);
        std::thread::sleep(Duration::from_millis(20 + random.below(2200) as u64));
        let killed = Instant::now();
        child.kill().unwrap();
        child.wait().unwrap();
        thread.join().unwrap();
        let heard = heard.lock().unwrap();
        n_sure += check(&root.path().join("pets.graft"), &heard, killed);
        n_exports = n_exports.max(check_exports(&root.path().join("exports")));
    }
    // It would prove nothing if the process had never come to label or export.
    assert!(n_sure > 100, "only {n_sure} labels had to be there");
    assert!(n_exports > 0, "no export was ever done");
}
