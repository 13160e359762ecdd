//! `nodkey admin dead-letters`: events that consumers gave up.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use clap::{Subcommand, builder::PossibleValuesParser};
use nodkey_client::{Error, ServiceName};
use nodkey_kernel::time::Timestamp;
use nodkey_proto::{
    convert::timestamp,
    status::v1::{
        DeadLetter, DeadLetterName, DropDeadLettersRequest, GetDeadLetterRequest, ListDeadLettersRequest, ReplayDeadLettersRequest,
        ReplayOutcome, ReplayedDeadLetter, dead_letter_service_client::DeadLetterServiceClient,
    },
};
use nodkey_runtime::token::SERVICE_HEADER;
use serde_json::{Value, json};
use tonic::{Request, metadata::MetadataValue};

use super::{
    Admin, answer,
    list::{PageArgs, list},
    values::{time, word},
};
use crate::{
    confirm::AdminChannel,
    failure::{Refused, Usage},
    output::{self, Record, filled, record},
    sure::Sure,
};

/// The services that have dead letters, and their names.
const SERVICES: [(&str, ServiceName); 4] = [
    ("registry", ServiceName::Registry),
    ("binding", ServiceName::Binding),
    ("trusonafication", ServiceName::Trusonafication),
    ("notification", ServiceName::Notification),
];
const OUTCOME: &str = "REPLAY_OUTCOME_";
/// The maximum number of dead letters in one call.
const CALL: usize = 100;
/// The deadline of a call about so many.
const PATIENCE: Duration = Duration::from_mins(1);
/// The size of the pages in which dead letters are collected.
const PAGE: i32 = 500;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List dead letters: service by service, newest first
    #[command(after_help = "Examples:
  nodkey admin dead-letters list
  nodkey admin dead-letters list --consumer binding_device_retired --until 2026-11-01T00:00:00Z --json")]
    List {
        #[command(flatten)]
        page: PageArgs,
        #[command(flatten)]
        filter: Filter,
    },
    /// Show a dead letter: why it was given up, its headers and its event. Signatures and secrets are not shown
    #[command(after_help = "Example:
  nodkey admin dead-letters show binding_device_retired/01890a5d-ac96-774b-bcce-b302099a8057")]
    Show {
        /// Consumer and event id, as `list` shows them
        #[arg(value_name = "CONSUMER/EVENT_ID", value_parser = name)]
        letter: DeadLetterName,
    },
    /// Replay dead letters to the consumers that gave them up, oldest first. May be repeated: each event takes effect once
    #[command(after_help = "Examples:
  nodkey admin dead-letters replay binding_device_retired/01890a5d-ac96-774b-bcce-b302099a8057
  nodkey admin dead-letters replay --consumer binding_device_retired
  nodkey admin dead-letters replay --subject evt.trusonafication.v1.accepted --since 2026-11-01T00:00:00Z
  nodkey admin dead-letters replay --all

