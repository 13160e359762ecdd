//! The calls.

use std::{pin::pin, time::Duration};

use futures_util::TryStreamExt as _;
use nodkey_kernel::{
    id::EventId,
    random::Random,
    time::{Clock, Timestamp},
};
use nodkey_server_sdk::{
    NewTrusonafication, Nodkey, ServiceName,
    proto::{
        binding::v1::{
            CreateBindingRequest, GetBindingRequest, ListBindingsRequest, ListUsersRequest, binding_service_client::BindingServiceClient,
            user_service_client::UserServiceClient,
        },
        notification::v1::{
            CreateEndpointRequest, DeleteEndpointRequest, GetDeliveryRequest, GetEndpointRequest, ListDeliveriesRequest,
            ListEndpointsRequest, RedeliverManyRequest, RedeliverRequest, RotateEndpointKeysRequest, TestEndpointRequest,
            UpdateEndpointRequest, delivery_service_client::DeliveryServiceClient, endpoint_service_client::EndpointServiceClient,
        },
        registry::v1::{
            ApproveDeviceKeysRequest, GetIdentityDocumentRequest, ListDevicesRequest, ListIdentityDocumentsRequest, RetireDeviceRequest,
            device_service_client::DeviceServiceClient, identity_document_service_client::IdentityDocumentServiceClient,
        },
        trusonafication::v1::{
            CreateTrusonaficationResponse, GetPairingRequest, ListTrusonaficationsRequest, NumberMatch, RequestContext,
            tru_code_service_client::TruCodeServiceClient, trusonafication_service_client::TrusonaficationServiceClient,
        },
    },
};
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    message::{described, request, to_value, to_values},
    within,
};

/// How long a wait may last that names no time-out.
const WAIT: f64 = 300.0;

/// A call that the client has no method for.
macro_rules! generated {
    ($nodkey:ident, $message:expr, $type:ident, $service:ident, $client:ident, $method:ident) => {
        $nodkey
            .call::<$type, _, _, _>($message, |message| {
                let mut client = $client::new($nodkey.channel(ServiceName::$service));
                async move { client.$method(message).await }
            })
            .await
    };
}

