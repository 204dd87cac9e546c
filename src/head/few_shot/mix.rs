//! How much texts and examples count, chosen on the examples alone.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::FewShotMethod;
use super::Mix;
use super::fit::fit as fit_logistic;
use super::kernel::{Coordinates, Whitened, products};
use crate::head::error::HeadError;
use crate::progress::CancelToken;

/// Weights of the zero-shot logits that are tried.
const KAPPAS: [f64; 5] = [0.0, 0.25, 0.5, 1.0, 2.0];
/// Inverse strengths of the penalty that are tried, weak last.
const CS: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];
/// Inverse strength with one example a class, for features of their own and for vectors in the space of texts.
const C_OF_ONE_SHOT: [f64; 2] = [300.0, 10.0];
/// Weights of the discriminants that are tried, and that of one example a class.
const GDA_ALPHAS: [f64; 7] = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];
const GDA_ONE_SHOT: f64 = 0.03;
/// Tip-Adapter's grid, and its published defaults for one example a class.
const TIP_ALPHAS: [f64; 7] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0];
const TIP_BETAS: [f64; 6] = [1.0, 2.0, 5.5, 10.0, 20.0, 50.0];
const TIP_ONE_SHOT: (f64, f64) = (1.0, 5.5);
const MAX_FOLDS: usize = 5;

/// Examples.
pub(super) struct Shots<'a> {
    /// Features of unit length, `[n, dim]`.
    pub features: ArrayView2<'a, f32>,
    /// Zero-shot logits, `[n, n_classes]`.
    pub zero_shot: ArrayView2<'a, f64>,
    /// Classes.
    pub y: &'a [usize],
    pub n_classes: usize,
}

/// What was chosen, and how it did on examples that were held out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Chosen {
    pub c: Option<f64>,
    pub alpha: Option<f64>,
    pub beta: Option<f64>,
    pub accuracy: Option<f64>,
    pub log_loss: Option<f64>,
    pub n_folds: usize,
}

/// Tip-Adapter's cache.
pub(super) struct Tip {
    pub beta: f64,
    /// `alpha` for an example's class, `[n, n_classes]`.
    pub values: Array2<f64>,
}

/// A fitted mix: `logits = text_weight z + U'A u + bias + tip`.
pub(super) struct Fitted {
    pub text_weight: f64,
    /// `A`, `[n, n_classes]`: weights are sums of examples.
    pub dual: Option<Array2<f64>>,
    pub bias: Option<Array1<f64>>,
    pub tip: Option<Tip>,
    pub chosen: Chosen,
}

/// Rows to fit on and rows to judge on.
struct Fold {
    train: Vec<usize>,
    held_out: Vec<usize>,
}

pub(super) fn fit(
    shots: &Shots<'_>,
    method: FewShotMethod,
    has_own_features: bool,
    fixed: Option<&Mix>,
    cancel: &CancelToken,
) -> Result<Fitted, HeadError> {
    let k = products(shots.features, shots.features);
    let (text_weight, chosen) = match fixed {
        Some(mix) => (mix.text_weight, Chosen { c: mix.c, alpha: mix.alpha, beta: mix.beta, ..Chosen::default() }),
        None => {
            let folds = folds(shots.y, shots.n_classes);
            match method {
                FewShotMethod::Linear => choose_linear(shots, &k, &folds, has_own_features, cancel)?,
                FewShotMethod::Gda => choose_gda(shots, &k, &folds, cancel)?,
                FewShotMethod::Tip => choose_tip(shots, &k, &folds, cancel)?,
            }
        }
    };
    let plain = Fitted { text_weight, dual: None, bias: None, tip: None, chosen };
    Ok(match method {
        FewShotMethod::Linear => Fitted { dual: linear(shots, &k, text_weight, chosen.c, cancel)?, ..plain },
        FewShotMethod::Gda => {
            let alpha = chosen.alpha.unwrap_or(GDA_ONE_SHOT);
            let (dual, bias) = discriminants(&k, shots.y, shots.n_classes, shots.features.ncols());
            Fitted { dual: Some(dual * alpha), bias: Some(bias * alpha), ..plain }
        }
        FewShotMethod::Tip => {
            let values = onehot(shots.y, shots.n_classes) * chosen.alpha.unwrap_or(TIP_ONE_SHOT.0);
            Fitted { tip: Some(Tip { beta: chosen.beta.unwrap_or(TIP_ONE_SHOT.1), values }), ..plain }
        }
    })
}

