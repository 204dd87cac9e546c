"""Reference values for transferability estimates: LogME and the H-score, plain and shrunk.

    pip install numpy scipy scikit-learn          (2.4.6, 1.17.1 and 1.9.1 wrote the stored file)
    python tests/reference/transferability.py

Writes tests/fixtures/transferability.json, a list of cases:

    n, d, k         rows, columns, classes
    features, y     every feature is exact in float32, so f32 and f64 readers see the same numbers
    logme           You, Liu, Wang, Long (ICML 2021), algorithm 1: from alpha = beta = 1 until alpha / beta changes by
                    less than 1e-10 of itself, at most 100 times; the exact evidence there. No epsilon; one-hot targets;
                    features neither centred nor scaled; mean over the classes of evidence / n
    alpha, beta, converged, iterations   of that, for each class. If not converged, the evidence is still there to 1e-8,
                    but alpha / beta is slow, or goes to 0 (perfect fit) or infinity (no use): nothing to compare
    logme_eps       the same with the authors' 1e-5 in both denominators, which makes it depend on the features' scale
    logme_authors   the authors' code (thuml/LogME, LogME.py, `_fit_fixed_point`, which `fit` uses): at most 11 times,
                    until alpha / beta changes by <= 1e-3; 1e-5 in both denominators; m2 and res2 in the evidence are
                    those before the last update; (D - N) / 2 log(alpha) too much if N < D, as the determinant has only
                    min(N, D) factors. If N > D, s > 1e-10 from F^T F: in "collinear" that is about rounding noise
    h_score         Bao et al. 2019: tr(pinv(cov(F)) cov(E[F|y])), both over n; eigenvalues below 1e-10 of the largest
                    count as 0 (the 1e-15 seen elsewhere keeps rounding noise)
    h_score_shrunk, shrinkage   Ibrahim, Ponomareva, Mazumder 2022: tr(inv(shrunk cov) (1 - shrinkage) cov(E[F|y])),
                    both over n, with Ledoit and Wolf's shrinkage

Checked here: shrinkage against scikit-learn, the converged evidence against a search over alpha / beta.
"""

import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.covariance import LedoitWolf

OUT = Path(__file__).resolve().parents[1] / "fixtures" / "transferability.json"
CUT = 1e-10  # of the largest eigenvalue: far above float32's noise, (6e-8)^2, far below what matters


def sums(sigma, x2, rest, t):
    """At t = alpha / beta: gamma, rank - gamma (a difference would lose all digits at small t), |m|^2, |F m - y|^2."""
    by, left = sigma / (sigma + t), t / (sigma + t)
    return by.sum(), left.sum(), (by * x2 / (sigma + t)).sum(), (left**2 * x2).sum() + rest


def evidence(alpha, beta, m2, res2, sigma, n, width):
    prior = width * np.log(alpha) + n * np.log(beta / 2 / np.pi)
    return (prior - np.log(alpha + beta * sigma).sum() - beta * res2 - alpha * m2) / (2 * n)


def converged(sigma, x2, rest, n, epsilon=0.0):
    alpha = beta = 1.0
    for iteration in range(1, 101):
        t = alpha / beta
        gamma, left, m2, res2 = sums(sigma, x2, rest, t)
        alpha, beta = gamma / (m2 + epsilon), (n - len(sigma) + left) / (res2 + epsilon)
        done = abs(alpha / beta - t) < 1e-10 * t
        if done or not 1e-12 * sigma.min() < alpha / beta < 1e12 * sigma.max():  # as good as its limit
            break
    _, _, m2, res2 = sums(sigma, x2, rest, alpha / beta)
    # The directions without features have log(alpha) in the determinant; it cancels, so the width is the rank.
    return evidence(alpha, beta, m2, res2, sigma, n, len(sigma)), alpha, beta, bool(done), iteration


def searched(sigma, x2, rest, n):
    """The highest evidence over t, with the best beta for each: n = beta (res2 + t m2)."""
    def negative(log_t):
        _, _, m2, res2 = sums(sigma, x2, rest, np.exp(log_t))
        beta = n / (res2 + np.exp(log_t) * m2)
        return -evidence(np.exp(log_t) * beta, beta, m2, res2, sigma, n, len(sigma))
    at = min(np.linspace(np.log(sigma.min()) - 25, np.log(sigma.max()) + 25, 400), key=negative)
    return -minimize_scalar(negative, bounds=(at - 1, at + 1), method="bounded", options={"xatol": 1e-9}).fun


