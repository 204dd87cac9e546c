//! Preprocessing from a model's side files, else guessed; every value with its origin.
//!
//! Order: `preprocessor_config.json` (Hugging Face), `preprocess_cfg.json` (immich), `open_clip_config.json`,
//! `config.json` with `pretrained_cfg` (timm), then guesses. The graph's own fixed input size always wins, since
//! nothing else can be fed to it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::manifest::{Element, Origin, Port, ResolvedPreprocess, Sourced};
use super::usual::Usual;
use crate::image::spec::{ChannelOrder, Crop, CropOffset, Filter, PreprocessSpec, Resize, TensorLayout};

/// What side files say; `None` where they are silent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stated {
    resize: Option<Sourced<Resize>>,
    filter: Option<Sourced<Filter>>,
    /// The inner `None` is a stated "no crop".
    crop: Option<Sourced<Option<Crop>>>,
    rescale: Option<Sourced<f32>>,
    mean: Option<Sourced<[f32; 3]>>,
    std: Option<Sourced<[f32; 3]>>,
    pad_rgb: Option<Sourced<[u8; 3]>>,
    channels: Option<Sourced<ChannelOrder>>,
    /// What a file says that Graft cannot do.
    notes: Vec<String>,
}

type Reader = fn(&Value, &str) -> Option<Stated>;

/// Side files and their readers, best first.
const READERS: [(&str, Reader); 4] = [
    ("preprocessor_config.json", hugging_face),
    ("preprocess_cfg.json", immich),
    ("open_clip_config.json", open_clip),
    ("config.json", timm),
];

/// Reads the first side file that speaks of preprocessing. A file that is no JSON is passed over with a note.
pub fn from_side_files(dirs: &[PathBuf], notes: &mut Vec<String>) -> Stated {
    for (name, read) in READERS {
        for dir in dirs {
            let Ok(text) = fs::read_to_string(dir.join(name)) else { continue };
            match serde_json::from_str::<Value>(&text) {
                Ok(value) => {
                    if let Some(mut stated) = read(&value, name) {
                        notes.append(&mut stated.notes);
                        return stated;
                    }
                }
                Err(error) => notes.push(format!("{name} was passed over: it is not JSON ({error}).")),
            }
        }
    }
    Stated::default()
}

fn sourced<T>(name: &str, value: T) -> Sourced<T> {
    Sourced { value, origin: Origin::File { name: name.to_owned() } }
}

fn uint(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|v| u32::try_from(v).ok())
}

/// Three numbers, or one for all three.
fn triple(value: &Value) -> Option<[f32; 3]> {
    if let Some(v) = value.as_f64() {
        return Some([v as f32; 3]);
    }
    let list = value.as_array()?;
    let number = |i: usize| list.get(i).and_then(Value::as_f64).map(|v| v as f32);
    match list.len() {
        1 => Some([number(0)?; 3]),
        3 => Some([number(0)?, number(1)?, number(2)?]),
        _ => None,
    }
}

/// Height and width from `224`, `[224, 224]` or `{height, width}`.
fn height_width(value: &Value) -> Option<(u32, u32)> {
    if let Some(side) = uint(value) {
        return Some((side, side));
    }
    if let Some(list) = value.as_array() {
        return match list.as_slice() {
            [h, w] => Some((uint(h)?, uint(w)?)),
            [one] => Some((uint(one)?, uint(one)?)),
            _ => None,
        };
    }
    Some((uint(value.get("height")?)?, uint(value.get("width")?)?))
}

