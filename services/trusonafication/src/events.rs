//! What other services' facts mean here: who cannot answer any more is not asked any more. A fact that comes late, when user or device have
//! begun another life, is about the bindings it names alone.

use nodkey_bus::{Consumer, EventMeta, HandlerError};
use nodkey_kernel::id::{BindingId, DeviceId};
use nodkey_proto::{
    binding::v1::{BindingDeactivated, UserDeactivated},
    registry::v1::DeviceRetired,
};

use crate::app::{App, Of};

/// The consumers.
#[must_use]
pub fn consumers(app: &App) -> Vec<Consumer> {
    vec![user_deactivated(app.clone()), binding_deactivated(app.clone()), device_retired(app.clone())]
}

fn user_deactivated(app: App) -> Consumer {
    Consumer::new("trusonafication_user_deactivated", move |tx, event: UserDeactivated, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let ended = bindings(&event.binding_ids)?;
            Ok(app.cancel_pending(tx, meta.relying_party, Of::User(&event.user_identifier, &ended), meta.traceparent.as_ref()).await?)
        })
    })
}

fn binding_deactivated(app: App) -> Consumer {
    Consumer::new("trusonafication_binding_deactivated", move |tx, event: BindingDeactivated, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let device = DeviceId::parse(&event.device_identifier).map_err(|e| HandlerError::Undecodable(e.to_string()))?;
            let ended = binding(&event.binding_id)?;
            Ok(app.cancel_pending(tx, meta.relying_party, Of::Binding(&device, ended), meta.traceparent.as_ref()).await?)
        })
    })
}

fn device_retired(app: App) -> Consumer {
    Consumer::new("trusonafication_device_retired", move |tx, event: DeviceRetired, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let device = DeviceId::parse(&event.device_id).map_err(|e| HandlerError::Undecodable(e.to_string()))?;
            Ok(app.cancel_pending(tx, meta.relying_party, Of::Device(&device), meta.traceparent.as_ref()).await?)
        })
    })
}

/// Releases before named none: what was asked since has others.
fn bindings(ids: &[String]) -> Result<Vec<BindingId>, HandlerError> {
    ids.iter().map(|id| binding(id)).collect()
}

fn binding(id: &str) -> Result<BindingId, HandlerError> {
    id.parse().map_err(|_| HandlerError::Undecodable("it names no binding".to_owned()))
}
