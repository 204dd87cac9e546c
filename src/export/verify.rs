//! The proof that an export gives the app's answers: its files are loaded again and run on images.

use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, ArrayView2};

use super::bundle::Contents;
use super::describe::{Agreement, Verification};
use super::{ExportError, MAX_ABS_DIFFERENCE, MIN_TOP1_AGREEMENT, files};
use crate::backbone::provider::Provider;
use crate::backbone::session::{GraphSession, Values};
use crate::backbone::{Backbone, BackboneError};
use crate::image::decode::{self, DecodeLimits};
use crate::image::preprocess::{Preprocessor, Scratch};
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
    let mut classifier = Runner::load(dir, files::CLASSIFIER, token)?;
    let mut image =
        if written.image_classifier { Some(Runner::load(dir, files::IMAGE_CLASSIFIER, token)?) } else { None };
    let spec_error = |e: crate::image::spec::SpecError| ExportError::Run { file: files::CLASSIFIER, source: e.into() };
    let preprocessor = Preprocessor::new(backbone.preprocess()).map_err(spec_error)?;
    let mut scratch = Scratch::default();
    let mut tensor = vec![0.0; preprocessor.tensor_len()];
    let mut by_classifier = Array2::zeros((n, n_classes));
    let mut by_image = Array2::zeros((0, n_classes));
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
        by_classifier.row_mut(row).assign(&answer);
        let n_pixels = u64::from(picture.width_px()) * u64::from(picture.height_px());
        if let Some(image) = image.as_mut().filter(|_| row % every == 0 && n_pixels <= MAX_WHOLE_PIXELS) {
            let dims = [picture.height_px() as usize, picture.width_px() as usize, 3];
            let values = Values::U8(picture.into_pixels());
            let answer = image.run(&dims, values, n_classes).map_err(|e| cancelled_or(e, reporter))?;
            by_image.push_row(answer.view()).map_err(|e| failed(e.to_string()))?;
            whole_rows.push(row);
        }
        reporter.progress(Stage::Verify, row + 1, n);
    }
    let app = reference.probabilities;
    let app_whole = app.select(ndarray::Axis(0), &whole_rows);
    let found = Verification {
        n,
        classifier: agreement(app, by_classifier.view()),
        image_classifier: image.is_some().then(|| agreement(app_whole.view(), by_image.view())),
        n_image_classifier: whole_rows.len(),
        head: head.map(|head| agreement(app, head.view())),
        image_classifier_missing: None,
    };
    let exact = [(files::CLASSIFIER, Some(found.classifier)), (files::HEAD, found.head)];
    for (file, agreement) in exact.into_iter().filter_map(|(file, agreement)| Some((file, agreement?))) {
        let difference = agreement.max_abs_difference;
        if difference.is_nan() || difference > MAX_ABS_DIFFERENCE {
            return Err(disagrees(file, agreement, n));
        }
    }
    if let Some(agreement) = found.image_classifier
        && agreement.top1_agreement < MIN_TOP1_AGREEMENT
        && n_contradictions(app_whole.view(), by_image.view()) > 0
    {
        return Err(disagrees(files::IMAGE_CLASSIFIER, agreement, whole_rows.len()));
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
    session: GraphSession,
    _end: CancelGuard,
}

impl Runner {
    fn load(dir: &Path, file: &'static str, token: &CancelToken) -> Result<Self, ExportError> {
        let run = |source| ExportError::Run { file, source };
        let path = dir.join(file);
        let bytes = std::fs::read(&path).map_err(|source| run(BackboneError::Read { path, source }))?;
        let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
        let session = GraphSession::load(&bytes, n_threads, Provider::Cpu).map_err(run)?;
        Ok(Self { file, _end: session.end_on_cancel(token), session })
    }

    /// Runs one image; the first row of its probabilities.
    fn run(&mut self, dims: &[usize], values: Values, n_classes: usize) -> Result<Array1<f32>, ExportError> {
        let run = |source| ExportError::Run { file: self.file, source };
        let mut outputs = self.session.run(dims, values, &["probabilities"]).map_err(run)?;
        let mut row = outputs.pop().map(|o| o.values).unwrap_or_default();
        if row.len() < n_classes {
            return Err(run(BackboneError::Run { message: format!("{} probabilities came out", row.len()) }));
        }
        row.truncate(n_classes);
        Ok(Array1::from_vec(row))
    }
}

fn run_head(dir: &Path, reference: &Reference<'_>) -> Result<Array2<f32>, ExportError> {
    // Its runs are too short to be worth ending.
    let mut head = Runner::load(dir, files::HEAD, &CancelToken::new())?;
    let mut out = Array2::zeros(reference.probabilities.raw_dim());
    for (features, mut row) in reference.features.rows().into_iter().zip(out.rows_mut()) {
        let answer = head.run(&[1, features.len()], Values::F32(features.to_vec()), row.len())?;
        row.assign(&answer);
    }
    Ok(out)
}

fn argmax(row: ndarray::ArrayView1<'_, f32>) -> usize {
    let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    best.map_or(0, |(i, _)| i)
}

/// Largest difference and share of equal top classes; 0 and 1 when there is nothing to compare.
fn agreement(app: ArrayView2<'_, f32>, export: ArrayView2<'_, f32>) -> Agreement {
    let difference = app.iter().zip(export).map(|(a, b)| f64::from((a - b).abs()));
    // A NaN stays, unlike with `f64::max`.
    let max_abs_difference = difference.fold(0.0, |max, d| if d > max || d.is_nan() { d } else { max });
    let n_same = app.rows().into_iter().zip(export.rows()).filter(|(a, b)| argmax(*a) == argmax(*b)).count();
    let top1_agreement = if app.nrows() == 0 { 1.0 } else { n_same as f64 / app.nrows() as f64 };
    Agreement { max_abs_difference, top1_agreement }
}

/// Images whose top class differs although the app sees no tie.
fn n_contradictions(app: ArrayView2<'_, f32>, export: ArrayView2<'_, f32>) -> usize {
    let rows = app.rows().into_iter().zip(export.rows());
    let margins = rows.map(|(a, b)| a[argmax(a)] - a[argmax(b)]);
    margins.filter(|margin| margin.is_nan() || *margin > TIE).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn agreements() {
        let app = array![[0.9_f32, 0.1], [0.505, 0.495]];
        let same = agreement(app.view(), app.view());
        assert_eq!((same.max_abs_difference, same.top1_agreement), (0.0, 1.0));
        let tie = array![[0.9_f32, 0.1], [0.495, 0.505]];
        assert_eq!(agreement(app.view(), tie.view()).top1_agreement, 0.5);
        assert_eq!(n_contradictions(app.view(), tie.view()), 0);
        let wrong = array![[0.1_f32, 0.9], [0.505, 0.495]];
        assert_eq!(n_contradictions(app.view(), wrong.view()), 1);
        let nan = array![[f32::NAN, 0.1], [0.505, 0.495]];
        assert!(agreement(app.view(), nan.view()).max_abs_difference.is_nan());
    }
}
