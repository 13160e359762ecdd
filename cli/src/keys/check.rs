//! Checks a folder of keys.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, time::Duration};

use nodkey_kernel::time::Timestamp;

use super::{
    folder::{self, Folder, KEYS, PUBLIC},
    nats,
    ring::{Keys, State},
};

/// A finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// missing, old, misplaced, different or readable: part of the interface.
    pub kind: &'static str,
    /// A description for people, never with a secret.
    pub what: String,
}

/// Checks everything in the folder.
pub fn problems(folder: &Folder, keys: &Keys, max_age_days: u32, now: Timestamp) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut problem = |file: &str, kind, what: String| found.push(Problem { file: file.to_owned(), kind, what });
    if others_may_read(folder, "") {
        problem(".", "readable", "other users can open the folder: chmod 700".to_owned());
    }
    let files = match folder::files(keys) {
        Ok(files) => files,
        Err(e) => {
            problem(KEYS, "missing", e.to_string());
            return found;
        }
    };
    for name in files.iter().map(|(name, _)| name.as_str()).chain([KEYS, PUBLIC, nats::USERS]) {
        if others_may_read(folder, name) {
            problem(name, "readable", "other users can read it: chmod 600".to_owned());
        }
    }
    let public = keys.public().map(|keys| keys.to_value().to_string()).unwrap_or_default();
    match std::fs::read_to_string(folder.file(PUBLIC)) {
        Err(_) => problem(PUBLIC, "missing", "`nodkey keys write` writes it".to_owned()),
        Ok(text) if text.trim() != public => problem(PUBLIC, "different", "differs from keys.json: run `nodkey keys write`".to_owned()),
        Ok(_) => {}
    }
    match std::fs::read_to_string(folder.file(nats::USERS)) {
        Err(_) => problem(nats::USERS, "missing", "`nodkey keys write` writes it".to_owned()),
        Ok(text) if text != keys.nats.users() => {
            problem(nats::USERS, "different", "differs from keys.json: run `nodkey keys write`".to_owned());
        }
        Ok(_) => {}
    }
    for (file, expected) in &files {
        let Ok(text) = std::fs::read_to_string(folder.file(file)) else {
            problem(file, "missing", "`nodkey keys write` writes it".to_owned());
            continue;
        };
        let given: BTreeMap<_, _> = folder::parse(&text).into_iter().collect();
        for (name, value) in expected {
            match given.get(*name) {
                None => problem(file, "missing", (*name).to_owned()),
                Some(other) if other != value => {
                    problem(file, "different", format!("{name} differs from keys.json: run `nodkey keys write`"));
                }
                Some(_) => {}
            }
        }
        for (name, value) in given.iter().filter(|(name, _)| !expected.iter().any(|(known, _)| known == name)) {
            let secret = folder::secrets(keys).into_iter().find(|(_, key)| value.contains(&key.secret));
            let what = match secret {
                Some((secret, _)) => format!("{name} is {secret}, which this service does not need"),
                None => format!("{name} is not a key: keep other settings elsewhere, this file is overwritten"),
            };
            problem(file, "misplaced", what);
        }
    }
    let symmetric = keys.operator_keys().is_ok_and(|(_, symmetric)| symmetric.iter().any(|key| key.state == State::Current));
    if symmetric {
        problem(KEYS, "old", "the operator key is symmetric, so services can act as operators: run `nodkey keys rotate`".to_owned());
    }
    let limit = Duration::from_secs(u64::from(max_age_days) * 86_400);
    for (name, state, made_at, _) in keys.list() {
        let age = Timestamp::parse_rfc3339(&made_at).map_or(Duration::MAX, |made| made.until(now));
        if state == State::Current && age > limit {
            problem(KEYS, "old", format!("the {name} key was created at {made_at}, more than {max_age_days} days ago"));
        }
    }
    found
}

/// A missing file is reported separately.
fn others_may_read(folder: &Folder, name: &str) -> bool {
    std::fs::metadata(folder.file(name)).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}
