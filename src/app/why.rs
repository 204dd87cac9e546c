//! Why an answer: the training images that an image is most like, and where the model looks.

use std::sync::Arc;

use super::command::Effect;
use super::live::model_choice;
use super::state::{AppState, Place, Purpose};
use super::views::EvaluateView;
use crate::dataset::Split;
use crate::head::HeadKind;
use crate::jobs::{ExplainRequest, HeadOf, JobId, JobRequest, LaneKind, Near, NearRequest, OccludeRequest, Subject};
use crate::project::{ClassId, ImageId};
use crate::workflow::explain::OcclusionMap;

/// Training images that are shown.
pub const N_NEAR: usize = 6;
/// Maps that are kept.
const MAX_MAPS: usize = 24;

/// What the user asks about an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum WhyCommand {
    /// The image that is looked at now.
    About(Subject),
    /// Shows what is behind answers, or hides it.
    Open(bool),
    /// Shows where the model looks, or hides it.
    Map(bool),
    /// Which class is asked for; the head's answer without.
    Class(Option<ClassId>),
    /// Ends looking.
    Stop,
}

/// What an explanation follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Basis {
    epoch: u64,
    revision: u64,
    n_embedded: usize,
}

/// The head that a map is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HeadKey {
    epoch: u64,
    revision: u64,
    is_chosen_anew: bool,
    kind: HeadKind,
}

/// What a map is of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Looked {
    subject: Subject,
    /// The class that was asked for.
    asked: Option<ClassId>,
    head: HeadKey,
}

#[derive(Clone, Debug)]
struct MapOf {
    of: Looked,
    class: ClassId,
    map: Arc<OcclusionMap>,
}

/// What is behind answers.
#[derive(Clone, Debug, Default)]
pub struct Why {
    /// Whether it is shown.
    pub is_open: bool,
    /// The image that is looked at.
    pub subject: Option<Subject>,
    near: Option<(Subject, Basis, Result<Near, String>)>,
    near_asked: Option<(JobId, Subject, Basis)>,
    /// Whether where the model looks is drawn over the image.
    pub shows_map: bool,
    /// The class that is asked for.
    pub class: Option<ClassId>,
    maps: Vec<MapOf>,
    /// What is being looked at.
    looking: Option<(JobId, Looked)>,
    map_error: Option<(Subject, String)>,
}

impl Why {
    /// What a model that is used no more sees as near.
    pub(super) fn forget_model(&mut self) {
        self.near = None;
    }

    /// The training images that an image is most like, once they are known, or why they cannot be.
    pub fn near(&self, subject: &Subject) -> Option<Result<&Near, &str>> {
        let (of, _, near) = self.near.as_ref()?;
        (of == subject).then(|| near.as_ref().map_err(String::as_str))
    }

    /// Where the model looks in an image, and for which class.
    pub fn map(&self, subject: &Subject) -> Option<(ClassId, &Arc<OcclusionMap>)> {
        let found = self.maps.iter().find(|map| map.of.subject == *subject && map.of.asked == self.class)?;
        Some((found.class, &found.map))
    }

    /// Why that is not known.
    pub fn map_error(&self, subject: &Subject) -> Option<&str> {
        self.map_error.as_ref().filter(|(of, _)| of == subject).map(|(_, why)| why.as_str())
    }

    /// Whether the model is looking at an image.
    pub fn is_looking(&self, subject: &Subject) -> bool {
        self.looking.as_ref().is_some_and(|(_, of)| of.subject == *subject)
    }
}

impl AppState {
    /// Whether there is an answer that one can ask about.
    pub fn has_answer_in_view(&self) -> bool {
        let Some(project) = &self.project else { return false };
        match self.place {
            Place::Images => project.gallery.large.is_some(),
            Place::Evaluate => self.evaluate_view == EvaluateView::Results && project.predictions.is_some(),
            _ => false,
        }
    }

