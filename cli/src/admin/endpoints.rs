//! `nodkey admin endpoints`.

use std::net::SocketAddr;

use clap::{Subcommand, builder::PossibleValuesParser};
use nodkey_client::ServiceName;
use nodkey_proto::notification::v1::{
    CreateEndpointRequest, CreateEndpointResponse, DeleteEndpointRequest, Endpoint, EventTypes, GetEndpointRequest, ListEndpointsRequest,
    RotateEndpointKeysRequest, UpdateEndpointRequest, endpoint_service_client::EndpointServiceClient,
};
use serde_json::json;

use super::{
    Admin, answer,
    list::{PageArgs, list},
    listen, request, request_id,
    values::{time, word},
};
use crate::{
    output::{Record, plain, record},
    sure::Sure,
};

const EVENTS: [&str; 12] = [
    "trusonafication.accepted",
    "trusonafication.rejected",
    "trusonafication.expired",
    "trusonafication.canceled",
    "trusonafication.reported",
    "device.registered",
    "device.keys_changed",
    "device.replaced",
    "device.retired",
    "binding.activated",
    "identity_document.registered",
    "user.frozen",
];

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Create an endpoint. Its secret is shown once
    #[command(after_help = "Example:
  nodkey admin endpoints create https://shop.example.com/nodkey --event trusonafication.accepted --event device.keys_changed")]
    Create {
        /// URL that events are posted to
        url: String,
        /// An event type to send; may be repeated. Default: all
        #[arg(long = "event", value_name = "EVENT", value_parser = PossibleValuesParser::new(EVENTS))]
        events: Vec<String>,
    },
    /// Receive, verify and print webhooks on this machine until Ctrl-C, for a server that also runs here
    #[command(after_help = "Examples:
  nodkey admin endpoints listen
  nodkey admin endpoints listen --event trusonafication.accepted --json | jq .data.user_identifier")]
    Listen {
        /// Address to listen on; by default a free port
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", hide_default_value = true)]
        address: SocketAddr,
        /// An event type to receive; may be repeated. Default: all
        #[arg(long = "event", value_name = "EVENT", value_parser = PossibleValuesParser::new(EVENTS))]
        events: Vec<String>,
    },
    /// List endpoints, newest first
    #[command(after_help = "Example:
  nodkey admin endpoints list")]
    List(PageArgs),
    /// Show an endpoint: whether it is enabled, and if not, why
    #[command(after_help = "Example:
  nodkey admin endpoints show 01890a5d-ac96-774b-bcce-b302099a8057")]
    Show {
        /// Endpoint id
        id: String,
    },
    /// Change the URL or the event types of an endpoint; settings that are not named stay as they are
    #[command(after_help = "Example:
  nodkey admin endpoints update 01890a5d-ac96-774b-bcce-b302099a8057 --url https://new.example.com/nodkey")]
    Update {
        /// Endpoint id
        id: String,
        /// URL that events are posted to
        #[arg(long)]
        url: Option<String>,
        /// An event type to send; may be repeated
        #[arg(long = "event", value_name = "EVENT", value_parser = PossibleValuesParser::new(EVENTS))]
        events: Vec<String>,
        /// Send all event types
        #[arg(long, conflicts_with = "events")]
        all_events: bool,
    },
    /// Enable an endpoint
    #[command(after_help = "Example:
  nodkey admin endpoints enable 01890a5d-ac96-774b-bcce-b302099a8057
  nodkey admin deliveries redeliver --endpoint 01890a5d-ac96-774b-bcce-b302099a8057 --since 2026-11-01T00:00:00Z")]
    Enable {
        /// Endpoint id
        id: String,
    },
    /// Disable an endpoint. Events that happen meanwhile are kept, and can be sent later
    #[command(after_help = "Example:
  nodkey admin endpoints disable 01890a5d-ac96-774b-bcce-b302099a8057")]
    Disable {
        /// Endpoint id
        id: String,
    },
    /// Rotate the keys of an endpoint. Its new secret is shown once; the old keys also sign for a while
    #[command(after_help = "Example:
  nodkey admin endpoints rotate 01890a5d-ac96-774b-bcce-b302099a8057 --overlap-seconds 3600")]
    Rotate {
        /// Endpoint id
        id: String,
        /// How long the old keys also sign: 0 if they have leaked
        #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(i32).range(0..=604_800))]
        overlap_seconds: i32,
    },
    /// Delete an endpoint; its pending deliveries are dropped
    #[command(after_help = "Example:
  nodkey admin endpoints delete 01890a5d-ac96-774b-bcce-b302099a8057")]
    Delete {
        /// Endpoint id
        id: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = EndpointServiceClient::new(admin.channel(ServiceName::Notification));
    let change = match verb {
        Verb::List(page) => {
            let columns = ["id", "url", "event_types", "enabled", "disabled_reason", "failing_since"];
            return list(admin, page, &columns, async |page_size, page_token| {
                let message = ListEndpointsRequest { page_size, page_token };
                let answer = client.list_endpoints(request(message)).await?.into_inner();
                Ok((answer.endpoints.iter().map(to_record).collect(), answer.next_page_token))
            })
            .await;
        }
        Verb::Create { url, events } => {
            let message = CreateEndpointRequest { request_id: request_id(), url, event_types: events };
            return show_secret(admin, answer(client.create_endpoint(request(message))).await?);
        }
        Verb::Listen { address, events } => return listen::run(admin, address, events).await,
        Verb::Show { id } => {
            let found = answer(client.get_endpoint(request(GetEndpointRequest { id }))).await?;
            return admin.show(&to_record(&found));
        }
        Verb::Rotate { id, overlap_seconds } => {
            let message = RotateEndpointKeysRequest { request_id: request_id(), id, overlap_seconds: Some(overlap_seconds) };
            return show_secret(admin, answer(client.rotate_endpoint_keys(request(message))).await?);
        }
        Verb::Delete { id, sure } => {
            sure.ask(&format!("Delete webhook endpoint {}, and drop its pending deliveries", plain(&id)))?;
            answer(client.delete_endpoint(request(DeleteEndpointRequest { id: id.clone() }))).await?;
            return admin.show(&record([("id", json!(id)), ("deleted", json!(true))]));
        }
        Verb::Update { id, url, events, all_events } => {
            let event_types = (all_events || !events.is_empty()).then_some(EventTypes { event_types: events });
            UpdateEndpointRequest { id, url, event_types, enabled: None }
        }
        Verb::Enable { id } => UpdateEndpointRequest { id, enabled: Some(true), ..UpdateEndpointRequest::default() },
        Verb::Disable { id } => UpdateEndpointRequest { id, enabled: Some(false), ..UpdateEndpointRequest::default() },
    };
    admin.show(&to_record(&answer(client.update_endpoint(request(change))).await?))
}

fn show_secret(admin: &Admin, created: CreateEndpointResponse) -> anyhow::Result<()> {
    let mut record = to_record(&created.endpoint.unwrap_or_default());
    record.insert("secret", json!(created.secret));
    admin.show(&record)?;
    anstream::eprintln!("save the secret now: it is not shown again");
    Ok(())
}

fn to_record(endpoint: &Endpoint) -> Record {
    record([
        ("id", json!(endpoint.id)),
        ("url", json!(endpoint.url)),
        ("event_types", json!(endpoint.event_types)),
        ("enabled", json!(endpoint.enabled)),
        ("disabled_reason", word(endpoint.disabled_reason().as_str_name(), "DISABLED_REASON_")),
        ("disabled_at", time(endpoint.disabled_at.as_ref())),
        ("failing_since", time(endpoint.failing_since.as_ref())),
        ("created_at", time(endpoint.created_at.as_ref())),
        ("previous_keys_until", time(endpoint.previous_keys_until.as_ref())),
        ("public_key", json!(endpoint.public_key)),
    ])
}
