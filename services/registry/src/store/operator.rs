//! Rows of operators and their sessions. They belong to the deployment, not to a relying party.

use nodkey_db::{Db, DbError, Row, Tx};
use nodkey_kernel::{
    id::{DeviceId, OperatorId, OperatorSessionId, TrusonaficationId},
    role::Role,
    time::Timestamp,
};
use nodkey_runtime::{
    page::Listed,
    rows::{key, listed},
};
use uuid::Uuid;

use super::{Start, named, page};
use crate::{
    domain::operator::{Client, Invitation, Operator, OperatorSession},
    error::Error,
    invariants,
};

const SELECT: &str = "SELECT id, name, role, state, invitation_sha256, invitation_expires_at, device_id, created_at, signed_in_at, version \
     FROM operator WHERE ";

const SELECT_SESSION: &str = "SELECT id, operator_id, trusonafication_id, sealed_secret, created_at, expires_at, \
     COALESCE(seen_at, created_at) AS seen_at, client_address, user_agent FROM operator_session WHERE ";

/// Inserts an operator.
pub async fn insert(tx: &mut Tx, operator: &Operator) -> Result<(), Error> {
    invariants::check_operator(operator)?;
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

/// Updates the previous version; false if a concurrent change was first.
pub async fn update(tx: &mut Tx, operator: &Operator) -> Result<bool, Error> {
    invariants::check_operator(operator)?;
    let query = tx
        .query("UPDATE operator SET name = ")
        .push_bind(operator.name.as_str())
        .push(", role = ")
        .push_bind(operator.role.as_str())
        .push(", state = ")
        .push_bind(operator.state.as_str())
        .push(", invitation_sha256 = ")
        .push_bind(&operator.invitation.token_sha256[..])
        .push(", invitation_expires_at = ")
        .push_bind(operator.invitation.expires_at)
        .push(", device_id = ")
        .push_bind(operator.invitation.taken_by.as_ref().map(DeviceId::as_str))
        .push(", signed_in_at = ")
        .push_bind(operator.signed_in_at)
        .push(", version = ")
        .push_bind(operator.version)
        .push(" WHERE id = ")
        .push_bind(operator.id.as_uuid());
    Ok(query.push(" AND version = ").push_bind(operator.version - 1).execute().await? == 1)
}

/// Returns an operator.
pub async fn get(db: &Db, id: OperatorId) -> Result<Option<Operator>, Error> {
    let row = db.query(SELECT).push("id = ").push_bind(id.as_uuid()).fetch_optional().await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Finds an operator by the hash of the invitation token.
pub async fn invited(db: &Db, token_sha256: &[u8; 32]) -> Result<Option<Operator>, Error> {
    let row = db.query(SELECT).push("invitation_sha256 = ").push_bind(&token_sha256[..]).fetch_optional().await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Lists all operators.
pub async fn list(db: &Db, start: &Start<Uuid>, size: i64) -> Result<Listed<Operator>, Error> {
    Ok(listed(size, &page(db.query(SELECT), start, size).fetch_all().await?, "created_at", read))
}

/// Inserts a session; false if its trusonafication has already begun one.
pub async fn insert_session(tx: &mut Tx, session: &OperatorSession, sealed_secret: &[u8]) -> Result<bool, Error> {
    let inserted = tx
        .query(
            "INSERT INTO operator_session (id, operator_id, trusonafication_id, sealed_secret, created_at, expires_at, client_address, \
             user_agent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind(session.id.as_uuid())
        .bind(session.operator.as_uuid())
        .bind(session.trusonafication.as_uuid())
        .bind(sealed_secret)
        .bind(session.created_at)
        .bind(session.expires_at)
        .bind(session.client.address.as_str())
        .bind(session.client.agent.as_str())
        .execute()
        .await?;
    Ok(inserted == 1)
}

/// Returns a session that has not ended, and its sealed secret.
pub async fn session(db: &Db, id: OperatorSessionId, now: Timestamp) -> Result<Option<(OperatorSession, Vec<u8>)>, Error> {
    let query = db.query(SELECT_SESSION).push("id = ").push_bind(id.as_uuid()).push(" AND ended_at IS NULL AND expires_at > ");
    let row = query.push_bind(now).fetch_optional().await?;
    row.map(|row| Ok((read_session(&row)?, row.of("operator_session", id).get("sealed_secret")?))).transpose()
}

/// Lists sessions that have not ended and were used since a given time, of one operator or of all.
pub async fn list_sessions(
    db: &Db,
    operator: Option<OperatorId>,
    (now, used_since): (Timestamp, Timestamp),
    start: &Start<Uuid>,
    size: i64,
) -> Result<Listed<OperatorSession>, Error> {
    let mut query = db.query(SELECT_SESSION);
    if let Some(operator) = operator {
        query = query.push("operator_id = ").push_bind(operator.as_uuid()).push(" AND ");
    }
    let query = query.push("ended_at IS NULL AND expires_at > ").push_bind(now).push(" AND COALESCE(seen_at, created_at) >= ");
    let query = query.push_bind(used_since).push(" AND ");
    Ok(listed(size, &page(query, start, size).fetch_all().await?, "created_at", read_session))
}

fn read_session(row: &Row) -> Result<OperatorSession, DbError> {
    let record = row.of("operator_session", key(row, "id"));
    Ok(OperatorSession {
        id: OperatorSessionId::from_uuid(record.get("id")?),
        operator: OperatorId::from_uuid(record.get("operator_id")?),
        trusonafication: TrusonaficationId::from_uuid(record.get("trusonafication_id")?),
        created_at: record.get("created_at")?,
        expires_at: record.get("expires_at")?,
        seen_at: record.get("seen_at")?,
        client: Client { address: record.get("client_address")?, agent: record.get("user_agent")? },
    })
}

/// Records that a session was used.
pub async fn note_session_seen(db: &Db, id: OperatorSessionId, now: Timestamp) -> Result<(), Error> {
    db.execute("UPDATE operator_session SET seen_at = $1 WHERE id = $2").bind(now).bind(id.as_uuid()).execute().await?;
    Ok(())
}

/// Returns the operator of a session, whether it has ended or not.
pub async fn session_owner(db: &Db, id: OperatorSessionId) -> Result<Option<OperatorId>, Error> {
    let row = db.query("SELECT operator_id FROM operator_session WHERE id = $1").bind(id.as_uuid()).fetch_optional().await?;
    Ok(row.map(|row| row.get("operator_id")).transpose()?.map(OperatorId::from_uuid))
}

/// Ends one session.
pub async fn end_session(tx: &mut Tx, id: OperatorSessionId, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE operator_session SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL";
    tx.query(sql).bind(now).bind(id.as_uuid()).execute().await?;
    Ok(())
}

/// Ends every session of an operator.
pub async fn end_sessions(tx: &mut Tx, operator: OperatorId, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE operator_session SET ended_at = $1 WHERE operator_id = $2 AND ended_at IS NULL";
    tx.query(sql).bind(now).bind(operator.as_uuid()).execute().await?;
    Ok(())
}

/// Ends every session; returns how many there were.
pub async fn end_all_sessions(tx: &mut Tx, now: Timestamp) -> Result<u64, Error> {
    let sql = "UPDATE operator_session SET ended_at = $1 WHERE ended_at IS NULL AND expires_at > $1";
    Ok(tx.query(sql).bind(now).execute().await?)
}

/// Withdraws every invitation that was not accepted; returns how many there were.
pub async fn withdraw_invitations(tx: &mut Tx, now: Timestamp) -> Result<u64, Error> {
    let sql =
        "UPDATE operator SET invitation_expires_at = $1, version = version + 1 WHERE state = 'invited' AND invitation_expires_at > $1";
    Ok(tx.query(sql).bind(now).execute().await?)
}

fn read(row: &Row) -> Result<Operator, DbError> {
    let record = row.of("operator", key(row, "id"));
    let operator = Operator {
        id: OperatorId::from_uuid(record.get("id")?),
        name: record.get("name")?,
        role: record.convert("role", |name: String| name.parse::<Role>())?,
        state: named(&record, "state")?,
        invitation: Invitation {
            token_sha256: record.convert("invitation_sha256", |bytes: Vec<u8>| bytes.try_into().map_err(|_| "is not a SHA-256 hash"))?,
            expires_at: record.get("invitation_expires_at")?,
            taken_by: record.convert("device_id", |id: Option<String>| id.as_deref().map(DeviceId::parse).transpose())?,
        },
        created_at: record.get("created_at")?,
        signed_in_at: record.get("signed_in_at")?,
        version: record.get("version")?,
    };
    invariants::check_operator(&operator)?;
    Ok(operator)
}
