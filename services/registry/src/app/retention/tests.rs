use std::{
    collections::HashSet,
    sync::{Arc, Mutex, OnceLock},
};

use axum::Router;
use nodkey_bus::{Bus, BusConfig};
use nodkey_db::{Db, DbConfig};
use nodkey_kernel::{
    egress::Egress,
    id::{ConfirmationId, OperatorId, TrusonaficationId},
    jose::{Algorithm, PrivateKey},
    random::Random,
    role::Role,
    service_key::{ServiceKey, ServiceName},
    time::Clock,
    vault::Vault,
};
use nodkey_proto::{
    binding::v1::{
        self as binding, ActivateBindingRequest, Binding, CreateBindingRequest, DeactivateBindingRequest, GetBindingRequest,
        ListBindingsRequest, ListBindingsResponse, TransferBindingRequest,
        binding_service_server::{BindingService, BindingServiceServer},
    },
    registry::v1 as pb,
};
use nodkey_runtime::{Channel, Deployment, Deps, Peers, Service as _, mount};
use nodkey_testkit::TestDatabase;
use tonic::{Request, Response, Status};

use super::*;
use crate::{
    Registry,
    config::Config,
    domain::{
        Refusal,
        audit::Action,
        confirmation::{Confirmation, Request as Confirmed, Shown},
        device::{Platform, PresenceKeys, Registration, RegistrationFields},
        operator::{NewOperator, Operator},
        relying_party::NewRelyingParty,
    },
    store::{confirmation as confirmations, operator as operators},
};

const DAY: Duration = Duration::from_hours(24);
const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// A binding service that knows only which devices are bound.
#[derive(Clone, Debug, Default)]
struct Bound(Arc<Mutex<HashSet<String>>>);

#[tonic::async_trait]
impl BindingService for Bound {
    async fn get_device_binding(&self, request: Request<GetDeviceBindingRequest>) -> Result<Response<Binding>, Status> {
        let device_identifier = request.into_inner().device_identifier;
        let bound = self.0.lock().unwrap().contains(&device_identifier);
        bound.then(|| Response::new(Binding { device_identifier, ..Binding::default() })).ok_or(Status::not_found("none"))
    }

    async fn create_binding(&self, _: Request<CreateBindingRequest>) -> Result<Response<Binding>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn activate_binding(&self, _: Request<ActivateBindingRequest>) -> Result<Response<Binding>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn deactivate_binding(&self, _: Request<DeactivateBindingRequest>) -> Result<Response<binding::Binding>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn transfer_binding(&self, _: Request<TransferBindingRequest>) -> Result<Response<Binding>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_binding(&self, _: Request<GetBindingRequest>) -> Result<Response<Binding>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_bindings(&self, _: Request<ListBindingsRequest>) -> Result<Response<ListBindingsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

pub(in crate::app) struct World {
    pub(in crate::app) app: App,
    pub(in crate::app) db: Db,
    pub(in crate::app) clock: Clock,
    bound: Bound,
    pub(in crate::app) party: RelyingPartyId,
}

impl World {
    pub(in crate::app) async fn new(database: &TestDatabase) -> Self {
        let db = Db::connect(&DbConfig { max_connections: 4, ..DbConfig::new(database.url()) }).await.unwrap();
        db.migrate(&Registry::migrations().unwrap()).await.unwrap();
        let (clock, random, bound) = (Clock::manual(NOW), Random::seeded(1), Bound::default());
        let deployment = Deployment::new("https://id.example.com", Egress::new(false));
        let deployment = Arc::new(deployment.seen_by(&ServiceKey::generate(ServiceName::Registry, &random)));
        let routes = Arc::new(OnceLock::from(mount(Router::new(), BindingServiceServer::new(bound.clone()))));
        let peers = Peers::new(ServiceName::Registry, &deployment, &clock, |_| Ok(Channel::InProcess(Arc::clone(&routes)))).unwrap();
        let deps = Deps {
            db: Some(db.clone()),
            bus: Bus::connect(&BusConfig::default()).await.unwrap(),
            peers,
            clock: clock.clone(),
            random,
            vault: Some(Arc::new(Vault::new(&[7; 32]))),
            deployment,
            stopping: tokio_util::sync::CancellationToken::new(),
        };
        let app = App::new(&Config::default(), deps).unwrap();
        let new = NewRelyingParty::parse("ACME", "", false).unwrap();
        let party = app.create_relying_party(None, new, |party| pb::RelyingParty::from(party)).await.unwrap();
        let world = Self { app, db, clock, bound, party: party.id.parse().unwrap() };
        world.since(NOW).await;
        world
    }

    /// Sets the time at which retention was introduced.
    async fn since(&self, since: Timestamp) {
        self.db.execute("UPDATE retention SET since = $1").bind(since).execute().await.unwrap();
    }

