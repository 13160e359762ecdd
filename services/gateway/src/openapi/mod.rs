//! The OpenAPI document. Each route declares its own path, schemas and errors. `base.json` holds what all operations share, and
//! `examples.json` an example of each request and response.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use utoipa::openapi::{OpenApi, security::SecurityRequirement};
use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// What all operations share: descriptions, security schemes, headers, errors, webhooks.
const BASE: &str = include_str!("base.json");
/// By operation, an example of the request and of each response.
const EXAMPLES: &str = include_str!("examples.json");
/// Parameters that several operations share, by name and location, and the name of their common description.
const SHARED: [(&str, &str, &str); 7] = [
    ("Idempotency-Key", "header", "IdempotencyKey"),
    ("context", "query", "Context"),
    ("identifier[]", "query", "Identifiers"),
    ("integration_id", "path", "IntegrationId"),
    ("user_identifier", "path", "UserIdentifier"),
    ("user_identifier", "query", "UserIdentifierQuery"),
    ("wait", "query", "Wait"),
];
/// The methods that a path item can have.
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// The callers of an operation.
#[derive(Clone, Copy, Debug)]
pub enum Scheme {
    /// Any caller.
    Public,
    /// A phone that registers.
    Registration,
    /// A phone that proves a device key, registered or not.
    Key,
    /// A registered phone.
    Phone,
    /// A backend.
    Backend,
    /// A backend or an operator that listens to requests.
    Listener,
}

impl Scheme {
    /// The alternatives in which a caller can authenticate.
    fn requirements(self) -> Vec<SecurityRequirement> {
        let none: [&str; 0] = [];
        match self {
            Self::Public => Vec::new(),
            Self::Registration => vec![SecurityRequirement::new("mobile", none).add("dpop", none)],
            Self::Key | Self::Phone => vec![SecurityRequirement::new("dpop", none)],
            Self::Listener => vec![SecurityRequirement::new("bearer", none)],
            Self::Backend => vec![SecurityRequirement::new("bearer", none), SecurityRequirement::new("server", none)],
        }
    }
}

/// Declares the callers of these routes.
pub fn secured(mut routes: OpenApiRouter<AppState>, scheme: Scheme) -> OpenApiRouter<AppState> {
    for item in routes.get_openapi_mut().paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            operation.security = Some(scheme.requirements());
        }
    }
    routes
}

/// Completes the document of a deployment at `server`, a URL.
pub fn describe(document: &OpenApi, server: &str) -> Value {
    let Ok(mut document) = serde_json::to_value(document) else { return Value::Null };
    let (base, examples) = (data(BASE), data(EXAMPLES));
    for (kind, named) in object(&base["components"]) {
        for (name, component) in object(named) {
            document["components"][kind][name] = component.clone();
        }
    }
    for parameter in document["components"]["parameters"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        if parameter["in"] != "header" {
            describe_line(&mut parameter["schema"], &base["patterns"]);
        }
    }
    for schema in document["components"]["schemas"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for property in properties.into_iter().flat_map(Map::values_mut) {
            describe_text(property, &base["patterns"]);
            if let Some(items) = property.get_mut("items") {
                describe_line(items, &base["patterns"]);
            }
        }
    }
    close(&mut document);
    for member in ["info", "tags", "webhooks"] {
        document[member] = base[member].clone();
    }
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["servers"] = json!([{"url": server, "description": "This deployment"}]);
    for item in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if METHODS.contains(&method.as_str()) {
                complete(operation, &base, &examples[operation["operationId"].as_str().unwrap_or_default()]);
            }
        }
    }
    document
}

/// Marks the schemas of request bodies as closed: for most callers, an unknown member is an error.
fn close(document: &mut Value) {
    let operations = object(&document["paths"]).flat_map(|(_, item)| object(item));
    let mut sent: Vec<String> = operations.flat_map(|(_, operation)| references(&operation["requestBody"])).collect();
    let mut closed = BTreeSet::new();
    while let Some(name) = sent.pop() {
        let schema = &mut document["components"]["schemas"][&name];
        if closed.insert(name) && schema["type"] == "object" {
            schema["additionalProperties"] = json!(false);
        }
        sent.extend(references(schema).into_iter().filter(|name| !closed.contains(name)));
    }
}

/// The names of the schemas that are referred to.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/components/schemas/"));
            own.map(ToOwned::to_owned).into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// Adds what all operations share, and the examples of this one.
