//! Decoding and preprocessing against Pillow, as `tests/reference/images.py` recorded it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use graft::image::Rgb8Image;
use graft::image::decode::{DecodeError, DecodeLimits, decode, probe_size};
use graft::image::preprocess::{PixelBatch, Preprocessor, Scratch};
use graft::image::spec::PreprocessSpec;
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Deserialize)]
struct Cases {
    decode: Vec<DecodeCase>,
    refused: Vec<RefusedCase>,
    preprocess: Vec<PreprocessCase>,
}

#[derive(Deserialize)]
struct DecodeCase {
    file: String,
    width_px: u32,
    height_px: u32,
    stored_size_px: (u32, u32),
    rgb: String,
}

#[derive(Deserialize)]
struct RefusedCase {
    file: String,
    error: String,
}

#[derive(Deserialize)]
struct PreprocessCase {
    file: String,
    spec: PreprocessSpec,
    rgb: String,
    height_px: u32,
    width_px: u32,
    tensor: Option<String>,
}

fn fixture(path: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn cases() -> Cases {
    serde_json::from_slice(&fixture("cases.json")).unwrap()
}

fn file(name: &str) -> Vec<u8> {
    fixture(&format!("files/{name}"))
}

fn rgb(name: &str) -> Vec<u8> {
    fixture(&format!("rgb/{name}"))
}

fn largest_difference(image: &Rgb8Image, expected: &[u8]) -> u8 {
    assert_eq!(image.pixels().len(), expected.len());
    image.pixels().iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn decoded_pixels_equal_pillows() {
    let mut failures = Vec::new();
    for case in cases().decode {
        let bytes = file(&case.file);
        let image = match decode(&bytes, &DecodeLimits::default()) {
            Ok(image) => image,
            Err(error) => {
                failures.push(format!("{}: {error}", case.file));
                continue;
            }
        };
        if (image.width_px(), image.height_px()) != (case.width_px, case.height_px) {
            failures.push(format!("{}: {} x {} px", case.file, image.width_px(), image.height_px()));
            continue;
        }
        let difference = largest_difference(&image, &rgb(&case.rgb));
        // Bitmaps of 5 and 6 bits a sample are widened with another rounding; everything else is exact.
        let tolerance = u8::from(case.file.starts_with("bmp_5"));
        if difference > tolerance {
            failures.push(format!("{}: differs by {difference}", case.file));
        }
        // A GIF's frame may enlarge its screen, a TIFF's size is Pillow's after its orientation: both are no header's.
        let header_differs = case.file == "gif_smaller_screen.gif" || case.file.starts_with("tiff_orientation");
        if !header_differs && probe_size(&bytes).unwrap() != case.stored_size_px {
            failures.push(format!("{}: its header gives {:?}", case.file, probe_size(&bytes)));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn unusable_files_are_refused_with_their_reason() {
    for case in cases().refused {
        let error = decode(&file(&case.file), &DecodeLimits::default()).unwrap_err();
        let kind = match error {
            DecodeError::Empty => "empty",
            DecodeError::NotAnImage => "not_an_image",
            DecodeError::Truncated => "truncated",
            DecodeError::TooLarge { .. } => "too_large",
            DecodeError::Unsupported { .. } => "unsupported",
            DecodeError::Corrupt { .. } => "corrupt",
        };
        assert_eq!(kind, case.error, "{}: {error}", case.file);
    }
}

#[test]
fn limits_hold_for_every_format() {
    let limits = DecodeLimits { max_pixels: 10, ..DecodeLimits::default() };
    let narrow = DecodeLimits { max_side_px: 12, ..DecodeLimits::default() };
    for name in ["jpeg_420.jpg", "png_rgb_8.png", "webp_lossy.webp", "gif_palette.gif", "tiff_rgb.tif", "bmp_rgb.bmp"] {
        for limits in [limits, narrow] {
            let error = decode(&file(name), &limits).unwrap_err();
            assert!(matches!(error, DecodeError::TooLarge { width_px: 47, height_px: 33, .. }), "{name}: {error}");
        }
    }
}

#[test]
fn no_bytes_make_a_decoder_panic() {
    // A few mutations of every file; `decode` turns a third party's panics into errors, so only our own would show.
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut random = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    };
    let limits = DecodeLimits { max_pixels: 100_000, ..DecodeLimits::default() };
    for case in cases().decode {
        let original = file(&case.file);
        for _ in 0..8 {
            let mut bytes = original.clone();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            bytes.truncate(bytes.len() - random(bytes.len() / 4 + 1));
            drop((decode(&bytes, &limits), probe_size(&bytes)));
        }
    }
}

#[test]
fn preprocessed_pixels_and_tensors_equal_the_references() {
    let mut scratch = Scratch::default();
    for (i, case) in cases().preprocess.iter().enumerate() {
        let image = decode(&file(&case.file), &DecodeLimits::default()).unwrap();
        let preprocessor = Preprocessor::new(&case.spec).unwrap();
        assert_eq!(preprocessor.output_size(), (case.height_px, case.width_px), "case {i}");
        let result = preprocessor.to_rgb8(&image, &mut scratch);
        assert_eq!(largest_difference(&result, &rgb(&case.rgb)), 0, "case {i}: {:?}", case.spec);

        let Some(tensor) = &case.tensor else { continue };
        let expected: Vec<f32> =
            rgb(tensor).chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let mut batch = PixelBatch::with_capacity(&preprocessor, 1);
        batch.push(&preprocessor, &image, &mut scratch).unwrap();
        assert_eq!(batch.shape(), [1, 3, case.height_px as usize, case.width_px as usize]);
        assert_eq!(batch.values(), expected, "case {i}");
    }
}
