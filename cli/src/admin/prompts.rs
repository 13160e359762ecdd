//! `nodkey admin prompts`.

use clap::Subcommand;
use nodkey_client::ServiceName;
use nodkey_proto::trusonafication::v1::{
    GetPromptBudgetRequest, PromptBudget, PromptHold, ReleasePromptHoldRequest, ResetPromptBudgetRequest,
    prompt_service_client::PromptServiceClient,
};
use serde_json::{Value, json};

use super::{Admin, answer, request, values::time};
use crate::output::{Record, filled, record};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show how often others may prompt a user, and in which contexts the user answered that it was not them
    #[command(after_help = "Example:
  nodkey admin prompts show ada")]
    Show {
        /// User identifier
        user: String,
    },
    /// Release a hold: let others prompt a user again who answered that it was not them
    #[command(after_help = "Examples:
  nodkey admin prompts release ada
  nodkey admin prompts release ada --context session-1")]
    Release {
        /// User identifier
        user: String,
        /// The context; by default prompts without a context
        #[arg(long, default_value = "", hide_default_value = true)]
        context: String,
    },
    /// End the pause after prompts that a user did not accept
    #[command(after_help = "Example:
  nodkey admin prompts reset ada")]
    Reset {
        /// User identifier
        user: String,
    },
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = PromptServiceClient::new(admin.channel(ServiceName::Trusonafication));
    let budget = match verb {
        Verb::Show { user } => answer(client.get_prompt_budget(request(GetPromptBudgetRequest { user_identifier: user }))).await?,
        Verb::Release { user, context } => {
            answer(client.release_prompt_hold(request(ReleasePromptHoldRequest { user_identifier: user, context }))).await?
        }
        Verb::Reset { user } => answer(client.reset_prompt_budget(request(ResetPromptBudgetRequest { user_identifier: user }))).await?,
    };
    admin.show(&to_record(&budget))
}

fn to_record(budget: &PromptBudget) -> Record {
    record([
        ("user_identifier", json!(budget.user_identifier)),
        ("strikes", json!(budget.strikes)),
        ("wrong_numbers", json!(budget.wrong_numbers)),
        ("waiting", json!(budget.waiting)),
        ("free_at", time(budget.free_at.as_ref())),
        ("holds", budget.holds.iter().map(hold).collect()),
    ])
}

fn hold(hold: &PromptHold) -> Value {
    json!({
        "context": filled(&hold.context),
        "held_at": time(hold.held_at.as_ref()),
        "held_until": time(hold.held_until.as_ref()),
        "trusonafication_id": hold.trusonafication_id,
    })
}
