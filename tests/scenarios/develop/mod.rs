//! What developers of a backend use while it is not there yet: its requests as they are answered, and webhooks on their own machine.

mod listen;
mod tail;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::drill;
use crate::world::{PATIENCE, Tenant, World};

/// The `nodkey` command, running. It is stopped at the end of the test.
pub(super) struct Nodkey {
    child: Child,
    lines: mpsc::Receiver<String>,
    _place: TempDir,
}

/// The command with the server credential of a tenant, in a folder of its own.
pub(super) fn command(world: &World, tenant: &Tenant) -> (Command, TempDir) {
    let (mut command, place) = (drill::command(), TempDir::new().unwrap());
    command.current_dir(&place).env("NODKEY_HTTP", &world.http).env("NODKEY_SERVER_SECRET", &tenant.server.secret);
    command.env("NODKEY_SERVER_TOKEN", &tenant.server.credential.as_ref().unwrap().token);
    if let Some(pem) = &world.endpoints.ca_certificate {
        let path = place.path().join("ca.pem");
        std::fs::write(&path, pem).unwrap();
        command.env("NODKEY_CA_CERTIFICATE", path);
    }
    (command, place)
}

impl Nodkey {
    /// Starts it with these arguments and `--json`, and waits until it says that it is `ready`.
    pub(super) async fn start(world: &World, tenant: &Tenant, arguments: &[&str], ready: &'static str) -> Self {
        let (mut command, place) = command(world, tenant);
        command.args(arguments).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel(100);
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.blocking_send(line);
            }
        });
        let begun = tokio::task::spawn_blocking(move || {
            let (mut reader, mut said) = (BufReader::new(stderr), String::new());
            while !said.contains(ready) && reader.read_line(&mut said).unwrap() > 0 {}
            // It goes on writing.
            std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
            assert!(said.contains(ready), "{said}");
        });
        tokio::time::timeout(PATIENCE, begun).await.unwrap().unwrap();
        Self { child, lines, _place: place }
    }

    /// The next line, as JSON.
    pub(super) async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.recv()).await.expect("a line comes").unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Nodkey {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
