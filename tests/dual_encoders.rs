//! Dual encoders in every layout against transformers: token ids exactly, embeddings and probabilities within 1e-3.
//! `tests/reference/dual_encoders.py` makes the models and the reference values.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use graft::backbone::Backbone;
use graft::backbone::towers::{self, TextFiles};
use graft::head::text::CosineLogits;
use graft::head::{Activation, Head, TextHead};
use graft::progress::{CancelToken, Silent};
use graft::text::TextError;
use graft::text::encoder::{TextEncoder, TextOverrides};
use graft::text::labels::parse;
use graft::text::prompts::Templates;
use graft::workflow::WorkflowError;
use graft::workflow::embed::{EmbedConfig, embed};
use graft::workflow::zero_shot::DualEncoder;
use ndarray::Array2;
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn dual_dir(name: &str) -> PathBuf {
    fixtures().join("dual").join(name)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn ids(value: &Value) -> Vec<Vec<i64>> {
    let row = |v: &Value| v.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
    value.as_array().unwrap().iter().map(row).collect()
}

fn matrix(value: &Value) -> Array2<f32> {
    let rows = value.as_array().unwrap();
    let width = rows[0].as_array().unwrap().len();
    let flat = rows.iter().flat_map(|r| r.as_array().unwrap()).map(|v| v.as_f64().unwrap() as f32).collect();
    Array2::from_shape_vec((rows.len(), width), flat).unwrap()
}

fn worst(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn open(path: &Path, overrides: &TextOverrides) -> Result<DualEncoder, WorkflowError> {
    DualEncoder::open(&Backbone::open(path, None, |_| None)?, overrides, &None)
}

/// Images of the reference, embedded.
fn image_embeds(dual: &DualEncoder, reference: &Value) -> graft::embedding::Embeddings {
    let paths: Vec<PathBuf> = texts(&reference["images"]).iter().map(|n| dual_dir("images").join(n)).collect();
    let embedded = embed(&dual.image, &paths, &None, &EmbedConfig::default(), &Silent::default()).unwrap();
    assert!(embedded.skipped.is_empty(), "{:?}", embedded.skipped);
    embedded.embeddings
}

fn unit(rows: &graft::embedding::Embeddings) -> Array2<f32> {
    graft::head::unit_blocks(rows.view(), &[graft::head::Block::plain(rows.view().ncols())])
}

/// Everything of one model against its reference. `scale` is what the model must be found to have, `None` where its files
/// do not say, so that the user has to.
fn check(name: &str, path: &Path, scale: Option<f64>, tolerance: f32) {
    let reference = json(&dual_dir(name).join("reference.json"));
    let overrides = match scale {
        Some(_) => TextOverrides::default(),
        None => TextOverrides {
            logit_scale: reference["logit_scale"].as_f64(),
            logit_bias: reference["logit_bias"].as_f64(),
            ..TextOverrides::default()
        },
    };
    let mut dual = open(path, &overrides).unwrap();
    let labels = texts(&reference["texts"]);
    // Leading spaces are SigLIP's only difference between its two tokenizers, and labels have none.
    let has_spaces = |text: &str| text.starts_with(' ');
    for (text, expected) in labels.iter().zip(ids(&reference["input_ids"])) {
        if reference.get("tokenizer_json_ids").is_some() && has_spaces(text) {
            continue;
        }
        let tokens = dual.text.tokens(&[text]).unwrap();
        assert_eq!(tokens.ids, expected, "{name}: {text:?}");
    }
    let found = dual.text.encode(&labels, &CancelToken::new(), |_, _| {}).unwrap();
    let kept: Vec<usize> = (0..labels.len())
        .filter(|&i| reference.get("tokenizer_json_ids").is_none() || !has_spaces(&labels[i]))
        .collect();
    let pick = |m: &Array2<f32>| m.select(ndarray::Axis(0), &kept);
    let difference = worst(&pick(&found), &pick(&matrix(&reference["text_embeds"])));
    assert!(difference < tolerance, "{name}: texts differ by {difference}");
    let images = image_embeds(&dual, &reference);
    let difference = worst(&unit(&images), &matrix(&reference["image_embeds"]));
    assert!(difference < tolerance, "{name}: images differ by {difference}");
    let logits = dual.logits.logits();
    let expected = reference["logit_scale"].as_f64().unwrap();
    assert!((logits.scale - expected).abs() < 1e-3 * expected, "{name}: scale {}", logits.scale);
    if let Some(bias) = reference["logit_bias"].as_f64() {
        assert!((logits.bias - bias).abs() < 1e-3 * expected, "{name}: bias {}", logits.bias);
    }
    let probabilities = probabilities(&dual, &matrix(&reference["text_embeds"]), logits, &images);
    let difference = worst(&probabilities, &matrix(&reference["probabilities"]));
    assert!(difference < 1e-3, "{name}: probabilities differ by {difference}");
}

/// What the app's own head says, with texts of the reference (whose labels repeat each other in the eyes of a tokenizer).
fn probabilities(
    dual: &DualEncoder,
    texts: &Array2<f32>,
    logits: CosineLogits,
    images: &graft::embedding::Embeddings,
) -> Array2<f32> {
    let classes = graft::classes::ClassSet::from_ordered((0..texts.nrows()).map(|i| format!("class {i}")));
    let head = TextHead::zero_shot(dual.image.space.clone(), classes, texts.view(), logits).unwrap();
    Head::Text(head).probabilities(images).unwrap()
}

#[test]
fn clip_in_one_graph_with_its_scale_under_its_name() {
    let dual = open(&dual_dir("clip_joint"), &TextOverrides::default()).unwrap();
    assert!(dual.image.manifest.text.as_ref().unwrap().is_joint);
    check("clip_joint", &dual_dir("clip_joint"), Some(37.0), 1e-4);
}

#[test]
fn a_joint_graph_runs_only_the_half_that_is_needed() {
    let dual = open(&dual_dir("clip_joint"), &TextOverrides::default()).unwrap();
    let whole = fs::metadata(dual_dir("clip_joint").join("model.onnx")).unwrap().len() as usize;
    let image = dual.image.feature_graph().unwrap();
    let graph = image.graph.as_ref().unwrap();
    assert_eq!(graph.input.iter().map(|i| i.name()).collect::<Vec<_>>(), ["pixel_values"]);
    assert!(dual.image.feature_model().unwrap().len() < whole / 2, "the text tower's words are not in it");
    let layers = dual.image.layers().unwrap();
    assert!(layers.iter().all(|l| !l.tensor.contains("text")), "{layers:?}");
}

#[test]
fn clip_with_weights_beside_and_a_scale_without_a_name() {
    check("clip_joint_external", &dual_dir("clip_joint_external"), Some(37.0), 1e-4);
}

#[test]
fn clip_in_two_graphs_does_not_tell_its_scale() {
    let dual = open(&dual_dir("clip_split"), &TextOverrides::default()).unwrap();
    let origin = dual.logits.scale.origin.to_string();
    assert!(origin.starts_with("guessed") && dual.logits.scale.value == 100.0, "{origin}");
    check("clip_split", &dual_dir("clip_split"), None, 1e-4);
}

#[test]
fn other_precisions_go_together() {
    let reference = json(&dual_dir("clip_split").join("reference.json"));
    let half = dual_dir("clip_split").join("onnx/vision_model_fp16.onnx");
    let mut dual = open(&half, &TextOverrides::default()).unwrap();
    assert!(dual.text.tower().path.ends_with("text_model_fp16.onnx"));
    let labels = texts(&reference["texts"]);
    let found = dual.text.encode(&labels, &CancelToken::new(), |_, _| {}).unwrap();
    let difference = worst(&found, &matrix(&reference["precisions"]["fp16"]["text_embeds"]));
    assert!(difference < 1e-2, "texts differ by {difference}");
    let difference =
        worst(&unit(&image_embeds(&dual, &reference)), &matrix(&reference["precisions"]["fp16"]["image_embeds"]));
    assert!(difference < 1e-2, "images differ by {difference}");

    // A text tower of another precision that the user names, whose rows must not depend on what is encoded with them.
    let graph = dual_dir("clip_split").join("onnx/text_model_quantized.onnx");
    let overrides = TextOverrides { graph: Some(graph), ..TextOverrides::default() };
    let mut dual = open(&dual_dir("clip_split"), &overrides).unwrap();
    let all = dual.text.encode(&labels, &CancelToken::new(), |_, _| {}).unwrap();
    let mut again = open(&dual_dir("clip_split"), &overrides).unwrap();
    let alone = again.text.encode(&labels[1..2], &CancelToken::new(), |_, _| {}).unwrap();
    assert_eq!(all.row(1), alone.row(0));
    let difference = worst(&all, &matrix(&reference["precisions"]["quantized"]["text_embeds"]));
    assert!(difference < 5e-2, "quantised texts differ by {difference}");
}

#[test]
fn siglip_in_one_graph_has_its_scale_and_bias_without_names() {
    check("siglip_joint", &dual_dir("siglip_joint"), Some(12.0), 1e-4);
    let dual = open(&dual_dir("siglip_joint"), &TextOverrides::default()).unwrap();
    assert_eq!(dual.logits.activation, Activation::Sigmoid);
}

#[test]
fn siglip_in_two_graphs() {
    let dual = open(&dual_dir("siglip_split"), &TextOverrides::default()).unwrap();
    assert_eq!(dual.image.space.layer, "pooler_output");
    assert!(dual.logits.bias.origin.to_string().starts_with("guessed"));
    check("siglip_split", &dual_dir("siglip_split"), None, 1e-4);
}

#[test]
fn a_tower_without_a_causal_mask_gets_the_padding_it_was_trained_with() {
    let dual = open(&dual_dir("no_causal"), &TextOverrides::default()).unwrap();
    assert_eq!((dual.text.tower().fixed_batch(), dual.text.tower().fixed_len()), (Some(1), Some(77)));
    check("no_causal", &dual_dir("no_causal"), Some(100.0), 1e-4);
}

#[test]
fn a_sentence_encoder_beside_a_vision_transformer() {
    check("wordpiece_split", &dual_dir("wordpiece_split"), None, 1e-4);
    let dual = open(&dual_dir("wordpiece_split"), &TextOverrides::default()).unwrap();
    assert_eq!(dual.text.default_templates(), Templates::None);
}

/// A tokenizer alone: the text graph that belongs to it is not at hand.
fn token_rows(name: &str, dir: &Path, texts: &[String]) -> Vec<Vec<i64>> {
    use graft::text::tokenizer::TextTokenizer;
    let files = TextFiles { onnx: dir.join(name), is_joint: false, side_dirs: vec![dir.to_owned()] };
    let tokenizer = TextTokenizer::open(&files, None).unwrap();
    texts.iter().map(|text| tokenizer.encode(&[text]).unwrap().ids).collect()
}

#[test]
fn the_real_clip_vocabulary_from_its_merges_alone() {
    let reference = json(&fixtures().join("text/clip_ids.json"));
    let dir = tempfile::tempdir().unwrap();
    fs::copy(fixtures().join("text/clip_merges.txt"), dir.path().join("merges.txt")).unwrap();
    let labels = texts(&reference["texts"]);
    let rows = token_rows("text_model.onnx", dir.path(), &labels);
    for ((text, found), expected) in labels.iter().zip(&rows).zip(ids(&reference["ids"])) {
        assert_eq!(*found, expected, "{text:?}");
    }
    let cat = labels.iter().position(|t| t == "a photo of a cat").unwrap();
    assert_eq!(rows[cat][..7], [49406, 320, 1125, 539, 320, 2368, 49407]);
}

#[test]
fn siglips_tokenizer_file_lacks_steps_that_are_added() {
    let reference = json(&fixtures().join("text/siglip_ids.json"));
    let labels = texts(&reference["texts"]);
    let rows = token_rows("text_model.onnx", &dual_dir("siglip_joint"), &labels);
    for ((text, found), expected) in labels.iter().zip(rows).zip(ids(&reference["ids"])) {
        if !text.starts_with(' ') {
            assert_eq!(found, expected, "{text:?}");
        }
    }
}

/// A copy of a fixture's folder.
fn copy(name: &str, leave_out: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join(name);
    let from = dual_dir(name);
    let mut stack = vec![from.clone()];
    while let Some(folder) = stack.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let rel = path.strip_prefix(&from).unwrap();
            if path.is_dir() {
                stack.push(path);
            } else if !leave_out.iter().any(|left| rel.ends_with(left)) {
                fs::create_dir_all(to.join(rel).parent().unwrap()).unwrap();
                fs::copy(&path, to.join(rel)).unwrap();
            }
        }
    }
    (dir, to)
}

