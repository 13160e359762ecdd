//! Whether a request's signature holds, and which faults of old clients are put up with where the proper one does not.

use std::time::Duration;

use metrics::counter;
use nodkey_kernel::{time::Timestamp, trusona_mac};
use nodkey_proto::registry::v1::SignatureSettings;

/// How far the date of a request may be off.
const SKEW: Duration = Duration::from_mins(5);
/// What the C SDK signs of a longer body.
const C_SDK_BODY: usize = 256;
/// How the C SDK names itself.
const C_SDK: &str = "Trusona_C_API/";
/// The Java SDK writes the year of the week: around New Year it is one off.
const NEW_YEAR: Duration = Duration::from_hours(24 * 7);
const YEARS: [Duration; 2] = [Duration::from_hours(24 * 365), Duration::from_hours(24 * 366)];

/// What of a request is signed, as it was on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// Upper case.
    pub method: &'a str,
    /// As sent.
    pub body: &'a [u8],
    /// As sent; empty when absent.
    pub content_type: &'a str,
    /// As sent: opaque.
    pub date: &'a str,
    /// Neither decoded nor put in order.
    pub path_and_query: &'a str,
    /// Tells which faults to expect.
    pub user_agent: &'a str,
}

impl Signed<'_> {
    /// Tells whether `signature` is one over this by the owner of `secret`.
    pub fn holds(&self, secret: &str, signature: &str, settings: SignatureSettings) -> bool {
        let over = |body: &[u8], path: &str| {
            let text = trusona_mac::string_to_sign(self.method, &trusona_mac::body_md5(body), self.content_type, self.date, path);
            trusona_mac::verify(secret, &text, signature)
        };
        if over(self.body, self.path_and_query) {
            return true;
        }
        if !settings.refuse_unescaped_path
            && let Some(unescaped) = unescaped(self.path_and_query)
            && over(self.body, &unescaped)
        {
            return tolerated("unescaped_path");
        }
        let truncated = self.user_agent.starts_with(C_SDK) && self.body.len() > C_SDK_BODY;
        if !settings.refuse_truncated_body && truncated && over(&self.body[..C_SDK_BODY], self.path_and_query) {
            return tolerated("truncated_body");
        }
        false
    }

    /// Tells whether the date is near enough to `now`. One that cannot be read, in a language or spelling of its own, is let
    /// through unless the relying party set a limit.
    pub fn is_fresh(&self, now: Timestamp, settings: SignatureSettings) -> bool {
        let limit = match u64::try_from(settings.max_date_skew_seconds) {
            Ok(0) | Err(_) => SKEW,
            Ok(seconds) => Duration::from_secs(seconds),
        };
        let Ok(date) = Timestamp::parse_http_date(self.date) else {
            return if settings.max_date_skew_seconds == 0 { tolerated("unreadable_date") } else { false };
        };
        let off = |date: Timestamp| date.until(now).max(now.until(date));
        if off(date) <= limit {
            return true;
        }
        let turn = near_new_year(now);
        turn && YEARS.iter().any(|year| off(date + *year) <= limit || off(date - *year) <= limit) && tolerated("week_year")
    }
}

fn tolerated(fault: &'static str) -> bool {
    counter!("nodkey_signature_tolerances_total", "fault" => fault).increment(1);
    true
}

/// The path before it was percent-encoded, when that makes a difference; the query stays.
fn unescaped(path_and_query: &str) -> Option<String> {
    let (path, query) = path_and_query.split_once('?').map_or((path_and_query, None), |(path, query)| (path, Some(query)));
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    (decoded != path).then(|| query.map_or_else(|| decoded.to_string(), |query| format!("{decoded}?{query}")))
}

/// Whether the year changed or changes within a week.
fn near_new_year(now: Timestamp) -> bool {
    let year = |at: Timestamp| at.to_string()[..4].to_owned();
    year(now - NEW_YEAR) != year(now + NEW_YEAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "secret";

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn signed<'a>(body: &'a [u8], path_and_query: &'a str, user_agent: &'a str) -> Signed<'a> {
        Signed { method: "POST", body, content_type: "application/json", date: "Tue, 24 Nov 2026 10:00:00 GMT", path_and_query, user_agent }
    }

    fn over(signed: &Signed<'_>, body: &[u8], path: &str) -> String {
        let md5 = trusona_mac::body_md5(body);
        trusona_mac::mac(SECRET, &trusona_mac::string_to_sign(signed.method, &md5, signed.content_type, signed.date, path))
    }

    #[test]
    fn each_fault_is_put_up_with_unless_refused() {
        let tolerant = SignatureSettings::default();
        let strict = SignatureSettings { refuse_unescaped_path: true, refuse_truncated_body: true, ..tolerant };
        let path = signed(b"{}", "/api/v2/users/a%20b?x=%20", "TrusonaServerSdk/1.0");
        let signature = over(&path, b"{}", "/api/v2/users/a b?x=%20");
        assert_eq!((path.holds(SECRET, &signature, tolerant), path.holds(SECRET, &signature, strict)), (true, false));

        let body = [b'x'; 363];
        let long = signed(&body, "/api/v2/trusonafications", "Trusona_C_API/3.2.1");
        let signature = over(&long, &body[..256], "/api/v2/trusonafications");
        assert_eq!((long.holds(SECRET, &signature, tolerant), long.holds(SECRET, &signature, strict)), (true, false));
        let other = Signed { user_agent: "curl/8", ..long };
        assert!(!other.holds(SECRET, &signature, tolerant), "only who is known for it");
        for settings in [tolerant, strict] {
            assert!(long.holds(SECRET, &over(&long, &body, long.path_and_query), settings), "the proper one always holds");
            assert!(!long.holds("other", &over(&long, &body, long.path_and_query), settings));
        }
    }

    #[test]
    fn dates_are_read_as_old_clients_write_them() {
        let now = at("2026-11-24T10:02:00Z");
        let tolerant = SignatureSettings::default();
        let strict = SignatureSettings { max_date_skew_seconds: 60, ..tolerant };
        for (date, fresh, strictly) in [
            ("Tue, 24 Nov 2026 10:02:30 GMT", true, true),
            ("Tue, 24 Nov 2026  10:02:00 +0000", true, true),
            ("Tue, 24 Nov 2026 10:02:00 -0000", true, true),
            ("Tue, 24 Nov 2026 09:58:00 GMT", true, false),
            ("Tue, 24 Nov 2026 09:56:00 GMT", false, false),
            ("Mon, 24 Nov 2025 10:02:00 GMT", false, false),
            ("mar., 24 nov. 2026  10:02:00 +0000", true, false),
            ("", true, false),
        ] {
            let request = Signed { date, ..signed(b"", "/", "") };
            assert_eq!((request.is_fresh(now, tolerant), request.is_fresh(now, strict)), (fresh, strictly), "{date}");
        }
        // The year of the week, around New Year.
        let request = Signed { date: "Tue, 30 Dec 2026  10:00:00 +0000", ..signed(b"", "/", "") };
        assert!(request.is_fresh(at("2025-12-30T10:00:00Z"), tolerant));
    }
}
