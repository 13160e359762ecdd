//! Topics of wakes that one service sends and another listens to.

/// Settings of relying parties changed: what was cached of them is read again.
pub const RELYING_PARTIES: &str = "relying_parties";
