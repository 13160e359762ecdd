//! Users with waiting phones, and their logins. Each user has one login at a time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::{Mutex, Semaphore, mpsc};

use super::{
    grpc::Backend,
    phone::{Answered, Phone, Reports, Wait},
    samples::{Fault, Times},
    target::{Party, Target},
};

/// How many phones are enrolled concurrently.
const ENROLLING: usize = 8;
/// The longest a login may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many reports of one phone are buffered.
const REPORTS: usize = 16;

/// A user with one phone.
pub struct User {
    name: String,
    answers: mpsc::Receiver<Result<Answered, Fault>>,
}

/// Users without a login in progress.
pub struct Fleet {
    backend: Backend,
    free: Mutex<mpsc::Receiver<User>>,
    give_back: mpsc::Sender<User>,
}

/// A user's phone, bound and active.
pub struct Enrolled {
    /// The user.
    pub name: String,
    /// The phone.
    pub phone: Phone,
}

/// Enrols users called `prefix-0` and so on, and calls `done` after each.
pub async fn enrol(target: &Target, party: &Party, prefix: &str, users: usize, done: impl Fn()) -> anyhow::Result<Vec<Enrolled>> {
    let mut connections = Vec::new();
    for _ in 0..ENROLLING {
        connections.push(Mutex::new(target.gateway.connect().await?));
    }
    let (connections, done) = (&connections, &done);
    stream::iter((0..users).map(|n| async move {
        let phone = Phone::new(&target.gateway)?;
        let name = format!("{prefix}-{n}");
        phone.register(&mut *connections[n % ENROLLING].lock().await, &party.mobile).await?;
        let binding = party.backend.create_binding(&name, phone.device()).await?;
        party.backend.activate_binding(&binding.id).await?;
        done();
        anyhow::Ok(Enrolled { name, phone })
    }))
    .buffer_unordered(ENROLLING)
    .try_collect()
    .await
}

impl Fleet {
    /// Starts the waits of the phones. With `permits`, each answer takes one.
    pub fn start(backend: Backend, enrolled: Vec<Enrolled>, wait: Wait, permits: Option<&Arc<Semaphore>>) -> anyhow::Result<Self> {
        let (give_back, free) = mpsc::channel(enrolled.len());
        for Enrolled { name, phone } in enrolled {
            let (answers, receiver) = mpsc::channel(REPORTS);
            tokio::spawn(phone.run(wait, Reports { answers, permits: permits.cloned() }));
            give_back.try_send(User { name, answers: receiver }).context("the queue has capacity for every user")?;
        }
        Ok(Self { backend, free: Mutex::new(free), give_back })
    }

    /// The backend of these users.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Takes the user who has been free the longest, once there is one.
    pub async fn take(&self) -> Result<User, Fault> {
        self.free.lock().await.recv().await.ok_or_else(|| Fault::new("user", "none is left"))
    }

    /// Returns a user.
    pub fn give_back(&self, user: User) {
        // The channel has space for every user.
        let _ = self.give_back.try_send(user);
    }

    /// Runs a login that was due at `due`, and returns the user.
    pub async fn login(&self, mut user: User, due: Instant) -> Result<Times, Fault> {
        let outcome = tokio::time::timeout(PATIENCE, self.complete(&mut user, due)).await;
        self.give_back(user);
        outcome.unwrap_or_else(|_| Err(Fault::new("login", "took longer than 30 s")))
    }

    async fn complete(&self, user: &mut User, due: Instant) -> Result<Times, Fault> {
        // Reports left over from an earlier login that failed.
        while user.answers.try_recv().is_ok() {}
        let started = Instant::now();
        let id = self.backend.create(&user.name).await?;
        let create = started.elapsed();
        let (ended, answered) = tokio::try_join!(self.backend.result(&id), user.answered(&id))?;
        Ok(Times {
            create,
            create_to_phone: answered.prompted_at.saturating_duration_since(started),
            answer_to_result: ended.saturating_duration_since(answered.sent_at),
            whole: ended.saturating_duration_since(due),
        })
    }
}

impl User {
    /// The user identifier.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the phone has answered a trusonafication.
    pub async fn answered(&mut self, id: &str) -> Result<Answered, Fault> {
        loop {
            let answered = self.answers.recv().await.ok_or_else(|| Fault::new("phone", "stopped"))??;
            if answered.id == id {
                return Ok(answered);
            }
        }
    }
}
