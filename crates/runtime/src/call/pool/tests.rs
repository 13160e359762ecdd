use std::{
    collections::BTreeSet,
    future::IntoFuture as _,
    net::{IpAddr, Ipv4Addr},
};

use axum::{Router, extract::Request as Asked};
use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use nodkey_testkit::Proxy;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tonic::Code;

use super::*;

const READ: &str = "/nodkey.registry.v1.SigningKeyService/GetJwks";
const WRITE: &str = "/nodkey.registry.v1.SigningKeyService/Sign";

/// A service that holds its calls while its gate is closed.
struct Server {
    address: SocketAddr,
    /// How many calls reached it.
    calls: watch::Receiver<usize>,
    gate: watch::Sender<bool>,
}

impl Server {
    async fn start() -> Self {
        let (count, calls) = watch::channel(0);
        let (gate, open) = watch::channel(true);
        let answer = move |request: Asked| {
            let mut open = open.clone();
            // Passes regardless of the gate.
            let urgent = request.headers().contains_key("urgent");
            count.send_modify(|count| *count += 1);
            async move {
                if !urgent {
                    open.wait_for(|open| *open).await.unwrap();
                }
                "answer"
            }
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
        Self { address, calls, gate }
    }

    fn close(&self) {
        self.gate.send_replace(false);
    }

    fn open(&self) {
        self.gate.send_replace(true);
    }

    async fn reached_by(&self, calls: usize) {
        self.calls.clone().wait_for(|count| *count >= calls).await.unwrap();
    }

    fn calls(&self) -> usize {
        *self.calls.borrow()
    }
}

fn pool(addresses: &[SocketAddr], settings: Settings) -> Arc<Pool> {
    let addresses = addresses.to_vec();
    let resolve: Resolve = Box::new(move || Box::pin(std::future::ready(Ok(addresses.clone()))));
    let target = Target::new(ServiceName::Registry, "http://registry:7070", None).unwrap();
    let connect = over_tcp(target.clone());
    Arc::new(Pool::with(target, settings, resolve, connect, Random::seeded(1)))
}

/// An address nobody listens on.
const DOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// Outcome of an attempt to connect to an address that is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Down {
    Refuses,
    IsSilent,
}

/// A pool with two addresses, one of which is down, and the number of attempts to connect to that one.
fn pool_with_one_down(settings: Settings, up: SocketAddr) -> (Arc<Pool>, watch::Sender<Down>, watch::Receiver<usize>) {
    let resolve: Resolve = Box::new(move || Box::pin(std::future::ready(Ok(vec![up, DOWN]))));
    let target = Target::new(ServiceName::Registry, "http://registry:7070", None).unwrap();
    let (tcp, (mode, (count, tries))) = (over_tcp(target.clone()), (watch::Sender::new(Down::Refuses), watch::channel(0)));
    let how = mode.clone();
    let connect: Connect = Box::new(move |address, renew_at| {
        if address == up {
            return tcp(address, renew_at);
        }
        let mut how = how.subscribe();
        count.send_modify(|count| *count += 1);
        Box::pin(async move {
            how.wait_for(|how| *how == Down::Refuses).await?;
            anyhow::bail!("nobody is there")
        })
    });
    (Arc::new(Pool::with(target, settings, resolve, connect, Random::seeded(1))), mode, tries)
}

async fn call(pool: &Arc<Pool>, path: &str) -> Result<(), Status> {
    send(pool, Request::post(path).body(Body::empty()).unwrap()).await
}

/// Makes calls in separate tasks.
fn calls(pool: &Arc<Pool>, many: usize, path: &'static str) -> Vec<JoinHandle<Result<(), Status>>> {
    let one = |_| {
        let pool = Arc::clone(pool);
        tokio::spawn(async move { call(&pool, path).await })
    };
    (0..many).map(one).collect()
}

async fn send(pool: &Arc<Pool>, request: Request<Body>) -> Result<(), Status> {
    let answer = Arc::clone(pool).call(request).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    assert_eq!(body, "answer");
    Ok(())
}

/// Makes calls until the pool is in the expected state.
async fn until(pool: &Arc<Pool>, is: impl Fn(&[Arc<Connection>]) -> bool) {
    while !is(&pool.state().connections) {
        call(pool, READ).await.unwrap();
    }
}

