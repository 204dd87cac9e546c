//! Comparing the depths of a model, and models with each other, on the project's labelled images.

use std::collections::BTreeSet;

use super::command::Effect;
use super::live::model_choice;
use super::project::OpenProject;
use super::state::{AppState, Purpose};
use crate::backbone::library::STARTER;
use crate::classes::{ClassIdx, ClassSet};
use crate::dataset::Sample;
use crate::jobs::{Compared, JobRequest, LaneKind, Probed, StudiedImages, StudyRequest};

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
    /// Models with each other.
    pub compared: Option<Box<Compared>>,
    /// Why there is none.
    pub compare_error: Option<String>,
    /// Names of the installed models that are to be compared.
    pub chosen: BTreeSet<String>,
}

/// What is being compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Study {
    /// Depths.
    Probe,
    /// Models.
    Compare,
}

impl OpenProject {
    /// Images whose class the user or a folder says, drawn evenly where there are very many.
    fn studied(&self) -> StudiedImages {
        let classes = self.data.sorted_classes();
        let idx_of = |id| classes.iter().position(|(class, _)| *class == id).map(ClassIdx::from);
        let known: Vec<Sample> = self
            .data
            .present()
            .filter(|(_, image)| image.skipped.is_none() && !image.is_guessed)
            .filter_map(|(id, image)| {
                let class = idx_of(image.class?)?;
                Some(Sample { path: self.data.path(id)?, class: Some(class), split: image.split })
            })
            .collect();
        let every = known.len().div_ceil(MAX_STUDIED).max(1);
        StudiedImages {
            classes: ClassSet::from_ordered(classes.iter().map(|(_, class)| class.name.clone())),
            samples: known.into_iter().step_by(every).collect(),
            val_fraction: self.data.settings.val_fraction,
            seed: self.data.settings.seed,
            revision: self.revision,
        }
    }
}

impl AppState {
    /// What is being compared, if anything is.
    pub fn studying(&self) -> Option<Study> {
        [Study::Probe, Study::Compare].into_iter().find(|study| self.is_busy_with(|p| *p == Purpose::Study(*study)))
    }

    /// Has heads trained on several depths of the project's model.
    pub(super) fn probe_layers(&mut self, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let request = StudyRequest::Probe {
            model: model_choice(&project.data),
            provider: self.provider(),
            images: project.studied(),
        };
        self.studies.probe_error = None;
        self.job(JobRequest::Study(Box::new(request)), Purpose::Study(Study::Probe), effects);
    }

    /// Has the chosen models compared.
    pub(super) fn compare_models(&mut self, effects: &mut Vec<Effect>) {
        let Some(project) = &self.project else { return };
        let models = self.compared_models();
        let request = StudyRequest::Compare { models, provider: self.provider(), images: project.studied() };
        self.studies.compare_error = None;
        self.studies.compared = None;
        self.job(JobRequest::Study(Box::new(request)), Purpose::Study(Study::Compare), effects);
    }

    /// Names of the models that are to be compared: those chosen that are still there; all that work where none is.
    pub fn compared_models(&self) -> Vec<String> {
        let cards = self.models.cards.iter().flatten().filter(|card| card.manifest.is_ok());
        let names: Vec<String> = cards.map(|card| card.installed.name.clone()).collect();
        let chosen: Vec<String> = names.iter().filter(|name| self.studies.chosen.contains(*name)).cloned().collect();
        if chosen.is_empty() { names } else { chosen }
    }

    pub(super) fn choose_compared(&mut self, name: &str, on: bool) {
        if self.studies.chosen.is_empty() {
            self.studies.chosen = self.compared_models().into_iter().collect();
        }
        match on {
            true => self.studies.chosen.insert(name.to_owned()),
            false => self.studies.chosen.remove(name),
        };
    }

    pub(super) fn on_probed(&mut self, probed: Box<Probed>) {
        self.studies.probed = Some(probed);
    }

    pub(super) fn on_compared(&mut self, compared: Box<Compared>) {
        self.studies.compared = Some(compared);
    }

    pub(super) fn study_failed(&mut self, study: Study, why: String) {
        match study {
            Study::Probe => self.studies.probe_error = Some(why),
            Study::Compare => self.studies.compare_error = Some(why),
        }
    }

    /// The depths of the model that the project uses, where they were probed.
    pub fn probed(&self) -> Option<&Probed> {
        let model = self.project.as_ref()?.data.settings.model.as_deref().unwrap_or(STARTER);
        self.studies.probed.as_deref().filter(|probed| probed.model.as_deref().unwrap_or(STARTER) == model)
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
        return Err("It needs labelled images of two classes");
    }
    if state.activity(LaneKind::Study).is_some() {
        return Err("It is being compared");
    }
    Ok(())
}
