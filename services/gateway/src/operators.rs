//! Which operators are served over gRPC, by what they sign with.

use axum::http::HeaderMap;
use nodkey_kernel::{
    jose::{hs256, jws::Compact},
    operator_key::OPERATOR_TYP,
};
use nodkey_runtime::{bearer_token, token};

/// Which operators are served here over gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operators {
    /// None.
    Nobody,
    /// Those who signed in, whom the console serves anyway.
    SignedIn,
    /// Also whoever holds the operator key.
    Everybody,
}

impl Operators {
    /// As the settings want it.
    #[must_use]
    pub const fn of(console: bool, operator_grpc: bool) -> Self {
        match (operator_grpc, console) {
            (true, _) => Self::Everybody,
            (false, true) => Self::SignedIn,
            (false, false) => Self::Nobody,
        }
    }

    /// Whether a call says that it is by one of them.
    pub fn include(self, headers: &HeaderMap) -> bool {
        bearer_token(headers).is_some_and(|token| hs256::key_id(token).ok().flatten().is_some_and(|kid| self.sign(&kid, token)))
    }

    /// Whether a token says that it is of one of them, by whichever means they have.
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
