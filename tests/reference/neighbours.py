"""Fixture of the nearest images: what scikit-learn's NearestNeighbors answers on the stored embeddings of the sample.

Run:  python -m venv v && v/bin/pip install numpy==2.4.6 scikit-learn==1.9.1
      v/bin/python neighbours.py ../fixtures/embeddings.json ../fixtures/embeddings.f32 ../fixtures/neighbours.json

Each row is asked about all others. `rows` are their indices, the nearest first; `cosines` are 1 - distance.
"""
import json
import sys

import numpy as np
from sklearn.neighbors import NearestNeighbors


def main(meta, values, out):
    n, dim = len(json.load(open(meta))["files"]), json.load(open(meta))["dim"]
    x = np.fromfile(values, dtype="<f4").reshape(n, dim).astype(np.float64)
    rows, cosines = [], []
    for i in range(n):
        others = np.delete(np.arange(n), i)
        found = NearestNeighbors(n_neighbors=n - 1, metric="cosine", algorithm="brute").fit(x[others])
        distances, indices = found.kneighbors(x[i : i + 1])
        rows.append(others[indices[0]].tolist())
        cosines.append([round(float(1 - d), 9) for d in distances[0]])
    json.dump({"rows": rows, "cosines": cosines}, open(out, "w"))


if __name__ == "__main__":
    main(*sys.argv[1:])
