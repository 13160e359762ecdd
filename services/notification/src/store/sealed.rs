//! The columns in which this service stores sealed values, and their contexts.

use nodkey_db::sealed::{KeyColumn, SealedColumn};

const ENDPOINT: &[KeyColumn] = &[KeyColumn::Uuid("id")];
const REGISTRATION: &[KeyColumn] = &[KeyColumn::Uuid("relying_party_id"), KeyColumn::Text("device_id")];
const CONFIGURATION: &[KeyColumn] = &[KeyColumn::Uuid("relying_party_id"), KeyColumn::Text("provider")];

/// Every column with sealed values.
pub const SEALED: &[SealedColumn] = &[
    SealedColumn { table: "endpoint", column: "sealed_keys", key: ENDPOINT, context: |key| format!("endpoint/{}", key[0]) },
    SealedColumn { table: "endpoint", column: "sealed_previous_keys", key: ENDPOINT, context: |key| format!("endpoint/{}", key[0]) },
    SealedColumn { table: "endpoint", column: "sealed_older_keys", key: ENDPOINT, context: |key| format!("endpoint/{}/older", key[0]) },
    SealedColumn {
        table: "push_registration",
        column: "sealed_details",
        key: REGISTRATION,
        context: |key| format!("push_registration/{}", key[1]),
    },
    SealedColumn {
        table: "push_configuration",
        column: "sealed_credentials",
        key: CONFIGURATION,
        context: |key| format!("push_configuration/{}/{}", key[0], key[1]),
    },
];
