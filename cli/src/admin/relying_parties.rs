//! `nodkey admin relying-parties`.

use clap::Subcommand;
use nodkey_client::ServiceName;
use nodkey_proto::registry::v1::{
    CreateRelyingPartyRequest, DisableRelyingPartyRequest, GetRelyingPartyRequest, ListRelyingPartiesRequest, RelyingParty,
    UpdateRelyingPartyRequest, relying_party_service_client::RelyingPartyServiceClient,
};
use serde_json::json;

use super::{
    Admin, answer,
    list::{PageArgs, list},
    request, request_id,
    values::time,
};
use crate::{
    output::{Record, plain, record},
    sure::Sure,
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Create a relying party
    #[command(after_help = "Example:
  nodkey admin relying-parties create \"Acme Bank\"
  nodkey admin relying-parties create \"Acme Bank\" --trusona-clients")]
    Create {
        /// Name, shown on phones
        name: String,
        /// Id; by default the server chooses one
        #[arg(long, value_name = "UUID", default_value = "", hide_default_value = true)]
        id: String,
        /// Tolerate the faults of Trusona's own SDKs in request signatures, and prompts without a budget; otherwise each is refused
        #[arg(long)]
        trusona_clients: bool,
    },
    /// List relying parties, newest first
    #[command(after_help = "Example:
  nodkey admin relying-parties list --all --json")]
    List(PageArgs),
    /// Show a relying party
    #[command(after_help = "Example:
  nodkey admin relying-parties show 01890a5d-ac96-774b-bcce-b302099a8057")]
    Show {
        /// Relying party id; by default the one of --relying-party
        #[arg(default_value = "", hide_default_value = true)]
        id: String,
    },
    /// Change settings of a relying party; those that are not named stay as they are
    #[command(after_help = "Example:
  nodkey admin relying-parties update --allowed-origin https://shop.example.com --match-number true")]
    Update(Change),
    /// Disable a relying party: its credentials are refused from then on
    #[command(after_help = "Example:
  nodkey admin relying-parties disable 01890a5d-ac96-774b-bcce-b302099a8057")]
    Disable {
        /// Relying party id
        id: String,
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(Debug, clap::Args)]
pub struct Change {
    /// Relying party id; by default the one of --relying-party
    #[arg(default_value = "", hide_default_value = true)]
    id: String,
    /// Name, shown on phones
    #[arg(long)]
    name: Option<String>,
    /// Origin of pages that may create secure QR codes; may be repeated, `any` for every page
    #[arg(long, value_name = "ORIGIN")]
    allowed_origin: Vec<String>,
    /// Whether clients without a device key may pair any identifier: for old clients, never in production
    #[arg(long, value_name = "BOOL")]
    allow_unproven_pairing: Option<bool>,
    /// Whether the person must confirm two digits that the page shows
    #[arg(long, value_name = "BOOL")]
    match_number: Option<bool>,
    /// Whether to refuse signatures over the path before it was percent-encoded (JavaScript SDK)
    #[arg(long, value_name = "BOOL")]
    refuse_unescaped_path: Option<bool>,
    /// Whether to refuse signatures over the first 256 bytes of a body (C SDK)
    #[arg(long, value_name = "BOOL")]
    refuse_truncated_body: Option<bool>,
    /// Maximum difference of a signed request's date, in seconds; 0: 300, and unreadable dates are accepted
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i32).range(0..=86_400))]
    max_date_skew: Option<i32>,
    /// Whether to refuse repeated signatures of changing requests; clients then have to sign each retry again
    #[arg(long, value_name = "BOOL")]
    refuse_repeated: Option<bool>,
    /// Maximum number of new devices per hour and address; 0: the deployment's default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=100_000_000))]
    registrations_per_address: Option<i32>,
    /// Maximum number of registered devices that never had a binding; 0: the deployment's default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=100_000_000))]
    unbound_devices: Option<i32>,
    /// Maximum number of webhook endpoints; 0: the deployment's default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=1000))]
    webhook_endpoints: Option<i32>,
    /// Maximum number of trusonafications in progress; 0: the deployment's default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=100_000_000))]
    open_trusonafications: Option<i32>,
    /// Whether prompts have no budget: up to 20 may be pending for a user, without pauses; for old clients
    #[arg(long, value_name = "BOOL")]
    tolerant_prompts: Option<bool>,
    /// Whether a trusonafication may be answered without prompting the person
    #[arg(long, value_name = "BOOL")]
    allow_unprompted: Option<bool>,
    /// Hours after which an inactive binding and its activation code expire; 0: never
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=8760))]
    inactive_binding_hours: Option<i32>,
    /// Whether phones may not transfer their user to a new phone, so that the backend has to bind each
    #[arg(long, value_name = "BOOL")]
    refuse_transfers: Option<bool>,
    /// Whether a phone may add another phone of the same user
    #[arg(long, value_name = "BOOL")]
    phones_add_phones: Option<bool>,
    /// Whether numbers to match must have six digits: only phones that support them are then prompted
    #[arg(long, value_name = "BOOL")]
    require_six_digits: Option<bool>,
}

