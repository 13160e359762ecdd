//! Actions that operators confirm on their phones before they are carried out.

use nodkey_kernel::{
    id::{ConfirmationId, OperatorId, RelyingPartyId, TrusonaficationId},
    role::Role,
    time::Timestamp,
};

use super::Refusal;

/// No confirmation was presented.
pub const MISSING: Refusal = Refusal::ConfirmationRequired(
    "this needs a confirmation on your phone: request one with ConfirmationService/CreateConfirmation, accept it there, and call again \
     with its id in x-nodkey-confirmation",
);
/// The presented confirmation does not fit the request.
pub const UNFIT: Refusal = Refusal::ConfirmationRequired(
    "this confirmation is for something else, was not accepted, or has expired or been used: request another one with \
     ConfirmationService/CreateConfirmation",
);

/// The exact request to confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `package.Service/Method`.
    pub method: String,
    /// The relying party it is done for.
    pub relying_party: Option<RelyingPartyId>,
    /// SHA-256 of the message, or of a stream of messages.
    pub sha256: [u8; 32],
}

/// An action that an operator must confirm, or has confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// Identifier of the confirmation.
    pub id: ConfirmationId,
    /// The operator who confirms.
    pub operator: OperatorId,
    /// The request to confirm.
    pub request: Request,
    /// The trusonafication that prompts the phone.
    pub trusonafication: TrusonaficationId,
    /// What the phone shows.
    pub shown: Shown,
    /// When it was requested.
    pub created_at: Timestamp,
    /// When the prompt expires.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
}

impl Confirmation {
    /// Refuses a confirmation of another operator or request. Whether it was accepted is known to the trusonafication service.
    pub fn ensure_for(&self, operator: OperatorId, request: &Request) -> Result<(), Refusal> {
        let fits = self.operator == operator && self.request == *request && self.used_at.is_none();
        if fits { Ok(()) } else { Err(UNFIT) }
    }
}

/// The action as the phone shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The action.
    pub action: String,
    /// What or whom the action affects.
    pub resource: String,
}

impl Shown {
    fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into() }
    }

    /// Inviting an operator.
    #[must_use]
    pub fn invite(name: &str, role: Option<Role>) -> Self {
        Self::new(format!("invite {}", article(role)), name)
    }

    /// Renewing an operator's invitation.
    #[must_use]
    pub fn renew(name: &str, role: Role) -> Self {
        Self::new(format!("give {} a new phone", the(role)), name)
    }

    /// Changing an operator.
    #[must_use]
    pub fn update(name: &str, renamed: Option<&str>, role: Option<Role>) -> Self {
        let action = match (role, renamed) {
            (Some(_), Some(renamed)) => format!("rename to {renamed} and make {}", article(role)),
            (Some(_), None) => format!("make {}", article(role)),
            (None, Some(renamed)) => format!("rename to {renamed}"),
            (None, None) => "leave as it is".to_owned(),
        };
        Self::new(action, name)
    }

    /// Disabling an operator.
    #[must_use]
    pub fn disable(name: &str, role: Role) -> Self {
        Self::new(format!("disable {}", the(role)), name)
    }

    /// Disabling a relying party.
    #[must_use]
    pub fn disable_relying_party(name: &str) -> Self {
        Self::new("end the relying party", name)
    }

    /// Rotating the signing key of a service.
    #[must_use]
    pub fn rotate(service: &str, algorithm: &str, at_once: bool) -> Self {
        let algorithm = if algorithm.is_empty() { "EdDSA" } else { algorithm };
        let action = if at_once { "revoke the signing keys and make a new one" } else { "make a new signing key" };
        Self::new(action, format!("{service}, {algorithm}"))
    }

    /// Importing users of a relying party; the file is identified by the start of its hash.
    #[must_use]
    pub fn import(relying_party: &str, sha256: &[u8; 32]) -> Self {
        Self::new(format!("import users, file {}", hex::encode(&sha256[..4])), relying_party)
    }
}

fn article(role: Option<Role>) -> String {
    match role {
        // All roles begin with a vowel.
        Some(role) => format!("an {role}"),
        None => "somebody without a role".to_owned(),
    }
}

fn the(role: Role) -> String {
    format!("the {role}")
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::random::Random;
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn operator(seed: u64) -> OperatorId {
        OperatorId::generate(at(0), &Random::seeded(seed))
    }

    fn party(seed: u64) -> RelyingPartyId {
        RelyingPartyId::generate(at(0), &Random::seeded(seed))
    }

    fn request(method: u8, party_seed: Option<u64>, sha256: u8) -> Request {
        Request { method: format!("x.Y/{method}"), relying_party: party_seed.map(party), sha256: [sha256; 32] }
    }

    proptest! {
        #[test]
        fn a_confirmation_is_for_one_operator_one_request_and_once(
            (own, who) in (0_u64..2, 0_u64..2),
            (method, asked) in (0_u8..2, 0_u8..2),
            (party, for_whom) in (prop::option::of(0_u64..2), prop::option::of(0_u64..2)),
            (digest, of) in (0_u8..2, 0_u8..2),
            used in any::<bool>(),
        ) {
            let random = Random::seeded(9);
            let confirmation = Confirmation {
                id: ConfirmationId::generate(at(0), &random),
                operator: operator(own),
                request: request(method, party, digest),
                trusonafication: TrusonaficationId::generate(at(0), &random),
                shown: Shown::new("a", "r"),
                created_at: at(0),
                expires_at: at(120),
                used_at: used.then(|| at(1)),
            };
            let same = own == who && (method, party, digest) == (asked, for_whom, of) && !used;
            prop_assert_eq!(confirmation.ensure_for(operator(who), &request(asked, for_whom, of)).is_ok(), same);
        }
    }

    #[test]
    fn a_phone_shows_what_will_be_done() {
        let text = |Shown { action, resource }: Shown| format!("{action}: {resource}");
        for (shown, expected) in [
            (Shown::invite("Ada", Some(Role::Owner)), "invite an owner: Ada"),
            (Shown::renew("Ada", Role::Owner), "give the owner a new phone: Ada"),
            (Shown::update("Ada", Some("Eve"), None), "rename to Eve: Ada"),
            (Shown::update("Ada", Some("Eve"), Some(Role::Owner)), "rename to Eve and make an owner: Ada"),
            (Shown::update("Ada", None, Some(Role::Auditor)), "make an auditor: Ada"),
            (Shown::disable("Ada", Role::Operator), "disable the operator: Ada"),
            (Shown::disable_relying_party("Acme"), "end the relying party: Acme"),
            (Shown::rotate("registry", "", false), "make a new signing key: registry, EdDSA"),
            (Shown::rotate("registry", "ES256", true), "revoke the signing keys and make a new one: registry, ES256"),
            (Shown::import("Acme", &[0xab; 32]), "import users, file abababab: Acme"),
        ] {
            assert_eq!(text(shown), expected);
        }
    }
}
