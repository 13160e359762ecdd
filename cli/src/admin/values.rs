//! Converts values of messages to JSON.

use nodkey_proto::convert::from_timestamp;
use serde_json::Value;

/// RFC 3339, or null.
pub fn time(at: Option<&prost_types::Timestamp>) -> Value {
    at.and_then(from_timestamp).map_or(Value::Null, |at| Value::from(at.to_string()))
}

/// The word for the name of an enum value: `active` for `BINDING_STATE_ACTIVE` with the prefix `BINDING_STATE_`.
pub fn word(name: &str, prefix: &str) -> Value {
    let name = name.strip_prefix(prefix).unwrap_or(name).to_lowercase();
    if name == "unspecified" { Value::Null } else { Value::from(name) }
}

/// The name of the enum value for a word: the inverse of [`word`]. Accepts `in-progress` and `in_progress`.
pub fn name(prefix: &str, word: &str) -> String {
    format!("{prefix}{}", word.to_uppercase().replace('-', "_"))
}

/// Parses JSON that a message carries as text.
pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use nodkey_proto::{binding::v1::BindingState, trusonafication::v1::Status};

    use super::*;

    #[test]
    fn words_come_from_names_and_go_back() {
        assert_eq!(word(BindingState::Active.as_str_name(), "BINDING_STATE_"), "active");
        assert_eq!(word(BindingState::Unspecified.as_str_name(), "BINDING_STATE_"), Value::Null);
        assert_eq!(Status::from_str_name(&name("STATUS_", "in-progress")), Some(Status::InProgress));
    }

    #[test]
    fn no_time_is_null() {
        assert_eq!(time(None), Value::Null);
        assert_eq!(time(Some(&prost_types::Timestamp { seconds: 0, nanos: 5_000_000 })), "1970-01-01T00:00:00.005Z");
    }
}
