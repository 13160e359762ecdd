//! Messages of `proto/` as JSON with the original names of fields, by their descriptors.

use std::sync::LazyLock;

use nodkey_server_sdk::proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::{Map, Value, value::Serializer};

use crate::failure::Failure;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap());
static SPEC: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("../../../spec/server.json")).unwrap());

/// A call as `server.json` describes it.
pub fn described(call: &str) -> Option<&'static Value> {
    SPEC["calls"].as_array().unwrap().iter().find(|known| known["name"] == call)
}

/// The request of a call, with its parameters in the fields that `server.json` names.
pub fn request<M: Message + Default>(call: &Value, params: &Value) -> Result<M, Failure> {
    let mut fields = Map::new();
    for (name, value) in params.as_object().into_iter().flatten() {
        let known = call["parameters"].get(name).ok_or_else(|| Failure::parameter(name))?;
        match known["field"].as_str().unwrap().split_once('.') {
            None => fields.insert(known["field"].as_str().unwrap().into(), value.clone()),
            Some((outer, inner)) => fields.insert(outer.into(), Map::from_iter([(inner.to_owned(), value.clone())]).into()),
        };
    }
    for (name, known) in call["parameters"].as_object().unwrap() {
        if let (Some(default), Some(field), None) = (known.get("default"), known["field"].as_str(), params.get(name)) {
            fields.insert(field.into(), default.clone());
        }
    }
    let (service, method) = call["rpc"].as_str().unwrap().split_once('/').unwrap();
    let service = POOL.get_service_by_name(service).unwrap();
    let input = service.methods().find(|it| it.name() == method).unwrap().input();
    let message = DynamicMessage::deserialize(input, Value::from(fields)).map_err(Failure::parameter)?;
    message.transcode_to().map_err(Failure::parameter)
}

/// A message as JSON.
pub fn to_value(message: &impl Message, name: &str) -> Value {
    let descriptor = POOL.get_message_by_name(name).unwrap();
    let message = DynamicMessage::decode(descriptor, &*message.encode_to_vec()).unwrap();
    message.serialize_with_options(Serializer, &SerializeOptions::new().use_proto_field_name(true)).unwrap()
}

/// The same of each of a list.
pub fn to_values(messages: &[impl Message], name: &str) -> Vec<Value> {
    messages.iter().map(|message| to_value(message, name)).collect()
}
