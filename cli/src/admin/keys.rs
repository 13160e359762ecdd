//! `nodkey admin keys`.

use clap::{Subcommand, builder::PossibleValuesParser};
use nodkey_proto::registry::v1::{
    ListSigningKeysRequest, RotateSigningKeyRequest, SigningKey, signing_key_service_client::SigningKeyServiceClient,
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
}

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
    }
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
