//! Prompt budgets: how often other parties may prompt a user.

use std::time::Duration;

use nodkey_db::Tx;
use nodkey_kernel::{
    id::{RelyingPartyId, TrusonaficationId},
    time::Timestamp,
};
use nodkey_proto::registry::v1::RelyingParty;
use nodkey_runtime::housekeeping::Pass;

use super::App;
use crate::{
    domain::{Budget, Change, State, Trusonafication, Waiting, Way},
    error::Error,
    metrics::{PROMPTS_REFUSED, PromptRefusal},
    store::{self, Hold, Mark, Open},
};

/// How long an unused budget is kept: all of its strikes expire long before.
const UNUSED: Duration = Duration::from_hours(30 * 24);

/// The rules for a relying party's prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// No budgets apply.
    pub tolerant: bool,
    /// Requests may ask for an answer without a person.
    pub unprompted: bool,
    /// Two digits are not enough for number matching.
    pub six_digits: bool,
}

impl Policy {
    /// Reads the settings of a relying party. A registry of an earlier release does not send any.
    pub fn of(party: &RelyingParty) -> Self {
        let said = party.prompts;
        let tolerant = said.is_none_or(|prompts| prompts.tolerant);
        let unprompted = tolerant || said.is_some_and(|prompts| prompts.allow_unprompted);
        Self { tolerant, unprompted, six_digits: said.is_some_and(|prompts| prompts.require_six_digits) }
    }
}

/// A prompt that the budget allows.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    /// Prompts of the same context, which this one replaces.
    pub(super) replaced: Vec<TrusonaficationId>,
    /// Whether another prompt is pending for the same user.
    pub(super) others_wait: bool,
}

/// Why a user may not be prompted now.
struct Refused {
    reason: PromptRefusal,
    /// For how long.
    after: Duration,
}

/// The state of a user's prompt budget.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Prompts not accepted since the last accepted one, and wrong numbers.
    pub strikes: u32,
    /// How many of the strikes are wrong numbers.
    pub wrong_numbers: u32,
    /// Pending prompts.
    pub waiting: usize,
    /// When the user may be prompted again; `None`: now.
    pub free_at: Option<Timestamp>,
    /// Contexts in which the user reported "not me".
    pub holds: Vec<Hold>,
}

impl App {
    /// A prompt that the user's budget allows at this moment, and the version of the budget that says so: the prompt can be written on the
    /// condition that it is still the same. `None` if a transaction has to find out.
    pub(super) async fn foresee(&self, asked: &Trusonafication) -> Result<Option<(Admitted, Mark)>, Error> {
        let Some(user) = counted_user(asked).filter(|_| self.db.is_postgres()) else { return Ok(None) };
        let (party, context) = (asked.relying_party, asked.ask.context.as_str());
        let Some(seen) = store::look(&self.db, party, user, context, self.now()).await? else { return Ok(None) };
        let admitted = judge(seen.budget, seen.open, seen.held, context, self.now()).ok();
        Ok(admitted.filter(|admitted| admitted.replaced.is_empty()).map(|admitted| (admitted, seen.mark)))
    }

    /// Refuses a prompt if the user's budget does not allow it, or if the user reported "not me". Locks the budget until the transaction
    /// ends.
    pub(super) async fn admit(&self, tx: &mut Tx, asked: &Trusonafication) -> Result<Admitted, Error> {
        let Some(user) = counted_user(asked) else { return Ok(Admitted::default()) };
        let (party, context) = (asked.relying_party, asked.ask.context.as_str());
        let budget = store::lock_budget(tx, party, user, self.row_id(), self.now()).await?;
        let (open, held) = store::waiting_and_held(tx, party, user, context).await?;
        // The time after the lock, for which this transaction may have waited.
        judge(budget, open, held, context, self.now()).map_err(|Refused { reason, after }| {
            PROMPTS_REFUSED.with(reason).increment(1);
            match reason {
                PromptRefusal::Held => Error::PromptsHeld { after },
                PromptRefusal::Budget => Error::PromptBudget { after },
            }
        })
    }

    /// Cancels the prompts that a newer one replaces.
    pub(super) async fn replace(&self, tx: &mut Tx, party: RelyingPartyId, replaced: Vec<TrusonaficationId>) -> Result<(), Error> {
        if replaced.is_empty() {
            return Ok(());
        }
        let signer = self.keys.published_in(tx).await?.ok_or(Error::NoSigningKey)?;
        for id in replaced {
            let Some(found) = store::get_in(tx, party, id).await? else { continue };
            // Lost against the phone's answer: nothing is left to replace.
            if let Ok(Change::Changed(canceled)) = found.cancel(self.now()) {
                self.end(tx, &signer, &canceled).await?;
            }
        }
        Ok(())
    }

    /// Records that the user reported "not me".
    pub(super) async fn hold(&self, tx: &mut Tx, ended: &Trusonafication) -> Result<(), Error> {
        let State::Rejected { outcome, .. } = &ended.state else { return Ok(()) };
        let Some(held_until) = ended.held_until() else { return Ok(()) };
        let hold = Hold { held_until, context: ended.ask.context.clone(), trusonafication: ended.id, held_at: ended.updated_at };
        Ok(store::hold(tx, ended.relying_party, &outcome.user, &hold, self.row_id()).await?)
    }

    /// Returns the state of a user's prompt budget.
    pub async fn patience(&self, party: RelyingPartyId, user: &str) -> Result<Patience, Error> {
        let mut tx = self.db.begin().await?;
        let patience = self.patience_in(&mut tx, party, user).await?;
        tx.rollback().await?;
        Ok(patience)
    }

