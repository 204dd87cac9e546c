"""The entries of model_matrix.py that come from transformers: folders, with what says how images are to be prepared."""

from collections.abc import Callable

import numpy as np
from model_matrix_tools import (
    HALF,
    IMAGENET,
    LARGE,
    OPENAI,
    SMALL,
    Arrays,
    Matrix,
    Preprocess,
    crop,
    entry,
    shortest,
    squash,
    standard_input,
)
from model_matrix_torch import export_torch, randomised, to_half, weights_of, write_json


def hugging_face(
    matrix: Matrix,
    name: str,
    model,
    side_px: int,
    outputs: dict[str, str],
    feature: Callable[[Arrays], np.ndarray],
    processor: dict,
    preprocess: Preprocess,
    *,
    family: str,
    notes: str,
    mid: tuple = ("Add", "cls", r"layers?\.\d+/Add(_\d)?_output"),
    onnx_file: str = "model.onnx",
    half: bool = False,
    **export,
) -> None:
    """An entry for a folder as Optimum or transformers.js has it. `feature` takes the outputs to the features."""
    import torch

    # As Optimum does it: the model itself is exported, so that names have nothing in front of them.
    forward = model.forward
    pick = lambda found: tuple(found[o] for o in outputs)
    model.forward = lambda pixel_values: pick(forward(pixel_values=pixel_values))
    randomised(model, side_px)
    x = standard_input((2, 3, side_px, side_px))
    fed = x.astype(np.float16) if half else x
    with torch.no_grad():
        results = dict(zip(outputs, (t.numpy() for t in model(torch.from_numpy(fed.astype(np.float32))))))
    folder = matrix.folder / name
    matrix.path(f"{name}/model.onnx")
    file = matrix.path(f"{name}/{onnx_file}")
    export_torch(model, file, x, "pixel_values", list(outputs), **export)
    if half:
        to_half(file)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    write_json(folder, "preprocessor_config.json", processor)
    matrix.add(
        name,
        file,
        family=family,
        known_from="config",
        preprocess=preprocess,
        roles=outputs,
        weights=weights_of(model),
        features=feature(results),
        results=results,
        feeds={"pixel_values": fed},
        mid=mid,
        notes=notes,
        path=name,
        tolerance=1e-2 if half else 1e-4,
    )


def first_token(results: Arrays) -> np.ndarray:
    return results["last_hidden_state"][:, 0]


def pooler(results: Arrays) -> np.ndarray:
    return results["pooler_output"]


def old_processor(kind: str, size: int, mean_std, crop_size: int | None = None, resample: int = 3) -> dict:
    """preprocessor_config.json of before 2023, as most models on the hub still have it."""
    crops = {} if crop_size is None else {"crop_size": crop_size, "do_center_crop": True}
    flags = {"do_normalize": True, "do_resize": True, "feature_extractor_type": kind}
    return {**crops, **flags, "image_mean": mean_std[0], "image_std": mean_std[1], "resample": resample, "size": size}


def new_processor(kind: str, size: dict, mean_std, crop_px: int | None = None, resample: int = 3) -> dict:
    crops = {} if crop_px is None else {"crop_size": {"height": crop_px, "width": crop_px}, "do_center_crop": True}
    flags = {"do_normalize": True, "do_rescale": True, "do_resize": True, "image_processor_type": kind}
    means = {"image_mean": mean_std[0], "image_std": mean_std[1], "rescale_factor": 1 / 255}
    return {**crops, **flags, **means, "resample": resample, "size": size}


TOKENS = {"last_hidden_state": "tokens"}
POOLED = {"last_hidden_state": "tokens", "pooler_output": "features"}
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
DINO = {"image_size": 56, "hidden_size": 16, "mlp_ratio": 2, "num_hidden_layers": 2, "num_attention_heads": 2}


@entry(SMALL, "swin_transformers", "transformers")
def swin(matrix: Matrix, name: str) -> None:
    from transformers import SwinConfig, SwinModel

    config = SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[2, 2], num_heads=[1, 2], window_size=4)
    processor = old_processor("ViTFeatureExtractor", 32, IMAGENET)
    preprocess = Preprocess(squash(32), None, "bicubic", IMAGENET, True)
    mean = lambda results: results["last_hidden_state"].mean(1)
    mid = ("Add", "mean", r"blocks\.\d/Add(_\d)?_output")
    options = {"family": "swin", "mid": mid, "notes": "Optimum's layout; no class token: the mean"}
    hugging_face(matrix, name, SwinModel(config), 32, TOKENS, mean, processor, preprocess, **options)


