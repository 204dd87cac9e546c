"""scikit-learn's time and objective for the rows that benches/fit.rs wrote; called by it.

    python benches/reference_fit.py ROWS.f32 LABELS.u32 DIM TOL REPETITIONS

Prints one line of JSON: seconds of the fastest repetition, objective, iterations.
"""

import json
import sys
import time

import numpy as np
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression


def main():
    rows, labels, dim, tol, n_repetitions = sys.argv[1:]
    x = np.fromfile(rows, "<f4").reshape(-1, int(dim))
    y = np.fromfile(labels, "<u4")
    seconds = []
    for _ in range(int(n_repetitions)):
        start = time.perf_counter()
        model = LogisticRegression(C=1.0, tol=float(tol), max_iter=1000).fit(x, y)
        seconds.append(time.perf_counter() - start)
    coef = model.coef_.astype(float)
    z = x.astype(float) @ coef.T + model.intercept_
    loss = -log_softmax(z, axis=1)[np.arange(len(y)), y].sum()
    print(json.dumps({"secs": min(seconds), "objective": loss + 0.5 * (coef**2).sum(), "n_iter": int(model.n_iter_[0])}))


if __name__ == "__main__":
    main()
