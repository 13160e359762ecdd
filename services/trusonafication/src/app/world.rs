//! The service with minimal registry and binding services, for tests of use cases.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};

use axum::{Router, extract::Request as HttpRequest, routing::post};
use nodkey_bus::{Bus, BusConfig};
use nodkey_db::{Db, DbConfig, Tx};
use nodkey_kernel::{
    challenge::{Decision, RESPONSE_TYP, RejectReason, RequestContext, ResponseClaims, challenge_hash},
    device::MATCH6,
    egress::Egress,
    error::{Classify as _, Kind},
    id::{BindingId, DeviceId, RelyingPartyId, TrusonaficationId},
    jose::{Algorithm, PrivateKey, jws},
    random::Random,
    service_key::{ServiceKey, ServiceName},
    time::{Clock, Timestamp},
    vault::Vault,
};
use nodkey_proto::{
    binding::v1::{Binding, BindingState, ListUserDevicesRequest, ListUserDevicesResponse},
    convert::timestamp,
    registry::v1::{
        Device, GetDeviceRequest, GetRelyingPartyRequest, PromptSettings, PublishSigningKeyRequest, PublishSigningKeyResponse,
        RelyingParty, RelyingPartyLimits, TruCodeSettings,
    },
};
use nodkey_runtime::{Channel, Deployment, Deps, Peers, Service as _, topics};
use nodkey_testkit::TestDatabase;
use prost::Message;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{App, Matching, create::Created};
use crate::{
    Trusonafication as Service,
    config::Config,
    domain::{State, Target, Trusonafication, Unchecked},
    error::Error,
    store::{self, Of},
};

pub const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// Runs before the binding service answers.
type Hook = Box<dyn Fn(&Owners) + Send>;

/// Minimal registry and binding services.
#[derive(Clone)]
pub struct Owners(pub Arc<Inner>);

pub struct Inner {
    pub clock: Clock,
    known: Mutex<HashMap<DeviceId, Known>>,
    hook: Mutex<Option<Hook>>,
    pub asked: watch::Sender<usize>,
    /// Prompt settings that the registry reports.
    pub prompts: Mutex<Option<PromptSettings>>,
    /// Limit of trusonafications in progress; 0: the default.
    pub open: Mutex<i32>,
    /// Whether codes can be paired without proof.
    pub unproven: Mutex<bool>,
    /// Whether codes have a number.
    pub numbered: Mutex<bool>,
}

pub struct Known {
    pub key: PrivateKey,
    user: String,
    binding: BindingId,
    active: bool,
    /// Whether its app can take six digits.
    pub match6: bool,
    /// Whether the binding was last reported active.
    pub said_active: bool,
}

