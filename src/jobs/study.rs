//! The lane that compares layers and models on a project's images.

use std::sync::Arc;

use super::lane::{JobReporter, Work};
use super::models::OpenModels;
use super::protocol::{
    Compared, DrawnCurve, JobData, JobError, JobOutput, JobRequest, ModelChoice, Probed, StudiedImages, StudyRequest,
};
use crate::backbone::provider::Provider;
use crate::dataset::split::SplitConfig;
use crate::workflow::compare::compare;
use crate::workflow::curve::{CurveConfig, curve};
use crate::workflow::embed::EmbedConfig;
use crate::workflow::models::open_cache;
use crate::workflow::probe::probe;
use crate::workflow::study::{StudyConfig, StudyImages};

pub(super) fn worker(models: Arc<OpenModels>) -> Work {
    Box::new(move |request, reporter| match request {
        JobRequest::Study(request) => study(&models, *request, reporter),
        _ => Ok(JobOutput::Done),
    })
}

fn study(models: &OpenModels, request: StudyRequest, reporter: &JobReporter) -> Result<JobOutput, JobError> {
    let cache = open_cache(reporter);
    match request {
        StudyRequest::Probe { model, provider, images } => {
            let backbone = models.open(&model, &cache)?;
            let (revision, session) = (images.revision, images.session);
            let outcome = probe(&backbone, None, &config(images, provider), &cache, reporter)?;
            let model = ModelChoice { layer: None, ..model };
            Ok(JobOutput::Probed(Box::new(Probed { model, session, revision, outcome })))
        }
        StudyRequest::Curve { model, provider, images, texts } => {
            let backbone = models.open(&model, &cache)?;
            let (revision, session) = (images.revision, images.session);
            let config = CurveConfig { texts: *texts, ..CurveConfig::new(config(images, provider)) };
            let outcome = curve(&backbone, &config, &cache, reporter)?;
            Ok(JobOutput::DrawnCurve(Box::new(DrawnCurve { model, session, revision, outcome })))
        }
        StudyRequest::Compare { models, provider, images } => {
            let (revision, session) = (images.revision, images.session);
            let asked = models.clone();
            let on_model = |so_far: &crate::workflow::compare::CompareOutcome| {
                reporter.data(JobData::Compared(Box::new(Compared {
                    session,
                    asked: asked.clone(),
                    revision,
                    outcome: so_far.clone(),
                })));
            };
            let outcome = compare(&models, &config(images, provider), &cache, reporter, on_model)?;
            Ok(JobOutput::Compared(Box::new(Compared { session, asked: models, revision, outcome })))
        }
    }
}

fn config(images: StudiedImages, provider: Provider) -> StudyConfig {
    let StudiedImages { classes, samples, val_fraction, seed, .. } = images;
    let mut config = StudyConfig::new(StudyImages::Files { classes, samples });
    config.split = SplitConfig { val_fraction, seed, shots: None };
    config.embed = EmbedConfig { provider, ..EmbedConfig::default() };
    config
}
