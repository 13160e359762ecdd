//! The operator console: operators are enrolled by a link, sign in with their phones, and use the same gRPC methods as everyone else. Every
//! action is written to the audit log.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use nodkey_client::{NewTrusonafication, ServiceName};
use nodkey_kernel::{
    id::RelyingPartyId,
    jose::{Algorithm, PrivateKey},
    random::Random,
};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::registry::v1::{
    AuditEntry, CreateCredentialRequest, GetRelyingPartyRequest, ListAuditEntriesRequest, ListRelyingPartiesRequest,
    RenewInvitationRequest, Role, audit_service_client::AuditServiceClient, credential_service_client::CredentialServiceClient,
    operator_service_client::OperatorServiceClient, relying_party_service_client::RelyingPartyServiceClient,
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    browser::Browser,
    confirmations::confirmed,
    http::{self, Answered},
    operators::{enrolled, invite, register, register_with, scan, sign_in, standing, ticket},
    software::store,
    world::{World, asked},
};

scenarios!(
    an_operator_is_enrolled_by_a_link_and_signs_in_with_the_phone,
    an_invitation_is_good_for_one_phone,
    each_role_may_do_what_it_may_and_no_more,
    a_disabled_operator_is_out_at_once_and_a_renewed_invitation_ends_the_phone_before,
    who_rejects_or_belongs_to_nobody_is_not_signed_in,
    a_sign_in_is_the_browsers_that_began_it_and_good_for_one_session,
    nobody_acts_for_the_consoles_own_relying_party,
    whatever_an_operator_does_is_in_the_audit_log_without_its_secrets,
    who_is_signed_out_gets_the_sign_in_at_any_address,
    pages_of_other_sites_are_refused,
    a_page_by_another_name_is_refused_and_nothing_else_asks_for_names,
    cookies_are_for_this_host_and_its_own_pages_alone,
    bad_calls_of_the_console_get_a_documented_error,
    a_large_stream_is_taken_from_known_sessions_alone,
    the_live_stream_tells_what_comes_and_what_becomes_of_it,
    the_status_names_every_service_once,
);

pub(super) async fn signed_in(world: &World, role: Role) -> Browser {
    sign_in(world, &enrolled(world, "Ada", role).await.0).await
}

async fn audit(world: &World, operator_id: &str) -> Vec<AuditEntry> {
    let mut log = AuditServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let request = ListAuditEntriesRequest { operator_id: operator_id.to_owned(), ..ListAuditEntriesRequest::default() };
    log.list_audit_entries(request).await.unwrap().into_inner().entries
}

const IMPORT: &str = "binding.v1.ImportService/ImportUsers";

fn refused(answer: &Answered) -> (u16, &str) {
    (answer.status, answer.error.as_str())
}

