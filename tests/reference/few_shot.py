"""Few-shot text heads, written out in numpy and SciPy: makes tests/fixtures/heads/few_shot.json.

    python tests/reference/few_shot.py

    logits(x) = kappa z(x) + g(u(x)),  z: zero-shot logits,  u: features of unit length

Everything here works on the features themselves, with eigenvectors and inverses, where Graft works on the inner products
of the examples; the two share no code and no route.
"""
import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

KAPPAS = np.array([0, 0.25, 0.5, 1, 2])
CS = np.array([1, 10, 100, 1000.0])
C_ONE_SHOT = 300.0
GDA_ALPHAS = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
TIP_BETAS, TIP_ALPHAS = [1, 2, 5.5, 10, 20, 50], [0.5, 1, 2, 5, 10, 20, 50]


def folds(y):
    """Class c's j-th shot of round r goes to fold (j + shift) mod F; a class's only shot is never held out."""
    counts = np.bincount(y)
    n = int(min(5, counts.max()))
    out = []
    for r in range(0 if n < 2 else 3 if n == 2 else 1):
        fold = np.full(len(y), -1)
        for c in range(len(counts)):
            rows = np.flatnonzero(y == c)
            if len(rows) > 1:
                fold[rows] = (np.arange(len(rows)) + (0, c, c // 2)[r]) % n
        out += [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(n) if (fold == f).any()]
    return out


def nll(logits, y):
    return -log_softmax(logits, axis=1)[np.arange(len(y)), y]


def posterior_mean(total):
    w = np.exp(total.min() - total)
    return float(w @ KAPPAS / w.sum())


def kappa_of_texts(z, y):
    return posterior_mean(np.array([nll(k * z, y).sum() for k in KAPPAS]))


def solve(rows, y, offset, c):
    n, r = rows.shape
    k = offset.shape[1]

    def objective(w):
        w = w.reshape(r, k)
        logits = offset + rows @ w
        norm = logsumexp(logits, axis=1)
        g = np.exp(logits - norm[:, None])
        g[np.arange(n), y] -= 1
        return (norm - logits[np.arange(n), y]).sum() + 0.5 / c * (w * w).sum(), (rows.T @ g + w / c).ravel()

    options = dict(maxiter=20000, maxfun=40000, gtol=1e-9, ftol=1e-14, maxcor=30)
    return minimize(objective, np.zeros(r * k), jac=True, method="L-BFGS-B", options=options).x.reshape(r, k)


def whitened_basis(x, y):
    """[d, r]: coordinates in which the shrunk scatter within classes is the identity; rows of mean square length 1."""
    w, u = np.linalg.eigh(x @ x.T)
    keep = w > 1e-10 * w[-1]
    p = x.T @ (u[:, keep] / np.sqrt(w[keep]))
    rows = x @ p
    counts = np.bincount(y)
    if counts.max() > 1:
        d = rows - np.stack([rows[y == c].mean(0) for c in range(len(counts))])[y]
        t = (d * d).sum() / (len(y) - 1)
        w, q = np.linalg.eigh(d.T @ d + t * np.eye(rows.shape[1]))
        p = p @ (q / np.sqrt(w) @ q.T)
    return p / np.sqrt(((x @ p) ** 2).sum(1).mean())


def linear(x, z, y, test_x, test_z):
    n_classes = z.shape[1]
    loss = np.zeros((len(KAPPAS), 1 + len(CS)))
    right, n = loss.copy(), 0
    for train, held in folds(y):
        p = whitened_basis(x[train], y[train])
        n += len(held)
        for i, kappa in enumerate(KAPPAS):
            for j, c in enumerate((0, *CS)):
                logits = kappa * z[held]
                if c:
                    logits = logits + x[held] @ p @ solve(x[train] @ p, y[train], kappa * z[train], c)
                loss[i, j] += nll(logits, y[held]).sum()
                right[i, j] += (logits.argmax(1) == y[held]).sum()
    if n == 0:
        kappa, c = kappa_of_texts(z, y), C_ONE_SHOT
    else:
        mean, accuracy = loss / n, right / n
        j, i = divmod(int(np.argmin(mean[:, 1:].T)), len(KAPPAS))
        j += 1
        explains = mean[:, 0].min() <= 0.5 * np.log(n_classes)
        if explains and (z.argmax(1) == y).mean() >= accuracy[i, j] - 1e-9:
            j = int(np.flatnonzero(mean.min(0) <= mean[i, j] + 1 / n)[0])
        kappa, c = posterior_mean(n * mean[:, j]), (0, *CS)[j]
    logits = kappa * test_z
    if c:
        p = whitened_basis(x, y)
        logits = logits + test_x @ p @ solve(x @ p, y, kappa * z, c)
    return kappa, logits


def discriminants(x, y, n_classes):
    """Wang et al. 2024: S^-1 = d ((n - 1) Cov + tr(Cov) I)^-1 of the scatter within classes."""
    mu = np.stack([x[y == c].mean(0) for c in range(n_classes)])
    d = x - mu[y] if np.bincount(y).max() > 1 else x - x.mean(0)
    t = (d * d).sum() / (len(y) - 1)
    w = x.shape[1] * np.linalg.solve(d.T @ d + t * np.eye(x.shape[1]), mu.T)
    return w, -0.5 * (mu.T * w).sum(0)


def gda(x, z, y, test_x, test_z):
    n_classes, cells = z.shape[1], [(k, a) for k in KAPPAS for a in GDA_ALPHAS]
    loss = np.zeros(len(cells))
    for train, held in folds(y):
        w, b = discriminants(x[train], y[train], n_classes)
        g = x[held] @ w + b
        loss += [nll(k * z[held] + a * g, y[held]).sum() for k, a in cells]
    kappa, alpha = cells[int(loss.argmin())] if loss.any() else (kappa_of_texts(z, y), 0.03)
    w, b = discriminants(x, y, n_classes)
    return float(kappa), kappa * test_z + alpha * (test_x @ w + b)


def tip(x, z, y, test_x, test_z):
    onehot = np.eye(z.shape[1])
    cells = [(k, b, a) for k in KAPPAS for b in TIP_BETAS for a in TIP_ALPHAS]
    loss = np.zeros(len(cells))
    for train, held in folds(y):
        distance = 1 - x[held] @ x[train].T
        loss += [nll(k * z[held] + a * np.exp(-b * distance) @ onehot[y[train]], y[held]).sum() for k, b, a in cells]
    kappa, beta, alpha = cells[int(loss.argmin())] if loss.any() else (kappa_of_texts(z, y), 5.5, 1)
    return float(kappa), kappa * test_z + alpha * np.exp(-beta * (1 - test_x @ x.T)) @ onehot[y]


def case(name, counts, dim, good, noise, seed):
    """Features around class means that are never negative; zero-shot logits that are `good` above chance."""
    rng = np.random.default_rng(seed)
    k = len(counts)
    means = rng.random((k, dim))
    y = np.repeat(np.arange(k), counts)
    y = y[rng.permutation(len(y))]
    test_y = np.repeat(np.arange(k), 5)

    def draw(y):
        f = np.sqrt(np.maximum(means[y] + noise * rng.standard_normal((len(y), dim)), 0))
        z = rng.standard_normal((len(y), k))
        z[np.arange(len(y)), y] += good
        x = (f / np.linalg.norm(f, axis=1, keepdims=True)).astype(np.float32)
        return np.round(x, 6).astype(np.float64), np.round(z, 6)

    (x, z), (test_x, test_z) = draw(y), draw(test_y)
    methods = dict(linear=linear, gda=gda, tip=tip)
    expected = {m: f(x, z, y, test_x, test_z) for m, f in methods.items()}
    return dict(
        name=name, n_classes=k, features=x.tolist(), zero_shot=z.tolist(), y=y.tolist(),
        test_features=test_x.tolist(), test_zero_shot=test_z.tolist(),
        expected={m: (round(kappa, 6), np.round(logits, 5).tolist()) for m, (kappa, logits) in expected.items()},
    )


if __name__ == "__main__":
    cases = [
        case("four classes, three shots", [3] * 4, 24, 1.0, 0.5, 0),
        case("two classes, five shots", [5] * 2, 16, 1.0, 0.6, 1),
        case("one shot", [1] * 3, 16, 1.5, 0.4, 2),
        case("two shots: three rounds", [2] * 3, 20, 0.5, 0.5, 3),
        case("good texts: as little correction as possible", [4] * 3, 20, 6.0, 0.6, 4),
        case("uneven, with a single shot", [1, 3, 6], 24, 1.0, 0.5, 5),
    ]
    path = Path(__file__).parent.parent / "fixtures" / "heads" / "few_shot.json"
    path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
    for c in cases:
        print(c["name"], {m: kappa for m, (kappa, _) in c["expected"].items()})
    print(path.stat().st_size, "bytes")
