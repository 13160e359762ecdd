//! `nodkey listen`: forwards the webhooks of a running deployment to a handler on this machine.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use anyhow::Context as _;
use nodkey_client::{Error, Nodkey, ServiceName};
use nodkey_kernel::{
    error::Kind,
    time::{Clock, Timestamp},
};
use nodkey_proto::{
    convert::{from_timestamp, timestamp},
    notification::v1::{
        Delivery, Endpoint, ListEndpointsRequest, WatchDeliveriesRequest, WatchDeliveriesResponse,
        delivery_service_client::DeliveryServiceClient, endpoint_service_client::EndpointServiceClient,
    },
};
use prost_types::Timestamp as Time;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use tonic::{Request, Streaming};

use crate::{
    failure::Refused,
    handler::{Answer, Handler},
    output::{line, plain},
    reconnect,
    who::Who,
};

/// The deadline of a call that lists.
const DEADLINE: Duration = Duration::from_secs(10);
/// The longest message: custom fields have a megabyte, and a receipt is beside them.
const MAX_MESSAGE: usize = 8 << 20;
/// How much later than its time a delivery may be seen, and the furthest that a stream may begin in the past.
const OVERLAP: Duration = Duration::from_secs(30);
const MAX_PAST: Duration = Duration::from_mins(59);
/// How many ids are remembered, to forward none twice after a lost connection.
const REMEMBERED: usize = 10_000;

/// Forward the webhooks of a running deployment to your machine, with their signatures
///
/// Each delivery to an endpoint of the relying party, from now on, is posted to the URL as well: with the same id and body, and signed by the
/// keys of the endpoint, so your handler verifies it with the endpoint's secret. The endpoint gets its own request as ever: what your handler
/// answers changes nothing at the server. It need not be reachable, nor enabled. Deliveries are forwarded once, one at a time; those that are
/// sent again by `nodkey admin deliveries redeliver`, and callbacks, are not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey listen --forward-to http://127.0.0.1:9000/webhooks                    the backend of `nodkey dev`
  nodkey listen --forward-to http://127.0.0.1:9000/webhooks --endpoint UUID    one endpoint, if your handler has only its secret
  NODKEY_SERVER_TOKEN=... NODKEY_SERVER_SECRET=... nodkey listen --http https://auth.example.com --forward-to http://127.0.0.1:9000/
  nodkey listen --operator --relying-party UUID --forward-to http://127.0.0.1:9000/

With --json, each webhook is one line of JSON. Ctrl-C ends it. To see webhooks without a handler: `nodkey admin endpoints listen`.
To send one that nobody caused: `nodkey trigger`.")]
pub struct Args {
    /// URL of your handler
    #[arg(long, value_name = "URL")]
    forward_to: String,
    /// Only deliveries to this endpoint
    #[arg(long, value_name = "UUID")]
    endpoint: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let handler = Handler::new(&args.forward_to, "--forward-to", None)?;
    let nodkey = args.who.connect()?;
    let endpoints = endpoints(&nodkey).await?;
    if endpoints.is_empty() {
        let text = "the relying party has no webhook endpoint, so nothing is sent. Create one: `nodkey admin endpoints create URL`. \
                    The URL need not be reachable while you use `nodkey listen`";
        return Err(Refused(text.to_owned()).into());
    }
    let mut forwarding = Forwarding { handler, json: args.json, done: Done::default() };
    forwarding.run(&nodkey, args.endpoint.unwrap_or_default(), endpoints.len()).await
}

async fn endpoints(nodkey: &Nodkey) -> Result<Vec<Endpoint>, Error> {
    let mut request = Request::new(ListEndpointsRequest::default());
    request.set_timeout(DEADLINE);
    let listed = EndpointServiceClient::new(nodkey.channel(ServiceName::Notification)).list_endpoints(request).await?;
    Ok(listed.into_inner().endpoints)
}

/// What was forwarded already, and where to go on after a lost connection.
#[derive(Default)]
struct Done {
    ids: HashSet<String>,
    order: VecDeque<String>,
    /// When forwarding began; `None` until it did.
    begun: Option<Timestamp>,
    /// When the latest was created.
    latest: Option<Timestamp>,
}

impl Done {
    /// Where a stream continues that is opened now; `None`: it is the first.
    fn since(&self, now: Timestamp) -> Option<Timestamp> {
        let begun = self.begun?;
        // Deliveries may be committed somewhat later than they say.
        let after_latest = self.latest.map_or(begun, |latest| latest - OVERLAP);
        Some(after_latest.max(begun).max(now - MAX_PAST))
    }

