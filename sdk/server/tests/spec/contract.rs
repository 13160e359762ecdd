//! `server.json` says nothing of `proto/` that is not so.

use std::collections::BTreeSet;

use nodkey_proto::{
    access::{Principal, allowed},
    reflect,
};
use serde_json::Value;

const SERVER: &str = include_str!("../../../spec/server.json");
const README: &str = include_str!("../../../spec/README.md");

#[test]
fn every_call_is_a_method_for_backends_with_the_fields_that_are_named() {
    let spec: Value = serde_json::from_str(SERVER).unwrap();
    let mut names = BTreeSet::new();
    for call in spec["calls"].as_array().unwrap() {
        let (name, rpc) = (call["name"].as_str().unwrap(), format!("/{}", call["rpc"].as_str().unwrap()));
        assert!(names.insert(name), "{name} is there twice");
        let method = reflect::method(&rpc).unwrap_or_else(|| panic!("{name}: there is no {rpc}"));
        let principals = allowed(&rpc).unwrap();
        assert!(principals.iter().any(|one| matches!(one, Principal::Backend | Principal::Public)), "{rpc} is not for backends");
        for (parameter, it) in call["parameters"].as_object().unwrap() {
            let Some(path) = it.get("field") else {
                assert_eq!((name, parameter.as_str()), ("trusonafications.wait", "timeout_seconds"));
                continue;
            };
            let mut message = Some(method.input());
            for part in path.as_str().unwrap().split('.') {
                let field = message.take().and_then(|message| message.get_field_by_name(part));
                let field = field.unwrap_or_else(|| panic!("{name}: {rpc} has no {path}"));
                message = field.kind().as_message().cloned();
            }
        }
        let repeats = method.input().get_field_by_name("request_id").is_some();
        assert_eq!(call["repeat"] == "request_id", repeats, "{name}");
        assert_eq!(call["parameters"].get("request_id").is_some(), repeats, "{name}");
        assert_eq!(method.is_server_streaming() && name != "trusonafications.wait", call["stream"] == true, "{name}");
        let output = method.output();
        let result = call["result"].as_str().unwrap();
        if let Some(items) = call["items"].as_str() {
            let field = output.get_field_by_name(items).unwrap_or_else(|| panic!("{name}: no {items}"));
            assert!(field.is_list() && field.kind().as_message().unwrap().full_name() == result, "{name}");
            assert_eq!(output.get_field_by_name("next_page_token").is_some(), call["pages"] == true, "{name}");
        } else if !["evidence", "jwks"].contains(&result) {
            assert_eq!(output.full_name(), result, "{name}");
        }
    }
}

#[test]
fn every_error_of_a_function_is_explained() {
    let spec: Value = serde_json::from_str(SERVER).unwrap();
    for function in spec["functions"].as_array().unwrap() {
        for error in function["errors"].as_array().unwrap() {
            let (error, client) = (error.as_str().unwrap(), spec["errors"]["client"].as_array().unwrap());
            let explained = README.contains(&format!("`{error}`")) || client.iter().any(|one| one["reason"] == error);
            assert!(explained, "{error} is not in README.md");
        }
    }
}
