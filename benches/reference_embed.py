"""Embeds a list of images as a good Python script does: two Pillow threads decode ahead while ONNX Runtime computes.

    pip install numpy onnxruntime pillow
    python benches/reference_embed.py MODEL.onnx PATHS.txt PREPROCESS.json [--threads 2] [--batch 16]

`benches/embed.rs` writes the three files (the graph cut at the features, one path a line, the preprocessing as in an
export's graft.json) and drives the script: it answers each line of standard input with one line of JSON, so that start
and imports cost nothing and rounds can alternate with Graft's. The line says how ONNX Runtime's threads wait:
`spin` (its default) or `sleep` (`session.intra_op.allow_spinning` off, the better choice beside decoders).
"""

import argparse
import json
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def preprocessor(spec):
    """`path -> float32 [3, H, W]`: shortest side, centre crop, rescale, normalise."""
    if spec["resize"]["mode"] != "shortest_side" or spec["crop"] is None or spec["layout"] != "nchw":
        sys.exit("the script knows one preprocessing: shortest side, centre crop, NCHW")
    side, crop = spec["resize"]["size_px"], spec["crop"]
    box_w, box_h = crop["width_px"], crop["height_px"]
    offset = (lambda d: d // 2) if crop["offset"] == "floor" else (lambda d: round(d / 2))
    resample = Image.Resampling[spec["filter"].upper()]
    rescale, mean, std = (np.float32(spec[k]) for k in ("rescale", "mean", "std"))

    def pixels(path):
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image).convert("RGB")
        w, h = image.size
        size = (side, side * h // w) if w <= h else (side * w // h, side)
        image = image.resize(size, resample)
        left, top = offset(size[0] - box_w), offset(size[1] - box_h)
        x = np.asarray(image.crop((left, top, left + box_w, top + box_h)), np.float32)
        return ((x * rescale - mean) / std).transpose(2, 0, 1)

    return pixels


def embed(session, paths, pixels, n_threads, batch_size):
    """Features [N, D] of the images, with at most four batches of images decoded ahead."""
    name = session.get_inputs()[0].name
    rows, waiting = [], deque()
    with ThreadPoolExecutor(n_threads) as pool:
        ahead = iter(paths)
        for path in islice(ahead, 4 * batch_size):
            waiting.append(pool.submit(pixels, path))
        while waiting:
            batch = [waiting.popleft().result() for _ in range(min(batch_size, len(waiting)))]
            # In this order, so that `zip` does not take a path and then find the batch at its end.
            waiting.extend(pool.submit(pixels, path) for _, path in zip(batch, ahead))
            rows.append(session.run(None, {name: np.stack(batch)})[0])
    return np.concatenate(rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("paths", type=Path)
    parser.add_argument("preprocess", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    args = parser.parse_args()
    paths = args.paths.read_text(encoding="utf-8").split("\n")
    pixels = preprocessor(json.loads(args.preprocess.read_text(encoding="utf-8")))
    sessions = {}
    for waiting in ("spin", "sleep"):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if waiting == "spin" else "0")
        sessions[waiting] = onnxruntime.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])
    print(json.dumps({"ready": True, "versions": [onnxruntime.__version__, Image.__version__]}), flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        features = embed(sessions[line.strip()], paths, pixels, args.threads, args.batch)
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "n": len(features), "first": features[0].tolist()}), flush=True)


if __name__ == "__main__":
    main()
