"""What scikit-learn makes of 600 handwritten digits, for tests/projection_reference.rs.

    python3 -m venv venv && venv/bin/pip install numpy scikit-learn
    venv/bin/python tests/reference/projection.py

Writes tests/fixtures/projection/digits.u8 (600 rows of 64 pixels 0..16, the first of scikit-learn's own digits: UCI
"Optical Recognition of Handwritten Digits", CC BY 4.0) and tests/fixtures/projection/reference.json: the first two principal
components of the rows at unit length, and the trustworthiness (Venna and Kaski, 2001; k = 15) of maps by these components and
by t-SNE as scikit-learn has it.
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness

N_ROWS, K = 600, 15
FOLDER = Path(__file__).parent.parent / "fixtures" / "projection"

pixels = load_digits().data[:N_ROWS].astype(np.uint8)
rows = pixels.astype(np.float64)
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
components = PCA(2, svd_solver="full").fit_transform(rows)
seeds = [TSNE(perplexity=30, init="pca", random_state=seed).fit_transform(rows) for seed in range(3)]

FOLDER.mkdir(parents=True, exist_ok=True)
(FOLDER / "digits.u8").write_bytes(pixels.tobytes())
reference = {
    "scikit_learn": sklearn.__version__,
    "n_rows": N_ROWS,
    "dim": rows.shape[1],
    "k": K,
    "components": [[round(float(v), 6) for v in row] for row in components[:40]],
    "trustworthiness": {
        "components": trustworthiness(rows, components, n_neighbors=K),
        "tsne": float(np.mean([trustworthiness(rows, places, n_neighbors=K) for places in seeds])),
    },
}
(FOLDER / "reference.json").write_text(json.dumps(reference, indent=1) + "\n")
print({k: v for k, v in reference.items() if k != "components"})
