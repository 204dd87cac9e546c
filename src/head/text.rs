//! Heads whose weights begin as embeddings of texts (Radford et al. 2021, "Learning Transferable Visual Models From
//! Natural Language Supervision").

use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::affine::{Activation, Affine, Block, norm};
use super::few_shot::FewShotMethod;
use super::{HeadError, HeadKind, check};
use crate::classes::ClassSet;
use crate::embedding::EmbeddingSpace;

/// How a dual encoder makes logits of cosines: `scale * cosine + bias`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineLogits {
    /// Multiplies the cosine (CLIP's `exp(logit_scale)`).
    pub scale: f64,
    /// Is added (SigLIP's `logit_bias`; 0 for CLIP).
    pub bias: f64,
    /// What makes probabilities of logits.
    pub activation: Activation,
}

/// What a zero-shot or text head has read, and how it was mixed with examples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TextRecord {
    /// Descriptions of each class.
    pub descriptions: Vec<Vec<String>>,
    /// Folders of each class that were given.
    #[serde(default)]
    pub folders: Vec<Vec<String>>,
    /// Templates that they were put into.
    pub templates: Vec<String>,
    /// Scale of the model's logits.
    pub scale: f64,
    /// Bias of the model's logits.
    pub bias: f64,
    /// How examples were mixed in, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix: Option<Mix>,
}

/// How texts and examples were mixed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mix {
    /// How examples correct the texts.
    pub method: FewShotMethod,
    /// Weight of the texts' logits; 0 where the examples contradict them.
    pub text_weight: f64,
    /// Linear: inverse strength of the penalty; `None` where examples change nothing.
    pub c: Option<f64>,
    /// GDA and Tip-Adapter: weight of the examples' part.
    pub alpha: Option<f64>,
    /// Tip-Adapter: how fast an example's influence falls with distance.
    pub beta: Option<f64>,
    /// Examples that were fitted on.
    pub n_rows: usize,
}

/// A head that starts from texts: as they are (zero-shot), or corrected by examples.
#[derive(Clone, Debug, PartialEq)]
pub struct TextHead {
    space: EmbeddingSpace,
    classes: ClassSet,
    affine: Affine,
    kind: HeadKind,
}

impl TextHead {
    /// From its affine form; `kind` is [`HeadKind::ZeroShot`] or [`HeadKind::Text`].
    ///
    /// # Errors
    /// When the shapes do not fit the classes and the space.
    pub fn new(space: EmbeddingSpace, classes: ClassSet, affine: Affine, kind: HeadKind) -> Result<Self, HeadError> {
        check::shape(&affine.weight, &classes, &space)?;
        let n_blocked: usize = affine.l2_blocks.iter().map(|b| b.width).sum();
        if affine.bias.len() != classes.len() || !(affine.l2_blocks.is_empty() || n_blocked == space.dim) {
            return Err(HeadError::Shape {
                rows: affine.bias.len(),
                cols: n_blocked,
                n_classes: classes.len(),
                dim: space.dim,
            });
        }
        Ok(Self { space, classes, affine, kind })
    }

    /// The zero-shot head of class embeddings `[n_classes, dim]` (divided by their lengths here) in the joint space of a
    /// dual encoder.
    ///
    /// # Errors
    /// When the shape does not fit the classes and the space, or the scale is not above 0.
    pub fn zero_shot(
        space: EmbeddingSpace,
        classes: ClassSet,
        texts: ArrayView2<'_, f32>,
        logits: CosineLogits,
    ) -> Result<Self, HeadError> {
        let CosineLogits { scale, bias, activation } = logits;
        if !(scale.is_finite() && scale > 0.0) {
            return Err(HeadError::Setting { name: "the logit scale", value: scale });
        }
        let mut weight = texts.to_owned();
        for mut row in weight.outer_iter_mut() {
            let length = norm(row.view());
            row.mapv_inplace(|v| (f64::from(v) * scale / f64::from(length)) as f32);
        }
        let bias = Array1::from_elem(classes.len(), bias as f32);
        let l2_blocks = vec![Block::plain(space.dim)];
        let affine = Affine { l2_blocks, activation, weight, bias, kernel: None };
        Self::new(space, classes, affine, HeadKind::ZeroShot)
    }