fn complete(operation: &mut Value, base: &Value, examples: &Value) {
    // Stated also for operations that need no authentication.
    if operation.get("security").is_none() {
        operation["security"] = json!([]);
    }
    let schemes: Vec<String> =
        operation["security"].as_array().into_iter().flatten().flat_map(|one| object(one).map(|(name, _)| name.clone())).collect();
    let signs = schemes.iter().any(|scheme| scheme == "server" || scheme == "mobile");
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    for parameter in &mut parameters {
        if let Some(shared) = SHARED.iter().find(|shared| parameter["name"] == shared.0 && parameter["in"] == shared.1) {
            *parameter = json!({"$ref": format!("#/components/parameters/{}", shared.2)});
        } else {
            describe_line(&mut parameter["schema"], &base["patterns"]);
        }
    }
    let shared = ["Traceparent"].into_iter().chain(signs.then_some("XDate"));
    let shared = shared.map(|name| json!({"$ref": format!("#/components/parameters/{name}")}));
    operation["parameters"] = parameters.into_iter().chain(shared).collect();
    if let Some(request) = examples.get("request") {
        operation["requestBody"]["required"] = json!(true);
        operation["requestBody"]["content"]["application/json"]["example"] = request.clone();
    }
    let kinds = ["any"].into_iter().chain(schemes.iter().map(String::as_str));
    for (status, description) in kinds.flat_map(|kind| object(&base["answers"][kind])) {
        let answers = &mut operation["responses"];
        if answers.get(status).is_none() {
            answers[status] = json!({"description": description});
        }
    }
    for (status, answer) in operation["responses"].as_object_mut().into_iter().flatten() {
        describe_answer(status, answer, signs, &base["problems"], &examples["responses"][status]);
    }
}

fn describe_answer(status: &str, answer: &mut Value, signs: bool, problems: &Value, example: &Value) {
    let header = |name: &str| json!({"$ref": format!("#/components/headers/{name}")});
    answer["headers"]["X-Request-Id"] = header("XRequestId");
    if signs {
        answer["headers"]["X-Signature"] = header("XSignature");
        answer["headers"]["X-Date"] = header("XDate");
    }
    if ["424", "429", "503"].contains(&status) {
        answer["headers"]["Retry-After"] = header("RetryAfter");
    }
    if status.starts_with(['4', '5']) {
        let example = problem(&problems[status], answer["description"].as_str().unwrap_or_default());
        answer["content"] = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}});
    } else if let (false, Some(content)) = (example.is_null(), answer.get_mut("content").and_then(Value::as_object_mut)) {
        content.values_mut().for_each(|content| content["example"] = example.clone());
    }
}

/// An example of an error, with the first reason that its description names.
fn problem(usual: &Value, description: &str) -> Value {
    let is_reason = |word: &&str| word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let reason = description.split('`').find(is_reason).map_or_else(|| usual["error"].clone(), Value::from);
    let is_usual = reason == usual["error"];
    let message = if is_usual { usual["message"].clone() } else { json!("a sentence that says what is wrong") };
    let fields = usual.get("field_errors").filter(|_| is_usual).cloned().unwrap_or_else(|| json!({}));
    json!({"error": reason, "message": message, "description": message, "field_errors": fields})
}

/// Adds the pattern of short texts: no control characters, none that hide or reorder others, and where a text must not be empty, a visible
/// character.
fn describe_text(property: &mut Value, patterns: &Value) {
    let is_short = property.get("maxLength").and_then(Value::as_u64).is_some_and(|most| most <= 255);
    if is_short && property.get("pattern").is_none() && property.get("format").is_none() {
        let pattern = if property.get("minLength").is_some() { "name" } else { "text" };
        property["pattern"] = patterns[pattern].clone();
    }
}

/// Adds the pattern of parameters and of texts in lists: no control characters.
fn describe_line(schema: &mut Value, patterns: &Value) {
    let is_text = schema["type"] == "string" || schema["type"].as_array().is_some_and(|types| types.contains(&json!("string")));
    if is_text && ["pattern", "format", "enum"].iter().all(|key| schema.get(key).is_none()) {
        schema["pattern"] = patterns["line"].clone();
    }
    if let Some(items) = schema.get_mut("items") {
        describe_line(items, patterns);
    }
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Parses one of the embedded files. A test reads them, too.
fn data(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
