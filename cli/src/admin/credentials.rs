//! `nodkey admin credentials`.

use clap::{Subcommand, ValueEnum};
use nodkey_client::ServiceName;
use nodkey_proto::registry::v1::{
    CreateCredentialRequest, Credential, CredentialKind, DisableCredentialRequest, ListCredentialsRequest,
    credential_service_client::CredentialServiceClient,
};
use serde_json::json;

use super::{
    Admin, answer,
    list::{PageArgs, list},
    request, request_id,
    values::{time, word},
};
use crate::{
    output::{Record, plain, record},
    sure::Sure,
};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// For a backend
    Server,
    /// For a mobile app; can only register devices
    Mobile,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Create a credential. Its secret is shown once
    #[command(after_help = "Example:
  nodkey admin credentials create server --relying-party 01890a5d-ac96-774b-bcce-b302099a8057 --json")]
    Create {
        /// What the credential is for
        #[arg(value_enum)]
        kind: Kind,
        /// What you call it, to tell it from others
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
    },
    /// List the credentials of the relying party, newest first, without secrets
    #[command(after_help = "Example:
  nodkey admin credentials list")]
    List(PageArgs),
    /// Disable a credential: it is refused everywhere within 30 seconds
    #[command(after_help = "Example:
  nodkey admin credentials disable 01890a5d-ac96-774b-bcce-b302099a8057")]
    Disable {
        /// Credential id
        id: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = CredentialServiceClient::new(admin.channel(ServiceName::Registry));
    let relying_party_id = admin.relying_party()?;
    match verb {
        Verb::List(page) => {
            let columns = ["id", "name", "kind", "disabled", "created_at", "last_used_at"];
            list(admin, page, &columns, async |page_size, page_token| {
                let message = ListCredentialsRequest { relying_party_id: relying_party_id.clone(), page_size, page_token };
                let answer = client.list_credentials(request(message)).await?.into_inner();
                Ok((answer.credentials.iter().map(to_record).collect(), answer.next_page_token))
            })
            .await
        }
        Verb::Create { kind, name } => {
            let kind = match kind {
                Kind::Server => CredentialKind::Server,
                Kind::Mobile => CredentialKind::Mobile,
            };
            let message = CreateCredentialRequest { request_id: request_id(), relying_party_id, kind: kind.into(), name };
            let created = answer(client.create_credential(request(message))).await?;
            let mut record = to_record(&created.credential.unwrap_or_default());
            record.insert("secret", json!(created.secret));
            admin.show(&record)?;
            anstream::eprintln!("save the secret now: it is not shown again");
            Ok(())
        }
        Verb::Disable { id, sure } => {
            sure.ask(&format!("Disable credential {} permanently", plain(&id)))?;
            let message = DisableCredentialRequest { relying_party_id, id };
            admin.show(&to_record(&answer(client.disable_credential(request(message))).await?))
        }
    }
}

fn to_record(credential: &Credential) -> Record {
    record([
        ("id", json!(credential.id)),
        ("relying_party_id", json!(credential.relying_party_id)),
        ("name", json!(credential.name)),
        ("kind", word(credential.kind().as_str_name(), "CREDENTIAL_KIND_")),
        ("disabled", json!(credential.disabled)),
        ("created_at", time(credential.created_at.as_ref())),
        ("last_used_at", time(credential.last_used_at.as_ref())),
        ("token", json!(credential.token)),
    ])
}
