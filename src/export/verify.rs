//! The proof that an export gives the app's answers: its files are loaded again and run on images.

use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::bundle::Contents;
use super::describe::{Agreement, Verification};
use super::{ExportError, MAX_ABS_DIFFERENCE, MIN_TOP1_AGREEMENT, files};
use crate::backbone::provider::Provider;
use crate::backbone::session::{GraphSession, Values};
use crate::backbone::{Backbone, BackboneError};
use crate::head::UnknownRule;
use crate::image::decode::{self, DecodeLimits};
use crate::image::preprocess::{Preprocessor, Scratch};
use crate::onnx::DISTANCE;
use crate::onnx::fuse::PROBABILITIES;
use crate::progress::{CancelGuard, CancelToken, Reporter, Stage};

/// The app's answers, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'a> {
    /// Images.
    pub paths: &'a [PathBuf],
    /// Their features, array of shape `[n, dim]`.
    pub features: ArrayView2<'a, f32>,
    /// Their probabilities, array of shape `[n, n_classes]`.
    pub probabilities: ArrayView2<'a, f32>,
    /// Their distances to the nearest class, where there are any.
    pub distances: Option<&'a [f32]>,
    /// When the answer is "unknown".
    pub unknown: UnknownRule,
}

impl Reference<'_> {
    fn answers(&self) -> Answers {
        Answers { probabilities: self.probabilities.to_owned(), distances: self.distances.map(<[f32]>::to_vec) }
    }

    /// No answers yet of an exported file, in the form of the app's.
    fn empty(&self, n: usize) -> Answers {
        Answers {
            probabilities: Array2::zeros((n, self.probabilities.ncols())),
            distances: self.distances.map(|_| vec![0.0; n]),
        }
    }
}

/// What one side says of images.
struct Answers {
    /// Array of shape `[n, n_classes]`.
    probabilities: Array2<f32>,
    distances: Option<Vec<f32>>,
}

impl Answers {
    fn set(&mut self, row: usize, (probabilities, distance): (Array1<f32>, Option<f32>)) {
        self.probabilities.row_mut(row).assign(&probabilities);
        if let (Some(distances), Some(distance)) = (&mut self.distances, distance) {
            distances[row] = distance;
        }
    }

    fn select(&self, rows: &[usize]) -> Self {
        Self {
            probabilities: self.probabilities.select(Axis(0), rows),
            distances: self.distances.as_ref().map(|all| rows.iter().map(|&row| all[row]).collect()),
        }
    }

    fn distance(&self, row: usize) -> Option<f32> {
        self.distances.as_ref()?.get(row).copied()
    }

    fn is_unknown(&self, row: usize, rule: UnknownRule) -> bool {
        let confidence = self.probabilities.row(row).iter().copied().fold(f32::NEG_INFINITY, f32::max);
        rule.is_unknown(confidence, self.distance(row))
    }
}

/// A top class that the app itself holds for a tie (within this much) is no disagreement.
const TIE: f32 = 0.02;

/// Images that `image_classifier.onnx` is compared on, at most, and the largest of them: its resampling as matrix
/// products is several times slower than the app's, and takes memory by the pixel.
const MAX_WHOLE_IMAGES: usize = 64;
const MAX_WHOLE_PIXELS: u64 = 16_000_000;

