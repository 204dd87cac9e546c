"""Checks an export of Graft's in Python, where Graft has no part: what you export is what you saw.

    pip install numpy onnxruntime pillow          (safetensors too, or its check is left out)
    graft train --images photos/ --export out
    graft predict --with out photos/ --json > predictions.json
    graft embed --images photos/ --out photos.npz
    python tests/reference/export_check.py out predictions.json photos.npz

Expects the starter model as backbone. Prints the figures as one JSON object; exit status 1 when one is out of bounds.
`tests/python_export.rs` runs it where `GRAFT_PYTHON` names an interpreter that has the packages.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from embeddings import features, pixels, session


def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def config_of(spec):
    """The export's PreprocessSpec in the words of a preprocessor_config.json."""
    assert spec["resize"]["mode"] == "shortest_side" and spec["crop"]["offset"] == "floor", spec
    assert spec["layout"] == "nchw" and spec["channels"] == "rgb", spec
    divisor = round(1 / spec["rescale"])
    return {
        "resize": {"shortest_edge": spec["resize"]["size_px"]},
        "resample": Image.Resampling[spec["filter"].upper()],
        "crop_size": {"height": spec["crop"]["height_px"], "width": spec["crop"]["width_px"]},
        # The f32 in the export stands for 1/255.
        "rescale_factor": 1 / divisor,
        "image_mean": spec["mean"],
        "image_std": spec["std"],
    }


def distances_of(answers):
    return np.array([answer["distance"] for answer in answers])


def classifier(export, meta, paths, expected, answers):
    """classifier.onnx, with the preprocessing that its metadata name."""
    model = session(export / "classifier.onnx")
    metadata = model.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["graft.classes"]) == meta["classes"], metadata
    spec = json.loads(metadata["graft.preprocess"])
    assert spec == meta["preprocess"], metadata
    config, name = config_of(spec), model.get_inputs()[0].name
    rows, logits, distances = [], [], []
    outputs = ["logits", "probabilities"] + ["distance"] * meta["has_distance"]
    # Batches of several sizes: the batch is dynamic.
    for start in range(0, len(paths), 7):
        x = np.stack([pixels(path, config) for path in paths[start : start + 7]])
        z, p, *d = model.run(outputs, {name: x})
        rows.append(p), logits.append(z), distances.extend(d)
    rows, logits = np.concatenate(rows), np.concatenate(logits)
    assert np.abs(softmax(logits) - rows).max() < 1e-5
    assert json.loads(metadata["graft.unknown"]) == meta["unknown"], metadata
    measured = {}
    if meta["has_distance"]:
        measured["distance_max_difference"] = float(np.abs(np.concatenate(distances)[:, 0] - distances_of(answers)).max())
    return {
        **measured,
        "classifier_max_difference": float(np.abs(rows - expected).max()),
        "classifier_top1_agreement": float((rows.argmax(1) == expected.argmax(1)).mean()),
    }


def image_classifier(export, meta, paths, expected):
    """image_classifier.onnx, fed with the decoded picture."""
    model = session(export / "image_classifier.onnx")
    metadata = model.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["graft.classes"]) == meta["classes"]
    name, rows = model.get_inputs()[0].name, []
    for path in paths:
        rgb = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
        rows.append(model.run(["probabilities"], {name: rgb})[0].reshape(-1))
    rows = np.stack(rows)
    return {
        "image_classifier_max_difference": float(np.abs(rows - expected).max()),
        "image_classifier_top1_agreement": float((rows.argmax(1) == expected.argmax(1)).mean()),
    }


