//! `nodkey audit`: verifies the audit log without a server.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Subcommand;
use nodkey_kernel::{
    audit::{ChainReport, CheckpointClaims, Line, Report, Verifier, verify_checkpoint},
    jose::Jwks,
    time::Timestamp,
};
use serde_json::{Value, json};

use crate::{
    output::{bold, document, line, plain},
    verify::Source,
};

/// Check an export of the audit log.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  nodkey audit verify --jwks archive.json audit.jsonl")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Verify offline that nothing in an export was changed, removed, inserted or reordered
    #[command(after_help = "Examples:
  nodkey admin audit export > audit.jsonl
  nodkey audit verify --jwks archive.json audit.jsonl
  nodkey audit verify --jwks https://auth.example.com/jwks/archive --earlier audit-june.jsonl audit-july.jsonl

Exit codes:
  0  no entry was changed, and signed checkpoints cover all of them
  1  failed: a file or a URL could not be read
  2  wrong usage
  5  not proven: the hashes are right, but there are no keys, or a chain has no checkpoint by one of them that covers its end
  6  not genuine: entries were changed, removed, inserted or reordered; each is named

Anyone who can write the database could delete the newest entries together with their checkpoints, which leaves a log
that is intact, only shorter: keep exports elsewhere, and compare with --earlier. Entries from earlier releases are in no
chain: they are counted, and nothing proves them.")]
    Verify {
        /// The export; - reads standard input
        file: PathBuf,
        /// The deployment's public keys as served at /jwks/archive: a trusted copy, or the https URL
        #[arg(long, value_name = "FILE|URL")]
        jwks: Option<Source>,
        /// An earlier export: everything covered by its checkpoints must still be there, unless retention has deleted it
        #[arg(long, value_name = "FILE", requires = "jwks")]
        earlier: Option<PathBuf>,
        /// PEM file of the only authority to trust for an https URL; by default those of the system
        #[arg(long, env = "NODKEY_CA_CERTIFICATE", value_name = "FILE")]
        ca_certificate: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The log is not proven to be unchanged. The findings are on standard output.
#[derive(Debug, thiserror::Error)]
pub enum NotIntact {
    /// A hash or a signature is invalid.
    #[error("the audit log was changed after it was written")]
    NotGenuine,
    /// The hashes are valid, but no signature covers them.
    #[error("not proven: {0}")]
    NotProven(&'static str),
}

impl NotIntact {
    /// The exit code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::NotProven(_) => 5,
            Self::NotGenuine => 6,
        }
    }
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Verb::Verify { file, jwks, earlier, ca_certificate, json } = args.verb;
    let keys = match &jwks {
        Some(source) => Some(source.read(ca_certificate.as_deref()).await?),
        None => None,
    };
    let known = keys.as_ref().map_or_else(Jwks::default, Clone::clone);
    let kept = earlier.map(|path| checkpoints(&path, &known)).transpose()?.unwrap_or_default();
    let mut verifier = kept.into_iter().fold(Verifier::new(&known), Verifier::after);
    read(&file, |line| verifier.line(line))?;
    let report = verifier.finish();
    if json {
        document(&to_json(&report))?;
    } else {
        print(&report)?;
    }
    if !report.holds() {
        return Err(NotIntact::NotGenuine.into());
    }
    if keys.is_none() {
        return Err(NotIntact::NotProven("the checkpoints were not checked: name the deployment's keys with --jwks").into());
    }
    if !report.is_proven() {
        return Err(NotIntact::NotProven("no checkpoint by these keys covers every chain to its end").into());
    }
    Ok(())
}

/// Reads the newest checkpoint of each chain in an earlier export.
fn checkpoints(path: &Path, known: &Jwks) -> anyhow::Result<Vec<CheckpointClaims>> {
    let mut kept: Vec<CheckpointClaims> = Vec::new();
    read(path, |text| {
        let Ok(Line::Checkpoint { jws }) = serde_json::from_str(text) else { return };
        if let Ok((claims, _)) = verify_checkpoint(&jws, known) {
            kept.retain(|before| before.chain != claims.chain);
            kept.push(claims);
        }
    })?;
    anyhow::ensure!(!kept.is_empty(), "{} has no checkpoint by these keys", path.display());
    Ok(kept)
}

fn read(path: &Path, mut each: impl FnMut(&str)) -> anyhow::Result<()> {
    let cannot = || format!("cannot read {}", path.display());
    let input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).with_context(cannot)?))
    };
    for line in input.lines() {
        each(&line.with_context(cannot)?);
    }
    Ok(())
}

fn print(report: &Report) -> anyhow::Result<()> {
    let records: u64 = report.chains.iter().map(|chain| chain.records).sum();
    if report.holds() {
        let verdict = if report.is_proven() { "verified" } else { "NOT PROVEN" };
        line(bold(&format!("{verdict}: {records} entries in {} chains", report.chains.len())))?;
    } else {
        line(bold("NOT GENUINE"))?;
        for fault in &report.faults {
            line(plain(&fault.to_string()))?;
        }
        if report.more_faults > 0 {
            line(format_args!("and {} more", report.more_faults))?;
        }
    }
    for chain in &report.chains {
        line(plain(&describe(chain)))?;
    }
    if report.unchained > 0 {
        line(format_args!("{} entries are older than the chains: nothing proves them", report.unchained))?;
    }
    Ok(())
}

fn describe(chain: &ChainReport) -> String {
    let ChainReport { chain: name, records, first, last, checkpoint, .. } = chain;
    let entries = if *records == 0 { "no entries".to_owned() } else { format!("{records} entries, {first} to {last}") };
    let signed = match checkpoint {
        Some((claims, kid)) => format!("last checkpoint at {} on {} by key {kid}", claims.seq, Timestamp::from_micros(claims.at)),
        None => "no checkpoint verified".to_owned(),
    };
    let uncovered = if chain.uncovered() > 0 { format!("; {} after it are not signed", chain.uncovered()) } else { String::new() };
    let unknown = if chain.unknown_keys > 0 { format!("; {} checkpoints by other keys", chain.unknown_keys) } else { String::new() };
    format!("{name}: {entries}; {signed}{uncovered}{unknown}")
}

fn to_json(report: &Report) -> Value {
    let chain = |chain: &ChainReport| {
        json!({
            "chain": chain.chain,
            "entries": chain.records,
            "first": chain.first,
            "last": chain.last,
            "checkpoints": chain.checkpoints,
            "unknown_keys": chain.unknown_keys,
            "not_signed": chain.uncovered(),
            "last_checkpoint": chain.checkpoint.as_ref().map(|(claims, kid)| json!({
                "seq": claims.seq, "at": Timestamp::from_micros(claims.at).to_string(), "kid": kid, "hash": claims.hash,
            })),
        })
    };
    let verdict = match (report.holds(), report.is_proven()) {
        (false, _) => "not_genuine",
        (true, false) => "not_proven",
        (true, true) => "verified",
    };
    json!({
        "verdict": verdict,
        "chains": report.chains.iter().map(chain).collect::<Vec<_>>(),
        "unchained": report.unchained,
        "faults": report.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "more_faults": report.more_faults,
    })
}
