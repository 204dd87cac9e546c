//! A folder of strangers: images of none of the classes, to see how many of them would get an answer.

use std::path::PathBuf;
use std::sync::Arc;

use super::command::Effect;
use super::live::model_choice;
use super::state::{AppState, Place, Purpose};
use super::views::EvaluateView;
use crate::head::{KnownImage, UnknownRule};
use crate::jobs::{JobRequest, LaneKind, PredictRequest};
use crate::workflow::predict::Predictions;
use crate::workflow::strangers::StrangerFigures;
use crate::workflow::train::JudgedHead;

/// Strangers, and what the head that answers says of them. They are answered on again by every head that takes its place.
#[derive(Clone, Debug)]
pub struct Strangers {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// The latest answers.
    pub answers: Option<Arc<Predictions>>,
    /// How well they are told from known images under the rule; `None` without answers or validation images.
    pub figures: Option<StrangerFigures>,
    /// Why there are no answers.
    pub error: Option<String>,
    /// The head that was asked last.
    asked: Option<Arc<JudgedHead>>,
}

impl Strangers {
    fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, answers: None, figures: None, error: None, asked: None }
    }

    /// Strangers that get an answer under the rule: rows of the answers, the surest first.
    pub fn let_in(&self) -> Vec<usize> {
        let Some(answers) = &self.answers else { return Vec::new() };
        let top = answers.answers.top();
        let mut rows: Vec<usize> =
            (0..top.len()).filter(|&row| !answers.rule.is_unknown(top[row].1, answers.distance(row))).collect();
        rows.sort_by(|a, b| top[*b].1.total_cmp(&top[*a].1));
        rows
    }

    /// The answers of a head that is used no more.
    pub(super) fn forget_answers(&mut self) {
        (self.answers, self.figures) = (None, None);
    }

    /// Judges the answers anew under a rule.
    pub(super) fn set_rule(&mut self, rule: UnknownRule, known: &[KnownImage]) {
        if let Some(answers) = self.answers.as_mut().filter(|answers| answers.rule != rule) {
            Arc::make_mut(answers).rule = rule;
        }
        self.figures = self.answers.as_ref().and_then(|answers| StrangerFigures::new(known, answers, rule));
    }
}

impl AppState {
    /// Tests the rule for "unknown" on images of none of the classes.
    pub(super) fn test_strangers(&mut self, paths: Vec<PathBuf>, effects: &mut Vec<Effect>) {
        let Some(project) = self.project.as_mut().filter(|_| !paths.is_empty()) else { return };
        if project.live.fit.is_none() {
            self.notices.info("There is no trained head yet: label images of two classes first.");
            return;
        }
        project.strangers = Some(Strangers::new(paths));
        self.evaluate_view = EvaluateView::Certainty;
        self.place = Place::Evaluate;
        // Those that are being looked at are not wanted any more.
        effects.push(Effect::Cancel(LaneKind::Strangers));
    }

    /// Takes the strangers off the screen.
    pub(super) fn forget_strangers(&mut self, effects: &mut Vec<Effect>) {
        if let Some(project) = &mut self.project {
            project.strangers = None;
            effects.push(Effect::Cancel(LaneKind::Strangers));
        }
    }

    /// Asks the head that answers, where another one was asked last.
    pub(super) fn strangers_if_due(&mut self, effects: &mut Vec<Effect>) {
        let provider = self.provider();
        let Some(project) = &mut self.project else { return };
        let Some(head) = project.live.fit.as_ref().and_then(|fit| fit.head()) else { return };
        let Some(strangers) = &mut project.strangers else { return };
        if strangers.asked.as_ref().is_some_and(|asked| Arc::ptr_eq(asked, &head.judged)) {
            return;
        }
        strangers.asked = Some(Arc::clone(&head.judged));
        strangers.error = None;
        let request = PredictRequest {
            paths: strangers.paths.clone(),
            model: model_choice(&project.data),
            provider,
            head: Arc::clone(&head.judged),
            rule: project.live.rule(),
        };
        let purpose = Purpose::Strangers { session: project.session };
        self.job(JobRequest::Strangers(request), purpose, effects);
    }

    /// Their answers are there; those of a head that was replaced meanwhile are followed by others.
    pub(super) fn on_strangers(&mut self, answers: Arc<Predictions>) {
        let Some(project) = &mut self.project else { return };
        let rule = project.live.rule();
        let Some(strangers) = &mut project.strangers else { return };
        strangers.answers = Some(answers);
        strangers.error = None;
        strangers.set_rule(rule, project.live.known());
    }

    /// There will be none, but for a head to come.
    pub(super) fn strangers_failed(&mut self, why: String) {
        if let Some(strangers) = self.project.as_mut().and_then(|p| p.strangers.as_mut()) {
            strangers.error = Some(why);
            (strangers.answers, strangers.figures) = (None, None);
        }
    }

    /// Where the user ended it, they go; else others have taken their place.
    pub(super) fn strangers_cancelled(&mut self) {
        if self.ended.contains(&LaneKind::Strangers)
            && let Some(project) = &mut self.project
        {
            project.strangers = None;
        }
    }
}
