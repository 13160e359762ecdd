//! The audit log: hash chains of records, the checkpoints that a deployment signs over them, and how an export is verified offline.
//!
//! A chain is a deployment's ([`DEPLOYMENT`]) or a relying party's. The hash of a record is SHA-256 over its members as canonical JSON
//! (RFC 8785), and `prev` among them is the hash of the record before: 64 zeros for the first. An export is lines of JSON, one
//! [`Line`] each.

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
/// The name of the chain that holds what is no relying party's.
pub const DEPLOYMENT: &str = "deployment";
/// What the first record of a chain follows.
pub const START: [u8; 32] = [0; 32];

named! {
    /// What a record is.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum RecordKind {
        /// Something is about to be done: written before it is.
        Intent = "intent",
        /// What came of an intent.
        Outcome = "outcome",
        /// Something that was done, or refused, with its outcome.
        Event = "event",
    }
}

/// A record of a chain. The members are in the order of canonical JSON; integers are below 2^53.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The actor's name at that time.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub actor: String,
    /// When, in microseconds since the epoch.
    pub at: i64,
    /// [`DEPLOYMENT`], or the id of a relying party.
    pub chain: String,
    /// Id of the entry.
    pub id: String,
    /// Of an outcome: the id of its intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// What it is.
    pub kind: RecordKind,
    /// `package.Service/Method`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Id of the operator, if it was one with a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// `OK`, or the reason of a refusal. Never of an intent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    /// Hash of the record before, hexadecimal.
    pub prev: String,
    /// Id of the relying party it was done for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relying_party: Option<String>,
    /// What was asked for: JSON without secrets, cut off when it is long.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// The actor's role at that time.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// Position in the chain, from 1.
    pub seq: u64,
    /// Of logs and events.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
}

impl Record {
    /// Its hash.
    ///
    /// # Panics
    /// Never: strings and integers serialize.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(&serde_json::to_vec(self).expect("a record serializes"))
    }
}

/// The hash of a record with whatever members it has: a later release may write more of them.
fn hash(members: &BTreeMap<String, Value>) -> Option<[u8; 32]> {
    // Nothing nested: the order of an object's members would be its writer's.
    let flat = members.values().all(|value| value.is_string() || value.is_i64() || value.is_u64());
    flat.then(|| serde_json::to_vec(members).ok().map(|bytes| sha256(&bytes))).flatten()
}

/// What a deployment says of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointClaims {
    /// The deployment: the gateway's public URL.
    pub iss: String,
    /// The chain.
    pub chain: String,
    /// Of the newest record that it covers.
    pub seq: u64,
    /// The hash of that record, hexadecimal.
    pub hash: String,
    /// Of the last record that retention has deleted; 0: none.
    pub cut: u64,
    /// Of the deployment's own chain: how many chains there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chains: Option<u64>,
    /// When, in microseconds since the epoch.
    pub at: i64,
}

/// Verifies a checkpoint by the deployment's keys; returns the claims and the `kid`.
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
    /// An entry of before there were chains.
    Unchained {
        /// What it says; nothing proves it.
        entry: Value,
    },
    /// A chain begins.
    Chain {
        /// Its name.
        chain: String,
        /// Of the last record that retention has deleted; 0: none.
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
    /// The chain ends.
    Head {
        /// Its name.
        chain: String,
        /// Of its newest record.
        seq: u64,
        /// The hash of that record.
        hash: String,
    },
    /// The export ends.
    End {
        /// How many chains the deployment has; absent from the export of one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chains: Option<u64>,
    },
}

impl Line {
    /// The line of a record.
    ///
    /// # Panics
    /// Never: a record is an object.
    #[must_use]
    pub fn record(record: &Record, hash: &[u8]) -> Self {
        let Ok(Value::Object(members)) = serde_json::to_value(record) else { unreachable!("a record is an object") };
        Self::Record { entry: members.into_iter().collect(), hash: hex::encode(hash) }
    }

    /// As it stands in an export, without the line's end.
    ///
    /// # Panics
    /// Never: a line serializes.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a line serializes")
    }
}
