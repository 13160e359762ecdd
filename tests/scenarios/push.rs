//! Push notifications wake phones: without content, by any provider, and without delaying anything.

use aws_lc_rs::signature::KeyPair as _;
use nodkey_client::{AuthenticatedChannel, NewTrusonafication, ServiceName};
use nodkey_kernel::{
    jose::{Algorithm, PrivateKey, PublicJwk, jws::Compact},
    random::Random,
};
use nodkey_mobile_sdk::{Decision, PushRegistration, TransferAct};
use nodkey_proto::notification::v1::{
    ApnsCredentials, DeletePushConfigurationRequest, FcmCredentials, GetPushRegistrationRequest, ListPushConfigurationsRequest,
    PushConfiguration, PushProvider, PutPushConfigurationRequest, WebPushCredentials,
    push_configuration_service_client::PushConfigurationServiceClient, push_registration_service_client::PushRegistrationServiceClient,
    put_push_configuration_request::Credentials,
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use super::webhook::create;
use crate::{
    providers::{Arrived, Provider, Subscriber, apns, fcm, webpush},
    receiver::receiver,
    world::{PATIENCE, SoftPhone, Tenant, World, asked},
};

scenarios!(
    apns_wakes_a_phone_without_a_word_and_forgets_it_when_it_is_gone,
    fcm_wakes_a_phone_and_a_token_that_ran_out_is_renewed,
    a_browser_is_woken_by_what_only_it_can_read,
    a_phone_without_google_is_woken_by_its_own_distributor,
    every_other_phone_of_a_user_is_woken_when_one_joins_or_is_replaced,
    a_phone_is_woken_no_more_for_what_is_over,
);

fn configurations(tenant: &Tenant) -> PushConfigurationServiceClient<AuthenticatedChannel> {
    PushConfigurationServiceClient::new(tenant.backend.channel(ServiceName::Notification))
}

async fn configure(tenant: &Tenant, credentials: Credentials) -> PushConfiguration {
    let request = PutPushConfigurationRequest { credentials: Some(credentials) };
    configurations(tenant).put_push_configuration(request).await.unwrap().into_inner()
}

async fn configured(tenant: &Tenant) -> Vec<PushConfiguration> {
    configurations(tenant).list_push_configurations(ListPushConfigurationsRequest {}).await.unwrap().into_inner().push_configurations
}

async fn ask(tenant: &Tenant) -> String {
    ask_user(tenant, "ada").await
}

async fn ask_user(tenant: &Tenant, user: &str) -> String {
    let ask = NewTrusonafication::user(user, "transfer 90 EUR", "Acme");
    tenant.backend.create_trusonafication(ask).await.unwrap().trusonafication.id
}

/// Waits until the push registration of a phone that is gone has been removed.
async fn forgotten(tenant: &Tenant, phone: &SoftPhone) {
    let mut registrations = PushRegistrationServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    let request = GetPushRegistrationRequest { device_id: phone.device_identifier().to_string() };
    let gone = async { while registrations.get_push_registration(request.clone()).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}

fn header<'a>(arrived: &'a Arrived, name: &str) -> &'a str {
    arrived.headers[name].to_str().unwrap()
}

/// Whether a push reveals nothing of a challenge or its user.
fn is_content_free(arrived: &Arrived) -> bool {
    let said = format!("{:?} {}", arrived.headers, arrived.body);
    ["transfer", "EUR", "Acme", "ada"].iter().all(|word| !said.contains(word))
}

