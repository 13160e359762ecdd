//! Who is asked.

use nodkey_kernel::{
    id::{DeviceId, TruCodeId},
    named,
};

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whoever holds one of the user's devices.
    User(String),
    /// The holder of this device.
    Device(DeviceId),
    /// Whoever pairs this code.
    TruCode(TruCodeId),
}

named! {
    /// The kinds of [`Target`].
    pub enum TargetKind {
        /// A user.
        User = "user",
        /// A device.
        Device = "device",
        /// A code.
        TruCode = "trucode",
    }
}

impl Target {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> TargetKind {
        match self {
            Self::User(_) => TargetKind::User,
            Self::Device(_) => TargetKind::Device,
            Self::TruCode(_) => TargetKind::TruCode,
        }
    }
}
