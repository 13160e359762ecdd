//! Watching many trusonafications on one stream: `WatchResults`, for the services that offer it.

use std::{collections::HashSet, pin::Pin, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, future::BoxFuture, stream, stream::FuturesUnordered};
use nodkey_kernel::{backoff::jittered, error::Kind, random::Random};
use nodkey_proto::trusonafication::v1::{Refusal, Trusonafication, WatchResultsRequest, WatchResultsResponse};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{
    backoff::backoff,
    status::{self, is_passing},
};

/// Maximum number of trusonafications watched at a time on one stream.
const MOST: usize = 1_000;
/// Approximate lifetime of a stream, randomized so that streams begun together do not return together. Its token was checked when it began.
const LIFETIME: Duration = Duration::from_mins(10);
/// The longest id of a trusonafication, in bytes: any form of a UUID (RFC 9562).
const LONGEST_ID: usize = 45;

struct Watching<R, F> {
    /// `None` once the caller has sent its last request.
    requests: Option<R>,
    looks: Arc<Looks<F>>,
    watched: HashSet<String>,
    ends: FuturesUnordered<BoxFuture<'static, (String, Result<Trusonafication, Status>)>>,
    over: Pin<Box<Sleep>>,
}

/// How to find out that a trusonafication has ended.
struct Looks<F> {
    ended: F,
    random: Random,
    stopping: CancellationToken,
}

/// Answers each id that is sent once: with the result of `ended` when the trusonafication is over, and without a result where `ended`
/// returns `NOT_FOUND`. When `ended` fails because a service is unavailable, it is called again after a growing pause, until this process
/// stops. A refusal of the caller ends the stream, and so does one id too many, or its [`LIFETIME`]. Any other failure is reported for that
/// id alone.
pub fn watch<R, F, Fut>(
    requests: R,
    ended: F,
    random: &Random,
    stopping: &CancellationToken,
) -> impl Stream<Item = Result<WatchResultsResponse, Status>> + Send + use<R, F, Fut>
where
    R: Stream<Item = Result<WatchResultsRequest, Status>> + Send + Unpin + 'static,
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Trusonafication, Status>> + Send + 'static,
{
    let over = Box::pin(sleep_until(Instant::now() + jittered(random, LIFETIME)));
    let looks = Arc::new(Looks { ended, random: random.clone(), stopping: stopping.clone() });
    let watching = Watching { requests: Some(requests), looks, watched: HashSet::new(), ends: FuturesUnordered::new(), over };
    stream::unfold(Some(watching), |watching| async move {
        let mut watching = watching?;
        match watching.next().await {
            Some(Ok(answer)) => Some((Ok(answer), Some(watching))),
            Some(Err(status)) => Some((Err(status), None)),
            None => None,
        }
    })
}

