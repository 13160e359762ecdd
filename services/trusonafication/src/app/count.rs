//! How many trusonafications of a relying party there are, in steps of time.

use std::time::Duration;

use nodkey_kernel::{id::RelyingPartyId, time::Timestamp};

use super::App;
use crate::{domain::Status, error::Error, store};

/// How many are counted at most in one call.
const MOST: i64 = 100_000;

/// Of which time they are counted.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// From this moment on.
    pub from: Timestamp,
    /// Until before this moment.
    pub until: Timestamp,
    /// How long a step is; the last one ends with the time.
    pub step: Duration,
}

/// How many were created in one step of time.
#[derive(Clone, Debug)]
pub struct Counted {
    /// When the step begins.
    pub start: Timestamp,
    /// How many are of which status; none of one that is not there.
    pub by_status: Vec<(Status, i64)>,
}

impl App {
    /// Counts, the newest step first; and whether more would have had to be counted than one call does.
    pub async fn count(&self, party: RelyingPartyId, steps: &Steps) -> Result<(Vec<Counted>, bool), Error> {
        let (now, mut left, mut counts) = (self.now(), MOST, Vec::new());
        let mut starts: Vec<_> =
            std::iter::successors(Some(steps.from), |start| Some(*start + steps.step)).take_while(|start| *start < steps.until).collect();
        while let Some(start) = starts.pop() {
            let until = (start + steps.step).min(steps.until);
            // One more than is left tells that there are more.
            let by_status = store::count(&self.db, party, (start, until), left + 1, now).await?;
            left -= by_status.iter().map(|(_, n)| n).sum::<i64>();
            counts.push(Counted { start, by_status });
            if left < 0 {
                return Ok((counts, true));
            }
        }
        Ok((counts, false))
    }
}
