//! Invariants of every row, no matter what wrote it. They are checked when rows are read and before they are written.
//!
//! A violation is an error that names the row, and a metric. It is never a panic, so other rows stay usable.

use nodkey_db::{DbError, Record};
use nodkey_kernel::{
    challenge::{Decision, challenge_hash},
    jose::jws::Compact,
    level::Level,
    receipt::ReceiptClaims,
};
use nodkey_runtime::rows::Violation;
use uuid::Uuid;

use crate::{
    domain::{Answer, Outcome, Reason, State, Target, TruCode, Trusonafication, receipt_status},
    store::Proof,
};

const SERVICE: &str = "trusonafication";

/// Checks a trusonafication.
pub fn check(t: &Trusonafication) -> Result<(), DbError> {
    trusonafication(t).map_err(|violation| violation.of(SERVICE, "trusonafication", t.id))
}

/// Checks a trusonafication together with the answer that is to be written with it.
pub fn check_answer(t: &Trusonafication, answer: &Answer) -> Result<(), DbError> {
    let level = match &t.state {
        State::Accepted { level, .. } => Some(*level),
        State::InProgress | State::Rejected { .. } | State::Expired | State::Canceled => None,
    };
    let proven = level_is_proven(level, answer.keys.len());
    proven.map_err(|violation| violation.of(SERVICE, "trusonafication", t.id))?;
    check(t)
}

/// Checks an ended trusonafication together with the receipt that is to be written with it.
pub fn check_end(t: &Trusonafication, receipt: &str) -> Result<(), DbError> {
    let says = |claims: ReceiptClaims| claims.sub == t.id.to_string() && Some(claims.status) == receipt_status(&t.state);
    let agrees = t.is_terminal() && unverified(receipt).is_some_and(says);
    let holds = Violation::unless(agrees, "what_has_ended_has_its_receipt", "receipt");
    holds.map_err(|violation| violation.of(SERVICE, "trusonafication", t.id))?;
    check(t)
}

/// The claims of a receipt signed by this service.
fn unverified(receipt: &str) -> Option<ReceiptClaims> {
    Compact::parse(receipt).ok()?.unverified_claims().ok()
}

/// Checks a code.
pub fn check_trucode(code: &TruCode) -> Result<(), DbError> {
    // Each request for a code increases the version, as does pairing: an unpaired code may have any version.
    let counts = code.version > i64::from(code.identifier.is_some());
    Violation::unless(counts, "version_counts_changes", "version").map_err(|violation| violation.of(SERVICE, "trucode", code.id))
}

fn trusonafication(t: &Trusonafication) -> Result<(), Violation> {
    // A pending trusonafication never changed; a terminal one changed at least once.
    let counts = if t.is_terminal() { t.version > 1 } else { t.version == 1 };
    Violation::unless(counts, "version_counts_changes", "version")?;
    match &t.state {
        State::InProgress | State::Expired | State::Canceled => Ok(()),
        State::Accepted { outcome, level, grade } => {
            who_answered_was_asked(t, outcome)?;
            Violation::unless(outcome.decision == Decision::Accept, "accepted_is_what_was_signed", "decision")?;
            let right = t.ask.number_match.as_ref().is_none_or(|m| Some(&m.number) == outcome.number.as_ref());
            Violation::unless(right, "accepted_with_the_right_number", "number")?;
            Violation::unless(*grade == t.ask.grade(*level), "status_follows_from_level", "status")
        }
        State::Rejected { outcome, reason } => {
            who_answered_was_asked(t, outcome)?;
            // An accept with the wrong number counts as a rejection.
            let rejected = outcome.decision == Decision::Reject || *reason == Some(Reason::NumberMismatch);
            Violation::unless(rejected, "rejected_is_what_was_signed", "decision")
        }
    }
}

fn who_answered_was_asked(t: &Trusonafication, outcome: &Outcome) -> Result<(), Violation> {
    let asked = match &t.ask.target {
        Target::User(user) => *user == outcome.user,
        Target::Device(device) => *device == outcome.device,
        // The device that paired the code.
        Target::TruCode(_) => t.device.as_ref() == Some(&outcome.device),
    };
    Violation::unless(asked, "who_answered_was_asked", "answered_by")?;
    let known = (t.user.as_ref(), t.device.as_ref()) == (Some(&outcome.user), Some(&outcome.device));
    Violation::unless(known, "who_answered_is_known", "answered_by")
}

/// Checks that the columns of an outcome are set exactly when the status is that of an answer.
pub fn outcome_belongs_to_an_answer(record: &Record<'_>, answered: bool, filled: bool) -> Result<(), DbError> {
    let holds = Violation::unless(answered == filled, "outcome_belongs_to_an_answer", "result_id");
    holds.map_err(|violation| record.inconsistent(violation.column, violation.counted(SERVICE)))
}

/// Checks the evidence of an answer. Answers that predate receipts have none.
pub fn check_proof(record: &Record<'_>, level: Option<Level>, proof: &Proof) -> Result<(), DbError> {
    let (id, status) = (record.get::<Uuid>("id")?.to_string(), record.get::<String>("status")?);
    let says = |claims: ReceiptClaims| {
        let same = claims.sub == id && claims.level == level && claims.status.as_str().eq_ignore_ascii_case(&status);
        same && claims.chal == challenge_hash(&proof.challenge) && claims.resp == Some(challenge_hash(&proof.response))
    };
    let agrees = proof.receipt.as_ref().is_none_or(|receipt| unverified(receipt).is_some_and(says));
    let check = || {
        level_is_proven(level, proof.keys.len())?;
        Violation::unless(agrees, "the_receipt_is_of_what_was_proven", "receipt")
    };
    check().map_err(|violation: Violation| record.inconsistent(violation.column, violation.counted(SERVICE)))
}

/// Without a presence key only possession is proven. The device key is stored first, then the presence key that signed.
fn level_is_proven(level: Option<Level>, keys: usize) -> Result<(), Violation> {
    let proven = match level {
        Some(Level::Essential | Level::Executive) => keys == 2,
        // A presence key that does not count proves no more than the device key.
        Some(Level::Possession) | None => keys == 1 || keys == 2,
    };
    Violation::unless(proven, "level_is_proven_by_the_keys", "keys")
}
