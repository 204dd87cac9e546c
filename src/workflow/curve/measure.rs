//! Fitting and judging: heads on draws of several sizes.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::Array2;
use rayon::prelude::*;

use super::pool::{Amount, Draw, Pool};
use crate::classes::{ClassIdx, ClassSet};
use crate::embedding::{EmbeddingSpace, Embeddings};
use crate::head::few_shot::{FewShotConfig, FewShotMethod};
use crate::head::text::Mix;
use crate::head::{self, HeadError, HeadKind, SelectionPolicy, Strength, TrainConfig, TrainRecord, softmax};
use crate::metrics::log_loss;
use crate::progress::{CancelToken, Reporter, Stage};
use crate::workflow::WorkflowError;
use crate::workflow::few_shot::fit as fit_text;
use crate::workflow::zero_shot::ClassTexts;

/// Draws of more images than this share the settings that the first of them chose: they differ little, and choosing is
/// most of the work.
const MAX_CHOSEN_ROWS: usize = 120;

/// How texts and examples are mixed is chosen on so many images of a draw, at most: it takes their square, and hardly moves any more.
const MAX_MIXED_ROWS: usize = 256;

/// What is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workflow) enum Fitted {
    /// A head of examples alone.
    Examples(HeadKind),
    /// A head that starts from texts.
    Text(FewShotMethod),
    /// Texts alone.
    ZeroShot,
}

/// Features of every row of the pool.
#[derive(Clone, Copy, Debug)]
pub(in crate::workflow) struct Rows<'a> {
    /// The columns that heads of examples are fitted on.
    pub features: &'a Embeddings,
    /// All columns, where texts can be read: they end in the texts' space.
    pub texts: Option<(&'a Embeddings, &'a ClassTexts)>,
}

/// How one draw's head did.
#[derive(Clone, Debug)]
pub(in crate::workflow) struct Judged {
    /// Rows that it was judged on, in rising order.
    pub rows: Vec<usize>,
    /// The class that it named for each of them.
    pub found: Vec<ClassIdx>,
    /// Mean log loss.
    pub log_loss: f64,
}

/// All draws of one size.
#[derive(Clone, Debug)]
pub(in crate::workflow) struct SizeRuns {
    /// Images that were trained on, in the mean over the draws.
    pub n_images: f64,
    /// The part of what there is, 0..1.
    pub share: f64,
    pub draws: Vec<Judged>,
    /// How the first draw's head came about.
    pub record: Option<TrainRecord>,
}

/// A size: how much is drawn, and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::workflow) struct Size {
    pub amount: Amount,
    /// The part of what there is, 0..1.
    pub share: f64,
    pub n_draws: usize,
}

