//! Expiry and concurrent activation of bindings, with a minimal registry.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use axum::Router;
use nodkey_bus::{Bus, BusConfig};
use nodkey_db::{Db, DbConfig, outbox};
use nodkey_kernel::{
    egress::Egress,
    id::{BindingId, DeviceId},
    random::Random,
    service_key::{ServiceKey, ServiceName},
    time::Clock,
    vault::Vault,
};
use nodkey_proto::{
    Event,
    binding::v1::BindingActivated,
    registry::v1::{
        BindingSettings, CreateRelyingPartyRequest, DisableRelyingPartyRequest, GetRelyingPartyRequest, ListRelyingPartiesResponse,
        RelyingParty, UpdateRelyingPartyRequest,
        relying_party_service_server::{RelyingPartyService, RelyingPartyServiceServer},
    },
};
use nodkey_runtime::{Channel, Deployment, Deps, Peers, Service as _, mount};
use nodkey_testkit::TestDatabase;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::*;
use crate::{
    Binding as Service,
    domain::{
        Binding, Refusal, State, UserIdentifier,
        freeze::{Freezer, Note},
    },
};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// Lists one relying party per page, each with the hours it lets a binding stay inactive.
pub(in crate::app) struct Registry(pub(in crate::app) Vec<(RelyingPartyId, Option<i32>)>);

#[tonic::async_trait]
impl RelyingPartyService for Registry {
    async fn create_relying_party(&self, _: Request<CreateRelyingPartyRequest>) -> Result<Response<RelyingParty>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_relying_party(&self, _: Request<GetRelyingPartyRequest>) -> Result<Response<RelyingParty>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_relying_parties(
        &self,
        request: Request<ListRelyingPartiesRequest>,
    ) -> Result<Response<ListRelyingPartiesResponse>, Status> {
        let at = request.get_ref().page_token.parse().unwrap_or(0_usize);
        let (id, hours) = self.0[at];
        // A registry of an earlier release does not know the setting.
        let bindings = hours.map(|inactive_hours| BindingSettings { inactive_hours });
        let relying_parties = vec![RelyingParty { id: id.to_string(), bindings, ..RelyingParty::default() }];
        let next_page_token = if at + 1 < self.0.len() { (at + 1).to_string() } else { String::new() };
        Ok(Response::new(ListRelyingPartiesResponse { relying_parties, next_page_token }))
    }

    async fn update_relying_party(&self, _: Request<UpdateRelyingPartyRequest>) -> Result<Response<RelyingParty>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn disable_relying_party(&self, _: Request<DisableRelyingPartyRequest>) -> Result<Response<RelyingParty>, Status> {
        Err(Status::unimplemented(""))
    }
}

pub(in crate::app) async fn app(db: &Db, registry: Registry) -> App {
    let (random, clock) = (Random::system(), Clock::manual(NOW));
    let deployment = Deployment::new("https://id.example.com", Egress::new(false));
    let deployment = Arc::new(deployment.seen_by(&ServiceKey::generate(ServiceName::Binding, &random)));
    let routes = Arc::new(OnceLock::from(mount(Router::new(), RelyingPartyServiceServer::new(registry))));
    let peers = Peers::new(ServiceName::Binding, &deployment, &clock, |_| Ok(Channel::InProcess(Arc::clone(&routes)))).unwrap();
    let deps = Deps {
        db: Some(db.clone()),
        bus: Bus::connect(&BusConfig::default()).await.unwrap(),
        peers,
        clock,
        random,
        vault: Some(Arc::new(Vault::new(&[7; 32]))),
        deployment,
        stopping: CancellationToken::new(),
    };
    App::new(&deps).unwrap()
}

async fn what_waits_too_long_ends_as_its_relying_party_says_and_is_told(db: Db) {
    let parties: Vec<_> = (0..4).map(|n| RelyingPartyId::generate(NOW, &Random::seeded(n))).collect();
    let [of_three_days, of_a_day, never, before] = parties[..] else { panic!("four") };
    let registry = Registry(vec![(of_three_days, Some(72)), (never, Some(0)), (of_a_day, Some(24)), (before, None)]);
    let app = app(&db, registry).await;
    let mut made = Vec::new();
    for party in &parties {
        for (n, hours) in [(0_u64, 100), (1, 100), (2, 48), (3, 1)] {
            let at = NOW - Duration::from_hours(hours);
            let id = BindingId::generate(at, &Random::system());
            let (user, device) = (UserIdentifier::parse("ada").unwrap(), DeviceId::parse(&format!("{n:0>43}")).unwrap());
            let binding = Binding::create(id, *party, user, device, 0, at).unwrap();
            let mut tx = db.begin().await.unwrap();
            store::insert(&mut tx, &binding).await.unwrap();
            tx.commit().await.unwrap();
            if n == 0 {
                app.activate(*party, id).await.unwrap();
            }
            made.push((*party, n, id));
        }
    }
    // More than one batch.
    for n in 0..2 * BATCH {
        let at = NOW - Duration::from_hours(200);
        let device = DeviceId::parse(&format!("x{n:0>42}")).unwrap();
        let user = UserIdentifier::parse(&format!("user {n}")).unwrap();
        let binding = Binding::create(BindingId::generate(at, &Random::system()), of_a_day, user, device, 0, at).unwrap();
        let mut tx = db.begin().await.unwrap();
        store::insert(&mut tx, &binding).await.unwrap();
        tx.commit().await.unwrap();
    }
    app.expire_inactive(&Pass::at(NOW)).await.unwrap();
    for (party, n, id) in made {
        let binding = app.get(party, id).await.unwrap();
        let ends = (n == 1 && [of_three_days, of_a_day].contains(&party)) || (n == 2 && party == of_a_day);
        match binding.state {
            State::Deactivated { activated_at, deactivated_at } => {
                assert!(ends && activated_at.is_none() && deactivated_at == NOW, "{party} {n}");
                let refused = app.activate(party, id).await.unwrap_err();
                assert!(matches!(refused, Error::Refused(Refusal::BindingDeactivated)), "{refused}");
            }
            State::Active { .. } => assert!(n == 0 && !ends),
            State::Inactive => assert!(n != 0 && !ends, "{party} {n}"),
        }
    }
    assert_eq!(store::inactive_before(&db, of_a_day, NOW - Duration::from_hours(24), 10).await.unwrap(), []);
    let told = db.query("SELECT COUNT(*) AS told FROM outbox WHERE subject LIKE 'evt.binding.v1.deactivated%'").fetch_one().await.unwrap();
    assert_eq!(told.get::<i64>("told").unwrap(), 3 + 2 * BATCH);
}

