//! Converts lines of an audit log export to syslog messages (RFC 5424), one per line.

use nodkey_kernel::{audit::Line, time::Timestamp};

/// Facility 13, log audit.
const FACILITY: u8 = 13 << 3;
const WARNING: u8 = 4;
const INFORMATIONAL: u8 = 6;
/// The byte order mark that begins a message in UTF-8.
const BOM: char = '\u{feff}';

/// The message of a line: the line itself with its own timestamp, as a warning if a call was refused. A line without a time has no
/// timestamp.
pub fn message(line: &str) -> String {
    let (id, at, severity) = match serde_json::from_str(line) {
        Ok(Line::Record { entry, .. }) => {
            let at = entry.get("at").and_then(serde_json::Value::as_i64).map(Timestamp::from_micros);
            let outcome = entry.get("outcome").and_then(|outcome| outcome.as_str());
            let refused = outcome.is_some_and(|outcome| !matches!(outcome, "OK" | "READ"));
            ("record", at, if refused { WARNING } else { INFORMATIONAL })
        }
        Ok(Line::Unchained { .. }) => ("unchained", None, INFORMATIONAL),
        Ok(Line::Checkpoint { .. }) => ("checkpoint", None, INFORMATIONAL),
        Ok(Line::Chain { .. } | Line::Head { .. } | Line::End { .. }) | Err(_) => ("export", None, INFORMATIONAL),
    };
    let at = at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    format!("<{}>1 {at} - nodkey - {id} - {BOM}{line}", FACILITY | severity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_message_of_its_own_time_and_a_refusal_is_a_warning() {
        let record =
            |outcome: &str| format!(r#"{{"type":"record","entry":{{"at":1700000000123456,"outcome":"{outcome}","seq":1}},"hash":"00"}}"#);
        let (ok, refused) = (record("OK"), record("NOT_ALLOWED"));
        assert_eq!(message(&ok), format!("<110>1 2023-11-14T22:13:20.123Z - nodkey - record - \u{feff}{ok}"));
        assert!(message(&refused).starts_with("<108>1 "));
        assert!(message(r#"{"type":"end"}"#).starts_with("<110>1 - - nodkey - export - "));
    }
}
