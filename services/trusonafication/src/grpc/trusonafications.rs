//! The gRPC service of trusonafications.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use nodkey_kernel::{
    challenge::RequestContext,
    error::Kind,
    id::{DeviceId, RelyingPartyId, TrusonaficationId},
    service_key::ServiceName,
    time::Timestamp,
};
use nodkey_proto::{
    convert::{from_struct, from_timestamp, timestamp},
    trusonafication::v1::{
        self as pb, CancelTrusonaficationRequest, CountTrusonaficationsRequest, CountTrusonaficationsResponse,
        CreateTrusonaficationRequest, CreateTrusonaficationResponse, Evidence, GetEvidenceRequest, GetTrusonaficationRequest,
        ListChangesRequest, ListChangesResponse, ListPendingRequest, ListPendingResponse, ListTrusonaficationsRequest,
        ListTrusonaficationsResponse, PendingTrusonafication, RespondRequest, RespondResponse, SignResultRequest, SignResultResponse,
        TrusonaficationChange, WatchResultsRequest, WatchResultsResponse, WatchTrusonaficationRequest, WatchTrusonaficationsRequest,
        create_trusonafication_request::Target as AskedTarget, trusonafication_service_server::TrusonaficationService,
    },
};
use nodkey_runtime::{
    Caller, Failure, Validation, caller,
    idempotent::Request as Repeatable,
    page::Page,
    results,
    status::{new as refusal, status},
    uninterrupted,
};
use prost::Message as _;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::Api;
use crate::{
    app::{Changes, Listing, Matching, Steps, Watch},
    convert::{accepted_level, count, message, status as status_of},
    domain::{MAX_CUSTOM_FIELDS, MatchMode, Status as Wanted, Target, Unchecked},
    error::Error,
};

/// Maximum wait of one call, in seconds.
const MAX_WAIT: i32 = 60;
/// Maximum length of a name in a filter, in bytes: 255 characters.
const MAX_NAME: usize = 4 * 255;
/// Maximum size of a page of a list, in bytes, unless its only row is larger: gRPC clients accept 4 MiB.
const MAX_PAGE: usize = 2 << 20;

#[tonic::async_trait]
impl TrusonaficationService for Api {
    async fn create_trusonafication(
        &self,
        request: Request<CreateTrusonaficationRequest>,
    ) -> Result<Response<CreateTrusonaficationResponse>, Status> {
        let caller = caller(&request)?;
        let party = caller.relying_party()?;
        let repeatable = Repeatable::read(party, "CreateTrusonafication", &request, |asked| &asked.request_id).map_err(status)?;
        let asked = request.into_inner();
        // Only services create trusonafications of the console. The gateway targets codes and never a user; the registry targets the
        // operator who is to confirm something and never a code. So neither can pass for the other.
        if party == RelyingPartyId::CONSOLE {
            let by_code = matches!(asked.target, Some(AskedTarget::TrucodeId(_)));
            let is_registry = matches!(caller, Caller::Service { name: ServiceName::Registry, .. });
            if by_code == is_registry {
                let text = "for the console, only the gateway may target a code and only the registry may target an operator";
                return Err(refusal(Kind::Forbidden, "NOT_ALLOWED", text, &[]));
            }
        }
        let mode = match asked.number_match() {
            pb::NumberMatch::Unspecified => None,
            pb::NumberMatch::Choose => Some(MatchMode::Choose),
            pb::NumberMatch::Enter => Some(MatchMode::Enter),
        };
        let matching = Matching { mode, shown: asked.shows_number };
        let fields = fields(asked).map_err(status)?;
        let app = self.0.clone();
        let created = uninterrupted(async move { app.create(party, repeatable, fields, matching).await }).await;
        created.map(Response::new).map_err(status)
    }

    async fn get_trusonafication(&self, request: Request<GetTrusonaficationRequest>) -> Result<Response<pb::Trusonafication>, Status> {
        let party = caller(&request)?.relying_party()?;
        let asked = request.into_inner();
        let mut validation = Validation::default();
        validation.require((0..=MAX_WAIT).contains(&asked.wait_seconds), "wait_seconds", "must be 0 to 60");
        validation.finish().map_err(status)?;
        let patience = Duration::from_secs(u64::try_from(asked.wait_seconds).unwrap_or_default());
        let found = self.0.get_within(party, id(&asked.id)?, patience).await.map_err(status)?;
        Ok(Response::new(message(&found)))
    }

    type WatchTrusonaficationStream = stream::BoxStream<'static, Result<pb::Trusonafication, Status>>;

