//! The release binary under measurement.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use nodkey_kernel::{time::Clock, trusona_mac};
use reqwest::{Client, Method};
use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/nodkey");

/// A running `nodkey dev`, ended on drop.
pub struct Server {
    /// Its process.
    pub process: Child,
    /// Its description of itself.
    pub dev: Value,
    /// Kept open, because a process that prints to a closed pipe fails.
    _told: BufReader<ChildStdout>,
    _dir: TempDir,
}

impl Server {
    /// Starts the release binary.
    pub fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let process = Command::new(BINARY)
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

    /// A string in its description of itself.
    pub fn text(&self, pointer: &str) -> &str {
        self.dev.pointer(pointer).unwrap().as_str().unwrap()
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(PathBuf::from("/proc").join(self.process.id().to_string()).join(file)).unwrap()
    }

    /// The processor time that it has used so far.
    pub fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Resident memory, in MB.
    pub fn resident(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1000.0
    }

    /// A request signed by its relying party's backend.
    pub fn signed(&self, client: &Client, method: Method, path: &str, body: &'static str) -> reqwest::RequestBuilder {
        let date = Clock::system().now().to_http_date();
        let content_type = if body.is_empty() { "" } else { "application/json" };
        let text = trusona_mac::string_to_sign(method.as_str(), &trusona_mac::body_md5(body.as_bytes()), content_type, &date, path);
        let signature = trusona_mac::mac(self.text("/server/secret"), &text);
        let request = client
            .request(method, format!("{}{path}", self.text("/http")))
            .header("X-Date", date)
            .header("Authorization", trusona_mac::authorization(self.text("/server/token"), &signature));
        if body.is_empty() { request } else { request.header("Content-Type", content_type).body(body) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
