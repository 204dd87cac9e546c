//! Flags of every command, with their help.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::unknown::{RuleArgs, StrangerArgs, WishArgs};
use crate::backbone::provider::Provider;
use crate::backbone::session::set_device;
use crate::workflow::embed::EmbedConfig;

/// Teach a pretrained vision model your own classes, on your own machine.
#[derive(Debug, Parser)]
#[command(
    name = "graft",
    version = env!("GRAFT_VERSION"),
    about,
    after_help = "Without a command the window opens. Without a display, start with: graft demo\nEach command's --help has an example."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Open the window, with a project, or with images or a model as if they were dropped on it
    Open(OpenArgs),
    /// The whole job on the sample images: train, judge, predict, export
    Demo(DemoArgs),
    /// What a model is: inputs, outputs, layers that can serve as features, preprocessing
    Inspect(InspectArgs),
    /// List the installed models
    Models(ModelsArgs),
    /// Copy a model into the library, or note where it lies
    Import(ImportArgs),
    /// Train heads on several depths of a model: where its knowledge sits, and what each depth costs
    Probe(ProbeArgs),
    /// Faults in labelled images: labels that are probably wrong, copies and leaks, strangers, odd sizes
    Clean(CleanArgs),
    /// Learning curves: what more images would give, which class needs them, whether pretrained features help
    Curve(CurveArgs),
    /// Compare models on the same images: accuracy, speed, size
    Compare(CompareArgs),
    /// Write a report as one HTML file: figures, plots, mistakes, how to come to the same
    Report(ReportArgs),
    /// Test what this machine can run models on
    Providers(ProvidersArgs),
    /// Write the embeddings of images to a file for numpy
    Embed(EmbedArgs),
    /// Train heads on folders of images, judge them, and export one
    Train(TrainArgs),
    /// Judge an export on labelled images
    Evaluate(EvaluateArgs),
    /// Classify images with an export
    Predict(PredictArgs),
    /// Classify images by typed labels alone, judge the answers, and export the classifier
    ZeroShot(ZeroShotArgs),
    /// Find the images that fit a phrase
    Search(SearchArgs),
}