Exit code 0: none of them is a dead letter any more. 1: some failed again or must not be replayed, and stay. 3: one that you named does not exist.")]
    Replay(Chosen),
    /// Drop dead letters: their events never take effect
    #[command(after_help = "Examples:
  nodkey admin dead-letters drop binding_device_retired/01890a5d-ac96-774b-bcce-b302099a8057 --note \"a test device\"
  nodkey admin dead-letters drop --consumer notification_accepted --until 2026-11-01T00:00:00Z --note \"too late to matter\" --yes")]
    Drop {
        #[command(flatten)]
        chosen: Chosen,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        note: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Which dead letters to list.
#[derive(Clone, Debug, clap::Args)]
pub struct Filter {
    /// Only those of this service
    #[arg(long, value_parser = PossibleValuesParser::new(SERVICES.map(|(name, _)| name)))]
    service: Option<String>,
    /// Only those of this consumer
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    consumer: String,
    /// Only events on this subject, or on those that begin with these words: `evt.registry.v1.device_retired`
    #[arg(long, value_name = "SUBJECT", default_value = "", hide_default_value = true)]
    subject: String,
    /// Only those given up since this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    since: Option<Timestamp>,
    /// Only those given up before this time
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    until: Option<Timestamp>,
}

/// The dead letters to do something with: named, or found.
#[derive(Clone, Debug, clap::Args)]
pub struct Chosen {
    /// Consumers and event ids, as `list` shows them
    #[arg(value_name = "CONSUMER/EVENT_ID", value_parser = name, conflicts_with_all = ["all", "service", "consumer", "subject", "since", "until"])]
    letters: Vec<DeadLetterName>,
    /// All that the filters leave; without a filter, all there are
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Stop after this many; the oldest are first
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max: u32,
}

impl Filter {
    fn is_empty(&self) -> bool {
        let Self { service, consumer, subject, since, until } = self;
        service.is_none() && consumer.is_empty() && subject.is_empty() && since.is_none() && until.is_none()
    }

    /// The services to ask. A consumer belongs to one of them.
    fn services(&self) -> Vec<(&'static str, ServiceName)> {
        let of_consumer = service_of(&self.consumer);
        let wanted = |name: &str| {
            self.service.as_ref().is_none_or(|service| service == name) && (self.consumer.is_empty() || of_consumer == Some(name))
        };
        SERVICES.into_iter().filter(|(name, _)| wanted(name)).collect()
    }

    fn request(&self, service: &str, page_size: i32, page_token: String) -> ListDeadLettersRequest {
        ListDeadLettersRequest {
            service: service.to_owned(),
            page_size,
            page_token,
            consumer: self.consumer.clone(),
            subject: self.subject.clone(),
            since: self.since.map(timestamp),
            until: self.until.map(timestamp),
        }
    }
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::List { page, filter } => {
            let columns = ["letter", "subject", "given_up_at", "cause"];
            list(admin, page, &columns, async |size, token| {
                let (letters, next) = fetch(admin, &filter, size, &token).await?;
                Ok((letters.iter().map(to_record).collect(), next))
            })
            .await
        }
        Verb::Show { letter } => {
            let (service, mut client) = client_of(admin, &letter)?;
            let found = answer(client.get_dead_letter(to(service, GetDeadLetterRequest { name: Some(letter) }))).await?;
            let mut shown = to_record(&found.dead_letter.unwrap_or_default());
            shown.insert("replayable", json!(found.replayable));
            let headers: serde_json::Map<_, _> = found.headers.into_iter().map(|(name, value)| (name, json!(value))).collect();
            shown.insert("headers", Value::Object(headers.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect()));
            shown.insert("payload_bytes", json!(found.payload_bytes));
            shown.insert("payload", serde_json::from_str(&found.payload_json).unwrap_or(Value::Null));
            admin.show(&shown)
        }
        Verb::Replay(chosen) => {
            let named = !chosen.letters.is_empty();
            let letters = choose(admin, chosen).await?;
            replay(admin, letters, named).await
        }
        Verb::Drop { chosen, note, sure } => {
            let letters = choose(admin, chosen).await?;
            if letters.is_empty() {
                return output::page(admin.json, &["letter"], &[], "");
            }
            sure.ask(&format!("Drop {} dead letters: their events will never take effect", letters.len()))?;
            let mut count = 0;
            for (service, names) in calls(letters)? {
                let message = DropDeadLettersRequest { names, note: note.clone() };
                count += answer(client(admin, service).drop_dead_letters(to(service, message))).await?.count;
            }
            admin.show(&record([("dropped", json!(count))]))
        }
    }
}

/// Replays these, oldest first, and says what became of each.
async fn replay(admin: &Admin, letters: Vec<DeadLetterName>, named: bool) -> anyhow::Result<()> {
    let (all, mut replayed) = (letters.len(), Vec::new());
    for (service, names) in calls(letters)? {
        let message = ReplayDeadLettersRequest { names };
        replayed.extend(answer(client(admin, service).replay_dead_letters(to(service, message))).await?.replayed);
        if all > CALL {
            anstream::eprintln!("{} of {all}", replayed.len());
        }
    }
    let records: Vec<_> = replayed.iter().map(outcome).collect();
    output::page(admin.json, &["letter", "outcome", "cause"], &records, "")?;
    let count = |outcomes: &[ReplayOutcome]| replayed.iter().filter(|one| outcomes.contains(&one.outcome())).count();
    let stay = count(&[ReplayOutcome::Refused, ReplayOutcome::Failed, ReplayOutcome::Unspecified]);
    anyhow::ensure!(stay == 0, "{stay} of {all} dead letters stay: repair what their causes say, then replay them again, or drop them");
    // Found ones may have been replayed by somebody else meanwhile.
    let missing = count(&[ReplayOutcome::NotFound]);
    if named && missing > 0 {
        return Err(Refused(format!("{missing} of {all} are no dead letters: they were replayed or dropped before")).into());
    }
    Ok(())
}