    /// The picture in the large view is what is asked about, without being told.
    fn ask_about_large(&mut self, effects: &mut Vec<Effect>) {
        let large = self.project.as_ref().filter(|_| self.place == Place::Images).and_then(|p| p.gallery.large);
        if let Some(id) = large {
            self.ask_about(Subject::Image(id), effects);
        }
    }

    fn ask_about(&mut self, subject: Subject, effects: &mut Vec<Effect>) {
        let Some(why) = self.project.as_mut().map(|p| &mut p.why) else { return };
        if why.subject.as_ref() != Some(&subject) {
            why.subject = Some(subject);
            (why.class, why.shows_map) = (None, false);
            self.stop_looking(effects);
        }
    }

    pub(super) fn why_command(&mut self, command: WhyCommand, effects: &mut Vec<Effect>) {
        if let WhyCommand::About(subject) = command {
            return self.ask_about(subject, effects);
        }
        self.ask_about_large(effects);
        let Some(project) = &mut self.project else { return };
        let why = &mut project.why;
        match command {
            WhyCommand::About(_) => {}
            WhyCommand::Open(on) => {
                why.is_open = on;
                if !on {
                    why.shows_map = false;
                    self.stop_looking(effects);
                }
            }
            WhyCommand::Map(on) => {
                why.shows_map = on;
                why.is_open |= on;
                match on {
                    true => self.look_at(effects),
                    false => self.stop_looking(effects),
                }
            }
            WhyCommand::Class(class) => {
                if why.class != class {
                    why.class = class;
                    if why.shows_map {
                        self.look_at(effects);
                    }
                }
            }
            WhyCommand::Stop => {
                why.shows_map = false;
                self.stop_looking(effects);
            }
        }
    }

    fn stop_looking(&mut self, effects: &mut Vec<Effect>) {
        let Some(project) = &mut self.project else { return };
        if project.why.looking.take().is_some() {
            effects.push(Effect::Cancel(LaneKind::Explain));
        }
    }

    fn head_key(&self) -> Option<(HeadKey, HeadOf)> {
        let project = self.project.as_ref()?;
        let fit = project.live.fit.as_ref()?;
        let head = fit.head()?;
        let key = HeadKey {
            epoch: fit.output.epoch,
            revision: fit.output.revision,
            is_chosen_anew: fit.output.is_chosen_anew,
            kind: head.kind(),
        };
        Some((key, HeadOf { judged: Arc::clone(&head.judged), class_ids: fit.output.class_ids.clone() }))
    }

    /// Asks where the model looks, where that is not known of this head.
    fn look_at(&mut self, effects: &mut Vec<Effect>) {
        let Some((key, head)) = self.head_key() else { return };
        let provider = self.provider();
        let Some(project) = &mut self.project else { return };
        let why = &mut project.why;
        let Some(subject) = why.subject.clone() else { return };
        let wanted = Looked { subject: subject.clone(), asked: why.class, head: key };
        let is_known = why.maps.iter().any(|map| map.of == wanted);
        if is_known || why.looking.as_ref().is_some_and(|(_, of)| *of == wanted) {
            return;
        }
        why.map_error = None;
        let path = match &subject {
            Subject::Image(id) => project.data.path(*id),
            Subject::File(path) => Some(path.clone()),
        };
        let Some(path) = path else { return };
        let (session, class) = (project.session, why.class);
        let model = model_choice(&project.data);
        let request = OccludeRequest { path, model, provider, head, class };
        let request = JobRequest::Explain(Box::new(ExplainRequest::Occlude(request)));
        let id = self.job(request, Purpose::Occlude { session }, effects);
        if let Some(project) = &mut self.project {
            project.why.looking = Some((id, wanted));
        }
    }

