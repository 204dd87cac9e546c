//! Tokenizers with the padding, truncation and case of the model's family.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use tokenizers::{Tokenizer, TruncationParams};

use super::TextError;
use super::build;
use crate::backbone::towers::TextFiles;

/// Families whose texts are prepared in their own ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Byte-pair encoding of OpenAI's CLIP; 77 tokens, the last one kept when a text is cut.
    Clip,
    /// SigLIP: lower case without punctuation, padded to 64.
    Siglip,
    /// SigLIP 2: Gemma's tokenizer, lower case, padded to 64.
    Siglip2,
    /// BERT's WordPiece, as in sentence encoders.
    WordPiece,
    /// Anything else, as its files say.
    Other,
}

impl Family {
    /// Name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Clip => "CLIP",
            Self::Siglip => "SigLIP",
            Self::Siglip2 => "SigLIP 2",
            Self::WordPiece => "WordPiece",
            Self::Other => "another family",
        }
    }
}

/// How texts become rows of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TokenRules {
    /// The family that they follow from.
    pub family: Family,
    /// Most tokens of a text; what is beyond is cut off, its end token kept.
    pub max_len: usize,
    /// Whether every row has that length, rather than that of the longest text.
    pub pads_to_max: bool,
    /// What fills a row up.
    pub pad_id: u32,
    /// Whether case and punctuation are taken off first.
    pub canonical: bool,
}

/// Rows of tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Number of texts.
    pub n_rows: usize,
    /// Tokens a row.
    pub len: usize,
    /// Tokens, row after row.
    pub ids: Vec<i64>,
    /// 1 where a token is attended to: those of the text, in SigLIP also what fills up.
    pub mask: Vec<i64>,
    /// For each text, whether it was longer than the model reads.
    pub is_cut: Vec<bool>,
}

/// A tokenizer with its rules.
#[derive(Debug)]
pub struct TextTokenizer {
    inner: Tokenizer,
    rules: TokenRules,
    path: PathBuf,
    /// Hash of the file.
    file: [u8; 32],
}

/// Length of a CLIP text where nothing says it.
const CLIP_LEN: usize = 77;
/// Length of a SigLIP text.
const SIGLIP_LEN: usize = 64;
/// Most tokens of other families where nothing says it.
const OTHER_LEN: usize = 128;
/// Lengths from here on stand for "no limit" in tokenizer files.
const NO_LIMIT: u64 = 100_000;

impl TextTokenizer {
    /// Opens the tokenizer of a text tower, whose graph may fix the number of tokens.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub fn open(files: &TextFiles, fixed_len: Option<usize>) -> Result<Self, TextError> {
        let (path, json) = find(&files.side_dirs).ok_or_else(|| TextError::NoTokenizer { path: files.onnx.clone() })?;
        let settings = Settings::read(&files.side_dirs);
        Self::new(path, &json?, &settings, fixed_len)
    }

    /// Opens the tokenizer in `path`, a `tokenizer.json`, for the text tower of `files`.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open_file(path: &Path, files: &TextFiles, fixed_len: Option<usize>) -> Result<Self, TextError> {
        let json = fs::read_to_string(path).map_err(|source| TextError::Read { path: path.to_owned(), source })?;
        let mut dirs: Vec<PathBuf> = path.parent().map(Path::to_owned).into_iter().collect();
        dirs.extend(files.side_dirs.iter().cloned());
        Self::new(path.to_owned(), &json, &Settings::read(&dirs), fixed_len)
    }

    fn new(path: PathBuf, json: &str, settings: &Settings, fixed_len: Option<usize>) -> Result<Self, TextError> {
        let failed = |message: String| TextError::Tokenizer { path: path.clone(), message };
        let own: Value = serde_json::from_str(json).map_err(|e| failed(format!("it is not JSON ({e})")))?;
        let mut inner: Tokenizer = json.parse().map_err(|e: tokenizers::Error| failed(one_line(&e.to_string())))?;
        let rules = rules(&own, settings, &inner, fixed_len);
        inner.with_padding(None);
        let truncation = TruncationParams { max_length: rules.max_len, ..TruncationParams::default() };
        inner.with_truncation(Some(truncation)).map_err(|e| failed(one_line(&e.to_string())))?;
        let file = *blake3::hash(json.as_bytes()).as_bytes();
        Ok(Self { inner, rules, path, file })
    }

    /// The same with rows filled up with `pad_id`.
    pub(super) fn set_pad(&mut self, pad_id: u32) {
        self.rules.pad_id = pad_id;
    }

    /// Its rules.
    pub fn rules(&self) -> TokenRules {
        self.rules
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A digest of all that decides about tokens.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.file);
        hasher.update(format!("{:?}", self.rules).as_bytes());
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// The tokens of texts.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, texts: &[&str]) -> Result<Tokens, TextError> {
        let failed =
            |e: tokenizers::Error| TextError::Tokenizer { path: self.path.clone(), message: one_line(&e.to_string()) };
        let mut rows = Vec::with_capacity(texts.len());
        for text in texts {
            rows.push(self.inner.encode_fast(self.prepare(text), true).map_err(failed)?);
        }
        let longest = rows.iter().map(|row| row.get_ids().len()).max().unwrap_or(0).max(1);
        let len = if self.rules.pads_to_max { self.rules.max_len } else { longest };
        let mut tokens = Tokens { n_rows: rows.len(), len, ..Tokens::default() };
        for row in &rows {
            let ids = &row.get_ids()[..row.get_ids().len().min(len)];
            let n_filled = len - ids.len();
            tokens.ids.extend(ids.iter().map(|&id| i64::from(id)));
            tokens.ids.extend(std::iter::repeat_n(i64::from(self.rules.pad_id), n_filled));
            // SigLIP was trained to look at what fills its rows up, too.
            let of_filling = i64::from(matches!(self.rules.family, Family::Siglip | Family::Siglip2));
            tokens.mask.extend(std::iter::repeat_n(1, ids.len()));
            tokens.mask.extend(std::iter::repeat_n(of_filling, n_filled));
            tokens.is_cut.push(!row.get_overflowing().is_empty());
        }
        Ok(tokens)
    }

    /// A text as its family wants it before the tokenizer's own steps, which may be missing from its file.
    fn prepare(&self, text: &str) -> String {
        match self.rules.family {
            _ if self.rules.canonical => canonical(text),
            Family::Siglip2 => text.to_lowercase(),
            _ => text.to_owned(),
        }
    }
}

