//! A phone at a gateway.

use std::{fmt, sync::Arc};

use nodkey_kernel::{device::MATCH6, trusona_mac};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::{
    Config, DeviceIdentifier, Environment, Error, KeyStore, Platform, PresenceError, PresenceKey, PushRegistration, RegisteredDevice,
    RegisteredDocument, SystemEnvironment, TransferAct, Untrusted, UserPresence,
    error::Failure,
    keys::PromptedByKeyStore,
    pending::Shown,
    signer::Signer,
    transfer::{self, Transferred},
    transport::{Call, Signable, Transport, json as read_json},
    trucode::{self, Scanned},
    trust::KeySet,
    vouching::{Vouching, document_statement},
    wire::{ContextBody, DeviceBody, DocumentBody},
};

/// What this phone can do beyond the basics: it accepts numbers with as many digits as the challenge says.
const CAPABILITIES: [&str; 1] = [MATCH6];

/// The phone. Cheap to clone: clones are the same phone.
#[derive(Clone)]
pub struct Phone(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    config: Config,
    pub(crate) signer: Signer,
    pub(crate) transport: Transport,
    device_identifier: DeviceIdentifier,
    pub(crate) trusted: KeySet,
    pub(crate) shown: Shown,
}

/// Builds a [`Phone`].
#[must_use]
pub struct PhoneBuilder {
    config: Config,
    keys: Arc<dyn KeyStore>,
    presence: Arc<dyn UserPresence>,
    environment: Arc<dyn Environment>,
}

impl PhoneBuilder {
    /// Prompts the person before a presence key signs. Without it, the key store prompts when it signs, as on iOS and Android.
    pub fn user_presence(self, presence: Arc<dyn UserPresence>) -> Self {
        Self { presence, ..self }
    }

    /// Another source of time and randomness than the system: for tests.
    pub fn environment(self, environment: Arc<dyn Environment>) -> Self {
        Self { environment, ..self }
    }

    /// The phone, after asking the key store for the device key. Sends nothing.
    pub async fn build(self) -> Result<Phone, Error> {
        let Self { config, keys, presence, environment } = self;
        let signer = Signer::new(keys, presence).await?;
        let device_identifier = signer.device().thumbprint().into();
        let transport = Transport::new(&config.url, config.http.clone(), environment);
        let trusted = KeySet::new(config.keys.clone().map(|keys| keys.0));
        Ok(Phone(Arc::new(Inner { config, signer, transport, device_identifier, trusted, shown: Shown::default() })))
    }
}

impl fmt::Debug for PhoneBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PhoneBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { config, device_identifier, .. } = &*self.0;
        f.debug_struct("Phone").field("device_identifier", device_identifier).field("config", config).finish_non_exhaustive()
    }
}

impl Phone {
    /// Begins a phone with these keys.
    pub fn builder(config: Config, keys: Arc<dyn KeyStore>) -> PhoneBuilder {
        PhoneBuilder { config, keys, presence: Arc::new(PromptedByKeyStore), environment: Arc::new(SystemEnvironment) }
    }

    /// The device identifier: the thumbprint of the device key.
    #[must_use]
    pub fn device_identifier(&self) -> &DeviceIdentifier {
        &self.0.device_identifier
    }