/// Makes a call.
pub async fn run(nodkey: &Nodkey, name: &str, params: &Value) -> Result<Value, Failure> {
    let call = described(name).ok_or_else(|| Failure::parameter(format!("there is no call {name}")))?;
    let result = call["result"].as_str().unwrap();
    let given = |parameter: &str| params[parameter].as_str().ok_or_else(|| Failure::parameter(parameter));
    macro_rules! one {
        ($type:ident, $service:ident, $client:ident, $method:ident) => {{
            let message: $type = request(call, params)?;
            to_value(&generated!(nodkey, message, $type, $service, $client, $method)?, result)
        }};
    }
    // As many pages as it takes.
    macro_rules! pages {
        ($type:ident, $service:ident, $client:ident, $method:ident, $items:ident) => {{
            let mut params = params.clone();
            let limit = params.as_object_mut().and_then(|params| params.shift_remove("limit")).and_then(|limit| limit.as_u64());
            let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
            let mut message: $type = request(call, &params)?;
            let mut items = Vec::new();
            loop {
                let page = generated!(nodkey, message.clone(), $type, $service, $client, $method)?;
                items.extend(to_values(&page.$items, result));
                message.page_token = page.next_page_token;
                if message.page_token.is_empty() || items.len() >= limit {
                    items.truncate(limit);
                    break json!({ "items": items });
                }
            }
        }};
    }
    Ok(match name {
        "bindings.create" if params.get("request_id").is_some() => {
            one!(CreateBindingRequest, Binding, BindingServiceClient, create_binding)
        }
        "bindings.create" => to_value(&nodkey.create_binding(given("user")?, given("device")?).await?, result),
        "bindings.activate" => to_value(&nodkey.activate_binding(given("id")?).await?, result),
        "bindings.deactivate" => to_value(&nodkey.deactivate_binding(given("id")?).await?, result),
        "bindings.get" => one!(GetBindingRequest, Binding, BindingServiceClient, get_binding),
        "bindings.for_device" => to_value(&nodkey.device_binding(given("device")?).await?, result),
        "bindings.list" => pages!(ListBindingsRequest, Binding, BindingServiceClient, list_bindings, bindings),
        "users.get" => to_value(&nodkey.user(given("user")?).await?, result),
        "users.list" => pages!(ListUsersRequest, Binding, UserServiceClient, list_users, users),
        "users.devices" => json!({"items": to_values(&nodkey.user_devices(given("user")?).await?, result)}),
        "users.freeze" => to_value(&nodkey.freeze_user(given("user")?, given("note").unwrap_or_default()).await?, result),
        "users.release" => to_value(&nodkey.release_user(given("user")?).await?, result),
        "users.deactivate" => json!({"device_identifiers": nodkey.deactivate_user(given("user")?).await?}),
        "trusonafications.create" => {
            let created = nodkey.create_trusonafication(new(params)?).await?;
            let match_number = created.match_number.unwrap_or_default();
            to_value(&CreateTrusonaficationResponse { trusonafication: Some(created.trusonafication), match_number }, result)
        }
        "trusonafications.get" => to_value(&nodkey.trusonafication(given("id")?).await?, result),
        "trusonafications.wait" => {
            let limit = Duration::from_secs_f64(params["timeout_seconds"].as_f64().unwrap_or(WAIT));
            to_value(&within(limit, nodkey.wait(given("id")?)).await?, result)
        }
        "trusonafications.watch" => {
            let mut states = pin!(nodkey.watch(given("id")?).await?);
            let mut items = Vec::new();
            while let Some(state) = states.try_next().await? {
                items.push(to_value(&state, result));
            }
            json!({ "items": items })
        }
        "trusonafications.cancel" => to_value(&nodkey.cancel(given("id")?).await?, result),
        "trusonafications.list" => {
            pages!(ListTrusonaficationsRequest, Trusonafication, TrusonaficationServiceClient, list_trusonafications, trusonafications)
        }
        "trusonafications.evidence" => json!(nodkey.evidence(given("id")?).await?),
        "codes.pairing" => one!(GetPairingRequest, Trusonafication, TruCodeServiceClient, get_pairing),
        "devices.get" => to_value(&nodkey.device(given("device")?).await?, result),
        "devices.list" => pages!(ListDevicesRequest, Registry, DeviceServiceClient, list_devices, devices),
        "devices.approve_keys" => one!(ApproveDeviceKeysRequest, Registry, DeviceServiceClient, approve_device_keys),
        "devices.retire" => one!(RetireDeviceRequest, Registry, DeviceServiceClient, retire_device),
        "documents.register" => to_value(&nodkey.register_identity_document(given("device")?, given("hash")?).await?, result),
        "documents.get" => one!(GetIdentityDocumentRequest, Registry, IdentityDocumentServiceClient, get_identity_document),
        "documents.list" => {
            pages!(ListIdentityDocumentsRequest, Registry, IdentityDocumentServiceClient, list_identity_documents, identity_documents)
        }
        "endpoints.create" => {
            let mut message: CreateEndpointRequest = request(call, params)?;
            if message.request_id.is_empty() {
                message.request_id = EventId::generate(Clock::system().now(), &Random::system()).to_string();
            }
            to_value(&generated!(nodkey, message, CreateEndpointRequest, Notification, EndpointServiceClient, create_endpoint)?, result)
        }
        "endpoints.get" => one!(GetEndpointRequest, Notification, EndpointServiceClient, get_endpoint),
        "endpoints.list" => pages!(ListEndpointsRequest, Notification, EndpointServiceClient, list_endpoints, endpoints),
        "endpoints.update" => one!(UpdateEndpointRequest, Notification, EndpointServiceClient, update_endpoint),
        "endpoints.rotate_keys" => one!(RotateEndpointKeysRequest, Notification, EndpointServiceClient, rotate_endpoint_keys),
        "endpoints.test" => one!(TestEndpointRequest, Notification, EndpointServiceClient, test_endpoint),
        "endpoints.delete" => one!(DeleteEndpointRequest, Notification, EndpointServiceClient, delete_endpoint),
        "deliveries.list" => pages!(ListDeliveriesRequest, Notification, DeliveryServiceClient, list_deliveries, deliveries),
        "deliveries.get" => one!(GetDeliveryRequest, Notification, DeliveryServiceClient, get_delivery),
        "deliveries.redeliver" => one!(RedeliverRequest, Notification, DeliveryServiceClient, redeliver),
        "deliveries.redeliver_many" => one!(RedeliverManyRequest, Notification, DeliveryServiceClient, redeliver_many),
        "jwks.get" => json!(nodkey.jwks().await?),
        "jwks.archive" => json!(nodkey.jwks_archive().await?),
        _ => return Err(Failure::parameter(format!("{name} is not implemented"))),
    })
}

/// What is to be asked.
fn new(params: &Value) -> Result<NewTrusonafication, Failure> {
    let text = |name: &str| params[name].as_str();
    let (action, resource) = (text("action").unwrap_or_default(), text("resource").unwrap_or_default());
    let mut new = match (text("user"), text("device"), text("code")) {
        (Some(user), None, None) => NewTrusonafication::user(user, action, resource),
        (None, Some(device), None) => NewTrusonafication::device(device, action, resource),
        (None, None, Some(code)) => NewTrusonafication::trucode(code, action, resource),
        _ => return Err(Failure::parameter("one of user, device, code")),
    };
    for (name, value) in params.as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        new = match name.as_str() {
            "user" | "device" | "code" | "action" | "resource" => new,
            "level" => new.level(value.as_i64().and_then(|level| level.try_into().ok()).unwrap_or_default()),
            "user_presence" => new.user_presence(value == true),
            "expires_at" => new.expires_at(Timestamp::parse_rfc3339(text).map_err(Failure::parameter)?),
            "custom_fields" => new.custom_fields(value.as_object().ok_or_else(|| Failure::parameter(name))?),
            "custom_fields_json" => new.custom_fields_json(text),
            "callback_url" => new.callback_url(text),
            "number_match" => new.number_match(NumberMatch::from_str_name(text).ok_or_else(|| Failure::parameter(name))?),
            "context" => new.context(text),
            "request_context" => new.request_context(RequestContext {
                address: value["address"].as_str().unwrap_or_default().into(),
                browser: value["browser"].as_str().unwrap_or_default().into(),
                place: value["place"].as_str().unwrap_or_default().into(),
            }),
            "shows_number" => {
                if value == false {
                    new.cannot_show_number()
                } else {
                    new
                }
            }
            "request_id" => new.request_id(text),
            other => return Err(Failure::parameter(other)),
        };
    }
    Ok(new)
}