impl<R, F, Fut> Watching<R, F>
where
    R: Stream<Item = Result<WatchResultsRequest, Status>> + Unpin,
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Trusonafication, Status>> + Send + 'static,
{
    async fn next(&mut self) -> Option<Result<WatchResultsResponse, Status>> {
        loop {
            if self.requests.is_none() && self.ends.is_empty() {
                return None;
            }
            let asked = async {
                match &mut self.requests {
                    Some(requests) => requests.try_next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((id, end)) = self.ends.next() => {
                    self.watched.remove(&id);
                    return Some(answer(id, end));
                }
                asked = asked => match asked {
                    Ok(Some(WatchResultsRequest { id })) => {
                        if let Some(answered) = self.add(id) {
                            return Some(answered);
                        }
                    }
                    Ok(None) => self.requests = None,
                    Err(status) => return Some(Err(status)),
                },
                () = &mut self.over => return Some(Err(Status::unavailable("the stream reached its maximum lifetime; call again"))),
            }
        }
    }

    /// Watches one more id. Returns `Some` if there is an immediate response.
    fn add(&mut self, id: String) -> Option<Result<WatchResultsResponse, Status>> {
        if id.len() > LONGEST_ID {
            return Some(answer(id, Err(Status::not_found("there is no such trusonafication"))));
        }
        if self.watched.contains(&id) {
            return None;
        }
        if self.watched.len() >= MOST {
            let text = format!("at most {MOST} are watched on one stream; begin another");
            return Some(Err(status::new(Kind::Exhausted, "TOO_MANY_WATCHED", text, &[])));
        }
        self.watched.insert(id.clone());
        let looks = Arc::clone(&self.looks);
        self.ends.push(async move { (id.clone(), looks.end(id).await) }.boxed());
        None
    }
}

impl<F, Fut> Looks<F>
where
    F: Fn(String) -> Fut,
    Fut: Future<Output = Result<Trusonafication, Status>>,
{
    /// Returns a trusonafication once it is over, retrying while the service that knows it is unavailable.
    async fn end(&self, id: String) -> Result<Trusonafication, Status> {
        let mut failures = 0;
        loop {
            match (self.ended)(id.clone()).await {
                Err(status) if is_passing(&status) => failures += 1,
                end => return end,
            }
            tokio::select! {
                () = sleep(backoff(&self.random, failures)) => {}
                () = self.stopping.cancelled() => return Err(Status::unavailable("this process stops; call again")),
            }
        }
    }
}

/// The response for one id; `Err` for an error that ends the whole stream.
fn answer(id: String, end: Result<Trusonafication, Status>) -> Result<WatchResultsResponse, Status> {
    let (trusonafication, error) = match end {
        Ok(found) => (Some(found), None),
        Err(status) => match status.code() {
            Code::NotFound => (None, None),
            Code::Unavailable | Code::Unauthenticated | Code::PermissionDenied => return Err(status),
            code => {
                let reason = status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default();
                (None, Some(Refusal { code: code.into(), reason, message: status.message().to_owned() }))
            }
        },
    };
    Ok(WatchResultsResponse { id, trusonafication, error })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[expect(clippy::unnecessary_wraps, clippy::needless_pass_by_value, reason = "as they come on a stream")]
    fn request(id: impl ToString) -> Result<WatchResultsRequest, Status> {
        Ok(WatchResultsRequest { id: id.to_string() })
    }

    async fn end_of(id: String) -> Result<Trusonafication, Status> {
        match id.as_str() {
            "none" => Err(Status::not_found("")),
            "away" => Err(Status::unavailable("")),
            "forbidden" => Err(status::new(Kind::Forbidden, "NOT_ALLOWED", "", &[])),
            "unreadable" => Err(status::new(Kind::Internal, "INTERNAL", "logged", &[])),
            "too many" => Err(status::new(Kind::Exhausted, "TOO_MANY_WAITS", "later", &[])),
            id if id.starts_with("open") => std::future::pending().await,
            _ => Ok(Trusonafication { id, ..Trusonafication::default() }),
        }
    }

    async fn all<F, Fut>(
        ids: impl IntoIterator<Item = impl ToString>,
        ended: F,
        stopping: &CancellationToken,
    ) -> (Vec<WatchResultsResponse>, Option<Code>)
    where
        F: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Trusonafication, Status>> + Send + 'static,
    {
        let requests = stream::iter(ids.into_iter().map(request).collect::<Vec<_>>());
        let (mut answered, mut failed) = (Vec::new(), None);
        let mut answers = Box::pin(watch(requests, ended, &Random::seeded(1), stopping));
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(answer) => answered.push(answer),
                Err(status) => failed = Some(status.code()),
            }
        }
        answered.sort_by(|a, b| a.id.cmp(&b.id));
        (answered, failed)
    }

    async fn answers(ids: impl IntoIterator<Item = impl ToString>) -> (Vec<(String, bool)>, Option<Code>) {
        let (answered, failed) = all(ids, end_of, &CancellationToken::new()).await;
        assert!(answered.iter().all(|answer| answer.error.is_none()));
        (answered.into_iter().map(|answer| (answer.id, answer.trusonafication.is_some())).collect(), failed)
    }

    #[tokio::test]
    async fn each_is_answered_once_and_what_there_is_not_says_so() {
        let known = |id: &str, is| (id.to_owned(), is);
        assert_eq!(answers(["a", "none", "b"]).await, (vec![known("a", true), known("b", true), known("none", false)], None));
        let (long, longest) = ("x".repeat(LONGEST_ID + 1), "x".repeat(LONGEST_ID));
        assert_eq!(
            answers([&long, &longest]).await.0,
            vec![known(&longest, true), known(&long, false)],
            "what can be no id is not asked about"
        );
        assert_eq!(answers([""; 0]).await, (Vec::new(), None), "and then it ends");
    }

    #[tokio::test]
    async fn what_fails_for_one_is_told_of_that_one_and_the_others_go_on() {
        let (answered, failed) = all(["a", "too many", "b", "unreadable"], end_of, &CancellationToken::new()).await;
        assert_eq!(failed, None);
        let told: Vec<_> = answered.into_iter().map(|answer| (answer.id, answer.error.map(|e| (e.code, e.reason, e.message)))).collect();
        let refusal = |code: Code, reason: &str, text: &str| Some((code.into(), reason.to_owned(), text.to_owned()));
        let too_many = refusal(Code::ResourceExhausted, "TOO_MANY_WAITS", "later");
        let unreadable = refusal(Code::Internal, "INTERNAL", "logged");
        let expected = [("a", None), ("b", None), ("too many", too_many), ("unreadable", unreadable)];
        assert_eq!(told, expected.map(|(id, error)| (id.to_owned(), error)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_that_comes_again_is_watched_once_and_the_stream_does_not_last_for_ever() {
        assert_eq!(answers(["open", "open", "open"]).await, (Vec::new(), Some(Code::Unavailable)));
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_began_together_do_not_end_together() {
        let (random, stopping) = (Random::seeded(1), CancellationToken::new());
        let mut lasted = Vec::new();
        for _ in 0..20 {
            let began = Instant::now();
            let mut answers = Box::pin(watch(stream::iter([request("open")]), end_of, &random, &stopping));
            answers.next().await.unwrap().unwrap_err();
            lasted.push(began.elapsed());
        }
        let (least, most) = (*lasted.iter().min().unwrap(), *lasted.iter().max().unwrap());
        assert!(least >= LIFETIME / 2 && most <= LIFETIME * 2 && most.saturating_sub(least) > LIFETIME / 3, "{least:?} to {most:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_away_is_asked_again_and_the_stream_ends_with_the_last_answer() {
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        let comes_back = move |id: String| {
            let away = id == "away" && counted.fetch_add(1, Ordering::SeqCst) < 5;
            async move { if away { Err(Status::unavailable("")) } else { Ok(Trusonafication { id, ..Trusonafication::default() }) } }
        };
        let (answered, failed) = all(["away", "here"], comes_back, &CancellationToken::new()).await;
        assert_eq!((answered.len(), failed, asked.load(Ordering::SeqCst)), (2, None, 6));
        assert!(answered.iter().all(|answer| answer.trusonafication.is_some()));
    }

    #[tokio::test(start_paused = true)]
    async fn one_too_many_a_caller_who_may_not_and_the_stop_of_the_process_end_the_stream() {
        assert_eq!(answers((0..=MOST).map(|n| format!("open {n}"))).await, (Vec::new(), Some(Code::ResourceExhausted)));
        assert_eq!(answers(["open", "forbidden"]).await, (Vec::new(), Some(Code::PermissionDenied)));
        let stopping = CancellationToken::new();
        stopping.cancel();
        let began = Instant::now();
        assert_eq!(all(["open", "away"], end_of, &stopping).await, (Vec::new(), Some(Code::Unavailable)));
        assert!(began.elapsed() < LIFETIME / 2, "not by its age");
    }
}
