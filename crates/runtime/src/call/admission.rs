//! Admission control under overload: the requests that matter most to people are admitted first, and only as many as can be answered soon.
//!
//! *How many* requests are admitted follows from response times: the limit rises while nine of ten responses take less than [`TARGET`], and
//! falls when they do not. Requests over the limit are refused immediately, except those of phones, which wait for a permit for
//! [`PATIENCE`]: a person is behind each of them, and after a restart they all return at once. A response that is ready but not yet written
//! is no longer work; it counts against a separate maximum for both. *Which* requests are refused follows from their class: each class may
//! use the permits up to its own share, so that more important classes still find some free. Requests admitted before the limit fell take
//! no more than their class's share from others.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use nodkey_kernel::error::Kind;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tonic::Status;

pub use super::class::Class;
use super::{
    metrics::{ADMISSION_LIMIT, SERVED},
    refusals::refused,
    status,
};

/// Maximum time that nine of ten responses should take.
const TARGET: Duration = Duration::from_millis(100);
/// How long responses are observed before the limit changes.
const WINDOW: Duration = Duration::from_millis(100);
/// Minimum number of responses in a window: fewer say nothing.
const ENOUGH: u32 = 20;
/// The limit never falls below this: where a machine is slow, this many requests are served slowly. A machine that does 240 logins a second
/// answers them within a seventh of a second.
const FLOOR: usize = 32;
/// How long a phone waits for a permit. When it is refused it is asked to try again after as long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Maximum number of requests that wait for a permit.
const QUEUED: usize = 512;

/// The server is overloaded; retry in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

/// Admission control for requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// For each class, notified when a request of it that waits can be admitted.
    free: [Notify; Class::ALL.len()],
}

#[derive(Debug)]
struct State {
    /// Requests whose response is not fully written: the maximum, and the current number by class.
    most: usize,
    open: ByClass,
    /// Requests whose response is not ready: the limit, and the current number by class.
    limit: usize,
    working: ByClass,
    /// Requests that wait for a permit.
    queued: ByClass,
    window: Window,
}

/// Number of requests in each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ByClass([usize; Class::ALL.len()]);

/// Observations since a point in time.
#[derive(Debug)]
struct Window {
    since: Instant,
    answered: u32,
    late: u32,
    /// Maximum number of requests being processed.
    peak: usize,
}

/// A place among the requests that wait for a permit.
struct Queued<'a> {
    admission: &'a Admission,
    class: Class,
}

/// Permission to be served, until it is dropped or, with [`Permit::hold`], until the response is written.
#[derive(Debug)]
pub struct Permit {
    admission: Admission,
    class: Class,
    since: Instant,
    working: bool,
}

