//! `nodkey admin retention`.

use anyhow::Context as _;
use clap::Subcommand;
use nodkey_client::ServiceName;
use nodkey_proto::registry::v1::{
    GetRetentionPolicyRequest, PutRetentionPolicyRequest, RetentionPolicy, retention_service_client::RetentionServiceClient,
};
use serde_json::{Value, json};

use super::{Admin, answer, request};
use crate::output::{Record, record};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show how long data is kept
    #[command(after_help = "Example:
  nodkey admin retention show")]
    Show,
    /// Set how long data is kept; settings that are not named stay as they are. Older data is deleted soon, permanently
    #[command(after_help = "Example:
  nodkey admin retention set --answered 400 --unanswered 30")]
    Set {
        /// Accepted and rejected trusonafications with their evidence, after creation: days, `forever` or `default`
        #[arg(long, value_name = "DAYS", value_parser = days)]
        answered: Option<Days>,
        /// Expired and canceled trusonafications, after creation: days, `forever` or `default`
        #[arg(long, value_name = "DAYS", value_parser = days)]
        unanswered: Option<Days>,
        /// Devices without a binding, after they were last seen: days, `forever` or `default`
        #[arg(long, value_name = "DAYS", value_parser = days)]
        unbound_devices: Option<Days>,
    },
}

/// A number of days; `None` for the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(Option<i32>);

fn days(text: &str) -> anyhow::Result<Days> {
    match text {
        "default" => Ok(Days(None)),
        "forever" => Ok(Days(Some(0))),
        text => {
            let days: i32 =
                text.parse().ok().filter(|days| (1..=36_500).contains(days)).context("must be 1 to 36500 days, `forever` or `default`")?;
            Ok(Days(Some(days)))
        }
    }
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = RetentionServiceClient::new(admin.channel(ServiceName::Registry));
    let relying_party_id = admin.relying_party()?;
    let mut policy = answer(client.get_retention_policy(request(GetRetentionPolicyRequest { relying_party_id }))).await?;
    if let Verb::Set { answered, unanswered, unbound_devices } = verb {
        for (field, given) in [
            (&mut policy.answered_days, answered),
            (&mut policy.unanswered_days, unanswered),
            (&mut policy.unbound_device_days, unbound_devices),
        ] {
            if let Some(Days(days)) = given {
                *field = days;
            }
        }
        policy = answer(client.put_retention_policy(request(PutRetentionPolicyRequest { retention_policy: Some(policy) }))).await?;
    }
    admin.show(&to_record(&policy))
}

fn to_record(policy: &RetentionPolicy) -> Record {
    let days = |days: Option<i32>| days.map_or(Value::Null, |days| json!(days));
    record([
        ("relying_party_id", json!(policy.relying_party_id)),
        ("answered_days", days(policy.answered_days)),
        ("unanswered_days", days(policy.unanswered_days)),
        ("unbound_device_days", days(policy.unbound_device_days)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_a_number_for_ever_or_the_default() {
        assert_eq!(days("30").unwrap(), Days(Some(30)));
        assert_eq!(days("forever").unwrap(), Days(Some(0)));
        assert_eq!(days("default").unwrap(), Days(None));
        for bad in ["", "0", "-1", "36501", "soon"] {
            assert!(days(bad).is_err(), "{bad}");
        }
    }
}
