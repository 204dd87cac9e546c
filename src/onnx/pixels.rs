//! Preprocessing as part of a model: an image of any size becomes the backbone's input tensor with Pillow's pixels.
//!
//! ONNX's `Resize` is avoided: its antialiasing differs between runtimes and it has no Lanczos filter. Instead the
//! graph computes Pillow's own weights (`precompute_coeffs` and `normalize_coeffs_8bpc` of `Resample.c`) in double
//! precision from the shape of the image, and resamples by two matrix products in the order that Pillow 13 chooses.
//!
//! Pillow rounds its weights to multiples of 2⁻²² and sums integers. The graph does the same in float matrix products
//! without any rounding: the integer weight is split into `128 * hi + lo`, so that every partial sum of `hi` (at most
//! 255 · 1.5 · 2¹⁵) and of `lo` (255 · 64 per source pixel) is an integer below 2²⁴, which 32-bit floats hold exactly
//! for reductions of up to about 250 times; beyond that a sum may be off by one part in 2²².
//!
//! Only operators that have the same form in opsets 11 to 22 occur (so no ReduceSum, Squeeze, Split or Resize).

use super::build::{Builder, attr_int, attr_ints};
use super::proto::DataType;
use crate::image::spec::{ChannelOrder, CropOffset, Filter, PreprocessSpec, Resize, SpecError, TensorLayout};

/// Lowest opset in which the graph is valid.
pub(super) const MIN_OPSET: i64 = 11;

/// Bits after the point of Pillow's integer weights.
const PRECISION_BITS: i32 = 22;
/// Weights are split at this power of two.
const SPLIT: f64 = 128.0;

/// Adds the nodes that turn `image` (u8 `[H, W, 3]`, RGB) into a float tensor `[1, 3, h, w]` or `[1, h, w, 3]`;
/// returns its name. The resized and cropped pixels before normalisation are the tensor `graft/pixels/rgb` (float
/// `[3, h, w]`, whole numbers from 0 to 255).
pub(super) fn add(b: &mut Builder, image: &str, spec: &PreprocessSpec) -> Result<String, SpecError> {
    let (out_h, out_w) = spec.output_size()?;
    let shape = b.op("Shape", "shape", &[image]);
    let (zero, one) = (b.i64(0), b.i64(1));
    let height = b.op("Gather", "height", &[&shape, &zero]);
    let width = b.op("Gather", "width", &[&shape, &one]);
    let (new_h, new_w) = resized(b, spec.resize, &height, &width);
    // Without a crop the size is that of the squash (margin 0) or of the border's box, which is filled evenly.
    let offset = spec.crop.map_or(CropOffset::Round, |crop| crop.offset);

    let y = Axis::add(b, "y", spec.filter, &height, &new_h, out_h, offset);
    let x = Axis::add(b, "x", spec.filter, &width, &new_w, out_w, offset);

    // Only the part of the image that the crop sees is converted and multiplied.
    let starts = b.op_with("Concat", "starts", &[&y.start, &x.start], vec![attr_int("axis", 0)]);
    let ends = b.op_with("Concat", "ends", &[&y.end, &x.end], vec![attr_int("axis", 0)]);
    let axes = b.i64s(&[2], &[0, 1]);
    let seen = b.op("Slice", "seen", &[image, &starts, &ends, &axes]);
    let planes = b.op_with("Transpose", "planes", &[&seen], vec![attr_ints("perm", &[2, 0, 1])]);
    let planes = b.cast("planes_f32", &planes, DataType::Float);

    let transposed = |b: &mut Builder, m: &str| b.op_with("Transpose", "x/t", &[m], vec![attr_ints("perm", &[1, 0])]);
    let (x_hi, x_lo) = (transposed(b, &x.hi), transposed(b, &x.lo));
    let horizontal = |b: &mut Builder, levels: &str| {
        let hi = b.op("MatMul", "x/hi_sum", &[levels, &x_hi]);
        let lo = b.op("MatMul", "x/lo_sum", &[levels, &x_lo]);
        rounded(b, "x", &hi, &lo)
    };
    let vertical = |b: &mut Builder, levels: &str| {
        let hi = b.op("MatMul", "y/hi_sum", &[&y.hi, levels]);
        let lo = b.op("MatMul", "y/lo_sum", &[&y.lo, levels]);
        rounded(b, "y", &hi, &lo)
    };
    // Pillow 13 begins with the rows where the height loses more than twice what the width loses; the order shows in
    // the rounding to whole levels between the passes.
    let (zero, two) = (b.f64(0.0), b.f64(2.0));
    let twice = b.op("Mul", "x/lost_twice", &[&x.lost, &two]);
    let shrinks = b.op("Less", "y/shrinks", &[&zero, &y.lost]);
    let shrinks_more = b.op("Less", "y/shrinks_more", &[&twice, &y.lost]);
    let vertical_first = b.op("And", "vertical_first", &[&shrinks, &shrinks_more]);
    let then_branch = b.branch("then_branch", |b| {
        let rows = vertical(b, &planes);
        horizontal(b, &rows)
    });
    let else_branch = b.branch("else_branch", |b| {
        let columns = horizontal(b, &planes);
        vertical(b, &columns)
    });
    let rows = b.op_with("If", "resampled", &[&vertical_first], vec![then_branch, else_branch]);

    let x_inside = b.op_with("Transpose", "x/inside_t", &[&x.inside], vec![attr_ints("perm", &[1, 0])]);
    let inside = b.op("And", "inside", &[&y.inside, &x_inside]);
    let pad = b.f32s("pad_rgb", &[3, 1, 1], &spec.pad_rgb.map(f32::from));
    let rgb = b.op("Where", "rgb", &[&inside, &rows, &pad]);
    Ok(normalised(b, &rgb, spec, out_h, out_w))
}

