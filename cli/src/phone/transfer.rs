//! `nodkey phone transfer`.

use std::path::Path;

use clap::Subcommand;
use nodkey_mobile_sdk::{Phone, TransferAct};
use serde_json::json;

use super::keys;
use crate::output::{document, line, record, show};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// On the new phone: print a code for the old phone. It is valid for 10 minutes
    #[command(after_help = "Example:
  nodkey phone enrol --key ~/new.json
  nodkey phone transfer code --key new.json")]
    Code,
    /// On the old phone: have the phone that shows CODE replace this one, and delete this one's keys
    #[command(after_help = "Examples:
  nodkey phone transfer to \"$(nodkey phone transfer code --key new.json)\"
  nodkey phone transfer to CODE --add

The new phone can then answer as you: only use the code of a phone that you hold.")]
    To {
        /// The code that the new phone shows
        code: String,
        /// Keep this phone, too; the relying party has to allow it
        #[arg(long)]
        add: bool,
    },
}

/// Runs the verb. `file` has the phone's keys.
pub async fn run(phone: &Phone, verb: Verb, json: bool, file: &Path) -> anyhow::Result<()> {
    match verb {
        Verb::Code => {
            let code = phone.transfer_request().await?;
            if json { document(&json!({"device_identifier": phone.device_identifier().as_str(), "code": code})) } else { line(code) }
        }
        Verb::To { code, add } => {
            let act = if add { TransferAct::Add } else { TransferAct::Replace };
            let made = phone.transfer(&code, act).await?;
            if !add {
                // The phone is retired.
                keys::delete(file)?;
            }
            let values = [
                ("device_identifier", json!(made.device_identifier.as_str())),
                ("is_active", json!(made.is_active)),
                ("vouched_by", json!(phone.device_identifier().as_str())),
                ("act", json!(act.as_str())),
            ];
            show(json, &record(values))
        }
    }
}
