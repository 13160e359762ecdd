//! A repeated call has no second effect. Of two different answers, one counts.

use nodkey_client::{NewTrusonafication, ServiceName};
use nodkey_mobile_sdk::{Decision, Outcome};
use nodkey_proto::{
    binding::v1::{CreateBindingRequest, binding_service_client::BindingServiceClient},
    trusonafication::v1::ListTrusonaficationsRequest,
};
use reqwest::Method;

use crate::{
    http,
    world::{World, asked},
};

scenarios!(
    the_same_answer_again_gets_the_same_result,
    of_two_phones_that_race_one_wins_and_the_other_is_told,
    a_create_with_the_same_request_id_is_one_create,
    an_idempotency_key_is_one_create_over_http,
);

fn log_in() -> NewTrusonafication {
    NewTrusonafication::user("ada", "log in", "Acme")
}

async fn the_same_answer_again_gets_the_same_result(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
    let pending = asked(&phone).await;
    for _ in 0..3 {
        assert_eq!(phone.respond(&pending, Decision::Accept, None).await.unwrap().outcome, Outcome::Accepted);
    }
    let refused = phone.respond(&pending, Decision::Reject, None).await.unwrap_err();
    assert_eq!((refused.status(), refused.reason()), (Some(409), "ALREADY_COMPLETED"));
    assert_eq!(tenant.backend.trusonafication(&id).await.unwrap().version, 2, "one change, however often it was answered");
}

async fn of_two_phones_that_race_one_wins_and_the_other_is_told(world: &World) {
    let tenant = world.tenant().await;
    let (one, two) = (tenant.active("ada").await, tenant.active("ada").await);
    for round in 0..5 {
        let id = tenant.backend.create_trusonafication(log_in()).await.unwrap().trusonafication.id;
        let (first, second) = tokio::join!(asked(&one), asked(&two));
        let (first, second) = tokio::join!(one.respond(&first, Decision::Accept, None), two.respond(&second, Decision::Reject, None));
        let winner = match (first, second) {
            (Ok(_), Err(e)) if e.status() == Some(409) => one.device_identifier().as_str(),
            (Err(e), Ok(_)) if e.status() == Some(409) => two.device_identifier().as_str(),
            other => panic!("round {round}: one wins and one is told: {other:?}"),
        };
        let done = tenant.backend.wait(&id).await.unwrap();
        assert_eq!((done.version, done.result.unwrap().device_identifier.as_str()), (2, winner));
    }
}

async fn a_create_with_the_same_request_id_is_one_create(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let again = || tenant.backend.create_trusonafication(log_in().request_id("r-1"));
    let (first, second) = tokio::join!(again(), again());
    assert_eq!(first.unwrap().trusonafication.id, second.unwrap().trusonafication.id);
    let other = NewTrusonafication::user("ada", "pay", "90 EUR").request_id("r-1");
    assert_eq!(tenant.backend.create_trusonafication(other).await.unwrap_err().reason, "REQUEST_ID_REUSED");
    let all = tenant.backend.list_trusonafications(ListTrusonaficationsRequest::default()).await.unwrap().trusonafications;
    assert_eq!(all.len(), 1);

    let mut bindings = BindingServiceClient::new(tenant.backend.channel(ServiceName::Binding));
    let request =
        |device: &str| CreateBindingRequest { request_id: "b-1".into(), user_identifier: "ada".into(), device_identifier: device.into() };
    let first = bindings.create_binding(request(phone.device_identifier().as_str())).await.unwrap().into_inner();
    assert_eq!(bindings.create_binding(request(phone.device_identifier().as_str())).await.unwrap().into_inner(), first);
    assert_eq!(bindings.create_binding(request(&"d".repeat(43))).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}

async fn an_idempotency_key_is_one_create_over_http(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let create = async |body: &str| {
        let key = [("Idempotency-Key", "k-1")];
        http::backend_with(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications", body, &key).await
    };
    let body = r#"{"user_identifier":"ada","action":"log in","resource":"Acme","desired_level":2}"#;
    let first = create(body).await;
    assert_eq!(first.status, 201);
    assert_eq!(create(body).await.body["id"], first.body["id"]);
    let other = create(r#"{"user_identifier":"ada","action":"pay","resource":"Acme","desired_level":2}"#).await;
    assert_eq!((other.status, other.error.as_str()), (422, "IDEMPOTENCY_MISMATCH"));
}
