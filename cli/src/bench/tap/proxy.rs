//! A TCP proxy that shows its traffic to an observer.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
};

/// The size of a read, in bytes.
const CHUNK: usize = 64 << 10;

/// Counts by name: what is counted, and optionally a part and a part of that, separated by spaces.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<String, u64>>);

/// Sees the bytes of one connection, in order within each direction.
pub(super) trait Observer: Send + 'static {
    /// The client sent these.
    fn sent(&mut self, bytes: &[u8]);
    /// The server sent these.
    fn received(&mut self, bytes: &[u8]);
}

/// A proxy.
pub(super) struct Proxy;

impl Counts {
    pub(super) fn add(&self, name: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(name) {
            *count += 1;
        } else {
            counts.insert(name.to_owned(), 1);
        }
    }

    pub(super) fn snapshot(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Proxy {
    /// Listens on a free port of this machine, for as long as this process runs.
    pub(super) async fn start<O: Observer>(
        upstream: (String, u16),
        counts: &Arc<Counts>,
        observer: fn(&Arc<Counts>) -> O,
    ) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let counts = Arc::clone(counts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let observer = observer(&counts);
                let upstream = upstream.clone();
                tokio::spawn(async move {
                    // Both sides notice a broken connection themselves.
                    let _ = relay(client, upstream, observer).await;
                });
            }
        });
        Ok(address)
    }
}

async fn relay(client: TcpStream, upstream: (String, u16), observer: impl Observer) -> io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let observer = Mutex::new(observer);
    let see = |look: &dyn Fn(&mut dyn Observer)| look(&mut *observer.lock().unwrap_or_else(PoisonError::into_inner));
    tokio::try_join!(
        copy(from_client, to_server, |bytes| see(&|observer| observer.sent(bytes))),
        copy(from_server, to_client, |bytes| see(&|observer| observer.received(bytes))),
    )?;
    Ok(())
}

/// Shows each chunk before forwarding it, so that a response is never counted before its request.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, see: impl Fn(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        see(&buffer[..length]);
        to.write_all(&buffer[..length]).await?;
    }
}