/// `preprocessor_config.json` of Hugging Face's image processors, old and new forms.
fn hugging_face(json: &Value, name: &str) -> Option<Stated> {
    let flag = |key: &str| json.get(key).and_then(Value::as_bool);
    let kind = ["image_processor_type", "feature_extractor_type"]
        .iter()
        .find_map(|k| json.get(*k).and_then(Value::as_str))
        .unwrap_or_default();
    let size = json.get("size").or_else(|| json.get("resize"));
    if size.is_none() && json.get("image_mean").is_none() {
        return None;
    }
    let mut stated = Stated::default();
    let crop_size = json.get("crop_size").and_then(height_width);
    let crops = flag("do_center_crop").unwrap_or(crop_size.is_some() && flag("do_resize") != Some(false));
    let mut crop = (if crops { crop_size } else { None }).map(|(height_px, width_px)| Crop {
        height_px,
        width_px,
        offset: CropOffset::Floor,
    });
    if flag("do_resize") == Some(false) {
        stated.resize = Some(sourced(name, Resize::None));
    } else if let Some(size) = size {
        let shortest = size.get("shortest_edge").and_then(uint);
        let side = shortest.or_else(|| uint(size)).or_else(|| uint(size.get("height")?));
        let crop_pct = json.get("crop_pct").and_then(Value::as_f64).filter(|pct| *pct > 0.0);
        let resize = if let (true, Some(side)) = (kind.starts_with("Levit"), shortest.or_else(|| uint(size))) {
            // LeViT's processor enlarges the stated size itself.
            Some(Resize::ShortestSide { size_px: (256.0 / 224.0 * f64::from(side)) as u32 })
        } else if let (true, Some(side), Some(pct)) = (kind.starts_with("PoolFormer"), side, crop_pct) {
            let px = crop_size.unwrap_or((side, side));
            crop = Some(Crop { height_px: px.0, width_px: px.1, offset: CropOffset::Floor });
            Some(Resize::ShortestSide { size_px: (f64::from(side) / pct) as u32 })
        } else if kind.starts_with("ConvNext") && (shortest.is_some() || uint(size).is_some()) {
            // Under 384 px: shortest side size / crop_pct, then a crop; from 384 px squashed without one.
            let side = shortest.or_else(|| uint(size))?;
            if side < 384 {
                let pct = crop_pct.unwrap_or(224.0 / 256.0);
                crop = Some(Crop { height_px: side, width_px: side, offset: CropOffset::Floor });
                Some(Resize::ShortestSide { size_px: (f64::from(side) / pct) as u32 })
            } else {
                crop = None;
                Some(Resize::Squash { height_px: side, width_px: side })
            }
        } else if let Some(size_px) = shortest {
            Some(Resize::ShortestSide { size_px })
        } else if let (Some(size_px), true) = (uint(size), crops && !kind.starts_with("DeiT")) {
            // A bare number means the shortest side for processors that crop (CLIP), a square for those that do
            // not (ViT); DeiT crops out of a square.
            Some(Resize::ShortestSide { size_px })
        } else {
            height_width(size).map(|(height_px, width_px)| Resize::Squash { height_px, width_px })
        };
        stated.resize = resize.map(|r| sourced(name, r));
    }
    stated.crop = Some(sourced(name, crop));
    if let Some(number) = json.get("resample").and_then(Value::as_u64) {
        stated.filter = pil_filter(number).map(|f| sourced(name, f));
        if stated.filter.is_none() {
            stated.notes.push(format!(
                "{name} asks for Pillow's filter number {number} (nearest, box or Hamming), which Graft does not have: \
                 another one is used, and the features may differ a little."
            ));
        }
    }
    stated.rescale = match (flag("do_rescale"), json.get("rescale_factor").and_then(Value::as_f64)) {
        (Some(false), _) => Some(sourced(name, 1.0)),
        (_, Some(factor)) => Some(sourced(name, factor as f32)),
        _ => None,
    };
    if flag("do_normalize") == Some(false) {
        stated.mean = Some(sourced(name, [0.0; 3]));
        stated.std = Some(sourced(name, [1.0; 3]));
    } else {
        stated.mean = json.get("image_mean").and_then(triple).map(|v| sourced(name, v));
        stated.std = json.get("image_std").and_then(triple).map(|v| sourced(name, v));
    }
    if json.get("do_flip_channel_order").or_else(|| json.get("do_flip_channels")).and_then(Value::as_bool) == Some(true)
    {
        stated.channels = Some(sourced(name, ChannelOrder::Bgr));
        // MobileViT's processor flips the channels and does not normalise at all.
        stated.mean.get_or_insert_with(|| sourced(name, [0.0; 3]));
        stated.std.get_or_insert_with(|| sourced(name, [1.0; 3]));
    }
    if flag("rescale_offset") == Some(true) {
        // EfficientNet's processor gives `x * factor - 1`, which is one more of the mean.
        let mean = stated.mean.as_ref().map_or([0.0; 3], |m| m.value);
        stated.mean = Some(sourced(name, mean.map(|m| m + 1.0)));
        stated.std.get_or_insert_with(|| sourced(name, [1.0; 3]));
    }
    Some(stated)
}

