//! What the answers of processes mean.

use std::{collections::BTreeSet, time::Duration};

use nodkey_kernel::time::Timestamp;
use nodkey_proto::{
    convert::from_timestamp,
    registry::v1::SigningKey,
    status::v1::{CountSealedResponse, DatabaseStatus, ProcessStatus},
};

use super::{Check, metrics::sum};
use crate::output::plain;

/// Clocks that differ by more are worth a look: services refuse calls from 5 seconds on.
pub const CLOCKS: Duration = Duration::from_secs(2);
/// An event that waits for longer is late.
const LATE: Duration = Duration::from_mins(1);

const LOOK_AT_LOG: &str = "The service's log names it: see \"Symptoms\" in docs/operations/night.md.";
const SET_CLOCK: &str = "Set the clocks with NTP. From 5 seconds on, calls of operators and backends are refused.";

/// What a process says of itself, asked and answered between these moments of our clock.
pub fn of_process(subject: &str, status: &ProcessStatus, between: (Timestamp, Timestamp)) -> Vec<Check> {
    let mut found = Vec::new();
    if status.problems.is_empty() {
        found.push(Check::ok("readiness", subject, "ready"));
    }
    for problem in &status.problems {
        found.push(Check::fail("readiness", subject, plain(problem), LOOK_AT_LOG));
    }
    let now = status.now.as_ref().and_then(from_timestamp);
    found.extend(now.map(|now| clock(subject, "the clock of the process", now, between)));
    for database in &status.databases {
        found.push(schema(&database.service, &database.missing_migrations, &database.unknown_migrations));
        // Both were read at the same time.
        if let (Some(now), Some(its)) = (now, database.now.as_ref().and_then(from_timestamp)) {
            found.push(clock(&database.service, "the clock of the database", its, (now, now)));
        }
        found.push(outbox(database, now.unwrap_or(between.1)));
    }
    found.push(dead_letters(subject, status.dead_letters.len()));
    found.extend(of_metrics(subject, &status.metrics));
    found
}

/// Whether a clock differs from ours.
pub fn clock(subject: &str, whose: &str, its: Timestamp, (before, after): (Timestamp, Timestamp)) -> Check {
    let (ahead, behind) = (after.until(its), its.until(before));
    let off = ahead.max(behind);
    if off <= CLOCKS {
        return Check::ok("clock", subject, format!("{whose} agrees"));
    }
    let direction = if ahead > behind { "ahead" } else { "behind" };
    Check::fail("clock", subject, format!("{whose} is {:.1} s {direction}", off.as_secs_f64()), SET_CLOCK)
}

/// Whether a schema is that of the build.
pub fn schema(subject: &str, missing: &[i64], unknown: &[i64]) -> Check {
    let list = |versions: &[i64]| versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if !missing.is_empty() {
        return Check::fail(
            "schema",
            subject,
            format!("migrations are missing: {}", list(missing)),
            "Start the service: it migrates its schema.",
        );
    }
    if !unknown.is_empty() {
        let what = format!("the schema is of a newer version: migrations {}", list(unknown));
        return Check::warn(
            "schema",
            subject,
            what,
            "Finish the upgrade: this build goes on beside a newer schema, but not beside one of the next major.",
        );
    }
    Check::ok("schema", subject, "up to date")
}

/// Whether one version runs everywhere, which is this command's.
pub fn versions(running: &BTreeSet<String>) -> Check {
    let own = env!("CARGO_PKG_VERSION");
    let list = running.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    match running.len() {
        0 => Check::warn("version", "deployment", "unknown: no service responds", "Start the services."),
        1 if running.contains(own) => Check::ok("version", "deployment", list),
        1 => Check::warn("version", "deployment", format!("{list}, and this command is {own}"), "Use the nodkey of the same release."),
        _ => Check::warn("version", "deployment", format!("several: {list}"), "Finish the upgrade."),
    }
}

