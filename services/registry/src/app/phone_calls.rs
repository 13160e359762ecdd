//! Signed calls of phones, forwarded by the gateway.

use nodkey_db::{Tx, used_proof};
use nodkey_kernel::{dpop::Unproven, id::DeviceId};

use super::App;
use crate::{
    domain::{
        Refusal,
        phone_call::{Operation, ProvenCall, SentCall},
    },
    error::Error,
};

impl App {
    /// Verifies a call of a device. Returns `None` while gateways of an earlier release may still run: they do not forward calls, and are
    /// trusted as before for as long as the shared key of that release is configured.
    pub fn prove(&self, call: Option<SentCall<'_>>, operation: Operation<'_>, device: &DeviceId) -> Result<Option<ProvenCall>, Refusal> {
        let deployment = &self.0.deployment;
        match call {
            Some(call) => Ok(Some(call.verify(operation, device, &deployment.public_url, self.now())?)),
            None if deployment.internal_key.is_some() => Ok(None),
            None => Err(Unproven::Missing.into()),
        }
    }

    /// Marks a call as used, in the transaction of its effect, so that it cannot take effect again.
    pub(super) async fn use_up(&self, tx: &mut Tx, call: Option<&ProvenCall>) -> Result<(), Error> {
        match call {
            Some(call) if !used_proof::insert(tx, call.device(), call.jti(), self.now()).await? => {
                Err(Refusal::from(Unproven::Used).into())
            }
            _ => Ok(()),
        }
    }
}
