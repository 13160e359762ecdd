//! Extractors for handlers.

use std::{fmt, marker::PhantomData, net::SocketAddr, time::Duration};

use axum::{
    extract::{ConnectInfo, FromRequest, FromRequestParts, Request},
    http::{StatusCode, request::Parts},
};
use nodkey_kernel::{
    error::FieldViolation,
    json::{fault, malformed},
};
use nodkey_proto::registry::v1::PhoneCall;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    address,
    auth::phone,
    body::read_body,
    class,
    limits::network::{Network, Source, is_proxy},
    problem::Problem,
    state::AppState,
    strict::{Strict, UNKNOWN},
};

/// The maximum length of an idempotency key, in characters.
const MAX_KEY: usize = 128;

/// A body that is a JSON object. Malformed JSON is refused with 400. Well-formed JSON of another shape is refused with 422, which names the
/// field.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// The same for a body that need not be an object.
#[derive(Debug)]
pub struct AnyJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let strict = Strict::of(&request);
        Self::parse(&read_body(request.into_body()).await?, strict)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for AnyJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let strict = Strict::of(&request);
        parse(&read_body(request.into_body()).await?, strict).map(Self)
    }
}

impl<T: DeserializeOwned> Json<T> {
    /// Parses a body that has already been read.
    pub fn parse(body: &[u8], strict: Option<Strict>) -> Result<Self, Problem> {
        parse(body, strict).map(|Object(value)| Self(value))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8], strict: Option<Strict>) -> Result<T, Problem> {
    let not_json = |why: &str| Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", format!("the body is not JSON: {why}"));
    // RFC 8259 section 8.1 allows ignoring it, but what is signed and what is read should be the same bytes.
    if body.starts_with("\u{feff}".as_bytes()) {
        return Err(not_json("it begins with a byte order mark"));
    }
    // An unescaped NUL is invalid in any JSON.
    if body.windows(ESCAPED_NUL.len()).any(|part| part == ESCAPED_NUL)
        && let Err(found) = serde_path_to_error::deserialize::<_, WithoutNul>(&mut serde_json::Deserializer::from_slice(body))
        && found.inner().to_string().starts_with(NUL)
    {
        return Err(Problem::field(&fault(&found.path().to_string(), found.inner()).field, NUL));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let (mut track, mut unknown) = (serde_path_to_error::Track::new(), None);
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let mut note = |path: serde_ignored::Path<'_>| {
        unknown.get_or_insert_with(|| path.to_string());
    };
    let read = T::deserialize(serde_ignored::Deserializer::new(tracked, &mut note));
    if let (Some(Strict), Some(path)) = (strict, unknown)
        && read.as_ref().err().is_none_or(serde_json::Error::is_data)
    {
        // serde_ignored adds a step `?` to the path for each optional value.
        let path: Vec<_> = path.split('.').filter(|step| *step != "?").collect();
        return Err(Problem::field(&path.join("."), UNKNOWN));
    }
    let value = read.map_err(|e| {
        // Only the parser decides whether it is JSON: see `fault`.
        if let Err(e) = serde_json::from_slice::<IgnoredAny>(body) {
            return not_json(&malformed(&e));
        }
        let FieldViolation { field, description } = fault(&track.path().to_string(), &e);
        Problem::field(&field, description)
    })?;
    json.end().map_err(|e| not_json(&malformed(&e)))?;
    Ok(value)
}

/// NUL as JSON can contain it.
const ESCAPED_NUL: &[u8] = br"\u0000";
const NUL: &str = "must not hold NUL";
/// The member that is kept verbatim and that nothing on the way parses.
const TO_THE_LETTER: &str = "custom_fields";

/// Any JSON without NUL. Services refuse NUL in each of their texts, and it has no place in members that nobody here reads, either.
struct WithoutNul;

impl<'de> Deserialize<'de> for WithoutNul {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for WithoutNul {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self, E> {
        if text.contains('\0') { Err(E::custom(NUL)) } else { Ok(self) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            if name == TO_THE_LETTER {
                members.next_value::<IgnoredAny>()?;
            } else {
                let Self = members.next_value()?;
            }
        }
        Ok(self)
    }
}

/// A JSON object. Not an array of its values in order, which serde accepts for a struct, too.
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

/// A JSON body behind [`phone::middleware`](crate::auth::phone::middleware) or a similar layer, with the original call: for services that
/// verify the phone's proof themselves.
#[derive(Debug)]
pub struct ProvenJson<T>(pub T, pub PhoneCall);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ProvenJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let proof = phone::proof(request.headers())?.to_owned();
        let body = read_body(request.into_body()).await?;
        let Json(value) = Json::parse(&body, Some(Strict))?;
        Ok(Self(value, PhoneCall { proof, body }))
    }
}

