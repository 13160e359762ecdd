//! Secure QR codes.

use std::sync::Arc;

use nodkey_proto::trusonafication::v1::{self as message, tru_code_service_client::TruCodeServiceClient};

use super::wire::send;
use crate::{CodeId, DeviceIdentifier, Error, client::Inner};

/// Which device scanned a secure QR code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pairing {
    /// The code.
    pub id: CodeId,
    /// The device that scanned it; any text if your relying party allows unproven pairing.
    pub device: DeviceIdentifier,
}

/// Who scanned a secure QR code.
#[derive(Clone, Debug)]
pub struct Codes(Arc<Inner>);

impl Codes {
    pub(crate) const fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Returns which device scanned a code.
    ///
    /// Errors: `NOT_FOUND`, also before one did.
    pub async fn pairing(&self, id: impl Into<CodeId>) -> Result<Pairing, Error> {
        let message = message::GetPairingRequest { id: id.into().into() };
        let message::Pairing { id, identifier } = send!(self.0, Trusonafication, TruCodeServiceClient::get_pairing, message)?;
        Ok(Pairing { id: id.into(), device: identifier.into() })
    }
}
