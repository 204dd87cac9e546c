//! `graft models`

use anyhow::Result;
use serde_json::json;

use super::args::ModelsArgs;
use super::output::{print, print_json};
use super::terminal::Terminal;
use crate::backbone::library::{self, Installed};
use crate::progress::Reporter;
use crate::store::dirs;
use crate::workflow::models::{open_cache, open_path};

pub(super) fn run(args: &ModelsArgs, terminal: &Terminal) -> Result<()> {
    let cache = open_cache(terminal);
    let mut rows = Vec::new();
    for Installed { name, path, is_linked } in library::installed(&dirs::model_dirs()) {
        match open_path(&path, None, &cache) {
            Ok(backbone) => rows.push((name, backbone, is_linked)),
            Err(error) => terminal.warn(&format!("The model {name} cannot be used: {error}.")),
        }
    }
    if args.json {
        let list = rows.iter().map(|(name, backbone, is_linked)| {
            let manifest = &backbone.manifest;
            json!({
                "name": name,
                "title": manifest.name,
                "path": manifest.path.to_string_lossy(),
                "id": manifest.id,
                "in_place": is_linked,
                "architecture": manifest.architecture.value,
                "n_params": manifest.n_params,
                "size_bytes": manifest.size_bytes,
                "layer": backbone.space.layer.clone(),
                "dim": backbone.space.dim,
                "licence": manifest.licence,
                "source": manifest.source,
            })
        });
        return print_json(&list.collect());
    }
    if rows.is_empty() {
        terminal.warn("No model is installed: give --model the path of an .onnx file or a model folder.");
    }
    let width = rows.iter().map(|(name, _, _)| name.chars().count()).max().unwrap_or(0);
    for (name, backbone, _) in &rows {
        let manifest = &backbone.manifest;
        print(&format!(
            "{name:width$}  {:6.1} MB  {:5} features  {:22}  {}  {}",
            manifest.size_bytes as f64 / 1e6,
            backbone.space.dim,
            manifest.architecture.value.label(),
            manifest.licence.as_deref().unwrap_or("licence not stated"),
            manifest.name,
        ))?;
    }
    Ok(())
}
