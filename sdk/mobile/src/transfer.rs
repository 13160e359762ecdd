//! A new phone replaces this one, or is added beside it.

use nodkey_kernel::{
    jose::jws::{self, Unsigned},
    transfer::{TRANSFER_REQUEST_TYP, TRANSFER_TYP, TransferClaims, TransferRequestClaims},
};
use serde_json::json;

use crate::{
    DeviceIdentifier, Error, PresenceKey,
    error::Failure,
    signer::{Signer, Statement},
    transport::{Call, Transport, json as read_json},
    vouching::challenge,
    wire::TransferredBody,
};

/// What happens to the two phones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransferAct {
    /// The new phone replaces this one, which is retired.
    Replace,
    /// Both belong to the user; the relying party has to allow it.
    Add,
}

impl TransferAct {
    /// `replace` or `add`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Add => "add",
        }
    }
}

/// The phone that was bound.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transferred {
    /// Its device identifier.
    pub device_identifier: DeviceIdentifier,
    /// True unless it has been deactivated since.
    pub is_active: bool,
}

/// The code that the new phone shows.
pub(crate) async fn request(transport: &Transport, signer: &Signer) -> Result<String, Error> {
    let device = signer.device();
    let nonce = challenge(transport, signer).await?.nonce;
    let claims = TransferRequestClaims { iss: device.thumbprint(), aud: transport.base().into(), nonce };
    signer.finish(Unsigned::new(TRANSFER_REQUEST_TYP, device.algorithm(), None, None, &claims)).await
}

/// Signs the bound phone's statement about the new one, with its device key and a presence key of the person who holds it.
pub(crate) async fn transfer(
    (transport, signer): (&Transport, &Signer),
    candidates: Vec<PresenceKey>,
    request: &str,
    act: TransferAct,
) -> Result<Transferred, Error> {
    let request = request.trim();
    let code = jws::Compact::parse(request).ok().filter(|code| code.header().typ.as_deref() == Some(TRANSFER_REQUEST_TYP));
    let asks = code.and_then(|code| code.unverified_claims::<TransferRequestClaims>().ok());
    let asks = asks.ok_or(Failure::Input("this is not the code of a new phone"))?;
    let device = signer.device().thumbprint();
    if !asks.aud.includes(transport.base()) || asks.iss == device {
        return Err(Failure::Input("the code is another deployment's, or this phone's own").into());
    }
    let claims = TransferClaims {
        iss: device,
        sub: asks.iss,
        aud: transport.base().into(),
        act: act.to_kernel(),
        nonce: challenge(transport, signer).await?.nonce,
        iat: transport.now().as_seconds(),
    };
    let statement = signer.by_device(TRANSFER_TYP, &claims).await?;
    let signature = signer.by_any_presence(candidates, Statement { typ: TRANSFER_TYP, claims: &claims, reason: reason(act) }).await?;
    let body = json!({"statement": statement, "signature": signature, "request": request});
    let answer = transport.send(signer, &Call::post("/api/v2/device_transfers").body(&body)).await?;
    Ok(read_json::<TransferredBody>(answer).await?.into())
}

/// The text of the prompt before the presence key signs.
const fn reason(act: TransferAct) -> &'static str {
    match act {
        TransferAct::Replace => "Move to the new phone",
        TransferAct::Add => "Add another phone",
    }
}