    async fn watch_trusonafication(
        &self,
        request: Request<WatchTrusonaficationRequest>,
    ) -> Result<Response<Self::WatchTrusonaficationStream>, Status> {
        let party = caller(&request)?.relying_party()?;
        let watch = self.0.watch(party, id(&request.get_ref().id)?);
        // An unknown id is reported immediately, not in the stream.
        let first = watch.now().await.map_err(status)?;
        let now = message(&first);
        let rest = if first.is_terminal() { None } else { Some((watch, first)) };
        let last = stream::iter(rest)
            .then(|(mut watch, first): (Watch, _)| async move { watch.end(first).await.map(|t| message(&t)).map_err(status) });
        Ok(Response::new(stream::once(async { Ok(now) }).chain(last).boxed()))
    }

    type WatchResultsStream = stream::BoxStream<'static, Result<WatchResultsResponse, Status>>;

    async fn watch_results(&self, request: Request<Streaming<WatchResultsRequest>>) -> Result<Response<Self::WatchResultsStream>, Status> {
        let (party, app) = (caller(&request)?.relying_party()?, self.0.clone());
        let ended = move |text: String| {
            let app = app.clone();
            async move {
                let mut watch = app.watch(party, id(&text)?);
                let found = watch.now().await.map_err(status)?;
                watch.end(found).await.map(|end| message(&end)).map_err(status)
            }
        };
        Ok(Response::new(results::watch(request.into_inner(), ended, self.0.random(), self.0.stopping()).boxed()))
    }

    type WatchTrusonaficationsStream = stream::BoxStream<'static, Result<pb::Trusonafication, Status>>;

    async fn watch_trusonafications(
        &self,
        request: Request<WatchTrusonaficationsRequest>,
    ) -> Result<Response<Self::WatchTrusonaficationsStream>, Status> {
        let party = caller(&request)?.relying_party()?;
        let WatchTrusonaficationsRequest { user_identifier, device_identifier } = request.into_inner();
        let mut validation = Validation::default();
        check_names(&mut validation, &user_identifier, &device_identifier);
        validation.finish().map_err(status)?;
        let subscriber = self.0.subscribe(party, user_identifier, device_identifier).await.map_err(status)?;
        // A failure ends the stream; the subscriber has to call again.
        let updates = stream::unfold(Some(subscriber), |subscriber| async move {
            let mut subscriber = subscriber?;
            match subscriber.next().await {
                Ok(update) => Some((update.iter().map(|t| Ok(message(t))).collect(), Some(subscriber))),
                Err(e) => Some((vec![Err(status(e))], None)),
            }
        });
        Ok(Response::new(updates.flat_map(stream::iter).boxed()))
    }