    fn registration(seed: u64) -> Registration {
        let key = PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(seed)).public().to_value().to_string();
        Registration::parse(RegistrationFields {
            device_key: &key,
            presence: Ok(PresenceKeys::default()),
            name: "",
            platform: Ok(Platform::Other),
            app_version: "",
            statement: None,
        })
        .unwrap()
    }

    pub(in crate::app) async fn register(&self, seed: u64) -> DeviceId {
        self.app.register_device(self.party, Self::registration(seed), None).await.unwrap().device.id
    }

    async fn exists(&self, id: &DeviceId) -> bool {
        self.app.device(self.party, id).await.is_ok()
    }

    async fn delete_devices(&self) {
        self.app.delete_unbound_devices(&Pass::at(self.clock.now())).await.unwrap();
    }
}

nodkey_testkit::on_both_engines! {
    World::new =>
    a_device_that_is_bound_to_nobody_goes_90_days_after_it_was_seen,
    a_device_that_is_bound_stays_and_so_does_one_that_is_retired_after_it_was,
    a_device_of_before_stays_until_a_policy_says_otherwise,
    a_device_that_another_service_has_asked_for_stays,
    a_device_that_is_gone_comes_back_unless_it_was_retired_after_use,
    an_invitation_that_nobody_took_goes_90_days_after_it_ran_out,
    what_operators_did_goes_in_batches,
    what_operators_confirmed_is_kept_as_long_as_what_they_did,
    policies_are_listed_of_all_relying_parties,
}

async fn a_device_that_is_bound_to_nobody_goes_90_days_after_it_was_seen(world: World) {
    let device = world.register(1).await;
    world.clock.advance(10 * DAY);
    world.app.resolve_device(&device).await.unwrap();
    world.clock.advance(90 * DAY);
    world.delete_devices().await;
    assert!(world.exists(&device).await, "not older than that");
    world.clock.advance(Duration::from_secs(1));
    world.delete_devices().await;
    assert!(!world.exists(&device).await);
}

async fn a_device_that_is_bound_stays_and_so_does_one_that_is_retired_after_it_was(world: World) {
    let (bound, retired, neither) = (world.register(1).await, world.register(2).await, world.register(3).await);
    let retired_unbound = world.register(4).await;
    world.bound.0.lock().unwrap().insert(bound.to_string());
    world.app.device_in_use(world.party, &retired).await.unwrap();
    for device in [&retired, &retired_unbound] {
        world.app.retire_device(world.party, device).await.unwrap();
    }
    world.clock.advance(1000 * DAY);
    world.delete_devices().await;
    assert!(world.exists(&bound).await && world.exists(&retired).await);
    assert!(
        !world.exists(&neither).await && !world.exists(&retired_unbound).await,
        "nobody fills a deployment by retiring what was never used"
    );
}

async fn a_device_of_before_stays_until_a_policy_says_otherwise(world: World) {
    world.since(NOW + DAY).await;
    let device = world.register(1).await;
    world.clock.advance(1000 * DAY);
    world.delete_devices().await;
    assert!(world.exists(&device).await);
    let policy = RetentionPolicy { unbound_device: Some(0), ..RetentionPolicy::default_of(world.party) };
    world.app.put_retention_policy(policy).await.unwrap();
    world.delete_devices().await;
    assert!(world.exists(&device).await, "for ever");
    world.app.put_retention_policy(RetentionPolicy { unbound_device: Some(30), ..policy }).await.unwrap();
    world.delete_devices().await;
    assert!(!world.exists(&device).await);
}

/// The binding service fetches a device before it binds it. Whichever comes first, no device is bound that does not exist.
async fn a_device_that_another_service_has_asked_for_stays(world: World) {
    let device = world.register(1).await;
    world.clock.advance(1000 * DAY);
    world.app.device_in_use(world.party, &device).await.unwrap();
    let before = world.clock.now() - 90 * DAY;
    assert_eq!(store::delete_unseen(&world.db, world.party, before, std::slice::from_ref(&device)).await.unwrap(), 0);
    world.clock.advance(1000 * DAY);
    world.delete_devices().await;
    assert!(matches!(world.app.device_in_use(world.party, &device).await, Err(Error::Refused(Refusal::NotFound(_)))));
}

async fn a_device_that_is_gone_comes_back_unless_it_was_retired_after_use(world: World) {
    let (device, retired) = (world.register(1).await, world.register(2).await);
    world.app.device_in_use(world.party, &retired).await.unwrap();
    world.app.retire_device(world.party, &retired).await.unwrap();
    world.clock.advance(1000 * DAY);
    world.delete_devices().await;
    let back = world.app.register_device(world.party, World::registration(1), None).await.unwrap();
    assert!(back.created && back.device.id == device);
    let refused = world.app.register_device(world.party, World::registration(2), None).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::DeviceRetired))));
}