fn outbox(database: &DatabaseStatus, now: Timestamp) -> Check {
    let (waiting, subject) = (database.events_waiting, database.service.as_str());
    let waits = database.oldest_event_at.as_ref().and_then(from_timestamp).map_or(Duration::ZERO, |oldest| oldest.until(now));
    if waits <= LATE {
        return Check::ok("events", subject, format!("about {waiting} wait in the outbox"));
    }
    let what = format!("about {waiting} wait in the outbox, the oldest for {} s", waits.as_secs());
    Check::fail("events", subject, what, "The bus does not accept them: look at NATS, and at this service's rights there.")
}

fn dead_letters(subject: &str, letters: usize) -> Check {
    if letters == 0 {
        return Check::ok("dead letters", subject, "none");
    }
    let what = if letters == 100 { "100 or more".to_owned() } else { letters.to_string() };
    Check::warn(
        "dead letters",
        subject,
        what,
        "Repair what their causes say, then `nodkey admin dead-letters replay`: docs/operations/dead-letters.md.",
    )
}

/// A metric that shows something wrong when it exceeds a limit.
struct Sign {
    check: &'static str,
    metric: &'static str,
    above: f64,
    is_failure: bool,
    what: &'static str,
    todo: &'static str,
}

const SIGNS: &[Sign] = &[
    Sign {
        check: "events",
        metric: "nodkey_consumer_retrying_seconds",
        above: 60.0,
        is_failure: true,
        what: "an event has been failing for more than a minute",
        todo: "The log says why: `event failed, trying again`.",
    },
    Sign {
        check: "events",
        metric: "nodkey_consumer_oldest_seconds",
        above: 600.0,
        is_failure: true,
        what: "an event has waited for its consumer for more than ten minutes",
        todo: "If the log has no `event failed, trying again`, the consumer hangs: look at the database of its service, or restart it.",
    },
    Sign {
        check: "rows",
        metric: "nodkey_rows_unreadable_total",
        above: 0.0,
        is_failure: true,
        what: "rows could not be read since the start",
        todo: "They were changed by hand, or damaged by a disk: the log names table, column and row. Restore them from a backup.",
    },
    Sign {
        check: "rows",
        metric: "nodkey_invariant_violations_total",
        above: 0.0,
        is_failure: true,
        what: "rows contradict themselves",
        todo: "They are not processed until they are fixed: the log names them.",
    },
    Sign {
        check: "audit log",
        metric: "nodkey_audit_chain_faults_total",
        above: 0.0,
        is_failure: true,
        what: "the audit log was changed from outside",
        todo: "Export it, and verify the export against the previous one: `nodkey audit verify`.",
    },
    Sign {
        check: "keys",
        metric: "nodkey_internal_key_calls_total",
        above: 0.0,
        is_failure: false,
        what: "services still sign with the internal key",
        todo: "Give each its own: \"From an internal key to service keys\" in docs/operations/older-keys.md.",
    },
    Sign {
        check: "keys",
        metric: "nodkey_symmetric_operator_key_calls_total",
        above: 0.0,
        is_failure: false,
        what: "operators still sign with a symmetric key",
        todo: "`nodkey keys rotate keys operator` makes a pair.",
    },
];

fn of_metrics(subject: &str, text: &str) -> Vec<Check> {
    let mut found = Vec::new();
    match sum(text, "nodkey_bus_connected") {
        Some(connected) if connected < 1.0 => {
            found.push(Check::fail("bus", subject, "not connected to NATS", "Logins go on, webhooks wait: start NATS, or check bus.url."));
        }
        Some(_) => found.push(Check::ok("bus", subject, "connected")),
        None => {}
    }
    if sum(text, "nodkey_tls_certificate_valid").is_some_and(|valid| valid < 1.0) {
        let todo = "The previous pair is in use until it expires: put a certificate and its key there that match.";
        found.push(Check::fail("certificate", subject, "the files hold no usable certificate", todo));
    }
    for sign in SIGNS.iter().filter(|sign| sum(text, sign.metric).is_some_and(|value| value > sign.above)) {
        let make = if sign.is_failure { Check::fail } else { Check::warn };
        found.push(make(sign.check, subject, sign.what.to_owned(), sign.todo));
    }
    found
}

