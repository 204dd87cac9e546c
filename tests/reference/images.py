"""Writes the image fixtures and what Pillow makes of them.

    pip install pillow numpy simplejpeg
    python tests/reference/images.py

Fills tests/fixtures/images with
  files/*          small image files of every format and variant that is decoded, and some that must be refused;
  rgb/HASH.rgb     raw RGB bytes, shared between files that hold the same pixels;
  cases.json       for each file its expected pixels (ImageOps.exif_transpose, convert("RGB")) or kind of error, and for
                   each preprocessing its specification, the 8-bit result and, for some, the 32-bit tensor.

The sizes, offsets and arithmetic of the preprocessing are written out here in Python as torchvision
(`int(size * long / short)`, `round` for crops), Hugging Face's image processors (floored crops; rescale in 64 bits, then
mean and standard deviation in 32) and timm (ResizeKeepRatio, CenterCropOrPad) have them, with Pillow's resize. Pillow must be 13 or newer: since then `resize` begins with the vertical
pass where the height shrinks much more than the width.
"""

import hashlib
import io
import json
import math
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageDraw, ImageOps

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "images"
FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
W, H = 47, 33


def picture(width, height, seed=0):
    """Gradients, shapes and a little noise: smooth parts, edges and texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    base = np.stack([255 * x / width, 255 * y / height, 127 + 120 * np.sin((x + 2 * y) / 9)], axis=-1)
    image = Image.fromarray(np.clip(base, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.ellipse([width * 0.1, height * 0.2, width * 0.5, height * 0.8], fill=(220, 40, 30))
    draw.rectangle([width * 0.6, height * 0.1, width * 0.9, height * 0.5], fill=(20, 160, 220))
    draw.line([0, height, width, 0], fill=(250, 250, 240), width=2)
    noisy = np.asarray(image).astype(np.float64) + rng.normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, depth, color, palette=None, interlaced=False):
    """A PNG of `samples` (height x width x channels) at any depth; Pillow does not write them all."""
    height, width = samples.shape[:2]

    def packed(part):
        rows = b""
        for row in part:
            flat = row.reshape(-1)
            if depth == 16:
                data = flat.astype(">u2").tobytes()
            elif depth == 8:
                data = flat.astype(np.uint8).tobytes()
            else:
                bits = "".join(format(int(v), f"0{depth}b") for v in flat)
                bits += "0" * (-len(bits) % 8)
                data = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
            rows += b"\0" + data
        return rows

    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    parts = [samples[y::dy, x::dx] for x, y, dx, dy in passes] if interlaced else [samples]
    data = b"".join(packed(part) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    chunks = png_chunk(b"IHDR", header)
    if palette is not None:
        chunks += png_chunk(b"PLTE", palette)
    return b"\x89PNG\r\n\x1a\n" + chunks + png_chunk(b"IDAT", zlib.compress(data, 9)) + png_chunk(b"IEND", b"")


def bmp(rows, bits, width, height, masks=None, compression=None, palette=b""):
    compression = (3 if masks else 0) if compression is None else compression
    extra = struct.pack("<III", *masks) if masks else b""
    n_colors = len(palette) // 4
    offset = 14 + 40 + len(extra) + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(rows), 0, 0, n_colors, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + header + extra + palette + rows


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def files():
    """Name to bytes of every file that must decode."""
    rgb = picture(W, H)
    a = np.asarray(rgb)
    gray = rgb.convert("L")
    alpha = Image.fromarray(((np.mgrid[0:H, 0:W][1] * 4) % 256).astype(np.uint8))
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    few = rgb.quantize(40, dither=Image.Dither.NONE)
    small = picture(24, 16, 3)
    out = {}

    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        for progressive in (False, True):
            out[f"jpeg_{name}{'_progressive' if progressive else ''}.jpg"] = saved(
                rgb, "JPEG", quality=85, subsampling=subsampling, progressive=progressive
            )
    for name in ("440", "411"):
        out[f"jpeg_{name}.jpg"] = simplejpeg.encode_jpeg(np.ascontiguousarray(a), 85, "RGB", name)
    out["jpeg_gray.jpg"] = saved(gray, "JPEG", quality=85)
    out["jpeg_gray_progressive.jpg"] = saved(gray, "JPEG", quality=85, progressive=True)
    out["jpeg_rough.jpg"] = saved(rgb, "JPEG", quality=15)
    out["jpeg_restarts.jpg"] = saved(rgb, "JPEG", quality=85, restart_marker_blocks=3)
    out["jpeg_rgb.jpg"] = saved(rgb, "JPEG", quality=85, keep_rgb=True)
    out["jpeg_one_pixel.jpg"] = saved(rgb.crop((5, 5, 6, 6)), "JPEG", quality=85)
    out["jpeg_one_column.jpg"] = saved(rgb.crop((5, 0, 6, H)), "JPEG", quality=85)
    cmyk = saved(rgb.convert("CMYK"), "JPEG", quality=85)
    adobe = cmyk.index(b"Adobe")
    out["jpeg_cmyk.jpg"] = cmyk
    out["jpeg_ycck.jpg"] = cmyk[: adobe + 11] + b"\x02" + cmyk[adobe + 12 :]
    out["jpeg_cmyk_unmarked.jpg"] = cmyk[: adobe - 4] + cmyk[adobe + 12 :]
    plain = saved(rgb, "JPEG", quality=85)
    out["jpeg_rubbish_before_end.jpg"] = plain[:-2] + b"\0\0\0" + plain[-2:]
    out["jpeg_rubbish_after_end.jpg"] = plain + b"rubbish"
    for orientation in range(1, 9):
        out[f"jpeg_orientation_{orientation}.jpg"] = saved(small, "JPEG", quality=85, exif=exif(orientation))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    out["jpeg_orientation_xmp.jpg"] = saved(small, "JPEG", quality=85, xmp=xmp)

    g16 = np.asarray(gray).astype(np.uint16) * 2
    a16 = a.astype(np.uint16) * 257 - np.uint16(100) * (a > 0)
    al = np.asarray(alpha)
    for depth in (1, 2, 4):
        out[f"png_gray_{depth}.png"] = png(np.asarray(gray) >> (8 - depth), depth, 0)
        colors = bytes(int(v) for i in range(2**depth) for v in a[(i * 5) % H, (i * 7) % W])
        out[f"png_palette_{depth}.png"] = png(np.asarray(gray) >> (8 - depth), depth, 3, colors)
    out["png_gray_4_interlaced.png"] = png(np.asarray(gray) >> 4, 4, 0, interlaced=True)
    out["png_gray_8.png"] = png(np.asarray(gray), 8, 0)
    out["png_gray_16.png"] = png(g16, 16, 0)
    out["png_gray_alpha_8.png"] = png(np.dstack([np.asarray(gray), al]), 8, 4)
    out["png_gray_alpha_16.png"] = png(np.dstack([g16, al]), 16, 4)
    out["png_rgb_8.png"] = png(a, 8, 2)
    out["png_rgb_8_interlaced.png"] = png(a, 8, 2, interlaced=True)
    out["png_rgb_16.png"] = png(a16, 16, 2)
    out["png_rgba_8.png"] = png(np.dstack([a, al]), 8, 6)
    out["png_rgba_16.png"] = png(np.dstack([a16, al.astype(np.uint16) * 257]), 16, 6)
    out["png_palette_8.png"] = saved(few, "PNG")
    out["png_palette_transparent.png"] = saved(few, "PNG", transparency=3)
    out["png_palette_short.png"] = png(np.asarray(gray), 8, 3, bytes(range(90)))
    out["png_orientation_8.png"] = saved(small, "PNG", exif=exif(8))

    out["webp_lossy.webp"] = saved(rgb, "WEBP", quality=80)
    out["webp_lossy_rough.webp"] = saved(rgb, "WEBP", quality=15)
    out["webp_lossy_alpha.webp"] = saved(rgba, "WEBP", quality=80)
    out["webp_lossless.webp"] = saved(rgb, "WEBP", lossless=True)
    out["webp_lossless_alpha.webp"] = saved(rgba, "WEBP", lossless=True)
    out["webp_lossless_alpha_exact.webp"] = saved(rgba, "WEBP", lossless=True, exact=True)
    out["webp_animated.webp"] = saved(rgb, "WEBP", save_all=True, append_images=[picture(W, H, 1)], quality=80)
    out["webp_orientation_5.webp"] = saved(small, "WEBP", lossless=True, exif=exif(5))

    out["gif_palette.gif"] = saved(few, "GIF")
    out["gif_plain_rows.gif"] = saved(few, "GIF", interlace=0)
    out["gif_gray.gif"] = saved(gray, "GIF")
    out["gif_transparent.gif"] = saved(few, "GIF", transparency=3)
    out["gif_animated.gif"] = saved(few, "GIF", save_all=True, append_images=[picture(W, H, 1).quantize(30)])
    larger = struct.pack("<HH", W + 9, H + 5)
    out["gif_larger_screen.gif"] = out["gif_palette.gif"][:6] + larger + out["gif_palette.gif"][10:]
    out["gif_larger_screen_transparent.gif"] = out["gif_transparent.gif"][:6] + larger + out["gif_transparent.gif"][10:]
    out["gif_smaller_screen.gif"] = out["gif_palette.gif"][:6] + struct.pack("<HH", 30, 20) + out["gif_palette.gif"][10:]

    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "LA"):
        source = few if mode == "P" else rgba.convert(mode)
        out[f"tiff_{mode.lower()}.tif"] = saved(source, "TIFF")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        out[f"tiff_rgb_{compression.removeprefix('tiff_')}.tif"] = saved(rgb, "TIFF", compression=compression)
    out["tiff_1_group4.tif"] = saved(rgb.convert("1"), "TIFF", compression="group4")
    out["tiff_gray_16.tif"] = saved(Image.fromarray(g16), "TIFF")
    out["tiff_gray_float.tif"] = saved(Image.fromarray(np.asarray(gray).astype(np.float32) * 1.3 - 20), "TIFF")
    out["tiff_orientation_6.tif"] = saved(small, "TIFF", exif=exif(6))
    out["tiff_two_pages.tif"] = saved(rgb, "TIFF", save_all=True, append_images=[small])

    out["bmp_1.bmp"] = saved(rgb.convert("1"), "BMP")
    out["bmp_gray.bmp"] = saved(gray, "BMP")
    out["bmp_palette.bmp"] = saved(few, "BMP")
    out["bmp_rgb.bmp"] = saved(rgb, "BMP")
    out["bmp_rgba.bmp"] = saved(rgba, "BMP")
    wide = np.dstack([a, al])[:, :, [2, 1, 0, 3]]
    out["bmp_32.bmp"] = bmp(wide[::-1].tobytes(), 32, W, H)
    out["bmp_top_down.bmp"] = bmp(wide.tobytes(), 32, W, -H)
    for name, shifts, masks in (
        ("555", (7, 2, 3), None),
        ("565", (8, 3, 3), (0xF800, 0x07E0, 0x001F)),
    ):
        r, g, b = (a[:, :, c].astype(np.uint16) for c in range(3))
        if name == "555":
            v = (r >> 3) << 10 | (g >> 3) << 5 | b >> 3
        else:
            v = (r >> 3) << 11 | (g >> 2) << 5 | b >> 3
        rows = np.zeros((H, (W * 2 + 3) // 4 * 2), dtype="<u2")
        rows[:, :W] = v[::-1]
        out[f"bmp_{name}.bmp"] = bmp(rows.tobytes(), 16, W, H, masks)
    runs = b"".join(bytes([20, (y * 3) % 40, 0, 5, 1, 2, 3, 4, 5, 0, W - 25, 7, 0, 0]) for y in range(H)) + b"\0\1"
    few_palette = b"".join(bytes([*few.getpalette()[i * 3 : i * 3 + 3][::-1], 0]) for i in range(40))
    out["bmp_rle8.bmp"] = bmp(runs, 8, W, H, compression=1, palette=few_palette)
    return out


def refused():
    """Name to (bytes, kind of error) of files that must not decode."""
    plain = saved(picture(W, H), "JPEG", quality=85)
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    huge = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(3000), 9))
    whole = saved(picture(W, H), "PNG")
    return {
        "truncated.jpg": (plain[: len(plain) * 2 // 3], "truncated"),
        "truncated_end.jpg": (plain[:-2], "truncated"),
        "truncated_progressive.jpg": (
            (lambda b: b[: len(b) * 2 // 3])(saved(picture(W, H), "JPEG", quality=85, progressive=True)),
            "truncated",
        ),
        "truncated.png": (whole[: len(whole) // 2], "truncated"),
        "truncated.webp": ((lambda b: b[: len(b) // 2])(saved(picture(W, H), "WEBP")), "truncated"),
        "text.jpg": (b"This is no picture, whatever its name says.\n", "not_an_image"),
        "empty.jpg": (b"", "empty"),
        "huge.png": (huge + png_chunk(b"IEND", b""), "too_large"),
    }


def store(data):
    name = hashlib.sha256(data).hexdigest()[:16] + ".rgb"
    (OUT / "rgb" / name).write_bytes(data)
    return name


def resized_size(resize, width, height):
    """(width, height) after the resize."""
    mode = resize["mode"]
    if mode == "none":
        return width, height
    if mode == "squash":
        return resize["width_px"], resize["height_px"]
    if mode == "border":
        ratio = max(height / resize["height_px"], width / resize["width_px"])
        return max(1, round(width / ratio)), max(1, round(height / ratio))
    size, short, long = resize["size_px"], min(width, height), max(width, height)
    other = int(size * long / short)
    return (size, other) if width <= height else (other, size)


def crop_or_pad(a, crop, pad):
    """torchvision's and timm's ("round") or Hugging Face's ("floor") centre crop."""
    for axis, out in ((0, crop["height_px"]), (1, crop["width_px"])):
        side = a.shape[axis]
        if side >= out:
            margin = (side - out) / 2
            first = math.floor(margin) if crop["offset"] == "floor" else int(round(margin))
            a = a.take(range(first, first + out), axis=axis)
        else:
            before = math.ceil((out - side) / 2) if crop["offset"] == "floor" else (out - side) // 2
            shape = list(a.shape)
            shape[axis] = out
            padded = np.empty(shape, np.uint8)
            padded[...] = pad
            index = [slice(None)] * 3
            index[axis] = slice(before, before + side)
            padded[tuple(index)] = a
            a = padded
    return a


