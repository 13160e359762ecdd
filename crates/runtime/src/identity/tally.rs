//! A record of the messages that pass in a stream: their number, their total length, and the digest of all of them.

use std::{
    future::ready,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    BoxError,
    body::{Body, Bytes},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use nodkey_kernel::error::Kind;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tonic::Status;

use crate::call::{frames::Frames, status};

/// Records what passes. Clones share the record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<Mutex<Passed>>);

#[derive(Debug, Default)]
struct Passed {
    messages: u64,
    bytes: u64,
    digest: Sha256,
    frames: Frames,
    /// The digest that all messages must have, if their sender confirmed it.
    expected: Option<[u8; 32]>,
}

impl Passed {
    fn take(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.frames.take(bytes, |_| self.messages += 1);
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

    /// Makes the stream fail at its end unless the digest of all messages is this.
    pub(crate) fn expect(&self, sha256: [u8; 32]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).expected = Some(sha256);
    }

    /// The refusal at the end of the stream, if it is not the one that was confirmed.
    fn end(&self) -> Option<Status> {
        let passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = <[u8; 32]>::from(passed.digest.clone().finalize());
        let text = "what was sent is not what was confirmed on the phone; nothing was done";
        let differs = passed.expected.is_some_and(|expected| expected != digest);
        differs.then(|| status::new(Kind::Precondition, "CONFIRMATION_REQUIRED", text, &[]))
    }

    fn take(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
    }
}

/// A body whose bytes are recorded by a tally as they are read, and that fails at its end if they are not what the tally expects.
pub(crate) fn tallied(body: Body, tally: &Tally) -> Body {
    let (tally, at_end) = (tally.clone(), tally.clone());
    let read = body.into_data_stream().map_err(BoxError::from).inspect_ok(move |bytes: &Bytes| tally.take(bytes));
    let end = stream::once(async move { at_end.end() }).filter_map(|refused| ready(refused.map(|status| Err(BoxError::from(status)))));
    Body::from_stream(read.chain(end))
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn a_stream_that_is_not_what_was_confirmed_fails_at_its_end_and_says_so() {
        let stream = [0, 0, 0, 0, 1, 7];
        let read = async |expected: Option<[u8; 32]>| {
            let tally = Tally::default();
            let body = tallied(Body::from(stream.to_vec()), &tally);
            if let Some(sha256) = expected {
                tally.expect(sha256);
            }
            to_bytes(body, 100).await
        };
        for right in [None, Some(Sha256::digest(stream).into())] {
            assert_eq!(&read(right).await.unwrap()[..], stream);
        }
        let refused = Status::from_error(Box::new(read(Some([0; 32])).await.unwrap_err()));
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    }

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
