//! Events about devices, bindings and documents. Endpoints get them on the word of the publishing service; there is no receipt.
//!
//! To add a fact, add a line to [`consumers`] and a function that returns what endpoints get of it.

use std::time::Duration;

use nodkey_bus::{Consumer, EventMeta, HandlerError};
use nodkey_db::Tx;
use nodkey_kernel::id::{DeviceId, EventId};
use nodkey_proto::{
    Event,
    binding::v1::{BindingActivated, DeviceReplaced, FrozenBy, UserFrozen},
    registry::v1::{
        DeviceRegistered, DeviceRetired, DeviceUpdated, DocumentType, IdentityDocumentRegistered, PresenceKey, PresenceKind,
        RelyingPartyDisabled,
    },
};
use serde_json::{Value, json, value::to_raw_value};

use crate::{
    app::{App, Fact},
    domain::push_cause::Cause,
    domain::{EventType, Subject},
};

/// How long phones are woken because another phone was added.
const NOTICE: Duration = Duration::from_hours(24);

/// The consumers.
pub fn consumers(app: &App) -> Vec<Consumer> {
    vec![
        fact("notification_device_registered", EventType::DeviceRegistered, app, device_registered),
        fact("notification_device_updated", EventType::DeviceKeysChanged, app, device_keys_changed),
        device_retired(app),
        fact("notification_device_replaced", EventType::DeviceReplaced, app, device_replaced),
        binding_activated(app),
        fact("notification_document_registered", EventType::DocumentRegistered, app, document_registered),
        fact("notification_user_frozen", EventType::UserFrozen, app, user_frozen),
        relying_party_disabled(app),
    ]
}

/// The subject of an event, and what endpoints get of it besides its version.
type About = (Subject, Value);

/// A consumer that notifies endpoints. `about` returns `None` for an event that does not concern them, or of a release whose events lack
/// the data.
fn fact<E: Event + 'static>(
    name: &'static str,
    event_type: EventType,
    app: &App,
    about: fn(&E) -> Result<Option<About>, HandlerError>,
) -> Consumer {
    let app = app.clone();
    Consumer::new(name, move |tx, event: E, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let Some((subject, data)) = about(&event)? else { return Ok(()) };
            notify(&app, tx, &meta, event_type, subject, data).await
        })
    })
    .only_if(move |db, event: E, meta| {
        Box::pin(async move {
            // The handler reports events that cannot be decoded.
            if matches!(about(&event), Ok(None)) { Ok(false) } else { App::has_endpoints(db, meta.relying_party).await }
        })
    })
}

async fn notify(
    app: &App,
    tx: &mut Tx,
    meta: &EventMeta,
    event_type: EventType,
    subject: Subject,
    mut data: Value,
) -> Result<(), HandlerError> {
    // Of two events about the same subject, the greater version is the later one: they may arrive in any order.
    data["version"] = json!(meta.version);
    let data = to_raw_value(&data).map_err(|e| HandlerError::Fatal(e.to_string()))?;
    let fact = Fact {
        event_types: &[event_type],
        event: Some(EventId::from_uuid(meta.id)),
        subject,
        occurred_at: meta.time.unwrap_or_else(|| app.now()),
        // Otherwise a new endpoint would get earlier events as if they were new.
        published_at: meta.time,
        data: &data,
        receipt: "",
        callback: None,
    };
    Ok(app.notify(tx, meta.relying_party, &fact).await?)
}

/// Ends deliveries and pushes of a disabled relying party.
fn relying_party_disabled(app: &App) -> Consumer {
    let app = app.clone();
    Consumer::new("notification_relying_party_disabled", move |tx, _: RelyingPartyDisabled, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move { Ok(app.withdraw(tx, meta.relying_party).await?) })
    })
}

