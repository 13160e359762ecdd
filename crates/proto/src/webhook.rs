//! The body of a webhook, as endpoints receive it (Standard Webhooks).

use serde::Serialize;
use serde_json::value::RawValue;

/// The body of a webhook to an endpoint.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Envelope<'a> {
    /// The event type.
    pub r#type: &'a str,
    /// When it happened, RFC 3339.
    pub timestamp: &'a str,
    /// Whether nothing happened: `nodkey trigger` sent it, and no deployment. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// What happened. Receipts contain the hash of this text.
    pub data: &'a RawValue,
    /// The receipt; absent if there is none. Follows `data` directly: receivers without an SDK find the end of `data` by it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub receipt: &'a str,
}

impl Envelope<'_> {
    /// The text to sign and send.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_deployment_sends_has_no_test_and_the_receipt_follows_the_data() {
        let data: &RawValue = serde_json::from_str(r#"{"n": 1.50}"#).unwrap();
        let envelope = Envelope { r#type: "t", timestamp: "now", test: false, data, receipt: "a.b.c" };
        assert_eq!(envelope.text().unwrap(), r#"{"type":"t","timestamp":"now","data":{"n": 1.50},"receipt":"a.b.c"}"#);
        let notice = Envelope { receipt: "", ..envelope };
        assert_eq!(notice.text().unwrap(), r#"{"type":"t","timestamp":"now","data":{"n": 1.50}}"#);
        let test = Envelope { test: true, ..envelope };
        assert_eq!(test.text().unwrap(), r#"{"type":"t","timestamp":"now","test":true,"data":{"n": 1.50},"receipt":"a.b.c"}"#);
    }
}
