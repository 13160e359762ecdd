//! What a command is answered with besides a result.

use nodkey_server_sdk::{Error, InvalidCredential, Kind};
use serde_json::{Value, json};

/// Why there is no result.
pub enum Failure {
    /// A call was refused, or failed.
    Call(Error),
    /// Something did not verify.
    Unverified(&'static str, Option<String>),
    /// The client refuses it.
    Client(&'static str, Kind, String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl Failure {
    /// A parameter that is missing or wrong.
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub fn parameter(what: impl ToString) -> Self {
        Self::Client("INVALID_PARAMETER", Kind::Invalid, what.to_string())
    }

    /// A credential that is none.
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub fn credential(error: InvalidCredential) -> Self {
        Self::Client("INVALID_CREDENTIAL", Kind::Invalid, error.to_string())
    }

    /// As the runner of `sdk/spec` reads it.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Call(error) => {
                let fields = error.field_violations.iter().map(|it| json!({"field": it.field, "description": it.description}));
                let mut value = described(&error.reason, error.kind, &error.message);
                value["fields"] = fields.collect();
                if let Some(after) = error.retry_after {
                    value["retry_after"] = json!(after.as_secs_f64());
                }
                value
            }
            Self::Unverified(reason, None) => json!({ "reason": reason }),
            Self::Unverified(reason, Some(detail)) => json!({"reason": reason, "detail": detail}),
            Self::Client(reason, kind, message) => described(reason, *kind, message),
        }
    }
}

fn described(reason: &str, kind: Kind, message: &str) -> Value {
    let retryable = matches!(kind, Kind::Exhausted | Kind::Unavailable);
    json!({"reason": reason, "kind": kind.as_str(), "message": message, "retryable": retryable, "fields": []})
}
