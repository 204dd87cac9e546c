//! Execution providers: what a backbone runs on.

use serde::{Deserialize, Serialize};

/// What ONNX Runtime runs a graph on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// The first of [`Self::candidates`] that works, else the CPU.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// NVIDIA's graphics cards.
    Cuda,
    /// Any graphics card, on Windows.
    #[serde(rename = "directml")]
    DirectMl,
    /// Apple's graphics processors.
    #[serde(rename = "coreml")]
    CoreMl,
}

impl Provider {
    /// Every provider, in the order to offer them.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Cpu, Self::Cuda, Self::DirectMl, Self::CoreMl];

    /// Its name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::Cpu => "CPU",
            Self::Cuda => "CUDA",
            Self::DirectMl => "DirectML",
            Self::CoreMl => "Core ML",
        }
    }

    /// Whether graphs whose dimensions are all fixed run faster on it.
    pub fn likes_fixed_shapes(self) -> bool {
        matches!(self, Self::DirectMl | Self::CoreMl)
    }

    /// What [`Self::Auto`] tries on this system before the CPU, best first.
    pub fn candidates() -> &'static [Self] {
        if cfg!(target_os = "windows") {
            &[Self::Cuda, Self::DirectMl]
        } else if cfg!(target_os = "macos") {
            &[Self::CoreMl]
        } else {
            &[Self::Cuda]
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_in_files_are_stable() {
        let names: Vec<String> = Provider::ALL.iter().map(|p| serde_json::to_string(p).unwrap()).collect();
        assert_eq!(names, ["\"auto\"", "\"cpu\"", "\"cuda\"", "\"directml\"", "\"coreml\""]);
        assert!(!Provider::candidates().contains(&Provider::Cpu) && !Provider::candidates().is_empty());
    }
}