impl Admission {
    /// Admits at most this many requests at a time, and fewer while responses take long.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let window = Window { since: Instant::now(), answered: 0, late: 0, peak: 0 };
        let most = most.max(1);
        let [open, working, queued] = [ByClass::default(); 3];
        let state = Mutex::new(State { most, open, limit: most, working, queued, window });
        Self(Arc::new(Shared { state, free: Default::default() }))
    }

    /// Checks whether a request of this class would be admitted now, without admitting it. Use it before doing any work for the request.
    pub fn check(&self, class: Class) -> Result<(), Overloaded> {
        let full = self.state().is_full(class);
        if full { Err(overloaded(class)) } else { Ok(()) }
    }

    /// Admits a request or refuses it.
    pub fn enter(&self, class: Class) -> Result<Permit, Overloaded> {
        self.try_enter(class).ok_or_else(|| overloaded(class))
    }

    /// Admits a request as soon as it can be within [`PATIENCE`], or refuses it. More important classes are admitted first. Refused
    /// immediately if too many wait already.
    pub async fn enter_soon(&self, class: Class) -> Result<Permit, Overloaded> {
        if let Some(permit) = self.try_enter(class) {
            return Ok(permit);
        }
        let queued = self.queue(class).ok_or_else(|| overloaded(class))?;
        let admitted = async {
            loop {
                // One may have been released before this request was queued. From then on, a notification is remembered.
                if let Some(permit) = self.try_enter(class) {
                    break permit;
                }
                self.0.free[class as usize].notified().await;
            }
        };
        let admitted = timeout(PATIENCE, admitted).await;
        drop(queued);
        admitted.map_err(|_| overloaded(class))
    }

    fn try_enter(&self, class: Class) -> Option<Permit> {
        let mut state = self.state();
        if state.is_full(class) {
            return None;
        }
        state.open.0[class as usize] += 1;
        state.working.0[class as usize] += 1;
        state.window.peak = state.window.peak.max(state.working.all());
        drop(state);
        Some(Permit { admission: self.clone(), class, since: Instant::now(), working: true })
    }

    fn queue(&self, class: Class) -> Option<Queued<'_>> {
        let mut state = self.state();
        if state.queued.all() >= QUEUED {
            return None;
        }
        state.queued.0[class as usize] += 1;
        drop(state);
        Some(Queued { admission: self, class })
    }

    /// Wakes one request that can be admitted now, of the most important class that one waits of.
    fn wake_next(&self) {
        let state = self.state();
        let next = Class::ALL.into_iter().rev().find(|class| state.queued.0[*class as usize] > 0 && !state.is_full(*class));
        drop(state);
        if let Some(class) = next {
            self.0.free[class as usize].notify_one();
        }
    }

    fn answered(&self, class: Class, since: Instant, now: Instant) {
        let mut state = self.state();
        state.working.0[class as usize] -= 1;
        let limit = state.answered(now.duration_since(since), now);
        drop(state);
        if let Some(limit) = limit {
            ADMISSION_LIMIT.set(u32::try_from(limit).unwrap_or(u32::MAX));
        }
        self.wake_next();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Overloaded> for Status {
    fn from(Overloaded: Overloaded) -> Self {
        status::new(Kind::Unavailable, "OVERLOADED", "too much at once; try again soon", &[])
    }
}

fn overloaded(class: Class) -> Overloaded {
    refused(class.refusal());
    Overloaded
}

impl State {
    fn is_full(&self, class: Class) -> bool {
        self.working.fill(self.limit, class) || self.open.fill(self.most, class)
    }

    /// Records a response. Returns the limit when it changes.
    fn answered(&mut self, took: Duration, now: Instant) -> Option<usize> {
        let window = &mut self.window;
        window.answered += 1;
        window.late += u32::from(took > TARGET);
        if window.answered < ENOUGH || now.duration_since(window.since) < WINDOW {
            return None;
        }
        let (late, peak) = (window.late * 10 > window.answered, window.peak);
        *window = Window { since: now, answered: 0, late: 0, peak: self.working.all() };
        let limit = if late {
            // Start from the actual load: a limit that was never reached has no meaning.
            (self.limit.min(peak) * 4 / 5).max(FLOOR.min(self.most))
        } else if peak * 4 >= self.limit * 3 {
            (self.limit + (self.limit / 10).max(1)).min(self.most)
        } else {
            self.limit
        };
        (std::mem::replace(&mut self.limit, limit) != limit).then_some(limit)
    }
}

impl ByClass {
    fn all(self) -> usize {
        self.0.iter().sum()
    }

    /// Whether no permit is left for this class. Classes that are refused before it count up to their share, more important ones in full.
    fn fill(self, places: usize, class: Class) -> bool {
        let share = |class: Class| (places * class.share() / 100).max(1);
        let (before, from) = Class::ALL.split_at(class as usize);
        let taken = before.iter().fold(0, |taken, class| (taken + self.0[*class as usize]).min(share(*class)));
        taken + from.iter().map(|class| self.0[*class as usize]).sum::<usize>() >= share(class)
    }
}

impl Permit {
    /// The class of the admitted request.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Keeps the permit until the response is written or abandoned. The limit follows the time it took to produce the response.
    #[must_use]
    pub fn hold(mut self, response: Response<Body>) -> Response<Body> {
        let now = Instant::now();
        self.working = false;
        self.admission.answered(self.class, self.since, now);
        SERVED.with(self.class).record(now.duration_since(self.since));
        until_written(response, self)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = Instant::now();
        // An abandoned request took at least this long, and the limit follows what takes long.
        if self.working && now.duration_since(self.since) > TARGET {
            self.working = false;
            self.admission.answered(self.class, self.since, now);
        }
        let mut state = self.admission.state();
        state.open.0[self.class as usize] -= 1;
        state.working.0[self.class as usize] -= usize::from(self.working);
        drop(state);
        self.admission.wake_next();
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.admission.state().queued.0[self.class as usize] -= 1;
        // Whether it was admitted or gave up: another may be admitted as well.
        self.admission.wake_next();
    }
}

/// Keeps a guard until a response is written or abandoned.
pub(crate) fn until_written<G: Send + Unpin + 'static>(response: Response<Body>, guard: G) -> Response<Body> {
    response.map(|body| if body.is_end_stream() { body } else { Body::new(Held { body, _guard: guard }) })
}

struct Held<G> {
    body: Body,
    _guard: G,
}

impl<G: Unpin> HttpBody for Held<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
