//! PostgreSQL or NATS fails in every possible way: what cannot be done is refused as unavailable, nothing is lost, and when the fault is
//! over everything recovers by itself.

use axum::http::StatusCode;
use nodkey_mobile_sdk::Decision;
use nodkey_testkit::{Held, TestNats, TestPostgres};

use crate::{
    processes::{Plan, SERVICES, Topology},
    receiver::receiver,
    world::{PATIENCE, eventually},
    writes::{Ended, Writers, log_in},
};

/// The services that have a database.
const OWNERS: &[&str] = SERVICES.split_at(4).0;

/// Everything on a PostgreSQL server of its own.
async fn on_postgres(settings: &[(&str, &str)]) -> (TestPostgres, Topology, Writers) {
    let server = TestPostgres::start_with(settings);
    let topology = Plan::new().on_postgres(&server).set("NODKEY_DB__STATEMENT_TIMEOUT_MS", "1000").run().await;
    let writers = Writers::new(&topology.world).await;
    (server, topology, writers)
}

/// Runs a statement in the database of each service, as superuser.
async fn in_each(server: &TestPostgres, topology: &Topology, statement: &str) {
    for service in OWNERS {
        server.execute(&topology.plan.database(service), statement).await;
    }
}

/// Waits until `/readyz` of every service with a database responds with this status.
async fn readiness(topology: &Topology, status: u16) {
    for service in OWNERS {
        topology.service(service).readiness(status).await;
    }
}

/// Runs a statement for each table, with its name for `%I`.
fn each_table(statement: &str) -> String {
    format!(
        "DO $$ DECLARE name text; BEGIN FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
        LOOP EXECUTE format('{statement}', name); END LOOP; END $$"
    )
}

/// Counts the steps of a kind between the versions of events about one aggregate, in the order in which they are to be sent.
fn steps(of: &str) -> String {
    let version = "(headers::json->>'ce-version')::bigint";
    let key = r"substring(subject FROM '[^.]+\.[^.]+$')";
    let steps = format!("SELECT {version} - lag({version}) OVER (PARTITION BY {key} ORDER BY seq) AS step FROM outbox");
    format!("SELECT count(*) FROM ({steps}) AS steps WHERE {of}")
}

