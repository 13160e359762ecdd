//! The gRPC services: messages to commands, results to messages.

use std::time::Duration;

use axum::Router;
use futures_util::{StreamExt as _, stream};
use nodkey_kernel::{
    id::{DeliveryId, DeviceId, EndpointId},
    time::Timestamp,
};
use nodkey_proto::{
    convert::from_timestamp,
    notification::v1::{
        self as pb, CreateEndpointRequest, CreateEndpointResponse, DeleteEndpointRequest, DeleteEndpointResponse,
        DeletePushConfigurationRequest, DeletePushConfigurationResponse, DeletePushRegistrationRequest, DeletePushRegistrationResponse,
        DeliveryState, GetDeliveryRequest, GetEndpointRequest, GetPushRegistrationRequest, GetWebPushKeyRequest, GetWebPushKeyResponse,
        ListDeliveriesRequest, ListDeliveriesResponse, ListEndpointsRequest, ListEndpointsResponse, ListPushConfigurationsRequest,
        ListPushConfigurationsResponse, PutPushConfigurationRequest, PutPushRegistrationRequest, PutPushRegistrationResponse,
        RedeliverManyRequest, RedeliverManyResponse, RedeliverRequest, RotateEndpointKeysRequest, TestEndpointRequest,
        UpdateEndpointRequest, WatchDeliveriesRequest, WatchDeliveriesResponse,
        delivery_service_server::{DeliveryService, DeliveryServiceServer},
        endpoint_service_server::{EndpointService, EndpointServiceServer},
        push_configuration_service_server::{PushConfigurationService, PushConfigurationServiceServer},
        push_registration_service_server::{PushRegistrationService, PushRegistrationServiceServer},
    },
};
use nodkey_runtime::{Failure, Validation, caller, idempotent::Request as Repeatable, mount, page::Page, status::status, uninterrupted};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    app::{App, Change, Listing, Range},
    convert,
    domain::{State, Subject},
};

/// Maximum size of the details of a push registration, in bytes.
const MAX_DETAILS: usize = 4 << 10;

/// Default and maximum time that old keys of an endpoint also sign, in seconds.
const DEFAULT_OVERLAP: i32 = 86_400;
const MAX_OVERLAP: u64 = 604_800;

/// Returns the gRPC services as routes.
pub fn routes(app: &App) -> Router {
    let router = mount(Router::new(), DeliveryServiceServer::new(Api(app.clone())));
    let router = mount(router, EndpointServiceServer::new(Api(app.clone())));
    let router = mount(router, PushConfigurationServiceServer::new(Api(app.clone())));
    mount(router, PushRegistrationServiceServer::new(Api(app.clone())))
}

struct Api(App);

