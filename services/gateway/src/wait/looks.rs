//! One look for all callers that wait at this gateway: it wakes those that may have missed the wake of a trusonafication that was created,
//! given to a device or ended since the previous look. Callers that have already seen it are left alone.

use std::time::Duration;

use nodkey_bus::{Bus, Looked, look_out};
use nodkey_kernel::id::DeviceId;
use nodkey_proto::trusonafication::v1::{ListChangesRequest, ListChangesResponse};
use nodkey_runtime::{Actor, Job, status::PeerError};

use super::phones::{device_topic, shown_topic};
use crate::{given::Given, metrics::WAKES_MADE_UP, state::AppState};

/// A job that looks until this gateway stops.
pub fn job(state: AppState, every: Duration) -> Job {
    Job::new("looks", move |shutdown| async move {
        let look = |cursor: Option<String>| async {
            let mut client = state.trusonafications(Actor::Service(None));
            let request = ListChangesRequest { cursor: cursor.unwrap_or_default() };
            let found = client.list_changes(request).await.map_err(PeerError::from)?.into_inner();
            WAKES_MADE_UP.increment(hint(&state.bus, &state.given, &found));
            Ok::<_, PeerError>(Looked { cursor: found.cursor, more: found.more })
        };
        look_out(&state.bus, every, shutdown, look).await;
    })
}

/// Wakes those who wait for what was found. Returns how many wakes were sent.
fn hint(bus: &Bus, given: &Given, found: &ListChangesResponse) -> u64 {
    let mut hints = 0;
    let mut hint = |topic: String| hints += u64::from(bus.hint(&topic));
    for change in &found.changes {
        if change.ended {
            hint(format!("trusonafication.{}", change.id));
            hint(shown_topic(&change.id));
            continue;
        }
        let devices = change.device_identifiers.iter().filter_map(|device| DeviceId::parse(device).ok());
        for device in devices.filter(|device| !given.has(device, &change.id)) {
            hint(device_topic(&device));
        }
    }
    for code in &found.paired_trucode_ids {
        hint(format!("trucode.{code}"));
    }
    hints
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use nodkey_bus::BusConfig;
    use nodkey_proto::trusonafication::v1::{PendingTrusonafication, TrusonaficationChange};

    use super::*;

    #[tokio::test]
    async fn a_look_reaches_who_missed_a_wake_and_nobody_else() {
        let bus = Bus::connect(&BusConfig { url: "memory:".into(), ..BusConfig::default() }).await.unwrap();
        let (given, device) = (Given::new(), DeviceId::parse(&"d".repeat(43)).unwrap());
        let change = |id: &str, ended| TrusonaficationChange {
            id: id.into(),
            ended,
            device_identifiers: if ended { Vec::new() } else { vec![device.to_string()] },
        };
        let found = |changes| ListChangesResponse { changes, paired_trucode_ids: vec!["c".into()], ..ListChangesResponse::default() };
        let mut phone = bus.listen(&device_topic(&device));
        let mut heard = |changes| (hint(&bus, &given, &found(changes)), phone.notified().now_or_never().is_some());
        assert_eq!(heard(vec![change("a", false)]), (1, true));
        given.note(&device, &[PendingTrusonafication { id: "a".into(), ..PendingTrusonafication::default() }]);
        assert_eq!(heard(vec![change("a", false)]), (0, false), "it has it");
        assert_eq!(heard(vec![change("a", true), change("b", true)]), (0, false), "nobody shows it, nobody waits for its end");
        assert_eq!(heard(vec![change("a", false), change("b", false)]), (1, true));
        let [mut backend, mut shown, mut browser] = ["trusonafication.a", "shown.a", "trucode.c"].map(|topic| bus.listen(topic));
        assert_eq!(hint(&bus, &given, &found(vec![change("a", true)])), 3);
        for listener in [&mut backend, &mut shown, &mut browser] {
            assert!(listener.notified().now_or_never().is_some());
        }
    }
}
