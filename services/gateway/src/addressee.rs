//! Which service a call is for: the owner of the method, or for dead letters, which every service has, the one that the caller names.

use axum::http::HeaderMap;
use nodkey_kernel::service_key::ServiceName;
use nodkey_proto::access;
use nodkey_runtime::token::SERVICE_HEADER;

/// The methods for which callers name the service. What else every process serves for itself is served to nobody here.
const OF_ANY_SERVICE: &str = "/nodkey.status.v1.DeadLetterService/";

/// Whether callers name the service that the method is for.
pub fn is_of_any_service(path: &str) -> bool {
    path.starts_with(OF_ANY_SERVICE)
}

/// The service that a call of the method at `path` is for; `None` when there is none, or the caller names none that has a database.
pub fn addressee(path: &str, headers: &HeaderMap) -> Option<ServiceName> {
    if !is_of_any_service(path) {
        return access::owner(path);
    }
    let named = headers.get(SERVICE_HEADER)?.to_str().ok()?;
    ServiceName::try_from(named).ok().filter(|name| *name != ServiceName::Gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_name_the_service_for_dead_letters_and_for_nothing_else() {
        let named = |name: &'static str| HeaderMap::from_iter([(SERVICE_HEADER.parse().unwrap(), name.parse().unwrap())]);
        let letters = "/nodkey.status.v1.DeadLetterService/ListDeadLetters";
        assert_eq!(addressee(letters, &named("binding")), Some(ServiceName::Binding));
        for nobody in [HeaderMap::new(), named("gateway"), named("nobody"), named("")] {
            assert_eq!(addressee(letters, &nobody), None);
        }
        assert_eq!(addressee("/nodkey.status.v1.VaultService/Reseal", &named("binding")), None);
        assert_eq!(addressee("/nodkey.registry.v1.DeviceService/GetDevice", &named("binding")), Some(ServiceName::Registry));
    }
}