/// Fits every head on every size. The result has an item for each of `heads`, with an item for each of `sizes`.
///
/// # Errors
/// When a head cannot be fitted, or the user cancels.
pub(in crate::workflow) fn measure(
    pool: &Pool,
    classes: &ClassSet,
    heads: &[(Fitted, Rows<'_>)],
    sizes: &[Size],
    seed: u64,
    reporter: &dyn Reporter,
) -> Result<Vec<Vec<SizeRuns>>, WorkflowError> {
    // The longest first, so that no core is left with one at the end.
    let mut tasks: Vec<(usize, usize)> =
        (0..sizes.len()).rev().flat_map(|size| (0..heads.len()).map(move |head| (head, size))).collect();
    let n_total: usize = heads.len() * sizes.iter().map(|size| size.n_draws).sum::<usize>();
    let n_done = AtomicUsize::new(0);
    reporter.progress(Stage::Fit, 0, n_total);
    let run = |&(head, size): &(usize, usize)| -> Result<SizeRuns, WorkflowError> {
        let ((fitted, rows), size) = (heads[head], sizes[size]);
        let mut fitter = Fitter {
            pool,
            classes,
            fitted,
            rows,
            // Of a few images each draw chooses.
            shares_settings: matches!(size.amount, Amount::Share(_)),
            cancel: reporter.cancel_token(),
            settings: None,
        };
        let (mut draws, mut record, mut n_images) = (Vec::with_capacity(size.n_draws), None, 0);
        for idx in 0..size.n_draws {
            if reporter.cancelled() {
                return Err(WorkflowError::Cancelled);
            }
            let draw = pool.draw(size.amount, idx, seed);
            n_images += draw.train.len();
            let (judged, of) = fitter.judged(draw)?;
            record = record.or(of);
            draws.push(judged);
            reporter.progress(Stage::Fit, 1 + n_done.fetch_add(1, Ordering::Relaxed), n_total);
        }
        let n_images = n_images as f64 / size.n_draws.max(1) as f64;
        Ok(SizeRuns { n_images, share: size.share, draws, record })
    };
    let runs: Vec<SizeRuns> = tasks.par_iter().with_max_len(1).map(run).collect::<Result<_, _>>()?;
    let mut of_head: Vec<Vec<Option<SizeRuns>>> = vec![vec![None; sizes.len()]; heads.len()];
    for ((head, size), runs) in tasks.drain(..).zip(runs) {
        of_head[head][size] = Some(runs);
    }
    Ok(of_head.into_iter().map(|sizes| sizes.into_iter().flatten().collect()).collect())
}

/// Settings that a draw chose for those after it.
#[derive(Clone, Debug)]
enum Settings {
    Strength(f64),
    Distance(head::Distance),
    Mix(Mix),
}

struct Fitter<'a> {
    pool: &'a Pool,
    classes: &'a ClassSet,
    fitted: Fitted,
    rows: Rows<'a>,
    shares_settings: bool,
    cancel: &'a CancelToken,
    settings: Option<Settings>,
}

impl Fitter<'_> {
    fn judged(&mut self, draw: Draw) -> Result<(Judged, Option<TrainRecord>), WorkflowError> {
        let of = |rows: &[usize]| rows.iter().map(|&row| self.pool.y[row]).collect::<Vec<ClassIdx>>();
        let (y, y_judged) = (of(&draw.train), of(&draw.judged));
        let (probabilities, record) = match (self.fitted, self.rows.texts) {
            (Fitted::Examples(kind), _) => {
                let head = self.of_examples(kind, &draw.train, &y)?;
                let judged = self.rows.features.select(&draw.judged);
                (softmax(&head.head.scores(&judged)?.values), Some(head.record))
            }
            (Fitted::Text(method), Some((joined, texts))) => {
                let fit = |rows: &[usize], fixed: Option<Mix>| {
                    let (x, y, config) = (joined.select(rows), of(rows), FewShotConfig { method, fixed });
                    fit_text(&x, &y, None, self.classes, texts, &config, self.cancel)
                };
                let mix = |head: &head::TrainedHead| head.record.text.as_ref().and_then(|text| text.mix.clone());
                let mut fixed = match &self.settings {
                    Some(Settings::Mix(mix)) => Some(mix.clone()),
                    _ => None,
                };
                if fixed.is_none() && self.shares_settings && y.len() > MAX_MIXED_ROWS {
                    fixed = mix(&fit(&part_of(&draw.train, &y, MAX_MIXED_ROWS), None)?);
                }
                let head = fit(&draw.train, fixed)?;
                if self.shares_settings && y.len() > MAX_CHOSEN_ROWS {
                    self.settings = mix(&head).map(Settings::Mix);
                }
                (softmax(&head.head.scores(&joined.select(&draw.judged))?.values), Some(head.record))
            }
            (Fitted::ZeroShot, Some((joined, texts))) => (zero_shot(joined, texts, &draw.judged), None),
            (Fitted::Text(_) | Fitted::ZeroShot, None) => return Err(HeadError::NeedsTexts.into()),
        };
        let found = super::super::evaluate::top(probabilities.view()).into_iter().map(|(class, _)| class).collect();
        let log_loss = log_loss(probabilities.view(), &y_judged);
        Ok((Judged { rows: draw.judged, found, log_loss }, record))
    }

    fn of_examples(
        &mut self,
        kind: HeadKind,
        rows: &[usize],
        y: &[ClassIdx],
    ) -> Result<head::TrainedHead, WorkflowError> {
        // What is judged on has no say in the settings: it would flatter, and large draws more than small ones. (Settings
        // that larger draws share are an exception: the first draw chose them, on images that the others may judge on.)
        let mut config = TrainConfig { kind, policy: SelectionPolicy::Auto, ..TrainConfig::default() };
        match &self.settings {
            Some(Settings::Strength(c)) => config.strength = Strength::Fixed(*c),
            Some(Settings::Distance(distance)) => config.distance = Some(*distance),
            _ => {}
        }
        let x = self.rows.features.select(rows);
        let trained = head::train(&x, y, None, self.classes, &config, self.cancel).map_err(|error| match error {
            HeadError::Cancelled => WorkflowError::Cancelled,
            error => error.into(),
        })?;
        if self.shares_settings && y.len() > MAX_CHOSEN_ROWS {
            let record = &trained.record;
            self.settings = record.c.map(Settings::Strength).or(record.distance.map(Settings::Distance));
        }
        Ok(trained)
    }
}

/// About `n` of the rows, which lie class by class: the first of each.
fn part_of(rows: &[usize], y: &[ClassIdx], n: usize) -> Vec<usize> {
    let mut kept = Vec::with_capacity(n);
    for (of_class, rows) in y.chunk_by(|a, b| a == b).scan(0, |start, of_class| {
        let rows = &rows[*start..*start + of_class.len()];
        *start += of_class.len();
        Some((of_class, rows))
    }) {
        let share = (of_class.len() * n).div_ceil(y.len().max(1));
        kept.extend(rows.iter().take(share));
    }
    kept
}

fn zero_shot(joined: &Embeddings, texts: &ClassTexts, rows: &[usize]) -> Array2<f32> {
    let all = joined.select(rows);
    let dim_e = texts.embeddings.ncols();
    let joint = all.view().slice_move(ndarray::s![.., all.view().ncols().saturating_sub(dim_e)..]).to_owned();
    let unit = head::unit_blocks(joint.view(), &[head::Block::plain(joint.ncols())]);
    softmax(&(unit.dot(&texts.embeddings.t()) * texts.logits.scale as f32))
}

/// The columns of one part of features that stand side by side.
pub(in crate::workflow) fn first_part(
    joined: &Embeddings,
    parts: &[EmbeddingSpace],
) -> Result<Embeddings, WorkflowError> {
    Ok(joined.part(parts, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_draw_has_the_first_of_every_class() {
        let y: Vec<ClassIdx> = [0, 0, 0, 0, 1, 1, 2].into_iter().map(ClassIdx).collect();
        assert_eq!(part_of(&[9, 4, 7, 1, 3, 8, 5], &y, 4), [9, 4, 7, 3, 8, 5]);
        assert_eq!(part_of(&[9, 4, 7, 1, 3, 8, 5], &y, 2), [9, 4, 3, 5]);
    }
}
