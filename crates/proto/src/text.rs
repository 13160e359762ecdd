//! Rules for the texts of requests: the `text` and `max_bytes` options of `proto/`, checked on the bytes of a message before anything reads
//! them. This way no field of any method is missed, and no text reaches a database that one engine accepts and the other does not.

use nodkey_kernel::error::FieldViolation;
use prost::Message;

/// Maximum nesting of messages, the same as in prost.
const MAX_DEPTH: u8 = 100;

/// A message of a method. For requests, the rules for its texts are known.
pub trait Sent: Message + Default {
    /// The fields that contain text; `None` for messages that are only responses.
    const REQUEST: Option<&'static [Field]>;
}

/// The characters that a text may contain. NUL is never allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// No control characters.
    Line,
    /// Tabs and line breaks as well.
    Lines,
    /// Other control characters as well.
    Any,
}

/// The content of a field.
#[derive(Clone, Copy, Debug)]
pub enum Holds {
    /// Text.
    Text {
        /// The characters it may contain.
        text: Text,
        /// Maximum length in bytes.
        max: u32,
    },
    /// A message, by its row in the table.
    Message(usize),
}

/// A field that contains text, at any depth.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    number: u64,
    name: &'static str,
    repeated: bool,
    holds: Holds,
}

include!(concat!(env!("OUT_DIR"), "/texts.rs"));

/// Why a message is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is malformed.
    Malformed,
    /// A field has more levels of messages than are read.
    TooDeep(&'static str),
    /// A text in it is not valid.
    Field(FieldViolation),
}

/// Checks the texts of an encoded request.
pub fn check(fields: &[Field], message: &[u8]) -> Result<(), Fault> {
    walk(fields, message, 0)
}

fn walk(fields: &[Field], mut bytes: &[u8], depth: u8) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::TooDeep(""));
    }
    // Elements of a list are adjacent.
    let (mut last, mut index) = (0, 0);
    while !bytes.is_empty() {
        let (number, value) = take(&mut bytes).ok_or(Fault::Malformed)?;
        index = if number == last { index + 1 } else { 0 };
        last = number;
        let Some(field) = fields.iter().find(|field| field.number == number) else { continue };
        // Of another type: prost reports it.
        let Some(value) = value else { continue };
        match field.holds {
            Holds::Text { text, max } => {
                text.check(value, max).map_err(|fault| Fault::Field(FieldViolation::new(field.path(index, ""), fault)))?;
            }
            Holds::Message(row) => {
                let inner = MESSAGES.get(row).copied().unwrap_or_default();
                walk(inner, value, depth + 1).map_err(|fault| match fault {
                    Fault::Malformed => Fault::Malformed,
                    Fault::TooDeep(_) => Fault::TooDeep(field.name),
                    Fault::Field(FieldViolation { field: inner, description }) => {
                        Fault::Field(FieldViolation::new(field.path(index, &inner), description))
                    }
                })?;
            }
        }
    }
    Ok(())
}

/// Takes a field off the front: its number, and its bytes where it is length-delimited. Returns `None` for malformed fields and for groups,
/// which nobody sends: what is not understood is not skipped.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let key = varint(bytes)?;
    let value = match key & 7 {
        0 => {
            varint(bytes)?;
            None
        }
        1 => {
            cut(bytes, 8)?;
            None
        }
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Some(cut(bytes, length)?)
        }
        5 => {
            cut(bytes, 4)?;
            None
        }
        _ => return None,
    };
    Some((key >> 3, value))
}

