//! Problems in JSON from others, described in our own words. Libraries name our types and how they read them, which does not help the
//! sender, and change their wording between releases.

use serde::{Deserialize, Deserializer};

use crate::error::FieldViolation;

/// What to call the whole document where no single member is wrong.
const WHOLE: &str = "body";

/// Reads a member and treats `null` as absent. Use with `#[serde(default)]`.
pub fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Describes what is wrong with well-formed JSON, and where: `path` is in the form of `serde_path_to_error`. `serde_json` reports an enum
/// that is not a string as malformed JSON.
#[must_use]
pub fn fault(path: &str, error: &serde_json::Error) -> FieldViolation {
    let text = error.to_string();
    // The rest is line and column.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let (member, description) = described(text);
    let path = path.trim_end_matches('?').trim_matches('.');
    let field = match member {
        None if path.is_empty() => WHOLE.to_owned(),
        None => path.to_owned(),
        // Some paths already end in the member.
        Some(member) if path.is_empty() || path == member => member.to_owned(),
        Some(member) => format!("{path}.{member}"),
    };
    FieldViolation::new(&field, description)
}

/// Says where the text stops being JSON.
#[must_use]
pub fn malformed(error: &serde_json::Error) -> String {
    let how = if error.is_eof() { "it ends too early" } else { "it is not well-formed" };
    format!("{how}, at line {}, column {}", error.line(), error.column())
}

/// The affected member, where the message names one, and what is wrong.
fn described(text: &str) -> (Option<&str>, String) {
    let unknown = || "is not known here: leave it out, or look at its spelling".to_owned();
    if let Some(rest) = text.strip_prefix("missing field `") {
        return (rest.strip_suffix('`'), "must be there".to_owned());
    }
    if let Some(rest) = text.strip_prefix("duplicate field `") {
        return (rest.strip_suffix('`'), "must be there once".to_owned());
    }
    if let Some(rest) = text.strip_prefix("unknown field `") {
        let member = rest.rsplit_once("`, expected ").or_else(|| rest.rsplit_once("`, there are no fields"));
        return (member.map(|(member, _)| member), unknown());
    }
    // From protobuf messages: see `reflect` in the proto crate.
    if let Some(member) = text.strip_prefix("unrecognized field name '") {
        return (member.strip_suffix('\''), unknown());
    }
    let wanted = text.rsplit_once(", expected ").map_or("", |(_, wanted)| wanted);
    let description = if text.starts_with("unknown variant `") {
        format!("must be {}", alternatives(wanted))
    } else if text == "expected value" || text.starts_with("unrecognized enum value") {
        "must be one of the values that there are".to_owned()
    } else if text.starts_with("invalid type: ") {
        format!("must be {}", kind(wanted))
    } else if text.starts_with("invalid value: ") {
        format!("is out of range: must be {}", kind(wanted))
    } else if text.starts_with("invalid length ") {
        "must have as many elements as are documented".to_owned()
    } else {
        "is not what belongs here".to_owned()
    };
    (None, description)
}

/// Rewrites "one of `a`, `b`, `c`" as "a, b or c".
fn alternatives(wanted: &str) -> String {
    let names: Vec<_> = wanted.split('`').skip(1).step_by(2).collect();
    match names.split_last() {
        None => "one of the values that there are".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// The kind of value expected. A Rust type that JSON has no name for is described by what it may stand for.
fn kind(wanted: &str) -> &'static str {
    let is = |words: &[&str]| words.iter().any(|word| wanted.contains(word));
    if is(&["rfc3339"]) {
        "a time of RFC 3339, such as 2026-01-02T03:04:05Z"
    } else if is(&["duration"]) {
        "a duration, such as 1.5s"
    } else if is(&["boolean", "bool"]) {
        "true or false"
    } else if is(&["floating", "f64", "f32"]) {
        "a number"
    } else if is(&["a string or integer"]) {
        // An enum of the proto contract.
        "one of the values that there are"
    } else if is(&["integer", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"]) {
        "a whole number"
    } else if is(&["base64"]) {
        "bytes in base64"
    } else if is(&["an object, or an array of one"]) {
        "an object, or an array of one"
    } else if is(&["struct", "map", "object"]) {
        "an object"
    } else if is(&["sequence", "list", "array", "tuple"]) {
        "an array"
    } else if is(&["string", "enum", "variant", "identifier", "character"]) {
        "a string"
    } else {
        "what is documented"
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Biometric,
        Credential,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "what is read is not looked at")]
    struct Key {
        kind: Kind,
        level: Option<u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "what is read is not looked at")]
    enum Either {
        One(u8),
        Other([bool; 2]),
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "what is read is not looked at")]
    struct Body {
        keys: Vec<Key>,
        user: Option<String>,
        either: Option<Either>,
    }

    fn read<T: DeserializeOwned>(json: &str) -> FieldViolation {
        let error = serde_json::from_str::<T>(json).err().unwrap();
        fault("keys[0].?", &error)
    }

    #[test]
    fn what_is_wrong_is_said_without_a_word_of_the_libraries() {
        for (json, field, description) in [
            (r#"{"kind": "nose"}"#, "keys[0]", "must be biometric or credential"),
            (r#"{"kind": 7}"#, "keys[0]", "must be one of the values that there are"),
            (r#"{"kind": "biometric", "level": "2"}"#, "keys[0]", "must be a whole number"),
            (r#"{"kind": "biometric", "level": 256}"#, "keys[0]", "is out of range: must be a whole number"),
            (r#"{"level": 2}"#, "keys[0].kind", "must be there"),
            (r#"{"kind": "biometric", "kind": "biometric"}"#, "keys[0].kind", "must be there once"),
            (
                r#"{"kind": "biometric", "a`, expected b": 1}"#,
                "keys[0].a`, expected b",
                "is not known here: leave it out, or look at its spelling",
            ),
            ("7", "keys[0]", "must be an object"),
        ] {
            assert_eq!(read::<Key>(json), FieldViolation::new(field, description), "{json}");
        }
        assert_eq!(kind("a string or integer"), "one of the values that there are");
        assert_eq!(read::<Body>(r#"{"keys": [], "either": "x"}"#).description, "is not what belongs here");
        assert_eq!(read::<Body>(r#"{"keys": {}}"#).description, "must be an array");
        assert_eq!(fault(".", &serde_json::from_str::<Body>("7").unwrap_err()).field, "body");
        assert_eq!(malformed(&serde_json::from_str::<Body>("{\n").unwrap_err()), "it ends too early, at line 2, column 0");
    }
}
