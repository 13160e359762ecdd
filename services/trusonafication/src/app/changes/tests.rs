use std::collections::BTreeSet;

use nodkey_runtime::page::Page;
use proptest::prelude::*;

use super::*;

/// A write, in seconds of a reference clock.
#[derive(Clone, Debug)]
struct Write {
    /// By the clock of the writer.
    at: i64,
    committed: i64,
    id: Uuid,
}

/// How far the clock of any replica is ahead, and how long any commit takes; together at most [`OVERLAP`].
const SKEW: i64 = 12;
const COMMIT: i64 = 18;

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let write = (60..120_i64, 0..=SKEW, 0..COMMIT, any::<u128>());
    let write = write.prop_map(|(begun, ahead, takes, id)| Write { at: begun + ahead, committed: begun + takes, id: Uuid::from_u128(id) });
    prop::collection::vec(write, 0..40)
}

/// What a store would list, in pages of three.
fn page(writes: &[Write], now: i64, after: &Cursor) -> Listed<Uuid> {
    let place = |write: &Write| Cursor { at: Timestamp::from_seconds(write.at), id: write.id.to_string() };
    let mut there: Vec<_> = writes.iter().filter(|write| write.committed <= now).map(|write| (place(write), write.id)).collect();
    there.sort_by(|(a, _), (b, _)| (a.at, &a.id).cmp(&(b.at, &b.id)));
    let rows = there.into_iter().filter(|(place, _)| (place.at, &place.id) > (after.at, &after.id));
    Listed::new(3, rows.map(|(place, id)| (Some(place), Some(id))))
}

proptest! {
    #[test]
    fn nothing_is_missed_that_is_committed_late_or_by_another_clock(
        writes in writes(),
        // The time since the previous look, and the clock that is used.
        looks in prop::collection::vec((0..20_i64, 0..=SKEW), 30),
    ) {
        let (mut now, mut found) = (60, BTreeSet::new());
        let mut cursor = before(Timestamp::from_seconds(now));
        let mut look = |now: i64, ahead: i64| {
            // As a gateway passes it on.
            let given = Page::parse(0, &cursor.to_string()).unwrap().after.unwrap();
            let pass = Pass::resume(given, Timestamp::from_seconds(now + ahead));
            let page = page(&writes, now, &pass.after);
            let more;
            (cursor, more) = pass.next(stop(&page));
            found.extend(page.into_rows());
            more
        };
        for (pause, ahead) in looks {
            // Pages take time too, and more is committed in the meantime.
            now += pause;
            look(now, ahead);
        }
        // The current pass, and one more.
        for _ in 0..2 {
            now += 200;
            while look(now, 0) {}
        }
        prop_assert_eq!(&found, &writes.iter().map(|write| write.id).collect());
    }
}

#[test]
fn a_pass_goes_on_page_by_page_and_the_next_begins_well_before_it() {
    let at = Timestamp::from_seconds;
    let first = Pass::resume(before(at(1_000)), at(1_010));
    assert_eq!((first.begun, first.after.at), (at(1_010), at(970)));
    let stopped = Cursor { at: at(990), id: Uuid::max().to_string() };
    let (within, more) = first.next(Some(&stopped));
    let second = Pass::resume(within, at(1_060));
    assert_eq!((more, &second), (true, &Pass { begun: at(1_010), after: stopped }));
    assert_eq!(second.next(None), (before(at(1_010)), false), "however long the pages took");
}