@entry(SMALL, "deit_transformers", "transformers")
def deit(matrix: Matrix, name: str) -> None:
    from transformers import DeiTConfig, DeiTModel

    model = DeiTModel(DeiTConfig(image_size=32, patch_size=8, **TOWER), add_pooling_layer=False)
    processor = old_processor("DeiTFeatureExtractor", 36, IMAGENET, crop_size=32)
    preprocess = Preprocess(squash(36), crop(32, "floor"), "bicubic", IMAGENET, True)
    notes = "only tokens come out: class, distillation, 16 patches; the crop is out of a square"
    hugging_face(matrix, name, model, 32, TOKENS, first_token, processor, preprocess, family="deit", notes=notes)


SMALL_CLIP = {"image_size": 32, "patch_size": 8, "projection_dim": 24, **TOWER}


@entry(SMALL, "clip_vision_transformers", "transformers", **SMALL_CLIP)
@entry(LARGE, "clip_vit_base_patch32", "transformers", image_size=224)
def clip(matrix: Matrix, name: str, **sizes) -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config, px = CLIPVisionConfig(**sizes), sizes["image_size"]
    processor = new_processor("CLIPImageProcessor", {"shortest_edge": px}, OPENAI, px)
    preprocess = Preprocess(shortest(px), crop(px, "floor"), "bicubic", OPENAI, True)
    outputs = {"image_embeds": "features", "last_hidden_state": "tokens"}
    notes = "transformers.js' layout; the projected embedding is an output"
    options = {"family": "clip", "onnx_file": "onnx/vision_model.onnx", "opset": 14, "notes": notes}
    embeds = lambda results: results["image_embeds"]
    model = CLIPVisionModelWithProjection(config)
    hugging_face(matrix, name, model, px, outputs, embeds, processor, preprocess, **options)


SMALL_SIZES = {"hidden_size": 384, "num_attention_heads": 6, "image_size": 518}


@entry(SMALL, "dinov2_transformers", "transformers", px=56, resize_px=64, **DINO)
@entry(LARGE, "dinov2_small", "transformers", px=224, resize_px=256, **SMALL_SIZES)
def dinov2(matrix: Matrix, name: str, px: int, resize_px: int, **sizes) -> None:
    from transformers import Dinov2Config, Dinov2Model

    processor = new_processor("BitImageProcessor", {"shortest_edge": resize_px}, IMAGENET, px)
    preprocess = Preprocess(shortest(resize_px), crop(px, "floor"), "bicubic", IMAGENET, True)
    notes = "height and width are dynamic, the position embedding is resized in the graph"
    options = {"family": "dinov2", "dynamic_size": True, "notes": notes}
    model = Dinov2Model(Dinov2Config(patch_size=14, **sizes))
    hugging_face(matrix, name, model, px, POOLED, pooler, processor, preprocess, **options)


@entry(SMALL, "dinov2_registers_transformers", "transformers")
def dinov2_registers(matrix: Matrix, name: str) -> None:
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(patch_size=14, num_register_tokens=4, **DINO))
    processor = new_processor("BitImageProcessor", {"shortest_edge": 64}, IMAGENET, 56)
    preprocess = Preprocess(shortest(64), crop(56, "floor"), "bicubic", IMAGENET, True)
    notes = "only tokens come out: class, four registers, 16 patches; torch.export based exporter"
    options = {"family": "dinov2", "dynamo": True, "opset": 18, "mid": ("Add", "cls", "^add"), "notes": notes}
    hugging_face(matrix, name, model, 56, TOKENS, first_token, processor, preprocess, **options)


@entry(SMALL, "vit_transformers_fp16", "transformers")
def vit_fp16(matrix: Matrix, name: str) -> None:
    from transformers import ViTConfig, ViTModel

    model = ViTModel(ViTConfig(image_size=32, patch_size=8, pooler_output_size=32, **TOWER))
    processor = new_processor("ViTImageProcessor", {"height": 32, "width": 32}, HALF, resample=2)
    preprocess = Preprocess(squash(32), None, "bilinear", HALF, True)
    options = {"family": "vit", "half": True, "notes": "float16 throughout, input and outputs too"}
    hugging_face(matrix, name, model, 32, POOLED, pooler, processor, preprocess, **options)
