//! Admission control for gRPC: backends, operators and anonymous callers are admitted by what they call. Services are not refused here,
//! because their calls were admitted where they originated, and a refusal half way would waste the work already done.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http_body_util::Limited;
use nodkey_proto::reflect;
use tonic::Status;

use super::caller::Caller;
use crate::call::{
    admission::{Admission, Class},
    deadline::deadline_exceeded,
};

/// Maximum size of a message from an anonymous caller.
const ANONYMOUS_MESSAGE: usize = 64 << 10;
/// Maximum duration of a call that holds a permit: for anonymous callers, and for others.
const OF_NOBODY: Duration = Duration::from_secs(10);
const OF_CALLERS: Duration = Duration::from_mins(1);
/// Methods that may wait for something to happen.
const WAITS: [&str; 2] =
    ["/nodkey.registry.v1.ConfirmationService/GetConfirmation", "/nodkey.trusonafication.v1.TrusonaficationService/GetTrusonafication"];

/// Admits a call; runs after authentication.
pub(crate) async fn middleware(State(admission): State<Admission>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let caller = request.extensions().get::<Caller>();
    let Some(class) = class(caller, path) else { return next.run(request).await };
    // Calls that may last take no permit; they are admitted while one is free.
    if waits(path) {
        return match admission.check(class) {
            Ok(()) => next.run(request).await,
            Err(overloaded) => Status::from(overloaded).into_http(),
        };
    }
    let request = match caller {
        Some(_) => request,
        None => request.map(|body| Body::new(Limited::new(body, ANONYMOUS_MESSAGE))),
    };
    let permit = match admission.enter(class) {
        Ok(permit) => permit,
        Err(overloaded) => return Status::from(overloaded).into_http(),
    };
    // A caller that sets no deadline, or does not finish its message, also releases its permit.
    let limit = if class == Class::Anonymous { OF_NOBODY } else { OF_CALLERS };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => permit.hold(response),
        Err(_) => deadline_exceeded().into_http(),
    }
}

/// The class of a call; `None` for calls that are not refused here.
fn class(caller: Option<&Caller>, path: &str) -> Option<Class> {
    match caller {
        Some(Caller::Service { .. }) => return None,
        Some(_) => {}
        // Health checks and reflection have their own limit.
        None => return (!path.starts_with("/grpc.")).then_some(Class::Anonymous),
    }
    Some(class_of(path))
}

/// The class of a backend's or operator's call, by its method.
#[must_use]
pub fn class_of(path: &str) -> Class {
    let method = path.rsplit('/').next().unwrap_or_default();
    let is = |verbs: &[&str]| verbs.iter().any(|verb| method.starts_with(verb));
    match method {
        _ if is(&["List", "Search", "Count"]) => Class::List,
        _ if is(&["Get", "Watch"]) => Class::Read,
        _ => Class::Create,
    }
}

/// Whether a call may last: a stream, or a wait.
#[must_use]
pub fn waits(path: &str) -> bool {
    WAITS.contains(&path) || reflect::method(path).is_some_and(|method| method.is_server_streaming() || method.is_client_streaming())
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::service_key::ServiceName;

    use super::*;
    use crate::identity::caller::Operator;

    #[test]
    fn results_are_read_before_anything_is_created_before_anything_is_listed() {
        let operator = Caller::Operator { relying_party: None, operator: Operator::of_the_key() };
        let of = |method: &str| class(Some(&operator), &format!("/nodkey.trusonafication.v1.TrusonaficationService/{method}")).unwrap();
        let order = ["GetTrusonafication", "CreateTrusonafication", "ListTrusonafications"].map(of);
        assert_eq!(order, [Class::Read, Class::Create, Class::List]);
        assert!(order.is_sorted_by(|a, b| a > b));
        let service = Caller::Service { name: ServiceName::Gateway, relying_party: None };
        assert_eq!(class(Some(&service), "/nodkey.trusonafication.v1.TrusonaficationService/Respond"), None);
        let nobody = ["/nodkey.registry.v1.SigningKeyService/GetJwks", "/grpc.health.v1.Health/Check"].map(|path| class(None, path));
        assert_eq!(nobody, [Some(Class::Anonymous), None]);
    }

    #[test]
    fn who_waits_takes_no_place_of_those_who_work() {
        let of = |method: &str| waits(&format!("/nodkey.trusonafication.v1.TrusonaficationService/{method}"));
        assert_eq!(["GetTrusonafication", "WatchTrusonafications"].map(of), [true, true]);
        assert_eq!(["CreateTrusonafication", "ListTrusonafications", "NoSuchMethod"].map(of), [false; 3]);
        assert!(WAITS.iter().all(|path| reflect::method(path).is_some()), "all are there");
    }
}
