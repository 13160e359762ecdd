//! Reseals values from former master keys with the current one, row by row, while the service continues to run.

use std::{sync::Arc, time::Duration};

use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use nodkey_db::{
    Db, DbError,
    sealed::{ANSWERS, Key, SealedColumn},
};
use nodkey_kernel::{random::Random, vault::Vault};
use nodkey_proto::status::v1::{
    CountSealedRequest, CountSealedResponse, ResealProgress, ResealRequest, SealedColumn as Former, UnopenedColumn,
    vault_service_server::VaultService,
};
use tonic::{Request, Response, Status};
use tracing::warn;

use crate::call::status::status;

/// Number of values resealed in one transaction.
const BATCH: i64 = 50;
/// Number of values opened at a time, to see whether they open.
const SCAN: i64 = 500;
/// Pause between two batches: serving callers takes precedence.
const PAUSE: Duration = Duration::from_millis(10);

/// Reseals the values in this process's databases.
#[derive(Clone, Debug)]
pub(crate) struct Resealer {
    vault: Arc<Vault>,
    random: Random,
    places: Vec<Place>,
}

/// A column in a service's database.
#[derive(Clone, Debug)]
struct Place {
    service: &'static str,
    db: Db,
    column: SealedColumn,
}

/// The state of a run.
struct Run {
    resealer: Resealer,
    left: std::vec::IntoIter<Place>,
    at: Option<(Place, ResealProgress, Option<Vec<Key>>)>,
}

impl Resealer {
    pub(crate) const fn new(vault: Arc<Vault>, random: Random) -> Self {
        Self { vault, random, places: Vec::new() }
    }

    /// Adds the columns of a service, and those that every service has.
    pub(crate) fn add(&mut self, service: &'static str, db: &Db, columns: &[SealedColumn]) {
        let all = columns.iter().copied().chain([ANSWERS]);
        self.places.extend(all.map(|column| Place { service, db: db.clone(), column }));
    }

    /// Does the next batch. Returns the column's progress, and the row after which to continue; `None` at its end.
    async fn batch(
        &self,
        Place { db, column, .. }: &Place,
        progress: &mut ResealProgress,
        seen: Option<&[Key]>,
    ) -> Result<Option<Vec<Key>>, DbError> {
        let batch = column.behind(db, self.vault.prefix(), seen, BATCH).await?;
        let mut tx = db.begin().await?;
        for sealed in &batch {
            match self.vault.reseal(&self.random, &sealed.context(column), &sealed.value) {
                Ok(Some(anew)) => progress.resealed += u64::from(column.replace(&mut tx, sealed, &anew).await?),
                Ok(None) => {}
                Err(e) => {
                    progress.unopened += 1;
                    // Does not log the row: keys of rows may identify a person.
                    warn!(table = column.table, column = column.column, cause = %e, "a value cannot be resealed");
                }
            }
        }
        tx.commit().await?;
        Ok(batch.last().map(|last| last.key.clone()))
    }
}

impl Resealer {
    /// Counts the values of a column that no master key opens. Reads each of them.
    async fn unopened(&self, Place { db, column, .. }: &Place) -> Result<u64, DbError> {
        let (mut unopened, mut seen) = (0, None::<Vec<Key>>);
        loop {
            // Every value begins otherwise than with nothing.
            let batch = column.behind(db, &[], seen.as_deref(), SCAN).await?;
            unopened += batch.iter().filter(|sealed| self.vault.open(&sealed.context(column), &sealed.value).is_err()).count() as u64;
            match batch.last() {
                Some(last) => seen = Some(last.key.clone()),
                None => return Ok(unopened),
            }
        }
    }
}

impl Run {
    /// The next progress message; `None` when everything is done.
    async fn next(&mut self) -> Option<Result<ResealProgress, DbError>> {
        let Some((place, progress, seen)) = &mut self.at else {
            let place = self.left.next()?;
            let found = match place.column.count(&place.db, self.resealer.vault.prefix()).await {
                Ok(found) => found,
                Err(e) => return Some(Err(e)),
            };
            let (table, column) = (place.column.table.to_owned(), place.column.column.to_owned());
            let progress = ResealProgress { service: place.service.into(), table, column, found, ..ResealProgress::default() };
            self.at = Some((place, progress.clone(), None));
            return Some(Ok(progress));
        };
        tokio::time::sleep(PAUSE).await;
        match self.resealer.batch(place, progress, seen.as_deref()).await {
            Ok(next) => {
                let progress = progress.clone();
                *seen = next;
                if seen.is_none() {
                    self.at = None;
                }
                Some(Ok(progress))
            }
            Err(e) => Some(Err(e)),
        }
    }
}

#[tonic::async_trait]
impl VaultService for Resealer {
    type ResealStream = BoxStream<'static, Result<ResealProgress, Status>>;

    async fn reseal(&self, _: Request<ResealRequest>) -> Result<Response<Self::ResealStream>, Status> {
        let run = Run { resealer: self.clone(), left: self.places.clone().into_iter(), at: None };
        // After a failure the stream ends: a caller that wants to finish the run calls again.
        let progress = stream::unfold(Some(run), |run| async move {
            let mut run = run?;
            let next = run.next().await?;
            let run = next.is_ok().then_some(run);
            Some((next.map_err(status), run))
        });
        Ok(Response::new(progress.boxed()))
    }

    async fn count_sealed(&self, _: Request<CountSealedRequest>) -> Result<Response<CountSealedResponse>, Status> {
        let (mut columns, mut unopened) = (Vec::new(), Vec::new());
        for place @ Place { service, db, column } in &self.places {
            let values = self.unopened(place).await.map_err(status)?;
            if values > 0 {
                let (table, column) = (column.table.into(), column.column.into());
                unopened.push(UnopenedColumn { service: (*service).into(), table, column, values });
            }
            let former = column.count(db, self.vault.prefix()).await.map_err(status)?;
            if former > 0 {
                let (table, column) = (column.table.into(), column.column.into());
                columns.push(Former { service: (*service).into(), table, column, former });
            }
        }
        Ok(Response::new(CountSealedResponse { columns, unopened }))
    }
}

#[cfg(test)]
mod tests;
