//! One connection: HTTP/1.1 or HTTP/2, within its limits of time and memory.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, routing::future::RouteFuture};
use http::{Request, Response};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{
    stream::{Activity, Answer, Open, Streams},
    timed::Timed,
};

/// Maximum time until the next request on an HTTP/1.1 connection.
const NEXT: Duration = Duration::from_mins(1);
/// Maximum time without a request on an HTTP/2 connection, even if the client answers pings.
const IDLE: Duration = Duration::from_mins(5);
/// How often an HTTP/2 client is pinged, and how long it may take to answer.
const PING: Duration = Duration::from_secs(20);
/// Maximum duration of requests in flight on a connection that is being shut down.
const PARTING: Duration = Duration::from_secs(30);
/// Maximum size of a request head, and of the buffer of an HTTP/1.1 connection.
const HEAD: usize = 16 << 10;
/// Maximum unsent data of one response, beyond what the client's window allows.
const UNSENT: usize = 32 << 10;
/// Maximum number of streams that are refused, or ended because of the client. A client that exceeds it is sent `ENHANCE_YOUR_CALM` and
/// disconnected.
const FAULTS: usize = 256;

/// The clients of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Anyone, over the open network.
    Public,
    /// The other services, each with all its calls on one connection, and backends.
    Services,
}

impl Audience {
    /// Maximum number of concurrent requests on one HTTP/2 connection.
    const fn streams(self) -> u32 {
        match self {
            Self::Public => 100,
            // Backends inside the network may wait on one connection.
            Self::Services => 10_000,
        }
    }

    /// Maximum number of pending streams that the client reset before they were handled. A client that gives up its calls because this
    /// machine is slow is no attacker.
    const fn resets(self) -> usize {
        match self {
            // All that a client may have open.
            Self::Public => 100,
            // A backend may give up hundreds of waits together, because what they wait for is refused.
            Self::Services => 1_000,
        }
    }

    /// Flow-control windows: how much unread data a body, and all bodies of a connection, may have.
    const fn windows(self) -> (u32, u32) {
        match self {
            Self::Public => (64 << 10, 256 << 10),
            Self::Services => (1 << 20, 2 << 20),
        }
    }

    /// The HTTP server for its connections.
    pub(super) fn builder(self) -> auto::Builder<Streams> {
        let mut builder = auto::Builder::new(Streams);
        builder.http1().timer(TokioTimer::new()).header_read_timeout(NEXT).max_buf_size(HEAD);
        let (stream, connection) = self.windows();
        let head = u32::try_from(HEAD).unwrap_or(u32::MAX);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
        let mut http2 = builder.http2();
        http2.max_concurrent_streams(self.streams()).initial_stream_window_size(stream).initial_connection_window_size(connection);
        http2.max_header_list_size(head).max_send_buf_size(UNSENT);
        http2.max_local_error_reset_streams(FAULTS).max_pending_accept_reset_streams(self.resets());
        builder
    }
}

/// Serves a connection until it ends, makes no request for too long, or the token is canceled.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    builder: &auto::Builder<Streams>,
    routes: Router,
    address: SocketAddr,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let activity = Arc::new(Activity::default());
    let io = TokioIo::new(Timed::new(stream, Arc::clone(&activity)));
    let mut connection = pin!(builder.serve_connection(io, Routes { router: routes, address, activity: Arc::clone(&activity) }));
    tokio::select! {
        served = connection.as_mut() => return served.map_err(anyhow::Error::from_boxed),
        () = shutdown.cancelled() => {}
        () = activity.idle(IDLE) => {}
    }
    // A connection without any request so far ends here as well.
    connection.as_mut().graceful_shutdown();
    tokio::time::timeout(PARTING, connection).await?.map_err(anyhow::Error::from_boxed)
}

/// Adds the client's address to every request, and writes responses in pieces.
struct Routes {
    router: Router,
    address: SocketAddr,
    activity: Arc<Activity>,
}

impl Service<Request<Incoming>> for Routes {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        request.extensions_mut().insert(ConnectInfo(self.address));
        let open = Some(self.activity.begin());
        // A router is always ready.
        Answering { answer: tower::Service::call(&mut self.router.clone(), request.map(Body::new)), open }
    }
}

struct Answering {
    answer: RouteFuture<Infallible>,
    open: Option<Open>,
}

