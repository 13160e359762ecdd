//! One phone at one gateway.

use std::time::Duration;

use eventsource_stream::Eventsource as _;
use futures_util::{Stream, StreamExt as _};
use nodkey_kernel::{
    challenge::{self, ChallengeClaims, ChallengeError, Decision, RejectReason, ResponseClaims},
    device::MATCH6,
    jose::{Jwks, PublicJwk, jws},
    transfer::TransferAct,
    trusona_mac,
};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::Url;

use crate::{
    Error, KeyStore, PresenceKind, UserPresence,
    transfer::{self, Transferred},
    transport::{Signable, Transport, json as read_json},
    trucode::{self, Scanned},
    vouching::{Vouching, document_statement},
};

/// How long the gateway may take beyond a wait we asked for.
const GRACE: Duration = Duration::from_secs(10);

/// What this phone can do beyond what all can: it takes numbers of as many digits as the challenge says.
const CAPABILITIES: [&str; 1] = [MATCH6];

/// Where the gateway is, and the app's credential at it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateway's public URL.
    pub gateway: Url,
    /// Token of the mobile credential; registration alone needs it.
    pub mobile_token: String,
    /// Secret of the mobile credential.
    pub mobile_secret: SecretString,
    /// The deployment's public keys, as apps ship them. `None` fetches them, and again when a challenge names one that is new: then
    /// TLS alone says whose they are.
    pub jwks: Option<Jwks>,
    /// PEM of the one authority to trust behind `https`; `None`: those of the system.
    pub ca_certificate: Option<String>,
}

/// A device that is known to the gateway.
#[derive(Clone, Debug, Deserialize)]
pub struct RegisteredDevice {
    /// What the app hands to its backend.
    pub device_identifier: String,
    /// The same, signed by the deployment.
    pub device_identifier_jwt: String,
    /// True while an active binding exists.
    pub is_active: bool,
    /// True while the device vouches for its presence keys; false at gateways that know no key statements.
    #[serde(default)]
    pub certified: bool,
    /// True while the user is frozen: this device is asked nothing and its answers are refused with `USER_FROZEN`.
    #[serde(default)]
    pub frozen: bool,
    /// The presence keys that the gateway knows of the phone; none at gateways that do not say which count.
    #[serde(default)]
    pub presence_keys: Vec<HeldKey>,
    /// The user's active phones, this one included, in the order they were activated. From [`status`](Phone::status) alone, and empty at gateways
    /// that do not say it, or while this device is not active. Show the person one that they may not know of.
    #[serde(default)]
    pub user_devices: Vec<UserDevice>,
}

impl RegisteredDevice {
    /// The presence keys that do not count: what they accept is level 1, the phone alone.
    ///
    /// Where another counts, or the one that was replaced still signs, [`update_keys`](Phone::update_keys) has it vouch for them. Where none is
    /// left, tell the person to have the organisation approve the phone: its backend does so by the thumbprint.
    pub fn not_counting(&self) -> impl Iterator<Item = &HeldKey> {
        self.presence_keys.iter().filter(|key| !key.counts)
    }
}

/// One of the user's phones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDevice {
    /// RFC 3339; since when it answers for the user.
    pub activated_at: String,
    /// Whether it is this one.
    pub is_this: bool,
}

/// How a presence key of the phone stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HeldKey {
    /// How the person is asked before it signs.
    pub kind: PresenceKind,
    /// Names it (RFC 7638).
    pub thumbprint: String,
    /// Whether what it signs proves a person's presence.
    pub counts: bool,
    /// RFC 3339; since when the gateway knows it. Absent: since before this was noted.
    pub since: Option<String>,
}

/// A document that is registered for the user of the phone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RegisteredDocument {
    /// Names it.
    pub id: String,
    /// Whether accepts that present it are level 3. One that a phone registers without a presence key that counts does not, until the backend
    /// registers it, too.
    #[serde(default = "of_before")]
    pub counts: bool,
}

/// At gateways that do not say it, every document counts.
const fn of_before() -> bool {
    true
}

/// Something the person is asked. [`Phone`] hands it out only after checking the signature.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Trusonafication id.
    pub id: String,
    /// What to show: these fields and no others.
    pub challenge: ChallengeClaims,
    jws: String,
}

/// What the gateway made of the answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    /// Trusonafication id.
    pub id: String,
    /// `ACCEPTED`, `ACCEPTED_AT_LOWER_LEVEL`, `ACCEPTED_AT_HIGHER_LEVEL` or `REJECTED`.
    pub status: String,
    /// What was proven; absent or 0 when rejected.
    #[serde(default)]
    pub accepted_level: Option<i32>,
}

#[derive(Deserialize)]
struct WirePending {
    id: String,
    challenge: String,
}

