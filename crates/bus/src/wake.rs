//! Wakes: something about a topic changed. They are hints, which may be lost.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use nodkey_kernel::service_key::ServiceName;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// Maximum size of a payload. A wake with a larger one arrives without it.
pub(crate) const MAX_PAYLOAD: usize = 4096;
/// Maximum number of payloads kept for a listener until it takes them.
const MAX_WAITING: usize = 4;

/// A kind of topic that other processes may listen to. Every other topic is woken in its own process only.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The first token of its topics.
    pub(crate) name: &'static str,
    /// Its topics as NATS writes them.
    pub(crate) topics: &'static str,
    /// The service that wakes them.
    pub(crate) publisher: ServiceName,
    /// The services that listen to them.
    pub(crate) listeners: &'static [ServiceName],
    /// Whether a process subscribes to each topic while it listens to it, instead of to all of the kind from the first on.
    pub(crate) singly: bool,
}

/// The topic of a service's relay, which a replica without the lease wakes at the one with it.
pub(crate) fn relay_topic(service: &str) -> String {
    format!("relay_{service}")
}

/// The kind of the topic of one service's relay.
const fn relay(name: &'static str, service: &'static [ServiceName]) -> Kind {
    Kind { name, topics: name, publisher: service[0], listeners: service, singly: false }
}

/// The kinds.
pub(crate) const KINDS: &[Kind] = &[
    relay("relay_registry", &[ServiceName::Registry]),
    relay("relay_binding", &[ServiceName::Binding]),
    relay("relay_trusonafication", &[ServiceName::Trusonafication]),
    relay("relay_notification", &[ServiceName::Notification]),
    Kind { name: "device", topics: "device.>", publisher: ServiceName::Trusonafication, listeners: &[ServiceName::Gateway], singly: false },
    Kind {
        name: "trusonafication",
        topics: "trusonafication.>",
        publisher: ServiceName::Trusonafication,
        listeners: &[ServiceName::Gateway, ServiceName::Trusonafication],
        singly: false,
    },
    // Few listen, and to few relying parties, but each of their requests wakes one.
    Kind {
        name: "trusonafications",
        topics: "trusonafications.>",
        publisher: ServiceName::Trusonafication,
        listeners: &[ServiceName::Trusonafication],
        singly: true,
    },
    Kind {
        name: "trucode",
        topics: "trucode.>",
        publisher: ServiceName::Trusonafication,
        listeners: &[ServiceName::Gateway],
        singly: false,
    },
    Kind {
        name: "relying_parties",
        topics: "relying_parties",
        publisher: ServiceName::Registry,
        listeners: &[ServiceName::Trusonafication],
        singly: false,
    },
    Kind {
        name: "signing_keys",
        topics: "signing_keys",
        publisher: ServiceName::Trusonafication,
        listeners: &[ServiceName::Trusonafication],
        singly: false,
    },
];

impl Kind {
    /// The kind of a topic; `None` if no other process may listen to it.
    pub(crate) fn of(topic: &str) -> Option<&'static Self> {
        let name = topic.split('.').next();
        KINDS.iter().find(|kind| Some(kind.name) == name)
    }
}

/// What arrived for a listener since it was created or last notified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Something changed: read it from its owner.
    Changed,
    /// Only this, oldest first: payloads that the service which wakes the topic signed less than a minute ago. There is always one.
    With(Vec<Bytes>),
}

/// The listeners of each topic in this process.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    topics: Mutex<HashMap<String, Topic>>,
}

#[derive(Debug)]
struct Topic {
    listeners: Vec<Arc<Slot>>,
    /// Ends with the topic.
    _subscription: Option<AbortOnDropHandle<()>>,
}

/// What waits for one listener.
#[derive(Debug, Default)]
struct Slot {
    waiting: Mutex<Option<Woken>>,
    notify: Notify,
}

impl Hub {
    /// Wakes the listeners of a topic. Returns false when nobody listens.
    pub(crate) fn wake(&self, topic: &str, payload: Option<&Bytes>) -> bool {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(topic) = topics.get(topic) else { return false };
        for slot in &topic.listeners {
            slot.put(payload);
        }
        true
    }

    /// Whether somebody listens to a topic.
    pub(crate) fn is_listened_to(&self, topic: &str) -> bool {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).contains_key(topic)
    }

    /// Listens. The first listener of a topic subscribes, for as long as the topic has any.
    pub(crate) fn listen(self: &Arc<Self>, topic: &str, subscribe: impl FnOnce() -> Option<AbortOnDropHandle<()>>) -> Listener {
        let slot = Arc::new(Slot::default());
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = topics.entry(topic.to_owned()).or_insert_with(|| Topic { listeners: Vec::new(), _subscription: subscribe() });
        entry.listeners.push(Arc::clone(&slot));
        Listener { slot, topic: topic.to_owned(), hub: Arc::clone(self) }
    }

    /// Removes a listener, and its topic if it was the last.
    fn forget(&self, topic: &str, slot: &Arc<Slot>) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = topics.get_mut(topic) else { return };
        entry.listeners.retain(|other| !Arc::ptr_eq(other, slot));
        if entry.listeners.is_empty() {
            topics.remove(topic);
        }
    }
}

