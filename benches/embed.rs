//! Embedding: how fast, against what the machine could do and against a Python script that does the same.
//!
//! ```text
//! cargo bench --bench embed                                      # pictures that it makes itself
//! GRAFT_PYTHON=venv/bin/python cargo bench --bench embed -- --images photos/ [--model M] [--rounds N]
//! ```
//!
//! Every round measures all of them one after the other, so that a change of the machine's mood hits all alike; the
//! ratios are medians over the rounds. The limit is 1 / (1 / inference + 1 / decoding): what cores that never wait would
//! reach. `benches/README.md` says what each line means.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a measurement may")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Instant;
use std::{env, fs, thread};

use graft::backbone::Backbone;
use graft::backbone::provider::Provider;
use graft::backbone::session::GraphSession;
use graft::image::decode::{DecodeLimits, decode};
use graft::image::preprocess::{Preprocessor, Scratch};
use graft::image::resize::resize;
use graft::image::spec::Filter;
use graft::progress::Silent;
use graft::workflow::embed::{EmbedConfig, embed};
use graft::workflow::models::open_model;
use graft::workflow::scan::scan;

/// Images of the set that the benchmark makes, each 640 x 480 px.
const N_MADE: usize = 618;

/// Images of one pass of inference alone.
const N_INFERRED: usize = 128;

/// Batch of the inference limit with all threads in one session, as the Python script has it.
const BATCH: usize = 16;

struct Args {
    images: Option<PathBuf>,
    model: Option<String>,
    n_rounds: usize,
}

fn main() {
    let args = parse_args();
    let n_threads = thread::available_parallelism().map_or(1, usize::from);
    let backbone = open_model(args.model.as_deref(), None, &None).expect("the model opens");
    let folder = tempfile::tempdir().unwrap();
    let paths = match &args.images {
        Some(images) => images_of(images),
        None => make_images(folder.path(), N_MADE),
    };
    let n = paths.len();
    println!("{n} images, {} threads, {}", n_threads, backbone.manifest.name);
    if let Ok(load) = fs::read_to_string("/proc/loadavg") {
        println!("load average before: {}", load.split_whitespace().next().unwrap_or_default());
    }

    let bytes = backbone.feature_model().unwrap();
    let mut inference = Inference::new(&backbone, &bytes, &paths, n_threads);
    let mut python = Python::start(folder.path(), &backbone, &bytes, &paths, n_threads);
    // Once without a clock: pages, allocators and caches are warm for all.
    graft_rate(&backbone, &paths[..n.min(64)]);

    let mut rounds = Vec::new();
    println!("\nimages/s   graft  inference  decoding  limit  graft/limit    python (spin, sleep)  graft/python");
    for _ in 0..args.n_rounds {
        let python_rates = python.as_mut().map(|p| [p.rate("spin"), p.rate("sleep")]);
        let graft = graft_rate(&backbone, &paths);
        let inference = inference.rate();
        let decoding = decoding_rate(&backbone, &paths, n_threads);
        let round = Round { graft, inference, decoding, python: python_rates };
        println!("{}", round.line());
        rounds.push(round);
    }
    println!("\nmedian of the rounds' ratios");
    println!("  graft / limit   {:.3}   (wanted: 0.90)", median(rounds.iter().map(|r| r.graft / r.limit())));
    if rounds.iter().all(|r| r.python.is_some()) {
        for (i, name) in [(0, "as it comes"), (1, "without spinning")] {
            let ratio = median(rounds.iter().filter_map(|r| Some(r.graft / r.python?[i])));
            println!("  graft / python  {ratio:.3}   (wanted: 1.40; ONNX Runtime {name})");
        }
    }
    if let Some(python) = &python {
        println!(
            "\nfirst image's features, cosine with the script's: {:.7}",
            cosine_of_first(&backbone, &paths, python)
        );
    }
    same_whatever_the_batch(&backbone, &paths[..n.min(40)]);
}

fn parse_args() -> Args {
    let mut args = Args { images: None, model: None, n_rounds: 5 };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--images" => args.images = words.next().map(PathBuf::from),
            "--model" => args.model = words.next(),
            "--rounds" => args.n_rounds = words.next().and_then(|n| n.parse().ok()).expect("--rounds N"),
            // Cargo says this to every benchmark.
            "--bench" => {}
            other => panic!("unknown argument {other}"),
        }
    }
    args
}

/// Figures of one round, in images a second.
struct Round {
    graft: f64,
    inference: f64,
    decoding: f64,
    python: Option<[f64; 2]>,
}

impl Round {
    fn limit(&self) -> f64 {
        1.0 / (1.0 / self.inference + 1.0 / self.decoding)
    }

