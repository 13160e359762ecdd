//! What handlers take out of a request.

use std::{
    fmt::{self, Display},
    marker::PhantomData,
    net::SocketAddr,
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, FromRequest, FromRequestParts, Request},
    http::{StatusCode, request::Parts},
};
use nodkey_proto::registry::v1::PhoneCall;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    address,
    auth::phone,
    body::read_body,
    class,
    edge::Edge,
    limits::network::{Network, Source, is_proxy},
    problem::Problem,
};

/// The most an idempotency key has, in characters.
const MAX_KEY: usize = 128;

/// A body that is a JSON object. Malformed is 400; well-formed and not what is asked for is 422 and names the field.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// The same of a body that may be something else than an object.
#[derive(Debug)]
pub struct AnyJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Self::parse(&read_body(request.into_body()).await?)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for AnyJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        parse(&read_body(request.into_body()).await?).map(Self)
    }
}

impl<T: DeserializeOwned> Json<T> {
    /// Reads a body that has been read already.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        parse(body).map(|Object(value)| Self(value))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let malformed = |why: &dyn Display| Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", format!("the body is not JSON: {why}"));
    // RFC 8259 section 8.1 lets it be ignored. What is signed and what is read should be the same bytes.
    if body.starts_with("\u{feff}".as_bytes()) {
        return Err(malformed(&"it begins with a byte order mark"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|e| {
        if e.inner().is_data() { Problem::field(&e.path().to_string(), e.inner().to_string()) } else { malformed(e.inner()) }
    })?;
    json.end().map_err(|e| malformed(&e))?;
    Ok(value)
}

/// A JSON object; not an array of its values in their order, which serde takes for a struct, too.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// A JSON body behind [`phone::middleware`](crate::auth::phone::middleware) or its like, with the call as it came: for services that believe
/// the phone alone.
#[derive(Debug)]
pub struct ProvenJson<T>(pub T, pub PhoneCall);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ProvenJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let proof = phone::proof(request.headers())?.to_owned();
        let body = read_body(request.into_body()).await?;
        let Json(value) = Json::parse(&body)?;
        Ok(Self(value, PhoneCall { proof, body }))
    }
}

/// How long the caller is ready to wait: `wait` in the query, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Wait(pub Duration);

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        class::patience(&parts.uri).map(Self)
    }
}

/// Where a request comes from: as the proxy before us says, if it is trusted to.
#[derive(Debug)]
pub struct ClientAddress(pub String);

impl FromRequestParts<Edge> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Problem> {
        let told = edge.address_header.as_deref().and_then(|name| address::client(&parts.headers, name, edge.trusted_hops));
        if let Some(address) = told {
            return Ok(Self(address));
        }
        let ConnectInfo(peer) =
            parts.extensions.get::<ConnectInfo<SocketAddr>>().ok_or_else(|| Problem::because("nobody knows who connected"))?;
        Ok(Self(peer.ip().to_canonical().to_string()))
    }
}

impl FromRequestParts<Edge> for Source {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Problem> {
        let ClientAddress(address) = ClientAddress::from_request_parts(parts, edge).await?;
        if edge.address_header.is_none() && is_proxy(&address, &parts.headers) {
            edge.unnamed_proxy.note(&address);
            return Ok(Self(None));
        }
        Ok(Self(Some(Network::of(&address))))
    }
}

/// The `Idempotency-Key`; empty without one.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(pub String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(String::new())) };
        match value.to_str() {
            Ok(key) if (1..=MAX_KEY).contains(&key.len()) => Ok(Self(key.to_owned())),
            _ => Err(Problem::field("Idempotency-Key", "must be 1 to 128 visible ASCII characters")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Binding {
        user: Option<String>,
        #[serde(default)]
        keys: Vec<Object<Key>>,
    }

    #[derive(Debug, Deserialize)]
    struct Key {
        kind: String,
    }

    fn refused(body: &str) -> String {
        Json::<Binding>::parse(body.as_bytes()).unwrap_err().error
    }

    #[test]
    fn an_object_is_an_object_and_begins_with_its_brace() {
        let Json(Binding { user, keys }) = Json::parse(br#" {"user": "ada", "keys": [{"kind": "biometric"}], "other": 1}"#).unwrap();
        assert_eq!((user.as_deref(), keys[0].0.kind.as_str()), (Some("ada"), "biometric"));
        for array in [r#"["ada"]"#, r#"["ada", [{"kind": "biometric"}]]"#, r#"{"keys": [["biometric"]]}"#, "[]"] {
            assert_eq!(refused(array), "VALIDATION_FAILED", "{array}");
        }
        for malformed in ["\u{feff}{}", "{} {}", "{", ""] {
            assert_eq!(refused(malformed), "MALFORMED_JSON", "{malformed:?}");
        }
    }
}
