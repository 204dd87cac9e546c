//! Learning curves of the open project's heads.

use super::command::Effect;
use super::live::model_choice;
use super::project::OpenProject;
use super::state::{AppState, Purpose};
use super::study::Study;
use super::zero_shot::{overrides, templates};
use crate::jobs::{DrawnCurve, JobRequest, StudyRequest};
use crate::workflow::curve::CurveTexts;

impl OpenProject {
    /// The learning curves of the model and layer that the project uses, where they were drawn; perhaps of labels as they were
    /// before.
    pub fn drawn_curve(&self) -> Option<&DrawnCurve> {
        let own = model_choice(&self.data);
        self.studies.curve.as_deref().filter(|drawn| drawn.model == own)
    }
}

impl AppState {
    /// Has learning curves drawn of the project's labelled images. Text heads start from the labels that are typed for the
    /// classes, where each has one, else from their names.
    pub(super) fn draw_head_curves(&mut self, effects: &mut Vec<Effect>) {
        let provider = self.provider();
        let Some(project) = &mut self.project else { return };
        let settings = &project.data.settings.zero_shot;
        let labels = project.labels_of_classes().map(|labels| labels.into_iter().map(|(_, label)| label).collect());
        let texts = CurveTexts { labels, templates: templates(settings), overrides: overrides(settings) };
        let request = StudyRequest::Curve {
            model: model_choice(&project.data),
            provider,
            images: project.studied(),
            texts: Box::new(texts),
        };
        project.studies.curve_error = None;
        let purpose = Purpose::Study { study: Study::Curve, session: project.session };
        self.job(JobRequest::Study(Box::new(request)), purpose, effects);
    }

    pub(super) fn on_drawn_curve(&mut self, drawn: Box<DrawnCurve>) {
        if let Some(project) = self.project.as_mut().filter(|p| p.session == drawn.session) {
            project.studies.curve = Some(drawn);
            project.studies.n_curves += 1;
        }
    }
}