async fn an_invitation_that_nobody_took_goes_90_days_after_it_ran_out(world: World) {
    let invite = async |name: &str| {
        let new = NewOperator::parse(name, Some(nodkey_kernel::role::Role::Auditor)).unwrap();
        let answer = |invited: &crate::app::Invited| pb::Invitation::from(invited);
        let invited = world.app.invite_operator(None, new, answer).await.unwrap();
        invited.operator.unwrap().id.parse::<OperatorId>().unwrap()
    };
    let (lapsed, disabled) = (invite("Ada").await, invite("Grace").await);
    world.db.execute("UPDATE operator SET state = 'disabled' WHERE id = $1").bind(disabled.as_uuid()).execute().await.unwrap();
    let left = async |expected: &[OperatorId]| {
        world.app.delete_invitations(&Pass::at(world.clock.now())).await.unwrap();
        let (operators, _) = world.app.operators(&Page { size: 10, after: None }).await.unwrap();
        let mut ids: Vec<_> = operators.iter().map(|operator| operator.id).collect();
        ids.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(ids, expected);
    };
    // Invitations are valid for a day.
    world.clock.advance(91 * DAY);
    left(&[lapsed, disabled]).await;
    world.clock.advance(Duration::from_secs(1));
    world.since(NOW + DAY).await;
    left(&[lapsed, disabled]).await;
    world.since(NOW).await;
    left(&[disabled]).await;
}

async fn what_operators_did_goes_in_batches(world: World) {
    let count = u64::try_from(nodkey_db::retention::BATCH).unwrap() + 1;
    for _ in 0..count {
        let action = Action {
            operator: None,
            actor: "ada".into(),
            role: "owner".into(),
            relying_party: None,
            method: "m".into(),
            request: "{}".into(),
            trace_id: "t".into(),
        };
        world.app.create_audit_entry(action, "OK").await.unwrap();
    }
    let left = async || world.db.query("SELECT id FROM audit_entry").fetch_all().await.unwrap().len();
    world.app.checkpoint_audit_chains().await.unwrap();
    assert_eq!(store::delete_unchained(&world.db, NOW + DAY).await.unwrap(), 0, "they are in a chain");
    world.clock.advance(400 * DAY);
    world.app.delete_audit_entries(&Pass::at(world.clock.now())).await.unwrap();
    assert_eq!(u64::try_from(left().await).unwrap(), count, "kept for 400 days");
    world.clock.advance(DAY);
    world.app.delete_audit_entries(&Pass::at(world.clock.now())).await.unwrap();
    assert_eq!(left().await, 0);
}

async fn policies_are_listed_of_all_relying_parties(world: World) {
    let page = Page { size: 10, after: None };
    assert_eq!(world.app.retention_policies(&page).await.unwrap().0, [RetentionPolicy::default_of(world.party)]);
    let policy = RetentionPolicy { relying_party: world.party, answered: Some(400), unanswered: Some(0), unbound_device: None };
    world.app.put_retention_policy(policy).await.unwrap();
    assert_eq!(world.app.retention_policies(&page).await.unwrap().0, [policy]);
    assert_eq!(world.app.retention_policy(world.party).await.unwrap(), policy);
    let unknown = RetentionPolicy { relying_party: RelyingPartyId::from_uuid(uuid::Uuid::max()), ..policy };
    assert!(matches!(world.app.put_retention_policy(unknown).await, Err(Error::Refused(Refusal::NotFound(_)))));
}

async fn what_operators_confirmed_is_kept_as_long_as_what_they_did(world: World) {
    let (now, random) = (world.clock.now(), Random::seeded(3));
    let new = NewOperator::parse("Ada", Some(Role::Owner)).unwrap();
    let operator = Operator::invite(OperatorId::generate(now, &random), new, [1; 32], now);
    let mut tx = world.db.begin().await.unwrap();
    operators::insert(&mut tx, &operator).await.unwrap();
    tx.commit().await.unwrap();
    let confirmation = Confirmation {
        id: ConfirmationId::generate(now, &random),
        operator: operator.id,
        request: Confirmed { method: "x.Y/Z".into(), relying_party: None, sha256: [7; 32] },
        trusonafication: TrusonaficationId::generate(now, &random),
        shown: Shown::disable_relying_party("Acme"),
        created_at: now,
        expires_at: now + Duration::from_mins(2),
        used_at: None,
    };
    confirmations::insert(&world.db, &confirmation).await.unwrap();
    let is_there = async || confirmations::get(&world.db, confirmation.id).await.unwrap().is_some();
    world.clock.advance(400 * DAY);
    world.app.delete_confirmations(&Pass::at(world.clock.now())).await.unwrap();
    assert!(is_there().await);
    world.clock.advance(Duration::from_secs(1));
    world.app.delete_confirmations(&Pass::at(world.clock.now())).await.unwrap();
    assert!(!is_there().await);
}
