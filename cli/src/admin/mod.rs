//! `nodkey admin`: manages a deployment as its operator, over gRPC. One module per noun.

mod app_links;
mod audit;
mod backup;
mod bindings;
mod credentials;
mod dead_letters;
mod deliveries;
mod devices;
mod doctor;
mod documents;
mod endpoints;
mod import;
mod keys;
pub(crate) mod list;
mod listen;
mod operators;
mod pairings;
mod prompts;
mod push;
mod relying_parties;
mod replay;
mod retention;
mod syslog;
mod trusonafications;
mod users;
pub(crate) mod values;

use std::{io::IsTerminal as _, time::Duration};

use anyhow::Context as _;
use clap::Subcommand;
use nodkey_client::{Error, Kind, Nodkey, ServiceName};
use nodkey_kernel::random::Random;
use tonic::{Request, Response, Status};

use crate::{
    confirm::AdminChannel,
    connection::{Connected, DataDir, Grpc, Operator},
    output::{self, Record, plain},
    session::{Session, SessionEnded},
};

/// The deadline of a call.
const DEADLINE: Duration = Duration::from_secs(10);

/// Manage a deployment as its operator.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey admin relying-parties create \"Acme Bank\"
  nodkey admin devices list
  nodkey admin trusonafications list --status in-progress --json

Sign in first with `nodkey login`, so that the audit log names you; or give the operator key, which takes precedence.
With --json, lists are printed as {\"items\": [...], \"next_page_token\": ...}.")]
pub struct Args {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    grpc: Grpc,
    #[command(flatten)]
    operator: Operator,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Without a server.
    #[command(flatten)]
    OnDatabases(backup::Command),
    #[command(flatten)]
    OnServers(Noun),
}

#[derive(Debug, Subcommand)]
enum Noun {
    Doctor(doctor::Args),
    /// Relying parties, the tenants: the organisations whose users are authenticated
    #[command(subcommand, after_help = "Example:\n  nodkey admin relying-parties list")]
    RelyingParties(relying_parties::Verb),
    /// Links that open a relying party's app
    #[command(subcommand, after_help = "Example:\n  nodkey admin app-links show")]
    AppLinks(app_links::Verb),
    /// Retention: how long finished trusonafications and unbound devices are kept
    #[command(subcommand, after_help = "Example:\n  nodkey admin retention show")]
    Retention(retention::Verb),
    /// Credentials of a relying party: for its backend and for its app
    #[command(subcommand, after_help = "Example:\n  nodkey admin credentials create server")]
    Credentials(credentials::Verb),
    /// The deployment's signing keys
    #[command(subcommand, after_help = "Example:\n  nodkey admin keys rotate --owner trusonafication")]
    Keys(keys::Verb),
    /// Operators: the people who run the deployment, and sign in to its console
    #[command(subcommand, after_help = "Example:\n  nodkey admin operators invite \"Ada Lovelace\" --role owner")]
    Operators(operators::Verb),
    /// The audit log of operators' actions
    #[command(subcommand, after_help = "Example:\n  nodkey admin audit list")]
    Audit(audit::Verb),
    /// Phones and tablets
    #[command(subcommand, after_help = "Example:\n  nodkey admin devices list")]
    Devices(devices::Verb),
    /// Identity documents of users, which accepts at level 3 present
    #[command(subcommand, after_help = "Example:\n  nodkey admin documents list ada")]
    Documents(documents::Verb),
    /// Bindings between devices and users
    #[command(subcommand, after_help = "Example:\n  nodkey admin bindings list --user ada")]
    Bindings(bindings::Verb),
    /// Devices that scanned secure QR codes
    #[command(subcommand, after_help = "Example:\n  nodkey admin pairings show 019ab2f4-9000-7a52-9d27-0d2b8a7f4c99")]
    Pairings(pairings::Verb),
    /// Users of the devices
    #[command(subcommand, after_help = "Example:\n  nodkey admin users freeze ada")]
    Users(users::Verb),
    Import(import::Args),
    /// Authentication challenges and their results
    #[command(subcommand, after_help = "Example:\n  nodkey admin trusonafications list --status in-progress")]
    Trusonafications(trusonafications::Verb),
    /// Prompt budgets: how often others may prompt a user
    #[command(subcommand, after_help = "Example:\n  nodkey admin prompts show ada")]
    Prompts(prompts::Verb),
    /// Webhook endpoints: where events are posted to
    #[command(subcommand, after_help = "Example:\n  nodkey admin endpoints create https://shop.example.com/nodkey")]
    Endpoints(endpoints::Verb),
    /// Credentials of the relying party at push providers
    #[command(subcommand, after_help = "Example:\n  nodkey admin push webpush mailto:ops@example.com")]
    Push(push::Verb),
    /// Webhook deliveries: pending, succeeded and failed
    #[command(subcommand, after_help = "Example:\n  nodkey admin deliveries list --state exhausted")]
    Deliveries(deliveries::Verb),
    /// Dead letters: events that a service gave up
    #[command(subcommand, after_help = "Example:\n  nodkey admin dead-letters list")]
    DeadLetters(dead_letters::Verb),
    Replay(replay::Args),
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let noun = match args.command {
        Command::OnDatabases(command) => return backup::run(command, &args.data_dir.path, args.json).await,
        Command::OnServers(noun) => noun,
    };
    // These nouns belong to the deployment, so no relying party is acted for.
    let scoped = !matches!(
        noun,
        Noun::Doctor(_)
            | Noun::RelyingParties(_)
            | Noun::Operators(_)
            | Noun::Audit(_)
            | Noun::Keys(_)
            | Noun::DeadLetters(_)
            | Noun::Replay(_)
    );
    let admin = Admin::connect(args.operator, &args.data_dir, &args.grpc, scoped, args.json)?;
    let done = run_noun(&admin, &args.data_dir, &args.grpc, noun).await;
    admin.explained(done)
}

