//! Attacks by unauthenticated clients: many requests, responses that are not read, bodies that do not end, half a preface, invented
//! methods. Each attacks a running process and returns what it holds.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// The process under attack.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where the gateway listens.
    pub http: SocketAddr,
    /// The URL of its metrics.
    pub metrics: String,
    /// Its process id.
    pub pid: u32,
}

impl Target {
    /// From the description that `nodkey dev` prints of itself.
    pub fn of(dev: &serde_json::Value, pid: u32) -> Self {
        let text = |name: &str| dev[name].as_str().unwrap().to_owned();
        let http = text("http").trim_start_matches("http://").parse().unwrap();
        Self { http, metrics: format!("{}/metrics", text("grpc")), pid }
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Its metrics, in the text format.
    pub async fn metrics(&self) -> String {
        reqwest::get(&self.metrics).await.unwrap().text().await.unwrap()
    }

    /// The sum of a metric over its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let metrics = self.metrics().await;
        let of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        metrics.lines().filter(of).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// The number of its sockets, counted from outside because asking the process would cost it something.
    pub fn sockets(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap();
        // A socket may be closed during the count.
        let links = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
    }

    /// Waits until it has at most this many sockets.
    pub async fn sockets_fall_to(&self, most: usize) {
        while self.sockets() > most {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.http).await.unwrap()
    }
}

/// Watches the peak memory of a process.
pub struct Peak {
    before: u64,
    most: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
    target: Target,
}

impl Peak {
    /// Begins watching.
    pub fn watch(target: &Target) -> Self {
        let before = target.resident();
        let (most, done) = (Arc::new(AtomicU64::new(before)), Arc::new(AtomicBool::new(false)));
        let (seen, over, watched) = (Arc::clone(&most), Arc::clone(&done), target.clone());
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                seen.fetch_max(watched.resident(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { before, most, done, target: target.clone() }
    }

    /// The peak growth so far, in bytes.
    pub fn grown(&self) -> u64 {
        self.most.fetch_max(self.target.resident(), Ordering::Relaxed);
        self.most.load(Ordering::Relaxed) - self.before
    }
}

impl Drop for Peak {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const DATA: u8 = 0;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Handwritten HTTP/2 that ignores the limits of the other side, as no library would.
pub struct Rude {
    stream: TcpStream,
    next: u32,
}

impl Rude {
    /// Connects, with a receive window of this many bytes for each response.
    pub async fn connect(target: &Target, window: u32) -> Self {
        let mut greeting = PREFACE.to_vec();
        let setting = [&4_u16.to_be_bytes()[..], &window.to_be_bytes()].concat();
        frame(&mut greeting, SETTINGS, 0, 0, &setting);
        let mut stream = target.connect().await;
        stream.write_all(&greeting).await.unwrap();
        Self { stream, next: 1 }
    }

    /// Sends this many requests at once and reads no response. Stops when the server closes the connection.
    pub async fn ask(&mut self, method: &str, path: &str, body: Option<&[u8]>, times: u32) {
        self.ask_with(method, path, &[], body, times).await;
    }

    /// Does the same with header fields.
    pub async fn ask_with(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: Option<&[u8]>, times: u32) {
        let head = head(method, path, fields);
        for _ in 0..times {
            let mut frames = Vec::new();
            let end = if body.is_none() { END_STREAM } else { 0 };
            frame(&mut frames, HEADERS, END_HEADERS | end, self.next, &head);
            if let Some(body) = body {
                frame(&mut frames, DATA, 0, self.next, body);
            }
            self.next += 2;
            if self.stream.write_all(&frames).await.is_err() {
                return;
            }
        }
    }
}

fn frame(into: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    into.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
    into.extend_from_slice(&[kind, flags]);
    into.extend_from_slice(&stream.to_be_bytes());
    into.extend_from_slice(payload);
}

/// A head in HPACK, each field literal and none indexed (RFC 7541, section 6.2.2).
fn head(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut head = Vec::new();
    let own = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")];
    for (name, value) in own.iter().chain(fields) {
        head.push(0);
        for text in [name, value] {
            head.push(u8::try_from(text.len()).unwrap());
            head.extend_from_slice(text.as_bytes());
        }
    }
    head
}

/// A path that needs no credential and makes the gateway call a service.
pub fn code(i: u32) -> String {
    format!("/api/v2/trucodes/{}", uuid::Uuid::from_u128(u128::from(i) + (7 << 76) + (2 << 62)))
}

/// Connections that each send this many requests without a credential. Every other one ignores the limits and reads no responses. Returns
/// the number of responses to the others.
pub async fn anonymous_requests(target: &Target, connections: u32, requests: u32) -> u32 {
    let mut tasks = JoinSet::new();
    for i in 0..connections {
        let target = target.clone();
        tasks.spawn(async move {
            if i % 2 == 1 {
                let mut rude = Rude::connect(&target, 0).await;
                rude.ask("GET", &code(i), None, requests).await;
                return (0, Some(rude));
            }
            (obedient(&target, i, requests).await, None)
        });
    }
    let mut held = Vec::new();
    let mut answered = 0;
    while let Some(done) = tasks.join_next().await {
        let (count, rude) = done.unwrap();
        answered += count;
        held.push(rude);
    }
    answered
}

async fn obedient(target: &Target, connection: u32, requests: u32) -> u32 {
    // At first as many streams as clients open before they know the limit.
    let client = h2::client::Builder::new().initial_max_send_streams(100).handshake::<_, bytes::Bytes>(target.connect().await);
    let (sender, connected) = client.await.unwrap();
    tokio::spawn(connected);
    let mut answers = JoinSet::new();
    let mut sender = sender.ready().await.unwrap();
    for i in 0..requests {
        let uri = format!("http://{}{}", target.http, code(connection * 1_000_000 + i));
        let request = http::Request::get(uri).body(()).unwrap();
        sender = sender.ready().await.unwrap();
        let (answer, _) = sender.send_request(request, true).unwrap();
        answers.spawn(async move {
            // Reads to the end, because an abandoned stream may still count at the other side.
            let (head, mut body) = answer.await?.into_parts();
            while let Some(data) = body.data().await {
                body.flow_control().release_capacity(data?.len())?;
            }
            Ok::<_, h2::Error>(head.status.as_u16())
        });
    }
    let (answered, failed): (Vec<_>, Vec<_>) = answers.join_all().await.into_iter().partition(Result::is_ok);
    for failed in failed.iter().take(1) {
        eprintln!("{} of {requests} requests of connection {connection} failed: {failed:?}", requests as usize - answered.len());
    }
    let refused_or_unknown = |status: &u16| [404, 429, 503].contains(status);
    let statuses: Vec<_> = answered.into_iter().flatten().collect();
    assert!(statuses.iter().all(refused_or_unknown), "{statuses:?}");
    u32::try_from(statuses.len()).unwrap()
}

/// Connections with no receive window for responses that request the largest public ones. They stay open until the returned value is
/// dropped.
pub async fn answers_that_nobody_takes(target: &Target, connections: usize, paths: &[&str]) -> Vec<Rude> {
    let mut held = Vec::new();
    for _ in 0..connections {
        let mut rude = Rude::connect(target, 0).await;
        for path in paths {
            rude.ask("GET", path, None, 100 / u32::try_from(paths.len()).unwrap()).await;
        }
        held.push(rude);
    }
    held
}

/// Unauthenticated connections that begin to send a body and do not end it.
pub async fn bodies_without_an_end(target: &Target, connections: usize) -> (Vec<TcpStream>, Vec<Rude>) {
    let (mut plain, mut rude) = (Vec::new(), Vec::new());
    for i in 0..connections {
        let path = ["/api/v2/trucodes", "/api/v2/trusonafications", "/api/v2/device_challenges", "/api/v2/paired_trucodes"][i % 4];
        if i % 10 == 9 {
            let mut connection = Rude::connect(target, 0).await;
            connection.ask("POST", path, Some(&[b' '; 16_000]), 4).await;
            rude.push(connection);
            continue;
        }
        // As large as is accepted, a little larger, and very large.
        let (said, sent) = [(8_192, 8_191), (65_536, 65_535), (1_000_000, 200_000)][i % 3];
        let mut stream = target.connect().await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {said}\r\n\r\n");
        let mut all = head.into_bytes();
        all.resize(all.len() + sent, b' ');
        // What the server does not read is not waited for.
        let _ = tokio::time::timeout(Duration::from_millis(20), stream.write_all(&all)).await;
        plain.push(stream);
    }
    (plain, rude)
}

/// Connections with calls of a public gRPC method that have an invalid token, the longest deadline, and a message that does not arrive.
pub async fn calls_that_do_not_go_on(target: &Target, connections: usize) -> Vec<Rude> {
    let path = "/nodkey.registry.v1.SigningKeyService/GetJwks";
    let fields = [("content-type", "application/grpc"), ("te", "trailers"), ("authorization", "Bearer x"), ("grpc-timeout", "60S")];
    let mut held = Vec::new();
    for _ in 0..connections {
        let mut rude = Rude::connect(target, 0).await;
        rude.ask_with("POST", path, &fields, Some(&[0, 0, 0, 0, 9]), 100).await;
        held.push(rude);
    }
    held
}

/// Connections that send requests with invented credentials and do not end the body.
pub async fn bodies_of_invented_credentials(target: &Target, connections: u32) -> Vec<Rude> {
    let mut held = Vec::new();
    for i in 0..connections {
        let mut rude = Rude::connect(target, 0).await;
        for n in 0..10 {
            let claims = format!(r#"{{"jti":"{}"}}"#, uuid::Uuid::from_u128(u128::from(10 * i + n) + (4 << 76) + (2 << 62)));
            let authorization = format!("TRUSONA e30.{}.e30:x", nodkey_kernel::jose::b64u(claims.as_bytes()));
            let fields = [("authorization", authorization.as_str()), ("content-type", "application/json")];
            rude.ask_with("POST", "/api/v2/trusonafications", &fields, Some(&[b' '; 16_000]), 1).await;
        }
        held.push(rude);
    }
    held
}

/// Connections that send part of the HTTP/2 preface and then nothing, or are closed, or half closed. Returns those that are open.
pub async fn half_of_a_greeting(target: &Target, connections: usize) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for i in 0..connections {
        let mut stream = target.connect().await;
        stream.write_all(&PREFACE[..[3, 4, 14, 23][i % 4]]).await.unwrap();
        match i % 3 {
            0 => drop(stream),
            1 => {
                stream.shutdown().await.unwrap();
                open.push(stream);
            }
            _ => open.push(stream),
        }
    }
    open
}

/// Sends requests with invented methods. Returns the statuses of the responses.
pub async fn invented_methods(target: &Target, count: usize) -> BTreeSet<String> {
    let mut statuses = BTreeSet::new();
    let mut stream = target.connect().await;
    let mut answers = Vec::new();
    for i in 0..count {
        let last = if i + 1 == count { "Connection: close\r\n" } else { "" };
        let request = format!("BREW{i} /api/v2/trusonafications HTTP/1.1\r\nHost: localhost\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        if i % 50 == 49 {
            // Reads now and then, so that neither side blocks on the other.
            let mut some = vec![0; 64 << 10];
            let n = stream.read(&mut some).await.unwrap();
            answers.extend_from_slice(&some[..n]);
        }
    }
    stream.read_to_end(&mut answers).await.unwrap();
    let text = String::from_utf8_lossy(&answers);
    let lines: Vec<_> = text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..at + 12].to_owned()).collect();
    assert_eq!(lines.len(), count, "all are answered");
    statuses.extend(lines);
    statuses
}
