//! `nodkey admin bindings`.

use clap::{Subcommand, builder::PossibleValuesParser};
use nodkey_client::ServiceName;
use nodkey_proto::binding::v1::{
    ActivateBindingRequest, Binding, BindingState, CreateBindingRequest, DeactivateBindingRequest, GetBindingRequest, ListBindingsRequest,
    binding_service_client::BindingServiceClient,
};
use serde_json::json;

use super::{
    Admin, answer,
    list::{PageArgs, list},
    request, request_id,
    values::{name, time, word},
};
use crate::{
    output::{Record, filled, plain, record},
    sure::Sure,
};

const STATE: &str = "BINDING_STATE_";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Bind a device to a user, inactive until activated. The id is the activation code
    #[command(after_help = "Example:
  nodkey admin bindings create --user ada --device NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")]
    Create {
        /// User identifier: the relying party's own name for the user
        #[arg(long)]
        user: String,
        /// Device identifier
        #[arg(long)]
        device: String,
    },
    /// Activate a binding: the user can be prompted from then on
    #[command(after_help = "Example:
  nodkey admin bindings activate 01890a5d-ac96-774b-bcce-b302099a8057")]
    Activate {
        /// Activation code: the binding id
        id: String,
    },
    /// List bindings, newest first
    #[command(after_help = "Example:
  nodkey admin bindings list --user ada --state active")]
    List {
        #[command(flatten)]
        page: PageArgs,
        /// Only bindings of this user
        #[arg(long, default_value = "", hide_default_value = true)]
        user: String,
        /// Only bindings in this state
        #[arg(long, value_parser = PossibleValuesParser::new(["inactive", "active", "deactivated"]))]
        state: Option<String>,
    },
    /// Show a binding
    #[command(after_help = "Example:
  nodkey admin bindings show 01890a5d-ac96-774b-bcce-b302099a8057")]
    Show {
        /// Binding id
        id: String,
    },
    /// Deactivate a binding permanently
    #[command(after_help = "Example:
  nodkey admin bindings deactivate 01890a5d-ac96-774b-bcce-b302099a8057")]
    Deactivate {
        /// Binding id
        id: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = BindingServiceClient::new(admin.channel(ServiceName::Binding));
    let binding = match verb {
        Verb::List { page, user, state } => {
            let state = state.and_then(|word| BindingState::from_str_name(&name(STATE, &word))).unwrap_or_default();
            let columns = ["id", "user_identifier", "device_identifier", "state", "created_at"];
            return list(admin, page, &columns, async |page_size, page_token| {
                let message = ListBindingsRequest { page_size, page_token, user_identifier: user.clone(), state: state.into() };
                let answer = client.list_bindings(request(message)).await?.into_inner();
                Ok((answer.bindings.iter().map(to_record).collect(), answer.next_page_token))
            })
            .await;
        }
        Verb::Create { user, device } => {
            let message = CreateBindingRequest { request_id: request_id(), user_identifier: user, device_identifier: device };
            answer(client.create_binding(request(message))).await?
        }
        Verb::Activate { id } => answer(client.activate_binding(request(ActivateBindingRequest { id }))).await?,
        Verb::Show { id } => answer(client.get_binding(request(GetBindingRequest { id }))).await?,
        Verb::Deactivate { id, sure } => {
            sure.ask(&format!("Deactivate binding {} permanently", plain(&id)))?;
            answer(client.deactivate_binding(request(DeactivateBindingRequest { id }))).await?
        }
    };
    admin.show(&to_record(&binding))
}

fn to_record(binding: &Binding) -> Record {
    record([
        ("id", json!(binding.id)),
        ("relying_party_id", json!(binding.relying_party_id)),
        ("user_identifier", json!(binding.user_identifier)),
        ("device_identifier", json!(binding.device_identifier)),
        ("state", word(binding.state().as_str_name(), STATE)),
        ("created_at", time(binding.created_at.as_ref())),
        ("activated_at", time(binding.activated_at.as_ref())),
        ("deactivated_at", time(binding.deactivated_at.as_ref())),
        ("vouched_by", filled(&binding.vouched_by)),
    ])
}
