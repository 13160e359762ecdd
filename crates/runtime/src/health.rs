//! Whether a process is alive, and whether it can do its work.

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use nodkey_bus::Bus;
use nodkey_db::{Db, outbox};
use nodkey_kernel::time::Clock;
use serde_json::{Value, json};

/// How long events may wait in the outbox before the process counts as not ready.
const MAX_LAG: Duration = Duration::from_mins(1);

/// What readiness depends on.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    pub(crate) databases: Vec<(&'static str, Db)>,
    pub(crate) bus: Bus,
    pub(crate) clock: Clock,
    pub(crate) stopping: Arc<AtomicBool>,
}

impl Health {
    /// `/livez` and `/readyz`.
    pub(crate) fn routes(self) -> Router {
        Router::new().route("/livez", get(|| async { Json(json!({"status": "ok"})) })).route("/readyz", get(ready)).with_state(self)
    }

    /// What is wrong, by name; empty when ready.
    pub(crate) async fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.stopping.load(Ordering::Relaxed) {
            problems.push("stopping".to_owned());
        }
        if !self.bus.is_connected() {
            problems.push("bus: not connected".to_owned());
        }
        for (name, db) in &self.databases {
            match outbox::depth(db).await {
                Err(_) => problems.push(format!("{name}: the database does not answer")),
                Ok((_, Some(oldest))) if oldest.until(self.clock.now()) > MAX_LAG => {
                    problems.push(format!("{name}: events have been waiting for over a minute"));
                }
                Ok(_) => {}
            }
        }
        problems
    }
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<Value>) {
    let problems = health.problems().await;
    if problems.is_empty() {
        (StatusCode::OK, Json(json!({"status": "ok"})))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "not ready", "problems": problems})))
    }
}
