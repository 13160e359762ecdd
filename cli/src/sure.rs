//! Prompts before actions that cannot be undone.

use std::io::{BufRead, IsTerminal as _};

use anyhow::Context as _;

use crate::failure::{Refused, Usage};

/// Confirms that the user is sure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Sure {
    /// Skip the confirmation prompt; required without a terminal
    #[arg(long)]
    yes: bool,
}

impl Sure {
    /// Prompts on the terminal, unless `--yes` was given. `what` is the prompt without its question mark: `Retire device x permanently`.
    pub fn ask(self, what: &str) -> anyhow::Result<()> {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        self.answered(what, terminal.then(|| std::io::stdin().lock()))
    }

    fn answered(self, what: &str, terminal: Option<impl BufRead>) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        let Some(mut terminal) = terminal else {
            return Err(Usage(format!("{what}? There is no terminal to confirm at: add --yes if you are sure. Nothing was done")).into());
        };
        anstream::eprint!("{what}? [y/N] ");
        let mut answer = String::new();
        terminal.read_line(&mut answer).context("cannot read the answer")?;
        if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            Ok(())
        } else {
            Err(Refused("nothing was done".to_owned()).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    const NOBODY: Option<&[u8]> = None;

    #[test]
    fn it_is_done_by_whoever_says_yes_and_by_nobody_else() {
        let asked = Sure { yes: false };
        for (answer, done) in [("y\n", true), ("Yes\n", true), ("\n", false), ("", false), ("no\n", false), ("yess\n", false)] {
            assert_eq!(asked.answered("Retire it", Some(answer.as_bytes())).is_ok(), done, "{answer:?}");
        }
        let refused = asked.answered("Retire it", NOBODY).unwrap_err();
        assert!(refused.is::<Usage>() && refused.to_string().contains("--yes"), "{refused}");
        Sure { yes: true }.answered("Retire it", NOBODY).unwrap();
    }

    #[test]
    fn every_command_that_cannot_be_undone_asks() {
        let mut left = vec![crate::Cli::command()];
        let mut asks = 0;
        while let Some(command) = left.pop() {
            let reversible = command.find_subcommand("enable").is_some();
            for verb in command.get_subcommands() {
                let lasting =
                    ["delete", "retire", "deactivate", "freeze"].contains(&verb.get_name()) || verb.get_name() == "disable" && !reversible;
                let has = verb.get_arguments().any(|arg| arg.get_long() == Some("yes"));
                assert!(has || !lasting, "{} {}", command.get_name(), verb.get_name());
                asks += usize::from(lasting);
            }
            left.extend(command.get_subcommands().cloned());
        }
        assert!(asks >= 9, "{asks}");
    }
}
