//! Counts the traffic of a PostgreSQL connection (frontend/backend protocol, version 3).
//!
//! A round trip is a simple query or a Sync: what a client waits for. A statement is a simple query or an Execute. A commit is a
//! transaction that changed rows. A round trip counts under the text of its statement. A ping, which is a Sync with nothing before it,
//! counts under the text of the statement that it follows. If that statement has already been followed by a ping, it counts under the text
//! of the next statement, because pools ping when they hand out a connection and when they get it back.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::proxy::{Counts, Observer};

/// The maximum length of a statement's name in reports, which is the beginning of its text.
const TEXT: usize = 120;
/// Stands for the type of the first message, which has none.
const STARTUP: u8 = 0;
/// The request for TLS, before anything else.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// The command tags of messages that change rows.
const WRITES: [&str; 4] = ["INSERT ", "UPDATE ", "DELETE ", "MERGE "];

/// Observes one connection.
pub(super) fn observer(counts: &Arc<Counts>) -> impl Observer + use<> {
    Connection {
        counts: Arc::clone(counts),
        sent: Messages { buffer: Vec::new(), startup: true },
        received: Messages { buffer: Vec::new(), startup: false },
        tls: Tls::Unasked,
        role: String::new(),
        since_sync: None,
        last: None,
        pings: 0,
        statements: HashMap::new(),
        portal: Statement::default(),
        running: VecDeque::new(),
        wrote: false,
    }
}

/// Whether the connection can be read.
#[derive(PartialEq)]
enum Tls {
    Unasked,
    Asked,
    Encrypted,
}

struct Connection {
    counts: Arc<Counts>,
    sent: Messages,
    received: Messages,
    tls: Tls,
    /// The client's role: each service has its own.
    role: String,
    /// The text of what was prepared or executed since the last round trip.
    since_sync: Option<String>,
    /// The text of the last statement, until a ping follows it.
    last: Option<String>,
    /// Pings since then, which count under the next statement.
    pings: u32,
    /// The texts of prepared statements, by name.
    statements: HashMap<String, Statement>,
    /// The text of the last bound statement.
    portal: Statement,
    /// The texts of statements that were executed and are not yet complete.
    running: VecDeque<Statement>,
    /// Whether the transaction has changed rows.
    wrote: bool,
}

impl Observer for Connection {
    fn sent(&mut self, bytes: &[u8]) {
        if self.tls == Tls::Encrypted {
            return;
        }
        if bytes == SSL_REQUEST {
            self.tls = Tls::Asked;
            return;
        }
        self.sent.buffer.extend_from_slice(bytes);
        while let Some((kind, body)) = self.sent.next() {
            self.request(kind, &body);
        }
    }

    fn received(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if self.tls == Tls::Asked {
            // One byte: S for yes, N for no.
            self.tls = if bytes.first() == Some(&b'S') { Tls::Encrypted } else { Tls::Unasked };
            bytes = bytes.get(1..).unwrap_or_default();
        }
        if self.tls == Tls::Encrypted {
            self.counts.add("unreadable");
            return;
        }
        self.received.buffer.extend_from_slice(bytes);
        while let Some((kind, body)) = self.received.next() {
            self.answer(kind, &body);
        }
    }
}

impl Connection {
    fn request(&mut self, kind: u8, body: &[u8]) {
        let mut strings = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        let mut string = || strings.next().unwrap_or_default();
        match kind {
            STARTUP => {
                let values: Vec<_> = body.get(4..).unwrap_or_default().split(|byte| *byte == 0).collect();
                let role = values.chunks(2).find(|pair| pair[0] == b"user").and_then(|pair| pair.get(1));
                // Roles are named `<prefix>_<service>`.
                let role = role.map(|role| String::from_utf8_lossy(role)).unwrap_or_default();
                role.rsplit('_').next().unwrap_or_default().clone_into(&mut self.role);
            }
            b'P' => {
                let (name, statement) = (string(), Statement::new(&string()));
                self.since_sync = Some(statement.text.clone());
                self.statements.insert(name, statement);
            }
            b'B' => {
                let (_, name) = (string(), string());
                self.portal = self.statements.get(&name).cloned().unwrap_or_default();
            }
            b'E' => self.statement(self.portal.clone()),
            b'Q' => {
                self.statement(Statement::new(&string()));
                self.round_trip();
            }
            b'S' => self.round_trip(),
            _ => {}
        }
    }

    fn statement(&mut self, statement: Statement) {
        let text = statement.text.clone();
        self.count("statements", &text);
        for _ in 0..std::mem::take(&mut self.pings) {
            self.count("round_trips", &text);
        }
        self.since_sync = Some(text.clone());
        self.last = Some(text);
        self.running.push_back(statement);
    }

    fn round_trip(&mut self) {
        if let Some(text) = self.since_sync.take() {
            self.count("round_trips", &text);
        } else if let Some(text) = self.last.take() {
            self.count("round_trips", &text);
        } else {
            // The ping before it did not precede a statement.
            if self.pings > 0 {
                self.count("round_trips", "ping");
            }
            self.pings = 1;
        }
    }

    fn count(&self, name: &str, text: &str) {
        self.counts.add(&format!("{name} {} {text}", self.role));
    }

