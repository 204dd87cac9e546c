//! Flags and words for "unknown", calibration and strangers, which several commands share.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::args::{TrainArgs, probability};
use super::output::{Listing, count, list_skipped, percent, print};
use super::terminal::Terminal;
use crate::backbone::Backbone;
use crate::export::describe::rule_text;
use crate::head::{KnownImage, UnknownRule, UnknownWish, keep_for_false_accept};
use crate::metrics::Calibration;
use crate::progress::Reporter;
use crate::workflow::evaluate::RuleFigures;
use crate::workflow::predict::{Predictions, predict_with};
use crate::workflow::strangers::StrangerFigures;
use crate::workflow::train::JudgedHead;
use crate::workflow::{SharedCache, WorkflowError};

/// The rule that a new classifier gets.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct WishArgs {
    /// Answer "unknown" where the top probability is below P
    #[arg(long, value_name = "P", value_parser = probability)]
    unknown_below: Option<f32>,
    /// Answer "unknown" below the lowest top probability above which this share of the validation images is right
    #[arg(long, value_name = "SHARE", value_parser = share)]
    unknown_for_precision: Option<f64>,
    /// Answer "unknown" further from every class than this share of the validation images is [without a value: 0.95]
    #[arg(long, value_name = "KEEP", num_args = 0..=1, default_missing_value = "0.95", value_parser = share)]
    unknown_by_distance: Option<f64>,
    /// As by distance, so far that this share of the strangers gets an answer at most
    #[arg(long, value_name = "SHARE", value_parser = share, requires = "strangers")]
    unknown_false_accept: Option<f64>,
}

impl WishArgs {
    /// Whether strangers choose the threshold.
    fn is_by_strangers(&self) -> bool {
        self.unknown_false_accept.is_some()
    }

    /// What is wished; `strangers` where they were given.
    pub(super) fn wish(&self, known: &[KnownImage], strangers: Option<&Predictions>) -> Result<UnknownWish> {
        let distances = strangers.and_then(|s| s.answers.distances.as_deref()).unwrap_or_default();
        Ok(match self {
            Self { unknown_below: Some(below), .. } => UnknownWish::Probability { below: *below },
            Self { unknown_for_precision: Some(at_least), .. } => UnknownWish::Precision { at_least: *at_least },
            Self { unknown_by_distance: Some(keep), .. } => UnknownWish::Distance { keep: *keep },
            Self { unknown_false_accept: Some(rate), .. } => {
                let keep = keep_for_false_accept(known, distances, *rate).map_err(WorkflowError::from)?;
                UnknownWish::Distance { keep }
            }
            _ => UnknownWish::Off,
        })
    }
}

/// A rule in the place of an export's own.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct RuleArgs {
    /// Answer "unknown" where the top probability is below P, whatever the export's rule
    #[arg(long, value_name = "P", value_parser = probability)]
    unknown_below: Option<f32>,
    /// Answer "unknown" where the distance to the nearest class is above D, whatever the export's rule
    #[arg(long, value_name = "D", value_parser = distance)]
    unknown_above: Option<f32>,
    /// Answer on every image, whatever the export's rule
    #[arg(long)]
    always_answer: bool,
}

impl RuleArgs {
    /// The rule, where one is given.
    pub(super) fn rule(&self) -> Option<UnknownRule> {
        match self {
            Self { unknown_below: Some(below), .. } => Some(UnknownRule::Probability { below: *below }),
            Self { unknown_above: Some(above), .. } => Some(UnknownRule::Distance { above: *above }),
            Self { always_answer: true, .. } => Some(UnknownRule::Off),
            _ => None,
        }
    }
}

/// Images of none of the classes.
#[derive(Debug, Args)]
pub(super) struct StrangerArgs {
    /// Folder of images of none of the classes, to see how many of them get an answer; may be given several times
    #[arg(id = "strangers", long = "strangers", value_name = "DIR")]
    pub(super) dirs: Vec<PathBuf>,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("a share above 0 and up to 1 is wanted, such as 0.95".to_owned()),
    }
}

fn distance(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(distance) if (0.0..=2.0).contains(&distance) => Ok(distance),
        _ => Err("a distance from 0 to 2 is wanted".to_owned()),
    }
}

/// What is known of the better head's doubt: its rule for "unknown", and strangers.
pub(super) struct Doubt {
    wish: UnknownWish,
    rule: RuleFigures,
    strangers: Option<(Predictions, Option<StrangerFigures>)>,
    /// Whether they have chosen the threshold.
    is_by_strangers: bool,
}

impl Doubt {
    /// Settles the rule that is wished on the validation images of a head, and looks at strangers.
    pub(super) fn of(
        args: &TrainArgs,
        backbone: &Backbone,
        best: &JudgedHead,
        cache: &SharedCache,
        terminal: &Terminal,
    ) -> Result<Self> {
        let dirs = &args.strangers.dirs;
        let strangers = match dirs.as_slice() {
            [] => None,
            dirs => Some(predict_with(backbone, best, dirs, cache, &args.model.run.embed(), terminal)?),
        };
        let known = &best.certainty.known;
        let wish = args.wish.wish(known, strangers.as_ref())?;
        let rule = RuleFigures::new(known, wish.settle(known).map_err(WorkflowError::from)?);
        let strangers = strangers.map(|strangers| {
            let figures = StrangerFigures::new(known, &strangers, rule.rule);
            (strangers, figures)
        });
        Ok(Self { wish, rule, strangers, is_by_strangers: args.wish.is_by_strangers() })
    }

