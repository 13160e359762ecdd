//! Whether a process is alive, and whether it is ready: one check for `/readyz`, for `grpc.health.v1` and for the log.

mod grpc;

use std::{
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use futures_util::future::join_all;
use nodkey_db::Db;
use nodkey_kernel::error::chain;
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

pub(crate) use self::grpc::HealthApi;
use super::{opening::Opening, service::Job};

/// How long a database may take to confirm that it accepts writes.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a result of `/readyz` is reused: anyone may request it.
const GOOD_FOR: Duration = Duration::from_millis(100);

/// Interval of checks for callers that wait for a change.
const AGAIN: Duration = Duration::from_secs(1);

/// A process is not ready until it is marked as started.
const STARTING: &str = "starting";

/// The conditions of readiness. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    databases: Vec<(&'static str, Db)>,
    opening: Opening,
    /// Canceled once everything that users need is there.
    started: CancellationToken,
    stopping: CancellationToken,
    recent: Mutex<Option<Looked>>,
    logged: StdMutex<Option<Vec<String>>>,
}

/// When the check ran, and what it found.
type Looked = (Instant, Vec<String>);

impl Health {
    /// Creates the state of a process that is starting.
    pub(crate) fn new(databases: Vec<(&'static str, Db)>, opening: Opening) -> Self {
        Self(Arc::new(Inner {
            databases,
            opening,
            started: CancellationToken::new(),
            stopping: CancellationToken::new(),
            recent: Mutex::default(),
            logged: StdMutex::default(),
        }))
    }

    /// Marks that everything users need is there.
    pub(crate) fn started(&self) {
        self.0.started.cancel();
    }

    /// Marks that the process is stopping: it is no longer ready.
    pub(crate) fn stopping(&self) {
        self.0.stopping.cancel();
    }

    /// The same as [`Self::problems`], checked once for all concurrent callers. A result younger than `good_for` is reused.
    async fn recent_problems(&self, good_for: Duration) -> Vec<String> {
        // Starting and stopping are known without a check.
        if let Some(state) = self.state() {
            return vec![state.to_owned()];
        }
        let mut recent = self.0.recent.lock().await;
        match &*recent {
            Some((at, problems)) if at.elapsed() < good_for && !is_state(problems) => problems.clone(),
            _ => {
                let problems = self.problems().await;
                // Timestamped when it was found: callers that waited for the same check use it.
                recent.insert((Instant::now(), problems)).1.clone()
            }
        }
    }

    /// `/livez` and `/readyz`.
    pub(crate) fn routes(self) -> Router {
        Router::new().route("/livez", get(|| async { Json(json!({"status": "ok"})) })).route("/readyz", get(ready)).with_state(self)
    }

    /// Why this process cannot serve its requests; empty when ready. The bus is never a reason: events wait in the outbox.
    pub(crate) async fn problems(&self) -> Vec<String> {
        let databases = self.0.databases.iter().map(async |(name, db)| fault(db).await.map(|fault| format!("{name}: {fault}")));
        let mut problems: Vec<_> = join_all(databases).await.into_iter().flatten().collect();
        if problems.is_empty() {
            problems = self.0.opening.problems().await;
        }
        problems.extend(self.state().map(ToOwned::to_owned));
        self.log(&problems);
        problems
    }

    /// The state of the process, if it keeps it from being ready.
    fn state(&self) -> Option<&'static str> {
        if self.0.stopping.is_cancelled() {
            Some("stopping")
        } else if self.0.started.is_cancelled() {
            None
        } else {
            Some(STARTING)
        }
    }

    /// Logs what changed.
    fn log(&self, problems: &[String]) {
        let mut logged = self.0.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if is_state(problems) || logged.as_deref() == Some(problems) {
            return;
        }
        if problems.is_empty() {
            info!("ready");
        } else {
            error!(problems = problems.join("; "), "not ready");
        }
        *logged = Some(problems.to_vec());
    }

    /// Checks until the process is ready for the first time, so that the log shows when that is, and what prevents it, even if nobody asks.
    pub(crate) fn watch(&self) -> Job {
        let health = self.clone();
        Job::new("readiness", |shutdown| async move {
            let first = async {
                health.0.started.cancelled().await;
                while !health.recent_problems(GOOD_FOR).await.is_empty() {
                    tokio::time::sleep(AGAIN).await;
                }
            };
            shutdown.run_until_cancelled(first).await;
            shutdown.cancelled().await;
        })
    }
}

/// Whether the only problem is that the process is starting or stopping.
fn is_state(problems: &[String]) -> bool {
    matches!(problems, [only] if only == STARTING || only == "stopping")
}

/// Why a database cannot be written to.
async fn fault(db: &Db) -> Option<String> {
    match tokio::time::timeout(PATIENCE, db.probe()).await {
        Ok(Ok(())) => None,
        Ok(Err(e)) => Some(chain(&e)),
        Err(_) => Some("the database does not answer".to_owned()),
    }
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<Value>) {
    let problems = health.recent_problems(GOOD_FOR).await;
    if problems.is_empty() {
        (StatusCode::OK, Json(json!({"status": "ok"})))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "not ready", "problems": problems})))
    }
}

#[cfg(test)]
mod tests;
