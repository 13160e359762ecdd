//! Nodkey as its users see it: in one process on SQLite, or as five processes on PostgreSQL and NATS.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use nodkey_binding::Binding;
use nodkey_client::{Credential, Endpoints, EvidenceError, Expected, Nodkey, ServiceName, VerifiedEvidence, verify_evidence};
use nodkey_gateway::Gateway;
use nodkey_kernel::{egress::Egress, operator_key::OperatorKey, random::Random, service_key::ServiceKey, time::Clock};
use nodkey_mobile_sdk::{Config, ConfigBuilder, Error, Pending, Phone, PhoneBuilder, PhoneEvent, UserPresence, software::SoftwareKeyStore};
use nodkey_notification::Notification;
use nodkey_proto::registry::v1::{
    CreateCredentialRequest, CreateCredentialResponse, CreateRelyingPartyRequest, CredentialKind,
    credential_service_client::CredentialServiceClient, relying_party_service_client::RelyingPartyServiceClient,
};
use nodkey_registry::Registry;
use nodkey_runtime::{
    DataDir, Deployment, TlsFiles,
    embedded::{Embedded, EmbeddedConfig, Handle},
};
use nodkey_trusonafication::Trusonafication;
use tempfile::TempDir;

use crate::keys::Keys;

/// Long enough for anything on a busy machine. Only something broken takes that long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A phone with software keys.
pub type SoftPhone = Phone;

/// A running Nodkey.
pub struct World {
    /// The gateway's URL.
    pub http: String,
    /// The addresses of gRPC.
    pub endpoints: Endpoints,
    /// Where a test runs its own APNs, if it does.
    pub apns: SocketAddr,
    /// Where a test runs its own FCM and its access tokens.
    pub fcm: SocketAddr,
    operator_key: String,
    service_keys: Vec<ServiceKey>,
    /// The URL of each gateway itself, if something else is in front of them.
    gateways: Vec<String>,
    /// The URLs of the metrics of each service's replicas, if it runs as several processes.
    metrics: BTreeMap<String, Vec<String>>,
    process: Option<(Handle, TempDir)>,
}

/// A relying party with its credentials.
pub struct Tenant {
    /// Its id.
    pub id: String,
    /// The client of its backend.
    pub backend: Nodkey,
    /// Its server credential.
    pub server: CreateCredentialResponse,
    /// Its mobile credential.
    pub mobile: CreateCredentialResponse,
    /// The gateway's URL.
    pub http: String,
    ca_certificate: Option<String>,
}

impl World {
    /// Starts everything in this process.
    pub async fn embedded() -> Self {
        Self::embedded_with(nodkey_gateway::Config::default()).await
    }

    /// Does the same with other limits.
    pub async fn embedded_with(gateway: nodkey_gateway::Config) -> Self {
        Self::start(gateway, None).await
    }

    /// Starts everything in this process with the settings of production.
    pub async fn embedded_in_production() -> Self {
        Self::start_with(nodkey_gateway::Config::default(), None, |config| config.deployment.explain_refusals = false).await
    }

    /// Starts everything in this process with this clock.
    pub async fn embedded_by(clock: Clock) -> Self {
        Self::start_with(nodkey_gateway::Config::default(), None, |config| config.clock = clock).await
    }

    /// Starts everything in this process behind a proxy with this public URL.
    pub async fn embedded_behind(gateway: nodkey_gateway::Config, public_url: &str) -> Self {
        Self::start_with(gateway, None, |config| config.public_url = Some(public_url.to_owned())).await
    }

    /// The address of the gateway itself.
    pub fn gateway(&self) -> SocketAddr {
        self.process.as_ref().expect("it runs in this process").0.http
    }

    /// The folder of its databases.
    pub fn data_dir(&self) -> &Path {
        self.process.as_ref().expect("it runs in this process").1.path()
    }

    /// Starts everything in this process over TLS, with a certificate of this authority for 127.0.0.1.
    pub async fn embedded_over_tls(files: TlsFiles, ca_certificate: &str) -> Self {
        let mut world = Self::start(nodkey_gateway::Config::default(), Some(files)).await;
        world.endpoints.ca_certificate = Some(ca_certificate.to_owned());
        world
    }

    async fn start(gateway: nodkey_gateway::Config, tls: Option<TlsFiles>) -> Self {
        Self::start_with(gateway, tls, |_| {}).await
    }

