//! `nodkey admin users`.

use clap::Subcommand;
use nodkey_client::ServiceName;
use nodkey_proto::binding::v1::{
    FreezeUserRequest, GetUserRequest, ListUsersRequest, ReleaseUserRequest, User, user_service_client::UserServiceClient,
};
use serde_json::{Value, json};

use super::{
    Admin, answer,
    list::{PageArgs, list},
    request,
    values::{time, word},
};
use crate::{
    output::{Record, filled, plain, record},
    sure::Sure,
};

const BY: &str = "FROZEN_BY_";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List users by a prefix of their identifiers
    #[command(after_help = "Examples:
  nodkey admin users list
  nodkey admin users list ada
  nodkey admin users list --all --json")]
    List {
        /// Prefix of their identifiers, case-sensitive
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show the number of a user's devices, and whether the user is frozen
    #[command(after_help = "Example:
  nodkey admin users show ada")]
    Show {
        /// User identifier
        user: String,
    },
    /// Freeze a user: until they are released, nobody can prompt them and answers of their devices are refused
    #[command(after_help = "Examples:
  nodkey admin users freeze ada
  nodkey admin users freeze ada --note \"lost her phone, ticket 4711\"")]
    Freeze {
        /// User identifier
        user: String,
        /// The reason, for people; at most 200 characters
        #[arg(long, default_value = "", hide_default_value = true)]
        note: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Release a frozen user, once you know that they have their phones
    #[command(after_help = "Example:
  nodkey admin users release ada")]
    Release {
        /// User identifier
        user: String,
    },
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = UserServiceClient::new(admin.channel(ServiceName::Binding));
    let user = match verb {
        Verb::List { prefix, page } => {
            return list(admin, page, &["user_identifier", "devices", "frozen"], async |page_size, page_token| {
                let asked = ListUsersRequest { page_size, page_token, prefix: prefix.clone() };
                let found = client.list_users(request(asked)).await?.into_inner();
                Ok((found.users.iter().map(to_record).collect(), found.next_page_token))
            })
            .await;
        }
        Verb::Show { user } => answer(client.get_user(request(GetUserRequest { user_identifier: user }))).await?,
        Verb::Freeze { user, note, sure } => {
            sure.ask(&format!(
                "Freeze user {}: cancel their pending prompts, and let nobody prompt them until they are released",
                plain(&user)
            ))?;
            answer(client.freeze_user(request(FreezeUserRequest { user_identifier: user, note }))).await?
        }
        Verb::Release { user } => answer(client.release_user(request(ReleaseUserRequest { user_identifier: user }))).await?,
    };
    admin.show(&to_record(&user))
}

fn to_record(user: &User) -> Record {
    let freeze = user.freeze.as_ref();
    record([
        ("user_identifier", json!(user.user_identifier)),
        ("devices", json!(user.devices)),
        ("frozen", json!(freeze.is_some())),
        ("frozen_at", time(freeze.and_then(|freeze| freeze.frozen_at.as_ref()))),
        ("frozen_by", freeze.map_or(Value::Null, |freeze| word(freeze.frozen_by().as_str_name(), BY))),
        ("frozen_by_device", freeze.map_or(Value::Null, |freeze| filled(&freeze.frozen_by_device))),
        ("note", freeze.map_or(Value::Null, |freeze| filled(&freeze.note))),
    ])
}
