//! What went wrong, what to do about it, and the exit code for it.

use std::process::ExitCode;

use nodkey_kernel::challenge::ChallengeError;
use nodkey_mobile_sdk::{Error as PhoneError, Untrusted};
use nodkey_runtime::DataDirError;
use nodkey_server_sdk::{Error as CallError, Fault, JoseError, Kind};

use crate::{audit::NotIntact, session::SessionEnded, verify::NotAccepted};

/// It did not work.
const FAILED: u8 = 1;
/// The server said no: not found, not allowed, not valid, too late.
const REFUSED: u8 = 3;

/// A refusal found on this side, told in full.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Says what happened and what to do, on standard error.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if broken_pipe(error) {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    anstream::eprintln!("nodkey: {error:#}");
    if let Some(call) = find::<CallError>(error) {
        for violation in &call.field_violations {
            anstream::eprintln!("  {}: {}", violation.field, violation.description);
        }
    }
    if let Some(advice) = advice(error) {
        anstream::eprintln!("{advice}");
    }
    ExitCode::from(code(error))
}

fn find<E: std::error::Error + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    find::<std::io::Error>(error).is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

fn code(error: &anyhow::Error) -> u8 {
    if let Some(verdict) = find::<NotAccepted>(error) {
        return verdict.code();
    }
    if let Some(verdict) = find::<NotIntact>(error) {
        return verdict.code();
    }
    let refused = match (find::<CallError>(error), find::<PhoneError>(error)) {
        (Some(call), _) => !matches!(call.kind, Kind::Unavailable | Kind::Internal),
        (_, Some(PhoneError::Refused { status, .. })) => *status < 500,
        _ => find::<Refused>(error).is_some() || find::<SessionEnded>(error).is_some(),
    };
    if refused { REFUSED } else { FAILED }
}

/// No phone can do it.
const FROZEN: &str = "Once you know that the user has their phones: `nodkey admin users release USER`.";

fn advice(error: &anyhow::Error) -> Option<&'static str> {
    if let Some(NotAccepted::NotGenuine(Fault::Receipt(JoseError::Key) | Fault::Challenge(ChallengeError::UnknownKey))) = find(error) {
        return Some("Are they the keys of that deployment? A copy may be older than the evidence: fetch /jwks/archive anew.");
    }
    if find::<SessionEnded>(error).is_some() {
        return Some("Run `nodkey login` again.");
    }
    if let Some(call) = find::<CallError>(error) {
        return match (call.reason.as_str(), call.kind) {
            ("USER_FROZEN", _) => Some(FROZEN),
            ("RELYING_PARTY_REQUIRED", _) => Some("Name one with --relying-party; `nodkey admin relying-parties list` shows them."),
            ("UNIMPLEMENTED", _) => Some("This is not served at the gateway's address: name the services with --grpc, or another release."),
            ("PROMPT_BUDGET_EXHAUSTED", _) => Some(
                "Nobody accepted the last prompts to that user (to you, where you have to confirm): wait a little; `nodkey admin prompts show USER` says until when.",
            ),
            (_, Kind::Unavailable) => Some("Is the server running? Start one with `nodkey dev`, or name one with --grpc."),
            (_, Kind::Unauthenticated) => Some("Check the key or secret, and that the clocks of both machines agree to a few seconds."),
            (_, Kind::NotFound) => Some("Check the id; what belongs to another relying party is found with --relying-party alone."),
            _ => None,
        };
    }
    if let Some(DataDirError::InUse { .. }) = find(error) {
        return Some("Use that server, or stop it first; or start a second one with --data-dir, --http and --grpc of its own.");
    }
    match find::<PhoneError>(error)? {
        PhoneError::Unreachable(_) => Some("Is the server running? Start one with `nodkey dev`, or name one with --http."),
        PhoneError::Refused { code, .. } if code == "DEVICE_RETIRED" => Some("Its keys are dead: delete the key file and enrol again."),
        PhoneError::Refused { code, .. } if code == "USER_FROZEN" => Some(FROZEN),
        PhoneError::Refused { code, .. } if code == "TRANSFER_NOT_ALLOWED" => {
            Some("The relying party binds phones itself; an operator changes that by `nodkey admin relying-parties update`.")
        }
        PhoneError::Refused { code, .. } if code == "FORBIDDEN" => {
            Some("Check the mobile credential: token, secret, and that it is enabled.")
        }
        PhoneError::Refused { status: 401, .. } => {
            Some("Is the phone enrolled here? Is --http the gateway's public URL? Do the clocks agree to a minute?")
        }
        PhoneError::Refused { status: 404, .. } => Some("Enrol the phone first: `nodkey phone enrol`."),
        PhoneError::Untrusted(Untrusted::Challenge(ChallengeError::UnknownKey)) => {
            Some("Nothing was shown or answered. If the deployment's keys were rotated, run it again; with --jwks, fetch that file anew.")
        }
        PhoneError::Untrusted(_) => Some("Nothing was shown or answered. Check --jwks, and that --http is the gateway's public URL."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::Context as _;

    use super::*;

    fn call(kind: Kind) -> anyhow::Error {
        let error = CallError { kind, reason: "REASON".into(), message: "no".into(), field_violations: vec![], retry_after: None };
        Err::<(), _>(error).context("around it").unwrap_err()
    }

    #[test]
    fn a_refusal_is_told_from_a_failure() {
        assert_eq!(code(&call(Kind::NotFound)), REFUSED);
        assert_eq!(code(&call(Kind::Invalid)), REFUSED);
        assert_eq!(code(&call(Kind::Unavailable)), FAILED);
        assert_eq!(code(&anyhow::anyhow!("disk full")), FAILED);
        let refused = |status| PhoneError::Refused { status, code: "X".into(), description: String::new(), retry_after: Duration::ZERO };
        assert_eq!(code(&refused(409).into()), REFUSED);
        assert_eq!(code(&refused(503).into()), FAILED);
        assert_eq!(code(&Refused("line 2".into()).into()), REFUSED);
        assert_eq!(code(&SessionEnded("https://id.example.com".into()).into()), REFUSED);
        assert_eq!(code(&NotAccepted::NotGenuine(Fault::Device).into()), 6);
    }

    #[test]
    fn advice_fits_the_cause() {
        let refused = |status, code: &str| {
            let (code, description) = (code.into(), String::new());
            PhoneError::Refused { status, code, description, retry_after: Duration::ZERO }.into()
        };
        assert!(advice(&refused(403, "FORBIDDEN")).unwrap().contains("mobile credential"));
        assert!(advice(&refused(403, "DEVICE_RETIRED")).unwrap().contains("enrol again"));
        assert!(advice(&refused(424, "USER_FROZEN")).unwrap().contains("users release"));
        assert!(advice(&call(Kind::Unavailable)).unwrap().contains("--grpc"));
        assert!(advice(&SessionEnded("https://id.example.com".into()).into()).unwrap().contains("nodkey login"));
        let in_use = DataDirError::InUse { path: ".nodkey".into(), holder: None };
        assert!(advice(&in_use.into()).unwrap().contains("--data-dir"));
        assert!(advice(&NotAccepted::NotGenuine(Fault::Receipt(JoseError::Key)).into()).unwrap().contains("/jwks/archive"));
        assert_eq!(advice(&NotAccepted::NotGenuine(Fault::Device).into()), None);
        assert_eq!(advice(&anyhow::anyhow!("disk full")), None);
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let error = anyhow::Error::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe)).context("cannot write");
        assert!(broken_pipe(&error));
    }
}