/// Also deletes the device's push registration.
fn device_retired(app: &App) -> Consumer {
    let app = app.clone();
    Consumer::new("notification_device_retired", move |tx, event: DeviceRetired, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let device = device(&event.device_id)?;
            app.forget_device(tx, meta.relying_party, &device).await?;
            let data = json!({"device_identifier": device});
            notify(&app, tx, &meta, EventType::DeviceRetired, Subject::Device(device), data).await
        })
    })
}

/// The user's other phones are also woken, so that each sees in its own status that another phone was added.
fn binding_activated(app: &App) -> Consumer {
    let app = app.clone();
    let others =
        |event: &BindingActivated| -> Vec<_> { event.other_device_identifiers.iter().filter_map(|id| DeviceId::parse(id).ok()).collect() };
    Consumer::new("notification_binding_activated", move |tx, event: BindingActivated, meta: EventMeta| {
        let app = app.clone();
        Box::pin(async move {
            let (subject, data) = activated_binding(&event)?;
            let expires_at = meta.time.unwrap_or_else(|| app.now()) + NOTICE;
            app.wake(tx, meta.relying_party, &others(&event), Cause::Notice, expires_at).await?;
            notify(&app, tx, &meta, EventType::BindingActivated, subject, data).await
        })
    })
    .only_if(move |db, event: BindingActivated, meta| {
        Box::pin(async move {
            Ok(App::wakes(db, meta.relying_party, &others(&event)).await? || App::has_endpoints(db, meta.relying_party).await?)
        })
    })
}

fn device_registered(event: &DeviceRegistered) -> Result<Option<About>, HandlerError> {
    // Absent in events of an earlier release.
    event.certified.map(|certified| device_with_keys(&event.device_id, certified, &event.presence_keys)).transpose()
}

fn device_keys_changed(event: &DeviceUpdated) -> Result<Option<About>, HandlerError> {
    event.keys_changed.then(|| device_with_keys(&event.device_id, event.certified, &event.presence_keys)).transpose()
}

fn device_with_keys(id: &str, certified: bool, keys: &[PresenceKey]) -> Result<About, HandlerError> {
    let device = device(id)?;
    let key = |key: &PresenceKey| {
        let kind = match key.kind() {
            PresenceKind::Biometric => "biometric",
            PresenceKind::Credential => "credential",
            PresenceKind::Unspecified => return Err(HandlerError::Undecodable("a presence key is of no kind".into())),
        };
        Ok(json!({"kind": kind, "thumbprint": key.thumbprint, "counts": key.counts.unwrap_or(true)}))
    };
    let keys = keys.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let data = json!({"device_identifier": device, "certified": certified, "presence_keys": keys});
    Ok((Subject::Device(device), data))
}

/// About the new device, which parties that knew the old one must know from now on.
fn device_replaced(event: &DeviceReplaced) -> Result<Option<About>, HandlerError> {
    let (new, old) = (device(&event.new_device_identifier)?, device(&event.old_device_identifier)?);
    let data = json!({"user_identifier": event.user_identifier, "device_identifier": new, "replaced_device_identifier": old});
    Ok(Some((Subject::Device(new), data)))
}

fn activated_binding(event: &BindingActivated) -> Result<About, HandlerError> {
    let vouched_by = Some(&event.vouched_by).filter(|id| !id.is_empty());
    let data = json!({
        "id": event.binding_id, "user_identifier": event.user_identifier, "device_identifier": event.device_identifier,
        "vouched_by": vouched_by,
    });
    let id = event.binding_id.parse().map_err(|_| HandlerError::Undecodable("it is about no binding".into()))?;
    Ok((Subject::Binding(id), data))
}

fn document_registered(event: &IdentityDocumentRegistered) -> Result<Option<About>, HandlerError> {
    // Events of an earlier release only contain the id of the document.
    if event.hash.is_empty() {
        return Ok(None);
    }
    let document_type = match event.r#type() {
        DocumentType::AamvaDriversLicense => "AAMVA_DRIVERS_LICENSE",
        DocumentType::Unspecified => return Err(HandlerError::Undecodable("the document is of no type".into())),
    };
    let data = json!({
        "id": event.identity_document_id, "user_identifier": event.user_identifier, "device_identifier": event.device_id,
        "type": document_type, "hash": event.hash, "counts": event.counts,
    });
    let id = event.identity_document_id.parse().map_err(|_| HandlerError::Undecodable("it is about no document".into()))?;
    Ok(Some((Subject::IdentityDocument(id), data)))
}

