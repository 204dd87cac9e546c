//! Several backbones on one set of images: how good, how fast, how large; and whether an estimate would have told.

use serde::Serialize;

use super::study::{StudyConfig, Worth, worth};
use super::{SharedCache, WorkflowError, models, providers};
use crate::backbone::BackboneError;
use crate::backbone::architecture::Architecture;
use crate::dataset::{SkipReason, Skipped};
use crate::metrics::transfer::kendall_tau;
use crate::progress::{Reporter, Stage};

/// A model with what it is worth and costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedModel {
    /// As it was asked for.
    pub model: String,
    /// Its name for people.
    pub name: String,
    /// The family of architectures.
    pub architecture: Architecture,
    /// The layer that served as features.
    pub layer: String,
    /// Width of the features.
    pub dim: usize,
    /// Size of its file with external data, in bytes.
    pub size_bytes: u64,
    /// Parameters up to the features.
    pub n_params: u64,
    /// Multiplications (with an addition each) for one image.
    pub macs: Option<u64>,
    /// Images a second of the backbone alone.
    pub images_per_sec: f64,
    /// What its features are worth.
    #[serde(flatten)]
    pub worth: Worth,
}

impl ComparedModel {
    /// Validated accuracy of the linear head.
    pub fn accuracy(&self) -> Option<f64> {
        self.worth.linear.map(|estimate| estimate.value)
    }
}

/// A model that could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedModel {
    /// As it was asked for.
    pub model: String,
    /// Why, as a sentence.
    pub reason: String,
}

/// How well an estimate agrees with the accuracies: Kendall's tau-b, 1 where it ranks the models alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Agreement {
    /// Of LogME.
    pub log_me: Option<f64>,
    /// Of the H-score with a shrunk covariance.
    pub h_score_shrunk: Option<f64>,
}

