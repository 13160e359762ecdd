//! What other services' facts mean here: somebody may have to be told, or woken.

use nodkey_bus::{Consumer, EventMeta, HandlerError};
use nodkey_kernel::id::DeviceId;
use nodkey_proto::{
    convert::from_timestamp,
    registry::v1::DeviceRetired,
    rest,
    trusonafication::v1::{
        TrusonaficationAccepted, TrusonaficationCanceled, TrusonaficationCreated, TrusonaficationExpired, TrusonaficationRejected,
    },
};

use crate::{
    app::{App, End},
    domain::EVENT_TYPES,
    receipts::{Receipts, Told},
};

/// A consumer of the end of a trusonafication. `$result` is the field of what a `callback_url` is told of it.
macro_rules! teller {
    ($name:literal, $event:ident, $event_type:expr, $app:expr, $receipts:expr, { $($result:ident)? }) => {{
        let (app, receipts): (App, Receipts) = ($app.clone(), $receipts.clone());
        Consumer::new($name, move |tx, event: $event, meta| {
            let (app, receipts) = (app.clone(), receipts.clone());
            Box::pin(async move {
                let result = None::<&String>$(.or(Some(&event.$result)))?.map_or("", String::as_str);
                let about = event.trusonafication.ok_or_else(|| HandlerError::Undecodable("it is about nothing".into()))?;
                let data = rest::text(&about).map_err(|e| HandlerError::Fatal(e.to_string()))?;
                let told = Told { about: &about, data: data.get(), at: meta.time.unwrap_or_else(|| app.now()) };
                let occurred_at = receipts.check(&event.receipt, meta.relying_party, told)?;
                let (about, data, receipt) = (&about, &*data, event.receipt.as_str());
                let end = End { event_type: $event_type, occurred_at, about, data, receipt, result };
                Ok(app.tell(tx, meta.relying_party, end).await?)
            })
        })
        .only_if(move |db, event: $event, meta| {
            Box::pin(async move {
                let Some(about) = event.trusonafication else { return Ok(true) };
                App::tells(db, meta.relying_party, $event_type, &about).await
            })
        })
    }};
}

/// The consumers.
#[must_use]
pub fn consumers(app: &App, receipts: &Receipts) -> Vec<Consumer> {
    let [accepted, rejected, expired, canceled, _] = EVENT_TYPES;
    vec![
        teller!("notification_accepted", TrusonaficationAccepted, accepted, app, receipts, { result }),
        teller!("notification_rejected", TrusonaficationRejected, rejected, app, receipts, { result }),
        teller!("notification_expired", TrusonaficationExpired, expired, app, receipts, { result }),
        // A backend that withdraws what it asked is not called back.
        teller!("notification_canceled", TrusonaficationCanceled, canceled, app, receipts, {}),
        created(app.clone()),
        device_retired(app.clone()),
    ]
}

fn created(app: App) -> Consumer {
    let devices =
        |event: &TrusonaficationCreated| -> Vec<_> { event.device_identifiers.iter().filter_map(|id| DeviceId::parse(id).ok()).collect() };
    Consumer::new("notification_created", move |tx, event: TrusonaficationCreated, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let devices = devices(&event);
            let expires_at = event.trusonafication.and_then(|t| from_timestamp(t.expires_at.as_ref()?));
            let expires_at = expires_at.ok_or_else(|| HandlerError::Undecodable("it never ends".into()))?;
            Ok(app.wake(tx, meta.relying_party, &devices, expires_at).await?)
        })
    })
    .only_if(move |db, event: TrusonaficationCreated, meta| {
        Box::pin(async move { App::wakes(db, meta.relying_party, &devices(&event)).await })
    })
}

fn device_retired(app: App) -> Consumer {
    Consumer::new("notification_device_retired", move |tx, event: DeviceRetired, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let device = DeviceId::parse(&event.device_id).map_err(|e| HandlerError::Undecodable(e.to_string()))?;
            Ok(app.forget_device(tx, meta.relying_party, &device).await?)
        })
    })
}
