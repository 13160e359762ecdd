use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use nodkey_bus::{Bus, BusConfig};
use nodkey_db::{Db, DbConfig, retention::BATCH};
use nodkey_kernel::{
    egress::Egress,
    id::TrusonaficationId,
    level::Level,
    random::Random,
    service_key::{ServiceKey, ServiceName},
    time::Clock,
    vault::Vault,
};
use nodkey_proto::registry::v1::{
    GetRetentionPolicyRequest, ListRetentionPoliciesResponse, PutRetentionPolicyRequest,
    retention_service_server::{RetentionService, RetentionServiceServer},
};
use nodkey_runtime::{Channel, Deployment, Deps, Peers, Service as _, mount};
use nodkey_testkit::TestDatabase;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::*;
use crate::{
    Trusonafication as TrusonaficationService,
    config::Config,
    domain::{Ask, State, Target, Trusonafication},
    store,
};

const DAY: Duration = Duration::from_hours(24);
const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// A registry that only knows policies, one per page.
#[derive(Clone, Debug, Default)]
struct Policies(Arc<Mutex<Vec<RetentionPolicy>>>);

#[tonic::async_trait]
impl RetentionService for Policies {
    async fn list_retention_policies(
        &self,
        request: Request<ListRetentionPoliciesRequest>,
    ) -> Result<Response<ListRetentionPoliciesResponse>, Status> {
        let policies = self.0.lock().unwrap();
        let at: usize = request.into_inner().page_token.parse().unwrap_or(0);
        let next = at + 1;
        Ok(Response::new(ListRetentionPoliciesResponse {
            retention_policies: policies.get(at).cloned().into_iter().collect(),
            next_page_token: if next < policies.len() { next.to_string() } else { String::new() },
        }))
    }

    async fn get_retention_policy(&self, _: Request<GetRetentionPolicyRequest>) -> Result<Response<RetentionPolicy>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn put_retention_policy(&self, _: Request<PutRetentionPolicyRequest>) -> Result<Response<RetentionPolicy>, Status> {
        Err(Status::unimplemented(""))
    }
}

struct World {
    app: App,
    db: Db,
    clock: Clock,
    random: Random,
    policies: Policies,
    party: RelyingPartyId,
}

impl World {
    async fn new(database: &TestDatabase) -> Self {
        let db = Db::connect(&DbConfig { max_connections: 4, ..DbConfig::new(database.url()) }).await.unwrap();
        db.migrate(&TrusonaficationService::migrations().unwrap()).await.unwrap();
        let (clock, random, policies) = (Clock::manual(NOW), Random::seeded(1), Policies::default());
        let deployment = Deployment::new("https://id.example.com", Egress::new(false));
        let deployment = Arc::new(deployment.seen_by(&ServiceKey::generate(ServiceName::Trusonafication, &random)));
        let routes = Arc::new(OnceLock::from(mount(Router::new(), RetentionServiceServer::new(policies.clone()))));
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
        let party = RelyingPartyId::generate(NOW, &random);
        let world = Self { app, db, clock, random, policies, party };
        world.since(NOW).await;
        world.policy(None, None);
        world
    }

    /// Sets the time at which retention was introduced.
    async fn since(&self, since: Timestamp) {
        self.db.execute("UPDATE retention SET since = $1").bind(since).execute().await.unwrap();
    }

    /// Sets the policy of the relying party; another one precedes it in the list.
    fn policy(&self, answered_days: Option<i32>, unanswered_days: Option<i32>) {
        let other = RelyingPartyId::generate(NOW, &Random::seeded(9)).to_string();
        *self.policies.0.lock().unwrap() = vec![
            RetentionPolicy { relying_party_id: other, answered_days: Some(1), unanswered_days: Some(1), unbound_device_days: None },
            RetentionPolicy { relying_party_id: self.party.to_string(), answered_days, unanswered_days, unbound_device_days: None },
        ];
    }

    /// Inserts a trusonafication with a status, created now.
    async fn insert(&self, party: RelyingPartyId, status: &'static str) -> TrusonaficationId {
        let now = self.clock.now();
        let t = Trusonafication {
            id: TrusonaficationId::generate(now, &self.random),
            relying_party: party,
            relying_party_name: "ACME".into(),
            ask: Ask {
                target: Target::User("ada".into()),
                desired_level: Level::try_from(2).unwrap(),
                action: "log in".into(),
                resource: "shop".into(),
                prompt: true,
                user_presence: true,
                show_identity_document: false,
                custom_fields: None,
                callback_url: None,
                number_match: None,
                context: String::new(),
                request_context: nodkey_kernel::challenge::RequestContext::default(),
                expires_at: now + DAY,
            },
            user: Some("ada".into()),
            device: None,
            told: Vec::new(),
            bindings: Some(Vec::new()),
            way: crate::domain::Way::Tolerated,
            created_at: now,
            updated_at: now,
            state: State::InProgress,
            version: 1,
            traceparent: None,
        };
        let mut tx = self.db.begin().await.unwrap();
        // The insert is not its only statement.
        tx.query("SELECT 1 AS one").fetch_one().await.unwrap();
        let event = App::created(&t, "challenge").entry;
        let new = store::New { t: &t, challenge: "challenge", max: u32::MAX, event: &event, response: None, mark: None };
        assert!(store::insert(&mut tx, &new).await.unwrap());
        let end = tx.query("UPDATE trusonafication SET status = $1 WHERE id = $2");
        end.bind(status).bind(t.id.as_uuid()).execute().await.unwrap();
        tx.commit().await.unwrap();
        t.id
    }

