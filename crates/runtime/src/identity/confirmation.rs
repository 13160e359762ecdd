//! What operators confirm on their phones: how a call presents it, and what of a request it is for.

use axum::body::Bytes;
use http::HeaderMap;
use nodkey_kernel::{
    id::{ConfirmationId, RelyingPartyId},
    jose::sha256,
};
use nodkey_proto::reflect;
use serde_json::Value;

/// Names the confirmation that a call presents.
pub const CONFIRMATION_HEADER: &str = "x-nodkey-confirmation";

/// The confirmation that a call presents, if it is one.
pub(crate) fn presented(headers: &HeaderMap) -> Option<ConfirmationId> {
    headers.get(CONFIRMATION_HEADER)?.to_str().ok()?.parse().ok()
}

/// What of a message a confirmation is for: all of it, however it was written. `None` when it is not the message of the method at `path`.
#[must_use]
pub fn request_digest(path: &str, message: Bytes) -> Option<[u8; 32]> {
    Some(sha256(&reflect::canonical(reflect::method(path)?.input(), message)?))
}

/// The relying party that a call is about: the one its caller acts for, or that its message names, as JSON.
#[must_use]
pub fn subject(acts_for: Option<RelyingPartyId>, path: &str, message: Option<&str>) -> Option<RelyingPartyId> {
    acts_for.or_else(|| named(path, message?))
}

/// The tenant a message names, of those that are about one.
fn named(path: &str, message: &str) -> Option<RelyingPartyId> {
    let field = if path.contains(".RelyingPartyService/") { "id" } else { "relyingPartyId" };
    let message: Value = serde_json::from_str(message).ok()?;
    message.get(field)?.as_str()?.parse().ok()
}
