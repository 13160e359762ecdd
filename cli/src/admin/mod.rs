//! `nodkey admin`: a deployment as its operator sees it, over gRPC. One file a noun.

mod app_links;
mod audit;
mod bindings;
mod credentials;
mod deliveries;
mod devices;
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
mod retention;
mod syslog;
mod trusonafications;
mod users;
pub(crate) mod values;

use std::{io::IsTerminal as _, time::Duration};

use anyhow::Context as _;
use clap::Subcommand;
use nodkey_kernel::random::Random;
use nodkey_server_sdk::{Error, Kind, Nodkey, ServiceName};
use tonic::{Request, Response, Status};

use crate::{
    confirm::AdminChannel,
    connection::{Connected, DataDir, Grpc, Operator},
    output::{self, Record, plain},
    session::{Session, SessionEnded},
};

/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Manage a deployment as its operator.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey admin relying-parties create \"Acme Bank\"
  nodkey admin devices list
  nodkey admin trusonafications list --status in-progress --json

Sign in first with `nodkey login`, so that the audit log names you; or give the operator key, which wins.
Lists answer with --json as {\"items\": [...], \"next_page_token\": ...}.")]
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
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Tenants: the organisations whose users are authenticated
    #[command(subcommand, after_help = "Example:\n  nodkey admin relying-parties list")]
    RelyingParties(relying_parties::Verb),
    /// Links that open a relying party's app
    #[command(subcommand, after_help = "Example:\n  nodkey admin app-links show")]
    AppLinks(app_links::Verb),
    /// How long what is over is kept
    #[command(subcommand, after_help = "Example:\n  nodkey admin retention show")]
    Retention(retention::Verb),
    /// Credentials of a relying party: for its backend and for its app
    #[command(subcommand, after_help = "Example:\n  nodkey admin credentials create server")]
    Credentials(credentials::Verb),
    /// The deployment's signing keys
    #[command(subcommand, after_help = "Example:\n  nodkey admin keys rotate --owner trusonafication")]
    Keys(keys::Verb),
    /// The people who run the deployment, and sign in to its console
    #[command(subcommand, after_help = "Example:\n  nodkey admin operators invite \"Ada Lovelace\" --role owner")]
    Operators(operators::Verb),
    /// What operators did
    #[command(subcommand, after_help = "Example:\n  nodkey admin audit list")]
    Audit(audit::Verb),
    /// Phones and tablets
    #[command(subcommand, after_help = "Example:\n  nodkey admin devices list")]
    Devices(devices::Verb),
    /// Identity documents of users, which accepts at level 3 present
    #[command(subcommand, after_help = "Example:\n  nodkey admin documents list ada")]
    Documents(documents::Verb),
    /// Which device belongs to which user
    #[command(subcommand, after_help = "Example:\n  nodkey admin bindings list --user ada")]
    Bindings(bindings::Verb),
    /// Which device scanned a secure QR code
    #[command(subcommand, after_help = "Example:\n  nodkey admin pairings show 019ab2f4-9000-7a52-9d27-0d2b8a7f4c99")]
    Pairings(pairings::Verb),
    /// The people whose devices those are
    #[command(subcommand, after_help = "Example:\n  nodkey admin users freeze ada")]
    Users(users::Verb),
    Import(import::Args),
    /// Questions to users and their answers
    #[command(subcommand, after_help = "Example:\n  nodkey admin trusonafications list --status in-progress")]
    Trusonafications(trusonafications::Verb),
    /// How often others may prompt a user
    #[command(subcommand, after_help = "Example:\n  nodkey admin prompts show ada")]
    Prompts(prompts::Verb),
    /// Webhook endpoints: where results are posted to
    #[command(subcommand, after_help = "Example:\n  nodkey admin endpoints create https://shop.example.com/nodkey")]
    Endpoints(endpoints::Verb),
    /// What the relying party is to push providers
    #[command(subcommand, after_help = "Example:\n  nodkey admin push webpush mailto:ops@example.com")]
    Push(push::Verb),
    /// Webhooks that were, are or will be sent
    #[command(subcommand, after_help = "Example:\n  nodkey admin deliveries list --state exhausted")]
    Deliveries(deliveries::Verb),
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    // What is the deployment's is managed from above: no relying party is acted for.
    let scoped = !matches!(args.noun, Noun::RelyingParties(_) | Noun::Operators(_) | Noun::Audit(_) | Noun::Keys(_));
    let admin = Admin::connect(args.operator, &args.data_dir, &args.grpc, scoped, args.json)?;
    let done = run_noun(&admin, args.noun).await;
    admin.explained(done)
}

async fn run_noun(admin: &Admin, noun: Noun) -> anyhow::Result<()> {
    match noun {
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
    }
}

/// What every verb works with.
pub(crate) struct Admin {
    nodkey: Nodkey,
    relying_party: Option<String>,
    session: Option<Session>,
    json: bool,
}

impl Admin {
    /// Connects, and says as whom where that is somebody.
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

    /// Says of a call that proved nobody that the session is over.
    pub(crate) fn explained(&self, done: anyhow::Result<()>) -> anyhow::Result<()> {
        let Some(Session { gateway, .. }) = &self.session else { return done };
        let over = |error: &anyhow::Error| {
            let mut causes = error.chain();
            let is_call = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<Error>().map(|error| error.kind);
            causes.find_map(is_call) == Some(Kind::Unauthenticated)
        };
        done.map_err(|error| if over(&error) { SessionEnded(gateway.clone()).into() } else { error })
    }

    /// The relying party to act for, where a call cannot do without.
    fn relying_party(&self) -> anyhow::Result<String> {
        self.relying_party.clone().context("a relying party is needed: name one with --relying-party UUID, or set NODKEY_RELYING_PARTY")
    }

    pub(crate) fn show(&self, record: &Record) -> anyhow::Result<()> {
        output::show(self.json, record)
    }
}

/// A request that does not wait for ever.
pub(crate) fn request<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// The message of an answer, or the refusal taken apart.
pub(crate) async fn answer<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Error> {
    Ok(call.await?.into_inner())
}

/// Names a create: unique to this run.
fn request_id() -> String {
    Random::system().token()
}
