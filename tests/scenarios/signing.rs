//! Which keys sign what, how keys are rotated, and what still verifies afterwards.

use std::time::Duration;

use nodkey_client::{
    Evidence, EvidenceError, Expected, Fault, JoseError, Jwks, NewTrusonafication, ReceiptStatus, ServiceName, verify_evidence,
    verify_receipt, verify_result,
};
use nodkey_kernel::{jose::jws::Compact, time::Timestamp};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::{
    convert::from_timestamp,
    notification::v1::{CreateEndpointRequest, endpoint_service_client::EndpointServiceClient},
    registry::v1::{
        ListSigningKeysRequest, RotateSigningKeyRequest, SigningKey, signing_key_service_client::SigningKeyServiceClient as RegistryKeys,
    },
    trusonafication::v1::{self as trusonafication, signing_key_service_client::SigningKeyServiceClient as TrusonaficationKeys},
};
use reqwest::Method;

use crate::{
    http,
    receiver::receiver,
    world::{SoftPhone, Tenant, World, asked, eventually},
};

scenarios!(
    each_service_signs_by_its_own_key_and_the_key_set_names_what_for,
    a_successor_is_published_and_does_not_sign_yet_and_evidence_holds_by_key_set_and_archive,
    every_end_has_a_receipt_that_the_webhook_carries,
    the_callback_is_told_what_the_receipt_says,
    a_key_set_that_names_no_types_proves_no_receipt,
);

const OF_REGISTRY: [&str; 3] = ["nodkey-device+jwt", "JWT", "nodkey-audit+jwt"];
const OF_TRUSONAFICATION: [&str; 4] = ["nodkey-challenge+jwt", "nodkey-receipt+jwt", "nodkey-result+jwt", "nodkey-trucode+jwt"];

fn log_in() -> NewTrusonafication {
    NewTrusonafication::user("ada", "log in", "Acme")
}

/// The id of the key that signed.
fn kid(jws: &str) -> String {
    Compact::parse(jws).unwrap().header().kid.clone().unwrap()
}

async fn answered(tenant: &Tenant, phone: &SoftPhone, decision: Decision) -> Evidence {
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    phone.respond(&asked(phone).await, decision, None).await.unwrap();
    tenant.backend.evidence(&id).await.unwrap()
}

/// The key archive, over both APIs.
async fn archive(world: &World, tenant: &Tenant) -> Jwks {
    let found = http::nobody(&world.http, Method::GET, "/jwks/archive", "").await;
    assert_eq!(found.status, 200);
    let archive: Jwks = serde_json::from_value(found.body).unwrap();
    let over_grpc = tenant.backend.jwks_archive().await.unwrap();
    assert!(archive.keys.iter().all(|key| over_grpc.keys.contains(key)));
    archive
}

async fn listed(world: &World) -> Vec<SigningKey> {
    let mut keys = RegistryKeys::new(world.operator(None).channel(ServiceName::Registry));
    keys.list_signing_keys(ListSigningKeysRequest::default()).await.unwrap().into_inner().signing_keys
}

fn current(keys: &[SigningKey], owner: &str) -> SigningKey {
    keys.iter().find(|key| key.owner == owner && key.current).unwrap_or_else(|| panic!("{owner} of {keys:?}")).clone()
}

async fn each_service_signs_by_its_own_key_and_the_key_set_names_what_for(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let evidence = answered(&tenant, &phone, Decision::Accept).await;
    let jwt = phone.register("test phone").await.unwrap().device_identifier_jwt;
    let (keys, jwks) = (listed(world).await, tenant.backend.jwks().await.unwrap());
    for (jws, owner, typs) in [
        (&evidence.challenge, "trusonafication", &OF_TRUSONAFICATION[..]),
        (evidence.receipt.as_ref().unwrap(), "trusonafication", &OF_TRUSONAFICATION),
        (&jwt, "registry", &OF_REGISTRY),
    ] {
        let key = keys.iter().find(|key| key.id == kid(jws)).unwrap();
        assert_eq!((key.owner.as_str(), &key.typs[..]), (owner, &typs.iter().map(ToString::to_string).collect::<Vec<_>>()[..]));
        let published = jwks.keys.iter().find(|published| published.kid == key.id).unwrap();
        assert_eq!(published.typs.as_ref(), Some(&key.typs));
    }
    let genuine = verify_evidence(&evidence, &jwks, &Expected::accept().user("ada").device(phone.device_identifier().as_str())).unwrap();
    assert_eq!(genuine.receipt.status, ReceiptStatus::Accepted);
    // The same bytes, signed by a key published for another purpose.
    let mut other = jwks.clone();
    other.keys.iter_mut().for_each(|key| key.typs = Some(vec!["nodkey-device+jwt".into()]));
    assert!(matches!(verify_evidence(&evidence, &other, &Expected::accept()), Err(EvidenceError::NotGenuine(_))));
}