    fn answer(&mut self, kind: u8, body: &[u8]) {
        match kind {
            b'C' => {
                let tag = String::from_utf8_lossy(body.strip_suffix(&[0]).unwrap_or(body));
                let writes = self.running.pop_front().unwrap_or_default().writes_within;
                let changed = WRITES.iter().any(|write| tag.starts_with(write)) && !tag.ends_with(" 0") || writes;
                self.wrote = tag != "ROLLBACK" && (self.wrote || changed);
            }
            b'E' => self.running.clear(),
            // Idle again, outside any transaction.
            b'Z' if body == b"I" && std::mem::take(&mut self.wrote) => self.counts.add(&format!("commits {}", self.role)),
            _ => {}
        }
    }
}

/// A statement as it was sent.
#[derive(Clone, Debug, Default)]
struct Statement {
    /// The beginning of its text.
    text: String,
    /// Whether it is a SELECT that may change rows in a WITH.
    writes_within: bool,
}

impl Statement {
    fn new(text: &str) -> Self {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let writes_within = words.starts_with("WITH") && WRITES.iter().any(|write| words.contains(write));
        Self { text: words.chars().take(TEXT).collect(), writes_within }
    }
}

/// Splits a stream into messages.
struct Messages {
    buffer: Vec<u8>,
    /// Whether the next message is the first one, which has no type.
    startup: bool,
}

impl Messages {
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = usize::from(!self.startup);
        let length: [u8; 4] = self.buffer.get(head..head + 4)?.try_into().ok()?;
        let end = head + usize::try_from(u32::from_be_bytes(length)).ok()?;
        if self.buffer.len() < end {
            return None;
        }
        let message: Vec<u8> = self.buffer.drain(..end).collect();
        let kind = if self.startup { STARTUP } else { message[0] };
        self.startup = false;
        Some((kind, message[head + 4..].to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind][..], &length, body].concat()
    }

    /// An established connection without TLS.
    fn begun(counts: &Arc<Counts>) -> impl Observer + use<> {
        let mut connection = observer(counts);
        connection.sent(&SSL_REQUEST);
        connection.received(b"N");
        connection.sent(&[&[0, 0, 0, 26, 0, 3, 0, 0][..], b"user\0nodkey_test\0\0"].concat());
        connection
    }

    fn counted<const N: usize>(counts: &Counts, expected: [(&str, u64); N]) {
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(counts.snapshot(), expected.into());
    }

    fn execute(connection: &mut impl Observer, tag: &[u8], state: &[u8]) {
        let pieces = [message(b'B', b"\0s1\0"), message(b'E', b"\0"), message(b'S', b"")];
        connection.sent(&pieces.concat());
        connection.received(&[message(b'C', tag), message(b'Z', state)].concat());
    }

    #[test]
    fn pings_count_with_the_statement_they_surround() {
        let counts = Arc::new(Counts::default());
        let mut connection = begun(&counts);
        connection.sent(&[message(b'P', b"s1\0SELECT 1\0"), message(b'S', b"")].concat());
        counted(&counts, [("round_trips test SELECT 1", 1)]);
        for _ in 0..2 {
            connection.sent(&message(b'S', b""));
            execute(&mut connection, b"SELECT 1\0", b"I");
            connection.sent(&message(b'S', b""));
        }
        counted(&counts, [("round_trips test SELECT 1", 7), ("statements test SELECT 1", 2)]);
        // Only pings, which keep a connection alive.
        connection.sent(&message(b'S', b""));
        connection.sent(&message(b'S', b""));
        counted(&counts, [("round_trips test SELECT 1", 7), ("round_trips test ping", 1), ("statements test SELECT 1", 2)]);
    }

    #[test]
    fn a_transaction_is_one_commit_however_its_bytes_arrive() {
        let counts = Arc::new(Counts::default());
        let mut connection = begun(&counts);
        for byte in message(b'P', b"s1\0INSERT INTO t\n  VALUES ($1)\0") {
            connection.sent(&[byte]);
        }
        for (text, tag, state) in [("BEGIN", &b"BEGIN\0"[..], b"T"), ("COMMIT", b"COMMIT\0", b"I")] {
            connection.sent(&message(b'Q', format!("{text}\0").as_bytes()));
            connection.received(&[message(b'C', tag), message(b'Z', state)].concat());
            if text == "BEGIN" {
                execute(&mut connection, b"INSERT 0 1\0", b"T");
            }
        }
        let each = ["BEGIN", "INSERT INTO t VALUES ($1)", "COMMIT"];
        let expected = each.iter().flat_map(|text| [(format!("round_trips test {text}"), 1), (format!("statements test {text}"), 1)]);
        assert_eq!(counts.snapshot(), expected.chain([("commits test".to_owned(), 1)]).collect());
    }

    #[test]
    fn a_select_that_writes_within_is_a_commit_however_late_in_its_text() {
        let counts = Arc::new(Counts::default());
        let mut connection = begun(&counts);
        let text = format!("WITH free AS (SELECT {} FOR UPDATE), changed AS (UPDATE t SET a = 1) SELECT 1\0", "id, ".repeat(TEXT));
        connection.sent(&message(b'Q', text.as_bytes()));
        connection.received(&[message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat());
        assert_eq!(counts.snapshot().get("commits test"), Some(&1));
    }

    #[test]
    fn what_changes_no_row_or_is_rolled_back_is_no_commit() {
        let counts = Arc::new(Counts::default());
        let mut connection = begun(&counts);
        for tag in [&b"UPDATE 0\0"[..], b"SELECT 3\0"] {
            connection.received(&[message(b'C', tag), message(b'Z', b"I")].concat());
        }
        connection.received(&[message(b'C', b"DELETE 2\0"), message(b'Z', b"T")].concat());
        connection.received(&[message(b'C', b"ROLLBACK\0"), message(b'Z', b"I")].concat());
        counted(&counts, []);
    }
}
