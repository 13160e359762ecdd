//! Conversion of any message to JSON and back, using the descriptors of `proto/`.

use std::sync::LazyLock;

use bytes::Bytes;
use nodkey_kernel::{
    error::FieldViolation,
    json::{fault, malformed},
};
use prost::Message as _;
pub use prost_reflect::MessageDescriptor;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ReflectMessage as _, SerializeOptions, Value};
use serde_json::Deserializer;

use crate::FILE_DESCRIPTOR_SET;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptors are those the build made"));

/// Returns the method at `path` (`/package.Service/Method`).
#[must_use]
pub fn method(path: &str) -> Option<MethodDescriptor> {
    let (service, name) = path.strip_prefix('/')?.split_once('/')?;
    POOL.get_service_by_name(service)?.methods().find(|method| method.name() == name)
}

/// Returns the message with this full name.
#[must_use]
pub fn message(name: &str) -> Option<MessageDescriptor> {
    POOL.get_message_by_name(name)
}

/// Returns the paths of a service's methods whose requests carry a `request_id` and may therefore be repeated.
pub fn repeatable(service: &str) -> impl Iterator<Item = String> {
    let service = POOL.get_service_by_name(service);
    let methods: Vec<_> = service.iter().flat_map(prost_reflect::ServiceDescriptor::methods).collect();
    let repeatable = methods.into_iter().filter(|method| method.input().get_field_by_name("request_id").is_some());
    repeatable.map(|method| format!("/{}/{}", method.parent_service().full_name(), method.name()))
}

