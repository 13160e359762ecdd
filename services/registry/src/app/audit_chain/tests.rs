//! Tampering with the database is detected. Each attack runs on the real tables of both engines.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::Router;
use nodkey_bus::{Bus, BusConfig};
use nodkey_db::{Db, DbConfig};
use nodkey_kernel::{
    audit::{Fault, RecordKind, Report, Verifier},
    egress::Egress,
    random::Random,
    service_key::ServiceName,
    time::Clock,
    vault::Vault,
};
use nodkey_proto::registry::v1 as pb;
use nodkey_runtime::{Channel, Deployment, Deps, Peers, Service as _, page::Page};
use nodkey_testkit::TestDatabase;

use super::*;
use crate::{
    Registry,
    app::Filter,
    config::Config,
    domain::{audit::Action, relying_party::NewRelyingParty},
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const DAY: Duration = Duration::from_hours(24);

pub(in crate::app) struct World {
    pub app: App,
    /// Another replica.
    other: App,
    pub db: Db,
    pub clock: Clock,
    party: RelyingPartyId,
}

impl World {
    pub async fn new(database: &TestDatabase) -> Self {
        let db = Db::connect(&DbConfig { max_connections: 8, ..DbConfig::new(database.url()) }).await.unwrap();
        db.migrate(&Registry::migrations().unwrap()).await.unwrap();
        let clock = Clock::manual(NOW);
        let app = |db: Db, clock: Clock, seed: u64| async move {
            let deployment = Arc::new(Deployment {
                internal_key: Some("i".repeat(32).into()),
                ..Deployment::new("https://id.example.com", Egress::new(false))
            });
            let nobody = Arc::new(OnceLock::from(Router::new()));
            let peers = Peers::new(ServiceName::Registry, &deployment, &clock, |_| Ok(Channel::InProcess(Arc::clone(&nobody)))).unwrap();
            let deps = Deps {
                db: Some(db),
                bus: Bus::connect(&BusConfig::default()).await.unwrap(),
                peers,
                clock,
                random: Random::seeded(seed),
                vault: Some(Arc::new(Vault::new(&[7; 32]))),
                deployment,
                stopping: tokio_util::sync::CancellationToken::new(),
            };
            App::new(&Config::default(), deps).unwrap()
        };
        let (app, other) = (app(db.clone(), clock.clone(), 1).await, app(db.clone(), clock.clone(), 2).await);
        let new = NewRelyingParty::parse("ACME", "", false).unwrap();
        let party = app.create_relying_party(None, new, |party| pb::RelyingParty::from(party)).await.unwrap();
        let party = party.id.parse().unwrap();
        Self { app, other, db, clock, party }
    }

    async fn act(&self, party: Option<RelyingPartyId>, name: &str) {
        let action = Action { relying_party: party, actor: name.into(), role: "owner".into(), method: "x.Y/Z".into(), ..Action::default() };
        let id = self.app.create_audit_entry(action, "").await.unwrap();
        self.app.complete_audit_entry(id, String::new(), "OK").await.unwrap();
    }

    /// Three actions for the relying party and two for none, with checkpoints in between.
    async fn acts(&self) {
        for name in ["a", "b", "c"] {
            self.act(Some(self.party), name).await;
            self.app.checkpoint_audit_chains().await.unwrap();
        }
        self.act(None, "d").await;
        self.act(None, "e").await;
        self.app.checkpoint_audit_chains().await.unwrap();
    }

    async fn lines(&self, party: Option<RelyingPartyId>) -> Vec<String> {
        let (mut lines, mut token) = (Vec::new(), String::new());
        loop {
            let page = self.app.export_audit_log(party, &token, 2).await.unwrap();
            lines.extend(page.lines);
            token = page.next_page_token;
            if token.is_empty() {
                return lines;
            }
        }
    }

    async fn verify(&self) -> Report {
        // The first checkpoint publishes the first key.
        let lines = self.lines(None).await;
        let archive: nodkey_kernel::jose::Jwks = serde_json::from_value(self.app.jwks_archive().await.unwrap()).unwrap();
        let mut verifier = Verifier::new(&archive);
        for line in &lines {
            verifier.line(line);
        }
        verifier.finish()
    }

    /// Runs an attacker's statement, with the relying party's chain as `$1`.
    async fn attack(&self, sql: &'static str) {
        let query = self.db.execute(sql);
        let query = if sql.contains("$1") { query.bind(self.party.as_uuid()) } else { query };
        assert!(query.execute().await.unwrap() > 0, "{sql}");
    }

    /// Rewrites the whole chain of the relying party from an entry on, as the registry would.
    async fn rewrite(&self, from: u64) {
        let chain = ChainId(self.party.as_uuid());
        let entries = store::entries(&self.db, chain, 0, 100).await.unwrap();
        let mut prev = START;
        for (mut entry, _) in entries {
            if entry.seq >= from {
                entry.record.entry.action.actor = "somebody else".into();
            }
            entry.prev = prev;
            prev = entry.hash();
            let sql = "UPDATE audit_entry SET actor = $1, prev = $2, hash = $3 WHERE id = $4";
            let id = entry.record.entry.id.as_uuid();
            self.db
                .execute(sql)
                .bind(entry.record.entry.action.actor)
                .bind(&entry.prev[..])
                .bind(&prev[..])
                .bind(id)
                .execute()
                .await
                .unwrap();
        }
        self.db.execute("UPDATE audit_chain SET hash = $1 WHERE id = $2").bind(&prev[..]).bind(chain.0).execute().await.unwrap();
    }

    fn name(&self) -> String {
        self.party.to_string()
    }
}

nodkey_testkit::on_both_engines! {
    World::new =>
    what_operators_do_is_chained_signed_and_verified,
    of_two_replicas_that_append_at_once_neither_loses_or_repeats_a_position,
    an_entry_has_one_outcome_and_one_of_before_keeps_it_in_itself,
    whatever_is_changed_in_the_database_is_named,
    a_chain_rewritten_whole_contradicts_its_checkpoints,
    what_does_not_hold_is_not_signed,
    retention_cuts_at_a_checkpoint_and_what_is_left_is_verified,
    entries_of_before_are_exported_beside_the_chains,
    a_relying_partys_export_is_its_chain_alone,
    who_fails_to_prove_who_they_are_is_counted_in_one_entry,
    what_a_stream_was_is_known_when_it_has_ended,
}

async fn who_fails_to_prove_who_they_are_is_counted_in_one_entry(world: World) {
    world.app.write_failures().await.unwrap();
    for _ in 0..3 {
        world.app.note_failure("sign_in", "192.0.2.1", "SIGN_IN_NOT_ACCEPTED");
    }
    world.app.write_failures().await.unwrap();
    world.app.write_failures().await.unwrap();
    let (entries, _) = world.app.audit_entries(&Filter::default(), &Page { size: 10, after: None }).await.unwrap();
    let [entry] = &entries[..] else { panic!("one entry, not {entries:?}") };
    assert_eq!((entry.action.actor.as_str(), entry.outcome.as_str()), ("anonymous", "UNAUTHENTICATED"));
    assert!(entry.action.request.contains(r#""count":3"#), "{}", entry.action.request);
    assert!(world.verify().await.is_proven());
}

async fn what_a_stream_was_is_known_when_it_has_ended(world: World) {
    let id = world.app.create_audit_entry(Action::default(), "").await.unwrap();
    world.app.complete_audit_entry(id, r#"{"messages":2}"#.into(), "OK").await.unwrap();
    let (entries, _) = world.app.audit_entries(&Filter::default(), &Page { size: 10, after: None }).await.unwrap();
    assert_eq!(entries[0].action.request, r#"{"messages":2}"#);
    assert!(world.verify().await.is_proven());
}

async fn what_operators_do_is_chained_signed_and_verified(world: World) {
    world.acts().await;
    let report = world.verify().await;
    assert!(report.is_proven(), "{report:?}");
    let chains: Vec<_> = report.chains.iter().map(|it| (it.chain.clone(), it.records, it.checkpoints)).collect();
    assert_eq!(chains, [("deployment".into(), 4, 1), (world.name(), 6, 3)]);
    // As they are listed: one entry each, with its outcome.
    let (entries, _) = world.app.audit_entries(&Filter::default(), &Page { size: 10, after: None }).await.unwrap();
    let listed: Vec<_> = entries.iter().map(|it| (it.action.actor.as_str(), it.outcome.as_str())).collect();
    assert_eq!(listed.len(), 5);
    assert!(listed.iter().all(|(_, outcome)| *outcome == "OK"), "{listed:?}");
}

async fn of_two_replicas_that_append_at_once_neither_loses_or_repeats_a_position(world: World) {
    let mut acts = tokio::task::JoinSet::new();
    for n in 0..20 {
        let (app, party) = (if n % 2 == 0 { world.app.clone() } else { world.other.clone() }, world.party);
        acts.spawn(async move {
            let action = Action { relying_party: Some(party), actor: n.to_string(), ..Action::default() };
            let id = app.create_audit_entry(action, "").await.unwrap();
            app.checkpoint_audit_chains().await.unwrap();
            app.complete_audit_entry(id, String::new(), "OK").await.unwrap();
        });
    }
    acts.join_all().await;
    let report = world.verify().await;
    assert!(report.is_proven(), "{report:?}");
    assert_eq!(report.chains.iter().map(|chain| chain.records).sum::<u64>(), 40);
}

async fn an_entry_has_one_outcome_and_one_of_before_keeps_it_in_itself(world: World) {
    let action = Action { actor: "Ada".into(), ..Action::default() };
    let id = world.app.create_audit_entry(action, "").await.unwrap();
    for outcome in ["NOT_FOUND", "OK"] {
        world.app.complete_audit_entry(id, String::new(), outcome).await.unwrap();
    }
    // A replica of the previous release wrote this one, and completes the one above.
    world.db.execute("UPDATE audit_entry SET outcome = 'OK' WHERE kind = 'intent'").execute().await.unwrap();
    let before = nodkey_kernel::id::AuditEntryId::generate(NOW, &Random::seeded(9));
    let sql =
        "INSERT INTO audit_entry (id, at, actor, role, method, request, outcome, trace_id) VALUES ($1, $2, 'Bob', '', '', '', '', '')";
    world.db.execute(sql).bind(before.as_uuid()).bind(NOW).execute().await.unwrap();
    world.app.complete_audit_entry(before, String::new(), "RACED").await.unwrap();
    let (entries, _) = world.app.audit_entries(&Filter::default(), &Page { size: 10, after: None }).await.unwrap();
    let mut listed: Vec<_> = entries.iter().map(|it| (it.action.actor.as_str(), it.outcome.as_str())).collect();
    listed.sort_unstable();
    assert_eq!(listed, [("Ada", "NOT_FOUND"), ("Bob", "RACED")]);
    let report = world.verify().await;
    assert!(report.is_proven() && report.unchained == 1, "{report:?}");
}

async fn whatever_is_changed_in_the_database_is_named(world: World) {
    world.acts().await;
    let copy = "CREATE TABLE kept AS SELECT * FROM audit_entry";
    world.db.execute(copy).execute().await.unwrap();
    let chain = || world.name();
    let attacks: [(&str, Vec<Fault>); 9] = [
        ("UPDATE audit_entry SET actor = 'Eve' WHERE chain_id = $1 AND seq = 3", vec![Fault::Changed { chain: chain(), seq: 3 }]),
        ("UPDATE audit_entry SET outcome = 'NOT_FOUND' WHERE chain_id = $1 AND seq = 4", vec![Fault::Changed { chain: chain(), seq: 4 }]),
        (
            "UPDATE audit_entry SET kind = 'nonsense' WHERE chain_id = $1 AND seq = 3",
            vec![Fault::Missing { chain: chain(), from: 3, to: 3 }],
        ),
        (
            "UPDATE audit_entry SET kind = 'unchained', chain_id = NULL, seq = NULL WHERE chain_id = $1 AND seq = 5",
            vec![Fault::Missing { chain: chain(), from: 5, to: 5 }],
        ),
        ("DELETE FROM audit_entry WHERE chain_id = $1 AND seq = 2", vec![Fault::Missing { chain: chain(), from: 2, to: 2 }]),
        // The checkpoint misses the newest entries first.
        ("DELETE FROM audit_entry WHERE chain_id = $1 AND seq > 4", vec![Fault::Missing { chain: chain(), from: 5, to: 6 }]),
        ("DELETE FROM audit_entry WHERE chain_id = $1 AND seq < 3", vec![Fault::Missing { chain: chain(), from: 1, to: 2 }]),
        // Two entries swap places.
        (
            "UPDATE audit_entry SET seq = CASE seq WHEN 3 THEN 103 ELSE 105 END WHERE chain_id = $1 AND seq IN (3, 5)",
            vec![
                Fault::Changed { chain: chain(), seq: 3 },
                Fault::DoesNotFollow { chain: chain(), seq: 3 },
                Fault::DoesNotFollow { chain: chain(), seq: 4 },
                Fault::Changed { chain: chain(), seq: 5 },
                Fault::DoesNotFollow { chain: chain(), seq: 5 },
                Fault::DoesNotFollow { chain: chain(), seq: 6 },
            ],
        ),
        // One entry is inserted, and those after it are shifted.
        ("UPDATE audit_entry SET seq = seq + 101 WHERE chain_id = $1 AND seq > 4", vec![]),
    ];
    for (attack, expected) in attacks {
        world.attack(attack).await;
        if attack.contains("103") {
            world.attack("UPDATE audit_entry SET seq = CASE seq WHEN 103 THEN 5 ELSE 3 END WHERE chain_id = $1 AND seq > 100").await;
        }
        if attack.contains("101") {
            world.attack("UPDATE audit_entry SET seq = seq - 100 WHERE chain_id = $1 AND seq > 100").await;
            let insert = "INSERT INTO audit_entry (id, at, operator_id, actor, role, relying_party_id, method, request, outcome, trace_id, \
                          kind, chain_id, seq, prev, hash) SELECT chain_id, at, operator_id, 'Eve', role, relying_party_id, method, request, \
                          outcome, trace_id, 'event', chain_id, seq, prev, hash FROM kept WHERE chain_id = $1 AND seq = 5";
            world.attack(insert).await;
        }
        let report = world.verify().await;
        assert!(!report.holds(), "{attack}");
        if expected.is_empty() {
            assert!(report.faults.contains(&Fault::Changed { chain: chain(), seq: 5 }), "{attack}: {report:?}");
        } else {
            let found: Vec<_> = report.faults.iter().filter(|fault| !matches!(fault, Fault::Contradicted { .. })).cloned().collect();
            assert_eq!(found, expected, "{attack}");
        }
        world.db.execute("DELETE FROM audit_entry").execute().await.unwrap();
        world.db.execute("INSERT INTO audit_entry SELECT * FROM kept").execute().await.unwrap();
        assert!(world.verify().await.is_proven(), "as it was");
    }
    // A whole chain is deleted.
    for table in ["DELETE FROM audit_entry WHERE chain_id = $1", "DELETE FROM audit_checkpoint WHERE chain_id = $1"] {
        world.attack(table).await;
    }
    world.attack("DELETE FROM audit_chain WHERE id = $1").await;
    assert_eq!(world.verify().await.faults, [Fault::ChainsMissing { expected: 2, found: 1 }]);
}

async fn a_chain_rewritten_whole_contradicts_its_checkpoints(world: World) {
    world.acts().await;
    world.rewrite(3).await;
    let contradicted = |seq| Fault::Contradicted { chain: world.name(), seq };
    assert_eq!(world.verify().await.faults, [contradicted(4), contradicted(6)], "entries 1 and 2 are as they were");
    // Without the checkpoints nothing is proven: the registry signs nothing more of it.
    world.attack("DELETE FROM audit_checkpoint WHERE chain_id = $1").await;
    let report = world.verify().await;
    assert!(!report.is_proven(), "{report:?}");
}

async fn what_does_not_hold_is_not_signed(world: World) {
    world.acts().await;
    world.act(Some(world.party), "f").await;
    world.attack("UPDATE audit_entry SET actor = 'Eve' WHERE chain_id = $1 AND seq = 7").await;
    world.app.checkpoint_audit_chains().await.unwrap();
    let chain = store::get(&world.db, ChainId(world.party.as_uuid())).await.unwrap().unwrap();
    assert_eq!((chain.seq, chain.checkpoint), (8, 6));
    assert_eq!(world.verify().await.faults, [Fault::Changed { chain: world.name(), seq: 7 }]);
    // Later entries are still written to the log.
    world.act(Some(world.party), "g").await;
    assert_eq!(world.verify().await.faults, [Fault::Changed { chain: world.name(), seq: 7 }]);
}

async fn retention_cuts_at_a_checkpoint_and_what_is_left_is_verified(world: World) {
    world.acts().await;
    world.clock.advance(300 * DAY);
    world.act(Some(world.party), "late").await;
    world.app.checkpoint_audit_chains().await.unwrap();
    world.clock.advance(150 * DAY);
    world.app.delete_audit_entries(&Pass::at(world.clock.now())).await.unwrap();
    let left = store::entries(&world.db, ChainId(world.party.as_uuid()), 0, 100).await.unwrap();
    assert_eq!(left.iter().map(|(entry, _)| entry.seq).collect::<Vec<_>>(), [7, 8]);
    let report = world.verify().await;
    assert!(report.is_proven(), "{report:?}");
    let found: Vec<_> = report.chains.iter().map(|it| (it.first, it.last, it.records)).collect();
    assert_eq!(found, [(5, 4, 0), (7, 8, 2)]);
    // The chain continues from there, and only retention cuts it.
    world.act(None, "f").await;
    world.app.checkpoint_audit_chains().await.unwrap();
    assert!(world.verify().await.is_proven());
    let sql = "UPDATE audit_chain SET cut_seq = 7, cut_hash = (SELECT hash FROM audit_entry e WHERE e.chain_id = audit_chain.id AND e.seq = 7) WHERE id = $1";
    world.attack(sql).await;
    let cut = Fault::CutUnsigned { chain: world.name(), from: 7, to: 7 };
    assert_eq!(world.verify().await.faults, std::slice::from_ref(&cut));
    world.act(Some(world.party), "g").await;
    world.app.checkpoint_audit_chains().await.unwrap();
    assert_eq!(world.verify().await.faults, [cut], "the registry does not sign it");
}

async fn entries_of_before_are_exported_beside_the_chains(world: World) {
    for n in 0..5_u64 {
        let id = nodkey_kernel::id::AuditEntryId::generate(NOW, &Random::seeded(n));
        let sql = "INSERT INTO audit_entry (id, at, actor, role, method, request, outcome, trace_id) VALUES ($1, $2, 'Bob', '', '', '', 'OK', '')";
        world.db.execute(sql).bind(id.as_uuid()).bind(NOW).execute().await.unwrap();
    }
    world.acts().await;
    let report = world.verify().await;
    assert!(report.is_proven() && report.unchained == 5, "{report:?}");
    // An unreadable entry is skipped and does not end the export.
    let sql =
        "UPDATE audit_entry SET operator_id = 'x' WHERE id = (SELECT id FROM audit_entry WHERE kind = 'unchained' ORDER BY id LIMIT 1)";
    // PostgreSQL does not accept unreadable values there.
    let unreadable = world.db.execute(sql).execute().await.unwrap_or_default();
    assert_eq!(world.verify().await.unchained, 5 - unreadable);
    world.clock.advance(500 * DAY);
    world.app.delete_audit_entries(&Pass::at(world.clock.now())).await.unwrap();
    assert_eq!(world.verify().await.unchained, 0);
}

async fn a_relying_partys_export_is_its_chain_alone(world: World) {
    world.acts().await;
    let lines = world.lines(Some(world.party)).await;
    let jwks: nodkey_kernel::jose::Jwks = serde_json::from_value(world.app.jwks_archive().await.unwrap()).unwrap();
    let mut verifier = Verifier::new(&jwks);
    for line in &lines {
        verifier.line(line);
    }
    let report = verifier.finish();
    assert!(report.is_proven(), "{report:?}");
    assert_eq!(report.chains.iter().map(|it| it.chain.clone()).collect::<Vec<_>>(), [world.name()]);
    // A relying party that does not exist has no export; what was done for it is in the deployment's chain.
    let nobody = RelyingPartyId::from_uuid(Uuid::max());
    assert!(world.app.export_audit_log(Some(nobody), "", 10).await.is_err());
    world.act(Some(nobody), "x").await;
    assert!(world.app.export_audit_log(Some(nobody), "", 10).await.is_err());
    assert!(world.app.export_audit_log(None, "00", 10).await.is_err(), "no token of ours");
    // A forged token does not export another party's chain, even though the chain exists.
    let token = write_token(&Position::Within { chain: ChainId::DEPLOYMENT.0, seq: 0 });
    assert!(world.app.export_audit_log(None, &token, 10).await.is_ok());
    assert!(world.app.export_audit_log(Some(world.party), &token, 10).await.is_err());
    let kinds = store::entries(&world.db, ChainId::DEPLOYMENT, 4, 10).await.unwrap();
    assert_eq!(kinds.iter().map(|(entry, _)| entry.record.kind).collect::<Vec<_>>(), [RecordKind::Intent, RecordKind::Outcome]);
}
