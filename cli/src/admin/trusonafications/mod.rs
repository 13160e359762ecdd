//! `nodkey admin trusonafications`.

mod create;

use clap::{Subcommand, builder::PossibleValuesParser};
use nodkey_kernel::time::Timestamp;
use nodkey_proto::{
    convert, rest,
    trusonafication::v1::{ListTrusonaficationsRequest, Status, Trusonafication},
};
use serde_json::{Value, json};

use super::{
    Admin,
    list::{PageArgs, list},
    request,
    values::name,
};
use crate::output::{Record, document};

const STATUSES: [&str; 7] =
    ["in-progress", "accepted", "accepted-at-higher-level", "accepted-at-lower-level", "rejected", "expired", "canceled"];

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Prompt a user or a device
    Create(Box<create::Args>),
    /// List trusonafications, newest first
    #[command(after_help = "Examples:
  nodkey admin trusonafications list --status in-progress
  nodkey admin trusonafications list --user ada --created-after 2026-01-02T00:00:00Z --all --json")]
    List {
        #[command(flatten)]
        page: PageArgs,
        #[command(flatten)]
        filter: Filter,
    },
    /// Show a trusonafication
    #[command(after_help = "Example:
  nodkey admin trusonafications show 01890a5d-ac96-774b-bcce-b302099a8057")]
    Show {
        /// Trusonafication id
        id: String,
    },
    /// Cancel a trusonafication that is in progress
    #[command(after_help = "Example:
  nodkey admin trusonafications cancel 01890a5d-ac96-774b-bcce-b302099a8057")]
    Cancel {
        /// Trusonafication id
        id: String,
    },
    /// Print the evidence of an answered trusonafication, always as JSON
    #[command(after_help = "Example:
  nodkey admin trusonafications evidence 01890a5d-ac96-774b-bcce-b302099a8057 > evidence.json
  nodkey verify --jwks jwks.json --user ada evidence.json")]
    Evidence {
        /// Trusonafication id
        id: String,
    },
}

/// The trusonafications to list.
#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Only trusonafications with this status
    #[arg(long, value_parser = PossibleValuesParser::new(STATUSES))]
    status: Option<String>,
    /// Only trusonafications for this user
    #[arg(long, default_value = "", hide_default_value = true)]
    user: String,
    /// Only trusonafications for this device
    #[arg(long, default_value = "", hide_default_value = true)]
    device: String,
    /// Only trusonafications created after this time; RFC 3339
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    created_after: Option<Timestamp>,
    /// Only trusonafications created before this time; RFC 3339
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    created_before: Option<Timestamp>,
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Create(args) => create::run(admin, *args).await,
        Verb::List { page, filter } => list_all(admin, page, filter.into_request()).await,
        Verb::Show { id } => admin.show(&to_record(&admin.nodkey.trusonafication(&id).await?)),
        Verb::Cancel { id } => admin.show(&to_record(&admin.nodkey.cancel(&id).await?)),
        Verb::Evidence { id } => {
            let (evidence, jwks) = tokio::try_join!(admin.nodkey.evidence(&id), admin.nodkey.jwks())?;
            let mut whole = json!(evidence);
            whole["jwks"] = json!(jwks);
            document(&whole)
        }
    }
}

impl Filter {
    fn into_request(self) -> ListTrusonaficationsRequest {
        let status = self.status.and_then(|word| Status::from_str_name(&name("STATUS_", &word))).unwrap_or_default();
        ListTrusonaficationsRequest {
            status: status.into(),
            user_identifier: self.user,
            device_identifier: self.device,
            created_after: self.created_after.map(convert::timestamp),
            created_before: self.created_before.map(convert::timestamp),
            ..ListTrusonaficationsRequest::default()
        }
    }
}

async fn list_all(admin: &Admin, page: PageArgs, filter: ListTrusonaficationsRequest) -> anyhow::Result<()> {
    let columns = ["id", "status", "user_identifier", "action", "resource", "desired_level", "created_at"];
    let mut client = create::client(admin);
    list(admin, page, &columns, async |page_size, page_token| {
        let message = ListTrusonaficationsRequest { page_size, page_token, ..filter.clone() };
        let answer = client.list_trusonafications(request(message)).await?.into_inner();
        Ok((answer.trusonafications.iter().map(to_record).collect(), answer.next_page_token))
    })
    .await
}

/// The names are those of the HTTP API.
fn to_record(trusonafication: &Trusonafication) -> Record {
    let mut shown = rest::Trusonafication::from(trusonafication);
    let fields = std::mem::take(&mut shown.custom_fields);
    let mut record = Record::default();
    if let Ok(Value::Object(values)) = serde_json::to_value(shown) {
        record.extend(values.into_iter().map(|(name, value)| (name, value.into())));
    }
    record.insert("custom_fields", fields);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_that_can_be_asked_for_is_one() {
        for status in STATUSES {
            assert!(Status::from_str_name(&name("STATUS_", status)).is_some(), "{status}");
        }
    }

    #[test]
    fn a_record_has_every_column_that_lists_show() {
        let record = to_record(&Trusonafication { id: "1".into(), ..Trusonafication::default() });
        for column in ["id", "status", "user_identifier", "action", "resource", "desired_level", "created_at"] {
            assert!(record.get(column).is_some(), "{column}");
        }
    }
}
