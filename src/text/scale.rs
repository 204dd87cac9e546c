//! Scale and bias of a dual encoder's logits: read where a file has them, measured where a graph shows them, else guessed.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::tokenizer::{Family, Tokens};
use super::tower::{Role, TextTower, inputs_of, read_graph};
use crate::backbone::manifest::{Origin, Sourced};
use crate::backbone::provider::Provider;
use crate::backbone::session::{Feed, GraphSession, Output, Values};
use crate::backbone::towers::TextFiles;
use crate::head::Activation;
use crate::head::text::CosineLogits;
use crate::onnx::proto::ModelProto;
use crate::onnx::{self};

/// Scale and bias, with where they come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogitScale {
    /// Multiplies the cosine.
    pub scale: Sourced<f64>,
    /// Is added; always 0 for models that compare classes with each other.
    pub bias: Sourced<f64>,
    /// What makes probabilities of logits.
    pub activation: Activation,
}

impl LogitScale {
    /// The values alone.
    pub fn logits(&self) -> CosineLogits {
        CosineLogits { scale: self.scale.value, bias: self.bias.value, activation: self.activation }
    }
}

/// CLIP's scale after training, where it is clipped.
const CLIP_SCALE: f64 = 100.0;
/// SigLIP's scale and bias after training (base model, 224 px).
const SIGLIP: (f64, f64) = (117.33, -12.93);
/// A stored scale above this is the scale itself, below it its logarithm: trained logarithms end at ln 100 to ln 120.
const LARGEST_LOG: f64 = 8.0;

/// Finds scale and bias of the model of `files`, whose image graph is `vision` and takes `image_dims`; `sample` are a few
/// texts' tokens, as many a run as the graph takes.
pub fn find(
    files: &TextFiles,
    vision: (&Path, &[usize]),
    tower: &TextTower,
    family: Family,
    sample: &[Tokens],
) -> LogitScale {
    let (vision, image_dims) = vision;
    // A bias is what a model has that says of each text by itself whether it fits.
    let is_siglip = matches!(family, Family::Siglip | Family::Siglip2) || has_bias(files);
    let activation = if is_siglip { Activation::Sigmoid } else { Activation::Softmax };
    let no_bias = || Sourced { value: 0.0, origin: Origin::Guess { why: "there is none in this family".to_owned() } };
    let of = |scale: f64, bias: Option<f64>, origin: Origin| LogitScale {
        scale: Sourced { value: scale, origin: origin.clone() },
        bias: bias.filter(|_| is_siglip).map_or_else(no_bias, |value| Sourced { value, origin }),
        activation,
    };
    if let Some((scale, bias)) = in_config(&files.side_dirs).filter(|(_, bias)| bias.is_some() || !is_siglip) {
        return of(scale, bias, Origin::File { name: "config.json".to_owned() });
    }
    for path in graphs(files, vision) {
        let Ok((model, _)) = read_graph(&path) else { continue };
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let scale = stored(&model, "logit_scale").map(|v| if v > LARGEST_LOG { v } else { v.exp() });
        let bias = stored(&model, "logit_bias");
        if let Some(scale) = scale.filter(|_| bias.is_some() || !is_siglip) {
            return of(scale, bias, Origin::File { name });
        }
        if let Some((scale, bias)) = measured(&model, image_dims, tower, sample, is_siglip) {
            return of(scale, Some(bias), Origin::File { name });
        }
    }
    let guess = |value: f64, why: &str| Sourced::guess(value, why);
    match is_siglip {
        true => LogitScale {
            scale: guess(SIGLIP.0, "those of the first SigLIP base model, since these files do not say"),
            bias: guess(SIGLIP.1, "those of the first SigLIP base model, since these files do not say"),
            activation,
        },
        false => LogitScale {
            scale: guess(CLIP_SCALE, "CLIP's after training, since these files do not say"),
            bias: no_bias(),
            activation,
        },
    }
}

/// Whether the model's settings speak of a bias: those of open_clip do for every model that was trained with one.
fn has_bias(files: &TextFiles) -> bool {
    let keys = ["logit_bias", "init_logit_bias"];
    files.side_dirs.iter().flat_map(|dir| ["config.json", "open_clip_config.json"].map(|name| dir.join(name))).any(
        |path| {
            let json: Option<Value> = fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok());
            json.is_some_and(|json| {
                let places = [Some(&json), json.get("model_cfg")];
                places.into_iter().flatten().any(|v| keys.iter().any(|key| v.get(*key).is_some_and(Value::is_number)))
            })
        },
    )
}

/// `logit_scale` and `logit_bias` of a `config.json`: what is multiplied, not its logarithm. (`logit_scale_init_value` is
/// where training began and says nothing.)
fn in_config(dirs: &[PathBuf]) -> Option<(f64, Option<f64>)> {
    dirs.iter().find_map(|dir| {
        let json: Value = serde_json::from_str(&fs::read_to_string(dir.join("config.json")).ok()?).ok()?;
        let scale = json.get("logit_scale")?.as_f64().filter(|s| *s > 0.0)?;
        Some((scale, json.get("logit_bias").and_then(Value::as_f64)))
    })
}

/// Graphs that may know: those of the two towers, and a joint one beside them.
fn graphs(files: &TextFiles, vision: &Path) -> Vec<PathBuf> {
    let joint = vision.parent().map(|dir| dir.join("model.onnx"));
    let mut paths = vec![files.onnx.clone(), vision.to_owned()];
    // In immich's layout every tower is a `model.onnx` of its own.
    paths.extend(joint.filter(|p| p.is_file() && vision.file_name() != p.file_name()));
    paths.dedup();
    paths
}

