//! Calls of phones that the gateway passes on.

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
    /// Verifies a call of a device. `None` where gateways of a release before may still run: they pass none on, and are believed as they were,
    /// for as long as the key of that release is configured.
    pub fn prove(&self, call: Option<SentCall<'_>>, operation: Operation<'_>, device: &DeviceId) -> Result<Option<ProvenCall>, Refusal> {
        let deployment = &self.0.deployment;
        match call {
            Some(call) => Ok(Some(call.verify(operation, device, &deployment.public_url, self.now())?)),
            None if deployment.internal_key.is_some() => Ok(None),
            None => Err(Unproven::Missing.into()),
        }
    }

    /// Notes that a call has its effect, in the transaction of that effect: it has none again.
    pub(super) async fn use_up(&self, tx: &mut Tx, call: Option<&ProvenCall>) -> Result<(), Error> {
        match call {
            Some(call) if !used_proof::insert(tx, call.device(), call.jti(), self.now()).await? => {
                Err(Refusal::from(Unproven::Used).into())
            }
            _ => Ok(()),
        }
    }
}
