//! A report for people without Graft: one HTML file that needs nothing else, neither scripts nor the network.
//!
//! [`Document`] is all that is in it, as plain data; [`Document::html`] writes it. Every text from outside (names of classes
//! and files, notes) goes through `page::escape`; a content security policy in the file forbids whatever might slip
//! through. Plots are SVG written here, pictures are small JPEGs inside the file.

mod date;
mod figures;
mod judged;
mod page;
mod pictures;
mod plot;
mod sections;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use date::{date, date_time};

use crate::head::{TrainRecord, UnknownRule};
use crate::metrics::{CalibrationBin, Estimate, Report};
use crate::project::runs::{Comparison, SHORT_HASH};
use crate::store::file::write_atomic;

/// What a report says of itself near its beginning.
const GENERATOR: &str = "<meta name=\"generator\" content=\"Graft";
/// How far its beginning reaches, in bytes.
const BEGINNING: u64 = 1024;

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Something else is there.
    #[error("{} is there already and is no report of Graft: choose another name", .path.display())]
    Occupied {
        /// The file.
        path: PathBuf,
    },
    /// A folder is no file.
    #[error("{} is a folder: give the name of a file, such as {}", .path.display(), .path.join("report.html").display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The system said no.
    #[error("the report {} cannot be written: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// A picture, made small.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// Name of its file, from the folder of the images.
    pub name: String,
    /// A small JPEG; `None` where the file could not be read any more.
    pub jpeg: Option<Jpeg>,
}

/// A JPEG file and its size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Jpeg {
    /// The file.
    pub bytes: Vec<u8>,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
}

/// What was trained and judged on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Data {
    /// Class, and its images in train, val and test.
    pub classes: Vec<(String, [usize; 3])>,
    /// Whether the validation images were given rather than split off.
    pub val_is_given: bool,
    /// Files that were left out, with the reason.
    pub skipped: Vec<(String, String)>,
    /// What else is to be known.
    pub notes: Vec<String>,
}

/// The backbone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// What is known of it: name and value.
    pub facts: Vec<(String, String)>,
    /// Its preprocessing: step, value, where the value comes from.
    pub preprocess: Vec<(String, String, String)>,
}

/// A head.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadFigures {
    /// How it came about.
    pub record: TrainRecord,
    /// On the validation images.
    pub val: Option<Report>,
    /// On the test images.
    pub test: Option<Report>,
}

impl HeadFigures {
    fn report(&self) -> Option<&Report> {
        self.val.as_ref().or(self.test.as_ref())
    }

    /// What the judged images are called.
    fn images(&self) -> &'static str {
        if self.val.is_some() { "validation" } else { "test" }
    }
}

/// Calibration before the temperature.
#[derive(Clone, Debug, PartialEq)]
pub struct BeforeScaling {
    /// The reliability diagram.
    pub bins: Vec<CalibrationBin>,
    /// Expected calibration error.
    pub error: f64,
    /// The diagram and the error as it answers, at temperatures that were fitted without the image, where the judged images
    /// chose the temperature.
    pub cross_fitted: Option<(Vec<CalibrationBin>, f64)>,
}

/// A judged image where the head is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// The image.
    pub picture: Picture,
    /// Its class.
    pub truth: String,
    /// What the head says.
    pub predicted: String,
    /// How sure it is.
    pub confidence: f32,
}

/// A label that is probably wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct DoubtfulLabel {
    /// The image.
    pub picture: Picture,
    /// Its class.
    pub given: String,
    /// What it looks like.
    pub suggested: String,
    /// How sure a head that has not seen it is of the given class against the suggested one.
    pub quality: f64,
}

/// Files with the same bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Copies {
    /// Their names; the first is the one that counts.
    pub names: Vec<String>,
    /// Some were for training and others to judge on.
    pub is_leak: bool,
    /// They have different classes.
    pub disagree: bool,
}

/// Faults in the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// Labels that are probably wrong, the likeliest first, or why they were not looked for.
    pub labels: Result<Vec<DoubtfulLabel>, NotLookedFor>,
    /// How many such labels there are.
    pub n_labels: usize,
    /// Pictures that are there more than once.
    pub copies: Vec<Copies>,
}

/// Why wrong labels were not looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLookedFor {
    /// There are too many images for a report.
    TooMany,
    /// No class has two images.
    TooFew,
}

/// Accuracy over the number of images a class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LearningCurve {
    /// Name of a head, and its points by number of images.
    pub series: Vec<(String, Vec<CurvePoint>)>,
    /// What it says, in a sentence.
    pub words: String,
}