/// Height and width after the resize, integer scalars, computed as Pillow's users do.
fn resized(b: &mut Builder, resize: Resize, height: &str, width: &str) -> (String, String) {
    match resize {
        Resize::None => (height.to_owned(), width.to_owned()),
        Resize::Squash { height_px, width_px } => (b.i64(height_px.into()), b.i64(width_px.into())),
        Resize::ShortestSide { size_px } => {
            // int(size * long / short) for the long side, and for the short side the same expression gives size.
            let upright = b.op("Less", "width_is_long", &[height, width]);
            let short = b.op("Where", "short", &[&upright, height, width]);
            let size = b.i64(size_px.into());
            let mut side = |label, px: &str| {
                let product = b.op("Mul", "size_times_side", &[&size, px]);
                b.op("Div", label, &[&product, &short])
            };
            (side("new_height", height), side("new_width", width))
        }
        Resize::Border { height_px, width_px } => {
            let h = b.cast("height_f64", height, DataType::Double);
            let w = b.cast("width_f64", width, DataType::Double);
            let (box_h, box_w) = (b.f64(height_px.into()), b.f64(width_px.into()));
            let ratio_h = b.op("Div", "ratio_h", &[&h, &box_h]);
            let ratio_w = b.op("Div", "ratio_w", &[&w, &box_w]);
            let ratio = b.op("Max", "ratio", &[&ratio_h, &ratio_w]);
            let one = b.f64(1.0);
            let mut side = |label, px: &str| {
                let exact = b.op("Div", "side_by_ratio", &[px, &ratio]);
                let even = b.op("Round", "side_rounded", &[&exact]);
                let kept = b.op("Max", "side_kept", &[&even, &one]);
                b.cast(label, &kept, DataType::Int64)
            };
            (side("new_height", &h), side("new_width", &w))
        }
    }
}

/// What one axis contributes; all are names of tensors.
struct Axis {
    /// High and low part of the weights, float `[n_out, end - start]`.
    hi: String,
    lo: String,
    /// Whether an output lies inside the resized image, bool `[n_out, 1]`.
    inside: String,
    /// By how many pixels the resize shortens the axis, double scalar.
    lost: String,
    /// Stretch of source pixels that the outputs need, integers `[1]`.
    start: String,
    end: String,
}

