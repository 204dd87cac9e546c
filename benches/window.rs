//! The window and the application behind it: how soon it is there, how soon it has learned, how it bears 100,000 images.
//!
//! ```text
//! cargo bench --bench window                                        # everything; the large project takes a while
//! cargo bench --bench window -- --images photos/ --large 0          # what is dropped; without the large project
//! ```
//!
//! The window is drawn by Mesa's software OpenGL under Xvfb, the slowest that anybody has. `benches/README.md` says what
//! each line means and what was wanted.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement may")]

#[path = "common/screen.rs"]
mod screen;

use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use graft::app::{AppState, Command, DropInto, Runner, Target};
use graft::project::ClassId;
use graft::rng::SplitMix64;
use graft::store::dirs;
use graft::store::settings::AppSettings;
use rayon::prelude::*;
use screen::Screen;

const PATIENCE: Duration = Duration::from_secs(7200);
const N_CLASSES: usize = 10;
const N_LAUNCHES: usize = 5;
const N_DROPS: usize = 3;
const N_RELABELS: usize = 20;
const N_RELABEL_IMAGES: usize = 5000;
/// Set for a process that measures one thing from a cold start: what, in which folder.
const CHILD: &str = "GRAFT_BENCH_CHILD";

struct Args {
    images: PathBuf,
    n_large: usize,
    keep: Option<PathBuf>,
}

fn main() {
    if let Ok(child) = env::var(CHILD) {
        return measure_in_child(&child);
    }
    let args = parse_args();
    if let Ok(load) = fs::read_to_string("/proc/loadavg") {
        println!("load average before: {}", load.split_whitespace().next().unwrap_or_default());
    }
    let scratch = tempfile::tempdir().unwrap();
    let dir = args.keep.as_deref().unwrap_or(scratch.path());

    launches(scratch.path());

    let mut drops: Vec<f64> = (0..N_DROPS)
        .map(|i| in_child("drop", &scratch.path().join(format!("drop {i}")), &args.images)["trained"])
        .collect();
    println!("drop to trained heads: {} s ({})", median(&mut drops), list(&drops));

    let images = dir.join(format!("{N_RELABEL_IMAGES} images"));
    make_images(&images, N_RELABEL_IMAGES);
    let figures = in_child("relabel", &scratch.path().join("relabel"), &images);
    println!(
        "relabel at {N_RELABEL_IMAGES} images to new accuracies: median {:.3} s, longest {:.3} s of {N_RELABELS}",
        figures["median"], figures["longest"]
    );
    println!(
        "another label on {N_RELABEL_IMAGES} images to its scores: median {:.3} s, longest {:.3} s of {}",
        figures["typed"],
        figures["typed_longest"],
        WORDS.len()
    );
    println!(
        "{N_LABELS} labels at once: {:.1} s, {} reports of progress, longest command meanwhile {:.3} s",
        figures["many"], figures["many_reports"], figures["many_command"]
    );

    if args.n_large > 0 {
        large(dir, args.n_large);
    }
}

fn parse_args() -> Args {
    let sample = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/sample"));
    let mut args = Args { images: sample, n_large: 100_000, keep: None };
    let mut given = env::args().skip(1);
    while let Some(arg) = given.next() {
        match arg.as_str() {
            "--images" => args.images = PathBuf::from(given.next().unwrap()),
            "--large" => args.n_large = given.next().unwrap().parse().unwrap(),
            "--keep" => args.keep = Some(PathBuf::from(given.next().unwrap())),
            // What cargo passes by itself.
            "--bench" => {}
            other => panic!("{other} is not known"),
        }
    }
    args
}

/// From the start of the program to its first frame.
fn launches(scratch: &Path) {
    let Some(screen) = Screen::start() else { return };
    let home = scratch.join("launch");
    // The first one fills the disk's cache.
    screen.graft(&home, &["open", "--profile-frames", "0.2"]);
    let mut secs: Vec<f64> = (0..N_LAUNCHES)
        .map(|_| Printed(screen.graft(&home, &["open", "--profile-frames", "0.2"])).number("First frame after"))
        .collect();
    println!("launch to the first frame: {} s ({})", median(&mut secs), list(&secs));
}

