//! Error reports: what went wrong, what to do about it, and the exit code.

use std::{error::Error, io, process::ExitCode};

use nodkey_client::{Error as CallError, Fault, JoseError, Kind};
use nodkey_kernel::{
    cause::of_connection,
    challenge::ChallengeError,
    error::{chain, plain},
};
use nodkey_mobile_sdk::{Error as PhoneError, ErrorKind, Untrusted};
use nodkey_runtime::DataDirError;
use serde_json::error::Category;

use crate::{audit::NotIntact, session::SessionEnded, verify::NotAccepted};

/// The command failed.
const FAILED: u8 = 1;
/// The command line is invalid.
const USAGE: u8 = 2;
/// The server refused: not found, not allowed, not valid, too late.
const REFUSED: u8 = 3;

/// A refusal by the command itself, with its full text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Invalid usage that only shows when the command runs.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Prints what happened and what to do to standard error.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if broken_pipe(error) {
        // The reader of our output has closed it.
        return ExitCode::SUCCESS;
    }
    let said = Said::of(error);
    anstream::eprintln!("nodkey: {}", said.what);
    if let Some(call) = find::<CallError>(error) {
        for violation in &call.field_violations {
            anstream::eprintln!("  {}: {}", violation.field, violation.description);
        }
    }
    if let Some(advice) = advice(error) {
        anstream::eprintln!("{advice}");
    }
    if let Some(details) = said.details {
        anstream::eprintln!("details: {details}");
    }
    ExitCode::from(code(error))
}

/// What happened, in one line of our own words.
pub fn words(error: &anyhow::Error) -> String {
    Said::of(error).what
}

/// The parts of a report: what happened, in our own words, then the details from libraries.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    what: String,
    details: Option<String>,
}

impl Said {
    fn of(error: &anyhow::Error) -> Self {
        let mut what = Vec::<String>::new();
        for cause in error.chain() {
            let in_words = match of_library(cause) {
                Source::Own => {
                    // Some errors repeat their cause.
                    let text = plain(&cause.to_string());
                    if !what.last().is_some_and(|last| last.ends_with(&text)) {
                        what.push(text);
                    }
                    continue;
                }
                Source::Library(in_words) => Some(in_words),
                Source::Silent => None,
            };
            what.extend(in_words.clone());
            let details = Some(chain(cause)).filter(|text| in_words.as_ref() != Some(text));
            return Self { what: what.join(": "), details };
        }
        Self { what: what.join(": "), details: None }
    }
}

/// The source of an error.
enum Source {
    /// Our own error, which says what happened.
    Own,
    /// A library's error, with what happened in our words.
    Library(String),
    /// A library's error, with an error around it that says everything.
    Silent,
}

/// Translates an error of a library.
fn of_library(cause: &(dyn Error + 'static)) -> Source {
    if let Some(io) = cause.downcast_ref::<io::Error>() {
        let text = plain(&io.to_string());
        // An error inside an I/O error comes from a library.
        return Source::Library(if io.get_ref().is_some() { of_connection(cause) } else { text });
    }
    if let Some(http) = cause.downcast_ref::<reqwest::Error>() {
        return Source::Library(of_http(http));
    }
    if let Some(json) = cause.downcast_ref::<serde_json::Error>() {
        return Source::Library(of_json(json));
    }
    if let Some(status) = cause.downcast_ref::<tonic::Status>() {
        return Source::Library(CallError::from(status.clone()).to_string());
    }
    if cause.downcast_ref::<PhoneError>().is_some_and(|error| error.kind() == ErrorKind::Protocol) {
        return Source::Library("the gateway's response cannot be understood: is it of a different release?".to_owned());
    }
    let silent = cause.is::<url::ParseError>()
        || cause.is::<tonic::transport::Error>()
        || cause.is::<hex::FromHexError>()
        || cause.is::<std::string::FromUtf8Error>()
        || cause.is::<std::str::Utf8Error>();
    if silent { Source::Silent } else { Source::Own }
}

fn of_http(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "no response in time".to_owned()
    } else if error.is_connect() {
        format!("no connection: {}", of_connection(error))
    } else if error.is_decode() {
        "the response is malformed".to_owned()
    } else if error.is_builder() {
        "the address is not valid".to_owned()
    } else {
        "the connection was lost before a response arrived".to_owned()
    }
}