/// Parses a message from proto3 JSON. The error says, for people, where and what is wrong.
pub fn from_json(message: MessageDescriptor, json: &[u8]) -> Result<Bytes, String> {
    let (mut json, mut track) = (Deserializer::from_slice(json), serde_path_to_error::Track::new());
    let read = DynamicMessage::deserialize(message, serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let message = read.map_err(|e| {
        if !e.is_data() {
            return malformed(&e);
        }
        let FieldViolation { field, description } = fault(&track.path().to_string(), &e);
        format!("{field} {description}")
    })?;
    json.end().map_err(|e| malformed(&e))?;
    Ok(message.encode_to_vec().into())
}

/// The canonical encoding of a message, for comparisons: the same message always has the same bytes. `None` when the bytes are not that
/// message.
#[must_use]
pub fn canonical(message: MessageDescriptor, bytes: Bytes) -> Option<Bytes> {
    Some(DynamicMessage::decode(message, bytes).ok()?.encode_to_vec().into())
}

/// Formats a message as proto3 JSON: camelCase, without default values. `None` when the bytes are not that message.
#[must_use]
pub fn to_json(message: MessageDescriptor, bytes: Bytes) -> Option<String> {
    json(&DynamicMessage::decode(message, bytes).ok()?)
}

/// Formats a message without the fields marked `debug_redact`, for readers other than its recipient.
#[must_use]
pub fn to_redacted_json(message: MessageDescriptor, bytes: Bytes) -> Option<String> {
    let mut message = DynamicMessage::decode(message, bytes).ok()?;
    redact(&mut message);
    json(&message)
}

fn json(message: &DynamicMessage) -> Option<String> {
    let mut text = serde_json::Serializer::new(Vec::new());
    message.serialize_with_options(&mut text, &SerializeOptions::new()).ok()?;
    String::from_utf8(text.into_inner()).ok()
}

fn redact(message: &mut DynamicMessage) {
    let fields: Vec<_> = message.descriptor().fields().filter(|field| message.has_field(field)).collect();
    for field in fields {
        if is_redacted(&field) {
            message.clear_field(&field);
            continue;
        }
        match message.get_field_mut(&field) {
            Value::Message(inner) => redact(inner),
            Value::List(values) => values.iter_mut().filter_map(Value::as_message_mut).for_each(redact),
            Value::Map(values) => values.values_mut().filter_map(Value::as_message_mut).for_each(redact),
            _ => {}
        }
    }
}

fn is_redacted(field: &prost_reflect::FieldDescriptor) -> bool {
    field.options().get_field_by_name("debug_redact").is_some_and(|value| value.as_bool() == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        notification::v1::{ApnsCredentials, PutPushConfigurationRequest, put_push_configuration_request::Credentials},
        registry::v1::CreateRelyingPartyRequest,
    };

    #[test]
    fn json_goes_in_and_comes_out_and_nonsense_is_told_apart() {
        let method = method("/nodkey.registry.v1.RelyingPartyService/CreateRelyingParty").unwrap();
        let bytes = from_json(method.input(), br#"{"name": "Acme", "requestId": "1"}"#).unwrap();
        assert_eq!(CreateRelyingPartyRequest::decode(bytes.clone()).unwrap().name, "Acme");
        assert_eq!(to_json(method.input(), bytes).unwrap(), r#"{"requestId":"1","name":"Acme"}"#);
        for wrong in [&b"{"[..], br#"{"nonsense": 1}"#, br#"{"name": 1}"#, b"{} {}"] {
            assert!(from_json(method.input(), wrong).is_err());
        }
        for (wrong, says) in [
            (r#"{"nonsense": 1}"#, "nonsense is not known here: leave it out, or look at its spelling"),
            (r#"{"name": 1}"#, "name must be a string"),
            ("7", "body must be an object"),
            (r#"{"name": "#, "it ends too early, at line 1, column 9"),
        ] {
            assert_eq!(from_json(method.input(), wrong.as_bytes()).unwrap_err(), says);
        }
        assert!(super::method("/nodkey.registry.v1.RelyingPartyService/Nothing").is_none());
        assert!(super::method("nonsense").is_none());
    }

    #[test]
    fn the_same_message_has_one_encoding_and_what_is_unknown_is_part_of_it() {
        let input = || method("/nodkey.registry.v1.RelyingPartyService/CreateRelyingParty").unwrap().input();
        let written = from_json(input(), br#"{"name": "Acme", "requestId": "1"}"#).unwrap();
        // The other order, and a field with its default value.
        let [request_id, name] = [&b"\x0a\x011"[..], b"\x12\x04Acme"];
        let otherwise: Bytes = [name, request_id, b"\x1a\x00"].concat().into();
        assert_eq!(canonical(input(), otherwise).unwrap(), canonical(input(), written.clone()).unwrap());
        let unknown: Bytes = [&written[..], b"\xf8\x3f\x01"].concat().into();
        assert_ne!(canonical(input(), unknown), canonical(input(), written));
        assert_eq!(canonical(input(), Bytes::from_static(b"\xff")), None);
    }

    #[test]
    fn what_is_secret_is_left_out_however_deep_it_is() {
        let method = method("/nodkey.notification.v1.PushConfigurationService/PutPushConfiguration").unwrap();
        let apns = ApnsCredentials { team_id: "T".into(), private_key: "SECRET".into(), ..ApnsCredentials::default() };
        let request = PutPushConfigurationRequest { credentials: Some(Credentials::Apns(apns)) };
        let json = to_redacted_json(method.input(), request.encode_to_vec().into()).unwrap();
        assert_eq!(json, r#"{"apns":{"teamId":"T"}}"#);
    }

    #[test]
    fn every_event_is_shown_without_what_proves_it() {
        for (subject, name) in crate::SUBJECTS {
            let descriptor = message(name).unwrap_or_else(|| panic!("{subject}: there is no {name}"));
            for field in descriptor.fields() {
                assert_eq!(["receipt", "result"].contains(&field.name()), is_redacted(&field), "{}", field.full_name());
            }
        }
        let event = crate::trusonafication::v1::TrusonaficationAccepted {
            trusonafication: Some(crate::trusonafication::v1::Trusonafication { id: "1".into(), ..Default::default() }),
            receipt: "SIGNED".into(),
            result: "SIGNED".into(),
        };
        let descriptor = message("nodkey.trusonafication.v1.TrusonaficationAccepted").unwrap();
        assert_eq!(to_redacted_json(descriptor, event.encode_to_vec().into()).unwrap(), r#"{"trusonafication":{"id":"1"}}"#);
    }

    #[test]
    fn every_field_that_sounds_secret_is_marked() {
        for message in POOL.all_messages().filter(|message| message.package_name().starts_with("nodkey.")) {
            for field in message.fields() {
                let sounds = ["secret", "private_key", "service_account"].iter().any(|word| field.name().contains(word));
                assert!(!sounds || is_redacted(&field), "{} is not marked debug_redact", field.full_name());
            }
        }
    }
}