#[tonic::async_trait]
impl DeliveryService for Api {
    async fn list_deliveries(&self, request: Request<ListDeliveriesRequest>) -> Result<Response<ListDeliveriesResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let asked = request.into_inner();
        let page = Page::parse(asked.page_size, &asked.page_token).map_err(status)?;
        let listing = listing(&asked, &page).map_err(status)?;
        let found = self.0.deliveries(party, &listing).await.map_err(status)?;
        let (deliveries, next_page_token) = found.map(|d| convert::delivery(&d, &[])).into_parts();
        // Deliveries to a deleted endpoint can still be listed.
        if let Some(endpoint) = listing.endpoint
            && deliveries.is_empty()
            && page.after.is_none()
        {
            self.0.endpoint(party, endpoint).await.map_err(status)?;
        }
        Ok(Response::new(ListDeliveriesResponse { deliveries, next_page_token }))
    }

    async fn get_delivery(&self, request: Request<GetDeliveryRequest>) -> Result<Response<pb::Delivery>, Status> {
        let party = caller(&request)?.relying_party()?;
        let id = delivery_id(&request.get_ref().id)?;
        let found = self.0.delivery(party, id).await.map_err(status)?;
        let (attempts, body) = tokio::try_join!(self.0.attempts(id), self.0.body(id)).map_err(status)?;
        Ok(Response::new(convert::whole_delivery(&found, &attempts, &body)))
    }

    async fn redeliver(&self, request: Request<RedeliverRequest>) -> Result<Response<pb::Delivery>, Status> {
        let party = caller(&request)?.relying_party()?;
        let id = delivery_id(&request.get_ref().id)?;
        let app = self.0.clone();
        let again = uninterrupted(async move { app.redeliver(party, id).await }).await.map_err(status)?;
        Ok(Response::new(convert::delivery(&again, &[])))
    }

    async fn redeliver_many(&self, request: Request<RedeliverManyRequest>) -> Result<Response<RedeliverManyResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let range = range(request.get_ref(), self.0.now()).map_err(status)?;
        let app = self.0.clone();
        let count = uninterrupted(async move { app.redeliver_many(party, range).await }).await.map_err(status)?;
        Ok(Response::new(RedeliverManyResponse { count }))
    }

    type WatchDeliveriesStream = stream::BoxStream<'static, Result<WatchDeliveriesResponse, Status>>;

    async fn watch_deliveries(&self, request: Request<WatchDeliveriesRequest>) -> Result<Response<Self::WatchDeliveriesStream>, Status> {
        let party = caller(&request)?.relying_party()?;
        let WatchDeliveriesRequest { endpoint_id: endpoint, created_after } = request.into_inner();
        let endpoint = if endpoint.is_empty() { None } else { Some(endpoint_id(&endpoint)?) };
        let time = |at| from_timestamp(at).ok_or_else(|| status(Failure::field("created_after", "must be a time")));
        let since = created_after.as_ref().map(time).transpose()?;
        let mirror = self.0.mirror(party, endpoint, since).await.map_err(status)?;
        // A failure ends the stream; the caller has to call again.
        let mirrored = stream::unfold(Some(mirror), |mirror| async move {
            let mut mirror = mirror?;
            match mirror.next().await {
                Ok(mirrored) => Some((Ok(convert::mirrored(mirrored)), Some(mirror))),
                Err(e) => Some((Err(status(e)), None)),
            }
        });
        Ok(Response::new(mirrored.boxed()))
    }
}

#[tonic::async_trait]
impl EndpointService for Api {
    async fn create_endpoint(&self, request: Request<CreateEndpointRequest>) -> Result<Response<CreateEndpointResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let repeatable = Repeatable::read(party, "CreateEndpoint", &request, |asked| &asked.request_id).map_err(status)?;
        let asked = request.into_inner();
        let app = self.0.clone();
        let created = uninterrupted(async move { app.create_endpoint(party, repeatable, asked.url, asked.event_types).await }).await;
        created.map(Response::new).map_err(status)
    }

    async fn list_endpoints(&self, request: Request<ListEndpointsRequest>) -> Result<Response<ListEndpointsResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let asked = request.into_inner();
        let page = Page::parse(asked.page_size, &asked.page_token).map_err(status)?;
        let after = after(&page).map_err(status)?;
        let found = self.0.endpoints(party, page.before(), after, page.size).await.map_err(status)?;
        let (endpoints, next_page_token) = found.into_parts();
        Ok(Response::new(ListEndpointsResponse { endpoints, next_page_token }))
    }

    async fn get_endpoint(&self, request: Request<GetEndpointRequest>) -> Result<Response<pb::Endpoint>, Status> {
        let party = caller(&request)?.relying_party()?;
        let found = self.0.endpoint(party, endpoint_id(&request.get_ref().id)?).await.map_err(status)?;
        self.0.message(&found).map(Response::new).map_err(status)
    }

    async fn update_endpoint(&self, request: Request<UpdateEndpointRequest>) -> Result<Response<pb::Endpoint>, Status> {
        let party = caller(&request)?.relying_party()?;
        let asked = request.into_inner();
        let id = endpoint_id(&asked.id)?;
        let change = Change { url: asked.url, event_types: asked.event_types.map(|t| t.event_types), enabled: asked.enabled };
        let app = self.0.clone();
        uninterrupted(async move { app.update_endpoint(party, id, change).await }).await.map(Response::new).map_err(status)
    }

    async fn rotate_endpoint_keys(&self, request: Request<RotateEndpointKeysRequest>) -> Result<Response<CreateEndpointResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let repeatable = Repeatable::read(party, "RotateEndpointKeys", &request, |asked| &asked.request_id).map_err(status)?;
        let asked = request.into_inner();
        let id = endpoint_id(&asked.id)?;
        let overlap = u64::try_from(asked.overlap_seconds.unwrap_or(DEFAULT_OVERLAP)).ok().filter(|seconds| *seconds <= MAX_OVERLAP);
        let overlap = overlap.ok_or_else(|| status(Failure::field("overlap_seconds", "must be 0 to 604800, a week")))?;
        let (app, overlap) = (self.0.clone(), Duration::from_secs(overlap));
        let rotated = uninterrupted(async move { app.rotate_endpoint_keys(party, repeatable, id, overlap).await }).await;
        rotated.map(Response::new).map_err(status)
    }

    async fn test_endpoint(&self, request: Request<TestEndpointRequest>) -> Result<Response<pb::Delivery>, Status> {
        let party = caller(&request)?.relying_party()?;
        let id = endpoint_id(&request.get_ref().id)?;
        let app = self.0.clone();
        let sent = uninterrupted(async move { app.test_endpoint(party, id).await }).await.map_err(status)?;
        Ok(Response::new(convert::delivery(&sent, &[])))
    }

    async fn delete_endpoint(&self, request: Request<DeleteEndpointRequest>) -> Result<Response<DeleteEndpointResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        // Text that is not a UUID names nothing, so there is nothing to delete.
        if let Ok(id) = request.get_ref().id.parse::<EndpointId>() {
            let app = self.0.clone();
            uninterrupted(async move { app.delete_endpoint(party, id).await }).await.map_err(status)?;
        }
        Ok(Response::new(DeleteEndpointResponse {}))
    }
}

