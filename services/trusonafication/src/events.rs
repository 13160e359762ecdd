//! Events of other services that the trusonafication service consumes: it cancels what can no longer be answered. An event that arrives
//! late, after the user or the device was bound again, only affects the bindings it names.

use nodkey_bus::{Consumer, EventMeta, HandlerError};
use nodkey_kernel::id::{BindingId, DeviceId};
use nodkey_proto::{
    binding::v1::{BindingDeactivated, UserDeactivated, UserFrozen},
    registry::v1::DeviceRetired,
};

use crate::app::{App, Of};

/// The consumers of the trusonafication service.
#[must_use]
pub fn consumers(app: &App) -> Vec<Consumer> {
    vec![user_deactivated(app.clone()), user_frozen(app.clone()), binding_deactivated(app.clone()), device_retired(app.clone())]
}

fn user_deactivated(app: App) -> Consumer {
    Consumer::new("trusonafication_user_deactivated", move |tx, event: UserDeactivated, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let ended = bindings(&event.binding_ids)?;
            Ok(app.cancel_pending(tx, meta.relying_party, Of::User(&event.user_identifier, &ended)).await?)
        })
    })
}

/// A freeze does not end the bindings, and so nothing else cancels trusonafications that target a device or a code: each device is handled
/// here. An event that arrives after the release also cancels what was created since. That is more than necessary, but the backend can
/// create it again.
fn user_frozen(app: App) -> Consumer {
    Consumer::new("trusonafication_user_frozen", move |tx, event: UserFrozen, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let party = meta.relying_party;
            let frozen = bindings(&event.binding_ids)?;
            let devices = event.device_identifiers.iter().map(|id| DeviceId::parse(id));
            let devices = devices.collect::<Result<Vec<_>, _>>().map_err(|e| HandlerError::Undecodable(e.to_string()))?;
            app.cancel_pending(tx, party, Of::User(&event.user_identifier, &frozen)).await?;
            for (device, binding) in devices.iter().zip(frozen) {
                app.cancel_pending(tx, party, Of::Binding(device, binding)).await?;
            }
            app.wake(tx, party, devices);
            Ok(())
        })
    })
}

fn binding_deactivated(app: App) -> Consumer {
    Consumer::new("trusonafication_binding_deactivated", move |tx, event: BindingDeactivated, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let device = DeviceId::parse(&event.device_identifier).map_err(|e| HandlerError::Undecodable(e.to_string()))?;
            let ended = binding(&event.binding_id)?;
            let party = meta.relying_party;
            app.cancel_pending(tx, party, Of::Binding(&device, ended)).await?;
            if event.last {
                app.cancel_pending(tx, party, Of::User(&event.user_identifier, &[ended])).await?;
            }
            // Requests waiting for this device learn that there is nothing to wait for.
            app.wake(tx, party, vec![device]);
            Ok(())
        })
    })
}

fn device_retired(app: App) -> Consumer {
    Consumer::new("trusonafication_device_retired", move |tx, event: DeviceRetired, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let device = DeviceId::parse(&event.device_id).map_err(|e| HandlerError::Undecodable(e.to_string()))?;
            app.cancel_pending(tx, meta.relying_party, Of::Device(&device)).await?;
            app.wake(tx, meta.relying_party, vec![device]);
            Ok(())
        })
    })
}

/// Parses binding ids. Earlier releases sent none; trusonafications created since then have others.
fn bindings(ids: &[String]) -> Result<Vec<BindingId>, HandlerError> {
    ids.iter().map(|id| binding(id)).collect()
}

fn binding(id: &str) -> Result<BindingId, HandlerError> {
    id.parse().map_err(|_| HandlerError::Undecodable("it names no binding".to_owned()))
}
