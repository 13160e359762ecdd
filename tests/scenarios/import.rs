//! Imports of users and bindings: all rows, or none.

use nodkey_client::{Error, NewTrusonafication, ServiceName};
use nodkey_mobile_sdk::Decision;
use nodkey_proto::{
    binding::v1::{ImportRow, ImportUsersRequest, ImportUsersResponse, import_service_client::ImportServiceClient},
    registry::v1::{ListAuditEntriesRequest, audit_service_client::AuditServiceClient},
};
use serde_json::{Value, json};

use crate::world::{Tenant, World, asked};

scenarios!(
    what_is_imported_can_be_asked_and_once_more_changes_nothing,
    one_fault_and_nothing_is_imported,
    a_dry_run_tells_and_changes_nothing,
    an_import_has_a_limit,
    an_import_is_in_the_audit_log_with_its_digest_and_how_much_it_was,
);

fn row(line: i32, user: &str, device: &str, trusona_id: &str) -> ImportRow {
    ImportRow { line, user_identifier: user.into(), device_identifier: device.into(), active: true, trusona_id: trusona_id.into() }
}

async fn import(world: &World, tenant: &Tenant, rows: &[ImportRow], dry_run: bool) -> Result<ImportUsersResponse, Error> {
    let operator = world.operator(Some(&tenant.id));
    let messages: Vec<_> = rows.chunks(500).map(|rows| ImportUsersRequest { rows: rows.to_vec(), dry_run }).collect();
    let mut imports = ImportServiceClient::new(operator.channel(ServiceName::Binding));
    Ok(imports.import_users(tokio_stream::iter(messages)).await?.into_inner())
}

async fn what_is_imported_can_be_asked_and_once_more_changes_nothing(world: &World) {
    let tenant = world.tenant().await;
    let (ada, bob) = (tenant.registered().await, tenant.registered().await);
    let inactive = ImportRow { active: false, ..row(3, "bob", bob.device_identifier().as_str(), "") };
    let rows = [row(2, "ada", ada.device_identifier().as_str(), "123456789"), inactive, row(4, "carol", "", "987654321")];
    let first = import(world, &tenant, &rows, false).await.unwrap();
    assert_eq!((first.changed, first.unchanged, first.faults.len()), (4, 0, 0));
    let again = import(world, &tenant, &rows, false).await.unwrap();
    assert_eq!((again.changed, again.unchanged, again.faults.len()), (0, 4, 0));
    tenant.backend.create_trusonafication(NewTrusonafication::user("ada", "login", "Acme")).await.unwrap();
    ada.respond(&asked(&ada).await, Decision::Accept, None).await.unwrap();
    let refused = tenant.backend.create_trusonafication(NewTrusonafication::user("bob", "login", "Acme")).await.unwrap_err();
    assert_eq!(refused.reason, "USER_HAS_NO_ACTIVE_DEVICE");
    // Activated by a later file.
    let changed = import(world, &tenant, &[row(2, "bob", bob.device_identifier().as_str(), "")], false).await.unwrap();
    assert_eq!((changed.changed, changed.unchanged), (1, 0));
    tenant.backend.create_trusonafication(NewTrusonafication::user("bob", "login", "Acme")).await.unwrap();
}

async fn one_fault_and_nothing_is_imported(world: &World) {
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let (free, bound, foreign) = (tenant.registered().await, tenant.active("ada").await, other.registered().await);
    let good = row(2, "bob", free.device_identifier().as_str(), "123456789");
    let told = async |bad: ImportRow| {
        let answer = import(world, &tenant, &[good.clone(), bad], false).await.unwrap();
        assert_eq!((answer.changed, answer.unchanged), (0, 0));
        answer.faults.into_iter().map(|f| (f.line, f.reason)).collect::<Vec<_>>()
    };
    assert_eq!(told(row(3, " ", free.device_identifier().as_str(), "")).await, [(3, "VALIDATION_FAILED".to_owned())]);
    assert_eq!(told(row(3, "carol", &"x".repeat(43), "")).await, [(3, "DEVICE_NOT_FOUND".to_owned())]);
    assert_eq!(told(row(3, "carol", foreign.device_identifier().as_str(), "")).await, [(3, "DEVICE_NOT_FOUND".to_owned())]);
    assert_eq!(told(row(3, "carol", bound.device_identifier().as_str(), "")).await, [(3, "DEVICE_ALREADY_BOUND".to_owned())]);
    assert_eq!(told(row(3, "carol", free.device_identifier().as_str(), "")).await, [(3, "DEVICE_ALREADY_BOUND".to_owned())]);
    assert_eq!(told(row(3, "bob", "", "1")).await, [(3, "IDENTIFIER_TAKEN".to_owned())]);
    assert!(tenant.backend.user_devices("bob").await.unwrap().is_empty());
    assert!(import(world, &tenant, &[good], false).await.unwrap().faults.is_empty(), "the good row was not at fault");
}

async fn a_dry_run_tells_and_changes_nothing(world: &World) {
    let tenant = world.tenant().await;
    let phone = tenant.registered().await;
    let rows = [row(2, "ada", phone.device_identifier().as_str(), "")];
    for _ in 0..2 {
        assert_eq!(import(world, &tenant, &rows, true).await.unwrap().changed, 1);
    }
    assert!(tenant.backend.user_devices("ada").await.unwrap().is_empty());
}

async fn an_import_is_in_the_audit_log_with_its_digest_and_how_much_it_was(world: &World) {
    let tenant = world.tenant().await;
    let rows: Vec<_> = (0..501).map(|line| row(line, &format!("user {line}"), "", &line.to_string())).collect();
    import(world, &tenant, &rows, true).await.unwrap();
    let mut log = AuditServiceClient::new(world.operator(None).channel(ServiceName::Registry));
    let request = ListAuditEntriesRequest { relying_party_id: tenant.id.clone(), method: "ImportUsers".into(), ..Default::default() };
    let entries = log.list_audit_entries(request).await.unwrap().into_inner().entries;
    let [entry] = &entries[..] else { panic!("one import, not {entries:?}") };
    let noted: Value = serde_json::from_str(&entry.request).unwrap();
    assert_eq!((entry.outcome.as_str(), &noted["messages"], noted["sha256"].as_str().unwrap().len()), ("OK", &json!(2), 64));
}

async fn an_import_has_a_limit(world: &World) {
    let tenant = world.tenant().await;
    let rows: Vec<_> = (0..50_001).map(|line| row(line, "ada", "", "1")).collect();
    let refused = import(world, &tenant, &rows, true).await.unwrap_err();
    assert_eq!((refused.reason.as_str(), refused.field_violations[0].field.as_str()), ("VALIDATION_FAILED", "rows"));
}
