//! Private servers for tests that would disturb others by stopping, filling or starving them.

use std::{
    ffi::OsStr,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{environment, execute};

/// Maximum duration of a server's start.
const PATIENCE: Duration = Duration::from_secs(30);
/// Interval at which to check on it meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// A PostgreSQL server for one test. It ends with the test.
#[derive(Debug)]
pub struct TestPostgres {
    bin: PathBuf,
    dir: TempDir,
    address: SocketAddr,
    server: Mutex<Option<Child>>,
    /// Size limit of its tables.
    room: Option<&'static str>,
}

impl TestPostgres {
    /// Starts a server.
    ///
    /// # Panics
    /// If the programs of PostgreSQL are missing.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with these settings of `postgresql.conf`.
    ///
    /// # Panics
    /// If the programs of PostgreSQL are missing.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::begin(settings, None)
    }

    /// Starts a server whose tables and indexes are on a separate file system of this size. Everything else, including the WAL, is not: a
    /// full disk stops the server if it holds the WAL, whereas a full disk that holds only tables makes it refuse statements.
    ///
    /// # Panics
    /// If the programs of PostgreSQL are missing, or the system does not permit mounting a file system in a namespace.
    pub async fn start_on(room: &'static str) -> Self {
        let server = Self::begin(&[("default_tablespace", "small"), ("autovacuum", "off")], Some(room));
        let location = server.tables().display().to_string();
        server.execute("postgres", &format!("CREATE TABLESPACE small LOCATION '{location}'")).await;
        server.execute("postgres", "GRANT CREATE ON TABLESPACE small TO PUBLIC").await;
        server
    }

    fn begin(settings: &[(&str, &str)], room: Option<&'static str>) -> Self {
        let bin = PathBuf::from(environment("NODKEY_TEST_POSTGRES_BIN"));
        let dir = tempfile::tempdir().expect("a folder for temporary files");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(dir.path()));
        }
        let server = Self { bin, dir, address: free_address(), server: Mutex::new(None), room };
        run(server
            .program("initdb")
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
            .arg(server.data()));
        if room.is_some() {
            run(as_postgres("mkdir").arg(server.tables()));
        }
        server.restart(settings);
        server
    }

    /// Address on which it listens.
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
    /// If the server refuses it.
    pub async fn execute(&self, database: &str, statement: &str) {
        execute(&self.url(database), &[statement]).await;
    }

    /// Fills the file system of the tables. For a server that [`TestPostgres::start_on`] started.
    ///
    /// # Panics
    /// If the server is not running.
    pub fn fill(&self) {
        let filled = as_postgres("sh").args(["-c", r#"cat /dev/zero >"$1""#, "sh"]).arg(self.filler()).stderr(Stdio::null()).status();
        assert!(!filled.expect("a shell").success(), "it ends when there is no room");
    }

    /// Removes what [`TestPostgres::fill`] wrote.
    ///
    /// # Panics
    /// If nothing was written.
    pub fn make_room(&self) {
        run(as_postgres("rm").arg(self.filler()));
    }

    /// A path on the file system of the tables, as seen from this process.
    fn filler(&self) -> PathBuf {
        let state = std::fs::read_to_string(self.data().join("postmaster.pid")).expect("it runs");
        let pid = state.lines().next().expect("its first line is the process");
        Path::new("/proc").join(pid).join("root").join(self.tables().strip_prefix("/").expect("an absolute path")).join("filler")
    }

    /// Kills the server immediately, as a power cut would: uncommitted changes are lost, and connections are closed without a message.
    ///
    /// # Panics
    /// If the server is not running.
    pub fn stop(&self) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take().expect("it runs");
        run(self.program("pg_ctl").args(["-m", "immediate", "-w", "stop", "-D"]).arg(self.data()));
        server.wait().expect("a child of ours");
    }

    /// Starts the server again after [`TestPostgres::stop`], at the same address, with these additional settings.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&self, settings: &[(&str, &str)]) {
        let mut command = self.server_program();
        command.arg("-D").arg(self.data()).args(["-p", &self.address.port().to_string(), "-h", "127.0.0.1", "-k", ""]);
        // The tests kill processes, they do not cut the power of a machine.
        for (name, value) in [("fsync", "off"), ("shared_buffers", "16MB")].iter().chain(settings) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("log")).expect("a log file");
        let child = command.stderr(log).stdout(Stdio::null()).spawn().expect("PostgreSQL starts");
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        // Its last line reports the server's state.
        let state = self.data().join("postmaster.pid");
        wait("PostgreSQL", || std::fs::read_to_string(&state).is_ok_and(|text| text.trim_end().ends_with("ready")));
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn tables(&self) -> PathBuf {
        self.dir.path().join("small")
    }

    fn program(&self, name: &str) -> Command {
        as_postgres(self.bin.join(name))
    }

    /// The server's command. The file system of its tables is mounted for the server alone, and disappears with it.
    fn server_program(&self) -> Command {
        let program = self.bin.join("postgres");
        let Some(room) = self.room else { return as_postgres(program) };
        // The process that mounts is root in the namespace, and PostgreSQL must not be.
        let script = r#"mount -t tmpfs -o size="$1",mode=0700 tmpfs "$2" && shift 2 && exec unshare --map-user=1 --map-group=1 "$@""#;
        let mut command = as_postgres("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh", room]).arg(self.tables()).arg(program);
        command
    }
}

/// A command with the user that PostgreSQL runs as: PostgreSQL refuses to run as root.
fn as_postgres(program: impl AsRef<OsStr>) -> Command {
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

impl Drop for TestPostgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = self.program("pg_ctl").args(["-m", "immediate", "-W", "stop", "-D"]).arg(self.data()).stdout(Stdio::null()).status();
            let _ = server.wait();
        }
    }
}

/// A nats-server for one test, with the settings of `deploy/nats.conf`. It ends with the test.
#[derive(Debug)]
pub struct TestNats {
    dir: TempDir,
    address: SocketAddr,
    server: Mutex<Option<Child>>,
}

impl TestNats {
    /// Starts a server without users.
    ///
    /// # Panics
    /// If there is no sufficiently recent nats-server.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts a server with users, as written by `nodkey keys init`.
    ///
    /// # Panics
    /// If there is no sufficiently recent nats-server.
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

    /// Address on which it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Kills the server.
    ///
    /// # Panics
    /// If the server is not running.
    pub fn stop(&self) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take().expect("it runs");
        server.kill().expect("a child of ours");
        server.wait().expect("a child of ours");
    }

    /// Deletes everything that the server has stored. Call it after [`TestNats::stop`].
    ///
    /// # Panics
    /// If the data cannot be deleted.
    pub fn forget(&self) {
        std::fs::remove_dir_all(self.dir.path().join("data")).expect("a folder of ours");
    }

    /// Starts the server again after [`TestNats::stop`], at the same address, with the data it has stored.
    ///
    /// # Panics
    /// If it does not start.
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
