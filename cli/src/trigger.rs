//! `nodkey trigger`: sends a webhook like those of a deployment to a handler that is being developed.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::ValueEnum;
use nodkey_kernel::{
    challenge::{Decision, challenge_hash},
    id::{DeliveryId, RelyingPartyId, TrusonaficationId},
    jose::{Algorithm, Jwks, PrivateKey, PublishedKey, jws},
    level::Level,
    random::Random,
    receipt::{KeyKind, RECEIPT_TYP, ReceiptClaims, ReceiptKey, ReceiptStatus, data_hash},
    time::{Clock, Timestamp},
    webhook,
};
use nodkey_proto::{
    convert::timestamp,
    rest,
    trusonafication::v1::{Result as Outcome, Status, Trusonafication},
    webhook::Envelope,
};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{json, value::RawValue};

use crate::{
    connection::{DataDir, read_dev_file},
    failure::{Refused, Usage},
    handler::Handler,
    output::{document, line, plain},
};

/// The deployment that the receipt names. A name that nobody has (RFC 2606).
const ISSUER: &str = "https://nodkey-trigger.invalid";
/// How long the request lived, or would have lived.
const LIFETIME: Duration = Duration::from_secs(90);

/// Send a test webhook to your handler
///
/// It is written and signed like one of a deployment, with "test": true beside its type, and needs no server. Its receipt is signed by a
/// key made for this one call, which is in the JWKS of no deployment: a handler that trusts its deployment alone must refuse it. To test
/// what the handler does after that, let it trust the JWKS of --jwks-out instead. A new one is written before each webhook is sent.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  NODKEY_WEBHOOK_SECRET=whsec_... nodkey trigger accepted --to http://127.0.0.1:9000/webhooks
  nodkey trigger rejected --to http://127.0.0.1:9000/webhooks --jwks-out test-jwks.json
  nodkey trigger expired --to http://127.0.0.1:9000/webhooks --user ada --action 'log in' --json

Exit codes: 0 the handler answered 2xx, 1 it was not reached, 2 wrong usage, 3 it answered anything else.")]
pub struct Args {
    /// How the request ended
    end: End,
    /// URL of your handler
    #[arg(long, value_name = "URL")]
    to: String,
    /// Secret of the endpoint that the handler verifies with; preferably set in the environment
    #[arg(long, env = "NODKEY_WEBHOOK_SECRET", hide_env_values = true, value_name = "whsec_...")]
    secret: String,
    /// Relying party that the handler expects [default: that of `nodkey dev`]
    #[arg(long, env = "NODKEY_RELYING_PARTY", value_name = "UUID")]
    relying_party: Option<String>,
    /// User that was asked
    #[arg(long, default_value = "ada", value_name = "IDENTIFIER")]
    user: String,
    /// What the user was asked to confirm
    #[arg(long, default_value = "log in", value_name = "TEXT")]
    action: String,
    /// What it is about
    #[arg(long, default_value = "Acme Bank", value_name = "TEXT")]
    resource: String,
    /// Write the JWKS with the key of the receipt to this file
    #[arg(long, value_name = "FILE")]
    jwks_out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data_dir: DataDir,
}

/// How a trusonafication ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum End {
    /// The person accepted
    Accepted,
    /// The person rejected
    Rejected,
    /// Nobody answered
    Expired,
}

impl End {
    const fn event_type(self) -> &'static str {
        match self {
            Self::Accepted => "trusonafication.accepted",
            Self::Rejected => "trusonafication.rejected",
            Self::Expired => "trusonafication.expired",
        }
    }

    const fn status(self) -> (Status, ReceiptStatus) {
        match self {
            Self::Accepted => (Status::Accepted, ReceiptStatus::Accepted),
            Self::Rejected => (Status::Rejected, ReceiptStatus::Rejected),
            Self::Expired => (Status::Expired, ReceiptStatus::Expired),
        }
    }

    const fn decision(self) -> Option<Decision> {
        match self {
            Self::Accepted => Some(Decision::Accept),
            Self::Rejected => Some(Decision::Reject),
            Self::Expired => None,
        }
    }
}