async fn an_operator_is_enrolled_by_a_link_and_signs_in_with_the_phone(world: &World) {
    let (phone, id) = enrolled(world, "Ada Lovelace", Role::Owner).await;
    let mut browser = Browser::new(&world.http);
    assert_eq!(browser.get("/console/api/session").await.body, json!({"operator": null}));
    assert_eq!(refused(&browser.rpc("registry.v1.RelyingPartyService/ListRelyingParties", None, json!({})).await).0, 401);
    let begun = browser.post("/console/api/sign_in", &json!({})).await;
    assert_eq!(standing(&mut browser, "").await, "WAITING");
    let scanned = phone.scan(begun.body["payload"].as_str().unwrap()).await.unwrap();
    let (standing_now, ()) = tokio::join!(standing(&mut browser, "WAITING"), async { phone.pair(&scanned, None).await.unwrap() });
    assert_eq!(standing_now, "SCANNED");
    let pending = asked(&phone).await;
    assert_eq!((pending.challenge.action.as_str(), pending.challenge.level), ("sign in", 2));
    let (standing_now, answer) = tokio::join!(standing(&mut browser, "SCANNED"), phone.respond(&pending, Decision::Accept, None));
    assert_eq!((standing_now.as_str(), answer.unwrap().outcome.as_str()), ("ACCEPTED", "ACCEPTED"));

    let session = browser.get("/console/api/session").await.body;
    assert_eq!(session["operator"], json!({"id": id, "name": "Ada Lovelace", "role": "owner"}));
    let tenant = world.tenant().await;
    let found = browser.rpc("registry.v1.RelyingPartyService/GetRelyingParty", None, json!({"id": tenant.id})).await;
    assert_eq!((found.status, &found.body["name"]), (200, &json!("Acme")));
    let devices = browser.rpc("registry.v1.DeviceService/ListDevices", Some(&tenant.id), json!({"pageSize": 5})).await;
    assert_eq!((devices.status, devices.body), (200, json!({})));

    let thief = browser.stolen();
    assert_eq!(browser.send(browser.request(Method::DELETE, "/console/api/session")).await.status, 204);
    for mut out in [browser, thief] {
        assert_eq!(out.get("/console/api/session").await.body, json!({"operator": null}), "what was held is worth nothing");
        assert_eq!(out.get("/console/api/status").await.status, 401);
    }
    let methods: Vec<_> = audit(world, &id).await.into_iter().map(|e| e.method.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(methods, ["EndOperatorSession", "ListDevices", "CreateOperatorSession", "AcceptInvitation"]);
}

async fn an_invitation_is_good_for_one_phone(world: &World) {
    let invitation = invite(world, "Ada", Role::Operator).await;
    let path = ticket(&invitation.link);
    let mut browser = Browser::new(&world.http);
    let ((_, one), (_, two)) = (register(world, &invitation.link).await, register(world, &invitation.link).await);
    let mut other = Browser::new(&world.http);
    let (first, second) = tokio::join!(browser.post(&path, &one), other.post(&path, &two));
    let mut both = [refused(&first), refused(&second)];
    both.sort_unstable();
    assert_eq!(both, [(204, ""), (404, "NOT_FOUND")]);
    let (same, late) = if first.status == 204 { (&one, &two) } else { (&two, &one) };
    assert_eq!(browser.post(&path, same).await.status, 204, "the same phone again");
    // A used invitation gets the same error as one that never existed, whatever is sent with it.
    let never = browser.get("/console/api/enrolments/x").await;
    let forged = json!({"device_identifier_jwt": "x.y.z"});
    for answer in [browser.get(&path).await, browser.post(&path, late).await, browser.post(&path, &forged).await] {
        assert_eq!((answer.status, &answer.body), (404, &never.body));
    }
    // A phone of a tenant's own app cannot be used for the console.
    let tenant = world.tenant().await;
    let foreign = json!({"device_identifier_jwt": tenant.registered().await.status().await.unwrap().device_identifier_jwt});
    let fresh = ticket(&invite(world, "Grace", Role::Operator).await.link);
    for wrong in [&foreign, &forged] {
        assert_eq!(refused(&browser.post(&fresh, wrong).await), (422, "VALIDATION_FAILED"));
    }
    for wrong in ["/console/api/enrolments/x", &format!("{fresh}x")] {
        assert_eq!(refused(&browser.get(wrong).await), (404, "NOT_FOUND"));
    }
}

async fn each_role_may_do_what_it_may_and_no_more(world: &World) {
    let tenant = world.tenant().await;
    let list = "registry.v1.RelyingPartyService/ListRelyingParties";
    let create = "registry.v1.RelyingPartyService/CreateRelyingParty";
    let invite = "registry.v1.OperatorService/InviteOperator";
    let disable = "registry.v1.RelyingPartyService/DisableRelyingParty";
    for (role, acts, owns) in [(Role::Auditor, false, false), (Role::Operator, true, false), (Role::Owner, true, true)] {
        let mut browser = signed_in(world, role).await;
        let mut may = async |method: &str, message: Value| match browser.rpc(method, None, message).await {
            answer if answer.status == 200 || answer.error == "CONFIRMATION_REQUIRED" => true,
            answer => {
                assert_eq!(refused(&answer), (403, "NOT_ALLOWED"), "{role:?} {method}");
                false
            }
        };
        assert!(may(list, json!({})).await);
        assert_eq!(may(create, json!({"name": "Shop"})).await, acts);
        assert_eq!(may(invite, json!({"name": "Grace", "role": "ROLE_AUDITOR"})).await, owns);
        assert_eq!(may(disable, json!({"id": tenant.id})).await, owns);
    }
}

async fn a_disabled_operator_is_out_at_once_and_a_renewed_invitation_ends_the_phone_before(world: &World) {
    let (owners, own) = enrolled(world, "Ada", Role::Owner).await;
    let mut owner = sign_in(world, &owners).await;
    let service = |verb: &str| format!("registry.v1.OperatorService/{verb}");
    for (verb, message) in [("DisableOperator", json!({"id": own})), ("UpdateOperator", json!({"id": own, "role": "ROLE_AUDITOR"}))] {
        assert_eq!(refused(&confirmed(&mut owner, &owners, &service(verb), None, message).await), (403, "NOT_YOURSELF"));
    }
    let (phone, id) = enrolled(world, "Grace", Role::Operator).await;
    let mut grace = sign_in(world, &phone).await;
    let changed = confirmed(&mut owner, &owners, &service("UpdateOperator"), None, json!({"id": id, "role": "ROLE_AUDITOR"})).await;
    assert_eq!((changed.status, &changed.body["role"]), (200, &json!("ROLE_AUDITOR")));
    let create = "registry.v1.RelyingPartyService/CreateRelyingParty";
    assert_eq!(refused(&grace.rpc(create, None, json!({"name": "Shop"})).await), (403, "NOT_ALLOWED"), "from the next call on");

    let renewed = confirmed(&mut owner, &owners, &service("RenewInvitation"), None, json!({"id": id})).await;
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    assert_eq!(grace.get("/console/api/status").await.status, 401, "the session ended");
    assert_eq!(phone.wait(Duration::ZERO).await.unwrap_err().status(), Some(403), "the phone is dead");
    let link = renewed.body["link"].as_str().unwrap();
    let (phone, jwt) = register(world, link).await;
    assert_eq!(Browser::new(&world.http).post(&ticket(link), &jwt).await.status, 204);
    let mut grace = sign_in(world, &phone).await;

    let disabled = confirmed(&mut owner, &owners, &service("DisableOperator"), None, json!({"id": id})).await;
    assert_eq!((disabled.status, &disabled.body["state"]), (200, &json!("OPERATOR_STATE_DISABLED")));
    assert_eq!(grace.get("/console/api/session").await.body, json!({"operator": null}));
    let renewed = confirmed(&mut owner, &owners, &service("RenewInvitation"), None, json!({"id": id})).await;
    assert_eq!(refused(&renewed), (403, "OPERATOR_DISABLED"));
}

async fn who_rejects_or_belongs_to_nobody_is_not_signed_in(world: &World) {
    let (phone, _) = enrolled(world, "Ada", Role::Owner).await;
    let mut browser = Browser::new(&world.http);
    scan(&mut browser, &phone).await;
    phone.respond(&asked(&phone).await, Decision::Reject, None).await.unwrap();
    assert_eq!(standing(&mut browser, "SCANNED").await, "REJECTED");
    assert_eq!(browser.get("/console/api/session").await.body, json!({"operator": null}));
    // A phone that registered and was never enrolled gets no prompt, and the browser gets the refusal.
    let (nobodys, _) = register(world, &invite(world, "Grace", Role::Owner).await.link).await;
    scan(&mut browser, &nobodys).await;
    assert_eq!(standing(&mut browser, "").await, "REFUSED");
    assert_eq!(nobodys.wait(Duration::ZERO).await.unwrap_err().status(), Some(403));
    // Possession of the phone alone is not enough.
    let link = invite(world, "Hedy", Role::Owner).await.link;
    let keyless = store(&PrivateKey::generate(Algorithm::Es256, &Random::system()), &[]);
    let (present, jwt) = register_with(world, &link, keyless).await;
    assert_eq!(browser.post(&ticket(&link), &jwt).await.status, 204);
    scan(&mut browser, &present).await;
    present.respond(&asked(&present).await, Decision::Accept, None).await.unwrap();
    assert_eq!(standing(&mut browser, "SCANNED").await, "REFUSED");
    assert_eq!(standing(&mut Browser::new(&world.http), "").await, "EXPIRED", "a browser that began nothing");
}

async fn a_sign_in_is_the_browsers_that_began_it_and_good_for_one_session(world: &World) {
    let (phone, _) = enrolled(world, "Ada", Role::Owner).await;
    let mut browser = Browser::new(&world.http);
    scan(&mut browser, &phone).await;
    let mut thief = browser.stolen();
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    assert_eq!(standing(&mut browser, "SCANNED").await, "ACCEPTED");
    assert_eq!(standing(&mut thief, "SCANNED").await, "EXPIRED", "one accept, one session");
    assert_eq!(thief.get("/console/api/session").await.body, json!({"operator": null}));
}

async fn nobody_acts_for_the_consoles_own_relying_party(world: &World) {
    let console = RelyingPartyId::CONSOLE.to_string();
    let key = world.operator(Some(&console));
    let refusal = key.create_trusonafication(NewTrusonafication::user("ada", "a", "r")).await.unwrap_err();
    assert_eq!(refusal.reason, "RELYING_PARTY_REQUIRED");
    let key = world.operator(None).channel(ServiceName::Registry);
    let mut credentials = CredentialServiceClient::new(key.clone());
    let request = CreateCredentialRequest { relying_party_id: console.clone(), kind: 1, ..CreateCredentialRequest::default() };
    let refusal = nodkey_client::Error::from(credentials.create_credential(request).await.unwrap_err());
    assert_eq!(refusal.reason, "NOT_FOUND");
    let mut parties = RelyingPartyServiceClient::new(key);
    assert!(parties.get_relying_party(GetRelyingPartyRequest { id: console.clone() }).await.is_err());
    let mut page = ListRelyingPartiesRequest { page_size: 500, ..ListRelyingPartiesRequest::default() };
    loop {
        let listed = parties.list_relying_parties(page).await.unwrap().into_inner();
        assert!(listed.relying_parties.iter().all(|party| party.id != console), "it is no tenant");
        page = ListRelyingPartiesRequest { page_size: 500, page_token: listed.next_page_token };
        if page.page_token.is_empty() {
            break;
        }
    }
    let mut owner = signed_in(world, Role::Owner).await;
    let answer = owner.rpc("binding.v1.BindingService/ListBindings", Some(&console), json!({})).await;
    assert_eq!(refused(&answer), (422, "RELYING_PARTY_REQUIRED"));
}

async fn whatever_an_operator_does_is_in_the_audit_log_without_its_secrets(world: &World) {
    let tenant = world.tenant().await;
    let (phone, id) = enrolled(world, "Ada", Role::Operator).await;
    let mut browser = sign_in(world, &phone).await;
    let done = browser.rpc("registry.v1.CredentialService/CreateCredential", Some(&tenant.id), json!({"kind": "CREDENTIAL_KIND_MOBILE"}));
    assert_eq!(done.await.status, 200);
    let apns = json!({"apns": {"teamId": "TEAMTEAM12", "keyId": "KEYKEYKEY1", "privateKey": "TOP SECRET", "topic": "com.example"}});
    let put = browser.rpc("notification.v1.PushConfigurationService/PutPushConfiguration", Some(&tenant.id), apns).await;
    assert_eq!(refused(&put), (422, "VALIDATION_FAILED"));
    assert_eq!(browser.rpc("registry.v1.OperatorService/InviteOperator", None, json!({"name": "x"})).await.status, 403);
    assert_eq!(browser.rpc("registry.v1.CredentialService/ListCredentials", Some(&tenant.id), json!({})).await.status, 200);
    let entries = audit(world, &id).await;
    let told: Vec<_> = entries.iter().map(|e| (e.method.rsplit('/').next().unwrap(), e.outcome.as_str())).collect();
    let expected = [
        ("InviteOperator", "NOT_ALLOWED"),
        ("PutPushConfiguration", "VALIDATION_FAILED"),
        ("CreateCredential", "OK"),
        ("CreateOperatorSession", "OK"),
        ("AcceptInvitation", "OK"),
    ];
    assert_eq!(told, expected, "what was read of nobody is no action");
    assert!(entries.iter().skip(1).take(2).all(|e| e.relying_party_id == tenant.id && e.actor == "Ada" && e.role == "operator"));
    assert!(entries[1].request.contains("TEAMTEAM12") && !entries[1].request.contains("TOP SECRET"));
    assert_eq!(entries[2].trace_id.len(), 32);

    let mut log = AuditServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let request = ListAuditEntriesRequest { relying_party_id: tenant.id.clone(), method: "CreateCredential".into(), ..Default::default() };
    let of_tenant = log.list_audit_entries(request).await.unwrap().into_inner().entries;
    let actors: Vec<_> = of_tenant.iter().map(|e| e.actor.as_str()).collect();
    assert_eq!(actors, ["Ada", "operator key", "operator key"], "by whatever door");
}

async fn who_is_signed_out_gets_the_sign_in_at_any_address(world: &World) {
    let operator = signed_in(world, Role::Auditor).await;
    for path in ["/console", "/console/users?rp=x"] {
        for (browser, script) in [(&Browser::new(&world.http), "signed_out.js"), (&operator, "app.js")] {
            let page = browser.request(Method::GET, path).send().await.unwrap();
            assert_eq!(page.status(), 200);
            // Caches must keep the two pages apart.
            assert!(page.headers().get_all("vary").iter().any(|vary| vary == "cookie"), "{:?}", page.headers());
            let html = page.text().await.unwrap();
            assert!(html.contains(&format!("<script type=\"module\" src=\"/assets/console/{script}\">")), "{html}");
        }
    }
}

async fn pages_of_other_sites_are_refused(world: &World) {
    let mut browser = signed_in(world, Role::Owner).await;
    let path = "/console/api/rpc/nodkey.registry.v1.RelyingPartyService/CreateRelyingParty";
    let body = json!({"name": "Evil"}).to_string();
    for site in ["cross-site", "same-site", "none"] {
        let request = browser.request(Method::POST, path).header("Content-Type", "application/json").body(body.clone());
        let request = request.build().map(|mut built| {
            built.headers_mut().insert("sec-fetch-site", site.parse().unwrap());
            built
        });
        let response = reqwest::Client::new().execute(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 403, "{site}");
    }
    for kind in ["text/plain", "text/plain; application/json", "application/json-seq", "application/json; charset=utf-8", ""] {
        let form = browser.request(Method::POST, path).header("Content-Type", kind).body(body.clone());
        assert_eq!(refused(&browser.send(form).await), (403, "NOT_SAME_ORIGIN"), "{kind}");
    }
    let own = browser.request(Method::POST, path).header("Content-Type", "application/json").body(body);
    assert_eq!(browser.send(own).await.status, 200);
}

/// DNS rebinding: to the browser, a page by a name that resolves to this server has the same origin as this server. The name gives it away.
async fn a_page_by_another_name_is_refused_and_nothing_else_asks_for_names(world: &World) {
    let client = reqwest::Client::builder().http1_only().build().unwrap();
    let status = async |path: &str, host: &str| {
        let answer = client.get(format!("{}{path}", world.http)).header("Host", host).send().await.unwrap();
        answer.status().as_u16()
    };
    for path in ["/console", "/console/operators", "/console/phone", "/console/api/session"] {
        assert_eq!(status(path, "localhost:7070").await, 200, "{path}");
        for host in ["evil.example", "evil.example:443", "127.0.0.1.evil.example"] {
            assert_eq!(status(path, host).await, 421, "{path} {host}");
        }
    }
    for path in ["/jwks", "/readyz", "/assets/design.css"] {
        assert_eq!(status(path, "evil.example").await, 200, "{path}");
    }
}

async fn cookies_are_for_this_host_and_its_own_pages_alone(world: &World) {
    let request = Browser::new(&world.http).request(Method::POST, "/console/api/sign_in").header("Content-Type", "application/json");
    let response = request.body("{}").send().await.unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    assert!(["HttpOnly", "SameSite=Strict", "Path=/"].iter().all(|attribute| cookie.contains(attribute)), "{cookie}");
    let secure = world.http.starts_with("https:");
    assert_eq!((cookie.contains("Secure"), cookie.starts_with("__Host-")), (secure, secure), "{cookie}");
    assert!(!cookie.contains("Domain"), "{cookie}");
}

/// In a deployment of its own, because all tests share an address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_invented_are_nobodys_and_count_against_their_address() {
    let world = World::embedded().await;
    let mut browser = signed_in(&world, Role::Owner).await;
    let list = "registry.v1.RelyingPartyService/ListRelyingParties";
    assert_eq!(browser.rpc(list, None, json!({})).await.status, 200);
    let invented = async |n: u32| {
        let cookie = format!("nodkey_session={}.{n}; __Host-nodkey_session={0}.{n}", Uuid::from_u128(n.into()));
        let request = Client::new().post(format!("{}/console/api/rpc/nodkey.{list}", world.http));
        let request = request.header("Cookie", cookie).header("Content-Type", "application/json").body("{}");
        http::read(request.send().await.unwrap()).await.status
    };
    let answers: Vec<_> = stream::iter(0..200).map(invented).buffered(16).collect().await;
    assert!(answers.iter().all(|status| matches!(status, 401 | 429)), "{answers:?}");
    assert_eq!(answers.last(), Some(&429));
    assert_eq!(browser.rpc(list, None, json!({})).await.status, 200, "who is signed in goes on");
}

