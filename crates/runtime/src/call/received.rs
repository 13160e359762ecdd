//! The content of a request as it was received, including what this release does not understand.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use nodkey_kernel::jose::sha256;
use prost::Message;
use sha2::{Digest as _, Sha256};

/// Length of the prefix of a message in a gRPC body: a compression flag and the length.
const PREFIX: usize = 5;

/// Computes the digest of a message while it is read.
#[derive(Clone, Debug, Default)]
struct Received(Arc<Mutex<(usize, Sha256)>>);

impl Received {
    fn take(&self, bytes: &Bytes) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (skipped, digest) = &mut *state;
        let skip = bytes.len().min(PREFIX - *skipped);
        *skipped += skip;
        digest.update(&bytes[skip..]);
    }

    fn digest(&self) -> [u8; 32] {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone().finalize().into()
    }
}

/// Makes the received bytes available to [`digest`].
pub(crate) async fn middleware(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let received = Received::default();
    parts.extensions.insert(received.clone());
    let body = Body::from_stream(body.into_data_stream().inspect_ok(move |bytes| received.take(bytes)));
    next.run(Request::from_parts(parts, body)).await
}

/// The SHA-256 of the single message of a request. If it did not arrive by a listener or a channel, only its known fields are hashed.
pub(crate) fn digest<M: Message>(request: &tonic::Request<M>) -> [u8; 32] {
    match request.extensions().get::<Received>() {
        Some(received) => received.digest(),
        None => sha256(&request.get_ref().encode_to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_digest_of_the_message_however_it_comes() {
        // A field that this release may not know.
        let message = [b"\x0a\x01a".as_slice(), b"\xf2\x7f\x01b"].concat();
        let body = [&[0, 0, 0, 0, 7][..], &message].concat();
        for cut in 0..=body.len() {
            let received = Received::default();
            let (first, second) = body.split_at(cut);
            for part in [first, second] {
                received.take(&Bytes::copy_from_slice(part));
            }
            assert_eq!(received.digest(), sha256(&message), "cut at {cut}");
        }
    }

    #[test]
    fn what_did_not_come_as_bytes_is_encoded() {
        let message = nodkey_proto::binding::v1::ActivateBindingRequest { id: "a".into() };
        assert_eq!(digest(&tonic::Request::new(message)), sha256(b"\x0a\x01a"));
    }
}