impl Change {
    /// Settings that are not named stay as in `party`.
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
        signatures.refuse_repeated = self.refuse_repeated.unwrap_or(signatures.refuse_repeated);
        let mut limits = party.limits.unwrap_or_default();
        limits.registrations_per_address = self.registrations_per_address.unwrap_or(limits.registrations_per_address);
        limits.unbound_devices = self.unbound_devices.unwrap_or(limits.unbound_devices);
        limits.webhook_endpoints = self.webhook_endpoints.unwrap_or(limits.webhook_endpoints);
        limits.open_trusonafications = self.open_trusonafications.unwrap_or(limits.open_trusonafications);
        let mut prompts = party.prompts.unwrap_or_default();
        prompts.tolerant = self.tolerant_prompts.unwrap_or(prompts.tolerant);
        prompts.allow_unprompted = self.allow_unprompted.unwrap_or(prompts.allow_unprompted);
        prompts.require_six_digits = self.require_six_digits.unwrap_or(prompts.require_six_digits);
        let mut bindings = party.bindings.unwrap_or_default();
        bindings.inactive_hours = self.inactive_binding_hours.unwrap_or(bindings.inactive_hours);
        let mut phones = party.phones.unwrap_or_default();
        phones.refuse_transfers = self.refuse_transfers.unwrap_or(phones.refuse_transfers);
        phones.phones_add_phones = self.phones_add_phones.unwrap_or(phones.phones_add_phones);
        UpdateRelyingPartyRequest {
            id: party.id,
            name: self.name,
            trucodes: Some(trucodes),
            signatures: Some(signatures),
            limits: Some(limits),
            prompts: Some(prompts),
            bindings: Some(bindings),
            phones: Some(phones),
        }
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
        Verb::Create { name, id, trusona_clients } => {
            let message = CreateRelyingPartyRequest { request_id: request_id(), name, id, trusona_clients };
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
        Verb::Disable { id, sure } => {
            sure.ask(&format!("Disable relying party {} permanently, and refuse its credentials", plain(&id)))?;
            answer(client.disable_relying_party(request(DisableRelyingPartyRequest { id }))).await?
        }
    };
    admin.show(&to_record(&party))
}

fn to_record(party: &RelyingParty) -> Record {
    let (trucodes, signatures) = (party.trucodes.clone().unwrap_or_default(), party.signatures.unwrap_or_default());
    let (limits, prompts) = (party.limits.unwrap_or_default(), party.prompts.unwrap_or_default());
    let phones = party.phones.unwrap_or_default();
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
        ("refuse_repeated", json!(signatures.refuse_repeated)),
        ("registrations_per_address", json!(limits.registrations_per_address)),
        ("unbound_devices", json!(limits.unbound_devices)),
        ("webhook_endpoints", json!(limits.webhook_endpoints)),
        ("open_trusonafications", json!(limits.open_trusonafications)),
        ("tolerant_prompts", json!(prompts.tolerant)),
        ("allow_unprompted", json!(prompts.allow_unprompted)),
        ("inactive_binding_hours", json!(party.bindings.unwrap_or_default().inactive_hours)),
        ("refuse_transfers", json!(phones.refuse_transfers)),
        ("phones_add_phones", json!(phones.phones_add_phones)),
        ("require_six_digits", json!(prompts.require_six_digits)),
    ])
}