async fn apns_wakes_a_phone_without_a_word_and_forgets_it_when_it_is_gone(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let pem = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    let mut apple = apns(world.apns, PrivateKey::from_pkcs8_pem(&pem).unwrap().public()).await;
    let credentials = ApnsCredentials {
        team_id: "TEAM123456".into(),
        key_id: "KEY1234567".into(),
        private_key: pem,
        topic: "com.example.acme".into(),
        ..ApnsCredentials::default()
    };
    let put = configure(&tenant, Credentials::Apns(credentials)).await;
    assert_eq!((put.provider(), put.description.as_str()), (PushProvider::Apns, "team TEAM123456, key KEY1234567, com.example.acme"));
    let (old, new) = ("ab".repeat(32), "cd".repeat(32));
    phone.register_push(&PushRegistration::Apns { token: old.clone() }).await.unwrap();
    // Busy at first: the provider says when to try again, and that is done.
    apple.answer(&[(503, "ServiceUnavailable", Some(1))]).await;
    ask(&tenant).await;
    for _ in 0..2 {
        let woken = apple.next().await;
        assert!(is_content_free(&woken), "{woken:?}");
        assert_eq!((woken.to.as_str(), woken.body["nodkey"].as_str()), (old.as_str(), Some("look")));
        assert_eq!((header(&woken, "apns-topic"), header(&woken, "apns-push-type")), ("com.example.acme", "alert"));
        assert!(woken.headers.contains_key("apns-expiration") && woken.headers.contains_key("apns-collapse-id"));
    }
    // The prompt waited all the while.
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();

    // Credentials that Apple refuses are reported to the relying party.
    apple.answer(&[(403, "InvalidProviderToken", None)]).await;
    ask(&tenant).await;
    apple.next().await;
    tokio::time::timeout(PATIENCE, async {
        while configured(&tenant).await[0].last_failure != "403 InvalidProviderToken" {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();

    // The app was deleted and installed again: it has a new token, and the old one is not used any more.
    apple.answer(&[(410, "Unregistered", None)]).await;
    ask(&tenant).await;
    assert_eq!(apple.next().await.to, old);
    forgotten(&tenant, &phone).await;
    ask(&tenant).await;
    phone.register_push(&PushRegistration::Apns { token: new.clone() }).await.unwrap();
    ask(&tenant).await;
    assert_eq!(apple.next().await.to, new);
    phone.forget_push().await.unwrap();
}

async fn fcm_wakes_a_phone_and_a_token_that_ran_out_is_renewed(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let public = aws_lc_rs::signature::RsaKeyPair::from_pkcs8(&pair.serialize_der()).unwrap().public_key().as_ref().to_vec();
    let mut google = fcm(world.fcm, public).await;
    let account = json!({
        "type": "service_account", "project_id": "acme-1", "client_email": "nodkey@acme-1.iam.example", "private_key": pair.serialize_pem(),
        "token_uri": "https://169.254.169.254/token",
    });
    configure(&tenant, Credentials::Fcm(FcmCredentials { service_account: account.to_string() })).await;
    phone.register_push(&PushRegistration::Fcm { token: "d:first".into() }).await.unwrap();
    // Each has a token of its own.
    let replicas = world.replicas("notification");
    for round in 1..=2 {
        ask(&tenant).await;
        let woken = google.next().await;
        assert!(is_content_free(&woken), "{woken:?}");
        assert_eq!((woken.to.as_str(), &woken.body["message"]["data"]), ("d:first", &json!({"nodkey": "look"})));
        assert_eq!(woken.body["message"]["android"]["priority"], "HIGH");
        assert!((1..=replicas).contains(&google.tokens()), "round {round}: {}", google.tokens());
    }
    google.answer(&[(401, "UNAUTHENTICATED", None)]).await;
    ask(&tenant).await;
    google.next().await;
    google.next().await;
    assert!((2..=replicas + 1).contains(&google.tokens()), "{}", google.tokens());
    google.answer(&[(404, "UNREGISTERED", None)]).await;
    ask(&tenant).await;
    google.next().await;
    forgotten(&tenant, &phone).await;
    ask(&tenant).await;
    phone.register_push(&PushRegistration::Fcm { token: "d:second".into() }).await.unwrap();
    ask(&tenant).await;
    assert_eq!(google.next().await.to, "d:second");
}

async fn a_browser_is_woken_by_what_only_it_can_read(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let random = Random::system();
    let browser = Subscriber { key: PrivateKey::generate(Algorithm::Es256, &random), auth: random.bytes() };
    let mut service = webpush(Some(browser.clone())).await;
    let subject = |subject: &str| Credentials::Webpush(WebPushCredentials { subject: subject.into() });
    let first = configure(&tenant, subject("mailto:ops@example.com")).await;
    let put = configure(&tenant, subject("https://example.com")).await;
    assert_eq!(first.public_key, put.public_key, "browsers have subscribed with it");
    let keys = browser.keys();
    let details = |name: &str| PushRegistration::WebPush { endpoint: format!("{}/push/{name}", service.url), keys: keys.clone() };
    let (old, new) = (details("old"), details("new"));
    phone.register_push(&old).await.unwrap();
    service.answer(&[(201, "", None), (429, "", Some(1)), (201, "", None), (410, "", None)]).await;
    ask(&tenant).await;
    let woken = service.next().await;
    assert_eq!((header(&woken, "urgency"), header(&woken, "topic")), ("high", "nodkey"));
    assert_eq!(woken.body, json!({"nodkey": "look"}));
    let vapid = woken.headers["authorization"].to_str().unwrap().strip_prefix("vapid t=").unwrap();
    let (token, key) = vapid.split_once(", k=").unwrap();
    assert_eq!(key, put.public_key);
    let claims: Value = Compact::parse(token).unwrap().verify(&point(key), "JWT").unwrap();
    assert_eq!((claims["aud"].as_str(), claims["sub"].as_str()), (Some(service.url.as_str()), Some("https://example.com")));
    ask(&tenant).await;
    service.next().await;
    service.next().await;
    ask(&tenant).await;
    assert_eq!(service.next().await.to, "old");
    forgotten(&tenant, &phone).await;
    ask(&tenant).await;
    phone.register_push(&new).await.unwrap();
    ask(&tenant).await;
    assert_eq!(service.next().await.to, "new");
    // Deleted and set again, it is a different configuration.
    let request = DeletePushConfigurationRequest { provider: PushProvider::Webpush.into() };
    configurations(&tenant).delete_push_configuration(request).await.unwrap();
    assert!(configured(&tenant).await.is_empty());
    assert_ne!(configure(&tenant, subject("mailto:ops@example.com")).await.public_key, first.public_key);
}

/// The P-256 key of an uncompressed point.
fn point(text: &str) -> PublicJwk {
    let bytes = nodkey_kernel::jose::b64u_decode(text).unwrap();
    let number = |range: std::ops::Range<usize>| nodkey_kernel::jose::b64u(&bytes[range]);
    PublicJwk::from_value(&json!({"kty": "EC", "crv": "P-256", "x": number(1..33), "y": number(33..65)})).unwrap()
}

async fn a_phone_without_google_is_woken_by_its_own_distributor(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut distributor = webpush(None).await;
    phone.register_push(&PushRegistration::UnifiedPush { endpoint: format!("{}/push/up", distributor.url), keys: None }).await.unwrap();
    ask(&tenant).await;
    let woken = distributor.next().await;
    assert!(is_content_free(&woken), "{woken:?}");
    assert_eq!((woken.to.as_str(), &woken.body), ("up", &json!({"nodkey": "look"})));
    let mut registrations = PushRegistrationServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    let request = GetPushRegistrationRequest { device_id: phone.device_identifier().to_string() };
    let seen = registrations.get_push_registration(request).await.unwrap().into_inner();
    assert_eq!(seen.provider(), PushProvider::Unifiedpush);
    // A retired device is not woken.
    phone.retire().await.unwrap();
    forgotten(&tenant, &phone).await;
}

async fn every_other_phone_of_a_user_is_woken_when_one_joins_or_is_replaced(world: &World) {
    let tenant = world.tenant().await;
    let (first, stranger) = (tenant.active("ada").await, tenant.active("grace").await);
    let (second, third, waiting) = (tenant.registered().await, tenant.registered().await, tenant.registered().await);
    tenant.backend.create_binding("ada", waiting.device_identifier().as_str()).await.unwrap();
    let mut distributor = webpush(None).await;
    let phones = [("first", &first), ("second", &second), ("third", &third), ("waiting", &waiting), ("stranger", &stranger)];
    for (name, phone) in phones {
        let endpoint = format!("{}/push/{name}", distributor.url);
        phone.register_push(&PushRegistration::UnifiedPush { endpoint, keys: None }).await.unwrap();
    }
    tenant.activate("ada", &second).await;
    let woken = distributor.next().await;
    assert!(is_content_free(&woken), "{woken:?}");
    assert_eq!((woken.to.as_str(), &woken.body), ("first", &json!({"nodkey": "look"})));
    // Activating it again sends no push.
    tenant.activate("ada", &second).await;
    // Had the new phone or somebody else's been woken, that push would arrive before those of a prompt.
    let wakes = async |distributor: &mut Provider, names: &[&str]| {
        let mut woken = Vec::new();
        for _ in names {
            woken.push(distributor.next().await.to);
        }
        woken.sort_unstable();
        assert_eq!(woken, names);
    };
    ask(&tenant).await;
    wakes(&mut distributor, &["first", "second"]).await;
    ask_user(&tenant, "grace").await;
    wakes(&mut distributor, &["stranger"]).await;

    // The phone that transfers its place is not woken: its person has confirmed it there, and the phone is retired.
    second.transfer(&third.transfer_request().await.unwrap(), TransferAct::Replace).await.unwrap();
    wakes(&mut distributor, &["first"]).await;
    let prompt = NewTrusonafication::device(third.device_identifier().as_str(), "transfer 90 EUR", "Acme");
    tenant.backend.create_trusonafication(prompt).await.unwrap();
    wakes(&mut distributor, &["third"]).await;
}

async fn a_phone_is_woken_no_more_for_what_is_over(world: &World) {
    let tenant = world.tenant().await;
    let (ada, bob, eve, grace) =
        (tenant.active("ada").await, tenant.active("bob").await, tenant.active("eve").await, tenant.active("grace").await);
    let mut distributor = webpush(None).await;
    for (name, phone) in [("ada", &ada), ("bob", &bob), ("eve", &eve), ("grace", &grace)] {
        let endpoint = format!("{}/push/{name}", distributor.url);
        phone.register_push(&PushRegistration::UnifiedPush { endpoint, keys: None }).await.unwrap();
    }
    let mut ends = receiver(Vec::new()).await;
    create(&tenant, &ends.url, &["trusonafication.accepted", "trusonafication.rejected", "trusonafication.canceled"]).await;
    // The push service is busy, and asks to retry each.
    distributor.answer(&[(503, "", Some(5)); 4]).await;
    let canceled = ask(&tenant).await;
    ask_user(&tenant, "bob").await;
    ask_user(&tenant, "eve").await;
    let mut woken = [distributor.next().await.to, distributor.next().await.to, distributor.next().await.to];
    woken.sort_unstable();
    assert_eq!(woken, ["ada", "bob", "eve"]);
    tenant.backend.cancel(&canceled).await.unwrap();
    bob.respond(&asked(&bob).await, Decision::Accept, None).await.unwrap();
    eve.respond(&asked(&eve).await, Decision::Reject, None).await.unwrap();
    // The events of a webhook have been processed.
    for _ in 0..3 {
        ends.next().await;
    }
    ask_user(&tenant, "grace").await;
    // Theirs were due before her second push.
    assert_eq!([distributor.next().await.to, distributor.next().await.to], ["grace", "grace"]);
}
