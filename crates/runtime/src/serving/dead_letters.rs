//! Dead letters for operators: listed, shown, replayed to the consumer that gave them up, and dropped.

use std::{str::FromStr as _, sync::Arc};

use nodkey_bus::{Bus, Consumer, Replayed, drop_letter, replay};
use nodkey_db::{
    Db,
    dead_letter::{self, Filter, Position},
};
use nodkey_kernel::{
    id::RelyingPartyId,
    jose::{b64u, b64u_decode},
    time::Clock,
};
use nodkey_proto::{
    SUBJECTS,
    convert::{from_timestamp, timestamp},
    reflect,
    status::v1::{
        DeadLetter, DeadLetterName, DropDeadLettersRequest, DropDeadLettersResponse, GetDeadLetterRequest, GetDeadLetterResponse,
        ListDeadLettersRequest, ListDeadLettersResponse, ReplayDeadLettersRequest, ReplayDeadLettersResponse, ReplayOutcome,
        ReplayedDeadLetter, dead_letter_service_server::DeadLetterService,
    },
};
use tonic::{Request, Response, Status};
use tracing::debug;
use uuid::Uuid;

use super::metrics::DEAD_LETTERS;
use crate::{
    call::status::status,
    identity::{parties::Parties, peers::Peer},
    use_case::{
        failure::{Failure, Validation},
        page::{Cursor, Listed, Page},
    },
};

/// Maximum number of dead letters in one call.
const MOST: usize = 100;
/// Maximum length of the note of a drop, in characters.
const NOTE: usize = 500;
/// The header with an event's signature. It proves what the event is to anybody who sends it, and is of no use to people.
const SIGNATURE: &str = "nodkey-signature";

/// Serves the dead letters of this process's consumers.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetters {
    owners: Arc<Vec<Owner>>,
    bus: Bus,
    parties: Parties,
    clock: Clock,
}

/// A service of this process: its database, and its consumers.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) service: &'static str,
    pub(crate) db: Db,
    pub(crate) consumers: Vec<Consumer>,
}

impl DeadLetters {
    pub(crate) fn new(owners: Vec<Owner>, bus: Bus, registry: &Peer, clock: &Clock) -> Self {
        Self { owners: Arc::new(owners), bus, parties: Parties::new(registry.clone()), clock: clock.clone() }
    }

    /// The service with this name, if this process runs it.
    fn owner(&self, service: &str) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.service == service)
    }

    /// The service that has the letters of a consumer: the first word of the consumer's name.
    fn owner_of(&self, consumer: &str) -> Option<&Owner> {
        self.owner(consumer.split('_').next().unwrap_or_default())
    }

    async fn list(&self, request: ListDeadLettersRequest) -> Result<ListDeadLettersResponse, Failure> {
        let page = Page::parse(request.page_size, &request.page_token)?;
        let after = page.after.as_ref().map(position).transpose()?;
        let owner = self.owner(&request.service).ok_or_else(|| {
            let here: Vec<_> = self.owners.iter().map(|owner| owner.service).collect();
            Failure::field("service", format!("must be a service of this process: {}", here.join(", ")))
        })?;
        let mut validation = Validation::default();
        let mut read = |field, at: Option<&_>| {
            let at = at.map(|at| from_timestamp(at).ok_or("must be a time in the years 1 to 9999"));
            validation.read(field, at.transpose()).flatten()
        };
        let (since, until) = (read("since", request.since.as_ref()), read("until", request.until.as_ref()));
        validation.finish()?;
        let filter = Filter { consumer: request.consumer, subject: request.subject, since, until };
        let found = dead_letter::page(&owner.db, &filter, after.as_ref(), page.size + 1).await?;
        let listed = Listed::new(page.size, found.into_iter().map(|letter| (Some(cursor(&letter)), Some(letter))));
        let (letters, next_page_token) = listed.into_parts();
        Ok(ListDeadLettersResponse { dead_letters: letters.into_iter().map(to_message).collect(), next_page_token })
    }

    async fn show(&self, request: GetDeadLetterRequest) -> Result<GetDeadLetterResponse, Failure> {
        let (consumer, event_id) = read_name(request.name.as_ref(), "name")?;
        let gone = Failure::NotFound("dead letter here");
        let Some(owner) = self.owner_of(&consumer) else { return Err(gone) };
        let Some((letter, message)) = dead_letter::get(&owner.db, &consumer, event_id).await? else { return Err(gone) };
        let replayable = !letter.is_refused() && owner.consumers.iter().any(|known| known.name() == consumer);
        let mut headers = message.headers;
        headers.remove(SIGNATURE);
        let payload_bytes = i64::try_from(message.payload.len()).unwrap_or(i64::MAX);
        let payload_json = message_of(&letter.subject).and_then(|name| {
            let descriptor = reflect::message(name)?;
            reflect::to_redacted_json(descriptor, message.payload)
        });
        Ok(GetDeadLetterResponse {
            dead_letter: Some(to_message(letter)),
            headers: headers.into_iter().collect(),
            payload_json: payload_json.filter(|_| payload_bytes > 0).unwrap_or_default(),
            payload_bytes,
            replayable,
        })
    }

    async fn replay_all(&self, request: ReplayDeadLettersRequest) -> Result<ReplayDeadLettersResponse, Failure> {
        let mut replayed = Vec::with_capacity(request.names.len());
        for (consumer, event_id) in read_names(&request.names)? {
            let (outcome, cause) = self.replay_one(&consumer, event_id).await?;
            let name = Some(DeadLetterName { consumer, event_id: event_id.to_string() });
            replayed.push(ReplayedDeadLetter { name, outcome: outcome.into(), cause });
        }
        self.count(&request.names).await;
        Ok(ReplayDeadLettersResponse { replayed })
    }

    async fn replay_one(&self, name: &str, event_id: Uuid) -> Result<(ReplayOutcome, String), Failure> {
        let nothing = String::new;
        let Some(owner) = self.owner_of(name) else { return Ok((ReplayOutcome::NotFound, nothing())) };
        let Some((letter, message)) = dead_letter::get(&owner.db, name, event_id).await? else {
            return Ok((ReplayOutcome::NotFound, nothing()));
        };
        let Some(consumer) = owner.consumers.iter().find(|consumer| consumer.name() == name) else {
            return Ok((ReplayOutcome::Refused, "this version has no such consumer".to_owned()));
        };
        let party = message.key().split('.').next().and_then(|party| RelyingPartyId::from_str(party).ok());
        if let Some(party) = party
            && party != RelyingPartyId::CONSOLE
            && !letter.is_refused()
            && self.parties.ensure_known(party).await.is_err()
        {
            return Ok((ReplayOutcome::Refused, format!("there is no relying party {party}")));
        }
        Ok(match replay(&self.bus, &owner.db, &self.clock, consumer, event_id).await? {
            Replayed::Done => (ReplayOutcome::Done, nothing()),
            Replayed::NoEffect => (ReplayOutcome::NoEffect, nothing()),
            Replayed::Duplicate => (ReplayOutcome::Duplicate, nothing()),
            Replayed::Gone => (ReplayOutcome::NotFound, nothing()),
            Replayed::Refused(why) => (ReplayOutcome::Refused, why.to_owned()),
            Replayed::Failed(error) => (ReplayOutcome::Failed, error.to_string()),
        })
    }

    async fn drop_all(&self, request: DropDeadLettersRequest) -> Result<DropDeadLettersResponse, Failure> {
        let names = read_names(&request.names)?;
        let mut validation = Validation::default();
        validation.text("note", &request.note, NOTE);
        validation.finish()?;
        let mut count = 0;
        for (name, event_id) in names {
            let Some(owner) = self.owner_of(&name) else { continue };
            count += i32::from(drop_letter(&owner.db, &name, event_id).await?);
        }
        self.count(&request.names).await;
        Ok(DropDeadLettersResponse { count })
    }

    /// Counts what is left of the letters of these names' services, so that an alert ends without waiting for the next count.
    async fn count(&self, names: &[DeadLetterName]) {
        for owner in self.owners.iter() {
            if !names.iter().any(|name| self.owner_of(&name.consumer).is_some_and(|of| of.service == owner.service)) {
                continue;
            }
            match dead_letter::count(&owner.db).await {
                Ok(left) => DEAD_LETTERS.with([owner.service]).set(left),
                Err(e) => debug!(service = owner.service, error = %e, "dead letters could not be counted"),
            }
        }
    }
}

