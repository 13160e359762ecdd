//! A server whose every response is controlled by a test, on a clock that stands still while anything runs.

use std::collections::BTreeSet;

use tokio::task::JoinHandle;

use super::*;
use crate::Error;

/// Longer than anything here takes: a test that hangs fails.
const HANGS: Duration = Duration::from_hours(48);
/// More failures than anybody would wait through by hand.
const FAILURES: u32 = 100;

type Begin = oneshot::Sender<Result<Results, Status>>;

/// What a client calls.
#[derive(Clone)]
struct Line(mpsc::Sender<Call>);

/// A call that the server has not answered.
struct Call {
    ids: mpsc::Receiver<WatchResultsRequest>,
    begin: Begin,
}

/// A stream that the server has begun.
struct Stream {
    ids: mpsc::Receiver<WatchResultsRequest>,
    results: mpsc::Sender<Result<WatchResultsResponse, Status>>,
}

impl Watch for Line {
    async fn watch(&mut self, ids: mpsc::Receiver<WatchResultsRequest>) -> Result<Results, Status> {
        let (begin, answered) = oneshot::channel();
        self.0.send(Call { ids, begin }).await.unwrap();
        answered.await.unwrap()
    }
}

impl Call {
    fn begin(self) -> Stream {
        let (results, receiver) = mpsc::channel(MOST);
        assert!(self.begin.send(Ok(ReceiverStream::new(receiver).boxed())).is_ok());
        Stream { ids: self.ids, results }
    }

    fn refuse(self, status: Status) {
        assert!(self.begin.send(Err(status)).is_ok());
    }
}

impl Stream {
    async fn asked(&mut self) -> String {
        timeout(HANGS, self.ids.recv()).await.unwrap().unwrap().id
    }

    async fn asked_all(&mut self, count: usize) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for _ in 0..count {
            all.insert(self.asked().await);
        }
        all
    }

    async fn say(&self, result: Result<WatchResultsResponse, Status>) {
        self.results.send(result).await.unwrap();
    }

    async fn answer(&self, id: &str) {
        let trusonafication = Some(Trusonafication { id: id.to_owned(), ..Trusonafication::default() });
        self.say(Ok(WatchResultsResponse { id: id.to_owned(), trusonafication, error: None })).await;
    }
}

struct Server {
    waits: Waits,
    line: Line,
    calls: mpsc::Receiver<Call>,
}

impl Server {
    fn new() -> Self {
        let (line, calls) = mpsc::channel(MOST);
        Self { waits: Waits::default(), line: Line(line), calls }
    }

    /// A wait that ends after a time.
    fn wait_within(&self, id: &'static str, limit: Duration) -> JoinHandle<Result<Trusonafication, Error>> {
        let (waits, line) = (self.waits.clone(), self.line.clone());
        tokio::spawn(async move { waits.within(limit, waits.wait(|| line.clone(), &Random::seeded(1), id)).await })
    }

    #[expect(clippy::needless_pass_by_value, reason = "as callers have it")]
    fn wait(&self, id: impl ToString) -> JoinHandle<Answer> {
        let (waits, line, id) = (self.waits.clone(), self.line.clone(), id.to_string());
        tokio::spawn(async move { waits.wait(|| line.clone(), &Random::seeded(1), &id).await })
    }

    async fn call(&mut self) -> Call {
        timeout(HANGS, self.calls.recv()).await.unwrap().unwrap()
    }

    async fn stream(&mut self) -> Stream {
        self.call().await.begin()
    }

    fn places(&self) -> Vec<usize> {
        self.waits.streams.lock().unwrap().iter().map(|stream| stream.places.load(Ordering::Relaxed)).collect()
    }
}

