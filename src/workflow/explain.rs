//! Why an answer: which parts of an image the model's answer rests on.
//!
//! A patch of the image's own mean colour is slid over what the model is given, and the model answers anew for each place
//! (M. Zeiler, R. Fergus: Visualizing and understanding convolutional networks, ECCV 2014, section 4.2). What the log-odds
//! of the class fall by is what that place speaks for it. Log-odds, since probabilities near 1 hardly move; the mean colour,
//! since a grey patch would be a thing of its own on a drawing. It works on any backbone, at the price of a run a place.

use std::path::Path;

use ndarray::Array2;

use super::WorkflowError;
use super::embed::EmbedConfig;
use super::providers::settle;
use super::source;
use crate::backbone::session::GraphSession;
use crate::backbone::{Backbone, BackboneError};
use crate::classes::ClassIdx;
use crate::dataset::SkipReason;
use crate::embedding::Embeddings;
use crate::head::{Activation, Head};
use crate::image::Rgb8Image;
use crate::image::decode;
use crate::image::preprocess::{Preprocessor, Scratch};
use crate::progress::{Reporter, Stage};

/// Images of a run on the CPU.
const CPU_BATCH: usize = 8;

/// How finely an image is covered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OcclusionConfig {
    /// Places along each side.
    pub n_steps: usize,
    /// Side of the patch, in parts of the input's side; neighbouring patches overlap where it is more than `1 / n_steps`.
    pub patch: f32,
}

impl Default for OcclusionConfig {
    fn default() -> Self {
        Self { n_steps: 12, patch: 0.2 }
    }
}

/// What covering a part of an image does to an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct OcclusionMap {
    /// The class that it is about.
    pub class: ClassIdx,
    /// What the log-odds of the class fall by when the patch lies here, `[n_steps, n_steps]`, rows from the top: above 0
    /// where the place speaks for the class, under 0 where it speaks against it.
    pub drops: Array2<f32>,
    /// The class's probability without a patch.
    pub probability: f32,
    /// The least and the largest that a patch made of it.
    pub range: (f32, f32),
    /// Where the map lies on the image: left, top, right, bottom, in parts of its width and height.
    pub seen: [f32; 4],
}

impl OcclusionMap {
    /// The largest change, up or down; at least a hundredth, so that noise is not shown as if it were something.
    pub fn scale(&self) -> f32 {
        self.drops.iter().fold(0.01, |max, drop| drop.abs().max(max))
    }

    /// The place with the largest drop: row and column.
    pub fn strongest(&self) -> (usize, usize) {
        let best = |best: (usize, usize), at: (usize, usize)| if self.drops[at] > self.drops[best] { at } else { best };
        self.drops.indexed_iter().map(|(at, _)| at).fold((0, 0), best)
    }
}

