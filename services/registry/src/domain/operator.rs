//! Operators, the people who run the deployment.

use std::time::Duration;

use nodkey_kernel::{
    id::{DeviceId, OperatorId, OperatorSessionId, TrusonaficationId},
    named,
    role::Role,
    time::Timestamp,
};

use super::{Change, Refusal, Violations, text};

/// Lifetime of an invitation.
pub const INVITATION_LIFETIME: Duration = Duration::from_hours(24);
/// How long after the phone's answer it can begin a session or confirm an action.
pub const SIGN_IN_LIFETIME: Duration = Duration::from_mins(2);
/// For an invitation that was used, has expired or never existed: the caller cannot tell which.
const NO_INVITATION: Refusal = Refusal::NotFound("invitation");
/// Maximum length of a name, in characters.
const MAX_NAME: usize = 100;

named! {
    /// State of an operator.
    pub enum OperatorState {
        /// Has no phone yet.
        Invited = "invited",
        /// May sign in.
        Active = "active",
        /// Permanently disabled.
        Disabled = "disabled",
    }
}

/// Lets one phone become an operator's phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// SHA-256 of the token in the link; the token itself is not stored.
    pub token_sha256: [u8; 32],
    /// When it expires.
    pub expires_at: Timestamp,
    /// The phone that accepted it.
    pub taken_by: Option<DeviceId>,
}

impl Invitation {
    fn new(token_sha256: [u8; 32], now: Timestamp) -> Self {
        Self { token_sha256, expires_at: now + INVITATION_LIFETIME, taken_by: None }
    }
}

/// A person who runs the deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Identifier of the operator, also used as user identifier in the console's bindings.
    pub id: OperatorId,
    /// Display name.
    pub name: String,
    /// What the operator may do.
    pub role: Role,
    /// State of the operator.
    pub state: OperatorState,
    /// The latest invitation.
    pub invitation: Invitation,
    /// When the operator was invited.
    pub created_at: Timestamp,
    /// When the operator last signed in.
    pub signed_in_at: Option<Timestamp>,
    /// Increases with every change.
    pub version: i64,
}

/// Changes to an operator; `None` keeps the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorPatch {
    name: Option<String>,
    role: Option<Role>,
}

impl OperatorPatch {
    /// Parses the fields of a request.
    pub fn parse(name: Option<&str>, role: Option<Role>) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        match violations.check("name", name.map(|name| text::name(name, MAX_NAME)).transpose()) {
            Some(name) => Ok(Self { name, role }),
            None => Err(violations.refusal()),
        }
    }
}

/// An operator to invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOperator {
    name: String,
    role: Role,
}

impl NewOperator {
    /// Parses the fields of a request.
    pub fn parse(name: &str, role: Option<Role>) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let name = violations.check("name", text::name(name, MAX_NAME));
        let role = violations.check("role", role.ok_or("must be owner, operator or auditor"));
        match (name, role) {
            (Some(name), Some(role)) => Ok(Self { name, role }),
            _ => Err(violations.refusal()),
        }
    }
}

impl Operator {
    /// Adds an operator with an invitation.
    #[must_use]
    pub fn invite(id: OperatorId, new: NewOperator, token_sha256: [u8; 32], now: Timestamp) -> Self {
        let NewOperator { name, role } = new;
        let invitation = Invitation::new(token_sha256, now);
        Self { id, name, role, state: OperatorState::Invited, invitation, created_at: now, signed_in_at: None, version: 1 }
    }

    /// Starts over with a new invitation: the previous phone no longer counts.
    pub fn renew(self, token_sha256: [u8; 32], now: Timestamp) -> Result<Self, Refusal> {
        self.ensure_there()?;
        Ok(self.changed(|it| {
            it.state = OperatorState::Invited;
            it.invitation = Invitation::new(token_sha256, now);
        }))
    }

    /// Assigns the invitation to a phone, which must be bound next. It is refused for a second phone.
    pub fn take(self, device: &DeviceId, now: Timestamp) -> Result<Change<Self>, Refusal> {
        self.ensure_invited(now)?;
        match &self.invitation.taken_by {
            Some(taken_by) if taken_by != device => Err(NO_INVITATION),
            Some(_) => Ok(Change::Same(self)),
            None => Ok(Change::Changed(self.changed(|it| it.invitation.taken_by = Some(device.clone())))),
        }
    }

    /// Activates the operator once the phone that took the invitation is bound; it may then sign in.
    pub fn activate(self, device: &DeviceId) -> Result<Change<Self>, Refusal> {
        self.ensure_there()?;
        match self.state {
            // The invitation was renewed in between.
            _ if self.invitation.taken_by.as_ref() != Some(device) => Err(NO_INVITATION),
            OperatorState::Invited => Ok(Change::Changed(self.changed(|it| it.state = OperatorState::Active))),
            OperatorState::Active | OperatorState::Disabled => Ok(Change::Same(self)),
        }
    }

