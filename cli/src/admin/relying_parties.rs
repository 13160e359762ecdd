//! `nodkey admin relying-parties`.

use clap::Subcommand;
use nodkey_proto::registry::v1::{
    CreateRelyingPartyRequest, DisableRelyingPartyRequest, GetRelyingPartyRequest, ListRelyingPartiesRequest, RelyingParty,
    UpdateRelyingPartyRequest, relying_party_service_client::RelyingPartyServiceClient,
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
    /// Change settings of one; what is not named stays
    #[command(after_help = "Example:
  nodkey admin relying-parties update --allowed-origin https://shop.example.com --match-number true")]
    Update(Change),
    /// Disable one: its credentials are refused from then on
    #[command(after_help = "Example:
  nodkey admin relying-parties disable 01890a5d-ac96-774b-bcce-b302099a8057")]
    Disable {
        /// Which
        id: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct Change {
    /// Which; by default the one of --relying-party
    #[arg(default_value = "", hide_default_value = true)]
    id: String,
    /// Shown on phones
    #[arg(long)]
    name: Option<String>,
    /// Whose pages may make secure QR codes; may be given often, `any` for every page
    #[arg(long, value_name = "ORIGIN")]
    allowed_origin: Vec<String>,
    /// Whether clients without a device key may pair any identifier: for old clients, never in production
    #[arg(long, value_name = "BOOL")]
    allow_unproven_pairing: Option<bool>,
    /// Whether the person confirms two digits that the page shows
    #[arg(long, value_name = "BOOL")]
    match_number: Option<bool>,
    /// Whether to refuse signatures over the path before it was percent-encoded (JavaScript SDK)
    #[arg(long, value_name = "BOOL")]
    refuse_unescaped_path: Option<bool>,
    /// Whether to refuse signatures over the first 256 bytes of a body (C SDK)
    #[arg(long, value_name = "BOOL")]
    refuse_truncated_body: Option<bool>,
    /// How many seconds the date of a signed request may differ; 0 for 300, and unreadable ones taken
    #[arg(long, value_name = "SECONDS")]
    max_date_skew: Option<i32>,
}

impl Change {
    /// What is not named stays as `party` has it.
    fn applied_to(self, party: RelyingParty) -> UpdateRelyingPartyRequest {
        let (mut trucodes, mut signatures) = (party.trucodes.unwrap_or_default(), party.signatures.unwrap_or_default());
        if !self.allowed_origin.is_empty() {
            trucodes.allowed_origins = self.allowed_origin.into_iter().filter(|origin| origin != "any").collect();
        }
        trucodes.allow_unproven_pairing = self.allow_unproven_pairing.unwrap_or(trucodes.allow_unproven_pairing);
        trucodes.match_number = self.match_number.unwrap_or(trucodes.match_number);
        signatures.refuse_unescaped_path = self.refuse_unescaped_path.unwrap_or(signatures.refuse_unescaped_path);
        signatures.refuse_truncated_body = self.refuse_truncated_body.unwrap_or(signatures.refuse_truncated_body);
        signatures.max_date_skew_seconds = self.max_date_skew.unwrap_or(signatures.max_date_skew_seconds);
        UpdateRelyingPartyRequest { id: party.id, name: self.name, trucodes: Some(trucodes), signatures: Some(signatures) }
    }
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
        Verb::Update(change) => {
            let id = if change.id.is_empty() { admin.relying_party()? } else { change.id.clone() };
            let party = answer(client.get_relying_party(request(GetRelyingPartyRequest { id }))).await?;
            answer(client.update_relying_party(request(change.applied_to(party)))).await?
        }
        Verb::Disable { id } => answer(client.disable_relying_party(request(DisableRelyingPartyRequest { id }))).await?,
    };
    admin.show(&to_record(&party))
}

fn to_record(party: &RelyingParty) -> Record {
    let (trucodes, signatures) = (party.trucodes.clone().unwrap_or_default(), party.signatures.unwrap_or_default());
    record([
        ("id", json!(party.id)),
        ("name", json!(party.name)),
        ("disabled", json!(party.disabled)),
        ("created_at", time(party.created_at.as_ref())),
        ("allowed_origins", json!(trucodes.allowed_origins)),
        ("allow_unproven_pairing", json!(trucodes.allow_unproven_pairing)),
        ("match_number", json!(trucodes.match_number)),
        ("refuse_unescaped_path", json!(signatures.refuse_unescaped_path)),
        ("refuse_truncated_body", json!(signatures.refuse_truncated_body)),
        ("max_date_skew_seconds", json!(signatures.max_date_skew_seconds)),
    ])
}
