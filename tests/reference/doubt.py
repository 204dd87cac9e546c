"""Reference values for doubt from scikit-learn, SciPy and NumPy: calibration, distances, strangers, rules for "unknown".

Run in an environment with scikit-learn 1.9, SciPy and NumPy:

    python tests/reference/doubt.py

Writes tests/fixtures/doubt.json:
  calibration  probabilities, labels; log loss and Brier score of scikit-learn, expected calibration error over equal counts
               and the debiased root mean square error (Kumar et al. 2019) in NumPy
  temperature  logits and labels; the temperature that scipy.optimize.minimize_scalar finds for smoothed targets
  distance     training rows, labels, rows; 1 - largest cosine with a class's mean direction
  strangers    scores of two groups with ties; scikit-learn's roc_auc_score, and the share of strangers at or above the
               threshold that 95 % of the known reach, from roc_curve
  precision    confidences and whether they are right; for wanted precisions the smallest threshold that reaches them,
               from precision_recall_curve
  conformal    distances; numpy.quantile(method="inverted_cdf") at ceil((n + 1) keep) / n
"""

import json
import pathlib

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn import metrics

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "doubt.json"
N_BINS = 15


def rounded(values, digits=6):
    return np.asarray([[float(f"{v:.{digits}g}") for v in row] for row in np.atleast_2d(values)], np.float32)


def short(values):
    """Nested lists with few enough digits for a small file, which still read as the same float32."""
    values = np.asarray(values)
    return [short(v) for v in values] if values.ndim else float(f"{float(values):.8g}")


def equal_counts(confidence, right):
    order = np.argsort(confidence, kind="stable")
    plain = square = 0.0
    n = len(order)
    for b in range(N_BINS):
        rows = order[b * n // N_BINS : (b + 1) * n // N_BINS]
        accuracy, mean, share = right[rows].mean(), confidence[rows].mean(), len(rows) / n
        plain += share * abs(accuracy - mean)
        square += share * ((accuracy - mean) ** 2 - accuracy * (1 - accuracy) / (len(rows) - 1))
    return plain, np.sqrt(max(square, 0.0))


def calibration(rng):
    cases = []
    for n, k, scale in ((180, 3, 2.0), (240, 6, 1.0)):
        logits = rng.standard_normal((n, k))
        y = np.array([rng.choice(k, p=p) for p in softmax(logits, 1)])
        p = softmax(rounded(scale * logits).astype(float), 1).astype(np.float32)
        confidence, right = p.max(1).astype(float), (p.argmax(1) == y).astype(float)
        plain, debiased = equal_counts(confidence, right)
        one_hot = np.eye(k)[y]
        cases.append({
            "probabilities": short(p),
            "labels": y.tolist(),
            "log_loss": metrics.log_loss(y, p.astype(float) / p.astype(float).sum(1, keepdims=True), labels=range(k)),
            "brier": float(((p - one_hot) ** 2).sum(1).mean()),
            "adaptive": float(plain),
            "debiased": float(debiased),
        })
    return cases


def best_temperature(logits, y):
    n, k = logits.shape
    smoothing = 1 / (n + 2)
    targets = (1 - smoothing) * np.eye(k)[y] + smoothing / k
    loss = lambda log_t: -(targets * log_softmax(logits / np.exp(log_t), 1)).sum(1).mean()
    return float(np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-10}).x))


def temperature(rng):
    logits = rng.standard_normal((90, 4))
    y = np.array([rng.choice(4, p=p) for p in softmax(1.5 * logits, 1)])
    logits = rounded(6 * logits).astype(float)
    return {"logits": short(logits), "labels": y.tolist(), "temperature": best_temperature(logits, y)}


def distance(rng):
    train, y = rounded(np.maximum(rng.standard_normal((30, 12)) + 0.5, 0)), np.arange(30) % 3
    rows = rounded(rng.standard_normal((20, 12)))
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)
    directions = unit(np.stack([unit(train.astype(float))[y == k].mean(0) for k in range(3)]))
    return {
        "train": short(train),
        "labels": y.tolist(),
        "rows": short(rows),
        "distances": short(1 - (unit(rows.astype(float)) @ directions.T).max(1)),
    }


def strangers(rng):
    cases = []
    for n_known, n_strangers, digits in ((200, 150, 2), (60, 40, 1), (7, 5, 1)):
        known = np.round(rng.normal(0.7, 0.15, n_known), digits).astype(np.float32)
        others = np.round(rng.normal(0.5, 0.2, n_strangers), digits).astype(np.float32)
        truth, scores = np.r_[np.ones(n_known), np.zeros(n_strangers)], np.r_[known, others]
        fpr, tpr, _ = metrics.roc_curve(truth, scores, drop_intermediate=False)
        cases.append({
            "known": short(known),
            "strangers": short(others),
            "auroc": metrics.roc_auc_score(truth, scores),
            "false_accept_at_95": float(fpr[tpr >= 0.95 - 1e-12][0]),
        })
    return cases


def precision(rng):
    confidence = np.round(rng.uniform(0.3, 1, 120), 2).astype(np.float32)
    right = rng.uniform(size=120) < confidence
    reached, recall, thresholds = metrics.precision_recall_curve(right, confidence)
    wanted = [0.6, 0.75, 0.8, 0.9]
    # The last entry of precision and recall has no threshold.
    smallest = [float(min(t for p, t in zip(reached[:-1], thresholds) if p >= w)) for w in wanted]
    return {"confidences": short(confidence), "right": right.tolist(), "wanted": wanted, "smallest": smallest}


def conformal(rng):
    distances = rng.gamma(4, 0.05, 57).astype(np.float32)
    n = len(distances)
    keeps = [0.5, 0.8, 0.9, 0.95]
    levels = [min(np.ceil((n + 1) * keep) / n, 1.0) for keep in keeps]
    kept = [float(np.quantile(distances, level, method="inverted_cdf")) for level in levels]
    return {"distances": short(distances), "keeps": keeps, "kept": kept}


def main():
    rng = np.random.default_rng(23)
    found = {f.__name__: f(rng) for f in (calibration, temperature, distance, strangers, precision, conformal)}
    OUT.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
