"""Accuracy of Graft's heads beside scikit-learn's on the same embeddings, and whether a second training is quick.

    pip install numpy scikit-learn
    cargo build --release
    python benches/accuracy.py --data DIR [DIR ...] [--seeds 3] [--graft target/release/graft]

Each DIR holds class folders, or `train` and `val` folders above them; a folder of several such sets stands for all of
them. Sets without a split are split four to one within each class, once a seed. scikit-learn's LogisticRegression is
fitted for every C of logspace(-4, 4, 17), and the C that is best ON THE VALIDATION IMAGES counts: an oracle that no
program has, so the linear head may be a little below it. Graft chooses its strength without looking at them.
"""

import argparse
import json
import os
import random
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

ROOT = Path(__file__).resolve().parents[1]
IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
CS = np.logspace(-4, 4, 17)


def class_folders(folder):
    """`{class: files}` when the folder's folders hold images."""
    found = {}
    for sub in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        files = sorted(f for f in sub.iterdir() if f.suffix.lower() in IMAGES)
        if files:
            found[sub.name] = files
    return found


def sets_in(folder, name=None):
    """(name, train, val) of every set at or below the folder; val is None where it must be split off."""
    name = name or folder.name
    if (folder / "train").is_dir() and (folder / "val").is_dir():
        return [(name, class_folders(folder / "train"), class_folders(folder / "val"))]
    classes = class_folders(folder)
    if len(classes) > 1:
        return [(name, classes, None)]
    below = sorted(p for p in folder.iterdir() if p.is_dir())
    return [found for sub in below for found in sets_in(sub, f"{name}/{sub.name}")]


def split(classes, seed):
    """Four to one within each class."""
    train, val = {}, {}
    for name, files in classes.items():
        files = list(files)
        random.Random(f"{seed}/{name}").shuffle(files)
        n = max(1, round(len(files) / 5))
        val[name], train[name] = sorted(files[:n]), sorted(files[n:])
    return train, val


def link(folder, classes):
    for name, files in classes.items():
        (folder / name).mkdir(parents=True)
        for file in files:
            (folder / name / file.name).symlink_to(file.resolve())
    return folder


def run(graft, *arguments):
    started = time.perf_counter()
    done = subprocess.run([graft, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"graft {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout, time.perf_counter() - started


def embeddings(graft, folder, out):
    run(graft, "embed", "--images", folder, "--out", out)
    arrays = np.load(out)
    return arrays["embeddings"], arrays["labels"]


def best_sklearn(train, val):
    """(best accuracy over C, that C)."""
    (x, y), (x_val, y_val) = train, val
    accuracies = []
    for c in CS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(C=c, max_iter=1000).fit(x, y)
        accuracies.append(model.score(x_val, y_val))
    best = int(np.argmax(accuracies))
    return accuracies[best], CS[best]


def measure(graft, name, train, val, seed, print_row):
    with tempfile.TemporaryDirectory() as temp:
        temp = Path(temp)
        folders = link(temp / "train", train), link(temp / "val", val)
        arguments = ["train", "--images", folders[0], "--val", folders[1], "--seed", seed, "--json"]
        first = json.loads(run(graft, *arguments)[0])
        text, seconds = run(graft, *arguments)
        second = json.loads(text)
        assert second["heads"] == first["heads"], f"{name}: the second training differs from the first"
        heads = {head["kind"]: head for head in first["heads"]}
        arrays = [embeddings(graft, folder, temp / "x.npz") for folder in folders]
        oracle, c = best_sklearn(*arrays)
        linear, prototype = heads["linear"]["val"], heads["prototype"]["val"]
        print_row(
            name, seed, first["n_train"], first["n_val"], len(first["skipped"]), linear["accuracy"],
            prototype["accuracy"], oracle, linear["accuracy"] - oracle, heads["linear"]["c"], c, linear["ece"],
            prototype["ece"], first["seconds"]["fit"], seconds, second["n_embedded"],
        )  # fmt: skip
        return linear["accuracy"] - oracle


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--graft", default=str(ROOT / "target" / "release" / "graft"))
    args = parser.parse_args()
    head = ("set", "seed", "train", "val", "skipped", "linear", "prototype", "oracle", "linear - oracle", "C", "C oracle")
    head += ("ECE linear", "ECE prototype", "fit s", "2nd run s", "2nd run embedded")
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))

    def print_row(*cells):
        shown = [f"{c:.4g}" if isinstance(c, float) else str(c) for c in cells]
        print("| " + " | ".join(shown) + " |", flush=True)

    with tempfile.TemporaryDirectory() as cache:
        os.environ.setdefault("GRAFT_CACHE_DIR", cache)
        for folder in args.data:
            for name, train, val in sets_in(folder):
                if val is not None:
                    measure(args.graft, name, train, val, 0, print_row)
                    continue
                differences = []
                for seed in range(args.seeds):
                    differences.append(measure(args.graft, name, *split(train, seed), seed, print_row))
                print(f"| {name} | mean | | | | | | | {np.mean(differences):.4f} | | | | | | | |", flush=True)


if __name__ == "__main__":
    main()
