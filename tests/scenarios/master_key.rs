//! Replaces the master key without downtime: nothing is refused meanwhile, and the former key is useless afterwards.

use nodkey_binding::Binding;
use nodkey_client::{Endpoints, ServiceName};
use nodkey_db::{Db, DbConfig};
use nodkey_gateway::Gateway;
use nodkey_kernel::vault::Vault;
use nodkey_mobile_sdk::Decision;
use nodkey_notification::Notification;
use nodkey_proto::{
    notification::v1::{CreateEndpointRequest, endpoint_service_client::EndpointServiceClient},
    status::v1::{CountSealedRequest, ResealRequest, SealedColumn, vault_service_client::VaultServiceClient},
};
use nodkey_registry::Registry;
use nodkey_runtime::embedded::{Embedded, EmbeddedConfig};
use nodkey_trusonafication::Trusonafication;

use crate::{
    processes::{Plan, SERVICES, Topology},
    receiver::receiver,
    world::{self, Tenant, World, asked},
    writes::{Ended, Writers, log_in},
};

const OLD: [u8; 32] = [7; 32];
const NEW: [u8; 32] = [8; 32];
const STATEFUL: [ServiceName; 4] = [ServiceName::Registry, ServiceName::Binding, ServiceName::Trusonafication, ServiceName::Notification];

/// Re-seals everything. Returns the number of values.
async fn reseal(world: &World) -> u64 {
    let operator = world.operator(None);
    let mut resealed = 0;
    for service in STATEFUL {
        let mut vault = VaultServiceClient::new(operator.channel(service));
        let mut progress = vault.reseal(ResealRequest {}).await.unwrap().into_inner();
        let mut column = (String::new(), 0);
        while let Some(now) = progress.message().await.unwrap() {
            assert_eq!(now.unopened, 0, "{now:?}");
            let name = format!("{}.{}", now.table, now.column);
            if name != column.0 {
                resealed += column.1;
            }
            column = (name, now.resealed);
        }
        resealed += column.1;
    }
    resealed
}

/// The columns sealed by a former key.
async fn former(world: &World) -> Vec<SealedColumn> {
    let operator = world.operator(None);
    let mut columns = Vec::new();
    for service in STATEFUL {
        let mut vault = VaultServiceClient::new(operator.channel(service));
        columns.extend(vault.count_sealed(CountSealedRequest {}).await.unwrap().into_inner().columns);
    }
    columns
}

/// Checks every sealed column there is, including any that no list mentions.
async fn everything_is_sealed_under(topology: &Topology, key: [u8; 32]) {
    let columns = "SELECT table_name::text AS table_name, column_name::text AS column_name FROM information_schema.columns \
                   WHERE table_schema = 'public' AND (column_name LIKE 'sealed%' OR table_name = 'idempotency' AND column_name = 'response')";
    let (server, vault) = (topology.plan.postgres.rsplit_once('/').unwrap().0, Vault::new(&key));
    let mut looked_at = 0;
    for service in &SERVICES[..4] {
        let db = Db::connect(&DbConfig::new(format!("{server}/{}", topology.plan.database(service)))).await.unwrap();
        for row in db.query(columns).fetch_all().await.unwrap() {
            let (table, column): (String, String) = (row.get("table_name").unwrap(), row.get("column_name").unwrap());
            let sql = format!("SELECT COUNT(*) AS n FROM {table} WHERE substr({column}, 1, 12) <> $1");
            let others = db.query(Box::leak(sql.into_boxed_str())).bind(&vault.prefix()[..]).fetch_one().await.unwrap();
            assert_eq!(others.get::<i64>("n").unwrap(), 0, "{service}: {table}.{column}");
            looked_at += 1;
        }
    }
    assert!(looked_at >= 11, "{looked_at}");
}

/// Checks everything that uses sealed values: credentials, an earlier answer, the deployment's signature, an endpoint's keys.
async fn everything_opens(tenant: &Tenant, phone: &world::SoftPhone, told: &mut crate::receiver::Receiving, first: &str) {
    let again = tenant.backend.create_trusonafication(log_in("ada").request_id("first")).await.unwrap();
    assert_eq!(again.trusonafication.id, first);
    let id = tenant.backend.create_trusonafication(log_in("ada")).await.unwrap().trusonafication.id;
    phone.respond(&asked(phone).await, Decision::Accept, None).await.unwrap();
    assert_eq!(told.next().await.body["data"]["id"], id.as_str());
}

