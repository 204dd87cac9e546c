"""How well a map keeps neighbours, beside scikit-learn's t-SNE of the same rows; called by benches/map.rs.

    python benches/reference_map.py ROWS.f32 POINTS.f32 DIM

Prints one line of JSON: trustworthiness of 15 neighbours of both maps, seconds and CPU seconds of scikit-learn's t-SNE on
the rows at unit length.
"""

import json
import sys
import time

import numpy as np
from sklearn.manifold import TSNE, trustworthiness


def main():
    rows, points, dim = sys.argv[1:]
    x = np.fromfile(rows, "<f4").reshape(-1, int(dim))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    ours = np.fromfile(points, "<f4").reshape(-1, 2)
    start, cpu = time.perf_counter(), time.process_time()
    theirs = TSNE(perplexity=30, init="pca", random_state=0).fit_transform(x)
    secs, cpu_secs = time.perf_counter() - start, time.process_time() - cpu
    of = lambda places: float(trustworthiness(x, places, n_neighbors=15))
    print(json.dumps({"ours": of(ours), "theirs": of(theirs), "secs": secs, "cpu_secs": cpu_secs}))


main()