/// `A` of logistic regression from the zero-shot logits; `None` where examples change nothing.
fn linear(
    shots: &Shots<'_>,
    k: &Array2<f64>,
    text_weight: f64,
    c: Option<f64>,
    cancel: &CancelToken,
) -> Result<Option<Array2<f64>>, HeadError> {
    let Some(c) = c else { return Ok(None) };
    let coordinates = Coordinates::new(&Whitened::new(k, shots.y, shots.n_classes));
    let rows = coordinates.rows.mapv(|v| v as f32);
    let offset = shots.zero_shot.mapv(|v| v * text_weight);
    let w = fit_logistic(rows.view(), shots.y, &offset, c, None, cancel)?;
    Ok(Some(coordinates.map.dot(&w)))
}

/// Class `c`'s `j`-th example goes to fold `j` (and, where there are two folds only, in two more rounds to others); a
/// single example is never held out, so that every fold knows every class.
fn folds(y: &[usize], n_classes: usize) -> Vec<Fold> {
    let mut rows_of = vec![Vec::new(); n_classes];
    for (row, &class) in y.iter().enumerate() {
        rows_of[class].push(row);
    }
    let n_folds = rows_of.iter().map(Vec::len).max().unwrap_or(0).min(MAX_FOLDS);
    if n_folds < 2 {
        return Vec::new();
    }
    let mut all = Vec::new();
    for round in 0..if n_folds == 2 { 3 } else { 1 } {
        let mut fold_of = vec![None; y.len()];
        for (class, rows) in rows_of.iter().enumerate().filter(|(_, rows)| rows.len() > 1) {
            let shift = [0, class, class / 2][round];
            rows.iter().enumerate().for_each(|(j, &row)| fold_of[row] = Some((j + shift) % n_folds));
        }
        for fold in 0..n_folds {
            let (held_out, train): (Vec<usize>, Vec<usize>) = (0..y.len()).partition(|&row| fold_of[row] == Some(fold));
            if !held_out.is_empty() {
                all.push(Fold { train, held_out });
            }
        }
    }
    all
}

/// Losses and right answers of held-out examples, by setting.
struct Table {
    loss: Vec<f64>,
    n_right: Vec<usize>,
    n: usize,
}

impl Table {
    fn new(n_settings: usize) -> Self {
        Self { loss: vec![0.0; n_settings], n_right: vec![0; n_settings], n: 0 }
    }

    fn add(&mut self, setting: usize, logits: &Array2<f64>, y: &[usize]) {
        for (row, &class) in logits.outer_iter().zip(y) {
            self.loss[setting] += loss(row, class);
            self.n_right[setting] += usize::from(top(row) == class);
        }
    }

    fn mean(&self, setting: usize) -> f64 {
        self.loss[setting] / self.n.max(1) as f64
    }

    fn accuracy(&self, setting: usize) -> f64 {
        self.n_right[setting] as f64 / self.n.max(1) as f64
    }
}

fn loss(logits: ndarray::ArrayView1<'_, f64>, class: usize) -> f64 {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|v| (v - max).exp()).sum();
    sum.ln() + max - logits[class]
}

fn top(logits: ndarray::ArrayView1<'_, f64>) -> usize {
    logits.iter().enumerate().fold((0, f64::NEG_INFINITY), |best, (i, &v)| if v > best.1 { (i, v) } else { best }).0
}

/// Mean of the weights under their likelihoods: a few examples seldom single one out.
fn posterior_mean(total_losses: &[f64]) -> f64 {
    let least = total_losses.iter().copied().fold(f64::INFINITY, f64::min);
    let weights: Vec<f64> = total_losses.iter().map(|loss| (least - loss).exp()).collect();
    weights.iter().zip(KAPPAS).map(|(w, kappa)| w * kappa).sum::<f64>() / weights.iter().sum::<f64>()
}

/// The texts' weight by how well they alone explain the examples, which they have not seen.
fn weight_of_texts_alone(shots: &Shots<'_>) -> f64 {
    let total = |kappa: f64| {
        let rows = shots.zero_shot.outer_iter().zip(shots.y);
        rows.map(|(z, &class)| loss(z.mapv(|v| v * kappa).view(), class)).sum::<f64>()
    };
    posterior_mean(&KAPPAS.map(total))
}

fn pick(y: &[usize], rows: &[usize]) -> Vec<usize> {
    rows.iter().map(|&row| y[row]).collect()
}

fn block(k: &Array2<f64>, rows: &[usize], columns: &[usize]) -> Array2<f64> {
    k.select(Axis(0), rows).select(Axis(1), columns)
}

