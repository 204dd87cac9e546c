"""Makes the sample images in `assets/sample/` from photographs that Debian distributes with GCompris.

Only photographs that are in the public domain or under CC0 are taken, as the README beside each says; the script stops
at any other. It needs Debian 12 (for the pinned package, which apt verifies) and Python 3.11 or newer:

    python -m pip install pillow==13.0.0
    python assets/make_sample.py

It writes `assets/sample/CLASS/NAME.jpg`, one folder per class, and `assets/SAMPLE-SOURCES.md` with the author, the
licence and the source of each picture.
"""

import re
import shutil
import struct
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

PACKAGE = "gcompris-qt-data=3.1-2"
ASSETS = Path(__file__).parent
# Long enough for backbones of 224 pixels that resize to 256 first, short enough to ship.
SHORT_SIDE_PX = 256
FREE_LICENCES = {"Public Domain": "public domain", "CC0-1.0": "CC0 1.0"}

CATEGORIES = "categorization/resource/images"
MONUMENTS = "explore_monuments/resource"
# Class -> folder in the package -> pictures. Left out: what is not plainly of its class (a statue, a spray bottle), the
# second picture of the same building, and buildings that may be protected themselves.
CLASSES = {
    "building": {
        f"{CATEGORIES}/monuments": (
            "arcDeTriomphe cathedral colosseum empireState leaningTowerOfPisa monument1 monument3 operaHouse parthenon "
            "tajMahal usCapitol zimniPalace"
        ),
        f"{MONUMENTS}/france": "chateaudeChambord chateaudeChenonceau palaisdesPapes reimsCathedral",
        f"{MONUMENTS}/germany": "berlinCathedral brandenburgGate neuschwansteinCastle schwerinPalace",
        f"{MONUMENTS}/india": "hawaMahal mysorePalace rangGhar",
        f"{MONUMENTS}/usa": "lincolnMemorial",
    },
    "fish": {
        f"{CATEGORIES}/fishes": (
            "fish1 fish2 fish3 fish4 fish5 fish6 fish8 fish9 fish10 fish12 fish13 fish14 fish15 fish16 fish18 fish19 "
            "fish21 fish22 fish23 fish24 fish25 fish26 fish27 fish28"
        ),
    },
    "mammal": {
        "explore_farm_animals/resource/animals": "cat cow dog horse pig sheep",
        "explore_world_animals/resource/animals": (
            "bison giraffe hedgehog jaguar kangaroo koala lemur moose panda polar_bear"
        ),
    },
    "tool": {
        f"{CATEGORIES}/tools": (
            "cuttingTool hammer1 hammer2 hammer3 hammer4 hammer5 hammer6 hammer7 hammer8 measuringTape1 measuringTape5 "
            "plier1 plier2 plier3 plier4 scissors1 scissors2 scissors4 screwDriver1 screwDriver2 screwDriver3 sickle "
            "sideCutter1 wrench wrench1"
        ),
    },
    "windmill": {
        f"{CATEGORIES}/renewable": (
            "windmill windmill1 windmill2 windmill3 windmill4 windmill5 windmill7 windmill8 windmill9 windmill11 "
            "windmill12 windmill13 windmill14 windmill15"
        ),
    },
}


@dataclass
class Source:
    """What the README of a folder says about a picture."""

    author: str
    licence: str
    url: str


def main() -> None:
    shutil.rmtree(ASSETS / "sample", ignore_errors=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        resources = fetch(Path(folder))
        files = {}
        for class_name, folders in CLASSES.items():
            for package_folder, names in folders.items():
                activity = package_folder.split("/")[0]
                if activity not in files:
                    files[activity] = read_resources((resources / f"{activity}.rcc").read_bytes())
                for name in names.split():
                    path = f"gcompris/src/activities/{package_folder}/{name}.webp"
                    source = find_source(files[activity], path)
                    target = ASSETS / "sample" / class_name / f"{snake_case(name)}.jpg"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shrink(Image.open(BytesIO(files[activity][path]))).save(target, quality=80, optimize=True)
                    rows.append((f"{class_name}/{target.name}", source))
    write_sources(rows)


def fetch(folder: Path) -> Path:
    """Downloads the package, and returns the folder of its resource files."""
    subprocess.run(["apt-get", "download", "--quiet", PACKAGE], cwd=folder, check=True)
    subprocess.run(["dpkg-deb", "--extract", next(folder.glob("*.deb")), folder / "package"], check=True)
    return next((folder / "package").rglob("rcc"))


def read_resources(data: bytes) -> dict[str, bytes]:
    """Reads a file of Qt resources (.rcc): a tree of nodes, a table of names in UTF-16, and the contents."""
    magic, version, tree_at, contents_at, names_at = struct.unpack_from(">4s4i", data)
    assert magic == b"qres", "not a file of Qt resources"
    node_size = 14 if version == 1 else 22
    files = {}

    def visit(node: int, parent: str) -> None:
        at = tree_at + node * node_size
        name_offset, flags = struct.unpack_from(">iH", data, at)
        (length,) = struct.unpack_from(">H", data, names_at + name_offset)
        name_at = names_at + name_offset + 6
        # The root has no name.
        path = f"{parent}/{data[name_at : name_at + 2 * length].decode('utf-16-be')}".lstrip("/") if node else ""
        if flags & 2:  # a directory
            n_children, first = struct.unpack_from(">2i", data, at + 6)
            for child in range(first, first + n_children):
                visit(child, path)
        elif not flags & 4:  # not compressed with Zstandard, as no picture and no README is
            (offset,) = struct.unpack_from(">i", data, at + 10)
            (size,) = struct.unpack_from(">i", data, contents_at + offset)
            content = data[contents_at + offset + 4 : contents_at + offset + 4 + size]
            files[path] = zlib.decompress(content[4:]) if flags & 1 else content

    visit(0, "")
    return files


def find_source(files: dict[str, bytes], path: str) -> Source:
    """Returns what the nearest README above `path` says about it; fails unless that is a free licence."""
    folder = path.rsplit("/", 1)[0]
    while f"{folder}/README" not in files:
        folder = folder.rsplit("/", 1)[0]
    listed = path.removeprefix(f"{folder}/")
    for paragraph in re.split(r"\n\s*\n", files[f"{folder}/README"].decode()):
        head, _, names = paragraph.partition("Files:")
        if listed in names.split():
            fields = dict(line.split(": ", 1) for line in head.strip().splitlines())
            return Source(fields["Copyright"], FREE_LICENCES[fields["License"].strip()], fields["Source"].strip())
    raise LookupError(f"no README says where {path} is from")


def shrink(picture: Image.Image) -> Image.Image:
    picture = picture.convert("RGB")
    factor = SHORT_SIDE_PX / min(picture.size)
    if factor >= 1:
        return picture
    size = tuple(round(side * factor) for side in picture.size)
    return picture.resize(size, Image.Resampling.LANCZOS)


def snake_case(name: str) -> str:
    """`hammer1` -> `hammer_1`, `eiffelTower` -> `eiffel_tower`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])", "_", name).lower()


def write_sources(rows: list[tuple[str, Source]]) -> None:
    lines = [
        "# Sources of the sample images",
        "",
        f"{len(rows)} photographs, resized. All are in the public domain or were given to it with CC0 1.0. Written by",
        "`make_sample.py`.",
        "",
        "| picture | author | licence | source |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| {name} | {source.author} | {source.licence} | <{source.url}> |" for name, source in rows]
    (ASSETS / "SAMPLE-SOURCES.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
