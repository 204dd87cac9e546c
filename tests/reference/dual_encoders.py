"""Makes small dual encoders (an image tower and a text tower), and what transformers says that they give.

    pip install torch transformers tokenizers sentencepiece protobuf onnx onnxruntime onnxconverter-common pillow numpy
    python tests/reference/dual_encoders.py --clip-layout DIR

DIR holds the tokenizer files of a real CLIP export: merges.txt, tokenizer.json, tokenizer_config.json. The weights are
random but seeded, the folders are laid out as people have them:

    fixtures/text/clip_merges.txt          CLIP's merges, as they are
    fixtures/text/clip_ids.json            what CLIP's real tokenizer makes of awkward labels
    fixtures/text/siglip_ids.json          what SigLIP's tokenizer makes of them, and its tokenizer.json by itself
    fixtures/dual/images/                  four small pictures
    fixtures/dual/clip_joint/              one graph, as Optimum writes it; it has logit_scale and computes Exp of it
    fixtures/dual/clip_joint_external/     the same, weights in model.onnx_data; the Exp is folded into a constant
    fixtures/dual/clip_split/              a graph a tower, as transformers.js has it; fp16 and quantised ones as well
    fixtures/dual/siglip_joint/            scale and bias in the graph; sigmoid
    fixtures/dual/siglip_split/            neither scale nor bias in the graphs, nor in the configuration
    fixtures/dual/no_causal/               as Immich has it; the text tower sees its padding, which is 0
    fixtures/dual/wordpiece_split/         a BERT with WordPiece beside a ViT

Each folder below dual/ has a reference.json:

    texts                 the labels
    input_ids             a row a text, as it is fed to the text tower
    attention_mask        likewise, or null where the tower has no such input
    text_embeds           of length 1
    images, image_embeds  names in dual/images, and their embeddings, of length 1
    tokenizer_json_ids    SigLIP only: what tokenizer.json gives by itself, where it differs from input_ids in some texts
    logit_scale           the factor itself (not its logarithm); logit_bias, or null
    logits_per_image      [image][text]
    probabilities         [image][text]; softmax over the texts, or sigmoid for SigLIP
    precisions            what other precisions of the same model give in ONNX Runtime
    versions              of the libraries

Ids and float32 values come from transformers and torch; that ONNX Runtime gives the same is checked here, and printed.
"""

import argparse
import json
import logging
import math
import os
import platform
import shutil
import tempfile
import warnings
from collections import Counter
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # everything is read from folders

