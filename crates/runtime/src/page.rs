//! Pages of lists, newest first.

use nodkey_kernel::{
    error::{Classify, FieldViolation, Kind},
    jose::{b64u, b64u_decode},
    time::Timestamp,
};

/// How many there are on a page when nothing is asked for.
const DEFAULT: i64 = 50;
/// How many there are at most.
const MAX: i64 = 500;

/// A place in a list: the last thing on the page before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When it was created.
    pub at: Timestamp,
    /// What tells things of the same moment apart.
    pub id: String,
}

/// Which part of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many at most.
    pub size: i64,
    /// After what; `None` from the start.
    pub after: Option<Cursor>,
}

/// The page asked for is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not valid")]
pub struct InvalidPage(&'static str);

impl Classify for InvalidPage {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn reason(&self) -> &'static str {
        "VALIDATION_FAILED"
    }

    fn field_violations(&self) -> Vec<FieldViolation> {
        vec![FieldViolation::new(self.0, "must be 0 to 500, and a token one that a list answered")]
    }
}

impl Page {
    /// Reads `page_size` and `page_token` of a request.
    pub fn parse(size: i32, token: &str) -> Result<Self, InvalidPage> {
        let size = match i64::from(size) {
            0 => DEFAULT,
            n if (1..=MAX).contains(&n) => n,
            _ => return Err(InvalidPage("page_size")),
        };
        let after = if token.is_empty() { None } else { Some(Cursor::parse(token).ok_or(InvalidPage("page_token"))?) };
        Ok(Self { size, after })
    }

    /// Cuts off the row that was read beyond the page, and names the next page if there is one.
    ///
    /// Read `size + 1` rows to know.
    pub fn cut<T>(&self, rows: Vec<T>, cursor: impl Fn(&T) -> Cursor) -> (Vec<T>, String) {
        self.cut_within(usize::MAX, rows, |_| 0, cursor)
    }

    /// The same, where rows may be large: the page ends before it weighs more than `limit`, but holds one row at least.
    pub fn cut_within<T>(
        &self,
        limit: usize,
        mut rows: Vec<T>,
        weight: impl Fn(&T) -> usize,
        cursor: impl Fn(&T) -> Cursor,
    ) -> (Vec<T>, String) {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let mut weighed: usize = 0;
        let fits = rows.iter().take(size).take_while(|row| {
            weighed = weighed.saturating_add(weight(row));
            weighed <= limit
        });
        let fits = fits.count().max(1);
        let more = rows.len() > fits;
        rows.truncate(fits);
        let next = if more { rows.last().map(|row| cursor(row).to_string()).unwrap_or_default() } else { String::new() };
        (rows, next)
    }

    /// The moment to start before; far in the future from the start.
    #[must_use]
    pub fn before(&self) -> Timestamp {
        // Year 9999: both engines hold it.
        self.after.as_ref().map_or(Timestamp::from_seconds(253_402_300_799), |cursor| cursor.at)
    }
}

impl Cursor {
    fn parse(token: &str) -> Option<Self> {
        let text = String::from_utf8(b64u_decode(token).ok()?).ok()?;
        let (at, id) = text.split_once('|')?;
        Some(Self { at: Timestamp::from_micros(at.parse().ok()?), id: id.to_owned() })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&b64u(format!("{}|{}", self.at.as_micros(), self.id).as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bounded_and_tokens_are_ours() {
        assert_eq!(Page::parse(0, "").unwrap().size, 50);
        assert_eq!(Page::parse(500, "").unwrap().size, 500);
        assert!(Page::parse(501, "").is_err());
        assert!(Page::parse(-1, "").is_err());
        assert!(Page::parse(1, "nonsense").is_err());
    }

    #[test]
    fn the_next_page_starts_after_the_last_of_this_one() {
        let page = Page::parse(2, "").unwrap();
        let cursor = |n: &i64| Cursor { at: Timestamp::from_micros(*n), id: n.to_string() };
        let (rows, next) = page.cut(vec![9, 8, 7], cursor);
        assert_eq!(rows, [9, 8]);
        assert_eq!(Page::parse(2, &next).unwrap().after, Some(cursor(&8)));
        assert_eq!(page.cut(vec![9, 8], cursor).1, "");
        assert_eq!(page.cut(vec![], cursor), (vec![], String::new()));
    }

    #[test]
    fn a_page_of_large_rows_ends_early_and_the_next_goes_on() {
        let page = Page::parse(3, "").unwrap();
        let cursor = |n: &i64| Cursor { at: Timestamp::from_micros(*n), id: n.to_string() };
        let cut = |limit| page.cut_within(limit, vec![9, 8, 7, 6], |_| 10, cursor);
        assert_eq!(cut(usize::MAX), (vec![9, 8, 7], cursor(&7).to_string()));
        assert_eq!(cut(29), (vec![9, 8], cursor(&8).to_string()));
        assert_eq!(cut(5), (vec![9], cursor(&9).to_string()), "else it would never go on");
    }
}