fn error(path: &Path, overrides: &TextOverrides) -> String {
    let error = open(path, overrides).map(|_| ()).unwrap_err().to_string();
    assert!(!error.contains('\n') && !error.ends_with('.'), "one sentence: {error}");
    error
}

#[test]
fn what_is_missing_or_does_not_fit_is_one_sentence() {
    let none = TextOverrides::default();
    let (_dir, bare) = copy("clip_split", &["text_model.onnx", "text_model_fp16.onnx", "text_model_quantized.onnx"]);
    assert!(error(&bare, &none).contains("has no text tower"));

    let (_dir, wordless) = copy("clip_split", &["tokenizer.json", "vocab.json", "merges.txt"]);
    assert!(error(&wordless, &none).contains("no tokenizer was found"));

    let (_dir, half) = copy("clip_split", &["vision_model.onnx", "vision_model_fp16.onnx"]);
    let missing = Backbone::open(&half, None, |_| None).unwrap_err().to_string();
    assert!(missing.contains("holds a text tower and no image tower"), "{missing}");

    // Words of another model: CLIP's ids reach further than the table of the sentence encoder.
    let tokenizer = dual_dir("no_causal").join("textual/tokenizer.json");
    let foreign = TextOverrides { tokenizer: Some(tokenizer), ..none.clone() };
    assert!(error(&dual_dir("wordpiece_split"), &foreign).contains("does not belong to this model"));

    // A text tower of another width.
    let graph = dual_dir("siglip_split").join("onnx/text_model.onnx");
    let tokenizer = dual_dir("siglip_split").join("tokenizer.json");
    let mixed = TextOverrides { graph: Some(graph), tokenizer: Some(tokenizer), ..none.clone() };
    let message = error(&dual_dir("clip_split"), &mixed);
    assert!(
        message.contains("do not belong together") && message.contains("24") && message.contains("20"),
        "{message}"
    );

    let (_dir, broken) = copy("clip_split", &[]);
    fs::write(broken.join("tokenizer.json"), b"{ no json").unwrap();
    assert!(error(&broken, &none).contains("it is not JSON"));
    fs::write(broken.join("onnx/text_model.onnx"), b"no model").unwrap();
    assert!(error(&broken, &none).contains("text_model.onnx cannot be used"));

    let named = TextOverrides { output: Some("nothing".to_owned()), ..none.clone() };
    assert!(error(&dual_dir("clip_split"), &named).contains("has no output \"nothing\""));
    let image = TextOverrides { image_output: Some("nothing".to_owned()), ..none };
    assert!(error(&dual_dir("clip_split"), &image).contains("nothing"));
}