async fn prepare(world: &World) -> (Tenant, world::SoftPhone, crate::receiver::Receiving, String) {
    let tenant = world.tenant().await;
    let phone = tenant.active("ada").await;
    let mut told = receiver(Vec::new()).await;
    let mut endpoints = EndpointServiceClient::new(tenant.backend.channel(ServiceName::Notification));
    let request = CreateEndpointRequest { url: told.url.clone(), ..CreateEndpointRequest::default() };
    endpoints.create_endpoint(request).await.unwrap();
    let first = tenant.backend.create_trusonafication(log_in("ada").request_id("first")).await.unwrap().trusonafication.id;
    phone.respond(&asked(&phone).await, Decision::Accept, None).await.unwrap();
    told.next().await;
    (tenant, phone, told, first)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_change_of_the_master_key_refuses_nothing() {
    let topology = Plan::replicated().run().await;
    let world = &topology.world;
    let (tenant, phone, mut told, first) = prepare(world).await;
    let writers = Writers::new(world).await;
    let old = topology.plan.keys.settings("registry")["NODKEY_DEPLOYMENT__MASTER_KEY"].clone();
    let new: String = NEW.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    // First all processes can open with the new key, then they seal with it, then the old one is removed.
    for (round, (master, previous)) in [(&old, new.as_str()), (&new, old.as_str()), (&new, "")].into_iter().enumerate() {
        let settings = [("MASTER_KEY", master.as_str()), ("PREVIOUS_MASTER_KEYS", previous)];
        let settings = settings.map(|(name, key)| (format!("NODKEY_DEPLOYMENT__{name}"), Some(key.to_owned()))).to_vec();
        for replica in 0..2 {
            for name in &SERVICES[..4] {
                let service = topology.service(name);
                service.change(settings.clone());
                service.stop(replica);
                service.start(replica);
            }
            topology.ready().await;
            let ended = writers.each().await;
            assert!(ended.iter().all(|(_, ended)| *ended == Ended::Done), "{round}: {ended:?}");
            everything_opens(&tenant, &phone, &mut told, &first).await;
        }
        match round {
            0 => assert!(former(world).await.is_empty()),
            1 => {
                assert!(!former(world).await.is_empty());
                assert!(reseal(world).await > 0);
                assert!(former(world).await.is_empty(), "the old key can go");
                assert_eq!(reseal(world).await, 0);
                everything_is_sealed_under(&topology, NEW).await;
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_master_key_in_one_process_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (http, grpc) = world::free_addresses();
    let start = async |master_key, previous_master_keys| {
        let config = EmbeddedConfig { http, grpc, master_key, previous_master_keys, ..world::config(dir.path(), None) };
        let handle = Embedded::new(config)
            .with::<Registry>(nodkey_registry::config::Config::default())
            .with::<Binding>(nodkey_binding::Config::default())
            .with::<Trusonafication>(nodkey_trusonafication::Config::default())
            .with::<Notification>(nodkey_notification::Config::default())
            .with::<Gateway>(nodkey_gateway::Config { cookie_key: Some("cookie".repeat(6).into()), ..nodkey_gateway::Config::default() })
            .start()
            .await
            .unwrap();
        let endpoints = Endpoints::single(&format!("http://{}", handle.grpc));
        (World::at(handle.public_url.clone(), endpoints, world::operator_key().to_secret().to_string()), handle)
    };
    nodkey_runtime::install_crypto_provider();
    let (world, handle) = start(OLD, vec![]).await;
    let (tenant, phone, mut told, first) = prepare(&world).await;
    assert!(former(&world).await.is_empty());
    handle.stop().await;
    let (world, handle) = start(NEW, vec![OLD]).await;
    everything_opens(&tenant, &phone, &mut told, &first).await;
    assert!(!former(&world).await.is_empty());
    assert!(reseal(&world).await > 0);
    assert!(former(&world).await.is_empty());
    handle.stop().await;
    let (_world, handle) = start(NEW, vec![]).await;
    everything_opens(&tenant, &phone, &mut told, &first).await;
    handle.stop().await;
}
