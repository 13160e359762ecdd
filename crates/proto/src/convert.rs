//! Well-known protobuf types to the kernel's and back.

use nodkey_kernel::{key_statement::PresenceKind, role::Role, time::Timestamp};
use serde_json::{Map, Number, Value};

use crate::registry::v1 as registry;

/// Converts to a protobuf timestamp.
#[must_use]
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let micros = at.as_micros();
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or_default(),
    }
}

/// Converts from a protobuf timestamp; `None` when it is out of range.
#[must_use]
pub fn from_timestamp(at: &prost_types::Timestamp) -> Option<Timestamp> {
    // Years 0001 to 9999, the range protobuf allows.
    if !(-62_135_596_800..=253_402_300_799).contains(&at.seconds) || !(0..1_000_000_000).contains(&at.nanos) {
        return None;
    }
    Some(Timestamp::from_micros(at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000))
}

/// Converts from a role; `None` when it is unspecified.
#[must_use]
pub const fn role(role: registry::Role) -> Option<Role> {
    match role {
        registry::Role::Unspecified => None,
        registry::Role::Auditor => Some(Role::Auditor),
        registry::Role::Operator => Some(Role::Operator),
        registry::Role::Owner => Some(Role::Owner),
    }
}

/// Converts to a role.
#[must_use]
pub const fn to_role(role: Role) -> registry::Role {
    match role {
        Role::Auditor => registry::Role::Auditor,
        Role::Operator => registry::Role::Operator,
        Role::Owner => registry::Role::Owner,
    }
}

/// Converts to a kind of presence key.
#[must_use]
pub const fn to_presence_kind(kind: PresenceKind) -> registry::PresenceKind {
    match kind {
        PresenceKind::Biometric => registry::PresenceKind::Biometric,
        PresenceKind::Credential => registry::PresenceKind::Credential,
    }
}

/// Converts a JSON object to a protobuf `Struct`. Numbers become doubles.
#[must_use]
pub fn to_struct(object: &Map<String, Value>) -> prost_types::Struct {
    prost_types::Struct { fields: object.iter().map(|(k, v)| (k.clone(), to_value(v))).collect() }
}

/// Converts a protobuf `Struct` to a JSON object. Doubles that are whole numbers print as such.
#[must_use]
pub fn from_struct(object: &prost_types::Struct) -> Map<String, Value> {
    object.fields.iter().map(|(k, v)| (k.clone(), from_value(v))).collect()
}

fn to_value(value: &Value) -> prost_types::Value {
    use prost_types::value::Kind;
    prost_types::Value {
        kind: Some(match value {
            Value::Null => Kind::NullValue(0),
            Value::Bool(b) => Kind::BoolValue(*b),
            Value::Number(n) => Kind::NumberValue(n.as_f64().unwrap_or_default()),
            Value::String(s) => Kind::StringValue(s.clone()),
            Value::Array(items) => Kind::ListValue(prost_types::ListValue { values: items.iter().map(to_value).collect() }),
            Value::Object(map) => Kind::StructValue(to_struct(map)),
        }),
    }
}

fn from_value(value: &prost_types::Value) -> Value {
    use prost_types::value::Kind;
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(b)) => Value::Bool(*b),
        Some(Kind::NumberValue(n)) => number(*n),
        Some(Kind::StringValue(s)) => Value::String(s.clone()),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(from_value).collect()),
        Some(Kind::StructValue(object)) => Value::Object(from_struct(object)),
    }
}

/// Up to 2^53 a double holds every whole number exactly.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn number(n: f64) -> Value {
    if n.fract() == 0.0 && n.abs() <= 9_007_199_254_740_992.0 {
        return Value::Number(Number::from(n as i64));
    }
    Number::from_f64(n).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_survives_the_round_trip_through_struct() {
        let json = serde_json::json!({"a": 1, "b": [true, null, 1.5, "x"], "c": {"d": -3}});
        let object = json.as_object().unwrap();
        assert_eq!(Value::Object(from_struct(&to_struct(object))), json);
    }

    #[test]
    fn timestamps_before_1970_and_out_of_range() {
        let at = Timestamp::from_micros(-1);
        assert_eq!(from_timestamp(&timestamp(at)), Some(at));
        assert_eq!(from_timestamp(&prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }), None);
    }
}
