//! Counts the messages of a NATS connection: those published to the server, and those it delivers.

use std::sync::Arc;

use super::proxy::{Counts, Observer};

/// Prefixes of subjects, and the names of their kinds.
const KINDS: [(&str, &str); 4] = [("$JS.ACK.", "ack"), ("$JS.API.", "api"), ("_INBOX.", "reply"), ("wake.", "wake")];

/// Observes one connection.
pub(super) fn observer(counts: &Arc<Counts>) -> impl Observer + use<> {
    Connection { counts: Arc::clone(counts), sent: Parser::default(), received: Parser::default() }
}

struct Connection {
    counts: Arc<Counts>,
    sent: Parser,
    received: Parser,
}

impl Observer for Connection {
    fn sent(&mut self, bytes: &[u8]) {
        self.sent.read(bytes, |subject| self.counts.add(&format!("bus_in {}", kind(subject))));
    }

    fn received(&mut self, bytes: &[u8]) {
        self.received.read(bytes, |subject| self.counts.add(&format!("bus_out {}", kind(subject))));
    }
}

/// A subject may begin with the deployment's prefix.
fn kind(subject: &str) -> &'static str {
    let plain = |subject: &str| KINDS.iter().find(|(start, _)| subject.starts_with(start)).map(|(_, kind)| *kind);
    let prefixed = subject.split_once('.').and_then(|(_, rest)| plain(rest));
    plain(subject).or(prefixed).unwrap_or("event")
}

/// Parses lines, and the payloads that follow some of them.
#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    payload: usize,
}

impl Parser {
    fn read(&mut self, mut bytes: &[u8], mut message: impl FnMut(&str)) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = self.payload.min(bytes.len());
                self.payload -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            self.line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                self.payload = payload(&String::from_utf8_lossy(&line), &mut message);
            }
        }
    }
}

/// Reports the message that a line begins. Returns the length of what follows, including its line end.
fn payload(line: &str, message: &mut impl FnMut(&str)) -> usize {
    let mut words = line.split_ascii_whitespace();
    let verb = words.next().unwrap_or_default();
    if !["PUB", "HPUB", "MSG", "HMSG"].iter().any(|known| verb.eq_ignore_ascii_case(known)) {
        return 0;
    }
    message(words.next().unwrap_or_default());
    words.next_back().and_then(|length| length.parse::<usize>().ok()).map_or(0, |length| length + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(pieces: &[&[u8]]) -> Vec<String> {
        let (mut parser, mut subjects) = (Parser::default(), Vec::new());
        for piece in pieces {
            parser.read(piece, |subject| subjects.push(subject.to_owned()));
        }
        subjects
    }

    #[test]
    fn messages_are_found_however_the_bytes_arrive_and_payloads_are_not_read() {
        let wire = b"CONNECT {}\r\nPUB a.b 5\r\nPUB x\r\nHPUB c r 4 8\r\nPUB y 0\r\nPING\r\nMSG d 1 r 0\r\n\r\n";
        let expected = ["a.b", "c", "d"];
        assert_eq!(subjects(&[wire]), expected);
        let bytes: Vec<_> = wire.chunks(1).collect();
        assert_eq!(subjects(&bytes), expected);
    }

    #[test]
    fn a_subject_tells_what_a_message_is() {
        for (subject, expected) in [
            ("nodkey.evt.trusonafication.v1.created.r.t", "event"),
            ("nodkey.wake.device.x", "wake"),
            ("wake.device.x", "wake"),
            ("$JS.ACK.nodkey_EVT.c.1.2.3.4.0", "ack"),
            ("$JS.API.CONSUMER.MSG.NEXT.s.c", "api"),
            ("_INBOX.abc.1", "reply"),
        ] {
            assert_eq!(kind(subject), expected, "{subject}");
        }
    }
}
