//! The map of the images: how long a layout takes, how well it keeps neighbours, what a frame of 100,000 points costs.
//!
//! ```text
//! cargo bench --bench map                                        # everything
//! cargo bench --bench map -- --frames 0 --rows R.f32 --dim 1280  # only layouts, of these rows too
//! ```
//!
//! `--rows` are little-endian f32, one row after the other. scikit-learn runs where `GRAFT_PYTHON` (else `python3`) has it.
//! Frames are those of the real window under Xvfb with Mesa's software OpenGL; `--keep DIR` keeps its images and embeddings.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement may")]

#[path = "common/screen.rs"]
mod screen;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs};

use graft::progress::{CancelToken, Silent};
use graft::projection::{MapConfig, Point, Reduction, lay_out, sample};
use graft::rng::SplitMix64;
use graft::store::dirs;
use graft::workflow::models::{at_layer, open_cache, open_model};
use ndarray::Array2;
use rayon::prelude::*;
use screen::Screen;

const N_ROWS: usize = 5000;
const DIM: usize = 1280;
const N_CLASSES: usize = 10;
/// Set for the process that makes embeddings up, in folders of its own.
const CHILD: &str = "GRAFT_BENCH_CHILD";

struct Args {
    rows: Option<PathBuf>,
    dim: usize,
    n_frames_images: usize,
    keep: Option<PathBuf>,
}

fn main() {
    if env::var_os(CHILD).is_some() {
        return make_embeddings_up();
    }
    let args = parse_args();
    if let Ok(load) = fs::read_to_string("/proc/loadavg") {
        println!("load average before: {}", load.split_whitespace().next().unwrap_or_default());
    }
    let scratch = tempfile::tempdir().unwrap();
    layout("made-up rows", &made_up(N_ROWS, DIM), scratch.path());
    if let Some(path) = &args.rows {
        let bytes = fs::read(path).unwrap();
        let values = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let rows = Array2::from_shape_vec((bytes.len() / 4 / args.dim, args.dim), values).unwrap();
        layout(&path.file_name().unwrap().to_string_lossy(), &rows, scratch.path());
    }
    if args.n_frames_images > 0 {
        frames(args.keep.as_deref().unwrap_or(scratch.path()), args.n_frames_images);
    }
}

fn parse_args() -> Args {
    let mut args = Args { rows: None, dim: DIM, n_frames_images: 100_000, keep: None };
    let mut given = env::args().skip(1);
    while let Some(arg) = given.next() {
        match arg.as_str() {
            "--rows" => args.rows = Some(PathBuf::from(given.next().unwrap())),
            "--dim" => args.dim = given.next().unwrap().parse().unwrap(),
            "--frames" => args.n_frames_images = given.next().unwrap().parse().unwrap(),
            "--keep" => args.keep = Some(PathBuf::from(given.next().unwrap())),
            // What cargo passes by itself.
            "--bench" => {}
            other => panic!("{other} is not known"),
        }
    }
    args
}

/// Rows like features: classes that overlap, in fewer directions than there are columns.
fn made_up(n: usize, dim: usize) -> Array2<f32> {
    let mut rows = Array2::zeros((n, dim));
    let made: Vec<Vec<f32>> = (0..n).into_par_iter().map(|i| made_up_row(i, i % N_CLASSES, dim)).collect();
    for (mut row, values) in rows.rows_mut().into_iter().zip(made) {
        row.assign(&ndarray::Array1::from(values));
    }
    rows
}

