//! A phone that registers, waits for one request, and accepts it. An app keeps its keys in the key store of the operating system and shows
//! the request; this one keeps them in memory and accepts what comes.
//!
//! With `nodkey dev` in this folder: `cargo run --example phone`, and bind the device that it prints:
//! `nodkey admin bindings create --user ada --device=DEVICE`, `nodkey admin bindings activate BINDING`

use std::{error::Error, sync::Arc, time::Duration};

use nodkey_mobile_sdk::{Config, Decision, Phone, software::SoftwareKeyStore};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dev: serde_json::Value = serde_json::from_slice(&std::fs::read(".nodkey/dev.json")?)?;
    let text = |pointer: &str| dev.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let config = Config::builder().url(text("/http")).token(text("/mobile/token")).secret(text("/mobile/secret"));
    let config = config.app_version("Example 1.0").build()?;

    let phone = Phone::builder(config, Arc::new(SoftwareKeyStore::generate())).build().await?;
    let device = phone.register("Example").await?;
    println!("{}", device.device_identifier);
    while !phone.status().await?.is_active {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let request = loop {
        if let Some(request) = phone.wait(Duration::from_secs(20)).await?.into_iter().next() {
            break request;
        }
    };
    println!("{} at {}", request.challenge.action, request.challenge.resource);
    phone.respond(&request, Decision::Accept, None).await?;
    Ok(())
}
