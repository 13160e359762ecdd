//! What other services' facts mean here: who cannot answer any more is not asked any more.

use nodkey_bus::{Consumer, EventMeta, HandlerError};
use nodkey_kernel::id::DeviceId;
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
            Ok(app.cancel_pending(tx, meta.relying_party, Of::User(&event.user_identifier), meta.traceparent.as_ref()).await?)
        })
    })
}

fn binding_deactivated(app: App) -> Consumer {
    Consumer::new("trusonafication_binding_deactivated", move |tx, event: BindingDeactivated, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let device = DeviceId::parse(&event.device_identifier).map_err(|e| HandlerError::Undecodable(e.to_string()))?;
            Ok(app.cancel_pending(tx, meta.relying_party, Of::Device(&device), meta.traceparent.as_ref()).await?)
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
