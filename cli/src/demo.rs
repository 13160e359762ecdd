//! `nodkey demo`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use nodkey_client::{Expected, NewTrusonafication, is_success, is_terminal, verify_evidence};
use nodkey_kernel::random::Random;
use nodkey_mobile_sdk::{Decision, Phone, software::SoftwareKeyStore};
use serde_json::json;

use crate::{
    connection::{Backend, DataDir, Gateway, Grpc},
    output::{bold, document, line, millis},
};

/// Show logins against a running server, from the enrolment of a phone to the verified evidence, each step with its time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey demo
  nodkey demo --rounds 20 --json
  nodkey demo --http https://auth.example.com

Without the folder of `nodkey dev`, set both credentials of a relying party: NODKEY_SERVER_TOKEN and NODKEY_SERVER_SECRET,
NODKEY_MOBILE_TOKEN and NODKEY_MOBILE_SECRET. The demo creates a user, and deactivates it at the end.")]
pub struct Args {
    /// Number of logins
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Print the times as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    grpc: Grpc,
    #[command(flatten)]
    backend: Backend,
    #[command(flatten)]
    gateway: Gateway,
}

struct Times {
    to_phone: Duration,
    to_watch: Duration,
    whole: Duration,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let backend = args.backend.connect(&args.data_dir, &args.grpc, &args.gateway)?;
    let keys = Arc::new(SoftwareKeyStore::generate());
    let phone = Phone::builder(args.gateway.phone(&args.data_dir)?, keys).build().await?;
    let user = format!("demo-{}", Random::system().token());
    let tell = |text: String| if args.json { Ok(()) } else { line(text) };
    let say = |step: &str, took: Duration| tell(format!("  {step:<42} {:>10}", millis(took)));

    tell(bold("Flow 1: register"))?;
    let at = Instant::now();
    let device = phone.register("nodkey demo").await.context("the phone could not register")?;
    say("phone registers its keys", at.elapsed())?;
    let at = Instant::now();
    let binding = backend.create_binding(&user, device.device_identifier.as_str()).await?;
    say("backend binds the device to a user", at.elapsed())?;
    let at = Instant::now();
    backend.activate_binding(&binding.id).await?;
    say("backend activates the binding", at.elapsed())?;

    tell(bold("Flow 2: authenticate"))?;
    let rounds = async {
        let mut rounds = Vec::new();
        for _ in 0..args.rounds {
            rounds.push(round(&backend, &phone, &user).await?);
        }
        anyhow::Ok(rounds)
    };
    let rounds = rounds.await;
    // Whatever came of it, nothing stays of the user.
    backend.deactivate_user(&user).await?;
    let rounds = rounds?;
    let median = |of: fn(&Times) -> Duration| {
        let mut all: Vec<Duration> = rounds.iter().map(of).collect();
        all.sort();
        all[all.len() / 2]
    };
    let (to_phone, to_watch, whole) = (median(|t| t.to_phone), median(|t| t.to_watch), median(|t| t.whole));
    say("create to phone (median)", to_phone)?;
    say("answer to watch (median)", to_watch)?;
    say("request to verified evidence (median)", whole)?;
    if args.json {
        let ms = |d: Duration| d.as_secs_f64() * 1000.0;
        return document(
            &json!({"rounds": args.rounds, "create_to_phone_ms": ms(to_phone), "answer_to_watch_ms": ms(to_watch), "whole_ms": ms(whole)}),
        );
    }
    line(bold("accepted, and the evidence verifies offline"))
}

/// One login: the phone waits, the backend sends a request, the phone accepts, the backend gets the result and verifies the evidence.
async fn round(backend: &nodkey_client::Nodkey, phone: &Phone, user: &str) -> anyhow::Result<Times> {
    let started = Instant::now();
    let asked_at = std::sync::OnceLock::new();
    let ask = async {
        // The phone's long poll begins first, as it usually does.
        tokio::task::yield_now().await;
        let created = backend.create_trusonafication(NewTrusonafication::user(user, "log in", "Acme Bank")).await?;
        let _ = asked_at.set(Instant::now());
        anyhow::Ok(created)
    };
    let wait = async {
        let pending = phone.wait(Duration::from_secs(20)).await?;
        anyhow::Ok((pending, Instant::now()))
    };
    let (waited, created) = tokio::try_join!(wait, ask)?;
    let (pending, seen_at) = waited;
    let pending = pending.first().context("the request did not reach the phone")?;
    let created = created.trusonafication;
    let mut states = Box::pin(backend.watch(&created.id).await?);
    states.next().await.context("the watch ended early")??;
    let answered = Instant::now();
    let answer = phone.respond(pending, Decision::Accept, None);
    let learn = async {
        while let Some(state) = states.next().await {
            let state = state?;
            if is_terminal(state.status()) {
                return anyhow::Ok((state, answered.elapsed()));
            }
        }
        anyhow::bail!("the watch ended without a result")
    };
    let (answer, learned) = tokio::join!(answer, learn);
    answer?;
    let (done, to_watch) = learned?;
    anyhow::ensure!(is_success(&done), "not accepted: {:?}", done.status());
    let expected = Expected::accept().trusonafication(&done.id).user(user).device(phone.device_identifier().as_str());
    verify_evidence(&backend.evidence(&done.id).await?, &backend.jwks().await?, &expected)?;
    let asked_at = asked_at.get().copied().unwrap_or(seen_at);
    Ok(Times { to_phone: seen_at.saturating_duration_since(asked_at), to_watch, whole: started.elapsed() })
}
