//! Trust: the deployment's keys, and why something is not signed with them.

use std::time::Duration;

use nodkey_kernel::{challenge::ChallengeError, jose::Jwks, time::Timestamp};
use tokio::sync::Mutex;

use crate::{Error, transport::Transport};

/// Minimum interval between requests to the gateway for an unknown key, once it did not know the key either.
const AGAIN: Duration = Duration::from_secs(5);

/// Why a challenge must not be shown. Tell the person that there was one, but nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// Not signed by the deployment.
    #[error("the challenge is not signed by a key of the deployment")]
    Signature,
    /// Signed with a key that the deployment does not publish for this, or that the app was not shipped with.
    #[error("the challenge is signed with a key that is not in the JWKS for challenges")]
    UnknownKey,
    /// Meant for another gateway than the configured one.
    #[error("the challenge is from another gateway")]
    OtherGateway,
    /// The challenge belongs to another trusonafication than the one it came with.
    #[error("the challenge is for another trusonafication")]
    Mismatch,
    /// There is no challenge.
    #[error("there is no challenge")]
    Malformed,
}

/// The deployment's public keys known to the phone.
#[derive(Debug)]
pub(crate) struct KeySet {
    /// Shipped with the app: no others are accepted.
    pinned: bool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Option<Jwks>,
    /// When the gateway was last asked for a key that it did not know.
    missed_at: Option<Timestamp>,
}

impl KeySet {
    pub(crate) fn new(pinned: Option<Jwks>) -> Self {
        Self { pinned: pinned.is_some(), known: Mutex::new(Known { keys: pinned, missed_at: None }) }
    }

    /// Verifies with the keys. If the signing key is not among them, the deployment may have a new one: the keys are fetched once from the
    /// gateway itself, and only TLS proves whose they are.
    pub(crate) async fn verify<T>(
        &self,
        transport: &Transport,
        verify: impl Fn(&Jwks) -> Result<T, ChallengeError>,
    ) -> Result<Result<T, ChallengeError>, Error> {
        let mut known = self.known.lock().await;
        let verified = known.keys.as_ref().map_or(Err(ChallengeError::UnknownKey), &verify);
        let now = transport.now();
        let is_early = known.missed_at.is_some_and(|at| at <= now && at.until(now) < AGAIN);
        if !is_unknown(&verified) || self.pinned || is_early {
            return Ok(verified);
        }
        let verified = verify(known.keys.insert(transport.get("/jwks").await?));
        known.missed_at = is_unknown(&verified).then_some(now);
        Ok(verified)
    }
}

fn is_unknown<T>(verified: &Result<T, ChallengeError>) -> bool {
    matches!(verified, Err(ChallengeError::UnknownKey))
}
