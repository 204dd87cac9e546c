#!/usr/bin/env python3
"""Makes the fonts in this folder and in ../icons, and src/ui/icons.rs's table of icons.

Needs fonttools (`pip install fonttools`). Downloads nothing; takes the paths of

* the folder with Inter's static OpenType files, e.g. of Debian's package fonts-inter,
* the unpacked npm package @phosphor-icons/web (`npm pack @phosphor-icons/web`, version 2.1.2).

    python3 build_fonts.py --inter /usr/share/fonts/opentype/inter --phosphor ./package

egui lays text out with a font's default features and offers no others. So the tabular figures, in which numbers align
in columns, are made the default ones here, by pointing the code points of the digits at their tabular glyphs. The
contextual alternates are dropped: they would turn `->` into an arrow and the x in `3x3` into a multiplication sign,
and would so change what somebody typed.

The icons are shifted within their em so that their middle lies at the middle of Inter's capitals: an icon drawn in a
line of text sits right, and one drawn alone is centred in its row.
"""

import argparse
import re
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

HERE = Path(__file__).resolve().parent
ICONS_DIR = HERE.parent / "icons"

# Inclusive ranges of code points.
RANGES = [
    (0x0020, 0x007E),  # Basic Latin
    (0x00A0, 0x024F),  # Latin-1, Latin Extended-A and -B
    (0x02B0, 0x02FF),  # modifier letters
    (0x0300, 0x036F),  # combining marks
    (0x0370, 0x03FF),  # Greek
    (0x0400, 0x04FF),  # Cyrillic
    (0x1E00, 0x1EFF),  # Latin Extended Additional (Vietnamese)
    (0x2000, 0x206F),  # punctuation
    (0x2070, 0x209F),  # superscripts and subscripts
    (0x20A0, 0x20BF),  # currencies
    (0x2100, 0x218F),  # letterlike, number forms
    (0x2190, 0x21FF),  # arrows
    (0x2200, 0x22FF),  # mathematics
    (0x2300, 0x23FF),  # keys: ⌘ ⌥ ⌫ ⏎
    (0x25A0, 0x25FF),  # geometric shapes
    (0x2713, 0x2718),  # check marks
    (0xFFFD, 0xFFFD),
]

# Weight in Inter's file names -> our file.
WEIGHTS = {"Regular": "graft-sans-regular.otf", "Medium": "graft-sans-medium.otf", "SemiBold": "graft-sans-semibold.otf"}

# Icons in one weight for everything, and a filled one for what is selected or says how things went.
REGULAR = """
app-window archive arrow-clockwise arrow-counter-clockwise arrow-down arrow-left arrow-right arrow-square-out arrow-up
arrow-u-up-left arrow-u-up-right arrows-clockwise arrows-in arrows-merge arrows-out arrows-split bell books brain
broom calendar-blank caret-double-left caret-double-right caret-down caret-left caret-right caret-up caret-up-down
chart-bar chart-line chart-line-up chart-scatter check check-circle check-square checks circle circle-dashed circle-half
circle-notch clipboard-text clock clock-counter-clockwise code command confetti copy cpu crosshair cube cursor-text
database desktop dot-outline dots-six-vertical dots-three dots-three-vertical download-simple export eye eye-slash
file file-arrow-down file-code file-csv file-image file-text files flask flag folder folder-notch folder-open
folder-plus folder-simple folders funnel funnel-x gauge gear gear-six git-branch git-merge globe graduation-cap
graphics-card graph grid-four hand hard-drive hash hourglass house image image-broken image-square images
images-square info intersect keyboard lightbulb lightning link link-break list list-bullets list-checks list-magnifying-glass
list-numbers lock lock-open lock-simple magic-wand magnifying-glass magnifying-glass-minus magnifying-glass-plus
memory minus minus-circle moon note-pencil notebook package palette paper-plane-tilt path pause pencil-simple
percent play plus plus-circle polygon power prohibit pulse push-pin question ranking robot rocket-launch
rows ruler scales scan scissors seal-check selection selection-all shapes share-network shield-check shuffle
sidebar-simple sign-out skip-forward sliders sliders-horizontal snowflake sort-ascending sort-descending sparkle spinner
square squares-four stack star stop stop-circle subtract sun swap swatches table tag tag-simple target terminal
terminal-window text-aa text-t thermometer timer toggle-left trash tray tree-structure trend-down trend-up tree
upload-simple user users warning warning-circle warning-octagon wrench x x-circle x-square
""".split()
FILL = """
chart-bar check-circle circle cube dot-outline export folder gear-six graduation-cap house image images info
lightning moon pause play seal-check sparkle square star stop sun tag target warning warning-circle warning-octagon x-circle
""".split()

