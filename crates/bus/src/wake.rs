//! Hints: something about a topic changed, look again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

/// Who listens to what, in this process.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    topics: Mutex<HashMap<String, watch::Sender<()>>>,
}

impl Hub {
    pub(crate) fn wake(&self, topic: &str) {
        if let Some(sender) = self.topics.lock().unwrap_or_else(PoisonError::into_inner).get(topic) {
            sender.send_replace(());
        }
    }

    pub(crate) fn listen(self: &Arc<Self>, topic: &str) -> Listener {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = topics.entry(topic.to_owned()).or_insert_with(|| watch::Sender::new(())).subscribe();
        Listener { receiver, topic: topic.to_owned(), hub: Arc::clone(self) }
    }

    fn forget(&self, topic: &str) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        // The listener that is being dropped still counts.
        if topics.get(topic).is_some_and(|sender| sender.receiver_count() <= 1) {
            topics.remove(topic);
        }
    }
}

/// Listens to one topic until dropped.
#[derive(Debug)]
pub struct Listener {
    receiver: watch::Receiver<()>,
    topic: String,
    hub: Arc<Hub>,
}

impl Listener {
    /// Resolves at the first hint since the listener was made or last resolved. Hints in between are one.
    pub async fn notified(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The hub holds the sender as long as we listen.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.hub.forget(&self.topic);
    }
}
