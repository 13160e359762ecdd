//! `nodkey admin replay`: publishes events again from the databases.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use nodkey_client::ServiceName;
use nodkey_kernel::time::Timestamp;
use nodkey_proto::{
    convert::timestamp,
    trusonafication::v1::{ReplayEndsRequest, replay_service_client::ReplayServiceClient},
};
use serde_json::json;
use tonic::Request;

use super::{Admin, answer};
use crate::output::record;

/// The deadline of a call, which publishes some of the events.
const PATIENCE: Duration = Duration::from_mins(1);

/// Publish events again that consumers may have missed, such as after NATS lost its storage
///
/// How trusonafications ended, of all relying parties: what webhooks and callbacks are sent. Consumers that have handled an event do nothing,
/// and no receiver gets a webhook twice. May be repeated. What devices, bindings and users became is not published again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey admin replay --since 2026-11-01T08:00:00Z
  nodkey admin replay --service trusonafication --since 2026-11-01T08:00:00Z --until 2026-11-01T09:30:00Z")]
pub struct Args {
    /// The service that publishes them
    #[arg(long, default_value = "trusonafication", value_parser = PossibleValuesParser::new(["trusonafication"]))]
    service: String,
    /// What happened at this time or later (RFC 3339), at most 7 days ago
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    since: Timestamp,
    /// What happened before this time; default: now
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    until: Option<Timestamp>,
}

/// Runs the command.
pub async fn run(admin: &Admin, args: Args) -> anyhow::Result<()> {
    let Args { service, since, until } = args;
    let mut client = ReplayServiceClient::new(admin.channel(ServiceName::Trusonafication));
    let (mut count, mut cursor, mut calls) = (0_u64, String::new(), 0_u32);
    loop {
        let message = ReplayEndsRequest { since: Some(timestamp(since)), until: until.map(timestamp), cursor };
        let mut request = Request::new(message);
        request.set_timeout(PATIENCE);
        let page = answer(client.replay_ends(request)).await?;
        count += u64::try_from(page.count).unwrap_or_default();
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
        calls += 1;
        if calls.is_multiple_of(10) {
            anstream::eprintln!("{count} events so far");
        }
    }
    admin.show(&record([("service", json!(service)), ("published", json!(count))]))
}
