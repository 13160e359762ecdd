//! Parameters, by their names in `server.json`.

use std::time::{Duration, SystemTime};

use nodkey_kernel::time::Timestamp;
use nodkey_server_sdk::{
    BindingFilter, BindingState, DeliveryFilter, DeliveryState, DocumentFilter, DocumentType, EndpointChanges, KeyRotation, NewBinding,
    NewDocument, NewEndpoint, NewTrusonafication, NumberMatch, Redelivery, RequestContext, Status, TrusonaficationFilter, UserFilter,
};
use serde_json::Value;

use crate::failure::Failure;

type Given<T> = Result<T, Failure>;

/// A text that has to be there.
pub fn text<'a>(params: &'a Value, name: &str) -> Given<&'a str> {
    params[name].as_str().ok_or_else(|| Failure::parameter(name))
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|one| Some(one.as_str()?.to_owned())).collect()
}

/// The thumbprints of keys.
pub fn thumbprints(params: &Value) -> Vec<String> {
    texts(&params["thumbprints"])
}

fn time(value: &Value) -> Given<SystemTime> {
    let at = Timestamp::parse_rfc3339(value.as_str().unwrap_or_default()).map_err(Failure::parameter)?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_micros(at.as_micros().try_into().map_err(Failure::parameter)?))
}

