//! The formats of proofs and tokens, and the refusal of each invalid one.

use std::collections::{BTreeMap, BTreeSet};

use nodkey_client::NewTrusonafication;
use nodkey_kernel::{
    challenge::challenge_hash,
    dpop,
    jose::{Algorithm, PrivateKey, b64u, hs256},
    random::Random,
    time::Clock,
    trusona_mac::{body_md5, mac, string_to_sign},
};
use nodkey_mobile_sdk::software::SoftwareKeyStore;
use nodkey_proto::binding::v1::{ListUserDevicesRequest, user_service_client::UserServiceClient};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::{
    http::{self, client},
    software::store,
    world::{Tenant, World, asked, eventually},
};

scenarios!(
    each_cause_by_which_a_proof_is_refused_has_its_own_name_and_text,
    what_the_standards_let_a_phone_write_is_taken,
    what_the_standards_let_a_backend_write_is_taken,
    every_401_says_by_which_scheme_one_may_come,
);

const INVALID: &str = r#"DPoP error="invalid_dpop_proof", algs="ES256 EdDSA Ed25519""#;

fn now() -> i64 {
    Clock::system().now().as_seconds()
}

/// Signs a header and claims verbatim.
fn signed(header: &str, claims: &str, key: &PrivateKey) -> String {
    let input = format!("{}.{}", b64u(header.as_bytes()), b64u(claims.as_bytes()));
    format!("{input}.{}", b64u(&key.sign(input.as_bytes())))
}

/// A registered phone that signs with Ed25519, bound to the user.
async fn phone(tenant: &Tenant) -> (PrivateKey, SoftwareKeyStore) {
    let key = PrivateKey::generate(Algorithm::EdDsa, &Random::system());
    let store = store(&key, &[]);
    tenant.phone_with(store.clone()).register("phone").await.unwrap();
    (key, store)
}

/// A valid proof, to be changed.
struct Draft {
    header: Value,
    claims: Value,
    key: PrivateKey,
}

impl Draft {
    fn new(key: &PrivateKey, method: &str, url: &str) -> Self {
        let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": key.public().to_value()});
        let claims = json!({"jti": Random::system().token(), "htm": method, "htu": url, "iat": now()});
        Self { header, claims, key: key.clone() }
    }

    fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    fn signed(&self) -> String {
        signed(&self.header.to_string(), &self.claims.to_string(), &self.key)
    }
}

/// A refusal: its cause, its message and its challenge.
async fn refused(request: RequestBuilder) -> (String, String, String) {
    // Unauthenticated callers share a budget per address.
    let response = eventually("nobody else has used it up", async || {
        let response = request.try_clone().unwrap().send().await.unwrap();
        (response.status() != StatusCode::TOO_MANY_REQUESTS).then_some(response)
    })
    .await;
    let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
    let answer = http::read(response).await;
    assert_eq!((answer.status, answer.error.as_str()), (401, "INVALID_PROOF"), "{}", answer.body);
    let challenge = challenge.unwrap();
    let text = |member: &str| answer.body[member].as_str().unwrap_or_default().to_owned();
    (text("cause"), text("message"), challenge)
}

