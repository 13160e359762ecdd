//! The cookies of an operator's browser.

use axum::{extract::FromRequestParts, http::request::Parts};
use axum_extra::extract::{
    CookieJar,
    cookie::{Cookie, SameSite},
};
use nodkey_runtime::OperatorSession;
use secrecy::{ExposeSecret as _, SecretString};

use super::signed_out;
use crate::{problem::Problem, state::AppState};

/// The names of a cookie over TLS, where browsers restrict it to this host and to https, and without TLS.
#[derive(Clone, Copy, Debug)]
pub struct Name(&'static str, &'static str);

/// The cookie of the session.
pub const SESSION: Name = Name("__Host-nodkey_session", "nodkey_session");
/// The cookie of a sign-in under way.
pub const SIGN_IN: Name = Name("__Host-nodkey_sign_in", "nodkey_sign_in");

impl Name {
    fn of(self, state: &AppState) -> &'static str {
        if state.deployment.public_url.starts_with("https:") { self.0 } else { self.1 }
    }

    /// Reads the value, if the browser sent it.
    pub fn read(self, state: &AppState, jar: &CookieJar) -> Option<String> {
        jar.get(self.of(state)).map(|cookie| cookie.value().to_owned())
    }

    /// Sets a cookie that scripts cannot read and that pages of other sites cannot make the browser send.
    pub fn write(self, state: &AppState, jar: CookieJar, value: String) -> CookieJar {
        jar.add(self.cookie(state, value))
    }

    /// Removes the cookie.
    pub fn remove(self, state: &AppState, jar: CookieJar) -> CookieJar {
        jar.remove(self.cookie(state, String::new()))
    }

    fn cookie(self, state: &AppState, value: String) -> Cookie<'static> {
        let secure = state.deployment.public_url.starts_with("https:");
        Cookie::build((self.of(state), value)).path("/").http_only(true).same_site(SameSite::Strict).secure(secure).build()
    }
}

/// The session that a browser claims to have. Services verify it.
#[derive(Clone, Debug)]
pub struct Session(pub OperatorSession);

impl Session {
    /// Reads it from its cookie.
    pub fn of(state: &AppState, jar: &CookieJar) -> Option<Self> {
        let value = SESSION.read(state, jar)?;
        let (id, secret) = value.split_once('.')?;
        Some(Self(OperatorSession { id: id.parse().ok()?, secret: SecretString::from(secret) }))
    }

    /// Sets it as its cookie.
    pub fn keep(self, state: &AppState, jar: CookieJar) -> CookieJar {
        let Self(OperatorSession { id, secret }) = self;
        SESSION.write(state, jar, format!("{id}.{}", secret.expose_secret()))
    }
}

impl FromRequestParts<AppState> for Session {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Self::of(state, &CookieJar::from_headers(&parts.headers)).ok_or_else(signed_out)
    }
}
