//! Preprocessing while it is being edited: what is in the fields, and whether it makes sense.

use crate::backbone::manifest::Port;
use crate::image::spec::{ChannelOrder, Crop, CropOffset, Filter, PreprocessSpec, Resize, SpecError, TensorLayout};

/// A row of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Resize,
    Filter,
    Crop,
    PadRgb,
    Rescale,
    Mean,
    Std,
    Channels,
    Layout,
}

impl Field {
    /// In the order in which the steps run.
    #[cfg(test)]
    pub const ALL: [Self; 9] = [
        Self::Resize,
        Self::Filter,
        Self::Crop,
        Self::PadRgb,
        Self::Rescale,
        Self::Mean,
        Self::Std,
        Self::Channels,
        Self::Layout,
    ];

    /// Its name in [`crate::backbone::manifest::ResolvedPreprocess::origins`].
    pub fn key(self) -> &'static str {
        match self {
            Self::Resize => "resize",
            Self::Filter => "filter",
            Self::Crop => "crop",
            Self::PadRgb => "pad_rgb",
            Self::Rescale => "rescale",
            Self::Mean => "mean",
            Self::Std => "std",
            Self::Channels => "channels",
            Self::Layout => "layout",
        }
    }

    /// Its name on screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::Resize => "Resize",
            Self::Filter => "Filter",
            Self::Crop => "Crop",
            Self::PadRgb => "Padding colour",
            Self::Rescale => "Scale values by",
            Self::Mean => "Subtract mean",
            Self::Std => "Divide by",
            Self::Channels => "Channel order",
            Self::Layout => "Tensor layout",
        }
    }

    /// Whether two specifications agree in it.
    pub fn is_same(self, a: &PreprocessSpec, b: &PreprocessSpec) -> bool {
        match self {
            Self::Resize => a.resize == b.resize,
            Self::Filter => a.filter == b.filter,
            Self::Crop => a.crop == b.crop,
            Self::PadRgb => a.pad_rgb == b.pad_rgb,
            Self::Rescale => a.rescale == b.rescale,
            Self::Mean => a.mean == b.mean,
            Self::Std => a.std == b.std,
            Self::Channels => a.channels == b.channels,
            Self::Layout => a.layout == b.layout,
        }
    }
}

/// How an image is brought to size, without the sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    None,
    ShortestSide,
    Squash,
    Border,
}

/// What is in the fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub mode: Mode,
    pub shortest_px: String,
    /// Height and width of a squash or a box.
    pub resize_px: [String; 2],
    pub filter: Filter,
    pub crops: bool,
    /// Height and width.
    pub crop_px: [String; 2],
    pub offset: CropOffset,
    pub pad_rgb: [String; 3],
    pub rescale: String,
    pub mean: [String; 3],
    pub std: [String; 3],
    pub channels: ChannelOrder,
    pub layout: TensorLayout,
}

/// What is wrong, and where.
pub type Problems = Vec<(Field, String)>;

impl Draft {
    /// The fields of a specification. Sizes that it does not name are proposed from those that it does.
    pub fn of(spec: &PreprocessSpec) -> Self {
        let (height, width) = spec.output_size().unwrap_or((224, 224));
        let pair = |h: u32, w: u32| [h.to_string(), w.to_string()];
        let (mode, shortest_px, resize_px) = match spec.resize {
            Resize::None => (Mode::None, height.min(width), pair(height, width)),
            Resize::ShortestSide { size_px } => (Mode::ShortestSide, size_px, pair(height, width)),
            Resize::Squash { height_px, width_px } => (Mode::Squash, height.min(width), pair(height_px, width_px)),
            Resize::Border { height_px, width_px } => (Mode::Border, height.min(width), pair(height_px, width_px)),
        };
        Self {
            mode,
            shortest_px: shortest_px.to_string(),
            resize_px,
            filter: spec.filter,
            crops: spec.crop.is_some(),
            crop_px: spec.crop.map_or_else(|| pair(height, width), |c| pair(c.height_px, c.width_px)),
            offset: spec.crop.map_or(CropOffset::Round, |c| c.offset),
            pad_rgb: spec.pad_rgb.map(|v| v.to_string()),
            rescale: fraction(spec.rescale),
            mean: spec.mean.map(|v| v.to_string()),
            std: spec.std.map(|v| v.to_string()),
            channels: spec.channels,
            layout: spec.layout,
        }
    }

