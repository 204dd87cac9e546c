//! Few-shot heads that start from texts.
//!
//! All have the form `logits = kappa z + g(u)`, where `z = scale * text . image` are the zero-shot logits and `u` are the
//! image's features in unit length; the examples choose `g`, and how much the texts count:
//!
//! | method | `g(u)` | source |
//! | --- | --- | --- |
//! | [`FewShotMethod::Linear`] | `V u`, logistic regression with the zero-shot logits as offset and an L2 penalty on `V` | regularised towards the text weights, as LP++ (Huang et al. 2024) and Wise-FT (Wortsman et al. 2022) are |
//! | [`FewShotMethod::Gda`] | `alpha (V u + b)`, Gaussian discriminant analysis with a shrunk covariance | Wang et al. 2024, "A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation" |
//! | [`FewShotMethod::Tip`] | `alpha sum_i exp(-beta (1 - u . u_i)) onehot(y_i)` | Zhang et al. 2022, "Tip-Adapter" |
//!
//! Without examples each is the zero-shot classifier, and with `kappa = 0` it forgets the texts. What mixes them is
//! chosen by cross-validation on the examples alone.

mod fit;
mod kernel;
mod mix;

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};
use serde::{Deserialize, Serialize};

use super::affine::{Activation, Affine, Block, Kernel, unit_blocks};
use super::error::HeadError;
use super::temperature::fit_temperature;
use super::text::{Mix, TextRecord};
use super::{ChosenBy, Head, HeadKind, TextHead, TrainRecord, TrainedHead, check};
use crate::classes::{ClassIdx, ClassSet};
use crate::embedding::Embeddings;
use crate::progress::CancelToken;

/// How examples correct texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FewShotMethod {
    /// Logistic regression that starts from the zero-shot logits.
    #[default]
    Linear,
    /// Gaussian discriminant analysis added to them.
    Gda,
    /// Tip-Adapter: similarity to the examples added to them.
    Tip,
}

impl FewShotMethod {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::Linear, Self::Gda, Self::Tip];

    /// Name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Linear => "Linear from text",
            Self::Gda => "GDA + zero-shot",
            Self::Tip => "Tip-Adapter",
        }
    }
}

/// More rows are not fitted on: from here on a plain linear head does as well and costs less.
pub const MAX_ROWS: usize = 512;

/// The texts that a head starts from.
#[derive(Clone, Debug)]
pub struct TextPrior<'a> {
    /// Embeddings of the classes, array of shape `[n_classes, dim_e]`, rows of unit length.
    pub texts: ArrayView2<'a, f32>,
    /// Scale of the zero-shot logits.
    pub scale: f64,
    /// What was read, for the record.
    pub record: TextRecord,
}

/// What to fit, and how.
#[derive(Clone, Debug, Default)]
pub struct FewShotConfig {
    /// The method.
    pub method: FewShotMethod,
    /// A mix that was chosen before, on nearly the same examples; without it one is chosen.
    pub fixed: Option<Mix>,
}

/// Fits a text head on `train`, whose columns are features of width `dim - dim_e` (none where the backbone gives only its
/// vectors in the space of texts) and then those vectors, of the texts' width.
///
/// `validation`, where given, scales the logits by a temperature and does nothing else.
///
/// # Errors
/// Fewer than two classes, a class without an example, labels or widths that do not fit, values that are not finite,
/// cancellation.
pub fn train_text(
    train: &Embeddings,
    y: &[ClassIdx],
    validation: Option<(&Embeddings, &[ClassIdx])>,
    classes: &ClassSet,
    prior: &TextPrior<'_>,
    config: &FewShotConfig,
    cancel: &CancelToken,
) -> Result<TrainedHead, HeadError> {
    let n_classes = classes.len();
    check::rows(train.view(), y, n_classes)?;
    for (class, name) in classes.indices().zip(classes.names()) {
        if !y.contains(&class) {
            return Err(HeadError::ClassWithoutExample { class: name.clone() });
        }
    }
    let columns = Columns::new(train, prior.texts)?;
    if prior.texts.nrows() != n_classes {
        let (rows, cols) = prior.texts.dim();
        return Err(HeadError::Shape { rows, cols, n_classes, dim: cols });
    }
    let kept = spread(y, n_classes, MAX_ROWS);
    let y: Vec<usize> = kept.iter().map(|&row| y[row].as_usize()).collect();
    let x = unit_blocks(train.view().select(Axis(0), &kept).view(), &columns.blocks);
    let features = x.slice(s![.., columns.feature_range()]).to_owned();
    let zero_shot = columns.joint(x.view()).dot(&prior.texts.t()).mapv(|v| f64::from(v) * prior.scale);
    let shots = mix::Shots { features: features.view(), zero_shot: zero_shot.view(), y: &y, n_classes };
    let fixed = config.fixed.as_ref().filter(|mix| mix.method == config.method);
    let fitted = mix::fit(&shots, config.method, columns.has_own_features(), fixed, cancel)?;

    let mut affine = columns.affine(&fitted, features.view(), prior, n_classes);
    let mut temperature = 1.0;
    if let Some((rows, labels)) = validation.filter(|(rows, _)| rows.n_rows() > 0) {
        check::same_space(train.space(), rows.space())?;
        check::rows(rows.view(), labels, n_classes)?;
        temperature = fit_temperature(affine.apply(rows.view()).view(), labels);
        affine.divide(temperature);
    }
    let mix::Fitted { text_weight, chosen, .. } = fitted;
    let mix = Mix {
        method: config.method,
        text_weight,
        c: chosen.c,
        alpha: chosen.alpha,
        beta: chosen.beta,
        n_rows: y.len(),
    };
    let head = TextHead::new(train.space().clone(), classes.clone(), affine, HeadKind::Text)?;
    let record = TrainRecord {
        n_train: y.len(),
        chosen_by: match chosen.n_folds {
            0 => ChosenBy::Defaults,
            n_folds => ChosenBy::CrossValidation { n_folds },
        },
        temperature,
        selection_accuracy: chosen.accuracy,
        selection_log_loss: chosen.log_loss,
        c: chosen.c,
        ..TrainRecord::unfitted(HeadKind::Text, Some(TextRecord { mix: Some(mix), ..prior.record.clone() }))
    };
    Ok(TrainedHead { head: Head::Text(head), record })
}

