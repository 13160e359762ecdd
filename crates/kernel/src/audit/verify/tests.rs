use proptest::prelude::*;

use super::*;
use crate::{
    audit::{AUDIT_TYP, DEPLOYMENT, Record, RecordKind},
    jose::{Algorithm, PrivateKey, PublishedKey, jws},
    random::Random,
};

const PARTY: &str = "018bcfe5-6800-7000-8000-000000000001";

fn key(seed: u64) -> PrivateKey {
    PrivateKey::generate(Algorithm::EdDsa, &Random::seeded(seed))
}

fn jwks() -> Jwks {
    let key = key(1).public();
    Jwks { keys: vec![PublishedKey { kid: "k".into(), key, typs: Some(vec![AUDIT_TYP.into()]) }] }
}

fn record(chain: &str, seq: u64, prev: &[u8; 32]) -> Record {
    Record {
        actor: "Ada".into(),
        at: 1_700_000_000_000_000 + i64::try_from(seq).unwrap(),
        chain: chain.into(),
        id: format!("id {seq}"),
        intent: None,
        kind: RecordKind::Event,
        method: "a.B/C".into(),
        operator: None,
        outcome: "OK".into(),
        prev: hex::encode(prev),
        relying_party: None,
        request: "{\"a\":\"\u{7}é\"}".into(),
        role: "owner".into(),
        seq,
        trace_id: String::new(),
    }
}

fn checkpoint(chain: &str, seq: u64, hash: &[u8; 32], cut: u64, key: &PrivateKey) -> Line {
    let chains = (chain == DEPLOYMENT).then_some(2);
    let claims = CheckpointClaims { iss: "https://id".into(), chain: chain.into(), seq, hash: hex::encode(hash), cut, chains, at: 1 };
    Line::Checkpoint { jws: jws::sign(AUDIT_TYP, Some("k"), None, &claims, key) }
}

/// A chain of `count` records with a checkpoint every three and at its end, without the first `cut` records.
fn chain(name: &str, count: u64, cut: u64) -> Vec<Line> {
    let (mut prev, mut lines) = (START, vec![]);
    for seq in 1..=count {
        let record = record(name, seq, &prev);
        prev = record.hash();
        if seq == cut {
            lines = vec![Line::Chain { chain: name.into(), cut, cut_hash: hex::encode(prev) }];
        }
        if seq == 1 && cut == 0 {
            lines.push(Line::Chain { chain: name.into(), cut, cut_hash: hex::encode(START) });
        }
        if seq > cut {
            lines.push(Line::record(&record, &prev));
            if seq % 3 == 0 || seq == count {
                lines.push(checkpoint(name, seq, &prev, cut, &key(1)));
            }
        }
    }
    lines.push(Line::Head { chain: name.into(), seq: count, hash: hex::encode(prev) });
    lines
}

fn export() -> Vec<Line> {
    let mut lines = vec![Line::Unchained { entry: serde_json::json!({}) }];
    lines.extend(chain(DEPLOYMENT, 10, 0));
    lines.extend(chain(PARTY, 7, 3));
    lines.push(Line::End { chains: Some(2) });
    lines
}

fn verify(lines: &[Line]) -> Report {
    let jwks = jwks();
    let mut verifier = Verifier::new(&jwks);
    for line in lines {
        verifier.line(&line.to_json());
    }
    verifier.finish()
}

fn seq_of(line: &Line) -> Option<u64> {
    let Line::Record { entry, .. } = line else { return None };
    entry["seq"].as_u64()
}

fn at(lines: &[Line], seq: u64) -> usize {
    lines.iter().position(|line| seq_of(line) == Some(seq)).unwrap()
}

fn change(line: &mut Line, rehash: bool) {
    let Line::Record { entry, hash: claimed } = line else { panic!("{line:?}") };
    entry.insert("outcome".into(), "FORGED".into());
    if rehash {
        *claimed = hex::encode(hash(entry).unwrap());
    }
}

#[test]
fn a_genuine_export_is_proven_and_says_from_where_to_where() {
    let report = verify(&export());
    assert!(report.is_proven(), "{report:?}");
    assert_eq!(report.unchained, 1);
    let found: Vec<_> = report.chains.iter().map(|it| (it.chain.as_str(), it.records, it.first, it.last, it.checkpoints)).collect();
    assert_eq!(found, [(DEPLOYMENT, 10, 1, 10, 4), (PARTY, 4, 4, 7, 2)]);
}