/// SigLIP's form of a text: lower case, no punctuation, one space between words (as `SiglipTokenizer` of transformers).
fn canonical(text: &str) -> String {
    let kept: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The tokenizer's file and its text, from what there is in `dirs`.
#[allow(clippy::type_complexity, reason = "a place and what is there")]
fn find(dirs: &[PathBuf]) -> Option<(PathBuf, Result<String, TextError>)> {
    for dir in dirs {
        let path = dir.join("tokenizer.json");
        if path.is_file() {
            let text = fs::read_to_string(&path).map_err(|source| TextError::Read { path: path.clone(), source });
            return Some((path, text));
        }
    }
    for dir in dirs {
        let (merges, vocab) = (dir.join("merges.txt"), dir.join("vocab.txt"));
        let bad = |path: &Path| TextError::Tokenizer {
            path: path.to_owned(),
            message: "it is no vocabulary of CLIP's or BERT's form".to_owned(),
        };
        if merges.is_file() {
            let text = build::read(dir, "merges.txt").unwrap_or_default();
            let json = build::clip(&text, build::read(dir, "vocab.json").as_deref());
            return Some((merges.clone(), json.ok_or_else(|| bad(&merges))));
        }
        if vocab.is_file() {
            let text = build::read(dir, "vocab.txt").unwrap_or_default();
            let lowercase = Settings::read(dirs).flag("do_lower_case").unwrap_or(true);
            return Some((vocab.clone(), build::word_piece(&text, lowercase).ok_or_else(|| bad(&vocab))));
        }
    }
    None
}

/// What side files say of texts.
#[derive(Debug, Default)]
struct Settings {
    /// `tokenizer_config.json`, `special_tokens_map.json`.
    tokenizer: Vec<Value>,
    /// `config.json`, `open_clip_config.json`.
    model: Vec<Value>,
}

impl Settings {
    fn read(dirs: &[PathBuf]) -> Self {
        let read = |name: &str| {
            let texts = dirs.iter().filter_map(|dir| build::read(dir, name));
            texts.filter_map(|text| serde_json::from_str(&text).ok()).collect::<Vec<Value>>()
        };
        let mut tokenizer = read("tokenizer_config.json");
        tokenizer.extend(read("special_tokens_map.json"));
        let mut model = read("config.json");
        model.extend(read("open_clip_config.json"));
        Self { tokenizer, model }
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.tokenizer.iter().find_map(|v| v.get(key)?.as_bool())
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.tokenizer.iter().find_map(|v| v.get(key)?.as_str())
    }

    fn model_type(&self) -> &str {
        self.model.iter().find_map(|v| v.get("model_type")?.as_str()).unwrap_or_default()
    }

    /// The text part of the model's settings, wherever it stands.
    fn text_cfg(&self) -> impl Iterator<Item = &Value> {
        self.model.iter().flat_map(|v| {
            [v.get("text_config"), v.get("text_cfg"), v.get("model_cfg").and_then(|m| m.get("text_cfg")), Some(v)]
                .into_iter()
                .flatten()
        })
    }

    /// Whether the settings are open_clip's, whose tokenizers pad with 0.
    fn is_open_clip(&self) -> bool {
        self.model.iter().any(|v| v.get("text_cfg").is_some() || v.get("model_cfg").is_some())
    }

    /// Tokens of a text that the model has room for.
    fn context_len(&self) -> Option<usize> {
        let keys = ["context_length", "max_position_embeddings"];
        let in_model = self.text_cfg().find_map(|v| keys.iter().find_map(|key| v.get(*key)?.as_u64()));
        in_model.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 1)
    }

    /// Length that the tokenizer's files give.
    fn max_len(&self) -> Option<usize> {
        let value = self.tokenizer.iter().find_map(|v| v.get("model_max_length")?.as_u64())?;
        usize::try_from(value).ok().filter(|_| value > 1 && value < NO_LIMIT)
    }

    /// open_clip's cleaning of texts.
    fn clean(&self) -> Option<&str> {
        self.text_cfg().find_map(|v| v.get("tokenizer_kwargs")?.get("clean")?.as_str())
    }

    /// The padding token, a text or an object with its content.
    fn pad_token(&self) -> Option<&str> {
        self.tokenizer.iter().find_map(|v| {
            let pad = v.get("pad_token")?;
            pad.as_str().or_else(|| pad.get("content")?.as_str())
        })
    }
}

