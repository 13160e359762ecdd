//! Nodkey as processes that a test starts, kills and restarts, with proxies between them that fail on demand.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard},
};

use nodkey_client::Endpoints;
use nodkey_testkit::{Proxy, TestNats, TestPostgres};
use serde_json::Value;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    keys::Keys,
    world::{World, environment, eventually},
};

/// The services with a database, then the gateway.
pub const SERVICES: [&str; 5] = ["registry", "binding", "trusonafication", "notification", "gateway"];

/// A running program, stopped at the end of the test.
pub struct Running(Child);

impl Running {
    /// Starts a program and waits until it prints a line with `ready` in it.
    pub fn start(command: &mut Command, ready: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        wait_for_line(output, |line| line.contains(ready).then_some(()));
        Self(child)
    }

    /// Starts a service, waits until it serves, and returns its address.
    fn service(command: &mut Command) -> (Self, SocketAddr) {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = child.stderr.take().unwrap();
        let address = wait_for_line(log, |line| {
            let entry: Value = serde_json::from_str(line).ok()?;
            (entry["message"] == "listening").then(|| entry["address"].as_str().unwrap().parse().unwrap())
        });
        (Self(child), address)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Stops it with SIGSTOP: it neither runs nor ends.
    pub fn pause(&self) {
        signal(self.pid(), "-STOP");
    }

    /// Kills it with `kill -9`. It is gone when this returns.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        if let Ok(None) = self.0.try_wait() {
            signal(self.pid(), "-TERM");
            let _ = self.0.wait();
        }
    }
}

/// Sends a signal to a process.
pub fn signal(pid: u32, signal: &str) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(sent.unwrap().success(), "{pid} is running");
}

/// The folder of the built binaries: next to the binary of this test, unless somebody measures others.
pub fn binaries() -> PathBuf {
    if let Some((_, folder)) = std::env::vars().find(|(name, _)| name == "NODKEY_BIN_DIR") {
        return folder.into();
    }
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned()
}

/// Reads until a line matches. Later warnings and errors are shown when the test fails.
fn wait_for_line<T>(output: impl Read + Send + 'static, look: impl Fn(&str) -> Option<T>) -> T {
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let mut before = Vec::new();
    let found = lines.find_map(|line| {
        let found = look(&line);
        before.push(line);
        found
    });
    // The pipe must be drained, so that the process can go on printing.
    std::thread::spawn(move || lines.filter(|line| line.contains("WARN") || line.contains("ERROR")).for_each(|line| eprintln!("{line}")));
    found.unwrap_or_else(|| panic!("it ended before it was ready: {}", before.join("\n")))
}

/// How many processes to run, on which servers.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The number of replicas of each service.
    pub replicas: usize,
    /// The URL of the PostgreSQL server, as superuser.
    pub postgres: String,
    /// The URL of the nats-server.
    pub nats: String,
    /// The prefix of databases, roles and subjects.
    pub prefix: String,
    /// Settings of every process, in addition to its usual ones. With an internal key among them, the deployment is one from before service
    /// keys: every process has the same secrets.
    pub settings: Vec<(String, String)>,
    /// The keys of every process otherwise.
    pub keys: Keys,
    /// The folder of the binaries that processes run.
    pub binaries: PathBuf,
}

impl Plan {
    /// One replica of each service, on the servers of the test run.
    pub fn new() -> Self {
        Self {
            replicas: 1,
            postgres: nodkey_testkit::postgres_url(),
            nats: nodkey_testkit::nats_url(),
            prefix: nodkey_testkit::unique_prefix(),
            settings: Vec::new(),
            keys: Keys::made(),
            binaries: binaries(),
        }
    }

    /// Two replicas of each service.
    pub fn replicated() -> Self {
        Self { replicas: 2, ..Self::new() }
    }

    /// Uses a PostgreSQL server of the test's own.
    pub fn on_postgres(self, server: &TestPostgres) -> Self {
        Self { postgres: server.url("postgres"), ..self }
    }

    /// Uses a nats-server of the test's own.
    pub fn on_nats(self, server: &TestNats) -> Self {
        Self { nats: server.url(), ..self }
    }

    /// Adds a setting, such as `NODKEY_DB__MAX_CONNECTIONS`.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// The database of a service, and the role that owns it.
    pub fn database(&self, service: &str) -> String {
        format!("{}_{service}", self.prefix)
    }

    /// The URL of a service's database, as the role that owns it.
    pub fn url(&self, service: &str) -> String {
        let (name, server) = (self.database(service), self.postgres.rsplit_once('@').unwrap().1.split_once('/').unwrap().0);
        format!("postgres://{name}@{server}/{name}")
    }

    /// Writes the file that names the databases to `nodkey admin`.
    pub fn name_databases(&self, file: &Path) {
        let lines: Vec<_> = SERVICES[..4].iter().map(|service| format!("{service}={}\n", self.url(service))).collect();
        std::fs::write(file, lines.concat()).unwrap();
    }

