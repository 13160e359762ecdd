//! Events that the registry consumes.

use nodkey_bus::{Consumer, EventMeta, HandlerError};
use nodkey_kernel::id::DeviceId;
use nodkey_proto::binding::v1::{DeviceReplaced, UserDeactivated};

use crate::app::App;

/// The consumers of the registry.
#[must_use]
pub fn consumers(app: &App) -> Vec<Consumer> {
    vec![user_deactivated(app.clone()), device_replaced(app.clone())]
}

/// Retires a phone that was replaced by another; this is permanent.
fn device_replaced(app: App) -> Consumer {
    Consumer::new("registry_device_replaced", move |tx, event: DeviceReplaced, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let id = DeviceId::parse(&event.old_device_identifier).map_err(|e| HandlerError::Undecodable(e.to_string()))?;
            Ok(app.retire_devices(tx, meta.relying_party, &[id]).await?)
        })
    })
}

/// Retires the devices of a deactivated user, so that none of them can answer.
fn user_deactivated(app: App) -> Consumer {
    Consumer::new("registry_user_deactivated", move |tx, event: UserDeactivated, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let ids: Result<Vec<_>, _> = event.device_identifiers.iter().map(|id| DeviceId::parse(id)).collect();
            let ids = ids.map_err(|e| HandlerError::Undecodable(e.to_string()))?;
            app.retire_devices(tx, meta.relying_party, &ids).await?;
            Ok(())
        })
    })
}
