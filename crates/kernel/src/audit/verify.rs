//! Verification of an export, line by line. Memory use grows with the number of chains, not with the number of records.

use std::{collections::BTreeSet, fmt};

use super::{CheckpointClaims, Line, START, hash, verify_checkpoint};
use crate::jose::{JoseError, Jwks};

/// Maximum number of faults that are listed; further ones are only counted.
pub const MAX_FAULTS: usize = 100;

/// A check that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A line that does not belong in an export.
    Malformed {
        /// Its line number, from 1.
        line: u64,
    },
    /// A record whose content does not match its hash.
    Changed {
        /// The chain.
        chain: String,
        /// The record.
        seq: u64,
    },
    /// A record that does not follow the one before it: that one was replaced, or this one was inserted.
    DoesNotFollow {
        /// The chain.
        chain: String,
        /// The record.
        seq: u64,
    },
    /// Missing records.
    Missing {
        /// The chain.
        chain: String,
        /// The first missing record.
        from: u64,
        /// The last missing record.
        to: u64,
    },
    /// A record in the wrong place: repeated, out of order, or of another chain.
    Misplaced {
        /// The chain it appears in.
        chain: String,
        /// The record.
        seq: u64,
    },
    /// Records after the end that the chain states.
    BeyondHead {
        /// The chain.
        chain: String,
        /// The first of these records.
        from: u64,
    },
    /// The stated end of the chain is not its newest record.
    Head {
        /// The chain.
        chain: String,
        /// The record.
        seq: u64,
    },
    /// A checkpoint that signs a different history.
    Contradicted {
        /// The chain.
        chain: String,
        /// The record that the checkpoint names.
        seq: u64,
    },
    /// A checkpoint whose signature is invalid, or that belongs to another chain or deployment.
    Forged {
        /// The chain.
        chain: String,
        /// The line.
        line: u64,
    },
    /// The oldest records were deleted, and no checkpoint confirms it.
    CutUnsigned {
        /// The chain.
        chain: String,
        /// The first record that must be there.
        from: u64,
        /// The last record that is missing.
        to: u64,
    },
    /// The export does not contain every chain.
    ChainsMissing {
        /// The number that a checkpoint or the end of the export states.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// The export has no end.
    Incomplete,
    /// An earlier checkpoint covers a chain that is not in the export, or records beyond its end.
    Behind {
        /// The chain.
        chain: String,
        /// The record that the earlier checkpoint names.
        seq: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { line } => write!(f, "line {line} is not a line of an export"),
            Self::Changed { chain, seq } => write!(f, "{chain}: entry {seq} was changed"),
            Self::DoesNotFollow { chain, seq } => {
                write!(f, "{chain}: entry {seq} does not follow the entry before it: one of them was replaced or inserted")
            }
            Self::Missing { chain, from, to } if from == to => write!(f, "{chain}: entry {from} is missing"),
            Self::Missing { chain, from, to } => write!(f, "{chain}: entries {from} to {to} are missing"),
            Self::Misplaced { chain, seq } => write!(f, "{chain}: entry {seq} is repeated, out of order or of another chain"),
            Self::BeyondHead { chain, from } => write!(f, "{chain}: entries from {from} on were appended by someone else"),
            Self::Head { chain, seq } => write!(f, "{chain}: the end of the chain is not entry {seq}"),
            Self::Contradicted { chain, seq } => {
                write!(f, "{chain}: a signed checkpoint at entry {seq} contradicts the chain: entries up to it were rewritten")
            }
            Self::Forged { chain, line } => write!(f, "{chain}: the checkpoint on line {line} is not genuine"),
            Self::CutUnsigned { chain, from, to } => {
                write!(f, "{chain}: entries {from} to {to} were deleted, and no checkpoint says that retention did it")
            }
            Self::ChainsMissing { expected, found } => write!(f, "{found} chains of {expected} are there"),
            Self::Incomplete => write!(f, "the export has no end: lines are missing"),
            Self::Behind { chain, seq } => write!(f, "{chain}: an earlier checkpoint names entry {seq}, which the export does not reach"),
        }
    }
}

/// The findings for one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainReport {
    /// Its name.
    pub chain: String,
    /// Number of verified records.
    pub records: u64,
    /// The first record after what retention has deleted.
    pub first: u64,
    /// The newest record.
    pub last: u64,
    /// Number of verified checkpoints.
    pub checkpoints: u64,
    /// Number of checkpoints signed with keys that the verifier does not have.
    pub unknown_keys: u64,
    /// The newest verified checkpoint, and the `kid` of its key.
    pub checkpoint: Option<(CheckpointClaims, String)>,
}

impl ChainReport {
    /// Number of the newest records that no verified checkpoint covers.
    #[must_use]
    pub fn uncovered(&self) -> u64 {
        let covered = self.checkpoint.as_ref().map_or(self.first.saturating_sub(1), |(claims, _)| claims.seq);
        self.last.saturating_sub(covered)
    }
}

