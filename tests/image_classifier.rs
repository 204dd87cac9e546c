//! Preprocessing inside `image_classifier.onnx` against `image::preprocess`, for every way of resizing, cropping,
//! padding, ordering and typing: two implementations of one specification must give the same answers.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;

use graft::backbone::Backbone;
use graft::backbone::provider::Provider;
use graft::backbone::session::{GraphSession, Values};
use graft::head::Affine;
use graft::image::Rgb8Image;
use graft::image::preprocess::{Preprocessor, Scratch};
use graft::image::spec::{ChannelOrder, Crop, CropOffset, Filter, PreprocessSpec, Resize};
use graft::onnx;
use graft::rng::SplitMix64;
use ndarray::{Array1, Array2};

/// A picture with edges and noise.
fn picture(width: u32, height: u32) -> Rgb8Image {
    let mut rng = SplitMix64::new(u64::from(width) << 32 | u64::from(height));
    let mut bytes = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let inside = (x * 3 / width + y * 2 / height).is_multiple_of(2);
            for c in 0..3 {
                let base = if inside { 60 * c + 40 } else { 220 - 50 * c };
                bytes.push((base + rng.below(30) as u32) as u8);
            }
        }
    }
    Rgb8Image::new(width, height, bytes).unwrap()
}

fn specs(base: &PreprocessSpec) -> Vec<PreprocessSpec> {
    let crop = |px, offset| Some(Crop { height_px: px, width_px: px, offset });
    let (floor, round) = (CropOffset::Floor, CropOffset::Round);
    let resizes = [
        (Resize::ShortestSide { size_px: 36 }, crop(32, floor)),
        (Resize::ShortestSide { size_px: 37 }, crop(32, round)),
        // smaller than the crop: padded
        (Resize::ShortestSide { size_px: 27 }, crop(32, floor)),
        (Resize::Squash { height_px: 32, width_px: 32 }, None),
        (Resize::Squash { height_px: 35, width_px: 41 }, crop(32, round)),
        (Resize::Border { height_px: 32, width_px: 32 }, None),
        (Resize::Border { height_px: 40, width_px: 40 }, crop(32, round)),
        (Resize::None, crop(32, round)),
    ];
    let mut specs = Vec::new();
    for (resize, crop) in resizes {
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            let channels = if filter == Filter::Bicubic { ChannelOrder::Bgr } else { ChannelOrder::Rgb };
            let pad_rgb = if filter == Filter::Lanczos { [124, 116, 104] } else { [0; 3] };
            specs.push(PreprocessSpec { resize, crop, filter, channels, pad_rgb, ..base.clone() });
        }
    }
    specs
}

#[test]
fn the_graph_sees_what_the_app_sees() {
    let sizes = [(40, 36), (5, 7), (100, 33), (33, 100), (64, 64), (1, 50), (200, 150)];
    for (file, tolerance) in [("tiny_cnn", 1e-5), ("tiny_nhwc.onnx", 1e-5), ("tiny_fp16.onnx", 2e-3)] {
        let backbone = Backbone::open(&Path::new(common::ONNX).join(file), None, |_| None).unwrap();
        let features = backbone.feature_graph().unwrap();
        let mut rng = SplitMix64::new(1);
        let mut number = || (rng.below(2001) as f32 - 1000.0) / 1000.0;
        let head = Affine {
            l2_blocks: Vec::new(),
            activation: graft::head::Activation::Softmax,
            kernel: None,
            weight: Array2::from_shape_simple_fn((3, backbone.space.dim), &mut number),
            bias: Array1::from_shape_simple_fn(3, &mut number),
        };
        let classifier = onnx::classifier_model(&features, &head, None).unwrap();
        let mut plain = GraphSession::load(&onnx::encode(&classifier).unwrap(), 1, Provider::Cpu).unwrap();
        for spec in specs(backbone.preprocess()) {
            let graph = onnx::image_classifier_model(&classifier, &spec).unwrap();
            let mut whole = GraphSession::load(&onnx::encode(&graph).unwrap(), 1, Provider::Cpu).unwrap();
            let preprocessor = Preprocessor::new(&spec).unwrap();
            for (width, height) in sizes {
                let picture = picture(width, height);
                let mut tensor = vec![0.0; preprocessor.tensor_len()];
                preprocessor.apply(&picture, &mut Scratch::default(), &mut tensor).unwrap();
                let app = plain.run(&backbone.input_dims(1), Values::F32(tensor), &["logits"]).unwrap();
                let dims = [height as usize, width as usize, 3];
                let exported = whole.run(&dims, Values::U8(picture.into_pixels()), &["logits"]).unwrap();
                let scale = app[0].values.iter().fold(1.0_f32, |max, v| max.max(v.abs()));
                for (a, b) in app[0].values.iter().zip(&exported[0].values) {
                    assert!((a - b).abs() <= tolerance * scale, "{file} {width}x{height} {spec:?}: {a} and {b}");
                }
            }
        }
    }
}