/// Whether the values at rest open, and with the current master key.
pub fn of_sealed(subject: &str, counted: &CountSealedResponse) -> Vec<Check> {
    let mut found = Vec::new();
    for column in &counted.unopened {
        let what = format!("{} values of {}.{} of {} do not open", column.values, column.table, column.column, column.service);
        let todo =
            "They are damaged, or sealed under a master key that was removed: add it to deployment.previous_master_keys, or restore them.";
        found.push(Check::fail("keys", subject, what, todo));
    }
    let former: u64 = counted.columns.iter().map(|column| column.former).sum();
    if former > 0 {
        let what = format!("{former} values are sealed under a former master key");
        found.push(Check::warn("keys", subject, what, "`nodkey admin keys reseal`, before that key is removed."));
    }
    if found.is_empty() {
        found.push(Check::ok("keys", subject, "every sealed value opens with the current master key"));
    }
    found
}

/// Whether each owner has a key that signs.
pub fn of_signing_keys(keys: &[SigningKey]) -> Check {
    let lacking = ["registry", "trusonafication"].into_iter().find(|owner| !keys.iter().any(|key| key.current && key.owner == *owner));
    match lacking {
        None => Check::ok("signing keys", "deployment", format!("{} published", keys.len())),
        Some(owner) => {
            let what = format!("{owner} has no key that signs");
            Check::warn(
                "signing keys",
                "deployment",
                what,
                "It makes one at its start, which signs once it is published: look again in five minutes.",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn a_clock_is_compared_with_both_ends_of_the_call() {
        let at = Timestamp::from_seconds;
        let state = |its| clock("x", "it", its, (at(100), at(110))).state;
        for (its, expected) in [(97, State::Fail), (98, State::Ok), (105, State::Ok), (112, State::Ok), (113, State::Fail)] {
            assert_eq!(state(at(its)), expected, "{its}");
        }
        assert!(clock("x", "it", at(90), (at(100), at(110))).what.ends_with("10.0 s behind"));
        assert!(clock("x", "it", at(115), (at(100), at(110))).what.ends_with("5.0 s ahead"));
    }

    #[test]
    fn every_sign_is_seen_and_says_what_to_do() {
        for sign in SIGNS {
            let text = |value: f64| format!("{} {value}\n", sign.metric);
            assert_eq!(of_metrics("x", &text(sign.above)), [], "{}", sign.metric);
            assert_eq!(of_metrics("x", &text(sign.above + 1.0)).len(), 1, "{}", sign.metric);
        }
        assert_eq!(of_metrics("x", "nodkey_bus_connected 0\nnodkey_tls_certificate_valid 0\n").len(), 2);
    }

    #[test]
    fn a_schema_may_lack_something_or_be_ahead() {
        assert_eq!(schema("x", &[], &[]).state, State::Ok);
        assert_eq!(schema("x", &[1070], &[]).state, State::Fail);
        assert_eq!(schema("x", &[], &[2000]).state, State::Warn);
    }

    #[test]
    fn versions_that_differ_are_named() {
        let of = |versions: &[&str]| versions_of(versions).state;
        assert_eq!(of(&[env!("CARGO_PKG_VERSION")]), State::Ok);
        for other in [&[][..], &["99.0.0"], &[env!("CARGO_PKG_VERSION"), "99.0.0"]] {
            assert_eq!(of(other), State::Warn, "{other:?}");
        }
    }

    fn versions_of(versions: &[&str]) -> Check {
        super::versions(&versions.iter().map(ToString::to_string).collect())
    }
}