async fn an_activation_that_was_first_stays(db: Db) {
    let party = RelyingPartyId::generate(NOW, &Random::seeded(1));
    let app = app(&db, Registry(vec![(party, Some(1))])).await;
    let at = NOW - Duration::from_hours(2);
    let (user, device) = (UserIdentifier::parse("ada").unwrap(), DeviceId::parse(&"d".repeat(43)).unwrap());
    let waiting = Binding::create(BindingId::generate(at, &Random::system()), party, user, device, 0, at).unwrap();
    let mut tx = db.begin().await.unwrap();
    store::insert(&mut tx, &waiting).await.unwrap();
    tx.commit().await.unwrap();
    app.activate(party, waiting.id).await.unwrap();
    // The state as it was read before.
    let Change::Changed(expired) = waiting.expire(NOW, NOW) else { panic!("it is older") };
    let mut tx = db.begin().await.unwrap();
    assert!(!store::update(&mut tx, &expired).await.unwrap());
    tx.rollback().await.unwrap();
    app.expire_inactive(&Pass::at(NOW)).await.unwrap();
    assert!(matches!(app.get(party, expired.id).await.unwrap().state, State::Active { .. }));
}

async fn of_phones_that_become_active_at_once_each_names_those_before_it(db: Db) {
    const PHONES: usize = 6;
    let party = RelyingPartyId::generate(NOW, &Random::seeded(1));
    let app = app(&db, Registry(Vec::new())).await;
    let mut activations = JoinSet::new();
    for n in 0..PHONES {
        let (user, device) = (UserIdentifier::parse("ada").unwrap(), DeviceId::parse(&format!("{n:0>43}")).unwrap());
        let binding = Binding::create(BindingId::generate(NOW, &Random::system()), party, user, device, n, NOW).unwrap();
        let mut tx = db.begin().await.unwrap();
        store::insert(&mut tx, &binding).await.unwrap();
        tx.commit().await.unwrap();
        let app = app.clone();
        // Twice: the second activation changes nothing and publishes nothing.
        activations.spawn(async move {
            app.activate(party, binding.id).await.unwrap();
            app.activate(party, binding.id).await.unwrap();
        });
    }
    while activations.join_next().await.transpose().unwrap().is_some() {}
    let published = outbox::batch(&db, 100).await.unwrap().into_iter().map(|outgoing| outgoing.message);
    let activated = published.filter(|message| message.subject.starts_with(BindingActivated::SUBJECT));
    let mut before = BTreeSet::new();
    for message in activated {
        let event: BindingActivated = decoded(&message.payload);
        let named: BTreeSet<_> = event.other_device_identifiers.into_iter().collect();
        assert_eq!(named, before);
        before.insert(event.device_identifier);
    }
    assert_eq!(before.len(), PHONES);
}

async fn a_phone_that_has_lost_its_place_meanwhile_freezes_nobody(db: Db) {
    let party = RelyingPartyId::generate(NOW, &Random::seeded(1));
    let (app, user) = (app(&db, Registry(Vec::new())).await, UserIdentifier::parse("ada").unwrap());
    let devices = [0, 1].map(|n| DeviceId::parse(&format!("{n:0>43}")).unwrap());
    let mut bindings = Vec::new();
    for device in &devices {
        let id = BindingId::generate(NOW, &Random::system());
        let binding = Binding::create(id, party, user.clone(), device.clone(), 0, NOW).unwrap();
        let mut tx = db.begin().await.unwrap();
        store::insert(&mut tx, &binding).await.unwrap();
        tx.commit().await.unwrap();
        bindings.push(app.activate(party, id).await.unwrap());
    }
    app.deactivate(party, bindings[0].id).await.unwrap();
    let freeze = async |device: &DeviceId| {
        app.freeze_by(party, &user, Freezer::Device(device.clone()), Note::default(), Some((device, "a proof"))).await
    };
    assert!(matches!(freeze(&devices[0]).await, Err(Error::Refused(Refusal::DeviceNotBound))));
    assert!(app.user(party, &user).await.unwrap().freeze.is_none());
    assert!(freeze(&devices[1]).await.unwrap().freeze.is_some());
}

fn decoded<E: Event>(payload: &[u8]) -> E {
    E::decode(payload).unwrap()
}

pub(in crate::app) async fn connect(database: &TestDatabase, max_connections: u32) -> Db {
    let db = Db::connect(&DbConfig { max_connections, ..DbConfig::new(database.url()) }).await.unwrap();
    db.migrate(&Service::migrations().unwrap()).await.unwrap();
    db
}

nodkey_testkit::on_both_engines! {
    |database| connect(database, 4) =>
    what_waits_too_long_ends_as_its_relying_party_says_and_is_told,
    an_activation_that_was_first_stays,
    of_phones_that_become_active_at_once_each_names_those_before_it,
    a_phone_that_has_lost_its_place_meanwhile_freezes_nobody,
}