    fn line(&self) -> String {
        let Round { graft, inference, decoding, python } = self;
        let limit = self.limit();
        let python = python.map_or_else(String::new, |p| {
            format!("{:14.1}{:10.1}  {:6.3} {:6.3}", p[0], p[1], graft / p[0], graft / p[1])
        });
        format!("{graft:16.1}{inference:11.1}{decoding:10.1}{limit:7.1}{:13.3}{python}", graft / limit)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

// --------------------------------------------------------------------------------------------------------- the images

fn images_of(folder: &Path) -> Vec<PathBuf> {
    let dataset = scan(folder, &Silent::default()).expect("the folder is read");
    // What cannot be used would count for one and not for the other.
    let usable = |path: &PathBuf| decode(&fs::read(path).unwrap(), &DecodeLimits::default()).is_ok();
    dataset.samples.into_iter().map(|s| s.path).filter(usable).collect()
}

/// JPEGs of 640 x 480 px from the sample pictures. There are fewer pictures than files: copies differ in a byte after
/// the end, which no decoder reads, so that no two have the same hash.
fn make_images(folder: &Path, n: usize) -> Vec<PathBuf> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sample");
    let mut scratch = Scratch::default();
    let files: Vec<Vec<u8>> = images_of(&sample)
        .iter()
        .map(|path| {
            let image = decode(&fs::read(path).unwrap(), &DecodeLimits::default()).unwrap();
            let image = resize(&image, 640, 480, Filter::Bicubic, &mut scratch).unwrap();
            libjpeg_turbo_rs::Encoder::new(image.pixels(), 640, 480, libjpeg_turbo_rs::PixelFormat::Rgb)
                .quality(90)
                .subsampling(libjpeg_turbo_rs::Subsampling::S420)
                .encode()
                .unwrap()
        })
        .collect();
    let paths = (0..n).map(|i| {
        let path = folder.join(format!("{i:05}.jpg"));
        let mut bytes = files[i % files.len()].clone();
        bytes.extend(u32::try_from(i).unwrap().to_le_bytes());
        fs::write(&path, bytes).unwrap();
        path
    });
    paths.collect()
}

// ------------------------------------------------------------------------------------------------------------ the rates

/// From paths to features without a cache, sessions made anew: what a user waits for.
fn graft_rate(backbone: &Backbone, paths: &[PathBuf]) -> f64 {
    let started = Instant::now();
    let embedded = embed(backbone, paths, &None, &EmbedConfig::default(), &Silent::default()).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(embedded.n_embedded, paths.len());
    paths.len() as f64 / seconds
}

/// Sessions on prepared tensors, nothing else running.
struct Inference<'a> {
    backbone: &'a Backbone,
    /// One image each.
    tensors: Vec<Vec<f32>>,
    /// All threads in one session, batches of [`BATCH`].
    together: GraphSession,
    /// One thread each, batches as the pipeline makes them.
    alone: Vec<GraphSession>,
}

impl<'a> Inference<'a> {
    fn new(backbone: &'a Backbone, model: &[u8], paths: &[PathBuf], n_threads: usize) -> Self {
        let preprocessor = Preprocessor::new(backbone.preprocess()).unwrap();
        let mut scratch = Scratch::default();
        let tensors = paths.iter().cycle().take(N_INFERRED).map(|path| pixels(path, &preprocessor, &mut scratch));
        Self {
            backbone,
            tensors: tensors.collect(),
            together: GraphSession::load(model, n_threads, Provider::Cpu).unwrap(),
            alone: (0..n_threads).map(|_| GraphSession::load(model, 1, Provider::Cpu).unwrap()).collect(),
        }
    }

    /// The higher of the two ways, best of three passes.
    fn rate(&mut self) -> f64 {
        (0..3).map(|_| self.together_rate().max(self.alone_rate())).fold(0.0, f64::max)
    }

    fn together_rate(&mut self) -> f64 {
        let batches: Vec<Vec<f32>> = self.tensors.chunks_exact(BATCH).map(<[_]>::concat).collect();
        let (n, dims) = (batches.len() * BATCH, self.backbone.input_dims(BATCH));
        let started = Instant::now();
        for batch in batches {
            self.backbone.run_features(&mut self.together, &dims, batch, BATCH).unwrap();
        }
        n as f64 / started.elapsed().as_secs_f64()
    }

