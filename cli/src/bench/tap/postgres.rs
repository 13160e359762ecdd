//! Counts what goes over a PostgreSQL connection (frontend/backend protocol, version 3).
//!
//! A round trip is a simple query or a Sync: what a client waits for. A statement is a simple query or an Execute. A commit is a
//! transaction that changed rows.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::proxy::{Counts, Observer};

/// How much of a statement's text names it.
const TEXT: usize = 120;
/// Asks for TLS, before anything else.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// What a message that changes rows is answered with, and what follows the word.
const WRITES: [&str; 4] = ["INSERT ", "UPDATE ", "DELETE ", "MERGE "];

/// Observes one connection.
pub(super) fn observer(counts: &Arc<Counts>) -> impl Observer + use<> {
    Connection {
        counts: Arc::clone(counts),
        sent: Messages { buffer: Vec::new(), startup: true },
        received: Messages { buffer: Vec::new(), startup: false },
        tls: Tls::Unasked,
        statements: HashMap::new(),
        portal: String::new(),
        running: VecDeque::new(),
        wrote: false,
    }
}

/// Whether the connection is one that can be read.
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
    /// Text by name, of what was prepared.
    statements: HashMap<String, String>,
    /// Text of what was bound last.
    portal: String,
    /// Texts of what was executed and is not yet done.
    running: VecDeque<String>,
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
            b'P' => {
                let (name, text) = (string(), string());
                self.statements.insert(name, shortened(&text));
            }
            b'B' => {
                let (_, name) = (string(), string());
                self.portal = self.statements.get(&name).cloned().unwrap_or_default();
            }
            b'E' => self.statement(self.portal.clone()),
            b'Q' => {
                self.statement(shortened(&string()));
                self.counts.add("round_trips");
            }
            b'S' => self.counts.add("round_trips"),
            _ => {}
        }
    }

    fn statement(&mut self, text: String) {
        self.counts.add("statements");
        self.counts.add(&format!("statement {text}"));
        self.running.push_back(text);
    }

    fn answer(&mut self, kind: u8, body: &[u8]) {
        match kind {
            b'C' => {
                let tag = String::from_utf8_lossy(body.strip_suffix(&[0]).unwrap_or(body));
                let text = self.running.pop_front().unwrap_or_default();
                // A SELECT may change rows in a WITH.
                let changed = WRITES.iter().any(|write| tag.starts_with(write)) && !tag.ends_with(" 0")
                    || text.starts_with("WITH") && WRITES.iter().any(|write| text.contains(write));
                self.wrote = tag != "ROLLBACK" && (self.wrote || changed);
            }
            b'E' => self.running.clear(),
            // Idle again, outside of any transaction.
            b'Z' if body == b"I" => {
                if std::mem::take(&mut self.wrote) {
                    self.counts.add("commits");
                }
            }
            _ => {}
        }
    }
}

fn shortened(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(TEXT).collect()
}

/// Takes a stream of messages apart.
struct Messages {
    buffer: Vec<u8>,
    /// The first message has no kind.
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
        let kind = if self.startup { 0 } else { message[0] };
        self.startup = false;
        Some((kind, message[head + 4..].to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind][..], &length, body].concat()
    }

    /// A connection that has begun, without TLS.
    fn begun(counts: &Arc<Counts>) -> impl Observer + use<> {
        let mut connection = observer(counts);
        connection.sent(&SSL_REQUEST);
        connection.received(b"N");
        connection.sent(&[&[0, 0, 0, 12][..], b"startup\0"].concat());
        connection
    }

    fn counted(counts: &Counts) -> BTreeMap<String, u64> {
        let mut counts = counts.snapshot();
        counts.retain(|name, _| !name.starts_with("statement "));
        counts
    }

    #[test]
    fn a_ping_is_a_round_trip_and_no_statement() {
        let counts = Arc::new(Counts::default());
        let mut connection = begun(&counts);
        connection.sent(&message(b'S', b""));
        connection.received(&message(b'Z', b"I"));
        assert_eq!(counted(&counts), BTreeMap::from([("round_trips".to_owned(), 1)]));
    }

    #[test]
    fn a_transaction_is_one_commit_and_each_statement_counts_under_its_text() {
        let counts = Arc::new(Counts::default());
        let mut connection = begun(&counts);
        for (text, tag, state) in [("BEGIN", &b"BEGIN\0"[..], b"T"), ("COMMIT", b"COMMIT\0", b"I")] {
            connection.sent(&message(b'Q', format!("{text}\0").as_bytes()));
            connection.received(&message(b'C', tag));
            connection.received(&message(b'Z', state));
            if text == "BEGIN" {
                let pieces = [message(b'P', b"s1\0INSERT INTO t\n  VALUES ($1)\0"), message(b'B', b"\0s1\0"), message(b'E', b"\0")];
                for byte in pieces.concat() {
                    connection.sent(&[byte]);
                }
                connection.sent(&message(b'S', b""));
                connection.received(&[message(b'C', b"INSERT 0 1\0"), message(b'Z', b"T")].concat());
            }
        }
        let expected = [("commits", 1), ("round_trips", 3), ("statements", 3)];
        assert_eq!(counted(&counts), expected.map(|(name, count)| (name.to_owned(), count)).into());
        assert_eq!(counts.snapshot()["statement INSERT INTO t VALUES ($1)"], 1);
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
        assert_eq!(counted(&counts), BTreeMap::new());
    }
}