    async fn patience_in(&self, tx: &mut Tx, party: RelyingPartyId, user: &str) -> Result<Patience, Error> {
        let now = self.now();
        let budget = store::budget_of(tx, party, user).await?;
        let waiting: Vec<_> = store::waiting_for(tx, party, user).await?.iter().map(|open| open.waiting).collect();
        let free_at = Some(budget.free_at(&waiting, now)).filter(|free| *free > now);
        let waiting = waiting.iter().filter(|waiting| waiting.ends_at() > now).count();
        let Budget { strikes, wrong_numbers, .. } = budget;
        Ok(Patience { strikes, wrong_numbers, waiting, free_at, holds: store::holds(tx, party, user, now).await? })
    }

    /// Ends a hold.
    pub async fn release_hold(&self, party: RelyingPartyId, user: &str, context: &str) -> Result<Patience, Error> {
        let mut tx = self.db.begin().await?;
        store::release(&mut tx, party, user, context).await?;
        let patience = self.patience_in(&mut tx, party, user).await?;
        tx.commit().await?;
        Ok(patience)
    }

    /// Resets a user's strikes.
    pub async fn reset_budget(&self, party: RelyingPartyId, user: &str) -> Result<Patience, Error> {
        let mut tx = self.db.begin().await?;
        store::forgive(&mut tx, party, user).await?;
        let patience = self.patience_in(&mut tx, party, user).await?;
        tx.commit().await?;
        Ok(patience)
    }

    /// Accounts for the end of a prompt, before that end is written: creating a prompt locks budgets and prompts in the same order. Returns
    /// the budget to write if no concurrent change was first.
    pub(super) async fn account(&self, tx: &mut Tx, ended: &Trusonafication) -> Result<Option<Budget>, Error> {
        let Some(user) = counted_user(ended) else { return Ok(None) };
        match &ended.state {
            State::InProgress => Ok(None),
            State::Accepted { .. } => {
                store::forgive(tx, ended.relying_party, user).await?;
                Ok(None)
            }
            State::Rejected { .. } | State::Expired | State::Canceled => {
                // The time of its end, not of writing it, so that announced retry times hold.
                let waited = Waiting { created_at: ended.created_at, expires_at: ended.ask.expires_at };
                let at = waited.ends_at().min(ended.updated_at);
                let budget = store::lock_budget(tx, ended.relying_party, user, self.row_id(), ended.updated_at).await?;
                Ok(Some(if ended.has_wrong_number() { budget.wrong_number(at) } else { budget.strike(at) }))
            }
        }
    }

    /// Writes the budget that results from a prompt's end.
    pub(super) async fn write_budget(&self, tx: &mut Tx, ended: &Trusonafication, budget: Option<Budget>) -> Result<(), Error> {
        match budget.zip(counted_user(ended)) {
            Some((budget, user)) => Ok(store::write_budget(tx, ended.relying_party, user, budget).await?),
            None => Ok(()),
        }
    }

    /// Counts a wrong number that a user entered for a TruCode.
    pub(super) async fn strike_wrong_number(&self, tx: &mut Tx, party: RelyingPartyId, user: &str) -> Result<(), Error> {
        let now = self.now();
        let budget = store::lock_budget(tx, party, user, self.row_id(), now).await?;
        Ok(store::write_budget(tx, party, user, budget.wrong_number(now)).await?)
    }

    /// Deletes holds that have expired.
    pub async fn delete_holds(&self, pass: &Pass) -> Result<(), Error> {
        Ok(pass.repeat(|| store::delete_holds(&self.db, pass.now())).await.map(drop)?)
    }

    /// Deletes budgets that were not used for a long time.
    pub async fn delete_budgets(&self, pass: &Pass) -> Result<(), Error> {
        Ok(pass.repeat(|| store::delete_budgets(&self.db, pass.now(), UNUSED)).await.map(drop)?)
    }

    fn row_id(&self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(self.random.bytes()).into_uuid()
    }
}

/// Whether a user may be prompted now.
fn judge(budget: Budget, open: Vec<Open>, held: Option<Timestamp>, context: &str, now: Timestamp) -> Result<Admitted, Refused> {
    // An overdue prompt is not replaced: it already counts as a strike.
    let same = |open: &Open| !context.is_empty() && open.context == context && open.waiting.ends_at() > now;
    let (replaced, open): (Vec<_>, Vec<_>) = open.into_iter().partition(same);
    let waiting: Vec<_> = open.iter().map(|open| open.waiting).collect();
    let free = budget.free_at(&waiting, now);
    let held = held.filter(|until| *until > now);
    let after = now.until(held.map_or(free, |until| until.max(free)));
    if !after.is_zero() {
        return Err(Refused { reason: if held.is_some() { PromptRefusal::Held } else { PromptRefusal::Budget }, after });
    }
    let others_wait = waiting.iter().any(|waiting| waiting.ends_at() > now);
    Ok(Admitted { replaced: replaced.into_iter().map(|replaced| replaced.id).collect(), others_wait })
}

/// The user whose budget the trusonafication counts against, if any. A wrong number counts even for a sign-in that the user started, since
/// they looked at another screen.
fn counted_user(t: &Trusonafication) -> Option<&str> {
    let counts = match t.way {
        Way::Counted => true,
        Way::Own => t.has_wrong_number(),
        Way::Tolerated => false,
    };
    t.user.as_deref().filter(|_| counts)
}

#[cfg(test)]
mod tests;
