//! Secure QR codes.

/// The `typ` of a code's payload.
pub const TRUCODE_TYP: &str = "nodkey-trucode+jwt";
