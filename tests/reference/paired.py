"""Fixture of comparing two classifiers on the same rows.

Run:  python -m venv v && v/bin/pip install numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0
      v/bin/python paired.py ../fixtures/paired.json

Each case has the counts (both right, only A, only B, both wrong) and
  p_value     statsmodels.stats.contingency_tables.mcnemar(exact=True), asserted equal to scipy.stats.binomtest
  low, high   Newcombe's interval of (only B - only A) / n (Statistics in Medicine 17 (1998), 2635-2650, method 10): Wilson
              intervals by statsmodels' proportion_confint, the rest as in the paper, written out here
The paper's own examples (table II, method 10) are checked below and are part of the fixture.
"""
import json
import sys

import numpy as np
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

# e, f, g, h of the paper (both, first only, second only, neither) and the limits that it prints.
PAPER = [((36, 12, 2, 0), (0.0569, 0.3404)), ((36, 14, 0, 0), (0.1528, 0.4167)), ((54, 0, 0, 0), (-0.0664, 0.0664))]


def newcombe(both, only_a, only_b, neither):
    n = both + only_a + only_b + neither
    pb, pa = (both + only_b) / n, (both + only_a) / n
    lb, ub = proportion_confint(both + only_b, n, method="wilson")
    la, ua = proportion_confint(both + only_a, n, method="wilson")
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    phi = 0.0
    if margins > 0:
        cross = both * neither - only_a * only_b
        if cross > 0:
            cross = max(cross - n / 2, 0)
        phi = cross / np.sqrt(margins)
    low = (pb - pa) - np.sqrt((pb - lb) ** 2 - 2 * phi * (pb - lb) * (ua - pa) + (ua - pa) ** 2)
    high = (pb - pa) + np.sqrt((ub - pb) ** 2 - 2 * phi * (ub - pb) * (pa - la) + (pa - la) ** 2)
    return max(low, -1.0), min(high, 1.0)


def case(both, only_a, only_b, neither):
    p = mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue
    if only_a + only_b:
        assert np.isclose(p, binomtest(only_a, only_a + only_b).pvalue, rtol=1e-9)
    low, high = newcombe(both, only_a, only_b, neither)
    return {"counts": [both, only_a, only_b, neither], "p_value": float(min(p, 1.0)), "low": float(low), "high": float(high)}


def main():
    for (e, f, g, h), (low, high) in PAPER:
        # The paper takes the first less the second.
        found = newcombe(e, g, f, h)
        print((e, f, g, h), "paper", (low, high), "here", tuple(round(v, 4) for v in found))
        assert np.allclose(found, (low, high), atol=6e-5)
    counts = [(e, g, f, h) for (e, f, g, h), _ in PAPER]
    counts += [(40, 2, 7, 1), (0, 0, 0, 9), (5, 0, 0, 5), (0, 3, 4, 0), (147, 4, 1, 1), (900, 30, 55, 15), (1, 0, 0, 0),
               (19000, 310, 240, 450), (10, 1, 9, 80), (300, 60, 20, 20)]
    json.dump([case(*c) for c in counts], open(sys.argv[1], "w"), indent=1)


main()
