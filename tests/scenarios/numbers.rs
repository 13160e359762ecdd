//! Numbers that a person has to match, the request context shown beside them, and attackers who guess or deceive.

use nodkey_client::{Expected, Kind, NewTrusonafication, ServiceName, is_success};
use nodkey_mobile_sdk::{Decision, Error as PhoneError, NumberMatch as PhoneMatch, software::SoftwareKeyStore};
use nodkey_proto::{
    registry::v1::{
        GetDeviceRequest, PromptSettings, TruCodeSettings, UpdateRelyingPartyRequest, device_service_client::DeviceServiceClient,
        relying_party_service_client::RelyingPartyServiceClient,
    },
    trusonafication::v1::{NumberMatch, RequestContext},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::{
    http,
    world::{SoftPhone, Tenant, World, asked},
};

scenarios!(
    three_wrong_numbers_end_a_code_and_lengthen_the_users_pause,
    six_digits_go_to_phones_that_say_they_take_them_and_two_to_others,
    a_second_prompt_comes_with_a_number_unless_the_caller_cannot_show_it,
    the_phone_is_shown_who_asks_from_where_and_evidence_says_so,
    text_that_hides_or_reorders_is_refused_wherever_people_are_shown_it,
    a_phones_word_alone_says_what_it_can_do,
);

fn by_name() -> NewTrusonafication {
    NewTrusonafication::user("ada", "log in", "Acme")
}

pub(super) async fn update(world: &World, tenant: &Tenant, change: UpdateRelyingPartyRequest) {
    let mut parties = RelyingPartyServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    parties.update_relying_party(UpdateRelyingPartyRequest { id: tenant.id.clone(), ..change }).await.unwrap();
}

/// Creates a code, as a page does.
pub(super) async fn code(world: &World, tenant: &Tenant) -> Value {
    let body = json!({"relying_party_id": tenant.id});
    let made = Client::new().post(format!("{}/api/v2/trucodes", world.http)).json(&body).send().await.unwrap();
    made.json().await.unwrap()
}

pub(super) fn refused<T: std::fmt::Debug>(answer: Result<T, PhoneError>) -> (u16, String) {
    let error = answer.unwrap_err();
    let status = error.status().unwrap_or_else(|| panic!("refused, not {error}"));
    (status, error.reason().to_owned())
}

async fn three_wrong_numbers_end_a_code_and_lengthen_the_users_pause(world: &World) {
    let tenant = world.tenant_of("Acme", false).await;
    let trucodes = Some(TruCodeSettings { match_number: true, ..TruCodeSettings::default() });
    update(world, &tenant, UpdateRelyingPartyRequest { trucodes, ..UpdateRelyingPartyRequest::default() }).await;
    let phone = tenant.active("ada").await;
    let made = code(world, &tenant).await;
    let right = made["match_number"].as_str().unwrap();
    let scanned = phone.scan(made["payload"].as_str().unwrap()).await.unwrap();
    let wrong: Vec<_> = (10..100).map(|n| n.to_string()).filter(|n| n != right).take(3).collect();
    // The page waits all the while, and gets the end of its code immediately.
    let status = format!("/api/v2/trucodes/{}", made["id"].as_str().unwrap());
    let (waited, ()) = tokio::join!(http::nobody(&world.http, Method::GET, &status, ""), async {
        for (n, number) in wrong.iter().enumerate() {
            let expected = if n < 2 { (422, "NUMBER_MISMATCH") } else { (410, "TOO_MANY_WRONG_NUMBERS") };
            let (status, reason) = refused(phone.pair(&scanned, Some(number)).await);
            assert_eq!((status, reason.as_str()), expected);
        }
    });
    assert_eq!((waited.status, &waited.body["paired"]), (200, &json!(false)));
    assert_eq!(refused(phone.pair(&scanned, Some(right)).await), (410, "TOO_MANY_WRONG_NUMBERS".into()), "the right one comes too late");
    assert_eq!(refused(phone.scan(made["payload"].as_str().unwrap()).await), (410, "TOO_MANY_WRONG_NUMBERS".into()));

    let budget = http::backend(&world.http, &tenant.server, Method::GET, "/api/v2/users/ada/prompts", "").await.body;
    assert_eq!((&budget["strikes"], &budget["wrong_numbers"]), (&json!(3), &json!(3)));
    assert_eq!(tenant.backend.create_trusonafication(by_name()).await.unwrap_err().reason, "PROMPT_BUDGET_EXHAUSTED");
    // The user can still sign in by themselves.
    let made = code(world, &tenant).await;
    let scanned = phone.scan(made["payload"].as_str().unwrap()).await.unwrap();
    phone.pair(&scanned, made["match_number"].as_str()).await.unwrap();
    let own = NewTrusonafication::trucode(made["id"].as_str().unwrap(), "log in", "Acme");
    let id = tenant.backend.create_trusonafication(own).await.unwrap().trusonafication.id;
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    assert!(is_success(&tenant.backend.wait(&id).await.unwrap()));
}

/// A phone with an older app, which states no capabilities.
async fn old_phone(tenant: &Tenant, user: &str) -> SoftPhone {
    let keys = SoftwareKeyStore::generate();
    let phone = tenant.phone_with(keys);
    phone.register("a phone").await.unwrap();
    tenant.activate(user, &phone).await;
    phone.set_capabilities(&[]).await.unwrap();
    phone
}

async fn six_digits_go_to_phones_that_say_they_take_them_and_two_to_others(world: &World) {
    let tenant = world.tenant_of("Acme", false).await;
    let phone = tenant.active("ada").await;
    let enter = || by_name().number_match(NumberMatch::Enter);
    let created = tenant.backend.create_trusonafication(enter()).await.unwrap();
    let number = created.match_number.unwrap();
    let pending = asked(&phone).await;
    assert_eq!((number.len(), &pending.challenge.number_match), (6, &Some(PhoneMatch::Enter { digits: 6 })));
    phone.respond(&pending, Decision::Accept, Some(&number)).await.unwrap();
    assert!(is_success(&tenant.backend.wait(&created.trusonafication.id).await.unwrap()));
    tenant.prove(&created.trusonafication.id, &Expected::accept()).await.unwrap();

    // One number is shown, so all prompted phones must support it.
    let old = old_phone(&tenant, "ada").await;
    let created = tenant.backend.create_trusonafication(enter()).await.unwrap();
    let number = created.match_number.unwrap();
    let pending = asked(&old).await;
    assert_eq!((number.len(), &pending.challenge.number_match), (2, &Some(PhoneMatch::Enter { digits: 2 })));
    old.respond(&pending, Decision::Accept, Some(&number)).await.unwrap();

    // If two digits are not enough, only phones that support six are prompted. Settings of before would be remembered for five seconds.
    let tenant = world.tenant_of("Acme", false).await;
    let prompts = Some(PromptSettings { require_six_digits: true, ..PromptSettings::default() });
    update(world, &tenant, UpdateRelyingPartyRequest { prompts, ..UpdateRelyingPartyRequest::default() }).await;
    let (phone, old) = (tenant.active("ada").await, old_phone(&tenant, "ada").await);
    let created = tenant.backend.create_trusonafication(enter()).await.unwrap();
    assert_eq!(created.match_number.as_ref().map(String::len), Some(6));
    assert!(old.wait(std::time::Duration::ZERO).await.unwrap().is_empty());
    phone.respond(&asked(&phone).await, Decision::Accept, created.match_number.as_deref()).await.unwrap();
    let to_old = NewTrusonafication::device(old.device_identifier().as_str(), "log in", "Acme").number_match(NumberMatch::Enter);
    let refused = tenant.backend.create_trusonafication(to_old).await.unwrap_err();
    assert_eq!((refused.kind, refused.reason.as_str()), (Kind::Precondition, "NO_SIX_DIGITS"));
    let body =
        json!({"device_identifier": old.device_identifier().as_str(), "action": "a", "resource": "r", "number_match": "enter"}).to_string();
    let refused = http::backend(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications", &body).await;
    assert_eq!((refused.status, refused.error.as_str()), (424, "NO_SIX_DIGITS"));
    let refused = tenant.backend.create_trusonafication(by_name().number_match(NumberMatch::Choose)).await.unwrap_err();
    assert_eq!((refused.kind, refused.field_violations[0].field.as_str()), (Kind::Invalid, "number_match"));
}

async fn a_second_prompt_comes_with_a_number_unless_the_caller_cannot_show_it(world: &World) {
    let tenant = world.tenant_of("Acme", false).await;
    let phone = tenant.active("ada").await;
    assert_eq!(tenant.backend.create_trusonafication(by_name()).await.unwrap().match_number, None);
    // The way Trusona's SDKs create it, which show no number.
    let body = |more: Value| {
        let mut body = json!({"user_identifier": "ada", "action": "log in", "resource": "Acme"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let post = async |body: String| http::backend(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications", &body).await;
    let old = post(body(json!({}))).await;
    assert_eq!((old.status, old.body.get("match_number")), (201, None));
    let new = post(body(json!({"request_context": {"address": "203.0.113.7"}}))).await;
    let number = new.body["match_number"].as_str().unwrap();
    assert_eq!((new.status, number.len()), (201, 6));
    let shown = phone.wait(std::time::Duration::ZERO).await.unwrap();
    let matched: Vec<_> = shown.iter().map(|pending| pending.challenge.number_match.is_some()).collect();
    assert_eq!(matched, [false, false, true]);
    phone.respond(&shown[2], Decision::Accept, Some(number)).await.unwrap();
    assert!(is_success(&tenant.backend.wait(shown[2].id.as_str()).await.unwrap()));
}

async fn the_phone_is_shown_who_asks_from_where_and_evidence_says_so(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let from = RequestContext { address: "203.0.113.7".into(), browser: "Firefox on Linux".into(), place: "Berlin".into() };
    let created = tenant.backend.create_trusonafication(by_name().request_context(from.clone())).await.unwrap().trusonafication;
    assert_eq!(created.request_context, Some(from));
    let pending = asked(&phone).await;
    let shown = pending.challenge.request_context.as_ref().unwrap();
    assert_eq!(shown.describe(), "Firefox on Linux, Berlin, 203.0.113.7");
    phone.respond(&pending, Decision::Accept, None).await.unwrap();
    let proven = tenant.prove(&created.id, &Expected::accept()).await.unwrap();
    assert_eq!(proven.challenge.request_context.unwrap().describe(), shown.describe());
    // Without a context none is shown, and an invalid one is refused.
    tenant.backend.create_trusonafication(by_name()).await.unwrap();
    let pending = asked(&phone).await;
    assert_eq!(pending.challenge.request_context, None);
    for (member, text) in [("address", "localhost"), ("browser", "Fire\u{202E}fox"), ("place", "\u{200B}"), ("browser", &"x".repeat(256))] {
        let body = json!({"user_identifier": "ada", "action": "a", "resource": "r", "request_context": {member: text}}).to_string();
        let refused = http::backend(&world.http, &tenant.server, Method::POST, "/api/v2/trusonafications", &body).await;
        assert_eq!(refused.status, 422, "{member}");
        assert!(refused.body["field_errors"].get(format!("request_context.{member}")).is_some(), "{}", refused.body);
    }
}

async fn text_that_hides_or_reorders_is_refused_wherever_people_are_shown_it(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut parties = RelyingPartyServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    for bad in ["Acme\u{202E}", "Ac\u{200B}me", "Acme\u{2066}", "Acme\u{2028}", "\u{FEFF}Acme", "Acme\u{E0041}", "\u{3164}"] {
        for (action, resource, field) in [(bad, "r", "action"), ("a", bad, "resource")] {
            let refused = tenant.backend.create_trusonafication(NewTrusonafication::user("ada", action, resource)).await.unwrap_err();
            assert_eq!((refused.kind, refused.field_violations[0].field.as_str()), (Kind::Invalid, field), "{bad:?}");
        }
        let rename = UpdateRelyingPartyRequest { id: tenant.id.clone(), name: Some(bad.into()), ..UpdateRelyingPartyRequest::default() };
        assert_eq!(parties.update_relying_party(rename).await.unwrap_err().code(), tonic::Code::InvalidArgument, "{bad:?}");
        assert_eq!(refused(tenant.phone_with(SoftwareKeyStore::generate()).register(bad).await).0, 422, "{bad:?}");
    }
    // Joiners in letters and emoji are kept, and custom fields are the backend's own.
    let fields = json!({"memo": "90 EUR\u{202E}"}).as_object().unwrap().clone();
    let good = NewTrusonafication::user("ada", "کتاب‌ها", "👩🏽‍💻").custom_fields(&fields);
    tenant.backend.create_trusonafication(good).await.unwrap();
    let pending = asked(&phone).await;
    assert_eq!((pending.challenge.action.as_str(), pending.challenge.resource.as_str()), ("کتاب‌ها", "👩🏽‍💻"));
    assert_eq!(pending.challenge.custom_fields.unwrap().members(), [("memo".to_owned(), "90 EUR\u{202E}".to_owned())]);
}

async fn a_phones_word_alone_says_what_it_can_do(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut devices = DeviceServiceClient::new(tenant.backend.channel(ServiceName::Registry));
    let mut known = async || {
        let request = GetDeviceRequest { device_id: phone.device_identifier().to_string() };
        devices.get_device(request).await.unwrap().into_inner().capabilities
    };
    assert_eq!(known().await, ["match6"]);
    for (said, expected) in [(&[][..], &[][..]), (&["match9", "match6"][..], &["match6"][..]), (&["match9"][..], &[][..])] {
        phone.set_capabilities(said).await.unwrap();
        assert_eq!(known().await, expected, "what is not known means nothing");
    }
    assert_eq!(refused(phone.set_capabilities(&["x"; 21]).await), (422, "VALIDATION_FAILED".into()));
    let path = format!("/api/v2/devices/{}", phone.device_identifier().as_str());
    phone.set_capabilities(&["match6"]).await.unwrap();
    let seen = http::backend(&world.http, &tenant.server, Method::GET, &path, "").await;
    assert_eq!(seen.body["capabilities"], json!(["match6"]));
}
