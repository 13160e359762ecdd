//! Watching one trusonafication until it is over, on as many streams as it takes.

use std::time::Duration;

use futures_util::{Stream, stream::try_unfold};
use nodkey_kernel::random::Random;
use nodkey_proto::trusonafication::v1::{
    Trusonafication, WatchTrusonaficationRequest, trusonafication_service_client::TrusonaficationServiceClient,
};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::{Status, Streaming};

use crate::{
    AuthenticatedChannel, Error, is_terminal,
    retry::{LASTED, ended_early, is_passing, reconnect_pause},
};

/// How long a server may take to end a stream in order.
const FAREWELL: Duration = Duration::from_secs(5);

/// Each state once, then the end. Whatever breaks is opened again, until `limit` is over.
pub(crate) fn watch_within(
    client: TrusonaficationServiceClient<AuthenticatedChannel>,
    random: Random,
    id: &str,
    limit: Duration,
) -> impl Stream<Item = Result<Trusonafication, Error>> + Send + use<> {
    let began = Instant::now();
    let watch = Watch { client, random, id: id.to_owned(), states: None, seen: 0, is_over: false, failures: 0, began, trouble: None };
    // Durations that no clock can hold are no limit.
    let deadline = began.checked_add(limit);
    try_unfold(watch, move |mut watch| async move {
        let next = match deadline {
            Some(deadline) => timeout_at(deadline, watch.next()).await,
            None => Ok(watch.next().await),
        };
        match next {
            Ok(Ok(Some(state))) => Ok(Some((state, watch))),
            Ok(Ok(None)) => Ok(None),
            Ok(Err(status)) => Err(status.into()),
            Err(_) => Err(Error::late(limit, watch.trouble.take())),
        }
    })
}

struct Watch {
    client: TrusonaficationServiceClient<AuthenticatedChannel>,
    random: Random,
    id: String,
    states: Option<Streaming<Trusonafication>>,
    /// The version of the last state that was returned.
    seen: i64,
    is_over: bool,
    failures: u32,
    /// When the last stream began.
    began: Instant,
    /// Why there is no stream.
    trouble: Option<String>,
}

impl Watch {
    /// The next state; `None` after the last.
    async fn next(&mut self) -> Result<Option<Trusonafication>, Status> {
        loop {
            if self.is_over {
                self.farewell().await;
                return Ok(None);
            }
            match self.state().await {
                Ok(state) => {
                    self.is_over = is_terminal(state.status());
                    if state.version > self.seen {
                        self.seen = state.version;
                        return Ok(Some(state));
                    }
                }
                Err(status) if is_passing(&status) => {
                    self.states = None;
                    self.failures = if self.began.elapsed() < LASTED { self.failures.saturating_add(1) } else { 1 };
                    self.trouble = Some(status.message().to_owned()).filter(|message| !message.is_empty());
                    sleep(reconnect_pause(&self.random, &status, self.failures)).await;
                }
                Err(status) => return Err(status),
            }
        }
    }

    /// The next that a stream says.
    async fn state(&mut self) -> Result<Trusonafication, Status> {
        let states = if let Some(states) = &mut self.states {
            states
        } else {
            self.began = Instant::now();
            let request = WatchTrusonaficationRequest { id: self.id.clone() };
            let states = self.client.watch_trusonafication(request).await?.into_inner();
            self.trouble = None;
            self.states.insert(states)
        };
        states.message().await?.ok_or_else(ended_early)
    }

    /// Reads to the end: abandoning a call counts as misbehavior of the server, and 1,024 of them end the connection.
    async fn farewell(&mut self) {
        if let Some(mut states) = self.states.take() {
            let _ = timeout(FAREWELL, async { while let Ok(Some(_)) = states.message().await {} }).await;
        }
    }
}
