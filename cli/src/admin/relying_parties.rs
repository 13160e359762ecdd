//! `nodkey admin relying-parties`.

use clap::Subcommand;
use nodkey_proto::registry::v1::{
    CreateRelyingPartyRequest, DisableRelyingPartyRequest, GetRelyingPartyRequest, ListRelyingPartiesRequest, RelyingParty,
    relying_party_service_client::RelyingPartyServiceClient,
};
use nodkey_server_sdk::ServiceName;
use serde_json::json;

use super::{
    Admin, answer,
    list::{PageArgs, list},
    request, request_id,
    values::time,
};
use crate::output::{Record, record};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Create a relying party
    #[command(after_help = "Example:
  nodkey admin relying-parties create \"Acme Bank\"")]
    Create {
        /// Shown on phones
        name: String,
        /// Fixes the id; otherwise the server chooses
        #[arg(long, value_name = "UUID", default_value = "", hide_default_value = true)]
        id: String,
    },
    /// List relying parties, newest first
    #[command(after_help = "Example:
  nodkey admin relying-parties list --all --json")]
    List(PageArgs),
    /// Show one
    #[command(after_help = "Example:
  nodkey admin relying-parties show 01890a5d-ac96-774b-bcce-b302099a8057")]
    Show {
        /// Which; by default the one of --relying-party
        #[arg(default_value = "", hide_default_value = true)]
        id: String,
    },
    /// Disable one: its credentials are refused from then on
    #[command(after_help = "Example:
  nodkey admin relying-parties disable 01890a5d-ac96-774b-bcce-b302099a8057")]
    Disable {
        /// Which
        id: String,
    },
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = RelyingPartyServiceClient::new(admin.channel(ServiceName::Registry));
    let party = match verb {
        Verb::List(page) => {
            let columns = ["id", "name", "disabled", "created_at"];
            return list(admin, page, &columns, async |page_size, page_token| {
                let answer = client.list_relying_parties(request(ListRelyingPartiesRequest { page_size, page_token })).await?.into_inner();
                Ok((answer.relying_parties.iter().map(to_record).collect(), answer.next_page_token))
            })
            .await;
        }
        Verb::Create { name, id } => {
            let message = CreateRelyingPartyRequest { request_id: request_id(), name, id };
            answer(client.create_relying_party(request(message))).await?
        }
        Verb::Show { id } => {
            let id = if id.is_empty() { admin.relying_party()? } else { id };
            answer(client.get_relying_party(request(GetRelyingPartyRequest { id }))).await?
        }
        Verb::Disable { id } => answer(client.disable_relying_party(request(DisableRelyingPartyRequest { id }))).await?,
    };
    admin.show(&to_record(&party))
}

fn to_record(party: &RelyingParty) -> Record {
    record([
        ("id", json!(party.id)),
        ("name", json!(party.name)),
        ("disabled", json!(party.disabled)),
        ("created_at", time(party.created_at.as_ref())),
    ])
}
