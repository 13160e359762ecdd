//! Who may call which method, which may be repeated, and which operators confirm: the `nodkey.options.v1.allow`, `idempotency_level` and
//! `nodkey.options.v1.reconfirm` options of `proto/`, as tables.

use nodkey_kernel::service_key::ServiceName;

/// Who a caller can be. See `proto/nodkey/options/v1/options.proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Anyone, without a credential.
    Public,
    /// A relying party's backend.
    Backend,
    /// Another service of this deployment.
    Service(ServiceName),
    /// The same, where it acts for the console's relying party.
    ForConsole(ServiceName),
    /// Of the people who run this deployment those who act.
    Operator,
    /// Of them those who say who the others are.
    Owner,
    /// All of them, to read.
    Auditor,
    /// All of them, for what is their own.
    Oneself,
}

include!(concat!(env!("OUT_DIR"), "/access.rs"));

/// Returns the principals that may call `path` (`/package.Service/Method`); `None` for an unknown path.
#[must_use]
pub fn allowed(path: &str) -> Option<&'static [Principal]> {
    ACCESS.iter().find(|(known, _)| *known == path).map(|(_, allow)| *allow)
}

/// Reads of what is about people: who is whose user, their devices, what they were asked and answered. What operators read by them is in
/// the audit log.
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

/// Tells whether the method at `path` reads what is about people.
#[must_use]
pub fn is_personal(path: &str) -> bool {
    PERSONAL.contains(&path)
}

/// Tells whether the method at `path` may be called again when nobody knows whether it was done.
#[must_use]
pub fn is_idempotent(path: &str) -> bool {
    IDEMPOTENT.contains(&path)
}

/// Tells whether an operator confirms on their phone what the method at `path` will do.
#[must_use]
pub fn is_reconfirmed(path: &str) -> bool {
    RECONFIRMED.contains(&path)
}

/// Returns the service that serves `path`: the second word of its package. `None` for what every process serves.
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
            assert!(!reads || !allow.contains(&Principal::Operator), "{path} is for auditors, too");
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
        // These two services have nothing to read that is not.
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
            // What it watches is added while it goes on.
            let streams = method == "WatchResults";
            assert_eq!(is_idempotent(path), reads && !streams, "{path}");
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
