//! What an attacker can do who has broken into one process and has exactly its secrets: `docs/security.md` has the table. Tries each
//! service's key on every API that could make an accept. `access.rs` tries all APIs, and `forged.rs` the bus.

mod backends;
mod operators;
mod webhooks;

use nodkey_client::{Expected, NewTrusonafication, verify_evidence};
use nodkey_db::{Db, DbConfig};
use nodkey_kernel::{
    challenge::{Decision, RESPONSE_TYP, ResponseClaims, challenge_hash},
    jose::{Algorithm, PrivateKey, jws},
    random::Random,
    service_key::ServiceName,
    time::Clock,
};
use nodkey_mobile_sdk::Decision as Answer;
use nodkey_proto::{
    registry::v1::{PublishSigningKeyRequest, SignRequest, signing_key_service_client::SigningKeyServiceClient},
    trusonafication::v1::{
        ListPendingRequest, RespondRequest, SignResultRequest, Status, trusonafication_service_client::TrusonaficationServiceClient,
    },
};
use nodkey_runtime::service_token;
use tonic::{Code, Request, service::interceptor::InterceptedService, transport::Channel};

use super::access::channels;
use crate::{
    processes::Plan,
    world::{Tenant, World, asked},
};

scenarios!(
    no_service_answers_for_a_phone,
    no_service_but_the_trusonafication_service_has_a_key_taken_for_receipts_and_none_signs_one,
    a_result_is_signed_as_it_came_whoever_asks,
);

/// A process under an attacker's control: its service key, used for a relying party.
pub(super) struct Thief<'a> {
    world: &'a World,
    pub(super) name: ServiceName,
    party: String,
}

type Stolen<F> = InterceptedService<Channel, F>;

impl Thief<'_> {
    /// One for each service.
    pub(super) fn all<'a>(world: &'a World, tenant: &Tenant) -> impl Iterator<Item = Thief<'a>> {
        let party = tenant.id.clone();
        ServiceName::ALL.iter().map(move |name| Thief { world, name: *name, party: party.clone() })
    }

    /// A channel to a service with tokens signed by the stolen key.
    pub(super) fn to(&self, service: ServiceName) -> Stolen<impl FnMut(Request<()>) -> Result<Request<()>, tonic::Status>> {
        let key = self.world.service_keys().iter().find(|key| key.name() == self.name).unwrap();
        let claims = service_token::Claims {
            iss: self.name.to_string(),
            aud: format!("nodkey/{service}"),
            exp: Clock::system().now().as_seconds() + 30,
            rp: Some(self.party.parse().unwrap()),
        };
        let token = format!("Bearer {}", key.sign(service_token::TYP, &claims)).parse::<tonic::metadata::MetadataValue<_>>().unwrap();
        let channel = channels(self.world).remove(service.as_str()).unwrap();
        InterceptedService::new(channel, move |mut request: Request<()>| {
            request.metadata_mut().insert("authorization", token.clone());
            Ok(request)
        })
    }
}

pub(super) fn log_in() -> NewTrusonafication {
    NewTrusonafication::user("ada", "log in", "Acme")
}

/// An accept of a challenge by a key that is not the phone's.
pub(super) fn forged(challenge: &str, of: &str, audience: &str, subject: &str, key: &PrivateKey) -> String {
    let claims = ResponseClaims {
        iss: of.to_owned(),
        aud: audience.into(),
        sub: subject.to_owned(),
        chal: challenge_hash(challenge),
        dec: Decision::Accept,
        why: None,
        num: None,
        doc: None,
        iat: Clock::system().now().as_seconds(),
        jti: Random::system().token(),
    };
    jws::sign(RESPONSE_TYP, Some(&key.public().thumbprint()), None, &claims, key)
}

async fn no_service_answers_for_a_phone(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let rejected = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    phone.respond(&asked(&phone).await, Answer::Reject, None).await.unwrap();
    let evidence = tenant.backend.evidence(&rejected).await.unwrap();
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    let audience = asked(&phone).await.challenge.gateway;
    let device = phone.device_identifier().to_string();
    let own = PrivateKey::generate(Algorithm::EdDsa, &Random::system());
    for thief in Thief::all(world, &tenant) {
        let mut owner = TrusonaficationServiceClient::new(thief.to(ServiceName::Trusonafication));
        let listed = owner.list_pending(ListPendingRequest { device_id: device.clone(), ..ListPendingRequest::default() }).await;
        let challenge = match (&thief.name, listed) {
            // It lists the challenges for phones.
            (ServiceName::Gateway, Ok(listed)) => listed.into_inner().trusonafications[0].challenge.clone(),
            (_, listed) => {
                assert_eq!(listed.unwrap_err().code(), Code::PermissionDenied, "{}", thief.name);
                evidence.challenge.clone()
            }
        };
        let by_own_key = forged(&challenge, &device, &audience, &id, &own);
        for response in [by_own_key, evidence.response.clone()] {
            let refused = owner.respond(RespondRequest { device_id: device.clone(), response }).await;
            match (thief.name, refused) {
                // Repeating the answer returns the existing result, the rejection.
                (ServiceName::Gateway, Ok(answer)) => assert_eq!(answer.into_inner().status(), Status::Rejected),
                (ServiceName::Gateway, Err(refused)) => {
                    assert!(refused.message().contains("not signed by a key of the device"), "{refused}");
                }
                (name, refused) => assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied, "{name}"),
            }
        }
    }
    assert_eq!(tenant.backend.trusonafication(&id).await.unwrap().status(), Status::InProgress);
    assert_eq!(tenant.backend.trusonafication(&rejected).await.unwrap().status(), Status::Rejected);
    assert!(tenant.backend.evidence(&id).await.is_err(), "there is none before the phone answers");
    // The phone can still answer.
    phone.respond(&asked(&phone).await, Answer::Accept, None).await.unwrap();
    let expected = Expected::accept().user("ada").device(&device);
    verify_evidence(&tenant.backend.evidence(&id).await.unwrap(), &tenant.backend.jwks().await.unwrap(), &expected).unwrap();
}

