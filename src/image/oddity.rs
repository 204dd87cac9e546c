//! Images that are odd for what they are: much smaller than the others, of an extreme shape, of one colour.

use serde::Serialize;

use super::miniature::Miniature;

/// A side of an image is so many times smaller than that of half of the others: detail is missing that those have.
const MUCH_SMALLER: u32 = 3;
/// Images smaller than half of what the model sees are listed where no more than this share of all are; else it is a
/// fact about the set.
const SHARE_OF_SMALL: f64 = 0.1;
/// From this ratio of the sides on a shape is extreme: a square crop shows less than a third of it.
const EXTREME_ASPECT: f64 = 3.0;
/// So many times the usual ratio, so that sets of strips are left alone.
const UNUSUAL_ASPECT: f64 = 2.0;
/// Levels of 255 that the colours of a picture vary by at least (their standard deviation). Line drawings have 10.
const LEAST_SPREAD: f32 = 6.0;

/// Why an image is odd, with the figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Oddity {
    /// It is much smaller than the others.
    SmallBesideOthers {
        /// Its shorter side in pixels.
        side_px: u32,
        /// Half of the others have this or more.
        usual_px: u32,
    },
    /// It has less than half of the pixels a side that the model sees.
    SmallForModel {
        /// Its shorter side in pixels.
        side_px: u32,
        /// The shorter side of the model's input in pixels.
        input_px: u32,
    },
    /// It is very long.
    Aspect {
        /// Width in pixels.
        width_px: u32,
        /// Height in pixels.
        height_px: u32,
    },
    /// It is nearly of one colour.
    OneColour {
        /// Standard deviation of its colours in levels of 255.
        spread: f32,
    },
}

impl Oddity {
    /// Why, in a few words with figures.
    pub fn reason(&self) -> String {
        match *self {
            Self::SmallBesideOthers { side_px, usual_px } => {
                format!("only {side_px} px on its shorter side, where half of the images have {usual_px} px or more")
            }
            Self::SmallForModel { side_px, input_px } => {
                format!("only {side_px} px on its shorter side, where the model sees {input_px} px")
            }
            Self::Aspect { width_px, height_px } => {
                let (long, short) = (width_px.max(height_px), width_px.min(height_px).max(1));
                let times = f64::from(long) / f64::from(short);
                format!("{width_px} x {height_px} px: one side is {times:.1} times the other")
            }
            Self::OneColour { spread } => {
                format!("nearly one colour: its colours vary by {spread:.1} of 255 levels")
            }
        }
    }
}

/// What is odd about each image, by row; an image can be odd in several ways. `input_px` is the shorter side of the model's
/// input, where it has a fixed one.
pub fn odd_images(miniatures: &[&Miniature], input_px: Option<u32>) -> Vec<(usize, Oddity)> {
    let side = |m: &&Miniature| m.width_px.min(m.height_px);
    let aspect = |m: &&Miniature| f64::from(m.width_px.max(m.height_px)) / f64::from(side(m).max(1));
    let mut sides: Vec<u32> = miniatures.iter().map(side).collect();
    let mut aspects: Vec<f64> = miniatures.iter().map(aspect).collect();
    sides.sort_unstable();
    aspects.sort_by(f64::total_cmp);
    let (Some(&usual_px), Some(&usual_aspect)) = (sides.get(sides.len() / 2), aspects.get(aspects.len() / 2)) else {
        return Vec::new();
    };
    let small_for_model = |px: u32| input_px.is_some_and(|input_px| px.saturating_mul(2) < input_px);
    let n_small = sides.iter().filter(|&&px| small_for_model(px)).count();
    let few_are_small = n_small as f64 <= SHARE_OF_SMALL * sides.len() as f64;
    let mut odd = Vec::new();
    for (row, m) in miniatures.iter().enumerate() {
        let side_px = side(m);
        if side_px.saturating_mul(MUCH_SMALLER) < usual_px {
            odd.push((row, Oddity::SmallBesideOthers { side_px, usual_px }));
        } else if let (Some(input_px), true, true) = (input_px, few_are_small, small_for_model(side_px)) {
            odd.push((row, Oddity::SmallForModel { side_px, input_px }));
        }
        if aspect(m) >= EXTREME_ASPECT.max(UNUSUAL_ASPECT * usual_aspect) {
            odd.push((row, Oddity::Aspect { width_px: m.width_px, height_px: m.height_px }));
        }
        if m.spread < LEAST_SPREAD {
            odd.push((row, Oddity::OneColour { spread: m.spread }));
        }
    }
    odd
}