/// The dead letters that were named, or at most `max` of those that are found, the oldest first.
async fn choose(admin: &Admin, chosen: Chosen) -> anyhow::Result<Vec<DeadLetterName>> {
    let Chosen { letters, all, filter, max } = chosen;
    if !letters.is_empty() {
        return Ok(letters);
    }
    if !all && filter.is_empty() {
        return Err(Usage("name dead letters, filter them, or add --all".to_owned()).into());
    }
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let (more, next) = fetch(admin, &filter, PAGE, &token).await.map_err(Error::from)?;
        found.extend(more);
        if next.is_empty() {
            break;
        }
        token = next;
    }
    found.sort_by_key(|letter| letter.given_up_at.as_ref().map(|at| (at.seconds, at.nanos)));
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    if found.len() > max {
        anstream::eprintln!("there are {}; these are the {max} oldest: repeat the command for the others", found.len());
        found.truncate(max);
    }
    Ok(found.into_iter().map(|letter| DeadLetterName { consumer: letter.consumer, event_id: letter.event_id }).collect())
}

/// Fetches at most `size` dead letters of all wanted services, and the token of the next page: the service, and the token there.
async fn fetch(admin: &Admin, filter: &Filter, size: i32, token: &str) -> Result<(Vec<DeadLetter>, String), tonic::Status> {
    let (at, token) = token.split_once(':').unwrap_or(("", token));
    let services = filter.services();
    let first = services.iter().position(|(name, _)| *name == at).unwrap_or(0);
    let (mut found, mut token) = (Vec::new(), token.to_owned());
    for (name, service) in services.into_iter().skip(first) {
        loop {
            let left = size.saturating_sub(i32::try_from(found.len()).unwrap_or(i32::MAX));
            if left == 0 {
                return Ok((found, format!("{name}:{token}")));
            }
            let message = filter.request(name, left, std::mem::take(&mut token));
            let page = client(admin, service).list_dead_letters(to(service, message)).await?.into_inner();
            found.extend(page.dead_letters);
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
    }
    Ok((found, String::new()))
}

/// The calls that are needed for these dead letters, in their order as far as each service is concerned.
fn calls(letters: Vec<DeadLetterName>) -> anyhow::Result<Vec<(ServiceName, Vec<DeadLetterName>)>> {
    let mut by_service: [Vec<DeadLetterName>; 4] = Default::default();
    for letter in letters {
        let at = SERVICES.iter().position(|(name, _)| Some(*name) == service_of(&letter.consumer));
        by_service[at.with_context(|| unknown(&letter.consumer))?].push(letter);
    }
    let services = SERVICES.into_iter().zip(by_service);
    Ok(services
        .flat_map(|((_, service), letters)| letters.chunks(CALL).map(|chunk| (service, chunk.to_vec())).collect::<Vec<_>>())
        .collect())
}

fn client(admin: &Admin, service: ServiceName) -> DeadLetterServiceClient<AdminChannel> {
    DeadLetterServiceClient::new(admin.channel(service))
}

fn client_of(admin: &Admin, letter: &DeadLetterName) -> anyhow::Result<(ServiceName, DeadLetterServiceClient<AdminChannel>)> {
    let found = SERVICES.iter().find(|(name, _)| Some(*name) == service_of(&letter.consumer));
    let (_, service) = found.with_context(|| unknown(&letter.consumer))?;
    Ok((*service, client(admin, *service)))
}

/// A request to a service, which a gateway in between forwards to it.
fn to<M>(service: ServiceName, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    if let Some((name, _)) = SERVICES.iter().find(|(_, own)| *own == service) {
        request.metadata_mut().insert(SERVICE_HEADER, MetadataValue::from_static(name));
    }
    request
}

/// The service of a consumer: the first word of its name.
fn service_of(consumer: &str) -> Option<&'static str> {
    let word = consumer.split('_').next().unwrap_or_default();
    SERVICES.iter().map(|(name, _)| *name).find(|name| *name == word)
}

