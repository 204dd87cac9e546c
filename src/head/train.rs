//! From labelled embeddings to a calibrated head and the record of how it came about.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::design::Design;
use super::error::HeadError;
use super::judge::Verdict;
use super::lbfgs::Stop;
use super::linear::{ClassWeight, FINAL_GAP, LinearConfig, fit_problem, linear_fit, start_from};
use super::logistic::Problem;
use super::plan::{ChosenBy, Fold, Plan, SelectionPolicy, stratified_folds};
use super::prototype::{self, Distance};
use super::select::{self, Part, PathPoint};
use super::temperature::fit_temperature;
use super::text::TextRecord;
use super::{Head, HeadKind, LinearHead, PrototypeHead, check};
use crate::classes::{ClassIdx, ClassSet};
use crate::embedding::Embeddings;
use crate::progress::CancelToken;

/// Strength where no row is left to choose it on.
const DEFAULT_C: f64 = 1.0;
/// Up to this many training rows they choose the temperature, by cross-validation.
const MAX_CROSSED_ROWS: usize = 2000;

/// The strength of the linear head's penalty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Chosen along the regularisation path.
    #[default]
    Auto,
    /// Given, as scikit-learn's `C` (inverse strength).
    Fixed(f64),
}

/// What to train, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Kind of head.
    pub kind: HeadKind,
    /// Seed of everything that is drawn (the folds).
    pub seed: u64,
    /// Linear head: the fit ends when no component of the gradient of the mean-scaled objective exceeds this.
    pub tol: f64,
    /// Linear head: largest number of iterations.
    pub max_iter: usize,
    /// Linear head: how much each class counts.
    pub class_weight: ClassWeight,
    /// Linear head: the strength of the penalty.
    pub strength: Strength,
    /// Prototype head: the distance; `None` chooses.
    pub distance: Option<Distance>,
    /// What chooses.
    pub policy: SelectionPolicy,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            kind: HeadKind::Linear,
            seed: 0,
            tol: 1e-4,
            max_iter: 1000,
            class_weight: ClassWeight::Uniform,
            strength: Strength::Auto,
            distance: None,
            policy: SelectionPolicy::Auto,
        }
    }
}

/// How a head came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainRecord {
    /// Kind of head.
    pub kind: HeadKind,
    /// Number of training rows.
    pub n_train: usize,
    /// What chose the settings.
    pub chosen_by: ChosenBy,
    /// Temperature that is already inside the head's weights.
    pub temperature: f64,
    /// What chose the temperature, where that is known and not what chose the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_by: Option<ChosenBy>,
    /// Accuracy on the rows that chose, if any. It flatters a little, because they chose.
    pub selection_accuracy: Option<f64>,
    /// Log loss on the rows that chose, after temperature scaling. It flatters too.
    pub selection_log_loss: Option<f64>,
    /// Linear head: inverse strength of the penalty, scikit-learn's `C`.
    pub c: Option<f64>,
    /// Linear head: every strength that was tried, ascending.
    pub path: Vec<PathPoint>,
    /// Linear head: mean-scaled objective of the final fit at its start and after every iteration.
    pub loss_curve: Vec<f64>,
    /// Linear head: iterations of the final fit.
    pub n_iter: usize,
    /// Linear head: whether the final fit met its tolerance. Always true for prototypes.
    pub converged: bool,
    /// Linear head: how much each class counted.
    pub class_weight: ClassWeight,
    /// Prototype head: the distance.
    pub distance: Option<Distance>,
    /// Seed of everything that was drawn.
    pub seed: u64,
    /// Zero-shot and text heads: what was read, and how it was mixed with examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextRecord>,
}

