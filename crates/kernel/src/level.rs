//! Levels of proof.

use serde::{Deserialize, Serialize};

/// The level that an acceptance proves, or that a request desires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub enum Level {
    /// Possession of the device.
    Possession = 1,
    /// Essential: plus user presence.
    Essential = 2,
    /// Executive: plus the identity document.
    Executive = 3,
}

/// The level is not 1, 2 or 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1, 2 or 3")]
pub struct InvalidLevel;

impl Level {
    /// 1, 2 or 3.
    #[must_use]
    pub const fn as_i32(self) -> i32 {
        self as i32
    }
}

impl TryFrom<i32> for Level {
    type Error = InvalidLevel;

    fn try_from(level: i32) -> Result<Self, InvalidLevel> {
        match level {
            1 => Ok(Self::Possession),
            2 => Ok(Self::Essential),
            3 => Ok(Self::Executive),
            _ => Err(InvalidLevel),
        }
    }
}

impl From<Level> for i32 {
    fn from(level: Level) -> Self {
        level.as_i32()
    }
}
