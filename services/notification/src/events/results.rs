//! How trusonafications end: what endpoints and a `callback_url` get of it rests on the receipt.

use nodkey_bus::{Consumer, HandlerError};
use nodkey_proto::{
    rest,
    trusonafication::v1::{
        RejectReason, Trusonafication, TrusonaficationAccepted, TrusonaficationCanceled, TrusonaficationExpired, TrusonaficationRejected,
    },
};

use crate::{
    app::{App, CallbackTo, Fact},
    domain::{EventType, Subject},
    receipts::{Receipts, Told},
};

/// A consumer of the end of a trusonafication. `$result` is the field of what a `callback_url` gets of it: a backend that withdraws what it
/// asked is not called back.
macro_rules! end {
    ($name:literal, $event:ident, $event_type:expr, $app:expr, $receipts:expr, { $($result:ident)? }) => {{
        let (app, receipts): (App, Receipts) = ($app.clone(), $receipts.clone());
        Consumer::new($name, move |tx, event: $event, meta| {
            let (app, receipts) = (app.clone(), receipts.clone());
            Box::pin(async move {
                let result = None::<&String>$(.or(Some(&event.$result)))?.map(String::as_str);
                let about = event.trusonafication.ok_or_else(|| HandlerError::Undecodable("it is about nothing".into()))?;
                let id = about.id.parse().map_err(|_| HandlerError::Undecodable("it is about no trusonafication".into()))?;
                let data = rest::text(&about).map_err(|e| HandlerError::Fatal(e.to_string()))?;
                let told = Told { about: &about, data: data.get(), at: meta.time.unwrap_or_else(|| app.now()) };
                let fact = Fact {
                    event_types: &event_types($event_type, &about),
                    subject: Subject::Trusonafication(id),
                    occurred_at: receipts.check(&event.receipt, meta.relying_party, told)?,
                    // Clocks differ, and no result may be missed.
                    published_at: None,
                    data: &data,
                    receipt: &event.receipt,
                    callback: result.filter(|_| !about.callback_url.is_empty()).map(|result| CallbackTo { url: &about.callback_url, result }),
                };
                // By the word of the receipt, as all of it.
                app.wake_no_more(tx, id).await?;
                Ok(app.notify(tx, meta.relying_party, &fact).await?)
            })
        })
        .only_if(move |db, event: $event, meta| {
            Box::pin(async move {
                let calls_back = None::<&String>$(.or(Some(&event.$result)))?.is_some();
                let Some(about) = event.trusonafication else { return Ok(true) };
                if calls_back && !about.callback_url.is_empty() || App::has_endpoints(db, meta.relying_party).await? {
                    return Ok(true);
                }
                match about.id.parse() {
                    Ok(id) => Ok(App::wakes_for(db, id).await?),
                    Err(_) => Ok(true),
                }
            })
        })
    }};
}

/// The consumers.
pub fn consumers(app: &App, receipts: &Receipts) -> Vec<Consumer> {
    vec![
        end!("notification_accepted", TrusonaficationAccepted, EventType::Accepted, app, receipts, { result }),
        end!("notification_rejected", TrusonaficationRejected, EventType::Rejected, app, receipts, { result }),
        end!("notification_expired", TrusonaficationExpired, EventType::Expired, app, receipts, { result }),
        end!("notification_canceled", TrusonaficationCanceled, EventType::Canceled, app, receipts, {}),
    ]
}

/// What endpoints are notified of: the end, and besides that the person said that it was not them who asked.
fn event_types(end: EventType, about: &Trusonafication) -> Vec<EventType> {
    let not_me = about.result.as_ref().is_some_and(|result| result.reject_reason() == RejectReason::NotMe);
    if not_me { vec![end, EventType::Reported] } else { vec![end] }
}