/// Pillow's filter numbers.
fn pil_filter(number: u64) -> Option<Filter> {
    match number {
        1 => Some(Filter::Lanczos),
        2 => Some(Filter::Bilinear),
        3 => Some(Filter::Bicubic),
        _ => None,
    }
}

fn named_filter(value: &Value) -> Option<Filter> {
    match value.as_str()? {
        "bilinear" => Some(Filter::Bilinear),
        "bicubic" => Some(Filter::Bicubic),
        "lanczos" => Some(Filter::Lanczos),
        _ => None,
    }
}

/// `visual/preprocess_cfg.json` of immich, which is open_clip's `preprocess_cfg` with its size.
fn immich(json: &Value, name: &str) -> Option<Stated> {
    open_clip_fields(json, json.get("size").and_then(height_width)?, name)
}

/// `open_clip_config.json`: the size is in the model's part.
fn open_clip(json: &Value, name: &str) -> Option<Stated> {
    let size = json.get("model_cfg")?.get("vision_cfg")?.get("image_size").and_then(height_width)?;
    open_clip_fields(json.get("preprocess_cfg").unwrap_or(&Value::Null), size, name)
}

fn open_clip_fields(cfg: &Value, (height_px, width_px): (u32, u32), name: &str) -> Option<Stated> {
    let (resize, crop) = match cfg.get("resize_mode").and_then(Value::as_str).unwrap_or("shortest") {
        "squash" => (Resize::Squash { height_px, width_px }, None),
        "longest" => (Resize::Border { height_px, width_px }, None),
        _ => (
            Resize::ShortestSide { size_px: height_px.min(width_px) },
            Some(Crop { height_px, width_px, offset: CropOffset::Round }),
        ),
    };
    let fill = cfg.get("fill_color").and_then(Value::as_u64).and_then(|v| u8::try_from(v).ok());
    Some(Stated {
        resize: Some(sourced(name, resize)),
        crop: Some(sourced(name, crop)),
        filter: cfg.get("interpolation").and_then(named_filter).map(|f| sourced(name, f)),
        // open_clip's own defaults are OpenAI's.
        mean: Some(stated_or(cfg.get("mean"), OPENAI_MEAN, name)),
        std: Some(stated_or(cfg.get("std"), OPENAI_STD, name)),
        pad_rgb: fill.map(|v| sourced(name, [v; 3])),
        ..Stated::default()
    })
}

const OPENAI_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const OPENAI_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

fn stated_or(value: Option<&Value>, default: [f32; 3], name: &str) -> Sourced<[f32; 3]> {
    match value.and_then(triple) {
        Some(value) => sourced(name, value),
        None => Sourced::guess(default, "open_clip's default"),
    }
}