fn of_json(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Io => "it cannot be read",
        Category::Syntax => "it is not JSON",
        Category::Eof => "it ends too early",
        Category::Data => "a value is missing or invalid",
    };
    // A parsed value no longer has line numbers.
    if error.line() == 0 { what.to_owned() } else { format!("{what} (line {}, column {})", error.line(), error.column()) }
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
    if find::<Usage>(error).is_some() {
        return USAGE;
    }
    let refused = match (find::<CallError>(error), find::<PhoneError>(error)) {
        (Some(call), _) => !matches!(call.kind, Kind::Unavailable | Kind::Internal),
        (_, Some(phone)) => phone.status().is_some_and(is_refusal),
        _ => find::<Refused>(error).is_some() || find::<SessionEnded>(error).is_some(),
    };
    if refused { REFUSED } else { FAILED }
}

/// No phone can release a user.
const FROZEN: &str = "Once you know that the user has their phones: `nodkey admin users release USER`.";

fn advice(error: &anyhow::Error) -> Option<&'static str> {
    if let Some(NotAccepted::NotGenuine(Fault::Receipt(JoseError::Key) | Fault::Challenge(ChallengeError::UnknownKey))) = find(error) {
        return Some("Are they the keys of that deployment? A copy may be older than the evidence: fetch /jwks/archive again.");
    }
    if find::<SessionEnded>(error).is_some() {
        return Some("Run `nodkey login` again.");
    }
    if let Some(call) = find::<CallError>(error) {
        return match (call.reason.as_str(), call.kind) {
            ("USER_FROZEN", _) => Some(FROZEN),
            ("RELYING_PARTY_REQUIRED", _) => Some("Name one with --relying-party; `nodkey admin relying-parties list` lists them."),
            ("UNIMPLEMENTED", _) => {
                Some("The gateway does not serve this method: name the services with --grpc, or use a server of the same release.")
            }
            ("PROMPT_BUDGET_EXHAUSTED", _) => Some(
                "The last prompts to that user (to you, if you have to confirm) were not accepted: wait a little. `nodkey admin prompts show USER` says until when.",
            ),
            (_, Kind::Unavailable) => Some("Is the server running? Start one with `nodkey dev`, or name one with --grpc."),
            (_, Kind::Unauthenticated) => Some("Check the key or secret, and that the clocks of both machines agree within a few seconds."),
            (_, Kind::NotFound) => Some("Check the id. If the object belongs to another relying party, name that with --relying-party."),
            _ => None,
        };
    }
    if let Some(DataDirError::InUse { .. }) = find(error) {
        return Some("Use that server, stop it, or start a second one with its own --data-dir, --http and --grpc.");
    }
    let phone = find::<PhoneError>(error)?;
    match phone.kind() {
        ErrorKind::Offline => Some("Is the server running? Start one with `nodkey dev`, or name one with --http."),
        ErrorKind::Untrusted if find::<Untrusted>(error) == Some(&Untrusted::UnknownKey) => Some(
            "Nothing was shown or answered. If the deployment's keys were rotated, run the command again. With --jwks, fetch that file again.",
        ),
        ErrorKind::Untrusted => Some("Nothing was shown or answered. Check --jwks, and that --http is the gateway's public URL."),
        _ => advice_to_phone(phone.status()?, phone.reason()),
    }
}

const fn is_refusal(status: u16) -> bool {
    status < 500
}