#[tonic::async_trait]
impl PushConfigurationService for Api {
    async fn put_push_configuration(
        &self,
        request: Request<PutPushConfigurationRequest>,
    ) -> Result<Response<pb::PushConfiguration>, Status> {
        let party = caller(&request)?.relying_party()?;
        let (app, asked) = (self.0.clone(), request.into_inner());
        let put = uninterrupted(async move { app.put_push_configuration(party, asked.credentials).await }).await;
        put.map(Response::new).map_err(status)
    }

    async fn list_push_configurations(
        &self,
        request: Request<ListPushConfigurationsRequest>,
    ) -> Result<Response<ListPushConfigurationsResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let push_configurations = self.0.push_configurations(party).await.map_err(status)?;
        Ok(Response::new(ListPushConfigurationsResponse { push_configurations }))
    }

    async fn delete_push_configuration(
        &self,
        request: Request<DeletePushConfigurationRequest>,
    ) -> Result<Response<DeletePushConfigurationResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let provider = convert::provider(request.get_ref().provider());
        let provider = provider.ok_or_else(|| status(Failure::field("provider", "must be apns, fcm or webpush")))?;
        let app = self.0.clone();
        uninterrupted(async move { app.delete_push_configuration(party, provider).await }).await.map_err(status)?;
        Ok(Response::new(DeletePushConfigurationResponse {}))
    }
}

#[tonic::async_trait]
impl PushRegistrationService for Api {
    async fn put_push_registration(
        &self,
        request: Request<PutPushRegistrationRequest>,
    ) -> Result<Response<PutPushRegistrationResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let asked = request.into_inner();
        let device = device(&asked.device_id)?;
        let provider = convert::provider(asked.provider());
        let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&asked.details).is_ok();
        let mut validation = Validation::default();
        validation.require(provider.is_some(), "provider", "must be apns, fcm, webpush or unifiedpush");
        validation.require(object && asked.details.len() <= MAX_DETAILS, "details", "must be a JSON object of at most 4 KiB");
        validation.finish().map_err(status)?;
        let provider = provider.ok_or_else(|| status(Failure::Internal("a checked field")))?;
        let app = self.0.clone();
        uninterrupted(async move { app.put_push_registration(party, &device, provider, &asked.details).await }).await.map_err(status)?;
        Ok(Response::new(PutPushRegistrationResponse {}))
    }

    async fn get_push_registration(&self, request: Request<GetPushRegistrationRequest>) -> Result<Response<pb::PushRegistration>, Status> {
        let party = caller(&request)?.relying_party()?;
        let device = device(&request.get_ref().device_id)?;
        self.0.push_registration(party, &device).await.map(Response::new).map_err(status)
    }

    async fn get_web_push_key(&self, request: Request<GetWebPushKeyRequest>) -> Result<Response<GetWebPushKeyResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let public_key = self.0.web_push_key(party).await.map_err(status)?;
        Ok(Response::new(GetWebPushKeyResponse { public_key }))
    }

    async fn delete_push_registration(
        &self,
        request: Request<DeletePushRegistrationRequest>,
    ) -> Result<Response<DeletePushRegistrationResponse>, Status> {
        let party = caller(&request)?.relying_party()?;
        let device = device(&request.get_ref().device_id)?;
        let app = self.0.clone();
        uninterrupted(async move { app.delete_push_registration(party, &device).await }).await.map_err(status)?;
        Ok(Response::new(DeletePushRegistrationResponse {}))
    }
}