async fn a_successor_is_published_and_does_not_sign_yet_and_evidence_holds_by_key_set_and_archive(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let (accepted, rejected) = (answered(&tenant, &phone, Decision::Accept).await, answered(&tenant, &phone, Decision::Reject).await);
    let before = current(&listed(world).await, "trusonafication");
    let mut keys = TrusonaficationKeys::new(world.operator(None).channel(ServiceName::Trusonafication));
    let request = trusonafication::RotateSigningKeyRequest { algorithm: "ES256".into(), ..Default::default() };
    let rotated = keys.rotate_signing_key(request).await.unwrap().into_inner();
    let at = |at: Option<&_>| from_timestamp(at.unwrap()).unwrap();
    let lead = |created: Timestamp, signs: Timestamp| assert!(created.until(signs) >= Duration::from_mins(2), "{created} {signs}");
    lead(at(rotated.created_at.as_ref()), at(rotated.signs_at.as_ref()));
    let mut own = RegistryKeys::new(world.operator(None).channel(ServiceName::Registry));
    let of_registry = own.rotate_signing_key(RotateSigningKeyRequest::default()).await.unwrap().into_inner();
    lead(at(of_registry.created_at.as_ref()), at(of_registry.signs_at.as_ref()));
    assert!(!of_registry.current);
    let jwks = eventually("both are published", async || {
        let jwks = tenant.backend.jwks().await.unwrap();
        [&rotated.id, &of_registry.id].iter().all(|id| jwks.keys.iter().any(|key| key.kid == **id)).then_some(jwks)
    })
    .await;
    assert_eq!(listed(world).await.iter().find(|key| key.current && key.owner == "trusonafication").unwrap().id, before.id);
    let now = answered(&tenant, &phone, Decision::Accept).await;
    assert_ne!(kid(&now.challenge), rotated.id, "its time has not come");
    assert_ne!(kid(now.receipt.as_ref().unwrap()), rotated.id);
    for keys in [&jwks, &archive(world, &tenant).await] {
        for (evidence, expected) in [(&accepted, Expected::accept()), (&rejected, Expected::rejection()), (&now, Expected::accept())] {
            verify_evidence(evidence, keys, &expected.user("ada").party(&*tenant.id)).unwrap();
        }
    }
    let private = http::nobody(&world.http, Method::GET, "/jwks/archive", "").await.body.to_string();
    assert!(!private.contains("\"d\""), "public halves alone");
}

async fn every_end_has_a_receipt_that_the_webhook_carries(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut receiving = receiver(Vec::new()).await;
    let mut endpoints = EndpointServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    let event_types = ["accepted", "rejected", "expired", "canceled"].map(|end| format!("trusonafication.{end}")).to_vec();
    let request = CreateEndpointRequest { url: receiving.url.clone(), event_types, ..Default::default() };
    endpoints.create_endpoint(request).await.unwrap();
    let create = async |new: NewTrusonafication| tenant.backend.create_trusonafication(new).await.unwrap().trusonafication.id;
    let jwks = tenant.backend.jwks().await.unwrap();
    let mut receipt = async |id: &str, status: ReceiptStatus| {
        let told = receiving.next().await;
        let receipt = verify_receipt(told.body["receipt"].as_str().unwrap(), &jwks).unwrap();
        assert_eq!((receipt.sub.as_str(), receipt.status, receipt.rp.as_str()), (id, status, tenant.id.as_str()));
        assert_eq!(told.body["data"]["status"], status.as_str());
        assert_eq!(receipt.user.as_deref(), Some("ada"));
        (receipt, told.body["receipt"].as_str().unwrap().to_owned())
    };
    for (decision, status) in [(Decision::Accept, ReceiptStatus::Accepted), (Decision::Reject, ReceiptStatus::Rejected)] {
        let id = create(log_in()).await;
        phone.respond(&asked(&phone).await, decision, None).await.unwrap();
        let (claims, text) = receipt(&id, status).await;
        assert_eq!(claims.dev.as_deref(), Some(phone.device_identifier().as_str()));
        assert_eq!(tenant.backend.evidence(&id).await.unwrap().receipt, Some(text), "it is the one of the evidence");
    }
    let canceled = create(log_in()).await;
    tenant.backend.cancel(&canceled).await.unwrap();
    receipt(&canceled, ReceiptStatus::Canceled).await;
    let past = log_in().expires_at(nodkey_kernel::time::Clock::system().now() - Duration::from_secs(1));
    let expired = create(past).await;
    receipt(&expired, ReceiptStatus::Expired).await;
    // Including those who could have answered.
    let orphaned = create(log_in()).await;
    tenant.backend.deactivate_user("ada").await.unwrap();
    receipt(&orphaned, ReceiptStatus::Canceled).await;
}

