//! `nodkey admin audit`.

use clap::Subcommand;
use nodkey_client::ServiceName;
use nodkey_proto::registry::v1::{AuditEntry, ListAuditEntriesRequest, ListAuditRecordsRequest, audit_service_client::AuditServiceClient};
use serde_json::json;

use super::{
    Admin, answer,
    list::{PageArgs, list},
    request, syslog,
    values::{self, time},
};
use crate::{
    confirm::AdminChannel,
    output::{Record, filled, line, record},
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List operators' actions, newest first
    #[command(after_help = "Example:
  nodkey admin audit list --method CreateCredential --json")]
    List {
        /// Only actions for this relying party
        #[arg(long = "for", value_name = "UUID", default_value = "", hide_default_value = true)]
        relying_party_id: String,
        /// Only actions of this operator
        #[arg(long = "by", value_name = "UUID", default_value = "", hide_default_value = true)]
        operator_id: String,
        /// Only calls of this method
        #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
        method: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Export the log with its hashes and signed checkpoints as JSON Lines, for `nodkey audit verify`
    #[command(after_help = "Examples:
  nodkey admin audit export > audit.jsonl
  nodkey admin audit export --for 018f4c1e-... | nodkey audit verify --jwks archive.json -
  nodkey admin audit export --format syslog | nc -N logs.example.com 601")]
    Export {
        /// Only the chain of this relying party
        #[arg(long = "for", value_name = "UUID", default_value = "", hide_default_value = true)]
        relying_party_id: String,
        /// The format of each line: as stored, which can be verified, or as a syslog message (RFC 5424)
        #[arg(long, value_enum, default_value_t = Format::Jsonl)]
        format: Format,
    },
}

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// JSON Lines.
    Jsonl,
    /// Syslog messages.
    Syslog,
}

/// How many entries are requested in one call.
const LINES: i32 = 500;

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = AuditServiceClient::new(admin.channel(ServiceName::Registry));
    let (relying_party_id, operator_id, method, page) = match verb {
        Verb::List { relying_party_id, operator_id, method, page } => (relying_party_id, operator_id, method, page),
        Verb::Export { relying_party_id, format } => return export(client, relying_party_id, format).await,
    };
    let columns = ["at", "actor", "method", "relying_party_id", "outcome"];
    list(admin, page, &columns, async |page_size, page_token| {
        let (relying_party_id, operator_id, method) = (relying_party_id.clone(), operator_id.clone(), method.clone());
        let message = ListAuditEntriesRequest { page_size, page_token, relying_party_id, operator_id, method, ..Default::default() };
        let answer = client.list_audit_entries(request(message)).await?.into_inner();
        Ok((answer.entries.iter().map(to_record).collect(), answer.next_page_token))
    })
    .await
}

async fn export(mut client: AuditServiceClient<AdminChannel>, relying_party_id: String, format: Format) -> anyhow::Result<()> {
    let mut page_token = String::new();
    loop {
        let message = ListAuditRecordsRequest { page_size: LINES, page_token, relying_party_id: relying_party_id.clone() };
        let page = answer(client.list_audit_records(request(message))).await?;
        for text in page.lines {
            line(if format == Format::Syslog { syslog::message(&text) } else { text })?;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(());
        }
    }
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
