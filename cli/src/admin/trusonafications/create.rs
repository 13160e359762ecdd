//! `nodkey admin trusonafications create`.

use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use nodkey_client::{MAX_MESSAGE, ServiceName, WAIT, is_success};
use nodkey_kernel::{custom_fields::CustomFields, time::Clock};
use nodkey_proto::{
    convert, rest,
    trusonafication::v1::{
        CreateTrusonaficationRequest, NumberMatch, RequestContext, Trusonafication, create_trusonafication_request::Target,
        trusonafication_service_client::TrusonaficationServiceClient,
    },
};

use super::{
    super::{Admin, answer, request, request_id},
    to_record,
};
use crate::{
    confirm::AdminChannel,
    output::{filled, plain},
};

/// Prompt a user or a device.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey admin trusonafications create --user ada --action \"log in\" --resource \"Acme Bank\"
  nodkey admin trusonafications create --user ada --action pay --resource \"90 EUR\" --fields '{\"to\": \"Bob\"}' --wait
  nodkey admin trusonafications create --user ada --action \"log in\" --resource web --number-match enter --wait
  nodkey admin trusonafications create --user ada --action \"log in\" --resource web \\
    --from-address 203.0.113.7 --from-browser \"Firefox on Linux\" --from-place Berlin

With --wait, the exit code is 0 only if the person accepted at the requested level or above.")]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// The action, shown on the phone
    #[arg(long)]
    action: String,
    /// The resource of the action, shown on the phone
    #[arg(long)]
    resource: String,
    /// 1: possession of the phone; 2: also presence; 3: also an identity document
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(i32).range(1..=3))]
    level: i32,
    /// Whether the phone prompts the person
    #[arg(long, value_name = "BOOL")]
    prompt: Option<bool>,
    /// Whether the person has to prove their presence
    #[arg(long, value_name = "BOOL")]
    user_presence: Option<bool>,
    /// Whether the person has to present their identity document
    #[arg(long, value_name = "BOOL")]
    show_identity_document: Option<bool>,
    /// Seconds until the trusonafication expires
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    expires_in: u64,
    /// Custom fields, shown and signed by the phone: a JSON object
    #[arg(long, value_name = "JSON", value_parser = json_object, default_value = "", hide_default_value = true)]
    fields: String,
    /// https URL that the result is posted to
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true)]
    callback_url: String,
    /// Require the person to match a number
    #[arg(long, value_enum)]
    number_match: Option<Match>,
    /// What the prompt is about on your side, such as a login session; a newer prompt with the same context replaces an older one
    #[arg(long, default_value = "", hide_default_value = true)]
    context: String,
    /// IP address of your client; the phone shows it
    #[arg(long, value_name = "IP", default_value = "", hide_default_value = true)]
    from_address: String,
    /// Browser of your client; the phone shows it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    from_browser: String,
    /// Approximate location of your client; the phone shows it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    from_place: String,
    /// Wait for the result
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// Every active device of this user; the first answer counts
    #[arg(long)]
    user: Option<String>,
    /// This device
    #[arg(long)]
    device: Option<String>,
    /// The device that pairs this secure QR code
    #[arg(long, value_name = "UUID")]
    trucode: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Match {
    /// The phone offers three numbers; for older clients
    Choose,
    /// The person types the number: six digits if their phones support them
    Enter,
}

/// Creates a trusonafication, and waits for the result if requested.
pub async fn run(admin: &Admin, args: Args) -> anyhow::Result<()> {
    // Until it has expired, and the server has had time to come back and say so.
    let wait = args.wait.then(|| Duration::from_secs(args.expires_in) + WAIT);
    let created = answer(client(admin).create_trusonafication(request(args.into_request()))).await?;
    let trusonafication = created.trusonafication.context("the server returned no trusonafication")?;
    if let Some(limit) = wait {
        return wait_for_answer(admin, &trusonafication, &created.match_number, limit).await;
    }
    let mut record = to_record(&trusonafication);
    record.insert("match_number", filled(&created.match_number));
    admin.show(&record)
}

