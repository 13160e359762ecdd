//! The messages in the body of a call: one, or for a method that takes a stream a JSON array of them.

use std::fmt;

use axum::{body::Bytes, http::StatusCode};
use nodkey_kernel::json::malformed;
use nodkey_proto::reflect::{self, MessageDescriptor};
use nodkey_runtime::{Refusal, refused};
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    body::{ORDINARY_BODY, UPLOADS},
    problem::Problem,
};

/// The largest number of messages in a stream.
const MOST: usize = 1_000;
/// The calls that hold more than an ordinary body, at the same time.
static UPLOADING: Semaphore = Semaphore::const_new(UPLOADS);

/// A permit to hold more than an ordinary body until the call is done.
pub fn upload() -> Result<SemaphorePermit<'static>, Problem> {
    UPLOADING.try_acquire().map_err(|_| {
        refused(Refusal::Upload);
        Problem::overloaded()
    })
}

/// The message of a call. An empty body is an empty message.
pub fn one(input: MessageDescriptor, body: &[u8]) -> Result<Bytes, Problem> {
    let json = if body.is_empty() { b"{}" } else { body };
    reflect::from_json(input, json).map_err(|fault| wrong(format!("the body is not this method's message: {fault}")))
}

/// The messages of a stream, each no larger than the single message of another call.
pub fn all(input: &MessageDescriptor, body: &[u8]) -> Result<Vec<Bytes>, Problem> {
    let Elements(elements) = serde_json::from_slice(body).map_err(|e| {
        let fault = if e.is_data() { format!("it must be an array of at most {MOST} messages") } else { malformed(&e) };
        wrong(format!("the body is not this method's messages: {fault}"))
    })?;
    let message = |(at, json): (usize, &RawValue)| {
        let json = json.get().as_bytes();
        if json.len() > ORDINARY_BODY {
            let text = format!("message {} of the body is larger than {ORDINARY_BODY} bytes", at + 1);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", text));
        }
        let read = reflect::from_json(input.clone(), json);
        read.map_err(|fault| wrong(format!("message {} of the body is not this method's message: {fault}", at + 1)))
    };
    elements.into_iter().enumerate().map(message).collect()
}

fn wrong(text: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", text)
}

/// The elements of an array, limited in number before they are collected.
struct Elements<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Read).map(Elements)
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = array.next_element()? {
            if elements.len() == MOST {
                return Err(de::Error::custom("too many"));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::jose::{b64u, sha256};

    use super::*;

    fn import() -> MessageDescriptor {
        reflect::method("/nodkey.binding.v1.ImportService/ImportUsers").unwrap().input()
    }

    fn refusal(body: &str) -> (String, String) {
        let problem = all(&import(), body.as_bytes()).unwrap_err();
        (problem.code().to_owned(), problem.message.to_string())
    }

    /// The console's page calculates the same: see `web/unit/import.test.js`.
    #[test]
    fn the_digest_of_a_stream_is_that_of_its_messages_in_the_framing_of_grpc() {
        let body = r#"[
            {"rows": [{"line": 2, "userIdentifier": "ada", "deviceIdentifier": "d", "active": true}, {"line": 300, "userIdentifier": "bjørn"}]},
            {"rows": [{"line": 301, "userIdentifier": "c", "trusonaId": "123456789"}], "dryRun": true}
        ]"#;
        let mut framed = Vec::new();
        for message in all(&import(), body.as_bytes()).unwrap() {
            framed.push(0);
            framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            framed.extend(message);
        }
        assert_eq!(b64u(&sha256(&framed)), "tmM4gGOU__QWTXQNXQIpbbHbmxewK5FesBnCLpOPCmc");
    }

    #[test]
    fn what_is_not_an_array_of_messages_is_refused_with_the_number_of_the_wrong_one() {
        assert_eq!(all(&import(), b"[]").unwrap().len(), 0);
        for (body, says) in [
            ("{}", "must be an array"),
            ("", "ends too early"),
            ("[{}", "ends too early"),
            ("[{}] 1", "not well-formed"),
            (r#"[{}, {"rows": [{"line": "x"}]}]"#, "message 2 of the body"),
            (r#"[{"nonsense": 1}]"#, "nonsense is not known here"),
            ("[7]", "message 1 of the body"),
        ] {
            let (code, text) = refusal(body);
            assert!(code == "MALFORMED_JSON" && text.contains(says), "{body}: {code} {text}");
        }
    }

    #[test]
    fn the_messages_of_a_stream_are_limited_in_size_and_number() {
        let large = format!(r#"[{{}}, {{"rows": [{{"userIdentifier": "{}"}}]}}]"#, "x".repeat(ORDINARY_BODY));
        assert_eq!(refusal(&large).0, "BODY_TOO_LARGE");
        let many = |n: usize| format!("[{}]", vec!["{}"; n].join(","));
        assert_eq!(all(&import(), many(MOST).as_bytes()).unwrap().len(), MOST);
        assert!(refusal(&many(MOST + 1)).1.contains("at most 1000 messages"));
    }
}