/// What a comparison gives.
#[derive(Clone, Debug, Default)]
pub struct CompareOutcome {
    /// Models, the most accurate first.
    pub models: Vec<ComparedModel>,
    /// Models that could not be compared.
    pub failed: Vec<FailedModel>,
    /// Whether the estimates rank them as the accuracies do.
    pub agreement: Agreement,
    /// Images that heads were fitted on.
    pub n_train: usize,
    /// Images that heads were judged on.
    pub n_val: usize,
    /// Files left out.
    pub skipped: Vec<Skipped>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl CompareOutcome {
    /// Whether no other model is both more accurate and faster: the choice is among these.
    pub fn is_best_of_its_speed(&self, idx: usize) -> bool {
        let Some(own) = self.models.get(idx) else { return false };
        let key = |m: &ComparedModel| (m.accuracy().unwrap_or(f64::NEG_INFINITY), m.images_per_sec);
        let (accuracy, speed) = key(own);
        !self.models.iter().map(key).any(|(a, s)| a >= accuracy && s >= speed && (a > accuracy || s > speed))
    }
}

/// Compares models (names of installed ones, or paths) on the same images with the same split. One that cannot be used is
/// told of and the others go on. `on_model` sees what there is after each.
///
/// # Errors
/// When there is nothing to train on, none of the models can be used, or the user cancels.
pub fn compare(
    wanted: &[String],
    config: &StudyConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
    mut on_model: impl FnMut(&CompareOutcome),
) -> Result<CompareOutcome, WorkflowError> {
    let mut outcome = CompareOutcome::default();
    let mut first_error = None;
    for (idx, model) in wanted.iter().enumerate() {
        reporter.progress(Stage::Compare, idx, wanted.len());
        let one = match compare_one(model, config, cache, reporter, &mut outcome) {
            Err(WorkflowError::Cancelled) => return Err(WorkflowError::Cancelled),
            // It would be the same with the next one.
            Err(error) if is_of_images(&error) => return Err(error),
            Err(error) => {
                let reason = error.to_string();
                first_error.get_or_insert(error);
                Err(FailedModel { model: model.clone(), reason })
            }
            Ok(found) => Ok(found),
        };
        match one {
            Ok(found) => outcome.models.push(found),
            Err(failed) => outcome.failed.push(failed),
        }
        let key = |m: &ComparedModel| m.accuracy().unwrap_or(f64::NEG_INFINITY);
        outcome.models.sort_by(|a, b| key(b).total_cmp(&key(a)).then(b.images_per_sec.total_cmp(&a.images_per_sec)));
        outcome.agreement = agreement(&outcome.models);
        on_model(&outcome);
    }
    reporter.progress(Stage::Compare, wanted.len(), wanted.len());
    if let (true, Some(error)) = (outcome.models.is_empty(), first_error) {
        return Err(error);
    }
    Ok(outcome)
}

/// Whether an error is of the images, whatever the model. Those that come when features are at hand may be of one model
/// alone.
fn is_of_images(error: &WorkflowError) -> bool {
    use WorkflowError as E;
    matches!(
        error,
        E::Read { .. }
            | E::Table { .. }
            | E::NoImages { .. }
            | E::NoClasses { .. }
            | E::NoValidation { .. }
            | E::OnlyDuplicates { .. }
    )
}

fn compare_one(
    model: &str,
    config: &StudyConfig,
    cache: &SharedCache,
    reporter: &dyn Reporter,
    outcome: &mut CompareOutcome,
) -> Result<ComparedModel, WorkflowError> {
    let backbone = models::open_model(Some(model), None, cache)?;
    let prepared = config.prepare(&backbone, cache, reporter)?;
    let not_finite = prepared.skipped.iter().filter(|s| s.reason == SkipReason::NotFinite).count();
    if not_finite > 0 {
        // Judged on other images than the others it could not be compared with them.
        let n = not_finite + prepared.data.train.len() + prepared.data.val.len() + prepared.data.test.len();
        return Err(BackboneError::NotNumbersFor { n_images: not_finite, n }.into());
    }
    if outcome.n_train == 0 {
        (outcome.n_train, outcome.n_val) = (prepared.data.train.len(), prepared.data.val.len());
        outcome.notes.clone_from(&prepared.notes);
        outcome.skipped.clone_from(&prepared.skipped);
    }
    let worth = worth(&prepared.data, config.split.seed, reporter)?;
    let provider = providers::settle(&backbone, config.embed.provider, reporter)?;
    let images_per_sec = providers::images_per_sec(&backbone, provider, reporter)?;
    let manifest = &backbone.manifest;
    let survey = backbone.survey(reporter.cancel_token()).ok();
    let feature = &manifest.feature.value.tensor;
    let at_feature = survey.as_ref().and_then(|s| s.layers.iter().find(|l| l.tensor == *feature)?.macs);
    Ok(ComparedModel {
        model: model.to_owned(),
        name: manifest.name.clone(),
        architecture: manifest.architecture.value,
        layer: backbone.space.layer.clone(),
        dim: backbone.space.dim,
        size_bytes: manifest.size_bytes,
        n_params: manifest.n_params,
        macs: at_feature.or_else(|| survey.as_ref()?.macs),
        images_per_sec,
        worth,
    })
}

fn agreement(models: &[ComparedModel]) -> Agreement {
    let of = |estimate: fn(&crate::metrics::transfer::Transferability) -> f64| {
        let both = models.iter().filter_map(|m| Some((m.accuracy()?, estimate(m.worth.transfer.as_ref()?))));
        let (accuracies, estimates): (Vec<f64>, Vec<f64>) = both.unzip();
        kendall_tau(&accuracies, &estimates)
    };
    Agreement { log_me: of(|t| t.log_me), h_score_shrunk: of(|t| t.h_score_shrunk) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::metrics::Estimate;

    #[test]
    fn the_choice_is_among_those_that_nothing_beats() {
        let model = |accuracy: f64, images_per_sec: f64| ComparedModel {
            model: String::new(),
            name: String::new(),
            architecture: Architecture::Unknown,
            layer: String::new(),
            dim: 1,
            size_bytes: 1,
            n_params: 1,
            macs: None,
            images_per_sec,
            worth: Worth {
                linear: Some(Estimate { value: accuracy, ..Estimate::default() }),
                prototype: None,
                transfer: None,
            },
        };
        let models = vec![model(0.9, 10.0), model(0.8, 50.0), model(0.7, 40.0), model(0.9, 5.0)];
        let outcome = CompareOutcome { models, ..CompareOutcome::default() };
        let best: Vec<bool> = (0..4).map(|i| outcome.is_best_of_its_speed(i)).collect();
        assert_eq!(best, [true, true, false, false]);
    }
}