    async fn start_with(gateway: nodkey_gateway::Config, tls: Option<TlsFiles>, change: impl FnOnce(&mut EmbeddedConfig)) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        nodkey_runtime::install_crypto_provider();
        let dir = tempfile::tempdir().unwrap();
        let (apns, fcm) = free_addresses();
        let mut config = config(dir.path(), tls);
        change(&mut config);
        let service_keys = config.service_keys.clone();
        let security_contact = Some("mailto:security@example.com".to_owned());
        let gateway = nodkey_gateway::Config { cookie_key: Some("cookie".repeat(6).into()), security_contact, ..gateway };
        let embedded = Embedded::new(config)
            .with::<Registry>(nodkey_registry::config::Config::default())
            .with::<Binding>(nodkey_binding::Config::default())
            .with::<Trusonafication>(nodkey_trusonafication::Config::default())
            .with::<Notification>(notification(apns, fcm))
            .with::<Gateway>(gateway);
        // On the heap, because it is large.
        let handle = Box::pin(embedded.start()).await.unwrap();
        let endpoints = Endpoints::single(&format!("{scheme}://{}", handle.grpc));
        let (http, operator_key) = (handle.public_url.clone(), operator_key().to_secret().to_string());
        Self {
            http,
            endpoints,
            apns,
            fcm,
            operator_key,
            service_keys,
            gateways: Vec::new(),
            metrics: BTreeMap::new(),
            process: Some((handle, dir)),
        }
    }

    /// Connects to the processes that `scripts/up-native` started.
    pub fn distributed() -> Self {
        let file = environment("NODKEY_TEST_NATIVE");
        Self::of_file(&std::fs::read_to_string(file).unwrap())
    }

    /// A deployment from the description that `scripts/up-native` and `nodkey dev` write.
    pub fn of_file(json: &str) -> Self {
        nodkey_runtime::install_crypto_provider();
        let file: BTreeMap<String, serde_json::Value> = serde_json::from_str(json).unwrap();
        let text = |name: &str| file.get(name).and_then(|v| v.as_str()).map(ToOwned::to_owned);
        let mut endpoints = text("grpc").map_or_else(
            || Endpoints {
                registry: text("registry").unwrap(),
                binding: text("binding").unwrap(),
                trusonafication: text("trusonafication").unwrap(),
                notification: text("notification").unwrap(),
                ca_certificate: None,
            },
            |grpc| Endpoints::single(&grpc),
        );
        endpoints.ca_certificate = text("ca_certificate").map(|path| std::fs::read_to_string(path).unwrap());
        let address = |name: &str| text(name).map_or_else(|| free_addresses().0, |address| address.parse().unwrap());
        Self {
            http: text("http").unwrap(),
            endpoints,
            apns: address("apns"),
            fcm: address("fcm"),
            operator_key: text("operator_key").unwrap(),
            service_keys: text("keys").map_or_else(Vec::new, |folder| Keys::of(Path::new(&folder)).of_services()),
            gateways: file.get("gateways").map_or_else(Vec::new, |urls| serde_json::from_value(urls.clone()).unwrap()),
            metrics: file.get("metrics").map_or_else(BTreeMap::new, |urls| serde_json::from_value(urls.clone()).unwrap()),
            process: None,
        }
    }

    /// A deployment run by something else.
    pub fn at(http: String, endpoints: Endpoints, operator_key: String) -> Self {
        nodkey_runtime::install_crypto_provider();
        let (apns, fcm) = free_addresses();
        Self {
            http,
            endpoints,
            apns,
            fcm,
            operator_key,
            service_keys: Vec::new(),
            gateways: Vec::new(),
            metrics: BTreeMap::new(),
            process: None,
        }
    }

    /// The metrics of each service: its name, which is `all` when they are one process, and the URL of each replica's.
    pub fn metrics(&self) -> BTreeMap<String, Vec<String>> {
        if self.metrics.is_empty() {
            [("all".to_owned(), vec![format!("{}/metrics", self.endpoints.registry)])].into()
        } else {
            self.metrics.clone()
        }
    }

    /// The number of replicas of a service.
    pub fn replicas(&self, service: &str) -> usize {
        self.metrics.get(service).map_or(1, Vec::len)
    }

    /// The address of one gateway alone, for what each does by itself. Proofs of phones are for the public address.
    pub fn at_one_gateway(&self) -> Self {
        let http = self.gateways.first().unwrap_or(&self.http).clone();
        let world = Self::at(http, self.endpoints.clone(), self.operator_key.clone());
        Self { apns: self.apns, fcm: self.fcm, ..world }
    }

    /// The key that signs calls of operators.
    pub fn operator_key(&self) -> &str {
        &self.operator_key
    }

    /// The single public address for everything.
    pub fn one_address(&self) -> Endpoints {
        Endpoints { ca_certificate: self.endpoints.ca_certificate.clone(), ..Endpoints::single(&self.http) }
    }

    /// The keys of its services, where the test may know them.
    pub fn service_keys(&self) -> &[ServiceKey] {
        &self.service_keys
    }

    /// A client with an operator's rights.
    pub fn operator(&self, relying_party: Option<&str>) -> Nodkey {
        let party = relying_party.map(ToOwned::to_owned);
        let credential = match OperatorKey::from_secret(&self.operator_key) {
            Ok(key) => Credential::operator(key, party),
            // A deployment from before asymmetric operator keys.
            Err(_) => Credential::symmetric_operator(self.operator_key.clone(), party),
        };
        Nodkey::connect(&self.endpoints, credential).unwrap()
    }

    /// Creates a relying party with both credentials.
    pub async fn tenant(&self) -> Tenant {
        self.tenant_of("Acme", true).await
    }

    /// Does the same for a relying party that uses one of Trusona's SDKs, or does not.
    pub async fn tenant_of(&self, name: &str, trusona_clients: bool) -> Tenant {
        let operator = self.operator(None);
        let request = CreateRelyingPartyRequest { name: name.into(), trusona_clients, ..CreateRelyingPartyRequest::default() };
        let mut parties = RelyingPartyServiceClient::new(operator.channel(ServiceName::Registry));
        let id = parties.create_relying_party(request).await.unwrap().into_inner().id;
        let (server, mobile) = (self.credential(&id, CredentialKind::Server).await, self.credential(&id, CredentialKind::Mobile).await);
        let token = &server.credential.as_ref().unwrap().token;
        let backend = Nodkey::connect(&self.endpoints, Credential::new(token, server.secret.clone()).unwrap()).unwrap();
        Tenant { id, backend, server, mobile, http: self.http.clone(), ca_certificate: self.endpoints.ca_certificate.clone() }
    }

    /// Creates a credential.
    pub async fn credential(&self, relying_party_id: &str, kind: CredentialKind) -> CreateCredentialResponse {
        let mut credentials = CredentialServiceClient::new(self.operator(None).channel(ServiceName::Registry));
        let request = CreateCredentialRequest {
            relying_party_id: relying_party_id.to_owned(),
            kind: kind.into(),
            ..CreateCredentialRequest::default()
        };
        credentials.create_credential(request).await.unwrap().into_inner()
    }
}