def preprocessed(image, spec):
    size = resized_size(spec["resize"], *image.size)
    a = np.asarray(image.resize(size, FILTERS[spec["filter"]]))
    crop = spec["crop"]
    if crop is None:
        crop = {"height_px": spec["resize"]["height_px"], "width_px": spec["resize"]["width_px"], "offset": "round"}
    return crop_or_pad(a, crop, spec["pad_rgb"])


def tensor(a, spec):
    """Hugging Face's rescale and normalize, in numpy, channels first."""
    scaled = (a.astype(np.float64) * (1 / 255)).astype(np.float32)
    mean, std = np.array(spec["mean"], np.float32), np.array(spec["std"], np.float32)
    return ((scaled - mean) / std).transpose(2, 0, 1)


def specs():
    shortest = lambda n: {"mode": "shortest_side", "size_px": n}
    squash = lambda h, w: {"mode": "squash", "height_px": h, "width_px": w}
    border = lambda h, w: {"mode": "border", "height_px": h, "width_px": w}
    crop = lambda h, w, offset: {"height_px": h, "width_px": w, "offset": offset}
    clip = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
    imagenet = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    # image, filter, resize, crop, padding, (mean, std) where the tensor is stored
    rows = [
        ("photo", "bicubic", shortest(32), crop(32, 32, "floor"), 0, clip),
        ("photo", "bilinear", shortest(37), crop(32, 32, "round"), 0, imagenet),
        ("photo", "bilinear", shortest(64), crop(56, 56, "floor"), 0, None),
        ("photo", "bicubic", shortest(41), crop(30, 33, "round"), 0, None),
        ("photo", "lanczos", shortest(48), crop(48, 48, "floor"), 0, None),
        ("photo", "bicubic", squash(40, 40), None, 0, None),
        ("photo", "bilinear", squash(29, 51), None, 0, None),
        ("photo", "lanczos", squash(51, 29), None, 0, None),
        ("photo", "bicubic", border(45, 45), crop(45, 45, "round"), 128, None),
        ("photo", "bicubic", border(40, 60), None, 7, None),
        ("tall", "bicubic", shortest(32), crop(32, 32, "floor"), 0, None),
        ("tall", "bilinear", border(33, 44), None, 255, None),
        ("tall", "bilinear", {"mode": "none"}, crop(40, 40, "floor"), 9, None),
        ("tall", "bilinear", {"mode": "none"}, crop(40, 40, "round"), 9, None),
        ("tiny", "bicubic", shortest(40), crop(40, 40, "floor"), 0, None),
        ("tiny", "bilinear", squash(33, 47), None, 0, None),
        ("tiny", "lanczos", shortest(31), crop(28, 28, "round"), 0, None),
        ("line", "bicubic", shortest(32), crop(32, 32, "floor"), 0, None),
        ("line", "bicubic", border(32, 32), None, 50, None),
    ]
    for image, filter, resize, crop, pad, mean_std in rows:
        mean, std = mean_std or ([0.0] * 3, [1.0] * 3)
        spec = {"resize": resize, "filter": filter, "crop": crop, "pad_rgb": [pad] * 3, "rescale": 0.00392156862745098}
        yield image, spec | {"mean": mean, "std": std, "channels": "rgb", "layout": "nchw"}, mean_std is not None


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "files").mkdir(parents=True)
    (OUT / "rgb").mkdir()
    decode, refuse, preprocess = [], [], []
    for name, data in files().items():
        (OUT / "files" / name).write_bytes(data)
        stored = Image.open(io.BytesIO(data))
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        case = {"file": name, "width_px": image.width, "height_px": image.height, "rgb": store(image.tobytes())}
        decode.append(case | {"stored_size_px": list(stored.size)})
    for name, (data, kind) in refused().items():
        (OUT / "files" / name).write_bytes(data)
        try:
            Image.open(io.BytesIO(data)).load()
            raise AssertionError(f"Pillow takes {name}")
        except Exception as error:
            assert not isinstance(error, AssertionError), error
        refuse.append({"file": name, "error": kind})
    images = {
        "photo": picture(99, 71, 5),
        "tall": picture(31, 77, 6),
        "tiny": picture(7, 5, 7),
        "line": picture(1, 500, 8),
    }
    for name, image in images.items():
        (OUT / "files" / f"source_{name}.png").write_bytes(saved(image, "PNG"))
    for i, (image, spec, with_tensor) in enumerate(specs()):
        a = preprocessed(images[image], spec)
        case = {"file": f"source_{image}.png", "spec": spec, "rgb": store(np.ascontiguousarray(a).tobytes())}
        case |= {"height_px": a.shape[0], "width_px": a.shape[1], "tensor": None}
        if with_tensor:
            case["tensor"] = f"tensor_{i}.f32"
            (OUT / "rgb" / case["tensor"]).write_bytes(tensor(a, spec).astype("<f4").tobytes())
        preprocess.append(case)
    cases = {"decode": decode, "refused": refuse, "preprocess": preprocess}
    (OUT / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    total = sum(path.stat().st_size for path in OUT.rglob("*") if path.is_file())
    print(f"{len(decode)} files, {len(preprocess)} preprocessings, {total // 1024} KiB")


if __name__ == "__main__":
    main()
