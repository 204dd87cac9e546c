"""Makes the small ONNX models of tests/fixtures/onnx, with random but seeded weights.

    pip install onnx numpy
    python tests/reference/onnx_models.py tests/fixtures/onnx

tiny_cnn/       pixel_values [N,3,32,32] -> features [N,16], logits [N,10]; residual blocks; opset 17; a model folder
tiny_vit        pixel_values [N,3,32,32] -> last_hidden_state [N,17,24]; two pre-norm layers; opset 17
tiny_nhwc       images:0 [1,32,32,3] -> map:0 [1,16,16,8], Softmax:0 [1,4]; opset 11
tiny_fp16       image f16 [N,3,32,32] -> embedding f16 [N,8]; opset 13
tiny_qdq        pixel_values [N,3,32,32] -> features [N,8]; quantised with QDQ pairs; opset 13
tiny_external   pixel_values [N,3,32,32] -> features [N,16]; weights in tiny_external.onnx_data
corner          pixel_values [1,3,32,32] -> features [1,3]: the mean colour of the quarter at the top right; opset 13
not_image       input_ids int64 [N,L] -> sentence_embedding [N,8]

`make(name, opset)` builds the same models for other opsets, for checks outside the tests.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

F32, F16, I64 = T.FLOAT, T.FLOAT16, T.INT64


class Graph:
    """Collects nodes and constants."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.constants = [], []

    def const(self, name, array):
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def rand(self, name, *shape, scale=1.0, dtype=np.float32):
        return self.const(name, (self.rng.standard_normal(shape) * scale).astype(dtype))

    def op(self, op_type, inputs, output, name=None, **attributes):
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=name or f"/{output}/{op_type}", **attributes))
        return output

    def model(self, inputs, outputs, opset):
        value = lambda v: helper.make_tensor_value_info(*v)
        graph = helper.make_graph(self.nodes, "tiny", [value(v) for v in inputs], [value(v) for v in outputs], self.constants)
        ir_version = {11: 6, 13: 7, 17: 8, 18: 8, 21: 10, 22: 10}[opset]
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version, producer_name="onnx_models.py"
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def conv(self, x, out, c_in, c_out, k=3, stride=1, name=None, dtype=np.float32):
        w = self.rand(f"{out}.weight", c_out, c_in, k, k, scale=(2 / (c_in * k * k)) ** 0.5, dtype=dtype)
        b = self.const(f"{out}.bias", np.zeros(c_out, dtype))
        return self.op("Conv", [x, w, b], out, name, kernel_shape=[k, k], pads=[k // 2] * 4, strides=[stride, stride])


def cnn(opset, seed=7, fold=False):
    """Stem with batch normalisation, two residual blocks of 16 channels, average pooling, a classifier."""
    g = Graph(seed)
    # Inputs and weights of zero mean would lose a flat colour's sign in no channel, but its strength in half of them:
    # the stem sees every colour and its opposite.
    w = g.rng.standard_normal((8, 3, 3, 3)).astype(np.float32) * 0.3
    g.const("stem.weight", np.concatenate([w, -w]))
    x = g.op("Conv", ["pixel_values", "stem.weight"], "stem", "/stem/Conv", kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])
    if not fold:
        stats = [("scale", 1.1), ("shift", 0.05), ("mean", 0.02), ("var", 0.9)]
        stats = [g.const(f"stem.bn.{n}", np.full(16, v, np.float32)) for n, v in stats]
        x = g.op("BatchNormalization", [x, *stats], "stem_bn", "/stem/bn/BatchNormalization")
    x = g.op("Relu", [x], "stem_relu", "/stem/Relu")
    for i in range(2):
        at = f"/blocks/blocks.{i}"
        y = g.conv(x, f"block{i}_conv1", 16, 16, name=f"{at}/conv1/Conv")
        y = g.op("Relu", [y], f"block{i}_relu1", f"{at}/relu1/Relu")
        y = g.conv(y, f"block{i}_conv2", 16, 16, name=f"{at}/conv2/Conv")
        y = g.op("Add", [y, x], f"block{i}_sum", f"{at}/Add")
        x = g.op("Relu", [y], f"block{i}_out", f"{at}/Relu")
        if i == 0:
            x = g.op("MaxPool", [x], "down", "/down/MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    x = g.op("GlobalAveragePool", [x], "pool", "/pool/GlobalAveragePool")
    x = g.op("Flatten", [x], "features", "/flatten/Flatten", axis=1)
    w, b = g.rand("fc.weight", 10, 16), g.rand("fc.bias", 10, scale=0.1)
    g.op("Gemm", [x, w, b], "logits", "/fc/Gemm", transB=1)
    return g.model(
        [("pixel_values", F32, ["batch", 3, 32, 32])],
        [("features", F32, ["batch", 16]), ("logits", F32, ["batch", 10])],
        opset,
    )


def layer_norm(g, x, out, dim, opset, name):
    s, b = g.const(f"{out}.scale", np.ones(dim, np.float32)), g.rand(f"{out}.bias", dim, scale=0.1)
    if opset >= 17:
        return g.op("LayerNormalization", [x, s, b], out, f"{name}/LayerNormalization", axis=-1, epsilon=1e-6)
    mean = g.op("ReduceMean", [x], f"{out}.mean", f"{name}/ReduceMean", axes=[-1], keepdims=1)
    centred = g.op("Sub", [x, mean], f"{out}.centred", f"{name}/Sub")
    two, eps = g.const(f"{out}.two", np.float32(2)), g.const(f"{out}.eps", np.float32(1e-6))
    square = g.op("Pow", [centred, two], f"{out}.square", f"{name}/Pow")
    var = g.op("ReduceMean", [square], f"{out}.var", f"{name}/ReduceMean_1", axes=[-1], keepdims=1)
    std = g.op("Sqrt", [g.op("Add", [var, eps], f"{out}.var_eps", f"{name}/Add")], f"{out}.std", f"{name}/Sqrt")
    normal = g.op("Div", [centred, std], f"{out}.normal", f"{name}/Div")
    return g.op("Add", [g.op("Mul", [normal, s], f"{out}.scaled", f"{name}/Mul"), b], out, f"{name}/Add_1")


def vit(opset, seed=11, dim=24):
    """Patches of 8 x 8, a class token, two layers of attention with one head; shape arithmetic as PyTorch exports it."""
    g = Graph(seed)
    g.rand("patch.weight", dim, 3, 8, 8, scale=0.1)
    x = g.op("Conv", ["pixel_values", "patch.weight"], "patches", "/embeddings/Conv", kernel_shape=[8, 8], strides=[8, 8])
    shape = g.op("Shape", ["pixel_values"], "input_shape", "/embeddings/Shape")
    n = g.op("Gather", [shape, g.const("zero", np.array([0]))], "shape_n", "/embeddings/Gather", axis=0)
    tail = g.const("tail", np.array([dim, 16]))
    to = g.op("Concat", [n, tail], "shape_tokens", "/embeddings/Concat", axis=0)
    x = g.op("Transpose", [g.op("Reshape", [x, to], "flat", "/embeddings/Reshape")], "tokens", "/embeddings/Transpose", perm=[0, 2, 1])
    to = g.op("Concat", [n, g.const("one_dim", np.array([1, dim]))], "shape_cls", "/embeddings/Concat_1", axis=0)
    cls = g.op("Expand", [g.rand("cls", 1, 1, dim), to], "cls_tokens", "/embeddings/Expand")
    x = g.op("Concat", [cls, x], "with_cls", "/embeddings/Concat_2", axis=1)
    x = g.op("Add", [x, g.rand("position", 1, 17, dim, scale=0.3)], "embedded", "/embeddings/Add")
    for i in range(2):
        at, p = f"/encoder/layer.{i}", f"layer{i}"
        y = layer_norm(g, x, f"{p}_norm1", dim, opset, f"{at}/norm1")
        q, k, v = (
            g.op("MatMul", [y, g.rand(f"{p}.{m}", dim, dim, scale=dim**-0.5)], f"{p}_{m}", f"{at}/attention/{m}/MatMul")
            for m in "qkv"
        )
        k = g.op("Transpose", [k], f"{p}_kt", f"{at}/attention/Transpose", perm=[0, 2, 1])
        a = g.op("MatMul", [q, k], f"{p}_scores", f"{at}/attention/MatMul")
        a = g.op("Mul", [a, g.const(f"{p}.scale", np.float32(dim**-0.5))], f"{p}_scaled", f"{at}/attention/Mul")
        a = g.op("Softmax", [a], f"{p}_attention", f"{at}/attention/Softmax", axis=2)
        y = g.op("MatMul", [a, v], f"{p}_mixed", f"{at}/attention/MatMul_1")
        x = g.op("Add", [y, x], f"{p}_mid", f"{at}/Add")
        y = layer_norm(g, x, f"{p}_norm2", dim, opset, f"{at}/norm2")
        y = g.op("MatMul", [y, g.rand(f"{p}.up", dim, 2 * dim, scale=dim**-0.5)], f"{p}_up", f"{at}/mlp/MatMul")
        e = g.op("Mul", [y, g.const(f"{p}.root", np.float32(0.5**0.5))], f"{p}_by_root", f"{at}/mlp/Mul")
        e = g.op("Add", [g.op("Erf", [e], f"{p}_erf", f"{at}/mlp/Erf"), g.const(f"{p}.one", np.float32(1))], f"{p}_erf1", f"{at}/mlp/Add")
        y = g.op("Mul", [y, e], f"{p}_gelu", f"{at}/mlp/Mul_1")
        y = g.op("MatMul", [y, g.rand(f"{p}.down", 2 * dim, dim, scale=0.3 * dim**-0.5)], f"{p}_down", f"{at}/mlp/MatMul_1")
        x = g.op("Add", [y, x], f"{p}_out", f"{at}/Add_1")
    layer_norm(g, x, "last_hidden_state", dim, opset, "/norm")
    return g.model([("pixel_values", F32, ["batch", 3, 32, 32])], [("last_hidden_state", F32, ["batch", 17, dim])], opset)


def nhwc(opset, seed=13):
    """TensorFlow's order of dimensions and its names, batch fixed at 1."""
    g = Graph(seed)
    x = g.op("Transpose", ["images:0"], "nchw", "stem/transpose", perm=[0, 3, 1, 2])
    x = g.op("Relu", [g.conv(x, "stem", 3, 8, stride=2, name="model/blocks_0/conv2d")], "stem_relu", "model/blocks_0/relu")
    x = g.op("Transpose", [x], "map:0", "model/blocks_0/transpose", perm=[0, 2, 3, 1])
    y = g.op("Transpose", [x], "back", "model/head/transpose", perm=[0, 3, 1, 2])
    y = g.op("Flatten", [g.op("GlobalAveragePool", [y], "pool", "model/head/pool")], "flat", "model/head/flatten", axis=1)
    y = g.op("Gemm", [y, g.rand("fc", 8, 4), g.rand("fc.bias", 4)], "fc_out", "model/head/dense")
    g.op("Softmax", [y], "Softmax:0", "model/head/softmax", axis=1)
    return g.model(
        [("images:0", F32, [1, 32, 32, 3])], [("map:0", F32, [1, 16, 16, 8]), ("Softmax:0", F32, [1, 4])], opset
    )


def fp16(opset, seed=17):
    """Half precision throughout; its input has the name that image classifiers give to theirs."""
    g = Graph(seed)
    x = g.conv("image", "stem", 3, 8, stride=2, name="/stem/Conv", dtype=np.float16)
    x = g.op("GlobalAveragePool", [g.op("Relu", [x], "stem_relu", "/stem/Relu")], "pool", "/pool/GlobalAveragePool")
    g.op("Flatten", [x], "embedding", "/Flatten", axis=1)
    return g.model([("image", F16, ["n", 3, 32, 32])], [("embedding", F16, ["n", 8])], opset)


def qdq(opset, seed=19):
    """A stem and a residual block, quantised: QuantizeLinear and DequantizeLinear around every operator."""
    g = Graph(seed)

    def pair(x, out, scale, zero_point, at):
        s, z = g.const(f"{out}.scale", np.float32(scale)), g.const(f"{out}.zero_point", np.uint8(zero_point))
        q = g.op("QuantizeLinear", [x, s, z], f"{out}.q", f"{at}/QuantizeLinear")
        return g.op("DequantizeLinear", [q, s, z], out, f"{at}/DequantizeLinear")

    def conv(x, out, c_in, c_out, stride, at):
        w = g.rng.standard_normal((c_out, c_in, 3, 3)) * (2 / (c_in * 9)) ** 0.5
        s = (np.abs(w).max(axis=(1, 2, 3)) / 127).astype(np.float32)
        g.const(f"{out}.w", np.round(w / s[:, None, None, None]).astype(np.int8))
        g.const(f"{out}.w_scale", s)
        g.const(f"{out}.w_zero", np.zeros(c_out, np.int8))
        w = g.op("DequantizeLinear", [f"{out}.w", f"{out}.w_scale", f"{out}.w_zero"], f"{out}.w_dq", f"{at}/w/DequantizeLinear", axis=0)
        return g.op("Conv", [x, w], out, f"{at}/Conv", kernel_shape=[3, 3], pads=[1] * 4, strides=[stride, stride])

    x = pair("pixel_values", "input_dq", 2 / 255, 128, "/input")
    x = g.op("Relu", [conv(x, "stem", 3, 8, 2, "/stem")], "stem_relu", "/stem/Relu")
    x = pair(x, "stem_dq", 0.02, 0, "/stem")
    y = pair(conv(x, "block0_conv", 8, 8, 1, "/blocks/blocks.0/conv"), "block0_conv_dq", 0.04, 128, "/blocks/blocks.0/conv")
    y = g.op("Add", [y, x], "block0_sum", "/blocks/blocks.0/Add")
    x = pair(y, "block0_dq", 0.05, 100, "/blocks/blocks.0")
    g.op("Flatten", [g.op("GlobalAveragePool", [x], "pool", "/pool/GlobalAveragePool")], "features", "/Flatten", axis=1)
    return g.model([("pixel_values", F32, ["batch", 3, 32, 32])], [("features", F32, ["batch", 8])], opset)


def corner(opset):
    """Sees one quarter of the picture and nothing else, one picture at a time."""
    g = Graph(29)
    starts, ends = g.const("starts", np.array([0, 16], np.int64)), g.const("ends", np.array([16, 32], np.int64))
    part = g.op("Slice", ["pixel_values", starts, ends, g.const("axes", np.array([2, 3], np.int64))], "part", "/Slice")
    mean = g.op("GlobalAveragePool", [part], "mean", "/GlobalAveragePool")
    g.op("Flatten", [mean], "features", "/Flatten", axis=1)
    return g.model([("pixel_values", F32, [1, 3, 32, 32])], [("features", F32, [1, 3])], opset)


def not_image(opset, seed=23):
    """Token ids, as a text tower has them."""
    g = Graph(seed)
    x = g.op("Gather", [g.rand("embedding", 50, 8), "input_ids"], "tokens", "/Gather", axis=0)
    x = g.op("Transpose", [x], "turned", "/Transpose", perm=[0, 2, 1])
    x = g.op("GlobalAveragePool", [x], "mean", "/GlobalAveragePool")
    g.op("Flatten", [x], "sentence_embedding", "/Flatten", axis=1)
    return g.model([("input_ids", I64, ["batch", "sequence"])], [("sentence_embedding", F32, ["batch", 8])], opset)


def make(name, opset):
    return globals()[name](opset)


PREPROCESSOR = {
    "do_resize": True,
    "size": {"shortest_edge": 36},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 32, "width": 32},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def main(out):
    out = pathlib.Path(out)
    (out / "tiny_cnn").mkdir(parents=True, exist_ok=True)
    onnx.save(make("cnn", 17), out / "tiny_cnn" / "model.onnx")
    (out / "tiny_cnn" / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")
    onnx.save(make("vit", 17), out / "tiny_vit.onnx")
    onnx.save(make("nhwc", 11), out / "tiny_nhwc.onnx")
    onnx.save(make("fp16", 13), out / "tiny_fp16.onnx")
    onnx.save(make("qdq", 13), out / "tiny_qdq.onnx")
    onnx.save(make("corner", 13), out / "corner.onnx")
    onnx.save(make("not_image", 17), out / "not_image.onnx")
    external = make("cnn", 17)
    data = out / "tiny_external.onnx_data"
    data.unlink(missing_ok=True)
    onnx.save(external, out / "tiny_external.onnx", save_as_external_data=True, location=data.name, size_threshold=256)
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        assert path.stat().st_size < 100_000, path
        print(f"{path.stat().st_size:7} {path}")


if __name__ == "__main__":
    main(sys.argv[1])
