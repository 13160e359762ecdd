//! The end of trusonafications: what endpoints and a `callback_url` get is verified with the receipt.

use std::time::Duration;

use nodkey_bus::{Consumer, HandlerError};
use nodkey_kernel::{jose::jws::Compact, receipt::ReceiptClaims};
use nodkey_proto::{
    rest,
    trusonafication::v1::{
        RejectReason, Trusonafication, TrusonaficationAccepted, TrusonaficationCanceled, TrusonaficationExpired, TrusonaficationRejected,
    },
};
use serde_json::value::RawValue;

use crate::{
    app::{App, CallbackTo, Fact},
    domain::{EventType, Subject},
    receipts::{Receipts, Reported},
};

/// How long after an end an endpoint may be created, by the clock of this service, and still get it.
const SKEW: Duration = Duration::from_hours(1);

/// A consumer of the end of a trusonafication. `$result` is the field with the result for a `callback_url`: a backend that cancels its own
/// request is not called back.
macro_rules! end {
    ($name:literal, $event:ident, $event_type:expr, $app:expr, $receipts:expr, { $($result:ident)? }) => {{
        let (app, receipts): (App, Receipts) = ($app.clone(), $receipts.clone());
        Consumer::new($name, move |tx, event: $event, meta| {
            let (app, receipts) = (app.clone(), receipts.clone());
            Box::pin(async move {
                let result = None::<&String>$(.or(Some(&event.$result)))?.map(String::as_str);
                let about = event.trusonafication.ok_or_else(|| HandlerError::Undecodable("it is about nothing".into()))?;
                let id = about.id.parse().map_err(|_| HandlerError::Undecodable("it is about no trusonafication".into()))?;
                let data = data(&about, &event.receipt)?;
                let reported = Reported { about: &about, data: data.get(), at: meta.time.unwrap_or_else(|| app.now()) };
                let ended_at = receipts.check(&event.receipt, meta.relying_party, reported)?;
                let fact = Fact {
                    event_types: &event_types($event_type, &about),
                    // A trusonafication ends once, so an event of another id is about the same.
                    event: None,
                    subject: Subject::Trusonafication(id),
                    occurred_at: ended_at,
                    // Clocks differ, and no result may be missed. A new endpoint gets none that is published again from long before.
                    published_at: Some(ended_at + SKEW),
                    data: &data,
                    receipt: &event.receipt,
                    callback: result.filter(|_| !about.callback_url.is_empty()).map(|result| CallbackTo { url: &about.callback_url, result }),
                };
                // Only after the receipt was verified, like everything here.
                app.wake_no_more(tx, id).await?;
                Ok(app.notify(tx, meta.relying_party, &fact).await?)
            })
        })
        .only_if(move |db, event: $event, meta| {
            Box::pin(async move {
                let calls_back = None::<&String>$(.or(Some(&event.$result)))?.is_some();
                let Some(about) = event.trusonafication else { return Ok(true) };
                if calls_back && !about.callback_url.is_empty() {
                    return Ok(true);
                }
                match about.id.parse() {
                    Ok(id) => Ok(App::is_anybody_concerned(db, meta.relying_party, id).await?),
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

/// The webhook payload, byte for byte as hashed in the receipt.
fn data(about: &Trusonafication, receipt: &str) -> Result<Box<RawValue>, HandlerError> {
    let fatal = |e: serde_json::Error| HandlerError::Fatal(e.to_string());
    let data = rest::text(about).map_err(fatal)?;
    let claims: Option<ReceiptClaims> = Compact::parse(receipt).ok().and_then(|receipt| receipt.unverified_claims().ok());
    // Whether the receipt is genuine and covers the data is verified elsewhere.
    match claims {
        Some(claims) if !claims.has_data(data.get()) => {
            let before = rest::text_of_before(about).map_err(fatal)?;
            Ok(if claims.has_data(before.get()) { before } else { data })
        }
        _ => Ok(data),
    }
}

/// The event types of an end: the end itself, and a report if the person said "not me".
fn event_types(end: EventType, about: &Trusonafication) -> Vec<EventType> {
    let not_me = about.result.as_ref().is_some_and(|result| result.reject_reason() == RejectReason::NotMe);
    if not_me { vec![end, EventType::Reported] } else { vec![end] }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::{
        jose::{Algorithm, PrivateKey, jws},
        random::Random,
        receipt::{RECEIPT_TYP, data_hash},
    };
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_told_is_the_text_that_the_receipt_covers_whichever_release_signed_it() {
        let written = r#"{"iban": 89370400440532013000}"#;
        let about = Trusonafication { custom_fields_json: written.into(), ..Trusonafication::default() };
        let receipt = |data: &str| {
            let key = PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(1));
            let claims = json!({
                "iss": "https://auth.example", "jti": "r", "sub": "t", "rp": "acme", "at": 1, "status": "CANCELED", "chal": "c",
                "data": data_hash(data),
            });
            jws::sign(RECEIPT_TYP, None, None, &claims, &key)
        };
        let (now, before) = (rest::text(&about).unwrap(), rest::text_of_before(&about).unwrap());
        assert!(now.get().contains(written) && !before.get().contains(written));
        for (covered, expected) in [(now.get(), &now), (before.get(), &before), ("{}", &now)] {
            assert_eq!(data(&about, &receipt(covered)).unwrap().get(), expected.get());
        }
        for none in ["", "nonsense"] {
            assert_eq!(data(&about, none).unwrap().get(), now.get());
        }
    }
}
