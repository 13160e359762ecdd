//! What became of bindings, and when.

use nodkey_db::{Db, DbError};
use nodkey_kernel::{
    id::{BindingId, RelyingPartyId},
    time::Timestamp,
};
use nodkey_runtime::Failure;
use uuid::Uuid;

use super::{SELECT, all};
use crate::domain::Binding;

/// When something became of a binding.
#[derive(Debug)]
pub struct Moments {
    /// The binding.
    pub id: BindingId,
    /// Its relying party.
    pub relying_party: RelyingPartyId,
    /// When it was activated.
    pub activated_at: Option<Timestamp>,
    /// When it ended.
    pub deactivated_at: Option<Timestamp>,
}

/// Returns the bindings of all relying parties behind an id, in the order of ids.
pub async fn moments_after(db: &Db, after: Uuid, size: i64) -> Result<Vec<Moments>, DbError> {
    let query = db.query("SELECT id, relying_party_id, activated_at, deactivated_at FROM binding WHERE id > $1 ORDER BY id LIMIT $2");
    let rows = query.bind(after).bind(size).fetch_all().await?;
    rows.iter()
        .map(|row| {
            Ok(Moments {
                id: BindingId::from_uuid(row.get("id")?),
                relying_party: RelyingPartyId::from_uuid(row.get("relying_party_id")?),
                activated_at: row.get("activated_at")?,
                deactivated_at: row.get("deactivated_at")?,
            })
        })
        .collect()
}

/// Returns the user's other bindings that were active when a binding was activated, or ended, at this time. Of bindings that ended together,
/// the oldest ended first.
pub async fn active_beside(db: &Db, binding: &Binding, at: Timestamp) -> Result<Vec<Binding>, Failure> {
    let query = db.query(SELECT).push("relying_party_id = ").push_bind(binding.relying_party.as_uuid());
    let query = query.push(" AND user_identifier = ").push_bind(binding.user.as_str());
    let query = query.push(" AND id <> ").push_bind(binding.id.as_uuid()).push(" AND activated_at <= ").push_bind(at);
    let query = query.push(" AND (deactivated_at IS NULL OR deactivated_at > ").push_bind(at);
    let query = query.push(" OR (deactivated_at = ").push_bind(at).push(" AND (created_at, id) > (").push_bind(binding.created_at);
    all(query.push(", ").push_bind(binding.id.as_uuid()).push("))) ORDER BY created_at, id LIMIT 99")).await
}

/// Returns the binding that replaced another at this time.
pub async fn successor(db: &Db, ended: &Binding, at: Timestamp) -> Result<Option<Binding>, Failure> {
    let query = db.query(SELECT).push("relying_party_id = ").push_bind(ended.relying_party.as_uuid());
    let query =
        query.push(" AND user_identifier = ").push_bind(ended.user.as_str()).push(" AND vouched_by = ").push_bind(ended.device.as_str());
    Ok(all(query.push(" AND activated_at = ").push_bind(at).push(" LIMIT 1")).await?.pop())
}
