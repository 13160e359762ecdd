//! Use cases of the audit log's chains: signing, cutting and exporting them.

use nodkey_kernel::{
    audit::{AUDIT_TYP, Line, START, verify_checkpoint},
    error::chain as causes,
    id::RelyingPartyId,
    jose::JoseError,
    time::Timestamp,
};
use nodkey_runtime::housekeeping::Pass;
use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::App;
use crate::{
    domain::{
        Refusal,
        audit::{Chain, ChainId},
    },
    error::Error,
    metrics::{AUDIT_CHAIN_FAULTS, AUDIT_CHECKPOINTS},
    store::{audit_chain as store, retention},
};

/// Entries or chains read per query.
const BATCH: i64 = 200;

/// Maximum checkpoints per page: there are no more than positions, unless the database was tampered with.
const MAX_CHECKPOINTS: i64 = 10_000;

/// Where an export continues. The format is opaque to clients.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Position {
    /// Among the entries that predate chains, after this one.
    Unchained { at: i64, id: Uuid },
    /// Before the chain that follows this one.
    Between { after: Option<Uuid> },
    /// Within a chain, after this entry.
    Within { chain: Uuid, seq: u64 },
}

/// A page of an export.
#[derive(Debug, Default)]
pub struct Exported {
    /// One line of JSON each.
    pub lines: Vec<String>,
    /// Continues the export; empty at the end.
    pub next_page_token: String,
}

impl App {
    /// Signs a checkpoint of every chain that has grown since its last one.
    pub async fn checkpoint_audit_chains(&self) -> Result<(), Error> {
        let (mut after, mut failed) = (None, None);
        loop {
            let due = store::uncovered(&self.0.db, after, BATCH).await?;
            let Some(last) = due.last() else { return failed.map_or(Ok(()), Err) };
            after = Some(*last);
            for id in due {
                // An unreadable chain does not keep the others from being signed.
                if let Err(e) = self.checkpoint(id, None).await {
                    failed.get_or_insert(e);
                }
            }
        }
    }