def script(export, meta, paths, labels, expected):
    """The export's own predict.py, run as its user runs it."""
    text = (export / "predict.py").read_text(encoding="utf-8")
    run = [sys.executable, str(export / "predict.py"), *map(str, paths)]
    lines = subprocess.run(run, check=True, capture_output=True, text=True, encoding="utf-8").stdout.splitlines()
    assert len(lines) == len(paths)
    fields = [line.split("\t") for line in lines]
    rows = np.array([[float(v.rpartition("=")[2]) for v in f[2:]] for f in fields])
    assert [v.rpartition("=")[0] for v in fields[0][2:]] == meta["classes"]
    return {
        "script_lines": text.count("\n"),
        "script_label_agreement": float(np.mean([f[1] == label for f, label in zip(fields, labels)])),
        "script_max_difference": float(np.abs(rows - expected).max()),
    }


def head(export, x, expected, answers):
    """head.onnx and head.safetensors on the features of `graft embed`."""
    model = session(export / "head.onnx")
    logits, rows = model.run(["logits", "probabilities"], {model.get_inputs()[0].name: x})
    figures = {"head_max_difference": float(np.abs(rows - expected).max())}
    try:
        from safetensors import safe_open
    except ImportError:
        return figures
    with safe_open(export / "head.safetensors", "np") as file:
        weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
        directions = file.get_tensor("directions") if "directions" in file.keys() else None
        about = json.loads(file.metadata()["graft"])
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    if directions is not None:
        measured = 1 - (unit @ directions.T).max(1)
        figures["safetensors_distance_difference"] = float(np.abs(measured - distances_of(answers)).max())
    if about["l2_blocks"]:
        assert about["l2_blocks"] == [{"width": x.shape[1], "square_root": False}], about
        x = unit
    figures["safetensors_max_difference"] = float(np.abs(softmax(x @ weight.T + bias) - expected).max())
    return figures


def main():
    export, predictions, npz = (Path(a) for a in sys.argv[1:4])
    meta = json.loads((export / "graft.json").read_text(encoding="utf-8"))
    answers = json.loads(predictions.read_text(encoding="utf-8"))
    paths = [Path(a["file"]) for a in answers]
    labels = [a["label"] for a in answers]
    assert all(list(a["probabilities"]) == meta["classes"] for a in answers)
    expected = np.array([list(a["probabilities"].values()) for a in answers])
    assert (export / "labels.txt").read_text(encoding="utf-8").splitlines() == meta["classes"]

    arrays = np.load(npz, allow_pickle=False)
    assert len(arrays["labels"]) == len(arrays["paths"])
    embeddings, row_of = arrays["embeddings"], {path: i for i, path in enumerate(arrays["paths"].tolist())}
    assert embeddings.dtype == np.float32 and embeddings.shape == (len(row_of), 1280)
    x = embeddings[[row_of[str(path)] for path in paths]]
    reference = features(paths)
    cosines = (x * reference).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(reference, axis=1)

    figures = {
        "n": len(paths),
        "n_unknown": labels.count("unknown"),
        **classifier(export, meta, paths, expected, answers),
        **image_classifier(export, meta, paths, expected),
        **script(export, meta, paths, labels, expected),
        **head(export, x, expected, answers),
        "embedding_min_cosine": float(cosines.min()),
        "embedding_max_difference": float(np.abs(x - reference).max()),
    }
    print(json.dumps(figures, indent=1))
    at_most = {
        "classifier_max_difference": 1e-4,
        "distance_max_difference": 1e-4,
        "safetensors_distance_difference": 1e-4,
        "script_max_difference": 1e-4,
        "script_lines": 50,
        "head_max_difference": 1e-4,
        "safetensors_max_difference": 1e-4,
    }
    at_least = {
        "classifier_top1_agreement": 1.0,
        "image_classifier_top1_agreement": 0.99,
        "script_label_agreement": 1.0,
        "embedding_min_cosine": 0.9999,
    }
    if meta["unknown"]["by"] != "off" and not 0 < figures["n_unknown"] < len(paths):
        sys.exit("the rule for unknown decides nothing: it is not tested")
    wrong = [k for k, bound in at_most.items() if figures.get(k, 0) > bound]
    wrong += [k for k, bound in at_least.items() if figures[k] < bound]
    if wrong:
        sys.exit(f"out of bounds: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