impl Tenant {
    /// The client of its backend for another world's address of the same deployment.
    pub fn backend_at(&self, world: &World) -> Nodkey {
        self.backend_through(&world.endpoints)
    }

    /// The client of its backend for these endpoints.
    pub fn backend_through(&self, endpoints: &Endpoints) -> Nodkey {
        let token = &self.server.credential.as_ref().unwrap().token;
        Nodkey::connect(endpoints, Credential::new(token, self.server.secret.clone()).unwrap()).unwrap()
    }

    /// Verifies the evidence of a trusonafication with the deployment's published keys.
    pub async fn prove(&self, id: &str, expected: &Expected) -> Result<VerifiedEvidence, EvidenceError> {
        verify_evidence(&self.backend.evidence(id).await.unwrap(), &self.backend.jwks().await.unwrap(), expected)
    }

    /// A phone of this tenant's app with these keys. Sends nothing.
    pub fn phone_with(&self, keys: SoftwareKeyStore) -> SoftPhone {
        built(Phone::builder(self.phone_config(), Arc::new(keys)))
    }

    /// Does the same, with this person holding it.
    pub fn phone_of(&self, keys: SoftwareKeyStore, person: impl UserPresence + 'static) -> SoftPhone {
        built(Phone::builder(self.phone_config(), Arc::new(keys)).user_presence(Arc::new(person)))
    }