impl Future for Answering {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = ready!(Pin::new(&mut self.answer).poll(cx));
        let open = self.open.take().expect("a future is not polled once it is done");
        Poll::Ready(Ok(Answer::of(response, open)))
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use bytes::Bytes;
    use h2::client::SendRequest;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        task::JoinHandle,
        time::Instant,
    };

    use super::{super::stream::UNTAKEN, *};

    /// A connection of the public audience, serving one long response.
    fn connect() -> DuplexStream {
        let (server, client) = duplex(256 << 10);
        let routes = Router::new()
            .route("/", get(|| async { vec![0_u8; 100 << 10] }))
            .route("/page", get(|| async { vec![0_u8; 1 << 10] }))
            .route("/small", get(|| async { "a small answer" }));
        tokio::spawn(async move {
            serve(server, &Audience::Public.builder(), routes, ([127, 0, 0, 1], 1).into(), CancellationToken::new()).await
        });
        client
    }

    async fn http2(window: u32) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
        let (sender, connection) = h2::client::Builder::new().initial_window_size(window).handshake(connect()).await.unwrap();
        let connection = tokio::spawn(connection);
        (sender.ready().await.unwrap(), connection)
    }

    fn request() -> http::request::Builder {
        Request::get("http://localhost/")
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_asks_nothing_ends_however_often_it_answers_pings() {
        let (_sender, connection) = http2(65_535).await;
        let begun = Instant::now();
        connection.await.unwrap().unwrap();
        assert!((IDLE..=2 * IDLE + PING).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_answer_is_not_taken_is_reset_and_the_connection_goes_on() {
        let (mut sender, _connection) = http2(0).await;
        let begun = Instant::now();
        for _ in 0..2 {
            let (answer, _) = sender.send_request(request().body(()).unwrap(), true).unwrap();
            let mut body = answer.await.unwrap().into_body();
            assert!(body.data().await.unwrap().is_err(), "nothing of it is taken, so nothing of it came");
            sender = sender.ready().await.unwrap();
        }
        assert!((2 * UNTAKEN..3 * UNTAKEN).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_of_which_a_byte_is_taken_and_no_more_is_reset_unless_its_answer_is_tiny() {
        let (mut sender, _connection) = http2(1).await;
        for path in ["http://localhost/", "http://localhost/page"] {
            let begun = Instant::now();
            let (answer, _) = sender.send_request(Request::get(path).body(()).unwrap(), true).unwrap();
            let mut body = answer.await.unwrap().into_body();
            assert_eq!(body.data().await.unwrap().unwrap().len(), 1, "and no room is given back");
            assert!(body.data().await.unwrap().is_err(), "{path}");
            assert!((UNTAKEN..2 * UNTAKEN).contains(&begun.elapsed()), "{path}: {:?}", begun.elapsed());
            sender = sender.ready().await.unwrap();
        }
    }

    #[tokio::test]
    async fn small_answers_that_are_not_read_yet_end_no_connection() {
        let (mut sender, _connection) = http2(65_535).await;
        let mut answers = Vec::new();
        for _ in 0..1_000 {
            let small = Request::get("http://localhost/small").body(()).unwrap();
            let (answer, _) = sender.send_request(small, true).unwrap();
            // The head; the body follows and remains unread.
            answers.push(answer.await.unwrap().into_body());
            sender = sender.ready().await.unwrap();
        }
        for mut body in answers {
            assert_eq!(body.data().await.unwrap().unwrap(), "a small answer");
            assert!(body.data().await.is_none());
        }
    }

    #[tokio::test]
    async fn an_answer_of_many_pieces_comes_whole() {
        let (mut sender, _connection) = http2(1_000).await;
        let (answer, _) = sender.send_request(request().body(()).unwrap(), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.headers()["content-length"], (100 << 10).to_string());
        let (mut body, mut read) = (answer.into_body(), 0);
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            read += data.len();
        }
        assert_eq!(read, 100 << 10);
        let mut plain = connect();
        plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        plain.read_to_end(&mut answer).await.unwrap();
        let body = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(answer.len() - body, 100 << 10);
    }

    #[tokio::test]
    async fn heads_are_read_up_to_a_size() {
        let long = "x".repeat(HEAD);
        let (mut sender, _connection) = http2(65_535).await;
        let (answer, _) = sender.send_request(request().header("x-long", &long).body(()).unwrap(), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 431);
        assert_eq!(sender.current_max_send_streams(), 100, "told with the first answer at the latest");
        let mut plain = connect();
        plain.write_all(format!("GET / HTTP/1.1\r\nX-Long: {long}\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        plain.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}