/// What to do when the gateway refused a phone's call.
fn advice_to_phone(status: u16, reason: &str) -> Option<&'static str> {
    match (status, reason) {
        (_, "DEVICE_RETIRED") => Some("Its keys are revoked: delete the key file and enrol again."),
        (_, "USER_FROZEN") => Some(FROZEN),
        (_, "TRANSFER_NOT_ALLOWED") => {
            Some("The relying party binds phones itself. An operator can change that with `nodkey admin relying-parties update`.")
        }
        (_, "FORBIDDEN") => Some("Check the mobile credential: token, secret, and that it is enabled."),
        (401, _) => Some("Is the phone enrolled here? Is --http the gateway's public URL? Do the clocks agree within a minute?"),
        (404, _) => Some("Enrol the phone first: `nodkey phone enrol`."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use anyhow::Context as _;
    use nodkey_mobile_sdk::{Config, Phone, software::SoftwareKeyStore};

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
        assert!(is_refusal(409) && !is_refusal(503));
        assert_eq!(code(&Refused("line 2".into()).into()), REFUSED);
        assert_eq!(code(&Usage("add --yes".into()).into()), USAGE);
        assert_eq!(code(&SessionEnded("https://id.example.com".into()).into()), REFUSED);
        assert_eq!(code(&NotAccepted::NotGenuine(Fault::Device).into()), 6);
    }

    #[test]
    fn advice_fits_the_cause() {
        assert!(advice_to_phone(403, "FORBIDDEN").unwrap().contains("mobile credential"));
        assert!(advice_to_phone(403, "DEVICE_RETIRED").unwrap().contains("enrol again"));
        assert!(advice_to_phone(424, "USER_FROZEN").unwrap().contains("users release"));
        assert!(advice(&call(Kind::Unavailable)).unwrap().contains("--grpc"));
        assert!(advice(&SessionEnded("https://id.example.com".into()).into()).unwrap().contains("nodkey login"));
        let in_use = DataDirError::InUse { path: ".nodkey".into(), holder: None };
        assert!(advice(&in_use.into()).unwrap().contains("--data-dir"));
        assert!(advice(&NotAccepted::NotGenuine(Fault::Receipt(JoseError::Key)).into()).unwrap().contains("/jwks/archive"));
        assert_eq!(advice(&NotAccepted::NotGenuine(Fault::Device).into()), None);
        assert_eq!(advice(&anyhow::anyhow!("disk full")), None);
    }

    fn said(error: impl Into<anyhow::Error>) -> Said {
        Said::of(&error.into())
    }

    /// Whether a text is free of library jargon.
    fn is_plain(text: &str) -> bool {
        let foreign = [
            "os error",
            "untagged",
            "expected struct",
            "expected a ",
            "transport error",
            "tcp connect",
            "hyper",
            "h2",
            "serde",
            "missing field",
            "unknown field",
            "invalid type",
            "ErrorKind",
            "error sending request",
            "at line",
        ];
        foreign.iter().all(|word| !text.contains(word))
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "it is never made")]
    enum Either {
        One { one: u8 },
        Two { two: String },
    }

    /// What a phone reports that waits at this address.
    async fn phone_error(url: &str) -> PhoneError {
        let config = Config::builder().url(url).token("t").secret("s").build().unwrap();
        let phone = Phone::builder(config, Arc::new(SoftwareKeyStore::generate())).build().await.unwrap();
        phone.wait(Duration::ZERO).await.unwrap_err()
    }

    /// The address of a server whose every response is an empty object.
    async fn puzzling() -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = axum::Router::new().fallback(async || axum::Json(serde_json::json!({})));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url
    }

    #[tokio::test]
    async fn what_happened_is_said_in_words_and_what_a_library_said_comes_after() {
        nodkey_runtime::install_crypto_provider();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let nobody = format!("http://127.0.0.1:{port}");
        let puzzling = puzzling().await;
        let call = nodkey_client::Nodkey::connect(
            &nodkey_client::Endpoints::single(&nobody),
            nodkey_client::Credential::symmetric_operator("k".repeat(32), None),
        );
        let call = call.unwrap().jwks().await.unwrap_err();
        let json = |text: &str| serde_json::from_str::<Either>(text).unwrap_err();
        let file = || std::fs::read("/nowhere/at/all").unwrap_err();
        for (error, what) in [
            (anyhow::Error::from(call), format!("cannot reach {nobody}: nobody listens there (UNAVAILABLE)")),
            (phone_error(&nobody).await.into(), "the gateway cannot be reached: no connection: nobody listens there".to_owned()),
            (anyhow::Error::from(file()).context("cannot read x"), "cannot read x: No such file or directory".to_owned()),
            (anyhow::Error::from(json("{}")).context("x is damaged"), "x is damaged: a value is missing or invalid".to_owned()),
            (json("{").into(), "it ends too early (line 1, column 1)".to_owned()),
            (json("]").into(), "it is not JSON (line 1, column 1)".to_owned()),
            (phone_error(&puzzling).await.into(), "the gateway's response cannot be understood: is it of a different release?".to_owned()),
            (anyhow::Error::from(url::Url::parse("x").unwrap_err()).context("--http must be a URL"), "--http must be a URL".to_owned()),
            (tonic::Status::unavailable("away").into(), "away (UNAVAILABLE)".to_owned()),
        ] {
            let said = said(error);
            assert_eq!(said.what, what, "{said:?}");
            assert!(is_plain(&said.what), "{said:?}");
        }
    }

    #[test]
    fn what_a_library_said_is_in_the_details_and_what_is_ours_has_none() {
        let damaged = serde_json::from_str::<Either>("{}").unwrap_err();
        assert!(said(damaged).details.unwrap().contains("untagged"));
        for own in [Refused("line 2".into()).into(), call(Kind::NotFound), anyhow::anyhow!("disk full").context("cannot write")] {
            assert_eq!(said(own).details, None);
        }
        let missing = said(std::fs::read("/nowhere/at/all").unwrap_err());
        assert_eq!(missing.details, None, "it would be the same again");
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let error = anyhow::Error::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe)).context("cannot write");
        assert!(broken_pipe(&error));
    }
}
