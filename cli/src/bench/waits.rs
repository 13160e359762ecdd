//! Backends that wait for results over HTTP: many calls on few connections.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use h2::client::{Builder, SendRequest};
use http::{Request, StatusCode, header};
use indicatif::ProgressBar;
use nodkey_client::NewTrusonafication;
use nodkey_kernel::{time::Clock, trusona_mac};
use tokio::task::JoinSet;

use super::{
    fleet,
    http::Server,
    target::{Party, Target},
};
use crate::connection::Pair;

/// Calls per connection: the maximum that a gateway allows.
const OF_ONE_CONNECTION: usize = 100;
/// Trusonafications in progress per user: the maximum that a deployment allows by default.
const OF_ONE_USER: usize = 20;
/// How many start concurrently.
const BEGINNING: usize = 16;
/// How long the trusonafications stay in progress.
const LIFETIME: Duration = Duration::from_hours(23);
/// The pause before a refused call is repeated.
const PAUSE: Duration = Duration::from_secs(1);

/// Backends that wait until this is dropped.
#[derive(Default)]
pub struct Waits {
    calls: JoinSet<()>,
}

/// A call that waits.
#[derive(Clone)]
struct Call {
    base: String,
    credential: Pair,
    id: String,
}

/// Makes this many calls wait for trusonafications that nobody answers. Returns once each call has had one response.
pub async fn open(target: &Target, party: &Party, count: usize, progress: &ProgressBar) -> anyhow::Result<Waits> {
    let connections = count.div_ceil(OF_ONE_CONNECTION);
    let users = fleet::enrol(target, party, "awaited", connections.div_ceil(OF_ONE_USER), || ()).await?;
    let mut waits = Waits::default();
    for n in 0..connections {
        let new = NewTrusonafication::user(&users[n / OF_ONE_USER].name, "log in", "nodkey bench").expires_in(LIFETIME);
        let id = party.backend.create_trusonafication(new).await?.trusonafication.id;
        let call = Call { base: target.gateway.base().to_owned(), credential: party.server.clone(), id };
        let sender = connect(&target.gateway).await?;
        let calls = OF_ONE_CONNECTION.min(count - n * OF_ONE_CONNECTION);
        let begin = stream::iter((0..calls).map(|_| {
            let (mut sender, call) = (sender.clone(), call.clone());
            async move {
                let mut status = call.once(&mut sender, 0).await?;
                // The rate of a credential is limited, and all calls start at the same time.
                while status == StatusCode::TOO_MANY_REQUESTS {
                    tokio::time::sleep(PAUSE).await;
                    status = call.once(&mut sender, 0).await?;
                }
                anyhow::ensure!(status.is_success(), "a backend cannot read: {status}");
                progress.inc(1);
                anyhow::Ok((sender, call))
            }
        }));
        let open: Vec<_> = begin.buffer_unordered(BEGINNING).try_collect().await?;
        for (sender, call) in open {
            waits.calls.spawn(call.again_and_again(sender));
        }
    }
    Ok(waits)
}

async fn connect(gateway: &Server) -> anyhow::Result<SendRequest<Bytes>> {
    let (sender, connection) = Builder::new().handshake(gateway.open(&[b"h2"]).await?).await.context("HTTP/2")?;
    // Ends with the connection. Whoever uses the connection sees the error.
    tokio::spawn(connection);
    Ok(sender)
}

impl Call {
    async fn again_and_again(self, mut sender: SendRequest<Bytes>) {
        loop {
            match self.once(&mut sender, 60).await {
                Ok(status) if status.is_success() => {}
                Ok(_) => tokio::time::sleep(PAUSE).await,
                Err(e) => {
                    anstream::eprintln!("a backend stopped waiting: {e:#}");
                    return;
                }
            }
        }
    }

    async fn once(&self, sender: &mut SendRequest<Bytes>, wait: u32) -> anyhow::Result<StatusCode> {
        let path = format!("/api/v2/trusonafications/{}?wait={wait}", self.id);
        let date = Clock::system().now().to_http_date();
        let signed = trusona_mac::string_to_sign("GET", &trusona_mac::body_md5(b""), "", &date, &path);
        let signature = trusona_mac::mac(&self.credential.secret, &signed);
        let request = Request::get(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, trusona_mac::authorization(&self.credential.token, &signature))
            .header("x-date", date)
            .body(())?;
        *sender = sender.clone().ready().await?;
        let (answer, _) = sender.send_request(request, true)?;
        let (head, mut body) = answer.await?.into_parts();
        while let Some(data) = body.data().await {
            body.flow_control().release_capacity(data?.len())?;
        }
        Ok(head.status)
    }
}
