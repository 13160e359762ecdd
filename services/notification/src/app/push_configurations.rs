//! Use cases of push configurations: the relying parties' credentials for push providers.

use nodkey_kernel::{
    id::RelyingPartyId,
    jose::{Algorithm, PrivateKey, b64u},
    time::Timestamp,
};
use nodkey_proto::notification::v1::{
    self as pb, ApnsCredentials, FcmCredentials, WebPushCredentials, put_push_configuration_request::Credentials as Given,
};
use nodkey_runtime::{Failure, Validation};
use serde::Deserialize;

use super::App;
use crate::{
    convert,
    error::Error,
    push::{Credentials, KeptConfiguration, Provider, vapid_public_key},
    store::push_configuration,
};

/// Maximum size of a service account file, in bytes.
const MAX_FILE: usize = 16 << 10;
/// Maximum length of an alert, in characters.
const MAX_ALERT: usize = 100;
const ALERT: &str = "A request is waiting for you";

/// The members of a service account file that are used. The token URL is taken from the deployment's configuration, not from the file.
#[derive(Deserialize)]
struct ServiceAccount {
    project_id: String,
    client_email: String,
    private_key: String,
}

impl App {
    /// Sets the credentials for a provider.
    pub async fn put_push_configuration(&self, party: RelyingPartyId, given: Option<Given>) -> Result<pb::PushConfiguration, Error> {
        let (credentials, description) = match given {
            None => return Err(Failure::field("credentials", "is required: set apns, fcm or webpush").into()),
            Some(Given::Apns(given)) => apns(given)?,
            Some(Given::Fcm(given)) => fcm(&given)?,
            Some(Given::Webpush(given)) => self.webpush(given)?,
        };
        let (provider, now) = (credentials.provider(), self.now());
        let mut tx = self.db.begin().await?;
        let credentials = match (credentials, push_configuration::get_in(&mut tx, party, provider.as_str()).await?) {
            // Apps have subscribed with the existing key.
            (Credentials::WebPush { subject, .. }, Some(kept)) => match self.open_credentials(party, provider, &kept.sealed_credentials)? {
                Credentials::WebPush { private_key, .. } => Credentials::WebPush { subject, private_key },
                other => other,
            },
            (credentials, _) => credentials,
        };
        let public_key = match &credentials {
            Credentials::WebPush { private_key, .. } => vapid_public_key(private_key).unwrap_or_default(),
            _ => String::new(),
        };
        let json = serde_json::to_vec(&credentials).map_err(|_| Failure::Internal("credentials serialize"))?;
        let sealed_credentials = self.vault.seal(&self.random, &context(party, provider), &json);
        let kept = KeptConfiguration {
            provider,
            sealed_credentials,
            description,
            public_key,
            // In the precision of the database, since configurations are identified by this time.
            updated_at: Timestamp::from_micros(now.as_micros()),
            last_failure: None,
        };
        push_configuration::put(&mut tx, party, &kept).await?;
        tx.commit().await?;
        Ok(convert::push_configuration(&kept))
    }

    /// Lists the push configurations of a relying party.
    pub async fn push_configurations(&self, party: RelyingPartyId) -> Result<Vec<pb::PushConfiguration>, Error> {
        Ok(push_configuration::list(&self.db, party).await?.iter().map(convert::push_configuration).collect())
    }

    /// Returns the VAPID public key with which browsers subscribe; empty if Web Push is not configured.
    pub async fn web_push_key(&self, party: RelyingPartyId) -> Result<String, Error> {
        let kept = push_configuration::get(&self.db, party, Provider::WebPush.as_str()).await?;
        Ok(kept.map(|kept| kept.public_key).unwrap_or_default())
    }

    /// Deletes the credentials for a provider.
    pub async fn delete_push_configuration(&self, party: RelyingPartyId, provider: Provider) -> Result<(), Error> {
        Ok(push_configuration::delete(&self.db, party, provider.as_str()).await?)
    }

    pub(super) fn open_credentials(&self, party: RelyingPartyId, provider: Provider, sealed: &[u8]) -> Result<Credentials, Failure> {
        let opened = self.vault.open(&context(party, provider), sealed);
        let opened = opened.map_err(|_| Failure::Internal("push credentials cannot be decrypted"))?;
        serde_json::from_slice(&opened).map_err(|_| Failure::Internal("stored push credentials are JSON"))
    }

    fn webpush(&self, given: WebPushCredentials) -> Result<(Credentials, String), Failure> {
        let known = ["mailto:", "https://"].iter().any(|scheme| given.subject.len() > scheme.len() && given.subject.starts_with(scheme));
        let mut validation = Validation::default();
        validation.require(known && short(&given.subject), "webpush.subject", "must start with mailto: or https://");
        validation.finish()?;
        let key = PrivateKey::generate(Algorithm::Es256, &self.random);
        let private_key = b64u(&key.to_secret_bytes());
        Ok((Credentials::WebPush { subject: given.subject.clone(), private_key }, given.subject))
    }
}

fn apns(given: ApnsCredentials) -> Result<(Credentials, String), Failure> {
    let mut validation = Validation::default();
    let id = |text: &str| text.len() == 10 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    validation.require(id(&given.team_id), "apns.team_id", "must be 10 letters and digits");
    validation.require(id(&given.key_id), "apns.key_id", "must be 10 letters and digits");
    let topic = short(&given.topic) && given.topic.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    validation.require(topic, "apns.topic", "must be the app's bundle id");
    validation.require(given.alert.chars().count() <= MAX_ALERT, "apns.alert", "must be at most 100 characters");
    let ApnsCredentials { team_id, key_id, private_key, topic, sandbox, alert } = given;
    let alert = if alert.is_empty() { ALERT.to_owned() } else { alert };
    let description = format!("team {team_id}, key {key_id}, {topic}{}", if sandbox { ", sandbox" } else { "" });
    let credentials = Credentials::Apns { team_id, key_id, private_key, topic, sandbox, alert };
    validation.read("apns.private_key", credentials.check());
    validation.finish()?;
    Ok((credentials, description))
}

fn fcm(given: &FcmCredentials) -> Result<(Credentials, String), Failure> {
    let mut validation = Validation::default();
    let file = Some(&given.service_account).filter(|file| file.len() <= MAX_FILE);
    let read = file.and_then(|file| serde_json::from_str::<ServiceAccount>(file).ok());
    let read = read.ok_or("must be the JSON file of a service account, with project_id, client_email and private_key");
    let Some(ServiceAccount { project_id, client_email, private_key }) = validation.read("fcm.service_account", read) else {
        validation.finish()?;
        return Err(Failure::Internal("a fault was noted"));
    };
    // It becomes part of a URL.
    let project = short(&project_id) && project_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    // It is displayed, and stored unchanged.
    let email = short(&client_email) && !client_email.chars().any(char::is_control);
    validation.require(project && email, "fcm.service_account", "must contain a project_id and a client_email");
    let description = format!("project {project_id}, {client_email}");
    let credentials = Credentials::Fcm { project_id, client_email, private_key };
    validation.read("fcm.service_account", credentials.check());
    validation.finish()?;
    Ok((credentials, description))
}

fn short(text: &str) -> bool {
    (1..=255).contains(&text.len())
}

/// The context credentials are sealed with.
fn context(party: RelyingPartyId, provider: Provider) -> String {
    format!("push_configuration/{party}/{}", provider.as_str())
}
