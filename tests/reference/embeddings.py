"""Writes the starter model's features of some sample images, computed by Pillow and ONNX Runtime.

    pip install numpy onnxruntime pillow
    python tests/reference/embeddings.py

Fills tests/fixtures with
  embeddings.json   the files (below assets/sample) and the width of the features;
  embeddings.f32    their features, little-endian f32, row after row.

The preprocessing is written out from models/graft-starter/preprocessor_config.json, as Hugging Face's image processors do
it. Pillow must be 13 or newer, see images.py. Other scripts here use `pixels` as well.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "graft-starter"
SAMPLE = ROOT / "assets" / "sample"
OUT = ROOT / "tests" / "fixtures"
PER_CLASS = 2


def pixels(path, config=None):
    """The image as float32 [3, H, W]: shortest side, centre crop, rescale, normalise."""
    config = config or json.loads((MODEL / "preprocessor_config.json").read_text())
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    side, (w, h) = config["resize"]["shortest_edge"], image.size
    size = (side, int(side * h / w)) if w <= h else (int(side * w / h), side)
    image = image.resize(size, config["resample"])
    height, width = config["crop_size"]["height"], config["crop_size"]["width"]
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    x = np.asarray(image.crop((left, top, left + width, top + height)), np.float64)
    x = (x * config["rescale_factor"]).astype(np.float32)
    x = (x - np.float32(config["image_mean"])) / np.float32(config["image_std"])
    return np.ascontiguousarray(x.transpose(2, 0, 1))


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def features(paths):
    """Features [N, D] of the starter model, one image a run."""
    model = session(MODEL / "onnx" / "vision_model.onnx")
    rows = [model.run(["features"], {"pixel_values": pixels(path)[None]})[0][0] for path in paths]
    return np.stack(rows)


def main():
    files = []
    for folder in sorted(p for p in SAMPLE.iterdir() if p.is_dir()):
        files += sorted(folder.iterdir())[:PER_CLASS]
    rows = features(files)
    about = {"files": [f.relative_to(SAMPLE).as_posix() for f in files], "dim": rows.shape[1]}
    (OUT / "embeddings.json").write_text(json.dumps(about, indent=1) + "\n")
    (OUT / "embeddings.f32").write_bytes(rows.astype("<f4").tobytes())
    print(f"{len(files)} x {rows.shape[1]} features written")


if __name__ == "__main__":
    main()
