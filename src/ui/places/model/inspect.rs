//! What a model is: facts, and the layer that serves as features.

use eframe::egui::Ui;

use crate::app::Command;
use crate::backbone::layers::{Layer, groups, pooled_dim, pooling_fits, rounded};
use crate::backbone::manifest::{FeatureChoice, Pooling, Port, Sourced, split_label};
use crate::backbone::roles::Role;
use crate::image::spec::TensorLayout;
use crate::jobs::Inspected;
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::icons;
use crate::ui::theme::{space, tokens};
use crate::ui::widgets::{self, Button, Card, Column, Meaning, Table};

/// Shows what is known of the model.
pub fn about(ui: &mut Ui, inspected: &Inspected) {
    let manifest = &*inspected.manifest;
    Card::new().title("What it is").show(ui, |ui| {
        let role = |(port, role): (&Port, &Sourced<Role>)| format!("{port}, {}", role.value.label());
        let outputs: Vec<String> = manifest.outputs.iter().zip(&manifest.roles).map(role).collect();
        let architecture = format!("{} ({})", manifest.architecture.value.label(), manifest.architecture.origin);
        let macs = inspected.macs.map(|n| format!(", {} multiplications an image", rounded(n))).unwrap_or_default();
        let cost = format!("{} parameters{macs}", rounded(manifest.n_params));
        let silent = || "Not stated by its files".to_owned();
        let rows = [
            ("Family", architecture),
            ("Gives", format!("{} features an image", format::thousands(inspected.dim))),
            ("Cost", cost),
            ("Input", manifest.input.to_string()),
            (if outputs.len() == 1 { "Output" } else { "Outputs" }, outputs.join("\n")),
            ("Licence", manifest.licence.clone().unwrap_or_else(silent)),
            ("Source", manifest.source.clone().unwrap_or_else(silent)),
            ("Size", format!("{}, operator set {}", format::bytes(manifest.size_bytes), manifest.opset)),
            ("File", format::path(&manifest.path)),
        ];
        widgets::key_values(ui, &rows.each_ref().map(|(key, value)| (*key, value.as_str())));
        for note in &manifest.notes {
            widgets::caption(ui, note);
        }
    });
}

/// What is remembered of the choice of a layer.
#[derive(Debug, Default)]
pub struct LayerChoice {
    open: bool,
    search: String,
    picked: Option<String>,
}

impl LayerChoice {
    /// Forgets what was picked: another model is looked at.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Shows the layer in use, and the others on demand. `editable` says why it cannot be changed, if it cannot.
    pub fn ui(&mut self, cx: &mut Cx<'_>, ui: &mut Ui, inspected: &Inspected, editable: Result<(), &'static str>) {
        let own = inspected.manifest.feature.value.label();
        let is_own = inspected.layer == own;
        Card::new().title("Feature layer").note("Whose output the classifier learns from").show(ui, |ui| {
            widgets::flow(ui, |ui| {
                widgets::strong(ui, &inspected.layer);
                let (word, meaning) =
                    if is_own { ("The model’s own", Meaning::Neutral) } else { ("Set by you", Meaning::Accent) };
                widgets::badge(ui, word, meaning);
            });
            if is_own {
                widgets::caption(ui, &format::sentence(&inspected.manifest.feature.origin.to_string()));
            }
            let layers = match &inspected.layers {
                Ok(layers) => layers,
                Err(error) => {
                    widgets::selectable(ui, &format!("Its layers are not known: {error}"));
                    return;
                }
            };
            ui.horizontal_wrapped(|ui| {
                let icon = if self.open { icons::CARET_DOWN } else { icons::CARET_RIGHT };
                let text = if self.open { "Hide the layers" } else { "Choose another layer…" };
                if ui.add(Button::new(text).icon(icon).quiet()).clicked() {
                    self.open = !self.open;
                }
                if !is_own && ui.add(Button::new("Back to the model’s own").quiet().availability(editable)).clicked()
                {
                    cx.send(Command::ChooseLayer(None));
                }
            });
            if self.open {
                self.list(cx, ui, inspected, layers, editable);
            }
        });
    }

