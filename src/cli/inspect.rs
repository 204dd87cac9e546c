//! `graft inspect`

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::args::InspectArgs;
use super::output::{count, print, print_json};
use super::terminal::Terminal;
use crate::backbone::Backbone;
use crate::backbone::layers::{Survey, groups, rounded};
use crate::backbone::manifest::pooling_name;
use crate::progress::Reporter;
use crate::workflow::models::{look_into, open_cache};

pub(super) fn run(args: &InspectArgs, terminal: &Terminal) -> Result<()> {
    let cache = open_cache(terminal);
    let backbone = look_into(Some(&args.model), &cache)?;
    let survey = backbone.survey(terminal.cancel_token())?;
    if args.json {
        return print_json(&to_json(&backbone, &survey));
    }
    print(text(&backbone, &survey, args.layers).trim_end())
}

/// Each field of the preprocessing with its value and origin.
fn preprocess(backbone: &Backbone) -> Map<String, Value> {
    let resolved = &backbone.manifest.preprocess;
    let spec = serde_json::to_value(&resolved.spec).unwrap_or_default();
    let fields = resolved.origins.iter().map(|(field, origin)| {
        let value = spec.get(field).cloned().unwrap_or_default();
        ((*field).to_owned(), json!({ "value": value, "origin": origin }))
    });
    fields.collect()
}

fn to_json(backbone: &Backbone, survey: &Survey) -> Value {
    let manifest = &backbone.manifest;
    let outputs: Vec<Value> = manifest
        .outputs
        .iter()
        .zip(&manifest.roles)
        .map(|(port, role)| {
            let mut value = serde_json::to_value(port).unwrap_or_default();
            if let Some(object) = value.as_object_mut() {
                object.insert("role".to_owned(), json!(role));
            }
            value
        })
        .collect();

    let manifest = &backbone.manifest;
    json!({
        "name": manifest.name,
        "path": manifest.path.to_string_lossy(),
        "id": manifest.id,
        "size_bytes": manifest.size_bytes,
        "opset": manifest.opset,
        "architecture": manifest.architecture,
        "n_params": survey.n_params,
        "macs": survey.macs,
        "notes": manifest.notes,
        "licence": manifest.licence,
        "source": manifest.source,
        "inputs": [manifest.input],
        "outputs": outputs,
        "feature": { "layer": backbone.space.layer.clone(), "dim": backbone.space.dim, "origin": manifest.feature.origin },
        "layers": survey.layers,
        "preprocess": preprocess(backbone),
    })
}

fn text(backbone: &Backbone, survey: &Survey, with_layers: bool) -> String {
    let manifest = &backbone.manifest;
    let layers = &survey.layers;
    let macs = survey
        .macs
        .map_or("multiplications not counted".to_owned(), |n| format!("{} multiplications an image", rounded(n)));
    let mut text = format!(
        "{}\n  {}, {}\n  {} parameters, {macs}\n  {} ({:.1} MB, opset {})\n  licence: {}\n  source: {}\n\nInput\n  {}\n\nOutputs\n",
        manifest.name,
        manifest.architecture.value.label(),
        manifest.architecture.origin,
        rounded(survey.n_params),
        manifest.path.display(),
        manifest.size_bytes as f64 / 1e6,
        manifest.opset,
        manifest.licence.as_deref().unwrap_or("not stated"),
        manifest.source.as_deref().unwrap_or("not stated").replace('\n', "; "),
        manifest.input,
    );
    for (output, role) in manifest.outputs.iter().zip(&manifest.roles) {
        text.push_str(&format!("  {output}   {} ({})\n", role.value.label(), role.origin));
    }
    for note in &manifest.notes {
        text.push_str(&format!("  {note}\n"));
    }
    text.push_str(&format!(
        "\nFeatures\n  {} [{}]   {}\n\nPreprocessing\n",
        backbone.space.layer.clone(),
        backbone.space.dim,
        manifest.feature.origin
    ));
    for (field, entry) in preprocess(backbone) {
        let origin = manifest.preprocess.origins.iter().find(|(f, _)| *f == field).map(|(_, o)| o.to_string());
        let value = entry.get("value").map(value_text).unwrap_or_default();
        text.push_str(&format!("  {field:9} {value:42} {}\n", origin.unwrap_or_default()));
    }
    if !with_layers {
        text.push_str(&format!("\n{} can serve as features: --layers lists them\n", count(layers.len(), "layer")));
        return text;
    }
    text.push_str("\nLayers that can serve as features (--layer TENSOR|POOLING)\n");
    let width = layers.iter().map(|l| l.tensor.chars().count()).max().unwrap_or(0).min(60);
    for group in groups(layers) {
        text.push_str(&format!(" {}\n", group.title));
        for layer in &layers[group.layers] {
            text.push_str(&format!(
                "  {:width$}  {:4.0} %  {:>16}  {:8} {:5} features  {:>14} mult.  {}\n",
                layer.tensor,
                layer.depth * 100.0,
                format!("{:?}", layer.dims),
                pooling_name(layer.pooling),
                layer.dim,
                layer.macs.map_or("?".to_owned(), rounded),
                layer.block.as_deref().unwrap_or(&layer.op_type),
            ));
        }
    }
    text
}

/// A value of the specification as people write it.
fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        // f32 values print their f64 digits otherwise.
        Value::Number(n) => n.as_f64().map_or_else(|| n.to_string(), |v| (v as f32).to_string()),
        Value::Array(items) => format!("[{}]", items.iter().map(value_text).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => map.iter().map(|(k, v)| format!("{k} {}", value_text(v))).collect::<Vec<_>>().join(", "),
        Value::Bool(b) => b.to_string(),
    }
}
