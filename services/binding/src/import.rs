//! Bulk import of users and bindings: all or nothing.

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use nodkey_kernel::{
    error::{Classify as _, Kind},
    id::{DeviceId, RelyingPartyId},
};
use nodkey_proto::binding::v1::{ImportFault, ImportRow, ImportUsersResponse};

use crate::{
    app::App,
    domain::{Scope, TrusonaId, UserIdentifier},
    error::Error,
};

/// Maximum number of rows per import.
pub const MAX_ROWS: usize = 50_000;
/// Maximum number of faults reported.
const MAX_FAULTS: usize = 100;
/// Maximum number of concurrent calls to the registry.
const AT_ONCE: usize = 16;

/// A parsed row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    line: i32,
    user: UserIdentifier,
    /// The device, with whether its binding is to be active.
    device: Option<(DeviceId, bool)>,
    trusona_id: Option<TrusonaId>,
}

/// The faults of an import by line, limited in number.
#[derive(Debug, Default)]
struct Faults(BTreeMap<i32, ImportFault>);

impl Faults {
    fn add(&mut self, line: i32, reason: &str, message: impl Into<String>) {
        self.0.entry(line).or_insert_with(|| ImportFault { line, reason: reason.to_owned(), message: message.into() });
    }

    fn refused(&mut self, line: i32, error: &Error) {
        self.add(line, error.reason(), error.to_string());
    }

    fn are_many(&self) -> bool {
        self.0.len() >= MAX_FAULTS
    }

    fn finish(self) -> ImportUsersResponse {
        ImportUsersResponse { faults: self.0.into_values().take(MAX_FAULTS).collect(), ..ImportUsersResponse::default() }
    }
}

/// Parses a row.
fn read(row: &ImportRow) -> Result<Wish, (&'static str, String)> {
    let user = UserIdentifier::parse(&row.user_identifier).map_err(|e| ("VALIDATION_FAILED", format!("user_identifier {e}")))?;
    let device = match row.device_identifier.as_str() {
        "" => None,
        text => Some((DeviceId::parse(text).map_err(|e| ("VALIDATION_FAILED", format!("device_identifier {e}")))?, row.active)),
    };
    let trusona_id = match row.trusona_id.as_str() {
        "" => None,
        text => Some(TrusonaId::parse(text).map_err(|e| ("VALIDATION_FAILED", format!("trusona_id {e}")))?),
    };
    if device.is_none() && trusona_id.is_none() {
        return Err(("VALIDATION_FAILED", "a device_identifier or a trusona_id is required".to_owned()));
    }
    Ok(Wish { line: row.line, user, device, trusona_id })
}

/// Parses all rows. Of two rows that contradict each other about a device, the later one is at fault.
fn read_all(rows: &[ImportRow], faults: &mut Faults) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let mut owners: HashMap<DeviceId, (UserIdentifier, i32)> = HashMap::new();
    for row in rows {
        match read(row) {
            Err((reason, message)) => faults.add(row.line, reason, message),
            Ok(wish) => {
                if let Some((device, _)) = &wish.device {
                    let (owner, line) = owners.entry(device.clone()).or_insert_with(|| (wish.user.clone(), wish.line));
                    if *owner != wish.user {
                        faults.add(wish.line, "DEVICE_ALREADY_BOUND", format!("line {line} binds the device to another user"));
                    }
                }
                wishes.push(wish);
            }
        }
    }
    wishes
}

impl App {
    /// Imports rows, or reports what is wrong with them. Invalid rows are reported before other services are called about the rest.
    pub async fn import(&self, party: RelyingPartyId, rows: &[ImportRow], dry_run: bool) -> Result<ImportUsersResponse, Error> {
        let mut faults = Faults::default();
        let wishes = read_all(rows, &mut faults);
        if !faults.0.is_empty() {
            return Ok(faults.finish());
        }
        self.check_devices(party, &wishes, &mut faults).await?;
        if !faults.0.is_empty() {
            return Ok(faults.finish());
        }
        let mut tx = self.begin().await?;
        let (mut changed, mut unchanged) = (0, 0);
        for wish in wishes {
            let mut count = |is_new: bool| if is_new { changed += 1 } else { unchanged += 1 };
            if let Some((device, active)) = &wish.device {
                match self.import_binding(&mut tx, party, &wish.user, device, *active).await {
                    Ok(is_new) => count(is_new),
                    Err(e @ Error::Refused(_)) => faults.refused(wish.line, &e),
                    Err(e) => return Err(e),
                }
            }
            if let Some(trusona_id) = wish.trusona_id {
                match self.add_identifier(&mut tx, party, Scope::RelyingParty, wish.user, trusona_id).await {
                    Ok((_, is_new)) => count(is_new),
                    Err(e @ Error::Refused(_)) => faults.refused(wish.line, &e),
                    Err(e) => return Err(e),
                }
            }
            if faults.are_many() {
                break;
            }
        }
        if !faults.0.is_empty() {
            tx.rollback().await?;
            return Ok(faults.finish());
        }
        if dry_run {
            tx.rollback().await?;
        } else {
            tx.commit().await?;
        }
        Ok(ImportUsersResponse { changed, unchanged, faults: Vec::new() })
    }

    /// Checks every device with the registry before anything is written.
    async fn check_devices(&self, party: RelyingPartyId, wishes: &[Wish], faults: &mut Faults) -> Result<(), Error> {
        let asked: Vec<_> = wishes.iter().filter_map(|wish| Some((wish.line, wish.device.as_ref()?.0.clone()))).collect();
        let mut answers = stream::iter(asked)
            .map(|(line, device)| {
                let app = self.clone();
                async move {
                    match app.ensure_device(party, &device).await {
                        Err(e) if e.kind() == Kind::Precondition => Ok(Some((line, e))),
                        Err(e) => Err(e),
                        Ok(()) => Ok(None),
                    }
                }
            })
            .buffered(AT_ONCE);
        while let Some(answer) = answers.try_next().await? {
            if let Some((line, error)) = answer {
                faults.refused(line, &error);
            }
            if faults.are_many() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: i32, user: &str, device: &str, trusona_id: &str) -> ImportRow {
        ImportRow { line, user_identifier: user.into(), device_identifier: device.into(), active: true, trusona_id: trusona_id.into() }
    }

    #[test]
    fn every_row_that_cannot_be_read_is_told_by_its_line() {
        let (one, two) = ("1".repeat(43), "2".repeat(43));
        let rows = [
            row(2, "ada", &one, ""),
            row(3, " ", &one, ""),
            row(4, "ada", "x", ""),
            row(5, "ada", "", ""),
            row(6, "ada", "", "\u{7}"),
            row(7, "bob", &one, ""),
            row(8, "ada", &one, "123456789"),
            row(9, "bob", &two, ""),
        ];
        let mut faults = Faults::default();
        assert_eq!(read_all(&rows, &mut faults).len(), 4);
        let told: Vec<_> = faults.finish().faults.into_iter().map(|f| (f.line, f.reason)).collect();
        let invalid = |line| (line, "VALIDATION_FAILED".to_owned());
        assert_eq!(told, [invalid(3), invalid(4), invalid(5), invalid(6), (7, "DEVICE_ALREADY_BOUND".to_owned())]);
    }

    #[test]
    fn a_hundred_faults_are_told() {
        let rows: Vec<_> = (0..500).map(|line| row(line, "", "", "")).collect();
        let mut faults = Faults::default();
        read_all(&rows, &mut faults);
        let told = faults.finish().faults;
        assert_eq!((told.len(), told[99].line), (100, 99));
    }
}