import numpy as np
import onnx
import onnxruntime
import sentencepiece
import tokenizers
import torch
import transformers
from PIL import Image
from PIL import __version__ as pillow_version
from torch import nn
from transformers import (
    BertConfig,
    BertTokenizer,
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    SiglipConfig,
    SiglipModel,
    SiglipTokenizer,
    ViTConfig,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
logging.disable(logging.WARNING)

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
DUAL, TEXT, IMAGES = FIXTURES / "dual", FIXTURES / "text", FIXTURES / "dual" / "images"
OPSET = 14
DIM, HIDDEN, FFN, SIZE = 24, 20, 40, 32
MERGES = 700  # of CLIP's 48894, in the small tokenizers
TOWER = {"hidden_size": HIDDEN, "intermediate_size": FFN, "num_hidden_layers": 2, "num_attention_heads": 2}

# ------------------------------------------------------------------------------------------------------------- texts

WORDS = """a the of photo picture small large red green blue yellow black white brown cat dog bird fish horse sheep cow
elephant bear zebra giraffe bee butterfly eagle owl duck goose swan heron robin sparrow retriever golden terrier poodle
spaniel beagle collie apple banana orange lemon grape cherry melon bread cheese coffee tea cup bowl plate fork knife spoon
table chair sofa lamp window door house street road bridge river lake mountain forest tree flower leaf grass stone sand
beach snow rain cloud sun moon star sky car bus truck train boat ship plane bicycle wheel engine clock phone keyboard
screen camera book paper pencil bag hat shoe coat shirt glove ring painting drawing sketch toy robot kite ball bat glass
standing sitting running flying sleeping eating playing looking walking swimming on in under near with and from over
""".split()
TEXTS = [
    "a photo of a cat",
    "GOLDEN Retriever",
    "café crème Éléphant",
    "🐝 bee",
    "",
    "   spaces   inside  ",
    "don't — stop!",
    "two words, punctuation. (yes)",
    "日本語",
    " ".join(WORDS[(7 * i + i // 11) % len(WORDS)] for i in range(300)),
    "".join("abcdefghijklmnopqrstuvwxyz"[(i * i + 3 * i) % 26] for i in range(500)),
    "ﬁne ligature",
    "bald_eagle",
]
# For the tokenizer alone: everything in which a second implementation could go wrong.
MORE_TEXTS = [
    "a",
    "!",
    "cats",
    "A photo of a Cat.",
    "tab\tand\nnewline\u00a0no-break\u3000wide",
    "\u200bzero\u200bwidth\u200d",
    "cafe\u0301 decomposed",
    "ÅNGSTRÖM Ⅷ ½ ² ﹏",
    "İstanbul DŽ ẞ ΣΊΣΥΦΟΣ",
    "it's they're I've we'll I'd 'twas O'Clock 'S",
    "2024 12345 3.14 1,000 ①②",
    "<|startoftext|>inside<|endoftext|> text",
    "<|endoftext|>",
    "snake_case kebab-case CamelCase path/to.png",
    "#hash @at $5 50% a&b x=y [z] {w} \\ ^ ~ ` |",
    "👨\u200d👩\u200d👧 🇫🇷 👍🏽",
    "Привет мир",
    "مرحبا ١٢٣",
    "नमस्ते दुनिया",
    "한국어 텍스트",
    "?!?!?!...",
    "word " * 75,
    "word " * 76,
]


def corpus():
    """Some thousand sentences of the words above and of words made of them, for the small vocabularies."""
    rng = np.random.default_rng(1)
    ends = ["s", "ing", "er", "ed", "ly", "ness", "like", "ful", "land", "ation", "able", "est", "ish"]

    def word():
        kind = rng.random()
        if kind < 0.6:
            return rng.choice(WORDS)
        if kind < 0.8:
            return rng.choice(WORDS) + rng.choice(ends)
        if kind < 0.9:
            return rng.choice(WORDS) + rng.choice(WORDS)
        syllables = ["".join(rng.choice(list(letters)) for letters in ("bcdfghklmnprstvz", "aeiou")) for _ in range(3)]
        return "".join(syllables)

    return [" ".join(word() for _ in range(rng.integers(2, 9))) for _ in range(3000)]


# ------------------------------------------------------------------------------------------------------------- files


def number(x):
    return float(f"{float(x):.7g}")


def numbers(array):
    return [[number(x) for x in row] for row in np.asarray(array)]


def write_json(path, value):
    """A key a line, and a row a line where the value is a table."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def show(v, depth):
        if isinstance(v, dict) and v:
            pad = "  " * (depth + 1)
            inner = ",\n".join(f"{pad}{json.dumps(k)}: {show(x, depth + 1)}" for k, x in v.items())
            return "{\n" + inner + "\n" + "  " * depth + "}"
        if isinstance(v, list) and v and isinstance(v[0], list):
            return "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in v) + "\n" + "  " * depth + "]"
        return json.dumps(v, ensure_ascii=False)

    path.write_text(show(value, 0) + "\n", encoding="utf-8")


def versions():
    return {
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "sentencepiece": sentencepiece.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "pillow": pillow_version,
        "numpy": np.__version__,
    }


def images():
    """Four pictures, smooth enough that a resize has something to do and no two alike."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, (name, w, h) in enumerate([("waves", 48, 40), ("disc", 33, 64), ("checks", 32, 32), ("stripes", 90, 31)]):
        y, x = np.mgrid[0:h, 0:w].astype(np.float64)
        u, v = x / w, y / h
        if k == 0:
            planes = [np.sin(9 * u + 4 * v), np.cos(7 * v - 3 * u), np.sin(13 * u * v)]
        elif k == 1:
            inside = np.hypot(x - w / 2, y - h / 3) < 12
            planes = [np.where(inside, 0.9, v - 0.8), np.where(inside, -0.6, 0.2 - v), np.where(inside, -0.9, u)]
        elif k == 2:
            odd = ((x // 4 + y // 8) % 2) * 2 - 1
            planes = [odd, -odd * 0.7, 0.6 - u]
        else:
            planes = [np.sign(np.sin(x / 3)), 2 * u - 1, np.where(y > 20, 0.8, -0.8)]
        rgb = np.stack([np.clip((p + 1) * 127.5, 0, 255) for p in planes], -1)
        path = IMAGES / f"{name}_{w}x{h}.png"
        Image.fromarray(np.round(rgb).astype(np.uint8)).save(path, optimize=True)
        paths.append(path)
    return paths


# -------------------------------------------------------------------------------------------------------- tokenizers


def byte_symbols():
    """The 256 characters by which GPT-2 and CLIP write bytes, in the order of their ids."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]


def read_merges(path):
    lines = path.read_text(encoding="utf-8").split("\n")
    return [line.split(" ") for line in lines[1:] if line.strip()]


def clip_tokenizer_json(merges, merges_as_text=False):
    """CLIP's tokenizer.json, made of its merges alone. Older files have each merge as one text, newer ones as a pair."""
    symbols = byte_symbols()
    tokens = symbols + [s + "</w>" for s in symbols] + [a + b for a, b in merges]
    bos, eos = "<|startoftext|>", "<|endoftext|>"
    vocab = {token: i for i, token in enumerate([*tokens, bos, eos])}
    added = {"single_word": False, "lstrip": False, "rstrip": False}
    pattern = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": vocab[bos], "content": bos, **added, "normalized": True, "special": True},
            {"id": vocab[eos], "content": eos, **added, "normalized": False, "special": True},
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
                {"type": "Lowercase"},
            ],
        },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": True},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            ],
        },
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [eos, vocab[eos]],
            "cls": [bos, vocab[bos]],
            "trim_offsets": False,
            "add_prefix_space": False,
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": eos,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": [" ".join(m) for m in merges] if merges_as_text else merges,
        },
    }


CLIP_TOKENIZER_CONFIG = {
    "bos_token": "<|startoftext|>",
    "clean_up_tokenization_spaces": True,
    "do_lower_case": True,
    "eos_token": "<|endoftext|>",
    "errors": "replace",
    "model_max_length": 77,
    "pad_token": "<|endoftext|>",
    "tokenizer_class": "CLIPTokenizer",
    "unk_token": "<|endoftext|>",
}


def write_compact(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def raw_ids(tokenizer, texts):
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return [tokenizer.encode(t).ids for t in texts]


def cut(ids, length):
    """What truncation to `length` leaves: the last token, which ends the text, stays."""
    return ids if len(ids) <= length else ids[: length - 1] + ids[-1:]


def clip_texts(layout):
    """The real tokenizer: its ids, and that merges alone are enough to rebuild it."""
    texts = TEXTS + MORE_TEXTS
    merges = read_merges(layout / "merges.txt")
    TEXT.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(layout / "merges.txt", TEXT / "clip_merges.txt")
    (TEXT / "clip_merges.txt").chmod(0o644)

    fast = CLIPTokenizer.from_pretrained(layout)
    rows = fast(texts, padding="max_length", max_length=77, truncation=True)
    real = tokenizers.Tokenizer.from_file(str(layout / "tokenizer.json"))
    raw = raw_ids(real, texts)
    rebuilt = tokenizers.Tokenizer.from_str(json.dumps(clip_tokenizer_json(merges)))
    assert rebuilt.get_vocab() == real.get_vocab(), "the vocabulary made of merges.txt is not the real one"
    assert raw_ids(rebuilt, texts) == raw, "the tokenizer made of merges.txt gives other ids"
    skeleton = json.loads((layout / "tokenizer.json").read_text(encoding="utf-8"))
    assert clip_tokenizer_json(merges) == skeleton, "tokenizer.json made of merges.txt differs in its settings"

    differ = []
    for text, ids, mask, other in zip(texts, rows["input_ids"], rows["attention_mask"], raw):
        if [i for i, m in zip(ids, mask) if m] != cut(other, 77):
            differ.append(text)
    assert rows["input_ids"][0][:7] == [49406, 320, 1125, 539, 320, 2368, 49407]
    print(f"CLIP's tokenizer: {len(texts)} texts; transformers and tokenizers differ in {differ or 'none'}")
    write_json(
        TEXT / "clip_ids.json",
        {
            "texts": texts,
            "ids": rows["input_ids"],
            "attention_mask": rows["attention_mask"],
            "raw_ids": raw,
            "raw_differs_in": differ,
            "versions": versions(),
        },
    )
    return merges


# Compatibility characters that sentencepiece's own rule maps too; the whole rule would be 320 KB of base64 a file.
CHARSMAP = "ﬀﬁﬂﬃﬄﬅﬆ½¼¾²³¹™…ªºⅠⅡⅢⅣⅤⅥⅦⅧ①②③④⑤⑥⑦⑧⑨㍿\u00a0\u2002\u2003\u2009\u3000\t\n\r"


def siglip_spiece(path):
    """A sentencepiece model as SigLIP's: unigram, <pad> 0, </s> 1, <unk> 2, then the bytes, then the pieces."""
    import unicodedata

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        text, rules = folder / "corpus.txt", folder / "rules.tsv"
        text.write_text("\n".join(corpus()), encoding="utf-8")
        pairs = {c: " " if c.isspace() else unicodedata.normalize("NFKC", c) for c in CHARSMAP}
        for a in "aeiounc":  # letters with an accent that follows
            for accent in "\u0300\u0301\u0302\u0303\u0308\u030a\u0327":
                if len(joined := unicodedata.normalize("NFC", a + accent)) == 1:
                    pairs[a + accent] = joined
        for c in range(0xFF01, 0xFF5F):
            pairs[chr(c)] = unicodedata.normalize("NFKC", chr(c))
        hexes = lambda s: " ".join(f"{ord(c):X}" for c in s)
        rules.write_text("".join(f"{hexes(a)}\t{hexes(b)}\n" for a, b in pairs.items()), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=str(folder / "m"), model_type="unigram", vocab_size=600, byte_fallback=True,
            normalization_rule_tsv=str(rules), remove_extra_whitespaces=True, add_dummy_prefix=True,
            pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>", num_threads=1, minloglevel=2,
            shuffle_input_sentence=False, user_defined_symbols=[], character_coverage=1.0,
        )  # fmt: skip
        # The trainer notes the paths that it was given; what is committed must not depend on them.
        proto = model_proto(folder / "m.model")
        del proto.trainer_spec.input[:]
        proto.trainer_spec.model_prefix = "spiece"
        proto.normalizer_spec.normalization_rule_tsv = ""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(proto.SerializeToString())


def model_proto(path):
    from transformers.convert_slow_tokenizer import import_protobuf

    proto = import_protobuf().ModelProto()
    proto.ParseFromString(path.read_bytes())
    return proto


def siglip_tokenizer_json(spiece):
    """tokenizer.json as it lies beside SigLIP: T5's conversion, with the canonical form of the text as normalizers.

    Its punctuation is string.punctuation without < > and /, so that it differs from SiglipTokenizer where these occur.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    proto = model_proto(spiece)
    unigram = models.Unigram([(p.piece, p.score) for p in proto.pieces], unk_id=2, byte_fallback=True)
    tokenizer = Tokenizer(unigram)
    tokenizer.add_special_tokens(
        [AddedToken(t, lstrip=True, rstrip=True, normalized=False, special=True) for t in ("</s>", "<unk>")]
    )
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"""[!"\#\$%\&'\(\)\*\+,\-\.:;=\?@\[\\\]\^_`\{\|\}\~]"""), ""),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
            normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", 1)]
    )
    return json.loads(tokenizer.to_str())