impl Axis {
    /// Weights of `out_px` outputs, cut at `offset` from the centre of `new_px` resampled from `in_px` pixels.
    fn add(
        b: &mut Builder,
        axis: &str,
        filter: Filter,
        in_px: &str,
        new_px: &str,
        out_px: u32,
        offset: CropOffset,
    ) -> Self {
        let label = |name: &str| format!("{axis}/{name}");
        let (zero, half, one) = (b.f64(0.0), b.f64(0.5), b.f64(1.0));
        let n_in = b.cast(&label("n_in"), in_px, DataType::Double);
        let n_new = b.cast(&label("n_new"), new_px, DataType::Double);
        let lost = b.op("Sub", &label("lost"), &[&n_in, &n_new]);
        let scale = b.op("Div", &label("scale"), &[&n_in, &n_new]);
        let filter_scale = b.op("Max", &label("filter_scale"), &[&scale, &one]);
        let filter_support = b.f64(support(filter));
        let support = b.op("Mul", &label("support"), &[&filter_support, &filter_scale]);

        // Outputs beyond the resized image take the weights of its edge here and are blanked below.
        let offset = crop_offset(b, &label("offset"), &n_new, out_px, offset);
        let outputs: Vec<f64> = (0..out_px).map(f64::from).collect();
        let outputs = b.f64s(&label("outputs"), &[out_px as usize, 1], &outputs);
        let output = b.op("Add", &label("output"), &[&outputs, &offset]);
        let n_last = b.op("Sub", &label("n_last"), &[&n_new, &one]);
        let clamped = b.op("Max", &label("clamped_low"), &[&output, &zero]);
        let clamped = b.op("Min", &label("clamped"), &[&clamped, &n_last]);
        let moved = b.op("Sub", &label("moved"), &[&output, &clamped]);
        let moved = b.op("Abs", &label("moved_abs"), &[&moved]);
        let inside = b.op("Less", &label("inside"), &[&moved, &half]);

        // center = (xx + 0.5) * scale; xmin = max(int(center - support + 0.5), 0); xmax likewise.
        let centre = b.op("Add", &label("output_mid"), &[&clamped, &half]);
        let centre = b.op("Mul", &label("centre"), &[&centre, &scale]);
        let low = b.op("Sub", &label("low"), &[&centre, &support]);
        let low = b.op("Add", &label("low_mid"), &[&low, &half]);
        let low = b.op("Floor", &label("low_floor"), &[&low]);
        let first = b.op("Max", &label("first"), &[&low, &zero]);
        let high = b.op("Add", &label("high"), &[&centre, &support]);
        let high = b.op("Add", &label("high_mid"), &[&high, &half]);
        let high = b.op("Floor", &label("high_floor"), &[&high]);
        let last = b.op("Min", &label("last"), &[&high, &n_in]);

        // One row an output, one column a source pixel of its window: ceil(support) * 2 + 1 of them.
        let (minus_one, minus_two) = (b.f64(-1.0), b.f64(-2.0));
        let taps = b.op("Mul", &label("support_neg"), &[&support, &minus_one]);
        let taps = b.op("Floor", &label("support_floor"), &[&taps]);
        let taps = b.op("Mul", &label("support_twice"), &[&taps, &minus_two]);
        let taps = b.op("Add", &label("n_taps"), &[&taps, &one]);
        let tap = b.op("Range", &label("tap"), &[&zero, &taps, &one]);
        let source = b.op("Add", &label("source"), &[&first, &tap]);
        let used = b.op("Less", &label("used"), &[&source, &last]);

        // filter((x + xmin - center + 0.5) * (1 / filterscale)); all filters are even.
        let inverse = b.op("Div", &label("inverse"), &[&one, &filter_scale]);
        let distance = b.op("Sub", &label("distance"), &[&source, &centre]);
        let distance = b.op("Add", &label("distance_mid"), &[&distance, &half]);
        let distance = b.op("Mul", &label("distance_scaled"), &[&distance, &inverse]);
        let distance = b.op("Abs", &label("distance_abs"), &[&distance]);
        let weight = kernel(b, axis, filter, &distance);
        let weight = b.op("Where", &label("weight"), &[&used, &weight, &zero]);

        // Rows are normalised, then rounded to whole multiples of 2^-22, halves away from zero.
        let column = b.i64s(&[2], &[-1, 1]);
        let ones = b.op("Reshape", &label("tap_column"), &[&tap, &column]);
        let ones = b.op("Mul", &label("tap_zeros"), &[&ones, &zero]);
        let ones = b.op("Add", &label("tap_ones"), &[&ones, &one]);
        let sum = b.op("MatMul", &label("sum"), &[&weight, &ones]);
        let weight = b.op("Div", &label("weight_normal"), &[&weight, &sum]);
        let units = b.f64(f64::from(PRECISION_BITS).exp2());
        let size = b.op("Abs", &label("weight_abs"), &[&weight]);
        let size = b.op("Mul", &label("weight_units"), &[&size, &units]);
        let size = b.op("Add", &label("weight_mid"), &[&size, &half]);
        let size = b.op("Floor", &label("weight_floor"), &[&size]);
        let sign = b.op("Sign", &label("weight_sign"), &[&weight]);
        let weight = b.op("Mul", &label("weight_whole"), &[&size, &sign]);
        let weight = b.op("Where", &label("weight_inside"), &[&inside, &weight, &zero]);
        let split = b.f64(SPLIT);
        let hi = b.op("Div", &label("weight_by_split"), &[&weight, &split]);
        let hi = b.op("Add", &label("hi_mid"), &[&hi, &half]);
        let hi = b.op("Floor", &label("hi_taps"), &[&hi]);
        let lo = b.op("Mul", &label("hi_times_split"), &[&hi, &split]);
        let lo = b.op("Sub", &label("lo_taps"), &[&weight, &lo]);

        // The windows are written into a matrix over the stretch of pixels that any window sees. Taps beyond a window's
        // end go to a last column, which is cut off.
        let (first_row, last_row) = (b.i64(0), b.i64(i64::from(out_px) - 1));
        let start = b.op("Gather", &label("start_f64"), &[&first, &first_row]);
        let end = b.op("Gather", &label("end_f64"), &[&last, &last_row]);
        let n_seen = b.op("Sub", &label("n_seen"), &[&end, &start]);
        let place = b.op("Sub", &label("source_seen"), &[&source, &start]);
        let place = b.op("Where", &label("place_f64"), &[&used, &place, &n_seen]);
        let place = b.cast(&label("place"), &place, DataType::Int64);
        let n_columns = b.op("Add", &label("n_columns_f64"), &[&n_seen, &one]);
        let n_columns = b.cast(&label("n_columns"), &n_columns, DataType::Int64);
        let n_rows = b.i64s(&[1], &[out_px.into()]);
        let dims = b.op_with("Concat", &label("dims"), &[&n_rows, &n_columns], vec![attr_int("axis", 0)]);
        let zeros = b.op("ConstantOfShape", &label("zeros"), &[&dims]);
        let n_seen = b.cast(&label("n_seen_i64"), &n_seen, DataType::Int64);
        let (from, columns) = (b.i64s(&[1], &[0]), b.i64s(&[1], &[1]));
        let mut dense = |name: &str, taps: &str| {
            let taps = b.cast(&label(&format!("{name}_f32")), taps, DataType::Float);
            let along = vec![attr_int("axis", 1)];
            let full = b.op_with("ScatterElements", &label(&format!("{name}_full")), &[&zeros, &place, &taps], along);
            b.op("Slice", &label(name), &[&full, &from, &n_seen, &columns])
        };
        let (hi, lo) = (dense("hi", &hi), dense("lo", &lo));
        let start = b.cast(&label("start"), &start, DataType::Int64);
        let end = b.cast(&label("end"), &end, DataType::Int64);
        Self { hi, lo, inside, lost, start, end }
    }
}