#[test]
fn a_vision_tower_without_its_projection_is_told_of() {
    let outputs = ["last_hidden_state", "pooler_output"];
    let (_dir, path) = copy("siglip_split", &[]);
    // The same graphs said to be CLIP's, whose pooled output is not projected.
    let config = fs::read_to_string(path.join("config.json")).unwrap().replace("siglip", "clip");
    fs::write(path.join("config.json"), config).unwrap();
    let message = error(&path, &TextOverrides::default());
    assert!(message.contains("projection was not exported") && message.contains(outputs[1]), "{message}");
}

#[test]
fn two_loose_files_are_told_apart_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let from = dual_dir("clip_split");
    for (name, to) in [
        ("onnx/vision_model.onnx", "image_encoder.onnx"),
        ("onnx/text_model.onnx", "text_encoder.onnx"),
        ("tokenizer.json", "tokenizer.json"),
        ("preprocessor_config.json", "preprocessor_config.json"),
    ] {
        if from.join(name).is_file() {
            fs::copy(from.join(name), dir.path().join(to)).unwrap();
        }
    }
    let dual = open(dir.path(), &TextOverrides::default()).unwrap();
    assert!(dual.text.tower().path.ends_with("text_encoder.onnx"));
    assert!(dual.image.manifest.path.ends_with("image_encoder.onnx"));
    // And where their names do not tell, the user does.
    let graph = dir.path().join("words.onnx");
    fs::rename(dir.path().join("text_encoder.onnx"), &graph).unwrap();
    let image = dir.path().join("image_encoder.onnx");
    assert!(towers::text_graphs(&image).is_empty());
    open(&image, &TextOverrides { graph: Some(graph), ..TextOverrides::default() }).unwrap();
}