fn unknown(consumer: &str) -> String {
    let names = SERVICES.map(|(name, _)| name).join(", ");
    format!("{consumer:?} is not a consumer: the name of a consumer begins with that of its service, {names}")
}

fn name(text: &str) -> Result<DeadLetterName, String> {
    let parts = text.split_once('/').filter(|(consumer, id)| !consumer.is_empty() && !id.is_empty());
    let (consumer, id) = parts.ok_or("must be a consumer and an event id with a slash between them, as `list` shows it")?;
    service_of(consumer).ok_or_else(|| unknown(consumer))?;
    let event_id = uuid::Uuid::parse_str(id).map_err(|_| format!("the event id must be a UUID, not {id:?}"))?;
    Ok(DeadLetterName { consumer: consumer.to_owned(), event_id: event_id.to_string() })
}

fn to_record(letter: &DeadLetter) -> Record {
    record([
        ("letter", json!(format!("{}/{}", letter.consumer, letter.event_id))),
        ("consumer", json!(letter.consumer)),
        ("event_id", json!(letter.event_id)),
        ("subject", json!(letter.subject)),
        ("given_up_at", time(letter.given_up_at.as_ref())),
        ("cause", json!(letter.cause)),
    ])
}

fn outcome(replayed: &ReplayedDeadLetter) -> Record {
    let DeadLetterName { consumer, event_id } = replayed.name.clone().unwrap_or_default();
    record([
        ("letter", json!(format!("{consumer}/{event_id}"))),
        ("consumer", json!(consumer)),
        ("event_id", json!(event_id)),
        ("outcome", word(replayed.outcome().as_str_name(), OUTCOME)),
        ("cause", filled(&replayed.cause)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    #[test]
    fn a_letter_is_named_by_its_consumer_and_its_event() {
        let named = name(&format!("binding_device_retired/{ID}")).unwrap();
        assert_eq!((named.consumer.as_str(), named.event_id.as_str()), ("binding_device_retired", ID));
        for bad in
            ["", "binding_device_retired", ID, "/x", "binding_device_retired/", "binding_device_retired/x", &format!("gateway_x/{ID}")]
        {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn each_call_is_of_one_service_and_bounded_and_keeps_the_order() {
        let letter = |consumer: &str, n: usize| DeadLetterName { consumer: consumer.into(), event_id: n.to_string() };
        let letters: Vec<_> = (0..250).map(|n| letter(if n % 5 == 0 { "binding_x" } else { "notification_y" }, n)).collect();
        let calls = calls(letters.clone()).unwrap();
        assert_eq!(calls.iter().map(|(_, names)| names.len()).collect::<Vec<_>>(), [50, 100, 100]);
        for prefix in ["binding", "notification"] {
            let of = |all: &[DeadLetterName]| all.iter().filter(|one| one.consumer.starts_with(prefix)).cloned().collect::<Vec<_>>();
            assert_eq!(of(&calls.iter().flat_map(|(_, names)| names.clone()).collect::<Vec<_>>()), of(&letters));
        }
        assert!(super::calls(vec![letter("nobody_x", 1)]).is_err());
    }

    #[test]
    fn a_consumer_or_a_service_says_whom_to_ask() {
        let filter = |service: Option<&str>, consumer: &str| Filter {
            service: service.map(Into::into),
            consumer: consumer.into(),
            subject: String::new(),
            since: None,
            until: None,
        };
        let names = |filter: Filter| filter.services().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(filter(None, "")).len(), 4);
        assert_eq!(names(filter(Some("registry"), "")), ["registry"]);
        assert_eq!(names(filter(None, "binding_device_retired")), ["binding"]);
        assert!(names(filter(Some("registry"), "binding_device_retired")).is_empty());
        assert!(filter(None, "").is_empty());
    }
}
