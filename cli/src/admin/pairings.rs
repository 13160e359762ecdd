//! `nodkey admin pairings`.

use clap::Subcommand;
use nodkey_client::ServiceName;
use nodkey_proto::trusonafication::v1::{GetPairingRequest, tru_code_service_client::TruCodeServiceClient};
use serde_json::json;

use super::{Admin, answer, request};
use crate::output::record;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show which device scanned a secure QR code
    #[command(after_help = "Example:
  nodkey admin pairings show 019ab2f4-9000-7a52-9d27-0d2b8a7f4c99

The id is the one that the page got with its code. Until a phone has scanned the code, there is no pairing.")]
    Show {
        /// Id of the code
        code: String,
    },
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let Verb::Show { code } = verb;
    let mut client = TruCodeServiceClient::new(admin.channel(ServiceName::Trusonafication));
    let pairing = answer(client.get_pairing(request(GetPairingRequest { id: code }))).await?;
    admin.show(&record([("id", json!(pairing.id)), ("identifier", json!(pairing.identifier))]))
}
