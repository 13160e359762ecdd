//! The client by itself, and with a server that says what a test wants, on real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Response};
use nodkey_kernel::{
    jose::{Algorithm, Jwks, PrivateKey, PublishedKey, jws},
    random::Random,
    receipt::RECEIPT_TYP,
};
use nodkey_proto::{
    registry::v1::GetJwksResponse,
    trusonafication::v1::{Status as StatusMessage, Trusonafication},
};
use nodkey_server_sdk::{ErrorKind, Nodkey, RelyingPartyId, Status, VerificationReason, VerifyError, WebhookTrust};
use prost::Message;
use tokio::net::TcpListener;

/// `{"jti":"x"}`
const TOKEN: &str = "h.eyJqdGkiOiJ4In0.s";
const SECRET: &str = "a secret that nobody sees";
const ID: &str = "0198b1a2-0000-7000-8000-000000000001";

/// What a server does with a call.
enum Answer {
    /// These messages, and an end in order.
    All(Vec<Bytes>),
    /// This message, and the connection breaks.
    Broken(Bytes),
}

fn framed(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut frame).unwrap();
    frame.freeze()
}

/// A server, and a client of it. It answers each call by the number of calls before.
async fn served(mut answer: impl FnMut(usize, &str) -> Answer + Send + 'static) -> Nodkey {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut calls = 0;
        while let Ok((socket, _)) = listener.accept().await {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
                let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
                let mut stream = respond.send_response(head, false).unwrap();
                calls += 1;
                match answer(calls - 1, &method) {
                    Answer::All(messages) => {
                        for message in messages {
                            stream.send_data(message, false).unwrap();
                        }
                        stream.send_trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())])).unwrap();
                    }
                    Answer::Broken(message) => {
                        stream.send_data(message, false).unwrap();
                        stream.send_reset(h2::Reason::INTERNAL_ERROR);
                    }
                }
            }
        }
    });
    Nodkey::builder().url(url).token(TOKEN).secret(SECRET).build().unwrap()
}

fn receipt_key(seed: u64) -> PrivateKey {
    PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(seed))
}

fn receipt(by: &PrivateKey) -> String {
    let claims = serde_json::json!({
        "iss": "https://auth.example", "jti": "r", "sub": ID, "rp": "acme", "at": 1, "status": "EXPIRED", "chal": "c",
    });
    jws::sign(RECEIPT_TYP, Some(&by.public().thumbprint()), None, &claims, by)
}

/// A server that publishes one more key with each answer, and how often it was asked.
async fn rotating() -> (Nodkey, Arc<Mutex<usize>>) {
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let nodkey = served(move |calls, method| {
        assert_eq!(method, "GetJwks");
        *count.lock().unwrap() = calls + 1;
        let published = |seed: usize| {
            let key = receipt_key(seed as u64).public();
            PublishedKey { kid: key.thumbprint(), key, typs: Some(vec![RECEIPT_TYP.to_owned()]) }
        };
        let jwks = serde_json::to_string(&Jwks { keys: (0..=calls).map(published).collect() }).unwrap();
        Answer::All(vec![framed(&GetJwksResponse { jwks })])
    })
    .await;
    (nodkey, asked)
}

#[tokio::test]
async fn keys_come_from_a_cache_and_one_that_is_new_is_looked_up_once() {
    let (nodkey, asked) = rotating().await;
    let jwks = nodkey.jwks();
    for _ in 0..3 {
        assert_eq!(jwks.verify_receipt(&receipt(&receipt_key(0))).await.unwrap().trusonafication, ID);
    }
    assert_eq!(*asked.lock().unwrap(), 1);
    jwks.verify_receipt(&receipt(&receipt_key(1))).await.unwrap();
    assert_eq!(*asked.lock().unwrap(), 2);
    let unknown = jwks.verify_receipt(&receipt(&receipt_key(99))).await.unwrap_err();
    assert!(matches!(&unknown, VerifyError::Invalid(error) if error.reason() == VerificationReason::UnknownKey), "{unknown}");
    assert_eq!(*asked.lock().unwrap(), 3);
    let altered = receipt(&receipt_key(0)).replace('.', ".A");
    assert!(jwks.verify_receipt(&altered).await.is_err());
    assert_eq!(*asked.lock().unwrap(), 3, "only a key that is unknown is looked up");
}

#[tokio::test]
async fn whoever_asks_for_keys_at_the_same_time_gets_the_same() {
    let (nodkey, asked) = rotating().await;
    let (keys, others) = (nodkey.jwks(), nodkey.clone().jwks());
    let (one, other) = tokio::join!(keys.get(), others.get());
    assert_eq!(one.unwrap().as_json(), other.unwrap().as_json());
    assert_eq!(*asked.lock().unwrap(), 1);
}

fn state(status: StatusMessage, version: i64) -> Bytes {
    let time = Some(prost_types::Timestamp::default());
    framed(&Trusonafication {
        id: ID.into(),
        status: status.into(),
        desired_level: 2,
        version,
        created_at: time,
        updated_at: time,
        expires_at: time,
        ..Trusonafication::default()
    })
}

