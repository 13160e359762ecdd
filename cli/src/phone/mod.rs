//! `nodkey phone`: a phone on the terminal, with its keys in a file. For trying things out, not for production.

mod keys;
mod question;
mod transfer;
mod wait;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use anyhow::Context as _;
use clap::{Subcommand, builder::PossibleValuesParser};
use nodkey_kernel::time::Timestamp;
use nodkey_mobile_sdk::{HeldKey, Phone, PushRegistration, RegisteredDevice, UserDevice, WebPushKeys};
use serde_json::{Map, Value, json};

use crate::{
    connection::{DataDir, Gateway},
    output::{page, record, show},
    sure::Sure,
};

/// Act as a phone on the terminal, with its keys in a file. For trying things out, not for production.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey phone enrol --name \"Ada's phone\"
  nodkey phone wait
  nodkey phone wait --decide accept --once --timeout 30 --json")]
pub struct Args {
    /// File of the phone's keys [default: one for each gateway in nodkey/phones of `$XDG_STATE_HOME` or ~/.local/state]
    #[arg(long, env = "NODKEY_PHONE_KEY", value_name = "FILE", global = true)]
    key: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    gateway: Gateway,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create keys, if there are none yet, and register them with the gateway
    #[command(visible_alias = "enroll")]
    #[command(after_help = "Example:
  nodkey phone enrol --name \"Ada's phone\"

Then bind the phone to a user:
  nodkey admin bindings create --user ada --device DEVICE
  nodkey admin bindings activate BINDING")]
    Enrol {
        /// Name of the phone
        #[arg(long, default_value = "nodkey phone")]
        name: String,
    },
    /// Wait for requests, show each, and answer it
    Wait(wait::Args),
    /// Show whether the phone is bound to a user and active, and which phones the user has
    #[command(after_help = "Example:
  nodkey phone status --json")]
    Status,
    /// Replace this phone with a new one, or add one
    #[command(
        subcommand,
        after_help = "Examples:
  nodkey phone transfer code --key ~/new.json
  nodkey phone transfer to CODE"
    )]
    Transfer(transfer::Verb),
    /// Show the phone's presence keys: whether they count, and what to do about those that do not
    #[command(after_help = "Example:
  nodkey phone keys")]
    Keys,
    /// Replace the presence key, as a phone does when its fingerprints change. The old key vouches for the new one, so that it counts
    #[command(after_help = "Examples:
  nodkey phone renew-key
  nodkey phone renew-key --lost")]
    RenewKey {
        /// The old key is gone, for example deleted by the operating system: the new one does not count until it is approved
        #[arg(long)]
        lost: bool,
    },
    /// Register where to push to the phone, with what the push provider gave the app
    #[command(after_help = "Examples:
  nodkey phone push unifiedpush '{\"endpoint\": \"https://up.example.com/ada\"}'
  nodkey phone push fcm '{\"token\": \"d:APA91...\"}'
  nodkey phone push off")]
    Push {
        /// Push provider; `off` deletes the registration
        #[arg(value_parser = PossibleValuesParser::new(["apns", "fcm", "webpush", "unifiedpush", "off"]))]
        provider: String,
        /// A JSON object: token, or endpoint and keys
        #[arg(default_value = "{}", hide_default_value = true, value_parser = object)]
        details: Map<String, Value>,
    },
    /// Freeze the phone's user, who has lost another phone: nobody can prompt them until their relying party releases them
    #[command(after_help = "Example:
  nodkey phone freeze

This phone can no longer answer either. No phone can release the user, but an operator can:
  nodkey admin users release USER")]
    Freeze(Sure),
    /// Retire the phone permanently and delete its keys
    #[command(after_help = "Example:
  nodkey phone retire --key ~/ada.json")]
    Retire(Sure),
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let config = args.gateway.phone(&args.data_dir)?;
    let file = match args.key {
        Some(file) => file,
        None => keys::default_file(&args.data_dir.path, &config.url().parse()?)?,
    };
    let keys = match &args.command {
        Command::Enrol { .. } => keys::load_or_generate(&file)?,
        _ => keys::load(&file)?,
    };
    let keys = match args.command {
        // Written before it is registered, so that no registered key is lost.
        Command::RenewKey { lost } => keys::renew(&file, keys, lost)?,
        _ => keys,
    };
    let phone = Phone::builder(config, Arc::new(keys.clone())).build().await?;
    match args.command {
        Command::Keys => show_keys(args.json, &phone.status().await?),
        Command::RenewKey { .. } => {
            let device = phone.update_keys().await?;
            keys::write(&file, &keys.with_former(Vec::new()))?;
            show_keys(args.json, &device)
        }
        Command::Enrol { name } => show_device(args.json, &phone.register(&name).await?, &file),
        Command::Wait(wait) => wait::run(&phone, &wait, args.json).await,
        Command::Status => show_device(args.json, &phone.status().await?, &file),
        Command::Transfer(verb) => transfer::run(&phone, verb, args.json, &file).await,
        Command::Push { provider, details } => {
            match registration(&provider, &details)? {
                Some(registration) => phone.register_push(&registration).await?,
                None => phone.forget_push().await?,
            }
            show(args.json, &record([("device_identifier", json!(phone.device_identifier().as_str())), ("push", json!(provider))]))
        }
        Command::Freeze(sure) => {
            sure.ask("Freeze the user of this phone: nobody can prompt them until their relying party releases them")?;
            phone.freeze_user().await?;
            show(args.json, &record([("device_identifier", json!(phone.device_identifier().as_str())), ("frozen", json!(true))]))
        }
        Command::Retire(sure) => {
            sure.ask(&format!("Retire phone {} permanently, and delete its keys", phone.device_identifier()))?;
            phone.retire().await?;
            keys::delete(&file)?;
            show(args.json, &record([("device_identifier", json!(phone.device_identifier().as_str())), ("retired", json!(true))]))
        }
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|_| "must be a JSON object, such as {\"token\": \"d:APA91\"}".to_owned())
}

