"""Reference values for the power law of learning curves, a + b n^-c with a, b >= 0 and 0.05 <= c <= 2.

    pip install numpy scipy          (the versions printed wrote the stored file)
    python tests/reference/power_law.py

Writes tests/fixtures/power_law.json, a list of cases:

    n, error, variance   what is fitted: exact in decimal
    a, b, c, loss        scipy.optimize.curve_fit (bounded, sigma = sqrt(variance)), the best of 75 starts; the weighted
                         sum of squares there
    ahead, at_ahead      the error that it predicts at four times the largest n
"""

import json
from itertools import product
from pathlib import Path

import numpy as np
import scipy
from scipy.optimize import curve_fit

OUT = Path(__file__).resolve().parents[1] / "fixtures" / "power_law.json"


def law(n, a, b, c):
    return a + b * n**-c


def fitted(n, error, variance):
    best = None
    for start in product([0.0, 0.05, 0.3], [0.05, 0.3, 0.6, 0.9, 2.0], [0.1, 0.3, 0.6, 1.0, 1.8]):
        try:
            found, _ = curve_fit(law, n, error, p0=start, sigma=np.sqrt(variance), max_nfev=20000,
                                 bounds=([0, 0, 0.05], [np.inf, np.inf, 2]), xtol=1e-14, ftol=1e-14, gtol=1e-14)
        except RuntimeError:
            continue
        loss = float(((error - law(n, *found)) ** 2 / variance).sum())
        if best is None or loss < best[1]:
            best = found, loss
    return best


def cases():
    rng = np.random.default_rng(6)

    def drawn(name, sizes, a, b, c, scale):
        n = np.array(sizes, float)
        sd = scale / np.sqrt(n)
        error = np.clip(np.round(law(n, a, b, c) + sd * rng.normal(size=len(n)), 5), 0, 1)
        return name, n, error, np.round(sd**2, 9)

    octaves = [1, 2, 4, 8, 16, 32, 64, 128]
    yield drawn("plain", octaves, 0.05, 0.6, 0.5, 0.02)
    yield drawn("steep", octaves, 0.02, 0.5, 1.2, 0.02)
    yield drawn("slow", octaves, 0.0, 0.8, 0.15, 0.02)
    yield drawn("noisy", octaves, 0.1, 0.5, 0.6, 0.08)
    yield drawn("few", [2, 6, 18, 54], 0.04, 0.4, 0.7, 0.02)
    yield drawn("odd", [1.5, 3.2, 7.1, 15.9, 33.3, 80.2], 0.12, 0.3, 0.4, 0.03)
    yield drawn("no floor", octaves, 0.0, 0.7, 0.8, 0.01)
    yield drawn("unequal", [1, 1, 2, 2, 4, 8, 8, 300], 0.03, 0.6, 0.5, 0.03)
    yield "flat", np.array(octaves, float), np.array([0.31, 0.29, 0.3, 0.31, 0.29, 0.3, 0.31, 0.29]), np.full(8, 1e-4)


if __name__ == "__main__":
    print("numpy", np.__version__, "scipy", scipy.__version__)
    rows = []
    for name, n, error, variance in cases():
        (a, b, c), loss = fitted(n, error, variance)
        ahead = 4 * n.max()
        rows.append(dict(name=name, n=n.tolist(), error=error.tolist(), variance=variance.tolist(), a=a, b=b, c=c,
                         loss=loss, ahead=ahead, at_ahead=law(ahead, a, b, c)))
        print(f"{name:9} a {a:.5f} b {b:.5f} c {c:.5f} loss {loss:.6f}")
    OUT.write_text("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows) + "\n]\n")