/// Prints the result to standard output, and progress to standard error.
async fn wait_for_answer(admin: &Admin, trusonafication: &Trusonafication, match_number: &str, limit: Duration) -> anyhow::Result<()> {
    anstream::eprintln!("waiting for {}", trusonafication.id);
    if !match_number.is_empty() {
        anstream::eprintln!("number to match: {}", plain(match_number));
    }
    let done = admin.nodkey.wait_for(&trusonafication.id, limit).await?;
    admin.show(&to_record(&done))?;
    anyhow::ensure!(is_success(&done), "not accepted: {}", rest::status(done.status()));
    Ok(())
}

/// The client of the service. Lists may be large.
pub fn client(admin: &Admin) -> TrusonaficationServiceClient<AdminChannel> {
    TrusonaficationServiceClient::new(admin.channel(ServiceName::Trusonafication)).max_decoding_message_size(MAX_MESSAGE)
}

impl Args {
    fn into_request(self) -> CreateTrusonaficationRequest {
        let TargetArgs { user, device, trucode } = self.target;
        let target = user.map(Target::UserIdentifier).or(device.map(Target::DeviceIdentifier)).or(trucode.map(Target::TrucodeId));
        let number_match = match self.number_match {
            None => NumberMatch::Unspecified,
            Some(Match::Choose) => NumberMatch::Choose,
            Some(Match::Enter) => NumberMatch::Enter,
        };
        CreateTrusonaficationRequest {
            request_id: request_id(),
            desired_level: self.level,
            target,
            action: self.action,
            resource: self.resource,
            prompt: self.prompt,
            user_presence: self.user_presence,
            show_identity_document: self.show_identity_document,
            expires_at: Some(convert::timestamp(Clock::system().now() + Duration::from_secs(self.expires_in))),
            callback_url: self.callback_url,
            number_match: number_match.into(),
            custom_fields_json: self.fields,
            shows_number: true,
            context: self.context,
            request_context: Some(RequestContext { address: self.from_address, browser: self.from_browser, place: self.from_place }),
            ..CreateTrusonaficationRequest::default()
        }
    }
}

/// Checks the text as the server does. It is sent verbatim.
fn json_object(text: &str) -> Result<String, String> {
    if !text.is_empty() {
        CustomFields::parse(text).map_err(|fault| fault.to_string())?;
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(args: &[&str]) -> Result<CreateTrusonaficationRequest, clap::Error> {
        let all = ["create", "--action", "pay", "--resource", "90 EUR"].iter().chain(args);
        Command::try_parse_from(all).map(|command| command.args.into_request())
    }

    #[test]
    fn exactly_one_is_asked() {
        assert_eq!(parse(&["--user", "ada"]).unwrap().target, Some(Target::UserIdentifier("ada".into())));
        assert!(parse(&[]).is_err());
        assert!(parse(&["--user", "ada", "--device", "d"]).is_err());
    }

    #[test]
    fn a_lifetime_is_a_second_to_a_day() {
        for good in ["1", "86400"] {
            assert!(parse(&["--user", "ada", "--expires-in", good]).is_ok(), "{good}");
        }
        for wrong in ["0", "86401", "18446744073709551615"] {
            let said = parse(&["--user", "ada", "--expires-in", wrong]).unwrap_err().to_string();
            assert!(said.contains("1..=86400"), "{said}");
        }
    }

    #[test]
    fn fields_are_an_object_and_stay_to_the_letter() {
        let fields = r#"{"b": 1.50, "a": 12345678901234567890123}"#;
        assert_eq!(parse(&["--user", "ada", "--fields", fields]).unwrap().custom_fields_json, fields);
        let deep = format!("{}1{}", "{\"a\":".repeat(34), "}".repeat(34));
        for refused in ["[1]", r#"{"a":1,"a":2}"#, &deep] {
            assert!(parse(&["--user", "ada", "--fields", refused]).is_err(), "{refused}");
        }
    }

    #[test]
    fn what_is_not_said_is_left_to_the_server() {
        let request = parse(&["--user", "ada", "--user-presence", "false"]).unwrap();
        assert_eq!((request.prompt, request.user_presence, request.show_identity_document), (None, Some(false), None));
        assert_eq!(request.number_match(), NumberMatch::Unspecified);
    }
}
