//! Calls every method as every principal: `golden/access.txt` says who may, and nobody else is admitted.

use std::collections::BTreeMap;

use nodkey_kernel::{id::RelyingPartyId, jose::hs256, service_key::ServiceName, time::Clock};
use nodkey_proto::{
    access::{ACCESS, owner},
    registry::v1::Role,
};
use nodkey_runtime::service_token;
use serde_json::json;
use tonic::{
    Code, Status,
    codegen::{Service as _, http::Request},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::{
    operators::{enrolled, sign_in},
    world::World,
};

scenarios!(each_principal_reaches_its_own_methods_and_no_others);

/// In the order of the table's columns.
const PEOPLE: [(&str, Role); 3] = [("auditor", Role::Auditor), ("operator", Role::Operator), ("owner", Role::Owner)];

/// The cells of the table, by method and principal: allowed (`yes`), not allowed (`-`), or allowed for the console's relying party only
/// (`console`).
pub(super) fn table() -> (Vec<&'static str>, BTreeMap<&'static str, Vec<&'static str>>) {
    let mut lines = include_str!("../golden/access.txt").lines().filter(|line| !line.starts_with('#')).map(str::split_whitespace);
    let principals = lines.next().unwrap().skip(1).collect();
    let rows = lines.map(|mut words| (words.next().unwrap(), words.collect())).collect();
    (principals, rows)
}

/// Makes the token that a principal calls a method with.
pub(super) struct Tokens<'a> {
    world: &'a World,
    /// The relying party that services act for.
    pub(super) party: RelyingPartyId,
    /// The `kid` and secret of principals that share one with the deployment.
    shared: BTreeMap<&'static str, (String, String)>,
}

impl<'a> Tokens<'a> {
    pub(super) async fn of(world: &'a World) -> Self {
        let tenant = world.tenant().await;
        let credential = tenant.server.credential.as_ref().unwrap().id.clone();
        let mut shared = BTreeMap::from([("backend", (credential, tenant.server.secret.clone()))]);
        for (name, role) in PEOPLE {
            let (phone, _) = enrolled(world, name, role).await;
            let cookie = sign_in(world, &phone).await.session();
            let (id, secret) = cookie.split_once('.').unwrap();
            shared.insert(name, (format!("operator/{id}"), secret.to_owned()));
        }
        Self { world, party: tenant.id.parse().unwrap(), shared }
    }

    pub(super) fn token(&self, principal: &str, path: &str, party: RelyingPartyId) -> Option<String> {
        if principal == "public" {
            return None;
        }
        let exp = Clock::system().now().as_seconds() + 30;
        if let Some((kid, secret)) = self.shared.get(principal) {
            return Some(hs256::sign(Some(kid), &json!({"aud": "nodkey", "exp": exp}), secret.as_bytes()));
        }
        let name = ServiceName::try_from(principal).unwrap();
        let key = self.world.service_keys().iter().find(|key| key.name() == name).unwrap();
        // No service owns what every process serves for itself. No token is valid for it then.
        let to = owner(path).unwrap_or(ServiceName::Registry);
        let claims = service_token::Claims { iss: principal.to_owned(), aud: format!("nodkey/{to}"), exp, rp: Some(party) };
        Some(key.sign(service_token::TYP, &claims))
    }
}

/// Calls a method with an undecodable message, so that nothing happens where the call is admitted.
pub(super) async fn knock(channel: &mut Channel, path: &str, token: Option<&str>) -> Code {
    let mut send = async || {
        let mut request =
            Request::post(format!("http://localhost{path}")).header("content-type", "application/grpc").header("te", "trailers");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = tonic::body::Body::new(axum::body::Body::from(&[0, 0, 0, 0, 1, 0xff][..]));
        std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
        channel.call(request.body(body).unwrap()).await
    };
    // A connection is closed after a number of refusals. The next call opens another, as it does for every client.
    let answer = match send().await {
        Ok(answer) => answer,
        Err(_) => send().await.unwrap(),
    };
    // An admitted stream may have its status in the trailers only.
    Status::from_header_map(answer.headers()).map_or(Code::Ok, |status| status.code())
}

pub(super) fn channels(world: &World) -> BTreeMap<&'static str, Channel> {
    let endpoints = &world.endpoints;
    let urls = [
        ("registry", &endpoints.registry),
        ("binding", &endpoints.binding),
        ("trusonafication", &endpoints.trusonafication),
        ("notification", &endpoints.notification),
    ];
    urls.into_iter().map(|(name, url)| (name, channel(url, endpoints.ca_certificate.as_ref()))).collect()
}

/// A channel without anything in between.
pub(super) fn channel(url: &str, authority: Option<&String>) -> Channel {
    let mut endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    if let Some(authority) = authority {
        endpoint = endpoint.tls_config(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority))).unwrap();
    }
    endpoint.connect_lazy()
}

async fn each_principal_reaches_its_own_methods_and_no_others(world: &World) {
    let (principals, rows) = table();
    let methods: Vec<_> = ACCESS.iter().map(|(path, _)| path.strip_prefix("/nodkey.").unwrap()).collect();
    let unknown: Vec<_> = methods.iter().filter(|method| !rows.contains_key(*method)).collect();
    assert!(
        unknown.is_empty() && rows.len() == methods.len(),
        "golden/access.txt does not have exactly the methods there are: {unknown:?}"
    );
    let (tokens, mut channels) = (Tokens::of(world).await, channels(world));
    let mut wrong = Vec::new();
    for (method, cells) in rows {
        assert_eq!(cells.len(), principals.len(), "{method}");
        let path = format!("/nodkey.{method}");
        let to = owner(&path).map_or("registry", ServiceName::as_str);
        let channel = channels.get_mut(to).unwrap();
        for (principal, cell) in principals.iter().zip(cells) {
            let parties = [(tokens.party, cell == "yes"), (RelyingPartyId::CONSOLE, cell == "yes" || cell == "console")];
            for (party, may) in parties {
                let code = knock(channel, &path, tokens.token(principal, &path, party).as_deref()).await;
                let through = !matches!(code, Code::Unauthenticated | Code::PermissionDenied);
                assert!(!matches!(code, Code::Unimplemented | Code::Unavailable), "{method} by {principal}: {code:?}");
                if through != may {
                    wrong.push(format!("{method} by {principal} for {party}: {code:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "otherwise than golden/access.txt says:\n{}", wrong.join("\n"));
}
