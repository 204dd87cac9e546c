"""Reference values for heads and metrics from scikit-learn, SciPy and NumPy.

Run in an environment with scikit-learn 1.9, SciPy and NumPy:

    python tests/reference/heads.py

Writes into tests/fixtures/heads/:
  rows.f32         seeded synthetic rows, float32 little-endian, [300, 24], shared by all linear cases
  linear.json      for 2, 10 and 100 classes, uniform and balanced weights, several C: labels, scikit-learn's objective
                   and, for the small cases, its coefficients
  linear_wide.json the same with the rows reshaped to [50, 144]: fewer rows than columns
  prototype.json   class means and probabilities for both distances
  temperature.json logits, labels and the temperature that minimises the log loss against targets smoothed by 1 / (n + 2)
  metrics.json     probabilities, labels and scikit-learn's metrics; expected calibration error in NumPy
"""

import json
import pathlib
import warnings

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_sample_weight

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "heads"
N_ROWS, DIM = 300, 24


def rounded(array, digits=7):
    """Nested lists of numbers with few enough digits for a small file."""
    if isinstance(array, (list, tuple)):
        return [rounded(a, digits) for a in array]
    array = np.asarray(array, float)
    if array.ndim:
        return [rounded(a, digits) for a in array]
    return float(f"{float(array):.{digits}g}")


def make_rows():
    """Non-negative rows of unequal scale, as a network's pooled features are, and labels for several class counts."""
    rng = np.random.default_rng(7)
    scale = np.exp(0.7 * rng.standard_normal(DIM))
    x = (np.maximum(rng.standard_normal((N_ROWS, DIM)) + 0.3, 0) * scale).astype("<f4")
    labels = {}
    for n_classes in (2, 10, 100):
        logits = x @ rng.standard_normal((DIM, n_classes)) + 1.5 * rng.gumbel(size=(N_ROWS, n_classes))
        y = logits.argmax(1)
        y[:n_classes] = np.arange(n_classes)  # every class occurs
        labels[n_classes] = y
    return x, labels


def objective(x, y, n_classes, c, weights, coef, intercept):
    """scikit-learn's: C * sum of weighted losses + |coef|^2 / 2."""
    z = x.astype(float) @ coef.T + intercept
    if n_classes == 2:
        z = np.hstack([np.zeros_like(z), z])
    losses = -log_softmax(z, axis=1)[np.arange(len(y)), y]
    return c * (weights * losses).sum() + 0.5 * (coef**2).sum()


def linear(x, labels):
    cases = []
    for n_classes, y in labels.items():
        for balanced in (False, True):
            for c in (0.01, 1.0, 100.0):
                kind = "balanced" if balanced else None
                weights = compute_sample_weight(kind, y)
                found = {}
                for tol in (1e-4, 1e-10):
                    model = LogisticRegression(C=c, class_weight=kind, tol=tol, max_iter=20000)
                    model.fit(x if tol > 1e-6 else x.astype(float), y)
                    found[tol] = model
                case = {
                    "n_classes": n_classes,
                    "balanced": balanced,
                    "c": c,
                    "objective_at_1e-4": objective(x, y, n_classes, c, weights, found[1e-4].coef_, found[1e-4].intercept_),
                    "objective": objective(x, y, n_classes, c, weights, found[1e-10].coef_, found[1e-10].intercept_),
                }
                if n_classes <= 10:
                    case["coef"] = rounded(found[1e-10].coef_)
                    case["intercept"] = rounded(found[1e-10].intercept_)
                cases.append(case)
    return {"labels": {str(k): y.tolist() for k, y in labels.items()}, "cases": cases}


