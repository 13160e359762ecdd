//! Admission control under overload: the requests that matter most to people are admitted first, and only as many as can be answered soon.
//!
//! *How many* requests are admitted follows from response times: the limit rises while nine of ten responses take less than [`TARGET`], and
//! falls when they do not. Requests over the limit are refused immediately instead of queued. A response that is ready but not yet written
//! is no longer work; it counts against a separate maximum for both. *Which* requests are refused follows from their class: each class may
//! use the permits up to its own share, so that more important classes still find some free. Requests admitted before the limit fell take
//! no more than their class's share from others.
//! that what matters more finds some free. Those of a class that were let in before the limit fell take no more than their share from others.

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
use tokio::time::Instant;
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

/// The server is overloaded; retry in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

/// Admission control for requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Requests whose response is not fully written: the maximum, and the current number by class.
    most: usize,
    open: ByClass,
    /// Requests whose response is not ready: the limit, and the current number by class.
    limit: usize,
    working: ByClass,
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
        Self(Arc::new(Mutex::new(State { most, open: ByClass::default(), limit: most, working: ByClass::default(), window })))
    }

    /// Checks whether a request of this class would be admitted now, without admitting it. Use it before doing any work for the request.
    pub fn check(&self, class: Class) -> Result<(), Overloaded> {
        let full = self.state().is_full(class);
        if full { Err(overloaded(class)) } else { Ok(()) }
    }

    /// Admits a request or refuses it.
    pub fn enter(&self, class: Class) -> Result<Permit, Overloaded> {
        let mut state = self.state();
        if state.is_full(class) {
            drop(state);
            return Err(overloaded(class));
        }
        state.open.0[class as usize] += 1;
        state.working.0[class as usize] += 1;
        state.window.peak = state.window.peak.max(state.working.all());
        drop(state);
        Ok(Permit { admission: self.clone(), class, since: Instant::now(), working: true })
    }

    fn answered(&self, class: Class, since: Instant, now: Instant) {
        let mut state = self.state();
        state.working.0[class as usize] -= 1;
        if let Some(limit) = state.answered(now.duration_since(since), now) {
            drop(state);
            ADMISSION_LIMIT.set(u32::try_from(limit).unwrap_or(u32::MAX));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn who_gets_in(admission: &Admission) -> Vec<Class> {
        Class::ALL.into_iter().filter(|class| admission.check(*class).is_ok()).collect()
    }

    #[test]
    fn strangers_are_refused_before_lists_before_creates_before_reads_before_answers() {
        let admission = Admission::new(100);
        let mut held = Vec::new();
        let mut left = Class::ALL.to_vec();
        let mut refused = Vec::new();
        while !left.is_empty() {
            let now = who_gets_in(&admission);
            refused.extend(left.iter().filter(|class| !now.contains(class)).map(|class| (*class, held.len())));
            left = now;
            held.extend(admission.enter(Class::Answer));
        }
        let expected = [(Class::Anonymous, 50), (Class::List, 60), (Class::Create, 75), (Class::Read, 90), (Class::Answer, 100)];
        assert_eq!(refused, expected);
        assert_eq!(admission.enter(Class::Answer).unwrap_err(), Overloaded);
        // And they are admitted again in the opposite order.
        held.truncate(89);
        assert_eq!(who_gets_in(&admission), [Class::Read, Class::Answer]);
        held.clear();
        assert_eq!(who_gets_in(&admission), Class::ALL);
    }

    #[test]
    fn a_limit_that_falls_refuses_those_who_fill_it_and_not_who_comes_before_them() {
        let admission = Admission::new(1_000);
        let strangers: Vec<_> = (0..500).map(|_| admission.enter(Class::Anonymous).unwrap()).collect();
        admission.state().limit = 100;
        assert_eq!(who_gets_in(&admission), [Class::List, Class::Create, Class::Read, Class::Answer]);
        let lists: Vec<_> = (0..10).map(|_| admission.enter(Class::List).unwrap()).collect();
        assert_eq!(who_gets_in(&admission), [Class::Create, Class::Read, Class::Answer], "the strangers have half, the lists a tenth");
        let answers: Vec<_> = (0..40).map(|_| admission.enter(Class::Answer).unwrap()).collect();
        assert_eq!(admission.enter(Class::Answer).unwrap_err(), Overloaded);
        drop((strangers, lists));
        assert_eq!(who_gets_in(&admission), Class::ALL);
        drop(answers);
    }

    #[tokio::test]
    async fn a_place_is_free_when_the_answer_is_written_and_not_when_it_is_made() {
        let admission = Admission::new(1);
        let response = admission.enter(Class::Answer).unwrap().hold(Response::new(Body::from("answer")));
        assert_eq!(admission.enter(Class::Answer).unwrap_err(), Overloaded);
        assert_eq!(axum::body::to_bytes(response.into_body(), 100).await.unwrap(), "answer");
        let given_up = admission.enter(Class::Answer).unwrap().hold(Response::new(Body::from("answer")));
        drop(given_up);
        admission.check(Class::Answer).unwrap();
    }

    #[test]
    fn answers_that_nobody_takes_keep_no_place_of_those_who_work() {
        let admission = Admission::new(100);
        admission.state().limit = 10;
        let untaken: Vec<_> = (0..49).map(|_| admission.enter(Class::List).unwrap().hold(Response::new(Body::from("answer")))).collect();
        admission.check(Class::List).unwrap();
        let working: Vec<_> = (0..10).map(|_| admission.enter(Class::Answer).unwrap()).collect();
        assert_eq!(admission.enter(Class::Answer).unwrap_err(), Overloaded);
        drop((untaken, working));
        let state = admission.state();
        assert_eq!((state.open, state.working), (ByClass::default(), ByClass::default()));
    }

    /// The limit after windows in which `at_once` requests were processed at a time and responses took `took`.
    fn limit_after(state: &mut State, windows: u32, at_once: usize, took: Duration) -> usize {
        let mut now = state.window.since;
        for _ in 0..windows {
            state.window.peak = at_once;
            now += WINDOW;
            for _ in 0..ENOUGH {
                state.answered(took, now);
            }
        }
        state.limit
    }

    #[test]
    fn the_limit_falls_where_answers_take_long_and_rises_where_they_do_not() {
        let (soon, late) = (TARGET.saturating_sub(MILLISECOND), TARGET + MILLISECOND);
        let window = Window { since: Instant::now(), answered: 0, late: 0, peak: 0 };
        let (open, working) = (ByClass::default(), ByClass::default());
        let mut state = State { most: 4_096, open, limit: 4_096, working, window };
        assert_eq!(limit_after(&mut state, 1, 500, late), 400, "from what there was");
        assert_eq!(limit_after(&mut state, 1, 400, late), 320);
        assert_eq!(limit_after(&mut state, 1, 320, soon), 352);
        assert_eq!(limit_after(&mut state, 5, 100, soon), 352, "nobody needs more");
        assert_eq!(limit_after(&mut state, 99, 1_000, late), FLOOR);
        assert_eq!(limit_after(&mut state, 99, 5_000, soon), 4_096);
    }
}
