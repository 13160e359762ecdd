//! `nodkey admin devices`.

use clap::Subcommand;
use nodkey_client::ServiceName;
use nodkey_proto::registry::v1::{
    ApproveDeviceKeysRequest, Device, GetDeviceRequest, ListDevicesRequest, PresenceKey, RetireDeviceRequest,
    device_service_client::DeviceServiceClient,
};
use serde_json::{Value, json};

use super::{
    Admin, answer,
    list::{PageArgs, list},
    request,
    values::{self, time, word},
};
use crate::{
    output::{Record, filled, plain, record},
    sure::Sure,
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List devices, newest first
    #[command(after_help = "Example:
  nodkey admin devices list --page-size 20")]
    List(PageArgs),
    /// Show a device with its public keys
    #[command(after_help = "Example:
  nodkey admin devices show NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")]
    Show {
        /// Device identifier
        id: String,
    },
    /// Approve presence keys that were added after registration: accepts by them prove level 2 from then on
    #[command(after_help = "Example:
  nodkey admin devices approve-keys NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs Zr0WSvqNxXVK0Ll5ZbZVo6mJk5n3gT2yQ4kq0b1cD2E

Make sure by other means that the phone is still its user's. `show` prints the thumbprints.")]
    ApproveKeys {
        /// Device identifier
        id: String,
        /// Thumbprint of a key
        thumbprint: String,
        /// Thumbprint of a second key
        other: Option<String>,
    },
    /// Retire a device permanently: its keys are revoked immediately
    #[command(after_help = "Example:
  nodkey admin devices retire NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")]
    Retire {
        /// Device identifier
        id: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = DeviceServiceClient::new(admin.channel(ServiceName::Registry));
    let device = match verb {
        Verb::List(page) => {
            let columns = ["id", "name", "platform", "certified", "retired", "created_at", "last_seen_at"];
            return list(admin, page, &columns, async |page_size, page_token| {
                let answer = client.list_devices(request(ListDevicesRequest { page_size, page_token })).await?.into_inner();
                Ok((answer.devices.iter().map(to_record).collect(), answer.next_page_token))
            })
            .await;
        }
        Verb::Show { id } => answer(client.get_device(request(GetDeviceRequest { device_id: id }))).await?,
        Verb::ApproveKeys { id, thumbprint, other } => {
            let thumbprints = [thumbprint].into_iter().chain(other).collect();
            answer(client.approve_device_keys(request(ApproveDeviceKeysRequest { device_id: id, thumbprints }))).await?
        }
        Verb::Retire { id, sure } => {
            sure.ask(&format!("Retire device {} permanently", plain(&id)))?;
            answer(client.retire_device(request(RetireDeviceRequest { device_id: id }))).await?
        }
    };
    admin.show(&to_record(&device))
}

fn to_record(device: &Device) -> Record {
    record([
        ("id", json!(device.id)),
        ("relying_party_id", json!(device.relying_party_id)),
        ("name", filled(&device.name)),
        ("platform", word(device.platform().as_str_name(), "PLATFORM_")),
        ("app_version", filled(&device.app_version)),
        ("certified", json!(!device.key_statement.is_empty())),
        ("capabilities", json!(device.capabilities)),
        ("retired", json!(device.retired)),
        ("created_at", time(device.created_at.as_ref())),
        ("updated_at", time(device.updated_at.as_ref())),
        ("last_seen_at", time(device.last_seen_at.as_ref())),
        ("device_key", values::json(&device.device_key)),
        ("presence_keys", device.presence_keys.iter().map(presence_key).collect()),
        ("key_statement", filled(&device.key_statement)),
        ("key_signatures", json!(device.key_signatures)),
    ])
}

fn presence_key(key: &PresenceKey) -> Value {
    json!({
        "kind": word(key.kind().as_str_name(), "PRESENCE_KIND_"),
        "thumbprint": key.thumbprint,
        "counts": key.counts.unwrap_or(true),
        "since": time(key.since.as_ref()),
        "jwk": values::json(&key.jwk),
    })
}