async fn end(waiting: JoinHandle<Answer>) -> Answer {
    timeout(HANGS, waiting).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_wait_outlives_any_number_of_failures_and_asks_ever_more_rarely() {
    let mut server = Server::new();
    let waiting = server.wait("a");
    let began = Instant::now();
    for _ in 0..FAILURES {
        server.stream().await.say(Err(Status::unavailable("overloaded"))).await;
    }
    let took = began.elapsed();
    assert!(took > Duration::from_mins(2), "{FAILURES} streams in {took:?}");
    server.stream().await.answer("a").await;
    assert_eq!(end(waiting).await.unwrap().id, "a");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_over_says_why_there_was_no_result() {
    let limit = Duration::from_mins(10);
    for (said, why) in [(Some("cannot reach http://localhost"), ": cannot reach http://localhost"), (None, "")] {
        let mut server = Server::new();
        let began = Instant::now();
        let limited = server.wait_within("a", limit);
        while !limited.is_finished() {
            tokio::select! {
                call = server.call() => match said {
                    Some(said) => call.refuse(Status::unavailable(said)),
                    None => sleep(limit * 2).await,
                },
                () = sleep(Duration::from_secs(10)) => {}
            }
        }
        let error = timeout(HANGS, limited).await.unwrap().unwrap().unwrap_err();
        assert_eq!((error.reason.as_str(), error.kind), ("DEADLINE_EXCEEDED", nodkey_kernel::error::Kind::Unavailable));
        assert_eq!(error.message, format!("no result within 600 seconds{why}"));
        assert!(began.elapsed() >= limit);
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_that_has_passed_is_not_why_there_was_no_result() {
    let mut server = Server::new();
    let waiting = server.wait_within("a", Duration::from_mins(1));
    server.call().await.refuse(Status::unavailable("restarting"));
    let stream = server.stream().await;
    let error = timeout(HANGS, waiting).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.message, "no result within 60 seconds");
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_a_pause_is_given_it() {
    let mut server = Server::new();
    let waiting = server.wait("a");
    let call = server.call().await;
    let began = Instant::now();
    call.refuse(Status::with_error_details(Code::ResourceExhausted, "", ErrorDetails::with_retry_info(Some(Duration::from_secs(7)))));
    server.stream().await.answer("a").await;
    assert_eq!(began.elapsed().as_secs(), 7);
    assert_eq!(end(waiting).await.unwrap().id, "a");
}

#[tokio::test(start_paused = true)]
async fn who_waits_while_a_stream_begins_is_named_before_it_has() {
    let mut server = Server::new();
    let first = server.wait("a");
    let call = server.call().await;
    let second = server.wait("b");
    let (begin, mut ids) = (call.begin, call.ids);
    let asked = async { [ids.recv().await.unwrap().id, ids.recv().await.unwrap().id] };
    assert_eq!(timeout(HANGS, asked).await.unwrap(), ["a", "b"]);
    let stream = Call { ids, begin }.begin();
    for id in ["b", "a"] {
        stream.answer(id).await;
    }
    assert_eq!([end(first).await.unwrap().id, end(second).await.unwrap().id], ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_result_ends_a_row_of_failures() {
    let mut server = Server::new();
    let [first, second] = ["a", "b"].map(|id| server.wait(id));
    for _ in 0..FAILURES {
        server.stream().await.say(Err(Status::unavailable(""))).await;
    }
    let stream = server.stream().await;
    stream.answer("a").await;
    assert_eq!(end(first).await.unwrap().id, "a");
    let again = Instant::now();
    stream.say(Err(Status::unavailable(""))).await;
    server.call().await.refuse(Status::unavailable(""));
    // The second failure in a row, and not the hundred and second.
    let broken = Instant::now();
    server.stream().await.answer("b").await;
    assert!(broken.elapsed() <= Duration::from_millis(200), "{:?} after {:?}", broken.elapsed(), broken - again);
    assert_eq!(end(second).await.unwrap().id, "b");
}

#[tokio::test(start_paused = true)]
async fn a_wait_outlives_any_number_of_streams_that_grow_old() {
    let mut server = Server::new();
    let waiting = server.wait("a");
    for _ in 0..FAILURES {
        let stream = server.stream().await;
        sleep(Duration::from_mins(5)).await;
        stream.say(Err(Status::unavailable("this stream is old"))).await;
    }
    server.stream().await.answer("a").await;
    assert_eq!(end(waiting).await.unwrap().id, "a");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_and_a_share_that_is_used_up_are_no_end() {
    for code in [Code::Unavailable, Code::Cancelled, Code::Unknown, Code::Internal, Code::ResourceExhausted] {
        let mut server = Server::new();
        let waiting = server.wait("a");
        server.call().await.refuse(Status::new(code, ""));
        server.stream().await.say(Err(Status::new(code, ""))).await;
        // A stream that ends in order, but too early, is no better.
        drop(server.stream().await);
        let mut stream = server.stream().await;
        assert_eq!(stream.asked().await, "a", "{code:?}");
        stream.answer("a").await;
        assert_eq!(end(waiting).await.unwrap().id, "a", "{code:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_server_refuses_is_told_to_all_who_wait_at_once() {
    let internal = || refused(Refusal { code: Code::Internal.into(), reason: "INTERNAL".into(), message: String::new() });
    for said in [Status::unauthenticated(""), Status::unimplemented(""), internal()] {
        let mut server = Server::new();
        let waiting = [server.wait("a"), server.wait("a"), server.wait("b")];
        let mut stream = server.stream().await;
        stream.asked_all(2).await;
        stream.say(Err(said.clone())).await;
        for waiting in waiting {
            assert_eq!(end(waiting).await.unwrap_err().code(), said.code());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_of_one_fails_that_wait_alone() {
    let mut server = Server::new();
    let [refused, unknown, fine] = ["refused", "unknown", "fine"].map(|id| server.wait(id));
    let mut stream = server.stream().await;
    stream.asked_all(3).await;
    let error = Refusal { code: Code::ResourceExhausted.into(), reason: "TOO_MANY_WAITS".into(), message: "later".into() };
    stream.say(Ok(WatchResultsResponse { id: "refused".into(), trusonafication: None, error: Some(error) })).await;
    stream.say(Ok(WatchResultsResponse { id: "unknown".into(), trusonafication: None, error: None })).await;
    let refused = Error::from(end(refused).await.unwrap_err());
    assert_eq!((refused.kind, refused.reason.as_str()), (nodkey_kernel::error::Kind::Exhausted, "TOO_MANY_WAITS"));
    assert_eq!(refused.message, "later");
    assert_eq!(end(unknown).await.unwrap_err().code(), Code::NotFound);
    stream.answer("fine").await;
    assert_eq!(end(fine).await.unwrap().id, "fine");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_full_of_those_who_gave_up_keeps_nobody_from_waiting() {
    let mut server = Server::new();
    let waiting: Vec<_> = (0..MOST).map(|n| server.wait(n)).collect();
    let mut full = server.stream().await;
    full.asked_all(MOST).await;
    waiting[..MOST * 2 / 5].iter().for_each(JoinHandle::abort);
    // Removed by now on this side. The server still watches them.
    sleep(TIDY * 2).await;
    let newcomer = server.wait("new");
    let mut other = server.stream().await;
    assert_eq!(other.asked().await, "new");
    other.answer("new").await;
    assert_eq!(end(newcomer).await.unwrap().id, "new");
    assert!(full.ids.try_recv().is_err(), "no more than a server watches on one stream");
    // Each response frees a slot.
    full.answer("0").await;
    full.answer(&(MOST - 1).to_string()).await;
    let last = waiting.into_iter().next_back().unwrap();
    assert_eq!(end(last).await.unwrap().id, (MOST - 1).to_string());
    let _next = server.wait("next");
    assert_eq!(full.asked().await, "next");
}

#[tokio::test(start_paused = true)]
async fn where_most_gave_up_another_stream_watches_the_others_and_names_them_little_by_little() {
    const LEFT: usize = MOST * 2 / 5;
    let mut server = Server::new();
    let waiting: Vec<_> = (0..MOST).map(|n| server.wait(n)).collect();
    let mut full = server.stream().await;
    full.asked_all(MOST).await;
    waiting[LEFT..].iter().for_each(JoinHandle::abort);
    let mut stream = server.stream().await;
    assert_eq!(server.places(), [LEFT]);
    let mut first = BTreeSet::new();
    while let Ok(asked) = stream.ids.try_recv() {
        first.insert(asked.id);
    }
    assert_eq!(first.len(), AGAIN.0, "not all at once");
    first.extend(stream.asked_all(LEFT - AGAIN.0).await);
    assert_eq!(first, (0..LEFT).map(|n| n.to_string()).collect());
}

#[tokio::test(start_paused = true)]
async fn however_often_one_is_waited_for_it_takes_one_place() {
    const ROUNDS: usize = 10;
    let mut server = Server::new();
    let mut held = vec![server.wait("same")];
    let mut stream = server.stream().await;
    assert_eq!(stream.asked().await, "same");
    for round in 0..ROUNDS {
        let again: Vec<_> = (0..MOST / 5).map(|_| server.wait("same")).collect();
        held.push(server.wait(round));
        assert_eq!(stream.asked().await, round.to_string());
        again.iter().for_each(JoinHandle::abort);
        if round == 0 {
            held.swap_remove(0).abort();
            sleep(TIDY).await;
        }
    }
    assert_eq!(server.places(), [1 + ROUNDS]);
    assert!(server.calls.try_recv().is_err(), "one stream has room for all");
}
