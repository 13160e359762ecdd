//! A channel on which signed-in operators confirm on their phones the calls that require it, before these are sent.

use std::{
    mem,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use nodkey_client::AuthenticatedChannel;
use nodkey_kernel::{error::Kind, jose::sha256};
use nodkey_proto::{
    access::is_reconfirmed,
    reflect,
    registry::v1::{
        Confirmation, ConfirmationState, CreateConfirmationRequest, GetConfirmationRequest,
        confirmation_service_client::ConfirmationServiceClient,
    },
};
use nodkey_runtime::{confirmation::CONFIRMATION_HEADER, status};
use tonic::{
    Request, Status,
    body::Body,
    codegen::{Service, StdError, http},
};

use crate::output::{bold, plain};

/// How long one call waits for the phone, in seconds. Another call follows.
const WAIT: i32 = 10;
/// The deadline of that call.
const DEADLINE: Duration = Duration::from_secs(20);
/// The length of the prefix of each message in a gRPC body.
const PREFIX: usize = 5;

/// A channel to a service.
#[derive(Clone, Debug)]
pub struct AdminChannel {
    service: AuthenticatedChannel,
    /// Where confirmations are requested. `None` with the operator key, which needs none.
    registry: Option<AuthenticatedChannel>,
}

impl AdminChannel {
    /// Makes a channel to this service. With `registry`, calls that require a confirmation are confirmed first.
    pub const fn new(service: AuthenticatedChannel, registry: Option<AuthenticatedChannel>) -> Self {
        Self { service, registry }
    }
}

impl Service<http::Request<Body>> for AdminChannel {
    type Response = http::Response<Body>;
    type Error = StdError;
    type Future = BoxFuture<'static, Result<Self::Response, StdError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        self.service.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let next = self.service.clone();
        // The clone that is ready must be the one that is called.
        let mut service = mem::replace(&mut self.service, next);
        let registry = self.registry.clone().filter(|_| is_reconfirmed(request.uri().path()));
        Box::pin(async move {
            let request = match registry {
                Some(registry) => confirmed(registry, request).await?,
                None => request,
            };
            Ok(service.call(request).await?.map(Body::new))
        })
    }
}

/// The same request, once the operator has confirmed it on their phone.
async fn confirmed(registry: AuthenticatedChannel, request: http::Request<Body>) -> Result<http::Request<Body>, Status> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let asked = question(parts.uri.path(), &body)?;
    let mut client = ConfirmationServiceClient::new(registry);
    let created = client.create_confirmation(asked).await?.into_inner();
    let mut confirmation = created.confirmation.unwrap_or_default();
    let what = format!("{}: {}", plain(&confirmation.action), plain(&confirmation.resource));
    anstream::eprintln!("Confirm on your phone: {}", bold(&what));
    anstream::eprintln!("Type this number there: {}", bold(&plain(&created.match_number)));
    while confirmation.state() == ConfirmationState::Waiting {
        let mut request = Request::new(GetConfirmationRequest { id: confirmation.id, wait_seconds: WAIT });
        request.set_timeout(DEADLINE);
        confirmation = client.get_confirmation(request).await?.into_inner();
    }
    let id = accepted(&confirmation)?;
    parts.headers.insert(CONFIRMATION_HEADER, id);
    Ok(http::Request::from_parts(parts, Body::new(Full::new(body))))
}

/// The confirmation to request.
fn question(path: &str, body: &Bytes) -> Result<CreateConfirmationRequest, Status> {
    let method = path.trim_start_matches('/').to_owned();
    let descriptor = reflect::method(path).ok_or_else(|| Status::unimplemented("no such method"))?;
    if descriptor.is_client_streaming() {
        return Ok(CreateConfirmationRequest {
            method,
            stream_sha256: sha256(body).to_vec().into(),
            ..CreateConfirmationRequest::default()
        });
    }
    let message = body.slice(PREFIX.min(body.len())..);
    let request = reflect::to_json(descriptor.input(), message).ok_or_else(|| Status::internal("a request does not match its method"))?;
    Ok(CreateConfirmationRequest { method, request, ..CreateConfirmationRequest::default() })
}

fn accepted(confirmation: &Confirmation) -> Result<http::HeaderValue, Status> {
    let (reason, text) = match confirmation.state() {
        ConfirmationState::Accepted => {
            return http::HeaderValue::try_from(confirmation.id.as_str()).map_err(|_| Status::internal("a confirmation without an id"));
        }
        ConfirmationState::Rejected => ("CONFIRMATION_REJECTED", "you rejected it on your phone; nothing was done"),
        _ => ("CONFIRMATION_EXPIRED", "the phone did not confirm in time; nothing was done"),
    };
    Err(status::new(Kind::Precondition, reason, text, &[]))
}

#[cfg(test)]
mod tests {
    use nodkey_proto::registry::v1::DisableRelyingPartyRequest;
    use prost::Message as _;

    use super::*;

    #[test]
    fn what_is_confirmed_is_the_message_or_all_of_a_stream() {
        let message = DisableRelyingPartyRequest { id: "x".into() }.encode_to_vec();
        let mut body = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
        body.extend(message);
        let body = Bytes::from(body);
        let one = question("/nodkey.registry.v1.RelyingPartyService/DisableRelyingParty", &body).unwrap();
        assert_eq!((one.request.as_str(), one.stream_sha256.len()), (r#"{"id":"x"}"#, 0));
        let stream = question("/nodkey.binding.v1.ImportService/ImportUsers", &body).unwrap();
        assert_eq!((stream.request.as_str(), &stream.stream_sha256[..]), ("", &sha256(&body)[..]));
    }
}