#[derive(Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  graft open flowers.graft\n  graft open ~/Pictures/birds\n  graft open big.graft --profile-frames 20"
)]
pub(super) struct OpenArgs {
    /// A project file, or folders of images, image files or a model
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// Scroll through the images for so many seconds, print what frames cost, and end
    #[arg(long, value_name = "SECONDS")]
    pub(super) profile_frames: Option<f64>,
    /// With --profile-frames: zoom into the map of the images instead, while it is laid out and after
    #[arg(long, requires = "profile_frames")]
    pub(super) profile_map: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  graft demo --out my-first-classifier")]
pub(super) struct DemoArgs {
    /// Folder for the export
    #[arg(long, value_name = "DIR", default_value = "graft-export-demo")]
    pub(super) out: PathBuf,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  graft inspect graft-starter --layers\n  graft inspect ~/models/resnet50.onnx --json"
)]
pub(super) struct InspectArgs {
    /// Name of an installed model, or path of an .onnx file or a model folder
    #[arg(value_name = "MODEL")]
    pub(super) model: String,
    /// Also list the layers that can serve as features, by depth
    #[arg(long)]
    pub(super) layers: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  graft import ~/Downloads/resnet50.onnx --name resnet\n  \
    graft import ~/models/dinov2 --in-place")]
pub(super) struct ImportArgs {
    /// An .onnx file or a model folder
    #[arg(value_name = "PATH")]
    pub(super) path: PathBuf,
    /// What it is called in the library [default: the name of its folder or file]
    #[arg(long, value_name = "N")]
    pub(super) name: Option<String>,
    /// Leave it where it is
    #[arg(long)]
    pub(super) in_place: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Labelled images of a command that compares.
#[derive(Debug, Args)]
pub(super) struct StudyArgs {
    /// Folder with one folder of images a class (or train/val/test folders above them), or a table
    #[arg(long, value_name = "DIR")]
    pub(super) images: PathBuf,
    /// Folder of validation images [default: the images' own, else a fifth of each class]
    #[arg(long, value_name = "DIR")]
    pub(super) val: Option<PathBuf>,
    /// Seed of the split
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(super) seed: u64,
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  graft probe --images pets/\n  \
    graft probe --images pets/ --model resnet --layers \"/layer2/Relu_output_0|gem,/layer4/Relu_output_0\"")]
pub(super) struct ProbeArgs {
    #[command(flatten)]
    pub(super) study: StudyArgs,
    /// Backbone: name of an installed model, or path of an .onnx file or a model folder [default: the starter model]
    #[arg(long, value_name = "M")]
    pub(super) model: Option<String>,
    /// Layers, separated by commas, as `graft inspect --layers` lists them; auto takes some of every depth
    #[arg(long, value_name = "auto|LIST", default_value = "auto", value_parser = NonEmptyStringValueParser::new())]
    pub(super) layers: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  graft clean --images pets/\n  \
    graft clean --images pets/train --val pets/val --json\n  \
    graft clean --images pets/ --probabilities held-out.npz")]
pub(super) struct CleanArgs {
    #[command(flatten)]
    pub(super) study: StudyArgs,
    /// Also write what labels were judged by: arrays probabilities [N, classes] f32 of heads that have not seen the image,
    /// folds (-1 for the only image of a class), paths, labels, classes
    #[arg(long, value_name = "F.npz")]
    pub(super) probabilities: Option<PathBuf>,
    /// Backbone: name of an installed model, or path of an .onnx file or a model folder [default: the starter model]
    #[arg(long, value_name = "M")]
    pub(super) model: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  graft curve --images pets/\n  \
    graft curve --images pets/train --val pets/val --heads linear --no-baseline --json\n\n\
    With --json, `curves` has one item for each kind of features (`source`) and head, with its `points` (images a class, mean \
    accuracy, 95 % interval, log loss, recall and F1 of each class), the `fitted` power law up to four times the data, and the \
    `outlook` (`n_more` images, expected accuracy and gain); `needs` ranks the classes; `transfer` compares with features from \
    scratch. `said` has the same in sentences.")]
pub(super) struct CurveArgs {
    #[command(flatten)]
    pub(super) study: StudyArgs,
    /// Backbone: name of an installed model, or path of an .onnx file or a model folder [default: the starter model]
    #[arg(long, value_name = "M")]
    pub(super) model: Option<String>,
    /// Tensor that serves as features, as TENSOR or TENSOR|POOLING (see `graft inspect`)
    #[arg(long, value_name = "L")]
    pub(super) layer: Option<String>,
    /// Heads, separated by commas [default: all; text where the model reads texts, from the names of the classes]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_enum)]
    pub(super) heads: Vec<CurveHeadArg>,
    /// Leave out the curves of raw pixels and of random weights
    #[arg(long)]
    pub(super) no_baseline: bool,
}

/// A head of a learning curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CurveHeadArg {
    /// Multinomial logistic regression
    Linear,
    /// Class means
    Prototype,
    /// Starts from the names of the classes
    Text,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  graft compare --images pets/ --models graft-starter,graft-starter/vision_model_int8,resnet"
)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    pub(super) study: StudyArgs,
    /// Models, separated by commas: names of installed ones, or paths
    #[arg(long, value_name = "LIST", value_delimiter = ',', required = true, value_parser = NonEmptyStringValueParser::new())]
    pub(super) models: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  graft report --images pets/ --out pets.html\n  \
    graft report --project pets.graft --runs \"before cleaning\" 12 --out pets.html")]
pub(super) struct ReportArgs {
    /// Folder with one folder of images a class (or train/val/test folders above them), or a table
    #[arg(long, value_name = "DIR", required_unless_present = "project", conflicts_with = "project")]
    pub(super) images: Option<PathBuf>,
    /// Project file: its labelled images, model, settings and runs; it is not changed
    #[arg(long, value_name = "P.graft")]
    pub(super) project: Option<PathBuf>,
    /// Folder of validation images [default: the images' own, else a fifth of each class]
    #[arg(long, value_name = "DIR", requires = "images")]
    pub(super) val: Option<PathBuf>,
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// Seed of the split [default: the project's, else 0]
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
    /// Two runs of the project to compare, by name or by number
    #[arg(long, value_names = ["A", "B"], num_args = 2, requires = "project")]
    pub(super) runs: Option<Vec<String>>,
    /// Draw the learning curve as well: what more images would give; takes several times as long
    #[arg(long)]
    pub(super) curve: bool,
    /// File to write; an older report is replaced
    #[arg(long, value_name = "F.html")]
    pub(super) out: PathBuf,
    /// Replace whatever is there
    #[arg(long)]
    pub(super) force: bool,
    /// Name files by their whole path, which tells how folders on this machine are called
    #[arg(long)]
    pub(super) full_paths: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  graft providers")]
pub(super) struct ProvidersArgs {
    /// Backbone of the test: name of an installed model, or path of an .onnx file or a model folder [default: the starter
    /// model]
    #[arg(long, value_name = "M")]
    pub(super) model: Option<String>,
    /// Print a JSON array
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  graft models")]
pub(super) struct ModelsArgs {
    /// Print a JSON array
    #[arg(long)]
    pub(super) json: bool,
}

/// What a model runs on.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// What the model runs on: auto, cpu, cuda, directml or coreml; with a number, as in cuda:1, which card
    #[arg(long, value_name = "P", default_value = "auto", value_parser = provider)]
    pub(super) provider: (Provider, u32),
}

/// `cuda`, `cuda:1`.
fn provider(text: &str) -> Result<(Provider, u32), String> {
    let (name, device) = text.split_once(':').unwrap_or((text, "0"));
    let known = [Provider::Auto, Provider::Cpu, Provider::Cuda, Provider::DirectMl, Provider::CoreMl];
    let is_named = |p: &Provider| p.label().replace(' ', "").eq_ignore_ascii_case(&name.replace(['-', '_'], ""));
    let found = known.into_iter().find(is_named).ok_or("one of auto, cpu, cuda, directml, coreml is wanted")?;
    let device = device.parse().map_err(|_| "the number of the card is wanted behind the colon")?;
    Ok((found, device))
}

impl RunArgs {
    /// How images are embedded.
    pub(super) fn embed(&self) -> EmbedConfig {
        let (provider, device) = self.provider;
        set_device(device);
        EmbedConfig { provider, ..EmbedConfig::default() }
    }
}

/// The backbone of a command.
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// Backbone: name of an installed model, or path of an .onnx file or a model folder [default: the starter model]
    #[arg(long, value_name = "M")]
    pub(super) model: Option<String>,
    /// Tensor that serves as features, as TENSOR or TENSOR|POOLING (see `graft inspect`)
    #[arg(long, value_name = "L")]
    pub(super) layer: Option<String>,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  graft embed --images photos/ --out photos.npz\n  \
    python -c \"import numpy; d = numpy.load('photos.npz'); print(d['embeddings'].shape, d['paths'][:3], d['labels'][:3])\"")]
