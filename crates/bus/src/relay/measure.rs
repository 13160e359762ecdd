//! What a relay measures.

use nodkey_db::outbox;
use nodkey_kernel::time::Timestamp;
use tokio::time::Instant;

use super::{MEASURE, Relay};
use crate::metrics::{OUTBOX_DEPTH, OUTBOX_OLDEST};

impl Relay {
    pub(super) async fn measure_now_and_then(&mut self) {
        let now = Instant::now();
        if self.measure <= now {
            self.measure = now + MEASURE;
            self.measure().await;
        }
    }

    pub(super) async fn measure(&mut self) {
        if let Ok((depth, oldest)) = outbox::depth_after(&self.db, self.position.after()).await {
            self.report(usize::try_from(depth).unwrap_or(0) + self.lines.len(), oldest);
        }
    }

    pub(super) fn report(&self, depth: usize, oldest: Option<Timestamp>) {
        let seconds = oldest.map_or(0.0, |at| at.until(self.clock.now()).as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
        OUTBOX_DEPTH.with([self.service]).set(depth as f64);
        OUTBOX_OLDEST.with([self.service]).set(seconds);
    }

    pub(super) async fn measure_feeds_now_and_then(&mut self) {
        let now = Instant::now();
        if self.measure_feeds <= now
            && let Some(feeds) = &mut self.feeds
        {
            self.measure_feeds = now + MEASURE;
            feeds.report(&self.db, self.clock.now()).await;
        }
    }
}
