//! What operators did after a backup, from an export of the audit log that was kept elsewhere.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::Context as _;
use nodkey_kernel::{audit::Line, time::Timestamp};
use serde::Serialize;
use serde_json::Value;

/// Something that an operator did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Act {
    pub at: String,
    pub actor: String,
    /// `package.Service/Method`.
    pub method: String,
    /// For whom; absent for the deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relying_party: Option<String>,
    /// The request as JSON, without what was secret in it.
    pub request: String,
}

/// The outcome of what was done. Anything else is a refusal, or only read; an intent has none, or has it in an entry of its own.
const OK: &str = "OK";

/// Reads what was done from this moment on, the oldest first. What was refused, or only read, changed nothing.
pub fn since(path: &Path, moment: Timestamp) -> anyhow::Result<Vec<Act>> {
    let cannot = || format!("cannot read {}", path.display());
    let (mut acts, mut refused) = (BTreeMap::new(), Vec::new());
    for line in BufReader::new(File::open(path).with_context(cannot)?).lines() {
        let line = line.with_context(cannot)?;
        let line: Line = serde_json::from_str(&line).with_context(|| format!("{} is no export of the audit log", path.display()))?;
        let Line::Record { entry, .. } = line else { continue };
        let text = |name: &str| entry.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let (Some(at), Some(id)) = (entry.get("at").and_then(Value::as_i64), text("id")) else { continue };
        let outcome = text("outcome").unwrap_or_default();
        if let Some(intent) = text("intent") {
            refused.extend((outcome != OK).then_some(intent));
            continue;
        }
        if at < moment.as_micros() || !["", OK].contains(&outcome.as_str()) {
            continue;
        }
        let act = Act {
            at: Timestamp::from_micros(at).to_string(),
            actor: text("actor").unwrap_or_default(),
            method: text("method").unwrap_or_default(),
            relying_party: text("relying_party"),
            request: text("request").unwrap_or_default(),
        };
        acts.insert((at, id), act);
    }
    acts.retain(|(_, id), _| !refused.contains(id));
    Ok(acts.into_values().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_done_since_is_listed_and_what_was_read_or_refused_is_not() {
        let record = |at: i64, id: &str, more: Value| {
            let mut entry = json!({"at": at, "id": id, "actor": "Ada", "method": format!("x.Y/{id}"), "request": "{}", "kind": "intent"});
            entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"type": "record", "entry": entry, "hash": "00"}).to_string()
        };
        let lines = [
            json!({"type": "chain", "chain": "deployment", "cut": 0, "cut_hash": ""}).to_string(),
            record(9, "Before", json!({})),
            record(30, "Late", json!({"relying_party": "acme"})),
            record(10, "Done", json!({})),
            record(11, "outcome", json!({"intent": "Done", "outcome": "OK"})),
            record(12, "Refused", json!({})),
            record(13, "other", json!({"intent": "Refused", "outcome": "FORBIDDEN"})),
            record(14, "Read", json!({"outcome": "READ", "kind": "event"})),
            record(15, "Forbidden", json!({"outcome": "PERMISSION_DENIED", "kind": "event"})),
            record(16, "SignedIn", json!({"outcome": "OK", "kind": "event"})),
        ];
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        let acts = since(file.path(), Timestamp::from_micros(10)).unwrap();
        assert_eq!(acts.iter().map(|act| act.method.as_str()).collect::<Vec<_>>(), ["x.Y/Done", "x.Y/SignedIn", "x.Y/Late"]);
        assert_eq!(acts[2].relying_party.as_deref(), Some("acme"));
        std::fs::write(file.path(), "nonsense").unwrap();
        assert!(since(file.path(), Timestamp::from_micros(10)).unwrap_err().to_string().contains("no export"));
    }
}
