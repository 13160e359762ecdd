//! The command line of a service.

use std::ffi::OsString;

use super::{
    config::Config,
    given::variable,
    service::Service,
    shape::{Known, Shape, settings},
};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Serve.
    Run,
    /// Ask the running process whether it is ready.
    HealthCheck,
    /// Say whether the settings are valid, and do nothing else.
    CheckConfig,
    /// Print the settings, without secrets.
    PrintConfig,
    /// Print the usage.
    Help,
    /// Print the version.
    Version,
}

impl Command {
    /// Parses the arguments after the program's name; `Err` says what is wrong with them.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let Some(first) = arguments.next() else { return Ok(Self::Run) };
        let command = match first.to_str() {
            Some("healthcheck") => Self::HealthCheck,
            Some("check-config") => Self::CheckConfig,
            Some("print-config") => Self::PrintConfig,
            Some("--help" | "-h" | "help") => Self::Help,
            Some("--version" | "-V" | "version") => Self::Version,
            _ => return Err(unknown(&first)),
        };
        arguments.next().map_or(Ok(command), |more| Err(unknown(&more)))
    }
}

fn unknown(argument: &OsString) -> String {
    format!(
        "unknown argument {:?}: a service takes its settings from the file named by NODKEY_CONFIG and from the environment; see --help",
        argument.to_string_lossy()
    )
}

/// The usage of a service, with all its settings.
pub(crate) fn help<S: Service>() -> String {
    let lines: Vec<_> = settings::<Config<S::Config>>().iter().map(line).collect();
    format!(
        "nodkey-{name}: the {name} service of Nodkey.

Commands:
  (none)         run the service
  healthcheck    ask the running service whether it is ready; exit code 0 if so
  check-config   say whether the settings are valid; exit code 0 if so
  print-config   print the settings as TOML, with where each came from; secrets are left out
  -h, --help     this text
  -V, --version  the version

Settings come from the TOML file named by NODKEY_CONFIG, then from the environment; docs/operations/settings.md says what they mean. NODKEY_LOG and
NODKEY_LOG_FORMAT (json, pretty) say what is logged, and how.

{settings}",
        name = S::NAME,
        settings = lines.join("\n")
    )
}

fn line(known: &Known) -> String {
    let takes = match (known.shape, known.list) {
        (Shape::Text, false) => "text",
        (Shape::Text, true) => "list of texts",
        (Shape::Whole { .. }, false) => "whole number",
        (Shape::Whole { .. }, true) => "list of whole numbers",
        (Shape::Switch, _) => "true or false",
    };
    format!("  {:<48} {takes}", variable(&known.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_argument_of_a_service_is_refused() {
        let parse = |arguments: &[&str]| Command::parse(arguments.iter().map(OsString::from));
        assert_eq!(parse(&[]), Ok(Command::Run));
        for (argument, command) in [
            ("healthcheck", Command::HealthCheck),
            ("check-config", Command::CheckConfig),
            ("print-config", Command::PrintConfig),
            ("--help", Command::Help),
            ("-h", Command::Help),
            ("--version", Command::Version),
            ("-V", Command::Version),
        ] {
            assert_eq!(parse(&[argument]), Ok(command));
            assert!(parse(&[argument, "--more"]).unwrap_err().contains("\"--more\""));
        }
        for wrong in ["--config", "run", "", "--healthcheck"] {
            assert!(parse(&[wrong]).is_err(), "{wrong}");
        }
    }
}