/// A project of many images: imported, embedded, opened again.
fn large(dir: &Path, n: usize) {
    let images = dir.join(format!("{n} images"));
    let home = dir.join(format!("{n} home"));
    make_images(&images, n);
    let screen = Screen::start();
    if let Some(screen) = &screen {
        fs::remove_dir_all(&home).ok();
        let out = Printed(screen.graft(&home, &["open", images.to_str().unwrap(), "--profile-frames", "30"]));
        println!("{n} images dropped, scrolling while they are embedded:\n{}", out.indented());
    }
    let figures = in_child("embed", &home, &images);
    println!(
        "{n} images embedded and fitted in {:.0} s; their embeddings are {:.0} MB",
        figures["embedded"], figures["mb"]
    );
    if let Some(screen) = &screen {
        let project = only_project(&home);
        for _ in 0..2 {
            let out = Printed(screen.graft(&home, &["open", project.to_str().unwrap(), "--profile-frames", "30"]));
            println!("{n} images opened again, scrolling:\n{}", out.indented());
        }
    }
}

/// What is measured in a process of its own, since its caches are to be empty and its memory its own.
fn measure_in_child(what: &str) {
    let home = PathBuf::from(env::var_os("GRAFT_BENCH_HOME").unwrap());
    let images = PathBuf::from(env::var_os("GRAFT_BENCH_IMAGES").unwrap());
    fs::create_dir_all(&home).unwrap();
    dirs::keep_below(home.clone());
    let mut runner = Runner::new(AppSettings::default(), Arc::new(|| {})).unwrap();
    let started = Instant::now();
    if what == "embed" && home.join("data/projects").exists() {
        runner.dispatch(Command::OpenProject(only_project(&home)));
    } else {
        runner.dispatch(Command::Drop { paths: vec![images], into: DropInto::Auto });
    }
    assert!(runner.wait_until(PATIENCE, |s| s.project.is_some()), "{:?}", runner.state.notices);
    assert!(runner.wait_until(PATIENCE, is_trained), "{:?}", runner.state.notices);
    let secs = started.elapsed().as_secs_f64();
    match what {
        "drop" => println!("trained {secs}"),
        "embed" => {
            let n = runner.state.project.as_ref().unwrap().live.n_embedded;
            println!("embedded {secs}\nmb {}", (n * 1280 * 4) as f64 / (1024.0 * 1024.0));
        }
        _ => {
            typing(&mut runner);
            relabel(&mut runner);
        }
    }
    runner.shut_down();
}

/// Whether everything that can be embedded is, and the heads are of that.
fn is_trained(state: &AppState) -> bool {
    state.is_idle()
        && state.project.as_ref().is_some_and(|p| {
            p.live.n_embedded + p.counts.n_skipped >= p.counts.n_images
                && p.live.fit.as_ref().is_some_and(|fit| fit.output.revision == p.revision)
        })
}

/// Labels that are typed one after the other.
const WORDS: [&str; 20] = [
    "ant",
    "honey bee",
    "stripes",
    "red car",
    "sailing boat",
    "teapot",
    "zebra",
    "bridge",
    "mushroom",
    "violin",
    "tent",
    "goldfish",
    "windmill",
    "hammer",
    "polka dots",
    "a plaid shirt",
    "barrel",
    "umbrella",
    "lighthouse",
    "parrot",
];
const N_LABELS: usize = 1000;

fn typing(runner: &mut Runner) {
    let n_read = |s: &AppState| {
        let zero_shot = &s.project.as_ref().unwrap().zero_shot;
        zero_shot.answers.as_ref().map_or(0, |answers| answers.texts.labels.len())
    };
    // The text tower is loaded with the first.
    runner.dispatch(Command::TypeLabels("a picture".to_owned()));
    assert!(runner.wait_until(PATIENCE, |s| n_read(s) == 1));
    let mut secs = Vec::new();
    let mut text = "a picture".to_owned();
    for (i, word) in WORDS.iter().enumerate() {
        assert!(runner.wait_until(PATIENCE, AppState::is_idle));
        text.push_str(&format!("\n{word}"));
        let started = Instant::now();
        runner.dispatch(Command::TypeLabels(text.clone()));
        assert!(runner.wait_until(PATIENCE, |s| n_read(s) == i + 2));
        secs.push(started.elapsed().as_secs_f64());
    }
    assert!(runner.wait_until(PATIENCE, AppState::is_idle));
    let middle = median(&mut secs);
    println!("typed {middle}\ntyped_longest {}", secs[secs.len() - 1]);

    let many: String = (0..N_LABELS).map(|i| format!("a thing of kind {i}\n")).collect();
    let started = Instant::now();
    runner.dispatch(Command::TypeLabels(many));
    let (mut seen, mut n_reports, mut longest) = (0, 0, 0.0f64);
    while n_read(&runner.state) != N_LABELS {
        runner.wait(Duration::from_millis(50));
        let n_done = runner.state.activity(graft::jobs::LaneKind::Text).map_or(0, |a| a.n_done);
        n_reports += usize::from(n_done != seen);
        seen = n_done;
        let command = Instant::now();
        runner.dispatch(Command::Go(graft::app::Place::ZeroShot));
        longest = longest.max(command.elapsed().as_secs_f64());
    }
    println!("many {}\nmany_reports {n_reports}\nmany_command {longest}", started.elapsed().as_secs_f64());
    assert!(runner.wait_until(PATIENCE, AppState::is_idle));
    runner.dispatch(Command::TypeLabels(String::new()));
    assert!(runner.wait_until(PATIENCE, AppState::is_idle));
}

