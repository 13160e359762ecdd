//! `nodkey admin documents`.

use clap::Subcommand;
use nodkey_proto::registry::v1::{
    DocumentType, IdentityDocument, ListIdentityDocumentsRequest, RegisterIdentityDocumentRequest,
    identity_document_service_client::IdentityDocumentServiceClient,
};
use nodkey_server_sdk::ServiceName;
use serde_json::json;

use super::{
    Admin, answer,
    list::{PageArgs, list},
    request,
    values::{time, word},
};
use crate::output::{Record, record};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List a user's documents, newest first, and whether they count
    #[command(after_help = "Example:
  nodkey admin documents list ada")]
    List {
        /// User identifier
        user: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Vouch for a document of a device's user, so that it counts: accepts that present it are level 3
    #[command(after_help = "Example:
  nodkey admin documents register NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

Make sure by other means that it is that user's. A phone that registered it without a presence key that counts cannot do so itself.")]
    Register {
        /// Device identifier
        device: String,
        /// Hash of the document, as the phone presents it
        hash: String,
    },
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = IdentityDocumentServiceClient::new(admin.channel(ServiceName::Registry));
    match verb {
        Verb::List { user, page } => {
            let columns = ["id", "hash", "counts", "verification_status", "created_at"];
            list(admin, page, &columns, async |page_size, page_token| {
                let message = ListIdentityDocumentsRequest { user_identifier: user.clone(), page_size, page_token, counting: false };
                let answer = client.list_identity_documents(request(message)).await?.into_inner();
                Ok((answer.identity_documents.iter().map(to_record).collect(), answer.next_page_token))
            })
            .await
        }
        Verb::Register { device, hash } => {
            let document_type = DocumentType::AamvaDriversLicense.into();
            let message = RegisterIdentityDocumentRequest { device_id: device, hash, r#type: document_type, call: None };
            admin.show(&to_record(&answer(client.register_identity_document(request(message))).await?))
        }
    }
}

fn to_record(document: &IdentityDocument) -> Record {
    record([
        ("id", json!(document.id)),
        ("user_identifier", json!(document.user_identifier)),
        ("hash", json!(document.hash)),
        ("type", word(document.r#type().as_str_name(), "DOCUMENT_TYPE_")),
        ("counts", json!(document.counts.unwrap_or(true))),
        ("verification_status", word(document.verification_status().as_str_name(), "VERIFICATION_STATUS_")),
        ("verified_at", time(document.verified_at.as_ref())),
        ("created_at", time(document.created_at.as_ref())),
    ])
}