    /// Its kind.
    pub fn kind(&self) -> HeadKind {
        self.kind
    }

    /// The space of the embeddings that it is applied to.
    pub fn space(&self) -> &EmbeddingSpace {
        &self.space
    }

    /// Its classes, in the order of scores.
    pub fn classes(&self) -> &ClassSet {
        &self.classes
    }

    /// The form in which it is applied and exported.
    pub fn affine(&self) -> &Affine {
        &self.affine
    }
}

/// The embedding of a class from those of its texts `[n_texts, dim]`: each divided by its length, averaged, divided by its
/// length again (OpenAI's prompt ensembling). Zeros without a text.
pub fn ensemble(texts: ArrayView2<'_, f32>) -> Array1<f32> {
    let mut sum = Array1::<f64>::zeros(texts.ncols());
    for row in texts.outer_iter() {
        let length = f64::from(norm(row));
        sum.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v) / length);
    }
    let length = sum.dot(&sum).sqrt().max(f64::from(super::affine::MIN_NORM));
    sum.mapv(|v| (v / length) as f32)
}

/// The embeddings of classes, `[n_classes, dim]`, from those of texts `[n_texts, dim]` and the rows of each class's texts.
pub fn ensembles(texts: ArrayView2<'_, f32>, rows_of_class: &[Vec<usize>]) -> Array2<f32> {
    let mut classes = Array2::zeros((rows_of_class.len(), texts.ncols()));
    for (mut class, rows) in classes.outer_iter_mut().zip(rows_of_class) {
        class.assign(&ensemble(texts.select(ndarray::Axis(0), rows).view()));
    }
    classes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn an_ensemble_normalises_each_text_averages_and_normalises_again() {
        // Of lengths 5 and 2: a plain mean would lean to the longer one.
        let texts = array![[3.0f32, 4.0], [0.0, -2.0]];
        let mean = [0.3f64, -0.1];
        let length = (mean[0] * mean[0] + mean[1] * mean[1]).sqrt();
        let found = ensemble(texts.view());
        assert!((f64::from(found[0]) - mean[0] / length).abs() < 1e-6, "{found}");
        assert!((f64::from(found[1]) - mean[1] / length).abs() < 1e-6, "{found}");
        let both = ensembles(texts.view(), &[vec![0], vec![1, 0], vec![]]);
        assert!((&both - &array![[0.6f32, 0.8], [found[0], found[1]], [0.0, 0.0]]).iter().all(|d| d.abs() < 1e-6));
    }

    #[test]
    fn a_zero_shot_head_is_scaled_cosines() {
        let space = EmbeddingSpace { backbone: "b".into(), layer: "l".into(), preprocess: "p".into(), dim: 2 };
        let classes = ClassSet::from_ordered(["x", "y"]);
        let logits = CosineLogits { scale: 10.0, bias: -3.0, activation: Activation::Sigmoid };
        let texts = array![[2.0f32, 0.0], [3.0, 4.0]];
        let head = TextHead::zero_shot(space.clone(), classes.clone(), texts.view(), logits).unwrap();
        let found = head.affine().apply(array![[0.0f32, 7.0], [-1.0, 0.0]].view());
        let expected = array![[-3.0f32, 5.0], [-13.0, -9.0]];
        assert!((&found - &expected).iter().all(|d| d.abs() < 1e-5), "{found}");
        assert_eq!(head.kind(), HeadKind::ZeroShot);
        let wrong = CosineLogits { scale: f64::NAN, ..logits };
        assert!(TextHead::zero_shot(space.clone(), classes.clone(), texts.view(), wrong).is_err());
        assert!(TextHead::zero_shot(space, classes, array![[1.0f32, 0.0]].view(), logits).is_err());
    }
}
