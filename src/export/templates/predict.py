"""Classify images: python predict.py IMAGE...   (pip install numpy onnxruntime pillow)"""
import json, os, pathlib, sys; os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # nothing is sent to its maker
import numpy as np, onnxruntime
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
META = json.loads((HERE / "graft.json").read_text(encoding="utf-8"))
SPEC, CLASSES, RULE = META["preprocess"], META["classes"], META["unknown"]

def pixels(path):
    """The image as the backbone sees it: the same steps in the same order as in Graft."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    (w, h), r = image.size, SPEC["resize"]
    if r["mode"] == "shortest_side":
        s = r["size_px"]
        size = (s, s * h // w) if w <= h else (s * w // h, s)
    elif r["mode"] == "border":
        ratio = max(w / r["width_px"], h / r["height_px"])
        size = max(1, round(w / ratio)), max(1, round(h / ratio))
    else:
        size = (r["width_px"], r["height_px"]) if r["mode"] == "squash" else (w, h)
    image = image.resize(size, Image.Resampling[SPEC["filter"].upper()])
    crop = SPEC["crop"] or (r if r["mode"] == "border" else {"width_px": size[0], "height_px": size[1]})
    floor = crop.get("offset") == "floor"
    first = lambda d: d // 2 if floor else (round(d / 2) if d >= 0 else -(-d // 2))
    canvas = Image.new("RGB", (crop["width_px"], crop["height_px"]), tuple(SPEC["pad_rgb"]))
    canvas.paste(image, tuple(-first(side - length) for side, length in zip(size, canvas.size)))
    x, scale = np.asarray(canvas, np.float32), np.float32(SPEC["rescale"])
    x = x / np.float32(round(1 / scale)) if scale == np.float32(1 / max(1, round(1 / scale))) else x * scale
    x = ((x - np.float32(SPEC["mean"])) / np.float32(SPEC["std"]))[..., :: -1 if SPEC["channels"] == "bgr" else 1]
    return x.transpose(2, 0, 1) if SPEC["layout"] == "nchw" else x
session = onnxruntime.InferenceSession(str(HERE / "classifier.onnx"), providers=["CPUExecutionProvider"])
port, failed = session.get_inputs()[0], False
outputs = ["logits", "probabilities"] + ["distance"] * META["has_distance"]
# "Unknown" is what the rule in graft.json says of the largest probability or the distance to the nearest class.
limit = np.float32(RULE.get("below", RULE.get("above", 0)))
is_unknown = {"off": lambda p, d: False, "probability": lambda p, d: p < limit, "distance": lambda p, d: d > limit}[RULE["by"]]
for path in sys.argv[1:] or sys.exit(__doc__):
    try:
        x = pixels(path)[None]
    except Exception as error:  # no picture: the others get their answers, and the exit status says it
        print(f"{path}: {error}", file=sys.stderr)
        failed = True
        continue
    x = x.astype({"tensor(float16)": np.float16, "tensor(uint8)": np.uint8}.get(port.type, np.float32))
    x = np.repeat(x, port.shape[0] if isinstance(port.shape[0], int) else 1, axis=0)
    logits, p, *distance = (row[0] for row in session.run(outputs, {port.name: x}))
    label = "unknown" if is_unknown(p.max(), distance[0][0] if distance else None) else CLASSES[logits.argmax()]
    print(path, label, *(f"{name}={v:.6f}" for name, v in zip(CLASSES, p)), sep="\t")
sys.exit(failed)