# Where the filled icons' code points lie: Phosphor gives both weights the same ones.
FILL_SHIFT = 0xF0000


def rename(font, family, style):
    """A derivative does not carry the original's name; what it is made from stays in the description."""
    name = font["name"]
    original = f"{name.getDebugName(4)}, {name.getDebugName(5)}"
    full = f"{family} {style}"
    for record in list(name.names):
        if record.nameID in (1, 2, 3, 4, 6, 16, 17, 21, 22, 25):
            name.removeNames(nameID=record.nameID)
    for name_id, text in [
        (1, full if style not in ("Regular", "Bold") else family),
        (2, "Regular"),
        (3, full),
        (4, full),
        (6, full.replace(" ", "") if style == "Regular" else f"{family.replace(' ', '')}-{style}"),
        (10, f"A subset for Graft, made from {original}."),
    ]:
        name.setName(text, name_id, 3, 1, 0x409)
    if "CFF " in font:
        cff = font["CFF "].cff
        cff.fontNames = [f"{family.replace(' ', '')}-{style}"]
        top = cff.topDictIndex[0]
        top.FullName, top.FamilyName = full, family


def single_substitutions(font, tag):
    gsub = font["GSUB"].table
    found = {}
    for record in gsub.FeatureList.FeatureRecord:
        if record.FeatureTag != tag:
            continue
        for idx in record.Feature.LookupListIndex:
            for table in gsub.LookupList.Lookup[idx].SubTable:
                found.update(getattr(getattr(table, "ExtSubTable", table), "mapping", {}))
    return found


def text_font(source, target, style):
    font = TTFont(source, recalcTimestamp=False)
    tabular = single_substitutions(font, "tnum")
    for table in font["cmap"].tables:
        for code in range(ord("0"), ord("9") + 1):
            if code in table.cmap:
                table.cmap[code] = tabular.get(table.cmap[code], table.cmap[code])  # two tables may share one map
    # The heavier weights were interpolated and rounded: their 4 is a thousandth of an em narrower.
    digits = [font.getBestCmap()[ord(d)] for d in "0123456789"]
    width = max(font["hmtx"][glyph][0] for glyph in digits)
    for glyph in digits:
        assert width - font["hmtx"][glyph][0] < 10, f"{glyph} is not tabular"
        font["hmtx"][glyph] = (width, font["hmtx"][glyph][1])
    rename(font, "Graft Sans", style)
    options = subset.Options()
    options.layout_features = ["ccmp", "kern", "locl", "mark"]
    options.name_IDs = ["*"]
    options.notdef_outline = True
    options.glyph_names = False
    options.hinting = True
    options.desubroutinize = False
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[c for first, last in RANGES for c in range(first, last + 1)])
    subsetter.subset(font)
    font.save(target)
    print(f"{target.name}: {len(font.getBestCmap())} characters, {target.stat().st_size / 1000:.0f} kB")
    return font


def code_points(css):
    found = re.findall(r"\.ph[a-z-]*\.ph-([a-z0-9-]+):before\s*\{\s*content:\s*\"\\([0-9a-f]+)\"", css)
    return {name: int(code, 16) for name, code in found}


def shifted(glyph, dy, glyf):
    if glyph.numberOfContours > 0:
        glyph.coordinates.translate((0, dy))
        glyph.recalcBounds(glyf)
    return glyph


