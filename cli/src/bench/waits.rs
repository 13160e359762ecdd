//! Backends that wait for results over HTTP: many calls on few connections.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use h2::client::{Builder, SendRequest};
use http::{Request, StatusCode, header};
use indicatif::ProgressBar;
use nodkey_kernel::{time::Clock, trusona_mac};
use nodkey_server_sdk::NewTrusonafication;
use tokio::task::JoinSet;

use super::{
    fleet,
    http::Server,
    target::{Party, Target},
};
use crate::connection::Pair;

/// Calls on one connection: as many as a gateway allows.
const OF_ONE_CONNECTION: usize = 100;
/// Trusonafications of one user at once: the most a deployment allows by default.
const OF_ONE_USER: usize = 20;
/// How many begin at once.
const BEGINNING: usize = 16;
/// How long what they wait for is in progress.
const LIFETIME: Duration = Duration::from_hours(23);
/// Before a call that was refused is made again.
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

/// Has so many calls wait for what nobody answers. When this returns, each has been answered once.
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
                // A credential has a rate, and all of them begin at once.
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
    // Ends with the connection; whoever uses it sees the error.
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
                    anstream::eprintln!("a backend waits no more: {e:#}");
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
