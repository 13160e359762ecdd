//! Documents and contracts match the code.

use std::{collections::BTreeSet, path::Path};

use nodkey_proto::{FILE_DESCRIPTOR_SET, SUBJECTS};
use prost_reflect::DescriptorPool;

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_event_of_the_protos_has_a_subject() {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let messages = pool.files().filter(|file| file.name().ends_with("events.proto")).flat_map(|file| {
        let names: Vec<_> = file.messages().map(|message| message.full_name().to_owned()).collect();
        names
    });
    let published: BTreeSet<_> = SUBJECTS.iter().map(|(_, message)| (*message).to_owned()).collect();
    assert_eq!(messages.collect::<BTreeSet<_>>(), published);
}

#[test]
fn the_catalogue_of_events_is_complete() {
    let catalogue = document("docs/events.md");
    for (subject, message) in SUBJECTS {
        assert!(catalogue.contains(subject) && catalogue.contains(message), "docs/events.md lacks {subject} ({message})");
    }
    let named = catalogue.matches("`evt.").count();
    assert!(named >= SUBJECTS.len(), "docs/events.md names {named} subjects");
}

#[test]
fn every_reason_is_explained() {
    let errors = document("docs/errors.md");
    let mut reasons = BTreeSet::new();
    for root in ["services", "crates/runtime/src", "crates/db/src", "crates/bus/src"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(root);
        let tests = |file: &Path| file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs");
        let files = crate::architecture::rust_files(&root);
        for file in files.into_iter().filter(|file| !tests(file.strip_prefix(&root).unwrap())) {
            let text = std::fs::read_to_string(&file).unwrap();
            let words = text.split('"').filter(|w| w.len() > 4 && w.contains(|c: char| c == '_' || c.is_ascii_uppercase()));
            let shouted = words.filter(|w| w.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
            reasons.extend(
                shouted.filter(|w| !NOT_REASONS.contains(w) && !w.starts_with("NODKEY") && !w.starts_with("OTEL")).map(ToOwned::to_owned),
            );
        }
    }
    assert!(reasons.len() > 20, "{reasons:?}");
    let missing: Vec<_> = reasons.iter().filter(|reason| !errors.contains(reason.as_str())).collect();
    assert!(missing.is_empty(), "docs/errors.md lacks {missing:?}");
}

/// Written like reasons, but not reasons.
const NOT_REASONS: [&str; 35] = [
    // Of trusonafications.
    "ACCEPTED_AT_HIGHER_LEVEL",
    "ACCEPTED_AT_LOWER_LEVEL",
    "CANCELED",
    // Of Kubernetes.
    "_PORT_",
    "_SERVICE_HOST",
    "_SERVICE_PORT",
    // Of OpenTelemetry.
    "LOGS",
    "METRICS",
    "TRACES",
    // Of SQL.
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "BYTEA",
    "TIMESTAMPTZ",
    // Of FCM.
    "SENDER_ID_MISMATCH",
    "UNREGISTERED",
    "TRUSONA",
    "ROLE_TRUSTED_RP",
    "ROLE_TRUSTED_RP_CLIENT",
    "AAMVA_DRIVERS_LICENSE",
    "UNVERIFIED",
    "UNVERIFIABLE",
    "VERIFIED",
    "CARGO_PKG_VERSION",
    "SOME_REASON",
    // Codes of gRPC.
    "CANCELLED",
    "ABORTED",
    "OUT_OF_RANGE",
    "DATA_LOSS",
    // Of HTTP.
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    // Of logs.
    "ERROR",
];

#[test]
fn the_openapi_document_is_3_1_and_names_every_field_it_promises() {
    let document: serde_json::Value = serde_json::from_str(&nodkey_gateway::openapi()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in [
        "/api/v2/device_challenges",
        "/api/v2/devices",
        "/api/v2/devices/{id}",
        "/api/v2/devices/{id}/status",
        "/api/v2/devices/{id}/push_options",
        "/api/v2/devices/{id}/push_registration",
        "/api/v2/devices/{id}/trusonafications",
        "/api/v2/trusonafication_responses",
        "/api/v2/identity_documents",
        "/api/v2/user_devices",
        "/api/v2/user_devices/{id}",
        "/api/v2/users/{user_identifier}",
        "/api/v2/users/{user_identifier}/devices",
        "/api/v2/users/{user_identifier}/freeze",
        "/api/v2/user_freezes",
        "/api/v2/trusonafications",
        "/api/v2/trusonafications/{id}",
        "/api/v2/trusonafications/{id}/evidence",
        "/jwks",
        "/jwks/archive",
    ] {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
    let methods: Vec<_> = document["paths"]["/api/v2/devices/{id}"].as_object().unwrap().keys().collect();
    assert_eq!(methods.len(), 3, "GET for backends, PATCH and DELETE for phones: {methods:?}");
    assert!(document["components"]["schemas"]["Problem"]["properties"].get("field_errors").is_some());
}