/// Runs the `written` files in `dir` on the images of the reference: `classifier.onnx` and `head.onnx` on all of them,
/// `image_classifier.onnx` on at most 64 of up to 16 megapixels, evenly spread.
///
/// # Errors
/// When a file does not run, or disagrees with the app.
pub fn verify(
    dir: &Path,
    backbone: &Backbone,
    reference: &Reference<'_>,
    written: Contents,
    reporter: &dyn Reporter,
) -> Result<Verification, ExportError> {
    let n = reference.paths.len();
    let n_classes = reference.probabilities.ncols();
    let token = reporter.cancel_token();
    reporter.progress(Stage::Verify, 0, n);
    let head = if written.head_onnx { Some(run_head(dir, reference)?) } else { None };
    let has_distance = reference.distances.is_some();
    let load = |file| Runner::load(dir, file, has_distance, token);
    let mut classifier = load(files::CLASSIFIER)?;
    let mut image = if written.image_classifier { Some(load(files::IMAGE_CLASSIFIER)?) } else { None };
    let spec_error = |e: crate::image::spec::SpecError| ExportError::Run { file: files::CLASSIFIER, source: e.into() };
    let preprocessor = Preprocessor::new(backbone.preprocess()).map_err(spec_error)?;
    let mut scratch = Scratch::default();
    let mut tensor = vec![0.0; preprocessor.tensor_len()];
    let mut by_classifier = reference.empty(n);
    let mut by_image = Vec::new();
    let mut whole_rows = Vec::new();
    let every = n.div_ceil(MAX_WHOLE_IMAGES).max(1);
    for (row, path) in reference.paths.iter().enumerate() {
        if reporter.cancelled() {
            return Err(ExportError::Cancelled);
        }
        let failed = |message: String| ExportError::Run {
            file: files::CLASSIFIER,
            source: BackboneError::Run { message: format!("{}: {message}", path.display()) },
        };
        let bytes = std::fs::read(path).map_err(|e| failed(e.to_string()))?;
        let picture = decode::decode(&bytes, &DecodeLimits::default()).map_err(|e| failed(e.to_string()))?;
        drop(bytes);
        preprocessor.apply(&picture, &mut scratch, &mut tensor).map_err(|e| failed(e.to_string()))?;
        let n_images = backbone.fixed_batch().unwrap_or(1);
        let mut values = tensor.clone();
        values.resize(tensor.len() * n_images, 0.0);
        let dims = backbone.input_dims(n_images);
        let answer = classifier.run(&dims, Values::F32(values), n_classes).map_err(|e| cancelled_or(e, reporter))?;
        by_classifier.set(row, answer);
        let n_pixels = u64::from(picture.width_px()) * u64::from(picture.height_px());
        if let Some(image) = image.as_mut().filter(|_| row % every == 0 && n_pixels <= MAX_WHOLE_PIXELS) {
            let dims = [picture.height_px() as usize, picture.width_px() as usize, 3];
            let values = Values::U8(picture.into_pixels());
            let answer = image.run(&dims, values, n_classes).map_err(|e| cancelled_or(e, reporter))?;
            by_image.push(answer);
            whole_rows.push(row);
        }
        reporter.progress(Stage::Verify, row + 1, n);
    }
    let app = reference.answers();
    let app_whole = app.select(&whole_rows);
    let mut whole = reference.empty(whole_rows.len());
    by_image.into_iter().enumerate().for_each(|(row, answer)| whole.set(row, answer));
    let rule = reference.unknown;
    let found = Verification {
        n,
        classifier: agreement(&app, &by_classifier, rule),
        image_classifier: image.is_some().then(|| agreement(&app_whole, &whole, rule)),
        n_image_classifier: whole_rows.len(),
        head: head.map(|head| agreement(&app, &head, rule)),
        image_classifier_missing: None,
    };
    let exact = [(files::CLASSIFIER, Some(found.classifier)), (files::HEAD, found.head)];
    for (file, agreement) in exact.into_iter().filter_map(|(file, agreement)| Some((file, agreement?))) {
        let is_off = |difference: f64| difference.is_nan() || difference > MAX_ABS_DIFFERENCE;
        if is_off(agreement.max_abs_difference) {
            return Err(disagrees(file, agreement, n));
        }
        if let Some(difference) = agreement.max_distance_difference.filter(|d| is_off(*d)) {
            return Err(ExportError::DistanceDisagrees { file, max_distance_difference: difference, n });
        }
    }
    if let Some(agreement) = found.image_classifier {
        let n = whole_rows.len();
        if agreement.top1_agreement < MIN_TOP1_AGREEMENT && n_contradictions(&app_whole, &whole) > 0 {
            return Err(disagrees(files::IMAGE_CLASSIFIER, agreement, n));
        }
        if let Some(share) = agreement.unknown_agreement.filter(|share| *share < MIN_TOP1_AGREEMENT)
            && n_other_decisions(&app_whole, &whole, rule) > 0
        {
            let file = files::IMAGE_CLASSIFIER;
            return Err(ExportError::DecidesOtherwise { file, unknown_agreement: share, n });
        }
    }
    Ok(found)
}