/// Covers one place of an image after the other and asks the model again. `head` is one of `backbone`'s features; `class` the
/// class that is asked about, the head's answer without.
///
/// # Errors
/// When the file cannot be used, the model cannot run, the head is of another space, or the user cancels.
pub fn occlusion(
    backbone: &Backbone,
    head: &Head,
    class: Option<ClassIdx>,
    path: &Path,
    (config, embed): (OcclusionConfig, &EmbedConfig),
    reporter: &dyn Reporter,
) -> Result<OcclusionMap, WorkflowError> {
    let image = read(path, embed)?;
    let preprocessor = Preprocessor::new(backbone.preprocess()).map_err(BackboneError::from)?;
    let input = preprocessor.to_rgb8(&image, &mut Scratch::default());
    let seen = preprocessor.seen(image.width_px(), image.height_px());
    drop(image);
    let n_steps = config.n_steps.clamp(1, 64);
    let n_runs = n_steps * n_steps + 1;
    reporter.progress(Stage::Explain, 0, n_runs);
    let provider = settle(backbone, embed.provider, reporter)?;
    let mut session = GraphSession::load(&backbone.feature_model()?, embed.n_threads, provider)?;
    let _end = session.end_on_cancel(reporter.cancel_token());
    let wanted =
        if session.provider() == crate::backbone::provider::Provider::Cpu { CPU_BATCH } else { embed.gpu_batch_size };
    let wanted = if backbone.is_batch_dependent() { 1 } else { wanted };
    let batch_size = backbone.fixed_batch().unwrap_or(wanted).max(1);
    let fill = mean_colour(&input);
    let mut features = Vec::with_capacity(n_runs * backbone.space.dim);
    let mut values = Vec::new();
    for first in (0..n_runs).step_by(batch_size) {
        if reporter.cancelled() {
            return Err(WorkflowError::Cancelled);
        }
        let runs = first..(first + batch_size).min(n_runs);
        let n = runs.len();
        values.clear();
        values.resize(n * preprocessor.tensor_len(), 0.0);
        for (run, tensor) in runs.clone().zip(values.chunks_exact_mut(preprocessor.tensor_len())) {
            // The first is the image itself.
            let covered =
                run.checked_sub(1).map(|at| cover(&input, fill, (at / n_steps, at % n_steps), n_steps, config.patch));
            let written = preprocessor.apply_rgb8(covered.as_ref().unwrap_or(&input), tensor);
            written.map_err(|e| BackboneError::Run { message: e.to_string() })?;
        }
        match backbone.run_features(&mut session, &backbone.input_dims(n), values.clone(), n) {
            Ok(of_batch) => features.extend(of_batch),
            // A run that was ended on purpose is no failure.
            Err(_) if reporter.cancelled() => return Err(WorkflowError::Cancelled),
            Err(error) => return Err(error.into()),
        }
        reporter.progress(Stage::Explain, runs.end, n_runs);
    }
    let features = Array2::from_shape_vec((n_runs, backbone.space.dim), features)
        .map_err(|e| BackboneError::Run { message: e.to_string() })?;
    if features.iter().any(|v| !v.is_finite()) {
        return Err(WorkflowError::Picture { path: path.to_owned(), reason: SkipReason::NotFinite });
    }
    let logits = head.scores(&Embeddings::new(features, backbone.space.clone())?)?.values;
    Ok(map(&logits, head.activation(), class, n_steps, seen))
}

/// A map of the logits `[1 + n_steps^2, n_classes]`, those of the image itself first.
fn map(
    logits: &Array2<f32>,
    activation: Activation,
    class: Option<ClassIdx>,
    n_steps: usize,
    seen: [f32; 4],
) -> OcclusionMap {
    let probabilities = activation.probabilities(logits);
    let answer = (0..logits.ncols()).fold(0, |best, c| if logits[[0, c]] > logits[[0, best]] { c } else { best });
    let class = class.filter(|c| c.as_usize() < logits.ncols()).unwrap_or(ClassIdx::from(answer));
    let of = |run: usize| log_odds(logits, activation, run, class.as_usize());
    let whole = of(0);
    let drops =
        Array2::from_shape_fn((n_steps, n_steps), |(row, column)| (whole - of(1 + row * n_steps + column)) as f32);
    let ps = probabilities.column(class.as_usize());
    let covered = || ps.iter().skip(1).copied();
    let range = (covered().fold(f32::INFINITY, f32::min), covered().fold(f32::NEG_INFINITY, f32::max));
    OcclusionMap { class, drops, probability: ps[0], range, seen }
}

/// `ln(p / (1 - p))` of a class, from logits, so that nothing is lost where `p` is nearly 1.
fn log_odds(logits: &Array2<f32>, activation: Activation, run: usize, class: usize) -> f64 {
    let row = logits.row(run);
    let own = f64::from(row[class]);
    if activation == Activation::Sigmoid {
        return own;
    }
    let others = || row.iter().enumerate().filter(|(c, _)| *c != class).map(|(_, &z)| f64::from(z));
    let max = others().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return 0.0;
    }
    own - max - others().map(|z| (z - max).exp()).sum::<f64>().ln()
}

/// The image with a patch at a place of the grid, its centre in the middle of the place.
fn cover(input: &Rgb8Image, fill: [u8; 3], (row, column): (usize, usize), n_steps: usize, patch: f32) -> Rgb8Image {
    let span = |at: usize, side_px: u32| {
        let side = side_px as f32;
        let centre = (at as f32 + 0.5) * side / n_steps as f32;
        let half = 0.5 * patch.clamp(0.0, 1.0) * side;
        // At least a pixel.
        let first = ((centre - half).round().max(0.0) as usize).min(side_px as usize - 1);
        let end = ((centre + half).round().min(side) as usize).max(first + 1);
        first..end
    };
    let (rows, columns) = (span(row, input.height_px()), span(column, input.width_px()));
    let mut pixels = input.pixels().to_vec();
    for line in pixels.chunks_exact_mut(3 * input.width_px() as usize).skip(rows.start).take(rows.len()) {
        for pixel in line[3 * columns.start..3 * columns.end].chunks_exact_mut(3) {
            pixel.copy_from_slice(&fill);
        }
    }
    // The same number of pixels is left.
    Rgb8Image::new(input.width_px(), input.height_px(), pixels).unwrap_or_else(|| input.clone())
}

