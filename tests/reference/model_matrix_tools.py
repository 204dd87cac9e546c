"""What model_matrix.py needs beside the architectures: the standard input, runs of ONNX Runtime, matrix.json."""

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto

Arrays = dict[str, np.ndarray]
ELEMENTS = {TensorProto.FLOAT: "f32", TensorProto.FLOAT16: "f16", TensorProto.UINT8: "u8"}
DTYPES = {"f32": np.float32, "f16": np.float16, "u8": np.uint8}
ort.set_default_logger_severity(3)

# Name of an entry, the Python module that it needs, and the function that makes it.
Entries = list[tuple[str, str, Callable[["Matrix"], None]]]
SMALL: Entries = []
LARGE: Entries = []


def entry(into: Entries, name: str, needs: str, **options) -> Callable:
    """Registers a function that makes the entry `name`; options are handed on to it."""

    def register(function: Callable) -> Callable:
        into.append((name, needs, partial(function, name=name, **options)))
        return function

    return register


def standard_input(shape: tuple[int, ...], element: str = "f32") -> np.ndarray:
    """Bytes that any language can make again, as floats of about -2 to 2 unless bytes are asked for."""
    index = np.arange(math.prod(shape), dtype=np.uint64)
    byte = ((index * np.uint64(2654435761)) % np.uint64(2**32) >> np.uint64(24)).astype(np.uint8).reshape(shape)
    if element == "u8":
        return byte
    value = (byte.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.25)
    return value.astype(DTYPES[element])


def shortest(size_px: int) -> dict[str, Any]:
    return {"mode": "shortest_side", "size_px": size_px}


def squash(side_px: int) -> dict[str, Any]:
    return {"mode": "squash", "height_px": side_px, "width_px": side_px}


def crop(side_px: int, offset: str) -> dict[str, Any]:
    return {"height_px": side_px, "width_px": side_px, "offset": offset}


IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
OPENAI = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
HALF = ([0.5] * 3, [0.5] * 3)
UNSCALED = ([0.0] * 3, [1.0] * 3)


@dataclass
class Preprocess:
    resize: dict[str, Any]
    crop: dict[str, Any] | None
    filter: str
    mean_std: tuple[list[float], list[float]]
    from_file: bool
    rescale: float = 1 / 255

    def as_json(self) -> dict[str, Any]:
        mean, std = self.mean_std
        return {
            "resize": self.resize,
            "crop": self.crop,
            "filter": self.filter,
            "mean": mean,
            "std": std,
            "rescale": self.rescale,
            "from_file": self.from_file,
        }


def guess(side_px: int, filter: str = "bilinear", mean_std=IMAGENET, crop_pct: float = 0.875, rescale: float = 1 / 255):
    """What a bare file of a family most likely wants: that of the family's published weights."""
    size = shortest(math.floor(side_px / crop_pct))
    return Preprocess(size, crop(side_px, "round"), filter, mean_std, False, rescale)


# ----------------------------------------------------------------------------------------------- graphs and their runs


def session(model: onnx.ModelProto | Path, optimise: bool = True) -> ort.InferenceSession:
    options = ort.SessionOptions()
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def run(
    model: onnx.ModelProto | Path, feeds: Arrays, outputs: list[str] | None = None, optimise: bool = True
) -> Arrays:
    """Runs a graph; `outputs` may be any tensors in it, which are made outputs."""
    if outputs:
        graph = onnx.load(model) if isinstance(model, Path) else model
        model = exposed(graph, outputs)
    it = session(model, optimise)
    names = outputs or [o.name for o in it.get_outputs()]
    return dict(zip(names, it.run(names, feeds)))


