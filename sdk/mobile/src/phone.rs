//! A phone at a gateway.

use std::{future::ready, sync::Arc, time::Duration};

use eventsource_stream::Eventsource as _;
use futures_util::{Stream, StreamExt as _, stream};
use nodkey_kernel::{
    challenge::{self, Decision, RejectReason, ResponseClaims},
    device::MATCH6,
    jose::{Jwks, PublicJwk, jws},
    transfer::TransferAct,
    trusona_mac,
};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::{
    Error, KeyStore, Open, Pending, PhoneEvent, PresenceKind, RegisteredDevice, RegisteredDocument, UserPresence,
    keys::sign_with_presence,
    pending::{Heard, Reader, Shown, while_alive},
    time::Time,
    transfer::{self, Transferred},
    transport::{Call, Signable, Transport, json as read_json},
    trucode::{self, Scanned},
    trust::KeySet,
    vouching::{Vouching, document_statement},
};

/// How much longer than the requested wait the gateway may take.
const GRACE: Duration = Duration::from_secs(10);

/// What this phone can do beyond the basics: it accepts numbers with as many digits as the challenge says.
const CAPABILITIES: [&str; 1] = [MATCH6];

/// The platform that the app runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    /// iOS.
    Ios,
    /// Android.
    Android,
    /// A browser.
    Web,
    /// A terminal.
    Cli,
    /// Something else.
    #[default]
    Other,
}

/// The gateway's address, and the app's credential for it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateway's public URL.
    pub gateway: Url,
    /// Token of the mobile credential; only registration needs it.
    pub mobile_token: String,
    /// Secret of the mobile credential.
    pub mobile_secret: SecretString,
    /// The deployment's public keys, shipped with the app. `None` fetches them, and again when a challenge names a new key: then only TLS
    /// proves whose they are.
    pub jwks: Option<Jwks>,
    /// The platform that the app runs on, shown to the relying party's operators.
    pub platform: Platform,
    /// The app's version, preceded by its name where there are several apps: `Acme Bank 3.2`. `None` reports nothing.
    pub app_version: Option<String>,
    /// PEM of the only authority to trust for `https`; `None` for the system's.
    pub ca_certificate: Option<String>,
}

/// The result of an answer, as reported by the gateway.
#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    /// Trusonafication id.
    pub id: String,
    /// `ACCEPTED`, `ACCEPTED_AT_LOWER_LEVEL`, `ACCEPTED_AT_HIGHER_LEVEL` or `REJECTED`.
    pub status: String,
    /// The proven level; absent or 0 when rejected.
    #[serde(default)]
    pub accepted_level: Option<i32>,
    /// RFC 3339; until when others cannot prompt the user there, after [`RejectReason::NotMe`].
    #[serde(default)]
    pub held_until: Option<String>,
}

/// The phone.
#[derive(Debug)]
pub struct Phone<K, P> {
    config: Config,
    keys: K,
    presence: P,
    transport: Transport,
    device_identifier: String,
    trusted: KeySet,
    shown: Shown,
}

impl<K: KeyStore, P: UserPresence> Phone<K, P> {
    /// Creates a phone; nothing is sent yet.
    pub fn new(config: Config, keys: K, presence: P) -> Result<Self, Error> {
        Self::with_time(config, keys, presence, Time::system())
    }