fn disagrees(file: &'static str, agreement: Agreement, n: usize) -> ExportError {
    ExportError::Disagrees {
        file,
        max_abs_difference: agreement.max_abs_difference,
        top1_agreement: agreement.top1_agreement,
        n,
    }
}

/// A run that the user ended is no failure of the file.
fn cancelled_or(error: ExportError, reporter: &dyn Reporter) -> ExportError {
    if reporter.cancelled() { ExportError::Cancelled } else { error }
}

struct Runner {
    file: &'static str,
    outputs: &'static [&'static str],
    session: GraphSession,
    _end: CancelGuard,
}

impl Runner {
    fn load(dir: &Path, file: &'static str, has_distance: bool, token: &CancelToken) -> Result<Self, ExportError> {
        let run = |source| ExportError::Run { file, source };
        let path = dir.join(file);
        let bytes = std::fs::read(&path).map_err(|source| run(BackboneError::Read { path, source }))?;
        let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
        let session = GraphSession::load(&bytes, n_threads, Provider::Cpu).map_err(run)?;
        let outputs: &[&str] = if has_distance { &[PROBABILITIES, DISTANCE] } else { &[PROBABILITIES] };
        Ok(Self { file, outputs, _end: session.end_on_cancel(token), session })
    }

    /// Runs one image; the first row of its probabilities, and its distance.
    fn run(
        &mut self,
        dims: &[usize],
        values: Values,
        n_classes: usize,
    ) -> Result<(Array1<f32>, Option<f32>), ExportError> {
        let run = |source| ExportError::Run { file: self.file, source };
        let mut outputs = self.session.run(dims, values, self.outputs).map_err(run)?.into_iter();
        let mut row = outputs.next().map(|o| o.values).unwrap_or_default();
        let distance = outputs.next().map(|o| o.values.first().copied().unwrap_or(f32::NAN));
        if row.len() < n_classes {
            return Err(run(BackboneError::Run { message: format!("{} probabilities came out", row.len()) }));
        }
        row.truncate(n_classes);
        Ok((Array1::from_vec(row), distance))
    }
}

fn run_head(dir: &Path, reference: &Reference<'_>) -> Result<Answers, ExportError> {
    // Its runs are too short to be worth ending.
    let mut head = Runner::load(dir, files::HEAD, reference.distances.is_some(), &CancelToken::new())?;
    let (n, n_classes) = reference.probabilities.dim();
    let mut out = reference.empty(n);
    for (row, features) in reference.features.rows().into_iter().enumerate() {
        out.set(row, head.run(&[1, features.len()], Values::F32(features.to_vec()), n_classes)?);
    }
    Ok(out)
}

fn argmax(row: ndarray::ArrayView1<'_, f32>) -> usize {
    let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    best.map_or(0, |(i, _)| i)
}

/// Largest of the differences; a NaN stays, unlike with `f64::max`.
fn largest(differences: impl Iterator<Item = f64>) -> f64 {
    differences.fold(0.0, |max, d| if d > max || d.is_nan() { d } else { max })
}

/// A share of the rows; 1 when there is nothing to compare.
fn share(n_rows: usize, is_alike: impl Fn(usize) -> bool) -> f64 {
    if n_rows == 0 { 1.0 } else { (0..n_rows).filter(|&row| is_alike(row)).count() as f64 / n_rows as f64 }
}