/// Offset of the centre crop, double scalar; negative where the image is smaller than the crop.
fn crop_offset(b: &mut Builder, label: &str, n_new: &str, out_px: u32, offset: CropOffset) -> String {
    let (half, out_px) = (b.f64(0.5), b.f64(out_px.into()));
    let margin = b.op("Sub", &format!("{label}/margin"), &[n_new, &out_px]);
    let exact = b.op("Mul", &format!("{label}/exact"), &[&margin, &half]);
    match offset {
        CropOffset::Floor => b.op("Floor", label, &[&exact]),
        CropOffset::Round => {
            // torchvision pads floor(missing / 2) on the left before it rounds any offset.
            let (zero, minus_one) = (b.f64(0.0), b.f64(-1.0));
            let missing = b.op("Mul", &format!("{label}/missing"), &[&exact, &minus_one]);
            let pad = b.op("Floor", &format!("{label}/pad"), &[&missing]);
            let pad = b.op("Mul", &format!("{label}/pad_neg"), &[&pad, &minus_one]);
            let cut = b.op("Round", &format!("{label}/cut"), &[&exact]);
            let smaller = b.op("Less", &format!("{label}/smaller"), &[&margin, &zero]);
            b.op("Where", label, &[&smaller, &pad, &cut])
        }
    }
}

