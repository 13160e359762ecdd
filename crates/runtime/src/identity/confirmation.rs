//! Operators' confirmations on their phones: how a call presents one, and what part of a request it covers.

use axum::body::Bytes;
use http::HeaderMap;
use nodkey_kernel::{
    id::{ConfirmationId, RelyingPartyId},
    jose::sha256,
};
use nodkey_proto::reflect;
use serde_json::Value;

/// Header with the id of the confirmation that a call presents.
pub const CONFIRMATION_HEADER: &str = "x-nodkey-confirmation";

/// The confirmation that a call presents, if it is valid.
pub(crate) fn presented(headers: &HeaderMap) -> Option<ConfirmationId> {
    headers.get(CONFIRMATION_HEADER)?.to_str().ok()?.parse().ok()
}

/// The digest that a confirmation covers: the entire message, however it was encoded. `None` when it is not the message of the method at
/// `path`.
#[must_use]
pub fn request_digest(path: &str, message: Bytes) -> Option<[u8; 32]> {
    Some(sha256(&reflect::canonical(reflect::method(path)?.input(), message)?))
}

/// The relying party that a call is about: the one its caller acts for, or the one named in its message, given as JSON.
#[must_use]
pub fn subject(acts_for: Option<RelyingPartyId>, path: &str, message: Option<&str>) -> Option<RelyingPartyId> {
    acts_for.or_else(|| named(path, message?))
}

/// The tenant named in a message, for messages that are about one.
fn named(path: &str, message: &str) -> Option<RelyingPartyId> {
    let field = if path.contains(".RelyingPartyService/") { "id" } else { "relyingPartyId" };
    let message: Value = serde_json::from_str(message).ok()?;
    message.get(field)?.as_str()?.parse().ok()
}
