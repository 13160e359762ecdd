//! What a command is answered with besides a result.

use nodkey_server_sdk::{Error, VerificationError};
use serde_json::{Value, json};

/// Why there is no result.
pub enum Failure {
    /// A call was refused, or failed.
    Call(Error),
    /// Something did not verify.
    Unverified(VerificationError),
    /// The program refuses it: the reason, and why.
    Program(&'static str, String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<VerificationError> for Failure {
    fn from(error: VerificationError) -> Self {
        Self::Unverified(error)
    }
}

impl Failure {
    /// A parameter that is missing or wrong, which the compiler would have found.
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub fn parameter(what: impl ToString) -> Self {
        Self::Program("INVALID_PARAMETER", what.to_string())
    }

    /// As the runner of `sdk/spec` reads it.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Call(error) => {
                let fields = error.fields().iter().map(|it| json!({"field": it.field, "description": it.description}));
                let mut value = json!({
                    "reason": error.reason(), "kind": error.kind().as_str(), "message": error.message(), "retryable": error.is_retryable(),
                    "fields": fields.collect::<Value>(),
                });
                if let Some(after) = error.retry_after() {
                    value["retry_after"] = json!(after.as_secs_f64());
                }
                value
            }
            Self::Unverified(error) => {
                let mut value = json!({ "reason": error.reason().as_str() });
                if let Some(detail) = error.detail() {
                    value["detail"] = json!(detail);
                }
                value
            }
            Self::Program(reason, message) => {
                let (kind, retryable) = if *reason == "CANCELLED" { ("UNAVAILABLE", true) } else { ("INVALID", false) };
                json!({"reason": reason, "kind": kind, "message": message, "retryable": retryable, "fields": []})
            }
        }
    }
}
