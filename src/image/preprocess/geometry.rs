//! Sizes and offsets: where the resized image lies in the output.

use crate::image::spec::{Crop, CropOffset, PreprocessSpec, Resize};

/// One axis of the output: `n_px` samples of the resized image from `first_px` on, after `pad_before_px` of padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first_px: u32,
    pub(super) n_px: u32,
    pub(super) pad_before_px: u32,
}

/// The size of the resized image and the part of it that the output shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    pub(super) resized_width_px: u32,
    pub(super) resized_height_px: u32,
    pub(super) columns: Span,
    pub(super) rows: Span,
}

/// Places an image of `width_px` x `height_px` in an output of `out_width_px` x `out_height_px`.
pub(super) fn place(
    spec: &PreprocessSpec,
    width_px: u32,
    height_px: u32,
    out_width_px: u32,
    out_height_px: u32,
) -> Placement {
    let (resized_width_px, resized_height_px) = resized(spec.resize, width_px, height_px);
    // A border without a crop is padded to its box as timm's crop would do it.
    let offset = spec.crop.map_or(CropOffset::Round, |Crop { offset, .. }| offset);
    Placement {
        resized_width_px,
        resized_height_px,
        columns: span(resized_width_px, out_width_px, offset),
        rows: span(resized_height_px, out_height_px, offset),
    }
}

/// Width and height after the resize, each at least 1.
fn resized(resize: Resize, width_px: u32, height_px: u32) -> (u32, u32) {
    match resize {
        Resize::None => (width_px, height_px),
        Resize::Squash { height_px, width_px } => (width_px, height_px),
        Resize::ShortestSide { size_px } => {
            // torchvision and Hugging Face: `int(size * long / short)`. Whole numbers round down just so, and the
            // quotient of such small ones never lies so near to the next that Python's floats would reach it.
            let long_px = |long: u32, short: u32| {
                u32::try_from(u64::from(size_px) * u64::from(long) / u64::from(short.max(1))).unwrap_or(u32::MAX)
            };
            if width_px <= height_px {
                (size_px, long_px(height_px, width_px))
            } else {
                (long_px(width_px, height_px), size_px)
            }
        }
        Resize::Border { height_px: box_height_px, width_px: box_width_px } => {
            // timm's ResizeKeepRatio with longest = 1.
            let (width, height) = (f64::from(width_px), f64::from(height_px));
            let ratio = (width / f64::from(box_width_px)).max(height / f64::from(box_height_px));
            let side = |px: f64| ((px / ratio).round_ties_even() as u32).max(1);
            (side(width), side(height))
        }
    }
}

/// A centre crop, or padding, from `side_px` to `out_px`.
fn span(side_px: u32, out_px: u32, offset: CropOffset) -> Span {
    if side_px >= out_px {
        let margin_px = side_px - out_px;
        let half = margin_px / 2;
        let first_px = match offset {
            CropOffset::Floor => half,
            // Halves to even, as Python's `round`.
            CropOffset::Round => half + (margin_px % 2) * (half % 2),
        };
        Span { first_px, n_px: out_px, pad_before_px: 0 }
    } else {
        let margin_px = out_px - side_px;
        let pad_before_px = match offset {
            // Hugging Face floors the negative offset, so the odd pixel comes first.
            CropOffset::Floor => margin_px.div_ceil(2),
            // torchvision and timm: `(crop - side) // 2` in front.
            CropOffset::Round => margin_px / 2,
        };
        Span { first_px: 0, n_px: side_px, pad_before_px }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_side_gets_its_size_and_the_long_side_rounds_down() {
        let resize = Resize::ShortestSide { size_px: 256 };
        // The values are Python's `int(256 * long / short)`.
        for (w, h, expected) in [
            (640, 480, (341, 256)),
            (480, 640, (256, 341)),
            (500, 375, (341, 256)),
            (100, 100, (256, 256)),
            (333, 241, (353, 256)),
            (1, 10_000, (256, 2_560_000)),
            (256, 256, (256, 256)),
        ] {
            assert_eq!(resized(resize, w, h), expected);
        }
    }

    #[test]
    fn a_border_keeps_the_ratio_and_never_loses_a_side() {
        let resize = Resize::Border { height_px: 224, width_px: 224 };
        for (w, h, expected) in [
            (640, 480, (224, 168)),
            (10_000, 1, (224, 1)),
            (1, 10_000, (1, 224)),
            (224, 224, (224, 224)),
            // 448 / 2 = 224 and 5 / 2 = 2.5, to the even 2.
            (448, 5, (224, 2)),
        ] {
            assert_eq!(resized(resize, w, h), expected);
        }
    }

    #[test]
    fn crops_round_as_their_library_does() {
        let first = |side, out, offset| span(side, out, offset).first_px;
        // Python: (341 - 224) / 2 = 58.5, round -> 58, floor -> 58; (343 - 224) / 2 = 59.5, round -> 60, floor -> 59.
        assert_eq!((first(341, 224, CropOffset::Round), first(341, 224, CropOffset::Floor)), (58, 58));
        assert_eq!((first(343, 224, CropOffset::Round), first(343, 224, CropOffset::Floor)), (60, 59));
        assert_eq!((first(256, 224, CropOffset::Round), first(256, 224, CropOffset::Floor)), (16, 16));
    }

    #[test]
    fn padding_puts_the_odd_pixel_where_its_library_does() {
        assert_eq!(span(7, 10, CropOffset::Round), Span { first_px: 0, n_px: 7, pad_before_px: 1 });
        assert_eq!(span(7, 10, CropOffset::Floor), Span { first_px: 0, n_px: 7, pad_before_px: 2 });
    }
}
