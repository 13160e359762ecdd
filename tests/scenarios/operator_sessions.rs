//! Operators list and end their own sessions. Owners list and end those of others.

use nodkey_client::ServiceName;
use nodkey_proto::registry::v1::{
    EndOperatorSessionRequest, ListAuditEntriesRequest, ListOperatorSessionsRequest, Role, audit_service_client::AuditServiceClient,
    operator_session_service_client::OperatorSessionServiceClient,
};
use serde_json::{Value, json};

use crate::{
    browser::Browser,
    operators::{enrolled, sign_in},
    world::World,
};

scenarios!(
    every_role_sees_and_ends_its_own_sessions_and_no_others,
    owners_and_the_operator_key_see_and_end_those_of_others,
    a_page_of_sessions_leads_to_the_next,
);

const LIST: &str = "registry.v1.OperatorSessionService/ListOperatorSessions";
const END: &str = "registry.v1.OperatorSessionService/EndOperatorSession";

async fn sessions(browser: &mut Browser, message: Value) -> Vec<Value> {
    let listed = browser.rpc(LIST, None, message).await;
    assert_eq!(listed.status, 200, "{}", listed.body);
    listed.body["sessions"].as_array().cloned().unwrap_or_default()
}

fn id(browser: &Browser) -> String {
    browser.session().split_once('.').unwrap().0.to_owned()
}

async fn is_signed_in(browser: &mut Browser) -> bool {
    !browser.get("/console/api/session").await.body["operator"].is_null()
}

async fn every_role_sees_and_ends_its_own_sessions_and_no_others(world: &World) {
    let (strange, _) = enrolled(world, "Grace", Role::Auditor).await;
    let mut stranger = sign_in(world, &strange).await;
    for role in [Role::Auditor, Role::Operator, Role::Owner] {
        let (phone, operator) = enrolled(world, "Ada", role).await;
        let (mut first, mut second) = (sign_in(world, &phone).await, sign_in(world, &phone).await);
        let listed = sessions(&mut second, json!({})).await;
        let of = |browser: &Browser| listed.iter().find(|session| session["id"] == json!(id(browser))).unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!((&of(&second)["current"], &of(&first)["current"]), (&json!(true), &Value::Null));
        for session in &listed {
            assert_eq!((&session["operatorId"], &session["clientAddress"]), (&json!(operator), &json!("127.0.0.1")));
            assert!(session["createdAt"].is_string() && session["seenAt"].is_string() && session["expiresAt"].is_string(), "{session}");
            assert!(session.get("secret").is_none());
        }
        // An operator cannot see the sessions of others.
        assert_eq!(stranger.rpc(LIST, None, json!({"operatorId": operator})).await.error, "NOT_FOUND");
        assert_eq!(stranger.rpc(END, None, json!({"id": id(&first)})).await.error, "NOT_FOUND");
        assert!(is_signed_in(&mut first).await);
        for _ in 0..2 {
            assert_eq!(second.rpc(END, None, json!({"id": id(&first)})).await.status, 200, "{role:?}");
        }
        assert!(!is_signed_in(&mut first).await && is_signed_in(&mut second).await);
        assert_eq!(sessions(&mut second, json!({})).await.len(), 1);
        // An operator may end their own current session, too.
        assert_eq!(second.rpc(END, None, json!({"id": id(&second)})).await.status, 200);
        assert!(!is_signed_in(&mut second).await);
        let mut log = AuditServiceClient::new(world.operator(None).channel(ServiceName::Registry));
        let request = ListAuditEntriesRequest { operator_id: operator, method: "EndOperatorSession".into(), ..Default::default() };
        let ended = log.list_audit_entries(request).await.unwrap().into_inner().entries;
        assert_eq!(ended.iter().filter(|entry| entry.outcome == "OK").count(), 3, "it is in the audit log");
    }
    assert!(is_signed_in(&mut stranger).await);
}

async fn owners_and_the_operator_key_see_and_end_those_of_others(world: &World) {
    let ((one, operator), (own, _)) = (enrolled(world, "Ada", Role::Auditor).await, enrolled(world, "Grace", Role::Owner).await);
    let (mut first, mut second, mut owner) = (sign_in(world, &one).await, sign_in(world, &one).await, sign_in(world, &own).await);
    let listed = sessions(&mut owner, json!({"operatorId": operator})).await;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|session| session.get("current").is_none()));
    assert_eq!(owner.rpc(END, None, json!({"id": id(&first)})).await.status, 200);
    assert!(!is_signed_in(&mut first).await && is_signed_in(&mut second).await);
    let key = world.operator(None).channel(ServiceName::Registry);
    let mut key = OperatorSessionServiceClient::new(key);
    let request = ListOperatorSessionsRequest { operator_id: operator, ..Default::default() };
    assert_eq!(key.list_operator_sessions(request).await.unwrap().into_inner().sessions.len(), 1);
    let request = EndOperatorSessionRequest { id: id(&second), ..Default::default() };
    key.end_operator_session(request).await.unwrap();
    assert!(!is_signed_in(&mut second).await);
    assert_eq!(owner.rpc(END, None, json!({"id": "018f4c1e-0000-7000-8000-000000000000"})).await.error, "NOT_FOUND");
}

async fn a_page_of_sessions_leads_to_the_next(world: &World) {
    let (phone, _) = enrolled(world, "Ada", Role::Operator).await;
    let mut browsers = Vec::new();
    for _ in 0..3 {
        browsers.push(sign_in(world, &phone).await);
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = browsers[0].rpc(LIST, None, json!({"pageSize": 2, "pageToken": token})).await.body;
        seen.extend(page["sessions"].as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap().to_owned()));
        page["nextPageToken"].as_str().unwrap_or_default().clone_into(&mut token);
        if token.is_empty() {
            break;
        }
    }
    let newest_first: Vec<_> = browsers.iter().rev().map(id).collect();
    assert_eq!(seen, newest_first);
}