fn agreement(app: &Answers, export: &Answers, rule: UnknownRule) -> Agreement {
    let difference = |(a, b): (&f32, &f32)| f64::from((a - b).abs());
    let n = app.probabilities.nrows();
    let is_same_top = |row: usize| argmax(app.probabilities.row(row)) == argmax(export.probabilities.row(row));
    let distances = app.distances.as_ref().zip(export.distances.as_ref());
    let has_rule = rule != UnknownRule::Off;
    Agreement {
        max_abs_difference: largest(app.probabilities.iter().zip(&export.probabilities).map(difference)),
        top1_agreement: share(n, is_same_top),
        max_distance_difference: distances.map(|(a, b)| largest(a.iter().zip(b).map(difference))),
        unknown_agreement: has_rule.then(|| share(n, |row| app.is_unknown(row, rule) == export.is_unknown(row, rule))),
    }
}

/// Images whose top class differs although the app sees no tie.
fn n_contradictions(app: &Answers, export: &Answers) -> usize {
    let rows = app.probabilities.rows().into_iter().zip(export.probabilities.rows());
    let margins = rows.map(|(a, b)| a[argmax(a)] - a[argmax(b)]);
    margins.filter(|margin| margin.is_nan() || *margin > TIE).count()
}

/// Images on which the rule decides otherwise although the app is not close to the threshold.
fn n_other_decisions(app: &Answers, export: &Answers, rule: UnknownRule) -> usize {
    let is_close = |row: usize| {
        let top = app.probabilities.row(row).iter().copied().fold(f32::NEG_INFINITY, f32::max);
        match rule {
            UnknownRule::Off => true,
            UnknownRule::Probability { below } => (top - below).abs() <= TIE,
            UnknownRule::Distance { above } => app.distance(row).is_none_or(|d| (d - above).abs() <= TIE * above),
        }
    };
    let is_other = |row: &usize| app.is_unknown(*row, rule) != export.is_unknown(*row, rule) && !is_close(*row);
    (0..app.probabilities.nrows()).filter(is_other).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn answers(probabilities: Array2<f32>, distances: Option<&[f32]>) -> Answers {
        Answers { probabilities, distances: distances.map(<[f32]>::to_vec) }
    }

    #[test]
    fn agreements() {
        let app = answers(array![[0.9_f32, 0.1], [0.505, 0.495]], None);
        let of = |export: &Answers| agreement(&app, export, UnknownRule::Off);
        let same = of(&app);
        assert_eq!((same.max_abs_difference, same.top1_agreement), (0.0, 1.0));
        assert_eq!((same.max_distance_difference, same.unknown_agreement), (None, None));
        let tie = answers(array![[0.9_f32, 0.1], [0.495, 0.505]], None);
        assert_eq!(of(&tie).top1_agreement, 0.5);
        assert_eq!(n_contradictions(&app, &tie), 0);
        let wrong = answers(array![[0.1_f32, 0.9], [0.505, 0.495]], None);
        assert_eq!(n_contradictions(&app, &wrong), 1);
        let nan = answers(array![[f32::NAN, 0.1], [0.505, 0.495]], None);
        assert!(of(&nan).max_abs_difference.is_nan());
    }

    #[test]
    fn decisions_agree_or_are_close() {
        let p = || array![[0.9_f32, 0.1], [0.7, 0.3]];
        let app = answers(p(), Some(&[0.30, 0.50]));
        let rule = UnknownRule::Distance { above: 0.4 };
        let found = agreement(&app, &answers(p(), Some(&[0.30, 0.39])), rule);
        assert!((found.max_distance_difference.unwrap_or_default() - 0.11).abs() < 1e-6);
        assert_eq!(found.unknown_agreement, Some(0.5));
        assert_eq!(n_other_decisions(&app, &answers(p(), Some(&[0.30, 0.39])), rule), 1);
        let near = UnknownRule::Distance { above: 0.499 };
        assert_eq!(n_other_decisions(&app, &answers(p(), Some(&[0.30, 0.498])), near), 0, "the app is close itself");
        let nan = agreement(&app, &answers(p(), Some(&[0.30, f32::NAN])), rule);
        assert!(nan.max_distance_difference.is_some_and(f64::is_nan));
        let by_probability = UnknownRule::Probability { below: 0.8 };
        let export = answers(array![[0.9_f32, 0.1], [0.9, 0.1]], None);
        assert_eq!(n_other_decisions(&app, &export, by_probability), 1);
    }
}
