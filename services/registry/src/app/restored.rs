//! What becomes of a registry that was restored from a backup.

use nodkey_db::Db;
use nodkey_kernel::time::Timestamp;

use crate::{error::Error, store::operator as store};

/// What was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Operators' sessions.
    pub sessions: u64,
    /// Invitations that nobody had accepted.
    pub invitations: u64,
}

/// Ends every session of operators and every open invitation. Some of them were ended or used after the backup: whoever kept one would get
/// in again.
pub async fn end_what_was_open(db: &Db, now: Timestamp) -> Result<Ended, Error> {
    let mut tx = db.begin().await?;
    let ended =
        Ended { sessions: store::end_all_sessions(&mut tx, now).await?, invitations: store::withdraw_invitations(&mut tx, now).await? };
    tx.commit().await?;
    Ok(ended)
}
