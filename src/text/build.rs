//! Tokenizers from vocabularies, where a model comes without `tokenizer.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

/// What CLIP's tokens are split at (OpenAI's expression).
const CLIP_WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// `tokenizer.json` of a CLIP model from its `merges.txt`, and its `vocab.json` where there is one. The vocabulary of
/// CLIP follows from its merges: the byte symbols, the same at the end of a word, the merges in order, start and end.
pub(super) fn clip(merges: &str, vocab: Option<&str>) -> Option<String> {
    let merges: Vec<&str> = merges.lines().filter(|l| !l.starts_with("#version") && l.contains(' ')).collect();
    let vocab: BTreeMap<String, u64> = match vocab {
        Some(text) => serde_json::from_str(text).ok()?,
        None => {
            let bytes: Vec<String> = byte_symbols();
            let ends = bytes.iter().map(|b| format!("{b}</w>"));
            let merged = merges.iter().map(|m| m.replacen(' ', "", 1));
            let special = ["<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
            bytes.iter().cloned().chain(ends).chain(merged).chain(special).zip(0..).collect()
        }
    };
    let (start, end) = (*vocab.get("<|startoftext|>")?, *vocab.get("<|endoftext|>")?);
    let special = |content: &str, id: u64| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
    };
    let merges: Vec<Value> = merges.iter().map(|m| json!(m.split_once(' '))).collect();
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special("<|startoftext|>", start), special("<|endoftext|>", end)],
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "NFC" },
            { "type": "Replace", "pattern": { "Regex": "\\s+" }, "content": " " },
            { "type": "Lowercase" },
        ] },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": CLIP_WORDS }, "behavior": "Removed", "invert": true },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        ] },
        "post_processor": { "type": "RobertaProcessing", "sep": ["<|endoftext|>", end], "cls": ["<|startoftext|>", start],
            "trim_offsets": false, "add_prefix_space": false },
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "dropout": null, "unk_token": "<|endoftext|>", "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": merges },
    });
    serde_json::to_string(&tokenizer).ok()
}

/// The 256 characters that stand for bytes, in the order of GPT-2's table: printable ones first, each for itself.
fn byte_symbols() -> Vec<String> {
    let is_printable = |b: u32| (33..=126).contains(&b) || (161..=172).contains(&b) || (174..=255).contains(&b);
    let printable = (0..256).filter(|b| is_printable(*b));
    let n_others = (0..256).filter(|b| !is_printable(*b)).count() as u32;
    printable.chain(256..256 + n_others).filter_map(char::from_u32).map(String::from).collect()
}

/// `tokenizer.json` of a BERT-like model from its `vocab.txt`.
pub(super) fn word_piece(vocab: &str, lowercase: bool) -> Option<String> {
    let vocab: BTreeMap<&str, u64> = vocab.lines().map(str::trim_end).zip(0..).collect();
    let id = |token: &str| vocab.get(token).copied();
    let (cls, sep, unknown) = (id("[CLS]")?, id("[SEP]")?, id("[UNK]")?);
    let special = |content: &str, id: u64| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
    };
    let specials: Vec<Value> =
        [("[UNK]", Some(unknown)), ("[CLS]", Some(cls)), ("[SEP]", Some(sep)), ("[PAD]", id("[PAD]"))]
            .into_iter()
            .filter_map(|(token, id)| Some(special(token, id?)))
            .collect();
    let piece = |token: &str| json!({ "SpecialToken": { "id": token, "type_id": 0 } });
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": specials,
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": lowercase },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "TemplateProcessing", "single": [piece("[CLS]"), text, piece("[SEP]")],
            "pair": [piece("[CLS]"), text, piece("[SEP]"), { "Sequence": { "id": "B", "type_id": 1 } },
                { "SpecialToken": { "id": "[SEP]", "type_id": 1 } }],
            "special_tokens": {
                "[CLS]": { "id": "[CLS]", "ids": [cls], "tokens": ["[CLS]"] },
                "[SEP]": { "id": "[SEP]", "ids": [sep], "tokens": ["[SEP]"] },
            } },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab },
    });
    serde_json::to_string(&tokenizer).ok()
}

/// Reads a side file, if it is there.
pub(super) fn read(dir: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(dir.join(name)).ok()
}
