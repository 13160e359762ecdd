//! Permissions of each service at a NATS server: the part of the server's configuration that grants them.

use std::fmt::Write as _;

use nodkey_kernel::service_key::ServiceName;

use crate::{
    consumer::{CONSUMERS, producer},
    nats::{Names, inbox},
    wake::KINDS,
};

/// A user of a NATS server.
#[derive(Debug)]
pub struct User<'a> {
    /// The service it is for; `None` is for people, who may do everything.
    pub service: Option<ServiceName>,
    /// Its name, `bus.user`.
    pub name: &'a str,
    /// Its password, `bus.password`.
    pub password: &'a str,
}

/// The `authorization` section of a server for the deployment with this prefix. Only these users may do anything.
///
/// A service publishes its own events and wakes, creates its own stream, pulls for its own consumers, and subscribes to the wakes that it
/// listens to. It cannot read events, wakes and replies meant for others, nor change or delete anything.
#[must_use]
pub fn authorization(prefix: &str, users: &[User<'_>]) -> String {
    let mut text = String::from("authorization {\n  users: [\n");
    for user in users {
        // Writing to a String never fails.
        let _ = write!(text, "    {{ user: {:?}, password: {:?}", user.name, user.password);
        if let Some(service) = user.service {
            let list = |subjects: Vec<String>| subjects.iter().map(|subject| format!("{subject:?}")).collect::<Vec<_>>().join(", ");
            let (publish, subscribe) = (list(publishes(prefix, service)), list(subscribes(prefix, service, user.name)));
            // An empty allow list would allow everything.
            let publish = if publish.is_empty() { "deny: \">\"".to_owned() } else { format!("allow: [{publish}]") };
            let _ = write!(text, ", permissions: {{ publish: {{ {publish} }}, subscribe: {{ allow: [{subscribe}] }} }}");
        }
        text.push_str(" }\n");
    }
    text.push_str("  ]\n}\n");
    text
}

fn publishes(prefix: &str, service: ServiceName) -> Vec<String> {
    let names = Names(prefix);
    let wakes = KINDS.iter().filter(|kind| kind.publisher == service).map(|kind| names.subject(&format!("wake.{}", kind.topics)));
    let (service, mut subjects) = (service.as_str(), wakes.collect::<Vec<_>>());
    if service != ServiceName::Gateway.as_str() {
        let stream = names.stream(service);
        subjects.push(names.subject(&format!("evt.{service}.>")));
        subjects.push(format!("$JS.API.STREAM.INFO.{stream}"));
        subjects.push(format!("$JS.API.STREAM.CREATE.{stream}"));
        // To notice that a consumer of its events is far behind.
        subjects.push(format!("$JS.API.STREAM.MSG.GET.{stream}"));
        subjects.push(format!("$JS.API.CONSUMER.INFO.{stream}.*"));
    }
    for (consumer, subject) in CONSUMERS.iter().filter(|(consumer, _)| consumer.split('_').next() == Some(service)) {
        let of = format!("{}.{}", names.stream(producer(subject)), names.name(consumer));
        subjects.push(format!("$JS.API.CONSUMER.CREATE.{of}.{}", names.subject(&format!("{subject}.>"))));
        subjects.extend(["INFO", "MSG.NEXT"].map(|call| format!("$JS.API.CONSUMER.{call}.{of}")));
        subjects.push(format!("$JS.ACK.{of}.>"));
    }
    subjects
}

fn subscribes(prefix: &str, service: ServiceName, user: &str) -> Vec<String> {
    let kinds = KINDS.iter().filter(|kind| kind.listeners.contains(&service));
    let wakes = kinds.map(|kind| Names(prefix).subject(&format!("wake.{}", kind.topics)));
    std::iter::once(format!("{}.>", inbox(user))).chain(wakes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_publishes_its_own_events_and_works_off_its_own_consumers() {
        let user = User { service: Some(ServiceName::Binding), name: "binding", password: "pass\"word" };
        assert_eq!(
            authorization("acme", &[user]),
            r#"authorization {
  users: [
    { user: "binding", password: "pass\"word", permissions: { publish: { allow: ["acme.wake.relay_binding", "acme.evt.binding.>", "$JS.API.STREAM.INFO.acme_EVT_BINDING", "$JS.API.STREAM.CREATE.acme_EVT_BINDING", "$JS.API.STREAM.MSG.GET.acme_EVT_BINDING", "$JS.API.CONSUMER.INFO.acme_EVT_BINDING.*", "$JS.API.CONSUMER.CREATE.acme_EVT_REGISTRY.acme_binding_device_retired.acme.evt.registry.v1.device_retired.>", "$JS.API.CONSUMER.INFO.acme_EVT_REGISTRY.acme_binding_device_retired", "$JS.API.CONSUMER.MSG.NEXT.acme_EVT_REGISTRY.acme_binding_device_retired", "$JS.ACK.acme_EVT_REGISTRY.acme_binding_device_retired.>"] }, subscribe: { allow: ["_INBOX.binding.>", "acme.wake.relay_binding"] } } }
  ]
}
"#
        );
    }

    #[test]
    fn who_only_waits_publishes_nothing_and_people_may_do_everything() {
        let users = [
            User { service: Some(ServiceName::Gateway), name: "gateway", password: "p" },
            User { service: None, name: "admin", password: "q" },
        ];
        let text = authorization("", &users);
        assert!(text.contains(r#"publish: { deny: ">" }, subscribe: { allow: ["_INBOX.gateway.>", "wake.device.>", "wake.trusonafication.>", "wake.trucode.>"] }"#), "{text}");
        assert!(text.contains(r#"{ user: "admin", password: "q" }"#), "{text}");
    }
}
