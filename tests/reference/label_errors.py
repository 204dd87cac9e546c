"""Fixture of finding probable label errors: what cleanlab answers on three small synthetic cases.

Run:  python -m venv v && v/bin/pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 cleanlab==2.9.0
      v/bin/python label_errors.py label_errors.json
(Python 3.11.7 when the stored file was made.) The same versions give the same bytes.

Every case has: `labels` (given, ints) and `probs` (n x K, out-of-sample; rounded to 10 digits BEFORE cleanlab sees
them), and of cleanlab:
  thresholds                 count.get_confident_thresholds: mean p[i,k] over given label k
  confident_joint_raw        count.compute_confident_joint(calibrate=False)   rows: given label, columns: true label
  confident_joint            the same, calibrate=True (whole numbers, row sums = label counts)
  joint                      count.estimate_joint
  py, noise_matrix, inverse_noise_matrix
                             count.estimate_latent(confident_joint calibrated, labels), py_method="cnt"
                             noise_matrix[s][y] = P(given s | true y); inverse_noise_matrix[y][s] = P(true y | given s)
  num_label_issues           count.num_label_issues
  issues                     filter.find_label_issues for every filter_by: ascending indices
  self_confidence, normalized_margin
                             rank.get_label_quality_scores
and of Graft's own rule (computed here in numpy, not by cleanlab):
  ratio                      p[i,given] / (p[i,given] + max of the others)
  graft_rule                 the m lowest by (ratio, index), in that order; m = size of issues.prune_by_noise_rate
                             (here score and count come from the same probs)
`Ref` below is cleanlab's arithmetic in plain numpy, a guide for a port; main() asserts that it agrees with cleanlab.
The cases have no ties, neither between scores nor in the rounding of the calibrated joint (asserted): cleanlab breaks
those by an unstable argsort, so a port should break them by index and not be tested there.
"""
import json
import sys
import warnings

import numpy as np

FILTERS = ["prune_by_noise_rate", "prune_by_class", "both", "confident_learning",
           "predicted_neq_given", "low_normalized_margin", "low_self_confidence"]


def r10(a):
    return np.round(np.asarray(a, dtype=float), 10)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def case(seed, counts, flip, sharp, suppress=None):
    """True classes by counts, logits = noise + sharp at the truth, `flip` of the labels moved to another class."""
    rng = np.random.default_rng(seed)
    k = len(counts)
    true = rng.permutation(np.repeat(np.arange(k), counts))
    n = len(true)
    z = rng.normal(0.0, 1.0, (n, k))
    z[np.arange(n), true] += sharp
    if suppress is not None:
        z[:, suppress] -= 9.0
    given = true.copy()
    rare = np.flatnonzero(np.asarray(counts) <= 3)
    able = np.flatnonzero(~np.isin(true, rare))
    for i in rng.choice(able, size=round(flip * n), replace=False):
        other = [c for c in range(k) if c != true[i] and c not in rare]
        given[i] = other[rng.integers(len(other))]
    return given, r10(softmax(z))


class Ref:
    """cleanlab 2.9.0 in plain numpy."""

    @staticmethod
    def thresholds(y, p):
        k = p.shape[1]
        t = np.array([p[y == j, j].mean() if (y == j).any() else 2.0 for j in range(k)])
        return np.maximum(t, 2e-6)

    @staticmethod
    def round_keeping_sum(row):
        row = np.asarray(row, dtype=float)
        ints = np.round(row)                      # half to even
        want = np.round(row.sum())
        while abs(ints.sum() - want) > 1e-6:
            d = np.round(want - ints.sum())
            step = -1 if d < 0 else 1
            order = np.argsort(row - ints)[::-step]   # want more: largest remainder first; fewer: smallest first
            for i in order[: min(int(abs(d)), len(row))]:
                ints[i] += step
        return ints.astype(int)

    @staticmethod
    def confident(y, p):
        """(raw joint, calibrated joint, mask of off-diagonal rows)"""
        n, k = p.shape
        above = p >= Ref.thresholds(y, p) - 1e-6
        guess = np.where(above.sum(1) > 1, p.argmax(1), above.argmax(1))  # several above: argmax over ALL classes
        some = above.any(1)
        c = np.zeros((k, k), dtype=int)
        np.add.at(c, (y[some], guess[some]), 1)
        np.fill_diagonal(c, np.maximum(np.diagonal(c), 1))
        count = np.bincount(y, minlength=k)
        f = c / np.maximum(c.sum(1, keepdims=True), 1e-100) * count[:, None]
        f = f / f.sum() * count.sum()
        return c, np.array([Ref.round_keeping_sum(r) for r in f]), some & (guess != y)

    @staticmethod
    def prune_counts(joint):
        """Transposed calibrated joint (rows: true, columns: given) that leaves at least 1 per given class."""
        m = joint.T.astype(float)
        d = np.maximum(np.diagonal(m), 1)
        grown = d - np.diagonal(m)
        m = m - grown / np.maximum(np.count_nonzero(joint.T, axis=0) - 1.0, 1.0)   # per column
        m[m < 0] = 0
        np.fill_diagonal(m, d)
        off = m.astype(int)                                                        # toward zero
        return np.array([Ref.round_keeping_sum(r) for r in off])

    @staticmethod
    def issues(y, p, filter_by):
        n, k = p.shape
        rows = np.arange(n)
        _, joint, off = Ref.confident(y, p)
        q = p.copy()
        q[rows, y] += 1e-6
        agrees = q.argmax(1) == y
        out = np.zeros(n, dtype=bool)
        own = p[rows, y]
        if filter_by in ("low_self_confidence", "low_normalized_margin"):
            s = own if filter_by == "low_self_confidence" else Ref.margin(y, p)
            out[np.argsort(s, kind="stable")[: (off & ~agrees).sum()]] = True
            return np.flatnonzero(out)
        prune = Ref.prune_counts(joint)
        by_class, by_rate = out.copy(), out.copy()
        for g in range(k):
            mine = np.flatnonzero(y == g)
            if len(mine) <= 1:
                continue
            by_class[mine[np.argsort(p[mine, g], kind="stable")[: max(len(mine) - prune[g, g], 0)]]] = True
            for t in range(k):
                if t != g and prune[t, g] > 0:
                    by_rate[mine[np.argsort(p[mine, g] - p[mine, t], kind="stable")[: prune[t, g]]]] = True
        out = {"prune_by_noise_rate": by_rate, "prune_by_class": by_class, "both": by_rate & by_class,
               "confident_learning": off, "predicted_neq_given": p.argmax(1) != y}[filter_by]
        return np.flatnonzero(out & ~agrees)

    @staticmethod
    def margin(y, p):
        q = p.copy()
        rows = np.arange(len(y))
        q[rows, y] = -1
        return (p[rows, y] - q.max(1) + 1) / 2