/// The fault is over: everything works, every accepted answer counts, and no event was given up.
async fn as_before(server: &TestPostgres, topology: &Topology, writers: &Writers) {
    // As large as everything that is written together.
    Box::pin(writers.each_is_made()).await;
    writers.log_in().await;
    writers.answers_count().await;
    readiness(topology, 200).await;
    for service in OWNERS {
        let url = server.url(&topology.plan.database(service));
        eventually("the outbox is empty", async || (nodkey_testkit::number(&url, "SELECT count(*) FROM outbox").await == 0).then_some(()))
            .await;
        assert_eq!(nodkey_testkit::number(&url, "SELECT count(*) FROM dead_letter").await, 0, "{service} gave nothing up");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_that_was_stopped_at_once_is_used_again_when_it_is_back() {
    let (server, topology, writers) = on_postgres(&[]).await;
    writers.log_in().await;
    // A caller that waits during the fault is not disconnected, and gets the result afterwards.
    let id = writers.tenant.backend.create_trusonafication(log_in("grace")).await.unwrap().trusonafication.id;
    for _ in 0..2 {
        server.stop();
        writers.each_is_unavailable().await;
        readiness(&topology, 503).await;
        server.restart(&[]);
        as_before(&server, &topology, &writers).await;
    }
    writers.tenant.backend.cancel(&id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_read_only_refuses_writes_for_now_and_answers_reads() {
    let (server, topology, writers) = on_postgres(&[]).await;
    let id = writers.tenant.backend.create_trusonafication(log_in("grace")).await.unwrap().trusonafication.id;
    let read_only = async |on: &str| {
        server.execute("postgres", &format!("ALTER SYSTEM SET default_transaction_read_only = {on}")).await;
        server.execute("postgres", "SELECT pg_reload_conf()").await;
    };
    read_only("on").await;
    writers.each_is_unavailable().await;
    readiness(&topology, 503).await;
    assert_eq!(writers.tenant.backend.trusonafication(&id).await.unwrap().version, 1);
    writers.phone.status().await.unwrap();
    read_only("off").await;
    as_before(&server, &topology, &writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_held_for_long_holds_up_what_needs_it_and_nothing_else() {
    let (server, topology, writers) = on_postgres(&[]).await;
    let url = server.url(&topology.plan.database("trusonafication"));
    let held = Held::by(&url, "LOCK TABLE trusonafication IN ACCESS EXCLUSIVE MODE").await;
    for (name, ended) in writers.each().await {
        let expected = if matches!(name, "trusonafication" | "answer") { Ended::Unavailable } else { Ended::Done };
        assert_eq!(ended, expected, "{name}");
    }
    held.release().await;
    as_before(&server, &topology, &writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_database_refuses_writes_for_now_and_is_ready_when_there_is_room() {
    let (server, topology, writers) = on_postgres(&[]).await;
    let function = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$";
    in_each(&server, &topology, function).await;
    let triggers = each_table("CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION full_disk()");
    in_each(&server, &topology, &triggers).await;
    writers.each_is_unavailable().await;
    readiness(&topology, 503).await;
    writers.phone.status().await.unwrap();
    in_each(&server, &topology, &each_table("DROP TRIGGER full_disk ON %I")).await;
    as_before(&server, &topology, &writers).await;
}

/// The real case: the file system of the tables is full. Pages are filled to a tenth, so that the remaining space is soon used up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_postgresql_refuses_writes_for_now_and_everything_works_when_there_is_room() {
    let server = TestPostgres::start_on("96m").await;
    let topology = Plan::new().on_postgres(&server).run().await;
    let writers = Writers::new(&topology.world).await;
    in_each(&server, &topology, &each_table("ALTER TABLE %I SET (fillfactor = 10)")).await;
    for _ in 0..2 {
        server.fill();
        writers.each_is_unavailable().await;
        writers.phone.status().await.unwrap();
        server.make_room();
        as_before(&server, &topology, &writers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_connections_left_is_unavailable_and_used_when_it_has_some() {
    let (server, topology, writers) = on_postgres(&[]).await;
    for service in OWNERS {
        let role = topology.plan.database(service);
        server.execute("postgres", &format!("ALTER ROLE {role} CONNECTION LIMIT 0")).await;
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
        server.execute("postgres", &end).await;
    }
    writers.each_is_unavailable().await;
    readiness(&topology, 503).await;
    for service in OWNERS {
        let role = topology.plan.database(service);
        server.execute("postgres", &format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await;
    }
    as_before(&server, &topology, &writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_postgresql_that_are_cut_stranded_or_late_are_replaced() {
    let (server, topology, writers) = on_postgres(&[]).await;
    for service in topology.services() {
        service.database.cut();
    }
    as_before(&server, &topology, &writers).await;
    // Nothing announces that these connections are dead: a caller that uses one finds out in bounded time.
    for service in topology.services() {
        service.database.strand();
    }
    as_before(&server, &topology, &writers).await;
    for service in topology.services() {
        service.database.pause_both();
    }
    writers.each_is_unavailable().await;
    readiness(&topology, 503).await;
    for service in topology.services() {
        service.database.heal();
    }
    as_before(&server, &topology, &writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nats_is_away_logins_go_on_and_their_events_follow() {
    let (postgres, nats) = (TestPostgres::start(), TestNats::start());
    let topology = Plan::new().on_postgres(&postgres).on_nats(&nats).run().await;
    let writers = Writers::new(&topology.world).await;
    writers.log_in().await;
    nats.stop();
    let mut receiving = receiver(vec![StatusCode::NO_CONTENT]).await;
    let id = writers.tenant.backend.create_trusonafication(log_in("ada").callback_url(&receiving.url)).await.unwrap().trusonafication.id;
    let prompted = eventually("the phone finds out by itself", async || {
        writers.phone.wait(PATIENCE).await.unwrap().into_iter().find(|pending| pending.id == id)
    });
    writers.phone.respond(&prompted.await, Decision::Accept, None).await.unwrap();
    assert_eq!(writers.tenant.backend.wait(&id).await.unwrap().version, 2);
    for service in topology.services() {
        service.readiness(200).await;
    }
    let waiting = postgres.url(&topology.plan.database("trusonafication"));
    assert_eq!(nodkey_testkit::number(&waiting, &steps("step = 1")).await, 1, "asked, then answered");
    for service in OWNERS {
        let url = postgres.url(&topology.plan.database(service));
        assert_eq!(nodkey_testkit::number(&url, &steps("step < 1")).await, 0, "{service}: events about one thing count up");
        let metrics = topology.service(service).metrics().await;
        assert!(
            metrics.lines().any(|line| line.starts_with("nodkey_bus_connected") && line.ends_with(" 0")),
            "{service} alerts: {metrics}"
        );
    }
    nats.restart();
    let told = receiving.next().await;
    assert_eq!(told.body["id"], id.as_str());
    as_before(&postgres, &topology, &writers).await;
    assert!(receiving.is_quiet(), "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_cut_off_from_nats_goes_on_and_catches_up() {
    let postgres = TestPostgres::start();
    let topology = Plan::new().on_postgres(&postgres).run().await;
    let writers = Writers::new(&topology.world).await;
    for service in topology.services() {
        service.bus.refuse().await;
        service.bus.cut();
    }
    writers.log_in().await;
    for service in topology.services() {
        service.bus.heal();
    }
    as_before(&postgres, &topology, &writers).await;
    // As when the network drops packets, without any error.
    for service in topology.services() {
        service.bus.strand();
    }
    tokio::time::timeout(4 * PATIENCE, writers.log_in()).await.expect("in bounded time");
    as_before(&postgres, &topology, &writers).await;
}

/// A peer that does not answer blocks a request for a bounded time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_answer_its_peers_is_unavailable_and_nothing_hangs() {
    let postgres = TestPostgres::start();
    let topology = Plan::new().on_postgres(&postgres).run().await;
    let writers = Writers::new(&topology.world).await;
    topology.service("binding").entrance.pause_both();
    let create = writers.tenant.backend.create_trusonafication(log_in("grace"));
    let refused = tokio::time::timeout(PATIENCE, create).await.expect("in bounded time").unwrap_err();
    assert_eq!(refused.kind, nodkey_client::Kind::Unavailable, "{refused}");
    topology.service("binding").entrance.heal();
    as_before(&postgres, &topology, &writers).await;
}
