//! Audit records: written before an operator acts, before an operator reads personal data, and when an operator is refused.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    middleware::Next,
    response::Response,
};
use nodkey_kernel::{
    error::{Classify as _, Kind},
    jose::sha256,
    time::{Clock, Timestamp},
};
use nodkey_proto::{
    access::is_reconfirmed,
    reflect,
    registry::v1::{
        AuditEntry, CompleteAuditEntryRequest, CreateAuditEntryRequest, CreateAuditEntryResponse, audit_service_client::AuditServiceClient,
    },
};
use tonic::{Code, Status};
use tracing::error;

use super::{
    caller::Caller,
    confirmation::{presented, request_digest, subject},
    metrics::{ActionOutcome, OPERATOR_ACTIONS},
    peers::Peer,
    tally::{Tally, tallied},
};
use crate::call::{
    frames::PREFIX,
    status::{self, PeerError},
    trace,
};

/// Maximum size of a message; the same as tonic's limit.
const MAX_MESSAGE: usize = 4 << 20;

/// Outcome of a successful action.
const OK: &str = "OK";
/// Outcome of a read.
const READ: &str = "READ";
/// Maximum number of different reads remembered per minute. Beyond it, repeated reads are recorded again.
const MAX_READS: usize = 4096;

/// Writes to the audit log, which the registry stores.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    registry: Peer,
    clock: Clock,
    reads: Arc<Mutex<Reads>>,
}

/// The reads of the current minute: pages that poll are recorded once.
#[derive(Debug, Default)]
struct Reads {
    minute: i64,
    seen: HashSet<[u8; 32]>,
}

impl Reads {
    /// Whether the read is the first of its kind in this minute.
    fn is_new(&self, now: Timestamp, read: &[u8; 32]) -> bool {
        self.minute != now.as_seconds().div_euclid(60) || !self.seen.contains(read)
    }

    fn note(&mut self, now: Timestamp, read: [u8; 32]) {
        let minute = now.as_seconds().div_euclid(60);
        if self.minute != minute || self.seen.len() >= MAX_READS {
            (self.minute, self.seen) = (minute, HashSet::new());
        }
        self.seen.insert(read);
    }
}

impl Audit {
    pub(crate) fn new(registry: Peer, clock: Clock) -> Self {
        Self { registry, clock, reads: Arc::default() }
    }

    /// Records that an operator was refused. The refusal stands, whether or not recording succeeds.
    pub(crate) async fn refuse(&self, caller: &Caller, request: Request, refused: Status) -> Response {
        OPERATOR_ACTIONS.with(ActionOutcome::Refused).increment(1);
        let outcome = PeerError::from(refused.clone()).reason().to_owned();
        match describe(caller, request, None).await {
            Ok(Described { entry, .. }) => {
                if let Err(failed) = self.note(AuditEntry { outcome, ..entry }).await {
                    error!(cause = %failed.message(), "a refusal is not in the audit log");
                }
            }
            Err(described) => error!(cause = %described.message(), "a refusal is not in the audit log"),
        }
        refused.into_http()
    }

    /// Runs a read of personal data once it is recorded. The same read by the same operator is recorded once a minute.
    pub(crate) async fn read(&self, caller: &Caller, request: Request, next: Next) -> Response {
        let Described { entry, request, .. } = match describe(caller, request, None).await {
            Ok(described) => described,
            Err(refused) => return refused.into_http(),
        };
        let (now, read) = (self.clock.now(), digest(&entry));
        let is_new = self.reads.lock().unwrap_or_else(PoisonError::into_inner).is_new(now, &read);
        if is_new {
            if let Err(failed) = self.note(AuditEntry { outcome: READ.to_owned(), ..entry }).await {
                return status::status(PeerError::from(failed)).into_http();
            }
            self.reads.lock().unwrap_or_else(PoisonError::into_inner).note(now, read);
        }
        next.run(request).await
    }

    async fn note(&self, entry: AuditEntry) -> Result<(), Status> {
        self.create(CreateAuditEntryRequest { entry: Some(entry), ..CreateAuditEntryRequest::default() }).await.map(drop)
    }

    async fn create(&self, request: CreateAuditEntryRequest) -> Result<CreateAuditEntryResponse, Status> {
        let mut log = AuditServiceClient::new(self.registry.unscoped());
        Ok(log.create_audit_entry(request).await?.into_inner())
    }

    /// Records what an operator is about to do. If it needs confirmation, the registry refuses it unless it was confirmed: the registry
    /// knows the operators and their phones. Returns the entry's id.
    async fn intend(&self, request: CreateAuditEntryRequest, tally: &Tally) -> Result<String, Status> {
        let needed = request.entry.as_ref().is_some_and(needs_confirmation);
        let noted = self.create(request).await.map_err(|failed| status::status(PeerError::from(failed)))?;
        if !needed {
            return Ok(noted.id);
        }
        // A registry of the previous release knows no confirmations.
        if !noted.confirmed {
            let text = "the registry cannot tell yet whether this was confirmed on the phone; call again when it is upgraded";
            return Err(status::new(Kind::Unavailable, "UNAVAILABLE", text, &[]));
        }
        if let Ok(expected) = <[u8; 32]>::try_from(&noted.stream_sha256[..]) {
            tally.expect(expected);
        }
        Ok(noted.id)
    }

