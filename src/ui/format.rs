//! Numbers as people read them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::widgets::percent;
use crate::metrics::Estimate;

pub use crate::app::words::{n_images as images, thousands};
pub use crate::jobs::sentence;

/// `8 s`, `3 min`, `2 h 10 min`.
pub fn duration(secs: f64) -> String {
    let secs = secs.max(0.0).ceil() as u64;
    match secs {
        0..90 => format!("{secs} s"),
        90..5400 => format!("{} min", secs.div_ceil(60)),
        _ => format!("{} h {} min", secs / 3600, secs % 3600 / 60),
    }
}

/// The interval of a figure. Where all images are alike, as without a mistake among them, resamples are so too, which is
/// no certainty.
pub fn interval(estimate: &Estimate) -> String {
    let (low, high) = (estimate.interval.low, estimate.interval.high);
    match low < high {
        true => format!("{} to {}", percent(low as f32), percent(high as f32)),
        false if estimate.value > 0.5 => "too few mistakes to say".to_owned(),
        false => "too few images to say".to_owned(),
    }
}

/// A path as people write it: what lies in their own folder begins with `~`.
pub fn path(path: &Path) -> String {
    static HOME: OnceLock<Option<PathBuf>> = OnceLock::new();
    let home = HOME.get_or_init(|| directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned()));
    below(path, home.as_deref())
}

fn below(path: &Path, home: Option<&Path>) -> String {
    let rest = home.filter(|home| home.components().count() > 1).and_then(|home| path.strip_prefix(home).ok());
    match rest {
        Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Some(rest) if cfg!(unix) => format!("~/{}", rest.display()),
        _ => path.display().to_string(),
    }
}

/// Bytes in the unit that suits: `13.4 MB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    if n < 1000 {
        return format!("{n} bytes");
    }
    let mut value = n as f64 / 1000.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// A number with three digits that count: `0.0123`, `12.3`, `1,230`.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v >= 1000.0 => thousands(value.round().abs() as usize),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        v if v >= 0.001 => {
            let text = format!("{value:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn what_is_at_home_is_written_from_there() {
        let of = |path: &str, home: &str| below(Path::new(path), Some(Path::new(home)));
        assert_eq!(of("/home/ada/pets/a.jpg", "/home/ada"), "~/pets/a.jpg");
        assert_eq!(
            (of("/home/adam/x", "/home/ada"), of("/home/ada", "/home/ada")),
            ("/home/adam/x".into(), "~".into())
        );
        assert_eq!(of("/mnt/x", "/"), "/mnt/x", "a home that is everything says nothing");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            (duration(7.2), duration(150.0), duration(7800.0)),
            ("8 s".into(), "3 min".into(), "2 h 10 min".into())
        );
        let texts = [0, 999, 1000, 13_400_000, 999_960, 2_000_000_000].map(bytes);
        assert_eq!(texts, ["0 bytes", "999 bytes", "1.0 KB", "13.4 MB", "1.0 MB", "2.0 GB"].map(str::to_owned));
    }
}
