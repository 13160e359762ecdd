//! Checks that the master keys of a process open the values in its databases.
//!
//! The first few values of each sealed column are opened. If none of them opens, the process was given the wrong keys, or not all that it
//! needs. One value of many that does not open may be damaged, and is no reason to refuse the others.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nodkey_db::{
    Db, DbError,
    sealed::{ANSWERS, SealedColumn},
};
use nodkey_kernel::{
    error::chain,
    vault::{Vault, key_id},
};
use tracing::warn;

/// Number of values checked per column.
const SAMPLE: i64 = 50;

/// The columns to check, each with its vault. None by default.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    vault: Option<Arc<Vault>>,
    columns: Vec<(&'static str, Db, SealedColumn)>,
    /// Whether the check has succeeded: the keys of a process do not change.
    opens: AtomicBool,
}

impl Opening {
    pub(crate) fn new(vault: &Arc<Vault>) -> Self {
        Self { vault: Some(Arc::clone(vault)), ..Self::default() }
    }

    /// Adds the columns of a service, and those that every service has.
    pub(crate) fn add(&mut self, service: &'static str, db: &Db, columns: &[SealedColumn]) {
        let all = columns.iter().copied().chain([ANSWERS]);
        self.columns.extend(all.map(|column| (service, db.clone(), column)));
    }

    /// The columns that these keys do not open; empty when all is well. The check is repeated until it has succeeded once.
    pub(crate) async fn problems(&self) -> Vec<String> {
        let Some(vault) = self.vault.as_ref().filter(|_| !self.opens.load(Ordering::Relaxed)) else { return Vec::new() };
        let mut problems = Vec::new();
        for (service, db, column) in &self.columns {
            match look(vault, db, column).await {
                Ok(None) => {}
                Ok(Some(problem)) => problems.push(format!("{service}: {problem}")),
                Err(e) => problems.push(format!("{service}: {}.{} cannot be read: {}", column.table, column.column, chain(&e))),
            }
        }
        self.opens.store(problems.is_empty(), Ordering::Relaxed);
        problems
    }
}

/// What is wrong with a column, if none of its values opens.
async fn look(vault: &Vault, db: &Db, column: &SealedColumn) -> Result<Option<String>, DbError> {
    let values = column.first(db, SAMPLE).await?;
    let closed: Vec<_> = values.iter().filter(|sealed| vault.open(&sealed.context(column), &sealed.value).is_err()).collect();
    let name = format!("{}.{}", column.table, column.column);
    if closed.is_empty() {
        return Ok(None);
    }
    if closed.len() < values.len() {
        warn!(column = name, values = closed.len(), of = values.len(), "values do not open: damaged, or sealed under a key that is gone");
        return Ok(None);
    }
    let keys: BTreeSet<_> = closed.iter().filter_map(|sealed| key_id(&sealed.value)).collect();
    let own: Vec<_> = vault.key_ids().collect();
    let by = if keys.is_empty() { "none of them".to_owned() } else { keys.into_iter().collect::<Vec<_>>().join(", ") };
    let given = own.join(", ");
    Ok(Some(format!(
        "the master keys do not open {name}: it is sealed under {by}, and this process was given {given}; set deployment.master_key, or \
         deployment.previous_master_keys"
    )))
}