/// Half the width of a filter at scale 1, in source pixels.
fn support(filter: Filter) -> f64 {
    match filter {
        Filter::Bilinear => 1.0,
        Filter::Bicubic => 2.0,
        Filter::Lanczos => 3.0,
    }
}

/// The filter's value at distances `x >= 0`, in the order of operations of Pillow's `Resample.c`.
fn kernel(b: &mut Builder, axis: &str, filter: Filter, x: &str) -> String {
    let label = |name: &str| format!("{axis}/kernel/{name}");
    let (zero, one) = (b.f64(0.0), b.f64(1.0));
    match filter {
        Filter::Bilinear => {
            let slope = b.op("Sub", &label("slope"), &[&one, x]);
            b.op("Max", &label("value"), &[&slope, &zero])
        }
        Filter::Bicubic => {
            // a = -0.5: ((a + 2) x - (a + 3)) x x + 1 below 1, (((x - 5) x + 8) x - 4) a below 2.
            let (a2, a3, two) = (b.f64(1.5), b.f64(2.5), b.f64(2.0));
            let near = b.op("Mul", &label("near1"), &[x, &a2]);
            let near = b.op("Sub", &label("near2"), &[&near, &a3]);
            let near = b.op("Mul", &label("near3"), &[&near, x]);
            let near = b.op("Mul", &label("near4"), &[&near, x]);
            let near = b.op("Add", &label("near5"), &[&near, &one]);
            let (five, eight, four, a) = (b.f64(5.0), b.f64(8.0), b.f64(4.0), b.f64(-0.5));
            let far = b.op("Sub", &label("far1"), &[x, &five]);
            let far = b.op("Mul", &label("far2"), &[&far, x]);
            let far = b.op("Add", &label("far3"), &[&far, &eight]);
            let far = b.op("Mul", &label("far4"), &[&far, x]);
            let far = b.op("Sub", &label("far5"), &[&far, &four]);
            let far = b.op("Mul", &label("far6"), &[&far, &a]);
            let is_near = b.op("Less", &label("is_near"), &[x, &one]);
            let is_far = b.op("Less", &label("is_far"), &[x, &two]);
            let far = b.op("Where", &label("far"), &[&is_far, &far, &zero]);
            b.op("Where", &label("value"), &[&is_near, &near, &far])
        }
        Filter::Lanczos => {
            let (three, pi, tiny) = (b.f64(3.0), b.f64(std::f64::consts::PI), b.f64(f64::MIN_POSITIVE));
            let third = b.op("Div", &label("third"), &[x, &three]);
            let mut sinc = |name: &str, x: &str| {
                // 0 / 0 is avoided, then replaced by 1.
                let angle = b.op("Mul", &label(&format!("{name}_angle")), &[x, &pi]);
                let sine = b.op("Sin", &label(&format!("{name}_sine")), &[&angle]);
                let divisor = b.op("Max", &label(&format!("{name}_divisor")), &[&angle, &tiny]);
                let ratio = b.op("Div", &label(&format!("{name}_ratio")), &[&sine, &divisor]);
                let off_zero = b.op("Less", &label(&format!("{name}_off_zero")), &[&zero, &angle]);
                b.op("Where", &label(name), &[&off_zero, &ratio, &one])
            };
            let (whole, windowed) = (sinc("sinc", x), sinc("window", &third));
            let product = b.op("Mul", &label("product"), &[&whole, &windowed]);
            let is_near = b.op("Less", &label("is_near"), &[x, &three]);
            b.op("Where", &label("value"), &[&is_near, &product, &zero])
        }
    }
}