/// Which columns are features of their own and which are in the space of texts.
struct Columns {
    blocks: Vec<Block>,
    dim_e: usize,
    dim: usize,
}

impl Columns {
    fn new(train: &Embeddings, texts: ArrayView2<'_, f32>) -> Result<Self, HeadError> {
        let (dim, dim_e) = (train.view().ncols(), texts.ncols());
        let Some(dim_f) = dim.checked_sub(dim_e).filter(|_| dim_e > 0) else {
            return Err(HeadError::Shape { rows: texts.nrows(), cols: dim_e, n_classes: texts.nrows(), dim });
        };
        let own = train.view().slice_move(s![.., ..dim_f]).iter().all(|v| *v >= 0.0);
        let mut blocks = vec![Block { width: dim_f, square_root: own }, Block::plain(dim_e)];
        blocks.retain(|block| block.width > 0);
        Ok(Self { blocks, dim_e, dim })
    }

    fn has_own_features(&self) -> bool {
        self.dim > self.dim_e
    }

    /// What examples are compared by: the features where there are any.
    fn feature_range(&self) -> std::ops::Range<usize> {
        if self.has_own_features() { 0..self.dim - self.dim_e } else { 0..self.dim }
    }

    fn joint<'x>(&self, x: ArrayView2<'x, f32>) -> ArrayView2<'x, f32> {
        x.slice_move(s![.., self.dim - self.dim_e..])
    }

    /// The fitted mix over all columns.
    fn affine(
        &self,
        fitted: &mix::Fitted,
        features: ArrayView2<'_, f32>,
        prior: &TextPrior<'_>,
        n_classes: usize,
    ) -> Affine {
        let range = self.feature_range();
        let mut weight = Array2::<f32>::zeros((n_classes, self.dim));
        let texts = prior.texts.mapv(|v| (f64::from(v) * prior.scale * fitted.text_weight) as f32);
        weight.slice_mut(s![.., self.dim - self.dim_e..]).assign(&texts);
        if let Some(dual) = &fitted.dual {
            // V = U' A: the examples weighted by what was fitted for each.
            let own = dual.t().dot(&features.mapv(f64::from)).mapv(|v| v as f32);
            let mut part = weight.slice_mut(s![.., range.clone()]);
            part += &own;
        }
        let kernel = fitted.tip.as_ref().map(|tip| {
            let behind = Array2::zeros((features.nrows(), self.dim - range.end));
            let keys = concatenate![Axis(1), features, behind];
            Kernel { beta: tip.beta as f32, keys, values: tip.values.mapv(|v| v as f32) }
        });
        let bias = fitted.bias.as_ref().map_or_else(|| Array1::zeros(n_classes), |b| b.mapv(|v| v as f32));
        Affine { l2_blocks: self.blocks.clone(), activation: Activation::Softmax, weight, bias, kernel }
    }
}

/// At most `max` rows, as many of each class as of the others where there are so many, in their order.
fn spread(y: &[ClassIdx], n_classes: usize, max: usize) -> Vec<usize> {
    if y.len() <= max {
        return (0..y.len()).collect();
    }
    let mut rows_of = vec![Vec::new(); n_classes];
    for (row, class) in y.iter().enumerate() {
        rows_of[class.as_usize()].push(row);
    }
    let share = (max / n_classes.max(1)).max(1);
    let mut kept: Vec<usize> = rows_of
        .iter()
        .flat_map(|rows| {
            let n = rows.len().min(share);
            (0..n).map(move |i| rows[i * rows.len() / n])
        })
        .collect();
    kept.sort_unstable();
    kept
}

#[cfg(test)]
#[path = "few_shot/tests.rs"]
mod tests;
