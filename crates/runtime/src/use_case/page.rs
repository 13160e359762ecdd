//! Pages of lists, newest first.

use nodkey_kernel::{
    error::{Classify, FieldViolation, Kind},
    jose::{b64u, b64u_decode},
    time::Timestamp,
};

/// Default page size.
const DEFAULT: i64 = 50;
/// Maximum page size.
const MAX: i64 = 500;
/// Maximum length of an id in a token, in bytes.
const MAX_ID: usize = 64;
/// The range of times in a list: both engines can store them, and nothing is created before or after.
const FIRST: Timestamp = Timestamp::from_seconds(0);
const LAST: Timestamp = Timestamp::from_seconds(253_402_300_799);

/// A position in a list: the last item of the previous page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When the item was created.
    pub at: Timestamp,
    /// Distinguishes items created at the same time.
    pub id: String,
}

/// The requested part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Maximum number of items.
    pub size: i64,
    /// Position after which to begin; `None` for the start.
    pub after: Option<Cursor>,
}

/// The requested page is invalid.
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
    /// Parses `page_size` and `page_token` of a request.
    pub fn parse(size: i32, token: &str) -> Result<Self, InvalidPage> {
        let size = match i64::from(size) {
            0 => DEFAULT,
            n if (1..=MAX).contains(&n) => n,
            _ => return Err(InvalidPage("page_size")),
        };
        let after = if token.is_empty() { None } else { Some(Cursor::parse(token).ok_or(InvalidPage("page_token"))?) };
        Ok(Self { size, after })
    }

    /// The time before which to begin; far in the future for the start.
    #[must_use]
    pub fn before(&self) -> Timestamp {
        self.after.as_ref().map_or(LAST, |cursor| cursor.at)
    }
}

/// The rows of a page as read by a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// Each row with its position; without a value where it cannot be read.
    rows: Vec<(Option<Cursor>, Option<T>)>,
    /// Whether there is a next page.
    more: bool,
}

impl<T> Listed<T> {
    /// Creates a page of at most `size` rows from one row more: the last shows that there is a next page. An unreadable row has no value,
    /// and no position either if even that cannot be read. The page is then shorter, and the next one can still be found.
    pub fn new(size: i64, read: impl IntoIterator<Item = (Option<Cursor>, Option<T>)>) -> Self {
        let size = usize::try_from(size).unwrap_or_default();
        let mut rows: Vec<_> = read.into_iter().take(size + 1).collect();
        let more = rows.len() > size;
        rows.truncate(size);
        Self { rows, more }
    }

    /// Cuts the page before its weight exceeds `limit`, but keeps at least one row, otherwise nobody could get past that row.
    #[must_use]
    pub fn within(mut self, limit: usize, weight: impl Fn(&T) -> usize) -> Self {
        let (mut weighed, mut kept): (usize, bool) = (0, false);
        let fits = self.rows.iter().position(|(_, row)| {
            let Some(row) = row else { return false };
            weighed = weighed.saturating_add(weight(row));
            let first = !std::mem::replace(&mut kept, true);
            weighed > limit && !first
        });
        if let Some(fits) = fits {
            self.rows.truncate(fits);
            self.more = true;
        }
        self
    }

    /// Converts the items, and omits those for which `convert` returns `None`.
    pub fn filter_map<U>(self, mut convert: impl FnMut(T) -> Option<U>) -> Listed<U> {
        let rows = self.rows.into_iter().map(|(place, row)| (place, row.and_then(&mut convert))).collect();
        Listed { rows, more: self.more }
    }

    /// Converts the items.
    pub fn map<U>(self, mut convert: impl FnMut(T) -> U) -> Listed<U> {
        self.filter_map(|row| Some(convert(row)))
    }

    /// Iterates over the items.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().filter_map(|(_, row)| row.as_ref())
    }

    /// The items, and the token of the next page; empty when there is none.
    #[must_use]
    pub fn into_parts(self) -> (Vec<T>, String) {
        let token = self.last().filter(|_| self.more).map(ToString::to_string).unwrap_or_default();
        (self.into_rows(), token)
    }

    /// The items.
    #[must_use]
    pub fn into_rows(self) -> Vec<T> {
        self.rows.into_iter().filter_map(|(_, row)| row).collect()
    }

    /// The position of the last row, whether or not it can be read: the next page begins after it.
    #[must_use]
    pub fn last(&self) -> Option<&Cursor> {
        self.rows.iter().rev().find_map(|(place, _)| place.as_ref())
    }

    /// The position of the last row that cannot be read; `None` when all can.
    #[must_use]
    pub fn last_unreadable(&self) -> Option<&Cursor> {
        let unreadable = self.rows.iter().rposition(|(_, row)| row.is_none())?;
        self.rows[..=unreadable].iter().rev().find_map(|(place, _)| place.as_ref())
    }

    /// Whether there is a next page.
    #[must_use]
    pub const fn has_next(&self) -> bool {
        self.more
    }
}

