//! `nodkey admin documents`.

use clap::{Subcommand, builder::PossibleValuesParser};
use nodkey_client::ServiceName;
use nodkey_proto::registry::v1::{
    DocumentType, GetIdentityDocumentRequest, IdentityDocument, ListIdentityDocumentsRequest, RegisterIdentityDocumentRequest,
    SetVerificationStatusRequest, VerificationStatus, identity_document_service_client::IdentityDocumentServiceClient,
};
use serde_json::json;

use super::{
    Admin, answer,
    list::{PageArgs, list},
    request,
    values::{name, time, word},
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
    /// Show a document
    #[command(after_help = "Example:
  nodkey admin documents show 019ab2f4-9000-7a52-9d27-0d2b8a7f4c99")]
    Show {
        /// Id of the document
        id: String,
    },
    /// Record what a third party's verification of a document found; levels do not change
    #[command(after_help = "Example:
  nodkey admin documents set-status 019ab2f4-9000-7a52-9d27-0d2b8a7f4c99 verified")]
    SetStatus {
        /// Id of the document
        id: String,
        /// What was found
        #[arg(value_parser = PossibleValuesParser::new(STATUSES))]
        status: String,
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

const STATUSES: [&str; 4] = ["unverified", "unverifiable", "verified", "failed"];

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
        Verb::Show { id } => {
            admin.show(&to_record(&answer(client.get_identity_document(request(GetIdentityDocumentRequest { id }))).await?))
        }
        Verb::SetStatus { id, status } => {
            let status = VerificationStatus::from_str_name(&name("VERIFICATION_STATUS_", &status)).unwrap_or_default();
            let message = SetVerificationStatusRequest { id, verification_status: status.into() };
            admin.show(&to_record(&answer(client.set_verification_status(request(message))).await?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_that_can_be_recorded_is_one() {
        for status in STATUSES {
            assert!(VerificationStatus::from_str_name(&name("VERIFICATION_STATUS_", status)).is_some(), "{status}");
        }
    }
}