#[test]
fn the_hash_of_a_record_is_that_of_its_canonical_json() {
    let json = serde_json::to_string(&record("deployment", 1, &START)).unwrap();
    let prev = "0".repeat(64);
    let expected = format!(
        "{{\"actor\":\"Ada\",\"at\":1700000000000001,\"chain\":\"deployment\",\"id\":\"id 1\",\"kind\":\"event\",\"method\":\"a.B/C\",\
         \"outcome\":\"OK\",\"prev\":\"{prev}\",\"request\":\"{{\\\"a\\\":\\\"\\u0007é\\\"}}\",\"role\":\"owner\",\"seq\":1}}"
    );
    assert_eq!(json, expected);
}

#[test]
fn a_changed_record_is_named() {
    let mut lines = export();
    let place = at(&lines, 5);
    change(&mut lines[place], false);
    assert_eq!(verify(&lines).faults, [Fault::Changed { chain: DEPLOYMENT.into(), seq: 5 }]);
    // Even with a matching hash, the next one does not follow it.
    change(&mut lines[place], true);
    assert_eq!(verify(&lines).faults, [Fault::DoesNotFollow { chain: DEPLOYMENT.into(), seq: 6 }]);
}

#[test]
fn removed_inserted_and_reordered_records_are_named() {
    let chain = || DEPLOYMENT.to_owned();
    let mut lines = export();
    lines.remove(at(&lines, 5));
    assert_eq!(verify(&lines).faults, [Fault::Missing { chain: chain(), from: 5, to: 5 }]);
    let mut lines = export();
    let (a, b) = (at(&lines, 4), at(&lines, 5));
    lines.swap(a, b);
    let misplaced = Fault::Misplaced { chain: chain(), seq: 4 };
    assert_eq!(verify(&lines).faults, [Fault::Missing { chain: chain(), from: 4, to: 4 }, misplaced]);
    let mut lines = export();
    lines.insert(at(&lines, 5), Line::record(&record(DEPLOYMENT, 4, &START), &record(DEPLOYMENT, 4, &START).hash()));
    assert_eq!(verify(&lines).faults, [Fault::Misplaced { chain: chain(), seq: 4 }]);
    // A record of another chain.
    let mut lines = export();
    let moved = record(PARTY, 11, &START);
    let end = lines.iter().position(|line| matches!(line, Line::Head { .. })).unwrap();
    lines.insert(end, Line::record(&moved, &moved.hash()));
    assert_eq!(verify(&lines).faults, [Fault::Misplaced { chain: chain(), seq: 11 }]);
}

#[test]
fn a_record_where_a_checkpoint_is_is_missed_once() {
    let mut lines = export();
    lines.remove(at(&lines, 6));
    assert_eq!(verify(&lines).faults, [Fault::Missing { chain: DEPLOYMENT.into(), from: 6, to: 6 }]);
}

#[test]
fn a_cut_at_either_end_is_named() {
    let chain = || DEPLOYMENT.to_owned();
    // The newest records.
    let mut lines = export();
    let (from, to) = (at(&lines, 8), lines.iter().position(|line| matches!(line, Line::Head { .. })).unwrap());
    lines.drain(from..to);
    assert_eq!(verify(&lines).faults, [Fault::Missing { chain: chain(), from: 8, to: 10 }]);
    // The oldest ones, as if retention had done it.
    let mut lines = export();
    let Line::Record { entry, .. } = &lines[at(&lines, 4)] else { panic!() };
    let cut_hash = entry["prev"].as_str().unwrap().to_owned();
    let (from, to) = (1, at(&lines, 4));
    lines.splice(from..to, [Line::Chain { chain: chain(), cut: 3, cut_hash }]);
    assert_eq!(verify(&lines).faults, [Fault::CutUnsigned { chain: chain(), from: 1, to: 3 }]);
    // The file.
    let lines = export();
    for length in 1..lines.len() {
        assert!(!verify(&lines[..length]).holds(), "{length}");
    }
}

