//! Levels of proof.

use nodkey_kernel::level::Level as Kernel;

/// What an accept proves, or has to prove. The greater, the more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// 1: the phone.
    Possession = 1,
    /// 2: the phone, and that the person was there.
    Essential = 2,
    /// 3: both, and an identity document.
    Executive = 3,
}

impl Level {
    /// The level with that number; `None` for another than 1, 2 and 3.
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Possession),
            2 => Some(Self::Essential),
            3 => Some(Self::Executive),
            _ => None,
        }
    }

    /// 1, 2 or 3.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }
}

impl Level {
    pub(crate) const fn of(level: Kernel) -> Self {
        match level {
            Kernel::Possession => Self::Possession,
            Kernel::Essential => Self::Essential,
            Kernel::Executive => Self::Executive,
        }
    }

    pub(crate) const fn to_kernel(self) -> Kernel {
        match self {
            Self::Possession => Kernel::Possession,
            Self::Essential => Kernel::Essential,
            Self::Executive => Kernel::Executive,
        }
    }
}

impl From<Level> for i32 {
    fn from(level: Level) -> Self {
        level.number()
    }
}
