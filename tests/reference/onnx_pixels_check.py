"""Compares the preprocessing inside an exported image classifier with Pillow's, over many image sizes.

    pip install onnx onnxruntime numpy 'pillow>=13'
    python tests/reference/onnx_pixels_check.py IMAGE_CLASSIFIER.onnx SPEC.json [--time]

SPEC.json is the PreprocessSpec that the export was made with, as JSON. The levels that the graph makes (the tensor
`graft/pixels/rgb`) are compared with Pillow's resize (whose order of passes changed in version 13) and a centre crop or
padding written here. Prints the sizes that differ; fails when any level differs by more than 1 or more than one in
10,000 differs at all. With --time also times the classifier against Pillow for a 500 x 375 and a 4000 x 3000 image.
"""

import json
import math
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
from PIL import Image

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
SIZES = [
    (5, 7), (1, 1), (2, 3), (1, 500), (500, 1), (3, 1000), (31, 33), (32, 32), (36, 36), (35, 37), (64, 48), (100, 50),
    (50, 101), (128, 128), (223, 225), (224, 224), (225, 224), (255, 257), (256, 256), (256, 341), (257, 256), (300, 200),
    (333, 500), (375, 500), (500, 333), (480, 640), (512, 512), (511, 513), (600, 601), (719, 1281), (768, 1024),
    (1000, 100), (97, 1999), (1023, 1025), (1080, 1920), (2048, 2048), (1999, 3001), (3000, 4000),
]  # height, width


def resized_size(resize, h, w):
    mode = resize["mode"]
    if mode == "none":
        return h, w
    if mode == "squash":
        return resize["height_px"], resize["width_px"]
    if mode == "shortest_side":
        size, short, long = resize["size_px"], min(h, w), max(h, w)
        other = int(size * long / short)
        return (size, other) if h <= w else (other, size)
    ratio = max(h / resize["height_px"], w / resize["width_px"])
    return max(round(h / ratio), 1), max(round(w / ratio), 1)


def placed(levels, h, w, offset, pad):
    """Centre crop, padded where the image is smaller, as Hugging Face ("floor") and torchvision ("round") do it."""
    out = np.empty((h, w, 3), np.uint8)
    out[:] = pad
    spans = []
    for side, size in ((levels.shape[0], h), (levels.shape[1], w)):
        if side >= size:
            first = (side - size) // 2 if offset == "floor" else int(round((side - size) / 2))
            spans.append((slice(first, first + size), slice(0, size)))
        else:
            before = math.ceil((size - side) / 2) if offset == "floor" else (size - side) // 2
            spans.append((slice(0, side), slice(before, before + side)))
    out[spans[0][1], spans[1][1]] = levels[spans[0][0], spans[1][0]]
    return out


def pillow(spec, image):
    new_h, new_w = resized_size(spec["resize"], *image.shape[:2])
    levels = np.asarray(Image.fromarray(image).resize((new_w, new_h), FILTERS[spec["filter"]]))
    crop = spec["crop"]
    if crop is None:
        resize = spec["resize"]
        crop = {"height_px": resize["height_px"], "width_px": resize["width_px"], "offset": "round"}
    return placed(levels, crop["height_px"], crop["width_px"], crop["offset"], spec["pad_rgb"])


def images(h, w, rng):
    """Noise, which overshoots, and a photograph's stand-in: smooth with edges."""
    yield rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
    y, x = np.mgrid[0:h, 0:w]
    wave = np.stack([np.sin(x / 7 + c) + np.cos(y / (5 + c)) + 2 * ((x // 40 + y // 30 + c) % 2) for c in range(3)], -1)
    yield ((wave - wave.min()) / max(np.ptp(wave), 1e-9) * 255).astype(np.uint8)


def session(model):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def main(path, spec, timed):
    model = onnx.load(path)
    model.graph.output.append(onnx.ValueInfoProto(name="graft/pixels/rgb"))
    run = session(model.SerializeToString())
    rng = np.random.default_rng(0)
    n_levels = n_differ = worst = 0
    for h, w in SIZES:
        # A thin image's long side grows beyond what Pillow is willing to allocate.
        if math.prod(resized_size(spec["resize"], h, w)) > 60_000_000:
            continue
        for image in images(h, w, rng):
            levels = run.run(["graft/pixels/rgb"], {"image": image})[0].transpose(1, 2, 0)
            difference = np.abs(levels - pillow(spec, image).astype(np.float32))
            n_levels, n_differ = n_levels + difference.size, n_differ + np.count_nonzero(difference)
            worst = max(worst, difference.max())
            if difference.any():
                print(f"{h} x {w}: {np.count_nonzero(difference)} of {difference.size} differ, at most {difference.max():g}")
    print(f"{n_differ} of {n_levels} levels differ, at most {worst:g}")
    if timed:
        time_it(path, spec)
    return worst > 1 or n_differ * 10_000 > n_levels


def time_it(path, spec):
    whole = session(path)
    # The nodes of the preprocessing come first, `rgb` among the last of them.
    model = onnx.load(path)
    n_nodes = next(i for i, node in enumerate(model.graph.node) if "graft/pixels/rgb" in node.output) + 1
    del model.graph.node[n_nodes:], model.graph.output[:], model.graph.value_info[:]
    model.graph.output.append(onnx.ValueInfoProto(name="graft/pixels/rgb"))
    part = session(model.SerializeToString())
    for h, w in ((375, 500), (3000, 4000)):
        image = next(images(h, w, np.random.default_rng(0)))
        for what, call in (
            ("image classifier", lambda: whole.run(None, {"image": image})),
            ("its preprocessing", lambda: part.run(None, {"image": image})),
            ("Pillow", lambda: pillow(spec, image)),
        ):
            call()
            laps = []
            for _ in range(7):
                start = time.perf_counter()
                call()
                laps.append(time.perf_counter() - start)
            print(f"{w} x {h} {what}: {min(laps) * 1e3:.1f} ms")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.load(open(sys.argv[2])), "--time" in sys.argv))
