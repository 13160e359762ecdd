//! Publishing again what devices became, for consumers that missed it.

use nodkey_db::outbox::{Entry, EventContext};
use nodkey_kernel::{id::DeviceId, time::Timestamp};
use nodkey_proto::{Event, registry::v1::DeviceRetired};
use nodkey_runtime::{
    page::Cursor,
    replay::{Replayed, Span, publish_again},
};

use super::{App, devices::registered};
use crate::{domain::device::Device, error::Error, store::device as store};

/// How many devices a call looks at.
const PAGE: i64 = 500;

impl App {
    /// Publishes again what became of the next devices.
    ///
    /// A row holds its object as it is now. So it is published that a device was registered only while its keys are those of then, and no
    /// change of its keys is: nothing says which it had before.
    pub async fn replay_events(&self, span: Span) -> Result<Replayed, Error> {
        let after = span.after.as_ref().map_or("", |cursor| cursor.id.as_str());
        let seen = store::moments_after(&self.0.db, after, PAGE).await?;
        let is_last = seen.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        let next = seen.last().filter(|_| !is_last).map(|last| Cursor { at: span.since, id: last.id.clone() });
        let mut entries = Vec::new();
        for moments in seen {
            if !span.contains(moments.created_at) && !moments.retired_at.is_some_and(|at| span.contains(at)) {
                continue;
            }
            let Ok(id) = DeviceId::parse(&moments.id) else { continue };
            let Some(device) = store::get(&self.0.db, moments.relying_party, &id).await? else { continue };
            let changes = device.version - 1 - i64::from(device.retired_at.is_some());
            if changes == 0 && span.contains(device.created_at) {
                entries.push(entry(&registered(&device), &device, 1, device.created_at));
            }
            if let Some(at) = device.retired_at.filter(|at| span.contains(*at)) {
                entries.push(entry(&DeviceRetired { device_id: device.id.to_string() }, &device, device.version, at));
            }
        }
        Ok(Replayed { count: publish_again(&self.0.db, &entries).await?, next })
    }
}

fn entry<E: Event>(event: &E, device: &Device, version: i64, now: Timestamp) -> Entry {
    Entry::new(event, &EventContext { now, version, relying_party: device.relying_party })
}

#[cfg(test)]
mod tests;
