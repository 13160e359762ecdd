//! `nodkey admin keys`: what the deployment signs with, and what its secrets are sealed with.

use std::collections::BTreeMap;

use clap::{Subcommand, builder::PossibleValuesParser};
use nodkey_proto::{
    registry::v1::{ListSigningKeysRequest, RotateSigningKeyRequest, SigningKey, signing_key_service_client::SigningKeyServiceClient},
    status::v1::{CountSealedRequest, ResealRequest, vault_service_client::VaultServiceClient},
};
use nodkey_server_sdk::ServiceName;
use serde_json::json;

use super::{
    Admin, answer,
    list::{PageArgs, list},
    request, request_id,
    values::time,
};
use crate::output::{self, Record, record};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List signing keys, newest first
    #[command(after_help = "Example:
  nodkey admin keys list")]
    List(PageArgs),
    /// Make a new key the signing one; the old one is published until what it signed is dead
    #[command(after_help = "Example:
  nodkey admin keys rotate --algorithm ES256")]
    Rotate {
        /// How the new key signs
        #[arg(long, default_value = "EdDSA", value_parser = PossibleValuesParser::new(["EdDSA", "ES256"]))]
        algorithm: String,
    },
    /// Count the secrets at rest that are not sealed under the current master key
    #[command(after_help = "Example:
  nodkey admin keys sealed")]
    Sealed,
    /// Seal secrets at rest anew under the current master key; may be repeated at any time
    #[command(after_help = "Example:
  nodkey admin keys reseal")]
    Reseal,
}

/// Those with a database.
const SERVICES: [ServiceName; 4] = [ServiceName::Registry, ServiceName::Binding, ServiceName::Trusonafication, ServiceName::Notification];

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = SigningKeyServiceClient::new(admin.channel(ServiceName::Registry));
    match verb {
        Verb::List(page) => {
            let columns = ["id", "algorithm", "current", "created_at", "retires_at"];
            list(admin, page, &columns, async |page_size, page_token| {
                let answer = client.list_signing_keys(request(ListSigningKeysRequest { page_size, page_token })).await?.into_inner();
                Ok((answer.signing_keys.iter().map(to_record).collect(), answer.next_page_token))
            })
            .await
        }
        Verb::Rotate { algorithm } => {
            let message = RotateSigningKeyRequest { request_id: request_id(), algorithm };
            admin.show(&to_record(&answer(client.rotate_signing_key(request(message))).await?))
        }
        Verb::Sealed => sealed(admin).await,
        Verb::Reseal => reseal(admin).await,
    }
}

async fn sealed(admin: &Admin) -> anyhow::Result<()> {
    // One process may serve all.
    let mut columns = BTreeMap::new();
    for service in SERVICES {
        let mut client = VaultServiceClient::new(admin.channel(service));
        // It looks at every value: no deadline.
        for found in answer(client.count_sealed(CountSealedRequest {})).await?.columns {
            columns.insert((found.service, found.table, found.column), found.former);
        }
    }
    let records = columns.into_iter().map(|((service, table, column), former)| {
        record([("service", json!(service)), ("table", json!(table)), ("column", json!(column)), ("former", json!(former))])
    });
    let records: Vec<_> = records.collect();
    if records.is_empty() && !admin.json {
        anstream::eprintln!("everything is sealed under the current master key");
        return Ok(());
    }
    output::page(admin.json, &["service", "table", "column", "former"], &records, "")
}

async fn reseal(admin: &Admin) -> anyhow::Result<()> {
    let mut columns = BTreeMap::new();
    for service in SERVICES {
        let mut client = VaultServiceClient::new(admin.channel(service));
        let mut progress = answer(client.reseal(ResealRequest {})).await?;
        while let Some(now) = progress.message().await? {
            if now.found > 0 {
                anstream::eprintln!("{} {}.{}: {} of {}", now.service, now.table, now.column, now.resealed, now.found);
            }
            let (resealed, unopened) = columns.entry((now.service, now.table, now.column)).or_insert((0, 0));
            *resealed = now.resealed.max(*resealed);
            *unopened = now.unopened.max(*unopened);
        }
    }
    let (resealed, unopened) = columns.values().fold((0, 0), |(r, u), (resealed, unopened)| (r + resealed, u + unopened));
    admin.show(&record([("resealed", json!(resealed)), ("unopened", json!(unopened))]))?;
    anyhow::ensure!(unopened == 0, "{unopened} secrets open under no master key that is configured: name it in previous_master_keys");
    Ok(())
}

fn to_record(key: &SigningKey) -> Record {
    record([
        ("id", json!(key.id)),
        ("algorithm", json!(key.algorithm)),
        ("current", json!(key.current)),
        ("created_at", time(key.created_at.as_ref())),
        ("retires_at", time(key.retires_at.as_ref())),
    ])
}