def wordpiece_tokenizer_json():
    """BERT's tokenizer.json with some 800 pieces: letters, then common words, then common ends of words."""
    counts = Counter(word for line in corpus() for word in line.split())
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["é", "—", "日", "本"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters[:36])]
    tokens += sorted(counts, key=lambda w: (-counts[w], w))
    ends = Counter()
    for word, n in counts.items():
        for i in range(1, len(word) - 1):
            ends["##" + word[i:]] += n
            ends[word[: i + 1]] += n
    tokens += sorted(ends, key=lambda e: (-ends[e], e))
    tokens = list(dict.fromkeys(tokens))[:800]
    vocab = {t: i for i, t in enumerate(tokens)}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    piece = lambda name, kind=0: {"SpecialToken": {"id": name, "type_id": kind}}
    special = lambda name: {"id": name, "ids": [vocab[name]], "tokens": [name]}
    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 32, "strategy": "LongestFirst", "stride": 0},
        "padding": None,
        "added_tokens": [{"id": vocab[t], "content": t, **added} for t in tokens[:5]],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [piece("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, piece("[SEP]")],
            "pair": [
                piece("[CLS]"),
                {"Sequence": {"id": "A", "type_id": 0}},
                piece("[SEP]"),
                {"Sequence": {"id": "B", "type_id": 1}},
                piece("[SEP]", 1),
            ],
            "special_tokens": {"[CLS]": special("[CLS]"), "[SEP]": special("[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    }


# ------------------------------------------------------------------------------------------------------------ models


def randomise(model, seed, common=1.5):
    """Seeded weights, large enough that different inputs get different embeddings.

    `common` is the size of what all texts have in common, as in trained models; else one label would take everything.
    """
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.from_numpy(rng.standard_normal(tuple(p.shape)).astype(np.float32))
            if name in ("logit_scale", "logit_bias"):
                continue
            if p.ndim >= 2 or "class_embedding" in name:
                p.copy_(noise * 0.25)
            elif "norm" in name.lower() and name.endswith("weight"):
                p.copy_(1 + noise * 0.1)
            elif name.endswith("final_layer_norm.bias") or name == "norm.bias":
                p.copy_(noise * common)
            else:
                p.copy_(noise * 0.1)
    return model.eval()


class Outputs(nn.Module):
    """Calls `run(model, *inputs)`; torch exports modules only."""

    def __init__(self, model, run):
        super().__init__()
        self.model, self.run = model, run

    def forward(self, *inputs):
        return self.run(self.model, *inputs)


def fold(graph):
    """Computes what depends on weights alone, as onnxslim does to exports for transformers.js: Exp of logit_scale."""
    from onnx import numpy_helper

    for node in list(graph.node):
        tensor = next((t for t in graph.initializer if node.input and t.name == node.input[0]), None)
        if node.op_type not in ("Exp", "Cast") or tensor is None:
            continue
        value = numpy_helper.to_array(tensor)
        assert value.dtype == np.float32 and (node.op_type == "Exp" or node.attribute[0].i == onnx.TensorProto.FLOAT)
        value = np.exp(value) if node.op_type == "Exp" else value
        graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), node.output[0]))
        graph.node.remove(node)
        if not any(tensor.name in n.input for n in graph.node):
            graph.initializer.remove(tensor)


def export(path, model, run, inputs, outputs, axes, external=False):
    """`inputs` are names with example tensors. The TorchScript exporter is used, as it is in Optimum.

    `external` also folds the scale, so that there is a model of either kind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(
            Outputs(model, run).eval(), tuple(inputs.values()), str(path), input_names=list(inputs), output_names=outputs,
            dynamic_axes={k: v for k, v in axes.items() if k in inputs or k in outputs}, opset_version=OPSET,
            do_constant_folding=True, dynamo=False,
        )  # fmt: skip
    proto = onnx.load(path)
    # Names as an export of the bare model has them, and no traces of where it was made.
    for tensor in proto.graph.initializer:
        rename(proto.graph, tensor.name, tensor.name.removeprefix("model."))
    for node in proto.graph.node:
        node.doc_string = ""
        node.name = node.name.replace("/model/", "/", 1)
        for names in (node.input, node.output):
            names[:] = [n.replace("/model/", "/", 1) for n in names]
    del proto.graph.value_info[:]
    if external:
        fold(proto.graph)
    onnx.checker.check_model(proto, full_check=True)
    if external:
        (path.parent / "model.onnx_data").unlink(missing_ok=True)
        onnx.save_model(
            proto, path, save_as_external_data=True, all_tensors_to_one_file=True, location="model.onnx_data",
            size_threshold=1024,
        )  # fmt: skip
    else:
        onnx.save_model(proto, path)


def rename(graph, old, new):
    if old == new:
        return
    for tensor in graph.initializer:
        if tensor.name == old:
            tensor.name = new
    for node in graph.node:
        node.input[:] = [new if n == old else n for n in node.input]


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def unit(x):
    x = np.asarray(x, np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


TABLE = []


def check(what, got, expected, limit=1e-4):
    distance = float(np.abs(np.asarray(got, np.float64) - np.asarray(expected, np.float64)).max())
    TABLE.append((what, distance, limit))
    assert distance <= limit, f"{what}: {distance} is more than {limit}"


def scores(image_embeds, text_embeds, scale, bias=None):
    logits = scale * np.asarray(image_embeds, np.float64) @ np.asarray(text_embeds, np.float64).T + (bias or 0)
    if bias is not None:
        return logits, 1 / (1 + np.exp(-logits))
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return logits, e / e.sum(-1, keepdims=True)


def reference(folder, paths, ids, mask, text, image, scale, bias, precisions=None, **more):
    logits, probabilities = scores(image, text, scale, bias)
    spread = [number(x) for x in (probabilities.min(), np.median(probabilities), probabilities.max())]
    print(f"{folder.name}: probabilities from {spread[0]:.2g} by {spread[1]:.2g} to {spread[2]:.2g}")
    write_json(
        folder / "reference.json",
        {
            "texts": TEXTS,
            "input_ids": ids,
            "attention_mask": mask,
            **more,
            "text_embeds": numbers(text),
            "images": [p.name for p in paths],
            "image_embeds": numbers(image),
            "logit_scale": number(scale),
            "logit_bias": None if bias is None else number(bias),
            "logits_per_image": numbers(logits),
            "probabilities": numbers(probabilities),
            "precisions": precisions or {},
            "versions": versions(),
        },
    )
    return logits, probabilities


def pictures(paths):
    return [Image.open(p).convert("RGB") for p in paths]


JOINT_AXES = {
    "input_ids": {0: "text_batch_size", 1: "sequence_length"},
    "attention_mask": {0: "text_batch_size", 1: "sequence_length"},
    "pixel_values": {0: "image_batch_size", 1: "num_channels", 2: "height", 3: "width"},
    "logits_per_image": {0: "image_batch_size", 1: "text_batch_size"},
    "logits_per_text": {0: "text_batch_size", 1: "image_batch_size"},
    "text_embeds": {0: "text_batch_size"},
    "image_embeds": {0: "image_batch_size"},
}
SPLIT_AXES = {
    "input_ids": {0: "batch_size", 1: "sequence_length"},
    "attention_mask": {0: "batch_size", 1: "sequence_length"},
    "token_type_ids": {0: "batch_size", 1: "sequence_length"},
    "pixel_values": {0: "batch_size", 1: "num_channels", 2: "height", 3: "width"},
    "text_embeds": {0: "batch_size"},
    "image_embeds": {0: "batch_size"},
    "pooler_output": {0: "batch_size"},
    "last_hidden_state": {0: "batch_size", 1: "sequence_length"},
}
JOINT_OUTPUTS = ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"]


def save_config(model, folder, architecture, **changes):
    config = json.loads(model.config.to_json_string(use_diff=True))
    config = {"architectures": [architecture], **config, **changes}
    write_json(folder / "config.json", config)


CLIP_PREPROCESSOR = {
    "crop_size": {"height": SIZE, "width": SIZE},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "CLIPImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": SIZE},
}


def clip(paths, merges):
    """clip_joint, clip_joint_external and clip_split: one model in three forms."""
    joint, external, split = DUAL / "clip_joint", DUAL / "clip_joint_external", DUAL / "clip_split"
    for folder in (joint, external, split):
        tokenizer_json = clip_tokenizer_json(merges[:MERGES], merges_as_text=folder is split)
        write_compact(folder / "tokenizer.json", tokenizer_json)
        write_json(folder / "tokenizer_config.json", CLIP_TOKENIZER_CONFIG)
        write_json(folder / "preprocessor_config.json", CLIP_PREPROCESSOR)
    vocab = len(tokenizer_json["model"]["vocab"])
    scale = 37.0
    config = CLIPConfig(
        text_config={
            **TOWER, "vocab_size": vocab, "max_position_embeddings": 77, "bos_token_id": vocab - 2,
            "eos_token_id": vocab - 1, "pad_token_id": vocab - 1,
        },
        vision_config={**TOWER, "image_size": SIZE, "patch_size": 8},
        projection_dim=DIM,
        logit_scale_init_value=2.6592,
        attn_implementation="eager",
    )  # fmt: skip
    model = randomise(CLIPModel(config), 20)
    with torch.no_grad():
        model.logit_scale.copy_(torch.tensor(math.log(scale)))
    # A trained model's configuration still has the value that training began with; only the graph knows better. Of the
    # split towers, which have no scale, the configuration is made to tell it.
    save_config(model, joint, "CLIPModel")
    save_config(model, external, "CLIPModel")
    save_config(model, split, "CLIPModel", logit_scale_init_value=number(math.log(scale)))

    tokens = CLIPTokenizer.from_pretrained(joint)(TEXTS, padding="max_length", max_length=77, truncation=True)
    assert tokens == CLIPTokenizer.from_pretrained(split)(TEXTS, padding="max_length", max_length=77, truncation=True)
    raw = raw_ids(tokenizers.Tokenizer.from_file(str(joint / "tokenizer.json")), TEXTS)
    for row, mask, other in zip(tokens["input_ids"], tokens["attention_mask"], raw):
        assert row[: sum(mask)] == cut(other, 77)
    ids, mask = torch.tensor(tokens["input_ids"]), torch.tensor(tokens["attention_mask"])
    pixels = CLIPImageProcessorPil.from_pretrained(joint)(pictures(paths), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        out = model(input_ids=ids, pixel_values=pixels, attention_mask=mask)
    text, image = out.text_embeds.numpy(), out.image_embeds.numpy()
    factor = model.logit_scale.exp().item()

    def run_joint(m, input_ids, pixel_values, attention_mask):
        o = m(input_ids=input_ids, pixel_values=pixel_values, attention_mask=attention_mask)
        return tuple(o[k] for k in JOINT_OUTPUTS)

    inputs = {"input_ids": ids[:2], "pixel_values": pixels[:3], "attention_mask": mask[:2]}
    feed = {"input_ids": ids.numpy(), "pixel_values": pixels.numpy(), "attention_mask": mask.numpy()}
    for folder in (joint, external):
        export(folder / "model.onnx", model, run_joint, inputs, JOINT_OUTPUTS, JOINT_AXES, external=folder is external)
        logits, probabilities = reference(
            folder, paths, tokens["input_ids"], tokens["attention_mask"], text, image, factor, None
        )
        got = dict(zip(JOINT_OUTPUTS, session(folder / "model.onnx").run(JOINT_OUTPUTS, feed)))
        check(f"{folder.name} text_embeds", got["text_embeds"], text)
        check(f"{folder.name} image_embeds", got["image_embeds"], image)
        check(f"{folder.name} logits_per_image / {factor:.4g}", got["logits_per_image"] / factor, logits / factor)
        check(f"{folder.name} logits_per_text / {factor:.4g}", got["logits_per_text"] / factor, logits.T / factor)
        check(f"{folder.name} torch's own logits / {factor:.4g}", out.logits_per_image / factor, logits / factor)

    onnx_dir = split / "onnx"
    run_text = lambda m, i: m.text_projection(m.text_model(input_ids=i).pooler_output)
    run_vision = lambda m, p: m.visual_projection(m.vision_model(pixel_values=p).pooler_output)
    export(onnx_dir / "text_model.onnx", model, run_text, {"input_ids": ids[:2]}, ["text_embeds"], SPLIT_AXES)
    export(onnx_dir / "vision_model.onnx", model, run_vision, {"pixel_values": pixels[:3]}, ["image_embeds"], SPLIT_AXES)
    got_text = session(onnx_dir / "text_model.onnx").run(None, {"input_ids": ids.numpy()})[0]
    got_image = session(onnx_dir / "vision_model.onnx").run(None, {"pixel_values": pixels.numpy()})[0]
    check("clip_split text_embeds", unit(got_text), text)
    check("clip_split image_embeds", unit(got_image), image)

    # Of the half precision graphs one takes and gives float16, the other keeps float32 outside; both are common.
    from onnxconverter_common import float16
    from onnxruntime.quantization import QuantType, quantize_dynamic

    for name, keep in (("vision_model", False), ("text_model", True)):
        full = onnx.load(onnx_dir / f"{name}.onnx")
        casts = {node.name for node in full.graph.node if node.op_type == "Cast"}
        half = float16.convert_float_to_float16(full, keep_io_types=keep)
        for node in half.graph.node:
            for a in node.attribute:  # the converter leaves as they are the casts that the graph already had
                if node.name in casts and a.name == "to" and a.i == onnx.TensorProto.FLOAT:
                    a.i = onnx.TensorProto.FLOAT16
        del half.graph.value_info[:]
        onnx.save_model(half, onnx_dir / f"{name}_fp16.onnx")
    with tempfile.TemporaryDirectory() as folder:
        quantised = Path(folder) / "q.onnx"
        quantize_dynamic(onnx_dir / "text_model.onnx", quantised, weight_type=QuantType.QUInt8, per_channel=False)
        onnx.save_model(onnx.load(quantised), onnx_dir / "text_model_quantized.onnx")
    vision16 = session(onnx_dir / "vision_model_fp16.onnx")
    assert vision16.get_inputs()[0].type == "tensor(float16)", vision16.get_inputs()[0].type
    image16 = unit(vision16.run(None, {"pixel_values": pixels.numpy().astype(np.float16)})[0])
    text16 = unit(session(onnx_dir / "text_model_fp16.onnx").run(None, {"input_ids": ids.numpy()})[0])
    quantised = session(onnx_dir / "text_model_quantized.onnx")
    text8 = unit(quantised.run(None, {"input_ids": ids.numpy()})[0])
    alone8 = unit(np.concatenate([quantised.run(None, {"input_ids": row[None]})[0] for row in ids.numpy()]))
    check("clip_split fp16 text_embeds", text16, text, 2e-2)
    check("clip_split fp16 image_embeds", image16, image, 2e-2)
    check("clip_split quantized text_embeds, against float32", text8, text, 0.3)
    check("clip_split quantized text_embeds, a text a run against all at once", alone8, text8, 0.3)

    def precision(t, i):
        logits, probabilities = scores(i, t, factor)
        values = {"text_embeds": t, "image_embeds": i, "logits_per_image": logits, "probabilities": probabilities}
        return {k: numbers(v) for k, v in values.items()}

    quant = precision(alone8, image)
    del quant["image_embeds"]
    reference(
        split, paths, tokens["input_ids"], None, text, image, factor, None,
        {"fp16": precision(text16, image16), "quantized": quant},
    )  # fmt: skip
    return model


def siglip(paths):
    joint, split = DUAL / "siglip_joint", DUAL / "siglip_split"
    spiece = joint / "spiece.model"
    siglip_spiece(spiece)
    tokenizer_json = siglip_tokenizer_json(spiece)
    special = lambda t: {
        "content": t, "lstrip": True, "normalized": False, "rstrip": True, "single_word": False, "special": True,
    }  # fmt: skip
    for folder in (joint, split):
        write_compact(folder / "tokenizer.json", tokenizer_json)
        write_json(
            folder / "tokenizer_config.json",
            {
                "added_tokens_decoder": {"1": special("</s>"), "2": special("<unk>")},
                "additional_special_tokens": [],
                "clean_up_tokenization_spaces": True,
                "do_lower_case": True,
                "eos_token": "</s>",
                "model_input_names": ["input_ids"],
                "model_max_length": 64,
                "pad_token": "</s>",
                "sp_model_kwargs": {},
                "tokenizer_class": "SiglipTokenizer",
                "unk_token": "<unk>",
            },
        )
        write_json(
            folder / "preprocessor_config.json",
            {
                "do_normalize": True,
                "do_rescale": True,
                "do_resize": True,
                "image_mean": [0.5, 0.5, 0.5],
                "image_processor_type": "SiglipImageProcessor",
                "image_std": [0.5, 0.5, 0.5],
                "processor_class": "SiglipProcessor",
                "resample": 3,
                "rescale_factor": 0.00392156862745098,
                "size": {"height": SIZE, "width": SIZE},
            },
        )
    slow = SiglipTokenizer(str(spiece), model_input_names=["input_ids"])
    assert type(slow.pad_token_id) is int and slow.pad_token_id == slow.eos_token_id == 1
    rows = slow(TEXTS, padding="max_length", max_length=64, truncation=True)["input_ids"]
    raw = tokenizers.Tokenizer.from_file(str(joint / "tokenizer.json"))
    texts = TEXTS + MORE_TEXTS
    slow_rows = slow(texts, padding="max_length", max_length=64, truncation=True)["input_ids"]
    fast_rows = [(cut(r, 64) + [1] * 64)[:64] for r in raw_ids(raw, texts)]
    fast = fast_rows[: len(TEXTS)]
    differ = [t for t, a, b in zip(texts, slow_rows, fast_rows) if a != b]
    print(f"SigLIP's tokenizer: {len(texts)} texts; SiglipTokenizer and tokenizer.json differ in {differ}")
    write_json(TEXT / "siglip_ids.json", {
        "tokenizer": "dual/siglip_joint/tokenizer.json", "texts": texts, "ids": slow_rows,
        "tokenizer_json_ids": fast_rows, "differ_in": differ, "versions": versions(),
    })  # fmt: skip

    config = SiglipConfig(
        text_config={
            **TOWER, "vocab_size": len(tokenizer_json["model"]["vocab"]), "max_position_embeddings": 64,
            "projection_size": HIDDEN, "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 1,
        },
        vision_config={**TOWER, "image_size": SIZE, "patch_size": 8},
        attn_implementation="eager",
    )  # fmt: skip
    model = randomise(SiglipModel(config), 30)
    bias = -2.5
    with torch.no_grad():
        model.logit_scale.copy_(torch.tensor([math.log(12.0)]))
        model.logit_bias.copy_(torch.tensor([bias]))
    save_config(model, joint, "SiglipModel")
    save_config(model, split, "SiglipModel")

    ids = torch.tensor(rows)
    pixels = SiglipImageProcessorPil.from_pretrained(joint)(pictures(paths), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        out = model(input_ids=ids, pixel_values=pixels)
    text, image, factor = out.text_embeds.numpy(), out.image_embeds.numpy(), model.logit_scale.exp().item()

    def run_joint(m, input_ids, pixel_values):
        o = m(input_ids=input_ids, pixel_values=pixel_values)
        return tuple(o[k] for k in JOINT_OUTPUTS)

    inputs = {"input_ids": ids[:2], "pixel_values": pixels[:3]}
    export(joint / "model.onnx", model, run_joint, inputs, JOINT_OUTPUTS, JOINT_AXES)
    logits, probabilities = reference(joint, paths, rows, None, text, image, factor, bias, tokenizer_json_ids=fast)
    got = session(joint / "model.onnx").run(JOINT_OUTPUTS, {"input_ids": ids.numpy(), "pixel_values": pixels.numpy()})
    got = dict(zip(JOINT_OUTPUTS, got))
    check("siglip_joint text_embeds", got["text_embeds"], text)
    check("siglip_joint image_embeds", got["image_embeds"], image)
    check("siglip_joint logits_per_image", got["logits_per_image"], logits)
    check("siglip_joint torch's own probabilities", torch.sigmoid(out.logits_per_image), probabilities)

    outputs = ["last_hidden_state", "pooler_output"]

    def run(o):
        return o.last_hidden_state, o.pooler_output

    export(
        split / "onnx" / "text_model.onnx", model, lambda m, i: run(m.text_model(input_ids=i)), {"input_ids": ids[:2]},
        outputs, SPLIT_AXES,
    )  # fmt: skip
    export(
        split / "onnx" / "vision_model.onnx", model, lambda m, p: run(m.vision_model(pixel_values=p)),
        {"pixel_values": pixels[:3]}, outputs, {**SPLIT_AXES, "last_hidden_state": {0: "batch_size"}},
    )  # fmt: skip
    got_text = session(split / "onnx" / "text_model.onnx").run(["pooler_output"], {"input_ids": ids.numpy()})[0]
    got_image = session(split / "onnx" / "vision_model.onnx").run(["pooler_output"], {"pixel_values": pixels.numpy()})[0]
    check("siglip_split text_embeds", unit(got_text), text)
    check("siglip_split image_embeds", unit(got_image), image)
    reference(split, paths, rows, None, text, image, factor, bias, tokenizer_json_ids=fast)
    shutil.copyfile(spiece, split / "spiece.model")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(HIDDEN), nn.LayerNorm(HIDDEN)
        self.qkv, self.out = nn.Linear(HIDDEN, 3 * HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.up, self.down = nn.Linear(HIDDEN, FFN), nn.Linear(FFN, HIDDEN)

    def forward(self, x):
        q, k, v = self.qkv(self.norm1(x)).reshape(x.shape[0], -1, 3, 2, HIDDEN // 2).permute(2, 0, 3, 1, 4)
        a = (q @ k.transpose(-1, -2) * (HIDDEN // 2) ** -0.5).softmax(-1) @ v  # no mask: every token sees every other
        x = x + self.out(a.transpose(1, 2).flatten(2))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class TextTower(nn.Module):
    """Takes the embedding at the first largest id, which is the end of the text."""

    def __init__(self, vocab):
        super().__init__()
        self.token_embedding, self.position_embedding = nn.Embedding(vocab, HIDDEN), nn.Embedding(77, HIDDEN)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm, self.projection = nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, DIM, bias=False)

    def forward(self, text):
        x = self.norm(self.blocks(self.token_embedding(text) + self.position_embedding.weight[None]))
        x = self.projection(x[torch.arange(text.shape[0]), text.argmax(-1)])
        return x / x.norm(dim=-1, keepdim=True)


class ImageTower(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.position_embedding = nn.Conv2d(3, HIDDEN, 8, 8), nn.Embedding(16, HIDDEN)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm, self.projection = nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, DIM, bias=False)

    def forward(self, image):
        x = self.patches(image).flatten(2).transpose(1, 2) + self.position_embedding.weight[None]
        x = self.projection(self.norm(self.blocks(x)).mean(1))
        return x / x.norm(dim=-1, keepdim=True)


def shortest_and_crop(image, filter):
    """The image as [3, SIZE, SIZE] in 0 to 1: shortest side to SIZE, then the centre."""
    w, h = image.size
    size = (SIZE, int(SIZE * h / w)) if w <= h else (int(SIZE * w / h), SIZE)
    left, top = int(round((size[0] - SIZE) / 2)), int(round((size[1] - SIZE) / 2))
    image = image.resize(size, filter).crop((left, top, left + SIZE, top + SIZE))
    return torch.from_numpy(np.asarray(image, np.float32).transpose(2, 0, 1) / np.float32(255))


def no_causal(paths, merges):
    folder = DUAL / "no_causal"
    tokenizer_json = clip_tokenizer_json(merges[:MERGES], merges_as_text=True)
    vocab = len(tokenizer_json["model"]["vocab"])
    write_compact(folder / "textual" / "tokenizer.json", tokenizer_json)
    write_json(folder / "textual" / "tokenizer_config.json", CLIP_TOKENIZER_CONFIG)
    write_json(
        folder / "visual" / "preprocess_cfg.json",
        {
            "size": [SIZE, SIZE],
            "mode": "RGB",
            "mean": [0.0, 0.0, 0.0],
            "std": [1.0, 1.0, 1.0],
            "interpolation": "bilinear",
            "resize_mode": "shortest",
            "fill_color": 0,
        },
    )
    write_json(
        folder / "config.json",
        {
            "embed_dim": DIM,
            "vision_cfg": {"timm_model_name": "fastvit_mci0", "timm_pool": "avg", "timm_proj": None, "image_size": SIZE},
            "text_cfg": {
                "context_length": 77,
                "vocab_size": vocab,
                "width": HIDDEN,
                "heads": 2,
                "layers": 2,
                "no_causal_mask": True,
            },
        },
    )
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json))
    rows = [cut(r, 77) for r in raw_ids(tokenizer, TEXTS)]
    padded = lambda value: torch.tensor([r + [value] * (77 - len(r)) for r in rows], dtype=torch.int32)
    ids = padded(0)
    text_model, image_model = randomise(TextTower(vocab), 53, common=5), randomise(ImageTower(), 43)
    pixels = torch.stack([shortest_and_crop(p, Image.Resampling.BILINEAR) for p in pictures(paths)])
    with torch.no_grad():
        text, image, wrong = text_model(ids).numpy(), image_model(pixels).numpy(), text_model(padded(vocab - 1)).numpy()
    short = [i for i, r in enumerate(rows) if len(r) < 77]
    change = np.abs(wrong - text).max(-1)
    print(f"no_causal: padding with the end of the text moves an embedding by {change[short].min():.3g} or more")
    assert change[short].min() > 1e-2
    run = lambda m, x: m(x)
    export(folder / "textual" / "model.onnx", text_model, run, {"text": ids[:1]}, ["embedding"], {})
    export(folder / "visual" / "model.onnx", image_model, run, {"image": pixels[:1]}, ["embedding"], {})
    for kind, name, feed, expected in (("textual", "text", ids, text), ("visual", "image", pixels, image)):
        s = session(folder / kind / "model.onnx")
        got = np.concatenate([s.run(["embedding"], {name: row[None].numpy()})[0] for row in feed])
        check(f"no_causal {kind}", got, expected)
    reference(folder, paths, ids.tolist(), None, text, image, 100.0, None)  # what CLIP's training ends with; no file says it


def wordpiece(paths):
    folder = DUAL / "wordpiece_split"
    tokenizer_json = wordpiece_tokenizer_json()
    write_compact(folder / "tokenizer.json", tokenizer_json)
    write_json(
        folder / "tokenizer_config.json",
        {
            "clean_up_tokenization_spaces": True,
            "cls_token": "[CLS]",
            "do_basic_tokenize": True,
            "do_lower_case": True,
            "mask_token": "[MASK]",
            "model_max_length": 32,
            "never_split": None,
            "pad_token": "[PAD]",
            "sep_token": "[SEP]",
            "strip_accents": None,
            "tokenize_chinese_chars": True,
            "tokenizer_class": "BertTokenizer",
            "unk_token": "[UNK]",
        },
    )
    write_json(
        folder / "preprocessor_config.json",
        {
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_processor_type": "ViTImageProcessor",
            "image_std": [0.5, 0.5, 0.5],
            "resample": 2,
            "rescale_factor": 0.00392156862745098,
            "size": {"height": SIZE, "width": SIZE},
        },
    )
    vocab = len(tokenizer_json["model"]["vocab"])
    config = VisionTextDualEncoderConfig.from_vision_text_configs(
        ViTConfig(**TOWER, image_size=SIZE, patch_size=8),
        BertConfig(**TOWER, vocab_size=vocab, max_position_embeddings=32),
        projection_dim=DIM,
        logit_scale_init_value=number(math.log(20.0)),
    )
    config._attn_implementation = "eager"
    model = VisionTextDualEncoderModel(config)
    model.set_attn_implementation("eager")
    model = randomise(model, 50)
    save_config(model, folder, "VisionTextDualEncoderModel")
    tokens = BertTokenizer.from_pretrained(folder)
    rows = tokens(TEXTS, truncation=True, max_length=32)
    raw = [tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).encode(t).ids for t in TEXTS]
    assert raw == rows["input_ids"], "tokenizer.json by itself gives other ids than BertTokenizer"
    batch = tokens(TEXTS, truncation=True, max_length=32, padding=True, return_tensors="pt")
    pixels = ViTImageProcessorPil.from_pretrained(folder)(pictures(paths), return_tensors="pt")["pixel_values"]

    def run_text(m, input_ids, attention_mask, token_type_ids):
        o = m.text_model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return m.text_projection(o.pooler_output)

    run_vision = lambda m, p: m.visual_projection(m.vision_model(pixel_values=p).pooler_output)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    with torch.no_grad():
        alone = [run_text(model, *(torch.tensor([rows[k][i]]) for k in names)) for i in range(len(TEXTS))]
        text = unit(np.concatenate(alone))
        image = unit(run_vision(model, pixels))
        out = model(pixel_values=pixels, **{k: batch[k] for k in names})
    check("wordpiece_split torch, padded batch against a text a run", out.text_embeds, text)
    check("wordpiece_split torch's own image_embeds", out.image_embeds, image)
    inputs = {k: batch[k][:2] for k in names}
    onnx_dir = folder / "onnx"
    export(onnx_dir / "text_model.onnx", model, run_text, inputs, ["text_embeds"], SPLIT_AXES)
    export(onnx_dir / "vision_model.onnx", model, run_vision, {"pixel_values": pixels[:3]}, ["image_embeds"], SPLIT_AXES)
    s = session(onnx_dir / "text_model.onnx")
    got = [s.run(None, {k: np.array([rows[k][i]]) for k in names})[0] for i in range(len(TEXTS))]
    check("wordpiece_split text_embeds, a text a run", unit(np.concatenate(got)), text)
    check("wordpiece_split text_embeds, padded batch", unit(s.run(None, {k: batch[k].numpy() for k in names})[0]), text)
    got_image = session(onnx_dir / "vision_model.onnx").run(None, {"pixel_values": pixels.numpy()})[0]
    check("wordpiece_split image_embeds", unit(got_image), image)
    factor = model.logit_scale.exp().item()
    reference(folder, paths, rows["input_ids"], rows["attention_mask"], text, image, factor, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip-layout", type=Path, required=True, help="folder with CLIP's tokenizer files")
    layout = parser.parse_args().clip_layout
    torch.manual_seed(0)
    torch.set_num_threads(1)
    merges = clip_texts(layout)
    paths = images()
    clip(paths, merges)
    siglip(paths)
    no_causal(paths, merges)
    wordpiece(paths)
    print("\nONNX Runtime against torch, largest difference")
    for what, distance, limit in TABLE:
        print(f"  {what:72} {distance:9.2e}  (limit {limit:g})")
    files = [p for p in [*DUAL.rglob("*"), *TEXT.rglob("*")] if p.is_file()]
    print(f"\n{len(files)} files, {sum(p.stat().st_size for p in files) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