def ratio(y, p):
    q = p.copy()
    rows = np.arange(len(y))
    q[rows, y] = -1
    own = p[rows, y]
    return own / (own + q.max(1))


def main():
    import cleanlab
    from cleanlab.count import (compute_confident_joint, estimate_joint, estimate_latent, get_confident_thresholds,
                                num_label_issues)
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores
    warnings.filterwarnings("ignore")
    import scipy
    import sklearn
    cases = {"two_classes": case(1, [70, 50], 0.10, 2.0),
             "five_classes": case(9, [60, 50, 40, 30, 20], 0.12, 3.0),
             "rare_and_never_predicted": case(3, [50, 3, 40], 0.10, 2.5, suppress=2)}
    out = []
    for name, (y, p) in cases.items():
        n, k = p.shape
        raw = compute_confident_joint(y, p, calibrate=False)
        cal = compute_confident_joint(y, p, calibrate=True)
        py, nm, inv = estimate_latent(cal, y)
        issues = {f: np.flatnonzero(find_label_issues(y, p, filter_by=f, n_jobs=1)) for f in FILTERS}
        conf = get_label_quality_scores(y, p, method="self_confidence")
        marg = get_label_quality_scores(y, p, method="normalized_margin")
        r = ratio(y, p)
        m = len(issues["prune_by_noise_rate"])
        # the plain numpy version agrees
        assert np.allclose(Ref.thresholds(y, p), get_confident_thresholds(y, p), atol=1e-12)
        a, b, off = Ref.confident(y, p)
        assert (a == raw).all() and (b == cal).all(), name
        f = raw / raw.sum(1, keepdims=True) * np.bincount(y, minlength=k)[:, None]
        for row, whole in zip(f, cal):                 # no ties in the rounding either (cleanlab breaks them by chance)
            d = round(row.sum() - np.round(row).sum())
            left = np.sort(row - np.round(row))[::-1] if d > 0 else np.sort(row - np.round(row))
            assert d == 0 or abs(left[abs(d) - 1] - left[abs(d)]) > 1e-9, (name, row)
        for f in FILTERS:
            assert list(Ref.issues(y, p, f)) == list(issues[f]), (name, f)
        for s in (conf, marg, r):
            assert np.diff(np.sort(s)).min() > 1e-9, name
        out.append({
            "name": name, "classes": k, "labels": y.tolist(), "probs": p.tolist(),
            "thresholds": r10(get_confident_thresholds(y, p)).tolist(),
            "confident_joint_raw": raw.tolist(), "confident_joint": cal.tolist(),
            "joint": r10(estimate_joint(y, p)).tolist(), "py": r10(py).tolist(),
            "noise_matrix": r10(nm).tolist(), "inverse_noise_matrix": r10(inv).tolist(),
            "num_label_issues": int(num_label_issues(y, p)),
            "issues": {f: v.tolist() for f, v in issues.items()},
            "self_confidence": r10(conf).tolist(), "normalized_margin": r10(marg).tolist(),
            "ratio": r10(r).tolist(), "graft_rule": np.argsort(r, kind="stable")[:m].tolist()})
        print(name, "n", n, "counts", np.bincount(y, minlength=k), "predicted", np.bincount(p.argmax(1), minlength=k),
              {f: len(v) for f, v in issues.items()}, "calibrated", cal.tolist())
    meta = {"made_by": "label_errors.py", "cleanlab": cleanlab.__version__, "numpy": np.__version__,
            "scipy": scipy.__version__, "scikit_learn": sklearn.__version__}
    with open(sys.argv[1] if len(sys.argv) > 1 else "label_errors.json", "w") as f:
        json.dump({"meta": meta, "cases": out}, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