fn relabel(runner: &mut Runner) {
    let mut random = SplitMix64::new(3);
    let mut secs = Vec::new();
    for _ in 0..N_RELABELS {
        let project = runner.state.project.as_ref().unwrap();
        let (id, image) = project.data.present().nth(random.below(N_RELABEL_IMAGES)).unwrap();
        let class = ClassId((image.class.unwrap().0 + 1) % N_CLASSES as u32);
        let started = Instant::now();
        runner.dispatch(Command::Label { images: Target::Images(vec![id]), class: Some(class) });
        let is_there = |s: &AppState| {
            s.project.as_ref().is_some_and(|p| p.live.fit.as_ref().is_some_and(|f| f.output.revision == p.revision))
        };
        assert!(runner.wait_until(PATIENCE, is_there));
        secs.push(started.elapsed().as_secs_f64());
        assert!(runner.wait_until(PATIENCE, AppState::is_idle));
    }
    let median = median(&mut secs);
    println!("median {median}\nlongest {}", secs[secs.len() - 1]);
}

/// Runs this program again for one measurement, and reads its figures.
fn in_child(what: &str, home: &Path, images: &Path) -> std::collections::BTreeMap<String, f64> {
    let out = Process::new(env::current_exe().unwrap())
        .env(CHILD, what)
        .env("GRAFT_BENCH_HOME", home)
        .env("GRAFT_BENCH_IMAGES", std::path::absolute(images).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(out.status.success(), "{what} failed");
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines()
        .map(|line| {
            let (name, value) = line.split_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

struct Printed(String);

impl Printed {
    fn number(&self, after: &str) -> f64 {
        let line = self.0.lines().find_map(|l| l.strip_prefix(after)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn indented(&self) -> String {
        self.0.lines().map(|l| format!("    {l}")).collect::<Vec<_>>().join("\n")
    }
}

fn only_project(home: &Path) -> PathBuf {
    let mut found = fs::read_dir(home.join("data/projects")).unwrap().map(|e| e.unwrap().path());
    found.find(|p| p.extension().is_some_and(|e| e == "graft")).unwrap()
}

/// `n` small pictures in ten classes, each of its own: bands and spots whose colours and widths tell the classes apart,
/// though not always.
fn make_images(dir: &Path, n: usize) {
    const SIDE: usize = 64;
    if dir.join("class 0").exists() {
        return;
    }
    println!("making {n} images in {} ...", dir.display());
    let making = dir.with_extension("making");
    fs::remove_dir_all(&making).ok();
    for class in 0..N_CLASSES {
        fs::create_dir_all(making.join(format!("class {class}"))).unwrap();
    }
    (0..n).into_par_iter().for_each(|i| {
        let mut random = SplitMix64::new(i as u64);
        let class = i % N_CLASSES;
        // One in eight looks like another class.
        let looks = if random.below(8) == 0 { random.below(N_CLASSES) } else { class };
        let base: Vec<usize> = (0..6).map(|k| (looks * 47 + k * 83) % 200 + random.below(56)).collect();
        let (width, shift) = (3 + looks + random.below(4), random.below(SIDE));
        let mut rgb = Vec::with_capacity(SIDE * SIDE * 3);
        for y in 0..SIDE {
            for x in 0..SIDE {
                let along = if looks % 2 == 0 { x + y / 2 } else { y + x / 3 };
                let colour = if ((along + shift) / width).is_multiple_of(2) { &base[..3] } else { &base[3..] };
                rgb.extend(colour.iter().map(|c| (c + ((x * 7 + y * 13) % 9)) as u8));
            }
        }
        let path = making.join(format!("class {class}/{i:06}.png"));
        let mut encoder =
            png::Encoder::new(std::io::BufWriter::new(fs::File::create(path).unwrap()), SIDE as u32, SIDE as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::Fast);
        encoder.write_header().unwrap().write_image_data(&rgb).unwrap();
    });
    fs::rename(&making, dir).unwrap();
}

/// Sorts them, too.
fn median(secs: &mut [f64]) -> f64 {
    secs.sort_by(f64::total_cmp);
    (secs[secs.len() / 2] * 1000.0).round() / 1000.0
}

fn list(secs: &[f64]) -> String {
    secs.iter().map(|s| format!("{s:.2}")).collect::<Vec<_>>().join(", ")
}
