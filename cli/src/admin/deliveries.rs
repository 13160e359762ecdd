//! `nodkey admin deliveries`.

use std::time::Duration;

use clap::{Subcommand, builder::PossibleValuesParser};
use nodkey_client::ServiceName;
use nodkey_kernel::time::Timestamp;
use nodkey_proto::convert::timestamp;
use nodkey_proto::notification::v1::{
    Attempt, Delivery, DeliveryState, GetDeliveryRequest, ListDeliveriesRequest, RedeliverManyRequest, RedeliverRequest,
    delivery_service_client::DeliveryServiceClient,
};
use serde_json::{Value, json};
use tonic::Request;

use super::{
    Admin, answer,
    list::{PageArgs, list},
    request,
    values::{name, time, word},
};
use crate::output::{Record, filled, record};

/// The deadline of a call that sends many again.
const PATIENCE: Duration = Duration::from_mins(10);
const STATE: &str = "DELIVERY_STATE_";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List deliveries, newest first
    #[command(after_help = "Example:
  nodkey admin deliveries list --state exhausted --all
  nodkey admin deliveries list --about device/NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")]
    List {
        #[command(flatten)]
        page: PageArgs,
        /// Only deliveries in this state
        #[arg(long, value_parser = PossibleValuesParser::new(["pending", "succeeded", "exhausted"]))]
        state: Option<String>,
        /// Only deliveries about this trusonafication
        #[arg(long, value_name = "UUID", default_value = "", hide_default_value = true)]
        trusonafication: String,
        /// Only deliveries about this subject: `device/ID`, `binding/ID`, `identity_document/ID`, `user/IDENTIFIER`
        #[arg(long, value_name = "SUBJECT", default_value = "", hide_default_value = true, conflicts_with = "trusonafication")]
        about: String,
        /// Only deliveries to this endpoint
        #[arg(long, value_name = "UUID", default_value = "", hide_default_value = true)]
        endpoint: String,
    },
    /// Show a delivery with its attempts
    #[command(after_help = "Example:
  nodkey admin deliveries show 01890a5d-ac96-774b-bcce-b302099a8057")]
    Show {
        /// Delivery id
        id: String,
    },
    /// Send deliveries again, whatever their state, or all exhausted ones since a time
    #[command(after_help = "Examples:
  nodkey admin deliveries redeliver 01890a5d-ac96-774b-bcce-b302099a8057
  nodkey admin deliveries redeliver --since 2026-11-01T00:00:00Z
  nodkey admin deliveries redeliver --since 2026-11-01T00:00:00Z --endpoint 01890a5d-ac96-774b-bcce-b302099a8057")]
    Redeliver(Redeliver),
}

#[derive(Debug, clap::Args)]
pub struct Redeliver {
    /// Delivery ids
    #[arg(required_unless_present = "since", conflicts_with = "since")]
    ids: Vec<String>,
    /// All exhausted deliveries since this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    since: Option<Timestamp>,
    /// Until this time; default: now
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339, requires = "since")]
    until: Option<Timestamp>,
    /// Only deliveries to this endpoint
    #[arg(long, value_name = "UUID", requires = "since", default_value = "", hide_default_value = true)]
    endpoint: String,
    /// Include deliveries that succeeded: receivers get them twice
    #[arg(long, requires = "since")]
    include_succeeded: bool,
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = DeliveryServiceClient::new(admin.channel(ServiceName::Notification));
    match verb {
        Verb::List { page, state, trusonafication, about, endpoint } => {
            let state = state.and_then(|word| DeliveryState::from_str_name(&name(STATE, &word))).unwrap_or_default();
            let columns = ["id", "event_type", "subject", "state", "attempt_count", "next_attempt_at", "url"];
            list(admin, page, &columns, async |page_size, page_token| {
                let (trusonafication_id, endpoint_id, subject) = (trusonafication.clone(), endpoint.clone(), about.clone());
                let message = ListDeliveriesRequest {
                    page_size,
                    page_token,
                    state: state.into(),
                    trusonafication_id,
                    endpoint_id,
                    subject,
                    ..ListDeliveriesRequest::default()
                };
                let answer = client.list_deliveries(request(message)).await?.into_inner();
                Ok((answer.deliveries.iter().map(to_record).collect(), answer.next_page_token))
            })
            .await
        }
        Verb::Show { id } => {
            let delivery = answer(client.get_delivery(request(GetDeliveryRequest { id }))).await?;
            let mut record = to_record(&delivery);
            record.insert("attempts", Value::Array(delivery.attempts.iter().map(attempt).collect()));
            admin.show(&record)
        }
        Verb::Redeliver(Redeliver { ids, since: None, .. }) => {
            for id in ids {
                admin.show(&to_record(&answer(client.redeliver(request(RedeliverRequest { id }))).await?))?;
            }
            Ok(())
        }
        Verb::Redeliver(Redeliver { since: Some(since), until, endpoint, include_succeeded, .. }) => {
            let (since, until) = (Some(timestamp(since)), until.map(timestamp));
            let message = RedeliverManyRequest { since, until, endpoint_id: endpoint, include_succeeded };
            let mut request = Request::new(message);
            // There may be many.
            request.set_timeout(PATIENCE);
            admin.show(&record([("count", json!(answer(client.redeliver_many(request)).await?.count))]))
        }
    }
}

fn to_record(delivery: &Delivery) -> Record {
    record([
        ("id", json!(delivery.id)),
        ("trusonafication_id", filled(&delivery.trusonafication_id)),
        ("subject", json!(delivery.subject)),
        ("event_type", json!(delivery.event_type)),
        ("endpoint_id", filled(&delivery.endpoint_id)),
        ("url", json!(delivery.url)),
        ("state", word(delivery.state().as_str_name(), STATE)),
        ("attempt_count", json!(delivery.attempt_count)),
        ("next_attempt_at", time(delivery.next_attempt_at.as_ref())),
        ("occurred_at", time(delivery.occurred_at.as_ref())),
        ("created_at", time(delivery.created_at.as_ref())),
    ])
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "started_at": time(attempt.started_at.as_ref()),
        "duration_ms": attempt.duration_ms,
        "status_code": (attempt.status_code != 0).then_some(attempt.status_code),
        "error": filled(&attempt.error),
        "response": filled(&attempt.response),
    })
}