    async fn list_trusonafications(
        &self,
        request: Request<ListTrusonaficationsRequest>,
    ) -> Result<Response<ListTrusonaficationsResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let asked = request.into_inner();
        let page = Page::parse(asked.page_size, &asked.page_token).map_err(status)?;
        let listing = listing(&asked, &page).map_err(status)?;
        let found = self.0.list(party, &listing).await.map_err(status)?;
        let (trusonafications, next_page_token) =
            found.map(|t| message(&t)).within(MAX_PAGE, pb::Trusonafication::encoded_len).into_parts();
        Ok(Response::new(ListTrusonaficationsResponse { trusonafications, next_page_token }))
    }

    async fn count_trusonafications(
        &self,
        request: Request<CountTrusonaficationsRequest>,
    ) -> Result<Response<CountTrusonaficationsResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let steps = steps(request.get_ref(), self.0.now()).map_err(status)?;
        let (counts, truncated) = self.0.count(party, &steps).await.map_err(status)?;
        Ok(Response::new(CountTrusonaficationsResponse { counts: counts.iter().map(count).collect(), truncated }))
    }

    async fn cancel_trusonafication(
        &self,
        request: Request<CancelTrusonaficationRequest>,
    ) -> Result<Response<pb::Trusonafication>, Status> {
        let party = caller(&request)?.relying_party()?;
        let id = id(&request.get_ref().id)?;
        let app = self.0.clone();
        let canceled = uninterrupted(async move { app.cancel(party, id).await }).await.map_err(status)?;
        Ok(Response::new(message(&canceled)))
    }

    async fn get_evidence(&self, request: Request<GetEvidenceRequest>) -> Result<Response<Evidence>, Status> {
        let party = caller(&request)?.relying_party()?;
        let proof = self.0.evidence(party, id(&request.get_ref().id)?).await.map_err(status)?;
        Ok(Response::new(Evidence {
            challenge: proof.challenge,
            response: proof.response,
            keys: proof.keys.iter().map(ToString::to_string).collect(),
            receipt: proof.receipt.unwrap_or_default(),
            key_statement: proof.stated.statement.unwrap_or_default(),
            key_signatures: proof.stated.signatures,
        }))
    }

    async fn sign_result(&self, request: Request<SignResultRequest>) -> Result<Response<SignResultResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let SignResultRequest { id: named, delivery_id } = request.into_inner();
        let delivery = delivery_id.parse().map_err(|_| status(Failure::field("delivery_id", "must be a UUID")))?;
        let jwt = self.0.sign_result(party, id(&named)?, delivery).await.map_err(status)?;
        Ok(Response::new(SignResultResponse { jwt }))
    }

    async fn list_pending(&self, request: Request<ListPendingRequest>) -> Result<Response<ListPendingResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let pending =
            self.0.pending(party, &device(&request.get_ref().device_id)?, request.get_ref().recent_binding).await.map_err(status)?;
        let trusonafications = pending
            .into_iter()
            .map(|p| PendingTrusonafication {
                id: p.id.to_string(),
                challenge: p.challenge,
                expires_at: Some(timestamp(p.expires_at)),
                self_started: p.self_started,
            })
            .collect();
        Ok(Response::new(ListPendingResponse { trusonafications }))
    }

    async fn list_changes(&self, request: Request<ListChangesRequest>) -> Result<Response<ListChangesResponse>, Status> {
        let after = Page::parse(0, &request.get_ref().cursor)
            .map_err(|_| status(Failure::field("cursor", "must be a cursor from an earlier response")))?;
        let Changes { changed, cursor, more, settled } = self.0.changes(after.after).await.map_err(status)?;
        let changes = changed.into_iter().map(|changed| TrusonaficationChange {
            id: changed.id.to_string(),
            ended: changed.ended,
            device_identifiers: if changed.ended { Vec::new() } else { changed.devices.iter().map(ToString::to_string).collect() },
        });
        Ok(Response::new(ListChangesResponse {
            changes: changes.collect(),
            cursor: cursor.to_string(),
            more,
            paired_trucode_ids: settled.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn respond(&self, request: Request<RespondRequest>) -> Result<Response<RespondResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let asked = request.into_inner();
        let device = device(&asked.device_id)?;
        let app = self.0.clone();
        let answered = uninterrupted(async move { app.respond(party, &device, &asked.response).await }).await.map_err(status)?;
        Ok(Response::new(RespondResponse {
            id: answered.id.to_string(),
            status: status_of(&answered.state).into(),
            accepted_level: accepted_level(&answered.state),
            held_until: answered.held_until().map(timestamp),
        }))
    }
}

/// Text that is not a UUID names nothing.
fn id(text: &str) -> Result<TrusonaficationId, Status> {
    text.parse().map_err(|_| status(Failure::NotFound("trusonafication")))
}

fn device(text: &str) -> Result<DeviceId, Status> {
    DeviceId::parse(text).map_err(|_| status(Error::DeviceNotBound))
}

fn fields(asked: CreateTrusonaficationRequest) -> Result<Unchecked, Error> {
    let custom_fields = custom_fields(&asked)?;
    let mut validation = Validation::default();
    let target = match asked.target {
        None => None,
        Some(AskedTarget::UserIdentifier(user)) => Some(Target::User(user)),
        // Text that is not a device identifier names no device.
        Some(AskedTarget::DeviceIdentifier(device)) => {
            Some(Target::Device(DeviceId::parse(&device).map_err(|_| Error::DeviceHasNoActiveBinding)?))
        }
        Some(AskedTarget::TrucodeId(code)) => {
            validation.read("trucode_id", code.parse().map_err(|_| "must be a UUID")).map(Target::TruCode)
        }
    };
    let expires_at = asked.expires_at.as_ref().map(|at| from_timestamp(at).ok_or("must be a time"));
    let expires_at = expires_at.and_then(|at| validation.read("expires_at", at));
    validation.require(
        pb::NumberMatch::try_from(asked.number_match).is_ok(),
        "number_match",
        "must be NUMBER_MATCH_CHOOSE or NUMBER_MATCH_ENTER",
    );
    validation.finish()?;
    Ok(Unchecked {
        target,
        desired_level: asked.desired_level,
        action: asked.action,
        resource: asked.resource,
        prompt: asked.prompt,
        user_presence: asked.user_presence,
        show_identity_document: asked.show_identity_document,
        custom_fields,
        callback_url: asked.callback_url,
        context: asked.context,
        request_context: asked
            .request_context
            .map(|pb::RequestContext { address, browser, place }| RequestContext { address, browser, place })
            .unwrap_or_default(),
        expires_at,
    })
}

/// Returns the custom fields as JSON text, in whichever form they were given.
fn custom_fields(asked: &CreateTrusonaficationRequest) -> Result<String, Error> {
    let json = match &asked.custom_fields {
        Some(_) if !asked.custom_fields_json.is_empty() => {
            return Err(Failure::field("custom_fields_json", "must not be set together with custom_fields").into());
        }
        Some(fields) => {
            let fields = from_struct(fields).ok_or_else(|| Failure::field("custom_fields", "must contain only finite numbers"))?;
            serde_json::to_string(&fields).map_err(|_| Failure::Internal("JSON serializes"))?
        }
        None => asked.custom_fields_json.clone(),
    };
    if json.len() > MAX_CUSTOM_FIELDS { Err(Error::CustomFieldsTooLarge) } else { Ok(json) }
}

fn listing<'a>(asked: &'a ListTrusonaficationsRequest, page: &Page) -> Result<Listing<'a>, Failure> {
    let mut validation = Validation::default();
    let status = validation.read("status", pb::Status::try_from(asked.status).map_err(|_| "is not a known status"));
    let mut moment = |field: &str, at: Option<&prost_types::Timestamp>| {
        at.and_then(|at| validation.read(field, from_timestamp(at).ok_or("must be a time")))
    };
    let from = moment("created_after", asked.created_after.as_ref());
    let before = moment("created_before", asked.created_before.as_ref());
    let id = match &page.after {
        None => Some(Uuid::max()),
        Some(cursor) => validation.read("page_token", cursor.id.parse().map_err(|_| "must be a page token from an earlier response")),
    };
    check_names(&mut validation, &asked.user_identifier, &asked.device_identifier);
    validation.finish()?;
    let status = match status.unwrap_or_default() {
        pb::Status::Unspecified => None,
        pb::Status::InProgress => Some(Wanted::InProgress),
        pb::Status::Accepted => Some(Wanted::Accepted),
        pb::Status::AcceptedAtHigherLevel => Some(Wanted::AcceptedAtHigherLevel),
        pb::Status::AcceptedAtLowerLevel => Some(Wanted::AcceptedAtLowerLevel),
        pb::Status::Rejected => Some(Wanted::Rejected),
        pb::Status::Expired => Some(Wanted::Expired),
        pb::Status::Canceled => Some(Wanted::Canceled),
    };
    let (user, device, size, oldest_first) =
        (named(&asked.user_identifier), named(&asked.device_identifier), page.size, asked.oldest_first);
    let any = Listing { status, user, device, oldest_first, ..Listing::newest(size) };
    let cursor = id.unwrap_or_default();
    // One bound of the filter is where the list begins, unless the page begins later.
    if oldest_first {
        let (at, id) = match from {
            Some(from) if from > page.since() => (from, Uuid::nil()),
            _ => (page.since(), if page.after.is_some() { cursor } else { Uuid::nil() }),
        };
        return Ok(Listing { until: before, at, id, ..any });
    }
    // The upper bound of the filter excludes its own time; the page position is made unique by the id.
    let (at, id) = match before {
        Some(before) if before < page.before() => (before, Uuid::nil()),
        _ => (page.before(), cursor),
    };
    Ok(Listing { from, at, id, ..any })
}

