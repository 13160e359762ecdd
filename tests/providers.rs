//! Push providers that behave as their documentation says: they check what they receive, and respond as a test wants.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey as EcdhKey, UnparsedPublicKey as Peer, agree},
    signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};
use axum::{
    Form, Json, Router,
    body::Bytes,
    extract::Path,
    http::{HeaderMap, StatusCode, Version, header::RETRY_AFTER},
    response::{IntoResponse as _, Response},
    routing::post,
};
use nodkey_kernel::{
    jose::{PrivateKey, PublicJwk, b64u, b64u_decode, hmac_sha256, jws::Compact},
    time::Clock,
};
use nodkey_mobile_sdk::WebPushKeys;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
};

/// A received push.
#[derive(Debug)]
pub struct Arrived {
    /// The target: a device token, or the path of a subscription.
    pub to: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its decrypted payload.
    pub body: Value,
}

/// A provider's response: the status, the error code if it is an error, and the seconds to wait.
pub type Answer = (u16, &'static str, Option<u32>);

/// A running provider.
pub struct Provider {
    /// Its URL.
    pub url: String,
    arrived: Receiver<Arrived>,
    script: Script,
}

#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    sender: Sender<Arrived>,
    tokens: Arc<AtomicUsize>,
}

impl Provider {
    async fn start(at: SocketAddr, routes: impl FnOnce(Script) -> Router) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, arrived) = channel(100);
        let script = Script { answers: Arc::default(), sender, tokens: Arc::default() };
        let routes = routes(script.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, arrived, script }
    }

    /// Sets the responses to the next pushes. Later pushes are accepted.
    pub async fn answer(&self, answers: &[Answer]) {
        self.script.answers.lock().await.extend(answers);
    }

    /// Waits for the next push.
    pub async fn next(&mut self) -> Arrived {
        tokio::time::timeout(2 * crate::world::PATIENCE, self.arrived.recv()).await.expect("a push comes").unwrap()
    }

    /// The number of issued access tokens.
    pub fn tokens(&self) -> usize {
        self.script.tokens.load(Ordering::SeqCst)
    }
}

impl Script {
    async fn take(&self, to: String, headers: HeaderMap, body: Value, error: impl Fn(&str) -> Value) -> Response {
        let (status, code, after) = self.answers.lock().await.pop_front().unwrap_or((200, "", None));
        self.sender.send(Arrived { to, headers, body }).await.unwrap();
        let mut answer = (StatusCode::from_u16(status).unwrap(), Json(if status < 300 { json!({}) } else { error(code) })).into_response();
        if let Some(seconds) = after {
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        answer
    }
}

fn bearer(headers: &HeaderMap) -> &str {
    headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap()
}

/// APNs: HTTP/2 only, with tokens signed by this key.
pub async fn apns(at: SocketAddr, key: PublicJwk) -> Provider {
    Provider::start(at, |script| {
        let take = move |version: Version, Path(token): Path<String>, headers: HeaderMap, Json(body): Json<Value>| async move {
            assert_eq!(version, Version::HTTP_2, "APNs speaks nothing else");
            let claims: Value = Compact::parse(bearer(&headers)).unwrap().verify(&key, "JWT").unwrap();
            let age = Clock::system().now().as_seconds() - claims["iat"].as_i64().unwrap();
            assert!((0..3_600).contains(&age) && claims["iss"] == "TEAM123456", "{claims}");
            script.take(token, headers, body, |code| json!({"reason": code})).await
        };
        Router::new().route("/3/device/{token}", post(take))
    })
    .await
}

#[derive(Deserialize)]
struct Grant {
    grant_type: String,
    assertion: String,
}

/// FCM, and the endpoint that issues access tokens to the holder of this RSA key.
pub async fn fcm(at: SocketAddr, public_key: Vec<u8>) -> Provider {
    Provider::start(at, |script| {
        let grant = {
            let script = script.clone();
            move |Form(grant): Form<Grant>| async move {
                assert_eq!(grant.grant_type, "urn:ietf:params:oauth:grant-type:jwt-bearer");
                let (input, signature) = grant.assertion.rsplit_once('.').unwrap();
                let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public_key);
                key.verify(input.as_bytes(), &b64u_decode(signature).unwrap()).unwrap();
                let claims: Value = serde_json::from_slice(&b64u_decode(input.split_once('.').unwrap().1).unwrap()).unwrap();
                assert_eq!(claims["scope"], "https://www.googleapis.com/auth/firebase.messaging");
                let number = script.tokens.fetch_add(1, Ordering::SeqCst) + 1;
                Json(json!({"access_token": format!("token-{number}"), "expires_in": 3599, "token_type": "Bearer"}))
            }
        };
        let send = move |Path((project, call)): Path<(String, String)>, headers: HeaderMap, Json(body): Json<Value>| async move {
            assert_eq!((project.as_str(), call.as_str()), ("acme-1", "messages:send"));
            assert_eq!(bearer(&headers), format!("token-{}", script.tokens.load(Ordering::SeqCst)));
            let to = body["message"]["token"].as_str().unwrap().to_owned();
            script.take(to, headers, body, |code| json!({"error": {"status": code, "details": [{"errorCode": code}]}})).await
        };
        Router::new().route("/token", post(grant)).route("/v1/projects/{project}/{call}", post(send))
    })
    .await
}

