//! The meaning of each engine's errors, in one table.

use std::fmt;

/// Why a database cannot do now what it may be able to do soon. The caller may retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Not reachable, starting or stopping, or its disk does not answer.
    Away,
    /// Too many connections, a lock held by others, or a transaction that lost a conflict.
    Busy,
    /// Its disk is full.
    Full,
    /// It accepts no writes: a standby, or a file system mounted read-only.
    ReadOnly,
    /// An administrator canceled the statement.
    Canceled,
    /// The time limit was exceeded.
    TimedOut,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Away => "it cannot be reached",
            Self::Busy => "it is busy",
            Self::Full => "its disk is full",
            Self::ReadOnly => "it takes no writes",
            Self::Canceled => "an administrator canceled the statement",
            Self::TimedOut => "it took too long",
        })
    }
}

/// The meaning of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Temporary.
    Passing(Condition),
    /// A unique constraint rejected the row.
    Unique,
    /// Another constraint rejected the row.
    Constraint,
    /// The engine cannot store such a value: a NUL in a text, or a number or time out of range.
    Data,
    /// A bug in this program, or a damaged database.
    Ours,
}

/// The meaning of a SQLSTATE (PostgreSQL, appendix A).
pub(crate) fn of_sqlstate(code: &str) -> Meaning {
    use Condition::{Away, Busy, Canceled, Full, ReadOnly, TimedOut};
    match code {
        "23505" => Meaning::Unique,
        // statement_timeout and a cancel by an administrator share a code. Only the message tells them apart, and no caller needs to know.
        "57014" | "25P03" | "25P04" => Meaning::Passing(TimedOut),
        "55P03" | "55006" | "40001" | "40P01" | "53300" => Meaning::Passing(Busy),
        "57P05" => Meaning::Passing(Canceled),
        "25006" => Meaning::Passing(ReadOnly),
        "53100" => Meaning::Passing(Full),
        "58030" => Meaning::Passing(Away),
        _ => match code.get(..2) {
            // 28 and 3D: the server refuses the login. What an operator changed, an operator can change back.
            Some("08" | "28" | "3D" | "57") => Meaning::Passing(Away),
            Some("53" | "40") => Meaning::Passing(Busy),
            Some("23") => Meaning::Constraint,
            Some("22") => Meaning::Data,
            _ => Meaning::Ours,
        },
    }
}

/// The meaning of an extended result code of SQLite (sqlite.org/rescode.html). Its lowest byte is the primary code.
pub(crate) const fn of_sqlite(code: i32) -> Meaning {
    use Condition::{Away, Busy, Canceled, Full, ReadOnly};
    match code {
        // CONSTRAINT_UNIQUE, CONSTRAINT_PRIMARYKEY, CONSTRAINT_ROWID.
        2067 | 1555 | 2579 => Meaning::Unique,
        // CONSTRAINT_DATATYPE: a STRICT table.
        3091 => Meaning::Data,
        _ => match code & 0xff {
            // BUSY, LOCKED, NOMEM, PROTOCOL.
            5 | 6 | 7 | 15 => Meaning::Passing(Busy),
            8 => Meaning::Passing(ReadOnly),
            9 => Meaning::Passing(Canceled),
            // IOERR, CANTOPEN.
            10 | 14 => Meaning::Passing(Away),
            13 => Meaning::Passing(Full),
            19 => Meaning::Constraint,
            // TOOBIG, MISMATCH.
            18 | 20 => Meaning::Data,
            _ => Meaning::Ours,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Condition::*, Meaning::*, *};

    #[test]
    fn what_may_pass_may_pass_on_both_engines_and_nothing_else_does() {
        let postgres = [
            ("08006", Passing(Away)),
            ("08P01", Passing(Away)),
            ("57P01", Passing(Away)),
            ("57P02", Passing(Away)),
            ("57P03", Passing(Away)),
            ("58030", Passing(Away)),
            ("28P01", Passing(Away)),
            ("3D000", Passing(Away)),
            ("53300", Passing(Busy)),
            ("53200", Passing(Busy)),
            ("53400", Passing(Busy)),
            ("55P03", Passing(Busy)),
            ("40001", Passing(Busy)),
            ("40P01", Passing(Busy)),
            ("53100", Passing(Full)),
            ("25006", Passing(ReadOnly)),
            ("57014", Passing(TimedOut)),
            ("25P03", Passing(TimedOut)),
            ("23505", Unique),
            ("23502", Constraint),
            ("23514", Constraint),
            ("22021", Data),
            ("22003", Data),
            ("22008", Data),
            ("42601", Ours),
            ("42501", Ours),
            ("XX001", Ours),
            ("", Ours),
        ];
        for (code, meaning) in postgres {
            assert_eq!(of_sqlstate(code), meaning, "{code}");
        }
        let sqlite = [
            (5, Passing(Busy)),
            (261, Passing(Busy)),
            (517, Passing(Busy)),
            (6, Passing(Busy)),
            (8, Passing(ReadOnly)),
            (1032, Passing(ReadOnly)),
            (10, Passing(Away)),
            (778, Passing(Away)),
            (1034, Passing(Away)),
            (14, Passing(Away)),
            (13, Passing(Full)),
            (2067, Unique),
            (1555, Unique),
            (1299, Constraint),
            (275, Constraint),
            (3091, Data),
            (18, Data),
            (1, Ours),
            (11, Ours),
            (26, Ours),
        ];
        for (code, meaning) in sqlite {
            assert_eq!(of_sqlite(code), meaning, "{code}");
        }
    }
}