/// A stored number whose name ends in `name`.
fn stored(model: &ModelProto, name: &str) -> Option<f64> {
    let graph = onnx::graph(model).ok()?;
    let tensor = graph.initializer.iter().find(|t| t.name().ends_with(name))?;
    onnx::scalar(tensor).filter(|v| v.is_finite())
}

/// Scale and bias from what a joint graph does with embeddings, whatever its constants are called: logits are a line over
/// cosines.
fn measured(
    model: &ModelProto,
    image_dims: &[usize],
    tower: &TextTower,
    sample: &[Tokens],
    has_bias: bool,
) -> Option<(f64, f64)> {
    const LOGITS: &str = "logits_per_image";
    let graph = onnx::graph(model).ok()?;
    let wanted = [LOGITS, "image_embeds", "text_embeds"];
    if wanted.iter().any(|name| !graph.output.iter().any(|o| o.name() == *name)) {
        return None;
    }
    let pruned = onnx::prune(model, &wanted).ok()?;
    let inputs = inputs_of(onnx::graph(&pruned).ok()?);
    let image = inputs.iter().find(|i| i.dims.len() == 4)?;
    let mut session = GraphSession::load(&onnx::encode(&pruned).ok()?, 1, Provider::Cpu).ok()?;
    // A picture that is no plain colour; which one does not matter.
    let dims: Vec<usize> = image.dims.iter().zip(image_dims).map(|(own, given)| own.unwrap_or(*given)).collect();
    let n_values: usize = dims.iter().product();
    let pixels: Vec<f32> = (0..n_values).map(|i| ((i * 7919 % 257) as f32 / 128.0) - 1.0).collect();
    let (mut cosines, mut all_logits) = (Vec::new(), Vec::new());
    for tokens in sample {
        let mut feeds = vec![Feed { input: &image.name, dims: dims.clone(), values: Values::F32(pixels.clone()) }];
        // A joint graph may want a mask that the text's half does without.
        let mut of_tokens = token_feeds(tower, tokens);
        of_tokens.retain(|feed| inputs.iter().any(|input| input.name == feed.input));
        feeds.extend(of_tokens);
        let outputs = session.run_feeds(feeds, &wanted).ok()?;
        let [logits, images, texts] = outputs.as_slice() else { return None };
        let image = images.values.get(..row_len(images)?)?;
        let found: Vec<f64> = texts.values.chunks_exact(row_len(texts)?).map(|text| cosine(image, text)).collect();
        all_logits.extend(logits.values.iter().take(found.len()).map(|&v| f64::from(v)));
        cosines.extend(found);
    }
    line(&cosines, &all_logits, has_bias)
}

/// Slope and intercept of `y` over `x`; `None` where the points are too close together to tell.
fn line(x: &[f64], y: &[f64], has_bias: bool) -> Option<(f64, f64)> {
    if x.len() < 2 || x.len() != y.len() {
        return None;
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (mx, my) = if has_bias { (mean(x), mean(y)) } else { (0.0, 0.0) };
    let spread: f64 = x.iter().map(|v| (v - mx).powi(2)).sum();
    if spread < 1e-6 {
        return None;
    }
    let slope = x.iter().zip(y).map(|(a, b)| (a - mx) * (b - my)).sum::<f64>() / spread;
    let bias = my - slope * mx;
    let fits = x.iter().zip(y).all(|(a, b)| (slope * a + bias - b).abs() < 1e-2 * slope.abs().max(1.0));
    (slope > 0.0 && fits).then_some((slope, bias))
}

fn row_len(output: &Output) -> Option<usize> {
    output.dims.last().copied().filter(|n| *n > 0)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12)
}

/// What goes into a text tower's inputs for some tokens.
pub(super) fn token_feeds<'t>(tower: &'t TextTower, tokens: &Tokens) -> Vec<Feed<'t>> {
    let dims = vec![tokens.n_rows, tokens.len];
    let mut feeds = vec![Feed { input: &tower.ids.name, dims: dims.clone(), values: Values::I64(tokens.ids.clone()) }];
    for (port, role) in &tower.others {
        let values = match role {
            Role::Mask => tokens.mask.clone(),
            Role::Segment => vec![0; tokens.ids.len()],
            Role::Position => (0..tokens.n_rows).flat_map(|_| 0..tokens.len as i64).collect(),
        };
        feeds.push(Feed { input: &port.name, dims: dims.clone(), values: Values::I64(values) });
    }
    feeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_cosines_gives_scale_and_bias() {
        let x = [0.1, 0.3, -0.2];
        let y = x.map(|v| 37.0 * v - 5.0);
        let (scale, bias) = line(&x, &y, true).unwrap_or_default();
        assert!((scale - 37.0).abs() < 1e-9 && (bias + 5.0).abs() < 1e-9);
        let y = x.map(|v| 100.0 * v);
        assert!((line(&x, &y, false).unwrap_or_default().0 - 100.0).abs() < 1e-9);
        assert_eq!(line(&[0.2, 0.2], &[1.0, 1.0], true), None, "nothing can be told");
        assert_eq!(line(&x, &[1.0, -9.0, 4.0], true), None, "no line");
    }
}
