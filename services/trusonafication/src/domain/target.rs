//! The target of a trusonafication.

use nodkey_kernel::{
    id::{DeviceId, TruCodeId},
    named,
};

/// Who is to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Any active device of this user.
    User(String),
    /// This device.
    Device(DeviceId),
    /// The device that pairs this code.
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
    /// The kind of this target.
    #[must_use]
    pub const fn kind(&self) -> TargetKind {
        match self {
            Self::User(_) => TargetKind::User,
            Self::Device(_) => TargetKind::Device,
            Self::TruCode(_) => TargetKind::TruCode,
        }
    }
}