/// The findings of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One report per chain.
    pub chains: Vec<ChainReport>,
    /// Number of entries from before there were chains: nothing proves them.
    pub unchained: u64,
    /// The faults found, at most [`MAX_FAULTS`].
    pub faults: Vec<Fault>,
    /// Number of further faults.
    pub more_faults: u64,
}

impl Report {
    /// Whether no faults were found.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.faults.is_empty()
    }

    /// Whether no faults were found, and signed checkpoints cover every chain to its end.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.holds() && self.chains.iter().all(|chain| chain.last == 0 || (chain.checkpoint.is_some() && chain.uncovered() == 0))
    }
}

/// The chain being read.
#[derive(Debug)]
struct Current {
    report: ChainReport,
    /// Hash of the newest record.
    hash: String,
    /// Where the chain begins: position of the last deleted record.
    cut: u64,
    /// Earlier checkpoints of the chain that were not reached yet.
    earlier: Vec<CheckpointClaims>,
}

/// Verifies an export.
#[derive(Debug)]
pub struct Verifier<'a> {
    jwks: &'a Jwks,
    earlier: Vec<CheckpointClaims>,
    line: u64,
    issuer: Option<String>,
    seen: BTreeSet<String>,
    chains: Option<u64>,
    ended: bool,
    current: Option<Current>,
    report: Report,
}

impl<'a> Verifier<'a> {
    /// Creates a verifier with the deployment's keys; without any, checkpoints prove nothing.
    #[must_use]
    pub fn new(jwks: &'a Jwks) -> Self {
        Self {
            jwks,
            earlier: Vec::new(),
            line: 0,
            issuer: None,
            seen: BTreeSet::new(),
            chains: None,
            ended: false,
            current: None,
            report: Report::default(),
        }
    }

    /// Requires the log to contain what an earlier checkpoint covered: it must still be there, unless retention has deleted it.
    #[must_use]
    pub fn after(mut self, kept: CheckpointClaims) -> Self {
        self.earlier.push(kept);
        self
    }

    /// Reads a line. Empty lines are skipped.
    pub fn line(&mut self, text: &str) {
        self.line += 1;
        if text.trim().is_empty() {
            return;
        }
        let line = serde_json::from_str::<Line>(text);
        if self.ended {
            return self.fault(Fault::Malformed { line: self.line });
        }
        match line {
            Err(_) => self.fault(Fault::Malformed { line: self.line }),
            Ok(Line::Unchained { .. }) => self.report.unchained += 1,
            Ok(Line::Chain { chain, cut, cut_hash }) => self.begin(chain, cut, cut_hash),
            Ok(Line::Record { entry, hash: claimed }) => {
                let text = |name: &str| entry.get(name).and_then(|value| value.as_str()).unwrap_or_default();
                let (chain, prev) = (text("chain").to_owned(), text("prev").to_owned());
                let seq = entry.get("seq").and_then(serde_json::Value::as_u64);
                let genuine = hash(&entry).is_some_and(|hash| hex::encode(hash) == claimed);
                match (self.current.take(), seq) {
                    (Some(mut current), Some(seq)) => {
                        self.record(&mut current, (&chain, seq, &prev), claimed, genuine);
                        self.current = Some(current);
                    }
                    (current, _) => {
                        self.current = current;
                        self.fault(Fault::Malformed { line: self.line });
                    }
                }
            }
            Ok(Line::Checkpoint { jws }) => match self.current.take() {
                Some(mut current) => {
                    self.checkpoint(&mut current, &jws);
                    self.current = Some(current);
                }
                None => self.fault(Fault::Malformed { line: self.line }),
            },
            Ok(Line::Head { chain, seq, hash }) => match self.current.take() {
                Some(current) if current.report.chain == chain => self.head(current, seq, &hash),
                Some(current) => {
                    self.fault(Fault::Incomplete);
                    self.close(current);
                }
                None => self.fault(Fault::Malformed { line: self.line }),
            },
            Ok(Line::End { chains }) => {
                self.ended = true;
                self.chains = self.chains.max(chains);
            }
        }
    }

    /// Returns the findings.
    #[must_use]
    pub fn finish(mut self) -> Report {
        if let Some(current) = self.current.take() {
            self.fault(Fault::Incomplete);
            self.close(current);
        } else if !self.ended {
            self.fault(Fault::Incomplete);
        }
        let found = self.seen.len() as u64;
        if let Some(expected) = self.chains.filter(|expected| found < *expected) {
            self.fault(Fault::ChainsMissing { expected, found });
        }
        for kept in std::mem::take(&mut self.earlier) {
            self.fault(Fault::Behind { chain: kept.chain, seq: kept.seq });
        }
        self.report
    }

