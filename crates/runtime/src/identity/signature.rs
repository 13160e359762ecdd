//! Verification of TRUSONA signatures, and the faults of old clients that are tolerated where the correct signature does not verify.

use std::time::Duration;

use nodkey_kernel::{time::Timestamp, trusona_mac};
use nodkey_proto::registry::v1::{SignatureSettings, SignedRequest};

use super::fault::Fault;

/// Maximum difference between a request's date and the current time.
const SKEW: Duration = Duration::from_mins(5);
/// How much of a longer body the C SDK signs.
const C_SDK_BODY: usize = 256;
/// Prefix of the C SDK's user agent.
const C_SDK: &str = "Trusona_C_API/";
/// The Java SDK writes the week-based year, which is off by one around New Year.
const NEW_YEAR: Duration = Duration::from_hours(24 * 7);
const YEARS: [Duration; 2] = [Duration::from_hours(24 * 365), Duration::from_hours(24 * 366)];

/// The tolerated faults of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tolerated {
    /// Fault of its signature.
    pub signature: Option<&'static str>,
    /// Fault of its date.
    pub date: Option<&'static str>,
}

/// The MD5 of a body, and that of its beginning for clients whose user agent shows that they sign only the beginning; otherwise empty.
#[must_use]
pub fn digests(body: &[u8], user_agent: &str) -> (String, String) {
    let truncated = user_agent.starts_with(C_SDK) && body.len() > C_SDK_BODY;
    (trusona_mac::body_md5(body), if truncated { trusona_mac::body_md5(&body[..C_SDK_BODY]) } else { String::new() })
}

/// Verifies that the owner of `secret` signed a request a moment ago; otherwise returns what is wrong.
pub fn check(request: &SignedRequest, secret: &str, settings: SignatureSettings, now: Timestamp) -> Result<Tolerated, Fault> {
    let signature = holds(request, secret, settings)?;
    Ok(Tolerated { signature, date: is_fresh(&request.date, settings, now)? })
}

/// Returns the fault of a valid signature, if it has one.
fn holds(request: &SignedRequest, secret: &str, settings: SignatureSettings) -> Result<Option<&'static str>, Fault> {
    let over = |body_md5: &str, path: &str| {
        let text = trusona_mac::string_to_sign(&request.method, body_md5, &request.content_type, &request.date, path);
        trusona_mac::verify(secret, &text, &request.signature)
    };
    let (body, path) = (&request.body_md5, &request.path_and_query);
    if over(body, path) {
        return Ok(None);
    }
    if !settings.refuse_unescaped_path
        && let Some(unescaped) = unescaped(path)
        && over(body, &unescaped)
    {
        return Ok(Some("unescaped_path"));
    }
    let beginning = &request.beginning_md5;
    let truncated = !settings.refuse_truncated_body && !beginning.is_empty() && over(beginning, path);
    if truncated { Ok(Some("truncated_body")) } else { Err(Fault::WrongSignature) }
}

/// Maximum deviation of a date.
fn skew(settings: SignatureSettings) -> Duration {
    match u64::try_from(settings.max_date_skew_seconds) {
        Ok(0) | Err(_) => SKEW,
        Ok(seconds) => Duration::from_secs(seconds),
    }
}

/// How long a request could be repeated and still be fresh, whatever its date.
#[must_use]
pub fn lifetime(settings: SignatureSettings) -> Duration {
    2 * skew(settings) + Duration::from_secs(1)
}

/// Returns the fault of a date that is near enough to `now`, if it has one. A date that cannot be parsed, because of its language or
/// spelling, is accepted unless the relying party set a limit. Where repeated requests are refused, the date must be correct: it determines
/// how long to remember the request.
fn is_fresh(date: &str, settings: SignatureSettings, now: Timestamp) -> Result<Option<&'static str>, Fault> {
    let limit = skew(settings);
    let Ok(date) = Timestamp::parse_http_date(date) else {
        let lenient = settings.max_date_skew_seconds == 0 && !settings.refuse_repeated;
        return if lenient { Ok(Some("unreadable_date")) } else { Err(Fault::DateOff) };
    };
    let off = |date: Timestamp| date.until(now).max(now.until(date));
    if off(date) <= limit {
        return Ok(None);
    }
    let turn = near_new_year(now) && !settings.refuse_repeated;
    let near = turn && YEARS.iter().any(|year| off(date + *year) <= limit || off(date - *year) <= limit);
    if near { Ok(Some("week_year")) } else { Err(Fault::DateOff) }
}