/// How long the caller is ready to wait: the query parameter `wait`, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Wait(pub Duration);

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        class::patience(&parts.uri).map(Self)
    }
}

/// The client's address. A trusted proxy reports it, otherwise it is the address of the connection.
#[derive(Debug)]
pub struct ClientAddress(pub String);

impl FromRequestParts<AppState> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let told = state.address_header.as_deref().and_then(|name| address::client(&parts.headers, name, state.trusted_hops));
        if let Some(address) = told {
            return Ok(Self(address));
        }
        let ConnectInfo(peer) =
            parts.extensions.get::<ConnectInfo<SocketAddr>>().ok_or_else(|| Problem::because("the client's address is unknown"))?;
        Ok(Self(peer.ip().to_canonical().to_string()))
    }
}

impl FromRequestParts<AppState> for Source {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let ClientAddress(address) = ClientAddress::from_request_parts(parts, state).await?;
        if state.address_header.is_none() && is_proxy(&address, &parts.headers) {
            state.unnamed_proxy.note(&address);
            return Ok(Self(None));
        }
        Ok(Self(Some(Network::of(&address))))
    }
}

/// The `Idempotency-Key`. Empty without one.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(pub String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(String::new())) };
        match value.to_str() {
            Ok(key) if (1..=MAX_KEY).contains(&key.len()) => Ok(Self(key.to_owned())),
            _ => Err(Problem::field("Idempotency-Key", "must be 1 to 128 printable ASCII characters")),
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
        Json::<Binding>::parse(body.as_bytes(), None).unwrap_err().error.into_string()
    }

    #[test]
    fn who_is_strict_is_told_what_nobody_knows_wherever_it_is() {
        for (body, field) in [
            (r#"{"user": "ada", "usr": 1}"#, "usr"),
            (r#"{"keys": [{"kind": "a"}, {"kind": "b", "knd": {"a": 1}}]}"#, "keys.1.knd"),
            (r#"{"keys": [{"knd": "a"}]}"#, "keys.0.knd"),
        ] {
            let told = Json::<Binding>::parse(body.as_bytes(), Some(Strict)).unwrap_err();
            assert_eq!(told.field_errors.keys().collect::<Vec<_>>(), [field], "{body}");
            assert!(Json::<Binding>::parse(body.as_bytes(), None).is_ok() || body.contains("[{\"knd"), "{body}");
        }
        assert!(Json::<Binding>::parse(br#"{"user": null, "keys": []}"#, Some(Strict)).is_ok());
        assert_eq!(Json::<Binding>::parse(br#"{"usr": "#, Some(Strict)).unwrap_err().code(), "MALFORMED_JSON");
    }

    #[test]
    fn an_object_is_an_object_and_begins_with_its_brace() {
        let Json(Binding { user, keys }) = Json::parse(br#" {"user": "ada", "keys": [{"kind": "biometric"}], "other": 1}"#, None).unwrap();
        assert_eq!((user.as_deref(), keys[0].0.kind.as_str()), (Some("ada"), "biometric"));
        for array in [r#"["ada"]"#, r#"["ada", [{"kind": "biometric"}]]"#, r#"{"keys": [["biometric"]]}"#, "[]"] {
            assert_eq!(refused(array), "VALIDATION_FAILED", "{array}");
        }
        for nul in [r#"{"user": "a\u0000"}"#, r#"{"keys": [{"kind": "\u0000"}]}"#, r#"{"other": ["\u0000"]}"#] {
            assert_eq!(refused(nul), "VALIDATION_FAILED", "{nul}");
        }
        let Json(_): Json<Binding> = Json::parse(br#"{"user": "\\u0000", "custom_fields": {"a": "\u0000"}}"#, None).unwrap();
        for malformed in ["\u{feff}{}", "{} {}", "{", ""] {
            assert_eq!(refused(malformed), "MALFORMED_JSON", "{malformed:?}");
        }
    }
}
