//! A network that fails on demand: a TCP proxy between any two processes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Maximum number of chunks in flight in each direction of a connection.
const IN_FLIGHT: usize = 64;
/// Maximum number of bytes per read.
const CHUNK: usize = 16 << 10;

/// Direction in which bytes flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the target.
    ToTarget,
    /// From the target to the client.
    FromTarget,
}

/// What happens to bytes in one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    paused: bool,
    delay: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    to_target: Way,
    from_target: Way,
}

impl Faults {
    const fn way(&self, direction: Direction) -> &Way {
        match direction {
            Direction::ToTarget => &self.to_target,
            Direction::FromTarget => &self.from_target,
        }
    }

    const fn way_mut(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::ToTarget => &mut self.to_target,
            Direction::FromTarget => &mut self.from_target,
        }
    }
}

/// A TCP proxy on a free port of 127.0.0.1. Without faults it forwards, and distributes connections over its targets in turn.
///
/// When it is dropped, every connection through it ends.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
    /// Bound but never listening: reserves the port while new connections are refused.
    _port: TcpSocket,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    targets: Mutex<Vec<SocketAddr>>,
    next: AtomicUsize,
    faults: Mutex<Arc<watch::Sender<Faults>>>,
    /// Fault switches of stranded connections, kept so that they stay stranded.
    stranded: Mutex<Vec<Arc<watch::Sender<Faults>>>>,
    /// Canceled to cut the current connections; replaced for new ones.
    connections: Mutex<CancellationToken>,
    stop: CancellationToken,
}

impl Proxy {
    /// Starts a proxy in front of these targets. A target that refuses a connection is skipped.
    ///
    /// # Panics
    /// If called outside a runtime, or without a free port.
    #[must_use]
    pub fn start(targets: impl Into<Vec<SocketAddr>>) -> Self {
        let port = socket(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = port.local_addr().expect("a bound socket has an address");
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            address,
            targets: Mutex::new(targets.into()),
            next: AtomicUsize::new(0),
            faults: Mutex::default(),
            stranded: Mutex::default(),
            connections: Mutex::new(stop.child_token()),
            stop: stop.clone(),
        });
        let proxy = Self { shared, accepting: Mutex::new(None), _port: port, _stop: stop.drop_guard() };
        proxy.accept();
        proxy
    }

    /// The address to connect to instead of the target's.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Directs new connections to these targets.
    pub fn set_targets(&self, targets: impl Into<Vec<SocketAddr>>) {
        *lock(&self.shared.targets) = targets.into();
    }

    /// Aborts every connection on both sides. New connections are accepted.
    pub fn cut(&self) {
        let fresh = self.shared.stop.child_token();
        std::mem::replace(&mut *lock(&self.shared.connections), fresh).cancel();
    }

    /// Refuses new connections, like a port that nobody listens on. Existing connections stay open.
    pub async fn refuse(&self) {
        let accepting = lock(&self.accepting).take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // The listener is closed once the task has ended.
            let _ = accepting.await;
        }
    }

    /// Accepts connections again after [`Proxy::refuse`].
    ///
    /// # Panics
    /// If called outside a runtime.
    pub fn accept(&self) {
        lock(&self.accepting).get_or_insert_with(|| {
            let listener = socket(self.shared.address).listen(1024).expect("the port is kept");
            tokio::spawn(accept(listener, Arc::clone(&self.shared)))
        });
    }

    /// Forwards nothing in this direction, not even that a side has closed. In both directions this makes a half-open connection, as when
    /// the other machine lost its power. New connections are accepted and stay silent.
    pub fn pause(&self, direction: Direction) {
        lock(&self.shared.faults).send_modify(|faults| faults.way_mut(direction).paused = true);
    }

    /// Forwards nothing in either direction.
    pub fn pause_both(&self) {
        self.pause(Direction::ToTarget);
        self.pause(Direction::FromTarget);
    }

    /// Leaves the current connections open and silent forever, as when the other machine was replaced. New connections work.
    pub fn strand(&self) {
        self.pause_both();
        let left = std::mem::take(&mut *lock(&self.shared.faults));
        lock(&self.shared.stranded).push(left);
    }

    /// Delays what arrives from now on by this much, in order.
    pub fn delay(&self, direction: Direction, delay: Duration) {
        lock(&self.shared.faults).send_modify(|faults| faults.way_mut(direction).delay = delay);
    }

    /// Forwards everything again, without delay. Connections that were cut or stranded stay that way.
    pub fn heal(&self) {
        lock(&self.shared.faults).send_replace(Faults::default());
        self.accept();
    }
}

