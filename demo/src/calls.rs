//! The calls that the bank's backend makes for a browser, and their events, for its page to show.
//!
//! The backend uses the SDK, which speaks gRPC. Each call is recorded as the equivalent one of the HTTP API, which people can repeat with curl.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use axum_extra::extract::CookieJar;
use moka::sync::Cache;
use nodkey_client::proto::{rest, trusonafication::v1::Trusonafication};
use nodkey_kernel::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Site, browser, problem::Problem};

/// The most entries kept for a browser. The oldest are dropped.
const MAX_ENTRIES: usize = 30;

/// A call or an event.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A call of the backend to Nodkey.
    Call {
        method: &'static str,
        path: String,
        /// The body; absent if there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        request: Option<Value>,
        status: u16,
        /// The body; absent if there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        response: Option<Value>,
    },
    /// A result that Nodkey reported to the backend. A webhook carries the same as `data`.
    Event {
        /// The event type, such as `trusonafication.accepted`.
        name: &'static str,
        data: Value,
    },
}

#[derive(Clone, Debug, Serialize)]
struct Numbered {
    /// Counts the browser's entries, from 1.
    number: u64,
    /// RFC 3339.
    at: String,
    #[serde(flatten)]
    entry: Entry,
}

#[derive(Debug, Default)]
struct Log {
    last: u64,
    entries: VecDeque<Numbered>,
}

/// The entries of each browser.
#[derive(Clone, Debug)]
pub struct Calls(Cache<String, Arc<Mutex<Log>>>);

/// Which entries to list.
#[derive(Deserialize)]
pub struct After {
    /// Those with a greater number. One beyond the last, as of a log that was dropped since, counts as 0.
    #[serde(default)]
    after: u64,
}

impl Calls {
    /// Creates an empty log for at most so many browsers.
    pub fn new(browsers: u64, idle: Duration) -> Self {
        Self(Cache::builder().max_capacity(browsers).time_to_idle(idle).build())
    }

    /// Adds an entry.
    pub fn record(&self, browser: &str, at: Timestamp, entry: Entry) {
        let log = self.0.get_with_by_ref(browser, Arc::default);
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.last += 1;
        let number = log.last;
        log.entries.push_back(Numbered { number, at: at.to_string(), entry });
        if log.entries.len() > MAX_ENTRIES {
            log.entries.pop_front();
        }
    }

    fn after(&self, browser: &str, number: u64) -> Vec<Numbered> {
        let Some(log) = self.0.get(browser) else { return Vec::new() };
        let log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let number = if number > log.last { 0 } else { number };
        log.entries.iter().filter(|entry| entry.number > number).cloned().collect()
    }
}

impl Entry {
    /// A call that succeeded, without bodies.
    pub const fn call(method: &'static str, path: String, status: u16) -> Self {
        Self::Call { method, path, request: None, status, response: None }
    }

    /// A trusonafication that ended. Without `with_device`, the device identifier is left out.
    pub fn ended(ended: &Trusonafication, with_device: bool) -> Self {
        let mut data = json!(rest::Trusonafication::from(ended));
        if !with_device {
            data["device_identifier"] = Value::Null;
        }
        let name = match data["status"].as_str() {
            Some("REJECTED") => "trusonafication.rejected",
            Some("EXPIRED") => "trusonafication.expired",
            Some("CANCELED") => "trusonafication.canceled",
            _ => "trusonafication.accepted",
        };
        Self::Event { name, data }
    }
}

/// Lists the calls for a browser, the oldest first.
pub async fn list(State(site): State<Site>, jar: CookieJar, after: Result<Query<After>, QueryRejection>) -> Result<Json<Value>, Problem> {
    let Query(After { after }) = after?;
    let calls = browser::id(&jar).map(|browser| site.0.calls.after(browser, after)).unwrap_or_default();
    Ok(Json(json!({"calls": calls})))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(calls: &Calls, browser: &str, after: u64) -> Vec<u64> {
        calls.after(browser, after).iter().map(|entry| entry.number).collect()
    }

    #[test]
    fn a_browser_lists_its_own_latest_calls_alone() {
        let calls = Calls::new(10, Duration::from_mins(1));
        for _ in 0..MAX_ENTRIES + 2 {
            calls.record("one", Timestamp::from_seconds(0), Entry::call("GET", "/".into(), 200));
        }
        let last = MAX_ENTRIES as u64 + 2;
        assert_eq!(numbers(&calls, "one", 0), (3..=last).collect::<Vec<_>>());
        assert_eq!(numbers(&calls, "one", last - 1), [last]);
        assert!(numbers(&calls, "one", last).is_empty());
        assert_eq!(numbers(&calls, "one", last + 1), numbers(&calls, "one", 0));
        assert!(numbers(&calls, "two", 0).is_empty());
    }
}
