//! The columns in which this service stores sealed values, and their contexts.

use nodkey_db::sealed::{KeyColumn, SealedColumn};

const ID: &[KeyColumn] = &[KeyColumn::Uuid("id")];

/// Every column with sealed values.
pub const SEALED: &[SealedColumn] = &[
    SealedColumn { table: "credential", column: "sealed_secret", key: ID, context: |key| format!("credential/{}", key[0]) },
    SealedColumn { table: "signing_key", column: "sealed_private", key: ID, context: |key| format!("signing_key/{}", key[0]) },
    SealedColumn { table: "operator_session", column: "sealed_secret", key: ID, context: |key| format!("operator_session/{}", key[0]) },
];