    /// Deletes old audit entries: cuts each chain at a checkpoint, signs the position of the cut, and then deletes the entries before it.
    pub async fn delete_audit_entries(&self, pass: &Pass) -> Result<(), Error> {
        let (before, mut after, mut failed) = (pass.now() - self.0.audit_retention, None, None);
        if !pass.repeat(|| retention::delete_unchained(&self.0.db, before)).await? {
            return Ok(());
        }
        loop {
            let old = store::cuttable(&self.0.db, before, after).await?;
            let Some((last, _)) = old.last() else { return failed.map_or(Ok(()), Err) };
            after = Some(*last);
            for (id, seq) in old {
                match self.cut(pass, id, seq).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    // An unreadable chain does not keep the others from being cut.
                    Err(e) => drop(failed.get_or_insert(e)),
                }
            }
        }
    }

    /// Cuts one chain and deletes the entries before the cut. Returns false when the time of the pass is over.
    async fn cut(&self, pass: &Pass, id: ChainId, seq: u64) -> Result<bool, Error> {
        self.checkpoint(id, Some(seq)).await?;
        let Some(chain) = store::get(&self.0.db, id).await? else { return Ok(true) };
        pass.repeat(|| store::delete_cut(&self.0.db, id, chain.cut)).await
    }

    /// Signs the current head of a chain and, with `cut`, the position from which on it is kept. A chain that does not verify is not
    /// signed, and stays as it is for investigation.
    async fn checkpoint(&self, id: ChainId, cut: Option<u64>) -> Result<(), Error> {
        let Some(before) = store::get(&self.0.db, id).await? else { return Ok(()) };
        if cut.is_some_and(|cut| cut <= before.cut) {
            return Ok(());
        }
        let cut_hash = match cut {
            Some(cut) => store::hash_at(&self.0.db, id, cut).await?.map(|hash| (cut, hash)),
            None => Some((before.cut, before.cut_hash)),
        };
        let found = match self.verified(&before).await? {
            Some(found) => cut_hash.map(|cut| (found, cut)),
            None => None,
        };
        let Some(((seq, hash), (cut, cut_hash))) = found else {
            if store::get(&self.0.db, id).await? != Some(before) {
                // Another replica has signed or cut it in the meantime.
                return Ok(());
            }
            AUDIT_CHAIN_FAULTS.increment(1);
            error!(
                chain = id.name(),
                "the audit log was changed from outside and is no longer signed; run nodkey audit verify to locate the change"
            );
            return Ok(());
        };
        let after = Chain { checkpoint: seq, cut, cut_hash, ..before };
        if after == before {
            return Ok(());
        }
        let chains = if id == ChainId::DEPLOYMENT { Some(store::count(&self.0.db).await?) } else { None };
        let now = self.now();
        let jws = self.sign_claims(AUDIT_TYP, &after.claims(&self.0.deployment.public_url, (seq, hash), chains, now)).await?;
        let mut tx = self.0.db.begin().await?;
        if store::insert_checkpoint(&mut tx, &before, &after, now, &jws).await? {
            tx.commit().await?;
            AUDIT_CHECKPOINTS.increment(1);
            // A log collector elsewhere then holds a copy that nobody can rewrite.
            info!(chain = id.name(), seq, hash = hex::encode(hash), cut, "signed a checkpoint of the audit log");
        } else {
            tx.rollback().await?;
        }
        Ok(())
    }

    /// The newest entry of a chain, if all entries since the last checkpoint form an unbroken chain.
    async fn verified(&self, chain: &Chain) -> Result<Option<(u64, [u8; 32])>, Error> {
        let (mut seq, mut hash) = match chain.checkpoint {
            0 => (0, START),
            seq => match self.signed(chain).await? {
                Some(hash) => (seq, hash),
                None => return Ok(None),
            },
        };
        if chain.checkpoint == 0 && chain.cut > 0 {
            return Ok(None);
        }
        while seq < chain.seq {
            let entries = store::entries(&self.0.db, chain.id, seq, BATCH).await?;
            if entries.is_empty() {
                return Ok(None);
            }
            for (entry, stored) in entries {
                let follows = entry.seq == seq + 1 && entry.prev == hash;
                (seq, hash) = (entry.seq, entry.hash());
                if !follows || stored != hash {
                    return Ok(None);
                }
                if seq == chain.seq {
                    return Ok((hash == chain.hash).then_some((seq, hash)));
                }
            }
        }
        Ok((seq == chain.seq && hash == chain.hash).then_some((seq, hash)))
    }

    /// The hash that the newest checkpoint of a chain signs, if its name, position and cut match the chain. A checkpoint whose key was
    /// revoked since proves nothing; the entry's own hash is used then.
    async fn signed(&self, chain: &Chain) -> Result<Option<[u8; 32]>, Error> {
        let found = store::checkpoints(&self.0.db, chain.id, (chain.checkpoint, chain.checkpoint), 1).await?;
        let Some((_, jws)) = found.first() else { return Ok(None) };
        let claims = match verify_checkpoint(jws, &self.archived().await?) {
            Ok((claims, _)) => claims,
            Err(JoseError::Key) => return store::hash_at(&self.0.db, chain.id, chain.checkpoint).await,
            Err(_) => return Ok(None),
        };
        let fits = claims.chain == chain.id.name() && claims.seq == chain.checkpoint && claims.cut == chain.cut;
        Ok(if fits { hex::decode(claims.hash).ok().and_then(|hash| hash.try_into().ok()) } else { None })
    }

    /// Returns a page of an export: of one relying party, or of everything. Every exported chain is signed up to where it is exported.
    pub async fn export_audit_log(&self, party: Option<RelyingPartyId>, token: &str, size: i64) -> Result<Exported, Error> {
        let position = match token {
            "" => {
                if let Some(party) = party {
                    self.relying_party(party).await?;
                }
                Position::Unchained { at: 0, id: Uuid::nil() }
            }
            token => read_token(token)?,
        };
        let mut lines = Vec::new();
        let next = match position {
            Position::Unchained { at, id } => {
                let after = (Timestamp::from_micros(at), id);
                let entries = store::unchained(&self.0.db, party, after, size).await?;
                // After the last entry, even if it is unreadable.
                let next = entries
                    .last()
                    .filter(|_| entries.has_next())
                    .and_then(|last| Some(Position::Unchained { at: last.at.as_micros(), id: last.id.parse().ok()? }));
                lines.extend(entries.iter().map(|entry| Line::Unchained { entry: entry.to_value() }.to_json()));
                next.or(Some(Position::Between { after: None }))
            }
            Position::Between { after } => self.begin_chain(party, after, &mut lines).await?,
            // Clients can forge a token, so the chain it names is checked on every request.
            Position::Within { chain, .. } if party.is_some_and(|party| party.as_uuid() != chain) => {
                return Err(Refusal::invalid("page_token", "must be one that a list answered").into());
            }
            Position::Within { chain, seq } => self.export_chain((party, ChainId(chain)), seq, size, &mut lines).await?,
        };
        let next_page_token = next.map(|next| write_token(&next)).unwrap_or_default();
        Ok(Exported { lines, next_page_token })
    }

    async fn begin_chain(
        &self,
        party: Option<RelyingPartyId>,
        after: Option<Uuid>,
        lines: &mut Vec<String>,
    ) -> Result<Option<Position>, Error> {
        let next = match (party, after) {
            (Some(_), Some(_)) => None,
            (Some(party), None) => Some(ChainId(party.as_uuid())),
            (None, after) => store::next(&self.0.db, after.map(ChainId)).await?.map(|chain| chain.id),
        };
        if let Some(id) = next
            && let Err(e) = self.checkpoint(id, None).await
        {
            warn!(error = causes(&e), "the audit log is exported without its newest checkpoint");
        }
        let chain = match next {
            Some(id) => store::get(&self.0.db, id).await?,
            None => None,
        };
        let Some(chain) = chain else {
            let chains = if party.is_none() { Some(store::count(&self.0.db).await?) } else { None };
            lines.push(Line::End { chains }.to_json());
            return Ok(None);
        };
        let line = Line::Chain { chain: chain.id.name(), cut: chain.cut, cut_hash: hex::encode(chain.cut_hash) };
        lines.push(line.to_json());
        for (_, jws) in store::checkpoints(&self.0.db, chain.id, (chain.cut, chain.cut), 1).await? {
            lines.push(Line::Checkpoint { jws }.to_json());
        }
        Ok(Some(Position::Within { chain: chain.id.0, seq: chain.cut }))
    }

    async fn export_chain(
        &self,
        (party, id): (Option<RelyingPartyId>, ChainId),
        after: u64,
        size: i64,
        lines: &mut Vec<String>,
    ) -> Result<Option<Position>, Error> {
        let entries = store::entries(&self.0.db, id, after, size).await?;
        // Read after the entries: an entry appended in the meantime is on the next page.
        let head = store::get(&self.0.db, id).await?.ok_or(Refusal::NotFound("chain"))?;
        let last = entries.last().map_or(after, |(entry, _)| entry.seq);
        if head.cut > after && entries.first().is_none_or(|(entry, _)| entry.seq > after + 1) {
            // Retention has deleted the next entries.
            return Err(Error::Raced);
        }
        let is_end = entries.is_empty() || (i64::try_from(entries.len()) != Ok(size) && head.seq <= last);
        // As many checkpoints as positions, and none left out.
        let to = if is_end { u64::MAX } else { last };
        let mut checkpoints = store::checkpoints(&self.0.db, id, (after + 1, to), MAX_CHECKPOINTS).await?.into_iter().peekable();
        for (entry, hash) in &entries {
            while let Some((_, jws)) = checkpoints.next_if(|(seq, _)| *seq < entry.seq) {
                lines.push(Line::Checkpoint { jws }.to_json());
            }
            lines.push(Line::record(&entry.to_record(), hash).to_json());
            while let Some((_, jws)) = checkpoints.next_if(|(seq, _)| *seq == entry.seq) {
                lines.push(Line::Checkpoint { jws }.to_json());
            }
        }
        lines.extend(checkpoints.map(|(_, jws)| Line::Checkpoint { jws }.to_json()));
        if !is_end {
            return Ok(Some(Position::Within { chain: id.0, seq: last }));
        }
        lines.push(Line::Head { chain: id.name(), seq: head.seq, hash: hex::encode(head.hash) }.to_json());
        if party.is_some() {
            lines.push(Line::End { chains: None }.to_json());
            return Ok(None);
        }
        Ok(Some(Position::Between { after: Some(id.0) }))
    }
}

fn write_token(position: &Position) -> String {
    hex::encode(serde_json::json!(position).to_string())
}

fn read_token(token: &str) -> Result<Position, Refusal> {
    let position = hex::decode(token).ok().and_then(|json| serde_json::from_slice(&json).ok());
    position.ok_or_else(|| Refusal::invalid("page_token", "must be one that a list answered"))
}

#[cfg(test)]
pub(super) mod tests;
