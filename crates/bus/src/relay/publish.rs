//! How a relay publishes: to NATS, in lines, or to the consumers in this process.

use std::time::Duration;

use nodkey_db::Outgoing;
use nodkey_kernel::error::{Classify as _, chain};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::{AGAIN, COMPLAIN, GATHER, Published, Relay, feeds::answers};
use crate::{metrics::PUBLISHED, spans::sending};

impl Relay {
    pub(super) fn track(&mut self, outgoing: Outgoing) {
        if self.feeds.is_some() {
            if self.lines.add_alone(outgoing.seq) {
                self.give(outgoing);
            }
        } else if let Some(first) = self.lines.add(outgoing) {
            self.send(first, Duration::ZERO);
        }
    }

    /// Gives an event to the consumers in this process. They are given the next one about the same thing behind it.
    fn give(&mut self, mut outgoing: Outgoing) {
        let Some(feeds) = &mut self.feeds else { return };
        let span = sending(&self.bus, &mut outgoing.message);
        self.bus.sign(&mut outgoing.message, outgoing.created_at);
        let given = feeds.give(outgoing.seq, &outgoing.message);
        self.in_flight.push(Box::pin(async move {
            let outcome = Ok(answers(given).await);
            drop(span);
            Published { outgoing, outcome }
        }));
        self.sweep_soon();
    }

    fn send(&self, mut outgoing: Outgoing, pause: Duration) {
        let bus = self.bus.clone();
        let span = sending(&bus, &mut outgoing.message);
        // The time is the same on every attempt: a repeated event is no newer than the first copy.
        bus.sign(&mut outgoing.message, outgoing.created_at);
        self.in_flight.push(Box::pin(async move {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let outcome = bus.publish(&outgoing.message).await.map(|()| Vec::new());
            if let Err(error) = &outcome {
                span.fail(error.reason());
            }
            Published { outgoing, outcome }
        }));
    }

    /// Sends the next event of the line. If the event was refused, it is sent again and the line keeps waiting: no event may overtake it.
    pub(super) fn note(&mut self, Published { outgoing, outcome }: Published) {
        match outcome {
            Ok(answers) => {
                if let Some(feeds) = &mut self.feeds {
                    feeds.note(outgoing.seq, answers);
                }
                let fact = outgoing.message.headers.get("ce-type").cloned().unwrap_or_default();
                PUBLISHED.with([fact]).increment(1);
                self.sweep_soon();
                if let Some(next) = self.lines.published(&outgoing) {
                    self.send(next, Duration::ZERO);
                }
            }
            Err(e) => {
                if self.complains() {
                    warn!(service = self.service, event = %outgoing.message.id, error = chain(&e), "events could not be published; trying again");
                }
                let pause = Duration::from_millis((AGAIN / 2 + self.random.below(AGAIN / 2)).into());
                self.send(outgoing, pause);
            }
        }
    }

    /// Whether to log a failure that repeats itself.
    pub(super) fn complains(&mut self) -> bool {
        let now = Instant::now();
        let due = self.complain <= now;
        if due {
            self.complain = now + COMPLAIN;
        }
        due
    }

    pub(super) fn sweep_soon(&mut self) {
        self.sweep.get_or_insert_with(|| Instant::now() + GATHER);
    }
}
