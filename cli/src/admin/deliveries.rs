//! `nodkey admin deliveries`.

use clap::{Subcommand, builder::PossibleValuesParser};
use nodkey_proto::notification::v1::{
    Attempt, Delivery, DeliveryState, GetDeliveryRequest, ListDeliveriesRequest, RedeliverRequest,
    delivery_service_client::DeliveryServiceClient,
};
use nodkey_server_sdk::ServiceName;
use serde_json::{Value, json};

use super::{
    Admin, answer,
    list::{PageArgs, list},
    request,
    values::{name, time, word},
};
use crate::output::{Record, filled, record};

const STATE: &str = "DELIVERY_STATE_";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List deliveries, newest first
    #[command(after_help = "Example:
  nodkey admin deliveries list --state exhausted --all")]
    List {
        #[command(flatten)]
        page: PageArgs,
        /// Only those in this state
        #[arg(long, value_parser = PossibleValuesParser::new(["pending", "succeeded", "exhausted"]))]
        state: Option<String>,
        /// Only those about this trusonafication
        #[arg(long, value_name = "UUID", default_value = "", hide_default_value = true)]
        trusonafication: String,
    },
    /// Show one with its attempts
    #[command(after_help = "Example:
  nodkey admin deliveries show 01890a5d-ac96-774b-bcce-b302099a8057")]
    Show {
        /// Which
        id: String,
    },
    /// Send one again, whatever its state
    #[command(after_help = "Example:
  nodkey admin deliveries redeliver 01890a5d-ac96-774b-bcce-b302099a8057")]
    Redeliver {
        /// Which
        id: String,
    },
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = DeliveryServiceClient::new(admin.channel(ServiceName::Notification));
    match verb {
        Verb::List { page, state, trusonafication } => {
            let state = state.and_then(|word| DeliveryState::from_str_name(&name(STATE, &word))).unwrap_or_default();
            let columns = ["id", "event_type", "state", "attempt_count", "next_attempt_at", "url"];
            list(admin, page, &columns, async |page_size, page_token| {
                let trusonafication_id = trusonafication.clone();
                let message = ListDeliveriesRequest { page_size, page_token, state: state.into(), trusonafication_id };
                let answer = client.list_deliveries(request(message)).await?.into_inner();
                Ok((answer.deliveries.iter().map(to_record).collect(), answer.next_page_token))
            })
            .await
        }
        Verb::Show { id } => {
            let delivery = answer(client.get_delivery(request(GetDeliveryRequest { id }))).await?;
            let mut record = to_record(&delivery);
            record.insert("attempts".to_owned(), delivery.attempts.iter().map(attempt).collect());
            admin.show(&record)
        }
        Verb::Redeliver { id } => admin.show(&to_record(&answer(client.redeliver(request(RedeliverRequest { id }))).await?)),
    }
}

fn to_record(delivery: &Delivery) -> Record {
    record([
        ("id", json!(delivery.id)),
        ("trusonafication_id", filled(&delivery.trusonafication_id)),
        ("event_type", json!(delivery.event_type)),
        ("url", json!(delivery.url)),
        ("state", word(delivery.state().as_str_name(), STATE)),
        ("attempt_count", json!(delivery.attempt_count)),
        ("next_attempt_at", time(delivery.next_attempt_at.as_ref())),
        ("created_at", time(delivery.created_at.as_ref())),
    ])
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "started_at": time(attempt.started_at.as_ref()),
        "duration_ms": attempt.duration_ms,
        "status_code": (attempt.status_code != 0).then_some(attempt.status_code),
        "error": filled(&attempt.error),
    })
}