/// What the push provider gave the app; `None` for `off`.
fn registration(provider: &str, details: &Map<String, Value>) -> anyhow::Result<Option<PushRegistration>> {
    let text = |of: &Value, name: &str| {
        let text = of.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        text.with_context(|| format!("{provider} needs {name}, a text: see `nodkey phone push --help`"))
    };
    let own = Value::Object(details.clone());
    let endpoint = || text(&own, "endpoint");
    let keys = |keys: &Value| anyhow::Ok(WebPushKeys::new(text(keys, "p256dh")?, text(keys, "auth")?));
    let registration = match provider {
        "apns" => PushRegistration::Apns { token: text(&own, "token")? },
        "fcm" => PushRegistration::Fcm { token: text(&own, "token")? },
        "webpush" => PushRegistration::WebPush { endpoint: endpoint()?, keys: keys(&own["keys"])? },
        "unifiedpush" => {
            let given = details.get("keys").filter(|keys| !keys.is_null());
            PushRegistration::UnifiedPush { endpoint: endpoint()?, keys: given.map(keys).transpose()? }
        }
        _ => return Ok(None),
    };
    Ok(Some(registration))
}

/// RFC 3339.
fn time(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (Timestamp::from_micros(0) + since).to_string()
}

/// Advice about keys that do not count goes to standard error, because programs read standard output.
fn show_keys(json: bool, device: &RegisteredDevice) -> anyhow::Result<()> {
    let columns = ["kind", "thumbprint", "counts", "since"];
    let key = |key: &HeldKey| {
        let (kind, since) = (json!(key.kind.as_str()), json!(key.since.map(time)));
        record([("kind", kind), ("thumbprint", json!(key.thumbprint)), ("counts", json!(key.counts)), ("since", since)])
    };
    page(json, &columns, &device.presence_keys.iter().map(key).collect::<Vec<_>>(), "")?;
    let not_counting: Vec<_> = device.not_counting().map(|key| key.thumbprint.as_str()).collect();
    if !not_counting.is_empty() {
        anstream::eprintln!(
            "\naccepts by a key that does not count are level 1. Have the organisation approve it, or approve it as an operator:\n  \
             nodkey admin devices approve-keys {} {}",
            device.device_identifier,
            not_counting.join(" ")
        );
    }
    Ok(())
}

fn show_device(json: bool, device: &RegisteredDevice, file: &Path) -> anyhow::Result<()> {
    let mut record = record([
        ("device_identifier", json!(device.device_identifier.as_str())),
        ("is_active", json!(device.is_active)),
        ("frozen", json!(device.frozen)),
        ("certified", json!(device.certified)),
        ("counting_keys", json!(device.presence_keys.len() - device.not_counting().count())),
        ("key_file", json!(file)),
    ]);
    if json {
        record.insert("device_identifier_jwt", json!(device.device_identifier_jwt));
        let user_device = |device: &UserDevice| json!({"activated_at": time(device.activated_at), "is_this": device.is_this});
        record.insert("user_devices", device.user_devices.iter().map(user_device).collect::<Value>());
    } else if !device.user_devices.is_empty() {
        let phone = |phone: &UserDevice| format!("{}{}", time(phone.activated_at), if phone.is_this { " (this one)" } else { "" });
        record.insert("phones_of_this_user_since", json!(device.user_devices.iter().map(phone).collect::<Vec<_>>()));
    }
    show(json, &record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_registration_is_what_its_provider_gave_and_what_is_missing_is_named() {
        let read = |provider: &str, details: &str| registration(provider, &object(details).unwrap());
        let token = || "d:1".to_owned();
        let endpoint = || "https://up.example.com/ada".to_owned();
        let keys = || WebPushKeys::new("p", "a");
        for (provider, details, expected) in [
            ("apns", r#"{"token": "d:1"}"#, Some(PushRegistration::Apns { token: token() })),
            ("fcm", r#"{"token": "d:1"}"#, Some(PushRegistration::Fcm { token: token() })),
            (
                "webpush",
                r#"{"endpoint": "https://up.example.com/ada", "keys": {"p256dh": "p", "auth": "a"}, "expirationTime": null}"#,
                Some(PushRegistration::WebPush { endpoint: endpoint(), keys: keys() }),
            ),
            (
                "unifiedpush",
                r#"{"endpoint": "https://up.example.com/ada", "keys": {"p256dh": "p", "auth": "a"}}"#,
                Some(PushRegistration::UnifiedPush { endpoint: endpoint(), keys: Some(keys()) }),
            ),
            (
                "unifiedpush",
                r#"{"endpoint": "https://up.example.com/ada"}"#,
                Some(PushRegistration::UnifiedPush { endpoint: endpoint(), keys: None }),
            ),
            ("off", "{}", None),
        ] {
            assert_eq!(read(provider, details).unwrap(), expected, "{provider} {details}");
        }
        for (provider, details, missing) in [
            ("apns", "{}", "token"),
            ("fcm", r#"{"token": 1}"#, "token"),
            ("unifiedpush", "{}", "endpoint"),
            ("webpush", r#"{"endpoint": "https://up.example.com/ada"}"#, "p256dh"),
            ("unifiedpush", r#"{"endpoint": "https://up.example.com/ada", "keys": {"p256dh": "p"}}"#, "auth"),
        ] {
            let error = read(provider, details).unwrap_err().to_string();
            assert!(error.contains(missing), "{provider} {details}: {error}");
        }
    }
}