#[test]
fn labels_become_classes_by_templates() {
    let mut dual = open(&dual_dir("clip_joint"), &TextOverrides::default()).unwrap();
    let labels = parse("cat | kitten\nhot_dog\nnone of these").unwrap();
    let classes = dual.classes(&labels, &Templates::Ensemble, &None, &Silent::default()).unwrap();
    assert_eq!(classes.prompts.of_label()[0].len(), 14);
    assert!(classes.prompts.texts.contains(&"itap of a hot dog.".to_owned()));
    // Each text divided by its length, averaged, divided by its length again.
    let rows = classes.texts.select(ndarray::Axis(0), &classes.prompts.of_label()[0]);
    let mean = rows.mean_axis(ndarray::Axis(0)).unwrap();
    let expected = &mean / mean.dot(&mean).sqrt();
    assert!(classes.embeddings.row(0).iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));
    let one: f32 = classes.embeddings.row(2).iter().map(|v| v * v).sum();
    assert!((one - 1.0).abs() < 1e-5);
    let cancelled = Silent::default();
    graft::progress::Reporter::cancel_token(&cancelled).cancel();
    let error = dual.classes(&parse("something new").unwrap(), &Templates::None, &None, &cancelled).unwrap_err();
    assert!(matches!(error, WorkflowError::Cancelled), "{error}");
}

