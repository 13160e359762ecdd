//! What the gateway costs: `make bench`. Starts the release binary, prints medians; asserts nothing about speed.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and fails by panicking")]

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use nodkey_kernel::{time::Clock, trusona_mac};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Requests of each kind; clock ticks of 10 ms tell them apart.
const REQUESTS: u32 = 20_000;
/// Browsers that wait at once.
const BROWSERS: usize = 10_000;
/// The page that makes codes and waits.
const ORIGIN: &str = "https://shop.example.com";
/// Pairings.
const ROUNDS: usize = 51;

/// `nodkey dev`, ended with this.
struct Server {
    process: Child,
    dev: Value,
    /// Held: who prints to nobody fails.
    _told: BufReader<ChildStdout>,
    _dir: TempDir,
}

impl Server {
    fn start() -> Self {
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/nodkey");
        let dir = TempDir::new().unwrap();
        let process = Command::new(binary)
            .args(["dev", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--allow-unproven-pairing", "--data-dir"])
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = process.expect("target/release/nodkey: run it by `make bench`");
        let mut line = String::new();
        let mut told = BufReader::new(process.stdout.take().unwrap());
        told.read_line(&mut line).unwrap();
        assert!(line.contains("ready"), "{line}");
        let dev = serde_json::from_slice(&std::fs::read(dir.path().join("dev.json")).unwrap()).unwrap();
        Self { process, dev, _told: told, _dir: dir }
    }

    fn text(&self, pointer: &str) -> &str {
        self.dev.pointer(pointer).unwrap().as_str().unwrap()
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(PathBuf::from("/proc").join(self.process.id().to_string()).join(file)).unwrap()
    }

    /// What it has used of any processor so far.
    fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Resident memory, in MB.
    fn resident(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1000.0
    }

    /// A signed request that is refused as soon as it has passed the signature check, or an unsigned one that is answered at once.
    fn request(&self, client: &Client, signed: bool) -> reqwest::RequestBuilder {
        let http = self.text("/http");
        if !signed {
            return client.get(format!("{http}/livez"));
        }
        let (path, body) = ("/api/v2/user_bindings", "{}");
        let date = Clock::system().now().to_http_date();
        let text = trusona_mac::string_to_sign("POST", &trusona_mac::body_md5(body.as_bytes()), "application/json", &date, path);
        let signature = trusona_mac::mac(self.text("/server/secret"), &text);
        client
            .request(Method::POST, format!("{http}{path}"))
            .header("X-Date", date)
            .header("Content-Type", "application/json")
            .header("Authorization", trusona_mac::authorization(self.text("/server/token"), &signature))
            .body(body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::main]
async fn main() {
    nodkey_runtime::install_crypto_provider();
    let server = Server::start();
    println!("idle: {:.1} MB resident", server.resident());
    cpu_of_a_signed_request(&server).await;
    pairing(&server).await;
    waiting_browsers(&server).await;
}

/// The processor time of the server, not of this client.
async fn cpu_of_a_signed_request(server: &Server) {
    let client = Client::new();
    let mut costs = Vec::new();
    for (signed, status) in [(false, 200), (true, 422), (false, 200), (true, 422)] {
        let before = server.cpu();
        let (mut done, mut limited) = (0, 0);
        while done < REQUESTS {
            let answer = server.request(&client, signed).send().await.unwrap();
            if answer.status() == 429 {
                // One credential may ask so often: these are no part of it.
                limited += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
            assert_eq!(answer.status(), status);
            answer.bytes().await.unwrap();
            done += 1;
        }
        costs.push(server.cpu().saturating_sub(before).as_secs_f64() * 1e6 / f64::from(REQUESTS + limited));
    }
    println!("CPU of a request: unsigned {:.0} and {:.0} us, signed {:.0} and {:.0} us", costs[0], costs[2], costs[1], costs[3]);
    println!("signature check, routing and signed answer add {:.0} us", (costs[1] + costs[3] - costs[0] - costs[2]) / 2.0);
}

/// A code, made by a page: id and payload.
async fn code(server: &Server, page: &Client) -> (String, String) {
    let asked = json!({"relying_party_id": server.text("/relying_party_id")}).to_string();
    let request = page.post(format!("{}/api/v2/trucodes", server.text("/http"))).header("Origin", ORIGIN).body(asked);
    let made: Value = request.send().await.unwrap().json().await.unwrap();
    let text = |name: &str| made[name].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    (text("id"), text("payload"))
}

/// From the scan to the answer the browser has been waiting for.
async fn pairing(server: &Server) {
    let (browser, phone, http) = (Client::new(), Client::new(), server.text("/http"));
    let mut took = Vec::new();
    for round in 0..ROUNDS {
        let (id, payload) = code(server, &browser).await;
        let waiting = tokio::spawn({
            let request = browser.get(format!("{http}/api/v2/trucodes/{id}")).header("Origin", ORIGIN);
            async move {
                let answer: Value = request.send().await.unwrap().json().await.unwrap();
                (answer["paired"] == true, Instant::now())
            }
        });
        // Long enough to be held; what is measured begins after it. Also below the rate of one address.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let scanned = Instant::now();
        let body = json!({"payload": payload, "identifier": format!("bench-{round}")}).to_string();
        assert_eq!(phone.post(format!("{http}/api/v2/paired_trucodes")).body(body).send().await.unwrap().status(), 201);
        let (paired, at) = waiting.await.unwrap();
        assert!(paired);
        took.push(at - scanned);
    }
    took.sort();
    println!("scan to waiting browser: median {:.1} ms, longest {:.1} ms", millis(took[ROUNDS / 2]), millis(took[ROUNDS - 1]));
}

async fn waiting_browsers(server: &Server) {
    let client = Client::new();
    let (id, payload) = code(server, &client).await;
    let address = server.text("/http").strip_prefix("http://").unwrap();
    let mut held = Vec::new();
    for _ in 0..BROWSERS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /api/v2/trucodes/{id} HTTP/1.1\r\nHost: {address}\r\nOrigin: {ORIGIN}\r\nAccept: */*\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        held.push(stream);
    }
    let at = Instant::now();
    code(server, &client).await;
    println!("{BROWSERS} browsers wait: {:.1} MB resident, a new request answered in {:.1} ms", server.resident(), millis(at.elapsed()));
    let at = Instant::now();
    let scan = json!({"payload": payload, "identifier": "bench"}).to_string();
    client.post(format!("{}/api/v2/paired_trucodes", server.text("/http"))).body(scan).send().await.unwrap();
    for stream in &mut held {
        let mut answer = tokio::io::BufReader::new(stream);
        let mut line = String::new();
        answer.read_line(&mut line).await.unwrap();
        assert_eq!(line, "HTTP/1.1 200 OK\r\n");
        answer.read_u8().await.unwrap();
    }
    println!("all of them on one code, told in {:.0} ms", millis(at.elapsed()));
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