pub(super) struct EmbedArgs {
    /// Folder of images, or a table of them
    #[arg(long, value_name = "DIR")]
    pub(super) images: PathBuf,
    /// File to write: arrays embeddings [N, D] f32, paths, labels
    #[arg(long, value_name = "F.npz")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) model: ModelArgs,
}

/// Which heads to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum HeadChoice {
    /// Multinomial logistic regression
    Linear,
    /// Class means
    Prototype,
    /// Both; the better one is exported
    Both,
    /// Starts from the texts of the classes, which the images correct: best with few images
    Text,
}

/// How images correct texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FewShot {
    /// Logistic regression that starts from the texts
    Linear,
    /// Gaussian discriminant analysis added to the texts
    Gda,
    /// Tip-Adapter: similarity to the images added to the texts
    Tip,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  graft train --images pets/ --export pets-classifier\n  \
    graft train --images pets/train --val pets/val --head linear --json\n  \
    graft train --images pets/ --head text --labels-file pets.txt --shots 4\n  \
    graft train --images pets/ --unknown-by-distance --strangers holiday-photos/ --export pets-classifier")]
pub(super) struct TrainArgs {
    /// Folder with one folder of images a class (or train/val/test folders above them), or a table
    #[arg(long, value_name = "DIR")]
    pub(super) images: PathBuf,
    /// Folder of validation images [default: the images' own, else a fifth of each class]
    #[arg(long, value_name = "DIR")]
    pub(super) val: Option<PathBuf>,
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// Heads to train
    #[arg(long, value_enum, default_value = "both")]
    pub(super) head: HeadChoice,
    /// With --head text: file of the classes' texts, one class a line [default: the names of the classes]
    #[arg(long, value_name = "F")]
    pub(super) labels_file: Option<PathBuf>,
    /// With --head text: how images correct texts [default: linear]
    #[arg(long, value_enum)]
    pub(super) few_shot: Option<FewShot>,
    /// With --head text: what texts are put into, as for zero-shot
    #[arg(long, value_name = "none|photo|ensemble|FILE")]
    pub(super) templates: Option<String>,
    #[command(flatten)]
    pub(super) text: TextArgs,
    /// Train on at most N images of each class
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) shots: Option<u32>,
    /// Seed of the split and of everything else that is drawn
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(super) seed: u64,
    /// Let every class count the same, however many images it has
    #[arg(long)]
    pub(super) balanced: bool,
    #[command(flatten)]
    pub(super) wish: WishArgs,
    #[command(flatten)]
    pub(super) strangers: StrangerArgs,
    /// Export the (better) head to this folder
    #[arg(long, value_name = "DIR")]
    pub(super) export: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  graft evaluate --with pets-classifier --images pets/test\n  \
    graft evaluate --with pets-classifier --images pets/test --strangers holiday-photos/")]