/// A push service of the phone's own choice, and the phone that decrypts the messages.
pub async fn webpush(phone: Option<Subscriber>) -> Provider {
    Provider::start(SocketAddr::from(([127, 0, 0, 1], 0)), |script| {
        let take = move |Path(name): Path<String>, headers: HeaderMap, body: Bytes| async move {
            let text = match &phone {
                Some(phone) => {
                    assert_eq!(headers["content-encoding"], "aes128gcm");
                    phone.decrypt(&body)
                }
                None => body.to_vec(),
            };
            script.take(name, headers, serde_json::from_slice(&text).unwrap(), |_| Value::Null).await
        };
        Router::new().route("/push/{name}", post(take))
    })
    .await
}

/// A phone that has subscribed (RFC 8291 section 2).
#[derive(Clone)]
pub struct Subscriber {
    /// Its key.
    pub key: PrivateKey,
    /// Its secret.
    pub auth: [u8; 16],
}

impl Subscriber {
    /// The `keys` of a `PushSubscription`.
    pub fn keys(&self) -> WebPushKeys {
        WebPushKeys::new(b64u(&self.key.public().to_raw()), b64u(&self.auth))
    }

    /// Decrypts a message of one record (RFC 8188, RFC 8291).
    fn decrypt(&self, body: &[u8]) -> Vec<u8> {
        let (salt, rest) = body.split_at(16);
        let (sender, record) = rest[5..].split_at(rest[4].into());
        let own = self.key.public().to_raw();
        let ecdh = EcdhKey::from_private_key(&ECDH_P256, &self.key.to_secret_bytes()).unwrap();
        let shared = agree(&ecdh, Peer::new(&ECDH_P256, sender), (), |secret| Ok(hmac_sha256(&self.auth, secret))).unwrap();
        let expand = |prk: &[u8], info: &[&[u8]]| hmac_sha256(prk, &[&info.concat()[..], &[1]].concat());
        let prk = hmac_sha256(salt, &expand(&shared, &[b"WebPush: info\0", &own, sender]));
        let (key, nonce) = (expand(&prk, &[b"Content-Encoding: aes128gcm\0"]), expand(&prk, &[b"Content-Encoding: nonce\0"]));
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..16]).unwrap());
        let mut text = record.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(&nonce[..12]).unwrap();
        let opened = key.open_in_place(nonce, Aad::empty(), &mut text).unwrap();
        opened.strip_suffix(&[2]).unwrap().to_vec()
    }
}