    /// Creates a database and a role for each service, so that none can read another's tables.
    pub async fn create_databases(&self) {
        for service in &SERVICES[..4] {
            let name = self.database(service);
            let (role, database) = (format!("CREATE ROLE {name} LOGIN"), format!("CREATE DATABASE {name} OWNER {name}"));
            let revoke = format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC");
            nodkey_testkit::execute(&self.postgres, &[&role, &database, &revoke]).await;
        }
    }

    /// Starts everything on existing databases.
    pub async fn start(self) -> Topology {
        let services: BTreeMap<_, _> = SERVICES.iter().map(|name| (*name, Service::new(name, &self))).collect();
        let url = |name: &str| format!("http://{}", services[name].entrance.address());
        let endpoints = Endpoints {
            registry: url("registry"),
            binding: url("binding"),
            trusonafication: url("trusonafication"),
            notification: url("notification"),
            ca_certificate: None,
        };
        let settings = [
            ("NODKEY_DEPLOYMENT__AUDIENCE", "nodkey".to_owned()),
            ("NODKEY_DEPLOYMENT__DEVELOPMENT", "true".to_owned()),
            ("NODKEY_DEPLOYMENT__PUBLIC_URL", url("gateway")),
            ("NODKEY_PEERS__REGISTRY", endpoints.registry.clone()),
            ("NODKEY_PEERS__BINDING", endpoints.binding.clone()),
            ("NODKEY_PEERS__TRUSONAFICATION", endpoints.trusonafication.clone()),
            ("NODKEY_PEERS__NOTIFICATION", endpoints.notification.clone()),
        ];
        let mut environment: BTreeMap<_, _> = settings.map(|(name, value)| (name.to_owned(), value)).into();
        environment.extend(self.settings.iter().cloned());
        let before = environment.contains_key("NODKEY_DEPLOYMENT__INTERNAL_KEY");
        let operator_key = environment.get("NODKEY_DEPLOYMENT__OPERATOR_KEY").cloned().unwrap_or_else(|| self.keys.operator());
        for (name, service) in &services {
            if !before {
                service.environment().extend(self.keys.settings(name));
            }
            // The gateway has no database, so it gets no settings of one.
            let of_database = |setting: &String| *name == "gateway" && setting.starts_with("NODKEY_DB__");
            service.environment().extend(environment.clone().into_iter().filter(|(setting, _)| !of_database(setting)));
            (0..self.replicas).for_each(|replica| service.start(replica));
        }
        let topology = Topology { world: World::at(url("gateway"), endpoints, operator_key), services, plan: self };
        topology.ready().await;
        topology
    }

    /// Creates the databases and starts everything on them.
    pub async fn run(self) -> Topology {
        self.create_databases().await;
        self.start().await
    }
}

/// The services as processes, each behind a proxy that distributes connections to its replicas.
pub struct Topology {
    /// The deployment as users see it.
    pub world: World,
    /// The plan that it was started with.
    pub plan: Plan,
    services: BTreeMap<&'static str, Service>,
}

/// The replicas of a service, and the proxies to and from them.
pub struct Service {
    name: &'static str,
    /// The proxy to it, for users and the other services.
    pub entrance: Proxy,
    /// The proxy from it to PostgreSQL.
    pub database: Proxy,
    /// The proxy from it to NATS.
    pub bus: Proxy,
    environment: Mutex<BTreeMap<String, String>>,
    binaries: Mutex<PathBuf>,
    replicas: Mutex<Vec<Option<(Running, SocketAddr)>>>,
}

impl Topology {
    /// Returns a service by its name.
    pub fn service(&self, name: &str) -> &Service {
        &self.services[name]
    }

    /// Every service.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// The deployment as users see it with only one replica of each service. Phones reach the gateway at its usual address.
    pub fn replica(&self, i: usize) -> World {
        let url = |name: &str| format!("http://{}", self.services[name].address(i));
        let endpoints = Endpoints {
            registry: url("registry"),
            binding: url("binding"),
            trusonafication: url("trusonafication"),
            notification: url("notification"),
            ca_certificate: None,
        };
        World::at(self.world.http.clone(), endpoints, self.world.operator_key().to_owned())
    }

    /// Waits until every running process is ready.
    pub async fn ready(&self) {
        for service in self.services() {
            service.readiness(200).await;
        }
    }
}