    /// The specification, for a model with this input.
    ///
    /// # Errors
    /// What is wrong, by field.
    pub fn spec(&self, input: &Port) -> Result<PreprocessSpec, Problems> {
        let mut problems = Problems::new();
        let mut size = |field: Field, text: &str| -> u32 {
            match text.trim().parse::<u32>() {
                Ok(px) if (1..=8192).contains(&px) => px,
                _ => {
                    problems.push((field, format!("{} is no size: whole pixels from 1 to 8192 work.", quoted(text))));
                    1
                }
            }
        };
        let resize = match self.mode {
            Mode::None => Resize::None,
            Mode::ShortestSide => Resize::ShortestSide { size_px: size(Field::Resize, &self.shortest_px) },
            Mode::Squash | Mode::Border => {
                let [height_px, width_px] = [0, 1].map(|i| size(Field::Resize, &self.resize_px[i]));
                match self.mode {
                    Mode::Squash => Resize::Squash { height_px, width_px },
                    _ => Resize::Border { height_px, width_px },
                }
            }
        };
        let crop = self.crops.then(|| Crop {
            height_px: size(Field::Crop, &self.crop_px[0]),
            width_px: size(Field::Crop, &self.crop_px[1]),
            offset: self.offset,
        });
        let pad_rgb = [0, 1, 2].map(|i| {
            self.pad_rgb[i].trim().parse::<u8>().unwrap_or_else(|_| {
                let text =
                    format!("{} is no colour value: whole numbers from 0 to 255 work.", quoted(&self.pad_rgb[i]));
                problems.push((Field::PadRgb, text));
                0
            })
        });
        let mut number = |field: Field, text: &str, zero_ok: bool| match parse(text) {
            Some(value) if zero_ok || value != 0.0 => value,
            Some(_) => {
                problems.push((field, "Zero does not work here.".to_owned()));
                1.0
            }
            None => {
                problems.push((field, format!("{} is not a number.", quoted(text))));
                1.0
            }
        };
        let rescale = number(Field::Rescale, &self.rescale, false);
        let mean = [0, 1, 2].map(|i| number(Field::Mean, &self.mean[i], true));
        let std = [0, 1, 2].map(|i| number(Field::Std, &self.std[i], false));
        let spec = PreprocessSpec {
            resize,
            filter: self.filter,
            crop,
            pad_rgb,
            rescale,
            mean,
            std,
            channels: self.channels,
            layout: self.layout,
        };
        if problems.is_empty()
            && let Err(problem) = fits(&spec, input)
        {
            problems.push(problem);
        }
        problems.dedup_by(|a, b| a.0 == b.0);
        if problems.is_empty() { Ok(spec) } else { Err(problems) }
    }
}

fn quoted(text: &str) -> String {
    if text.trim().is_empty() { "An empty field".to_owned() } else { format!("“{}”", text.trim()) }
}

/// Whether a specification is whole, and its tensor is what the model takes.
fn fits(spec: &PreprocessSpec, input: &Port) -> Result<(), (Field, String)> {
    let (height, width) = spec.output_size().map_err(|error| match error {
        SpecError::NoOutputSize => {
            let text = "Images would keep different sizes: crop them, or squash or fit them to a size.";
            (Field::Crop, text.to_owned())
        }
        other => (Field::Resize, format!("{other}.")),
    })?;
    let (h, w) = (height as usize, width as usize);
    let (dims, at) = match spec.layout {
        TensorLayout::Nchw => ([3, h, w], [1, 2, 3]),
        TensorLayout::Nhwc => ([h, w, 3], [2, 3, 1]),
    };
    let wanted: Vec<Option<usize>> = input.dims.iter().skip(1).copied().collect();
    if wanted.len() != dims.len() {
        return Ok(());
    }
    let wrong = |i: usize| wanted[i].is_some_and(|fixed| fixed != dims[i]);
    // The position of the channels in this layout.
    let channel = at.iter().position(|d| *d == 1).unwrap_or(0);
    if wrong(channel) {
        let other = if spec.layout == TensorLayout::Nchw { "NHWC" } else { "NCHW" };
        return Err((Field::Layout, format!("The model’s input has its channels elsewhere: it takes {other}.")));
    }
    if (0..dims.len()).any(|i| i != channel && wrong(i)) {
        let sides: Vec<String> = (0..dims.len())
            .filter(|i| *i != channel)
            .map(|i| wanted[i].map_or_else(|| "any".to_owned(), |d| d.to_string()))
            .collect();
        let text = format!("This gives {height} × {width}, but the model’s input is fixed at {}.", sides.join(" × "));
        return Err((if spec.crop.is_some() { Field::Crop } else { Field::Resize }, text));
    }
    Ok(())
}

/// A number, also as `1/255` or with a comma for the point.
fn parse(text: &str) -> Option<f32> {
    let one = |text: &str| text.trim().replace(',', ".").parse::<f32>().ok();
    let value = match text.split_once('/') {
        Some((over, under)) => one(over)? / one(under)?,
        None => one(text)?,
    };
    value.is_finite().then_some(value)
}

/// A factor as people know it: `1/255`.
pub fn fraction(value: f32) -> String {
    let under = (1.0 / value).round();
    if (2.0..=65_535.0).contains(&under) && 1.0 / under == value { format!("1/{under}") } else { value.to_string() }
}

