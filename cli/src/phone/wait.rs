//! `nodkey phone wait`.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use nodkey_kernel::{
    backoff::{doubled, jittered},
    custom_fields::CustomFields,
    random::Random,
};
use nodkey_mobile_sdk::{Answer, Decision, Error, Open, Pending, Phone, RejectReason, RequestContext, Untrusted};
use serde_json::{Value, json};

use super::question::{Choice, ask_choice, ask_number, describe, fits, wanted};
use crate::output::{bold, line, plain, record};

/// How long one call waits. Another call follows.
const POLL: Duration = Duration::from_secs(25);
/// The pause when everything pending has already been answered.
const PAUSE: Duration = Duration::from_secs(1);
/// The approximate first pause after a failed call, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// Wait for requests, show each, and answer it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey phone wait                                        prompt at the terminal, until Ctrl-C
  nodkey phone wait --decide accept --once --timeout 30    for scripts
  nodkey phone wait --decide accept --number 42 --once

With --json, each answer is one line of JSON. If nothing was answered, the exit code is not 0.")]
pub struct Args {
    /// How to answer
    #[arg(long, value_enum, default_value = "ask")]
    decide: Decide,
    /// End after the first answer
    #[arg(long)]
    once: bool,
    /// The number to accept with, if one has to be matched
    #[arg(long, value_name = "NN")]
    number: Option<String>,
    /// Seconds to wait; by default until Ctrl-C
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    timeout: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Decide {
    /// Prompt at the terminal
    Ask,
    /// Accept everything
    Accept,
    /// Reject everything
    Reject,
    /// Reject everything as started by somebody else
    NotMe,
}

/// Waits and answers.
pub async fn run(phone: &Phone, args: &Args, json: bool) -> anyhow::Result<()> {
    let end = args.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut settled = HashSet::new();
    let (mut answered, mut failures) = (0_u32, 0_u32);
    anstream::eprintln!("waiting as {}", phone.device_identifier());
    loop {
        let left = end.map_or(POLL, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            break;
        }
        // The gateway counts in whole seconds.
        let Open { pending, untrusted, .. } = open(phone, left.clamp(PAUSE, POLL), &mut failures).await?;
        let is_empty = pending.is_empty() && untrusted.is_empty();
        for (id, reason) in untrusted.into_iter().filter(|(id, _)| settled.insert(id.clone())) {
            let advice = advice(reason);
            anstream::eprintln!("a request is not shown, because it cannot be trusted: {reason} ({}){advice}", plain(id.as_str()));
        }
        let fresh: Vec<_> = pending.iter().filter(|p| !settled.contains(&p.id)).collect();
        if fresh.is_empty() && !is_empty {
            tokio::time::sleep(PAUSE.min(left)).await;
        }
        for question in fresh {
            settled.insert(question.id.clone());
            answered += u32::from(settle(phone, args, json, question).await?);
            if args.once && answered > 0 {
                return Ok(());
            }
        }
    }
    anyhow::ensure!(answered > 0, "no request was answered within {} s", args.timeout.unwrap_or_default());
    Ok(())
}

/// Returns the requests to answer. Retries an unavailable gateway after a random pause, so that phones do not all return together.
async fn open(phone: &Phone, wait: Duration, failures: &mut u32) -> Result<Open, Error> {
    let error = match phone.open(wait).await {
        Ok(open) => {
            *failures = 0;
            return Ok(open);
        }
        Err(error) => error,
    };
    let Some(least) = error.retry_after() else { return Err(error) };
    anstream::eprintln!("{error}; trying again");
    *failures = failures.saturating_add(1);
    let (first, longest) = BACKOFF;
    tokio::time::sleep(least.max(jittered(&Random::system(), doubled(first, *failures, longest)))).await;
    Ok(Open::default())
}

/// Advice about a request that cannot be trusted.
const fn advice(reason: Untrusted) -> &'static str {
    match reason {
        Untrusted::UnknownKey => "; check --jwks",
        Untrusted::OtherGateway => "; check that --http is the gateway's public URL",
        _ => "",
    }
}

/// Shows one request, decides and answers. Accepts one that is not to be shown. Returns false if it was already over.
async fn settle(phone: &Phone, args: &Args, json: bool, question: &Pending) -> anyhow::Result<bool> {
    let shown = if question.is_shown() { describe(&question.challenge) } else { Vec::new() };
    for text in shown {
        if json {
            anstream::eprintln!("{text}");
        } else {
            line(text)?;
        }
    }
    let choice = if question.is_shown() || args.decide != Decide::Ask { decide(args.decide)? } else { Choice::Accept };
    let number = number(args, choice, question)?;
    let answer = match choice {
        Choice::Accept => phone.respond(question, Decision::Accept, number.as_deref()).await,
        Choice::Reject => phone.respond(question, Decision::Reject, None).await,
        Choice::NotMe => phone.reject(question, RejectReason::NotMe).await,
    };
    match answer {
        Ok(answer) => {
            tell(json, question, choice, number.as_deref(), &answer)?;
            Ok(true)
        }
        Err(error) if matches!(error.status(), Some(409 | 410)) => {
            anstream::eprintln!("over: {} ({})", error.message(), error.reason());
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

fn decide(decide: Decide) -> anyhow::Result<Choice> {
    match decide {
        Decide::Ask => ask_choice(&mut std::io::stdin().lock()),
        Decide::Accept => Ok(Choice::Accept),
        Decide::Reject => Ok(Choice::Reject),
        Decide::NotMe => Ok(Choice::NotMe),
    }
}

/// The number to accept with, if one has to be matched.
fn number(args: &Args, choice: Choice, question: &Pending) -> anyhow::Result<Option<String>> {
    let Some(number_match) = question.challenge.number_match.as_ref().filter(|_| choice == Choice::Accept) else { return Ok(None) };
    match &args.number {
        Some(number) if fits(number, number_match) => Ok(Some(number.clone())),
        Some(number) => anyhow::bail!("--number {} cannot be right: it must be {}", number, wanted(number_match)),
        None if args.decide == Decide::Ask => ask_number(&mut std::io::stdin().lock(), number_match).map(Some),
        None => anyhow::bail!("a number has to be matched: give it with --number, or answer at the terminal with --decide ask"),
    }
}

fn tell(json: bool, question: &Pending, choice: Choice, number: Option<&str>, answer: &Answer) -> anyhow::Result<()> {
    if !json {
        return line(bold(answer.outcome.as_str()));
    }
    let challenge = &question.challenge;
    let mut told = record([
        ("id", json!(answer.id.as_str())),
        ("relying_party", json!(challenge.relying_party.name)),
        ("action", json!(challenge.action)),
        ("resource", json!(challenge.resource)),
        ("requested_from", json!(challenge.request_context.as_ref().map(RequestContext::describe))),
        ("desired_level", json!(challenge.level)),
        ("custom_fields", Value::Null),
        ("decision", json!(choice.as_str())),
        ("number", json!(number)),
        ("status", json!(answer.outcome.as_str())),
        ("accepted_level", json!(answer.accepted_level.unwrap_or_default())),
    ]);
    if let Some(fields) = challenge.custom_fields.as_ref().and_then(|fields| CustomFields::stored(fields.as_json())) {
        told.insert("custom_fields", fields);
    }
    line(serde_json::to_string(&told)?)
}
