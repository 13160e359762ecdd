//! `nodkey admin push`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use nodkey_client::ServiceName;
use nodkey_proto::notification::v1::{
    ApnsCredentials, DeletePushConfigurationRequest, FcmCredentials, GetPushRegistrationRequest, ListPushConfigurationsRequest,
    PushConfiguration, PushProvider, PutPushConfigurationRequest, WebPushCredentials,
    push_configuration_service_client::PushConfigurationServiceClient, push_registration_service_client::PushRegistrationServiceClient,
    put_push_configuration_request::Credentials,
};
use serde_json::json;

use super::{
    Admin, answer, request,
    values::{time, word},
};
use crate::{
    output::{self, Record, filled, record},
    sure::Sure,
};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Provider {
    /// Apple Push Notification service
    Apns,
    /// Firebase Cloud Messaging
    Fcm,
    /// Web Push, and `UnifiedPush` distributors that require VAPID
    Webpush,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Set the key for the Apple Push Notification service
    #[command(after_help = "Example:
  nodkey admin push apns --team-id TEAM123456 --key-id KEY1234567 --topic com.example.acme AuthKey_KEY1234567.p8")]
    Apns {
        /// The .p8 file
        key: PathBuf,
        /// Team id of the developer account
        #[arg(long)]
        team_id: String,
        /// Id of the key
        #[arg(long)]
        key_id: String,
        /// The app's bundle id
        #[arg(long, value_name = "BUNDLE_ID")]
        topic: String,
        /// Use the sandbox, for development builds of the app
        #[arg(long)]
        sandbox: bool,
        /// The text that phones show. It must not describe the request
        #[arg(long, default_value = "", hide_default_value = true)]
        alert: String,
    },
    /// Set the service account for Firebase Cloud Messaging
    #[command(after_help = "Example:
  nodkey admin push fcm service-account.json")]
    Fcm {
        /// The JSON file from Google
        service_account: PathBuf,
    },
    /// Create a key for Web Push; prints the applicationServerKey that apps subscribe with
    #[command(after_help = "Example:
  nodkey admin push webpush mailto:ops@example.com")]
    Webpush {
        /// Contact for push services: mailto: or https://
        subject: String,
    },
    /// List the credentials, and the last refusal of each provider
    #[command(after_help = "Example:
  nodkey admin push list")]
    List,
    /// Show the push registration of a device; there is none once its provider reports that the app is gone
    #[command(after_help = "Example:
  nodkey admin push show DEVICE_ID")]
    Show {
        /// Device identifier
        device_id: String,
    },
    /// Delete the credentials for a provider
    #[command(after_help = "Example:
  nodkey admin push delete fcm")]
    Delete {
        /// Push provider
        #[arg(value_enum)]
        provider: Provider,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = PushConfigurationServiceClient::new(admin.channel(ServiceName::Notification));
    let credentials = match verb {
        Verb::List => {
            let found = answer(client.list_push_configurations(request(ListPushConfigurationsRequest {}))).await?.push_configurations;
            let records: Vec<_> = found.iter().map(to_record).collect();
            return output::page(admin.json, &["provider", "description", "updated_at", "last_failure"], &records, "");
        }
        Verb::Show { device_id } => {
            let mut client = PushRegistrationServiceClient::new(admin.channel(ServiceName::Notification));
            let found = answer(client.get_push_registration(request(GetPushRegistrationRequest { device_id }))).await?;
            let provider = word(found.provider().as_str_name(), PREFIX);
            return admin.show(&record([("provider", provider), ("updated_at", time(found.updated_at.as_ref()))]));
        }
        Verb::Delete { provider, sure } => {
            let provider = match provider {
                Provider::Apns => PushProvider::Apns,
                Provider::Fcm => PushProvider::Fcm,
                Provider::Webpush => PushProvider::Webpush,
            };
            sure.ask(&format!("Delete the credentials for {}", word(provider.as_str_name(), PREFIX).as_str().unwrap_or_default()))?;
            answer(client.delete_push_configuration(request(DeletePushConfigurationRequest { provider: provider.into() }))).await?;
            return admin.show(&record([("provider", word(provider.as_str_name(), PREFIX)), ("deleted", json!(true))]));
        }
        Verb::Apns { key, team_id, key_id, topic, sandbox, alert } => {
            Credentials::Apns(ApnsCredentials { team_id, key_id, private_key: read(&key)?, topic, sandbox, alert })
        }
        Verb::Fcm { service_account } => Credentials::Fcm(FcmCredentials { service_account: read(&service_account)? }),
        Verb::Webpush { subject } => Credentials::Webpush(WebPushCredentials { subject }),
    };
    let message = PutPushConfigurationRequest { credentials: Some(credentials) };
    admin.show(&to_record(&answer(client.put_push_configuration(request(message))).await?))
}

const PREFIX: &str = "PUSH_PROVIDER_";

fn read(path: &PathBuf) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn to_record(configuration: &PushConfiguration) -> Record {
    record([
        ("provider", word(configuration.provider().as_str_name(), PREFIX)),
        ("description", json!(configuration.description)),
        ("public_key", filled(&configuration.public_key)),
        ("updated_at", time(configuration.updated_at.as_ref())),
        ("last_failure", filled(&configuration.last_failure)),
        ("last_failure_at", time(configuration.last_failure_at.as_ref())),
    ])
}
