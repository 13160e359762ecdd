//! What other services' facts mean here: somebody may have to be told.

use nodkey_bus::{Consumer, HandlerError};
use nodkey_proto::trusonafication::v1::{
    TrusonaficationAccepted, TrusonaficationCanceled, TrusonaficationExpired, TrusonaficationRejected,
};

use crate::{app::App, domain::EVENT_TYPES};

/// A consumer of a fact about a trusonafication.
macro_rules! teller {
    ($name:literal, $event:ty, $event_type:expr, $app:expr) => {{
        let app: App = $app.clone();
        Consumer::new($name, move |tx, event: $event, meta| {
            let app = app.clone();
            Box::pin(async move {
                let about = event.trusonafication.ok_or_else(|| HandlerError::Undecodable("it is about nothing".into()))?;
                Ok(app.tell(tx, meta.relying_party, $event_type, meta.time, &about).await?)
            })
        })
    }};
}

/// The consumers.
#[must_use]
pub fn consumers(app: &App) -> Vec<Consumer> {
    let [accepted, rejected, expired, canceled] = EVENT_TYPES;
    vec![
        teller!("notification_accepted", TrusonaficationAccepted, accepted, app),
        teller!("notification_rejected", TrusonaficationRejected, rejected, app),
        teller!("notification_expired", TrusonaficationExpired, expired, app),
        teller!("notification_canceled", TrusonaficationCanceled, canceled, app),
    ]
}
