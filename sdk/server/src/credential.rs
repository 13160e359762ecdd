//! Tokens, and names that reveal nobody.

use std::time::SystemTime;

use nodkey_client::Credential;

use crate::{Error, client::invalid_credential};

/// Signs a token for one call over HTTP that you make without this client: `Authorization: Bearer TOKEN`. It holds for 30 seconds from `now`,
/// rounded down to the second; sign one for each call. `audience` is `nodkey` unless the operator of the deployment changed it.
///
/// `INVALID_CREDENTIAL`: the token is not a JWT with a `jti`, or there is no secret. See `docs/protocol/bearer.md`.
pub fn bearer_token(token: &str, secret: &str, audience: &str, now: SystemTime) -> Result<String, Error> {
    let credential = Credential::new(token, secret).map_err(|error| invalid_credential(&error))?;
    Ok(credential.audience(audience).bearer_token(now))
}

/// Turns a user identifier into one that does not reveal the user, and is the same every time: base64url of HMAC-SHA-256 of its UTF-8, under a
/// key that only you have. Without a key, email addresses could be found by trying them.
#[must_use]
pub fn hash_user_identifier(key: &[u8], user_identifier: &str) -> String {
    nodkey_client::hash_user_identifier(key, user_identifier)
}
