//! What changed: for who waits and may have missed a wake.

use std::time::Duration;

use nodkey_bus::{Looked, look_out};
use nodkey_kernel::{id::TruCodeId, time::Timestamp};
use nodkey_runtime::{
    Job,
    page::{Cursor, Listed},
};
use uuid::Uuid;

use super::{App, all_topic, topic};
use crate::{
    error::Error,
    store::{self, Changed},
};

/// How much later than its time a change may be committed and still be listed, less by how much the clocks of two replicas differ.
const OVERLAP: Duration = Duration::from_secs(30);
/// How many changes, and how many codes, are listed at once.
const PAGE: i64 = 1_000;
/// How often this process looks for those who watch it.
const LOOK: Duration = Duration::from_secs(10);

/// What a look found.
#[derive(Debug)]
pub struct Changes {
    /// Oldest first.
    pub changed: Vec<Changed>,
    /// Codes that were paired, oldest first.
    pub paired: Vec<TruCodeId>,
    /// Where the next look goes on.
    pub cursor: Cursor,
    /// Whether there are more by now.
    pub more: bool,
}

/// A pass over what changed, page by page. The next one begins by [`OVERLAP`] before this one did, wherever pages got to: what is committed
/// while it goes on may have a time that is behind it already.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pass {
    begun: Timestamp,
    /// What is listed next comes after.
    after: Cursor,
}

impl App {
    /// Lists what changed, and which codes were paired, since a look before; nothing at the first.
    pub async fn changes(&self, cursor: Option<Cursor>) -> Result<Changes, Error> {
        let Some(pass) = cursor.map(|cursor| Pass::resume(cursor, self.now())) else { return Ok(self.nothing_yet()) };
        let changed = store::changes(&self.db, &pass.after, PAGE).await?;
        let paired = store::paired_trucodes(&self.db, &pass.after, PAGE).await?;
        // Both go on where the first of them stopped.
        let stopped = [stop(&changed), stop(&paired)].into_iter().flatten().min_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        let (cursor, more) = pass.next(stopped);
        Ok(Changes { changed: changed.into_rows(), paired: paired.into_rows(), cursor, more })
    }

    fn nothing_yet(&self) -> Changes {
        Changes { changed: Vec::new(), paired: Vec::new(), cursor: before(self.now()), more: false }
    }
}

/// Where a page that is not the last stopped.
fn stop<T>(page: &Listed<T>) -> Option<&Cursor> {
    page.last().filter(|_| page.has_next())
}

/// Where a pass begins after one that began `then`.
fn before(then: Timestamp) -> Cursor {
    Cursor { at: then - OVERLAP, id: Uuid::nil().to_string() }
}

impl Pass {
    /// Reads where a look before ended. The id of a cursor within a pass says when that began.
    fn resume(cursor: Cursor, now: Timestamp) -> Self {
        let within = cursor.id.split_once('.').and_then(|(id, begun)| Some((id.to_owned(), begun.parse().ok()?)));
        match within {
            Some((id, begun)) => Self { begun: Timestamp::from_micros(begun), after: Cursor { at: cursor.at, id } },
            None => Self { begun: now, after: cursor },
        }
    }

    /// Where the next look goes on, and whether at once: after the place where this one stopped, or with another pass.
    fn next(&self, stopped: Option<&Cursor>) -> (Cursor, bool) {
        match stopped {
            Some(Cursor { at, id }) => (Cursor { at: *at, id: format!("{id}.{}", self.begun.as_micros()) }, true),
            None => (before(self.begun), false),
        }
    }
}

/// Makes up for the wakes that those who watch this process miss.
pub fn job(app: App) -> Job {
    Job::new("changes", move |shutdown| async move {
        let bus = app.bus.clone();
        let look = |cursor| async {
            let Changes { changed, cursor, more, .. } = app.changes(cursor).await?;
            for change in changed {
                bus.hint(&all_topic(change.relying_party));
                if change.ended {
                    bus.hint(&topic(change.id));
                }
            }
            Ok::<_, Error>(Looked { cursor, more })
        };
        look_out(&bus, LOOK, shutdown, look).await;
    })
}

#[cfg(test)]
mod tests;
