//! `nodkey completions`.

use std::io::Write as _;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey completions bash > ~/.local/share/bash-completion/completions/nodkey
  nodkey completions zsh > ~/.zfunc/_nodkey
  nodkey completions fish > ~/.config/fish/completions/nodkey.fish")]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "nodkey", &mut script);
    std::io::stdout().write_all(&script).context("cannot write to standard output")
}