/// That many of the images are smaller than half of what the model sees, as a sentence.
pub fn note_on_sizes(miniatures: &[&Miniature], input_px: Option<u32>) -> Option<String> {
    let input_px = input_px?;
    let is_small = |m: &&&Miniature| m.width_px.min(m.height_px).saturating_mul(2) < input_px;
    let n = miniatures.iter().filter(is_small).count();
    (n as f64 > SHARE_OF_SMALL * miniatures.len() as f64).then(|| {
        format!(
            "{n} of {} images have less than half of the {input_px} px a side that the model sees: larger ones may be told \
             apart better.",
            miniatures.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd(images: &[Miniature], input_px: Option<u32>) -> Vec<(usize, Oddity)> {
        odd_images(&images.iter().collect::<Vec<_>>(), input_px)
    }

    fn note(images: &[Miniature], input_px: Option<u32>) -> Option<String> {
        note_on_sizes(&images.iter().collect::<Vec<_>>(), input_px)
    }

    fn miniature(width_px: u32, height_px: u32, spread: f32) -> Miniature {
        Miniature { luma: Vec::new().into(), width_px, height_px, spread }
    }

    #[test]
    fn odd_ones_are_found_with_their_figures() {
        let mut images: Vec<Miniature> = (0..20).map(|_| miniature(640, 480, 50.0)).collect();
        images.extend([
            miniature(200, 150, 50.0),
            miniature(300, 170, 40.0),
            miniature(90, 100, 50.0),
            miniature(2000, 500, 50.0),
            miniature(640, 480, 1.25),
            miniature(5000, 100, 0.0),
        ]);
        let found = odd(&images, Some(224));
        let reasons: Vec<(usize, String)> = found.iter().map(|(row, odd)| (*row, odd.reason())).collect();
        let said = |row, text: &str| (row, text.to_owned());
        assert_eq!(
            reasons,
            [
                said(20, "only 150 px on its shorter side, where half of the images have 480 px or more"),
                said(22, "only 90 px on its shorter side, where half of the images have 480 px or more"),
                said(23, "2000 x 500 px: one side is 4.0 times the other"),
                said(24, "nearly one colour: its colours vary by 1.2 of 255 levels"),
                said(25, "only 100 px on its shorter side, where half of the images have 480 px or more"),
                said(25, "5000 x 100 px: one side is 50.0 times the other"),
                said(25, "nearly one colour: its colours vary by 0.0 of 255 levels"),
            ]
        );
        assert_eq!(note(&images, Some(224)), None);
    }

    #[test]
    fn what_all_are_is_not_odd() {
        let small: Vec<Miniature> = (0..30).map(|_| miniature(100, 100, 50.0)).collect();
        assert_eq!(odd(&small, Some(224)), []);
        assert!(note(&small, Some(224)).is_some_and(|note| note.starts_with("30 of 30")));
        assert_eq!(note(&small, None), None);
        let strips: Vec<Miniature> = (0..30).map(|_| miniature(900, 200, 50.0)).collect();
        assert_eq!(odd(&strips, Some(224)), []);
        let mut mixed: Vec<Miniature> = (0..30).map(|_| miniature(250, 250, 50.0)).collect();
        mixed.push(miniature(100, 110, 50.0));
        let found = odd(&mixed, Some(224));
        assert_eq!(found, [(30, Oddity::SmallForModel { side_px: 100, input_px: 224 })]);
        assert_eq!(odd(&[], Some(224)), []);
    }
}