async fn bad_calls_of_the_console_get_a_documented_error(world: &World) {
    let mut browser = signed_in(world, Role::Owner).await;
    let list = "registry.v1.RelyingPartyService/ListRelyingParties";
    for (method, party, message, expected) in [
        ("registry.v1.RelyingPartyService/Nothing", None, json!({}), (404, "NOT_FOUND")),
        ("nothing.v1.Service/Method", None, json!({}), (404, "NOT_FOUND")),
        (IMPORT, None, json!({}), (400, "MALFORMED_JSON")),
        (IMPORT, None, json!([{"rows": []}, {"rows": [{"line": "x"}]}]), (400, "MALFORMED_JSON")),
        (IMPORT, None, json!([{"rows": [{"userIdentifier": "x".repeat(64 << 10)}]}]), (413, "BODY_TOO_LARGE")),
        (list, None, json!({"nonsense": 1}), (400, "MALFORMED_JSON")),
        (list, None, json!({"pageSize": 501}), (422, "VALIDATION_FAILED")),
        (list, Some("nonsense"), json!({}), (422, "VALIDATION_FAILED")),
        ("registry.v1.DeviceService/ListDevices", None, json!({}), (422, "RELYING_PARTY_REQUIRED")),
        ("registry.v1.SigningKeyService/Sign", None, json!({}), (403, "NOT_ALLOWED")),
    ] {
        assert_eq!(refused(&browser.rpc(method, party, message).await), expected, "{method}");
    }
    assert_eq!(refused(&browser.get("/console/api/sign_in?wait=61").await), (422, "VALIDATION_FAILED"));
    let renew = RenewInvitationRequest { id: "x".into() };
    let mut operators = OperatorServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    assert_eq!(nodkey_client::Error::from(operators.renew_invitation(renew).await.unwrap_err()).reason, "NOT_FOUND");
}

