//! The publisher of an event: a signature over every significant part of it, in one header.
//!
//! `nodkey-signature: v1.<time>.<key>.<signature>`: when the event entered the outbox, in microseconds since 1970; the thumbprint of the
//! publisher's key (RFC 7638); and its Ed25519 signature (RFC 8032) in base64url over the bytes below. Each length and count is a
//! big-endian u32:
//!
//! ```text
//! "nodkey-event-v1\0"
//! time as a big-endian i64
//! id of the event, 16 bytes
//! length of the subject without the deployment's prefix, subject
//! count of the headers whose names begin with ce-, in the order of their names:
//!   length of the name, name, length of the value, value
//! SHA-256 of the payload, 32 bytes
//! ```
//!
//! The zero byte prevents it from being the input of any JWS.

use std::time::Duration;

use nodkey_db::Message;
use nodkey_kernel::{
    jose::{b64u, b64u_decode, sha256},
    service_key::{ServiceKey, ServiceKeys, ServiceName},
    time::Timestamp,
};

/// Name of the header.
pub(crate) const HEADER: &str = "nodkey-signature";
const VERSION: &str = "v1";
const DOMAIN: &[u8] = b"nodkey-event-v1\0";

/// Maximum age of an accepted event. Inboxes remember what they have seen for 8 days, which is longer by more than the clocks may differ.
pub(crate) const MAX_AGE: Duration = Duration::from_hours(7 * 24 + 20);
/// Maximum difference between the clocks of publisher and consumer.
const MAX_SKEW: Duration = Duration::from_hours(1);

/// Why an event is not accepted as the publisher's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("it is not signed")]
    Unsigned,
    #[error("its signature cannot be read")]
    Malformed,
    #[error("it is signed with a key that is not known as that of {0}, the owner of its subject")]
    Key(ServiceName),
    #[error("its signature does not verify")]
    Signature,
    #[error("it is on a subject that this consumer does not accept")]
    Subject,
    #[error("it was published longer ago than consumers remember processed events")]
    Old,
    #[error("it is from the future")]
    Future,
}

/// The header's value for an event that entered the outbox at `time`.
pub(crate) fn sign(message: &Message, time: Timestamp, key: &ServiceKey) -> String {
    format!("{VERSION}.{}.{}.{}", time.as_micros(), key.kid(), b64u(&key.sign_bytes(&input(message, time))))
}

/// Verifies that `owner` published an event, and not too long ago.
pub(crate) fn verify(message: &Message, owner: ServiceName, keys: &ServiceKeys, now: Timestamp) -> Result<(), Refused> {
    verify_within(message, owner, keys, now, MAX_AGE, MAX_SKEW)
}

/// Verifies that `owner` signed a message, at most `age` ago, and no later than `skew` from now.
pub(crate) fn verify_within(
    message: &Message,
    owner: ServiceName,
    keys: &ServiceKeys,
    now: Timestamp,
    age: Duration,
    skew: Duration,
) -> Result<(), Refused> {
    let header = message.headers.get(HEADER).ok_or(Refused::Unsigned)?;
    let mut parts = header.split('.');
    let (Some(VERSION), Some(time), Some(kid), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refused::Malformed);
    };
    let time = time.parse().map(Timestamp::from_micros).map_err(|_| Refused::Malformed)?;
    let signature = b64u_decode(signature).map_err(|_| Refused::Malformed)?;
    let key = keys.find(owner, kid).ok_or(Refused::Key(owner))?;
    key.verify(&input(message, time), &signature).map_err(|_| Refused::Signature)?;
    if time > now + skew {
        return Err(Refused::Future);
    }
    if time < now - age { Err(Refused::Old) } else { Ok(()) }
}

fn input(message: &Message, time: Timestamp) -> Vec<u8> {
    let headers: Vec<_> = message.headers.iter().filter(|(name, _)| name.starts_with("ce-")).collect();
    let mut input = Vec::with_capacity(256);
    input.extend_from_slice(DOMAIN);
    input.extend_from_slice(&time.as_micros().to_be_bytes());
    input.extend_from_slice(message.id.as_bytes());
    push(&mut input, &message.subject);
    input.extend_from_slice(&size(headers.len()));
    for (name, value) in headers {
        push(&mut input, name);
        push(&mut input, value);
    }
    input.extend_from_slice(&sha256(&message.payload));
    input
}

fn push(input: &mut Vec<u8>, text: &str) {
    input.extend_from_slice(&size(text.len()));
    input.extend_from_slice(text.as_bytes());
}