impl Slot {
    fn put(&self, payload: Option<&Bytes>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = match (waiting.take(), payload) {
            (None, Some(payload)) => Some(Woken::With(vec![payload.clone()])),
            (Some(Woken::With(mut payloads)), Some(payload)) if payloads.len() < MAX_WAITING => {
                payloads.push(payload.clone());
                Some(Woken::With(payloads))
            }
            _ => Some(Woken::Changed),
        };
        drop(waiting);
        self.notify.notify_one();
    }

    fn take(&self) -> Option<Woken> {
        mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Listens to one topic until dropped.
#[derive(Debug)]
pub struct Listener {
    slot: Arc<Slot>,
    topic: String,
    hub: Arc<Hub>,
}

impl Listener {
    /// Resolves at the first wake since the listener was created or last resolved. Several in between count as one: [`Woken::Changed`] if
    /// any came without a payload, or more came than are kept.
    pub async fn notified(&mut self) -> Woken {
        loop {
            if let Some(woken) = self.slot.take() {
                return woken;
            }
            self.slot.notify.notified().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.hub.forget(&self.topic, &self.slot);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use futures_util::FutureExt as _;

    use super::*;

    fn listen(hub: &Arc<Hub>, topic: &str) -> Listener {
        hub.listen(topic, || None)
    }

    #[test]
    fn a_topic_is_there_until_its_last_listener_is_dropped() {
        let hub = Arc::new(Hub::default());
        assert!(!hub.wake("a", None));
        let [first, mut second] = [listen(&hub, "a"), listen(&hub, "a")];
        drop(first);
        assert!(hub.wake("a", None) && hub.is_listened_to("a"));
        assert!(second.notified().now_or_never().is_some());
        drop(second);
        assert!(!hub.wake("a", None) && !hub.is_listened_to("a"));
        assert!(hub.topics.lock().unwrap().is_empty());
    }

    #[test]
    fn nothing_is_left_of_a_topic_whose_listeners_are_dropped_at_once() {
        let (hub, at_once) = (Arc::new(Hub::default()), Barrier::new(2));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for round in 0..5_000 {
                        let listener = listen(&hub, &round.to_string());
                        at_once.wait();
                        drop(listener);
                    }
                });
            }
        });
        assert!(hub.topics.lock().unwrap().is_empty(), "{} are left", hub.topics.lock().unwrap().len());
    }

    #[test]
    fn payloads_are_given_while_they_say_everything_and_are_few() {
        let hub = Arc::new(Hub::default());
        let mut listener = listen(&hub, "a");
        let mut after = |wakes: &[Option<&'static str>]| {
            for wake in wakes {
                hub.wake("a", wake.map(|text| Bytes::from_static(text.as_bytes())).as_ref());
            }
            listener.notified().now_or_never()
        };
        let with = |texts: &[&'static str]| Some(Woken::With(texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()));
        assert_eq!(after(&[Some("1"), Some("2")]), with(&["1", "2"]));
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[Some("1"), None]), Some(Woken::Changed));
        assert_eq!(after(&[None, Some("1")]), Some(Woken::Changed));
        assert_eq!(after(&[Some("1"); MAX_WAITING]), with(&["1"; MAX_WAITING]));
        assert_eq!(after(&[Some("1"); MAX_WAITING + 1]), Some(Woken::Changed));
        assert_eq!(after(&[Some("1")]), with(&["1"]));
    }

    #[test]
    fn each_service_that_publishes_events_wakes_its_own_relays() {
        for service in ServiceName::ALL.iter().copied().filter(|service| *service != ServiceName::Gateway) {
            let kind = Kind::of(&relay_topic(service.as_str())).unwrap();
            assert_eq!((kind.publisher, kind.listeners, kind.topics), (service, &[service][..], &*relay_topic(service.as_str())));
        }
    }

    #[test]
    fn only_topics_of_a_kind_leave_the_process() {
        assert_eq!(Kind::of("trusonafications.p").map(|kind| kind.topics), Some("trusonafications.>"));
        assert_eq!(Kind::of("signing_keys").map(|kind| kind.topics), Some("signing_keys"));
        assert!(Kind::of("shown.t").is_none() && Kind::of("deliveries.p").is_none());
    }
}