    /// Creates a phone with a given source of time and randomness, instead of the system's.
    pub fn with_time(config: Config, keys: K, presence: P, time: Time) -> Result<Self, Error> {
        let mut http = reqwest::Client::builder().connect_timeout(Duration::from_secs(5));
        if let Some(pem) = &config.ca_certificate {
            http = http.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(Error::Unreachable)?);
        }
        let http = http.build().map_err(Error::Unreachable)?;
        let device_identifier = keys.device_key().thumbprint();
        let transport = Transport::new(&config.gateway, http, time);
        let trusted = KeySet::new(config.jwks.clone());
        Ok(Self { config, keys, presence, transport, device_identifier, trusted, shown: Shown::default() })
    }

    /// The device identifier: the thumbprint of the device key.
    #[must_use]
    pub fn device_identifier(&self) -> &str {
        &self.device_identifier
    }

    /// Registers the device, or updates its keys at the gateway. Idempotent.
    ///
    /// The device key, each presence key, and each [former](KeyStore::former_presence_keys) key that the gateway still knows sign the list
    /// of keys, so the person is prompted once for each presence key among them. If the keys are already registered, call
    /// [`status`](Self::status) instead. See [`RegisteredDevice::not_counting`].
    pub async fn register(&self, name: &str) -> Result<RegisteredDevice, Error> {
        let mut body = json!({
            "device_key": self.keys.device_key().to_value(),
            "presence_keys": self.presence_keys(),
            "name": name,
            "platform": self.config.platform,
            "capabilities": CAPABILITIES,
        });
        if let Some(version) = &self.config.app_version {
            body["app_version"] = json!(version);
        }
        let former = self.vouching_former().await?;
        Vouching::make(&self.transport, &self.keys, &self.presence, former).await?.add_to(&mut body);
        let authorize = |signable: &Signable<'_>| {
            let text = trusona_mac::string_to_sign(
                signable.method,
                &trusona_mac::body_md5(signable.body),
                signable.content_type,
                signable.date,
                signable.path,
            );
            let signature = trusona_mac::mac(self.config.mobile_secret.expose_secret(), &text);
            trusona_mac::authorization(&self.config.mobile_token, &signature)
        };
        let path = "/api/v2/devices";
        match self.transport.send(&self.keys, &Call::post(path).body(&body).authorize(&authorize)).await {
            // An older gateway knows neither browsers nor terminals.
            Err(Error::Refused { status: 422, .. }) if matches!(self.config.platform, Platform::Web | Platform::Cli) => {
                body["platform"] = json!(Platform::Other);
                read_json(self.transport.send(&self.keys, &Call::post(path).body(&body).authorize(&authorize)).await?).await
            }
            answer => read_json(answer?).await,
        }
    }

    /// Replaces the list of capabilities of this phone's app. [`register`](Self::register) already sends it; this is for apps that are
    /// updated and support less or more.
    pub async fn set_capabilities(&self, names: &[&str]) -> Result<RegisteredDevice, Error> {
        let path = format!("/api/v2/devices/{}", self.device_identifier);
        let body = json!({"capabilities": names});
        read_json(self.transport.send(&self.keys, &Call::new(Method::PATCH, &path).body(&body)).await?).await
    }

    /// Updates the presence keys of a registered phone at the gateway, as [`register`](Self::register) does, and nothing else.
    pub async fn update_keys(&self) -> Result<RegisteredDevice, Error> {
        let mut body = json!({"presence_keys": self.presence_keys()});
        let former = self.vouching_former().await?;
        Vouching::make(&self.transport, &self.keys, &self.presence, former).await?.add_to(&mut body);
        let path = format!("/api/v2/devices/{}", self.device_identifier);
        read_json(self.transport.send(&self.keys, &Call::new(Method::PATCH, &path).body(&body)).await?).await
    }

    fn presence_keys(&self) -> Vec<Value> {
        self.keys.presence_keys().iter().map(|(kind, jwk)| json!({"kind": kind, "jwk": jwk.to_value()})).collect()
    }

    /// The former presence keys that the gateway still knows: others cannot vouch.
    async fn vouching_former(&self) -> Result<Vec<(PresenceKind, PublicJwk)>, Error> {
        let mut former = self.keys.former_presence_keys();
        if former.is_empty() {
            return Ok(former);
        }
        let known = match self.status().await {
            Ok(device) => device.presence_keys,
            // The phone is not known yet.
            Err(Error::Refused { status: 401 | 403 | 404, .. }) => Vec::new(),
            Err(e) => return Err(e),
        };
        former.retain(|(_, key)| known.iter().any(|held| held.thumbprint == key.thumbprint()));
        Ok(former)
    }

    /// Returns whether the device is active, with a fresh device-identifier JWT.
    pub async fn status(&self) -> Result<RegisteredDevice, Error> {
        let path = format!("/api/v2/devices/{}/status", self.device_identifier);
        read_json(self.transport.send(&self.keys, &Call::get(&path)).await?).await
    }

    /// Sets how to wake the device by push: `provider` (`apns`, `fcm`, `webpush` or `unifiedpush`), and what that provider gave to the app.
    /// Push is never required: a waiting phone is notified without it.
    pub async fn register_push(&self, registration: &Value) -> Result<(), Error> {
        let path = format!("/api/v2/devices/{}/push_registration", self.device_identifier);
        self.transport.send(&self.keys, &Call::new(Method::PUT, &path).body(registration)).await.map(drop)
    }

    /// Removes the push registration: the device is no longer woken.
    pub async fn forget_push(&self) -> Result<(), Error> {
        let path = format!("/api/v2/devices/{}/push_registration", self.device_identifier);
        self.transport.send(&self.keys, &Call::new(Method::DELETE, &path)).await.map(drop)
    }

    /// Retires the device permanently.
    pub async fn retire(&self) -> Result<(), Error> {
        let path = format!("/api/v2/devices/{}", self.device_identifier);
        self.transport.send(&self.keys, &Call::new(Method::DELETE, &path)).await?;
        Ok(())
    }

    /// Freezes the user, for a person who has lost another phone. From now on nobody can prompt the user, and none of their devices can
    /// answer, including this one. Only the backend can release the user, once it has verified who requests that.
    pub async fn freeze_user(&self) -> Result<(), Error> {
        self.transport.send(&self.keys, &Call::post("/api/v2/user_freezes").body(&json!({}))).await?;
        Ok(())
    }

    /// Creates the code by which another phone of the same app binds this one to its user. Show it as text or QR code; it is valid for 10
    /// minutes. This phone must be registered, and bound to nobody; [`status`](Self::status) reports when it is active.
    pub async fn transfer_request(&self) -> Result<String, Error> {
        transfer::request(&self.transport, &self.keys).await
    }

    /// Replaces this phone with the phone that shows this code, or adds that phone beside it, after prompting the person. With
    /// [`TransferAct::Replace`](crate::TransferAct::Replace) this phone is retired, and its keys may be deleted.
    ///
    /// Before calling it, the app must show what is about to happen, and that it is only right with the other phone at hand.
    pub async fn transfer(&self, request: &str, act: TransferAct) -> Result<Transferred, Error> {
        let mut candidates = self.counting_keys().await?;
        if candidates.is_empty() {
            // If none counts, the gateway reports it.
            candidates = self.keys.presence_keys();
        }
        if candidates.is_empty() {
            return Err(Error::KeyStore("there is no presence key".into()));
        }
        transfer::transfer((&self.transport, &self.keys, &self.presence), candidates, request, act).await
    }

    /// Registers the hash of an identity document for the user that the device is bound to. A presence key that counts signs it, for which
    /// the person is prompted; without such a key, the document does not count. Repeating the call has the same result.
    pub async fn register_identity_document(&self, hash: &str) -> Result<RegisteredDocument, Error> {
        let mut body = json!({"type": "AAMVA_DRIVERS_LICENSE", "hash": hash});
        if let Some(statement) = self.document_statement(hash).await? {
            body["statement"] = json!(statement);
        }
        let answer = self.transport.send(&self.keys, &Call::post("/api/v2/identity_documents").body(&body)).await?;
        read_json(answer).await
    }

    async fn document_statement(&self, hash: &str) -> Result<Option<String>, Error> {
        let candidates = self.counting_keys().await?;
        if candidates.is_empty() {
            return Ok(None);
        }
        document_statement(&self.transport, &self.keys, &self.presence, candidates, hash).await.map(Some)
    }

    /// The presence keys that count according to the gateway, the preferred one first.
    async fn counting_keys(&self) -> Result<Vec<(PresenceKind, PublicJwk)>, Error> {
        let held = self.status().await?.presence_keys;
        let counts = |key: &PublicJwk| held.iter().any(|held| held.counts && held.thumbprint == key.thumbprint());
        Ok(self.keys.presence_keys().into_iter().filter(|(_, key)| counts(key)).collect())
    }

    /// Reads a secure QR code, or a deep link with its payload: verifies the signature and fetches what to show.
    pub async fn scan(&self, scanned: &str) -> Result<Scanned, Error> {
        let payload = trucode::payload(scanned)?;
        let claims = self.trusted.verify(&self.transport, |keys| trucode::verify(&payload, keys)).await?;
        let claims = claims.map_err(|reason| Error::Untrusted(reason.into()))?;
        if claims.exp <= self.transport.now().as_micros() / 1_000 {
            return Err(Error::Protocol("the code has expired; scan the current one".into()));
        }
        let path = format!("/api/v2/trucodes/{}/context", claims.jti);
        let context = read_json(self.transport.send(&self.keys, &Call::get(&path)).await?).await?;
        Ok(Scanned { context, payload })
    }

    /// Pairs a code with this device. `number` is what the person read on the page, when the context requires it.
    pub async fn pair(&self, scanned: &Scanned, number: Option<&str>) -> Result<(), Error> {
        let body = json!({"payload": scanned.payload, "identifier": self.device_identifier, "match_number": number});
        self.transport.send(&self.keys, &Call::post("/api/v2/paired_trucodes").body(&body)).await?;
        Ok(())
    }

    /// Waits up to `wait` (at most 60 s) for something to answer, and returns everything that is open, or nothing on timeout. What was open
    /// before and is no longer returned is over. A refusal is not retried: [`passes_after`](Error::passes_after) says how long the app
    /// should pause before it waits again.
    pub async fn open(&self, wait: Duration) -> Result<Open, Error> {
        #[derive(Deserialize)]
        struct Body {
            trusonafications: Vec<Value>,
        }
        let path = format!("/api/v2/devices/{}/trusonafications?wait={}", self.device_identifier, wait.as_secs().min(60));
        let call = Call::get(&path).once();
        let answer = tokio::time::timeout(wait + GRACE, self.transport.send(&self.keys, &call))
            .await
            .map_err(|_| Error::Protocol("the gateway did not answer in time".into()))??;
        self.reader().list(read_json::<Body>(answer).await?.trusonafications).await
    }

    /// Like [`open`](Self::open), for an app that does not report challenges that [cannot be trusted](Open::untrusted): they are omitted.
    pub async fn wait(&self, wait: Duration) -> Result<Vec<Pending>, Error> {
        Ok(self.open(wait).await?.pending)
    }

    /// Streams challenges as they arrive, over server-sent events, beginning with all that are open. Ends when the connection ends, or with
    /// an error; then call it again after a pause. Use one stream at a time: each reports which challenges of the previous one are over.
    pub async fn events(&self) -> Result<impl Stream<Item = Result<PhoneEvent, Error>> + '_, Error> {
        let path = format!("/api/v2/devices/{}/trusonafications", self.device_identifier);
        let call = Call::get(&path).accept("text/event-stream").once();
        let answer = self.transport.send(&self.keys, &call).await?;
        let events = while_alive(answer.bytes_stream(), self.transport.sleep()).eventsource();
        let heard = Arc::new(std::sync::Mutex::default());
        Ok(events
            .then(move |event| {
                let heard = Arc::clone(&heard);
                async move {
                    match event {
                        Ok(event) => self.reader().event(Heard { name: &event.event, data: &event.data }, &heard).await,
                        Err(e) => vec![Err(Error::Protocol(e.to_string()))],
                    }
                }
            })
            .flat_map(stream::iter)
            // Events after an error may be incomplete.
            .scan(false, |is_over, item| {
                let item = (!*is_over).then_some(item);
                *is_over = !matches!(item, Some(Ok(_)));
                ready(item)
            }))
    }

    const fn reader(&self) -> Reader<'_> {
        Reader { transport: &self.transport, keys: &self.trusted, shown: &self.shown }
    }

    /// Answers a challenge, prompting the person for presence first if the challenge requires it.
    ///
    /// `number` is the one that the person chose or entered, when the challenge has a `match`.
    pub async fn respond(&self, pending: &Pending, decision: Decision, number: Option<&str>) -> Result<Answer, Error> {
        self.respond_with(pending, decision, None, number, None).await
    }

    /// Rejects a challenge, with a reason.
    pub async fn reject(&self, pending: &Pending, why: RejectReason) -> Result<Answer, Error> {
        self.respond_with(pending, Decision::Reject, Some(why), None, None).await
    }

    /// Accepts at the executive level, presenting the document with the registered hash.
    pub async fn accept_with_document(&self, pending: &Pending, hash: &str) -> Result<Answer, Error> {
        self.respond_with(pending, Decision::Accept, None, None, Some(hash)).await
    }

    async fn respond_with(
        &self,
        pending: &Pending,
        decision: Decision,
        why: Option<RejectReason>,
        number: Option<&str>,
        document: Option<&str>,
    ) -> Result<Answer, Error> {
        let claims = ResponseClaims {
            iss: self.device_identifier.clone(),
            aud: pending.challenge.iss.as_str().into(),
            sub: pending.id.clone(),
            chal: challenge::challenge_hash(&pending.jws),
            dec: decision,
            why,
            num: number.map(ToOwned::to_owned),
            doc: document.map(ToOwned::to_owned),
            iat: self.transport.now().as_seconds(),
            jti: self.transport.random().token(),
        };
        let response = self.sign(&claims, pending).await?;
        let body = json!({"response": response});
        read_json(self.transport.send(&self.keys, &Call::post("/api/v2/trusonafication_responses").body(&body)).await?).await
    }

    /// An accept that needs presence is signed with a presence key, everything else with the device key.
    async fn sign(&self, claims: &ResponseClaims, pending: &Pending) -> Result<String, Error> {
        let keys = self.keys.presence_keys();
        if claims.dec == Decision::Accept && pending.needs_presence() && !keys.is_empty() {
            let reason = format!("{}: {}", pending.challenge.act, pending.challenge.res);
            return sign_with_presence((&self.keys, &self.presence), keys, (challenge::RESPONSE_TYP, claims), &reason).await;
        }
        let key = self.keys.device_key();
        let signer = |input: &[u8]| self.keys.sign(input);
        jws::sign_with(challenge::RESPONSE_TYP, key.algorithm(), Some(&key.thumbprint()), None, claims, signer).map_err(Error::KeyStore)
    }
}
