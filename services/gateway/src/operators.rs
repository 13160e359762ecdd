//! Which operators are served over gRPC, depending on the key they sign with.

use axum::http::HeaderMap;
use nodkey_kernel::{
    jose::{hs256, jws::Compact},
    operator_key::OPERATOR_TYP,
};
use nodkey_runtime::{bearer_token, token};

/// Which operators are served over gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operators {
    /// None.
    Nobody,
    /// Operators with a session, whom the console serves anyway.
    SignedIn,
    /// Holders of the operator key, too.
    Everybody,
}

impl Operators {
    /// As the settings say.
    #[must_use]
    pub const fn of(console: bool, operator_grpc: bool) -> Self {
        match (operator_grpc, console) {
            (true, _) => Self::Everybody,
            (false, true) => Self::SignedIn,
            (false, false) => Self::Nobody,
        }
    }

    /// Whether a call claims to come from one of these operators.
    pub fn include(self, headers: &HeaderMap) -> bool {
        bearer_token(headers).is_some_and(|token| hs256::key_id(token).ok().flatten().is_some_and(|kid| self.sign(&kid, token)))
    }

    /// Whether a token claims to be signed by one of these operators, with a session or the operator key.
    pub fn sign(self, kid: &str, token: &str) -> bool {
        let by_key =
            || kid == token::OPERATOR || Compact::parse(token).is_ok_and(|token| token.header().typ.as_deref() == Some(OPERATOR_TYP));
        match self {
            Self::Nobody => false,
            Self::SignedIn => kid.starts_with(token::OPERATOR_SESSION),
            Self::Everybody => kid.starts_with(token::OPERATOR_SESSION) || by_key(),
        }
    }
}
