//! From texts to embeddings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::TextError;
use super::prompts::Templates;
use super::scale::{self, LogitScale, token_feeds};
use super::tokenizer::{Family, TextTokenizer, TokenRules, Tokens};
use super::tower::{Role, TextTower};
use crate::backbone::provider::Provider;
use crate::backbone::session::GraphSession;
use crate::backbone::towers::TextFiles;
use crate::onnx;
use crate::progress::{CancelGuard, CancelToken};

/// What the user says of a text tower in place of what is found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextOverrides {
    /// The text graph.
    pub graph: Option<PathBuf>,
    /// The tokenizer's file.
    pub tokenizer: Option<PathBuf>,
    /// Name of the text graph's output.
    pub output: Option<String>,
    /// Name of the image graph's output (`TENSOR` or `TENSOR|POOLING`).
    pub image_output: Option<String>,
    /// Scale of the logits.
    pub logit_scale: Option<f64>,
    /// Bias of the logits.
    pub logit_bias: Option<f64>,
}

/// Two embeddings of a text that are closer than this differ by rounding alone.
const SAME_TEXT: f32 = 0.995;
/// Texts of one run: few, so that cancelling is quick and progress is seen.
const BATCH: usize = 16;

/// A text tower that runs, with its tokenizer. Every text is encoded once and kept.
pub struct TextEncoder {
    tower: TextTower,
    tokenizer: TextTokenizer,
    session: Option<GraphSession>,
    known: BTreeMap<String, Box<[f32]>>,
    dim: Option<usize>,
}

impl std::fmt::Debug for TextEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextEncoder").field("path", &self.tower.path).field("n_known", &self.known.len()).finish()
    }
}

impl TextEncoder {
    /// Opens the text tower of `files`. Nothing runs yet.
    ///
    /// # Errors
    /// When graph or tokenizer cannot be used.
    pub fn open(files: &TextFiles, overrides: &TextOverrides) -> Result<Self, TextError> {
        let tower = TextTower::open(files, overrides.output.as_deref())?;
        let tokenizer = match &overrides.tokenizer {
            Some(path) => TextTokenizer::open_file(path, files, tower.fixed_len())?,
            None => TextTokenizer::open(files, tower.fixed_len())?,
        };
        let dim = tower.output.dims.get(1).copied().flatten();
        let mut encoder = Self { tower, tokenizer, session: None, known: BTreeMap::new(), dim };
        encoder.settle_padding()?;
        Ok(encoder)
    }

    /// A CLIP tower without a causal mask was trained on rows that zeros fill up, whatever its tokenizer's files say. In
    /// one with the mask the filling has no influence: whether it has is seen by trying.
    fn settle_padding(&mut self) -> Result<(), TextError> {
        let rules = self.rules();
        let has_mask = self.tower.others.iter().any(|(_, role)| *role == Role::Mask);
        // Where a graph quantises by what it sees, filling shows in its output with the mask too: nothing can be seen.
        let is_known = has_mask || !self.tower.knows_its_filling() || self.tower.is_batch_dependent();
        if rules.family != Family::Clip || rules.pad_id == 0 || is_known {
            return Ok(());
        }
        let as_stated = unit(&self.run(&["a"])?);
        self.tokenizer.set_pad(0);
        let with_zeros = unit(&self.run(&["a"])?);
        let cosine: f32 = as_stated.iter().zip(with_zeros.iter()).map(|(a, b)| a * b).sum();
        if cosine > SAME_TEXT {
            self.tokenizer.set_pad(rules.pad_id);
        }
        Ok(())
    }

    /// The tower.
    pub fn tower(&self) -> &TextTower {
        &self.tower
    }

    /// How texts become tokens.
    pub fn rules(&self) -> TokenRules {
        self.tokenizer.rules()
    }

    /// The tokenizer's file.
    pub fn tokenizer_path(&self) -> &Path {
        self.tokenizer.path()
    }

    /// A digest of all that decides about a text's embedding beside the graph.
    pub fn digest(&self) -> String {
        self.tokenizer.digest()
    }

