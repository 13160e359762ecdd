//! Which methods a caller may call, which methods may be repeated, and which need an operator's confirmation: the
//! `nodkey.options.v1.allow`, `idempotency_level` and `nodkey.options.v1.reconfirm` options of `proto/`, as tables.

use nodkey_kernel::service_key::ServiceName;

/// A kind of caller. See `proto/nodkey/options/v1/options.proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Anyone, without a credential.
    Public,
    /// A relying party's backend.
    Backend,
    /// Another service of this deployment.
    Service(ServiceName),
    /// Another service, acting for the console's relying party.
    ForConsole(ServiceName),
    /// An operator with a role that may act.
    Operator,
    /// An operator with the role owner, which may manage the others.
    Owner,
    /// Any operator, for reading.
    Auditor,
    /// Any operator, for their own data.
    Oneself,
}

include!(concat!(env!("OUT_DIR"), "/access.rs"));

/// Returns the principals that may call `path` (`/package.Service/Method`); `None` for an unknown path.
#[must_use]
pub fn allowed(path: &str) -> Option<&'static [Principal]> {
    ACCESS.iter().find(|(known, _)| *known == path).map(|(_, allow)| *allow)
}

/// Methods that read personal data: users, their devices, and their challenges and responses. An operator's use of them is recorded in the
/// audit log.
pub const PERSONAL: &[&str] = &[
    "/nodkey.binding.v1.BindingService/GetBinding",
    "/nodkey.binding.v1.BindingService/GetDeviceBinding",
    "/nodkey.binding.v1.BindingService/ListBindings",
    "/nodkey.binding.v1.IdentifierService/ListIdentifiers",
    "/nodkey.binding.v1.UserService/GetUser",
    "/nodkey.binding.v1.UserService/ListUserDevices",
    "/nodkey.binding.v1.UserService/ListUsers",
    "/nodkey.notification.v1.DeliveryService/GetDelivery",
    "/nodkey.notification.v1.DeliveryService/ListDeliveries",
    "/nodkey.notification.v1.PushRegistrationService/GetPushRegistration",
    "/nodkey.registry.v1.DeviceService/GetDevice",
    "/nodkey.registry.v1.DeviceService/ListDevices",
    "/nodkey.registry.v1.IdentityDocumentService/GetIdentityDocument",
    "/nodkey.registry.v1.IdentityDocumentService/ListIdentityDocuments",
    "/nodkey.status.v1.DeadLetterService/GetDeadLetter",
    "/nodkey.trusonafication.v1.PromptService/GetPromptBudget",
    "/nodkey.trusonafication.v1.TruCodeService/GetPairing",
    "/nodkey.trusonafication.v1.TrusonaficationService/CountTrusonafications",
    "/nodkey.trusonafication.v1.TrusonaficationService/GetEvidence",
    "/nodkey.trusonafication.v1.TrusonaficationService/GetTrusonafication",
    "/nodkey.trusonafication.v1.TrusonaficationService/ListTrusonafications",
    "/nodkey.trusonafication.v1.TrusonaficationService/WatchResults",
    "/nodkey.trusonafication.v1.TrusonaficationService/WatchTrusonafication",
    "/nodkey.trusonafication.v1.TrusonaficationService/WatchTrusonafications",
];

/// Whether the method at `path` reads personal data.
#[must_use]
pub fn is_personal(path: &str) -> bool {
    PERSONAL.contains(&path)
}

/// Whether the method at `path` may be called again when it is unknown whether it took effect.
#[must_use]
pub fn is_idempotent(path: &str) -> bool {
    IDEMPOTENT.contains(&path)
}

/// Whether an operator must confirm a call of the method at `path` on their phone.
#[must_use]
pub fn is_reconfirmed(path: &str) -> bool {
    RECONFIRMED.contains(&path)
}

/// Returns the service that serves `path`: the second word of its package. `None` for methods that every process serves.
#[must_use]
pub fn owner(path: &str) -> Option<ServiceName> {
    ServiceName::try_from(path.strip_prefix("/nodkey.")?.split('.').next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_names_who_may_call_it() {
        for (path, allow) in ACCESS {
            assert!(!allow.is_empty(), "{path} allows nobody");
        }
    }

    #[test]
    fn auditors_read_and_operators_act() {
        for (path, allow) in ACCESS {
            let method = path.rsplit('/').next().unwrap();
            let reads = ["Get", "List", "Watch", "Count"].iter().any(|verb| method.starts_with(verb));
            assert!(reads || !allow.contains(&Principal::Auditor), "{path} changes something");
            // What an endpoint is sent is signed, and auditors may not have signatures.
            let signs = method == "WatchDeliveries";
            assert!(!reads || signs || !allow.contains(&Principal::Operator), "{path} is for auditors, too");
        }
    }

    #[test]
    fn what_operators_confirm_is_for_them_alone_and_changes_something() {
        assert_eq!(RECONFIRMED.len(), 8);
        for path in RECONFIRMED {
            let allow = allowed(path).unwrap();
            assert!(allow.iter().all(|principal| matches!(principal, Principal::Operator | Principal::Owner)), "{path}");
        }
    }

    #[test]
    fn what_is_about_people_is_read_by_methods_that_there_are() {
        for path in PERSONAL {
            assert!(allowed(path).is_some_and(|allow| allow.contains(&Principal::Auditor)), "{path}");
        }
        // These two services have no other read methods.
        for (path, allow) in ACCESS {
            let holds_people = matches!(owner(path), Some(ServiceName::Binding | ServiceName::Trusonafication));
            assert!(!holds_people || !allow.contains(&Principal::Auditor) || is_personal(path), "{path}");
        }
    }

    #[test]
    fn reads_may_be_repeated_and_nothing_else() {
        for (path, allow) in ACCESS {
            let method = path.rsplit('/').next().unwrap();
            let reads = ["Get", "List", "Watch", "Count", "Resolve", "Verify"].iter().any(|verb| method.starts_with(verb));
            // Ids to watch are added while the stream goes on. What is signed for an operator is in the audit log, as what reads is not.
            let others = ["WatchResults", "WatchDeliveries"].contains(&method);
            assert_eq!(is_idempotent(path), reads && !others, "{path}");
            assert!(reads || !allow.contains(&Principal::Auditor), "{path}");
        }
    }

    #[test]
    fn internal_methods_are_for_the_services_that_call_them_alone() {
        use ServiceName::{Gateway, Notification, Trusonafication};
        for (path, callers) in [
            ("/nodkey.registry.v1.CredentialService/ResolveCredential", ServiceName::ALL),
            ("/nodkey.registry.v1.SigningKeyService/Sign", &[Trusonafication, Notification]),
            ("/nodkey.trusonafication.v1.TrusonaficationService/Respond", &[Gateway]),
        ] {
            let callers: Vec<_> = callers.iter().copied().map(Principal::Service).collect();
            assert_eq!(allowed(path), Some(&callers[..]), "{path}");
        }
    }

    #[test]
    fn who_serves_a_method_is_in_its_path() {
        assert_eq!(owner("/nodkey.binding.v1.UserService/DeactivateUser"), Some(ServiceName::Binding));
        for nobody in ["/nodkey.status.v1.StatusService/GetStatus", "/grpc.health.v1.Health/Check", "/other.registry.v1.X/Y", "/", ""] {
            assert_eq!(owner(nobody), None, "{nobody}");
        }
    }
}
