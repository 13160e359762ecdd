//! `nodkey admin operators`.

use clap::{Subcommand, ValueEnum};
use nodkey_client::ServiceName;
use nodkey_proto::registry::v1::{
    DisableOperatorRequest, Invitation, InviteOperatorRequest, ListOperatorsRequest, Operator, RenewInvitationRequest, Role,
    UpdateOperatorRequest, operator_service_client::OperatorServiceClient,
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

/// The role of an operator.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RoleArg {
    /// Everything, including operators, signing keys and disabling relying parties
    Owner,
    /// Read and change
    Operator,
    /// Read only
    Auditor,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Owner => Self::Owner,
            RoleArg::Operator => Self::Operator,
            RoleArg::Auditor => Self::Auditor,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Invite an operator; prints once the link that enrols their phone
    #[command(after_help = "Example:
  nodkey admin operators invite \"Ada Lovelace\" --role owner")]
    Invite {
        /// Their name
        name: String,
        /// Their role
        #[arg(long, value_enum)]
        role: RoleArg,
    },
    /// Renew an invitation that has expired, or replace a lost phone: the previous phone is revoked immediately
    #[command(after_help = "Example:
  nodkey admin operators renew 01890a5d-ac96-774b-bcce-b302099a8057")]
    Renew {
        /// Operator id
        id: String,
    },
    /// List operators, newest first
    #[command(after_help = "Example:
  nodkey admin operators list")]
    List(PageArgs),
    /// Change name or role
    #[command(after_help = "Example:
  nodkey admin operators update 01890a5d-ac96-774b-bcce-b302099a8057 --role auditor")]
    Update {
        /// Operator id
        id: String,
        /// Their name
        #[arg(long)]
        name: Option<String>,
        /// Their role
        #[arg(long, value_enum)]
        role: Option<RoleArg>,
    },
    /// Disable an operator permanently: their sessions end immediately
    #[command(after_help = "Example:
  nodkey admin operators disable 01890a5d-ac96-774b-bcce-b302099a8057")]
    Disable {
        /// Operator id
        id: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = OperatorServiceClient::new(admin.channel(ServiceName::Registry));
    let operator = match verb {
        Verb::List(page) => {
            let columns = ["id", "name", "role", "state", "created_at", "signed_in_at"];
            return list(admin, page, &columns, async |page_size, page_token| {
                let answer = client.list_operators(request(ListOperatorsRequest { page_size, page_token })).await?.into_inner();
                Ok((answer.operators.iter().map(to_record).collect(), answer.next_page_token))
            })
            .await;
        }
        Verb::Invite { name, role } => {
            let message = InviteOperatorRequest { request_id: request_id(), name, role: Role::from(role).into() };
            return show_invitation(admin, answer(client.invite_operator(request(message))).await?);
        }
        Verb::Renew { id } => {
            return show_invitation(admin, answer(client.renew_invitation(request(RenewInvitationRequest { id }))).await?);
        }
        Verb::Update { id, name, role } => {
            let role = role.map_or(Role::Unspecified, Role::from).into();
            answer(client.update_operator(request(UpdateOperatorRequest { id, name, role }))).await?
        }
        Verb::Disable { id, sure } => {
            sure.ask(&format!("Disable operator {} permanently", plain(&id)))?;
            answer(client.disable_operator(request(DisableOperatorRequest { id }))).await?
        }
    };
    admin.show(&to_record(&operator))
}

fn show_invitation(admin: &Admin, invitation: Invitation) -> anyhow::Result<()> {
    let mut record = to_record(&invitation.operator.unwrap_or_default());
    record.insert("link", json!(invitation.link));
    admin.show(&record)?;
    anstream::eprintln!("give them the link now: it is not shown again, and is valid for one day and one phone");
    Ok(())
}

fn to_record(operator: &Operator) -> Record {
    record([
        ("id", json!(operator.id)),
        ("name", json!(operator.name)),
        ("role", word(operator.role().as_str_name(), "ROLE_")),
        ("state", word(operator.state().as_str_name(), "OPERATOR_STATE_")),
        ("created_at", time(operator.created_at.as_ref())),
        ("signed_in_at", time(operator.signed_in_at.as_ref())),
        ("invitation_expires_at", time(operator.invitation_expires_at.as_ref())),
    ])
}