    /// Runs an operator's action between its two records. Without the first, nothing is done. The second may be lost with the process, and
    /// its absence shows that.
    pub(crate) async fn run(&self, caller: &Caller, request: Request, next: Next) -> Response {
        let tally = Tally::default();
        let Described { entry, request, digest } = match describe(caller, request, Some(&tally)).await {
            Ok(described) => described,
            Err(refused) => return refused.into_http(),
        };
        let confirmation_id = presented(request.headers()).map(|id| id.to_string()).unwrap_or_default();
        let request_sha256 = digest.map(|digest| digest.to_vec().into()).unwrap_or_default();
        let intent = CreateAuditEntryRequest { entry: Some(entry), confirmation_id, request_sha256 };
        let id = match self.intend(intent, &tally).await {
            Ok(id) => id,
            Err(refused) => return refused.into_http(),
        };
        let mut log = AuditServiceClient::new(self.registry.unscoped());
        // A client that disconnects must not interrupt it.
        trace::uninterrupted(async move {
            let response = next.run(request).await;
            let outcome = outcome(&response);
            OPERATOR_ACTIONS.with(if outcome == OK { ActionOutcome::Ok } else { ActionOutcome::Refused }).increment(1);
            if let Err(failed) = log.complete_audit_entry(CompleteAuditEntryRequest { id, outcome, request: tally.to_json() }).await {
                error!(cause = %failed.message(), "the outcome of an action is not in the audit log");
            }
            response
        })
        .await
    }
}

/// What distinguishes one read from another.
fn digest(entry: &AuditEntry) -> [u8; 32] {
    let AuditEntry { operator_id, relying_party_id, method, request, .. } = entry;
    sha256([operator_id.as_str(), relying_party_id, method, request].join("\0").as_bytes())
}

/// Whether an operator must confirm on their phone what they are about to do. A holder of the operator key has no phone.
fn needs_confirmation(entry: &AuditEntry) -> bool {
    !entry.operator_id.is_empty() && is_reconfirmed(&format!("/{}", entry.method))
}

/// The call that is about to be made.
struct Described {
    /// The entry that describes it.
    entry: AuditEntry,
    /// The request, unchanged.
    request: Request,
    /// The digest that a confirmation must match, if one is needed and the message is a single one.
    digest: Option<[u8; 32]>,
}

/// Describes the caller and the call. For a stream, `tally` records what passes.
async fn describe(caller: &Caller, request: Request, tally: Option<&Tally>) -> Result<Described, Status> {
    let path = request.uri().path().to_owned();
    let mut digest = None;
    let (request, message) = match reflect::method(&path) {
        // Only a single message is recorded: a stream may be long, and its handler must bound it.
        Some(method) if !method.is_client_streaming() => {
            let (parts, body) = request.into_parts();
            let body = read(body).await?;
            let message = (body.len() >= PREFIX).then(|| body.slice(PREFIX..));
            digest = message.clone().filter(|_| is_reconfirmed(&path)).and_then(|bytes| request_digest(&path, bytes));
            let message = message.and_then(|bytes| reflect::to_redacted_json(method.input(), bytes));
            (Request::from_parts(parts, Body::from(body)), message)
        }
        _ => match tally {
            Some(tally) => (request.map(|body| tallied(body, tally)), None),
            None => (request, None),
        },
    };
    let Caller::Operator { relying_party, operator } = caller else {
        return Err(status::new(Kind::Internal, "INTERNAL", "operators alone are audited", &[]));
    };
    let entry = AuditEntry {
        operator_id: operator.id.map(|id| id.to_string()).unwrap_or_default(),
        actor: operator.name.clone(),
        role: operator.role.to_string(),
        relying_party_id: subject(*relying_party, &path, message.as_deref()).map(|id| id.to_string()).unwrap_or_default(),
        method: path.trim_start_matches('/').to_owned(),
        request: message.unwrap_or_default(),
        trace_id: nodkey_trace::trace_id().unwrap_or_default(),
        ..AuditEntry::default()
    };
    Ok(Described { entry, request, digest })
}

async fn read(body: Body) -> Result<Bytes, Status> {
    to_bytes(body, MAX_MESSAGE + PREFIX)
        .await
        .map_err(|_| status::new(Kind::TooLarge, "MESSAGE_TOO_LARGE", "the message is larger than 4 MiB, or ended too early", &[]))
}

/// `OK`, or the reason of the refusal. A refusal is in the headers: it has no body.
fn outcome(response: &Response) -> String {
    match Status::from_header_map(response.headers()) {
        Some(refused) if refused.code() != Code::Ok => PeerError::from(refused).reason().to_owned(),
        _ => OK.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_new_once_a_minute_and_what_is_remembered_is_bounded() {
        let (mut reads, at) = (Reads::default(), Timestamp::from_seconds);
        let read = |n: usize| sha256(&n.to_be_bytes());
        assert!(reads.is_new(at(60), &read(0)));
        reads.note(at(60), read(0));
        assert!(!reads.is_new(at(119), &read(0)) && reads.is_new(at(119), &read(1)) && reads.is_new(at(120), &read(0)));
        for n in 0..3 * MAX_READS {
            reads.note(at(61), read(n));
            assert!(reads.seen.len() <= MAX_READS && !reads.is_new(at(61), &read(n)));
        }
    }
}
