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
    use crate::ui::{Launch, run};

    let profile = args.profile_frames.filter(|secs| secs.is_finite() && *secs > 0.0).map(Duration::from_secs_f64);
    let paths = args.paths.iter().map(|p| std::path::absolute(p).unwrap_or_else(|_| p.clone())).collect();
    let times = run(Launch { paths, profile, started, interrupt: terminal.cancel_token().clone() })?;
    if let (Some(_), Some(times)) = (profile, times) {
        print(&format!("First frame after {:.3} s", times.first_frame.as_secs_f64()))?;
        let ms = |q| times.quantile_secs(q) * 1e3;
        print(&format!(
            "CPU time of {} frames: median {:.2} ms, 99th percentile {:.2} ms, longest {:.2} ms",
            times.frame_secs.len(),
            ms(0.5),
            ms(0.99),
            ms(1.0)
        ))?;
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