impl Service {
    fn new(name: &'static str, plan: &Plan) -> Self {
        let address =
            |url: &str| -> SocketAddr { url.rsplit(['/', '@']).find_map(|part| part.parse().ok()).expect("an address in the URL") };
        let (database, bus) = (Proxy::start([address(&plan.postgres)]), Proxy::start([address(&plan.nats)]));
        let role = plan.database(name);
        let environment = [
            ("NODKEY_SERVER__LISTEN", "127.0.0.1:0".to_owned()),
            ("NODKEY_BUS__URL", format!("nats://{}", bus.address())),
            ("NODKEY_BUS__PREFIX", plan.prefix.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let mut environment = BTreeMap::from(environment);
        if name != "gateway" {
            environment.insert("NODKEY_DB__URL".to_owned(), format!("postgres://{role}@{}/{role}", database.address()));
        }
        let replicas = (0..plan.replicas).map(|_| None).collect();
        Self {
            name,
            entrance: Proxy::start([]),
            database,
            bus,
            environment: Mutex::new(environment),
            binaries: Mutex::new(plan.binaries.clone()),
            replicas: Mutex::new(replicas),
        }
    }

    fn environment(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.environment.lock().unwrap()
    }

    /// Changes the settings of replicas started from now on. `None` removes a setting.
    pub fn change(&self, settings: Vec<(String, Option<String>)>) {
        let mut environment = self.environment();
        for (name, value) in settings {
            match value {
                Some(value) => environment.insert(name, value),
                None => environment.remove(&name),
            };
        }
    }

    /// Changes the build of replicas started from now on: the folder of its binaries.
    pub fn use_build(&self, binaries: &Path) {
        binaries.clone_into(&mut self.binaries.lock().unwrap());
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.binaries.lock().unwrap().join(format!("nodkey-{}", self.name)));
        command.env_clear().env("PATH", environment("PATH")).envs(&*self.environment());
        // The nats-server of the test run has users only for `scripts/up-native`. Others need no user to do everything.
        command.env_remove("NODKEY_BUS__USER").env_remove("NODKEY_BUS__PASSWORD");
        command
    }

    /// Starts a process with one more setting and waits until it ends by itself. Returns its output.
    pub fn try_with(&self, name: &str, value: &str) -> String {
        self.try_with_all(&[(name, value)])
    }

    /// Does the same with several settings.
    pub fn try_with_all(&self, settings: &[(&str, &str)]) -> String {
        let ended = self.command().envs(settings.iter().copied()).output().unwrap();
        assert!(!ended.status.success(), "{} started", self.name);
        String::from_utf8_lossy(&ended.stderr).into_owned()
    }

    /// Starts a stopped replica, and waits until it serves.
    pub fn start(&self, replica: usize) {
        let started = Running::service(&mut self.command());
        assert!(self.replicas.lock().unwrap()[replica].replace(started).is_none(), "it does not run");
        self.aim();
    }

    /// Kills a replica with `kill -9`.
    pub fn kill(&self, replica: usize) {
        let (running, _) = self.replicas.lock().unwrap()[replica].take().expect("it runs");
        running.kill();
        self.aim();
    }

    /// Stops a replica gracefully, and waits for its end.
    pub fn stop(&self, replica: usize) {
        let stopped = self.replicas.lock().unwrap()[replica].take().expect("it runs");
        // New connections avoid it first, as with a load balancer.
        self.aim();
        drop(stopped);
    }

    /// The address of a replica.
    pub fn address(&self, replica: usize) -> SocketAddr {
        self.replicas.lock().unwrap()[replica].as_ref().expect("it runs").1
    }

    /// The process id of a replica.
    pub fn pid(&self, replica: usize) -> u32 {
        self.replicas.lock().unwrap()[replica].as_ref().expect("it runs").0.pid()
    }

    /// Waits until `/readyz` of every replica responds with this status.
    pub async fn readiness(&self, status: u16) {
        for address in self.addresses() {
            let what = format!("/readyz of {} is {status}", self.name);
            eventually(&what, async || (readiness(&format!("http://{address}")).await == Some(status)).then_some(())).await;
        }
    }

    /// The concatenated metrics of every replica.
    pub async fn metrics(&self) -> String {
        self.metrics_of_each().await.concat()
    }

    /// The metrics of each replica.
    pub async fn metrics_of_each(&self) -> Vec<String> {
        let mut all = Vec::new();
        for address in self.addresses() {
            all.push(reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap());
        }
        all
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.replicas.lock().unwrap().iter().flatten().map(|(_, address)| *address).collect()
    }

    /// Directs new connections to the running replicas.
    fn aim(&self) {
        self.entrance.set_targets(self.addresses());
    }
}

impl Drop for Service {
    /// Kills the processes, so that nothing waits for requests that the test left in flight.
    fn drop(&mut self) {
        for (running, _) in self.replicas.get_mut().unwrap().drain(..).flatten() {
            running.kill();
        }
    }
}

/// The status of a service according to `grpc.health.v1`, or the code of the refusal.
pub async fn health(url: &str, service: &str) -> Result<ServingStatus, tonic::Code> {
    let channel = tonic::transport::Endpoint::from_shared(url.to_owned()).unwrap().connect_lazy();
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(request).await;
    answer.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
}

/// The status of `/readyz`. `None` when nothing answers.
pub async fn readiness(url: &str) -> Option<u16> {
    reqwest::get(format!("{url}/readyz")).await.ok().map(|answer| answer.status().as_u16())
}
