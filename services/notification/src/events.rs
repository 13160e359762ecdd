//! Events of other services that the notification service consumes: they lead to deliveries and pushes.

mod facts;
mod results;

use nodkey_bus::{Consumer, EventMeta, HandlerError};
use nodkey_kernel::id::DeviceId;
use nodkey_proto::{convert::from_timestamp, trusonafication::v1::TrusonaficationCreated};

use crate::{app::App, domain::push_cause::Cause, receipts::Receipts};

/// The consumers of the notification service.
#[must_use]
pub fn consumers(app: &App, receipts: &Receipts) -> Vec<Consumer> {
    let mut consumers = results::consumers(app, receipts);
    consumers.extend(facts::consumers(app));
    consumers.push(created(app.clone()));
    consumers
}

fn created(app: App) -> Consumer {
    let devices =
        |event: &TrusonaficationCreated| -> Vec<_> { event.device_identifiers.iter().filter_map(|id| DeviceId::parse(id).ok()).collect() };
    Consumer::new("notification_created", move |tx, event: TrusonaficationCreated, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let devices = devices(&event);
            let about = event.trusonafication.ok_or_else(|| HandlerError::Undecodable("it is about nothing".into()))?;
            let id = about.id.parse().map_err(|_| HandlerError::Undecodable("it is about no trusonafication".into()))?;
            let expires_at = about.expires_at.as_ref().and_then(from_timestamp);
            let expires_at = expires_at.ok_or_else(|| HandlerError::Undecodable("it never ends".into()))?;
            Ok(app.wake(tx, meta.relying_party, &devices, Cause::Prompt(id), expires_at).await?)
        })
    })
    .only_if(move |db, event: TrusonaficationCreated, meta| {
        Box::pin(async move { App::wakes(db, meta.relying_party, &devices(&event)).await })
    })
}