    /// Registers the device, or updates its keys at the gateway. Idempotent.
    ///
    /// The device key, each presence key, and each [former](KeyStore::former_presence_keys) key that the gateway still knows sign the list
    /// of keys, so the person is prompted once for each presence key among them. If the keys are already registered, call
    /// [`status`](Self::status) instead. See [`RegisteredDevice::not_counting`].
    pub async fn register(&self, name: &str) -> Result<RegisteredDevice, Error> {
        let Inner { config, signer, transport, .. } = &*self.0;
        let presence_keys = signer.presence_keys().await?;
        let mut body = json!({
            "device_key": signer.device().to_value(),
            "presence_keys": values(&presence_keys),
            "name": name,
            "platform": config.platform.as_str(),
            "capabilities": CAPABILITIES,
        });
        if let Some(version) = &config.app_version {
            body["app_version"] = json!(version);
        }
        let former = self.vouching_former().await?;
        Vouching::make(transport, signer, &presence_keys, &former).await?.add_to(&mut body);
        let authorize = |signable: &Signable<'_>| {
            let text = trusona_mac::string_to_sign(
                signable.method,
                &trusona_mac::body_md5(signable.body),
                signable.content_type,
                signable.date,
                signable.path,
            );
            let signature = trusona_mac::mac(config.secret.expose_secret(), &text);
            trusona_mac::authorization(&config.token, &signature)
        };
        let path = "/api/v2/devices";
        let answer = match transport.send(signer, &Call::post(path).body(&body).authorize(&authorize)).await {
            // An older gateway knows neither browsers nor terminals.
            Err(e) if e.status() == Some(422) && matches!(config.platform, Platform::Web | Platform::Cli) => {
                body["platform"] = json!(Platform::Other.as_str());
                transport.send(signer, &Call::post(path).body(&body).authorize(&authorize)).await?
            }
            answer => answer?,
        };
        Ok(read_json::<DeviceBody>(answer).await?.into())
    }

    /// Replaces the list of capabilities of this phone's app. [`register`](Self::register) already sends it; this is for apps that are
    /// updated and support less or more.
    pub async fn set_capabilities(&self, names: &[&str]) -> Result<RegisteredDevice, Error> {
        self.change(&json!({"capabilities": names})).await
    }

    /// Updates the presence keys of a registered phone at the gateway, as [`register`](Self::register) does, and nothing else.
    pub async fn update_keys(&self) -> Result<RegisteredDevice, Error> {
        let Inner { signer, transport, .. } = &*self.0;
        let presence_keys = signer.presence_keys().await?;
        let mut body = json!({"presence_keys": values(&presence_keys)});
        let former = self.vouching_former().await?;
        Vouching::make(transport, signer, &presence_keys, &former).await?.add_to(&mut body);
        self.change(&body).await
    }

    async fn change(&self, body: &Value) -> Result<RegisteredDevice, Error> {
        let path = self.path("");
        let answer = self.0.transport.send(&self.0.signer, &Call::new(Method::PATCH, &path).body(body)).await?;
        Ok(read_json::<DeviceBody>(answer).await?.into())
    }

    /// The path of this device, or of something of it.
    fn path(&self, of: &str) -> String {
        format!("/api/v2/devices/{}{of}", self.0.device_identifier)
    }

    /// The former presence keys that the gateway still knows: others cannot vouch.
    async fn vouching_former(&self) -> Result<Vec<PresenceKey>, Error> {
        let mut former = self.0.signer.former_presence_keys().await?;
        if former.is_empty() {
            return Ok(former);
        }
        let known = match self.status().await {
            Ok(device) => device.presence_keys,
            // The phone is not known yet.
            Err(e) if matches!(e.status(), Some(401 | 403 | 404)) => Vec::new(),
            Err(e) => return Err(e),
        };
        former.retain(|key| known.iter().any(|held| held.thumbprint == key.public_key.thumbprint()));
        Ok(former)
    }

    /// Returns whether the device is active, with a fresh device-identifier JWT.
    pub async fn status(&self) -> Result<RegisteredDevice, Error> {
        let path = self.path("/status");
        let answer = self.0.transport.send(&self.0.signer, &Call::get(&path)).await?;
        Ok(read_json::<DeviceBody>(answer).await?.into())
    }

    /// Sends a call whose response has nothing to read.
    async fn send(&self, call: Call<'_>) -> Result<(), Error> {
        self.0.transport.send(&self.0.signer, &call).await.map(drop)
    }

    /// Sets how to wake the device by push. Push is never required: a waiting phone is notified without it.
    pub async fn register_push(&self, registration: &PushRegistration) -> Result<(), Error> {
        self.send(Call::new(Method::PUT, &self.path("/push_registration")).body(&registration.to_value())).await
    }

    /// Removes the push registration: the device is no longer woken.
    pub async fn forget_push(&self) -> Result<(), Error> {
        self.send(Call::new(Method::DELETE, &self.path("/push_registration"))).await
    }

    /// Retires the device permanently.
    pub async fn retire(&self) -> Result<(), Error> {
        self.send(Call::new(Method::DELETE, &self.path(""))).await
    }

    /// Freezes the user, for a person who has lost another phone. From now on nobody can prompt the user, and none of their devices can
    /// answer, including this one. Only the backend can release the user, once it has verified who requests that.
    pub async fn freeze_user(&self) -> Result<(), Error> {
        self.send(Call::post("/api/v2/user_freezes").body(&json!({}))).await
    }

    /// Creates the code by which another phone of the same app binds this one to its user. Show it as text or QR code; it is valid for 10
    /// minutes. This phone must be registered, and bound to nobody; [`status`](Self::status) reports when it is active.
    pub async fn transfer_request(&self) -> Result<String, Error> {
        transfer::request(&self.0.transport, &self.0.signer).await
    }

    /// Replaces this phone with the phone that shows this code, or adds that phone beside it, after prompting the person. With
    /// [`TransferAct::Replace`](crate::TransferAct::Replace) this phone is retired, and its keys may be deleted.
    ///
    /// Before calling it, the app must show what is about to happen, and that it is only right with the other phone at hand.
    pub async fn transfer(&self, request: &str, act: TransferAct) -> Result<Transferred, Error> {
        let mut candidates = self.counting_keys().await?;
        if candidates.is_empty() {
            // If none counts, the gateway reports it.
            candidates = self.0.signer.presence_keys().await?;
        }
        if candidates.is_empty() {
            return Err(PresenceError::Unavailable.into());
        }
        transfer::transfer((&self.0.transport, &self.0.signer), candidates, request, act).await
    }

    /// Registers the hash of an identity document for the user that the device is bound to. A presence key that counts signs it, for which
    /// the person is prompted; without such a key, the document does not count. Repeating the call has the same result.
    pub async fn register_identity_document(&self, hash: &str) -> Result<RegisteredDocument, Error> {
        let mut body = json!({"type": "AAMVA_DRIVERS_LICENSE", "hash": hash});
        if let Some(statement) = self.document_statement(hash).await? {
            body["statement"] = json!(statement);
        }
        let answer = self.0.transport.send(&self.0.signer, &Call::post("/api/v2/identity_documents").body(&body)).await?;
        Ok(read_json::<DocumentBody>(answer).await?.into())
    }

    async fn document_statement(&self, hash: &str) -> Result<Option<String>, Error> {
        let candidates = self.counting_keys().await?;
        if candidates.is_empty() {
            return Ok(None);
        }
        document_statement(&self.0.transport, &self.0.signer, candidates, hash).await.map(Some)
    }

    /// The presence keys that count according to the gateway, the preferred one first.
    async fn counting_keys(&self) -> Result<Vec<PresenceKey>, Error> {
        let held = self.status().await?.presence_keys;
        let counts = |key: &PresenceKey| held.iter().any(|held| held.counts && held.thumbprint == key.public_key.thumbprint());
        Ok(self.0.signer.presence_keys().await?.into_iter().filter(counts).collect())
    }

    /// Reads a secure QR code, or a deep link with its payload: verifies the signature and fetches what to show.
    pub async fn scan(&self, scanned: &str) -> Result<Scanned, Error> {
        let Inner { transport, signer, trusted, .. } = &*self.0;
        let payload = trucode::payload(scanned)?;
        let claims = trusted.verify(transport, |keys| trucode::verify(&payload, keys)).await?;
        let claims = claims.map_err(|reason| Error::untrusted(Untrusted::from_kernel(reason)))?;
        if claims.exp <= transport.now().as_micros() / 1_000 {
            return Err(Failure::Expired("the code has expired; scan the current one").into());
        }
        let path = format!("/api/v2/trucodes/{}/context", claims.jti);
        let context = read_json::<ContextBody>(transport.send(signer, &Call::get(&path)).await?).await?;
        Ok(Scanned { context: context.into(), payload })
    }

    /// Pairs a code with this device. `number` is what the person read on the page, when the context requires it.
    pub async fn pair(&self, scanned: &Scanned, number: Option<&str>) -> Result<(), Error> {
        let body = json!({"payload": scanned.payload, "identifier": self.0.device_identifier.as_str(), "match_number": number});
        self.send(Call::post("/api/v2/paired_trucodes").body(&body)).await
    }
}

fn values(keys: &[PresenceKey]) -> Vec<Value> {
    keys.iter().map(PresenceKey::to_value).collect()
}
