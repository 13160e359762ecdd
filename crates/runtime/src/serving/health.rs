//! Whether a process is alive, and whether it can do its work.

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use futures_util::future::join_all;
use nodkey_db::{Db, DbError};
use nodkey_kernel::error::chain;
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::Instant};

/// How long a database may take to say that it takes writes.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long an answer of `/readyz` is good for others: anybody may ask.
const GOOD_FOR: Duration = Duration::from_millis(100);

/// What readiness depends on.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    databases: Vec<(&'static str, Db)>,
    stopping: Arc<AtomicBool>,
    recent: Arc<Mutex<Option<Looked>>>,
}

/// When it was looked, and what was found.
type Looked = (Instant, Vec<String>);

impl Health {
    pub(crate) fn new(databases: Vec<(&'static str, Db)>, stopping: &Arc<AtomicBool>) -> Self {
        Self { databases, stopping: Arc::clone(stopping), recent: Arc::default() }
    }

    /// The same as [`Self::problems`], looked for once for all who ask at once.
    async fn recent_problems(&self) -> Vec<String> {
        let mut recent = self.recent.lock().await;
        match &*recent {
            Some((at, problems)) if at.elapsed() < GOOD_FOR => problems.clone(),
            _ => {
                let problems = self.problems().await;
                // From when it was found: whoever waited for the same look is told by it.
                recent.insert((Instant::now(), problems)).1.clone()
            }
        }
    }

    /// `/livez` and `/readyz`.
    pub(crate) fn routes(self) -> Router {
        Router::new().route("/livez", get(|| async { Json(json!({"status": "ok"})) })).route("/readyz", get(ready)).with_state(self)
    }

    /// Why this process cannot serve its requests; empty when ready. The bus is none of the reasons: events wait in the outbox.
    pub(crate) async fn problems(&self) -> Vec<String> {
        let stopping = self.stopping.load(Ordering::Relaxed).then(|| "stopping".to_owned());
        let databases = self.databases.iter().map(async |(name, db)| fault(db).await.map(|fault| format!("{name}: {fault}")));
        let mut problems: Vec<_> = join_all(databases).await.into_iter().flatten().collect();
        problems.extend(stopping);
        problems
    }
}

/// Why a database cannot be written to.
async fn fault(db: &Db) -> Option<String> {
    match tokio::time::timeout(PATIENCE, probe(db)).await {
        Ok(Ok(())) => None,
        Ok(Err(e)) => Some(chain(&e)),
        Err(_) => Some("the database does not answer".to_owned()),
    }
}

async fn probe(db: &Db) -> Result<(), DbError> {
    db.probe().await
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<Value>) {
    let problems = health.recent_problems().await;
    if problems.is_empty() {
        (StatusCode::OK, Json(json!({"status": "ok"})))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "not ready", "problems": problems})))
    }
}

#[cfg(test)]
mod tests {
    use nodkey_db::DbConfig;

    use super::*;

    async fn health() -> (Health, Db, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        let db = Db::connect(&DbConfig { max_connections: 1, ..DbConfig::new(url) }).await.unwrap();
        (Health::new(vec![("registry", db.clone())], &Arc::default()), db, folder)
    }

    #[tokio::test]
    async fn a_database_that_takes_nothing_is_named() {
        let (health, db, _folder) = health().await;
        assert_eq!(ready(State(health.clone())).await.0, StatusCode::OK);
        db.close().await;
        let problems = health.problems().await;
        assert!(problems.len() == 1 && problems[0].starts_with("registry: "), "{problems:?}");
        assert_eq!(ready(State(Health { recent: Arc::default(), ..health })).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn a_process_that_stops_is_not_ready() {
        let (health, _db, _folder) = health().await;
        health.stopping.store(true, Ordering::Relaxed);
        assert_eq!(health.problems().await, ["stopping"]);
    }
}
