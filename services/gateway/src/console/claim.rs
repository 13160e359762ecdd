//! Sessions that browsers claim to have, before a service has verified them.

use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::RelyingPartyId,
    jose::sha256,
};
use nodkey_runtime::{OperatorSession, status::PeerError};
use secrecy::ExposeSecret as _;

use super::signed_out;
use crate::{
    limits::{budget::Charge, network::Source},
    problem::Problem,
    state::AppState,
};

/// The session that signs calls to services. One that no service accepted recently may be invented: it counts against the limit of its
/// address until a service accepts it.
#[must_use]
pub struct Claim {
    secret_sha256: [u8; 32],
    charge: Option<Charge>,
}

impl Claim {
    /// Makes a claim before any service is called.
    pub fn of(state: &AppState, session: &OperatorSession, source: &Source) -> Result<Self, Problem> {
        let secret_sha256 = sha256(session.secret.expose_secret().as_bytes());
        let known = state.proven_tokens.get(&secret_sha256).is_some();
        let charge = if known { None } else { Some(state.strangers.charge(source)?) };
        Ok(Self { secret_sha256, charge })
    }

    /// Whether a service accepted it recently.
    pub fn is_known(&self) -> bool {
        self.charge.is_none()
    }

    /// Takes note of a service's response. If the session is over, the operator gets that error.
    pub fn settle<T>(self, state: &AppState, answer: Result<T, impl Into<PeerError>>) -> Result<T, Problem> {
        let answer = answer.map_err(Into::into);
        match &answer {
            Err(error) if error.kind() == Kind::Unauthenticated => {
                state.proven_tokens.invalidate(&self.secret_sha256);
                return Err(signed_out());
            }
            // The response does not say that the session is invalid.
            Err(_) => {}
            Ok(_) => state.proven_tokens.insert(self.secret_sha256, RelyingPartyId::CONSOLE),
        }
        if let Some(charge) = self.charge {
            charge.refund();
        }
        Ok(answer?)
    }
}