fn to(address: SocketAddr) -> impl Fn(&Arc<Connection>) -> bool {
    move |connection| connection.address == address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_one_connection_is_cut_reads_go_on_and_what_may_have_been_done_is_not_done_again() {
    let server = Server::start().await;
    let [cut, stays] = [Proxy::start([server.address]), Proxy::start([server.address])];
    let pool = pool(&[cut.address(), stays.address()], Settings::DEFAULT);
    until(&pool, |connections| connections.len() == 2).await;
    let before = server.calls();
    server.close();
    // Five on each connection: the one with fewer takes the next.
    let writes = calls(&pool, 10, WRITE);
    server.reached_by(before + 10).await;
    let reads = calls(&pool, 10, READ);
    server.reached_by(before + 20).await;
    cut.cut();
    // The first of the repeated calls.
    server.reached_by(before + 21).await;
    server.open();
    for read in join_all(reads).await {
        read.unwrap().unwrap();
    }
    let failed: Vec<_> = join_all(writes).await.into_iter().filter_map(|write| write.unwrap().err()).collect();
    assert_eq!(failed.len(), 5, "{failed:?}");
    assert!(failed.iter().all(|status| status.code() == Code::Unavailable), "{failed:?}");
    assert_eq!(server.calls(), before + 25, "five reads came again, and no write");
    // And the connection is replaced.
    until(&pool, |connections| connections.iter().any(to(cut.address()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_the_load_and_one_that_is_away_is_done_without() {
    let servers = [Server::start().await, Server::start().await, Server::start().await];
    let away = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let mut addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    addresses.push(away);
    let pool = pool(&addresses, Settings::DEFAULT);
    until(&pool, |connections| connections.len() >= 3).await;
    let before: Vec<_> = servers.iter().map(Server::calls).collect();
    for _ in 0..30 {
        call(&pool, WRITE).await.unwrap();
    }
    for (server, before) in servers.iter().zip(before) {
        assert!(server.calls() - before >= 8, "{} of 30", server.calls() - before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_that_are_held_hold_up_no_other() {
    const HELD: usize = 10_100;
    let server = Server::start().await;
    let pool = pool(&[server.address], Settings::DEFAULT);
    server.close();
    let held = calls(&pool, HELD, READ);
    server.reached_by(HELD).await;
    let urgent = Request::post(WRITE).header("urgent", "").body(Body::empty()).unwrap();
    send(&pool, urgent).await.unwrap();
    assert!(pool.state().connections.len() > HELD / Settings::DEFAULT.calls, "none has more than it may");
    server.open();
    for held in held {
        held.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn beyond_what_all_connections_take_calls_are_refused_and_not_queued() {
    let server = Server::start().await;
    let pool = pool(&[server.address], Settings { most: 2, calls: 3, ..Settings::DEFAULT });
    server.close();
    let held = calls(&pool, 6, WRITE);
    server.reached_by(6).await;
    let refused = call(&pool, READ).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    server.open();
    for held in held {
        held.await.unwrap().unwrap();
    }
    call(&pool, READ).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_renewed_by_age_and_no_call_is_lost() {
    let server = Server::start().await;
    let pool = pool(&[server.address], Settings { age: Duration::from_millis(200), ..Settings::DEFAULT });
    call(&pool, WRITE).await.unwrap();
    server.close();
    let before = server.calls();
    let held = calls(&pool, 1, WRITE);
    server.reached_by(before + 1).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 10 {
        let urgent = Request::post(WRITE).header("urgent", "").body(Body::empty()).unwrap();
        send(&pool, urgent).await.unwrap();
        seen.extend(pool.state().connections.iter().map(|connection| connection.renew_at));
    }
    assert!(pool.state().connections.len() <= 3 * Settings::DEFAULT.kept, "the old ones are let go");
    server.open();
    for held in held {
        held.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_service_that_is_away_is_said_to_be_and_used_when_it_is_back() {
    let server = Server::start().await;
    let proxy = Proxy::start([server.address]);
    proxy.refuse().await;
    let pool = pool(&[proxy.address()], Settings::DEFAULT);
    let refused = join_all((0..20).map(|_| call(&pool, READ))).await;
    assert!(refused.iter().all(|refused| refused.as_ref().is_err_and(|status| status.code() == Code::Unavailable)), "{refused:?}");
    proxy.accept();
    call(&pool, READ).await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_silent_holds_up_no_call_that_needs_a_connection() {
    let server = Server::start().await;
    let (pool, mode, tries) = pool_with_one_down(Settings { calls: 1, ..Settings::DEFAULT }, server.address);
    until(&pool, |_| *tries.borrow() > 0).await;
    mode.send_replace(Down::IsSilent);
    // From here on, the task that opens missing connections waits for it.
    let before = *tries.borrow();
    until(&pool, |_| *tries.borrow() > before).await;
    let reached = server.calls();
    server.close();
    let held = calls(&pool, 20, WRITE);
    server.reached_by(reached + 20).await;
    assert_eq!(*tries.borrow(), before + 1, "no call tried it");
    server.open();
    for held in held {
        held.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_address_on_which_its_caller_gave_up_is_the_last_that_is_tried() {
    let server = Server::start().await;
    let (pool, mode, mut tries) = pool_with_one_down(Settings::DEFAULT, server.address);
    let addresses = [server.address, DOWN];
    pool.connect(server.address).await.unwrap();
    assert_eq!(pool.by_promise(&addresses), [DOWN, server.address], "it has fewer connections");
    mode.send_replace(Down::IsSilent);
    let waits = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.connect(DOWN).await.is_ok() }
    });
    tries.wait_for(|tries| *tries > 0).await.unwrap();
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    assert_eq!(pool.by_promise(&addresses), [server.address, DOWN]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_on_which_a_call_was_given_up_is_used_when_no_other_is_left() {
    let server = Server::start().await;
    let [silent, answers] = [Proxy::start([server.address]), Proxy::start([server.address])];
    let pool = pool(&[silent.address(), answers.address()], Settings::DEFAULT);
    until(&pool, |connections| connections.len() == 2).await;
    silent.pause_both();
    // One on each: one waits in vain, until its caller runs out of patience.
    let mut both: FuturesUnordered<_> = calls(&pool, 2, READ).into_iter().collect();
    both.next().await.unwrap().unwrap().unwrap();
    for waits in both {
        waits.abort();
        assert!(waits.await.unwrap_err().is_cancelled());
    }
    for _ in 0..20 {
        call(&pool, READ).await.unwrap();
    }
    let answering = pool.state().connections.iter().find(|connection| connection.address == answers.address()).cloned();
    assert!(pool.pick(answering.as_ref()).is_some(), "it takes calls all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_give_up_on_a_slow_service_make_no_connections() {
    let server = Server::start().await;
    let pool = pool(&[server.address], Settings::DEFAULT);
    until(&pool, |connections| connections.len() == 2).await;
    let doubted = || pool.state().connections.iter().filter(|connection| connection.is_doubted(Instant::now())).count();
    let reached = server.calls();
    server.close();
    let held = calls(&pool, 50, READ);
    server.reached_by(reached + 50).await;
    assert_eq!(doubted(), 0);
    for held in held {
        held.abort();
        assert!(held.await.unwrap_err().is_cancelled());
    }
    assert_eq!(doubted(), 2);
    server.open();
    call(&pool, READ).await.unwrap();
    assert_eq!(doubted(), 1, "an answer clears it");
    for _ in 0..20 {
        call(&pool, READ).await.unwrap();
    }
    assert_eq!(pool.state().connections.len(), 2);
}

#[test]
fn what_is_no_url_of_a_service_is_refused() {
    for wrong in ["registry:7070", "ftp://registry", "", "http://"] {
        let refused = Target::new(ServiceName::Registry, wrong, None).err().unwrap();
        assert!(format!("{refused:#}").contains("NODKEY_PEERS"), "{wrong}: {refused:#}");
    }
    let target = Target::new(ServiceName::Registry, "http://[::1]:7070", None).unwrap();
    assert_eq!((target.host.as_str(), target.port), ("::1", 7070));
    assert_eq!(target.uri(&READ.parse().unwrap()).unwrap(), format!("http://[::1]:7070{READ}").as_str());
}
