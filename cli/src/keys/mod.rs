//! `nodkey keys`: creates, checks and rotates the keys of a deployment in a folder on the operators' own machine, without a server.

mod check;
mod folder;
mod nats;
mod ring;

use std::path::PathBuf;

use clap::Subcommand;
use nodkey_kernel::{random::Random, service_key::ServiceName, time::Clock};
use serde_json::{Value, json};

use crate::{
    failure::Refused,
    output::{self, line, record},
};
use folder::Folder;
use ring::{Keys, State};

/// Create, check and rotate the keys of a deployment.
///
/// A folder holds all keys in keys.json, and next to it one file per service with exactly what that service needs: NAME=VALUE lines for
/// `env_file` of Docker Compose, `EnvironmentFile` of systemd, or a shell. Keep the folder where you keep other secrets.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey keys init keys
  nodkey keys check keys
  nodkey keys rotate keys registry")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create all keys of a deployment in a new folder
    #[command(after_help = "Examples:
  nodkey keys init keys
  NODKEY_DEPLOYMENT__MASTER_KEY=... NODKEY_DEPLOYMENT__OPERATOR_KEY=... nodkey keys init keys")]
    Init {
        #[command(flatten)]
        dir: Dir,
        /// Master key of an existing deployment, to keep; preferably set in the environment
        #[arg(long, env = "NODKEY_DEPLOYMENT__MASTER_KEY", hide_env_values = true, value_name = "KEY")]
        master_key: Option<String>,
        /// Operator key of an existing deployment, to keep; an older symmetric one is kept until it is rotated
        #[arg(long, env = "NODKEY_DEPLOYMENT__OPERATOR_KEY", hide_env_values = true, value_name = "KEY")]
        operator_key: Option<String>,
        /// Prefix of the deployment's subjects, streams and users in NATS, to share a NATS server: letters, digits, _
        #[arg(long, env = "NODKEY_BUS__PREFIX", default_value = "", hide_default_value = true, value_name = "NAME")]
        bus_prefix: String,
    },
    /// Report what is missing, old, misplaced or readable by others
    ///
    /// Exit code 0 without findings, 3 otherwise.
    #[command(after_help = "Examples:
  nodkey keys check keys
  nodkey keys check keys --max-age-days 90 --json")]
    Check {
        #[command(flatten)]
        dir: Dir,
        /// Report keys that have been signing for longer as old
        #[arg(long, default_value_t = 365, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        max_age_days: u32,
    },
    /// Take the next of three steps in the rotation of a key; prints what to restart after each
    ///
    /// First the new key is created and accepted everywhere in addition to the old one. Then it signs. Then the old key is no longer
    /// accepted. With a rolling restart after each step, nothing is refused.
    #[command(after_help = "Examples:
  nodkey keys rotate keys registry
  nodkey keys rotate keys cookie")]
    Rotate {
        #[command(flatten)]
        dir: Dir,
        /// gateway, registry, binding, trusonafication, notification, cookie, operator or master
        #[arg(value_name = "KEY", value_parser = ring::Name::parse)]
        key: ring::Name,
    },
    /// Write the files of the services again from keys.json
    #[command(after_help = "Example:
  nodkey keys write keys")]
    Write(Dir),
}

#[derive(Debug, clap::Args)]
struct Dir {
    /// The folder
    #[arg(value_name = "DIR")]
    path: PathBuf,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let now = Clock::system().now();
    match args.command {
        Command::Init { dir, master_key, operator_key, bus_prefix } => {
            let mut keys = Keys::new(&Random::system(), now);
            keys.keep(master_key, operator_key)?;
            keys.share_nats(&bus_prefix, &Random::system(), now)?;
            let folder = Folder::create(dir.path)?;
            folder.write(&keys)?;
            print(
                args.json,
                &folder,
                &keys,
                "give each service only its own file, the NATS server nats-users.conf, and nobody keys.json; operator.env is for people who run `nodkey admin`, not for services",
            )
        }
        Command::Check { dir, max_age_days } => check(args.json, &Folder::open(dir.path), max_age_days, now),
        Command::Rotate { dir, key } => {
            let folder = Folder::open(dir.path);
            let mut keys = folder.read()?;
            let step = keys.rotate(key, &Random::system(), now);
            folder.write(&keys)?;
            print(args.json, &folder, &keys, &step)
        }
        Command::Write(dir) => {
            let folder = Folder::open(dir.path);
            let keys = folder.read()?;
            folder.write(&keys)?;
            print(args.json, &folder, &keys, "restart the services whose files have changed")
        }
    }
}

/// Prints which keys there are, never the keys themselves.
fn print(json: bool, folder: &Folder, keys: &Keys, next: &str) -> anyhow::Result<()> {
    let rows = rows(keys);
    if json {
        return output::document(&json!({"folder": folder.path(), "keys": rows, "next": next}));
    }
    output::page(false, &COLUMNS, &rows, "")?;
    line(format_args!("\n{}: {next}", folder.path().display()))
}

const COLUMNS: [&str; 4] = ["name", "state", "made_at", "kid"];

fn rows(keys: &Keys) -> Vec<output::Record> {
    let row = |(name, state, made_at, kid): (String, State, String, Option<String>)| {
        let kid = kid.map_or(Value::Null, Value::from);
        record([("name", json!(name)), ("state", json!(state)), ("made_at", json!(made_at)), ("kid", kid)])
    };
    keys.list().into_iter().map(row).collect()
}

fn check(json: bool, folder: &Folder, max_age_days: u32, now: nodkey_kernel::time::Timestamp) -> anyhow::Result<()> {
    let keys = folder.read()?;
    let problems = check::problems(folder, &keys, max_age_days, now);
    if json {
        let problems: Vec<_> = problems.iter().map(|it| json!({"file": it.file, "kind": it.kind, "what": it.what})).collect();
        output::document(&json!({"folder": folder.path(), "keys": rows(&keys), "problems": problems}))?;
    } else {
        output::page(false, &COLUMNS, &rows(&keys), "")?;
        for problem in &problems {
            line(format_args!("{}: {}: {}", problem.file, problem.kind, problem.what))?;
        }
    }
    match problems.len() {
        0 => Ok(()),
        n => Err(Refused(format!("{n} of the keys' files {} not as they should be", if n == 1 { "is" } else { "are" })).into()),
    }
}

/// The services in display order.
fn services() -> impl Iterator<Item = ServiceName> {
    ServiceName::ALL.iter().copied()
}
