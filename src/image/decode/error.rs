//! Why an image could not be decoded.

use std::fmt;

/// Formats that are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ImageFormat {
    Jpeg,
    Png,
    WebP,
    Gif,
    Tiff,
    Bmp,
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Gif => "GIF",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
        })
    }
}

/// Why an image could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes, or an image without pixels.
    #[error("the file is empty")]
    Empty,
    /// The content is that of no known image format.
    #[error("not an image")]
    NotAnImage,
    /// An image of a kind that is not decoded.
    #[error("{format} with {what} is not supported")]
    Unsupported {
        /// Name of the format.
        format: String,
        /// What about it.
        what: String,
    },
    /// The file ends too early.
    #[error("the file is cut off")]
    Truncated,
    /// More pixels, or a longer side, than the limits allow.
    #[error("{width_px} x {height_px} pixels are too many (at most {max_pixels})")]
    TooLarge {
        /// Width that the header states.
        width_px: u32,
        /// Height that the header states.
        height_px: u32,
        /// The limit on width times height.
        max_pixels: u64,
    },
    /// The file is damaged.
    #[error("the {format} file is damaged: {message}")]
    Corrupt {
        /// Its format.
        format: ImageFormat,
        /// What the decoder says.
        message: String,
    },
}

impl DecodeError {
    pub(super) fn unsupported(format: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self::Unsupported { format: format.to_string(), what: what.to_string() }
    }

    pub(super) fn corrupt(format: ImageFormat, message: impl fmt::Display) -> Self {
        Self::Corrupt { format, message: message.to_string() }
    }

    /// An error of reading from memory: nothing but its end can be wrong, or what the decoder makes of the bytes.
    pub(super) fn from_io(format: ImageFormat, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::corrupt(format, error),
        }
    }
}
