//! The credential that a request names. Nothing of it is proven.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use nodkey_kernel::{
    id::CredentialId,
    jose::{b64u_decode, hs256},
    trusona_mac,
};
use nodkey_runtime::bearer_token;
use serde::Deserialize;

/// The claims of a token that name its credential.
#[derive(Deserialize)]
struct TokenClaims {
    jti: CredentialId,
}

/// The credential that the token of the TRUSONA scheme names. The token is looked up, not trusted.
pub fn of_token(token: &str) -> Option<CredentialId> {
    let claims = b64u_decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<TokenClaims>(&claims).ok().map(|claims| claims.jti)
}

/// The credential that a request names, by either scheme.
pub fn of(headers: &HeaderMap) -> Option<CredentialId> {
    if let Some(token) = bearer_token(headers) {
        return hs256::key_id(token).ok()??.parse().ok();
    }
    let (token, _) = trusona_mac::parse_authorization(headers.get(AUTHORIZATION)?.to_str().ok()?)?;
    of_token(token)
}