    /// Looks for the training images that the image in view is most like, where that is shown and not known.
    pub(super) fn why_if_due(&mut self, effects: &mut Vec<Effect>) {
        if !self.has_answer_in_view() {
            return;
        }
        self.ask_about_large(effects);
        let head = self.head_key().map(|(key, _)| key);
        let provider = self.provider();
        let Some(project) = &mut self.project else { return };
        // A map of heads of before says nothing of the answer now.
        if project.why.maps.iter().any(|map| Some(map.of.head) != head) {
            project.why.maps.retain(|map| Some(map.of.head) == head);
        }
        let is_seen = |subject: &Subject| project.why.map(subject).is_some();
        if project.why.looking.is_none() && !project.why.subject.as_ref().is_some_and(is_seen) {
            project.why.shows_map = false;
        }
        // A look takes longer, and is not to be ended by this.
        if !project.why.is_open || project.why.looking.is_some() {
            return;
        }
        let Some(subject) = project.why.subject.clone() else { return };
        let live = &project.live;
        let basis = Basis { epoch: live.epoch, revision: project.revision, n_embedded: live.n_embedded };
        let is_of_it = |of: &Subject, at: &Basis| *of == subject && *at == basis;
        if project.why.near.as_ref().is_some_and(|(of, at, _)| is_of_it(of, at))
            || project.why.near_asked.as_ref().is_some_and(|(_, of, at)| is_of_it(of, at))
        {
            return;
        }
        let (row, path) = match &subject {
            Subject::Image(id) => (live.row(*id), project.data.path(*id)),
            Subject::File(path) => (None, Some(path.clone())),
        };
        let Some(path) = path else { return };
        // It has no features yet.
        if matches!(subject, Subject::Image(_)) && row.is_none() {
            return;
        }
        let images: Vec<(ImageId, u32)> = project
            .data
            .present()
            .filter(|(id, image)| {
                let split = live.split_of(*id).or(image.split).unwrap_or(Split::Train);
                image.class.is_some() && split == Split::Train
            })
            .filter_map(|(id, _)| Some((id, live.row(id)?)))
            // A copy of the image itself says nothing.
            .filter(|(_, of)| Some(*of) != row)
            .collect();
        let (session, epoch, model) = (project.session, basis.epoch, model_choice(&project.data));
        let request = NearRequest { epoch, row, path, model, provider, images, n: N_NEAR };
        let request = JobRequest::Explain(Box::new(ExplainRequest::Near(request)));
        let id = self.job(request, Purpose::Near { session }, effects);
        if let Some(project) = &mut self.project {
            project.why.near_asked = Some((id, subject, basis));
        }
    }

    pub(super) fn on_near(&mut self, id: JobId, result: Result<Near, String>) {
        let Some(why) = self.project.as_mut().map(|p| &mut p.why) else { return };
        if let Some((_, subject, basis)) = why.near_asked.take_if(|(asked, _, _)| *asked == id) {
            why.near = Some((subject, basis, result));
        }
    }

    /// It was ended by a look: it is asked for again after that. Where the user ended it, it is not.
    pub(super) fn near_cancelled(&mut self, id: JobId) {
        if self.was_ended(LaneKind::Explain) {
            return self.on_near(id, Err("It was cancelled".to_owned()));
        }
        if let Some(project) = &mut self.project {
            project.why.near_asked.take_if(|(asked, _, _)| *asked == id);
        }
    }

    pub(super) fn on_occluded(&mut self, id: JobId, result: Result<(ClassId, Arc<OcclusionMap>), String>) {
        let Some(why) = self.project.as_mut().map(|p| &mut p.why) else { return };
        // The image or the class that is looked at may be another one now.
        let Some((_, of)) = why.looking.take_if(|(asked, _)| *asked == id) else { return };
        match result {
            Ok((class, map)) => {
                why.maps.push(MapOf { of, class, map });
                let n_over = why.maps.len().saturating_sub(MAX_MAPS);
                why.maps.drain(..n_over);
            }
            Err(error) => {
                why.map_error = Some((of.subject, error));
                why.shows_map = false;
            }
        }
    }

    pub(super) fn occlusion_cancelled(&mut self, id: JobId) {
        self.ended.remove(&LaneKind::Explain);
        let Some(why) = self.project.as_mut().map(|p| &mut p.why) else { return };
        if why.looking.take_if(|(asked, _)| *asked == id).is_some() {
            why.shows_map = false;
        }
    }
}