    /// Changes name or role. `by` is the operator who makes the change: operators cannot change their own role.
    pub fn update(self, patch: OperatorPatch, by: Option<OperatorId>) -> Result<Change<Self>, Refusal> {
        self.ensure_there()?;
        let OperatorPatch { name, role } = patch;
        let (name, role) = (name.unwrap_or_else(|| self.name.clone()), role.unwrap_or(self.role));
        if role != self.role && by == Some(self.id) {
            return Err(Refusal::Yourself);
        }
        if (&name, role) == (&self.name, self.role) {
            return Ok(Change::Same(self));
        }
        Ok(Change::Changed(self.changed(|it| (it.name, it.role) = (name, role))))
    }

    /// Disables the operator permanently. `by` is the operator who makes the change: operators cannot disable themselves.
    pub fn disable(self, by: Option<OperatorId>) -> Result<Change<Self>, Refusal> {
        match self.state {
            _ if by == Some(self.id) => Err(Refusal::Yourself),
            OperatorState::Disabled => Ok(Change::Same(self)),
            OperatorState::Invited | OperatorState::Active => Ok(Change::Changed(self.changed(|it| it.state = OperatorState::Disabled))),
        }
    }

    /// Signs in with the phone that took the invitation.
    pub fn sign_in(self, device: &DeviceId, now: Timestamp) -> Result<Self, Refusal> {
        if !self.answers_by(device) {
            return Err(Refusal::OperatorNotActive);
        }
        Ok(self.changed(|it| it.signed_in_at = Some(now)))
    }

    /// Whether answers of this phone are the operator's: the operator is active, and this phone took the invitation. A binding to the
    /// operator in the binding service is not enough.
    #[must_use]
    pub fn answers_by(&self, device: &DeviceId) -> bool {
        self.state == OperatorState::Active && self.invitation.taken_by.as_ref() == Some(device)
    }

    /// Refuses an invitation that has expired or no longer applies.
    pub fn ensure_invited(&self, now: Timestamp) -> Result<(), Refusal> {
        let good = self.state != OperatorState::Disabled && now < self.invitation.expires_at;
        if good { Ok(()) } else { Err(NO_INVITATION) }
    }

    /// Refuses an invitation that was taken by a phone, has expired or no longer applies.
    pub fn ensure_unused(&self, now: Timestamp) -> Result<(), Refusal> {
        self.ensure_invited(now)?;
        if self.invitation.taken_by.is_none() { Ok(()) } else { Err(NO_INVITATION) }
    }

    fn ensure_there(&self) -> Result<(), Refusal> {
        if self.state == OperatorState::Disabled { Err(Refusal::OperatorDisabled) } else { Ok(()) }
    }

    fn changed(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.version += 1;
        self
    }
}

/// An operator's session, from sign-in to sign-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorSession {
    /// Identifier of the session.
    pub id: OperatorSessionId,
    /// The operator it belongs to.
    pub operator: OperatorId,
    /// The trusonafication the operator accepted; valid for one session.
    pub trusonafication: TrusonaficationId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    pub seen_at: Timestamp,
    /// The client it was begun from.
    pub client: Client,
}

/// The client of a sign-in, shown to the operator for recognition only; no decision depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// Network address; empty if unknown.
    pub address: String,
    /// User agent of the browser or command; empty if unknown.
    pub agent: String,
}

/// Maximum length of each, in characters.
const MAX_CLIENT: usize = 200;

impl Client {
    /// Keeps the displayable part of what a client reports.
    #[must_use]
    pub fn new(address: &str, agent: &str) -> Self {
        let kept = |text: &str| text.chars().filter(|c| !c.is_control()).take(MAX_CLIENT).collect();
        Self { address: kept(address), agent: kept(agent) }
    }
}

/// Minimum interval between updates of `seen_at`.
const SEEN: Duration = Duration::from_mins(1);

impl OperatorSession {
    /// Whether the session was not used for `limit`.
    #[must_use]
    pub fn is_idle(&self, now: Timestamp, limit: Duration) -> bool {
        self.seen_at.until(now) > limit
    }

    /// Whether to record its use now.
    #[must_use]
    pub fn is_to_be_noted(&self, now: Timestamp) -> bool {
        self.seen_at.until(now) >= SEEN
    }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::random::Random;
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn id(seed: u64) -> OperatorId {
        OperatorId::generate(at(0), &Random::seeded(seed))
    }

    fn device(n: u8) -> DeviceId {
        DeviceId::parse(&char::from(b'a' + n).to_string().repeat(43)).unwrap()
    }