fn cut<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (first, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(first)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *cut(bytes, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

impl Field {
    fn path(&self, index: usize, inner: &str) -> String {
        let dot = if inner.is_empty() { "" } else { "." };
        if self.repeated { format!("{}[{index}]{dot}{inner}", self.name) } else { format!("{}{dot}{inner}", self.name) }
    }
}

impl Text {
    fn check(self, bytes: &[u8], max: u32) -> Result<(), String> {
        if u32::try_from(bytes.len()).is_ok_and(|length| length <= max) {
            let text = std::str::from_utf8(bytes).map_err(|_| "must be UTF-8")?;
            return match (self, text.chars().any(|c| !self.takes(c))) {
                (_, false) => Ok(()),
                (Self::Any, true) => Err("must not hold NUL".to_owned()),
                (Self::Line | Self::Lines, true) => Err("must not hold control characters".to_owned()),
            };
        }
        Err(format!("must be at most {max} bytes"))
    }

    fn takes(self, c: char) -> bool {
        match self {
            Self::Line => !c.is_control(),
            Self::Lines => !c.is_control() || matches!(c, '\t' | '\n' | '\r'),
            Self::Any => c != '\0',
        }
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::custom_fields::CustomFields;

    use super::*;
    use crate::{
        binding::v1::{ImportRow, ImportUsersRequest},
        registry::v1::{AuditEntry, CreateAuditEntryRequest, GetDeviceRequest, GetJwksRequest},
        trusonafication::v1::CreateTrusonaficationRequest,
    };

    fn checked<M: Sent>(message: &M) -> Result<(), Fault> {
        check(M::REQUEST.unwrap(), &message.encode_to_vec())
    }

    fn fault(field: &str, description: &str) -> Result<(), Fault> {
        Err(Fault::Field(FieldViolation::new(field, description)))
    }

    #[test]
    fn no_text_is_too_small_or_too_deep_to_be_looked_at() {
        let device = |id: &str| GetDeviceRequest { device_id: id.to_owned() };
        assert_eq!(checked(&device("a")), Ok(()));
        for control in ["a\0b", "a\nb", "\u{7f}", "\u{85}"] {
            assert_eq!(checked(&device(control)), fault("device_id", "must not hold control characters"));
        }
        assert_eq!(checked(&device(&"x".repeat(16_384))), Ok(()));
        assert_eq!(checked(&device(&"x".repeat(16_385))), fault("device_id", "must be at most 16384 bytes"));
        let entry = AuditEntry { actor: "a\0".to_owned(), request: "{\n}".to_owned(), ..AuditEntry::default() };
        let nested = CreateAuditEntryRequest { entry: Some(entry), ..CreateAuditEntryRequest::default() };
        assert_eq!(checked(&nested), fault("entry.actor", "must not hold control characters"));
        let row = |trusona_id: &str| ImportRow { trusona_id: trusona_id.to_owned(), ..ImportRow::default() };
        let rows = |rows: &[ImportRow]| ImportUsersRequest { rows: rows.to_vec(), dry_run: true };
        assert_eq!(checked(&rows(&[row("1\n"), row("2")])), Ok(()), "each row says what is wrong with it");
        assert_eq!(checked(&rows(&[row("1"), row("2\0")])), fault("rows[1].trusona_id", "must not hold NUL"));
    }

    #[test]
    fn what_is_json_keeps_its_line_breaks_and_has_no_nul_either() {
        let json = |text: &str| CreateTrusonaficationRequest { custom_fields_json: text.to_owned(), ..Default::default() };
        assert_eq!(checked(&json("{\r\n\t\"a\": \"\u{7f}\\u0000\"}")), Ok(()));
        assert_eq!(checked(&json("{\0}")), fault("custom_fields_json", "must not hold NUL"));
        let fields = |text: &str| {
            let json = serde_json::json!({"a": [{"b": text}]}).to_string();
            let custom_fields = crate::convert::to_struct(&CustomFields::parse(&json).unwrap());
            CreateTrusonaficationRequest { custom_fields, ..Default::default() }
        };
        assert_eq!(checked(&fields(&"long\n".repeat(10_000))), Ok(()));
        let Err(Fault::Field(found)) = checked(&fields("\0")) else { panic!("NUL was taken") };
        assert!(found.field.starts_with("custom_fields."), "{}", found.field);
    }

    #[test]
    fn what_is_no_message_is_not_passed_by() {
        let fields = GetDeviceRequest::REQUEST.unwrap();
        // A group before the text, an endless length, a partial field, bytes that are not UTF-8, an unknown field.
        let group = [&b"\x13\x14"[..], b"\x0a\x01\0"].concat();
        for malformed in [&group[..], b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0a\x05ab", b"\x0a", b"\xff"] {
            assert_eq!(check(fields, malformed), Err(Fault::Malformed), "{malformed:?}");
        }
        assert_eq!(check(fields, b"\x0a\x01\xff"), fault("device_id", "must be UTF-8"));
        assert_eq!(check(fields, b"\xf8\x3f\x01\x0a\x01a"), Ok(()));
        let twice = b"\x0a\x01a\x0a\x01\0";
        assert_eq!(check(fields, twice), fault("device_id", "must not hold control characters"), "the last one counts");
    }

    #[test]
    fn requests_are_checked_and_answers_are_not() {
        assert!(GetJwksRequest::REQUEST.unwrap().is_empty());
        assert!(crate::registry::v1::GetJwksResponse::REQUEST.is_none());
    }
}