/// A webhook, ready to be sent.
struct Test {
    trusonafication: String,
    body: String,
    jwks: Jwks,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let (clock, random) = (Clock::system(), Random::system());
    let handler = Handler::new(&args.to, "--to", args.data_dir.ca_certificate.as_deref())?;
    let party = relying_party(&args)?;
    let test = test(&args, party, clock.now(), &random)?;
    let (id, at) = (DeliveryId::generate(clock.now(), &random).to_string(), clock.now().as_seconds());
    let signature = webhook::sign_with_secret(&args.secret, &id, at, &test.body)
        .map_err(|_| Usage("--secret must be that of an endpoint: whsec_ and at least 24 bytes in base64".into()))?;
    if let Some(path) = &args.jwks_out {
        let jwks = serde_json::to_string_pretty(&test.jwks)?;
        std::fs::write(path, jwks).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut headers = HeaderMap::new();
    for (name, value) in [(webhook::ID, id.as_str()), (webhook::TIMESTAMP, &at.to_string()), (webhook::SIGNATURE, &signature)] {
        headers.insert(name, HeaderValue::from_str(value)?);
    }
    let answer = handler.post(headers, test.body).await?;
    if args.json {
        document(&json!({
            "id": id, "type": args.end.event_type(), "trusonafication_id": test.trusonafication,
            "status": answer.status.as_u16(), "duration_ms": answer.took.as_millis(), "response": answer.text,
        }))?;
    } else {
        line(format_args!("{} {}: {} after {} ms", args.end.event_type(), id, answer.status, answer.took.as_millis()))?;
        if !answer.text.is_empty() {
            line(plain(answer.text.trim_end()))?;
        }
    }
    if answer.status.is_success() {
        return Ok(());
    }
    Err(Refused(format!("the handler at {} answered {}", handler.url(), answer.status)).into())
}

fn relying_party(args: &Args) -> anyhow::Result<RelyingPartyId> {
    let known = || anyhow::Ok(read_dev_file(&args.data_dir.path)?.map(|file| file.relying_party_id));
    let text = match &args.relying_party {
        Some(id) => id.clone(),
        None => known()?.ok_or_else(|| Usage("name the relying party that the handler expects: --relying-party UUID".into()))?,
    };
    Ok(text.parse().map_err(|_| Usage(format!("--relying-party must be a UUID, not {text:?}")))?)
}

/// The webhook, as the notification service writes it: the same text for `data`, covered by the receipt.
fn test(args: &Args, party: RelyingPartyId, now: Timestamp, random: &Random) -> anyhow::Result<Test> {
    let about = ended(args, party, now, random);
    let data = rest::text(&about)?;
    let signer = PrivateKey::generate(Algorithm::EdDsa, random);
    let kid = signer.public().thumbprint();
    let receipt = jws::sign(RECEIPT_TYP, Some(&kid), None, &receipt(args.end, &about, party, now, &data), &signer);
    let envelope = Envelope { r#type: args.end.event_type(), timestamp: &now.to_string(), test: true, data: &data, receipt: &receipt };
    let published = PublishedKey { kid, key: signer.public(), typs: Some(vec![RECEIPT_TYP.to_owned()]) };
    Ok(Test { body: envelope.text()?, jwks: Jwks { keys: vec![published] }, trusonafication: about.id })
}

/// A trusonafication that ended now.
fn ended(args: &Args, party: RelyingPartyId, now: Timestamp, random: &Random) -> Trusonafication {
    let device = PrivateKey::generate(Algorithm::Es256, random).public().thumbprint();
    let created_at = if args.end == End::Expired { now - LIFETIME } else { now };
    let is_accepted = args.end == End::Accepted;
    let result = args.end.decision().map(|_| Outcome {
        id: DeliveryId::generate(now, random).to_string(),
        accepted: is_accepted,
        accepted_level: if is_accepted { Level::Essential.as_i32() } else { 0 },
        bound_user_identifier: args.user.clone(),
        device_identifier: device.clone(),
        ..Outcome::default()
    });
    Trusonafication {
        id: TrusonaficationId::generate(now, random).to_string(),
        relying_party_id: party.to_string(),
        status: args.end.status().0.into(),
        desired_level: Level::Essential.as_i32(),
        action: args.action.clone(),
        resource: args.resource.clone(),
        user_identifier: args.user.clone(),
        // Without an answer, no device is known.
        device_identifier: if result.is_some() { device } else { String::new() },
        prompt: true,
        user_presence: true,
        relying_party_name: args.resource.clone(),
        created_at: Some(timestamp(created_at)),
        updated_at: Some(timestamp(now)),
        expires_at: Some(timestamp(created_at + LIFETIME)),
        result,
        version: 2,
        ..Trusonafication::default()
    }
}

/// Its receipt. There was no challenge and no response: the hashes are of text made up here.
fn receipt(end: End, about: &Trusonafication, party: RelyingPartyId, now: Timestamp, data: &RawValue) -> ReceiptClaims {
    let dec = end.decision();
    let of_nothing = |name: &str| challenge_hash(&format!("{name} {}", about.id));
    ReceiptClaims {
        iss: ISSUER.to_owned(),
        jti: about.result.as_ref().map_or_else(|| about.id.clone(), |result| result.id.clone()),
        sub: about.id.clone(),
        rp: party.to_string(),
        at: now.as_micros(),
        status: end.status().1,
        level: (end == End::Accepted).then_some(Level::Essential),
        dec,
        why: None,
        dev: dec.map(|_| about.device_identifier.clone()),
        key: dec.map(|_| ReceiptKey { jkt: of_nothing("key"), kind: KeyKind::Biometric }),
        user: Some(about.user_identifier.clone()),
        chal: of_nothing("challenge"),
        resp: dec.map(|_| of_nothing("response")),
        data: Some(data_hash(data.get())),
    }
}