/// The weight of the texts, and the strength of the penalty.
fn choose_linear(
    shots: &Shots<'_>,
    k: &Array2<f64>,
    folds: &[Fold],
    has_own_features: bool,
    cancel: &CancelToken,
) -> Result<(f64, Chosen), HeadError> {
    if folds.is_empty() {
        let c = C_OF_ONE_SHOT[usize::from(!has_own_features)];
        return Ok((weight_of_texts_alone(shots), Chosen { c: Some(c), ..Chosen::default() }));
    }
    // Column 0 is the zero-shot alone, then the strengths.
    let n_columns = 1 + CS.len();
    let at = |kappa: usize, column: usize| kappa * n_columns + column;
    let mut table = Table::new(KAPPAS.len() * n_columns);
    for fold in folds {
        let (y_train, y_held) = (pick(shots.y, &fold.train), pick(shots.y, &fold.held_out));
        let k_train = block(k, &fold.train, &fold.train);
        let coordinates = Coordinates::new(&Whitened::new(&k_train, &y_train, shots.n_classes));
        let rows = coordinates.rows.mapv(|v| v as f32);
        let held_out = block(k, &fold.held_out, &fold.train).dot(&coordinates.map);
        let z_train = shots.zero_shot.select(Axis(0), &fold.train);
        let z_held = shots.zero_shot.select(Axis(0), &fold.held_out);
        table.n += fold.held_out.len();
        for (i, kappa) in KAPPAS.into_iter().enumerate() {
            table.add(at(i, 0), &(&z_held * kappa), &y_held);
            let offset = &z_train * kappa;
            let mut w: Option<Array2<f64>> = None;
            for (j, c) in CS.into_iter().enumerate() {
                let next = fit_logistic(rows.view(), &y_train, &offset, c, w.as_ref(), cancel)?;
                table.add(at(i, j + 1), &(&z_held * kappa + held_out.dot(&next)), &y_held);
                w = Some(next);
            }
        }
    }
    // Ties: the stronger penalty, then the smaller weight. The zero-shot alone is no candidate: where examples tell
    // nothing, it would win with weight 0 and let wrong texts in.
    let mut best = (0, 1);
    for column in 1..n_columns {
        for kappa in 0..KAPPAS.len() {
            if table.mean(at(kappa, column)) < table.mean(at(best.0, best.1)) {
                best = (kappa, column);
            }
        }
    }
    let least_of =
        |column: usize| (0..KAPPAS.len()).map(|kappa| table.mean(at(kappa, column))).fold(f64::INFINITY, f64::min);
    let n_right = shots.zero_shot.outer_iter().zip(shots.y).filter(|(z, class)| top(*z) == **class).count();
    let zero_shot_accuracy = n_right as f64 / shots.y.len() as f64;
    // Texts that explain the examples well, and err no more than the best mix does, are corrected as little as one nat
    // in all allows.
    let explains = least_of(0) <= 0.5 * (shots.n_classes as f64).ln();
    let mut column = best.1;
    if explains && zero_shot_accuracy >= table.accuracy(at(best.0, best.1)) - 1e-9 {
        let allowed = table.mean(at(best.0, best.1)) + 1.0 / table.n as f64;
        column = (0..n_columns).find(|&column| least_of(column) <= allowed).unwrap_or(column);
    }
    let totals: Vec<f64> = (0..KAPPAS.len()).map(|kappa| table.mean(at(kappa, column)) * table.n as f64).collect();
    let c = column.checked_sub(1).map(|j| CS[j]);
    let nearest =
        (0..KAPPAS.len()).min_by(|&a, &b| table.mean(at(a, column)).total_cmp(&table.mean(at(b, column)))).unwrap_or(0);
    let chosen = Chosen {
        c,
        accuracy: Some(table.accuracy(at(nearest, column))),
        log_loss: Some(table.mean(at(nearest, column))),
        n_folds: folds.len(),
        ..Chosen::default()
    };
    Ok((posterior_mean(&totals), chosen))
}

/// Weights of examples `[n, n_classes]` and biases of Gaussian discriminants: `W = S^-1 mu`, `b = log p - mu' W / 2`, with
/// `S^-1 = d ((n - 1) Cov + tr(Cov) I)^-1` and even priors, since how many examples there are of a class says nothing.
fn discriminants(k: &Array2<f64>, y: &[usize], n_classes: usize, dim: usize) -> (Array2<f64>, Array1<f64>) {
    let mut counts = vec![0usize; n_classes];
    y.iter().for_each(|&class| counts[class] += 1);
    let whitened = match counts.iter().all(|c| *c < 2) {
        // One example a class has no scatter within: that of all together stands for it.
        true => Whitened::new(k, &vec![0; y.len()], 1),
        false => Whitened::new(k, y, n_classes),
    };
    let mut means = Array2::<f64>::zeros((y.len(), n_classes));
    for (row, &class) in y.iter().enumerate() {
        means[[row, class]] = 1.0 / counts[class] as f64;
    }
    let dual = whitened.q.dot(&means) * dim as f64;
    let of_means = means.t().dot(k).dot(&dual);
    let bias = Array1::from_shape_fn(n_classes, |class| -0.5 * of_means[[class, class]]);
    (dual, bias)
}