    fn phone_config(&self) -> Config {
        let token = &self.mobile.credential.as_ref().unwrap().token;
        phone_config(&self.http, token, &self.mobile.secret, self.ca_certificate.as_deref())
    }

    /// A phone that has registered.
    pub async fn registered(&self) -> SoftPhone {
        let phone = self.phone_with(SoftwareKeyStore::generate());
        phone.register("test phone").await.unwrap();
        phone
    }

    /// A phone that is bound to a user, and active.
    pub async fn active(&self, user: &str) -> SoftPhone {
        let phone = self.registered().await;
        self.activate(user, &phone).await;
        phone
    }

    /// Binds a phone to a user and activates it.
    pub async fn activate(&self, user: &str, phone: &SoftPhone) {
        let binding = self.backend.create_binding(user, phone.device_identifier().as_str()).await.unwrap();
        self.backend.activate_binding(&binding.id).await.unwrap();
    }
}

/// What a phone's app ships with.
pub fn phone_config(http: &str, token: &str, secret: &str, ca_certificate: Option<&str>) -> Config {
    let config = Config::builder().url(http).token(token).secret(secret);
    ca_certificate.into_iter().fold(config, ConfigBuilder::ca_certificate).build().unwrap()
}

/// Builds a phone whose keys are at hand.
pub fn built(phone: PhoneBuilder) -> SoftPhone {
    phone.build().now_or_never().expect("keys in memory take no time").unwrap()
}

/// Two addresses that nothing listens on.
pub fn free_addresses() -> (SocketAddr, SocketAddr) {
    let listener = || std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let (one, other) = (listener(), listener());
    (one.local_addr().unwrap(), other.local_addr().unwrap())
}

/// The notification settings for push providers of a test's own.
fn notification(apns: SocketAddr, fcm: SocketAddr) -> nodkey_notification::Config {
    let push = nodkey_notification::PushConfig {
        apns_url: format!("http://{apns}"),
        fcm_url: format!("http://{fcm}"),
        google_token_url: format!("http://{fcm}/token"),
        allow_this_machine: true,
        ..nodkey_notification::PushConfig::default()
    };
    nodkey_notification::Config { push, ..nodkey_notification::Config::default() }
}

/// The operator key of worlds that run in this process.
pub fn operator_key() -> OperatorKey {
    OperatorKey::generate(&Random::seeded(24))
}

/// Everything in this process, on free ports.
pub fn config(data_dir: &Path, tls: Option<TlsFiles>) -> EmbeddedConfig {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    EmbeddedConfig {
        data_dir: DataDir::open(data_dir, &Clock::system()).unwrap(),
        http: any,
        grpc: any,
        tls,
        public_url: None,
        deployment: Deployment { operator_keys: [&operator_key()].into_iter().collect(), ..Deployment::new("", Egress::new(true)) },
        service_keys: ServiceKey::all(&Random::system()),
        master_key: [7; 32],
        previous_master_keys: Vec::new(),
        clock: Clock::system(),
        random: Random::system(),
    }
}

/// Waits for the phone's next pending trusonafication.
pub async fn asked(phone: &SoftPhone) -> Pending {
    let pending = phone.wait(PATIENCE).await.unwrap();
    assert_eq!(pending.len(), 1, "one thing is asked");
    pending.into_iter().next().unwrap()
}

/// Waits for the next pending trusonafication on the phone's stream.
pub async fn next_asked(events: &mut (impl Stream<Item = Result<PhoneEvent, Error>> + Unpin)) -> Pending {
    let asked = async {
        loop {
            match events.next().await {
                Some(Ok(PhoneEvent::Asked(pending))) => return *pending,
                Some(Ok(_)) => {}
                ended => panic!("nothing was asked: {ended:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("it takes too long until something is asked")
}

/// Polls until there is a result.
pub async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            looks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("it takes too long until {what}"))
}

/// How many races to run of this number: each of them may find the fault, so a quarter where there is no time for all (`NODKEY_FEW_RACES`).
pub fn number_of_races(all: usize) -> usize {
    if std::env::var_os("NODKEY_FEW_RACES").is_some() { all / 4 } else { all }
}

/// A setting of the test run.
#[expect(clippy::disallowed_methods, reason = "tests are configured by their runner's environment")]
pub fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with `make test`"))
}