fn mean_colour(image: &Rgb8Image) -> [u8; 3] {
    let mut sums = [0_u64; 3];
    for pixel in image.pixels().chunks_exact(3) {
        sums.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += u64::from(v));
    }
    let n = (image.pixels().len() as u64 / 3).max(1);
    sums.map(|sum| u8::try_from((sum + n / 2) / n).unwrap_or(u8::MAX))
}

fn read(path: &Path, config: &EmbedConfig) -> Result<Rgb8Image, WorkflowError> {
    let failed = |reason| WorkflowError::Picture { path: path.to_owned(), reason };
    let metadata = source::file_metadata(path).map_err(failed)?;
    let bytes = source::read(path, &metadata, config.max_file_bytes).map_err(failed)?;
    decode::decode(&bytes, &config.limits).map_err(|error| failed(source::skip_reason(error)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn patches_cover_every_pixel_and_stay_inside() {
        let (width, height) = (30, 20);
        let input = Rgb8Image::new(width, height, vec![9; 3 * 600]).unwrap();
        for (n_steps, patch) in [(12, 0.2), (5, 0.2), (1, 1.0), (64, 0.0)] {
            let mut n_covered = vec![0; 600];
            for at in 0..n_steps * n_steps {
                let covered = cover(&input, [0, 0, 0], (at / n_steps, at % n_steps), n_steps, patch);
                let mut any = false;
                for (n, pixel) in n_covered.iter_mut().zip(covered.pixels().chunks_exact(3)) {
                    *n += usize::from(pixel == [0, 0, 0]);
                    any |= pixel == [0, 0, 0];
                }
                assert!(any);
            }
            if patch * n_steps as f32 >= 1.0 {
                assert!(n_covered.iter().all(|n| *n > 0), "{n_steps} x {patch}");
            }
        }
    }

    #[test]
    fn the_patch_has_the_mean_colour() {
        let image = Rgb8Image::new(2, 1, vec![0, 100, 255, 255, 101, 255]).unwrap();
        assert_eq!(mean_colour(&image), [128, 101, 255]);
    }

    #[test]
    fn drops_are_of_the_log_odds() {
        // The image itself; then a place that speaks for class 0, one against it, two that do not matter.
        let logits = array![[2.0_f32, 0.0], [-1.0, 0.0], [3.0, 0.0], [2.0, 0.0], [2.0, 0.0]];
        let found = map(&logits, Activation::Softmax, None, 2, [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(found.class, ClassIdx(0));
        assert!((&found.drops - &array![[3.0_f32, -1.0], [0.0, 0.0]]).iter().all(|d| d.abs() < 1e-6));
        assert_eq!(found.strongest(), (0, 0));
        assert!((found.scale() - 3.0).abs() < 1e-6);
        let p = |z: f32| 1.0 / (1.0 + (-z).exp());
        assert!((found.probability - p(2.0)).abs() < 1e-6);
        assert!((found.range.0 - p(-1.0)).abs() < 1e-6 && (found.range.1 - p(3.0)).abs() < 1e-6);
        // Of two classes what speaks for one speaks against the other.
        let other = map(&logits, Activation::Softmax, Some(ClassIdx(1)), 2, [0.0; 4]);
        assert!((&other.drops + &found.drops).iter().all(|d| d.abs() < 1e-6));
        // A probability of 1 does not hide anything.
        let sure = map(&(&logits + &array![[200.0_f32, 0.0]]), Activation::Softmax, None, 2, [0.0; 4]);
        assert!((sure.drops[[0, 0]] - 3.0).abs() < 1e-3 && sure.probability == 1.0);
        let of_each = map(&logits, Activation::Sigmoid, Some(ClassIdx(1)), 2, [0.0; 4]);
        assert!(of_each.drops.iter().all(|d| *d == 0.0) && of_each.scale() == 0.01, "nothing is not something");
        assert_eq!(map(&array![[1.0_f32], [0.0]], Activation::Softmax, None, 1, [0.0; 4]).drops, array![[0.0_f32]]);
    }
}