pub(super) struct EvaluateArgs {
    /// Folder of an export
    #[arg(long, value_name = "EXPORT")]
    pub(super) with: PathBuf,
    /// Folder with one folder of images a class
    #[arg(long, value_name = "DIR")]
    pub(super) images: PathBuf,
    #[command(flatten)]
    pub(super) rule: RuleArgs,
    #[command(flatten)]
    pub(super) strangers: StrangerArgs,
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  graft predict --with pets-classifier photo.jpg\n  \
    graft predict --with pets-classifier photos/ --csv answers.csv --unknown-below 0.6")]
pub(super) struct PredictArgs {
    /// Folder of an export
    #[arg(long, value_name = "EXPORT")]
    pub(super) with: PathBuf,
    /// Images, or folders of images
    #[arg(value_name = "IMAGE_OR_DIR", required = true)]
    pub(super) inputs: Vec<PathBuf>,
    /// Also write a CSV: File, Label, Confidence, then a column a class
    #[arg(long, value_name = "F")]
    pub(super) csv: Option<PathBuf>,
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Print a JSON array
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) rule: RuleArgs,
}

pub(super) fn probability(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(p) if (0.0..=1.0).contains(&p) => Ok(p),
        _ => Err("a probability from 0 to 1 is wanted".to_owned()),
    }
}

/// The dual encoder of a command.
#[derive(Debug, Args)]
pub(super) struct DualArgs {
    /// Dual encoder: name of an installed model, or path of an .onnx file or a model folder [default: the starter model]
    #[arg(long, value_name = "M")]
    pub(super) model: Option<String>,
    #[command(flatten)]
    pub(super) run: RunArgs,
    #[command(flatten)]
    pub(super) text: TextArgs,
}

/// What the user says of a text tower.
#[derive(Debug, Args)]
pub(super) struct TextArgs {
    /// Text graph, where it does not lie beside the image graph
    #[arg(long, value_name = "F.onnx")]
    pub(super) text_model: Option<PathBuf>,
    /// Tokenizer in place of the one beside the model
    #[arg(long, value_name = "tokenizer.json")]
    pub(super) tokenizer: Option<PathBuf>,
    /// Output of the image graph in the space of texts
    #[arg(long, value_name = "NAME")]
    pub(super) image_output: Option<String>,
    /// Output of the text graph
    #[arg(long, value_name = "NAME")]
    pub(super) text_output: Option<String>,
    /// What cosines are multiplied with [default: the model's own, else 100]
    #[arg(long, value_name = "S", value_parser = positive)]
    pub(super) logit_scale: Option<f64>,
    /// What is added to logits, in sigmoid models [default: the model's own]
    #[arg(long, value_name = "B", allow_negative_numbers = true)]
    pub(super) logit_bias: Option<f64>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  graft zero-shot --images photos/ --labels \"ant, bee\"\n  \
    graft zero-shot --images pets/ --labels-file pets.txt --truth folders --export pets-by-name\n\n\
    A labels file has one class a line: LABEL, LABEL|DESCRIPTION|..., or FOLDER=LABEL. The line \"none of these\"\n\
    is the class of pictures that no label fits.")]
pub(super) struct ZeroShotArgs {
    /// Folders of images, tables of them, or images
    #[arg(long, value_name = "DIR_OR_FILES", required = true, num_args = 1..)]
    pub(super) images: Vec<PathBuf>,
    /// Classes, separated by commas
    #[arg(long, value_name = "LIST", required_unless_present = "labels_file", conflicts_with = "labels_file")]
    pub(super) labels: Option<String>,
    /// File of classes, one a line
    #[arg(long, value_name = "F")]
    pub(super) labels_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) dual: DualArgs,
    /// What labels are put into: none, photo ("a photo of a {}"), ensemble (seven templates), or a file with one template a
    /// line [default: what suits the model]
    #[arg(long, value_name = "none|photo|ensemble|FILE")]
    pub(super) templates: Option<String>,
    /// What says which answers are right
    #[arg(long, value_enum)]
    pub(super) truth: Option<Truth>,
    /// Also write a CSV: File, Label, Confidence, then a column a class
    #[arg(long, value_name = "F")]
    pub(super) csv: Option<PathBuf>,
    /// Export the classifier to this folder
    #[arg(long, value_name = "DIR")]
    pub(super) export: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// What says which answers are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Truth {
    /// The names of the class folders
    Folders,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  graft search --images photos/ \"a dog on the beach\" --top 5")]
pub(super) struct SearchArgs {
    /// What is looked for
    #[arg(value_name = "PHRASE")]
    pub(super) phrase: String,
    /// Folder of images, a table of them, or an image; may be given several times
    #[arg(long, value_name = "DIR_OR_FILE", required = true)]
    pub(super) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) dual: DualArgs,
    /// How many images are listed
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(super) top: usize,
    /// Print a JSON array
    #[arg(long)]
    pub(super) json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(v) if v.is_finite() && v > 0.0 => Ok(v),
        _ => Err("a number above 0 is wanted".to_owned()),
    }
}
