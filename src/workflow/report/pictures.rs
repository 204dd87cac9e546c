//! Small pictures for a report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};

use super::text::Names;
use crate::export::report::{Jpeg, Picture};
use crate::image::Rgb8Image;
use crate::image::decode::{self, DecodeLimits};
use crate::image::resize::{self, Scratch};
use crate::image::spec::Filter;
use crate::progress::{Reporter, Stage};
use crate::workflow::{WorkflowError, source};

/// Longest side of a picture, in pixels.
const SIDE_PX: u32 = 176;
const JPEG_QUALITY: u8 = 78;
/// Bytes that the pictures of a report take, at most; beyond, files are named without one.
const MAX_BYTES: usize = 2 << 20;

/// Makes pictures, each once.
pub(super) struct Pictures<'a> {
    names: &'a Names,
    reporter: &'a dyn Reporter,
    made: BTreeMap<PathBuf, Picture>,
    n_bytes: usize,
    scratch: Scratch,
}

impl<'a> Pictures<'a> {
    pub(super) fn new(names: &'a Names, reporter: &'a dyn Reporter) -> Self {
        Self { names, reporter, made: BTreeMap::new(), n_bytes: 0, scratch: Scratch::default() }
    }

    /// The picture of a file, without pixels where it cannot be read.
    pub(super) fn of(&mut self, path: &Path) -> Result<Picture, WorkflowError> {
        if self.reporter.cancelled() {
            return Err(WorkflowError::Cancelled);
        }
        if let Some(made) = self.made.get(path) {
            return Ok(made.clone());
        }
        self.reporter.progress(Stage::Export, self.made.len(), 0);
        let jpeg = if self.n_bytes < MAX_BYTES { small(path, &mut self.scratch) } else { None };
        self.n_bytes += jpeg.as_ref().map_or(0, |jpeg| jpeg.bytes.len());
        let picture = Picture { name: self.names.of(path), jpeg };
        self.made.insert(path.to_owned(), picture.clone());
        Ok(picture)
    }
}

fn small(path: &Path, scratch: &mut Scratch) -> Option<Jpeg> {
    let metadata = source::file_metadata(path).ok()?;
    let bytes = source::read(path, &metadata, source::MAX_FILE_BYTES).ok()?;
    let image = decode::decode(&bytes, &DecodeLimits::default()).ok()?;
    drop(bytes);
    let image = match fit(&image) {
        None => image,
        Some((width_px, height_px)) => resize::resize(&image, width_px, height_px, Filter::Bicubic, scratch)?,
    };
    let (width, height) = (image.width_px() as usize, image.height_px() as usize);
    let bytes = compress(image.pixels(), width, height, PixelFormat::Rgb, JPEG_QUALITY, Subsampling::S420).ok()?;
    Some(Jpeg { bytes, width_px: image.width_px(), height_px: image.height_px() })
}

/// The size with sides of at most [`SIDE_PX`]; `None` where it is that small.
fn fit(image: &Rgb8Image) -> Option<(u32, u32)> {
    let (width, height) = (image.width_px(), image.height_px());
    let longest = width.max(height);
    if longest <= SIDE_PX {
        return None;
    }
    let scaled = |side: u32| (f64::from(side) * f64::from(SIDE_PX) / f64::from(longest)).round().max(1.0) as u32;
    Some((scaled(width), scaled(height)))
}
