//! Image files as they come from anywhere: nothing but regular files is opened, no more than a limit is read, and what
//! cannot be used says why.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::Path;

use crate::dataset::SkipReason;
use crate::image::decode::{self, DecodeError};

/// Longer files are skipped by default.
pub(crate) const MAX_FILE_BYTES: u64 = 512 << 20;

/// Memory for pictures being decoded, together. One that needs more waits until it is alone.
pub(crate) const DECODE_BUDGET_MB: usize = 256;

/// Megabytes that decoding a file takes, about: its pixels and a copy. At least 1, at most the whole budget.
pub(crate) fn decoded_mb(bytes: &[u8]) -> usize {
    let (width, height) = decode::probe_size(bytes).unwrap_or((1, 1));
    let mb = (2 * 3 * u64::from(width) * u64::from(height)) >> 20;
    usize::try_from(mb).unwrap_or(usize::MAX).clamp(1, DECODE_BUDGET_MB)
}

/// What the system says of a regular file.
///
/// # Errors
/// When the file is not there, or is none: opening a named pipe would wait for a writer.
pub(crate) fn file_metadata(path: &Path) -> Result<Metadata, SkipReason> {
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_file() { Ok(metadata) } else { Err(SkipReason::NotAFile) }
}

/// Reads a file of at most `limit_bytes`. It may still be growing, or be a device: no more than that is ever read.
///
/// # Errors
/// When the file is longer or cannot be read.
pub(crate) fn read(path: &Path, metadata: &Metadata, limit_bytes: u64) -> Result<Vec<u8>, SkipReason> {
    if metadata.len() > limit_bytes {
        return Err(SkipReason::FileTooLarge { size_mb: metadata.len() >> 20, limit_mb: limit_bytes >> 20 });
    }
    // One read more than the length sees the end without growing the buffer.
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).map_or(0, |len| len.saturating_add(1)));
    let file = File::open(path).map_err(unreadable)?;
    file.take(limit_bytes).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Why a file was left out, from why it could not be decoded.
pub(crate) fn skip_reason(error: DecodeError) -> SkipReason {
    match error {
        DecodeError::NotAnImage => SkipReason::NotAnImage,
        DecodeError::Empty => SkipReason::Empty,
        DecodeError::Truncated => SkipReason::Truncated,
        DecodeError::TooLarge { width_px, height_px, max_pixels } => {
            SkipReason::TooLarge { width_px, height_px, limit_mpx: max_pixels / 1_000_000 }
        }
        DecodeError::Unsupported { .. } => SkipReason::Unsupported { message: error.to_string() },
        DecodeError::Corrupt { .. } => SkipReason::Corrupt { message: error.to_string() },
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: io::Error) -> SkipReason {
    SkipReason::Unreadable { message: error.to_string() }
}
