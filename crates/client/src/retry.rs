//! Retry policy, as `sdk/spec/server.json` says.

use std::time::Duration;

use nodkey_kernel::random::Random;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// A stream that lasted this long began successfully: a failure after it is not one in a row.
pub(crate) const LASTED: Duration = Duration::from_mins(1);

/// Maximum number of attempts of a call.
const ATTEMPTS: u32 = 3;
/// The longest pause that a call takes because the server asks for it. If it asks for more, the caller is told.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The longest random pause, in milliseconds.
const MOST: u32 = 5_000;

/// A pause with full jitter: after the first failure up to 100 ms, then doubling.
fn backoff(random: &Random, failures: u32) -> Duration {
    let most = (100 << failures.saturating_sub(1).min(6)).min(MOST);
    Duration::from_millis(random.below(most + 1).into())
}

/// The pause after a failed attempt and before the next; `None`: there is no next one.
pub(crate) fn pause(random: &Random, status: &Status, attempt: u32) -> Option<Duration> {
    let asked = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
    let again = match status.code() {
        Code::DeadlineExceeded => true,
        Code::ResourceExhausted => asked.is_some() && is_rate(status),
        _ => is_broken(status),
    };
    if !again || attempt >= ATTEMPTS {
        return None;
    }
    match asked {
        Some(asked) => (asked <= LONGEST_PAUSE).then_some(asked),
        None => Some(backoff(random, attempt)),
    }
}

/// Whether this caller calls too often. Other limits, such as how often a user is prompted, do not pass by waiting a little.
fn is_rate(status: &Status) -> bool {
    status.get_error_details().error_info().is_some_and(|info| info.reason == "RATE_LIMITED")
}

/// Whether the connection broke or the server is unreachable: a server of ours that fails says why.
pub(crate) fn is_broken(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable => true,
        Code::Cancelled | Code::Unknown | Code::Internal => status.get_error_details().error_info().is_none(),
        _ => false,
    }
}

/// Whether a stream that failed like this is opened again. An exhausted quota is temporary, and the waits do not block others.
pub(crate) fn is_passing(status: &Status) -> bool {
    is_broken(status) || status.code() == Code::ResourceExhausted
}

/// The pause before a stream that failed is opened again: as long as the server asks, or a random one.
pub(crate) fn reconnect_pause(random: &Random, status: &Status, failures: u32) -> Duration {
    let asked = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
    asked.map_or_else(|| backoff(random, failures), |asked| asked.min(LONGEST_PAUSE))
}

/// The status of a stream that ended early; it is not shown to callers.
pub(crate) fn ended_early() -> Status {
    Status::unavailable("the stream ended before the result came")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    const SPEC: &str = include_str!("../../../sdk/spec/server.json");

    fn codes(spec: &serde_json::Value, name: &str) -> Vec<i32> {
        let codes = spec["retry"][name].as_array().unwrap().iter();
        let mut codes: Vec<i32> =
            codes.map(|code| nodkey_proto::code::CODES.iter().position(|name| code == name).unwrap().try_into().unwrap()).collect();
        codes.sort_unstable();
        codes
    }

    /// The codes after which an attempt is repeated, whose statuses have these details.
    fn repeated(details: &ErrorDetails) -> Vec<i32> {
        let status = |code: i32| Status::with_error_details(Code::from(code), "", details.clone());
        (1..17).filter(|code| pause(&Random::seeded(1), &status(*code), 1).is_some()).collect()
    }

    #[test]
    fn attempts_are_repeated_as_the_specification_says() {
        let spec: serde_json::Value = serde_json::from_str(SPEC).unwrap();
        let [always, bare] = ["codes", "codes_without_reason"].map(|name| codes(&spec, name));
        assert_eq!(spec["retry"]["reasons_with_retry_info"], serde_json::json!(["RATE_LIMITED"]));
        let sorted = |parts: &[&[i32]]| {
            let mut all = parts.concat();
            all.sort_unstable();
            all
        };
        let said = ErrorDetails::with_error_info("PROMPT_BUDGET_EXHAUSTED", "nodkey", HashMap::new());
        let rate = ErrorDetails::with_error_info("RATE_LIMITED", "nodkey", HashMap::new());
        let after = |details: &ErrorDetails, delay| {
            let mut details = details.clone();
            details.set_retry_info(Some(delay));
            details
        };
        let (later, limited) = (after(&said, LONGEST_PAUSE), after(&rate, LONGEST_PAUSE));
        let much_later = after(&rate, LONGEST_PAUSE + Duration::from_secs(1));
        assert_eq!(repeated(&ErrorDetails::new()), sorted(&[&always, &bare]));
        assert_eq!(repeated(&said), always);
        assert_eq!(repeated(&later), always);
        assert_eq!(repeated(&rate), always);
        assert_eq!(repeated(&limited), sorted(&[&always, &[Code::ResourceExhausted as i32]]));
        assert_eq!(repeated(&much_later), [0; 0]);
        assert_eq!(spec["retry"]["attempts"], ATTEMPTS);
        assert_eq!(spec["retry"]["longest_pause_seconds"], LONGEST_PAUSE.as_secs());
    }

    #[test]
    fn a_call_pauses_as_long_as_the_server_asks_and_ends_after_the_last_attempt() {
        let mut later = ErrorDetails::new();
        later.set_retry_info(Some(Duration::from_secs(7)));
        let status = Status::with_error_details(Code::Unavailable, "", later);
        let pauses = [1, 2, 3].map(|attempt| pause(&Random::seeded(1), &status, attempt));
        assert_eq!(pauses, [Some(Duration::from_secs(7)), Some(Duration::from_secs(7)), None]);
    }

    #[test]
    fn pauses_are_random_and_double_up_to_a_limit() {
        let spec: serde_json::Value = serde_json::from_str(SPEC).unwrap();
        let random = &Random::seeded(1);
        let of = |failures| (0..500).map(move |_| backoff(random, failures).as_millis());
        for (failures, most) in [(1, 100), (2, 200), (3, 400), (6, 3_200), (7, 5_000), (30, 5_000)] {
            let longest = of(failures).max().unwrap();
            assert!(longest <= most && longest > most * 9 / 10, "{failures}: {longest}");
            assert!(of(failures).min().unwrap() < most / 10, "{failures}");
        }
        let backoff = &spec["retry"]["backoff"];
        assert_eq!(
            (&backoff["first_milliseconds"], &backoff["factor"], &backoff["most_milliseconds"]),
            (&100.into(), &2.into(), &MOST.into())
        );
    }

    #[test]
    fn what_breaks_in_transport_is_tried_again_and_what_a_server_says_is_not() {
        for broken in [Code::Unavailable, Code::Cancelled, Code::Unknown, Code::Internal] {
            assert!(is_broken(&Status::new(broken, "h2 protocol error")), "{broken:?}");
        }
        for code in [Code::Cancelled, Code::Unknown, Code::Internal] {
            let said = ErrorDetails::with_error_info("INTERNAL", "nodkey", HashMap::new());
            assert!(!is_broken(&Status::with_error_details(code, "", said)), "{code:?}");
        }
        for said in [Code::NotFound, Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented, Code::InvalidArgument] {
            assert!(!is_broken(&Status::new(said, "")), "{said:?}");
        }
    }
}