    /// The statuses that are left after a pass, in order.
    async fn left(&self) -> Vec<String> {
        self.app.delete_trusonafications(&Pass::at(self.clock.now())).await.unwrap();
        let rows = self.db.query("SELECT status FROM trusonafication ORDER BY status").fetch_all().await.unwrap();
        rows.iter().map(|row| row.get("status").unwrap()).collect()
    }
}

nodkey_testkit::on_both_engines! {
    World::new =>
    what_nobody_answered_goes_after_90_days_and_nothing_else,
    a_policy_goes_first_and_reaches_what_was_there_before,
    what_was_there_before_stays_without_a_policy,
    the_console_has_the_default,
    it_goes_in_batches,
    codes_go_an_hour_after_they_are_over,
}

async fn what_nobody_answered_goes_after_90_days_and_nothing_else(world: World) {
    for status in ["in_progress", "accepted", "accepted_at_higher_level", "accepted_at_lower_level", "rejected", "expired", "canceled"] {
        world.insert(world.party, status).await;
    }
    world.clock.advance(90 * DAY);
    assert_eq!(world.left().await.len(), 7, "not older than that");
    world.clock.advance(Duration::from_secs(1));
    let left = ["accepted", "accepted_at_higher_level", "accepted_at_lower_level", "in_progress", "rejected"];
    assert_eq!(world.left().await, left);
    world.clock.advance(10_000 * DAY);
    assert_eq!(world.left().await, left);
}

async fn a_policy_goes_first_and_reaches_what_was_there_before(world: World) {
    for status in ["accepted", "rejected", "expired"] {
        world.insert(world.party, status).await;
    }
    world.since(NOW + 1000 * DAY).await;
    world.clock.advance(400 * DAY);
    world.policy(Some(400), Some(0));
    assert_eq!(world.left().await, ["accepted", "expired", "rejected"]);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.left().await, ["expired"]);
    world.policy(Some(400), Some(30));
    assert_eq!(world.left().await, [""; 0]);
}

async fn what_was_there_before_stays_without_a_policy(world: World) {
    world.insert(world.party, "expired").await;
    world.since(NOW + DAY).await;
    world.clock.advance(DAY);
    world.insert(world.party, "canceled").await;
    world.clock.advance(1000 * DAY);
    assert_eq!(world.left().await, ["expired"]);
}

async fn the_console_has_the_default(world: World) {
    world.insert(RelyingPartyId::CONSOLE, "expired").await;
    world.insert(RelyingPartyId::CONSOLE, "accepted").await;
    world.clock.advance(91 * DAY);
    assert_eq!(world.left().await, ["accepted"]);
}

async fn it_goes_in_batches(world: World) {
    let count = u64::try_from(BATCH).unwrap() + 1;
    for _ in 0..count {
        world.insert(world.party, "expired").await;
    }
    let window = Window { from: NOW, before: NOW + DAY };
    assert_eq!(super::store::delete(&world.db, world.party, "expired", window).await.unwrap(), count - 1);
    world.clock.advance(91 * DAY);
    assert_eq!(world.left().await, [""; 0]);
}

async fn codes_go_an_hour_after_they_are_over(world: World) {
    let codes = async || world.db.query("SELECT id FROM trucode").fetch_all().await.unwrap().len();
    let code = crate::domain::TruCode {
        id: nodkey_kernel::id::TruCodeId::generate(NOW, &world.random),
        relying_party: world.party,
        reference: "r".into(),
        payload: "p".into(),
        origin: "https://shop.example.com".into(),
        place: String::new(),
        match_number: None,
        created_at: NOW,
        expires_at: NOW,
        wrong_numbers: 0,
        identifier: Some("paired".into()),
        asked: 0,
        version: 2,
    };
    let mut tx = world.db.begin().await.unwrap();
    store::insert_trucode(&mut tx, &code).await.unwrap();
    tx.commit().await.unwrap();
    world.clock.advance(TRUCODES);
    world.app.delete_trucodes(&Pass::at(world.clock.now())).await.unwrap();
    assert_eq!(codes().await, 1);
    world.clock.advance(Duration::from_secs(1));
    world.app.delete_trucodes(&Pass::at(world.clock.now())).await.unwrap();
    assert_eq!(codes().await, 0);
}