/// `clip8`: sums of `hi` and `lo` parts to whole numbers from 0 to 255, float.
fn rounded(b: &mut Builder, axis: &str, hi: &str, lo: &str) -> String {
    let label = |name: &str| format!("{axis}/{name}");
    let unit = (-f64::from(PRECISION_BITS)).exp2();
    let (hi_unit, lo_unit) = (b.f64(SPLIT * unit), b.f64(unit));
    let (zero, half, top) = (b.f64(0.0), b.f64(0.5), b.f64(255.0));
    let hi = b.cast(&label("hi_f64"), hi, DataType::Double);
    let lo = b.cast(&label("lo_f64"), lo, DataType::Double);
    let hi = b.op("Mul", &label("hi_scaled"), &[&hi, &hi_unit]);
    let lo = b.op("Mul", &label("lo_scaled"), &[&lo, &lo_unit]);
    let sum = b.op("Add", &label("total"), &[&hi, &lo]);
    let sum = b.op("Add", &label("total_mid"), &[&sum, &half]);
    let sum = b.op("Floor", &label("total_floor"), &[&sum]);
    let sum = b.op("Max", &label("total_low"), &[&sum, &zero]);
    let sum = b.op("Min", &label("total_high"), &[&sum, &top]);
    b.cast(&label("level"), &sum, DataType::Float)
}

/// Levels `[3, h, w]` to the values, channels and layout that the backbone wants, batch of one.
fn normalised(b: &mut Builder, rgb: &str, spec: &PreprocessSpec, out_h: u32, out_w: u32) -> String {
    // Rounded once, and divided where the factor is the 32-bit float nearest to 1 / n (n a multiple of one half): the
    // same steps as in `image::preprocess`, so that the tensors are equal to the last bit.
    let factor = f64::from(spec.rescale);
    let divisor = (2.0 / factor).round() / 2.0;
    let divides = divisor.is_finite() && (1.0 / divisor) as f32 == spec.rescale;
    let (operator, operand) = if divides { ("Div", divisor) } else { ("Mul", factor) };
    let operand = b.f64(operand);
    let mean = b.f32s("mean", &[3, 1, 1], &spec.mean);
    let std = b.f32s("std", &[3, 1, 1], &spec.std);
    let tensor = b.cast("rgb_f64", rgb, DataType::Double);
    let tensor = b.op(operator, "rescaled", &[&tensor, &operand]);
    let tensor = b.cast("rescaled_f32", &tensor, DataType::Float);
    let tensor = b.op("Sub", "centred", &[&tensor, &mean]);
    let tensor = b.op("Div", "normalised", &[&tensor, &std]);
    let tensor = match spec.channels {
        ChannelOrder::Rgb => tensor,
        ChannelOrder::Bgr => {
            let order = b.i64s(&[3], &[2, 1, 0]);
            b.op_with("Gather", "bgr", &[&tensor, &order], vec![attr_int("axis", 0)])
        }
    };
    let (h, w) = (i64::from(out_h), i64::from(out_w));
    match spec.layout {
        TensorLayout::Nchw => {
            let dims = b.i64s(&[4], &[1, 3, h, w]);
            b.op("Reshape", "nchw", &[&tensor, &dims])
        }
        TensorLayout::Nhwc => {
            let tensor = b.op_with("Transpose", "hwc", &[&tensor], vec![attr_ints("perm", &[1, 2, 0])]);
            let dims = b.i64s(&[4], &[1, h, w, 3]);
            b.op("Reshape", "nhwc", &[&tensor, &dims])
        }
    }
}