#[tokio::test]
async fn a_watch_goes_on_where_its_stream_broke_and_says_each_state_once() {
    let nodkey = served(|calls, method| {
        assert_eq!(method, "WatchTrusonafication");
        match calls {
            0 | 1 => Answer::Broken(state(StatusMessage::InProgress, 1)),
            // Ended in order, and too early.
            2 => Answer::All(vec![state(StatusMessage::InProgress, 1)]),
            _ => Answer::All(vec![state(StatusMessage::InProgress, 1), state(StatusMessage::Accepted, 2)]),
        }
    })
    .await;
    let mut states = nodkey.trusonafications().watch(ID);
    let mut seen = Vec::new();
    while let Some(state) = states.next().await {
        seen.push(state.unwrap().status);
    }
    assert_eq!(seen, [Status::InProgress, Status::Accepted]);
}

#[tokio::test]
async fn a_watch_and_a_wait_end_after_their_time_and_say_why() {
    let nodkey = Nodkey::builder().url("http://127.0.0.1:1").token(TOKEN).secret(SECRET).build().unwrap();
    let limit = Duration::from_millis(200);
    let waited = nodkey.trusonafications().wait_for(ID, limit).await.unwrap_err();
    let watched = nodkey.trusonafications().watch_for(ID, limit).next().await.unwrap().unwrap_err();
    for error in [waited, watched] {
        assert_eq!((error.reason(), error.kind()), ("DEADLINE_EXCEEDED", ErrorKind::Unavailable));
        assert!(error.is_retryable() && error.message().contains("cannot reach http://127.0.0.1:1"), "{error}");
    }
}

#[tokio::test]
async fn a_status_of_a_later_release_is_unknown_and_no_success() {
    let nodkey = served(|_, _| {
        let time = Some(prost_types::Timestamp::default());
        let later =
            Trusonafication { status: 77, desired_level: 2, created_at: time, updated_at: time, expires_at: time, ..Default::default() };
        Answer::All(vec![framed(&later)])
    })
    .await;
    let found = nodkey.trusonafications().get(ID).await.unwrap();
    assert_eq!((found.status, found.status.as_str(), found.is_success()), (Status::Unknown(77), "UNKNOWN", false));
}

#[tokio::test]
async fn an_answer_that_lacks_what_every_answer_has_is_unexpected() {
    let nodkey = served(|_, _| Answer::All(vec![framed(&Trusonafication::default())])).await;
    let error = nodkey.trusonafications().get(ID).await.unwrap_err();
    assert_eq!((error.reason(), error.kind()), ("UNEXPECTED_ANSWER", ErrorKind::Internal));
}

#[tokio::test]
async fn what_no_client_can_be_made_of_is_refused_with_its_reason() {
    let build = |url: &str, token: &str, secret: &str| Nodkey::builder().url(url).token(token).secret(secret).build().unwrap_err();
    for url in
        ["", "auth.example.com", "ftp://auth.example.com", "https://", "http:///x", "https://ada:password@auth.example.com", "http://a b"]
    {
        let error = build(url, TOKEN, SECRET);
        assert_eq!((error.reason(), error.kind()), ("INVALID_URL", ErrorKind::Invalid), "{url}");
        assert!(!error.to_string().contains("password"));
    }
    for (token, secret) in [("", SECRET), ("a.b.c", SECRET), (TOKEN, "")] {
        assert_eq!(build("http://localhost", token, secret).reason(), "INVALID_CREDENTIAL");
    }
    let builder = Nodkey::builder().url("https://localhost").token(TOKEN).secret(SECRET);
    let no_pem = builder.ca_certificate("ca.pem");
    assert_eq!(no_pem.build().unwrap_err().reason(), "INVALID_PARAMETER");
}

#[test]
fn outside_of_a_runtime_there_is_an_error_and_no_panic() {
    let error = Nodkey::builder().url("http://localhost").token(TOKEN).secret(SECRET).build().unwrap_err();
    assert_eq!(error.reason(), "INVALID_PARAMETER");
    assert!(error.message().contains("Tokio"));
}

#[tokio::test]
async fn secrets_are_in_no_debug_output() {
    let builder = Nodkey::builder().url("http://localhost").token(TOKEN).secret(SECRET);
    let nodkey = builder.clone().build().unwrap();
    let relying_party = RelyingPartyId::from("acme");
    let trust = WebhookTrust::new(SECRET, &relying_party);
    let new = nodkey.endpoints();
    for shown in [format!("{builder:?}"), format!("{nodkey:?}"), format!("{trust:?}"), format!("{new:?}")] {
        assert!(!shown.contains(SECRET) && !shown.contains(TOKEN), "{shown}");
    }
}

#[test]
fn a_time_that_is_long_ago_signs_a_token_and_does_not_panic() {
    let token = nodkey_server_sdk::bearer_token(TOKEN, SECRET, "nodkey", SystemTime::UNIX_EPOCH - Duration::from_secs(1)).unwrap();
    assert!(!token.contains(SECRET));
}