async fn each_cause_by_which_a_proof_is_refused_has_its_own_name_and_text(world: &World) {
    let tenant = world.tenant().await;
    let ((key, _), (other, _)) = (phone(&tenant).await, phone(&tenant).await);
    let (p256, stranger) =
        (PrivateKey::generate(Algorithm::Es256, &Random::system()), PrivateKey::generate(Algorithm::EdDsa, &Random::system()));
    let status = |key: &PrivateKey| format!("{}/api/v2/devices/{}/status", world.http, key.public().thumbprint());
    let url = status(&key);
    // Each gateway remembers for itself which proofs it took.
    let at = url.replacen(&world.http, &world.at_one_gateway().http, 1);
    let draft = || Draft::new(&key, "GET", &url);
    let without = |mut draft: Draft, claim: &str| {
        draft.claims.as_object_mut().unwrap().remove(claim);
        draft
    };
    let rsa = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"});
    let mut private = key.public().to_value();
    private["d"] = b64u(&key.to_secret_bytes()).into();
    let twice = draft();
    let twice_in_claims = twice.claims.to_string().replacen('{', r#"{"htm":"GET","#, 1);
    let twice_in_header = twice.header.to_string().replacen('{', r#"{"alg":"EdDSA","#, 1);
    let used = draft().signed();
    assert_eq!(client().get(&at).header("DPoP", &used).send().await.unwrap().status(), 200);
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (cause, proof) in [
        ("malformed", "nonsense".to_owned()),
        ("malformed", format!("{}.x", draft().signed())),
        ("malformed", draft().header("crit", json!(["b64"])).signed()),
        ("malformed", draft().header("crit", Value::Null).signed()),
        ("malformed", signed(&twice_in_header, &twice.claims.to_string(), &key)),
        ("wrong_typ", draft().header("typ", "JWT").signed()),
        ("wrong_typ", draft().header("typ", Value::Null).signed()),
        ("wrong_alg", draft().header("alg", "none").signed()),
        ("wrong_alg", draft().header("alg", "HS256").signed()),
        ("wrong_alg", draft().header("alg", "RS256").header("jwk", rsa.clone()).signed()),
        ("wrong_alg", draft().header("alg", "ES256").signed()),
        ("wrong_alg", Draft { key: p256.clone(), ..draft().header("alg", "Ed25519").header("jwk", p256.public().to_value()) }.signed()),
        ("wrong_jwk", draft().header("jwk", Value::Null).signed()),
        ("wrong_jwk", draft().header("jwk", rsa).signed()),
        ("wrong_jwk", draft().header("jwk", private).signed()),
        ("wrong_signature", Draft { key: other.clone(), ..draft() }.signed()),
        ("wrong_claims", without(draft(), "iat").signed()),
        ("wrong_claims", draft().claim("iat", now().to_string()).signed()),
        ("wrong_claims", signed(&twice.header.to_string(), &twice_in_claims, &key)),
        ("wrong_jti", draft().claim("jti", "short").signed()),
        ("wrong_htm", draft().claim("htm", "POST").signed()),
        ("wrong_htm", draft().claim("htm", "get").signed()),
        ("wrong_htu", draft().claim("htu", format!("{url}2")).signed()),
        ("wrong_htu", draft().claim("htu", url.replacen("127.0.0.1", "127.0.0.2", 1)).signed()),
        ("wrong_iat", draft().claim("iat", now() - 90).signed()),
        ("wrong_iat", draft().claim("iat", now() + 90).signed()),
        ("wrong_bh", draft().claim("bh", dpop::body_hash(b"body")).signed()),
        ("other_device", Draft::new(&other, "GET", &url).signed()),
        ("used_jti", used),
    ] {
        let (named, text, challenge) = refused(client().get(&at).header("DPoP", &proof)).await;
        assert_eq!((named.as_str(), challenge.as_str()), (cause, INVALID), "{text}");
        texts.entry(named).or_default().insert(text);
    }
    let mut note = |(cause, text, _): (String, String, String)| {
        texts.entry(cause.clone()).or_default().insert(text);
        cause
    };
    let strange = Draft::new(&stranger, "GET", &status(&stranger)).signed();
    assert_eq!(note(refused(client().get(status(&stranger)).header("DPoP", strange)).await), "unknown_device");
    let (one, two) = (draft().signed(), draft().signed());
    assert_eq!(note(refused(client().get(&url).header("DPoP", one).header("DPoP", two)).await), "several");
    let missing = refused(client().get(&url)).await;
    assert_eq!(missing.2, r#"DPoP algs="ES256 EdDSA Ed25519""#, "there is nothing that could be wrong");
    assert_eq!(note(missing), "missing");
    // Each message belongs to one cause. Those about the clock say the time here.
    let all: Vec<_> = texts.values().flatten().collect();
    assert_eq!(all.len(), all.iter().collect::<BTreeSet<_>>().len(), "{all:#?}");
    let today = Clock::system().now().to_string();
    assert!(texts["wrong_iat"].iter().all(|text| text.contains(&today[..4])), "{texts:#?}");
    let several: Vec<_> = texts.iter().filter(|(cause, texts)| texts.len() > 1 && *cause != "wrong_iat").collect();
    assert!(several.is_empty(), "{several:#?}");
}

async fn what_the_standards_let_a_phone_write_is_taken(world: &World) {
    let tenant = world.tenant().await;
    let (key, store) = phone(&tenant).await;
    let (id, phone) = (key.public().thumbprint(), tenant.phone_with(store));
    tenant.activate("ada", &phone).await;
    let url = format!("{}/api/v2/devices/{id}", world.http);
    let mut jwk = key.public().to_value();
    for (name, value) in [("alg", json!("Ed25519")), ("use", json!("sig")), ("d", Value::Null), ("kid", json!("mine"))] {
        jwk[name] = value;
    }
    let status = format!("{url}/status");
    let draft = || Draft::new(&key, "GET", &status);
    for proof in [
        draft().header("alg", "Ed25519").header("jwk", jwk),
        draft().header("kid", Value::Null),
        draft().claim("iat", f64::from(u32::try_from(now()).unwrap()) + 0.25),
        draft().claim("bh", Value::Null),
        draft().claim("htu", format!("{status}?wait=1#top")),
        draft().claim("htu", status.replace("http://", "HTTP://").replace("/api/", "/api/./x/../").replace("devices", "%64evices")),
    ] {
        let answer = http::read(client().get(&status).header("DPoP", proof.signed()).send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{} of {} and {}", answer.body, proof.header, proof.claims);
    }
    // Null means absent.
    let body = r#"{"name":"renamed","presence_keys":null,"key_statement":null,"key_signatures":null,"capabilities":null}"#;
    let answer = http::phone(&world.http, &key, Method::PATCH, &format!("/api/v2/devices/{id}"), body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);

    let asks = NewTrusonafication::device(&id, "log in", "Acme").level(1);
    let asks = tenant.backend.create_trusonafication(asks).await.unwrap().trusonafication;
    asked(&phone).await;
    let pending = http::phone(&world.http, &key, Method::GET, &format!("/api/v2/devices/{id}/trusonafications"), "").await;
    let challenge = pending.body["trusonafications"][0]["challenge"].as_str().unwrap();
    let header = json!({"typ": "nodkey-response+jwt", "alg": "Ed25519", "kid": id});
    let claims = json!({
        "iss": id, "aud": ["https://else.example", world.http], "sub": asks.id, "chal": challenge_hash(challenge), "dec": "accept",
        "why": null, "num": null, "doc": null, "iat": 1_767_322_700.75, "jti": "j",
    });
    let body = json!({"response": signed(&header.to_string(), &claims.to_string(), &key)}).to_string();
    let answer = http::phone(&world.http, &key, Method::POST, "/api/v2/trusonafication_responses", &body).await;
    assert_eq!((answer.status, answer.body["status"].as_str()), (200, Some("ACCEPTED")), "{}", answer.body);
    let proven = tenant.prove(&asks.id, &nodkey_client::Expected::default()).await.unwrap();
    assert_eq!(proven.response.iat, 1_767_322_700, "and others can verify it");
}

async fn what_the_standards_let_a_backend_write_is_taken(world: &World) {
    let tenant = world.tenant().await;
    tenant.active("ada").await;
    let credential = tenant.server.credential.as_ref().unwrap();
    for scheme in ["Bearer", "bearer", "BEARER  "] {
        let claims = json!({"aud": ["other", "nodkey"], "exp": f64::from(u32::try_from(now()).unwrap()) + 30.5});
        let token = hs256::sign(Some(&credential.id), &claims, tenant.server.secret.as_bytes());
        let channel = super::access::channels(world).remove("binding").unwrap();
        let mut request = tonic::Request::new(ListUserDevicesRequest { user_identifier: "ada".into() });
        request.metadata_mut().insert("authorization", format!("{scheme} {token}").parse().unwrap());
        UserServiceClient::new(channel).list_user_devices(request).await.unwrap();
    }
    let path = "/api/v2/users/ada/devices";
    for scheme in ["TRUSONA", "trusona", "Trusona"] {
        let date = Clock::system().now().to_http_date();
        let signature = mac(&tenant.server.secret, &string_to_sign("GET", &body_md5(b""), "", &date, path));
        let request = client().get(format!("{}{path}", world.http)).header("X-Date", date);
        let answer = request.header("Authorization", format!("{scheme} {}:{signature}", credential.token)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{scheme}");
    }
}

async fn every_401_says_by_which_scheme_one_may_come(world: &World) {
    let tenant = world.tenant().await;
    let url = |path: &str| format!("{}{path}", world.http);
    let challenge = async |request: RequestBuilder| {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        answer.headers()["www-authenticate"].to_str().unwrap().to_owned()
    };
    let rpc = url("/console/api/rpc/nodkey.registry.v1.OperatorService/ListOperators");
    let signed_out = client().post(rpc).header("content-type", "application/json").body("{}");
    assert_eq!(challenge(signed_out).await, r#"Cookie realm="Nodkey console""#);
    let answers = client().post(url("/api/v2/trusonafication_responses"));
    assert_eq!(challenge(answers).await, r#"DPoP algs="ES256 EdDSA Ed25519""#);
    let by_token = client().get(url("/api/v2/users/ada/devices")).header("Authorization", "bearer x");
    assert_eq!(challenge(by_token).await, r#"Bearer error="invalid_token""#);
    // Over gRPC there is no 401, but the message is the same.
    let credential = tenant.server.credential.as_ref().unwrap();
    for (token, expected) in [(None, "Bearer"), (Some("x"), r#"Bearer error="invalid_token""#)] {
        let mut request = tonic::Request::new(ListUserDevicesRequest { user_identifier: "ada".into() });
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let channel = super::access::channels(world).remove("binding").unwrap();
        let status = UserServiceClient::new(channel).list_user_devices(request).await.unwrap_err();
        assert_eq!(status.metadata().get("www-authenticate").unwrap(), expected);
    }
    // Old clients of the TRUSONA scheme do not understand a 401.
    let wrong = client().get(url("/api/v2/users/ada/devices")).header("Authorization", format!("TRUSONA {}:x", credential.token));
    let answer = wrong.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get("www-authenticate")), (403, None));
}
