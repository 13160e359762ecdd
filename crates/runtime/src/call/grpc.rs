//! gRPC services as routes.

use std::convert::Infallible;

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::any_service,
};
use nodkey_kernel::error::{FieldViolation, Kind};
use nodkey_proto::reflect;
use tonic::{Code, Status, server::NamedService};
use tower::Service;

use super::{received, status};

/// How tonic begins to say that a message cannot be read.
const UNREADABLE: &str = "failed to decode Protobuf message: ";

/// Adds a generated gRPC server to a router.
pub fn mount<S>(router: Router, service: S) -> Router
where
    S: Service<Request, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    // Repeated requests are distinguished by the bytes that were received.
    let router = reflect::repeatable(S::NAME)
        .fold(router, |router, path| router.route(&path, any_service(service.clone()).layer(middleware::from_fn(received::middleware))));
    router.route_service(&format!("/{}/{{*rest}}", S::NAME), service)
}

/// Has a message that cannot be read be the fault of whoever sent it. tonic says that the fault is ours, and clients would try again.
pub(crate) async fn readable(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match Status::from_header_map(response.headers()).as_ref().and_then(unreadable) {
        Some(refused) => refused.into_http(),
        None => response,
    }
}

/// Names the field that is at fault: prost says where, as `Message.field: ` from the innermost on, and at last why.
fn unreadable(answered: &Status) -> Option<Status> {
    if answered.code() != Code::Internal || !answered.details().is_empty() {
        return None;
    }
    let said = answered.message().strip_prefix(UNREADABLE)?;
    let fault = if said.ends_with("recursion limit reached") { "is nested too deeply" } else { "cannot be read" };
    let outermost = said.split(": ").filter(|part| !part.contains(' ')).last();
    let field = outermost.and_then(|path| path.split_once('.')).map(|(_, field)| FieldViolation::new(field, fault));
    let text = "the message is not one of this method's, or is nested too deeply";
    Some(status::new(Kind::Invalid, "MALFORMED_MESSAGE", text, field.as_slice()))
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::error::Classify as _;
    use nodkey_proto::trusonafication::v1::CreateTrusonaficationRequest;
    use prost::{Message as _, encoding::encode_varint};

    use super::*;

    #[test]
    fn what_prost_cannot_read_is_invalid_and_its_field_is_named() {
        let field = |tag: u8, value: &[u8]| {
            let mut bytes = vec![tag];
            encode_varint(u64::try_from(value.len()).unwrap(), &mut bytes);
            [&bytes, value].concat()
        };
        // Objects in a `Struct`: `fields` has an entry, whose value is the next.
        let deep = (0..40).fold(Vec::new(), |inner, _| field(0x0a, &[field(0x0a, b"a"), field(0x12, &field(0x2a, &inner))].concat()));
        for (bytes, expected) in [
            (field(0x62, &deep), vec![FieldViolation::new("custom_fields", "is nested too deeply")]),
            (b"\x32\x01\xff".to_vec(), vec![FieldViolation::new("action", "cannot be read")]),
            (b"\xff".to_vec(), vec![]),
        ] {
            let said = CreateTrusonaficationRequest::decode(bytes.as_slice()).unwrap_err().to_string();
            let refused = status::PeerError::from(unreadable(&Status::internal(said)).unwrap());
            assert_eq!((refused.kind(), refused.reason(), refused.field_violations()), (Kind::Invalid, "MALFORMED_MESSAGE", expected));
        }
        for other in
            [Status::internal("else"), Status::invalid_argument(UNREADABLE), status::new(Kind::Internal, "INTERNAL", UNREADABLE, &[])]
        {
            assert!(unreadable(&other).is_none(), "{other}");
        }
    }
}