/// A socket for a port that is bound again while it is reserved.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option of every Unix");
    socket.set_reuseport(true).expect("an option of every Unix");
    socket.bind(address).expect("a free port");
    socket
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Some(accepted) = shared.stop.run_until_cancelled(listener.accept()).await {
        let Ok((client, _)) = accepted else { continue };
        let cut = lock(&shared.connections).clone();
        let faults = Arc::clone(&lock(&shared.faults));
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            if let Some(Some(target)) = cut.run_until_cancelled(shared.connect()).await {
                forward(client, target, &faults, &cut).await;
            } else {
                reset(&client);
            }
        });
    }
}

impl Shared {
    /// Connects to the next target that accepts.
    async fn connect(&self) -> Option<TcpStream> {
        let targets = lock(&self.targets).clone();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for i in 0..targets.len() {
            if let Ok(stream) = TcpStream::connect(targets[(first + i) % targets.len()]).await {
                return Some(stream);
            }
        }
        None
    }
}

/// Turns closing the connection into a reset, as after a crashed process or a network failure.
fn reset(stream: &TcpStream) {
    // Fails only on a socket that has already failed.
    let _ = stream.set_zero_linger();
}

async fn forward(client: TcpStream, target: TcpStream, faults: &watch::Sender<Faults>, cut: &CancellationToken) {
    for stream in [&client, &target] {
        // This only reduces latency; a failed socket fails again below.
        let _ = stream.set_nodelay(true);
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_target, mut to_target) = target.into_split();
    let both = async {
        tokio::try_join!(
            pump(&mut from_client, &mut to_target, Direction::ToTarget, faults.subscribe()),
            pump(&mut from_target, &mut to_client, Direction::FromTarget, faults.subscribe()),
        )
    };
    if !matches!(cut.run_until_cancelled(both).await, Some(Ok(_))) {
        reset(from_client.as_ref());
        reset(from_target.as_ref());
        // Dropping them would send a regular close first.
        to_client.forget();
        to_target.forget();
    }
}

/// Forwards one direction until it ends.
async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    direction: Direction,
    faults: watch::Receiver<Faults>,
) -> std::io::Result<()> {
    let (sender, mut arrived) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let mut read_faults = faults.clone();
    let mut write_faults = faults;
    let read = async move {
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = match from.read(&mut chunk).await {
                Ok(length) => length,
                Err(e) => {
                    not_paused(&mut read_faults, direction).await;
                    return Err(e);
                }
            };
            let due = Instant::now() + read_faults.borrow().way(direction).delay;
            // Nobody receives it: the other half has failed, and reports why.
            if length == 0 || sender.send((due, chunk[..length].to_vec())).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async {
        while let Some((due, chunk)) = arrived.recv().await {
            tokio::time::sleep_until(due).await;
            not_paused(&mut write_faults, direction).await;
            to.write_all(&chunk).await?;
        }
        not_paused(&mut write_faults, direction).await;
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(|_| ())
}

/// Waits while the direction is paused.
async fn not_paused(faults: &mut watch::Receiver<Faults>, direction: Direction) {
    // The sender lives as long as the connection.
    let _ = faults.wait_for(|faults| !faults.way(direction).paused).await;
}