async fn run_noun(admin: &Admin, data_dir: &DataDir, grpc: &Grpc, noun: Noun) -> anyhow::Result<()> {
    match noun {
        Noun::Doctor(args) => doctor::run(admin, data_dir, grpc, args).await,
        Noun::RelyingParties(verb) => relying_parties::run(admin, verb).await,
        Noun::AppLinks(verb) => app_links::run(admin, verb).await,
        Noun::Retention(verb) => retention::run(admin, verb).await,
        Noun::Credentials(verb) => credentials::run(admin, verb).await,
        Noun::Keys(verb) => keys::run(admin, verb).await,
        Noun::Operators(verb) => operators::run(admin, verb).await,
        Noun::Audit(verb) => audit::run(admin, verb).await,
        Noun::Devices(verb) => devices::run(admin, verb).await,
        Noun::Documents(verb) => documents::run(admin, verb).await,
        Noun::Bindings(verb) => bindings::run(admin, verb).await,
        Noun::Pairings(verb) => pairings::run(admin, verb).await,
        Noun::Users(verb) => users::run(admin, verb).await,
        Noun::Import(args) => import::run(admin, args).await,
        Noun::Trusonafications(verb) => trusonafications::run(admin, verb).await,
        Noun::Prompts(verb) => prompts::run(admin, verb).await,
        Noun::Endpoints(verb) => endpoints::run(admin, verb).await,
        Noun::Push(verb) => push::run(admin, verb).await,
        Noun::Deliveries(verb) => deliveries::run(admin, verb).await,
        Noun::DeadLetters(verb) => dead_letters::run(admin, verb).await,
        Noun::Replay(args) => replay::run(admin, args).await,
    }
}

/// What every verb needs.
pub(crate) struct Admin {
    nodkey: Nodkey,
    relying_party: Option<String>,
    session: Option<Session>,
    json: bool,
}

impl Admin {
    /// Connects. With a session, prints its operator to the terminal.
    pub(crate) fn connect(operator: Operator, data_dir: &DataDir, grpc: &Grpc, scoped: bool, json: bool) -> anyhow::Result<Self> {
        let Connected { nodkey, relying_party, session } = operator.connect(data_dir, grpc, scoped)?;
        if let Some(Session { gateway, operator, .. }) = &session
            && std::io::stderr().is_terminal()
        {
            anstream::eprintln!("as {} ({}) at {gateway}", plain(&operator.name), operator.role);
        }
        Ok(Self { nodkey, relying_party, session, json })
    }

    pub(crate) fn channel(&self, service: ServiceName) -> AdminChannel {
        let registry = self.session.as_ref().map(|_| self.nodkey.channel(ServiceName::Registry));
        AdminChannel::new(self.nodkey.channel(service), registry)
    }

    /// If the caller was not authenticated, explains that the session has ended.
    pub(crate) fn explained(&self, done: anyhow::Result<()>) -> anyhow::Result<()> {
        let Some(Session { gateway, .. }) = &self.session else { return done };
        let over = |error: &anyhow::Error| {
            let mut causes = error.chain();
            let is_call = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<Error>().map(|error| error.kind);
            causes.find_map(is_call) == Some(Kind::Unauthenticated)
        };
        done.map_err(|error| if over(&error) { SessionEnded(gateway.clone()).into() } else { error })
    }

    /// The relying party to act for, where a call requires one.
    fn relying_party(&self) -> anyhow::Result<String> {
        self.relying_party.clone().context("a relying party is required: name one with --relying-party UUID, or set NODKEY_RELYING_PARTY")
    }

    pub(crate) fn show(&self, record: &Record) -> anyhow::Result<()> {
        output::show(self.json, record)
    }
}

/// A request with a deadline.
pub(crate) fn request<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// Returns the message of a response, or the parsed error.
pub(crate) async fn answer<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Error> {
    Ok(call.await?.into_inner())
}

/// The id of a create request, unique to this run.
fn request_id() -> String {
    Random::system().token()
}