    fn list(
        &mut self,
        cx: &mut Cx<'_>,
        ui: &mut Ui,
        inspected: &Inspected,
        layers: &[Layer],
        editable: Result<(), &'static str>,
    ) {
        widgets::search_field(ui, "Search layers", &mut self.search, "Name or operator");
        let words: Vec<String> = self.search.to_lowercase().split_whitespace().map(str::to_owned).collect();
        // The deepest first: what is near the output is what people look for.
        let groups = groups(layers);
        let found: Vec<(&Layer, &str)> = groups
            .iter()
            .rev()
            .flat_map(|group| layers[group.layers.clone()].iter().rev().map(|layer| (layer, group.title.as_str())))
            .filter(|(layer, group)| {
                let block = layer.block.as_deref().unwrap_or_default();
                let text = format!("{} {} {block} {group}", layer.tensor, layer.op_type).to_lowercase();
                words.iter().all(|word| text.contains(word.as_str()))
            })
            .collect();
        if found.is_empty() {
            widgets::weak(ui, "No layer matches.");
            return;
        }
        let columns = [
            Column::text("Layer").min_width(140.0),
            Column::fixed("", 44.0),
            Column::fixed("Group", 128.0),
            Column::fixed("Shape", 104.0),
            Column::number("Features", 64.0),
            Column::number("Depth", 48.0),
        ];
        let accent = tokens(ui).accent.text;
        let narrow = ui.available_width() < 560.0;
        let columns = if narrow { vec![columns[0], columns[1], columns[4], columns[5]] } else { columns.to_vec() };
        let current = self.picked.clone().unwrap_or_else(|| inspected.layer.clone());
        // By tensor: pooling is chosen below the list.
        let selected = found.iter().position(|(layer, _)| layer.tensor == tensor_of(&current));
        let table = Table::new("layers", &columns).clickable(selected).max_height(300.0);
        let response = table.show(ui, found.len(), |idx, row| {
            let (layer, group) = found[idx];
            row.strong(&layer.tensor);
            let is_used = layer.tensor == tensor_of(&inspected.layer);
            row.coloured(if is_used { "In use" } else { "" }, accent);
            if !narrow {
                row.text(group);
                let dims: Vec<String> = layer.dims.iter().map(ToString::to_string).collect();
                row.weak(&dims.join(" × "));
            }
            row.text(&format::thousands(layer.dim));
            row.weak(&format!("{:.0} %", layer.depth * 100.0));
        });
        if let Some((layer, _)) = response.clicked.and_then(|idx| found.get(idx)) {
            let is_used = layer.tensor == tensor_of(&inspected.layer);
            self.picked = Some(if is_used { inspected.layer.clone() } else { label(layer) });
        }
        ui.add_space(space::XS);
        let picked = self.picked.clone().filter(|picked| *picked != inspected.layer);
        let current = self.picked.clone().unwrap_or(current);
        self.pooling(ui, layers, current);
        let picked = self.picked.clone().filter(|picked| *picked != inspected.layer).or(picked);
        let availability = editable.and(picked.as_ref().map(drop).ok_or("Choose a layer in the list"));
        ui.horizontal_wrapped(|ui| {
            let button = Button::new("Use this layer").primary().availability(availability);
            if ui.add(button).clicked() {
                let own = inspected.manifest.feature.value.label();
                cx.send(Command::ChooseLayer(picked.filter(|picked| *picked != own)));
            }
            widgets::caption(ui, "The images are embedded again. Deep layers know things, early ones textures.");
        });
    }
}

impl LayerChoice {
    /// How the layer that is picked becomes one vector an image, where there is a choice.
    fn pooling(&mut self, ui: &mut Ui, layers: &[Layer], current: String) {
        let (tensor, now) = split_label(&current, |_| false);
        let tensor = tensor.to_owned();
        let Some(layer) = layers.iter().find(|layer| layer.tensor == tensor).filter(|l| l.dims.len() > 1) else {
            return;
        };
        let layout = match layer.pooling {
            Pooling::GlobalAverage { layout } | Pooling::GeneralisedMean { layout } => layout,
            _ => TensorLayout::Nchw,
        };
        let all = [
            (Pooling::GlobalAverage { layout }, "Mean over places"),
            (Pooling::GeneralisedMean { layout }, "Generalised mean over places (GeM)"),
            (Pooling::ClsToken, "Class token"),
            (Pooling::MeanToken, "Mean over tokens"),
            (Pooling::Flatten, "All values"),
        ];
        let wide = |pooling| format::thousands(pooled_dim(&layer.dims, pooling));
        let options: Vec<(Pooling, &str)> =
            all.into_iter().filter(|(pooling, _)| pooling_fits(layer.dims.len(), *pooling)).collect();
        let mut chosen = now.unwrap_or(layer.pooling);
        widgets::flow(ui, |ui| {
            widgets::weak(ui, "Pooling");
            if widgets::select(ui, "Pooling", &mut chosen, &options).changed() {
                self.picked = Some(FeatureChoice { tensor, pooling: chosen }.label());
            }
            widgets::caption(ui, &format!("gives {} features", wide(chosen)));
        });
    }
}

/// The form in which a layer is chosen.
fn label(layer: &Layer) -> String {
    FeatureChoice { tensor: layer.tensor.clone(), pooling: layer.pooling }.label()
}

/// The tensor of a layer in the form in which it is chosen.
pub fn tensor_of(label: &str) -> &str {
    split_label(label, |_| false).0
}
