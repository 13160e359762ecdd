//! Keys of an operating system: it prompts when a key signs, and one way to verify the person stands in for another.

use std::{sync::Arc, time::Duration};

use nodkey_kernel::time::{Clock, Timestamp};
use nodkey_mobile_sdk::{
    Answer, Config, Decision, Error, ErrorKind, Events, KeyStore, KeyStoreError, Phone, PhoneEvent, PresenceError, PresenceKey,
    PresenceKind, PublicKey, UserPresence, async_trait, software::SoftwareKeyStore,
};
use serde_json::{Value, json};

use crate::{Log, SPEC, gateway, gateway::Gateway, keys, software};

/// What comes of one way to verify the person.
type Verified = Result<(), PresenceError>;

/// A key store that prompts when it signs, as on iOS and Android.
struct OsKeyStore {
    keys: SoftwareKeyStore,
    log: Log,
    verified: [(PresenceKind, Verified); 2],
    /// How many bytes its signatures lack.
    cut: usize,
}

#[async_trait]
impl KeyStore for OsKeyStore {
    async fn device_key(&self) -> Result<PublicKey, KeyStoreError> {
        self.keys.device_key().await
    }

    async fn sign(&self, message: Vec<u8>) -> Result<Vec<u8>, KeyStoreError> {
        self.keys.sign(message).await
    }

    async fn presence_keys(&self) -> Result<Vec<PresenceKey>, KeyStoreError> {
        self.keys.presence_keys().await
    }

    async fn former_presence_keys(&self) -> Result<Vec<PresenceKey>, KeyStoreError> {
        Ok(Vec::new())
    }

    async fn sign_with_presence(&self, key: PresenceKey, message: Vec<u8>, reason: String) -> Result<Vec<u8>, PresenceError> {
        self.log.add(json!({"prompts": key.kind.as_str(), "reason": reason}));
        // The person takes their time.
        tokio::task::yield_now().await;
        self.verified.iter().find(|(kind, _)| *kind == key.kind).unwrap().1.clone()?;
        let mut signature = self.keys.sign_with_presence(key, message, reason).await?;
        signature.truncate(64 - self.cut);
        Ok(signature)
    }
}

/// A person whose fingerprint is checked before a key signs.
struct LockedOut(Log);

#[async_trait]
impl UserPresence for LockedOut {
    async fn confirm(&self, kind: PresenceKind, _: String) -> Result<(), PresenceError> {
        self.0.add(json!({"confirms": kind.as_str()}));
        if kind == PresenceKind::Biometric { Err(PresenceError::LockedOut) } else { Ok(()) }
    }
}

/// A phone with keys of an operating system, at a gateway that gives these responses.
async fn phone(biometric: Verified, credential: Verified, cut: usize, answers: &Value) -> (Phone, Gateway, Log) {
    built(biometric, credential, cut, answers, None).await
}

async fn built(
    biometric: Verified,
    credential: Verified,
    cut: usize,
    answers: &Value,
    person: Option<fn(Log) -> Arc<dyn UserPresence>>,
) -> (Phone, Gateway, Log) {
    let spec: Value = serde_json::from_str(SPEC).unwrap();
    let (keys, log) = (keys(&spec), Log::default());
    let clock = Clock::manual(Timestamp::from_seconds(spec["now"].as_i64().unwrap()));
    let gateway = Gateway::start(&keys, &json!({"answers": answers}), clock.clone(), log.clone()).await;
    let presence = [PresenceKind::Biometric, PresenceKind::Credential].map(|kind| (kind, software(&keys[kind.as_str()])));
    let store = OsKeyStore {
        keys: SoftwareKeyStore::new(software(&keys["device"]), presence.to_vec()),
        log: log.clone(),
        verified: [(PresenceKind::Biometric, biometric), (PresenceKind::Credential, credential)],
        cut,
    };
    let config = Config::builder().url(&gateway.url).token(gateway::TOKEN).secret(gateway::SECRET).build().unwrap();
    let environment = crate::Paused { log: log.clone(), clock };
    let mut builder = Phone::builder(config, Arc::new(store)).environment(Arc::new(environment));
    if let Some(person) = person {
        builder = builder.user_presence(person(log.clone()));
    }
    (builder.build().await.unwrap(), gateway, log)
}

/// Accepts the first request that comes.
async fn accept(phone: &Phone) -> Result<Answer, Error> {
    let mut events: Events = phone.events().await.unwrap();
    let Some(Ok(PhoneEvent::Asked(pending))) = events.next().await else { panic!("something is asked") };
    phone.respond(&pending, Decision::Accept, None).await
}

/// The prompts, and the key that signed the response, if one was sent.
fn prompts(log: &Log) -> (Vec<String>, Option<String>) {
    let log = log.0.lock().unwrap();
    let of = |entry: &Value| entry.get("prompts").or_else(|| entry.get("confirms")).map(|kind| kind.as_str().unwrap().to_owned());
    let signed_by = log.iter().find_map(|entry| entry["signed_by"].as_str().map(ToOwned::to_owned));
    (log.iter().filter_map(of).collect(), signed_by)
}

fn one_request() -> Value {
    json!([{"events": [{"ask": {"id": "1"}}, "synced"]}, {"status": 200, "body": {"id": "1", "status": "ACCEPTED", "accepted_level": 2}}])
}

#[tokio::test]
async fn one_signature_is_one_prompt_which_says_what_is_signed() {
    let (phone, gateway, log) = phone(Ok(()), Ok(()), 0, &one_request()).await;
    assert_eq!(accept(&phone).await.unwrap().accepted_level, Some(2));
    assert_eq!(prompts(&log), (vec!["biometric".to_owned()], Some("biometric".to_owned())));
    assert!(log.0.lock().unwrap().contains(&json!({"prompts": "biometric", "reason": "log in: Acme"})));
    gateway.assert_done();
}

