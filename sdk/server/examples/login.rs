//! A backend that sends a user a request to log in, and verifies the evidence of the answer.
//!
//! With `nodkey dev` in this folder, and a phone of ada's as in the README: `cargo run --example login`

use std::error::Error;

use nodkey_server_sdk::{Credential, Endpoints, Expected, NewTrusonafication, Nodkey, is_success, verify_evidence};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dev: serde_json::Value = serde_json::from_slice(&std::fs::read(".nodkey/dev.json")?)?;
    let text = |pointer: &str| dev.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let (gateway, token, secret) = (text("/http"), text("/server/token"), text("/server/secret"));

    let nodkey = Nodkey::connect(&Endpoints::single(&gateway), Credential::new(&token, secret)?)?;
    let created = nodkey.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme Bank")).await?;
    let done = nodkey.wait(&created.trusonafication.id).await?;
    if is_success(&done) {
        let expected = Expected::accept().trusonafication(&done.id).user("ada");
        verify_evidence(&nodkey.evidence(&done.id).await?, &nodkey.jwks().await?, &expected)?;
        println!("logged in");
    } else {
        println!("not logged in: {:?}", done.status());
    }
    Ok(())
}
