"""Faults that are made, and whether `graft clean` finds them: labels that are flipped, copies, strangers.

    pip install numpy pillow scikit-learn cleanlab
    python tests/reference/faults.py labels    --graft target/release/graft --set hymenoptera=DIR --set sign=DIR
    python tests/reference/faults.py copies    --graft target/release/graft --set flowers=DIR --set sketch=DIR
    python tests/reference/faults.py strangers --graft target/release/graft --set flowers=DIR --set sketch=DIR

Each DIR has one folder of images a class. Nothing in it is changed: what is made is made in a temporary folder.

labels: a tenth of the labels is flipped at random, five times. cleanlab gets the same features (of `graft embed`) and the same
folds (of `graft clean --probabilities`), and fits scikit-learn's logistic regression on them with the best C of several by log
loss; and once more the very probabilities of Graft's first cross-validation.

copies: of 60 images a set each kind of copy is made; one kind at a time is put beside all originals, in the same class. An
original and its copy in one group are found; any other pair of a group is false, unless the originals alone are such a pair.

strangers: a twentieth of another set's images is put into random classes. And each set as it is.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import subprocess
import tempfile
import warnings

import numpy as np

warnings.filterwarnings("ignore")


def run(graft, *args):
    done = subprocess.run([graft, *args], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"graft {' '.join(args)}: {done.stderr}")
    return done.stdout


def images(root):
    """Class and file of every image, by name."""
    found = []
    for label in sorted(os.listdir(root)):
        folder = os.path.join(root, label)
        if os.path.isdir(folder):
            found += [(label, os.path.join(folder, name)) for name in sorted(os.listdir(folder))]
    return found


def place(folder, label, path, name):
    os.makedirs(os.path.join(folder, label), exist_ok=True)
    os.symlink(os.path.abspath(path), os.path.join(folder, label, name))


def scores(found, true):
    return len(found & true) / max(len(found), 1), len(found & true) / len(true)


def labels(graft, sets, work, n_seeds):
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression

    for set_name, root in sets:
        files = images(root)
        classes = sorted({label for label, _ in files})
        rows = {"Graft": [], "cleanlab, scikit-learn on the same folds": [], "cleanlab, the same probabilities": []}
        for seed in range(n_seeds):
            rng = random.Random(seed)
            flipped = set(rng.sample(range(len(files)), round(0.1 * len(files))))
            folder = os.path.join(work, f"{set_name}{seed}")
            wrong = set()
            for i, (label, path) in enumerate(files):
                name = f"{i}_{os.path.basename(path)}"
                if i in flipped:
                    label = rng.choice([other for other in classes if other != label])
                    wrong.add(name)
                place(folder, label, path, name)
            npz = os.path.join(work, "held-out.npz")
            out = json.loads(run(graft, "clean", "--images", folder, "--json", "--probabilities", npz))
            name_of = os.path.basename
            rows["Graft"].append(scores({name_of(e["path"]) for e in out["label_errors"]}, wrong))

            held_out = np.load(npz)
            names = [name_of(path) for path in held_out["paths"]]
            y = np.array([list(held_out["classes"]).index(label) for label in held_out["labels"]])
            embedded = os.path.join(work, "embedded.npz")
            run(graft, "embed", "--images", folder, "--out", embedded)
            features = np.load(embedded)
            row = {name_of(path): i for i, path in enumerate(features["paths"])}
            x = features["embeddings"][[row[name] for name in names]].astype(np.float64)
            x /= np.linalg.norm(x, axis=1, keepdims=True)
            best = None
            for c in (1, 3, 10, 30, 100, 300):
                p = np.zeros((len(y), len(classes)))
                for fold in np.unique(held_out["folds"]):
                    inside = held_out["folds"] == fold
                    p[inside] = LogisticRegression(C=c, max_iter=3000).fit(x[~inside], y[~inside]).predict_proba(x[inside])
                loss = -np.log(p[np.arange(len(y)), y] + 1e-12).mean()
                if best is None or loss < best[0]:
                    best = (loss, p)
            for kind, p in (
                ("cleanlab, scikit-learn on the same folds", best[1]),
                ("cleanlab, the same probabilities", held_out["probabilities"].astype(np.float64)),
            ):
                found = {names[i] for i in np.flatnonzero(find_label_issues(y, p, n_jobs=1))}
                rows[kind].append(scores(found, wrong))
            shutil.rmtree(folder)
        print(f"{set_name}: {len(files)} images, {len(wrong)} flipped, {n_seeds} seeds")
        for kind, row in rows.items():
            precision, recall = np.mean(row, axis=0)
            print(f"  {kind:42} precision {precision:.3f}  recall {recall:.3f}", flush=True)


def copies(graft, sets, work, n_picked):
    from PIL import Image, ImageEnhance, ImageOps

    def cut(im, left, top=None, right=None, bottom=None):
        top, right, bottom = (left if side is None else side for side in (top, right, bottom))
        w, h = im.size
        return im.crop((round(w * left), round(h * top), w - round(w * right), h - round(h * bottom)))

    def scaled(im, factor):
        return im.resize((max(1, round(im.width * factor)), max(1, round(im.height * factor))), Image.LANCZOS)

    kinds = {
        "half the size": (lambda im: scaled(im, 0.5), 92),
        "one and a half": (lambda im: scaled(im, 1.5), 92),
        "JPEG of quality 30": (lambda im: im, 30),
        "3 % cropped": (lambda im: cut(im, 0.03), 92),
        "6 % cropped": (lambda im: cut(im, 0.06), 92),
        "6 % of one side": (lambda im: cut(im, 0.06, 0, 0, 0), 92),
        "mirrored": (lambda im: ImageOps.mirror(im), 92),
        "lighter": (lambda im: ImageEnhance.Brightness(im).enhance(1.15), 92),
        "mirrored, cropped, small, quality 50": (lambda im: scaled(cut(ImageOps.mirror(im), 0.03), 0.6), 50),
    }

    def pairs(out):
        found = set()
        for group in out["copies"]:
            names = sorted(os.path.basename(path) for path in group["paths"])
            found |= set(itertools.combinations(names, 2))
        return found

    total = [0, 0, 0]
    for set_name, root in sets:
        files = images(root)
        names = [f"{i}_{os.path.basename(path)}" for i, (_, path) in enumerate(files)]
        folder = os.path.join(work, set_name)
        for (label, path), name in zip(files, names):
            place(folder, label, path, name)
        own = pairs(json.loads(run(graft, "clean", "--images", folder, "--json")))
        # What is the same picture twice in the set has two originals.
        same = {}
        for a, b in own:
            same.setdefault(a, set()).add(b)
            same.setdefault(b, set()).add(a)
        print(f"{set_name}: {len(files)} images, {len(own)} pairs among them as they come")
        picked = random.Random(1).sample(range(len(files)), min(n_picked, len(files)))
        for kind, (make, quality) in kinds.items():
            made = {}
            for i in picked:
                label, path = files[i]
                im = make(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
                name = f"{i}_copy.jpg"
                im.save(os.path.join(folder, label, name), quality=quality)
                made[name] = names[i]
            found = pairs(json.loads(run(graft, "clean", "--images", folder, "--json"))) - own
            right, false = set(), 0
            for a, b in found:
                of_a, of_b = made.get(a, a), made.get(b, b)
                if of_a == of_b or of_b in same.get(of_a, ()):
                    right |= {name for name in (a, b) if name in made}
                else:
                    false += 1
            n_right = len(right)
            total = [total[0] + n_right, total[1] + false, total[2] + len(made)]
            print(
                f"  {kind:38} recall {n_right / len(made):.3f}  precision {n_right / max(n_right + false, 1):.3f}", flush=True
            )
            for name in made:
                os.remove(os.path.join(folder, files[int(name.split("_")[0])][0], name))
        shutil.rmtree(folder)
    print(f"all: recall {total[0] / total[2]:.3f}  precision {total[0] / max(total[0] + total[1], 1):.3f}")


def strangers(graft, sets, work, n_most):
    rng = random.Random(0)
    few = {name: rng.sample(files, min(n_most, len(files))) for name, files in ((n, images(r)) for n, r in sets)}

    def outliers(files, planted):
        folder = os.path.join(work, "set")
        for i, (label, path) in enumerate(files):
            place(folder, label, path, f"{i}_own_{os.path.basename(path)}")
        classes = sorted({label for label, _ in files})
        for i, (_, path) in enumerate(planted):
            place(folder, rng.choice(classes), path, f"{i}_stranger_{os.path.basename(path)}")
        out = json.loads(run(graft, "clean", "--images", folder, "--json"))
        shutil.rmtree(folder)
        found = [os.path.basename(o["path"]) for o in out["outliers"]]
        n_right = sum("_stranger_" in name for name in found)
        return n_right, len(found) - n_right

    rows = []
    for a, b in itertools.permutations(few, 2):
        planted = rng.sample(few[b], max(5, len(few[a]) // 20))
        n_right, n_false = outliers(few[a], planted)
        rows.append((n_right / len(planted), n_right / max(n_right + n_false, 1)))
        print(f"{a} with {len(planted)} of {b}: recall {rows[-1][0]:.3f}  precision {rows[-1][1]:.3f}", flush=True)
    recall, precision = np.mean(rows, axis=0)
    print(f"mean: recall {recall:.3f}  precision {precision:.3f}")
    for name, files in few.items():
        print(f"{name} as it is: {outliers(files, [])[1] / len(files):.3%} of {len(files)} images", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["labels", "copies", "strangers"])
    parser.add_argument("--graft", required=True)
    parser.add_argument("--set", action="append", required=True, help="NAME=DIR")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    sets = [tuple(s.split("=", 1)) for s in args.set]
    with tempfile.TemporaryDirectory() as work:
        if args.what == "labels":
            labels(args.graft, sets, work, args.seeds)
        elif args.what == "copies":
            copies(args.graft, sets, work, 60)
        else:
            strangers(args.graft, sets, work, 700)


if __name__ == "__main__":
    main()