def prototype(x, labels):
    y, n_classes, temperature = labels[10], 10, 0.7
    means = np.stack([x[y == k].astype(float).mean(0) for k in range(n_classes)])
    unit = x.astype(float) / np.linalg.norm(x.astype(float), axis=1, keepdims=True)
    unit_means = np.stack([unit[y == k].mean(0) for k in range(n_classes)])
    unit_means /= np.linalg.norm(unit_means, axis=1, keepdims=True)
    squared = ((x[:20, None].astype(float) - means) ** 2).sum(2)
    return {
        "temperature": temperature,
        "squared_euclidean": {"prototypes": rounded(means), "probabilities": rounded(softmax(-squared / temperature, 1))},
        "cosine": {
            "prototypes": rounded(unit_means),
            "probabilities": rounded(softmax(unit[:20] @ unit_means.T / temperature, 1)),
        },
    }


def temperature():
    rng = np.random.default_rng(11)
    cases = []
    for n_rows, n_classes, scale in ((60, 2, 0.3), (80, 5, 1.0), (40, 8, 25.0)):
        logits = rng.standard_normal((n_rows, n_classes))
        y = np.array([rng.choice(n_classes, p=p) for p in softmax(1.7 * logits, 1)])
        logits = np.asarray(rounded(logits * scale, 6), np.float32).astype(float)

        smoothing = 1 / (n_rows + 2)
        targets = (1 - smoothing) * np.eye(n_classes)[y] + smoothing / n_classes

        def loss(log_t):
            return -(targets * log_softmax(logits / np.exp(log_t), 1)).sum(1).mean()

        best = minimize_scalar(loss, bounds=(np.log(scale) - 5, np.log(scale) + 5), method="bounded", options={"xatol": 1e-10})
        cases.append({"logits": rounded(logits, 6), "labels": y.tolist(), "temperature": float(np.exp(best.x))})
    return cases


def calibration_error(p, y, n_bins=15):
    confidence, right = p.max(1), p.argmax(1) == y
    edges = np.linspace(0, 1, n_bins + 1)
    error = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        rows = (confidence > low) & (confidence <= high)
        if rows.any():
            error += rows.mean() * abs(right[rows].mean() - confidence[rows].mean())
    return error


def judge():
    rng = np.random.default_rng(13)
    cases = []
    # The last case has a class (6) that is never true, and one (7) that is neither true nor predicted.
    for n_rows, n_classes, n_true in ((90, 2, 2), (120, 7, 7), (100, 8, 6)):
        y = rng.integers(0, n_true, n_rows)
        logits = rng.standard_normal((n_rows, n_classes)) + 1.2 * np.eye(n_classes)[y]
        if n_true < n_classes:
            logits[:, 7] = -9
        p = softmax(logits, 1).astype(np.float32)
        p = np.asarray(rounded(p, 9), np.float32)
        predicted = p.argmax(1)
        all_classes = list(range(n_classes))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            precision, recall, f1, support = metrics.precision_recall_fscore_support(y, predicted, labels=all_classes, zero_division=0)
            cases.append(
                {
                    "probabilities": rounded(p, 9),
                    "labels": y.tolist(),
                    "accuracy": metrics.accuracy_score(y, predicted),
                    "balanced_accuracy": metrics.balanced_accuracy_score(y, predicted),
                    "macro_f1": metrics.f1_score(y, predicted, average="macro"),
                    "precision": precision.tolist(),
                    "recall": recall.tolist(),
                    "f1": f1.tolist(),
                    "support": support.tolist(),
                    "confusion": metrics.confusion_matrix(y, predicted, labels=all_classes).tolist(),
                    "log_loss": metrics.log_loss(y, p.astype(float), labels=all_classes),
                    "top5": metrics.top_k_accuracy_score(y, p, k=5, labels=all_classes) if n_classes > 5 else None,
                    "calibration_error": calibration_error(p.astype(float), y),
                }
            )
    return cases


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    x, labels = make_rows()
    x.tofile(OUT / "rows.f32")
    for name, value in (
        ("linear", linear(x, labels)),
        ("prototype", prototype(x, labels)),
        ("linear_wide", linear(x.reshape(50, 144), {k: y[:50] for k, y in labels.items() if k <= 10})),
        ("temperature", temperature()),
        ("metrics", judge()),
    ):
        (OUT / f"{name}.json").write_text(json.dumps(value, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