    fn ada() -> Operator {
        Operator::invite(id(1), NewOperator::parse("Ada", Some(Role::Owner)).unwrap(), [1; 32], at(0))
    }

    #[derive(Debug, Clone)]
    enum Command {
        Renew,
        Take(u8),
        Activate(u8),
        Rename(bool),
        Disable(bool),
        SignIn(u8),
        Wait,
    }

    fn commands() -> impl Strategy<Value = Command> {
        prop_oneof![
            1 => Just(Command::Renew),
            4 => (0_u8..3).prop_map(Command::Take),
            4 => (0_u8..3).prop_map(Command::Activate),
            2 => any::<bool>().prop_map(Command::Rename),
            1 => any::<bool>().prop_map(Command::Disable),
            3 => (0_u8..3).prop_map(Command::SignIn),
            1 => Just(Command::Wait),
        ]
    }

    proptest! {
        #[test]
        fn whoever_signs_in_has_taken_the_last_invitation_by_one_phone_and_is_not_disabled(
            commands in prop::collection::vec(commands(), 0..30),
        ) {
            let (mut it, mut now, mut phone) = (ada(), 0, None);
            for command in commands {
                let before = it.clone();
                let by = |own: bool| Some(if own { before.id } else { id(2) });
                let changed = match &command {
                    Command::Renew => it.clone().renew([2; 32], at(now)).map(Change::Changed),
                    Command::Take(n) => it.clone().take(&device(*n), at(now)),
                    Command::Activate(n) => it.clone().activate(&device(*n)),
                    Command::Rename(own) => it.clone().update(OperatorPatch::parse(Some("Grace"), None).unwrap(), by(*own)),
                    Command::Disable(own) => it.clone().disable(by(*own)),
                    Command::SignIn(n) => it.clone().sign_in(&device(*n), at(now)).map(Change::Changed),
                    Command::Wait => {
                        now += 13 * 3600;
                        continue;
                    }
                };
                match changed {
                    Ok(Change::Changed(changed)) => {
                        prop_assert_eq!(changed.version, before.version + 1);
                        prop_assert!(before.state != OperatorState::Disabled, "nothing leaves the end");
                        it = changed;
                    }
                    Ok(Change::Same(same)) => prop_assert_eq!(&same, &before),
                    Err(_) => {}
                }
                match command {
                    Command::Renew if it != before => phone = None,
                    Command::Take(n) if it != before => {
                        prop_assert!(phone.is_none() && at(now) < it.invitation.expires_at);
                        phone = Some(device(n));
                    }
                    Command::SignIn(n) if it != before => {
                        prop_assert_eq!(before.state, OperatorState::Active);
                        prop_assert_eq!(&phone, &Some(device(n)));
                    }
                    _ => {}
                }
                prop_assert_eq!(&it.invitation.taken_by, &phone);
                prop_assert!(crate::invariants::check_operator(&it).is_ok());
            }
        }
    }

    #[test]
    fn nobody_changes_their_own_role_or_ends_themselves() {
        let lower = OperatorPatch::parse(None, Some(Role::Auditor)).unwrap();
        assert_eq!(ada().update(lower.clone(), Some(id(1))), Err(Refusal::Yourself));
        assert_eq!(ada().disable(Some(id(1))), Err(Refusal::Yourself));
        assert!(ada().update(lower, Some(id(2))).is_ok());
        assert!(ada().disable(None).is_ok(), "whoever holds the operator key may");
    }

    #[test]
    fn an_invitation_is_good_for_a_day_and_one_phone() {
        let Ok(Change::Changed(taken)) = ada().take(&device(0), at(86_399)) else { panic!("not taken") };
        assert_eq!(taken.clone().take(&device(1), at(1)), Err(NO_INVITATION));
        assert_eq!(taken.ensure_unused(at(1)), Err(NO_INVITATION));
        assert_eq!(taken.clone().take(&device(0), at(1)), Ok(Change::Same(taken)));
        assert_eq!(ada().take(&device(0), at(86_400)), Err(NO_INVITATION));
    }

    #[test]
    fn of_a_client_so_much_is_kept_as_can_be_shown() {
        let client = Client::new("192.0.2.1", &format!("a\u{1b}b{}", "x".repeat(300)));
        assert!(client.agent.starts_with("abx") && client.agent.len() == MAX_CLIENT);
    }

    #[test]
    fn names_and_roles_are_needed() {
        assert!(NewOperator::parse(" ", Some(Role::Owner)).is_err());
        assert!(NewOperator::parse("Ada", None).is_err());
        assert!(OperatorPatch::parse(Some(""), None).is_err());
        assert!("admin".parse::<Role>().is_err() && Role::Owner > Role::Operator && Role::Operator > Role::Auditor);
    }
}
