//! What preprocessing a backbone wants, as data: it travels into caches, projects and exports.

use serde::{Deserialize, Serialize};

/// Everything between a decoded image and the input tensor. The steps run in the order of the fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreprocessSpec {
    /// How the image is brought to size.
    pub resize: Resize,
    /// Resampling filter, always antialiased as Pillow does it.
    pub filter: Filter,
    /// Centre crop after the resize; where the image is smaller it is padded with `pad_rgb`.
    pub crop: Option<Crop>,
    /// Colour (0..=255) of padding, for `Resize::Border` and for crops larger than the image.
    pub pad_rgb: [u8; 3],
    /// Factor on the 0..=255 values, commonly 1/255.
    pub rescale: f32,
    /// Subtracted per channel (R, G, B) after `rescale`.
    pub mean: [f32; 3],
    /// Divides per channel (R, G, B) after `mean`.
    pub std: [f32; 3],
    /// Order of the channels in the tensor; `mean` and `std` stay in R, G, B order.
    pub channels: ChannelOrder,
    /// Order of the tensor's dimensions.
    pub layout: TensorLayout,
}

/// How an image is brought to size; sizes in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Resize {
    /// Left as it is.
    None,
    /// The shortest side becomes `size_px`, the long side `floor(size_px * long / short)` (Pillow users' `int()`).
    ShortestSide {
        /// Length of the shortest side afterwards.
        size_px: u32,
    },
    /// Both sides are set, the aspect ratio is not kept.
    Squash {
        /// Height afterwards.
        height_px: u32,
        /// Width afterwards.
        width_px: u32,
    },
    /// Fits into the box with the aspect ratio kept (timm's `border`: sides `round(side / ratio)`, halves to even).
    /// The rest is filled by the crop, which pads with `pad_rgb`; without a crop it is padded to the box.
    Border {
        /// Height of the box.
        height_px: u32,
        /// Width of the box.
        width_px: u32,
    },
}

/// A centre crop; sizes in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crop {
    /// Height afterwards.
    pub height_px: u32,
    /// Width afterwards.
    pub width_px: u32,
    /// What happens to the offset of an odd margin.
    pub offset: CropOffset,
}

/// Rounding of a centre crop's offset `(side - crop) / 2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CropOffset {
    /// Rounded down, as Hugging Face's image processors do.
    Floor,
    /// Rounded to the nearest, halves to even, as torchvision (Python's `round`) does.
    Round,
}

/// Resampling filters, with Pillow's supports and coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Triangle, support 1.
    Bilinear,
    /// Cubic convolution with a = -0.5, support 2.
    Bicubic,
    /// Windowed sinc, support 3.
    Lanczos,
}

/// Order of colour channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelOrder {
    /// Red first.
    Rgb,
    /// Blue first, as OpenCV-trained models want it.
    Bgr,
}

/// Order of a batch's dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TensorLayout {
    /// Batch, channel, height, width.
    Nchw,
    /// Batch, height, width, channel.
    Nhwc,
}

/// A contradiction in a [`PreprocessSpec`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpecError {
    /// A size of zero or over 8192 pixels.
    #[error("the preprocessing names a size of {px} px; sizes from 1 to 8192 px work")]
    Size {
        /// The size in pixels.
        px: u32,
    },
    /// Nothing in the specification fixes the size of the tensor.
    #[error("the preprocessing fixes no output size: it needs a crop, a squash or a border")]
    NoOutputSize,
    /// A mean, standard deviation or rescale factor that is not finite, or a standard deviation or factor of zero.
    #[error("the preprocessing's {what} is not usable: {value}")]
    Number {
        /// Which value.
        what: &'static str,
        /// The value as text.
        value: String,
    },
}

impl PreprocessSpec {
    /// ImageNet's mean and standard deviation, R, G, B.
    pub const IMAGENET_MEAN_STD: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

    /// Height and width of the tensor, in pixels.
    ///
    /// # Errors
    /// When a size is out of range, a number is not usable, or nothing fixes the size.
    pub fn output_size(&self) -> Result<(u32, u32), SpecError> {
        let check = |px: u32| if (1..=8192).contains(&px) { Ok(px) } else { Err(SpecError::Size { px }) };
        let number = |what: &'static str, v: f32, zero_ok: bool| {
            if v.is_finite() && (zero_ok || v != 0.0) {
                Ok(())
            } else {
                Err(SpecError::Number { what, value: v.to_string() })
            }
        };
        number("rescale factor", self.rescale, false)?;
        for c in 0..3 {
            number("mean", self.mean[c], true)?;
            number("standard deviation", self.std[c], false)?;
        }
        let resized = match self.resize {
            Resize::None => None,
            Resize::ShortestSide { size_px } => {
                check(size_px)?;
                None
            }
            Resize::Squash { height_px, width_px } | Resize::Border { height_px, width_px } => {
                Some((check(height_px)?, check(width_px)?))
            }
        };
        match (self.crop, resized) {
            (Some(crop), _) => Ok((check(crop.height_px)?, check(crop.width_px)?)),
            (None, Some(size)) => Ok(size),
            (None, None) => Err(SpecError::NoOutputSize),
        }
    }

    /// Digest for cache keys: equal specifications have equal digests, on every machine and in every version that
    /// gives the same pixels.
    pub fn digest(&self) -> String {
        // The leading number counts changes of the pixels that the same specification gives.
        let mut text = String::from("1:");
        text.push_str(&serde_json::to_string(self).unwrap_or_default());
        blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
    }
}
