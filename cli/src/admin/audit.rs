//! `nodkey admin audit`.

use clap::Subcommand;
use nodkey_proto::registry::v1::{AuditEntry, ListAuditEntriesRequest, audit_service_client::AuditServiceClient};
use nodkey_server_sdk::ServiceName;
use serde_json::json;

use super::{
    Admin,
    list::{PageArgs, list},
    request,
    values::{self, time},
};
use crate::output::{Record, filled, record};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List what operators did, newest first
    #[command(after_help = "Example:
  nodkey admin audit list --method CreateCredential --json")]
    List {
        /// Only what was done for this relying party
        #[arg(long = "for", value_name = "UUID", default_value = "", hide_default_value = true)]
        relying_party_id: String,
        /// Only what this operator did
        #[arg(long = "by", value_name = "UUID", default_value = "", hide_default_value = true)]
        operator_id: String,
        /// Only calls of this method
        #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
        method: String,
        #[command(flatten)]
        page: PageArgs,
    },
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = AuditServiceClient::new(admin.channel(ServiceName::Registry));
    let Verb::List { relying_party_id, operator_id, method, page } = verb;
    let columns = ["at", "actor", "method", "relying_party_id", "outcome"];
    list(admin, page, &columns, async |page_size, page_token| {
        let (relying_party_id, operator_id, method) = (relying_party_id.clone(), operator_id.clone(), method.clone());
        let message = ListAuditEntriesRequest { page_size, page_token, relying_party_id, operator_id, method };
        let answer = client.list_audit_entries(request(message)).await?.into_inner();
        Ok((answer.entries.iter().map(to_record).collect(), answer.next_page_token))
    })
    .await
}

fn to_record(entry: &AuditEntry) -> Record {
    record([
        ("id", json!(entry.id)),
        ("at", time(entry.at.as_ref())),
        ("operator_id", filled(&entry.operator_id)),
        ("actor", json!(entry.actor)),
        ("role", json!(entry.role)),
        ("relying_party_id", filled(&entry.relying_party_id)),
        ("method", json!(entry.method)),
        ("request", values::json(&entry.request)),
        ("outcome", filled(&entry.outcome)),
        ("trace_id", filled(&entry.trace_id)),
    ])
}
