//! `nodkey admin replay`: publishes events again from the databases.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use nodkey_client::ServiceName;
use nodkey_kernel::time::Timestamp;
use nodkey_proto::{
    binding::v1::{self as binding, replay_service_client::ReplayServiceClient as Binding},
    convert::timestamp,
    registry::v1::{self as registry, replay_service_client::ReplayServiceClient as Registry},
    trusonafication::v1::{ReplayEndsRequest, replay_service_client::ReplayServiceClient as Trusonafication},
};
use serde_json::json;
use tonic::Request;

use super::{Admin, answer};
use crate::{confirm::AdminChannel, output::record};

/// The deadline of a call, which publishes some of the events.
const PATIENCE: Duration = Duration::from_mins(1);

/// Publish events again that consumers may have missed, such as after NATS lost its storage
///
/// Of all relying parties: how trusonafications ended, which devices were registered and retired, and which bindings were activated, ended or
/// replaced. Consumers that have handled an event do nothing, and no receiver gets a webhook twice. May be repeated. What cannot be rebuilt
/// from the databases is listed in docs/operations/dead-letters.md.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey admin replay --since 2026-11-01T08:00:00Z
  nodkey admin replay --service trusonafication --since 2026-11-01T08:00:00Z --until 2026-11-01T09:30:00Z")]
pub struct Args {
    /// Only the events of this service; default: of all that can
    #[arg(long, value_parser = PossibleValuesParser::new(SERVICES.map(|(name, _)| name)))]
    service: Option<String>,
    /// What happened at this time or later (RFC 3339), at most 7 days ago
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    since: Timestamp,
    /// What happened before this time; default: now
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    until: Option<Timestamp>,
}

/// The services, in the order in which they publish: a device is known before its binding, and this before what it answered.
const SERVICES: [(&str, ServiceName); 3] =
    [("registry", ServiceName::Registry), ("binding", ServiceName::Binding), ("trusonafication", ServiceName::Trusonafication)];

/// Runs the command.
pub async fn run(admin: &Admin, args: Args) -> anyhow::Result<()> {
    let mut published = Vec::new();
    for (name, service) in SERVICES.into_iter().filter(|(name, _)| args.service.as_deref().is_none_or(|only| only == *name)) {
        let (mut count, mut cursor, mut calls) = (0_u64, String::new(), 0_u32);
        loop {
            let (more, next) = page(admin.channel(service), service, &args, cursor).await?;
            count += u64::try_from(more).unwrap_or_default();
            cursor = next;
            if cursor.is_empty() {
                break;
            }
            calls += 1;
            if calls.is_multiple_of(10) {
                anstream::eprintln!("{count} events of {name} so far");
            }
        }
        published.push((name, count));
    }
    let total: u64 = published.iter().map(|(_, count)| count).sum();
    let services: Vec<_> = published.iter().map(|(service, _)| *service).collect();
    admin.show(&record([("service", json!(services.join(", "))), ("published", json!(total))]))
}

/// Returns how many events a call has published, and where to continue.
async fn page(channel: AdminChannel, service: ServiceName, args: &Args, cursor: String) -> anyhow::Result<(i32, String)> {
    let (since, until) = (Some(timestamp(args.since)), args.until.map(timestamp));
    Ok(match service {
        ServiceName::Registry => {
            let request = registry::ReplayEventsRequest { since, until, cursor };
            let page = answer(Registry::new(channel).replay_events(patient(request))).await?;
            (page.count, page.next_cursor)
        }
        ServiceName::Binding => {
            let request = binding::ReplayEventsRequest { since, until, cursor };
            let page = answer(Binding::new(channel).replay_events(patient(request))).await?;
            (page.count, page.next_cursor)
        }
        _ => {
            let request = ReplayEndsRequest { since, until, cursor };
            let page = answer(Trusonafication::new(channel).replay_ends(patient(request))).await?;
            (page.count, page.next_cursor)
        }
    })
}

fn patient<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}