/// A point of a learning curve.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CurvePoint {
    /// Images a class.
    pub n_per_class: f64,
    /// Accuracy, with its interval.
    pub accuracy: Estimate,
}

/// A run as a row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// What it is called.
    pub name: String,
    /// When it was, in seconds since 1970.
    pub unix_secs: u64,
    /// The backbone, and the layer where it is not the usual one.
    pub model: String,
    /// The kind of head.
    pub head: String,
    /// Images in train and judged on.
    pub n: [usize; 2],
    /// Its accuracy.
    pub accuracy: Option<Estimate>,
    /// Its calibration error.
    pub calibration_error: Option<Estimate>,
}

/// Two runs, image by image.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The one.
    pub a: RunRow,
    /// The other.
    pub b: RunRow,
    /// What came of it.
    pub comparison: Comparison,
    /// Images on which they differ, as far as their files were found.
    pub pictures: BTreeMap<[u8; SHORT_HASH], Picture>,
}

/// What a rule for "unknown" leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftByRule {
    /// Images.
    pub n: usize,
    /// Those that get an answer.
    pub n_answered: usize,
    /// Of these the right ones.
    pub n_right: usize,
}

/// How to come to the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reproduce {
    /// The command.
    pub command: String,
    /// In what its report would be another one, in sentences.
    pub differs: Vec<String>,
    /// Name and value: versions, seed.
    pub facts: Vec<(String, String)>,
}

/// All that is in a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it is about.
    pub title: String,
    /// When it was written, in seconds since 1970.
    pub unix_secs: u64,
    /// The data.
    pub data: Data,
    /// The backbone.
    pub model: Model,
    /// The heads; at least one.
    pub heads: Vec<HeadFigures>,
    /// The head that answers: index into `heads`.
    pub shown: usize,
    /// How it was calibrated before its temperature, where that is known.
    pub before_scaling: Option<BeforeScaling>,
    /// How sure it was of each judged image, and whether it was right.
    pub answers: Vec<(f32, bool)>,
    /// When the answer is "unknown".
    pub unknown: UnknownRule,
    /// What a rule by distance leaves of the validation images, where there is one and it can be said.
    pub left_by_distance: Option<LeftByRule>,
    /// Its worst mistakes, the surest first.
    pub mistakes: Vec<Mistake>,
    /// How many there are.
    pub n_mistakes: usize,
    /// Faults in the data.
    pub faults: Option<Faults>,
    /// A learning curve, where one was drawn.
    pub curve: Option<LearningCurve>,
    /// Two runs against each other.
    pub compared: Option<Compared>,
    /// Runs that were kept, latest first.
    pub runs: Vec<RunRow>,
    /// How to come to the same.
    pub reproduce: Reproduce,
}

impl Document {
    /// The head that answers.
    fn head(&self) -> Option<&HeadFigures> {
        self.heads.get(self.shown)
    }

    /// The whole file.
    pub fn html(&self) -> String {
        let body = [
            sections::header(self),
            sections::at_a_glance(self),
            sections::limits(self),
            judged::classes(self),
            pictures::mistakes(self),
            figures::calibration(self),
            figures::unknown(self),
            judged::heads(self),
            pictures::compared(self),
            sections::data(self),
            pictures::faults(self),
            figures::curve(self),
            sections::runs(self),
            sections::model(self),
            figures::training(self),
            sections::reproduce(self),
        ];
        page::page(&self.title, &body.concat())
    }
}

/// That a report may go to `path`: nothing is there, or an older report.
///
/// # Errors
/// When something else is there, a folder, or something that cannot be read.
pub fn check_target(path: &Path, replaces_anything: bool) -> Result<(), ReportError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(ReportError::Write { path: path.to_owned(), source }),
    };
    if metadata.is_dir() {
        return Err(ReportError::Folder { path: path.to_owned() });
    }
    // A pipe or a device holds nothing that could be lost.
    if replaces_anything || !metadata.is_file() || metadata.len() == 0 {
        return Ok(());
    }
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BEGINNING).read_to_end(&mut beginning));
    let is_ours = read.is_ok() && String::from_utf8_lossy(&beginning).contains(GENERATOR);
    if is_ours { Ok(()) } else { Err(ReportError::Occupied { path: path.to_owned() }) }
}

/// Writes a report, whole or not at all.
///
/// # Errors
/// As [`check_target`], and when the system says no.
pub fn write(path: &Path, document: &Document, replaces_anything: bool) -> Result<(), ReportError> {
    check_target(path, replaces_anything)?;
    write_atomic(path, document.html().as_bytes())
        .map_err(|source| ReportError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
