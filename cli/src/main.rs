//! The `nodkey` command.

mod admin;
mod arguments;
mod audit;
mod authority;
mod bench;
mod completions;
mod confirm;
mod connection;
mod demo;
mod dev;
mod failure;
mod handler;
mod keys;
mod lan;
mod listen;
mod login;
mod output;
mod phone;
mod platform;
mod qr;
mod reconnect;
mod requests;
mod serve;
mod session;
mod sessions;
mod sure;
mod trigger;
mod verify;
mod who;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// Self-hosted passwordless authentication: a backend sends a request, a phone shows and signs it, anyone can verify.
#[derive(Debug, Parser)]
#[command(name = "nodkey", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Examples:
  nodkey dev                       run everything here, on SQLite, with a demo relying party
  nodkey serve                     run everything here, in production
  nodkey demo                      watch a login from enrolment to evidence
  nodkey phone wait                act as a phone: show each request, accept or reject it
  nodkey login                     sign in as an operator, with your phone
  nodkey admin trusonafications list --json
  nodkey keys init keys            create the keys of a deployment with five services

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by the server or not found. From verify and audit verify, 4 to 6
say why the evidence does not show an accept, or why the audit log is not proven to be intact.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run all of Nodkey in this process, on SQLite
    Dev(dev::Args),
    /// Run all of Nodkey in this process, on SQLite, in production
    Serve(serve::Args),
    /// Show logins against a running server, step by step with times
    Demo(demo::Args),
    /// Act as a phone on the terminal
    Phone(phone::Args),
    Login(login::Login),
    Logout(login::Logout),
    #[command(name = "whoami")]
    WhoAmI(login::WhoAmI),
    Sessions(sessions::Args),
    /// Manage relying parties, credentials, keys, devices, bindings, trusonafications, deliveries
    Admin(admin::Args),
    /// Create, check and rotate the keys of a deployment
    Keys(keys::Args),
    /// What your backend sent, and how it was answered
    #[command(subcommand, after_help = "Example:\n  nodkey requests tail")]
    Requests(requests::Verb),
    Listen(listen::Args),
    Trigger(trigger::Args),
    /// Verify offline, from its evidence, that a trusonafication was accepted
    Verify(verify::Args),
    /// Check an export of the audit log
    Audit(audit::Args),
    /// Measure a running deployment: what a login costs, and the least it could cost
    Bench(bench::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

fn main() -> ExitCode {
    nodkey_runtime::install_crypto_provider();
    let matches = arguments::lenient(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    // A load generator on a single thread costs the least, and leaves the other processors to what it measures.
    let mut runtime = match command {
        Command::Bench(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Dev(args) => Box::pin(dev::run(args)).await,
            Command::Serve(args) => Box::pin(serve::run(args)).await,
            Command::Demo(args) => Box::pin(demo::run(args)).await,
            Command::Phone(args) => Box::pin(phone::run(args)).await,
            Command::Login(args) => Box::pin(login::login(args)).await,
            Command::Logout(args) => Box::pin(login::logout(args)).await,
            Command::WhoAmI(args) => Box::pin(login::who_am_i(args)).await,
            Command::Sessions(args) => Box::pin(sessions::run(args)).await,
            Command::Admin(args) => Box::pin(admin::run(args)).await,
            Command::Keys(args) => keys::run(args),
            Command::Requests(verb) => Box::pin(requests::run(verb)).await,
            Command::Listen(args) => Box::pin(listen::run(args)).await,
            Command::Trigger(args) => Box::pin(trigger::run(args)).await,
            Command::Verify(args) => Box::pin(verify::run(args)).await,
            Command::Audit(args) => Box::pin(audit::run(args)).await,
            Command::Bench(args) => Box::pin(bench::run(args)).await,
            Command::Completions(args) => completions::run(&args),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_well_formed_and_shows_an_example() {
        let mut cli = arguments::lenient(Cli::command());
        cli.build();
        cli.clone().debug_assert();
        let mut left = vec![cli];
        while let Some(command) = left.pop() {
            left.extend(command.get_subcommands().filter(|c| c.get_name() != "help").cloned());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "{} has no example", command.get_bin_name().unwrap_or_default());
        }
    }
}
