//! `nodkey verify`.

mod jwks;
mod show;
mod verdict;

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use jiff::{Span, SpanRelativeTo};
use nodkey_client::{Evidence, Expected, Level, verify_evidence};
use nodkey_kernel::time::Clock;
use serde_json::Value;

use self::verdict::Verdict;
pub use self::{jwks::Source, verdict::NotAccepted};

/// Verify offline that a trusonafication was accepted: the challenge, the response, and the outcome.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey verify --jwks jwks.json --user ada --level 2 evidence.json
  nodkey verify --jwks https://auth.example.com/jwks/archive --max-age 5m evidence.json
  nodkey admin trusonafications evidence ID | nodkey verify --jwks jwks.json -

Everything that was signed is shown. Exit codes:
  0  an accept, genuine and as expected
  1  failed: a file or a URL could not be read
  2  wrong usage
  4  genuine, but rejected, or not what was expected
  5  not proven: the device does not certify the key that answered (see --allow-uncertified), there is
     no receipt (earlier releases issued none), or the keys are from the evidence itself
  6  not genuine: a signature is not valid, or the parts do not belong together

Without --level, an accept below the requested level is not what was expected.")]
pub struct Args {
    /// The evidence as JSON; - reads standard input
    file: PathBuf,
    /// The deployment's public keys as served at /jwks and /jwks/archive: a trusted copy, or the https URL
    #[arg(long, value_name = "FILE|URL", required_unless_present = "trust_embedded_jwks")]
    jwks: Option<Source>,
    /// Use the keys from the evidence itself: this shows its contents and that it is consistent, but proves nothing
    #[arg(long, conflicts_with = "jwks")]
    trust_embedded_jwks: bool,
    /// PEM file of the only authority to trust for an https URL; by default those of the system
    #[arg(long, env = "NODKEY_CA_CERTIFICATE", value_name = "FILE")]
    ca_certificate: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    expected: Expectations,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Expectations")]
struct Expectations {
    /// It is this trusonafication
    #[arg(long, value_name = "ID")]
    trusonafication: Option<String>,
    /// Requested by this relying party
    #[arg(long, value_name = "ID")]
    party: Option<String>,
    /// Accepted by this user
    #[arg(long, value_name = "IDENTIFIER")]
    user: Option<String>,
    /// Accepted by this device
    #[arg(long, value_name = "IDENTIFIER")]
    device: Option<String>,
    /// At this level or higher: 1, the phone; 2, also the person's presence; 3, also an identity document
    #[arg(long, value_name = "1|2|3", value_parser = level)]
    level: Option<Level>,
    /// Accepted within this time, such as 90s, 5m, 24h or 7d
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max_age: Option<Duration>,
    /// Also accept a key that only the deployment says is the device's: for phones that make no key statements
    #[arg(long)]
    allow_uncertified: bool,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let whole: Value = serde_json::from_str(&read(&args.file)?).context("the evidence is not JSON")?;
    let evidence: Evidence = serde_json::from_value(whole.clone()).context("the evidence needs challenge, response and keys")?;
    let jwks = match &args.jwks {
        Some(source) => source.read(args.ca_certificate.as_deref()).await?,
        None => serde_json::from_value(whole["jwks"].clone()).context("the evidence contains no jwks")?,
    };
    let found = verify_evidence(&evidence, &jwks, &args.expected.build(&Clock::system()));
    let verdict = Verdict::new(found, args.trust_embedded_jwks);
    if args.json {
        verdict.print_json()?;
    } else {
        verdict.print()?;
    }
    verdict.into_result()
}

impl Expectations {
    fn build(self, clock: &Clock) -> Expected {
        let mut expected = Expected::accept();
        if let Some(id) = self.trusonafication {
            expected = expected.trusonafication(id);
        }
        if let Some(id) = self.party {
            expected = expected.party(id);
        }
        if let Some(identifier) = self.user {
            expected = expected.user(identifier);
        }
        if let Some(identifier) = self.device {
            expected = expected.device(identifier);
        }
        if let Some(level) = self.level {
            expected = expected.level(level);
        }
        if let Some(age) = self.max_age {
            expected = expected.max_age(age, clock.now());
        }
        if self.allow_uncertified { expected.allow_uncertified() } else { expected }
    }
}

fn level(text: &str) -> Result<Level, String> {
    let level = text.parse::<i32>().map_err(|_| "must be 1, 2 or 3")?;
    Level::try_from(level).map_err(|e| e.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = |_| "must be a duration such as 90s, 5m, 24h or 7d".to_owned();
    let span: Span = text.parse().map_err(wrong)?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(wrong)?;
    let duration = Duration::try_from(duration).map_err(wrong)?;
    if duration.is_zero() { Err("must be longer than 0".to_owned()) } else { Ok(duration) }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    } else {
        text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("24h", 86_400), ("7d", 604_800), ("1h 30m", 5400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "-5m", "0s", "soon"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
