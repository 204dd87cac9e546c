"""The entries of model_matrix.py that come from torchvision and timm, and how torch models are exported."""

import json
import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from model_matrix_tools import (
    HALF,
    IMAGENET,
    LARGE,
    SMALL,
    UNSCALED,
    Arrays,
    Matrix,
    Preprocess,
    Weights,
    crop,
    entry,
    guess,
    run,
    shortest,
    standard_input,
)
from onnx import TensorProto, helper, numpy_helper

# ----------------------------------------------------------------------------------------- weights, features, exporters


def randomised(model, side_px: int, seed: int = 1):
    """Seeded weights that let an image's differences reach the features, which the usual initial ones hardly do."""
    import torch
    from torch import nn

    # Also for what is dropped while batch norms learn.
    torch.manual_seed(seed)
    normal = lambda p, std, mean=0.0: p.copy_(torch.randn(p.shape) * std + mean)
    batch_norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for name, p in model.named_parameters():
            if re.search("token|pos_embed|position_embed|class_embedding|bias_table", name):
                normal(p, 0.5)
            elif p.ndim >= 2:
                gain = 1.0 if batch_norms else 1.4
                normal(p, gain * p[0].numel() ** -0.5)
            elif name.endswith("bias"):
                normal(p, 0.1)
            else:
                normal(p, 0.1, 1.0)
        if batch_norms:
            # Batch norms get the means and variances of their inputs, so that no layer fades out.
            for m in batch_norms:
                m.momentum = 1.0
            model.train()
            model(torch.from_numpy(standard_input((8, 3, side_px, side_px))))
    return model.eval()