def authors(f, y):
    n, d = f.shape
    _, s, vh = np.linalg.svd(f.T @ f if n > d else f, full_matrices=False)
    s = np.sqrt(s) if n > d else s
    s, vh = s[s > 1e-10], vh[s > 1e-10]
    sigma, x2 = s**2, ((f @ vh.T / s).T @ y) ** 2
    alpha = beta = 1.0
    for _ in range(11):
        t = alpha / beta
        gamma, _, m2, res2 = sums(sigma, x2, (y**2).sum() - x2.sum(), t)
        alpha, beta = gamma / (m2 + 1e-5), (n - gamma) / (res2 + 1e-5)
        if abs(alpha / beta - t) / t <= 1e-3:
            break
    return evidence(alpha, beta, m2, res2, sigma, n, d)


def h_scores(f, y):
    n, d = f.shape
    f = f - f.mean(0)
    means = np.array([f[y == c].mean(0) for c in y])
    cov, between = f.T @ f / n, means.T @ means / n
    mu = np.trace(cov) / d
    away = ((cov - mu * np.eye(d)) ** 2).sum()
    noise = sum(((np.outer(row, row) - cov) ** 2).sum() for row in f) / n**2
    shrinkage = min(noise, away) / away if d > 1 else 0.0  # as scikit-learn has it for one column
    assert abs(shrinkage - LedoitWolf().fit(f).shrinkage_) < 1e-12
    shrunk = (1 - shrinkage) * cov + shrinkage * mu * np.eye(d)
    plain = np.trace(np.linalg.pinv(cov, rcond=CUT, hermitian=True) @ between)
    return plain, np.trace(np.linalg.solve(shrunk, (1 - shrinkage) * between)), shrinkage


def case(name, f, y):
    assert (f.astype(np.float32) == f).all()
    n, d = f.shape
    u, s, _ = np.linalg.svd(f, full_matrices=False)
    u, s = u[:, s**2 > CUT * s[0] ** 2], s[s**2 > CUT * s[0] ** 2]
    hot = [(y == c) * 1.0 for c in range(y.max() + 1)]
    # With rank n nothing is left; what rounding leaves would stop beta from growing.
    inputs = [(s**2, (u.T @ h) ** 2, ((h - u @ (u.T @ h)) ** 2).sum() if len(s) < n else 0.0, n) for h in hot]
    values, alpha, beta, done, iterations = zip(*[converged(*i) for i in inputs])
    off = max(abs(v - searched(*i)) for v, i in zip(values, inputs))
    logme, (plain, shrunk, shrinkage) = np.mean(values), h_scores(f, y)
    print(f"{name:13} {n:3} x {d:2}: logme {logme:9.6f}, off the search {off:.0e}, h {plain:.6f}, shrunk {shrunk:.6f}")
    assert off < 1e-8
    eps, code = np.mean([(converged(*i, 1e-5)[0], authors(f, h)) for i, h in zip(inputs, hot)], axis=0)
    return dict(name=name, n=n, d=d, k=len(hot), features=f.tolist(), y=y.tolist(), logme=logme, logme_eps=eps,
                logme_authors=code, h_score=plain, h_score_shrunk=shrunk, shrinkage=shrinkage, alpha=alpha, beta=beta,
                converged=done, iterations=iterations)


def cases():
    rng = np.random.default_rng(32)  # with other seeds 100 iterations may leave the evidence off by 1e-5

    def blobs(counts, d, apart, spread=1.0):
        """On a grid of 1/128: exact in float32, short in decimal, and sums of columns stay exact."""
        y = np.repeat(np.arange(len(counts)), counts)
        f = apart * rng.normal(size=(len(counts), d))[y] + spread * rng.normal(size=(len(y), d))
        return np.round(f * 128) / 128, y

    yield "separated", *blobs([20, 20, 20], 8, 1.5, 0.3)
    yield "wide", *blobs([10, 10, 10], 60, 0.5)
    f, y = blobs([16, 16, 16], 6, 0.9)
    yield "collinear", np.hstack([f, 2 * f[:, :1], f[:, 1:2] + f[:, 2:3], f[:, :1]]), y
    f, y = blobs([20, 20], 7, 0.6)
    yield "constant", np.insert(f, 3, 1.5, 1), y
    yield "one_example", *blobs([12, 12, 8, 1], 5, 0.8)
    yield "unbalanced", *blobs([60, 30, 18, 9, 3], 12, 0.5)
    yield "noise", *blobs([20, 20, 20, 20], 10, 0.0)
    yield "three_columns", *blobs([12, 8], 3, 1.0)
    f, y = blobs([17, 17, 16], 9, 0.7)
    yield "perfect_fit", *blobs([10, 10], 60, 1.5)
    yield from [("unit", f, y), ("large", f * 1000, y), ("tiny", f / 1024, y)]


if __name__ == "__main__":
    OUT.write_text("[\n" + ",\n".join(json.dumps(case(*c), separators=(",", ":")) for c in cases()) + "\n]\n")
