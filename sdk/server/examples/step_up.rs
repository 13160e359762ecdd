//! A payment that a signed-in user confirms on their phone: the amount and the payee are shown and signed, and the evidence proves both.
//!
//! With `nodkey dev` and a phone of ada's, as in `README.md`: `cargo run --example step_up`

#![expect(clippy::disallowed_methods, reason = "the time, as backends take it")]

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use nodkey_server_sdk::{Expected, Level, NewTrusonafication, Nodkey, NumberMatch, RequestContext};

/// A payment, as the page shows it.
const PAYMENT: &str = r#"{"amount": "90.00 EUR", "to": "ACME"}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let nodkey = Nodkey::from_env()?;
    let payment = NewTrusonafication::user("ada", "pay 90.00 EUR to ACME", "Acme Bank")
        .level(Level::Essential)
        .custom_fields_json(PAYMENT)
        .number_match(NumberMatch::Enter)
        .context("the login session of this browser")
        .request_context(RequestContext::new().address("203.0.113.7").browser("Firefox on Linux"));
    let asked = nodkey.trusonafications().create(payment).await?;
    println!("type {} on your phone", asked.match_number.unwrap_or_default());

    let id = asked.trusonafication.id;
    let ended = nodkey.trusonafications().wait_for(&id, Duration::from_mins(3)).await?;
    if !ended.is_success() {
        return Err(format!("not paid: {}", ended.status.as_str()).into());
    }
    let evidence = nodkey.trusonafications().evidence(&id).await?;
    let expected = Expected::accept().trusonafication(&id).user("ada").level(Level::Essential).max_age(Duration::from_mins(5));
    let verified = nodkey.jwks().verify_evidence(&evidence, &expected, SystemTime::now()).await?;
    // What was signed is what is paid, and not what the page says meanwhile.
    if verified.challenge.custom_fields_json.as_deref() != Some(PAYMENT) {
        return Err("another payment was confirmed".into());
    }
    println!("paid");
    Ok(())
}
