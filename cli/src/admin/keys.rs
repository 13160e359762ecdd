//! `nodkey admin keys`: the deployment's signing keys, and the sealing of its secrets.

use std::collections::BTreeMap;

use clap::{Subcommand, builder::PossibleValuesParser};
use nodkey_client::ServiceName;
use nodkey_proto::{
    registry::v1::{ListSigningKeysRequest, RotateSigningKeyRequest, SigningKey, signing_key_service_client::SigningKeyServiceClient},
    status::v1::{CountSealedRequest, ResealRequest, vault_service_client::VaultServiceClient},
    trusonafication::v1 as trusonafication,
};
use prost_types::Timestamp;
use serde_json::json;

use super::{
    Admin, answer,
    list::{PageArgs, list},
    request, request_id,
    values::time,
};
use crate::{
    output::{self, Record, record},
    sure::Sure,
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the signing keys of all services, newest first
    #[command(after_help = "Example:
  nodkey admin keys list")]
    List(PageArgs),
    /// Rotate a signing key. The new key is published immediately, and signs once no key set without it can still be cached. The old one
    /// stays in /jwks until everything it signed has expired, and in /jwks/archive permanently
    #[command(after_help = "Examples:
  nodkey admin keys rotate --owner trusonafication
  nodkey admin keys rotate --owner registry --algorithm ES256
  nodkey admin keys rotate --owner trusonafication --now      # it is compromised: the old ones are revoked")]
    Rotate {
        /// The service that owns the key: the registry signs device identifiers, trusonafication everything else
        #[arg(long, value_parser = PossibleValuesParser::new(["registry", "trusonafication"]))]
        owner: String,
        /// For a compromised key: the new key signs immediately, all earlier ones are revoked, and their signatures prove nothing any more
        #[arg(long)]
        now: bool,
        /// Algorithm of the new key
        #[arg(long, default_value = "EdDSA", value_parser = PossibleValuesParser::new(["EdDSA", "ES256"]))]
        algorithm: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Count the secrets at rest that are not sealed with the current master key
    #[command(after_help = "Example:
  nodkey admin keys sealed")]
    Sealed,
    /// Re-seal secrets at rest with the current master key; may be repeated at any time
    #[command(after_help = "Example:
  nodkey admin keys reseal")]
    Reseal,
}

/// The services with a database.
const SERVICES: [ServiceName; 4] = [ServiceName::Registry, ServiceName::Binding, ServiceName::Trusonafication, ServiceName::Notification];

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = SigningKeyServiceClient::new(admin.channel(ServiceName::Registry));
    if let Verb::Rotate { owner, now: true, sure, .. } = &verb {
        sure.ask(&format!("Revoke the signing keys of {owner} now: their signatures will prove nothing any more"))?;
    }
    match verb {
        Verb::List(page) => {
            let columns = ["id", "owner", "algorithm", "current", "created_at", "signs_at", "retires_at", "revoked_at"];
            list(admin, page, &columns, async |page_size, page_token| {
                let answer = client.list_signing_keys(request(ListSigningKeysRequest { page_size, page_token })).await?.into_inner();
                Ok((answer.signing_keys.iter().map(to_record).collect(), answer.next_page_token))
            })
            .await
        }
        Verb::Rotate { owner, now: at_once, algorithm, .. } if owner == "registry" => {
            let message = RotateSigningKeyRequest { request_id: request_id(), algorithm, at_once };
            let key = answer(client.rotate_signing_key(request(message))).await?;
            admin.show(&rotated(&key.id, &key.algorithm, key.signs_at.as_ref()))
        }
        Verb::Rotate { now: at_once, algorithm, .. } => {
            let channel = admin.channel(ServiceName::Trusonafication);
            let mut client = trusonafication::signing_key_service_client::SigningKeyServiceClient::new(channel);
            let message = trusonafication::RotateSigningKeyRequest { request_id: request_id(), algorithm, at_once };
            let key = answer(client.rotate_signing_key(request(message))).await?;
            admin.show(&rotated(&key.id, &key.algorithm, key.signs_at.as_ref()))
        }
        Verb::Sealed => sealed(admin).await,
        Verb::Reseal => reseal(admin).await,
    }
}

async fn sealed(admin: &Admin) -> anyhow::Result<()> {
    // One process may run all services.
    let mut columns = BTreeMap::new();
    for service in SERVICES {
        let mut client = VaultServiceClient::new(admin.channel(service));
        // It reads every value, so it has no deadline.
        for found in answer(client.count_sealed(CountSealedRequest {})).await?.columns {
            columns.insert((found.service, found.table, found.column), found.former);
        }
    }
    let records = columns.into_iter().map(|((service, table, column), former)| {
        record([("service", json!(service)), ("table", json!(table)), ("column", json!(column)), ("former", json!(former))])
    });
    let records: Vec<_> = records.collect();
    if records.is_empty() && !admin.json {
        anstream::eprintln!("everything is sealed with the current master key");
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
    anyhow::ensure!(
        unopened == 0,
        "{unopened} secrets cannot be opened with any configured master key: add theirs to previous_master_keys"
    );
    Ok(())
}

fn to_record(key: &SigningKey) -> Record {
    record([
        ("id", json!(key.id)),
        ("owner", json!(key.owner)),
        ("algorithm", json!(key.algorithm)),
        ("typs", json!(key.typs)),
        ("current", json!(key.current)),
        ("created_at", time(key.created_at.as_ref())),
        ("signs_at", time(key.signs_at.as_ref())),
        ("retires_at", time(key.retires_at.as_ref())),
        ("revoked_at", time(key.revoked_at.as_ref())),
    ])
}

/// A key that was just created.
fn rotated(id: &str, algorithm: &str, signs_at: Option<&Timestamp>) -> Record {
    record([("id", json!(id)), ("algorithm", json!(algorithm)), ("signs_at", time(signs_at))])
}
