//! Kinds of faults, and which of them the user has said to be none.

use serde::{Deserialize, Serialize};

/// A kind of fault that an image may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// Its label is probably wrong.
    #[default]
    Label,
    /// It shows the same picture as another one.
    Copy,
    /// It is unlike all others.
    Outlier,
    /// It is odd for what it is: small, long, of one colour.
    Odd,
}

impl FaultKind {
    /// In the order of the lists.
    pub const ALL: [Self; 4] = [Self::Label, Self::Copy, Self::Outlier, Self::Odd];

    fn bit(self) -> u8 {
        match self {
            Self::Label => 1,
            Self::Copy => 2,
            Self::Outlier => 4,
            Self::Odd => 8,
        }
    }
}

/// Faults of an image that are none, as the user says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dismissed(u8);

impl Dismissed {
    /// As a project file keeps it; `None` for a number that means nothing.
    pub fn from_bits(bits: u8) -> Option<Self> {
        (bits < 1 << FaultKind::ALL.len()).then_some(Self(bits))
    }

    /// For a project file.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether a kind of fault is none.
    pub fn contains(self, kind: FaultKind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// With another kind.
    #[must_use]
    pub fn with(self, kind: FaultKind) -> Self {
        Self(self.0 | kind.bit())
    }

    /// Without a kind.
    #[must_use]
    pub fn without(self, kind: FaultKind) -> Self {
        Self(self.0 & !kind.bit())
    }

    /// Whether nothing is dismissed.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let mut all = Dismissed::default();
        for kind in FaultKind::ALL {
            assert!(!all.contains(kind));
            all = all.with(kind);
            assert!(all.contains(kind) && all.with(kind) == all);
        }
        assert_eq!(Dismissed::from_bits(all.bits()), Some(all));
        assert_eq!(Dismissed::from_bits(16), None);
        let without = all.without(FaultKind::Copy);
        assert!(!without.contains(FaultKind::Copy) && without.contains(FaultKind::Odd) && !without.is_empty());
        assert!(serde_json::from_str::<Dismissed>("3").unwrap().contains(FaultKind::Copy));
    }
}