/// NATS accepts 64 MB at most.
fn size(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::random::Random;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const OWNER: ServiceName = ServiceName::Registry;

    fn key(name: ServiceName, seed: u64) -> ServiceKey {
        ServiceKey::generate(name, &Random::seeded(seed))
    }

    fn message() -> Message {
        Message {
            id: Uuid::from_u128(7),
            subject: "evt.registry.v1.device_retired.p.d".into(),
            payload: vec![1, 2, 3].into(),
            headers: [("ce-type", "registry.v1.device_retired"), ("ce-version", "3"), ("traceparent", "00-1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        }
    }

    fn signed(message: &Message, time: Timestamp, key: &ServiceKey) -> Message {
        let mut message = message.clone();
        message.headers.insert(HEADER.into(), sign(&message, time, key));
        message
    }

    #[test]
    fn the_owners_signature_is_taken_whoever_traces_and_another_services_is_not() {
        let (owner, other) = (key(OWNER, 1), key(ServiceName::Notification, 2));
        let keys: ServiceKeys = [&owner, &other].into_iter().collect();
        let mut good = signed(&message(), NOW, &owner);
        assert_eq!(verify(&good, OWNER, &keys, NOW), Ok(()));
        good.headers.insert("traceparent".into(), "00-2".into());
        assert_eq!(verify(&good, OWNER, &keys, NOW), Ok(()));
        assert_eq!(verify(&message(), OWNER, &keys, NOW), Err(Refused::Unsigned));
        assert_eq!(verify(&signed(&message(), NOW, &other), OWNER, &keys, NOW), Err(Refused::Key(OWNER)));
        assert_eq!(verify(&signed(&message(), NOW, &key(OWNER, 3)), OWNER, &keys, NOW), Err(Refused::Key(OWNER)));
        // Another service's signature under the owner's name.
        let mut named = signed(&message(), NOW, &other);
        let value = named.headers[HEADER].replace(other.kid(), owner.kid());
        named.headers.insert(HEADER.into(), value);
        assert_eq!(verify(&named, OWNER, &keys, NOW), Err(Refused::Signature));
    }

    #[test]
    fn what_an_inbox_may_have_forgotten_is_refused() {
        let owner = key(OWNER, 1);
        let keys: ServiceKeys = [&owner].into_iter().collect();
        let good = signed(&message(), NOW, &owner);
        let step = Duration::from_micros(1);
        assert_eq!(verify(&good, OWNER, &keys, NOW + MAX_AGE), Ok(()));
        assert_eq!(verify(&good, OWNER, &keys, NOW + MAX_AGE + step), Err(Refused::Old));
        assert_eq!(verify(&good, OWNER, &keys, NOW - MAX_SKEW), Ok(()));
        assert_eq!(verify(&good, OWNER, &keys, NOW - MAX_SKEW - step), Err(Refused::Future));
        // The time is signed as well.
        let mut younger = good.clone();
        younger
            .headers
            .insert(HEADER.into(), good.headers[HEADER].replace(&NOW.as_micros().to_string(), &(NOW + step).as_micros().to_string()));
        assert_eq!(verify(&younger, OWNER, &keys, NOW), Err(Refused::Signature));
    }

    #[test]
    fn a_header_of_another_form_is_refused() {
        let owner = key(OWNER, 1);
        let keys: ServiceKeys = [&owner].into_iter().collect();
        let good = signed(&message(), NOW, &owner).headers[HEADER].clone();
        for bad in
            ["", "v1", "v1...", &good.replace("v1.", "v2."), &format!("{good}.x"), &format!("{good}="), &good.replace("v1.1", "v1.x")]
        {
            let mut message = message();
            message.headers.insert(HEADER.into(), bad.to_owned());
            assert_eq!(verify(&message, OWNER, &keys, NOW), Err(Refused::Malformed), "{bad}");
        }
    }

    prop_compose! {
        fn any_message()(
            id: u128,
            subject in "[a-z.]{0,12}",
            payload in proptest::collection::vec(any::<u8>(), 0..8),
            headers in proptest::collection::btree_map("ce-[a-c]{0,2}", "[a-c]{0,3}", 0..3),
        ) -> Message {
            Message { id: Uuid::from_u128(id), subject, payload: payload.into(), headers }
        }
    }

    proptest! {
        /// No two different events have the same signing input.
        #[test]
        fn different_events_have_different_inputs(one in any_message(), two in any_message(), at: i64, later: i64) {
            let inputs = [input(&one, Timestamp::from_micros(at)), input(&two, Timestamp::from_micros(later))];
            prop_assert_eq!(inputs[0] == inputs[1], one == two && at == later);
        }
    }
}
