//! What passed in a stream of messages: how many there were, how long, and the digest of them all.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use futures_util::StreamExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Before each message in a gRPC body: whether it is compressed, and its length.
pub(crate) const PREFIX: usize = 5;

/// Learns what passes. Clones learn the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<Mutex<Passed>>);

#[derive(Debug, Default)]
struct Passed {
    messages: u64,
    bytes: u64,
    digest: Sha256,
    /// Of the current prefix, as far as it came.
    prefix: Vec<u8>,
    /// What is still to come of the current message.
    left: usize,
}

impl Passed {
    fn take(&mut self, mut bytes: &[u8]) {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            let taken = (PREFIX - self.prefix.len()).min(bytes.len());
            self.prefix.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if let [_, a, b, c, d] = self.prefix[..] {
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.messages += 1;
                self.prefix.clear();
            }
        }
    }
}

impl Tally {
    /// What passed, as JSON; empty when nothing did.
    pub(crate) fn to_json(&self) -> String {
        let passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.bytes == 0 {
            return String::new();
        }
        let sha256 = hex::encode(passed.digest.clone().finalize());
        json!({"messages": passed.messages, "bytes": passed.bytes, "sha256": sha256}).to_string()
    }

    fn take(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
    }
}

/// A body whose bytes a tally learns of as they are read.
pub(crate) fn tallied(body: Body, tally: &Tally) -> Body {
    let tally = tally.clone();
    Body::from_stream(body.into_data_stream().inspect(move |read: &Result<Bytes, _>| {
        if let Ok(bytes) = read {
            tally.take(bytes);
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let mut stream = Vec::new();
        for length in [0_u8, 1, 200, 7] {
            stream.extend([0, 0, 0, 0, length]);
            stream.extend(vec![length; length.into()]);
        }
        let whole = Tally::default();
        assert_eq!(whole.to_json(), "");
        whole.take(&stream);
        for size in [1, 2, 3, 5, 6, 64] {
            let cut = Tally::default();
            stream.chunks(size).for_each(|chunk| cut.take(chunk));
            assert_eq!(cut.to_json(), whole.to_json(), "{size}");
        }
        let sha256 = hex::encode(Sha256::digest(&stream));
        assert_eq!(whole.to_json(), json!({"messages": 4, "bytes": 228, "sha256": sha256}).to_string());
    }
}
