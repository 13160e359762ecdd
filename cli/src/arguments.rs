//! Rules for every argument of every command.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, builder::ValueParser};

/// Makes arguments accept any value that can occur: one in 64 base64url identifiers, tokens and hashes begins with a hyphen. Negative
/// numbers are accepted, too, so that the error states the limits and not that there is no such option.
pub fn lenient(command: Command) -> Command {
    command.mut_args(lenient_argument).mut_subcommands(lenient)
}

fn lenient_argument(arg: Arg) -> Arg {
    let kind = Kind::of(&arg);
    match kind {
        // With several values, it would also take the options that follow.
        Kind::Text if !takes_several(&arg) => arg.allow_hyphen_values(true),
        Kind::Number => arg.allow_negative_numbers(true),
        Kind::Text | Kind::Flag | Kind::Word | Kind::Path => arg,
    }
}

/// Whether an argument takes values until something stops it.
fn takes_several(arg: &Arg) -> bool {
    let several = arg.get_num_args().is_some_and(|values| values.max_values() > 1);
    several || (arg.is_positional() && matches!(arg.get_action(), ArgAction::Append))
}

/// The kind of value of an argument, as far as it matters for parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// No value, or a command line of its own after `--`.
    Flag,
    /// One of a fixed set of words.
    Word,
    /// A number.
    Number,
    /// The name of a file: one that begins with a hyphen is `./-x`.
    Path,
    /// Any other text.
    Text,
}

