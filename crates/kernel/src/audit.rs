//! The audit log: hash chains of records, the checkpoints that a deployment signs over them, and the offline verification of an export.
//!
//! A chain belongs to the deployment ([`DEPLOYMENT`]) or to a relying party. The hash of a record is SHA-256 over its members as canonical
//! JSON (RFC 8785). The member `prev` is the hash of the preceding record, or 64 zeros for the first. An export consists of lines of JSON,
//! each of them a [`Line`].

mod verify;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use verify::{ChainReport, Fault, MAX_FAULTS, Report, Verifier};

use crate::{
    jose::{JoseError, Jwks, jws, sha256},
    named,
};

/// The `typ` of checkpoints.
pub const AUDIT_TYP: &str = "nodkey-audit+jwt";
/// Name of the chain for everything that belongs to no relying party.
pub const DEPLOYMENT: &str = "deployment";
/// The value that the first record of a chain has as its predecessor's hash.
pub const START: [u8; 32] = [0; 32];

named! {
    /// The kind of a record.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum RecordKind {
        /// An action about to be taken: written before it is.
        Intent = "intent",
        /// The outcome of an intent.
        Outcome = "outcome",
        /// An action that was taken or refused, together with its outcome.
        Event = "event",
    }
}

/// A record of a chain. Members are in the order of canonical JSON; integers are below 2^53.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The actor's name at that time.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub actor: String,
    /// Time in microseconds since the epoch.
    pub at: i64,
    /// [`DEPLOYMENT`], or the id of a relying party.
    pub chain: String,
    /// Id of the entry.
    pub id: String,
    /// For an outcome: the id of its intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// The kind of record.
    pub kind: RecordKind,
    /// `package.Service/Method`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Id of the operator, if the actor was a named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// `OK`, or the reason of a refusal. Absent from an intent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    /// Hash of the preceding record, in hexadecimal.
    pub prev: String,
    /// Id of the relying party on whose behalf it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relying_party: Option<String>,
    /// The request: JSON without secrets, truncated when it is long.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// The actor's role at that time.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// Position in the chain, from 1.
    pub seq: u64,
    /// Trace id, as in logs and events.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
}

impl Record {
    /// The hash of the record.
    ///
    /// # Panics
    /// Never: strings and integers serialize.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(&serde_json::to_vec(self).expect("a record serializes"))
    }
}

/// The hash of a record with any members: a later release may write more of them.
fn hash(members: &BTreeMap<String, Value>) -> Option<[u8; 32]> {
    // No nested values: the order of an object's members would depend on its writer.
    let flat = members.values().all(|value| value.is_string() || value.is_i64() || value.is_u64());
    flat.then(|| serde_json::to_vec(members).ok().map(|bytes| sha256(&bytes))).flatten()
}

/// The deployment's statement about a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointClaims {
    /// The deployment: the gateway's public URL.
    pub iss: String,
    /// The chain.
    pub chain: String,
    /// Position of the newest record that it covers.
    pub seq: u64,
    /// The hash of that record, in hexadecimal.
    pub hash: String,
    /// Position of the last record that retention has deleted; 0 for none.
    pub cut: u64,
    /// In the deployment's own chain: how many chains there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chains: Option<u64>,
    /// Time in microseconds since the epoch.
    pub at: i64,
}

/// Verifies a checkpoint with the deployment's keys; returns the claims and the `kid`.
pub fn verify_checkpoint(checkpoint: &str, jwks: &Jwks) -> Result<(CheckpointClaims, String), JoseError> {
    let compact = jws::Compact::parse(checkpoint)?;
    let kid = compact.header().kid.clone().ok_or(JoseError::Malformed)?;
    let key = jwks.find_for(&kid, AUDIT_TYP).ok_or(JoseError::Key)?;
    Ok((compact.verify(key, AUDIT_TYP)?, kid))
}

/// One line of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// An entry from before there were chains.
    Unchained {
        /// Its content, which nothing proves.
        entry: Value,
    },
    /// The start of a chain.
    Chain {
        /// Its name.
        chain: String,
        /// Position of the last record that retention has deleted; 0 for none.
        cut: u64,
        /// The hash of that record.
        cut_hash: String,
    },
    /// A record of the chain.
    Record {
        /// Its members.
        entry: BTreeMap<String, Value>,
        /// Its hash.
        hash: String,
    },
    /// A checkpoint of the chain.
    Checkpoint {
        /// [`CheckpointClaims`], signed.
        jws: String,
    },
    /// The end of a chain.
    Head {
        /// Its name.
        chain: String,
        /// Position of its newest record.
        seq: u64,
        /// The hash of that record.
        hash: String,
    },
    /// The end of the export.
    End {
        /// Number of chains that the deployment has; absent from the export of a single chain.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chains: Option<u64>,
    },
}

impl Line {
    /// Builds the line of a record.
    ///
    /// # Panics
    /// Never: a record is an object.
    #[must_use]
    pub fn record(record: &Record, hash: &[u8]) -> Self {
        let Ok(Value::Object(members)) = serde_json::to_value(record) else { unreachable!("a record is an object") };
        Self::Record { entry: members.into_iter().collect(), hash: hex::encode(hash) }
    }

    /// The line as an export contains it, without the line ending.
    ///
    /// # Panics
    /// Never: a line serializes.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a line serializes")
    }
}
