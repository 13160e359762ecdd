//! A new phone replaces this one, or is added beside it.

use nodkey_kernel::{
    jose::{PublicJwk, jws},
    key_statement::PresenceKind,
    transfer::{TRANSFER_REQUEST_TYP, TRANSFER_TYP, TransferAct, TransferClaims, TransferRequestClaims},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    Error, KeyStore, UserPresence,
    keys::sign_with_presence,
    transport::{Call, Transport, json as read_json},
    vouching::challenge,
};

/// The phone that was bound.
#[derive(Clone, Debug, Deserialize)]
pub struct Transferred {
    /// Its device identifier.
    pub device_identifier: String,
    /// True unless it has been deactivated since.
    pub is_active: bool,
}

/// The code that the new phone shows.
pub(crate) async fn request(transport: &Transport, keys: &impl KeyStore) -> Result<String, Error> {
    let device = keys.device_key();
    let nonce = challenge(transport, keys).await?.nonce;
    let claims = TransferRequestClaims { iss: device.thumbprint(), aud: transport.base().into(), nonce };
    jws::sign_with(TRANSFER_REQUEST_TYP, device.algorithm(), None, None, &claims, |input| keys.sign(input)).map_err(Error::KeyStore)
}

/// Signs the bound phone's statement about the new one, with its device key and a presence key of the person who holds it.
pub(crate) async fn transfer(
    (transport, keys, presence): (&Transport, &impl KeyStore, &impl UserPresence),
    candidates: impl IntoIterator<Item = (PresenceKind, PublicJwk)>,
    request: &str,
    act: TransferAct,
) -> Result<Transferred, Error> {
    let request = request.trim();
    let code = jws::Compact::parse(request).ok().filter(|code| code.header().typ.as_deref() == Some(TRANSFER_REQUEST_TYP));
    let asks = code.and_then(|code| code.unverified_claims::<TransferRequestClaims>().ok());
    let asks = asks.ok_or_else(|| Error::Protocol("this is not the code of a new phone".into()))?;
    let device = keys.device_key();
    if !asks.aud.includes(transport.base()) || asks.iss == device.thumbprint() {
        return Err(Error::Protocol("the code is another deployment's, or this phone's own".into()));
    }
    let claims = TransferClaims {
        iss: device.thumbprint(),
        sub: asks.iss,
        aud: transport.base().into(),
        act,
        nonce: challenge(transport, keys).await?.nonce,
        iat: transport.now().as_seconds(),
    };
    let kid = device.thumbprint();
    let statement = jws::sign_with(TRANSFER_TYP, device.algorithm(), Some(&kid), None, &claims, |input| keys.sign(input));
    let statement = statement.map_err(Error::KeyStore)?;
    let signature = sign_with_presence((keys, presence), candidates, (TRANSFER_TYP, &claims), reason(act)).await?;
    let body = json!({"statement": statement, "signature": signature, "request": request});
    read_json(transport.send(keys, &Call::post("/api/v2/device_transfers").body(&body)).await?).await
}

/// The text of the prompt before the presence key signs.
const fn reason(act: TransferAct) -> &'static str {
    match act {
        TransferAct::Replace => "Move to the new phone",
        TransferAct::Add => "Add another phone",
    }
}
