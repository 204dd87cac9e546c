//! `graft embed`

use std::path::PathBuf;

use anyhow::Result;

use super::args::EmbedArgs;
use super::npz::{Npy, write_npz};
use super::output::{Listing, count, list_skipped, print};
use super::terminal::Terminal;
use crate::progress::Reporter;
use crate::workflow::WorkflowError;
use crate::workflow::embed::embed;
use crate::workflow::models::{open_cache, open_model};
use crate::workflow::scan::scan;

pub(super) fn run(args: &EmbedArgs, terminal: &Terminal) -> Result<()> {
    let cache = open_cache(terminal);
    let backbone = open_model(args.model.model.as_deref(), args.model.layer.as_deref(), &cache)?;
    let dataset = scan(&args.images, terminal)?;
    if dataset.samples.is_empty() {
        return Err(WorkflowError::NoImages { path: args.images.clone() }.into());
    }
    for note in backbone.manifest.notes.iter().chain(&dataset.notes) {
        terminal.warn(note);
    }
    let paths: Vec<PathBuf> = dataset.samples.iter().map(|s| s.path.clone()).collect();
    let embedded = embed(&backbone, &paths, &cache, &args.model.run.embed(), terminal)?;
    let mut skipped = dataset.skipped;
    skipped.extend(embedded.skipped.iter().cloned());
    list_skipped(&skipped, Listing::Whole, terminal);
    if embedded.path_idx.is_empty() {
        return Err(WorkflowError::nothing_usable(paths.len(), &embedded.skipped).into());
    }
    let rows = embedded.path_idx.iter().map(|&i| &dataset.samples[i]);
    let names: Vec<String> = rows.clone().map(|s| s.path.to_string_lossy().into_owned()).collect();
    let labels: Vec<String> =
        rows.map(|s| s.class.and_then(|c| dataset.classes.name(c)).unwrap_or_default().to_owned()).collect();
    let arrays = [
        ("embeddings", Npy::MatrixF32(embedded.embeddings.view())),
        ("paths", Npy::Strings(&names)),
        ("labels", Npy::Strings(&labels)),
    ];
    write_npz(&args.out, &arrays).map_err(|source| WorkflowError::Write { path: args.out.clone(), source })?;
    print(&format!(
        "{} x {} values written to {} ({} computed, {} from the cache)",
        count(embedded.embeddings.n_rows(), "embedding"),
        backbone.space.dim,
        args.out.display(),
        embedded.n_embedded,
        embedded.n_cached
    ))
}
