"""Exports vision models of many architectures, from many exporters, and computes the features that each must give.

    pip install torch torchvision timm transformers onnx onnxruntime onnxscript onnxconverter-common numpy
    pip install tensorflow-cpu keras tf2onnx
    python tests/reference/model_matrix.py --small tests/fixtures/matrix
    python tests/reference/model_matrix.py --large DIR
    python tests/reference/model_matrix.py --small DIR --only 'resnet|vit'

The architectures are those of the libraries, the weights are random but seeded. `--small` makes small members of each
family for the repository, `--large` the sizes that people download. A run replaces the entries that it makes in
matrix.json, so that frameworks that do not go together can be run one after the other: paddle2onnx wants an older onnx
(`pip install paddlepaddle paddle2onnx onnxruntime setuptools` elsewhere, then `--only paddle`). An entry whose
framework is missing is skipped.

matrix.json has `models`, each with

    name, path            path is a file, or a folder as people have it
    family                the architecture; family_known_from: "config", "graph" (names and operators), or null
    n_params              as the framework counts them; null with n_params_min and n_params_max where the graph has not
                          just those, mostly since batch norms were folded
    input                 name, layout, element, fixed batch or null, height and width
    outputs               name -> "features", "tokens", "map" or "logits"
    preprocess            what a side file says (from_file), else what the family's published weights want
    feature               width of the features and the tolerance, which is multiplied by the largest feature above 1
    features              float32, little-endian, [N, dim], from the framework; ONNX Runtime's where quantised
    intermediate          a tensor half way through, and its values in ONNX Runtime after pooling: gap, gap_nhwc, gem
                          (generalised mean, p = 3, over max(x, 1e-6)), cls, mean, none
    late_tensor           the tensor of the graph that holds the features; the first token or the mean of it where it
                          holds tokens, the mean over space where it is a map
    opset, external_data, notes

The image input holds byte(i) = (i * 2654435761 mod 2^32) >> 24 for its flat index i: (byte / 255 - 0.5) / 0.25 in
float32, cast if it is float16, the byte itself if it is uint8. N is the batch if it is fixed, else 2. Dynamically
quantised graphs are run image by image. A second input is false if it is a bool, 1 if it is a float. That the graphs
give what the frameworks give is checked here.

Made with torch 2.15, torchvision 0.29, timm 1.0.31, transformers 5.24, onnx 1.23, onnxruntime 1.32, onnxscript 0.7,
tensorflow 2.21, keras 3.15, tf2onnx 1.17, paddlepaddle 3.3, paddle2onnx 2.1.
"""

import argparse
import importlib.util
import logging
import os
import re
import sys
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

# In this order: torch aborts when it comes after TensorFlow.
# isort: off
import model_matrix_torch  # noqa: E402, F401
import model_matrix_transformers  # noqa: E402, F401
import model_matrix_others  # noqa: E402, F401
from model_matrix_tools import LARGE, SMALL, Matrix  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", type=Path, metavar="DIR")
    parser.add_argument("--large", type=Path, metavar="DIR")
    parser.add_argument("--only", default="", help="regular expression of names")
    arguments = parser.parse_args()
    failed = []
    for folder, entries in [(arguments.small, SMALL), (arguments.large, LARGE)]:
        if not folder:
            continue
        matrix = Matrix(folder)
        for name, needs, make in entries:
            if not re.search(arguments.only, name):
                continue
            if not importlib.util.find_spec(needs):
                print(f"{name}: skipped, there is no {needs}")
                continue
            try:
                make(matrix)
            except Exception as error:
                failed.append(name)
                print(f"{name}: FAILED: {type(error).__name__}: {str(error)[:400]}", file=sys.stderr)
                if arguments.only:
                    raise
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
