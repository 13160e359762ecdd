//! What other services' facts mean here: somebody may have to be told.

use nodkey_bus::{Consumer, HandlerError};
use nodkey_proto::trusonafication::v1::{TrusonaficationAccepted, TrusonaficationExpired, TrusonaficationRejected};

use crate::app::App;

/// A consumer of a fact about a trusonafication.
macro_rules! teller {
    ($name:literal, $event:ty, $event_type:literal, $app:expr) => {{
        let app: App = $app.clone();
        Consumer::new($name, move |tx, event: $event, meta| {
            let app = app.clone();
            Box::pin(async move {
                let about = event.trusonafication.ok_or_else(|| HandlerError::Undecodable("it is about nothing".into()))?;
                Ok(app.tell(tx, meta.relying_party, $event_type, &about).await?)
            })
        })
    }};
}

/// The consumers.
#[must_use]
pub fn consumers(app: &App) -> Vec<Consumer> {
    vec![
        teller!("notification_accepted", TrusonaficationAccepted, "trusonafication.accepted", app),
        teller!("notification_rejected", TrusonaficationRejected, "trusonafication.rejected", app),
        teller!("notification_expired", TrusonaficationExpired, "trusonafication.expired", app),
    ]
}