def weights_of(model) -> Weights:
    from torch import nn

    channels = sum(m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    return Weights(sum(p.numel() for p in model.parameters()), channels)


def before_last_linear(model, image) -> np.ndarray:
    """What goes into the last linear layer."""
    from torch import nn

    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    seen = []
    hook = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(image)
    hook.remove()
    return seen[-1].numpy()


def before_classifier(model, image) -> np.ndarray:
    """SqueezeNet has no linear layer: the average of what goes into its last convolution."""
    return model.features(image).mean((2, 3)).numpy()


def timm_features(model, image) -> np.ndarray:
    return model.forward_head(model.forward_features(image), pre_logits=True).numpy()


def class_token(model, image) -> np.ndarray:
    return model.forward_features(image)[:, 0].numpy()


def export_torch(
    model,
    path: Path,
    x: np.ndarray,
    image: str,
    outputs: list[str],
    *,
    opset: int = 17,
    dynamo: bool = False,
    dynamic: bool = True,
    dynamic_size: bool = False,
) -> None:
    import torch

    axes = {0: "batch_size"} | ({2: "height", 3: "width"} if dynamic_size else {})
    options = {"input_names": [image], "output_names": outputs, "opset_version": opset, "dynamo": dynamo}
    if dynamic and dynamo:
        options["dynamic_shapes"] = ({0: torch.export.Dim("batch")},)
    elif dynamic:
        options["dynamic_axes"] = {image: axes} | {name: {0: "batch_size"} for name in outputs}
    if dynamo:
        options |= {"external_data": False, "verbose": False}
    torch.onnx.export(model, (torch.from_numpy(x.copy()),), str(path), **options)
    if dynamo:
        without_stack_traces(path)


def without_stack_traces(path: Path) -> None:
    """The new exporter notes the lines of code that each node came from: paths of this machine, and much text."""
    graph = onnx.load(path)
    for node in graph.graph.node:
        kept = [p for p in node.metadata_props if not p.key.endswith(("stack_trace", "fx_node"))]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    onnx.save(graph, path)


# ----------------------------------------------------------------------------------------------- what is made of a file


def to_half(file: Path) -> None:
    from onnxconverter_common import float16

    onnx.save(float16.convert_float_to_float16(onnx.load(file), keep_io_types=False), str(file))


def to_external(file: Path) -> None:
    graph = onnx.load(file)
    onnx.save(graph, file, save_as_external_data=True, location=f"{file.name}.data", size_threshold=256)


def to_qdq(file: Path, x: np.ndarray) -> None:
    """QDQ pairs, a scale a channel, calibrated on random pixels.

    Weights of seven bits here and in `to_dynamic`: with eight, sums overflow on processors without VNNI.
    """
    from onnxruntime import quantization as q
    from onnxruntime.quantization.shape_inference import quant_pre_process

    graph = onnx.load(file)

    class Reader(q.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter([{graph.graph.input[0].name: batch} for batch in (x, x[::-1].copy())])

        def get_next(self) -> Arrays | None:
            return next(self.batches, None)

    with tempfile.TemporaryDirectory() as folder:
        ready = f"{folder}/ready.onnx"
        quant_pre_process(str(file), ready)
        q.quantize_static(
            ready, str(file), Reader(), quant_format=q.QuantFormat.QDQ, per_channel=True, reduce_range=True
        )


def to_dynamic(file: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        plain = f"{folder}/plain.onnx"
        onnx.save(onnx.load(file), plain)
        options = {"weight_type": QuantType.QInt8, "op_types_to_quantize": ["MatMul", "Gemm"], "reduce_range": True}
        quantize_dynamic(plain, str(file), **options)


def last_float_before(graph: onnx.ModelProto, operators: tuple[str, ...]) -> str:
    """The float tensor that is quantised for the last of some operators."""
    makers = {o: n for n in graph.graph.node for o in n.output}
    name = [n for n in graph.graph.node if n.op_type in operators][-1].input[0]
    while name in makers and makers[name].op_type in ("DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear"):
        name = makers[name].input[0]
    return name


def classifier(
    matrix: Matrix,
    name: str,
    make: Callable,
    side_px: int,
    *,
    family: str,
    mid: tuple,
    notes: str,
    known_from: str | None = "graph",
    preprocess: Preprocess | None = None,
    image: str = "input",
    output: str = "output",
    path: str | None = None,
    features_of: Callable = before_last_linear,
    pixels: bool = False,
    variant: str = "",
    change: Callable[[onnx.ModelProto], Arrays] | None = None,
    **export,
) -> None:
    """An entry for a torch classifier. `change` edits the graph, not what it computes, and gives its other inputs.

    `variant` is half, external, qdq or dynamic; `pixels` says that the model takes bytes, channels last.
    """
    import torch

    model = make()
    randomised(model.inner if pixels else model, side_px)
    model.eval()
    n_images = 2 if export.get("dynamic", True) else 1
    shape = (n_images, side_px, side_px, 3) if pixels else (n_images, 3, side_px, side_px)
    x = standard_input(shape, "u8" if pixels else "f32")
    fed = x.astype(np.float16) if variant == "half" else x
    with torch.no_grad():
        as_fed = torch.from_numpy(fed if pixels else fed.astype(np.float32))
        features, logits = features_of(model, as_fed), model(as_fed).numpy()

    file = matrix.path(f"{path}/model.onnx" if path else f"{name}.onnx")
    export_torch(model, file, x, image, [output], **export)
    more_inputs: Arrays = {}
    if change:
        graph = onnx.load(file)
        more_inputs = change(graph)
        onnx.checker.check_model(graph)
        onnx.save(graph, file)
        image, output = graph.graph.input[0].name, graph.graph.output[0].name
    feeds = {image: fed} | more_inputs
    match variant:
        case "half":
            to_half(file)
        case "external":
            to_external(file)
        case "qdq":
            to_qdq(file, x)
        case "dynamic":
            to_dynamic(file)
    quantised = {"qdq": "Gemm", "dynamic": "MatMulInteger"}.get(variant)
    tensor = last_float_before(onnx.load(file), (quantised,)) if quantised else None
    if tensor:
        # Not a test of the quantisation, only that this is the tensor that it should be.
        found = run(file, feeds, [tensor])[tensor].reshape(features.shape)
        assert np.corrcoef(found.ravel(), features.ravel())[0, 1] > 0.9, f"{name}: {tensor} is something else"
    matrix.add(
        name,
        file,
        family=family,
        known_from=known_from,
        preprocess=preprocess or guess(side_px),
        roles={output: "logits"},
        weights=weights_of(model),
        features=None if tensor else features,
        results={} if tensor else {output: logits},
        feeds=feeds,
        mid=mid,
        notes=notes,
        path=path,
        tolerance=0.05 if tensor else 1e-2 if variant == "half" else 1e-4,
        feature_tensor=tensor,
        by_image=variant == "dynamic",
    )


# ------------------------------------------------------------------------------------------------------- small: ResNets


def small_resnet():
    """torchvision's ResNet with a block a stage and few channels."""
    from torch import nn
    from torchvision.models.resnet import BasicBlock, ResNet

    class SmallResNet(ResNet):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self._norm_layer, self.groups, self.base_width, self.dilation, self.inplanes = nn.BatchNorm2d, 1, 64, 1, 8
            self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(8)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            for i, (planes, stride) in enumerate([(8, 1), (16, 2), (16, 2), (24, 2)], 1):
                setattr(self, f"layer{i}", self._make_layer(BasicBlock, planes, 1, stride))
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(24, 10)

    # The new exporter writes the names of classes into the graph.
    SmallResNet.__module__, SmallResNet.__qualname__ = ResNet.__module__, ResNet.__qualname__
    return SmallResNet()


def resnet_with_pixels():
    import torch
    from torch import nn

    class WithPixels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = small_resnet()
            self.register_buffer("mean", torch.tensor(IMAGENET[0]))
            self.register_buffer("std", torch.tensor(IMAGENET[1]))

        def forward(self, pixels):
            return self.inner(((pixels.float() / 255 - self.mean) / self.std).permute(0, 3, 1, 2))

    return WithPixels()


def numbered(graph: onnx.ModelProto) -> Arrays:
    g = graph.graph
    names = {"input": "input.1"}
    for t in g.initializer:
        names[t.name] = str(len(names))
    for i, node in enumerate(g.node):
        node.name = f"{node.op_type}_{i}"
        for made in node.output:
            names[made] = str(len(names))
    for thing in [*g.initializer, *g.input, *g.output]:
        thing.name = names[thing.name]
    for node in g.node:
        node.input[:] = [names.get(n, n) for n in node.input]
        node.output[:] = [names[n] for n in node.output]
    del g.value_info[:]
    return {}


def before_gemm(graph: onnx.ModelProto, nodes: Callable[[str], list[onnx.NodeProto]]) -> None:
    """Puts nodes before the classifier; they make `dropped` of the features."""
    place, gemm = next((i, n) for i, n in enumerate(graph.graph.node) if n.op_type == "Gemm")
    for offset, node in enumerate(nodes(gemm.input[0])):
        graph.graph.node.insert(place + offset, node)
    next(n for n in graph.graph.node if n.op_type == "Gemm").input[0] = "dropped"


def training_input(graph: onnx.ModelProto) -> Arrays:
    graph.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "ratio"))
    graph.graph.input.append(helper.make_tensor_value_info("is_training", TensorProto.BOOL, []))
    node = helper.make_node
    before_gemm(graph, lambda x: [node("Dropout", [x, "ratio", "is_training"], ["dropped"], "/dropout/Dropout")])
    return {"is_training": np.array(False)}


def keep_prob(graph: onnx.ModelProto) -> Arrays:
    graph.graph.input.append(helper.make_tensor_value_info("keep_prob", TensorProto.FLOAT, []))
    node = helper.make_node
    # TensorFlow 1's dropout: x / keep_prob * floor(keep_prob + random in 0..1).
    nodes = lambda x: [
        node("Div", [x, "keep_prob"], ["divided"], "dropout/div"),
        node("RandomUniformLike", [x], ["random"], "dropout/random_uniform", dtype=TensorProto.FLOAT),
        node("Add", ["random", "keep_prob"], ["sum"], "dropout/add"),
        node("Floor", ["sum"], ["kept"], "dropout/Floor"),
        node("Mul", ["divided", "kept"], ["dropped"], "dropout/mul"),
    ]
    before_gemm(graph, nodes)
    return {"keep_prob": np.array(1.0, np.float32)}


def squeeze_as_if(graph: onnx.ModelProto) -> Arrays:
    g = graph.graph
    place, flatten = next((i, n) for i, n in enumerate(g.node) if n.op_type == "Flatten")
    source, target = flatten.input[0], flatten.output[0]
    for name, value in [("axes", [2, 3]), ("axis", 2), ("one", 1)]:
        g.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    node = helper.make_node
    of_unknown_shape = lambda n: helper.make_tensor_value_info(n, TensorProto.FLOAT, None)
    branch = lambda n: helper.make_graph([n], n.name, [], [of_unknown_shape(n.output[0])])
    squeeze = branch(node("Squeeze", [source, "axes"], ["squeezed"], "/Squeeze"))
    same = branch(node("Identity", [source], ["same"], "/Identity"))
    nodes = [
        node("Shape", [source], ["shape"], "/Shape"),
        node("Gather", ["shape", "axis"], ["height"], "/Gather"),
        node("Equal", ["height", "one"], ["is_one"], "/Equal"),
        node("If", ["is_one"], [target], "/If", then_branch=squeeze, else_branch=same),
    ]
    g.node.remove(flatten)
    for offset, n in enumerate(nodes):
        g.node.insert(place + offset, n)
    del g.value_info[:]
    return {}


RELU, ADD = ("Relu", "gap"), ("Add", "gap")
RESNETS: list[tuple[str, str, dict]] = [
    ("resnet_torchvision", "classic torch exporter, dynamic batch", {}),
    (
        "resnet_dynamo",
        "torch.export based exporter: names without slashes",
        {"opset": 18, "dynamo": True, "mid": ("Relu", "gem")},
    ),
    ("resnet_opset9", "the oldest opset still seen", {"opset": 9}),
    ("resnet_opset22", "a new opset, from the new exporter", {"opset": 22, "dynamo": True, "mid": ADD}),
    ("resnet_batch1", "every dimension fixed, batch 1", {"opset": 13, "dynamic": False, "mid": ("Relu", "gem")}),
    ("resnet_external", "weights in a file beside it", {"variant": "external", "mid": ADD}),
    (
        "numbered",
        "a ResNet with names as of torch before 1.13: numbers, and nothing of the modules",
        {"change": numbered, "known_from": None, "preprocess": guess(64, "bicubic")},
    ),
    ("resnet_training_input", "a second input, a bool that must be false", {"change": training_input}),
    (
        "resnet_keep_prob",
        "a second input, a float that must be 1; random numbers in the graph, which then do nothing",
        {"change": keep_prob},
    ),
    ("resnet_if", "torch's squeeze() as an If; the features have no shape in the graph", {"change": squeeze_as_if}),
    (
        "resnet_u8_nhwc",
        "bytes, channels last; scaled and normalised inside",
        {
            "make": resnet_with_pixels,
            "pixels": True,
            "image": "image",
            "output": "scores",
            "preprocess": guess(64, mean_std=UNSCALED, rescale=1.0),
        },
    ),
    ("resnet_qdq", "statically quantised by ONNX Runtime, QDQ", {"variant": "qdq", "mid": ADD}),
]
for resnet_name, resnet_notes, resnet_options in RESNETS:
    options = {"make": small_resnet, "side_px": 64, "family": "resnet", "mid": RELU, "notes": resnet_notes}
    entry(SMALL, resnet_name, "torchvision", **(options | resnet_options))(classifier)


# ------------------------------------------------------------------------------------------ small: torchvision and timm


@entry(SMALL, "mobilenet_v3_torchvision", "torchvision")
def mobilenet(matrix: Matrix, name: str) -> None:
    from torchvision.models.mobilenetv3 import InvertedResidualConfig as Block
    from torchvision.models.mobilenetv3 import MobileNetV3

    blocks = [
        Block(8, 3, 8, 8, True, "RE", 2, 1, 1.0),
        Block(8, 3, 24, 16, False, "RE", 2, 1, 1.0),
        Block(16, 3, 32, 16, True, "HS", 1, 1, 1.0),
        Block(16, 5, 32, 24, True, "HS", 2, 1, 1.0),
    ]
    make = lambda: MobileNetV3(blocks, last_channel=32, num_classes=10)
    notes = "hard swish and a layer between the pooled features and the classifier: the features are behind it"
    classifier(matrix, name, make, 64, family="mobilenet", mid=ADD, notes=notes)


@entry(SMALL, "efficientnet_torchvision", "torchvision")
def efficientnet(matrix: Matrix, name: str) -> None:
    from torchvision.models.efficientnet import EfficientNet, MBConvConfig

    blocks = [MBConvConfig(1, 3, 1, 8, 8, 1), MBConvConfig(4, 3, 2, 8, 8, 2), MBConvConfig(4, 5, 2, 8, 16, 2)]
    make = lambda: EfficientNet(blocks, dropout=0.2, num_classes=10, last_channel=48)
    options = {"preprocess": guess(64, "bicubic"), "notes": "swish as Sigmoid and Mul, squeeze and excitation"}
    classifier(matrix, name, make, 64, family="efficientnet", mid=ADD, **options)


@entry(SMALL, "squeezenet_torchvision", "torchvision")
def squeezenet(matrix: Matrix, name: str) -> None:
    from torch import nn
    from torchvision.models.squeezenet import Fire, SqueezeNet

    class SmallSqueezeNet(SqueezeNet):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            pool = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
            relu = lambda: nn.ReLU(inplace=True)
            fires = [Fire(16, 8, 16, 16), Fire(32, 8, 16, 16), pool(), Fire(32, 8, 24, 24), Fire(48, 8, 24, 24)]
            self.features = nn.Sequential(nn.Conv2d(3, 16, 3, 2), relu(), pool(), *fires)
            last = nn.Conv2d(48, 10, 1)
            self.classifier = nn.Sequential(nn.Dropout(), last, relu(), nn.AdaptiveAvgPool2d((1, 1)))

    notes = "no linear layer: scores are a pooled 1x1 convolution, features the average of what goes into it"
    options = {"family": "squeezenet", "mid": ("Concat", "gap"), "features_of": before_classifier, "notes": notes}
    classifier(matrix, name, SmallSqueezeNet, 64, **options)


TIMM = {"image": "input0", "output": "output0", "features_of": timm_features}
TOKEN_ADD = ("Add", "cls", r"blocks\.\d+/Add(_\d)?_output")
TIMM_VIT = {**TIMM, "family": "vit", "mid": TOKEN_ADD}
DYNAMIC = "dynamically quantised by ONNX Runtime; the scales come from the batch, so run image by image"


def write_json(folder: Path, file: str, content: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(json.dumps(content, indent=2) + "\n")


@entry(SMALL, "convnext_timm", "timm")
def convnext(matrix: Matrix, name: str) -> None:
    from timm.models.convnext import ConvNeXt

    make = lambda: ConvNeXt(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32), num_classes=10)
    preprocess = Preprocess(shortest(67), crop(64, "round"), "bicubic", IMAGENET, True)
    options = {**TIMM, "known_from": "config", "preprocess": preprocess, "path": name}
    options |= {
        "mid": ("Add", "gap_nhwc", "mlp/fc2/Add_output"),
        "notes": "timm's layout and names; channels last within blocks",
    }
    classifier(matrix, name, make, 64, family="convnext", **options)
    pretrained = {
        "tag": "d2_in1k",
        "custom_load": False,
        "input_size": [3, 64, 64],
        "fixed_input_size": False,
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "crop_mode": "center",
        "mean": IMAGENET[0],
        "std": IMAGENET[1],
        "num_classes": 10,
        "pool_size": [2, 2],
        "first_conv": "stem.0",
        "classifier": "head.fc",
    }
    config = {"architecture": "convnext_atto", "num_classes": 10, "num_features": 32, "pretrained_cfg": pretrained}
    write_json(matrix.folder / name, "config.json", config)


@entry(SMALL, "vit_timm", "timm", notes="class token, no side files: the mean is 0.5 as in timm's ViTs")
@entry(SMALL, "vit_dynamic_int8", "timm", variant="dynamic", notes=DYNAMIC)
def vit(matrix: Matrix, name: str, **options) -> None:
    from timm.models.vision_transformer import VisionTransformer

    make = lambda: VisionTransformer(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4, num_classes=10)
    classifier(matrix, name, make, 32, preprocess=guess(32, "bicubic", HALF, 0.9), **TIMM_VIT, **options)


# ---------------------------------------------------------------------------------------------------------------- large


def torchvision_model(model: str):
    import torchvision

    return torchvision.models.get_model(model, weights=None)


def timm_model(model: str):
    import timm

    return timm.create_model(model, pretrained=False)


SWISH = {"preprocess": guess(224, "bicubic")}
TORCHVISION: list[tuple[str, str, str, tuple, dict]] = [
    ("resnet18", "resnet18", "resnet", RELU, {}),
    ("resnet50", "resnet50", "resnet", RELU, {}),
    ("resnet50_external", "resnet50", "resnet", RELU, {"variant": "external", "notes": "weights in a file beside it"}),
    (
        "resnet18_dynamo",
        "resnet18",
        "resnet",
        RELU,
        {"dynamo": True, "opset": 18, "notes": "torch.export based exporter"},
    ),
    ("resnet18_fp16", "resnet18", "resnet", RELU, {"variant": "half", "notes": "float16 throughout"}),
    ("resnet18_qdq", "resnet18", "resnet", ADD, {"variant": "qdq", "notes": "statically quantised"}),
    ("mobilenet_v3_small", "mobilenet_v3_small", "mobilenet", ADD, {}),
    ("efficientnet_b0", "efficientnet_b0", "efficientnet", ADD, SWISH),
    ("squeezenet1_1", "squeezenet1_1", "squeezenet", ("Concat", "gap"), {"features_of": before_classifier}),
    ("densenet121", "densenet121", "densenet", ("Concat", "gap"), {}),
    ("regnet_y_400mf", "regnet_y_400mf", "regnet", ADD, {}),
]
for large_name, architecture, large_family, large_mid, more in TORCHVISION:
    options = {"make": partial(torchvision_model, architecture), "side_px": 224, "family": large_family}
    options |= {"mid": large_mid, "notes": "torchvision, classic exporter"}
    entry(LARGE, large_name, "torchvision", **(options | more))(classifier)

TIMM_GUESS = guess(224, "bicubic", crop_pct=0.9)
LARGE_TIMM: list[tuple[str, str, str, tuple, dict]] = [
    ("convnext_atto", "convnext_atto", "convnext", ("Add", "gap", r"blocks\.\d/Add_output"), SWISH),
    ("vit_tiny", "vit_tiny_patch16_224", "vit", TOKEN_ADD, {"preprocess": guess(224, "bicubic", HALF, 0.9)}),
    (
        "vit_tiny_dynamic_int8",
        "vit_tiny_patch16_224",
        "vit",
        TOKEN_ADD,
        {"preprocess": guess(224, "bicubic", HALF, 0.9), "variant": "dynamic", "notes": DYNAMIC},
    ),
    (
        "swin_tiny",
        "swin_tiny_patch4_window7_224",
        "swin",
        ("Add", "gap_nhwc", r"blocks\.\d/Add(_\d)?_output"),
        {"preprocess": TIMM_GUESS},
    ),
    (
        "deit_tiny_distilled",
        "deit_tiny_distilled_patch16_224",
        "deit",
        TOKEN_ADD,
        {
            "preprocess": TIMM_GUESS,
            "features_of": class_token,
            "notes": "two classifiers, one on the distillation token, whose scores are averaged",
        },
    ),
]
for large_name, architecture, large_family, large_mid, more in LARGE_TIMM:
    options = {"make": partial(timm_model, architecture), "side_px": 224, "family": large_family, **TIMM}
    options |= {"mid": large_mid, "notes": "timm, classic exporter"}
    entry(LARGE, large_name, "timm", **(options | more))(classifier)
