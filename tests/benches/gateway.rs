//! Measures the gateway: `make bench`. Starts the release binary and prints medians. Asserts nothing about speed.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and fails by panicking")]

mod server;

use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use server::Server;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The number of requests of each kind, enough for clock ticks of 10 ms to tell the kinds apart.
const REQUESTS: u32 = 20_000;
/// The number of browsers that wait at the same time.
const BROWSERS: usize = 10_000;
/// The origin of the page that creates codes and waits.
const ORIGIN: &str = "https://shop.example.com";
/// The number of pairings.
const ROUNDS: usize = 51;

#[tokio::main]
async fn main() {
    nodkey_runtime::install_crypto_provider();
    let server = Server::start();
    println!("idle: {:.1} MB resident", server.resident());
    cpu_of_a_signed_request(&server).await;
    pairing(&server).await;
    waiting_browsers(&server).await;
}

/// A signed request that is refused right after the signature check, or an unsigned one that is answered immediately.
fn request(server: &Server, client: &Client, signed: bool) -> reqwest::RequestBuilder {
    if signed {
        return server.signed(client, Method::POST, "/api/v2/user_bindings", "{}");
    }
    client.get(format!("{}/livez", server.text("/http")))
}

/// The processor time of the server, not of this client.
async fn cpu_of_a_signed_request(server: &Server) {
    let client = Client::new();
    let mut costs = Vec::new();
    for (signed, status) in [(false, 200), (true, 422), (false, 200), (true, 422)] {
        let before = server.cpu();
        let (mut done, mut limited) = (0, 0);
        while done < REQUESTS {
            let answer = request(server, &client, signed).send().await.unwrap();
            if answer.status() == 429 {
                // The rate of one credential is limited. Refused requests are not counted.
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

/// Creates a code as a page does. Returns its id and payload.
async fn code(server: &Server, page: &Client) -> (String, String) {
    let asked = json!({"relying_party_id": server.text("/relying_party_id")}).to_string();
    let request = page.post(format!("{}/api/v2/trucodes", server.text("/http"))).header("Origin", ORIGIN).body(asked);
    let made: Value = request.send().await.unwrap().json().await.unwrap();
    let text = |name: &str| made[name].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    (text("id"), text("payload"))
}

/// Measures from the scan to the response that the browser waits for.
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
        // Long enough for the request to be held before the measurement begins, and slow enough for the rate of one address.
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
