//! Conversions between well-known protobuf types and kernel types.

use nodkey_kernel::{custom_fields::CustomFields, key_statement::PresenceKind, role::Role, time::Timestamp};
pub use prost_types::Timestamp as TimestampMessage;
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
    // Years 0001 to 9999, the range that protobuf allows.
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

/// Converts custom fields to a protobuf `Struct`, for clients that do not read the text. Returns `None` where a `Struct` would hold
/// something else or could not be read: numbers that a double cannot hold, repeated members, or more levels than
/// [`MAX_DEPTH`](nodkey_kernel::custom_fields::MAX_DEPTH).
#[must_use]
pub fn to_struct(fields: &CustomFields) -> Option<prost_types::Struct> {
    if !fields.are_numbers_doubles() || CustomFields::parse(fields.as_str()).is_err() {
        return None;
    }
    serde_json::from_str(fields.as_str()).ok().as_ref().map(to_object)
}

/// Converts a protobuf `Struct` to a JSON object. Doubles that are whole numbers are written as such. Returns `None` if one is infinite or
/// not a number, which JSON cannot express.
#[must_use]
pub fn from_struct(object: &prost_types::Struct) -> Option<Map<String, Value>> {
    object.fields.iter().map(|(k, v)| Some((k.clone(), from_value(v)?))).collect()
}

fn to_object(object: &Map<String, Value>) -> prost_types::Struct {
    prost_types::Struct { fields: object.iter().map(|(k, v)| (k.clone(), to_value(v))).collect() }
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
            Value::Object(map) => Kind::StructValue(to_object(map)),
        }),
    }
}

fn from_value(value: &prost_types::Value) -> Option<Value> {
    use prost_types::value::Kind;
    Some(match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(b)) => Value::Bool(*b),
        Some(Kind::NumberValue(n)) => number(*n)?,
        Some(Kind::StringValue(s)) => Value::String(s.clone()),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(from_value).collect::<Option<_>>()?),
        Some(Kind::StructValue(object)) => Value::Object(from_struct(object)?),
    })
}

/// A double holds every whole number up to 2^53 exactly.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn number(n: f64) -> Option<Value> {
    if n.fract() == 0.0 && n.abs() <= 9_007_199_254_740_992.0 {
        return Some(Value::Number(Number::from(n as i64)));
    }
    Number::from_f64(n).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> CustomFields {
        CustomFields::stored(json).unwrap()
    }

    #[test]
    fn json_survives_the_round_trip_through_struct() {
        let json = serde_json::json!({"a": 1, "b": [true, null, 1.5, "x"], "c": {"d": -3}});
        let converted = to_struct(&fields(&json.to_string())).unwrap();
        assert_eq!(Value::Object(from_struct(&converted).unwrap()), json);
    }

    #[test]
    fn there_is_no_struct_of_what_it_would_hold_otherwise() {
        let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(1 + levels), "}".repeat(1 + levels));
        assert!(to_struct(&fields(r#"{"a": 1.0, "b": [1e2]}"#)).is_some() && to_struct(&fields(&deep(32))).is_some());
        for other in [r#"{"iban": 89370400440532013000}"#, r#"{"a": [9007199254740993.0]}"#, r#"{"a":1,"a":1}"#, &deep(33), &deep(60)] {
            assert_eq!(to_struct(&fields(other)), None, "{other}");
        }
    }

    #[test]
    fn a_struct_of_32_levels_can_be_read_wherever_answers_have_it() {
        use prost::Message as _;

        use crate::trusonafication::v1 as pb;
        let json = format!("{}1{}", "{\"a\":".repeat(33), "}".repeat(33));
        let t = pb::Trusonafication { custom_fields: to_struct(&fields(&json)), ..pb::Trusonafication::default() };
        let created = pb::CreateTrusonaficationResponse { trusonafication: Some(t.clone()), ..Default::default() };
        assert!(t.custom_fields.is_some());
        assert_eq!(pb::CreateTrusonaficationResponse::decode(created.encode_to_vec().as_slice()).unwrap(), created);
        let list = pb::ListTrusonaficationsResponse { trusonafications: vec![t], ..Default::default() };
        assert_eq!(pb::ListTrusonaficationsResponse::decode(list.encode_to_vec().as_slice()).unwrap(), list);
        let method = crate::reflect::method("/nodkey.trusonafication.v1.TrusonaficationService/ListTrusonafications").unwrap();
        assert!(crate::reflect::to_json(method.output(), list.encode_to_vec().into()).is_some());
    }

    #[test]
    fn numbers_that_json_cannot_spell_are_refused() {
        use prost_types::value::Kind;
        for n in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let value = |kind| prost_types::Value { kind: Some(kind) };
            let list = prost_types::ListValue { values: vec![value(Kind::NumberValue(n))] };
            let object = prost_types::Struct { fields: [("a".to_owned(), value(Kind::ListValue(list)))].into() };
            assert_eq!(from_struct(&object), None);
        }
    }

    #[test]
    fn timestamps_before_1970_and_out_of_range() {
        let at = Timestamp::from_micros(-1);
        assert_eq!(from_timestamp(&timestamp(at)), Some(at));
        assert_eq!(from_timestamp(&prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }), None);
    }
}