    fn alone_rate(&mut self) -> f64 {
        let backbone = self.backbone;
        let batch_size = EmbedConfig::default().batch_size;
        let dims = backbone.input_dims(batch_size);
        let batches: Vec<Vec<f32>> = self.tensors.chunks_exact(batch_size).map(<[_]>::concat).collect();
        let n = batches.len() * batch_size;
        let queue = Mutex::new(batches);
        let ready = Barrier::new(self.alone.len() + 1);
        let started = thread::scope(|scope| {
            for session in &mut self.alone {
                let (queue, ready, dims) = (&queue, &ready, &dims);
                scope.spawn(move || {
                    ready.wait();
                    loop {
                        let Some(batch) = queue.lock().unwrap().pop() else { return };
                        backbone.run_features(session, dims, batch, batch_size).unwrap();
                    }
                });
            }
            ready.wait();
            Instant::now()
        });
        n as f64 / started.elapsed().as_secs_f64()
    }
}

/// Reading, decoding and preprocessing on all threads, nothing else running.
fn decoding_rate(backbone: &Backbone, paths: &[PathBuf], n_threads: usize) -> f64 {
    let preprocessor = Preprocessor::new(backbone.preprocess()).unwrap();
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                let mut scratch = Scratch::default();
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    std::hint::black_box(pixels(path, &preprocessor, &mut scratch));
                }
            });
        }
    });
    paths.len() as f64 / started.elapsed().as_secs_f64()
}

fn pixels(path: &Path, preprocessor: &Preprocessor, scratch: &mut Scratch) -> Vec<f32> {
    let image = decode(&fs::read(path).unwrap(), &DecodeLimits::default()).unwrap();
    let mut tensor = vec![0.0; preprocessor.tensor_len()];
    preprocessor.apply(&image, scratch, &mut tensor).unwrap();
    tensor
}

// ----------------------------------------------------------------------------------------------------------- the script

/// `benches/reference_embed.py`, waiting for orders.
struct Python {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    n: usize,
    first: Vec<f64>,
}

impl Python {
    fn start(folder: &Path, backbone: &Backbone, model: &[u8], paths: &[PathBuf], n_threads: usize) -> Option<Self> {
        let interpreter = env::var_os("GRAFT_PYTHON").unwrap_or_else(|| "python3".into());
        let [onnx, list, spec] = ["model.onnx", "paths.txt", "preprocess.json"].map(|name| folder.join(name));
        fs::write(&onnx, model).unwrap();
        let lines: Vec<_> = paths.iter().map(|p| fs::canonicalize(p).unwrap().to_string_lossy().into_owned()).collect();
        fs::write(&list, lines.join("\n")).unwrap();
        fs::write(&spec, serde_json::to_vec(backbone.preprocess()).unwrap()).unwrap();
        let spawned = Command::new(&interpreter)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/reference_embed.py"))
            .args([&onnx, &list, &spec])
            .args(["--threads", &n_threads.to_string(), "--batch", &BATCH.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let started = spawned.ok().and_then(|mut child| {
            let (orders, answers) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
            let mut python = Self { child, orders, answers, n: paths.len(), first: Vec::new() };
            python.answer().is_some().then_some(python)
        });
        if started.is_none() {
            println!("Python is left out: {interpreter:?} lacks numpy, onnxruntime or pillow (set GRAFT_PYTHON)");
        }
        started
    }

    fn answer(&mut self) -> Option<serde_json::Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    fn rate(&mut self, waiting: &str) -> f64 {
        writeln!(self.orders, "{waiting}").unwrap();
        let answer = self.answer().expect("the script answers");
        assert_eq!(answer["n"], self.n);
        self.first = answer["first"].as_array().unwrap().iter().filter_map(serde_json::Value::as_f64).collect();
        self.n as f64 / answer["seconds"].as_f64().unwrap()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

// --------------------------------------------------------------------------------------------------------- the results

/// Both sides did the same work.
fn cosine_of_first(backbone: &Backbone, paths: &[PathBuf], python: &Python) -> f64 {
    let embedded = embed(backbone, &paths[..1], &None, &EmbedConfig::default(), &Silent::default()).unwrap();
    let ours: Vec<f64> = embedded.embeddings.view().row(0).iter().map(|v| f64::from(*v)).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(&ours, &python.first) / (dot(&ours, &ours) * dot(&python.first, &python.first)).sqrt()
}

fn same_whatever_the_batch(backbone: &Backbone, paths: &[PathBuf]) {
    let run = |batch_size, n_threads| {
        let config = EmbedConfig { batch_size, n_threads, ..EmbedConfig::default() };
        embed(backbone, paths, &None, &config, &Silent::default()).unwrap().embeddings
    };
    let reference = run(1, 1);
    let largest = reference.view().iter().fold(0.0f32, |m, v| m.max(v.abs()));
    println!("\nlargest difference from batch 1, 1 thread (values up to {largest:.3})");
    for (batch_size, n_threads) in [(8, 2), (16, 2), (3, 4)] {
        let other = run(batch_size, n_threads);
        let differences = reference.view().iter().zip(other.view()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("  batch {batch_size}, {n_threads} threads: {differences:e}");
    }
}