impl Cursor {
    fn parse(token: &str) -> Option<Self> {
        let text = String::from_utf8(b64u_decode(token).ok()?).ok()?;
        let (at, id) = text.split_once('|')?;
        let at = Timestamp::from_micros(at.parse().ok()?);
        let ours = (FIRST..=LAST).contains(&at) && id.len() <= MAX_ID && id.bytes().all(|b| b.is_ascii_graphic());
        ours.then(|| Self { at, id: id.to_owned() })
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
    fn tokens_that_no_list_answered_are_refused_whatever_they_hold() {
        for at in [i64::MIN, -1, 253_402_300_799_000_001, i64::MAX] {
            assert!(Page::parse(1, &Cursor { at: Timestamp::from_micros(at), id: "a".into() }.to_string()).is_err(), "{at}");
        }
        for id in ["a\0b", "a b", "\u{7}", "ä", &"a".repeat(65)] {
            assert!(Page::parse(1, &Cursor { at: FIRST, id: id.into() }.to_string()).is_err(), "{id:?}");
        }
        for text in ["", "|", "1", "x|a", "9223372036854775808|a", "1e3|a"] {
            assert!(Page::parse(1, &format!("{}=", b64u(text.as_bytes()))).is_err());
            assert!(text.is_empty() || Page::parse(1, &b64u(text.as_bytes())).is_err(), "{text}");
        }
    }

    fn place(n: i64) -> Cursor {
        Cursor { at: Timestamp::from_micros(n), id: n.to_string() }
    }

    fn page(size: i64, read: impl IntoIterator<Item = i64>) -> Listed<i64> {
        Listed::new(size, read.into_iter().map(|n| (Some(place(n)), Some(n))))
    }

    #[test]
    fn the_next_page_starts_after_the_last_of_this_one() {
        let (rows, next) = page(2, [9, 8, 7]).into_parts();
        assert_eq!(rows, [9, 8]);
        assert_eq!(Page::parse(2, &next).unwrap().after, Some(place(8)));
        assert_eq!(page(2, [9, 8]).into_parts().1, "");
        assert_eq!(page(2, []).into_parts(), (vec![], String::new()));
    }

    #[test]
    fn a_page_of_large_rows_ends_early_and_the_next_goes_on() {
        let cut = |limit| page(3, [9, 8, 7, 6]).within(limit, |_| 10).into_parts();
        assert_eq!(cut(usize::MAX), (vec![9, 8, 7], place(7).to_string()));
        assert_eq!(cut(29), (vec![9, 8], place(8).to_string()));
        assert_eq!(cut(5), (vec![9], place(9).to_string()), "else it would never go on");
    }

    #[test]
    fn a_row_that_cannot_be_read_shortens_its_page_and_hides_no_other() {
        let unreadable = Listed::<i64>::new(2, [(Some(place(9)), None), (Some(place(8)), None), (Some(place(7)), Some(7))]);
        assert_eq!(unreadable.into_parts(), (vec![], place(8).to_string()));
        let without_a_place = Listed::new(2, [(Some(place(9)), Some(9)), (None, None), (Some(place(7)), Some(7))]);
        assert_eq!(without_a_place.into_parts(), (vec![9], place(9).to_string()));
        let beyond = Listed::new(1, [(Some(place(9)), Some(9)), (None, None)]);
        assert_eq!(beyond.last_unreadable(), None);
        assert_eq!(beyond.into_parts(), (vec![9], place(9).to_string()), "it is the next page's");
    }

    #[test]
    fn the_last_row_that_cannot_be_read_is_known_also_when_its_place_is_not() {
        let listed = |rows: &[(i64, bool)]| Listed::new(9, rows.iter().map(|(n, reads)| (Some(place(*n)), reads.then_some(*n))));
        assert_eq!(listed(&[(9, true), (8, true)]).last_unreadable(), None);
        assert_eq!(listed(&[(9, false), (8, true), (7, false), (6, true)]).last_unreadable(), Some(&place(7)));
        assert_eq!(listed(&[(9, true), (8, true)]).filter_map(|n| (n != 9).then_some(n)).last_unreadable(), Some(&place(9)));
        let without_a_place = Listed::new(9, [(Some(place(9)), Some(9)), (None, None), (Some(place(7)), Some(7))]);
        assert_eq!(without_a_place.last_unreadable(), Some(&place(9)));
    }
}