    /// The tokens of texts, as they go into the graph.
    ///
    /// # Errors
    /// When the tokenizer fails, or gives tokens that the model does not have.
    pub fn tokens(&self, texts: &[&str]) -> Result<Tokens, TextError> {
        let tokens = self.tokenizer.encode(texts)?;
        if let Some(n_tokens) = self.tower.n_tokens
            && let Some(&token) = tokens.ids.iter().find(|id| usize::try_from(**id).map_or(true, |id| id >= n_tokens))
        {
            return Err(TextError::ForeignTokenizer { path: self.tokenizer.path().to_owned(), token, n_tokens });
        }
        Ok(tokens)
    }

    /// Templates that suit the model: sentence encoders and those who know words read plain names, models that were taught
    /// with captions read captions.
    pub fn default_templates(&self) -> Templates {
        match self.rules().family {
            Family::Clip | Family::Siglip | Family::Siglip2 => Templates::Photo,
            Family::WordPiece | Family::Other => Templates::None,
        }
    }

    /// Scale and bias of the logits with the image graph `vision`, which takes pictures of these dimensions.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn logit_scale(&self, files: &TextFiles, vision: (&Path, &[usize])) -> Result<LogitScale, TextError> {
        // Any texts that differ will do.
        let texts = ["a", "blue water and 42 ships", "the cat sat on the mat", "zebra"];
        let n_a_run = self.tower.fixed_batch().unwrap_or(texts.len()).max(1);
        let runs = texts.chunks(n_a_run).map(|texts| {
            let mut texts = texts.to_vec();
            texts.resize(n_a_run.max(texts.len()), "");
            self.tokens(&texts)
        });
        let sample = runs.collect::<Result<Vec<Tokens>, TextError>>()?;
        Ok(scale::find(files, vision, &self.tower, self.rules().family, &sample))
    }

    /// Width of an embedding; runs the tower once where its graph does not tell.
    ///
    /// # Errors
    /// When the tower does not run.
    pub fn dim(&mut self) -> Result<usize, TextError> {
        if let Some(dim) = self.dim {
            return Ok(dim);
        }
        let row = self.run(&["a"])?;
        let dim = row.len();
        self.dim = Some(dim);
        Ok(dim)
    }

    /// Texts that would be cut, of those given.
    ///
    /// # Errors
    /// As [`Self::tokens`].
    pub fn cut_texts<'t>(&self, texts: &[&'t str]) -> Result<Vec<&'t str>, TextError> {
        let tokens = self.tokens(texts)?;
        Ok(texts.iter().zip(tokens.is_cut).filter(|(_, is_cut)| *is_cut).map(|(text, _)| *text).collect())
    }

    /// Takes embeddings from an earlier time; rows of another width are passed over.
    pub fn remember(&mut self, rows: impl IntoIterator<Item = (String, Box<[f32]>)>) {
        let dim = self.dim;
        self.known.extend(rows.into_iter().filter(|(_, row)| dim.is_none_or(|dim| row.len() == dim)));
    }

    /// The embedding of a text that was encoded, of unit length.
    pub fn known(&self, text: &str) -> Option<&[f32]> {
        self.known.get(text).map(|row| &**row)
    }

    /// Those of `texts` that have not been encoded yet, each once.
    pub fn unknown<'t>(&self, texts: &'t [String]) -> Vec<&'t str> {
        let mut new: Vec<&str> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for text in texts {
            if !self.known.contains_key(text) && seen.insert(text) {
                new.push(text);
            }
        }
        new
    }

    /// Embeddings of texts, array of shape `[n_texts, dim]`, each of unit length. `progress` is told how many of those
    /// that are new are done.
    ///
    /// # Errors
    /// When tokens do not fit, the tower does not run, or `cancel` is cancelled.
    pub fn encode(
        &mut self,
        texts: &[String],
        cancel: &CancelToken,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Array2<f32>, TextError> {
        let new: Vec<String> = self.unknown(texts).into_iter().map(str::to_owned).collect();
        // Dynamic quantisation looks at all that is in a run: a text must not depend on which others are there.
        let batch = if self.tower.is_batch_dependent() { 1 } else { self.tower.fixed_batch().unwrap_or(BATCH).max(1) };
        let mut n_done = 0;
        if let Some(session) = &mut self.session {
            // An earlier call may have been cancelled.
            session
                .go_on()
                .map_err(|source| TextError::Run { path: self.tower.path.clone(), source: Box::new(source) })?;
        }
        // Texts of about the same length together: little is filled up. Without a mask what fills up counts, so that only
        // texts of exactly the same length may go together.
        let has_mask = self.tower.others.iter().any(|(_, role)| *role == Role::Mask);
        let must_match = !has_mask && !self.rules().pads_to_max;
        let n_tokens = |text: &String| match must_match {
            true => self.tokenizer.encode(&[text]).map_or(0, |tokens| tokens.len),
            false => 0,
        };
        let mut order: Vec<(usize, &String)> = new.iter().map(|text| (n_tokens(text), text)).collect();
        order.sort_by_key(|(n, text)| (*n, text.len(), *text));
        let chunks: Vec<Vec<&String>> = order
            .chunk_by(|a, b| a.0 == b.0)
            .flat_map(|alike| alike.chunks(batch))
            .map(|chunk| chunk.iter().map(|(_, text)| *text).collect())
            .collect();
        for chunk in chunks {
            if cancel.is_cancelled() {
                return Err(TextError::Cancelled);
            }
            progress(n_done, new.len());
            let _end: CancelGuard = self.session()?.end_on_cancel(cancel);
            let chunk: Vec<&str> = chunk.iter().map(|text| text.as_str()).collect();
            let values = match self.run(&chunk) {
                Err(_) if cancel.is_cancelled() => return Err(TextError::Cancelled),
                values => values?,
            };
            let dim = values.len() / chunk.len();
            self.dim = Some(dim);
            for (text, row) in chunk.iter().zip(values.chunks_exact(dim.max(1))) {
                self.known.insert((*text).to_owned(), unit(row));
            }
            n_done += chunk.len();
        }
        if !new.is_empty() {
            progress(new.len(), new.len());
        }
        let dim = self.dim()?;
        let mut rows = Array2::zeros((texts.len(), dim));
        for (mut row, text) in rows.outer_iter_mut().zip(texts) {
            if let Some(values) = self.known.get(text) {
                row.iter_mut().zip(values.iter()).for_each(|(to, from)| *to = *from);
            }
        }
        Ok(rows)
    }

    fn session(&mut self) -> Result<&mut GraphSession, TextError> {
        let failed = |source| TextError::Run { path: self.tower.path.clone(), source: Box::new(source) };
        if self.session.is_none() {
            let bytes = onnx::encode(&self.tower.model)
                .map_err(|source| TextError::Onnx { path: self.tower.path.clone(), source: Box::new(source) })?;
            let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
            // Texts are short: the way to a graphics card would take longer than the run.
            self.session = Some(GraphSession::load(&bytes, n_threads, Provider::Cpu).map_err(failed)?);
        }
        match &mut self.session {
            Some(session) => Ok(session),
            None => Err(failed(crate::backbone::BackboneError::NoFeatures)),
        }
    }

    /// Runs texts, at most as many as the graph takes at once; their values as they come out, row after row.
    fn run(&mut self, texts: &[&str]) -> Result<Vec<f32>, TextError> {
        let mut all = texts.to_vec();
        if let Some(fixed) = self.tower.fixed_batch() {
            all.resize(fixed.max(1), "");
        }
        let tokens = self.tokens(&all)?;
        let (path, output) = (self.tower.path.clone(), self.tower.output.name.clone());
        self.session()?;
        let feeds = token_feeds(&self.tower, &tokens);
        let Some(session) = &mut self.session else { return Ok(Vec::new()) };
        let failed = |source| TextError::Run { path: path.clone(), source: Box::new(source) };
        let result = session.run_feeds(feeds, &[&output]).map_err(failed)?.pop();
        let (dims, mut values) = result.map(|o| (o.dims, o.values)).unwrap_or_default();
        let is_vector = matches!(dims.as_slice(), [n, dim] if *n == tokens.n_rows && *dim > 0);
        if !is_vector || values.iter().any(|v| !v.is_finite()) {
            let message = match is_vector {
                true => "it gave values that are no numbers".to_owned(),
                false => format!("its output {output} has the dimensions {dims:?}, not one vector a text"),
            };
            return Err(failed(crate::backbone::BackboneError::Run { message }));
        }
        values.truncate(texts.len() * dims[1]);
        Ok(values)
    }
}

/// A vector divided by its length.
fn unit(row: &[f32]) -> Box<[f32]> {
    let length = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt().max(1e-12);
    row.iter().map(|&v| (f64::from(v) / length) as f32).collect()
}