/// `config.json` of timm, whose `pretrained_cfg` says everything.
fn timm(json: &Value, name: &str) -> Option<Stated> {
    let cfg = json.get("pretrained_cfg")?;
    let size = cfg.get("input_size")?.as_array()?;
    let (height_px, width_px) = (uint(size.get(1)?)?, uint(size.get(2)?)?);
    let pct = cfg.get("crop_pct").and_then(Value::as_f64).filter(|p| *p > 0.0).unwrap_or(0.875);
    let scaled = |px: u32| (f64::from(px) / pct).floor() as u32;
    let resize = match cfg.get("crop_mode").and_then(Value::as_str).unwrap_or("center") {
        "squash" => Resize::Squash { height_px: scaled(height_px), width_px: scaled(width_px) },
        "border" => Resize::Border { height_px: scaled(height_px), width_px: scaled(width_px) },
        _ => Resize::ShortestSide { size_px: scaled(height_px.min(width_px)) },
    };
    let mean = cfg.get("mean").and_then(triple);
    Some(Stated {
        resize: Some(sourced(name, resize)),
        crop: Some(sourced(name, Some(Crop { height_px, width_px, offset: CropOffset::Round }))),
        filter: cfg.get("interpolation").and_then(named_filter).map(|f| sourced(name, f)),
        mean: mean.map(|v| sourced(name, v)),
        std: cfg.get("std").and_then(triple).map(|v| sourced(name, v)),
        // timm fills borders with the mean colour.
        pad_rgb: mean.map(|m| sourced(name, m.map(|v| (v * 255.0).round_ties_even().clamp(0.0, 255.0) as u8))),
        ..Stated::default()
    })
}

/// Layout of an image input's dimensions: where the 3 stands; channels first where that does not tell.
pub fn input_layout(input: &Port) -> Sourced<TensorLayout> {
    match (input.dims.get(1).copied().flatten(), input.dims.get(3).copied().flatten()) {
        (Some(3), _) => Sourced { value: TensorLayout::Nchw, origin: Origin::Graph },
        (_, Some(3)) => Sourced { value: TensorLayout::Nhwc, origin: Origin::Graph },
        _ => Sourced::guess(TensorLayout::Nchw, "the graph does not say where the channels are"),
    }
}

/// Fixed height and width of an image input.
pub(super) fn input_size(input: &Port, layout: TensorLayout) -> (Option<u32>, Option<u32>) {
    let (h, w) = match layout {
        TensorLayout::Nchw => (2, 3),
        TensorLayout::Nhwc => (1, 2),
    };
    let dim = |i: usize| input.dims.get(i).copied().flatten().and_then(|d| u32::try_from(d).ok());
    (dim(h), dim(w))
}

