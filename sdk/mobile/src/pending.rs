//! Pending challenges, as they arrive.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream};
use nodkey_kernel::challenge::{self, ChallengeError};
use serde::Deserialize;
use serde_json::Value;

use crate::{Challenge, Environment, Error, TrusonaficationId, Untrusted, transport::Transport, trust::KeySet};

/// The gateway sends something every 15 seconds; a stream that is silent for longer than this is dead.
const SILENCE: Duration = Duration::from_secs(40);

/// A challenge for the person. [`Phone`](crate::Phone) returns it only after verifying the signature.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pending {
    /// Trusonafication id.
    pub id: TrusonaficationId,
    /// What to show: these fields and no others.
    pub challenge: Challenge,
    /// Whether the person started it themselves, with a code: show it before all others.
    pub self_started: bool,
    pub(crate) jws: String,
}

impl Pending {
    /// Whether to show this to the person, who then decides. If not, accept it without showing anything: if presence must be proven, only
    /// the OS prompts.
    #[must_use]
    pub const fn is_shown(&self) -> bool {
        self.challenge.prompt || self.challenge.number_match.is_some()
    }

    /// Whether accepting requires proof that the person is present.
    #[must_use]
    pub const fn needs_presence(&self) -> bool {
        self.challenge.presence || self.challenge.level >= 2
    }

    /// Sort key for several pending challenges: first those that the person started, then the oldest.
    #[must_use]
    pub fn turn(&self) -> impl Ord + '_ {
        (!self.self_started, self.challenge.issued_at, &self.id)
    }
}

/// Everything that waits for a response.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Open {
    /// The challenges to answer: first those that the person started, then the oldest.
    pub pending: Vec<Pending>,
    /// Challenges that cannot be trusted, by the id they came with. They do not affect the others.
    pub untrusted: Vec<(TrusonaficationId, Untrusted)>,
}

/// An event of a stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PhoneEvent {
    /// There is a challenge to answer. While it is open, each new stream sends it again, unchanged.
    Asked(Box<Pending>),
    /// A challenge is over: stop showing it.
    Closed {
        /// Trusonafication id.
        id: TrusonaficationId,
    },
    /// A challenge arrived that cannot be trusted.
    Untrusted {
        /// The id it came with.
        id: TrusonaficationId,
        /// Why.
        reason: Untrusted,
    },
    /// Everything that was open when the stream began has arrived, and everything that ended since the previous stream was
    /// [closed](Self::Closed).
    Synced,
}

/// The challenges that the phone received and that are not reported as over.
#[derive(Debug, Default)]
pub(crate) struct Shown(Mutex<BTreeSet<TrusonaficationId>>);

impl Shown {
    fn change<T>(&self, change: impl FnOnce(&mut BTreeSet<TrusonaficationId>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One event of a stream, as sent.
pub(crate) struct Heard<'a> {
    pub(crate) name: &'a str,
    pub(crate) data: &'a str,
}

/// Reads the gateway's lists.
pub(crate) struct Reader<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) keys: &'a KeySet,
    pub(crate) shown: &'a Shown,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    challenge: Value,
    #[serde(default)]
    self_started: Option<bool>,
}

impl Reader<'_> {
    /// Reads a whole list.
    pub(crate) async fn list(&self, listed: Vec<Value>) -> Result<Open, Error> {
        let mut open = Open::default();
        for one in listed {
            match self.one(one).await? {
                Some(PhoneEvent::Asked(pending)) => open.pending.push(*pending),
                Some(PhoneEvent::Untrusted { id, reason }) => open.untrusted.push((id, reason)),
                _ => {}
            }
        }
        Ok(open)
    }

    /// Reads an event. `heard` contains the ids that arrived on this stream.
    pub(crate) async fn event(&self, event: Heard<'_>, heard: &Mutex<BTreeSet<TrusonaficationId>>) -> Vec<Result<PhoneEvent, Error>> {
        let Ok(data) = serde_json::from_str::<Value>(event.data) else { return Vec::new() };
        let id = data["id"].as_str().map(TrusonaficationId::from);
        match (event.name, id) {
            ("trusonafication", Some(id)) => {
                let read = self.one(data).await;
                if let Ok(Some(_)) = read {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
                    self.shown.change(|shown| shown.insert(id));
                }
                read.transpose().into_iter().collect()
            }
            ("closed", Some(id)) => {
                heard.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                self.shown.change(|shown| shown.remove(&id));
                vec![Ok(PhoneEvent::Closed { id })]
            }
            ("synced", _) => {
                let heard = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let gone = self.shown.change(|shown| {
                    let gone: Vec<_> = shown.difference(&heard).cloned().collect();
                    *shown = heard;
                    gone
                });
                gone.into_iter().map(|id| PhoneEvent::Closed { id }).chain([PhoneEvent::Synced]).map(Ok).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Returns nothing when it is not a challenge, or is over.
    async fn one(&self, listed: Value) -> Result<Option<PhoneEvent>, Error> {
        let Ok(Listed { id, challenge, self_started }) = serde_json::from_value(listed) else { return Ok(None) };
        let id = TrusonaficationId::from(id);
        let Some(jws) = challenge.as_str() else {
            return Ok(Some(PhoneEvent::Untrusted { id, reason: Untrusted::Malformed }));
        };
        let verify = |keys: &_| challenge::verify_challenge(jws, keys, self.transport.base(), self.transport.now());
        let reason = match self.keys.verify(self.transport, verify).await? {
            // It expired in transit. It does not affect the others.
            Err(ChallengeError::Expired) => return Ok(None),
            Err(reason) => Untrusted::from_kernel(reason),
            Ok(challenge) if id != challenge.jti => Untrusted::Mismatch,
            Ok(challenge) => {
                let self_started = self_started.unwrap_or_default();
                let pending = Pending { id, challenge: Challenge::from_kernel(challenge), self_started, jws: jws.to_owned() };
                return Ok(Some(PhoneEvent::Asked(Box::new(pending))));
            }
        };
        Ok(Some(PhoneEvent::Untrusted { id, reason }))
    }
}

/// Passes the items on until nothing has arrived for too long: then it fails, because the connection is dead.
pub(crate) fn while_alive<T, E>(
    items: impl Stream<Item = Result<T, E>> + Send,
    environment: Arc<dyn Environment>,
) -> impl Stream<Item = Result<T, io::Error>> + Send
where
    T: Send,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    stream::unfold(Some((Box::pin(items), environment)), async |state| {
        let (mut items, environment) = state?;
        tokio::select! {
            biased;
            item = items.next() => Some((item?.map_err(io::Error::other), Some((items, environment)))),
            () = environment.sleep(SILENCE) => Some((Err(io::Error::new(io::ErrorKind::TimedOut, "the stream is silent")), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use async_trait::async_trait;

    use super::*;

    /// Every sleep is over at once.
    struct Sleepless;

    #[async_trait]
    impl Environment for Sleepless {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }

        fn fill(&self, _: &mut [u8]) {}

        async fn sleep(&self, _: Duration) {}
    }

    #[tokio::test]
    async fn a_stream_that_is_silent_for_too_long_ends() {
        let items = stream::iter([Ok::<_, io::Error>(1)]).chain(stream::pending());
        let items: Vec<_> = while_alive(items, Arc::new(Sleepless)).map(Result::ok).collect().await;
        assert_eq!(items, [Some(1), None]);
    }
}
