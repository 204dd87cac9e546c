"""The entries of model_matrix.py that come from Keras, through tf2onnx, and from Paddle."""

import contextlib
import tempfile
from collections.abc import Callable

import numpy as np
import onnx
from model_matrix_tools import (
    HALF,
    LARGE,
    SMALL,
    UNSCALED,
    Matrix,
    Preprocess,
    Weights,
    entry,
    guess,
    squash,
    standard_input,
)

# --------------------------------------------------------------------------------------------------------------- Keras


def small_keras():
    """A functional model as people write them: convolutions, depthwise ones, batch norms, relu6, a residual."""
    import keras
    from keras import layers

    def block(x, n_channels: int, stride: int):
        x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        return layers.BatchNormalization()(layers.Conv2D(n_channels, 1, use_bias=False)(x))

    image = layers.Input((64, 64, 3), name="input_1")
    x = layers.Conv2D(8, 3, 2, padding="same", use_bias=False)(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = block(x, 16, 2)
    x = layers.Add()([x, block(x, 16, 1)])
    x = layers.ReLU(6.0)(block(x, 24, 2))
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(image, layers.Dense(10, activation="softmax", name="predictions")(x), name="small")


def application(name: str):
    def make():
        from keras import applications

        return getattr(applications, name)(weights=None, input_shape=(224, 224, 3))

    return make


# Keras loads images without keeping their aspect ratio.
SMALL_GUESS = Preprocess(squash(64), None, "bilinear", HALF, False)
MOBILENET = Preprocess(squash(224), None, "bilinear", HALF, False)
# Its first layers take 0..255 and do what else preprocessing would.
EFFICIENTNET = Preprocess(squash(224), None, "bilinear", UNSCALED, False, rescale=1.0)


@entry(
    SMALL,
    "keras_nhwc",
    "tensorflow",
    make=small_keras,
    side_px=64,
    family="convnet",
    known_from=None,
    preprocess=SMALL_GUESS,
    opset=13,
    notes="channels last at the input, channels first behind the first Transpose; softmax",
)
@entry(
    LARGE,
    "keras_mobilenet_v2",
    "tensorflow",
    make=application("MobileNetV2"),
    side_px=224,
    family="mobilenet",
    known_from="graph",
    preprocess=MOBILENET,
    opset=15,
    notes="keras.applications, tf2onnx",
)
@entry(
    LARGE,
    "keras_efficientnet_v2_b0",
    "tensorflow",
    make=application("EfficientNetV2B0"),
    side_px=224,
    family="efficientnet",
    known_from="graph",
    preprocess=EFFICIENTNET,
    opset=15,
    notes="keras.applications, tf2onnx; rescaling and normalisation are its first layers: it wants 0..255",
)
def keras_classifier(
    matrix: Matrix,
    name: str,
    make: Callable,
    side_px: int,
    *,
    family: str,
    known_from: str | None,
    preprocess: Preprocess,
    opset: int,
    notes: str,
) -> None:
    import keras
    import tensorflow as tf
    import tf2onnx

    keras.utils.set_random_seed(1)
    model = make()
    rng = np.random.default_rng(1)
    batch_norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in batch_norms:
        # Means and variances of what comes in, and factors and offsets that do something.
        layer.momentum = 0.0
        layer.gamma.assign(1 + 0.1 * rng.standard_normal(layer.gamma.shape))
        layer.beta.assign(0.1 * rng.standard_normal(layer.beta.shape))
    model(standard_input((8, side_px, side_px, 3)), training=True)
    x = standard_input((2, side_px, side_px, 3))
    last = model.layers[-1]
    features, scores = (np.asarray(v) for v in keras.Model(model.inputs, [last.input, last.output])(x, training=False))

    file = matrix.path(f"{name}.onnx")
    signature = (tf.TensorSpec((None, side_px, side_px, 3), tf.float32, name="input_1"),)
    tf2onnx.convert.from_keras(model, input_signature=signature, opset=opset, output_path=str(file))
    matrix.add(
        name,
        file,
        family=family,
        known_from=known_from,
        preprocess=preprocess,
        roles={"predictions": "logits"},
        weights=Weights(
            sum(int(np.prod(w.shape)) for w in model.trainable_weights),
            sum(layer.gamma.shape[0] for layer in batch_norms),
        ),
        features=features,
        results={"predictions": scores},
        feeds={"input_1": x},
        mid=("Add", "gap", r"add_\d+/Add"),
        notes=notes,
    )


# -------------------------------------------------------------------------------------------------------------- Paddle


def small_paddle():
    import paddle
    from paddle import nn

    def separable(n_in: int, n_out: int, stride: int) -> list:
        depthwise = nn.Conv2D(n_in, n_in, 3, stride, 1, groups=n_in, bias_attr=False)
        pointwise = nn.Conv2D(n_in, n_out, 1, bias_attr=False)
        return [depthwise, nn.BatchNorm2D(n_in), nn.Hardswish(), pointwise, nn.BatchNorm2D(n_out), nn.Hardswish()]

    class Net(nn.Layer):
        """PP-LCNet in small."""

        def __init__(self) -> None:
            super().__init__()
            stem = [nn.Conv2D(3, 8, 3, 2, 1, bias_attr=False), nn.BatchNorm2D(8), nn.Hardswish()]
            self.blocks = nn.Sequential(*stem, *separable(8, 16, 2), *separable(16, 24, 2), *separable(24, 32, 2))
            self.pool = nn.AdaptiveAvgPool2D(1)
            self.fc = nn.Linear(32, 10)

        def features(self, x):
            return paddle.flatten(self.pool(self.blocks(x)), 1)

        def forward(self, x):
            return nn.functional.softmax(self.fc(self.features(x)))

    return Net()


def with_old_names(graph: onnx.ModelProto) -> None:
    """Paddle 2's names, and dynamic dimensions as -1, as paddle2onnx wrote both for years."""
    g = graph.graph
    old: dict[str, str] = {}
    for i, node in enumerate(n for n in g.node if n.op_type != "Constant"):
        node.name = f"p2o.{node.op_type}.{i}"
        old[node.output[0]] = f"{node.op_type.lower()}_{i}.tmp_0"
    old |= {o.name: f"save_infer_model/scale_{i}.tmp_0" for i, o in enumerate(g.output)}
    for node in g.node:
        node.input[:] = [old.get(n, n) for n in node.input]
        node.output[:] = [old.get(n, n) for n in node.output]
    for port in [*g.input, *g.output]:
        port.name = old.get(port.name, port.name)
        for dim in port.type.tensor_type.shape.dim:
            if dim.HasField("dim_param"):
                dim.dim_value = -1
    del g.value_info[:]


def with_initializers(graph: onnx.ModelProto) -> None:
    """What the exporter's own optimiser does by default; that one installs packages by itself."""
    g = graph.graph
    for node in [n for n in g.node if n.op_type == "Constant"]:
        g.initializer.append(node.attribute[0].t)
        g.initializer[-1].name = node.output[0]
        g.node.remove(node)


PADDLE = "dynamic height and width, softmax; names of Paddle 3"
PADDLE_2 = "names of Paddle 2, dynamic dimensions are -1, weights are Constant nodes"


@entry(SMALL, "paddle", "paddle2onnx", change=with_initializers, notes=PADDLE)
@entry(SMALL, "paddle_2", "paddle2onnx", change=with_old_names, notes=PADDLE_2)
def paddle_classifier(matrix: Matrix, name: str, change: Callable[[onnx.ModelProto], None], notes: str) -> None:
    import paddle
    import paddle2onnx
    from paddle import nn

    paddle.seed(1)
    # Names of parameters are numbered through the whole process.
    with paddle.utils.unique_name.guard():
        model = small_paddle()
    batch_norms = [m for m in model.sublayers() if isinstance(m, nn.BatchNorm2D)]
    for m in batch_norms:
        m._momentum = 0.0
    model.train()
    model(paddle.to_tensor(standard_input((8, 3, 64, 64))))
    model.eval()
    x = standard_input((2, 3, 224, 224))
    features, scores = model.features(paddle.to_tensor(x)).numpy(), model(paddle.to_tensor(x)).numpy()

    file = matrix.path(f"{name}.onnx")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        spec = [paddle.static.InputSpec([-1, 3, -1, -1], "float32", "x")]
        paddle.jit.save(model, f"{folder}/inference", input_spec=spec)
        paddle2onnx.export(
            f"{folder}/inference.json",
            f"{folder}/inference.pdiparams",
            save_file=f"{folder}/model.onnx",
            opset_version=11,
            optimize_tool="None",
        )
        graph = onnx.load(f"{folder}/model.onnx")
    change(graph)
    onnx.save(graph, file)
    output = graph.graph.output[0].name
    n_trainable = sum(int(np.prod(p.shape)) for p in model.parameters() if not p.stop_gradient)
    matrix.add(
        name,
        file,
        family="pp-lcnet",
        known_from=None,
        preprocess=guess(224, "bicubic"),
        roles={output: "logits"},
        weights=Weights(n_trainable, sum(m.weight.shape[0] for m in batch_norms)),
        features=features,
        results={output: scores},
        feeds={"x": x},
        mid=("Mul", "gap"),
        notes=notes,
    )
