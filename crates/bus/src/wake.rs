//! Hints: something about a topic changed, read it again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

/// The listeners of each topic in this process.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    topics: Mutex<HashMap<String, watch::Sender<()>>>,
}

impl Hub {
    /// Wakes the listeners of a topic. Returns false when nobody listens.
    pub(crate) fn wake(&self, topic: &str) -> bool {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = topics.get(topic) else { return false };
        sender.send_replace(());
        true
    }

    pub(crate) fn listen(self: &Arc<Self>, topic: &str) -> Listener {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = topics.entry(topic.to_owned()).or_insert_with(|| watch::Sender::new(())).subscribe();
        Listener { receiver: Some(receiver), topic: topic.to_owned(), hub: Arc::clone(self) }
    }

    /// Removes a listener, and its topic if it was the last.
    fn forget(&self, topic: &str, receiver: Option<watch::Receiver<()>>) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: if two end at the same time, the second counts zero.
        drop(receiver);
        if topics.get(topic).is_some_and(|sender| sender.receiver_count() == 0) {
            topics.remove(topic);
        }
    }
}

/// Listens to one topic until dropped.
#[derive(Debug)]
pub struct Listener {
    /// `Some` until dropped.
    receiver: Option<watch::Receiver<()>>,
    topic: String,
    hub: Arc<Hub>,
}

impl Listener {
    /// Resolves at the first hint since the listener was created or last resolved. Several hints in between count as one.
    pub async fn notified(&mut self) {
        // The hub holds the sender as long as we listen.
        if let Some(receiver) = &mut self.receiver
            && receiver.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.hub.forget(&self.topic, self.receiver.take());
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_topic_is_there_until_its_last_listener_is_dropped() {
        let hub = Arc::new(Hub::default());
        assert!(!hub.wake("a"));
        let [first, mut second] = [hub.listen("a"), hub.listen("a")];
        drop(first);
        assert!(hub.wake("a"));
        assert!(second.notified().now_or_never().is_some());
        drop(second);
        assert!(!hub.wake("a"));
        assert!(hub.topics.lock().unwrap().is_empty());
    }

    #[test]
    fn nothing_is_left_of_a_topic_whose_listeners_are_dropped_at_once() {
        let (hub, at_once) = (Arc::new(Hub::default()), Barrier::new(2));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for round in 0..5_000 {
                        let listener = hub.listen(&round.to_string());
                        at_once.wait();
                        drop(listener);
                    }
                });
            }
        });
        assert!(hub.topics.lock().unwrap().is_empty(), "{} are left", hub.topics.lock().unwrap().len());
    }
}