impl Owners {
    pub fn known(&self) -> MutexGuard<'_, HashMap<DeviceId, Known>> {
        self.0.known.lock().unwrap()
    }

    pub fn hook(&self, hook: impl Fn(&Self) + Send + 'static) {
        *self.0.hook.lock().unwrap() = Some(Box::new(hook));
    }

    /// Returns once the deactivation is confirmed.
    pub fn deactivate(&self, device: &DeviceId) {
        self.known().get_mut(device).unwrap().active = false;
    }

    pub fn asked(&self) -> usize {
        *self.0.asked.borrow()
    }

    fn device(&self, request: &GetDeviceRequest) -> Result<Device, Status> {
        let known = self.known();
        let found = known.get(&DeviceId::parse(&request.device_id).unwrap()).ok_or_else(|| Status::not_found(""))?;
        let (device_key, capabilities) = (found.key.public().to_value().to_string(), found.match6.then(|| MATCH6.to_owned()));
        Ok(Device { id: request.device_id.clone(), device_key, capabilities: capabilities.into_iter().collect(), ..Device::default() })
    }

    fn binding(&self, request: &nodkey_proto::binding::v1::GetDeviceBindingRequest) -> Result<Binding, Status> {
        self.0.asked.send_modify(|asked| *asked += 1);
        let device = DeviceId::parse(&request.device_identifier).unwrap();
        let binding = {
            let mut known = self.known();
            let found = known.get_mut(&device).filter(|found| found.active);
            if let Some(found) = found {
                found.said_active = true;
                Ok(message(&device, found))
            } else {
                Err(Status::not_found(""))
            }
        };
        if let Some(hook) = &*self.0.hook.lock().unwrap() {
            hook(self);
        }
        binding
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the router takes it")]
    fn devices(&self, request: &ListUserDevicesRequest) -> Result<ListUserDevicesResponse, Status> {
        let known = self.known();
        let bindings = known.iter().filter(|(_, found)| found.user == request.user_identifier && found.active);
        Ok(ListUserDevicesResponse { bindings: bindings.map(|(device, found)| message(device, found)).collect() })
    }

    fn routes(&self) -> Router {
        let router = Router::new();
        let router = unary(router, "/nodkey.registry.v1.DeviceService/GetDevice", self, Self::device);
        let router = unary(router, "/nodkey.binding.v1.BindingService/GetDeviceBinding", self, Self::binding);
        let router = unary(router, "/nodkey.binding.v1.UserService/ListUserDevices", self, Self::devices);
        let router =
            unary(router, "/nodkey.registry.v1.RelyingPartyService/GetRelyingParty", self, |owners, _: &GetRelyingPartyRequest| {
                let prompts = *owners.0.prompts.lock().unwrap();
                let limits = RelyingPartyLimits { open_trusonafications: *owners.0.open.lock().unwrap(), ..RelyingPartyLimits::default() };
                let (unproven, numbered) = (*owners.0.unproven.lock().unwrap(), *owners.0.numbered.lock().unwrap());
                let trucodes = TruCodeSettings { allow_unproven_pairing: unproven, match_number: numbered, ..TruCodeSettings::default() };
                let (limits, trucodes) = (Some(limits), Some(trucodes));
                Ok(RelyingParty { name: "Acme".into(), prompts, limits, trucodes, ..RelyingParty::default() })
            });
        unary(router, "/nodkey.registry.v1.SigningKeyService/PublishSigningKey", self, |owners, _: &PublishSigningKeyRequest| {
            Ok(PublishSigningKeyResponse { signs_at: Some(timestamp(owners.0.clock.now())) })
        })
    }
}

fn message(device: &DeviceId, found: &Known) -> Binding {
    Binding {
        id: found.binding.to_string(),
        user_identifier: found.user.clone(),
        device_identifier: device.to_string(),
        state: BindingState::Active.into(),
        ..Binding::default()
    }
}

/// A method that answers immediately.
fn unary<Q, A>(router: Router, path: &str, owners: &Owners, answer: fn(&Owners, &Q) -> Result<A, Status>) -> Router
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let owners = owners.clone();
    let method = post(move |request: HttpRequest| async move {
        let service = tower::service_fn(move |request: Request<Q>| {
            let answer = answer(&owners, request.get_ref()).map(Response::new);
            async { answer }
        });
        tonic::server::Grpc::new(tonic_prost::ProstCodec::<A, Q>::default()).unary(service, request).await
    });
    router.route(path, method)
}

pub struct World {
    pub app: App,
    pub db: Db,
    pub clock: Clock,
    pub owners: Owners,
    pub party: RelyingPartyId,
}

/// A phone that can answer.
pub struct Phone {
    pub device: DeviceId,
    pub user: String,
    pub binding: BindingId,
}

impl World {
    pub async fn new(database: &TestDatabase) -> Self {
        Self::at(database, Clock::manual(NOW)).await
    }

    pub async fn at(database: &TestDatabase, clock: Clock) -> Self {
        let db = Db::connect(&DbConfig { max_connections: 8, ..DbConfig::new(database.url()) }).await.unwrap();
        db.migrate(&Service::migrations().unwrap()).await.unwrap();
        let random = Random::system();
        let inner = Inner {
            clock: clock.clone(),
            known: Mutex::default(),
            hook: Mutex::default(),
            asked: watch::Sender::new(0),
            prompts: Mutex::default(),
            open: Mutex::default(),
            unproven: Mutex::default(),
            numbered: Mutex::default(),
        };
        let owners = Owners(Arc::new(inner));
        let deployment = Deployment::new("https://id.example.com", Egress::new(false));
        let deployment = Arc::new(deployment.seen_by(&ServiceKey::generate(ServiceName::Trusonafication, &random)));
        let routes = Arc::new(OnceLock::from(owners.routes()));
        let peers = Peers::new(ServiceName::Trusonafication, &deployment, &clock, |_| Ok(Channel::InProcess(Arc::clone(&routes)))).unwrap();
        let deps = Deps {
            db: Some(db.clone()),
            bus: Bus::connect(&BusConfig::default()).await.unwrap(),
            peers,
            clock: clock.clone(),
            random: random.clone(),
            vault: Some(Arc::new(Vault::new(&[7; 32]))),
            deployment,
            stopping: CancellationToken::new(),
        };
        let app = App::new(Config::default(), deps).unwrap();
        app.keys.published().await.unwrap();
        let party = RelyingPartyId::generate(clock.now(), &random);
        Self { app, db, clock, owners, party }
    }