/// The full name of the message that is published on a subject.
fn message_of(subject: &str) -> Option<&'static str> {
    let is = |kind: &str| subject.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.'));
    SUBJECTS.iter().find_map(|(kind, message)| is(kind).then_some(*message))
}

fn to_message(letter: dead_letter::DeadLetter) -> DeadLetter {
    DeadLetter {
        consumer: letter.consumer,
        event_id: letter.event_id.to_string(),
        subject: letter.subject,
        cause: letter.cause,
        given_up_at: Some(timestamp(letter.at)),
    }
}

fn cursor(letter: &dead_letter::DeadLetter) -> Cursor {
    Cursor { at: letter.at, id: format!("{}.{}", b64u(letter.event_id.as_bytes()), letter.consumer) }
}

fn position(cursor: &Cursor) -> Result<Position, Failure> {
    let parts = cursor.id.split_once('.').and_then(|(id, consumer)| {
        let event_id = Uuid::from_slice(&b64u_decode(id).ok()?).ok()?;
        Some(Position { at: cursor.at, event_id, consumer: consumer.to_owned() })
    });
    parts.ok_or_else(|| Failure::field("page_token", "must be a page token from an earlier response"))
}

fn read_names(names: &[DeadLetterName]) -> Result<Vec<(String, Uuid)>, Failure> {
    if names.is_empty() || names.len() > MOST {
        return Err(Failure::field("names", format!("must be 1 to {MOST} dead letters")));
    }
    names.iter().enumerate().map(|(at, name)| read_name(Some(name), &format!("names[{at}]"))).collect()
}

fn read_name(name: Option<&DeadLetterName>, field: &str) -> Result<(String, Uuid), Failure> {
    let Some(name) = name else { return Err(Failure::field(field, "is required")) };
    let mut validation = Validation::default();
    validation.require(!name.consumer.is_empty(), &format!("{field}.consumer"), "is required");
    let event_id = Uuid::parse_str(&name.event_id).map_err(|_| "must be a UUID");
    let event_id = validation.read(&format!("{field}.event_id"), event_id).unwrap_or_default();
    validation.finish()?;
    Ok((name.consumer.clone(), event_id))
}

#[tonic::async_trait]
impl DeadLetterService for DeadLetters {
    async fn list_dead_letters(&self, request: Request<ListDeadLettersRequest>) -> Result<Response<ListDeadLettersResponse>, Status> {
        self.list(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn get_dead_letter(&self, request: Request<GetDeadLetterRequest>) -> Result<Response<GetDeadLetterResponse>, Status> {
        self.show(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn replay_dead_letters(&self, request: Request<ReplayDeadLettersRequest>) -> Result<Response<ReplayDeadLettersResponse>, Status> {
        self.replay_all(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn drop_dead_letters(&self, request: Request<DropDeadLettersRequest>) -> Result<Response<DropDeadLettersResponse>, Status> {
        self.drop_all(request.into_inner()).await.map(Response::new).map_err(status)
    }
}