impl Kind {
    fn of(arg: &Arg) -> Self {
        if !arg.get_action().takes_values() || arg.is_last_set() {
            return Self::Flag;
        }
        if !arg.get_possible_values().is_empty() {
            return Self::Word;
        }
        let is = |kinds: &[ValueParser]| kinds.iter().any(|kind| arg.get_value_parser().type_id() == kind.type_id());
        if is(&[
            clap::value_parser!(u16).into(),
            clap::value_parser!(u32).into(),
            clap::value_parser!(u64).into(),
            clap::value_parser!(i32).into(),
            clap::value_parser!(i64).into(),
            ValueParser::new(|text: &str| text.parse::<usize>()),
            ValueParser::new(|text: &str| text.parse::<f64>()),
        ]) {
            return Self::Number;
        }
        if is(&[clap::value_parser!(PathBuf)]) { Self::Path } else { Self::Text }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::{CommandFactory as _, builder::ValueRange, error::ErrorKind};
    use nodkey_runtime::OF_THE_COMMAND;

    use super::*;
    use crate::Cli;

    /// Every command with the words that lead to it, with nothing required any more.
    fn commands() -> Vec<(Vec<String>, Command)> {
        let mut left = vec![(Vec::new(), lenient(Cli::command()))];
        let mut all = Vec::new();
        while let Some((path, command)) = left.pop() {
            for below in command.get_subcommands() {
                left.push(([path.clone(), vec![below.get_name().to_owned()]].concat(), below.clone()));
            }
            all.push((path, command));
        }
        all
    }

    /// A valid value for an argument of this kind, for those that precede the tested one.
    fn sample(arg: &Arg) -> String {
        let words = arg.get_possible_values();
        match words.first() {
            Some(word) => word.get_name().to_owned(),
            None if arg.get_value_parser().type_id() == ValueParser::string().type_id() => "x".to_owned(),
            None => "1".to_owned(),
        }
    }

    /// Parses a command line with this value for one argument. Ignores other missing arguments.
    fn with(path: &[String], command: &Command, arg: &Arg, value: &str) -> Result<(), clap::Error> {
        let mut line: Vec<OsString> = [vec!["nodkey".to_owned()], path.to_vec()].concat().into_iter().map(Into::into).collect();
        match (arg.get_long(), arg.get_short()) {
            (Some(long), _) => line.push(format!("--{long}").into()),
            (None, Some(short)) => line.push(format!("-{short}").into()),
            (None, None) => {
                let before = command.get_positionals().take_while(|other| other.get_id() != arg.get_id());
                line.extend(before.map(|other| sample(other).into()));
            }
        }
        line.push(value.into());
        match lenient(Cli::command()).try_get_matches_from(line) {
            Ok(_) => Ok(()),
            Err(e) if is_about_others(e.kind()) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Whether the value was parsed and something else is missing.
    fn is_about_others(kind: ErrorKind) -> bool {
        use ErrorKind::{ArgumentConflict, DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument, MissingSubcommand};
        matches!(kind, ArgumentConflict | DisplayHelpOnMissingArgumentOrSubcommand | MissingRequiredArgument | MissingSubcommand)
    }

    fn each(mut look: impl FnMut(&[String], &Command, &Arg)) {
        for (path, command) in commands() {
            command.get_arguments().for_each(|arg| look(&path, &command, arg));
        }
    }

    /// Arguments with several values that never begin with a hyphen.
    const OF_UUIDS: &[&str] = &["ids", "letters"];

    #[test]
    fn every_argument_that_takes_text_takes_one_that_begins_with_hyphens() {
        let mut looked_at = 0;
        each(|path, command, arg| {
            if Kind::of(arg) != Kind::Text {
                return;
            }
            if takes_several(arg) {
                assert!(
                    OF_UUIDS.contains(&arg.get_id().as_str()),
                    "{path:?} {}: name one each, or none may begin with a hyphen",
                    arg.get_id()
                );
                return;
            }
            assert!(arg.is_allow_hyphen_values_set(), "{path:?} {}", arg.get_id());
            // Values with a format of their own are refused by their parser, and not because of the hyphen.
            let free = [ValueParser::string().type_id(), ValueParser::from(clap::builder::NonEmptyStringValueParser::new()).type_id()];
            for value in ["-Zr0WSvqNxXVK0Ll5ZbZVo6mJk5n3gT2yQ4kq0b1cD2", "--r0WSvqNxXVK0Ll5ZbZVo6mJk5n3gT2yQ4kq0b1cD2", "-", "-hV_"] {
                match with(path, command, arg, value) {
                    Ok(()) => {}
                    Err(e) if !free.contains(&arg.get_value_parser().type_id()) || e.kind() == ErrorKind::ValueValidation => {
                        assert!(matches!(e.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue), "{path:?} {}: {e}", arg.get_id());
                    }
                    Err(e) => panic!("{path:?} {}: {e}", arg.get_id()),
                }
            }
            looked_at += 1;
        });
        assert!(looked_at > 80, "{looked_at}");
    }

    #[test]
    fn no_argument_swallows_the_option_behind_it() {
        each(|path, _, arg| {
            if !arg.is_allow_hyphen_values_set() {
                return;
            }
            let name = format!("{path:?} {}", arg.get_id());
            assert_eq!(arg.get_num_args().unwrap_or(ValueRange::SINGLE), ValueRange::SINGLE, "{name} takes one value, whatever it is");
            assert!(!takes_several(arg), "{name}");
        });
        let parsed = lenient(Cli::command()).try_get_matches_from(["nodkey", "admin", "users", "show", "-Zr0", "--json"]).unwrap();
        let admin = parsed.subcommand_matches("admin").unwrap();
        assert!(admin.get_flag("json"));
        let help = lenient(Cli::command()).try_get_matches_from(["nodkey", "admin", "users", "show", "-h"]).unwrap_err();
        assert_eq!(help.kind(), ErrorKind::DisplayHelp);
    }

    #[test]
    fn every_number_has_limits_and_whoever_is_beyond_them_is_told_which() {
        let mut looked_at = 0;
        each(|path, command, arg| {
            if Kind::of(arg) != Kind::Number {
                return;
            }
            for value in ["-1", "9223372036854775807", "99999999999999999999999", "NaN", ""] {
                let name = format!("{path:?} {} {value:?}", arg.get_id());
                let refused = with(path, command, arg, value).expect_err(&name);
                assert!(matches!(refused.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue), "{name}: {refused}");
            }
            let refused = with(path, command, arg, "9223372036854775807").unwrap_err().to_string();
            assert!(refused.contains("..=") || refused.contains("must be"), "{path:?} {}: {refused}", arg.get_id());
            looked_at += 1;
        });
        assert!(looked_at > 15, "{looked_at}");
    }

    /// Durations that may be zero.
    const MAY_BE_NONE: &[&str] = &["max_date_skew", "idle", "warmup", "overlap_seconds"];

    #[test]
    fn a_time_of_nothing_is_refused_where_it_means_nothing() {
        let mut looked_at = 0;
        each(|path, command, arg| {
            let is_time = arg.get_value_names().is_some_and(|names| names.iter().any(|name| *name == "SECONDS" || *name == "DURATION"));
            if !is_time || MAY_BE_NONE.contains(&arg.get_id().as_str()) {
                return;
            }
            for none in if Kind::of(arg) == Kind::Number { ["0", "-5"] } else { ["0s", "-5s"] } {
                let refused = with(path, command, arg, none);
                assert_eq!(refused.map_err(|e| e.kind()), Err(ErrorKind::ValueValidation), "{path:?} {} {none}", arg.get_id());
            }
            looked_at += 1;
        });
        assert!(looked_at >= 4, "{looked_at}");
    }

    #[test]
    fn services_know_which_variables_are_of_this_command_alone() {
        each(|path, _, arg| {
            let Some(variable) = arg.get_env().and_then(|name| name.to_str()) else { return };
            // Settings of services, and those that both read, are recognized by their names.
            let shared = variable.contains("__") || ["NODKEY_CONFIG", "NODKEY_LOG", "NODKEY_LOG_FORMAT"].contains(&variable);
            assert!(shared || OF_THE_COMMAND.contains(&variable), "{path:?}: {variable}");
        });
    }
}