/// The value of an enum with this name in `proto/`.
fn named<T: Copy>(value: &Value, prefix: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Given<T> {
    let wanted = value.as_str().and_then(|text| text.strip_prefix(prefix));
    all.iter().copied().find(|one| Some(name(*one)) == wanted).ok_or_else(|| Failure::parameter(value))
}

/// Applies each parameter that is given; `page_size` and `limit` are the list's.
fn each<T>(params: &Value, start: T, mut apply: impl FnMut(T, &str, &Value) -> Given<T>) -> Given<T> {
    let params = params.as_object().into_iter().flatten().filter(|(name, _)| !["page_size", "limit"].contains(&name.as_str()));
    params.into_iter().try_fold(start, |so_far, (name, value)| apply(so_far, name, value))
}

fn unknown<T>(name: &str) -> Given<T> {
    Err(Failure::parameter(name))
}

pub fn new_binding(params: &Value) -> Given<NewBinding> {
    let new = NewBinding::new(text(params, "user")?, text(params, "device")?);
    each(params, new, |new, name, value| match name {
        "user" | "device" => Ok(new),
        "request_id" => Ok(new.request_id(value.as_str().unwrap_or_default())),
        other => unknown(other),
    })
}

pub fn bindings(params: &Value) -> Given<BindingFilter> {
    use BindingState::{Active, Deactivated, Inactive};
    each(params, BindingFilter::new(), |filter, name, value| match name {
        "user" => Ok(filter.user(value.as_str().unwrap_or_default())),
        "state" => Ok(filter.state(named(value, "BINDING_STATE_", &[Inactive, Active, Deactivated], BindingState::as_str)?)),
        other => unknown(other),
    })
}

pub fn users(params: &Value) -> Given<UserFilter> {
    each(params, UserFilter::new(), |filter, name, value| match name {
        "prefix" => Ok(filter.prefix(value.as_str().unwrap_or_default())),
        other => unknown(other),
    })
}

pub fn new_document(params: &Value) -> Given<NewDocument> {
    let new = NewDocument::new(text(params, "device")?, text(params, "hash")?);
    each(params, new, |new, name, value| match name {
        "device" | "hash" => Ok(new),
        "type" => Ok(new.document_type(named(value, "DOCUMENT_TYPE_", &[DocumentType::AamvaDriversLicense], DocumentType::as_str)?)),
        other => unknown(other),
    })
}

pub fn documents(params: &Value) -> Given<DocumentFilter> {
    each(params, DocumentFilter::user(text(params, "user")?), |filter, name, value| match name {
        "user" => Ok(filter),
        "counting" => Ok(if value == true { filter.counting() } else { filter }),
        other => unknown(other),
    })
}

pub fn new_endpoint(params: &Value) -> Given<NewEndpoint> {
    each(params, NewEndpoint::new(text(params, "url")?), |new, name, value| match name {
        "url" => Ok(new),
        "event_types" => Ok(new.event_types(texts(value))),
        "request_id" => Ok(new.request_id(value.as_str().unwrap_or_default())),
        other => unknown(other),
    })
}

pub fn endpoint_changes(params: &Value) -> Given<EndpointChanges> {
    each(params, EndpointChanges::new(), |changes, name, value| match name {
        "id" => Ok(changes),
        "url" => Ok(changes.url(value.as_str().unwrap_or_default())),
        "event_types" => Ok(changes.event_types(texts(value))),
        "enabled" => Ok(changes.enabled(value == true)),
        other => unknown(other),
    })
}

pub fn rotation(params: &Value) -> Given<KeyRotation> {
    each(params, KeyRotation::new(), |rotation, name, value| match name {
        "id" => Ok(rotation),
        "overlap_seconds" => Ok(rotation.overlap(Duration::from_secs(value.as_u64().ok_or_else(|| Failure::parameter(name))?))),
        "request_id" => Ok(rotation.request_id(value.as_str().unwrap_or_default())),
        other => unknown(other),
    })
}

pub fn deliveries(params: &Value) -> Given<DeliveryFilter> {
    use DeliveryState::{Exhausted, Pending, Succeeded};
    each(params, DeliveryFilter::new(), |filter, name, value| {
        let text = value.as_str().unwrap_or_default();
        Ok(match name {
            "state" => filter.state(named(value, "DELIVERY_STATE_", &[Pending, Succeeded, Exhausted], DeliveryState::as_str)?),
            "trusonafication" => filter.trusonafication(text),
            "endpoint" => filter.endpoint(text),
            "subject" => filter.subject(text),
            "created_after" => filter.created_after(time(value)?),
            "created_before" => filter.created_before(time(value)?),
            "oldest_first" if value == true => filter.oldest_first(),
            "oldest_first" => filter,
            other => return unknown(other),
        })
    })
}

pub fn redelivery(params: &Value) -> Given<Redelivery> {
    each(params, Redelivery::since(time(&params["since"])?), |redelivery, name, value| {
        Ok(match name {
            "until" => redelivery.until(time(value)?),
            "endpoint" => redelivery.endpoint(value.as_str().unwrap_or_default()),
            "include_succeeded" if value == true => redelivery.include_succeeded(),
            "since" | "include_succeeded" => redelivery,
            other => return unknown(other),
        })
    })
}

pub fn trusonafications(params: &Value) -> Given<TrusonaficationFilter> {
    use Status::{Accepted, AcceptedAtHigherLevel, AcceptedAtLowerLevel, Canceled, Expired, InProgress, Rejected};
    const ALL: [Status; 7] = [InProgress, Accepted, AcceptedAtHigherLevel, AcceptedAtLowerLevel, Rejected, Expired, Canceled];
    each(params, TrusonaficationFilter::new(), |filter, name, value| {
        let text = value.as_str().unwrap_or_default();
        Ok(match name {
            "status" => filter.status(named(value, "STATUS_", &ALL, Status::as_str)?),
            "user" => filter.user(text),
            "device" => filter.device(text),
            "created_after" => filter.created_after(time(value)?),
            "created_before" => filter.created_before(time(value)?),
            "oldest_first" if value == true => filter.oldest_first(),
            "oldest_first" => filter,
            other => return unknown(other),
        })
    })
}

pub fn new_trusonafication(params: &Value) -> Given<NewTrusonafication> {
    let text = |name: &str| params[name].as_str();
    let (action, resource) = (text("action").unwrap_or_default(), text("resource").unwrap_or_default());
    let new = match (text("user"), text("device"), text("code")) {
        (Some(user), None, None) => NewTrusonafication::user(user, action, resource),
        (None, Some(device), None) => NewTrusonafication::device(device, action, resource),
        (None, None, Some(code)) => NewTrusonafication::code(code, action, resource),
        _ => return Err(Failure::parameter("one of user, device, code")),
    };
    each(params, new, |new, name, value| {
        let text = value.as_str().unwrap_or_default();
        Ok(match name {
            "user" | "device" | "code" | "action" | "resource" => new,
            "level" => {
                let level = value.as_i64().and_then(|level| i32::try_from(level).ok());
                new.level(level.ok_or_else(|| Failure::parameter(name))?)
            }
            "prompt" => new.prompt(value == true),
            "user_presence" => new.user_presence(value == true),
            "show_identity_document" => new.show_identity_document(value == true),
            "expires_at" => new.expires_at(time(value)?),
            "custom_fields" => new.custom_fields_json(value.to_string()),
            "custom_fields_json" => new.custom_fields_json(text),
            "callback_url" => new.callback_url(text),
            "number_match" => {
                new.number_match(named(value, "NUMBER_MATCH_", &[NumberMatch::Choose, NumberMatch::Enter], NumberMatch::as_str)?)
            }
            "context" => new.context(text),
            "request_context" => {
                let part = |name: &str| value[name].as_str().unwrap_or_default();
                new.request_context(RequestContext::new().address(part("address")).browser(part("browser")).place(part("place")))
            }
            "shows_number" => new.shows_number(value == true),
            "request_id" => new.request_id(text),
            other => return unknown(other),
        })
    })
}
