//! `nodkey verify`.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use nodkey_mobile_sdk::Decision;
use nodkey_server_sdk::{Evidence, Jwks, verify_evidence};
use serde_json::Value;

use crate::{
    connection::read_jwks,
    output::{document, line, plain},
};

/// Verify evidence offline: that the deployment asked exactly this, and that the key answered exactly that.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey verify --jwks jwks.json evidence.json
  nodkey admin trusonafications evidence ID | nodkey verify --jwks jwks.json -")]
pub struct Args {
    /// The evidence as JSON; - reads standard input
    file: PathBuf,
    /// The deployment's public keys, as /jwks answers them. Keep a copy you trust
    #[arg(long, value_name = "FILE", required_unless_present = "trust_embedded_jwks")]
    jwks: Option<PathBuf>,
    /// Take the keys out of the evidence itself: shows that it is whole, not who made it
    #[arg(long, conflicts_with = "jwks")]
    trust_embedded_jwks: bool,
    /// Print what was verified as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let whole: Value = serde_json::from_str(&read(&args.file)?).context("the evidence is not JSON")?;
    let evidence: Evidence = serde_json::from_value(whole.clone()).context("the evidence needs challenge, response and keys")?;
    let jwks: Jwks = match &args.jwks {
        Some(file) => read_jwks(file)?,
        None => serde_json::from_value(whole["jwks"].clone()).context("the evidence holds no jwks")?,
    };
    let verified = verify_evidence(&evidence, &jwks).context("NOT verified")?;
    if args.json {
        return document(&verified);
    }
    let (asked, answered) = (&verified.challenge, &verified.response);
    let decision = if answered.dec == Decision::Accept { "accept" } else { "reject" };
    line("verified")?;
    line(format_args!("  asked by    {} ({})", plain(&asked.rp.name), plain(&asked.iss)))?;
    line(format_args!("  asked       {}: {}", plain(&asked.act), plain(&asked.res)))?;
    line(format_args!("  answered    {decision}, by device {}", plain(&answered.iss)))?;
    line(format_args!("  signed by   {}", if verified.presence { "a presence key" } else { "the device key" }))
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