/// The steps in one sentence.
pub fn sentence(spec: &PreprocessSpec) -> String {
    let filter = match spec.filter {
        Filter::Bilinear => "bilinear",
        Filter::Bicubic => "bicubic",
        Filter::Lanczos => "Lanczos",
    };
    let mut steps = match spec.resize {
        Resize::None => vec!["The image as it is".to_owned()],
        Resize::ShortestSide { size_px } => vec![format!("The shorter side becomes {size_px} px ({filter})")],
        Resize::Squash { height_px, width_px } => {
            vec![format!("The image is squashed to {height_px} × {width_px} px ({filter})")]
        }
        Resize::Border { height_px, width_px } => {
            vec![format!("The image is fitted into {height_px} × {width_px} px and padded ({filter})")]
        }
    };
    if let Some(crop) = spec.crop {
        steps.push(format!("the middle {} × {} is kept", crop.height_px, crop.width_px));
    }
    steps.push(match (spec.mean == [0.0; 3], spec.std == [1.0; 3]) {
        (true, true) => format!("values are scaled by {}", fraction(spec.rescale)),
        _ => format!("values are scaled by {} and normalised", fraction(spec.rescale)),
    });
    let order = match spec.channels {
        ChannelOrder::Rgb => "RGB",
        ChannelOrder::Bgr => "BGR",
    };
    let (height, width) = spec.output_size().unwrap_or_default();
    let shape = match spec.layout {
        TensorLayout::Nchw => format!("3 × {height} × {width}"),
        TensorLayout::Nhwc => format!("{height} × {width} × 3"),
    };
    format!("{}. The model gets {shape} numbers, {order}.", steps.join(", "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::backbone::manifest::Element;

    fn imagenet() -> PreprocessSpec {
        PreprocessSpec {
            resize: Resize::ShortestSide { size_px: 256 },
            filter: Filter::Bicubic,
            crop: Some(Crop { height_px: 224, width_px: 224, offset: CropOffset::Floor }),
            pad_rgb: [0; 3],
            rescale: 1.0 / 255.0,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            channels: ChannelOrder::Rgb,
            layout: TensorLayout::Nchw,
        }
    }

    fn input(dims: &[Option<usize>]) -> Port {
        Port { name: "x".to_owned(), element: Element::F32, dims: dims.to_vec() }
    }

    #[test]
    fn fields_give_back_what_they_came_from() {
        let any = input(&[]);
        for resize in [
            Resize::None,
            Resize::ShortestSide { size_px: 256 },
            Resize::Squash { height_px: 224, width_px: 192 },
            Resize::Border { height_px: 224, width_px: 192 },
        ] {
            let spec = PreprocessSpec { resize, ..imagenet() };
            assert_eq!(Draft::of(&spec).spec(&any).unwrap(), spec);
        }
        let draft = Draft::of(&imagenet());
        assert_eq!(draft.rescale, "1/255");
        assert_eq!(draft.mean[0], "0.485");
    }

    #[test]
    fn what_is_wrong_is_said_where_it_is() {
        let fixed = input(&[None, Some(3), Some(224), Some(224)]);
        type Case = (fn(&mut Draft), Field, &'static str);
        let cases: [Case; 9] = [
            (|d| d.crop_px[0] = "0".into(), Field::Crop, "1 to 8192"),
            (|d| d.crop_px[1] = "256".into(), Field::Crop, "224 × 256"),
            (|d| d.shortest_px = "many".into(), Field::Resize, "“many”"),
            (|d| d.crops = false, Field::Crop, "different sizes"),
            (|d| d.pad_rgb[2] = "256".into(), Field::PadRgb, "0 to 255"),
            (|d| d.rescale = "0".into(), Field::Rescale, "Zero"),
            (|d| d.mean[1] = String::new(), Field::Mean, "An empty field"),
            (|d| d.std[1] = "1/0".into(), Field::Std, "not a number"),
            (|d| d.layout = TensorLayout::Nhwc, Field::Layout, "NCHW"),
        ];
        for (spoil, field, text) in cases {
            let mut draft = Draft::of(&imagenet());
            spoil(&mut draft);
            let problems = draft.spec(&fixed).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].0 == field && problems[0].1.contains(text), "{problems:?}");
        }
        let mut draft = Draft::of(&imagenet());
        draft.mean[0] = "0,5".into();
        draft.rescale = " 2 / 255 ".into();
        let spec = draft.spec(&fixed).unwrap();
        assert_eq!((spec.mean[0], spec.rescale), (0.5, 2.0 / 255.0));
    }

    #[test]
    fn every_field_is_told_apart() {
        let spec = imagenet();
        let mut other = Draft::of(&spec);
        other.mode = Mode::None;
        other.filter = Filter::Lanczos;
        other.offset = CropOffset::Round;
        other.pad_rgb[0] = "1".into();
        other.rescale = "1".into();
        other.mean[2] = "1".into();
        other.std[2] = "1".into();
        other.channels = ChannelOrder::Bgr;
        other.layout = TensorLayout::Nhwc;
        let other = other.spec(&input(&[])).unwrap();
        for field in Field::ALL {
            assert!(field.is_same(&spec, &spec) && !field.is_same(&spec, &other), "{field:?}");
        }
    }

    #[test]
    fn the_steps_read_as_a_sentence() {
        assert_eq!(
            sentence(&imagenet()),
            "The shorter side becomes 256 px (bicubic), the middle 224 × 224 is kept, values are scaled by 1/255 and \
             normalised. The model gets 3 × 224 × 224 numbers, RGB."
        );
    }
}