fn rules(json: &Value, settings: &Settings, tokenizer: &Tokenizer, fixed_len: Option<usize>) -> TokenRules {
    let family = family(json, settings, tokenizer);
    let truncation = json.get("truncation").and_then(|t| t.get("max_length")?.as_u64());
    let truncation = truncation.and_then(|n| usize::try_from(n).ok());
    let stated = fixed_len.or_else(|| match family {
        Family::Clip | Family::Siglip | Family::Siglip2 => settings.context_len(),
        // A sentence encoder has more positions than it was trained on: what its tokenizer says comes first.
        Family::WordPiece | Family::Other => truncation.or(settings.max_len()).or(settings.context_len()),
    });
    let max_len = stated.or(settings.max_len()).or(truncation).unwrap_or(match family {
        Family::Clip => CLIP_LEN,
        Family::Siglip | Family::Siglip2 => SIGLIP_LEN,
        Family::WordPiece | Family::Other => OTHER_LEN,
    });
    let in_file = json.get("padding").and_then(|p| p.get("pad_id")?.as_u64()).and_then(|id| u32::try_from(id).ok());
    let of_config = settings.pad_token().and_then(|token| tokenizer.token_to_id(token));
    let named = ["[PAD]", "<pad>"].iter().find_map(|token| tokenizer.token_to_id(token));
    let pad_id = match family {
        // With a mask or a causal tower the filling has no influence, and what has neither was trained on zeros.
        Family::Clip if settings.is_open_clip() || settings.model_type().contains("mobileclip") => Some(0),
        Family::Clip => of_config.or(in_file).or_else(|| tokenizer.token_to_id("<|endoftext|>")),
        Family::Siglip => of_config.or(in_file).or(Some(1)),
        Family::Siglip2 => of_config.or(in_file).or(named),
        Family::WordPiece | Family::Other => of_config.or(in_file).or(named),
    };
    let pads_to_max = fixed_len.is_some() || matches!(family, Family::Clip | Family::Siglip | Family::Siglip2);
    let canonical = family == Family::Siglip || settings.clean() == Some("canonicalize");
    TokenRules { family, max_len, pads_to_max, pad_id: pad_id.unwrap_or(0), canonical }
}

fn family(json: &Value, settings: &Settings, tokenizer: &Tokenizer) -> Family {
    let class = settings.text("tokenizer_class").unwrap_or_default();
    let model = json.get("model");
    let kind = model.and_then(|m| m.get("type")?.as_str()).unwrap_or_default();
    let is_siglip = settings.model_type().contains("siglip")
        || class.to_ascii_lowercase().contains("siglip")
        || settings.clean() == Some("canonicalize");
    // SigLIP 2 keeps the type of the first: its tokenizer tells them apart.
    if is_siglip {
        let is_gemma = class.contains("Gemma") || tokenizer.token_to_id("<start_of_turn>").is_some();
        return if is_gemma || settings.model_type().contains("siglip2") { Family::Siglip2 } else { Family::Siglip };
    }
    let ends_words = model.and_then(|m| m.get("end_of_word_suffix")?.as_str()) == Some("</w>");
    match kind {
        "BPE" if ends_words => Family::Clip,
        "WordPiece" => Family::WordPiece,
        // Files of older versions do not name the kind.
        "" if model.is_some_and(|m| m.get("continuing_subword_prefix").and_then(Value::as_str) == Some("##")) => {
            Family::WordPiece
        }
        "" if ends_words => Family::Clip,
        _ => Family::Other,
    }
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().trim_end_matches('.').chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siglip_texts_lose_case_and_punctuation() {
        assert_eq!(canonical("  Bald_Eagle,  don't—stop! "), "baldeagle dont—stop");
        assert_eq!(canonical("?!"), "");
    }
}
