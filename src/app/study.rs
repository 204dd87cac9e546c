//! Comparing the depths of a model, and models with each other, on the project's labelled images.

use std::collections::BTreeSet;

use super::command::Effect;
use super::live::model_choice;
use super::project::OpenProject;
use super::state::{AppState, Purpose};
use crate::classes::{ClassIdx, ClassSet};
use crate::dataset::{Sample, Split};
use crate::jobs::{
    Compared, DrawnCurve, JobRequest, LaneKind, ModelChoice, Probed, Session, StudiedImages, StudyRequest,
};
use crate::project::ImageId;

/// Images that are compared on, at most: more would change the figures little and take long.
pub const MAX_STUDIED: usize = 5000;
/// Fewer labelled images than this tell nothing.
const LEAST_STUDIED: usize = 8;

/// What was compared last, and what is to be.
#[derive(Clone, Debug, Default)]
pub struct Studies {
    /// Depths of a model.
    pub probed: Option<Box<Probed>>,
    /// Why there is none.
    pub probe_error: Option<String>,
    /// Learning curves.
    pub curve: Option<Box<DrawnCurve>>,
    /// How often they have been drawn.
    pub n_curves: u64,
    /// Why there are none.
    pub curve_error: Option<String>,
    /// Models with each other.
    pub compared: Option<Box<Compared>>,
    /// Why there is none.
    pub compare_error: Option<String>,
    /// Names of the installed models that are to be compared; `None` before the user has chosen.
    pub chosen: Option<BTreeSet<String>>,
}

/// What is being compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Study {
    /// Depths.
    Probe,
    /// Learning curves.
    Curve,
    /// Models.
    Compare,
}

impl OpenProject {
    /// Images whose class the user or a folder says, where there are very many some of each class.
    pub(super) fn studied(&self) -> StudiedImages {
        let classes = self.data.sorted_classes();
        let mut idx_of = vec![None; self.data.classes.len()];
        for (idx, (id, _)) in classes.iter().enumerate() {
            idx_of[id.as_usize()] = Some(idx);
        }
        let mut of_class: Vec<Vec<ImageId>> = vec![Vec::new(); classes.len()];
        let mut n_known = 0_usize;
        for (id, image) in self.data.present() {
            // Nothing is trained or judged on test images here.
            let is_usable = image.skipped.is_none() && !image.is_guessed && image.split != Some(Split::Test);
            let class = image.class.and_then(|class| idx_of.get(class.as_usize()).copied().flatten());
            if let (Some(class), true, true) = (class, is_usable, self.is_root_there(image.root)) {
                of_class[class].push(id);
                n_known += 1;
            }
        }
        let every = n_known.div_ceil(MAX_STUDIED).max(1);
        let mut samples = Vec::with_capacity(n_known.min(2 * MAX_STUDIED));
        for (class, ids) in of_class.into_iter().enumerate() {
            samples.extend(ids.into_iter().step_by(every).filter_map(|id| {
                let split = self.data.image(id)?.split;
                Some(Sample { path: self.data.path(id)?, class: Some(ClassIdx::from(class)), split })
            }));
        }
        StudiedImages {
            classes: ClassSet::from_ordered(classes.iter().map(|(_, class)| class.name.clone())),
            samples,
            val_fraction: self.data.settings.val_fraction,
            seed: self.data.settings.seed,
            revision: self.revision,
            session: self.session,
        }
    }

    /// The depths of the model that the project uses, where they were probed.
    pub fn probed(&self) -> Option<&Probed> {
        let own = ModelChoice { layer: None, ..model_choice(&self.data) };
        self.studies.probed.as_deref().filter(|probed| probed.model == own)
    }
}

impl AppState {
    /// What is being compared for the open project, if anything is.
    pub fn studying(&self) -> Option<Study> {
        let session = self.session()?;
        let is_busy = |study: &Study| self.is_busy_with(|p| *p == Purpose::Study { study: *study, session });
        [Study::Probe, Study::Curve, Study::Compare].into_iter().find(is_busy)
    }

    /// Has heads trained on several depths of the project's model.
    pub(super) fn probe_layers(&mut self, effects: &mut Vec<Effect>) {
        let provider = self.provider();
        let Some(project) = &mut self.project else { return };
        let request = StudyRequest::Probe { model: model_choice(&project.data), provider, images: project.studied() };
        project.studies.probe_error = None;
        let purpose = Purpose::Study { study: Study::Probe, session: project.session };
        self.job(JobRequest::Study(Box::new(request)), purpose, effects);
    }

    /// Has the chosen models compared.
    pub(super) fn compare_models(&mut self, effects: &mut Vec<Effect>) {
        let (models, provider) = (self.compared_models(), self.provider());
        let Some(project) = &mut self.project else { return };
        let request = StudyRequest::Compare { models, provider, images: project.studied() };
        (project.studies.compare_error, project.studies.compared) = (None, None);
        let purpose = Purpose::Study { study: Study::Compare, session: project.session };
        self.job(JobRequest::Study(Box::new(request)), purpose, effects);
    }

    /// Names of the models that are to be compared: those chosen that are still there; before anything is chosen, all that
    /// work.
    pub fn compared_models(&self) -> Vec<String> {
        let chosen = self.project.as_ref().and_then(|p| p.studies.chosen.as_ref());
        let cards = self.models.cards.iter().flatten().filter(|card| card.manifest.is_ok());
        let names = cards.map(|card| card.installed.name.clone());
        names.filter(|name| chosen.is_none_or(|chosen| chosen.contains(name))).collect()
    }

    pub(super) fn choose_compared(&mut self, name: &str, on: bool) {
        let now: BTreeSet<String> = self.compared_models().into_iter().collect();
        let Some(project) = &mut self.project else { return };
        let chosen = project.studies.chosen.get_or_insert(now);
        match on {
            true => chosen.insert(name.to_owned()),
            false => chosen.remove(name),
        };
    }

    pub(super) fn on_probed(&mut self, probed: Box<Probed>) {
        if let Some(project) = self.project.as_mut().filter(|p| p.session == probed.session) {
            project.studies.probed = Some(probed);
        }
    }

    pub(super) fn on_compared(&mut self, compared: Box<Compared>) {
        if let Some(project) = self.project.as_mut().filter(|p| p.session == compared.session) {
            project.studies.compared = Some(compared);
        }
    }

    pub(super) fn study_failed(&mut self, study: Study, session: Session, why: String) {
        let Some(project) = self.project.as_mut().filter(|p| p.session == session) else { return };
        match study {
            Study::Probe => project.studies.probe_error = Some(why),
            Study::Curve => project.studies.curve_error = Some(why),
            Study::Compare => project.studies.compare_error = Some(why),
        }
    }
}

/// Why nothing can be compared, if nothing can.
///
/// # Errors
/// The reason, for a tooltip.
pub(super) fn can_study(state: &AppState) -> Result<(), &'static str> {
    let project = state.project.as_ref().ok_or("No project is open")?;
    let of_classes = project.data.sorted_classes().into_iter().map(|(id, _)| project.counts.known_of(id));
    let known: Vec<usize> = of_classes.filter(|n| *n > 0).collect();
    if known.len() < 2 || known.iter().sum::<usize>() < LEAST_STUDIED {
        return Err("It needs 8 labelled images or more, of two classes");
    }
    if state.activity(LaneKind::Study).is_some() {
        return Err("It is being compared");
    }
    Ok(())
}
