//! Events of other services that the binding service consumes.

use nodkey_bus::{Consumer, HandlerError};
use nodkey_kernel::id::DeviceId;
use nodkey_proto::registry::v1::DeviceRetired;

use crate::app::App;

/// The consumers of the binding service.
pub fn consumers(app: &App) -> Vec<Consumer> {
    let app = app.clone();
    vec![Consumer::new("binding_device_retired", move |tx, event: DeviceRetired, meta| {
        let app = app.clone();
        Box::pin(async move {
            let device = DeviceId::parse(&event.device_id).map_err(|e| HandlerError::Undecodable(e.to_string()))?;
            Ok(app.device_retired(tx, meta.relying_party, &device).await?)
        })
    })]
}
