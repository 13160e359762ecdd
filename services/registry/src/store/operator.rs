//! Rows of operators and their sessions: the deployment's, no tenant's.

use nodkey_db::{Db, Row, Tx};
use nodkey_kernel::{
    id::{DeviceId, OperatorId, OperatorSessionId, TrusonaficationId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{Start, named};
use crate::{
    domain::operator::{Invitation, Operator, OperatorSession},
    error::Error,
};

macro_rules! select {
    ($rest:expr) => {
        concat!(
            "SELECT id, name, role, state, invitation_sha256, invitation_expires_at, device_id, created_at, signed_in_at, version \
             FROM operator ",
            $rest
        )
    };
}

/// Inserts.
pub async fn insert(tx: &mut Tx, operator: &Operator) -> Result<(), Error> {
    tx.query(
        "INSERT INTO operator (id, name, role, state, invitation_sha256, invitation_expires_at, created_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(operator.id.as_uuid())
    .bind(operator.name.as_str())
    .bind(operator.role.as_str())
    .bind(operator.state.as_str())
    .bind(&operator.invitation.token_sha256[..])
    .bind(operator.invitation.expires_at)
    .bind(operator.created_at)
    .bind(operator.version)
    .execute()
    .await?;
    Ok(())
}

/// Writes a change of the version before; false when another was first.
pub async fn update(tx: &mut Tx, operator: &Operator) -> Result<bool, Error> {
    let updated = tx
        .query(
            "UPDATE operator SET name = $1, role = $2, state = $3, invitation_sha256 = $4, invitation_expires_at = $5, device_id = $6, \
             signed_in_at = $7, version = $8 WHERE id = $9 AND version = $8 - 1",
        )
        .bind(operator.name.as_str())
        .bind(operator.role.as_str())
        .bind(operator.state.as_str())
        .bind(&operator.invitation.token_sha256[..])
        .bind(operator.invitation.expires_at)
        .bind(operator.invitation.taken_by.as_ref().map(DeviceId::as_str))
        .bind(operator.signed_in_at)
        .bind(operator.version)
        .bind(operator.id.as_uuid())
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Returns one.
pub async fn get(db: &Db, id: OperatorId) -> Result<Option<Operator>, Error> {
    let row = db.query(select!("WHERE id = $1")).bind(id.as_uuid()).fetch_optional().await?;
    row.as_ref().map(read).transpose()
}

/// Finds the one an invitation is for.
pub async fn invited(db: &Db, token_sha256: &[u8; 32]) -> Result<Option<Operator>, Error> {
    let row = db.query(select!("WHERE invitation_sha256 = $1")).bind(&token_sha256[..]).fetch_optional().await?;
    row.as_ref().map(read).transpose()
}

/// Lists all of them.
pub async fn list(db: &Db, start: &Start<Uuid>, limit: i64) -> Result<Vec<Operator>, Error> {
    let rows = db
        .query(select!("WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT $3"))
        .bind(start.at)
        .bind(start.id)
        .bind(limit)
        .fetch_all()
        .await?;
    rows.iter().map(read).collect()
}

/// Inserts a session; false when what it was accepted by has begun one before.
pub async fn insert_session(tx: &mut Tx, session: &OperatorSession, sealed_secret: &[u8]) -> Result<bool, Error> {
    let inserted = tx
        .query(
            "INSERT INTO operator_session (id, operator_id, trusonafication_id, sealed_secret, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(session.id.as_uuid())
        .bind(session.operator.as_uuid())
        .bind(session.trusonafication.as_uuid())
        .bind(sealed_secret)
        .bind(session.created_at)
        .bind(session.expires_at)
        .execute()
        .await?;
    Ok(inserted == 1)
}

/// Returns a session that is alive, and its sealed secret.
pub async fn session(db: &Db, id: OperatorSessionId, now: Timestamp) -> Result<Option<(OperatorSession, Vec<u8>)>, Error> {
    let row = db
        .query(
            "SELECT id, operator_id, trusonafication_id, sealed_secret, created_at, expires_at FROM operator_session \
             WHERE id = $1 AND ended_at IS NULL AND expires_at > $2",
        )
        .bind(id.as_uuid())
        .bind(now)
        .fetch_optional()
        .await?;
    row.map(|row| {
        let session = OperatorSession {
            id: OperatorSessionId::from_uuid(row.get("id")?),
            operator: OperatorId::from_uuid(row.get("operator_id")?),
            trusonafication: TrusonaficationId::from_uuid(row.get("trusonafication_id")?),
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
        };
        Ok((session, row.get("sealed_secret")?))
    })
    .transpose()
}

/// Ends one session.
pub async fn end_session(tx: &mut Tx, id: OperatorSessionId, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE operator_session SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL";
    tx.query(sql).bind(now).bind(id.as_uuid()).execute().await?;
    Ok(())
}

/// Ends every session of an operator's.
pub async fn end_sessions(tx: &mut Tx, operator: OperatorId, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE operator_session SET ended_at = $1 WHERE operator_id = $2 AND ended_at IS NULL";
    tx.query(sql).bind(now).bind(operator.as_uuid()).execute().await?;
    Ok(())
}

fn read(row: &Row) -> Result<Operator, Error> {
    let sha256: Vec<u8> = row.get("invitation_sha256")?;
    let device: Option<String> = row.get("device_id")?;
    Ok(Operator {
        id: OperatorId::from_uuid(row.get("id")?),
        name: row.get("name")?,
        role: named(row, "role")?,
        state: named(row, "state")?,
        invitation: Invitation {
            token_sha256: sha256.try_into().map_err(|_| Error::Corrupt("invitation_sha256"))?,
            expires_at: row.get("invitation_expires_at")?,
            taken_by: device.map(|id| DeviceId::parse(&id).map_err(|_| Error::Corrupt("device_id"))).transpose()?,
        },
        created_at: row.get("created_at")?,
        signed_in_at: row.get("signed_in_at")?,
        version: row.get("version")?,
    })
}