impl TrainRecord {
    /// Of a head that nothing was fitted or chosen for.
    pub fn unfitted(kind: HeadKind, text: Option<TextRecord>) -> Self {
        Self {
            kind,
            n_train: 0,
            chosen_by: ChosenBy::Defaults,
            temperature: 1.0,
            temperature_by: None,
            selection_accuracy: None,
            selection_log_loss: None,
            c: None,
            path: Vec::new(),
            loss_curve: Vec::new(),
            n_iter: 0,
            converged: true,
            class_weight: ClassWeight::Uniform,
            distance: None,
            seed: 0,
            text,
        }
    }
}

/// A head with its record.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedHead {
    /// The head.
    pub head: Head,
    /// How it came about.
    pub record: TrainRecord,
}

/// Trains a head of `config.kind` on `train` with labels `y`; settings are chosen on `validation` or on training rows
/// held out.
///
/// The head is fitted to `train` alone also where `validation` chose, so that it may be judged there.
///
/// # Errors
/// Fewer than two classes, a class without a training example, labels that do not fit, values that are not finite,
/// validation embeddings of another space, settings out of range, cancellation.
pub fn train(
    train: &Embeddings,
    y: &[ClassIdx],
    validation: Option<(&Embeddings, &[ClassIdx])>,
    classes: &ClassSet,
    config: &TrainConfig,
    cancel: &CancelToken,
) -> Result<TrainedHead, HeadError> {
    let (input, linear) = Input::new(train, y, validation, classes, config, cancel)?;
    match config.kind {
        HeadKind::Linear => input.linear(&linear, cancel),
        HeadKind::Prototype => input.prototype(config.distance),
        HeadKind::ZeroShot | HeadKind::Text => Err(HeadError::NeedsTexts),
    }
}

/// Trains a head again after a change of its data, with the settings that were chosen before and, for a linear head,
/// from the weights of before: many times as fast as [`train`] where little has changed. The head is as well fitted at
/// its strength; only the strength (or the distance), and a temperature that the training rows have chosen, are not chosen
/// anew.
///
/// `None` where there is nothing to go on from: another kind, width or number of classes, or no validation set that
/// chooses.
///
/// # Errors
/// As [`train`].
pub fn retrain(
    before: &TrainedHead,
    train: &Embeddings,
    y: &[ClassIdx],
    validation: Option<(&Embeddings, &[ClassIdx])>,
    classes: &ClassSet,
    config: &TrainConfig,
    cancel: &CancelToken,
) -> Result<Option<TrainedHead>, HeadError> {
    let is_alike = before.head.kind() == config.kind
        && before.head.classes().len() == classes.len()
        && before.head.space() == train.space();
    if !is_alike {
        return Ok(None);
    }
    let config = TrainConfig { strength: before.record.c.map_or(config.strength, Strength::Fixed), ..*config };
    let (input, linear) = Input::new(train, y, validation, classes, &config, cancel)?;
    if input.validation.is_none() {
        return Ok(None);
    }
    match (&before.head, before.record.distance) {
        (Head::Linear(head), _) if before.record.c.is_some() => {
            input.linear_again(head, &before.record, &linear, cancel).map(Some)
        }
        (Head::Prototype(_), Some(distance)) => input.prototype(Some(distance)).map(Some),
        _ => Ok(None),
    }
}

/// Everything that both kinds need.
struct Input<'a> {
    train: &'a Embeddings,
    y: &'a [ClassIdx],
    targets: Vec<u32>,
    /// Only where the validation set chooses.
    validation: Option<(ArrayView2<'a, f32>, &'a [ClassIdx])>,
    classes: &'a ClassSet,
    plan: Plan,
    config: &'a TrainConfig,
}