fn made_up_row(i: usize, class: usize, dim: usize) -> Vec<f32> {
    const N_FACTORS: u64 = 24;
    let uniform = |seed: u64, at: u64| (SplitMix64::at(seed, at) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
    let own: Vec<f32> = (0..N_FACTORS).map(|f| uniform(1000 + i as u64, f)).collect();
    let value = |j: u64| {
        let factors: f32 = (0..N_FACTORS).map(|f| own[f as usize] * uniform(f, j)).sum();
        let noise = uniform(2000 + i as u64, j);
        (0.6 * uniform(500 + class as u64, j) + 0.25 * factors + 0.3 * noise).max(0.0)
    };
    (0..dim as u64).map(value).collect()
}

/// CPU time of this process in seconds.
fn cpu_secs() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

fn layout(name: &str, rows: &Array2<f32>, scratch: &Path) {
    let (n, dim) = rows.dim();
    let token = CancelToken::new();
    let (started, cpu) = (Instant::now(), cpu_secs());
    let config = MapConfig::default();
    let taken = sample(&vec![None; n], config.n_laid_out, config.seed);
    let reduction = Reduction::fit(rows.select(ndarray::Axis(0), &taken).view(), config.seed, &token).unwrap();
    let reduced = reduction.reduce(rows.view()).unwrap();
    let sketched = started.elapsed().as_secs_f64();
    let (_, points) = lay_out(reduction, reduced.view(), &taken, &mut |_| {}, &token).unwrap();
    let secs = started.elapsed().as_secs_f64();
    print!("{name}, {n} x {dim}: components after {sketched:.2} s, laid out after {secs:.2} s");
    if let (Some(after), Some(before)) = (cpu_secs(), cpu) {
        print!(" ({:.2} s of CPU)", after - before);
    }
    println!();
    let file = |name: &str| scratch.join(name);
    fs::write(file("rows.f32"), rows.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    let write_points = |name: &str, points: &[Point]| {
        fs::write(file(name), points.iter().flatten().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    };
    write_points("points.f32", &points);
    match reference(&file("rows.f32"), &file("points.f32"), dim) {
        Ok(theirs) => println!(
            "    trustworthiness of 15 neighbours: {:.4}; scikit-learn's t-SNE {:.4} after {:.1} s ({:.1} s of CPU)",
            theirs["ours"].as_f64().unwrap(),
            theirs["theirs"].as_f64().unwrap(),
            theirs["secs"].as_f64().unwrap(),
            theirs["cpu_secs"].as_f64().unwrap(),
        ),
        Err(why) => println!("    scikit-learn skipped ({why})"),
    }
}

fn reference(rows: &Path, points: &Path, dim: usize) -> Result<serde_json::Value, String> {
    let python = env::var("GRAFT_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/reference_map.py");
    let output = Command::new(&python).arg(script).arg(rows).arg(points).arg(dim.to_string()).output();
    let output = output.map_err(|error| format!("{python}: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{python}: {}", text.lines().last().unwrap_or("failed")));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// A map of `n` images in the real window, zoomed in and out without rest.
fn frames(dir: &Path, n: usize) {
    let Some(screen) = Screen::start() else { return };
    let (images, home) = (dir.join(format!("{n} images")), dir.join(format!("{n} home")));
    make_images(&images, n);
    if !home.join("cache/embeddings.sqlite").exists() {
        let made = Command::new(env::current_exe().unwrap())
            .env(CHILD, "embeddings")
            .env("GRAFT_BENCH_HOME", &home)
            .env("GRAFT_BENCH_IMAGES", &images)
            .stderr(Stdio::inherit())
            .status()
            .unwrap();
        assert!(made.success());
    }
    let out = screen.graft(&home, &["open", images.to_str().unwrap(), "--profile-frames", "20", "--profile-map"]);
    println!("map of {n} images, zooming:");
    out.lines().for_each(|line| println!("    {line}"));
}

/// Puts made-up embeddings of the images into the cache: a map has as many points, and nobody waits for a model.
fn make_embeddings_up() {
    let home = PathBuf::from(env::var_os("GRAFT_BENCH_HOME").unwrap());
    let images = PathBuf::from(env::var_os("GRAFT_BENCH_IMAGES").unwrap());
    fs::create_dir_all(&home).unwrap();
    dirs::keep_below(home);
    let cache = open_cache(&Silent::default());
    let backbone = open_model(None, None, &cache).unwrap();
    let joint = backbone.manifest.joint.as_ref().filter(|_| backbone.manifest.text.is_some());
    // As the window opens it.
    let backbone = match joint {
        Some(joint) => backbone.beside(&at_layer(&backbone, &joint.value.label(), &cache).unwrap()),
        None => backbone,
    };
    let mut cache = cache.as_ref().unwrap().lock().unwrap();
    let spaces = cache.part_spaces(&backbone.parts()).unwrap();
    for class in 0..N_CLASSES {
        let mut files: Vec<PathBuf> =
            fs::read_dir(images.join(format!("class {class}"))).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for files in files.chunks(2000) {
            let row = |path: &PathBuf| {
                let number: usize = path.file_stem().unwrap().to_string_lossy().parse().unwrap();
                let hash = *blake3::hash(&fs::read(path).unwrap()).as_bytes();
                (hash, made_up_row(number, class, backbone.space.dim).into_boxed_slice())
            };
            let rows: Vec<_> = files.par_iter().map(row).collect();
            cache.put_parts(&spaces, &rows).unwrap();
        }
    }
}

/// `n` small pictures in ten classes, all different.
fn make_images(dir: &Path, n: usize) {
    const SIDE: u32 = 16;
    if dir.join("class 0").exists() {
        return;
    }
    let making = dir.with_extension("making");
    fs::remove_dir_all(&making).ok();
    for class in 0..N_CLASSES {
        fs::create_dir_all(making.join(format!("class {class}"))).unwrap();
    }
    (0..n).into_par_iter().for_each(|i| {
        let mut random = SplitMix64::new(i as u64);
        let rgb: Vec<u8> = (0..SIDE * SIDE * 3).map(|_| random.below(256) as u8).collect();
        let path = making.join(format!("class {}/{i:06}.png", i % N_CLASSES));
        let mut encoder = png::Encoder::new(std::io::BufWriter::new(fs::File::create(path).unwrap()), SIDE, SIDE);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::Fast);
        encoder.write_header().unwrap().write_image_data(&rgb).unwrap();
    });
    fs::rename(&making, dir).unwrap();
}
