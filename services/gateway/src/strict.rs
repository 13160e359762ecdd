//! Who is told of what nobody knows.

use axum::extract::Request;

/// What is wrong with a member or a parameter that nobody knows.
pub const UNKNOWN: &str = "is not known here: leave it out, or look at its spelling";

/// Marks, among the extensions of a request, that its caller is told of members and parameters that nobody knows. Backends that sign with the
/// TRUSONA scheme are not, since their SDKs send what they were never asked for, nor is whoever pairs a code without a proof.
#[derive(Clone, Copy, Debug)]
pub struct Strict;

impl Strict {
    /// Whether the caller of a request is.
    pub fn of(request: &Request) -> Option<Self> {
        request.extensions().get().copied()
    }
}