def exposed(model: onnx.ModelProto, tensors: list[str]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {o.name for o in copy.graph.output}
    # Only a name: ONNX Runtime infers types and shapes.
    copy.graph.output.extend(onnx.ValueInfoProto(name=t) for t in tensors if t not in known)
    return copy


def image_by_image(model: onnx.ModelProto | Path, feeds: Arrays, image: str, outputs: list[str]) -> Arrays:
    """A dynamic quantiser takes its scale from the whole batch: an image's features depend on its neighbours."""
    rows = [run(model, {**feeds, image: feeds[image][i : i + 1]}, outputs) for i in range(len(feeds[image]))]
    return {name: np.concatenate([row[name] for row in rows]) for name in outputs}


def pooled(x: np.ndarray, pooling: str) -> np.ndarray:
    x = x.astype(np.float32)
    match pooling:
        case "gap":
            return x.mean((2, 3))
        case "gap_nhwc":
            return x.mean((1, 2))
        case "gem":
            return (np.maximum(x, 1e-6).astype(np.float64) ** 3).mean((2, 3)) ** (1 / 3)
        case "cls":
            return x[:, 0]
        case "mean":
            return x.mean(1)
        case "none":
            return x.reshape(len(x), -1) if x.ndim == 4 else x
    raise ValueError(pooling)


def tensors_made(graph: onnx.GraphProto) -> list[tuple[str, str]]:
    """Names of all computed tensors, and the operator of each, in the order of the graph."""
    return [(name, node.op_type) for node in graph.node for name in node.output if name and node.op_type != "Constant"]


def values_of(path: Path, feeds: Arrays, names: list[str]) -> Arrays:
    """Values of tensors that can be outputs; unoptimised, so that each is the very tensor of the file."""
    return run(path, feeds, names, optimise=False)


def weights_in(graph: onnx.GraphProto, all_floats: bool = False) -> int:
    """Stored numbers that can be weights: scalars, shapes and indices are none."""
    types = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8}
    tensors = list(graph.initializer)
    tensors += [a.t for n in graph.node if n.op_type == "Constant" for a in n.attribute if a.name == "value"]
    return sum(math.prod(t.dims) for t in tensors if (t.dims or all_floats) and t.data_type in types)


# --------------------------------------------------------------------------------------------------------- matrix.json


@dataclass
class Weights:
    """Number of parameters as the framework counts them, and how many channels its batch norms have."""

    count: int
    batch_norm_channels: int = 0