fn listing(asked: &ListDeliveriesRequest, page: &Page) -> Result<Listing, Failure> {
    let mut validation = Validation::default();
    let state = validation.read("state", DeliveryState::try_from(asked.state).map_err(|_| "is not a known state"));
    let about = Some(asked.trusonafication_id.as_str()).filter(|id| !id.is_empty());
    let trusonafication = about.and_then(|id| validation.read("trusonafication_id", id.parse().map_err(|_| "must be a UUID")));
    let named = Some(asked.subject.as_str()).filter(|subject| !subject.is_empty());
    let subject = named.and_then(|subject| validation.read("subject", subject.parse::<Subject>()));
    validation.require(about.is_none() || named.is_none(), "subject", "must not be set together with trusonafication_id");
    let subject = subject.or_else(|| trusonafication.map(Subject::Trusonafication));
    let to = Some(asked.endpoint_id.as_str()).filter(|id| !id.is_empty());
    let endpoint = to.and_then(|id| validation.read("endpoint_id", id.parse().map_err(|_| "must be a UUID")));
    let mut moment = |field: &str, at: Option<&prost_types::Timestamp>| {
        at.and_then(|at| validation.read(field, from_timestamp(at).ok_or("must be a time")))
    };
    let from = moment("created_after", asked.created_after.as_ref());
    let until = moment("created_before", asked.created_before.as_ref());
    validation.finish()?;
    let state = match state.unwrap_or_default() {
        DeliveryState::Unspecified => None,
        DeliveryState::Pending => Some(State::Pending),
        DeliveryState::Succeeded => Some(State::Succeeded),
        DeliveryState::Exhausted => Some(State::Exhausted),
    };
    let oldest_first = asked.oldest_first;
    let (at, id) = match &page.after {
        None if oldest_first => (page.since(), Uuid::nil()),
        _ => (page.before(), after(page)?),
    };
    Ok(Listing { state, subject, endpoint, from, until, at, id, oldest_first, size: page.size })
}

fn after(page: &Page) -> Result<Uuid, Failure> {
    let Some(cursor) = &page.after else { return Ok(Uuid::max()) };
    cursor.id.parse().map_err(|_| Failure::field("page_token", "must be a page token from an earlier response"))
}

fn range(asked: &RedeliverManyRequest, now: Timestamp) -> Result<Range, Failure> {
    let mut validation = Validation::default();
    let read = |at: &Option<prost_types::Timestamp>| at.as_ref().map(|at| from_timestamp(at).ok_or("is not a valid time"));
    let since = validation.read("since", read(&asked.since).unwrap_or(Err("is required")));
    let until = validation.read("until", read(&asked.until).unwrap_or(Ok(now)));
    let to = Some(asked.endpoint_id.as_str()).filter(|id| !id.is_empty());
    let endpoint = to.and_then(|id| validation.read("endpoint_id", id.parse().map_err(|_| "must be a UUID")));
    validation.finish()?;
    let (since, until) = (since.unwrap_or(now), until.unwrap_or(now));
    Ok(Range { since, until, endpoint, include_succeeded: asked.include_succeeded })
}

/// Text that is not a UUID names nothing.
fn endpoint_id(text: &str) -> Result<EndpointId, Status> {
    text.parse().map_err(|_| status(Failure::NotFound("endpoint")))
}

/// Text that is not a UUID names nothing.
fn delivery_id(text: &str) -> Result<DeliveryId, Status> {
    text.parse().map_err(|_| status(Failure::NotFound("delivery")))
}

fn device(text: &str) -> Result<DeviceId, Status> {
    DeviceId::parse(text).map_err(|_| status(Failure::NotFound("device")))
}