    fn begin(&mut self, chain: String, cut: u64, cut_hash: String) {
        if let Some(current) = self.current.take() {
            self.fault(Fault::Incomplete);
            self.close(current);
        }
        if !self.seen.insert(chain.clone()) || (cut == 0 && cut_hash != hex::encode(START)) {
            self.fault(Fault::Malformed { line: self.line });
        }
        let (mut earlier, others) = std::mem::take(&mut self.earlier).into_iter().partition::<Vec<_>, _>(|kept| kept.chain == chain);
        self.earlier = others;
        // Records that retention has deleted since cannot be found, but the cut can be compared.
        for kept in &earlier {
            if kept.seq == cut && kept.hash != cut_hash {
                self.fault(Fault::Contradicted { chain: chain.clone(), seq: cut });
            }
        }
        earlier.retain(|kept| kept.seq > cut);
        let report =
            ChainReport { chain, records: 0, first: cut.saturating_add(1), last: cut, checkpoints: 0, unknown_keys: 0, checkpoint: None };
        self.current = Some(Current { report, hash: cut_hash, cut, earlier });
    }

    fn record(&mut self, current: &mut Current, (chain, seq, prev): (&str, u64, &str), claimed: String, genuine: bool) {
        let named = || current.report.chain.clone();
        if chain != current.report.chain || seq <= current.report.last {
            return self.fault(Fault::Misplaced { chain: named(), seq });
        }
        if !genuine {
            self.fault(Fault::Changed { chain: named(), seq });
        }
        if seq > current.report.last + 1 {
            self.fault(Fault::Missing { chain: named(), from: current.report.last + 1, to: seq - 1 });
        } else if prev != current.hash {
            self.fault(Fault::DoesNotFollow { chain: named(), seq });
        } else if genuine {
            current.report.records += 1;
        }
        (current.report.last, current.hash) = (seq, claimed);
        self.meet(current);
    }

    /// Compares the newest record with the earlier checkpoints that name it.
    fn meet(&mut self, current: &mut Current) {
        let (seq, hash) = (current.report.last, current.hash.clone());
        let contradicted = current.earlier.iter().any(|kept| kept.seq == seq && kept.hash != hash);
        current.earlier.retain(|kept| kept.seq != seq);
        if contradicted {
            self.fault(Fault::Contradicted { chain: current.report.chain.clone(), seq });
        }
    }

    fn checkpoint(&mut self, current: &mut Current, jws: &str) {
        let forged = Fault::Forged { chain: current.report.chain.clone(), line: self.line };
        let (claims, kid) = match verify_checkpoint(jws, self.jwks) {
            Ok(verified) => verified,
            Err(JoseError::Key) => {
                current.report.unknown_keys += 1;
                return;
            }
            Err(_) => return self.fault(forged),
        };
        if claims.chain != current.report.chain || self.issuer.get_or_insert_with(|| claims.iss.clone()) != &claims.iss {
            return self.fault(forged);
        }
        let newest = current.report.checkpoint.as_ref();
        if newest.is_some_and(|(before, _)| claims.seq < before.seq || claims.cut < before.cut) {
            return self.fault(Fault::Misplaced { chain: claims.chain, seq: claims.seq });
        }
        let last = current.report.last;
        if claims.seq > last {
            self.fault(Fault::Missing { chain: claims.chain.clone(), from: last + 1, to: claims.seq });
            (current.report.last, current.hash) = (claims.seq, claims.hash.clone());
            self.meet(current);
        } else if claims.seq == last && claims.hash != current.hash {
            self.fault(Fault::Contradicted { chain: claims.chain.clone(), seq: last });
        } else if claims.seq < last {
            // It belongs directly after its record, or covers records that retention has deleted.
            self.fault(Fault::Misplaced { chain: claims.chain.clone(), seq: claims.seq });
            return;
        }
        // On `Option`, `None` is less than any value.
        self.chains = self.chains.max(claims.chains);
        current.report.checkpoints += 1;
        current.report.checkpoint = Some((claims, kid));
    }

    fn head(&mut self, mut current: Current, seq: u64, hash: &str) {
        let (chain, last) = (current.report.chain.clone(), current.report.last);
        if seq > last {
            self.fault(Fault::Missing { chain, from: last + 1, to: seq });
            current.report.last = seq;
        } else if seq < last {
            self.fault(Fault::BeyondHead { chain, from: seq + 1 });
        } else if hash != current.hash {
            self.fault(Fault::Head { chain, seq });
        }
        self.close(current);
    }

    fn close(&mut self, current: Current) {
        let chain = current.report.chain.clone();
        let signed = current.report.checkpoint.as_ref().map_or(0, |(claims, _)| claims.cut);
        if current.cut > signed {
            self.fault(Fault::CutUnsigned { chain: chain.clone(), from: signed + 1, to: current.cut });
        }
        for kept in current.earlier {
            self.fault(Fault::Behind { chain: chain.clone(), seq: kept.seq });
        }
        self.report.chains.push(current.report);
    }

    fn fault(&mut self, fault: Fault) {
        if self.report.faults.len() < MAX_FAULTS {
            self.report.faults.push(fault);
        } else {
            self.report.more_faults += 1;
        }
    }
}

#[cfg(test)]
mod tests;
