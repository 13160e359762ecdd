//! The calls.

use std::time::Duration;

use nodkey_server_sdk::{DeviceIdentifier, List, Nodkey};
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    given::{self, text},
    shown::Shown,
};

/// The items of a list, as many as are wanted.
async fn items<T: Shown>(list: List<T>, params: &Value) -> Result<Value, Failure> {
    let size = params["page_size"].as_u64().and_then(|size| size.try_into().ok());
    let mut list = if let Some(size) = size { list.page_size(size) } else { list };
    let limit = params["limit"].as_u64().unwrap_or(u64::MAX);
    let mut items = Vec::new();
    while (items.len() as u64) < limit
        && let Some(item) = list.next().await
    {
        items.push(item?.shown());
    }
    Ok(json!({ "items": items }))
}

/// Makes a call.
pub async fn run(nodkey: &Nodkey, name: &str, params: &Value) -> Result<Value, Failure> {
    let (resource, method) = name.split_once('.').ok_or_else(|| Failure::parameter(name))?;
    match resource {
        "bindings" => bindings(nodkey, method, params).await,
        "users" => users(nodkey, method, params).await,
        "trusonafications" => trusonafications(nodkey, method, params).await,
        "codes" if method == "pairing" => Ok(nodkey.codes().pairing(text(params, "id")?).await?.shown()),
        "devices" => devices(nodkey, method, params).await,
        "documents" => documents(nodkey, method, params).await,
        "endpoints" => endpoints(nodkey, method, params).await,
        "deliveries" => deliveries(nodkey, method, params).await,
        "jwks" => jwks(nodkey, method).await,
        _ => unknown(name),
    }
}

fn unknown(name: &str) -> Result<Value, Failure> {
    Err(Failure::parameter(format!("there is no call {name}")))
}

async fn bindings(nodkey: &Nodkey, method: &str, params: &Value) -> Result<Value, Failure> {
    let bindings = nodkey.bindings();
    let id = || text(params, "id");
    let binding = match method {
        "create" => bindings.create(given::new_binding(params)?).await,
        "activate" => bindings.activate(id()?).await,
        "deactivate" => bindings.deactivate(id()?).await,
        "get" => bindings.get(id()?).await,
        "for_device" => bindings.for_device(text(params, "device")?).await,
        "list" => return items(bindings.list(given::bindings(params)?), params).await,
        _ => return unknown(method),
    };
    Ok(binding?.shown())
}

async fn users(nodkey: &Nodkey, method: &str, params: &Value) -> Result<Value, Failure> {
    let users = nodkey.users();
    let user = || text(params, "user");
    let found = match method {
        "get" => users.get(user()?).await,
        "list" => return items(users.list(given::users(params)?), params).await,
        "devices" => {
            let devices = users.devices(user()?).await?;
            return Ok(json!({"items": devices.iter().map(Shown::shown).collect::<Value>()}));
        }
        "freeze" => users.freeze(user()?, params["note"].as_str().unwrap_or_default()).await,
        "release" => users.release(user()?).await,
        "deactivate" => {
            let devices = users.deactivate(user()?).await?;
            return Ok(json!({"device_identifiers": devices.iter().map(DeviceIdentifier::as_str).collect::<Vec<_>>()}));
        }
        _ => return unknown(method),
    };
    Ok(found?.shown())
}

async fn trusonafications(nodkey: &Nodkey, method: &str, params: &Value) -> Result<Value, Failure> {
    let trusonafications = nodkey.trusonafications();
    let id = || text(params, "id");
    let found = match method {
        "create" => return Ok(trusonafications.create(given::new_trusonafication(params)?).await?.shown()),
        "get" => trusonafications.get(id()?).await,
        "wait" => match params["timeout_seconds"].as_f64() {
            Some(seconds) => trusonafications.wait_for(id()?, Duration::from_secs_f64(seconds)).await,
            None => trusonafications.wait(id()?).await,
        },
        "watch" => {
            let mut states = trusonafications.watch(id()?);
            let mut items = Vec::new();
            while let Some(state) = states.next().await {
                items.push(state?.shown());
            }
            return Ok(json!({ "items": items }));
        }
        "cancel" => trusonafications.cancel(id()?).await,
        "list" => return items(trusonafications.list(given::trusonafications(params)?), params).await,
        "evidence" => return document(&trusonafications.evidence(id()?).await?.to_json()),
        _ => return unknown(method),
    };
    Ok(found?.shown())
}

async fn devices(nodkey: &Nodkey, method: &str, params: &Value) -> Result<Value, Failure> {
    let devices = nodkey.devices();
    let id = || text(params, "device");
    let device = match method {
        "get" => devices.get(id()?).await,
        "list" => return items(devices.list(), params).await,
        "approve_keys" => devices.approve_keys(id()?, given::thumbprints(params)).await,
        "retire" => devices.retire(id()?).await,
        _ => return unknown(method),
    };
    Ok(device?.shown())
}

async fn documents(nodkey: &Nodkey, method: &str, params: &Value) -> Result<Value, Failure> {
    let documents = nodkey.documents();
    let document = match method {
        "register" => documents.register(given::new_document(params)?).await,
        "get" => documents.get(text(params, "id")?).await,
        "list" => return items(documents.list(given::documents(params)?), params).await,
        _ => return unknown(method),
    };
    Ok(document?.shown())
}

async fn endpoints(nodkey: &Nodkey, method: &str, params: &Value) -> Result<Value, Failure> {
    let endpoints = nodkey.endpoints();
    let id = || text(params, "id");
    Ok(match method {
        "create" => endpoints.create(given::new_endpoint(params)?).await?.shown(),
        "get" => endpoints.get(id()?).await?.shown(),
        "list" => return items(endpoints.list(), params).await,
        "update" => endpoints.update(id()?, given::endpoint_changes(params)?).await?.shown(),
        "rotate_keys" => endpoints.rotate_keys(id()?, given::rotation(params)?).await?.shown(),
        "test" => endpoints.test(id()?).await?.shown(),
        "delete" => {
            endpoints.delete(id()?).await?;
            json!({})
        }
        _ => return unknown(method),
    })
}

async fn deliveries(nodkey: &Nodkey, method: &str, params: &Value) -> Result<Value, Failure> {
    let deliveries = nodkey.deliveries();
    let id = || text(params, "id");
    Ok(match method {
        "list" => return items(deliveries.list(given::deliveries(params)?), params).await,
        "get" => deliveries.get(id()?).await?.shown(),
        "redeliver" => deliveries.redeliver(id()?).await?.shown(),
        "redeliver_many" => json!({"count": deliveries.redeliver_many(given::redelivery(params)?).await?.to_string()}),
        _ => return unknown(method),
    })
}

async fn jwks(nodkey: &Nodkey, method: &str) -> Result<Value, Failure> {
    match method {
        "get" => document(nodkey.jwks().get().await?.as_json()),
        "archive" => document(nodkey.jwks().archive().await?.as_json()),
        _ => unknown(method),
    }
}

/// A result that is JSON already.
fn document(json: &str) -> Result<Value, Failure> {
    serde_json::from_str(json).map_err(Failure::parameter)
}