impl<'a> Input<'a> {
    /// Checks everything, and decides what chooses.
    fn new(
        train: &'a Embeddings,
        y: &'a [ClassIdx],
        validation: Option<(&'a Embeddings, &'a [ClassIdx])>,
        classes: &'a ClassSet,
        config: &'a TrainConfig,
        cancel: &CancelToken,
    ) -> Result<(Self, LinearConfig), HeadError> {
        let c = if let Strength::Fixed(c) = config.strength { c } else { DEFAULT_C };
        let linear = LinearConfig { c, class_weight: config.class_weight, tol: config.tol, max_iter: config.max_iter };
        check::settings(&linear)?;
        check::rows(train.view(), y, classes.len())?;
        for (class, name) in classes.indices().zip(classes.names()) {
            if !y.contains(&class) {
                return Err(HeadError::ClassWithoutExample { class: name.clone() });
            }
        }
        if let Some((rows, labels)) = validation {
            check::same_space(train.space(), rows.space())?;
            check::rows(rows.view(), labels, classes.len())?;
        }
        let targets: Vec<u32> = y.iter().map(|class| class.0).collect();
        let n_validation = validation.map(|(_, labels)| labels.len());
        let plan = Plan::new(config.policy, &targets, classes.len(), n_validation, config.seed)?;
        if cancel.is_cancelled() {
            return Err(HeadError::Cancelled);
        }
        let validation = match plan {
            Plan::Validation { .. } => validation.map(|(rows, labels)| (rows.view(), labels)),
            _ => None,
        };
        Ok((Self { train, y, targets, validation, classes, plan, config }, linear))
    }

    /// One fit at the strength of before, from the weights of before.
    fn linear_again(
        self,
        before: &LinearHead,
        record: &TrainRecord,
        config: &LinearConfig,
        cancel: &CancelToken,
    ) -> Result<TrainedHead, HeadError> {
        let Some((rows, labels)) = self.validation else { return Err(HeadError::NoValidation) };
        let design = Design::new(self.train.view());
        let class_weights = config.class_weight.weights(&self.targets, self.classes.len());
        let problem = Problem::new(design.coords(), None, self.targets.clone(), &class_weights);
        let part = Part::validation(problem, design.project(rows), labels);
        let start = start_from(part.problem(), &design, before.weight(), before.bias(), record.temperature);
        let stop = Stop { tol: config.tol, gap: FINAL_GAP, max_iter: config.max_iter };
        let minimum = fit_problem(part.problem(), &design, config.c, Some(&start), stop, cancel)?;
        let logits = part.held_out_logits(&minimum.params);
        let fit = linear_fit(part.problem(), &design, config.c, minimum);
        let temperature = match record.temperature_by {
            Some(_) => record.temperature,
            None => fit_temperature(logits.view(), labels),
        };
        let verdict = (Verdict::new(logits.view(), labels, temperature), labels.len());
        let (weight, bias) = fit.per_class();
        let divide = |v: &f32| (f64::from(*v) / temperature) as f32;
        let head =
            LinearHead::new(self.train.space().clone(), self.classes.clone(), weight.map(divide), bias.map(divide))?;
        let record = TrainRecord {
            c: record.c,
            path: record.path.clone(),
            loss_curve: fit.loss_curve,
            n_iter: fit.n_iter,
            converged: fit.converged,
            temperature_by: record.temperature_by,
            ..self.record(temperature, Some(verdict))
        };
        Ok(TrainedHead { head: Head::Linear(head), record })
    }