fn choose_gda(
    shots: &Shots<'_>,
    k: &Array2<f64>,
    folds: &[Fold],
    cancel: &CancelToken,
) -> Result<(f64, Chosen), HeadError> {
    if folds.is_empty() {
        return Ok((weight_of_texts_alone(shots), Chosen { alpha: Some(GDA_ONE_SHOT), ..Chosen::default() }));
    }
    let mut table = Table::new(KAPPAS.len() * GDA_ALPHAS.len());
    for fold in folds {
        if cancel.is_cancelled() {
            return Err(HeadError::Cancelled);
        }
        let y_train = pick(shots.y, &fold.train);
        let k_train = block(k, &fold.train, &fold.train);
        let (dual, bias) = discriminants(&k_train, &y_train, shots.n_classes, shots.features.ncols());
        let scores = block(k, &fold.held_out, &fold.train).dot(&dual) + &bias;
        grid(&mut table, shots, fold, GDA_ALPHAS.map(|alpha| &scores * alpha).iter());
    }
    let (i, j, found) = least(&table, GDA_ALPHAS.len(), folds.len());
    Ok((KAPPAS[i], Chosen { alpha: Some(GDA_ALPHAS[j]), ..found }))
}

fn affinities(k: &Array2<f64>, beta: f64) -> Array2<f64> {
    k.mapv(|cosine| (-beta * (1.0 - cosine)).exp())
}

fn onehot(y: &[usize], n_classes: usize) -> Array2<f64> {
    let mut values = Array2::zeros((y.len(), n_classes));
    y.iter().enumerate().for_each(|(row, &class)| values[[row, class]] = 1.0);
    values
}

fn choose_tip(
    shots: &Shots<'_>,
    k: &Array2<f64>,
    folds: &[Fold],
    cancel: &CancelToken,
) -> Result<(f64, Chosen), HeadError> {
    if folds.is_empty() {
        let (alpha, beta) = TIP_ONE_SHOT;
        let chosen = Chosen { alpha: Some(alpha), beta: Some(beta), ..Chosen::default() };
        return Ok((weight_of_texts_alone(shots), chosen));
    }
    let n_settings = TIP_ALPHAS.len() * TIP_BETAS.len();
    let mut table = Table::new(KAPPAS.len() * n_settings);
    for fold in folds {
        if cancel.is_cancelled() {
            return Err(HeadError::Cancelled);
        }
        let values = onehot(&pick(shots.y, &fold.train), shots.n_classes);
        let between = block(k, &fold.held_out, &fold.train);
        let of_beta = TIP_BETAS.map(|beta| affinities(&between, beta).dot(&values));
        let all: Vec<Array2<f64>> = of_beta.iter().flat_map(|scores| TIP_ALPHAS.map(|alpha| scores * alpha)).collect();
        grid(&mut table, shots, fold, all.iter());
    }
    let (i, j, found) = least(&table, n_settings, folds.len());
    let (beta, alpha) = (TIP_BETAS[j / TIP_ALPHAS.len()], TIP_ALPHAS[j % TIP_ALPHAS.len()]);
    Ok((KAPPAS[i], Chosen { alpha: Some(alpha), beta: Some(beta), ..found }))
}

/// Adds a fold's losses for each weight of the texts with each of `scores`.
fn grid<'s>(
    table: &mut Table,
    shots: &Shots<'_>,
    fold: &Fold,
    scores: impl ExactSizeIterator<Item = &'s Array2<f64>> + Clone,
) {
    let y = pick(shots.y, &fold.held_out);
    let z = shots.zero_shot.select(Axis(0), &fold.held_out);
    table.n += fold.held_out.len();
    let n = scores.len();
    for (i, kappa) in KAPPAS.into_iter().enumerate() {
        for (j, scores) in scores.clone().enumerate() {
            table.add(i * n + j, &(&z * kappa + scores), &y);
        }
    }
}

/// The setting with the least loss; the first of equal ones.
fn least(table: &Table, n_settings: usize, n_folds: usize) -> (usize, usize, Chosen) {
    let best = (0..table.loss.len()).min_by(|&a, &b| table.loss[a].total_cmp(&table.loss[b])).unwrap_or(0);
    let chosen =
        Chosen { accuracy: Some(table.accuracy(best)), log_loss: Some(table.mean(best)), n_folds, ..Chosen::default() };
    (best / n_settings, best % n_settings, chosen)
}