def icon_font(phosphor, target, cap_middle):
    src = phosphor / "src"
    regular = TTFont(src / "regular" / "Phosphor.ttf")
    fill = TTFont(src / "fill" / "Phosphor-Fill.ttf")
    codes = code_points((src / "regular" / "style.css").read_text())
    missing = [name for name in REGULAR + FILL if name not in codes]
    assert not missing, f"no such icons: {missing}"

    wanted = {codes[name]: f"ph.{name}" for name in REGULAR}
    wanted_fill = {codes[name] + FILL_SHIFT: f"ph.{name}.fill" for name in FILL}
    em = regular["head"].unitsPerEm
    ascent, descent = regular["hhea"].ascent, regular["hhea"].descent
    dy = round(cap_middle * em - (ascent + descent) / 2)

    glyphs, metrics, order = {}, {}, [".notdef"]
    notdef = regular["glyf"][regular.getGlyphOrder()[0]]
    glyphs[".notdef"], metrics[".notdef"] = notdef, regular["hmtx"][regular.getGlyphOrder()[0]]
    for font, table, shift in ((regular, wanted, 0), (fill, wanted_fill, FILL_SHIFT)):
        cmap = font.getBestCmap()
        for code, name in sorted(table.items()):
            glyph = font["glyf"][cmap[code - shift]]
            assert glyph.numberOfContours >= 0, f"{name} is a composite glyph"
            glyphs[name] = shifted(glyph, dy, font["glyf"])
            metrics[name] = font["hmtx"][cmap[code - shift]]
            order.append(name)

    from fontTools.fontBuilder import FontBuilder

    builder = FontBuilder(em, isTTF=True)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap({**wanted, **wanted_fill})
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics({name: (metrics[name][0], getattr(glyphs[name], "xMin", 0)) for name in order})
    builder.setupHorizontalHeader(ascent=ascent + dy, descent=descent + dy)
    builder.setupOS2(
        sTypoAscender=ascent + dy, sTypoDescender=descent + dy, sTypoLineGap=0,
        usWinAscent=ascent + dy, usWinDescent=-(descent + dy),
    )
    builder.setupNameTable({
        "copyright": "Copyright (c) 2020-2021 Phosphor Icons. MIT License.",
        "familyName": "Graft Icons",
        "styleName": "Regular",
        "psName": "GraftIcons-Regular",
        "description": "A subset for Graft, made from Phosphor Icons 2.1.",
    })
    builder.setupPost(keepGlyphNames=False)
    builder.font["head"].created = builder.font["head"].modified = 0
    builder.font.recalcTimestamp = False
    builder.save(target)
    print(f"{target.name}: {len(order) - 1} icons, {target.stat().st_size / 1000:.0f} kB")
    return codes


def rust_name(icon):
    return icon.upper().replace("-", "_")


def rust_table(codes, path):
    mark = "// Made by assets/fonts/build_fonts.py from here on.\n"
    rows = [(rust_name(name), codes[name], name) for name in sorted(set(REGULAR))]
    rows += [(rust_name(name) + "_FILL", codes[name] + FILL_SHIFT, name + ", filled") for name in sorted(set(FILL))]
    lines = [f'    {const} = "\\u{{{code:X}}}", "{icon}";' for const, code, icon in rows]
    path.write_text(path.read_text().split(mark)[0] + mark + "icons! {\n" + "\n".join(lines) + "\n}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--inter", type=Path, required=True, help="folder with Inter-Regular.otf and its siblings")
    parser.add_argument("--phosphor", type=Path, required=True, help="the unpacked npm package @phosphor-icons/web")
    args = parser.parse_args()
    middle = None
    for weight, file in WEIGHTS.items():
        font = text_font(args.inter / f"Inter-{weight}.otf", HERE / file, weight)
        middle = middle or font["OS/2"].sCapHeight / 2 / font["head"].unitsPerEm
    codes = icon_font(args.phosphor, ICONS_DIR / "graft-icons.ttf", middle)
    rust_table(codes, HERE.parents[1] / "src" / "ui" / "icons.rs")


if __name__ == "__main__":
    main()