#[test]
fn an_encoder_goes_on_after_a_cancel() {
    let files = Backbone::open(&dual_dir("clip_split"), None, |_| None).unwrap().manifest.text.unwrap();
    let mut encoder = TextEncoder::open(&files, &TextOverrides::default()).unwrap();
    let texts: Vec<String> = (0..64).map(|i| format!("text {i}")).collect();
    let token = CancelToken::new();
    // In the middle, while a hook on the session is set.
    let result = encoder.encode(&texts, &token, |n_done, _| {
        if n_done > 0 {
            token.cancel();
        }
    });
    assert!(matches!(result, Err(TextError::Cancelled)), "{result:?}");
    let mut n_new = 0;
    let all = encoder.encode(&texts, &CancelToken::new(), |_, n_total| n_new = n_total).unwrap();
    assert!(n_new > 0 && n_new < 64, "what was done is kept: {n_new}");
    assert!(all.outer_iter().all(|row| (row.dot(&row) - 1.0).abs() < 1e-4));
}

#[test]
fn a_text_is_encoded_once() {
    let files = Backbone::open(&dual_dir("clip_split"), None, |_| None).unwrap().manifest.text.unwrap();
    let mut encoder = TextEncoder::open(&files, &TextOverrides::default()).unwrap();
    let count = |encoder: &mut TextEncoder, texts: &[&str]| {
        let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
        let mut n = 0;
        encoder.encode(&texts, &CancelToken::new(), |_, n_total| n = n_total).unwrap();
        n
    };
    assert_eq!(count(&mut encoder, &["ant", "bee", "ant"]), 2);
    assert_eq!(count(&mut encoder, &["bee", "wasp"]), 1);
    assert_eq!(count(&mut encoder, &["wasp", "ant"]), 0);
}

#[test]
fn padding_that_counts_is_zeros_whatever_the_tokenizer_says() {
    // The tower without a causal mask in the layout of the hub, whose tokenizer says that its end token fills up.
    let dir = tempfile::tempdir().unwrap();
    let from = dual_dir("no_causal");
    fs::create_dir(dir.path().join("onnx")).unwrap();
    for (name, to) in [
        ("visual/model.onnx", "onnx/vision_model.onnx"),
        ("textual/model.onnx", "onnx/text_model.onnx"),
        ("textual/tokenizer.json", "tokenizer.json"),
        ("textual/tokenizer_config.json", "tokenizer_config.json"),
        ("visual/preprocess_cfg.json", "preprocess_cfg.json"),
    ] {
        fs::copy(from.join(name), dir.path().join(to)).unwrap();
    }
    fs::write(dir.path().join("config.json"), br#"{"model_type": "clip"}"#).unwrap();
    let dual = open(dir.path(), &TextOverrides::default()).unwrap();
    assert_eq!(dual.text.rules().pad_id, 0);
    let reference = json(&from.join("reference.json"));
    let labels = texts(&reference["texts"]);
    assert_eq!(dual.text.tokens(&[&labels[0]]).unwrap().ids, ids(&reference["input_ids"])[0]);
    // With a causal mask the filling has no influence and stays what the files say.
    let causal = open(&dual_dir("clip_split"), &TextOverrides::default()).unwrap();
    assert_ne!(causal.text.rules().pad_id, 0);
}

#[test]
fn a_joint_graph_that_takes_one_text_at_a_time_still_tells_its_scale() {
    use graft::onnx;
    use graft::onnx::proto::{tensor_shape_proto::Value as Extent, type_proto::Value as Kind};
    let (_dir, path) = copy("siglip_joint", &[]);
    let file = path.join("model.onnx");
    let mut model = onnx::parse(fs::read(&file).unwrap()).unwrap();
    for input in &mut model.graph.as_mut().unwrap().input {
        let Some(Kind::TensorType(tensor)) = input.r#type.as_mut().unwrap().value.as_mut() else { unreachable!() };
        tensor.shape.as_mut().unwrap().dim[0].value = Some(Extent::DimValue(1));
    }
    fs::write(&file, onnx::encode(&model).unwrap()).unwrap();
    let dual = open(&path, &TextOverrides::default()).unwrap();
    assert_eq!(dual.text.tower().fixed_batch(), Some(1));
    let logits = dual.logits.logits();
    assert!((logits.scale - 12.0).abs() < 0.01 && (logits.bias + 2.5).abs() < 0.01, "{logits:?}");
}
