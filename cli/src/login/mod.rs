//! `nodkey login`, `nodkey logout` and `nodkey whoami`: an operator signs in with their phone, and acts under their own name.

mod code;
mod console;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use nodkey_kernel::time::{Clock, Timestamp};
use serde_json::json;

use self::console::{Console, Standing};
use crate::{
    connection::{DataDir, read_dev_file},
    failure::Refused,
    output::{bold, line, plain, record, show},
    session::{Session, SessionEnded, SessionFile},
};

/// How many codes are shown, one after the other, until one is scanned: enough for some minutes.
const CODES: usize = 6;
/// How long before its expiry a code is replaced: the time that scanning takes.
const MARGIN: Duration = Duration::from_secs(5);

/// Sign in as an operator with your phone: `nodkey admin` then acts under your name
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey login https://id.example.com
  nodkey login                             the server of `nodkey dev` here
  nodkey login --session /run/user/1000/nodkey.json

Scan the code with the phone that accepted your invitation, and accept there. The session lasts as
long as one of the console, and ends with `nodkey logout`. Until then, anyone who can read its file can
act as you.")]
pub struct Login {
    /// The gateway's public URL [default: that of `nodkey dev`]
    #[arg(env = "NODKEY_HTTP", value_name = "URL")]
    url: Option<String>,
    /// Print JSON; the code is still shown, on standard error
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    file: SessionFile,
}

/// End the session of `nodkey login`, here and on the server
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  nodkey logout")]
pub struct Logout {
    #[command(flatten)]
    file: SessionFile,
}

/// Show who is signed in, with which role and until when
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  nodkey whoami --json")]
pub struct WhoAmI {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: SessionFile,
}

/// Runs `nodkey login`.
pub async fn login(args: Login) -> anyhow::Result<()> {
    let known = read_dev_file(&args.data_dir.path)?;
    let (gateway, authority) = match (args.url, known) {
        (Some(url), _) => (url.trim_end_matches('/').to_owned(), args.data_dir.ca_certificate.clone()),
        (None, Some(known)) => (known.http, args.data_dir.ca_certificate.clone().or(known.ca_certificate)),
        (None, None) => anyhow::bail!("name the gateway's public URL: `nodkey login https://id.example.com`"),
    };
    // Absolute, so that it is found from any folder.
    let authority = authority.map(std::path::absolute).transpose()?;
    let mut console = Console::new(&gateway, authority.as_deref())?;
    sign_in(&mut console).await?;
    let session = established(&console, gateway, authority).await?;
    // The session that it replaces is not needed any more.
    if let Some(before) = args.file.kept().ok().flatten() {
        let _ = end(&before).await;
    }
    let path = args.file.write(&session)?;
    if args.json {
        return show(true, &described(&session));
    }
    let Session { operator, gateway, expires_at, .. } = &session;
    line(format_args!("signed in as {} ({}) at {gateway} until {expires_at}", bold(&plain(&operator.name)), operator.role))?;
    anstream::eprintln!("the session is in {}", path.display());
    Ok(())
}

/// Runs `nodkey logout`. Deletes the file even if the server cannot be reached, and then still returns an error.
pub async fn logout(args: Logout) -> anyhow::Result<()> {
    let Some(session) = args.file.kept()? else {
        anstream::eprintln!("nobody is signed in");
        return Ok(());
    };
    let ended = end(&session).await;
    args.file.delete()?;
    ended.context("the session was deleted here, but may continue on the server until it expires: end it in the console")?;
    anstream::eprintln!("signed out at {}", session.gateway);
    Ok(())
}

/// Runs `nodkey whoami`.
pub async fn who_am_i(args: WhoAmI) -> anyhow::Result<()> {
    let session = args.file.read()?.ok_or_else(|| Refused("nobody is signed in: run `nodkey login URL`".to_owned()))?;
    let mut console = Console::of(&session)?;
    let now = console.session().await?.ok_or_else(|| SessionEnded(session.gateway.clone()))?;
    show(args.json, &described(&Session { operator: now.operator, expires_at: now.expires_at, ..session }))
}

fn described(session: &Session) -> crate::output::Record {
    record([
        ("operator_id", json!(session.operator.id)),
        ("name", json!(session.operator.name)),
        ("role", json!(session.operator.role)),
        ("gateway", json!(session.gateway)),
        ("session_id", json!(session.id)),
        ("expires_at", json!(session.expires_at)),
    ])
}

async fn end(session: &Session) -> anyhow::Result<()> {
    Console::of(session)?.sign_out().await
}

/// Shows one code after the other until a phone has scanned one and accepted.
async fn sign_in(console: &mut Console) -> anyhow::Result<()> {
    for shown in 0..CODES {
        let code = console.begin_sign_in().await?;
        code::show(console.url(), &code.payload, shown == 0)?;
        let lifetime = Timestamp::parse_rfc3339(&code.expires_at).map_or(MARGIN, |end| Clock::system().now().until(end));
        let scanned = tokio::time::timeout(lifetime.saturating_sub(MARGIN).max(MARGIN), console.standing(Standing::Waiting)).await;
        match scanned {
            // No phone has scanned it yet.
            Err(_) | Ok(Ok(Standing::Waiting | Standing::Expired)) => {}
            Ok(standing) => return answered(console, standing?).await,
        }
    }
    anyhow::bail!("nobody scanned a code: run `nodkey login` again when the phone is at hand")
}

async fn answered(console: &mut Console, mut standing: Standing) -> anyhow::Result<()> {
    anstream::eprintln!("scanned: accept on your phone");
    while standing == Standing::Scanned {
        standing = console.standing(standing).await?;
    }
    let refused = match standing {
        Standing::Accepted => return Ok(()),
        Standing::Rejected => "the phone rejected the sign-in",
        Standing::Refused => {
            "that phone does not belong to an operator: use the one that accepted your invitation, or ask an owner for an invitation"
        }
        Standing::Waiting | Standing::Scanned | Standing::Expired => "the phone did not answer in time",
    };
    Err(Refused(format!("{refused}; nobody was signed in")).into())
}

async fn established(console: &Console, gateway: String, ca_certificate: Option<PathBuf>) -> anyhow::Result<Session> {
    let (id, secret) = console.held().context("the gateway returned no session: is it of a different release?")?;
    let mut again = console.clone();
    let now = again.session().await?.ok_or_else(|| SessionEnded(gateway.clone()))?;
    Ok(Session { gateway, audience: now.audience, id, secret, operator: now.operator, expires_at: now.expires_at, ca_certificate })
}
