//! `graft open`, and `graft` alone: the window.

use std::time::Instant;

use anyhow::Result;

use super::args::OpenArgs;
use super::terminal::Terminal;

#[cfg(feature = "gui")]
pub(super) fn run(args: &OpenArgs, started: Instant, terminal: &Terminal) -> Result<()> {
    use std::time::Duration;

    use super::output::print;
    use crate::progress::Reporter;
    use crate::ui::{Launch, quantile_secs, run};

    let profile = args.profile_frames.filter(|secs| secs.is_finite() && *secs > 0.0).map(Duration::from_secs_f64);
    let paths = args.paths.iter().map(|p| std::path::absolute(p).unwrap_or_else(|_| p.clone())).collect();
    let interrupt = terminal.cancel_token().clone();
    let times = run(Launch { paths, profile, profiles_map: args.profile_map, started, interrupt })?;
    if let (Some(_), Some(times)) = (profile, times) {
        print(&format!("First frame after {:.3} s", times.first_frame.as_secs_f64()))?;
        let of_frames = |secs: &[f32]| {
            let ms = |q| quantile_secs(secs, q) * 1e3;
            let (median, high, longest) = (ms(0.5), ms(0.99), ms(1.0));
            format!(
                "CPU time of {} frames: median {median:.2} ms, 99th percentile {high:.2} ms, longest {longest:.2} ms",
                secs.len()
            )
        };
        if args.profile_map {
            print(&format!("While the map is laid out: {}", of_frames(&times.layout_frame_secs)))?;
        }
        print(&of_frames(&times.frame_secs))?;
        if let Some(opened) = times.opened {
            print(&format!("Project on the screen after {:.3} s", opened.as_secs_f64()))?;
        }
        if let Some(mb) = peak_memory_mb() {
            print(&format!("Most memory in use: {mb:.0} MB"))?;
        }
    }
    Ok(())
}

/// The most memory that the process has had in use, where the system tells.
#[cfg(feature = "gui")]
fn peak_memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kb: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kb / 1024.0)
}

#[cfg(not(feature = "gui"))]
pub(super) fn run(_: &OpenArgs, _: Instant, _: &Terminal) -> Result<()> {
    anyhow::bail!("this build of Graft has no window: `graft --help` lists what it can do")
}