async fn a_large_stream_is_taken_from_known_sessions_alone(world: &World) {
    let tenant = world.tenant().await;
    let mut browser = signed_in(world, Role::Operator).await;
    let rows = |n: i32| json!({"rows": (0..n).map(|line| json!({"line": line, "userIdentifier": "ada"})).collect::<Vec<_>>()});
    let messages = json!(vec![rows(1_000); 3]);
    assert!(messages.to_string().len() > 64 << 10);
    let answer = browser.rpc("registry.v1.DeviceService/ListDevices", Some(&tenant.id), json!({})).await;
    assert_eq!(answer.status, 200, "the session is known now");
    let answer = browser.rpc(IMPORT, Some(&tenant.id), messages.clone()).await;
    assert_eq!(refused(&answer), (424, "CONFIRMATION_REQUIRED"), "it was taken");
    assert_eq!(refused(&browser.rpc(IMPORT, Some(&tenant.id), json!("x".repeat(8 << 20))).await), (413, "BODY_TOO_LARGE"));
    let list = "registry.v1.RelyingPartyService/ListRelyingParties";
    assert_eq!(refused(&browser.rpc(list, None, json!({"pageToken": "x".repeat(64 << 10)})).await), (413, "BODY_TOO_LARGE"));
    let cookie = format!("nodkey_session={}.x; __Host-nodkey_session={0}.x", Uuid::from_u128(7));
    let request = Client::new().post(format!("{}/console/api/rpc/nodkey.{IMPORT}", world.http)).header("Cookie", cookie);
    let request = request.header("Content-Type", "application/json").body(messages.to_string());
    assert_eq!(refused(&http::read(request.send().await.unwrap()).await), (413, "BODY_TOO_LARGE"), "nobody knows this one");
}