    /// Adds a device that is bound to this user from now on.
    pub fn phone(&self, user: &str) -> Phone {
        let key = PrivateKey::generate(Algorithm::EdDsa, &Random::system());
        let device = DeviceId::parse(&key.public().thumbprint()).unwrap();
        let binding = BindingId::generate(self.clock.now(), &Random::system());
        let known = Known { key, user: user.to_owned(), binding, active: true, match6: false, said_active: false };
        self.owners.known().insert(device.clone(), known);
        Phone { device, user: user.to_owned(), binding }
    }

    /// The registry wakes the service, as it does when settings of a relying party have changed.
    pub fn settings_changed(&self) {
        self.app.bus.hint(topics::RELYING_PARTIES);
    }

    pub async fn ask(&self, target: Target) -> TrusonaficationId {
        loop {
            match self.try_ask(asking(target.clone())).await {
                // It shared its commit with an answer that was too late.
                Err(e) if e.kind() == Kind::Unavailable => {}
                created => return created.unwrap(),
            }
        }
    }

    pub async fn try_ask(&self, asked: Unchecked) -> Result<TrusonaficationId, Error> {
        let created = self.create(asked, Matching::default()).await?;
        Ok(created.trusonafication.unwrap().id.parse().unwrap())
    }

    pub async fn create(&self, asked: Unchecked, matching: Matching) -> Result<Created, Error> {
        self.app.create(self.party, None, asked, matching).await
    }

    /// The response when the person accepts.
    pub async fn accept(&self, phone: &Phone, id: TrusonaficationId) -> String {
        self.signed(phone, id, Decision::Accept, None).await
    }

    /// The response to the person's decision.
    pub async fn signed(&self, phone: &Phone, id: TrusonaficationId, dec: Decision, why: Option<RejectReason>) -> String {
        self.signed_with(phone, id, dec, why, None).await
    }

    /// As `signed`, with the number that the person entered.
    pub async fn signed_with(
        &self,
        phone: &Phone,
        id: TrusonaficationId,
        dec: Decision,
        why: Option<RejectReason>,
        num: Option<&str>,
    ) -> String {
        let challenge = store::get_answerable(&self.db, self.party, id).await.unwrap().unwrap().challenge;
        let claims = ResponseClaims {
            iss: phone.device.to_string(),
            aud: "https://id.example.com".into(),
            sub: id.to_string(),
            chal: challenge_hash(&challenge),
            dec,
            why,
            num: num.map(ToOwned::to_owned),
            doc: None,
            iat: self.clock.now().as_seconds(),
            jti: Random::system().token(),
        };
        let known = self.owners.known();
        let key = &known[&phone.device].key;
        jws::sign(RESPONSE_TYP, Some(&key.public().thumbprint()), None, &claims, key)
    }

    pub async fn respond(&self, phone: &Phone, response: &str) -> Result<Trusonafication, Error> {
        self.app.respond(self.party, &phone.device, response).await
    }

    pub async fn state(&self, id: TrusonaficationId) -> State {
        store::get(&self.db, self.party, id).await.unwrap().unwrap().state
    }

    /// Locks this row in the database until the transaction ends.
    pub async fn hold(&self, id: TrusonaficationId) -> Tx {
        let mut tx = self.db.begin().await.unwrap();
        let held = tx.query("UPDATE trusonafication SET version = version WHERE id = $1").bind(id.as_uuid()).execute().await;
        assert_eq!(held.unwrap(), 1);
        tx
    }

    pub async fn ended(&self, of: Of<'_>) {
        let mut tx = self.db.begin().await.unwrap();
        self.app.cancel_pending(&mut tx, self.party, of).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// A request to this target at level 1.
pub fn asking(target: Target) -> Unchecked {
    Unchecked {
        target: Some(target),
        desired_level: 1,
        action: "log in".into(),
        resource: "Acme".into(),
        prompt: None,
        user_presence: None,
        show_identity_document: None,
        custom_fields: String::new(),
        callback_url: String::new(),
        context: String::new(),
        request_context: RequestContext::default(),
        expires_at: None,
    }
}