class Matrix:
    """The folder with its matrix.json. A run replaces the entries that it makes and keeps the others."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.file = folder / "matrix.json"
        folder.mkdir(parents=True, exist_ok=True)
        models = json.loads(self.file.read_text())["models"] if self.file.exists() else []
        self.entries: dict[str, dict[str, Any]] = {m["name"]: m for m in models}

    def path(self, relative: str) -> Path:
        """Where to write a model; what an earlier run left in its folder is removed."""
        path = self.folder / relative
        if path.parent != self.folder and path.name == "model.onnx":
            shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(path.name + "*"):
            old.unlink()
        return path

    def write_f32(self, name: str, values: np.ndarray) -> str:
        assert np.isfinite(values).all(), name
        (self.folder / name).write_bytes(np.ascontiguousarray(values, "<f4").tobytes())
        return name

    def add(
        self,
        name: str,
        model: Path,
        *,
        family: str,
        known_from: str | None,
        preprocess: Preprocess,
        roles: dict[str, str],
        weights: Weights,
        features: np.ndarray | None,
        results: Arrays,
        feeds: Arrays,
        mid: tuple[str, str] | tuple[str, str, str],
        notes: str,
        path: str | None = None,
        tolerance: float = 1e-4,
        feature_tensor: str | None = None,
        by_image: bool = False,
    ) -> None:
        """Checks a model against the framework and writes its entry.

        `results` is what the framework gives for outputs of the graph; the first feed is the image. `features` None
        means those of ONNX Runtime at `feature_tensor`: there is no framework that runs a quantised graph. `mid` is an
        operator, a pooling, and perhaps an expression for names: the intermediate tensor is that output of the
        operator which is nearest to the middle of the graph.
        """
        image = next(iter(feeds))
        for output, expected in results.items():
            found = (image_by_image(model, feeds, image, [output]) if by_image else run(model, feeds, [output]))[output]
            worst = float(np.abs(found.astype(np.float32) - expected).max())
            scale = max(1.0, float(np.abs(expected).max()))
            assert found.shape == expected.shape and worst <= tolerance * scale, (name, output, worst, scale)

        proto = onnx.load(model)
        bare = onnx.load(model, load_external_data=False)
        external = any(t.data_location == TensorProto.EXTERNAL for t in bare.graph.initializer)
        made = tensors_made(proto.graph)
        if features is None:
            runs = image_by_image if by_image else lambda m, f, _, o: run(m, f, o)
            features = pooled(runs(proto, feeds, image, [feature_tensor])[feature_tensor], "none")
        else:
            feature_tensor = feature_tensor or self.tensor_of(model, feeds, made, features, tolerance)
        assert feature_tensor, f"{name}: no tensor of the graph holds the expected features"
        assert len(features) == len(feeds[image]) and features.ndim == 2
        if len(features) > 1:
            assert np.abs(features[0] - features[1]).max() > 10 * tolerance, f"{name}: blind to the image"

        tensor, pooling, values = self.intermediate(proto, feeds, image, made, mid, by_image)
        port = next(i for i in proto.graph.input if i.name == image)
        element = ELEMENTS[port.type.tensor_type.elem_type]
        layout = "nchw" if feeds[image].shape[1] == 3 else "nhwc"
        first = port.type.tensor_type.shape.dim[0]
        height, width = feeds[image].shape[2:] if layout == "nchw" else feeds[image].shape[1:3]
        assert {o.name for o in proto.graph.output} == set(roles), [o.name for o in proto.graph.output]
        self.entries[name] = {
            "name": name,
            "path": path or str(model.relative_to(self.folder)),
            "family": family,
            "family_known_from": known_from,
            **self.n_params(proto.graph, weights),
            "input": {
                "name": image,
                "layout": layout,
                "element": element,
                "batch": first.dim_value if first.HasField("dim_value") and first.dim_value > 0 else None,
                "height": height,
                "width": width,
            },
            "outputs": roles,
            "preprocess": preprocess.as_json(),
            "feature": {"dim": features.shape[1], "tolerance": tolerance},
            "features": self.write_f32(f"{name}.f32", features),
            "intermediate": {
                "tensor": tensor,
                "pooling": pooling,
                "dim": values.shape[1],
                "file": self.write_f32(f"{name}.mid.f32", values),
            },
            "late_tensor": feature_tensor,
            "opset": next(o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")),
            "external_data": external,
            "notes": notes,
        }
        self.file.write_text(json.dumps({"models": list(self.entries.values())}, indent=1) + "\n")
        print(f"{name}: {self.size(name) / 1000:.0f} kB, features {features.shape}, at {feature_tensor}", flush=True)

    def size(self, name: str) -> int:
        entry = self.entries[name]
        path = self.folder / entry["path"]
        parts = path.rglob("*") if path.is_dir() else self.folder.glob(path.name + "*")
        return sum(f.stat().st_size for f in parts if f.is_file())

    @staticmethod
    def n_params(graph: onnx.GraphProto, weights: Weights) -> dict[str, int | None]:
        stored = weights_in(graph)
        if stored == weights.count:
            return {"n_params": weights.count}
        # A batch norm folded into a convolution leaves one number a channel of its two; kept, it has four.
        lowest = weights.count - weights.batch_norm_channels
        highest = max(weights.count + 2 * weights.batch_norm_channels, weights_in(graph, all_floats=True))
        return {"n_params": None, "n_params_min": min(lowest, stored), "n_params_max": highest}

    @staticmethod
    def tensor_of(path: Path, feeds: Arrays, made: list, features: np.ndarray, tolerance: float) -> str | None:
        """The last tensor whose value is the expected features, as it is or pooled as its shape suggests.

        The last is right: behind the features are only scores.
        """
        values = values_of(path, feeds, [name for name, _ in made])
        scale = max(1.0, float(np.abs(features).max()))
        for name, _ in reversed(made):
            x = values[name]
            if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or x.ndim < 2 or len(x) != len(features):
                continue
            candidates = [x[:, 0], x.mean(1)] if x.ndim == 3 else [x.reshape(len(x), -1)]
            if x.ndim == 4:
                candidates += [x.mean((2, 3)), x.mean((1, 2))]
            for candidate in candidates:
                if candidate.shape == features.shape and np.abs(candidate - features).max() <= tolerance * scale:
                    return name
        return None

    @staticmethod
    def intermediate(
        proto: onnx.ModelProto, feeds: Arrays, image: str, made: list, mid: tuple, by_image: bool
    ) -> tuple[str, str, np.ndarray]:
        op_type, pooling, pattern = (*mid, "")[:3]
        n_dims = {"gap": 4, "gap_nhwc": 4, "gem": 4, "cls": 3, "mean": 3, "none": 2}[pooling]
        names = [name for name, op in made if op == op_type and re.search(pattern, name)]
        runs = image_by_image if by_image else lambda m, f, _, o: run(m, f, o)
        values = runs(proto, feeds, image, names)
        n_images = len(feeds[image])
        names = [
            n for n in names if values[n].ndim == n_dims and len(values[n]) == n_images and values[n].dtype.kind == "f"
        ]
        assert names, f"no {op_type} with {n_dims} dimensions"
        places = {name: i for i, (name, _) in enumerate(made)}
        tensor = min(names, key=lambda n: abs(places[n] - len(made) / 2))
        # Once more by itself: what is an output changes how a quantised graph is fused.
        return tensor, pooling, pooled(runs(proto, feeds, image, [tensor])[tensor], pooling)