/// The phone.
#[derive(Debug)]
pub struct Phone<K, P> {
    config: Config,
    keys: K,
    presence: P,
    transport: Transport,
    device_identifier: String,
    jwks: Mutex<Option<Jwks>>,
}

impl<K: KeyStore, P: UserPresence> Phone<K, P> {
    /// Makes a phone; nothing is sent yet.
    pub fn new(config: Config, keys: K, presence: P) -> Result<Self, Error> {
        let mut http = reqwest::Client::builder().connect_timeout(Duration::from_secs(5));
        if let Some(pem) = &config.ca_certificate {
            http = http.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(Error::Unreachable)?);
        }
        let http = http.build().map_err(Error::Unreachable)?;
        let device_identifier = keys.device_key().thumbprint();
        let transport = Transport::new(&config.gateway, http);
        let jwks = Mutex::new(config.jwks.clone());
        Ok(Self { config, keys, presence, transport, device_identifier, jwks })
    }

    /// The device identifier: the thumbprint of the device key.
    #[must_use]
    pub fn device_identifier(&self) -> &str {
        &self.device_identifier
    }

    /// Registers the device, or brings the gateway up to date about its keys. Idempotent.
    ///
    /// The device key and each presence key sign which keys these are, and each [former](KeyStore::former_presence_keys) one that the gateway
    /// still knows, so the person is asked to confirm once for each of these. Ask [`status`](Self::status) instead when the keys are those that
    /// are registered. See [`RegisteredDevice::not_counting`].
    pub async fn register(&self, name: &str) -> Result<RegisteredDevice, Error> {
        let mut body = json!({
            "device_key": self.keys.device_key().to_value(),
            "presence_keys": self.presence_keys(),
            "name": name,
            "platform": "other",
            "app_version": env!("CARGO_PKG_VERSION"),
            "capabilities": CAPABILITIES,
        });
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
        let answer = self.transport.send(&self.keys, Method::POST, "/api/v2/devices", Some(&body), &[], Some(&authorize)).await?;
        read_json(answer).await
    }

    /// Says what this phone's app can do, in the place of what it said before: [`register`](Self::register) says so already. For apps that are
    /// updated, and take less or more.
    pub async fn set_capabilities(&self, names: &[&str]) -> Result<RegisteredDevice, Error> {
        let path = format!("/api/v2/devices/{}", self.device_identifier);
        let body = json!({"capabilities": names});
        read_json(self.transport.send(&self.keys, Method::PATCH, &path, Some(&body), &[], None).await?).await
    }

    /// Brings the gateway up to date about the presence keys of a phone that is registered, as [`register`](Self::register) does, and about
    /// nothing else.
    pub async fn update_keys(&self) -> Result<RegisteredDevice, Error> {
        let mut body = json!({"presence_keys": self.presence_keys()});
        let former = self.vouching_former().await?;
        Vouching::make(&self.transport, &self.keys, &self.presence, former).await?.add_to(&mut body);
        let path = format!("/api/v2/devices/{}", self.device_identifier);
        read_json(self.transport.send(&self.keys, Method::PATCH, &path, Some(&body), &[], None).await?).await
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
            // Nobody knows the phone yet.
            Err(Error::Refused { status: 401 | 403 | 404, .. }) => Vec::new(),
            Err(e) => return Err(e),
        };
        former.retain(|(_, key)| known.iter().any(|held| held.thumbprint == key.thumbprint()));
        Ok(former)
    }

    /// Returns whether the device is active, with a fresh device-identifier JWT.
    pub async fn status(&self) -> Result<RegisteredDevice, Error> {
        let path = format!("/api/v2/devices/{}/status", self.device_identifier);
        read_json(self.transport.send(&self.keys, Method::GET, &path, None, &[], None).await?).await
    }

    /// Sets where the device is woken: `provider` (`apns`, `fcm`, `webpush` or `unifiedpush`), and what that gave the app.
    /// A push is never required: who waits is told without.
    pub async fn register_push(&self, registration: &Value) -> Result<(), Error> {
        let path = format!("/api/v2/devices/{}/push_registration", self.device_identifier);
        self.transport.send(&self.keys, Method::PUT, &path, Some(registration), &[], None).await.map(drop)
    }

    /// Is not woken any more.
    pub async fn forget_push(&self) -> Result<(), Error> {
        let path = format!("/api/v2/devices/{}/push_registration", self.device_identifier);
        self.transport.send(&self.keys, Method::DELETE, &path, None, &[], None).await.map(drop)
    }

    /// Retires the device for good.
    pub async fn retire(&self) -> Result<(), Error> {
        let path = format!("/api/v2/devices/{}", self.device_identifier);
        self.transport.send(&self.keys, Method::DELETE, &path, None, &[], None).await?;
        Ok(())
    }

    /// Freezes the user: for who has lost another phone. From now on nobody can prompt them, and no device of theirs answers, this one included.
    /// Only the backend releases them again, once it has made sure who asks.
    pub async fn freeze_user(&self) -> Result<(), Error> {
        self.transport.send(&self.keys, Method::POST, "/api/v2/user_freezes", Some(&json!({})), &[], None).await?;
        Ok(())
    }

    /// Makes the code by which a phone of the same app binds this one to its user: to be shown, as text or QR code, within 10 minutes. This
    /// phone has to be registered, and bound to nobody; [`status`](Self::status) says when it is active.
    pub async fn transfer_request(&self) -> Result<String, Error> {
        transfer::request(&self.transport, &self.keys).await
    }

    /// Hands this phone's place to the phone that shows this code, or lets that phone in beside it, after asking the person. With
    /// [`TransferAct::Replace`](crate::TransferAct::Replace) this phone is retired, and its keys may be deleted.
    ///
    /// Before it is called the app shows what is about to happen, and that it is right only with the other phone at hand.
    pub async fn transfer(&self, request: &str, act: TransferAct) -> Result<Transferred, Error> {
        // Where none counts, the gateway says so.
        let key = match self.counting_key().await? {
            Some(key) => key,
            None => self.keys.presence_keys().into_iter().next().ok_or_else(|| Error::KeyStore("there is no presence key".into()))?,
        };
        transfer::transfer((&self.transport, &self.keys, &self.presence), key, request, act).await
    }

    /// Registers the hash of an identity document for the user the device is bound to. A presence key that counts signs it, for which the
    /// person is asked; where there is none, the document does not count. The same again has the same result.
    pub async fn register_identity_document(&self, hash: &str) -> Result<RegisteredDocument, Error> {
        let mut body = json!({"type": "AAMVA_DRIVERS_LICENSE", "hash": hash});
        if let Some(statement) = self.document_statement(hash).await? {
            body["statement"] = json!(statement);
        }
        let answer = self.transport.send(&self.keys, Method::POST, "/api/v2/identity_documents", Some(&body), &[], None).await?;
        read_json(answer).await
    }

    async fn document_statement(&self, hash: &str) -> Result<Option<String>, Error> {
        match self.counting_key().await? {
            Some(key) => document_statement(&self.transport, &self.keys, &self.presence, key, hash).await.map(Some),
            None => Ok(None),
        }
    }

    /// The first of the presence keys that count, as the gateway knows them.
    async fn counting_key(&self) -> Result<Option<(PresenceKind, PublicJwk)>, Error> {
        let held = self.status().await?.presence_keys;
        let counts = |key: &PublicJwk| held.iter().any(|held| held.counts && held.thumbprint == key.thumbprint());
        Ok(self.keys.presence_keys().into_iter().find(|(_, key)| counts(key)))
    }

    /// Reads a secure QR code, or the deep link that stands for it: verifies its signature and asks what to show.
    pub async fn scan(&self, scanned: &str) -> Result<Scanned, Error> {
        let payload = trucode::payload(scanned)?;
        let now_ms = self.transport.now().as_micros() / 1_000;
        let mut keys = self.jwks.lock().await;
        let known = keys.as_ref().map_or(Ok(None), |keys| trucode::verify(&payload, keys, now_ms))?;
        let claims = match known {
            None if self.config.jwks.is_none() => trucode::verify(&payload, keys.insert(self.transport.get("/jwks").await?), now_ms)?,
            known => known,
        };
        drop(keys);
        let claims = claims.ok_or(Error::Challenge(ChallengeError::UnknownKey))?;
        let path = format!("/api/v2/trucodes/{}/context", claims.jti);
        let context = read_json(self.transport.send(&self.keys, Method::GET, &path, None, &[], None).await?).await?;
        Ok(Scanned { context, payload })
    }

    /// Pairs a code with this device. `number` is what the person read off the page, when the context asks for it.
    pub async fn pair(&self, scanned: &Scanned, number: Option<&str>) -> Result<(), Error> {
        let body = json!({"payload": scanned.payload, "identifier": self.device_identifier, "match_number": number});
        self.transport.send(&self.keys, Method::POST, "/api/v2/paired_trucodes", Some(&body), &[], None).await?;
        Ok(())
    }

    /// Waits up to `wait` (at most 60 s) for something to answer. Empty on time-out.
    ///
    /// A challenge that cannot be trusted makes the call fail: a phone shows nothing it cannot verify. One that expired on its way is left out.
    pub async fn wait(&self, wait: Duration) -> Result<Vec<Pending>, Error> {
        #[derive(Deserialize)]
        struct Body {
            trusonafications: Vec<WirePending>,
        }
        let path = format!("/api/v2/devices/{}/trusonafications?wait={}", self.device_identifier, wait.as_secs().min(60));
        let send = self.transport.send(&self.keys, Method::GET, &path, None, &[], None);
        let answer = tokio::time::timeout(wait + GRACE, send)
            .await
            .map_err(|_| Error::Protocol("the gateway held the call for too long".into()))??;
        let mut pending = Vec::new();
        for wire in read_json::<Body>(answer).await?.trusonafications {
            match self.check(wire).await {
                // On its way: it is in the way of no other.
                Err(Error::Challenge(ChallengeError::Expired)) => {}
                checked => pending.push(checked?),
            }
        }
        Ok(pending)
    }

    /// Streams what there is to answer as it comes, over server-sent events. Ends when the connection does.
    pub async fn stream(&self) -> Result<impl Stream<Item = Result<Pending, Error>> + '_, Error> {
        let path = format!("/api/v2/devices/{}/trusonafications", self.device_identifier);
        let answer = self.transport.send(&self.keys, Method::GET, &path, None, &[("Accept", "text/event-stream")], None).await?;
        let events = answer.bytes_stream().eventsource();
        Ok(events.filter_map(move |event| async move {
            match event {
                Ok(event) if event.event == "trusonafication" => Some(match serde_json::from_str::<WirePending>(&event.data) {
                    Ok(wire) => match self.check(wire).await {
                        Err(Error::Challenge(ChallengeError::Expired)) => return None,
                        checked => checked,
                    },
                    Err(e) => Err(Error::Protocol(e.to_string())),
                }),
                Ok(_) => None,
                Err(e) => Some(Err(Error::Protocol(e.to_string()))),
            }
        }))
    }

    /// Answers, asking the person for their presence first where the challenge wants it.
    ///
    /// `number` is the one the person chose or entered, when the challenge has a `match`.
    pub async fn respond(&self, pending: &Pending, decision: Decision, number: Option<&str>) -> Result<Answer, Error> {
        self.respond_with(pending, decision, None, number, None).await
    }

    /// Rejects, saying why.
    pub async fn reject(&self, pending: &Pending, why: RejectReason) -> Result<Answer, Error> {
        self.respond_with(pending, Decision::Reject, Some(why), None, None).await
    }

    /// Accepts at the executive level, presenting the document whose hash was registered.
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
        let response = self.sign(&claims, &pending.challenge).await?;
        let body = json!({"response": response});
        read_json(self.transport.post_again(&self.keys, "/api/v2/trusonafication_responses", &body).await?).await
    }

    /// An accept that needs presence is signed by a presence key, everything else by the device key.
    async fn sign(&self, claims: &ResponseClaims, challenge: &ChallengeClaims) -> Result<String, Error> {
        let needs_presence = claims.dec == Decision::Accept && (challenge.presence || challenge.lvl >= 2);
        let presence = self.keys.presence_keys().into_iter().next().filter(|_| needs_presence);
        if let Some((kind, jwk)) = presence {
            self.presence.confirm(kind, &format!("{}: {}", challenge.act, challenge.res)).await?;
            return self.compose(claims, &jwk, Some(kind));
        }
        self.compose(claims, &self.keys.device_key(), None)
    }

    fn compose(&self, claims: &ResponseClaims, key: &PublicJwk, presence: Option<PresenceKind>) -> Result<String, Error> {
        let thumbprint = key.thumbprint();
        jws::sign_with(challenge::RESPONSE_TYP, key.algorithm(), Some(&thumbprint), None, claims, |input| match presence {
            Some(kind) => self.keys.sign_with_presence(kind, input),
            None => self.keys.sign(input),
        })
        .map_err(Error::KeyStore)
    }

    async fn check(&self, wire: WirePending) -> Result<Pending, Error> {
        let verify = |keys: &Jwks| challenge::verify_challenge(&wire.challenge, keys, self.transport.base(), self.transport.now());
        let mut keys = self.jwks.lock().await;
        let claims = match keys.as_ref().map(verify) {
            Some(Err(ChallengeError::UnknownKey)) | None if self.config.jwks.is_none() => {
                verify(keys.insert(self.transport.get::<Jwks>("/jwks").await?))
            }
            Some(verified) => verified,
            None => Err(ChallengeError::UnknownKey),
        };
        let claims = claims.map_err(Error::Challenge)?;
        if claims.jti != wire.id {
            return Err(Error::Protocol("the challenge is for another trusonafication".into()));
        }
        Ok(Pending { id: wire.id, challenge: claims, jws: wire.challenge })
    }
}
