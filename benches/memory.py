"""Peak memory of `graft embed` on many images: it must not grow with their number, but for the embeddings themselves.

    cargo build --release
    python3 benches/memory.py [--sizes 5000 20000] [--images DIR] [--graft target/release/graft]

The images are those of DIR (default: assets/sample) again and again, each copy with another number after its end: no
decoder reads that, but the content hash differs, so that every file is embedded. The peak is the kernel's (VmHWM) and
includes everything: the program, ONNX Runtime, the model, the file that is written.
"""

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIM = 1280
LIMIT_MB = 500


def make_images(folder, sources, n):
    contents = [path.read_bytes() for path in sources]
    for i in range(n):
        sub = folder / f"{i // 1000:03}"
        sub.mkdir(exist_ok=True)
        (sub / f"{i:06}.jpg").write_bytes(contents[i % len(contents)] + i.to_bytes(4, "little"))


def measure(graft, sources, n):
    """(peak in MB, seconds) of one run."""
    with tempfile.TemporaryDirectory() as temp:
        images = Path(temp) / "images"
        images.mkdir()
        make_images(images, sources, n)
        env = os.environ | {"GRAFT_CACHE_DIR": str(Path(temp) / "cache")}
        command = [graft, "embed", "--images", str(images), "--out", str(Path(temp) / "x.npz")]
        started = time.perf_counter()
        child = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        # wait4 tells the peak of this child alone; RUSAGE_CHILDREN would give the largest of all.
        print("  " + child.stdout.read().strip())
        _, status, usage = os.wait4(child.pid, 0)
        if status != 0:
            raise SystemExit(f"graft ended with status {status}")
        return usage.ru_maxrss / 1024, time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5000, 20000])
    parser.add_argument("--images", type=Path, default=ROOT / "assets" / "sample")
    parser.add_argument("--graft", default=str(ROOT / "target" / "release" / "graft"))
    args = parser.parse_args()
    sources = sorted(p for p in args.images.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg"})
    too_much = False
    for n in args.sizes:
        peak, seconds = measure(args.graft, sources, n)
        own = n * DIM * 4 / 2**20
        print(
            f"{n} images: peak {peak:.0f} MB, embeddings {own:.0f} MB, the rest {peak - own:.0f} MB "
            f"({n / seconds:.0f} images/s)",
            flush=True,
        )
        too_much |= peak - own > LIMIT_MB
    if too_much:
        raise SystemExit(f"more than {LIMIT_MB} MB")


if __name__ == "__main__":
    main()