async fn the_live_stream_tells_what_comes_and_what_becomes_of_it(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let browser = signed_in(world, Role::Auditor).await;
    let mut live = browser.stream("trusonafication.v1.TrusonaficationService/WatchTrusonafications", &tenant.id).await;
    let created = tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme")).await.unwrap().trusonafication;
    let told = live.next().await;
    assert_eq!((&told["id"], &told["status"]), (&json!(created.id), &json!("STATUS_IN_PROGRESS")));
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    let told = live.next().await;
    assert_eq!((&told["id"], &told["status"]), (&json!(created.id), &json!("STATUS_ACCEPTED")));
    // Events of another tenant are not in the stream: the next one is this tenant's.
    let other = world.tenant().await;
    other.active("bob").await;
    other.backend.create_trusonafication(NewTrusonafication::user("bob", "log in", "Other")).await.unwrap();
    let next = tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "log in", "again")).await.unwrap();
    assert_eq!(live.next().await["id"], json!(next.trusonafication.id));
}

async fn the_status_names_every_service_once(world: &World) {
    let mut browser = signed_in(world, Role::Auditor).await;
    let status = browser.get("/console/api/status").await;
    let processes = status.body["processes"].as_array().unwrap();
    let mut services: Vec<_> = processes.iter().flat_map(|p| p["services"].as_array().unwrap()).map(|s| s.as_str().unwrap()).collect();
    services.sort_unstable();
    assert_eq!(services, ["binding", "gateway", "notification", "registry", "trusonafication"]);
    for process in processes {
        assert_eq!((&process["ready"], &process["problems"]), (&json!(true), &json!([])), "{}", process["services"]);
        assert!(process["metrics"].as_str().unwrap().contains("# TYPE"));
    }
}
