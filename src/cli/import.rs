//! `graft import`

use anyhow::Result;
use serde_json::json;

use super::args::ImportArgs;
use super::output::{print, print_json};
use super::terminal::Terminal;
use crate::progress::Reporter;
use crate::workflow::import::{ImportConfig, import_model};
use crate::workflow::models::{open_cache, open_path};

pub(super) fn run(args: &ImportArgs, terminal: &Terminal) -> Result<()> {
    let config = ImportConfig { name: args.name.clone(), in_place: args.in_place };
    let imported = import_model(&args.path, &config, terminal)?;
    let cache = open_cache(terminal);
    let backbone = open_path(&imported.installed.path, None, &cache)?;
    let manifest = &backbone.manifest;
    for note in &manifest.notes {
        terminal.warn(note);
    }
    let (name, path) = (&imported.installed.name, imported.installed.path.display());
    if args.json {
        return print_json(&json!({
            "name": name,
            "path": imported.installed.path.to_string_lossy(),
            "in_place": imported.installed.is_linked,
            "was_there": imported.was_there,
            "id": manifest.id,
            "architecture": manifest.architecture,
            "n_params": manifest.n_params,
            "layer": backbone.space.layer,
            "dim": backbone.space.dim,
            "licence": manifest.licence,
            "source": manifest.source,
        }));
    }
    let what = match (imported.was_there, imported.installed.is_linked) {
        (true, _) => format!("It is installed already, as {name}: {path}"),
        (false, true) => format!("Installed as {name}, used where it is: {path}"),
        (false, false) => format!("Installed as {name}: {path}"),
    };
    print(&format!(
        "{what}\n  {}, {} features from {} ({})",
        manifest.architecture.value.label(),
        backbone.space.dim,
        backbone.space.layer,
        manifest.feature.origin
    ))
}