#[tokio::test]
async fn the_passcode_stands_in_for_a_fingerprint_that_cannot_be_checked() {
    for reason in [PresenceError::Unavailable, PresenceError::LockedOut, KeyStoreError::KeyNotFound.into()] {
        let (phone, gateway, log) = phone(Err(reason), Ok(()), 0, &one_request()).await;
        accept(&phone).await.unwrap();
        assert_eq!(prompts(&log), (vec!["biometric".to_owned(), "credential".to_owned()], Some("credential".to_owned())));
        gateway.assert_done();
    }
}

#[tokio::test]
async fn a_person_who_is_locked_out_before_the_key_signs_is_asked_for_the_passcode() {
    let (phone, gateway, log) = built(Ok(()), Ok(()), 0, &one_request(), Some(|log| Arc::new(LockedOut(log)))).await;
    accept(&phone).await.unwrap();
    let (asked, signed_by) = prompts(&log);
    // Confirmed twice, and the key of the confirmed way alone signs.
    assert_eq!(asked, ["biometric", "credential", "credential"]);
    assert_eq!(signed_by.as_deref(), Some("credential"));
    gateway.assert_done();
}

#[tokio::test]
async fn what_the_person_denies_or_the_key_store_fails_at_is_not_sent_and_nothing_stands_in() {
    let failed = || KeyStoreError::Failed { message: "hardware".into() };
    for (reason, kind) in [
        (PresenceError::Denied, ErrorKind::Denied),
        (KeyStoreError::DeviceLocked.into(), ErrorKind::KeyStore),
        (failed().into(), ErrorKind::KeyStore),
    ] {
        let (phone, _gateway, log) = phone(Err(reason), Ok(()), 0, &one_request()).await;
        let error = accept(&phone).await.unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (kind, None), "{error}");
        assert_eq!(prompts(&log), (vec!["biometric".to_owned()], None));
    }
}

#[tokio::test]
async fn where_no_way_is_left_the_last_one_says_why() {
    for (biometric, credential, kind) in [
        (PresenceError::Unavailable, PresenceError::Unavailable, ErrorKind::PresenceUnavailable),
        (PresenceError::Unavailable, PresenceError::LockedOut, ErrorKind::PresenceLockedOut),
        (PresenceError::LockedOut, PresenceError::Denied, ErrorKind::Denied),
        (PresenceError::LockedOut, KeyStoreError::KeyNotFound.into(), ErrorKind::KeyStore),
    ] {
        let (phone, _gateway, log) = phone(Err(biometric), Err(credential), 0, &one_request()).await;
        assert_eq!(accept(&phone).await.unwrap_err().kind(), kind);
        assert_eq!(prompts(&log), (vec!["biometric".to_owned(), "credential".to_owned()], None));
    }
}

#[tokio::test]
async fn a_signature_in_another_form_is_not_sent_and_the_error_says_which_is_expected() {
    let (phone, _gateway, log) = phone(Ok(()), Ok(()), 1, &one_request()).await;
    let error = accept(&phone).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyStore);
    assert!(error.to_string().contains("64 bytes, not 63"), "{error}");
    assert_eq!(prompts(&log), (vec!["biometric".to_owned()], None));
}

#[tokio::test]
async fn no_key_stands_in_for_another_where_each_states_itself() {
    let challenge = json!([{"status": 200, "body": {"nonce": "n", "seq": 1}}]);
    let (phone, gateway, log) = phone(Err(PresenceError::LockedOut), Ok(()), 0, &challenge).await;
    assert_eq!(phone.register("Test").await.unwrap_err().kind(), ErrorKind::PresenceLockedOut);
    assert_eq!(prompts(&log), (vec!["biometric".to_owned()], None));
    gateway.assert_done();
}

#[tokio::test]
async fn clones_are_the_same_phone_wherever_they_run() {
    let answers = json!([{"events": [{"ask": {"id": "1"}}, "synced"]}, {"events": ["synced"]}]);
    let (phone, gateway, _log) = phone(Ok(()), Ok(()), 0, &answers).await;
    let clone = phone.clone();
    let first = tokio::spawn(async move {
        let mut events = clone.events().await.unwrap();
        while let Some(event) = events.next().await {
            event.unwrap();
        }
    });
    first.await.unwrap();
    // The second stream knows what the first one was sent, and that it is over.
    let mut events = phone.events().await.unwrap();
    assert!(matches!(events.next().await, Some(Ok(PhoneEvent::Closed { id })) if id == "1"));
    gateway.assert_done();
}

#[test]
fn a_phone_and_what_it_uses_are_shared_between_threads() {
    const fn shared<T: Send + Sync + ?Sized>() {}
    const fn sent<T: Send>() {}
    shared::<(Phone, Config, Error, Answer)>();
    shared::<dyn KeyStore>();
    shared::<dyn UserPresence>();
    sent::<Events>();
}

#[tokio::test]
async fn a_gateway_that_nobody_serves_is_offline_and_every_call_may_be_repeated() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = Config::builder().url(format!("http://127.0.0.1:{port}")).token("t").secret("hush").build().unwrap();
    let phone = Phone::builder(config, Arc::new(SoftwareKeyStore::generate())).build().await.unwrap();
    let error = phone.wait(Duration::ZERO).await.unwrap_err();
    assert_eq!((error.kind(), error.status(), error.retry_after()), (ErrorKind::Offline, None, Some(Duration::ZERO)));
    assert!(!format!("{phone:?} {error:?}").contains("hush"));
}