/// Puts together what the files state, what the graph fixes, and what is usual for the rest.
pub fn resolve(stated: Stated, usual: Usual, input: &Port) -> ResolvedPreprocess {
    let layout = input_layout(input);
    let (fixed_height, fixed_width) = input_size(input, layout.value);
    let graph_fixes_size = fixed_height.is_some() && fixed_width.is_some();
    let (height_px, width_px) = (fixed_height.unwrap_or(224), fixed_width.unwrap_or(224));

    let mut resize = stated.resize.unwrap_or_else(|| {
        let resize = match usual.crop_pct {
            Some(pct) => Resize::ShortestSide { size_px: (f64::from(height_px.min(width_px)) / pct).floor() as u32 },
            None => Resize::Squash { height_px, width_px },
        };
        Sourced::guess(resize, usual.resize_why)
    });
    let mut crop = stated.crop.unwrap_or_else(|| {
        let crop = Some(Crop { height_px, width_px, offset: CropOffset::Round });
        match resize.value {
            Resize::Squash { .. } => Sourced::guess(None, "the resize sets both sides"),
            _ if graph_fixes_size => Sourced { value: crop, origin: Origin::Graph },
            _ => Sourced::guess(crop, "224 px is the usual input size"),
        }
    });
    let filter = stated.filter.unwrap_or_else(|| Sourced::guess(usual.filter, usual.resize_why));
    let numbers = |value: [f32; 3]| match usual.is_in_graph {
        true => Sourced { value, origin: Origin::Graph },
        false => Sourced::guess(value, usual.why),
    };
    // Of a file that says the mean, the factor is what pixels of 0..1 have.
    let usual_rescale = match (stated.mean.is_some(), usual.is_in_graph) {
        (false, true) => Sourced { value: usual.rescale, origin: Origin::Graph },
        (false, false) if usual.rescale == 1.0 => Sourced::guess(1.0, usual.why),
        _ => Sourced::guess(1.0 / 255.0, "the usual range 0..1 before the mean"),
    };
    let usual_channels = match (stated.mean.is_some(), usual.channels) {
        (false, ChannelOrder::Bgr) => Sourced::guess(ChannelOrder::Bgr, usual.why),
        _ => Sourced::guess(ChannelOrder::Rgb, "red first, as nearly all models want it"),
    };
    // A byte input takes the pixels as they are: what a file says of scaling happens inside such a graph.
    let (rescale, mean, std) = if input.element == Element::U8 {
        let graph = |value| Sourced { value, origin: Origin::Graph };
        (Sourced { value: 1.0, origin: Origin::Graph }, graph([0.0; 3]), graph([1.0; 3]))
    } else {
        (
            stated.rescale.unwrap_or(usual_rescale),
            stated.mean.unwrap_or_else(|| numbers(usual.mean)),
            stated.std.unwrap_or_else(|| numbers(usual.std)),
        )
    };
    let channels = stated.channels.unwrap_or(usual_channels);
    let pad_rgb = stated.pad_rgb.unwrap_or_else(|| Sourced::guess([0; 3], "black, as torchvision pads"));

    let mut spec = PreprocessSpec {
        resize: resize.value,
        filter: filter.value,
        crop: crop.value,
        pad_rgb: pad_rgb.value,
        rescale: rescale.value,
        mean: mean.value,
        std: std.value,
        channels: channels.value,
        layout: layout.value,
    };
    // The graph's size wins over a file that says otherwise. Where the file squashes or fits the picture without a
    // crop, it still does so, to the size that the graph takes.
    let fixed = match spec.resize {
        Resize::Squash { .. } => Some(Resize::Squash { height_px, width_px }),
        Resize::Border { .. } => Some(Resize::Border { height_px, width_px }),
        _ => None,
    };
    if let (true, None, Some(fixed)) = (graph_fixes_size, spec.crop, fixed)
        && spec.resize != fixed
    {
        resize = Sourced { value: fixed, origin: Origin::Graph };
        spec.resize = fixed;
    }
    if spec.output_size().map_or(true, |size| graph_fixes_size && size != (height_px, width_px)) {
        crop.value = Some(Crop { height_px, width_px, offset: CropOffset::Round });
        crop.origin = match graph_fixes_size {
            true => Origin::Graph,
            false => Origin::Guess { why: "nothing fixes the size".to_owned() },
        };
        spec.crop = crop.value;
    }
    let origins = vec![
        ("resize", resize.origin),
        ("filter", filter.origin),
        ("crop", crop.origin),
        ("pad_rgb", pad_rgb.origin),
        ("rescale", rescale.origin),
        ("mean", mean.origin),
        ("std", std.origin),
        ("channels", channels.origin),
        ("layout", layout.origin),
    ];
    ResolvedPreprocess { spec, origins }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn input(dims: [Option<usize>; 4]) -> Port {
        Port { name: "x".into(), element: Element::F32, dims: dims.to_vec() }
    }

    fn plain(input: &Port) -> Usual {
        super::super::usual::of(super::super::architecture::Architecture::Unknown, &Default::default(), "", "", input)
    }

    fn of_nothing(dims: [Option<usize>; 4]) -> ResolvedPreprocess {
        resolve(Stated::default(), plain(&input(dims)), &input(dims))
    }

    fn spec_of(read: Reader, json: &Value, dims: [Option<usize>; 4]) -> PreprocessSpec {
        resolve(read(json, "f.json").unwrap(), plain(&input(dims)), &input(dims)).spec
    }

    const NCHW: [Option<usize>; 4] = [None, Some(3), None, None];

    fn crop(px: u32, offset: CropOffset) -> Option<Crop> {
        Some(Crop { height_px: px, width_px: px, offset })
    }

    #[test]
    fn hugging_face_forms() {
        let clip_old = json!({"size": 224, "crop_size": 224, "do_center_crop": true, "do_resize": true, "resample": 3,
            "image_mean": [0.1, 0.2, 0.3], "image_std": [1.0, 2.0, 3.0], "feature_extractor_type": "CLIPFeatureExtractor"});
        let spec = spec_of(hugging_face, &clip_old, NCHW);
        assert_eq!(spec.resize, Resize::ShortestSide { size_px: 224 });
        assert_eq!(spec.crop, crop(224, CropOffset::Floor));
        assert_eq!(spec.filter, Filter::Bicubic);
        assert_eq!(spec.mean, [0.1, 0.2, 0.3]);
        assert_eq!(spec.rescale, 1.0 / 255.0);

        let vit = json!({"size": 224, "do_resize": true, "resample": 2, "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5], "feature_extractor_type": "ViTFeatureExtractor"});
        let spec = spec_of(hugging_face, &vit, NCHW);
        assert_eq!(spec.resize, Resize::Squash { height_px: 224, width_px: 224 });
        assert_eq!(spec.crop, None);
        assert_eq!(spec.filter, Filter::Bilinear);

        let siglip = json!({"size": {"height": 384, "width": 384}, "image_mean": 0.5, "image_std": 0.5,
            "do_rescale": true, "rescale_factor": 0.00392156862745098});
        let spec = spec_of(hugging_face, &siglip, NCHW);
        assert_eq!(spec.output_size().unwrap(), (384, 384));

        let convnext = json!({"size": {"shortest_edge": 224}, "crop_pct": 0.875, "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5], "image_processor_type": "ConvNextImageProcessor"});
        let spec = spec_of(hugging_face, &convnext, NCHW);
        assert_eq!((spec.resize, spec.crop), (Resize::ShortestSide { size_px: 256 }, crop(224, CropOffset::Floor)));

        let deit = json!({"size": 256, "crop_size": 224, "do_center_crop": true, "resample": 3,
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "feature_extractor_type": "DeiTFeatureExtractor"});
        assert_eq!(spec_of(hugging_face, &deit, NCHW).resize, Resize::Squash { height_px: 256, width_px: 256 });

        let no_norm = json!({"size": {"shortest_edge": 256}, "crop_size": {"height": 256, "width": 256},
            "do_normalize": false, "resample": 2});
        let spec = spec_of(hugging_face, &no_norm, NCHW);
        assert_eq!((spec.mean, spec.std), ([0.0; 3], [1.0; 3]));
    }

    #[test]
    fn timm_open_clip_and_immich() {
        let timm_json = json!({"architecture": "x", "pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.9,
            "crop_mode": "border", "interpolation": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}});
        let spec = spec_of(timm, &timm_json, NCHW);
        assert_eq!(spec.resize, Resize::Border { height_px: 248, width_px: 248 });
        assert_eq!(spec.crop, crop(224, CropOffset::Round));
        assert_eq!(spec.pad_rgb, [128; 3]);

        let open_clip_json = json!({"model_cfg": {"vision_cfg": {"image_size": 256}},
            "preprocess_cfg": {"mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bilinear", "resize_mode": "shortest"}});
        let spec = spec_of(open_clip, &open_clip_json, NCHW);
        assert_eq!((spec.resize, spec.mean), (Resize::ShortestSide { size_px: 256 }, [0.0; 3]));

        let immich_json = json!({"size": [224, 224], "mode": "RGB", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
            "interpolation": "bicubic", "resize_mode": "squash", "fill_color": 0});
        assert_eq!(spec_of(immich, &immich_json, NCHW).resize, Resize::Squash { height_px: 224, width_px: 224 });
    }

    #[test]
    fn guesses_say_so_and_the_graph_wins() {
        let resolved = of_nothing([None, Some(3), Some(299), Some(299)]);
        assert_eq!(resolved.spec.resize, Resize::ShortestSide { size_px: 341 });
        assert_eq!(resolved.spec.output_size().unwrap(), (299, 299));
        let origin = |name: &str| resolved.origins.iter().find(|(n, _)| *n == name).map(|(_, o)| o.clone()).unwrap();
        assert_eq!(origin("crop"), Origin::Graph);
        assert!(matches!(origin("mean"), Origin::Guess { .. }));

        let nhwc = of_nothing([Some(1), None, None, Some(3)]);
        assert_eq!((nhwc.spec.layout, nhwc.spec.mean), (TensorLayout::Nhwc, [0.5; 3]));

        // A file says 256 where the graph takes 224 only.
        let json = json!({"size": {"height": 256, "width": 256}, "image_mean": 0.5, "image_std": 0.5});
        let spec = spec_of(hugging_face, &json, [None, Some(3), Some(224), Some(224)]);
        assert_eq!((spec.resize, spec.crop), (Resize::Squash { height_px: 224, width_px: 224 }, None));
    }

    #[test]
    fn processors_with_habits_of_their_own() {
        let mobilevit = json!({"size": {"shortest_edge": 288}, "crop_size": {"height": 256, "width": 256},
            "do_center_crop": true, "do_flip_channel_order": true, "resample": 2, "do_rescale": true,
            "image_processor_type": "MobileViTImageProcessor"});
        let spec = spec_of(hugging_face, &mobilevit, NCHW);
        assert_eq!((spec.channels, spec.mean, spec.std), (ChannelOrder::Bgr, [0.0; 3], [1.0; 3]));

        let levit = json!({"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224},
            "do_center_crop": true, "image_mean": 0.5, "image_std": 0.5, "feature_extractor_type": "LevitFeatureExtractor"});
        let spec = spec_of(hugging_face, &levit, NCHW);
        assert_eq!((spec.resize, spec.crop), (Resize::ShortestSide { size_px: 256 }, crop(224, CropOffset::Floor)));

        let poolformer = json!({"size": {"shortest_edge": 224}, "crop_pct": 0.9, "image_mean": 0.5, "image_std": 0.5,
            "image_processor_type": "PoolFormerImageProcessor"});
        let spec = spec_of(hugging_face, &poolformer, NCHW);
        assert_eq!((spec.resize, spec.crop), (Resize::ShortestSide { size_px: 248 }, crop(224, CropOffset::Floor)));

        let efficientnet = json!({"size": {"height": 224, "width": 224}, "rescale_factor": 1.0 / 127.5,
            "rescale_offset": true, "do_normalize": false});
        let spec = spec_of(hugging_face, &efficientnet, NCHW);
        assert_eq!((spec.mean, spec.std), ([1.0; 3], [1.0; 3]));

        let nearest =
            json!({"size": {"height": 224, "width": 224}, "image_mean": 0.5, "image_std": 0.5, "resample": 0});
        assert_eq!(hugging_face(&nearest, "f.json").unwrap().notes.len(), 1);
    }

    #[test]
    fn a_byte_input_takes_the_pixels_as_they_are() {
        let json = json!({"size": 224, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]});
        let port = Port { element: Element::U8, ..input([None, None, None, Some(3)]) };
        let spec = resolve(hugging_face(&json, "f.json").unwrap(), plain(&port), &port).spec;
        assert_eq!((spec.rescale, spec.mean, spec.std), (1.0, [0.0; 3], [1.0; 3]));
    }
}
