//! Custom fields of a trusonafication: a JSON object from the backend, stored and shown character by character (RFC 8259).
//!
//! Numbers keep their written form: read as a double and written again, `12345678901234567890123` would change. Therefore nothing here
//! parses and reserializes the text.

use std::{borrow::Cow, cell::Cell, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// Maximum nesting of objects and arrays inside the custom fields object. A protobuf `Struct` of this depth can still be read by any gRPC
/// client as part of a response: protobuf readers allow 100 nested messages, and each level takes three.
pub const MAX_DEPTH: usize = 32;

/// Custom fields: the text of a JSON object. Two values are equal when their texts are.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct CustomFields(Box<RawValue>);

/// Why a text is not accepted as custom fields. The errors contain nothing of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustomFieldsError {
    /// Another kind of JSON value, or none.
    #[error("must be a JSON object")]
    NotAnObject,
    /// Not JSON, or contains a number that is too large for a double.
    #[error("must be a JSON object: {0}")]
    NotJson(String),
    /// More levels than [`MAX_DEPTH`].
    #[error("must have at most {MAX_DEPTH} levels of objects and arrays inside it")]
    TooDeep,
    /// A repeated name: receivers differ in which of the two members they use.
    #[error("must not name a member twice in one object: line {line}, column {column}")]
    Duplicate {
        /// The line where the second name ends, from 1.
        line: usize,
        /// The column where it ends, in bytes.
        column: usize,
    },
}

impl CustomFields {
    /// Parses custom fields as a backend sends them.
    pub fn parse(json: &str) -> Result<Self, CustomFieldsError> {
        if !json.trim_start().starts_with('{') {
            return Err(CustomFieldsError::NotAnObject);
        }
        let fault = Cell::new(None);
        let mut reader = serde_json::Deserializer::from_str(json);
        let read = Level { depth: 0, fault: &fault }.deserialize(&mut reader).and_then(|()| reader.end());
        read.map_err(|e| match fault.take() {
            Some(CustomFieldsError::Duplicate { .. }) => CustomFieldsError::Duplicate { line: e.line(), column: e.column() },
            Some(fault) => fault,
            None => CustomFieldsError::NotJson(e.to_string()),
        })?;
        Self::stored(json).ok_or(CustomFieldsError::NotAnObject)
    }

    /// Reads custom fields that were accepted under earlier rules: they may have any depth, and repeated members. `None` when the text is
    /// not a JSON object.
    #[must_use]
    pub fn stored(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// The JSON, character by character, without surrounding white space.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw_members().is_empty()
    }

    /// The members as shown to people, in order: the name, and the plain text of a string, or the JSON of any other value on one line with
    /// numbers as they were written. A repeated member is shown twice. The caller must make hidden characters visible.
    #[must_use]
    pub fn members(&self) -> Vec<(String, String)> {
        let shown = |value: &RawValue| serde_json::from_str(value.get()).unwrap_or_else(|_| one_line(value.get()));
        self.raw_members().into_iter().map(|(name, value)| (name, shown(value))).collect()
    }

    /// The JSON on one line.
    #[must_use]
    pub fn to_line(&self) -> String {
        one_line(self.as_str())
    }

    /// Whether readers that treat every number as a double get the number that was written. For `89370400440532013000` they get another.
    #[must_use]
    pub fn are_numbers_doubles(&self) -> bool {
        let is_number = |token: &&str| token.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        tokens(self.as_str()).filter(is_number).all(is_double)
    }

    fn raw_members(&self) -> Vec<(String, &RawValue)> {
        serde_json::from_str(self.as_str()).map(|Members(members)| members).unwrap_or_default()
    }
}

impl Default for CustomFields {
    /// Empty: `{}`.
    fn default() -> Self {
        Self(RawValue::from_string("{}".to_owned()).expect("it is JSON"))
    }
}

impl PartialEq for CustomFields {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for CustomFields {}

impl<'de> Deserialize<'de> for CustomFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        serde_json::from_str::<Members<'_>>(json.get()).map_err(|_| D::Error::custom("custom fields are no object"))?;
        Ok(Self(json))
    }
}

