//! What a table holds, summed up in the same way on both engines.

use std::collections::BTreeSet;

use nodkey_kernel::{jose::sha256, vault::key_id};
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};

/// What a table holds. Equal contents mean equal rows, on whichever engine and in whichever order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Number of rows.
    pub rows: u64,
    /// Sum of the SHA-256 hashes of all rows, in hex. It finds what was lost or damaged; it is no proof against somebody who can choose the
    /// rows.
    pub digest: String,
    /// Ids of the master keys that its sealed values name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub master_keys: BTreeSet<String>,
}

/// How often progress is reported, in rows.
const REPORT: u64 = 1000;

/// Sums up rows, and reports how many it has read.
pub(crate) struct Sum<F> {
    /// Positions of the columns in the order of their names, which is the same on both engines.
    order: Vec<(String, usize)>,
    rows: u64,
    /// Each word wraps by itself: addition does not depend on the order of the rows.
    words: [u64; 4],
    master_keys: BTreeSet<String>,
    /// The bytes of a row, kept to be used again.
    buffer: Vec<u8>,
    read: F,
}

impl<F: FnMut(u64)> Sum<F> {
    /// For rows with these columns.
    pub(crate) fn new(columns: &[String], read: F) -> Self {
        let mut order: Vec<_> = columns.iter().cloned().enumerate().map(|(at, name)| (name, at)).collect();
        order.sort();
        Self { order, rows: 0, words: [0; 4], master_keys: BTreeSet::new(), buffer: Vec::new(), read }
    }

    /// Adds a row: a value for each column.
    pub(crate) fn add(&mut self, row: &[Value]) {
        self.buffer.clear();
        for (name, at) in &self.order {
            // Each part with its length, so that no two rows have the same bytes.
            put(&mut self.buffer, b'n', name.as_bytes());
            match row.get(*at) {
                None | Some(Value::Null) => put(&mut self.buffer, b'0', &[]),
                Some(Value::Integer(n)) => put(&mut self.buffer, b'i', &n.to_be_bytes()),
                Some(Value::Real(n)) => put(&mut self.buffer, b'r', &n.to_be_bytes()),
                Some(Value::Text(text)) => put(&mut self.buffer, b't', text.as_bytes()),
                Some(Value::Blob(bytes)) => {
                    self.master_keys.extend(key_id(bytes));
                    put(&mut self.buffer, b'b', bytes);
                }
            }
        }
        let hash = sha256(&self.buffer);
        for (word, bytes) in self.words.iter_mut().zip(hash.chunks_exact(8)) {
            let bytes = bytes.iter().fold(0, |word: u64, byte| word << 8 | u64::from(*byte));
            *word = word.wrapping_add(bytes);
        }
        self.rows += 1;
        if self.rows.is_multiple_of(REPORT) {
            (self.read)(self.rows);
        }
    }

    pub(crate) fn finish(mut self) -> Content {
        (self.read)(self.rows);
        let [a, b, c, d] = self.words;
        let digest = format!("{a:016x}{b:016x}{c:016x}{d:016x}");
        Content { rows: self.rows, digest, master_keys: self.master_keys }
    }
}

fn put(buffer: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    buffer.push(kind);
    buffer.extend_from_slice(&bytes.len().to_be_bytes());
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(columns: &[&str], rows: &[&[Value]]) -> Content {
        let mut sum = Sum::new(&columns.iter().map(ToString::to_string).collect::<Vec<_>>(), |_| {});
        for row in rows {
            sum.add(row);
        }
        sum.finish()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn the_order_of_rows_and_columns_makes_no_difference() {
        let (a, b) = ([text("a"), Value::Integer(1)], [text("b"), Value::Null]);
        let content = of(&["name", "size"], &[&a, &b]);
        assert_eq!(content, of(&["name", "size"], &[&b, &a]));
        assert_eq!(content, of(&["size", "name"], &[&[Value::Integer(1), text("a")], &[Value::Null, text("b")]]));
        assert_eq!(content.rows, 2);
    }

    #[test]
    fn every_other_difference_does() {
        let content = of(&["a", "b"], &[&[text("x"), text("y")]]);
        for other in [
            of(&["a", "b"], &[&[text("xy"), text("")]]),
            of(&["a", "b"], &[&[text("y"), text("x")]]),
            of(&["a", "b"], &[&[text("x"), Value::Blob(b"y".to_vec())]]),
            of(&["a", "b"], &[&[text("x"), Value::Null]]),
            of(&["a", "c"], &[&[text("x"), text("y")]]),
            of(&["a", "b"], &[&[text("x"), text("y")], &[text("x"), text("y")]]),
            of(&["a", "b"], &[]),
        ] {
            assert_ne!(content, other);
        }
    }

    #[test]
    fn the_master_keys_that_sealed_values_name_are_found() {
        let sealed = nodkey_kernel::vault::Vault::new(&[7; 32]).seal(&nodkey_kernel::random::Random::seeded(1), "x", b"secret");
        let content = of(&["data"], &[&[Value::Blob(sealed)], &[Value::Blob(b"open".to_vec())]]);
        let ids: Vec<_> = nodkey_kernel::vault::Vault::new(&[7; 32]).key_ids().collect();
        assert_eq!(content.master_keys.into_iter().collect::<Vec<_>>(), ids);
    }
}