async fn the_callback_is_told_what_the_receipt_says(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut receiving = receiver(Vec::new()).await;
    let id = tenant.backend.create_trusonafication(log_in().callback_url(&receiving.url)).await.unwrap().trusonafication.id;
    let pending = asked(&phone).await;
    phone.respond(&pending, Decision::Accept, None).await.unwrap();
    let told = receiving.next().await;
    let jwks = tenant.backend.jwks().await.unwrap();
    let jwt = told.body["jwt"].as_str().unwrap();
    let result = verify_result(jwt, &jwks, &pending.challenge.gateway, &tenant.id).unwrap();
    assert_eq!((result.sub.as_str(), result.jti.as_str()), (id.as_str(), told.id.as_str()));
    let receipt = verify_receipt(tenant.backend.evidence(&id).await.unwrap().receipt.as_ref().unwrap(), &jwks).unwrap();
    assert_eq!(result.receipt, Some(receipt.into()));
    assert_eq!(listed(world).await.iter().find(|key| key.id == kid(jwt)).unwrap().owner, "trusonafication");
}

async fn a_key_set_that_names_no_types_proves_no_receipt(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let evidence = answered(&tenant, &phone, Decision::Reject).await;
    // A key set from before keys named their types: no receipt is accepted with it.
    let mut jwks = tenant.backend.jwks().await.unwrap();
    jwks.keys.iter_mut().for_each(|key| key.typs = None);
    let refused = verify_evidence(&evidence, &jwks, &Expected::rejection());
    assert_eq!(refused, Err(EvidenceError::NotGenuine(Fault::Receipt(JoseError::Key))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compromised_key_is_out_at_once_and_what_it_signed_proves_nothing() {
    let world = World::embedded().await;
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let before = answered(&tenant, &phone, Decision::Accept).await;
    let mut keys = TrusonaficationKeys::new(world.operator(None).channel(ServiceName::Trusonafication));
    let request = trusonafication::RotateSigningKeyRequest { at_once: true, request_id: "r".into(), ..Default::default() };
    let rotated = keys.rotate_signing_key(request.clone()).await.unwrap().into_inner();
    assert_eq!(keys.rotate_signing_key(request).await.unwrap().into_inner(), rotated, "once");
    let after = answered(&tenant, &phone, Decision::Accept).await;
    assert_eq!((kid(&after.challenge), kid(after.receipt.as_ref().unwrap())), (rotated.id.clone(), rotated.id));
    let revoked: Vec<_> = listed(&world).await.into_iter().filter(|key| key.revoked_at.is_some()).collect();
    assert_eq!(revoked.iter().map(|key| key.id.clone()).collect::<Vec<_>>(), [kid(&before.challenge)]);
    for keys in [tenant.backend.jwks().await.unwrap(), archive(&world, &tenant).await] {
        verify_evidence(&after, &keys, &Expected::accept()).unwrap();
        assert!(matches!(verify_evidence(&before, &keys, &Expected::accept()), Err(EvidenceError::NotGenuine(Fault::Challenge(_)))));
    }
    let marked = http::nobody(&world.http, Method::GET, "/jwks/archive", "").await.body;
    assert!(marked["keys"].as_array().unwrap().iter().any(|key| key["kid"] == revoked[0].id && key["revoked"]["revoked_at"].is_i64()));
}