    /// Notes a delivery; false if it was there before.
    fn note(&mut self, delivery: &Delivery) -> bool {
        self.latest = self.latest.max(delivery.created_at.as_ref().and_then(from_timestamp));
        if !self.ids.insert(delivery.id.clone()) {
            return false;
        }
        self.order.push_back(delivery.id.clone());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

struct Forwarding {
    handler: Handler,
    json: bool,
    done: Done,
}

impl Forwarding {
    /// Forwards until Ctrl-C. A stream that breaks off is opened again; a first one that cannot be opened is an error.
    async fn run(&mut self, nodkey: &Nodkey, endpoint: String, endpoints: usize) -> anyhow::Result<()> {
        let mut failures = 0_u32;
        loop {
            let error = match self.open(nodkey, &endpoint).await {
                Ok(deliveries) => {
                    let of = if endpoint.is_empty() { format!("{endpoints} endpoint(s)") } else { "the endpoint".to_owned() };
                    anstream::eprintln!("forwarding the webhooks of {of} to {}; Ctrl-C ends it", self.handler.url());
                    // From here on, nothing is missed: a stream that is opened later continues.
                    self.done.begun = self.done.begun.or_else(|| Some(Clock::system().now()));
                    failures = 0;
                    self.follow(deliveries).await?
                }
                Err(error) => error,
            };
            let passes = matches!(error.kind, Kind::Unavailable | Kind::Exhausted | Kind::Internal);
            if self.done.begun.is_none() || !passes {
                return Err(error.into());
            }
            failures = failures.saturating_add(1);
            anstream::eprintln!("{error}; trying again");
            reconnect::pause(failures).await;
        }
    }

    async fn open(&self, nodkey: &Nodkey, endpoint: &str) -> Result<Streaming<WatchDeliveriesResponse>, Error> {
        let created_after = self.done.since(Clock::system().now()).map(timestamp);
        let request = WatchDeliveriesRequest { endpoint_id: endpoint.to_owned(), created_after };
        let client = DeliveryServiceClient::new(nodkey.channel(ServiceName::Notification));
        Ok(client.max_decoding_message_size(MAX_MESSAGE).watch_deliveries(request).await?.into_inner())
    }

    /// Forwards what a stream has. Returns why it ended.
    async fn follow(&mut self, mut deliveries: Streaming<WatchDeliveriesResponse>) -> anyhow::Result<Error> {
        loop {
            match deliveries.message().await {
                Ok(Some(mirrored)) => self.forward(mirrored).await?,
                Ok(None) => return Ok(tonic::Status::unavailable("the stream has ended").into()),
                Err(status) => return Ok(status.into()),
            }
        }
    }

    async fn forward(&mut self, mirrored: WatchDeliveriesResponse) -> anyhow::Result<()> {
        let WatchDeliveriesResponse { delivery, headers, body } = mirrored;
        let delivery = delivery.unwrap_or_default();
        if !self.done.note(&delivery) {
            return Ok(());
        }
        let mut fields = HeaderMap::new();
        for field in headers {
            let name = HeaderName::try_from(&field.name).context("the server sent a header that is none")?;
            fields.insert(name, HeaderValue::try_from(&field.value).context("the server sent a header that is none")?);
        }
        let answer = self.handler.post(fields, body).await;
        self.print(&delivery, answer)
    }

    fn print(&self, delivery: &Delivery, answer: anyhow::Result<Answer>) -> anyhow::Result<()> {
        let (answer, error) = match answer {
            Ok(answer) => (Some(answer), None),
            // The next one may be taken.
            Err(error) => (None, Some(crate::failure::words(&error))),
        };
        let took = answer.as_ref().map(|answer| answer.took.as_millis());
        let status = answer.as_ref().map(|answer| answer.status.as_u16());
        if self.json {
            return line(json!({
                "id": delivery.id, "type": delivery.event_type, "subject": delivery.subject, "endpoint_id": delivery.endpoint_id,
                "time": delivery.created_at.as_ref().and_then(rfc3339), "status": status, "duration_ms": took, "error": error,
                "response": answer.map(|answer| answer.text),
            }));
        }
        let time = delivery.created_at.as_ref().and_then(rfc3339).unwrap_or_default();
        let head = format!("{time} {} {}", delivery.event_type, delivery.id);
        match (answer, error) {
            (Some(Answer { status, took, text }), _) => {
                line(plain(&format!("{head} {status} {} ms", took.as_millis())))?;
                if status.is_success() || text.trim().is_empty() { Ok(()) } else { line(format_args!("    {}", plain(text.trim()))) }
            }
            (None, error) => line(plain(&format!("{head} {}", error.unwrap_or_default()))),
        }
    }
}

fn rfc3339(at: &Time) -> Option<String> {
    from_timestamp(at).map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(id: &str, seconds: i64) -> Delivery {
        Delivery { id: id.into(), created_at: Some(timestamp(Timestamp::from_seconds(seconds))), ..Delivery::default() }
    }

    #[test]
    fn a_stream_that_is_opened_again_continues_and_begins_neither_before_the_first_nor_too_long_ago() {
        let at = |seconds: i64| Timestamp::from_seconds(100_000 + seconds);
        let done = |begun, latest| Done { begun, latest, ..Done::default() };
        assert_eq!(done(None, None).since(at(0)), None);
        assert_eq!(done(Some(at(0)), None).since(at(60)), Some(at(0)));
        assert_eq!(done(Some(at(0)), Some(at(10))).since(at(60)), Some(at(0)));
        assert_eq!(done(Some(at(0)), Some(at(100))).since(at(160)), Some(at(70)));
        assert_eq!(done(Some(at(0)), Some(at(100))).since(at(9_000)), Some(at(9_000 - 59 * 60)));
    }

    #[test]
    fn what_comes_again_after_a_lost_connection_is_known() {
        let mut done = Done::default();
        assert!(done.note(&delivery("a", 5)) && done.note(&delivery("b", 3)));
        assert_eq!(done.latest, Some(Timestamp::from_seconds(5)), "the latest, in whatever order they come");
        assert!(!done.note(&delivery("a", 5)));
        for n in 0..REMEMBERED {
            assert!(done.note(&delivery(&n.to_string(), 9)));
        }
        assert_eq!((done.ids.len(), done.order.len()), (REMEMBERED, REMEMBERED), "of very many, the oldest are forgotten");
    }
}
