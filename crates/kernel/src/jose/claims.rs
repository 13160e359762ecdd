//! Claims that RFC 7519 allows in more than one form.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// Beyond this value a double skips seconds, and nobody intends such a date.
const MAX_DATE: f64 = 9_007_199_254_740_992.0;

/// The audience of a JWT (RFC 7519 section 4.1.3): one recipient, or a list of them. Serialized in the form it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// A single recipient.
    One(String),
    /// A list of recipients.
    Several(Vec<String>),
}

impl Audience {
    /// Whether the recipient with that name is included.
    #[must_use]
    pub fn includes(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Several(several) => several.iter().any(|one| one == name),
        }
    }
}

impl From<String> for Audience {
    fn from(one: String) -> Self {
        Self::One(one)
    }
}

impl From<&str> for Audience {
    fn from(one: &str) -> Self {
        Self::One(one.to_owned())
    }
}

/// Reads a `NumericDate` (RFC 7519 section 2), which may have a fraction, and returns its whole seconds since 1970.
pub fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(DateVisitor)
}

struct DateVisitor;

impl de::Visitor<'_> for DateVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds since 1970")
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<i64, E> {
        Ok(seconds)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<i64, E> {
        i64::try_from(seconds).map_err(|_| E::custom("the date is out of range"))
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<i64, E> {
        if seconds.abs() > MAX_DATE {
            return Err(E::custom("the date is out of range"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
        Ok(seconds.floor() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Claims {
        aud: Audience,
        #[serde(deserialize_with = "numeric_date")]
        iat: i64,
    }

    fn read(json: &str) -> Option<Claims> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn a_date_may_have_a_fraction_or_an_exponent_and_is_a_number() {
        let date = |iat: &str| read(&format!(r#"{{"aud":"a","iat":{iat}}}"#)).map(|claims| claims.iat);
        for (iat, second) in [
            ("1767322700", 1_767_322_700),
            ("1767322700.0", 1_767_322_700),
            ("1767322700.999", 1_767_322_700),
            ("1.7673227005e9", 1_767_322_700),
            ("-0.5", -1),
            ("0", 0),
        ] {
            assert_eq!(date(iat), Some(second), "{iat}");
        }
        for none in [r#""1767322700""#, "null", "true", "[1]", "1e300", "-1e16", "18446744073709551615"] {
            assert_eq!(date(none), None, "{none}");
        }
        assert_eq!(read(r#"{"aud":"a","iat":1,"iat":1}"#), None, "twice");
        assert_eq!(read(r#"{"aud":"a"}"#), None, "not at all");
    }

    #[test]
    fn an_audience_is_one_or_a_list_and_is_written_as_it_was_read() {
        for (aud, includes) in [
            (r#""a""#, true),
            (r#"["a"]"#, true),
            (r#"["b","a"]"#, true),
            (r#""b""#, false),
            (r#"["b"]"#, false),
            ("[]", false),
            (r#""a b""#, false),
        ] {
            let json = format!(r#"{{"aud":{aud},"iat":1}}"#);
            let claims = read(&json).unwrap();
            assert_eq!(claims.aud.includes("a"), includes, "{aud}");
            assert_eq!(serde_json::to_string(&claims).unwrap(), json);
        }
        for none in ["null", "1", "[1]", r#"["a",1]"#, r#"{"a":1}"#] {
            assert_eq!(read(&format!(r#"{{"aud":{none},"iat":1}}"#)), None, "{none}");
        }
    }
}
