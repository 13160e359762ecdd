//! Servers of a test's own, for what would disturb others: stopping, filling, starving them.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{environment, execute};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// A PostgreSQL server of the test's own. It ends with it.
#[derive(Debug)]
pub struct TestPostgres {
    bin: PathBuf,
    dir: TempDir,
    address: SocketAddr,
    server: Mutex<Option<Child>>,
}

impl TestPostgres {
    /// Starts one.
    ///
    /// # Panics
    /// Without the programs of PostgreSQL.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with these settings of `postgresql.conf`.
    ///
    /// # Panics
    /// Without the programs of PostgreSQL.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let bin = PathBuf::from(environment("NODKEY_TEST_POSTGRES_BIN"));
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(dir.path()));
        }
        let server = Self { bin, dir, address: free_address(), server: Mutex::new(None) };
        run(server
            .program("initdb")
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
            .arg(server.data()));
        server.restart(settings);
        server
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of one of its databases, as superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address)
    }

    /// Runs a statement in one of its databases, as superuser.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn execute(&self, database: &str, statement: &str) {
        execute(&self.url(database), &[statement]).await;
    }

    /// Stops it at once, as a power cut would: what was not committed is gone, connections are closed without a word.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop(&self) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take().expect("it runs");
        run(self.program("pg_ctl").args(["-m", "immediate", "-w", "stop", "-D"]).arg(self.data()));
        server.wait().expect("a child of ours");
    }

    /// Starts it again after [`TestPostgres::stop`], at the same address, with these settings in addition.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&self, settings: &[(&str, &str)]) {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.address.port().to_string(), "-h", "127.0.0.1", "-k", ""]);
        // Killing processes is what is tested here, not cutting the power of a machine.
        for (name, value) in [("fsync", "off"), ("shared_buffers", "16MB")].iter().chain(settings) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("log")).expect("a log file");
        let child = command.stderr(log).stdout(Stdio::null()).spawn().expect("PostgreSQL starts");
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        // Its last line says how far the server is.
        let state = self.data().join("postmaster.pid");
        wait("PostgreSQL", || std::fs::read_to_string(&state).is_ok_and(|text| text.trim_end().ends_with("ready")));
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// PostgreSQL refuses to run as root.
    fn program(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/").stdin(Stdio::null());
        command
    }
}

impl Drop for TestPostgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = self.program("pg_ctl").args(["-m", "immediate", "-W", "stop", "-D"]).arg(self.data()).stdout(Stdio::null()).status();
            let _ = server.wait();
        }
    }
}

/// A nats-server of the test's own, with the settings of `deploy/nats.conf`. It ends with it.
#[derive(Debug)]
pub struct TestNats {
    dir: TempDir,
    address: SocketAddr,
    server: Mutex<Option<Child>>,
}

impl TestNats {
    /// Starts one without users.
    ///
    /// # Panics
    /// Without a nats-server that is recent enough.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts one with users: what `nodkey keys init` writes.
    ///
    /// # Panics
    /// Without a nats-server that is recent enough.
    #[must_use]
    pub fn start_with(users: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/nats.conf");
        let shipped = std::fs::read_to_string(shipped).expect("the settings that are shipped");
        std::fs::write(dir.path().join("nats-users.conf"), users).expect("a folder of ours");
        let here = format!("store_dir: \"{}\"", dir.path().join("data").display());
        let settings = shipped.replace("store_dir: /data", &here);
        assert_ne!(settings, shipped, "deploy/nats.conf says where its data is");
        std::fs::write(dir.path().join("nats.conf"), settings).expect("a folder of ours");
        let server = Self { dir, address: free_address(), server: Mutex::new(None) };
        server.restart();
        server
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Kills it.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop(&self) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take().expect("it runs");
        server.kill().expect("a child of ours");
        server.wait().expect("a child of ours");
    }

    /// Starts it again after [`TestNats::stop`], at the same address, with what it has stored.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&self) {
        let child = Command::new(environment("NODKEY_TEST_NATS_SERVER"))
            .arg("-c")
            .arg(self.dir.path().join("nats.conf"))
            .args(["-a", "127.0.0.1", "-p", &self.address.port().to_string(), "-m", "-1", "-l"])
            .arg(self.dir.path().join("log"))
            .spawn()
            .expect("a nats-server starts");
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        wait("nats-server", || std::net::TcpStream::connect(self.address).is_ok());
    }
}

impl Drop for TestNats {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|of| of.uid() == 0)
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a free port")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn wait(what: &str, ready: impl Fn() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not start");
        std::thread::sleep(LOOK);
    }
}
