//! Strict parsing: which callers get an error for unknown members and parameters.

use axum::extract::Request;

/// The error of an unknown member or parameter.
pub const UNKNOWN: &str = "is unknown: leave it out, or check its spelling";

/// Marks, among the extensions of a request, a caller that gets an error for unknown members and parameters. Backends that sign with the
/// TRUSONA scheme are not strict, because their SDKs send extra members, nor are phones that pair a code without a proof.
#[derive(Clone, Copy, Debug)]
pub struct Strict;

impl Strict {
    /// Whether the caller of a request is strict.
    pub fn of(request: &Request) -> Option<Self> {
        request.extensions().get().copied()
    }
}