/// How many steps are counted at most, and how short and long one is.
const MAX_STEPS: u128 = 100;
const STEP_SECONDS: std::ops::RangeInclusive<i32> = 3_600..=2_678_400;
const DEFAULT_STEP: i32 = 86_400;

/// Reads of which time is counted.
fn steps(asked: &CountTrusonaficationsRequest, now: Timestamp) -> Result<Steps, Failure> {
    let mut validation = Validation::default();
    let read = |at: &Option<prost_types::Timestamp>| at.as_ref().map(|at| from_timestamp(at).ok_or("must be a time"));
    let from = validation.read("created_after", read(&asked.created_after).unwrap_or(Err("must be there")));
    let until = validation.read("created_before", read(&asked.created_before).unwrap_or(Ok(now)));
    let step = if asked.step_seconds == 0 { DEFAULT_STEP } else { asked.step_seconds };
    validation.require(STEP_SECONDS.contains(&step), "step_seconds", "must be 3600 to 2678400, or 0 for a day");
    let step = Duration::from_secs(u64::from(step.unsigned_abs()).max(1));
    if let (Some(from), Some(until)) = (from, until) {
        validation.require(from < until, "created_after", "must be before created_before, which is now where it is not set");
        let steps = from.until(until).as_millis().div_ceil(step.as_millis());
        validation.require(steps <= MAX_STEPS, "created_after", "must be at most 100 steps before created_before");
    }
    validation.finish()?;
    Ok(Steps { from: from.unwrap_or(now), until: until.unwrap_or(now), step })
}

/// Treats an empty name as absent.
fn named(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}

/// Refuses filters with names that cannot exist: not every database accepts any text.
fn check_names(validation: &mut Validation, user: &str, device: &str) {
    let visible = |name: &str| name.len() <= MAX_NAME && !name.chars().any(char::is_control);
    validation.require(visible(user), "user_identifier", "must be at most 255 characters, none of them a control character");
    validation.require(visible(device), "device_identifier", "must be a device identifier");
}