#[test]
fn a_chain_rewritten_without_the_signing_key_contradicts_its_checkpoints_or_proves_nothing() {
    let rewritten = |seed: Option<u64>| {
        let (mut prev, mut lines) = (START, export());
        for line in &mut lines {
            match line {
                Line::Record { entry, hash: claimed } if entry["chain"] == DEPLOYMENT => {
                    entry.insert("actor".into(), "Eve".into());
                    entry.insert("prev".into(), hex::encode(prev).into());
                    prev = hash(entry).unwrap();
                    *claimed = hex::encode(prev);
                }
                Line::Head { chain, hash, .. } if chain == DEPLOYMENT => *hash = hex::encode(prev),
                Line::Checkpoint { jws } => {
                    if let Some(seed) = seed {
                        let (mut claims, _) = verify_checkpoint(jws, &jwks()).unwrap();
                        if claims.chain == DEPLOYMENT {
                            claims.hash = hex::encode(prev);
                            *jws = jws::sign(AUDIT_TYP, Some("k"), None, &claims, &key(seed));
                        }
                    }
                }
                _ => {}
            }
        }
        lines
    };
    let contradicted = |seq| Fault::Contradicted { chain: DEPLOYMENT.into(), seq };
    assert_eq!(verify(&rewritten(None)).faults, [3, 6, 9, 10].map(contradicted));
    let forged = verify(&rewritten(Some(9))).faults;
    assert!(forged.len() == 4 && forged.iter().all(|fault| matches!(fault, Fault::Forged { .. })), "{forged:?}");
    let without: Vec<_> = rewritten(None).into_iter().filter(|line| !matches!(line, Line::Checkpoint { .. })).collect();
    assert!(!verify(&without).is_proven());
}

#[test]
fn a_chain_that_is_left_out_is_missed() {
    let mut lines = export();
    let from = lines.iter().position(|line| matches!(line, Line::Chain { chain, .. } if chain == PARTY)).unwrap();
    lines.drain(from..lines.len() - 1);
    *lines.last_mut().unwrap() = Line::End { chains: None };
    assert_eq!(verify(&lines).faults, [Fault::ChainsMissing { expected: 2, found: 1 }]);
}

#[test]
fn what_somebody_kept_earlier_must_be_there_still() {
    let all = export();
    let kept = |line: &Line| {
        let Line::Checkpoint { jws } = line else { return None };
        Some(verify_checkpoint(jws, &jwks()).unwrap().0)
    };
    let checkpoints: Vec<_> = all.iter().filter_map(kept).collect();
    let after = |lines: &[Line], kept: &[CheckpointClaims]| {
        let jwks = jwks();
        let mut verifier = kept.iter().cloned().fold(Verifier::new(&jwks), Verifier::after);
        for line in lines {
            verifier.line(&line.to_json());
        }
        verifier.finish()
    };
    assert!(after(&all, &checkpoints).is_proven());
    // A shorter history, complete in itself.
    let mut shorter = chain(DEPLOYMENT, 6, 0);
    shorter.extend(chain(PARTY, 7, 3));
    shorter.push(Line::End { chains: Some(2) });
    assert!(verify(&shorter).is_proven());
    let behind = |seq| Fault::Behind { chain: DEPLOYMENT.into(), seq };
    assert_eq!(after(&shorter, &checkpoints).faults, [behind(9), behind(10)]);
}

proptest! {
    #[test]
    fn no_line_can_be_changed_swapped_or_left_out_unnoticed(at in 1_usize..24, other in 1_usize..24, how in 0..4) {
        let mut lines: Vec<String> = export().iter().map(Line::to_json).collect();
        prop_assume!(at < lines.len() && other < lines.len());
        match how {
            0 => drop(lines.remove(at)),
            1 => {
                prop_assume!(at != other);
                lines.swap(at, other);
            }
            2 => {
                prop_assume!(at != other && at + 1 != other);
                let copy = lines[other].clone();
                lines.insert(at, copy);
            }
            _ => {
                // A digit in the line.
                let digit = lines[at].char_indices().rfind(|(_, c)| c.is_ascii_digit());
                let Some((place, c)) = digit else { return Ok(()) };
                let next = char::from_digit((c.to_digit(10).unwrap() + 1) % 10, 10).unwrap();
                lines[at].replace_range(place..=place, &next.to_string());
            }
        }
        let jwks = jwks();
        let mut verifier = Verifier::new(&jwks);
        for line in &lines {
            verifier.line(line);
        }
        let report = verifier.finish();
        // If one checkpoint is missing, the next one covers its records.
        let checkpoints: u64 = report.chains.iter().map(|chain| chain.checkpoints).sum();
        prop_assert!(!report.is_proven() || checkpoints < 6 || (how == 2 && checkpoints > 6), "{report:?}");
    }

    #[test]
    fn whatever_is_read_nothing_panics_and_nothing_grows(lines in proptest::collection::vec(".{0,80}", 0..300)) {
        let jwks = jwks();
        let mut verifier = Verifier::new(&jwks);
        for line in &lines {
            verifier.line(line);
        }
        verifier.line(r#"{"type":"chain","chain":"x","cut":18446744073709551615,"cut_hash":""}"#);
        let report = verifier.finish();
        prop_assert!(report.faults.len() <= MAX_FAULTS && !report.is_proven());
    }
}