fn user_frozen(event: &UserFrozen) -> Result<Option<About>, HandlerError> {
    let by = match event.frozen_by() {
        FrozenBy::Backend => "backend",
        FrozenBy::Operator => "operator",
        FrozenBy::Device => "device",
        FrozenBy::Unspecified => return Err(HandlerError::Undecodable("it was frozen by nobody".into())),
    };
    let by_device = Some(&event.frozen_by_device).filter(|id| !id.is_empty());
    let data = json!({
        "user_identifier": event.user_identifier, "frozen_by": by, "frozen_by_device": by_device, "note": event.note,
        "device_identifiers": event.device_identifiers,
    });
    Ok(Some((Subject::User(event.user_identifier.clone()), data)))
}

fn device(id: &str) -> Result<DeviceId, HandlerError> {
    DeviceId::parse(id).map_err(|e| HandlerError::Undecodable(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_release_before_published_is_told_to_nobody_and_what_cannot_be_read_is_refused() {
        let device_id = "d".repeat(43);
        let none = |about: Result<Option<About>, HandlerError>| matches!(about, Ok(None));
        assert!(none(device_registered(&DeviceRegistered { device_id: device_id.clone(), ..DeviceRegistered::default() })));
        assert!(none(device_keys_changed(&DeviceUpdated { device_id: device_id.clone(), ..DeviceUpdated::default() })));
        let identity_document_id = "019ab2f4-0000-7000-8000-000000000000".to_owned();
        assert!(none(document_registered(&IdentityDocumentRegistered { identity_document_id, ..IdentityDocumentRegistered::default() })));
        let refused = |about: Result<Option<About>, HandlerError>| matches!(about, Err(HandlerError::Undecodable(_)));
        assert!(refused(device_registered(&DeviceRegistered { certified: Some(true), ..DeviceRegistered::default() })));
        let presence_keys = vec![PresenceKey::default()];
        assert!(refused(device_registered(&DeviceRegistered { device_id, certified: Some(true), presence_keys })));
        assert!(matches!(activated_binding(&BindingActivated::default()), Err(HandlerError::Undecodable(_))));
        assert!(refused(device_replaced(&DeviceReplaced::default())));
        assert!(refused(user_frozen(&UserFrozen::default())));
    }

    #[test]
    fn a_replaced_device_and_a_frozen_user_are_told_with_both_devices_and_who_did_it() {
        let (old, new) = ("o".repeat(43), "n".repeat(43));
        let event = DeviceReplaced {
            user_identifier: "ada".into(),
            old_device_identifier: old.clone(),
            new_device_identifier: new.clone(),
            ..DeviceReplaced::default()
        };
        let (subject, data) = device_replaced(&event).unwrap().unwrap();
        assert_eq!(subject.to_string(), format!("device/{new}"));
        assert_eq!(data, json!({"user_identifier": "ada", "device_identifier": new, "replaced_device_identifier": old}));
        let event = UserFrozen {
            user_identifier: "ada".into(),
            frozen_by: FrozenBy::Backend.into(),
            note: "a stolen phone".into(),
            device_identifiers: vec![new.clone()],
            ..UserFrozen::default()
        };
        let (subject, data) = user_frozen(&event).unwrap().unwrap();
        assert_eq!(subject, Subject::User("ada".into()));
        let expected = json!({
            "user_identifier": "ada", "frozen_by": "backend", "frozen_by_device": null, "note": "a stolen phone", "device_identifiers": [new],
        });
        assert_eq!(data, expected);
    }
}
