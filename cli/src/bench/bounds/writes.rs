//! The rows that one login writes.

use uuid::Uuid;

/// The values of one login, as long as Nodkey's.
pub(super) struct Login {
    pub(super) id: Uuid,
    pub(super) event: Uuid,
    pub(super) challenge: String,
    pub(super) response: String,
    pub(super) payload: Vec<u8>,
}

/// The number of transactions of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commits {
    /// Created and answered, each with its event: the minimum for durability.
    Two,
    /// Both events also leave the outbox and enter a consumer's inbox, each in a transaction of its own.
    Six,
}

/// A statement, and the values of a login that it takes. SQLite numbers `$` parameters by appearance, so they appear in order.
pub(super) struct Write {
    pub(super) sql: &'static str,
    pub(super) values: Values,
}

/// The values of a statement.
#[derive(Clone, Copy)]
pub(super) enum Values {
    /// The id and the challenge.
    Asked,
    /// The response and the id.
    Answered,
    /// The id of the first event, and its payload.
    FirstEvent,
    /// The id of the second event, and its payload.
    SecondEvent,
    /// The id of the first event.
    FirstId,
    /// The id of the second event.
    SecondId,
}

const CREATE: Write = Write {
    sql: "INSERT INTO login (id, relying_party_id, user_identifier, challenge, created_at, status, version) VALUES ($1, $1, 'user', $2, CURRENT_TIMESTAMP, 'in_progress', 1)",
    values: Values::Asked,
};
const ONCE: Write = Write { sql: "INSERT INTO request (id, answer) VALUES ($1, $2)", values: Values::FirstEvent };
const ANSWER: Write = Write {
    sql: "UPDATE login SET status = 'accepted', response = $1, version = 2 WHERE id = $2 AND version = 1",
    values: Values::Answered,
};
const FIRST_EVENT: Write = Write { sql: "INSERT INTO event (id, payload) VALUES ($1, $2)", values: Values::FirstEvent };
const SECOND_EVENT: Write = Write { sql: FIRST_EVENT.sql, values: Values::SecondEvent };
const FIRST_SENT: Write = Write { sql: "DELETE FROM event WHERE id = $1", values: Values::FirstId };
const SECOND_SENT: Write = Write { sql: FIRST_SENT.sql, values: Values::SecondId };
const FIRST_SEEN: Write = Write { sql: "INSERT INTO seen (id) VALUES ($1)", values: Values::FirstId };
const SECOND_SEEN: Write = Write { sql: FIRST_SEEN.sql, values: Values::SecondId };

/// Every statement, to be prepared.
pub(super) const STATEMENTS: [&str; 6] = [CREATE.sql, ONCE.sql, ANSWER.sql, FIRST_EVENT.sql, FIRST_SENT.sql, FIRST_SEEN.sql];

impl Commits {
    /// The transactions of a login, in order.
    pub(super) fn transactions(self) -> &'static [&'static [Write]] {
        const ASKED: &[Write] = &[CREATE, ONCE, FIRST_EVENT];
        const ANSWERED: &[Write] = &[ANSWER, SECOND_EVENT];
        match self {
            Self::Two => &[ASKED, ANSWERED],
            Self::Six => &[ASKED, &[FIRST_SENT], &[FIRST_SEEN], ANSWERED, &[SECOND_SENT], &[SECOND_SEEN]],
        }
    }

    /// The name of the bound.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Two => "the rows of a login in 2 commits",
            Self::Six => "the rows of a login in 6 commits",
        }
    }
}

impl Login {
    /// Makes the values of another login.
    pub(super) fn new() -> Self {
        let ids = nodkey_kernel::random::Random::system().bytes::<32>();
        let id = |half: &[u8]| Uuid::from_slice(half).unwrap_or_default();
        let texts = ("c".repeat(700), "r".repeat(700));
        Self { id: id(&ids[..16]), event: id(&ids[16..]), challenge: texts.0, response: texts.1, payload: vec![b'e'; 600] }
    }

    /// The id of one of its two events.
    pub(super) fn event_id(&self, second: bool) -> Uuid {
        Uuid::from_u128(self.event.as_u128() ^ u128::from(second))
    }
}