async fn no_service_but_the_trusonafication_service_has_a_key_taken_for_receipts_and_none_signs_one(world: &World) {
    let tenant = world.tenant().await;
    let before = tenant.backend.jwks().await.unwrap();
    let own = PrivateKey::generate(Algorithm::EdDsa, &Random::system()).public().to_value().to_string();
    for thief in Thief::all(world, &tenant) {
        let mut registry = SigningKeyServiceClient::new(thief.to(ServiceName::Registry));
        // It may not sign types that are not its own: receipts for all others, device identifiers for the service that signs receipts.
        let foreign = if thief.name == ServiceName::Trusonafication { "nodkey-device+jwt" } else { "nodkey-receipt+jwt" };
        let request = PublishSigningKeyRequest { jwk: own.clone(), typs: vec![foreign.into()], at_once: true };
        assert!(registry.publish_signing_key(request).await.is_err(), "{}", thief.name);
        for typ in ["nodkey-receipt+jwt", "nodkey-device+jwt", "JWT"] {
            let request = SignRequest { typ: typ.into(), claims: br#"{"status":"ACCEPTED"}"#.to_vec().into() };
            assert!(registry.sign(request).await.is_err(), "{} {typ}", thief.name);
        }
    }
    assert_eq!(tenant.backend.jwks().await.unwrap(), before);
}

async fn a_result_is_signed_as_it_came_whoever_asks(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let rejected = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    phone.respond(&asked(&phone).await, Answer::Reject, None).await.unwrap();
    let open = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    for thief in Thief::all(world, &tenant) {
        let mut owner = TrusonaficationServiceClient::new(thief.to(ServiceName::Trusonafication));
        for id in [&rejected, &open] {
            let request = SignResultRequest { id: id.clone(), delivery_id: "019ab2f4-0000-7000-8000-000000000000".into() };
            match (thief.name, owner.sign_result(request).await) {
                (ServiceName::Notification, Ok(signed)) => {
                    assert_eq!(*id, rejected, "what is not over has no result");
                    let jwt = signed.into_inner().jwt;
                    let claims: serde_json::Value = jws::Compact::parse(&jwt).unwrap().unverified_claims().unwrap();
                    assert_eq!(claims["status"], "REJECTED");
                }
                (ServiceName::Notification, Err(_)) => assert_eq!(*id, open),
                (name, refused) => assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied, "{name}"),
            }
        }
    }
}
/// Backends that read the result trust the database. Whoever verifies the evidence does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_writes_the_database_of_trusonafications_makes_no_evidence_of_an_accept() {
    let topology = Plan::new().run().await;
    let tenant = topology.world.tenant().await;
    let phone = tenant.active("ada").await;
    let accepted = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    phone.respond(&asked(&phone).await, Answer::Accept, None).await.unwrap();
    let rejected = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    phone.respond(&asked(&phone).await, Answer::Reject, None).await.unwrap();
    let url = format!("{}/{}", topology.plan.postgres.rsplit_once('/').unwrap().0, topology.plan.database("trusonafication"));
    let db = Db::connect(&DbConfig::new(url)).await.unwrap();
    let jwks = tenant.backend.jwks().await.unwrap();
    verify_evidence(&tenant.backend.evidence(&accepted).await.unwrap(), &jwks, &Expected::accept().trusonafication(&accepted)).unwrap();
    // First a complete accept, then only the columns of an accept, then only its answer.
    let as_accepted = "UPDATE trusonafication SET status = 'accepted', decision = 'accept', accepted_level = 2, reject_reason = NULL \
                       WHERE status = 'rejected'";
    let with_receipt = "UPDATE trusonafication t SET receipt = a.receipt FROM trusonafication a WHERE a.id <> t.id";
    let with_answer = "UPDATE trusonafication t SET response = a.response FROM trusonafication a WHERE a.id <> t.id";
    let with_challenge = "UPDATE trusonafication t SET challenge = a.challenge FROM trusonafication a WHERE a.id <> t.id";
    for change in [as_accepted, with_receipt, with_answer, with_challenge] {
        db.execute(change).execute().await.unwrap();
        if let Ok(evidence) = tenant.backend.evidence(&rejected).await {
            assert!(verify_evidence(&evidence, &jwks, &Expected::accept().trusonafication(&rejected)).is_err(), "{change}");
        }
    }
}
