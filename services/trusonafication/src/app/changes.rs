//! Recent changes, for subscribers that may have missed a wake.

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

/// How much later than its timestamp a change may be committed and still be listed, minus the clock difference between two replicas.
const OVERLAP: Duration = Duration::from_secs(30);
/// Maximum number of changes, and of codes, per page.
const PAGE: i64 = 1_000;
/// How often this process looks for changes on behalf of its own subscribers.
const LOOK: Duration = Duration::from_secs(10);

/// A page of changes.
#[derive(Debug)]
pub struct Changes {
    /// Changed trusonafications, oldest first.
    pub changed: Vec<Changed>,
    /// Codes that were paired or ended by wrong numbers, oldest first.
    pub settled: Vec<TruCodeId>,
    /// Where the next page begins.
    pub cursor: Cursor,
    /// Whether more changes are available already.
    pub more: bool,
}

/// A pass over the changes, page by page. The next pass begins [`OVERLAP`] before the start of this one, no matter how far its pages got,
/// since changes committed during the pass may have earlier timestamps.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pass {
    begun: Timestamp,
    /// Listing continues after this position.
    after: Cursor,
}

impl App {
    /// Lists what changed, and which codes were paired or ended by wrong numbers, since an earlier call; nothing for the first call.
    pub async fn changes(&self, cursor: Option<Cursor>) -> Result<Changes, Error> {
        let Some(pass) = cursor.map(|cursor| Pass::resume(cursor, self.now())) else { return Ok(self.nothing_yet()) };
        let changed = store::changes(&self.db, &pass.after, PAGE).await?;
        let settled = store::settled_trucodes(&self.db, &pass.after, PAGE).await?;
        // Both continue where the first of them stopped.
        let stopped = [stop(&changed), stop(&settled)].into_iter().flatten().min_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        let (cursor, more) = pass.next(stopped);
        Ok(Changes { changed: changed.into_rows(), settled: settled.into_rows(), cursor, more })
    }

    fn nothing_yet(&self) -> Changes {
        Changes { changed: Vec::new(), settled: Vec::new(), cursor: before(self.now()), more: false }
    }
}

/// Where a page stopped, unless it is the last one.
fn stop<T>(page: &Listed<T>) -> Option<&Cursor> {
    page.last().filter(|_| page.has_next())
}

/// Where the pass after one that began at `then` begins.
fn before(then: Timestamp) -> Cursor {
    Cursor { at: then - OVERLAP, id: Uuid::nil().to_string() }
}

impl Pass {
    /// Reads the cursor of an earlier call. The id of a cursor within a pass contains the time at which the pass began.
    fn resume(cursor: Cursor, now: Timestamp) -> Self {
        let within = cursor.id.split_once('.').and_then(|(id, begun)| Some((id.to_owned(), begun.parse().ok()?)));
        match within {
            Some((id, begun)) => Self { begun: Timestamp::from_micros(begun), after: Cursor { at: cursor.at, id } },
            None => Self { begun: now, after: cursor },
        }
    }

    /// The next cursor, and whether to continue immediately: after the position where this page stopped, or with a new pass.
    fn next(&self, stopped: Option<&Cursor>) -> (Cursor, bool) {
        match stopped {
            Some(Cursor { at, id }) => (Cursor { at: *at, id: format!("{id}.{}", self.begun.as_micros()) }, true),
            None => (before(self.begun), false),
        }
    }
}

/// Makes up for wakes that subscribers of this process missed.
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