/// The path before it was percent-encoded, if that differs; the query is unchanged.
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

    fn request(body: &[u8], path_and_query: &str, user_agent: &str) -> SignedRequest {
        let (body_md5, beginning_md5) = digests(body, user_agent);
        SignedRequest {
            method: "POST".into(),
            body_md5,
            beginning_md5,
            content_type: "application/json".into(),
            date: "Tue, 24 Nov 2026 10:00:00 GMT".into(),
            path_and_query: path_and_query.into(),
            signature: String::new(),
        }
    }

    /// The request, with a signature over this body and path.
    fn signed(request: &SignedRequest, body: &[u8], path: &str) -> SignedRequest {
        let md5 = trusona_mac::body_md5(body);
        let text = trusona_mac::string_to_sign(&request.method, &md5, &request.content_type, &request.date, path);
        SignedRequest { signature: trusona_mac::mac(SECRET, &text), ..request.clone() }
    }

    #[test]
    fn each_fault_is_tolerated_unless_refused() {
        let now = at("2026-11-24T10:00:00Z");
        let tolerant = SignatureSettings::default();
        let strict = SignatureSettings { refuse_unescaped_path: true, refuse_truncated_body: true, ..tolerant };
        let fault = |request: &SignedRequest, settings| check(request, SECRET, settings, now).ok().map(|tolerated| tolerated.signature);

        let escaped = request(b"{}", "/api/v2/users/a%20b?x=%20", "TrusonaServerSdk/1.0");
        let escaped = signed(&escaped, b"{}", "/api/v2/users/a b?x=%20");
        assert_eq!((fault(&escaped, tolerant), fault(&escaped, strict)), (Some(Some("unescaped_path")), None));

        let body = [b'x'; 363];
        let long = request(&body, "/api/v2/trusonafications", "Trusona_C_API/3.2.1");
        let truncated = signed(&long, &body[..256], "/api/v2/trusonafications");
        assert_eq!((fault(&truncated, tolerant), fault(&truncated, strict)), (Some(Some("truncated_body")), None));
        let other = signed(&request(&body, "/api/v2/trusonafications", "curl/8"), &body[..256], "/api/v2/trusonafications");
        assert_eq!(fault(&other, tolerant), None, "only who is known for it");
        let proper = signed(&long, &body, "/api/v2/trusonafications");
        for settings in [tolerant, strict] {
            assert_eq!(fault(&proper, settings), Some(None), "the proper one always holds");
            assert!(check(&proper, "other", settings, now).is_err());
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
            let dated = SignedRequest { date: date.into(), ..request(b"", "/", "") };
            let dated = signed(&dated, b"", "/");
            let taken = |settings| check(&dated, SECRET, settings, now).is_ok();
            assert_eq!((taken(tolerant), taken(strict)), (fresh, strictly), "{date}");
        }
        // The week-based year, around New Year.
        let new_year = "Tue, 30 Dec 2026  10:00:00 +0000";
        assert_eq!(is_fresh(new_year, tolerant, at("2025-12-30T10:00:00Z")), Ok(Some("week_year")));
        // A request that would be forgotten before it is stale is refused.
        let once = SignatureSettings { refuse_repeated: true, ..tolerant };
        assert_eq!(is_fresh(new_year, once, at("2025-12-30T10:00:00Z")), Err(Fault::DateOff));
        assert_eq!(is_fresh(new_year, once, at("2026-12-30T10:00:00Z")), Ok(None));
        assert_eq!(is_fresh("", once, now), Err(Fault::DateOff));
        assert_eq!((lifetime(once), lifetime(strict)), (Duration::from_secs(601), Duration::from_secs(121)));
    }
}