    /// The rule.
    pub(super) fn rule(&self) -> UnknownRule {
        self.rule.rule
    }

    /// Tells it, where anything was asked for.
    pub(super) fn print(&self, terminal: &Terminal) -> Result<()> {
        let mut text = String::new();
        if self.wish != UnknownWish::Off || self.strangers.is_some() {
            text.push_str("\nUnknown\n");
            let is_chosen_on = matches!(self.wish, UnknownWish::Precision { .. } | UnknownWish::Distance { .. });
            text.push_str(&unknown_text(&self.rule, is_chosen_on));
        }
        if let Some((strangers, figures)) = &self.strangers {
            list_skipped(&strangers.answers.skipped, Listing::Short, terminal);
            match figures {
                Some(figures) => {
                    text.push_str(&strangers_text(figures, self.is_by_strangers));
                    figures.note().iter().for_each(|note| terminal.warn(note));
                }
                None => terminal.warn("There are no validation images to compare the strangers with."),
            }
        }
        if text.is_empty() { Ok(()) } else { print(text.trim_end()) }
    }

    /// Entries of the JSON object.
    pub(super) fn json(&self) -> Vec<(String, Value)> {
        let mut unknown = rule_json(&self.rule);
        if let Some(unknown) = unknown.as_object_mut() {
            unknown.insert("wish".to_owned(), json!(self.wish));
        }
        let strangers = self.strangers.as_ref().map(|(strangers, figures)| match figures {
            Some(figures) => strangers_json(figures, strangers),
            None => json!({ "n_known": 0, "n_strangers": strangers.answers.paths.len() }),
        });
        let mut all = vec![("unknown".to_owned(), unknown)];
        all.extend(strangers.map(|strangers| ("strangers".to_owned(), strangers)));
        all
    }
}

/// Calibration before and after temperature scaling, in a line.
pub(super) fn calibration_text(found: &Calibration) -> String {
    let how = if found.is_cross_fitted { ", each image at one that it did not choose" } else { "" };
    format!(
        "  calibration error {:.3} before temperature scaling, {:.3} after (temperature {:.2}{how}); chance alone gives {:.3} on {}\n",
        found.before.error,
        found.after.error,
        found.temperature,
        found.after.error_by_chance,
        count(found.n_rows, "image"),
    )
}

/// A rule and what it does to known images, as JSON.
pub(super) fn rule_json(found: &RuleFigures) -> Value {
    let precision = found.precision();
    json!({
        "rule": found.rule,
        "n": found.n,
        "n_answered": found.n_answered,
        "coverage": found.coverage(),
        "precision": precision.map(|p| p.value),
        "precision_interval_95": precision.map(|p| [p.interval.low, p.interval.high]),
        "n_wrong_refused": found.n_wrong_refused,
        "n_right_refused": found.n_right_refused,
    })
}

/// A rule and what it does to known images, for people.
pub(super) fn unknown_text(found: &RuleFigures, is_chosen_on: bool) -> String {
    let mut text = format!("  {}", rule_text(found.rule));
    if found.n == 0 {
        return text + "\n";
    }
    text.push_str(&format!("\n    answers {} of {}", percent(found.coverage()), count(found.n, "image")));
    if let Some(right) = found.precision() {
        // Of what chose the threshold an interval would promise more than it keeps.
        let range = match is_chosen_on {
            true => "on the images that chose the threshold".to_owned(),
            false => format!("{} to {} at 95 %", percent(right.interval.low), percent(right.interval.high)),
        };
        text.push_str(&format!(", of which {} are right ({range})", percent(right.value)));
    }
    text.push_str(&format!(
        "; refuses {} and {}\n",
        count(found.n_wrong_refused, "wrong answer"),
        count(found.n_right_refused, "right one")
    ));
    text
}

/// How well strangers are told from known images, and those that could not be used, as JSON.
pub(super) fn strangers_json(found: &StrangerFigures, strangers: &Predictions) -> Value {
    let mut object = json!(found);
    if let Some(object) = object.as_object_mut() {
        object.insert("skipped".to_owned(), json!(strangers.answers.skipped));
    }
    object
}

/// How well strangers are told from known images, for people.
pub(super) fn strangers_text(found: &StrangerFigures, is_chosen_on: bool) -> String {
    let mut text = format!(
        "  {} against {} of the classes\n    by probability  AUROC {:.3}, {} let in with 95 % of the known\n",
        count(found.n_strangers, "stranger"),
        count(found.n_known, "held-out image"),
        found.probability.auroc,
        percent(found.probability.false_accept_at_95),
    );
    if let Some(distance) = found.distance {
        text.push_str(&format!(
            "    by distance     AUROC {:.3}, {} let in with 95 % of the known\n",
            distance.auroc,
            percent(distance.false_accept_at_95)
        ));
    }
    text.push_str(&format!(
        "    under the rule  {} let in ({}), with {} of the known\n",
        percent(found.false_accept),
        match is_chosen_on {
            true => "they chose the threshold".to_owned(),
            false => {
                let interval = &found.false_accept_interval;
                format!("{} to {} at 95 %", percent(interval.low), percent(interval.high))
            }
        },
        percent(found.known_answered),
    ));
    text
}
