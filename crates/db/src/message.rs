//! An event as it travels.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

/// An event as it travels: the bare protobuf message, with its metadata in headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Unique; duplicates are recognized by it.
    pub id: Uuid,
    /// `evt.<service>.v1.<fact>.<relying party>.<key>`.
    pub subject: String,
    /// The protobuf message.
    pub payload: Bytes,
    /// `ce-type`, `ce-time` (RFC 3339), `ce-version` and `traceparent`; once published, the signature as well.
    pub headers: BTreeMap<String, String>,
}

impl Message {
    /// The ordering key: relying party and key, the last two tokens of the subject.
    #[must_use]
    pub fn key(&self) -> &str {
        let mut dots = self.subject.rmatch_indices('.').map(|(at, _)| at);
        dots.nth(1).map_or(&self.subject, |at| &self.subject[at + 1..])
    }
}
