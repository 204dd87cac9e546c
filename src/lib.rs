//! # Graft
//!
//! Graft teaches a pretrained vision model your own classes, on your own machine: a folder of images goes in, a
//! measured classifier comes out, exported so that it gives the same answers elsewhere. The name: a new head is grafted
//! onto the stock of a pretrained backbone.
//!
//! This page is the architecture document: what the parts are, how data flows, and what is always true. The README says
//! how to use the program.
//!
//! ## Code tour
//!
//! | level | module | what it is |
//! | --- | --- | --- |
//! | 0 | [`classes`] | class names and their stable indices |
//! | 0 | [`eigen`] | eigenvalues and eigenvectors of a symmetric matrix |
//! | 0 | [`embedding`] | embeddings and the space that they live in |
//! | 0 | [`progress`] | progress and cancellation as values |
//! | 0 | [`rng`] | a seeded generator whose sequence never changes |
//! | 1 | [`image`] | bytes to pixels to tensors, as Pillow does it; the same picture again, odd ones |
//! | 1 | [`dataset`] | layouts, duplicates, stratified splits: rules only |
//! | 1 | [`head`] | linear, prototype and text heads: fitted, chosen, calibrated; distance to the nearest class, rules for "unknown"; what to label next, nearest images |
//! | 1 | [`metrics`] | accuracy to calibration, with bootstrap intervals; two classifiers in pairs; strangers told from known images; how well features suit classes (LogME, H-score); wrong labels, outliers; power laws of learning curves |
//! | 1 | [`project`] | images, labels, classes, and every edit as reversible data; runs, and how two of them differ |
//! | 1 | [`projection`] | embeddings as a map: principal components, t-SNE, new rows placed among old ones |
//! | 2 | [`onnx`] | ONNX models as protobuf: pruned, cut, fused, written |
//! | 2 | [`backbone`] | what a model is: family, roles of outputs, preprocessing, layers; ONNX Runtime and its providers |
//! | 2 | [`text`] | labels, prompts, tokens, the text tower of a dual encoder |
//! | 2 | [`store`] | project file and embedding cache (SQLite), thumbnails, settings, writes that are whole or not there |
//! | 2 | [`export`] | the exported folder, and the proof that it agrees; the report as one HTML file |
//! | 3 | [`workflow`] | the work, synchronous: import, scan, embed, train, probe, compare, clean, learning curves, zero-shot, evaluate, predict, what to label next, why an answer, export, report |
//! | 4 | [`jobs`] | the work beside the screen: named threads with queues, cancelling, one end for every job |
//! | 5 | [`app`] | the application without a screen: commands and events in, state and effects out |
//! | 6 | `ui` | the screen, with eframe and egui: shell, places, widgets, theme; only with the feature `gui` |
//! | 7 | [`cli`] | the command line: one file a command, thin callers of `workflow`; `graft open` is the window |
//!
//! ## The window
//!
//! ```text
//!    keys, buttons, drops ──► Command ──► app::update ─┬─► AppState ──► ui draws it
//!                                                      └─► Effect ──► jobs: files, embed, fit, predict, strangers, text, study, map, next, explain, export, project
//!    jobs ──► JobEvent ──► app::on_event ──► AppState, Effect        (and a call of the waker, which knows no egui)
//! ```
//!
//! Memory leads: [`project::Project`] and its history are changed by an [`project::Edit`], and the same edit goes to
//! [`store::project`], which has it on the disk within a transaction. What follows from data (embeddings, heads,
//! answers) is never part of an edit: it is computed again by itself, the latest change winning. Heads on data that have
//! stood still are kept as runs ([`project::runs`]); what the user says of a run is an edit again.
//!
//! ## Data flow
//!
//! One type a stage, so that a wrong order does not compile:
//!
//! | stage | type | shape, units |
//! | --- | --- | --- |
//! | decode | [`image::Rgb8Image`] | H x W x 3, u8 sRGB, EXIF applied |
//! | preprocess | [`image::preprocess::PixelBatch`] | `[N, 3, H, W]` f32 (or as the model wants it), per [`image::spec::PreprocessSpec`] |
//! | encode | [`embedding::Embeddings`] | `[N, D]` f32, tagged with its [`embedding::EmbeddingSpace`] |
//! | label | [`workflow::train::LabelledEmbeddings`] | rows <-> files <-> classes, one a split |
//! | read | [`workflow::zero_shot::ClassTexts`] | labels -> prompts -> tokens -> texts `[n, D]`, classes `[K, D]`, unit length |
//! | fit | [`head::Head`] | linear `W [K, D]`, `b [K]`; prototypes `P [K, D]`; texts, with or without examples; all as [`head::Affine`] |
//! | infer | [`head::Scores`] | `[N, K]`; says whether logits, cosine or probability |
//! | judge | [`metrics::Report`] | figures with 95 % intervals |
//! | export | [`export::bundle::Bundle`] | head + preprocessing + space + class order |
//!
//! An exported classifier is opened by the same code as a backbone, with its logits as features, so that judging and
//! predicting share the pipeline and the cache with embedding ([`workflow::evaluate`]).
//!
//! ## Embedding
//!
//! Each core has a worker that reads, hashes and decodes a small batch and runs it on a session of its own, so that
//! nothing fights over the cores. A large backbone has a single session instead, which decoders feed through a bounded
//! channel and take turns with ([`workflow::embed`]). Features are cached by content hash and embedding
//! space. The result does not depend on batch size or thread count.
//!
//! ## The map
//!
//! Rows at unit length become 50 principal components; two of them are a map at once, t-SNE lays out a better one while it is
//! watched ([`projection`]). It is made while it is looked at and never stored: the same images give the same map. New images
//! are placed among their nearest neighbours, and it is laid out anew when they are half as many again ([`app::map`]). Points
//! are painted into one picture on the processor (`ui::widgets::scatter`): 100,000 of them cost no triangle.
//!
//! ## Backbones
//!
//! Any ONNX graph with one image input ([`backbone::Backbone::open`]). Its files come first, then what the graph shows,
//! then what is usual for its family ([`backbone::architecture`], [`backbone::usual`]); every value keeps its origin. Inputs
//! beside the image become constants ([`onnx::inputs`]). A layer is made the only output and everything behind it is pruned,
//! so that an early layer costs what it costs ([`backbone::layers`]); several layers side by side go through the graph once
//! ([`workflow::probe`]). A provider is used once it has given the CPU's features on two pictures
//! ([`workflow::providers::settle`]); `auto` falls back with a word, a provider that was named does not.
//!
//! ## Texts
//!
//! A dual encoder's image tower gives two things in one run: features, and the image's vector in the space that it shares
//! with texts ([`backbone::Backbone::beside`]); each part is cached by itself. Zero-shot classes are embeddings of texts
//! in that space, so that a head made of them is applied, judged and exported like any other; a text head
//! ([`head::few_shot`]) starts from them and learns from features. A label costs its own text and one column of cosines:
//! what was computed for others is kept. Images that only labels have called so are trained on and never judged on.
//!
//! ## Learning curves
//!
//! Heads are fitted on nested stratified draws of growing size and judged on the same images throughout ([`workflow::curve`]); a
//! power law through their accuracies ([`metrics::PowerLaw`]) says what more images would give, up to four times as many. The
//! same heads on raw pixels and on the same graph with random weights ([`backbone::Backbone::untrained`], a space of its own in
//! the cache) say what pretraining is worth.
//!
//! ## Doubt
//!
//! A head's logits are divided by a temperature that held-out rows choose; what that is worth is judged on rows that did
//! not ([`workflow::certainty`]). The user wishes for a rule ([`head::UnknownWish`]: a precision, a share of known images that
//! keep their answer), which is settled anew on the validation images with every head; numbers ([`head::UnknownRule`]) are
//! what an export carries. A graph gives the distance to the nearest class beside its logits, so that the rule needs
//! nothing else, and the proof of an export compares distances and decisions too. Strangers (images of no class) are
//! judged on; they choose the threshold only where a false-accept rate is wished for.
//!
//! ## Invariants
//!
//! 1. Arrows point down the table above. Within a level modules meet only in level-0 values, but for `project`, which
//!    speaks of `dataset`'s splits, for `onnx`, which is a tool of `backbone`, `text` and `export`, for `text`, whose tower
//!    runs on a `backbone` session, and for `export`, which runs
//!    what it has written on a `backbone` session.
//!    `tests/architecture.rs` reads the imports.
//! 2. Only `backbone::session` and `backbone::runtime` name `ort`. Only `store` names `rusqlite`. Only `ui` names egui.
//!    No library code prints; only `cli` does.
//! 3. A head is applied only to embeddings of its own space; a mismatch is a typed error.
//! 4. The same input gives the same result: seeded, no iteration over hash maps into anything visible, class order kept.
//! 5. A write is whole or not there: temporary file, sync, rename; SQLite in WAL mode.
//! 6. Batch work skips and reports: one bad file among 10,000 costs one line in the list of skipped files.
//! 7. Softmax of an exported head's logits are its calibrated probabilities: the temperature is inside the weights.
//! 8. An export that disagrees with the app is not made.
//! 9. Nothing slow happens on the window's thread: no decoding, hashing, walking of folders, dialogs, sessions, SQL.
//! 10. Every job ends with exactly one `Finished`, also when it panics, is cancelled or never began.
//! 11. `app` has no threads, no clock and no screen, so that every behaviour is a test of a millisecond.
//!
//! ## Errors
//!
//! One `thiserror` enum a module, with typed fields; `anyhow` only in `main.rs` and `cli`. Messages are one sentence:
//! what happened, to which file, and what to do.

pub mod app;
pub mod backbone;
pub mod classes;
pub mod cli;
pub mod dataset;
pub mod eigen;
pub mod embedding;
pub mod export;
pub mod head;
pub mod image;
pub mod jobs;
pub mod metrics;
pub mod onnx;
pub mod progress;
pub mod project;
pub mod projection;
pub mod rng;
pub mod store;
pub mod text;
#[cfg(feature = "gui")]
pub mod ui;
pub mod workflow;