    fn linear(self, config: &LinearConfig, cancel: &CancelToken) -> Result<TrainedHead, HeadError> {
        let design = Design::new(self.train.view());
        let n_classes = self.classes.len();
        let whole = || {
            let class_weights = config.class_weight.weights(&self.targets, n_classes);
            Problem::new(design.coords(), None, self.targets.clone(), &class_weights)
        };
        let parts: Vec<Part<'_>> = match self.validation {
            Some((rows, labels)) => vec![Part::validation(whole(), design.project(rows), labels)],
            None => self.plan.folds().iter().map(|fold| Part::fold(&design, self.y, fold, config, n_classes)).collect(),
        };
        let mut choice = match self.config.strength {
            _ if parts.is_empty() => None,
            Strength::Auto => Some(select::choose(&parts, &design, config, cancel)?),
            Strength::Fixed(_) => Some(select::at_strength(&parts, &design, config, cancel)?),
        };
        let c = choice.as_ref().map_or(config.c, |choice| choice.c);
        let stop = Stop { tol: config.tol, gap: FINAL_GAP, max_iter: config.max_iter };
        let fit = match (&parts[..], self.validation, &mut choice) {
            ([part], Some(_), Some(choice)) => {
                let mut minimum = fit_problem(part.problem(), &design, c, None, stop, cancel)?;
                let mut logits = part.held_out_logits(&minimum.params);
                let n_right = |logits: &Array2<f32>| Verdict::new(logits.view(), &choice.held_out.1, 1.0).n_right;
                // Within the tolerance there are heads that differ by an image or two. Go on from the one that was chosen,
                // and keep that one itself where going on loses what it was chosen for.
                for max_iter in [stop.max_iter, 0] {
                    if n_right(&logits) >= choice.verdict.n_right {
                        break;
                    }
                    let stop = Stop { max_iter, ..stop };
                    minimum = fit_problem(part.problem(), &design, c, Some(&choice.params), stop, cancel)?;
                    minimum.converged |= max_iter == 0;
                    logits = part.held_out_logits(&minimum.params);
                }
                choice.held_out.0 = logits;
                linear_fit(part.problem(), &design, c, minimum)
            }
            _ => {
                let problem = whole();
                let minimum = fit_problem(&problem, &design, c, None, stop, cancel)?;
                linear_fit(&problem, &design, c, minimum)
            }
        };
        // Where the validation rows have chosen the strength, the training rows are many times as many to choose the
        // temperature on, and the validation rows are then judged without having had a part in it.
        let folds = self.temperature_folds();
        let (held_out, temperature_by) = match folds.as_slice() {
            [] => (choice.as_ref().map(|choice| choice.held_out.clone()), None),
            folds => {
                let part = |fold: &Fold| Part::fold(&design, self.y, fold, config, n_classes);
                let parts: Vec<Part<'_>> = folds.iter().map(part).collect();
                let config = LinearConfig { c, ..*config };
                let crossed = select::at_strength(&parts, &design, &config, cancel)?;
                (Some(crossed.held_out), Some(ChosenBy::CrossValidation { n_folds: folds.len() }))
            }
        };
        let temperature = held_out.map_or(1.0, |(logits, labels)| fit_temperature(logits.view(), &labels));
        let verdict = choice.as_ref().map(|choice| {
            let (logits, labels) = &choice.held_out;
            (Verdict::new(logits.view(), labels, temperature), labels.len())
        });
        let (weight, bias) = fit.per_class();
        let divide = |v: &f32| (f64::from(*v) / temperature) as f32;
        let head =
            LinearHead::new(self.train.space().clone(), self.classes.clone(), weight.map(divide), bias.map(divide))?;
        let record = TrainRecord {
            c: Some(c),
            path: choice.map(|choice| choice.path).unwrap_or_default(),
            loss_curve: fit.loss_curve,
            n_iter: fit.n_iter,
            converged: fit.converged,
            temperature_by,
            ..self.record(temperature, verdict)
        };
        Ok(TrainedHead { head: Head::Linear(head), record })
    }

    /// Folds of the training rows that choose the temperature where the validation rows choose the rest; none where the
    /// training rows are so many that the validation rows are enough.
    fn temperature_folds(&self) -> Vec<Fold> {
        match self.plan {
            Plan::Validation { .. } if self.y.len() <= MAX_CROSSED_ROWS => {
                stratified_folds(&self.targets, self.classes.len(), self.config.seed)
            }
            _ => Vec::new(),
        }
    }

    fn prototype(self, fixed: Option<Distance>) -> Result<TrainedHead, HeadError> {
        let n_classes = self.classes.len();
        let x = self.train.view();
        let mut choice = prototype::choose(x, self.y, self.validation, n_classes, &self.plan, fixed);
        let folds = self.temperature_folds();
        let mut temperature_by = None;
        if !folds.is_empty() {
            let n_folds = folds.len();
            let plan = Plan::CrossValidation(folds);
            let (logits, labels) = prototype::out_of_fold(x, self.y, n_classes, &plan, choice.distance);
            choice.temperature = fit_temperature(logits.view(), &labels);
            temperature_by = Some(ChosenBy::CrossValidation { n_folds });
        }
        let means: Array2<f32> = prototype::prototypes(x, self.y, n_classes, choice.distance);
        let head = PrototypeHead::new(
            self.train.space().clone(),
            self.classes.clone(),
            means,
            choice.distance,
            choice.temperature,
        )?;
        let record = TrainRecord {
            distance: Some(choice.distance),
            temperature_by,
            ..self.record(choice.temperature, choice.verdict)
        };
        Ok(TrainedHead { head: Head::Prototype(head), record })
    }

    /// What both kinds record.
    fn record(&self, temperature: f64, verdict: Option<(Verdict, usize)>) -> TrainRecord {
        TrainRecord {
            kind: self.config.kind,
            n_train: self.y.len(),
            chosen_by: self.plan.chosen_by(),
            temperature,
            temperature_by: None,
            selection_accuracy: verdict.map(|(verdict, n_rows)| verdict.accuracy(n_rows)),
            selection_log_loss: verdict.map(|(verdict, _)| verdict.log_loss),
            c: None,
            path: Vec::new(),
            loss_curve: Vec::new(),
            n_iter: 0,
            converged: true,
            class_weight: self.config.class_weight,
            distance: None,
            seed: self.config.seed,
            text: None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::embedding::EmbeddingSpace;
    use crate::head::{HeadMeta, softmax};

    const DIM: usize = 6;

    fn space(backbone: &str) -> EmbeddingSpace {
        EmbeddingSpace { backbone: backbone.into(), layer: "features".into(), preprocess: "p".into(), dim: DIM }
    }

    /// Three classes that overlap a little, in turn.
    fn data(n_rows: usize, shift: usize) -> (Embeddings, Vec<ClassIdx>) {
        let noise = |i: usize, j: usize| ((((i + shift) * 7919 + j * 104_729) % 997) as f32 / 997.0 - 0.5) * 1.6;
        let values = Array2::from_shape_fn((n_rows, DIM), |(i, j)| noise(i, j) + f32::from(u8::from(i % 3 == j)));
        (Embeddings::new(values, space("b")).unwrap(), (0..n_rows).map(|i| ClassIdx::from(i % 3)).collect())
    }

    fn classes() -> ClassSet {
        ClassSet::from_ordered(["a", "b", "c"])
    }

    fn run(config: &TrainConfig, with_validation: bool) -> TrainedHead {
        let ((x, y), (vx, vy)) = (data(90, 0), data(60, 500));
        train(&x, &y, with_validation.then_some((&vx, &vy[..])), &classes(), config, &CancelToken::new()).unwrap()
    }

    fn error(x: &Embeddings, y: &[ClassIdx], validation: Option<(&Embeddings, &[ClassIdx])>) -> HeadError {
        train(x, y, validation, &classes(), &TrainConfig::default(), &CancelToken::new()).unwrap_err()
    }

    #[test]
    fn both_kinds_learn_are_calibrated_and_come_back_from_their_parts() {
        let (x, y) = data(60, 500);
        for kind in HeadKind::OF_EXAMPLES {
            for with_validation in [true, false] {
                let trained = run(&TrainConfig { kind, ..TrainConfig::default() }, with_validation);
                assert_eq!(
                    trained,
                    run(&TrainConfig { kind, ..TrainConfig::default() }, with_validation),
                    "the same again"
                );
                let scores = trained.head.scores(&x).unwrap();
                let n_right = scores.top1().iter().zip(&y).filter(|(a, b)| a == b).count();
                assert!(n_right >= 48, "{kind:?}: {n_right} of 60");
                let record = &trained.record;
                if with_validation {
                    assert_eq!(record.chosen_by, ChosenBy::Validation { n_rows: 60 });
                    assert_eq!(record.selection_accuracy, Some(n_right as f64 / 60.0));
                    // The training rows have chosen the temperature; the validation rows would choose about the same.
                    assert_eq!(record.temperature_by, Some(ChosenBy::CrossValidation { n_folds: 5 }));
                    let again = fit_temperature(scores.values.view(), &y);
                    assert!((0.5..2.0).contains(&again), "{kind:?} {again}");
                } else {
                    assert_eq!(record.chosen_by, ChosenBy::CrossValidation { n_folds: 5 });
                    assert_eq!(record.temperature_by, None, "the same folds");
                }
                assert_eq!(record.path.is_empty(), kind == HeadKind::Prototype);
                assert!(record.path.is_sorted_by(|a, b| a.c < b.c) && record.converged);
                let meta: HeadMeta =
                    serde_json::from_str(&serde_json::to_string(&trained.head.meta()).unwrap()).unwrap();
                let (matrix, bias) = trained.head.arrays();
                let again = Head::from_parts(meta, matrix.to_owned(), bias.map(|b| b.to_owned())).unwrap();
                // Reading JSON may change the last bit of the temperature.
                let (again, before) = (again.scores(&x).unwrap().values, &scores.values);
                assert!(again.iter().zip(before).all(|(a, b)| (a - b).abs() < 1e-4), "{kind:?}");
            }
        }
    }

    #[test]
    fn one_example_a_class_is_enough() {
        let (x, y) = data(3, 0);
        for kind in HeadKind::OF_EXAMPLES {
            let config = TrainConfig { kind, ..TrainConfig::default() };
            let trained = train(&x, &y, None, &classes(), &config, &CancelToken::new()).unwrap();
            assert_eq!(trained.record.chosen_by, ChosenBy::Defaults);
            assert_eq!(trained.head.scores(&x).unwrap().top1(), y);
        }
    }

    #[test]
    fn training_again_goes_on_from_where_it_was_and_ends_where_training_afresh_does() {
        let config = TrainConfig { policy: SelectionPolicy::Validation, ..TrainConfig::default() };
        // Tall rows, and few enough that they are fitted in the basis of their span; three classes and two.
        for (n_rows, n_classes) in [(90, 3), (4, 3), (90, 2), (4, 2)] {
            let two = |y: Vec<ClassIdx>| y.into_iter().map(|c| ClassIdx(c.0 % n_classes)).collect::<Vec<_>>();
            let ((x, y), (vx, vy)) = (data(n_rows, 0), data(60, 500));
            let (mut y, vy) = (two(y), two(vy));
            let classes = ClassSet::from_ordered(["a", "b", "c"].into_iter().take(n_classes as usize));
            let validation = Some((&vx, &vy[..]));
            let cancel = CancelToken::new();
            for kind in HeadKind::OF_EXAMPLES {
                let config = TrainConfig { kind, ..config.clone() };
                let before = train(&x, &y, validation, &classes, &config, &cancel).unwrap();
                let same = retrain(&before, &x, &y, validation, &classes, &config, &cancel).unwrap().unwrap();
                let last = |head: &TrainedHead| head.record.loss_curve.last().copied().unwrap_or(0.0);
                let first = |head: &TrainedHead| head.record.loss_curve.first().copied().unwrap_or(0.0);
                // Within what the tolerance of the gradient leaves open.
                let close = |a: f64, b: f64| (a - b).abs() <= 5e-3 * b.abs();
                assert!(close(first(&same), last(&before)), "{n_rows} {n_classes}: {} {}", first(&same), last(&before));
                assert_eq!((same.record.c, same.record.distance), (before.record.c, before.record.distance));
                assert!(
                    same.record.n_iter <= 2 + before.record.n_iter / 3,
                    "{} {}",
                    same.record.n_iter,
                    before.record.n_iter
                );
                if n_rows < 10 {
                    continue;
                }
                y[7] = ClassIdx((y[7].0 + 1) % n_classes);
                let again = retrain(&before, &x, &y, validation, &classes, &config, &cancel).unwrap().unwrap();
                let fixed = TrainConfig {
                    strength: before.record.c.map_or(Strength::Auto, Strength::Fixed),
                    distance: before.record.distance,
                    ..config
                };
                let afresh = train(&x, &y, validation, &classes, &fixed, &cancel).unwrap();
                assert!(close(last(&again), last(&afresh)), "{} {}", last(&again), last(&afresh));
                // A temperature that the training rows have chosen is kept; apart from it the heads are alike.
                if kind == HeadKind::Linear {
                    assert_eq!(again.record.temperature, before.record.temperature);
                }
                let probabilities = |head: &TrainedHead| {
                    let temperature = head.record.temperature as f32;
                    softmax(&head.head.scores(&vx).unwrap().values.mapv(|logit| logit * temperature))
                };
                let difference = probabilities(&again) - probabilities(&afresh);
                assert!(difference.iter().all(|d| d.abs() < 0.06), "{kind:?} {difference:?}");
            }
        }
    }

    #[test]
    fn there_is_nothing_to_go_on_from_of_another_kind_or_width_or_without_validation() {
        let ((x, y), (vx, vy)) = (data(90, 0), data(60, 500));
        let config = TrainConfig::default();
        let before = run(&config, true);
        let again = |classes: &ClassSet, validation, config: &TrainConfig| {
            retrain(&before, &x, &y, validation, classes, config, &CancelToken::new())
        };
        let validation = Some((&vx, &vy[..]));
        assert!(again(&classes(), validation, &config).unwrap().is_some());
        assert!(again(&classes(), None, &config).unwrap().is_none());
        let other = TrainConfig { kind: HeadKind::Prototype, ..config.clone() };
        assert!(again(&classes(), validation, &other).unwrap().is_none());
        let four = ClassSet::from_ordered(["a", "b", "c", "d"]);
        assert!(again(&four, validation, &config).unwrap().is_none());
    }

    #[test]
    fn a_fixed_strength_is_kept_and_still_calibrated() {
        let config = TrainConfig { strength: Strength::Fixed(0.25), ..TrainConfig::default() };
        let record = run(&config, false).record;
        assert_eq!((record.c, record.path.len()), (Some(0.25), 1));
        assert_ne!(record.temperature, 1.0);
    }

    #[test]
    fn what_cannot_be_trained_is_a_typed_error() {
        let (x, y) = data(30, 0);
        let only = vec![ClassIdx(0); 30];
        assert_eq!(error(&x, &only, None), HeadError::ClassWithoutExample { class: "b".into() });
        assert_eq!(error(&x, &y[..9], None), HeadError::LabelCount { n_rows: 30, n_labels: 9 });
        let strange = vec![ClassIdx(3); 30];
        assert_eq!(error(&x, &strange, None), HeadError::UnknownClass { row: 0, class_idx: 3, n_classes: 3 });
        let mut values = x.view().to_owned();
        values[[17, 2]] = f32::NAN;
        let broken = Embeddings::new(values, space("b")).unwrap();
        assert_eq!(error(&broken, &y, None), HeadError::NonFinite { row: 17 });
        let elsewhere = Embeddings::new(x.view().to_owned(), space("other")).unwrap();
        let expected = HeadError::SpaceMismatch { head: Box::new(space("b")), embeddings: Box::new(space("other")) };
        assert_eq!(error(&x, &y, Some((&elsewhere, &y))), expected);
        assert_eq!(run(&TrainConfig::default(), false).head.scores(&elsewhere).unwrap_err(), expected);
        let cancelled = CancelToken::new();
        cancelled.cancel();
        let config = TrainConfig::default();
        assert_eq!(train(&x, &y, None, &classes(), &config, &cancelled).unwrap_err(), HeadError::Cancelled);
    }
}