/// The members of an object, in order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Collect).map(Members)
    }
}

/// Reads a value nested in `depth` objects and arrays, and records what is wrong with it.
#[derive(Clone, Copy)]
struct Level<'a> {
    depth: usize,
    fault: &'a Cell<Option<CustomFieldsError>>,
}

impl Level<'_> {
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        // One more than the limit: the object itself.
        if self.depth == 1 + MAX_DEPTH { Err(self.refuse(CustomFieldsError::TooDeep)) } else { Ok(Self { depth: self.depth + 1, ..self }) }
    }

    fn refuse<E: serde::de::Error>(self, fault: CustomFieldsError) -> E {
        self.fault.set(Some(fault));
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while items.next_element_seed(below)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let (below, mut names) = (self.below()?, HashSet::new());
        while let Some(name) = members.next_key::<String>()? {
            if !names.insert(name) {
                return Err(self.refuse(CustomFieldsError::Duplicate { line: 0, column: 0 }));
            }
            members.next_value_seed(below)?;
        }
        Ok(())
    }
}

/// JSON as shown to people: no white space between tokens, strings with escapes decoded, anything else as it was written.
fn one_line(json: &str) -> String {
    let shown = tokens(json).map(|token| match serde_json::from_str::<String>(token) {
        Ok(text) => Cow::Owned(Value::String(text).to_string()),
        Err(_) => Cow::Borrowed(token),
    });
    shown.collect()
}

/// The tokens of valid JSON: strings with their quotes, and the text between them split at white space and at `{}[],:`.
fn tokens(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        let first = rest.bytes().next()?;
        let end = match first {
            b'"' => string_end(rest),
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            _ => rest.bytes().position(|b| b" \t\r\n{}[],:\"".contains(&b)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        rest = after;
        Some(token)
    })
}

/// The end of the string at the start of the text.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    let closes = |b: u8| {
        let closes = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        closes
    };
    text.bytes().skip(1).position(closes).map_or(text.len(), |inside| inside + 2)
}

/// Whether a JSON number equals the decimal form of its double.
fn is_double(number: &str) -> bool {
    number.parse::<f64>().is_ok_and(|double| double.is_finite() && decimal(number) == decimal(&format!("{double:e}")))
}

