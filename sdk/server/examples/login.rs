//! A backend that signs a user in, and verifies the evidence of it.
//!
//! With `nodkey dev` and a phone, as in `README.md`, which has the same: `cargo run --example login ada DEVICE`

#![expect(clippy::disallowed_methods, reason = "the time, as backends take it")]

use std::{env, error::Error, time::SystemTime};

use nodkey_server_sdk::{Expected, Level, NewBinding, NewTrusonafication, Nodkey};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let user = arguments.next().ok_or("name a user, and the device of a new phone")?;
    let nodkey = Nodkey::from_env()?; // NODKEY_URL, NODKEY_TOKEN, NODKEY_SECRET

    // Once for each phone, and only when you know by other means whose it is: from now on it can sign this user in.
    if let Some(device) = arguments.next() {
        let binding = nodkey.bindings().create(NewBinding::new(&*user, device)).await?;
        nodkey.bindings().activate(binding.id).await?;
    }

    let asked = nodkey.trusonafications().create(NewTrusonafication::user(&*user, "log in", "Acme Bank")).await?;
    println!("look at your phone{}", asked.match_number.map_or_else(String::new, |number| format!(", which asks for {number}")));
    let ended = nodkey.trusonafications().wait(asked.trusonafication.id).await?;
    if !ended.is_success() {
        return Err(format!("not signed in: {}", ended.status.as_str()).into());
    }

    // What you may have to prove one day: keep it, with `nodkey.jwks().archive()`.
    let evidence = nodkey.trusonafications().evidence(&ended.id).await?;
    let expected = Expected::accept().trusonafication(&ended.id).user(&*user);
    let verified = nodkey.jwks().verify_evidence(&evidence, &expected, SystemTime::now()).await?;
    println!("signed in: {user} at level {}", verified.receipt.level.map_or(0, Level::number));
    Ok(())
}
