//! What an operator has to repeat or consider after a restore: whatever happened after the backup did not happen any more.

use nodkey_kernel::service_key::ServiceName;
use nodkey_registry::app::restored::Ended;
use serde::Serialize;

use super::{
    databases::{Engine, SERVICES},
    manifest::Manifest,
};

/// Something to repeat or consider.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// A word that never changes.
    pub subject: &'static str,
    pub text: String,
}

/// Everything, the most urgent first.
pub fn list(manifest: &Manifest, ended: &Ended) -> Vec<Item> {
    let since = &manifest.taken_at;
    let item = |subject, text: String| Item { subject, text };
    let keys = manifest.master_key_list();
    let outbox: u64 = SERVICES.iter().map(|service| manifest.rows_of(*service, "outbox") + manifest.rows_of(*service, "backlog")).sum();
    let mut items = vec![
        item("master key", format!("Its id is {keys}. Where it was changed since, the key of that time must be among the previous ones.")),
        item(
            "revocations",
            format!(
                "Whatever was revoked after {since} counts again: a stolen phone that was retired, a credential, user, binding or operator \
                 that was disabled, an account that was frozen, a phone that handed its place to another. Repeat all of it first. With --audit, an \
                 export of the audit log lists what operators did."
            ),
        ),
        item(
            "signing keys",
            format!(
                "Keys created after {since} are gone. If one was replaced because it had leaked, it signs again: start the services where \
                 nobody reaches them, and rotate it with --now first. Evidence signed by a key that is gone verifies by your copy of \
                 /jwks/archive."
            ),
        ),
        item(
            "operators",
            format!(
                "{} ended and {} withdrawn: a session that was ended, or a link that was used, after {since} opens nothing. Sign in \
                 again, and renew invitations with `nodkey admin operators renew`.",
                count(ended.sessions, "session was", "sessions were"),
                count(ended.invitations, "open invitation was", "open invitations were"),
            ),
        ),
        item("phones", format!("Phones registered, bound or given other keys after {since} are unknown: they have to be enrolled again.")),
        item(
            "logins",
            format!(
                "Trusonafications after {since} are not known any more. Those in progress then can still be answered, or expire, and \
                 webhooks say so, although backends may know another result. A request id used since is new again."
            ),
        ),
    ];
    items.push(match manifest.engine {
        Engine::Postgres => item(
            "events",
            format!(
                "Delete the streams of this installation at NATS before you start: they hold events that did not happen any more. {} \
                 published again from the outboxes, and consumers skip what they know. An event that NATS had accepted, and no consumer \
                 processed, when the backup was taken is lost.",
                count(outbox, "event is", "events are")
            ),
        ),
        Engine::Sqlite => item(
            "events",
            format!("{} delivered again from the outboxes, and consumers skip what they know.", count(outbox, "event is", "events are")),
        ),
    });
    let deliveries = manifest.rows_of(ServiceName::Notification, "delivery");
    items.push(item(
        "webhooks",
        format!(
            "Those of the {} in the backup that were pending are sent again, under the same webhook-id. Backends that compare ids notice; \
             tell the others.",
            count(deliveries, "delivery", "deliveries")
        ),
    ));
    items.push(item(
        "audit log",
        format!(
            "It goes on behind its last entry before {since}. Keep exports of later entries: `nodkey audit verify --earlier` reports them as \
             missing, which is true."
        ),
    ));
    items
}

fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