/// The digits of a number, without sign and without zeros at either end, and how many zeros follow: `0.120e4` is 12 and 2.
fn decimal(number: &str) -> (String, i64) {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa.trim_start_matches('-'), ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_end_matches('0');
    let places = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let zeros = places(digits.len() - significant.len()) - places(fraction.len());
    match significant.trim_start_matches('0') {
        "" => (String::new(), 0),
        significant => (significant.to_owned(), exponent.parse().unwrap_or(i64::MAX).saturating_add(zeros)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The given number of levels inside an object, alternating between arrays and objects.
    fn nested(levels: usize) -> String {
        let levels = 1 + levels;
        let opening: String = (0..levels).map(|level| if level % 2 == 0 { "{\"a\":" } else { "[" }).collect();
        let closing: String = (0..levels).rev().map(|level| if level % 2 == 0 { '}' } else { ']' }).collect();
        format!("{opening}1{closing}")
    }

    #[test]
    fn what_was_written_is_kept_to_the_letter() {
        let json = r#"{"b": 1.0, "a":[1e2,89370400440532013000 , 9007199254740993.0], "\u00e9":"\/", "10":{}, "2":-0}"#;
        let fields = CustomFields::parse(&format!(" {json}\n")).unwrap();
        assert_eq!(fields.as_str(), json);
        assert_eq!(serde_json::to_string(&fields).unwrap(), json);
        assert_eq!(serde_json::from_str::<CustomFields>(json).unwrap(), fields);
        assert_eq!(CustomFields::default().as_str(), "{}");
        assert!(CustomFields::parse("{ }").unwrap().is_empty() && !fields.is_empty());
    }

    #[test]
    fn people_are_shown_numbers_as_they_were_written_and_texts_as_they_read() {
        let fields = CustomFields::stored(
            r#"{"z":9007199254740993.0,"iban":12345678901234567890123,"10":"a\u00e9\"\\","2":[ 1.0 ,{"k\u00e9y" : "\\\" }"}],"n":null,"z":1e2}"#,
        );
        let shown = [
            ("z", "9007199254740993.0"),
            ("iban", "12345678901234567890123"),
            ("10", "aé\"\\"),
            ("2", r#"[1.0,{"kéy":"\\\" }"}]"#),
            ("n", "null"),
            ("z", "1e2"),
        ];
        assert_eq!(fields.unwrap().members(), shown.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn objects_and_arrays_go_32_levels_deep_and_no_further() {
        assert!(CustomFields::parse(&nested(MAX_DEPTH)).is_ok());
        for deeper in [MAX_DEPTH + 1, MAX_DEPTH + 2, 60, 100_000] {
            assert_eq!(CustomFields::parse(&nested(deeper)), Err(CustomFieldsError::TooDeep), "{deeper}");
        }
    }

    #[test]
    fn a_member_twice_in_one_object_is_refused_however_it_is_spelled() {
        let twice = |line, column| Err(CustomFieldsError::Duplicate { line, column });
        assert_eq!(CustomFields::parse(r#"{"a":1,"a":2}"#), twice(1, 10));
        assert!(matches!(CustomFields::parse(r#"{"x":[{"a":1,"\u0061":1}]}"#), Err(CustomFieldsError::Duplicate { .. })));
        assert!(CustomFields::parse(r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#).is_ok());
    }

    #[test]
    fn what_is_no_object_is_refused_and_nothing_of_it_is_told() {
        for other in ["", " ", "[1]", "1", "null", "\"secret\""] {
            assert_eq!(CustomFields::parse(other), Err(CustomFieldsError::NotAnObject), "{other:?}");
        }
        for broken in ["{", "{} {}", r#"{"secret": 1e400}"#, r#"{"secret"}"#, "{\"\\ud800\":1}", "{\"a\":\"\u{1}\"}", "{\"a\":01}"] {
            let Err(CustomFieldsError::NotJson(why)) = CustomFields::parse(broken) else { panic!("{broken}") };
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn what_was_taken_before_is_read_of_any_depth_and_with_members_twice() {
        for old in [nested(60), nested(126), r#"{"a":1,"a":2}"#.to_owned()] {
            let fields = CustomFields::stored(&old).unwrap();
            assert_eq!((fields.as_str(), fields.to_line()), (old.as_str(), old.clone()));
        }
        assert_eq!(CustomFields::stored("[1]"), None);
        assert_eq!(CustomFields::stored(""), None);
        assert!(serde_json::from_value::<CustomFields>(json!({"a": 1})).is_ok());
    }

    #[test]
    fn a_number_is_a_double_where_its_double_is_written_with_its_digits() {
        for exact in [
            "0",
            "-0",
            "0.0",
            "0e9",
            "1",
            "1.0",
            "-1.50",
            "1e2",
            "1E+2",
            "100e-2",
            "0.1",
            "9007199254740992",
            "1e23",
            "5e-324",
            "0.00120e4",
        ] {
            assert!(is_double(exact), "{exact}");
        }
        let others = [
            "9007199254740993",
            "9007199254740993.0",
            "89370400440532013000",
            "12345678901234567890123",
            "0.1000000000000000055",
            "1e-400",
            "1e400",
        ];
        for other in others {
            assert!(!is_double(other), "{other}");
            assert!(!CustomFields::stored(&format!("{{\"a\":[{other}]}}")).unwrap().are_numbers_doubles(), "{other}");
        }
        assert!(CustomFields::stored(r#"{"9007199254740993":"9007199254740993","a":[1.5,true,null]}"#).unwrap().are_numbers_doubles());
    }
}
