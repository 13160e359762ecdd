//! `nodkey admin app-links`.

use anyhow::Context as _;
use clap::Subcommand;
use nodkey_client::ServiceName;
use nodkey_proto::registry::v1::{
    AndroidApp, AppLinks, GetAppLinksRequest, SetAppLinksRequest, app_link_service_client::AppLinkServiceClient,
};
use serde_json::json;

use super::{Admin, answer, request};
use crate::output::{Record, record};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Set the apps that open links of a host; replaces the previous settings
    #[command(after_help = "Example:
  nodkey admin app-links set acme.links.example.com --android com.example.app=AB:CD:... --apple TEAMID1234.com.example.app")]
    Set {
        /// The host of the links; it must lead to the gateway, with TLS
        host: String,
        /// An Android app with the SHA-256 fingerprint of its certificate; may be repeated, also for the same package
        #[arg(long, value_name = "PACKAGE=FINGERPRINT", value_parser = package)]
        android: Vec<(String, String)>,
        /// An Apple app, by its application identifier; may be repeated
        #[arg(long, value_name = "TEAM.BUNDLE")]
        apple: Vec<String>,
        /// Where people without the app can get it
        #[arg(long, value_name = "URL", default_value = "", hide_default_value = true)]
        download_url: String,
    },
    /// Show the apps that open links
    #[command(after_help = "Example:
  nodkey admin app-links show --json")]
    Show,
    /// Remove the app links: no app opens them any more
    #[command(after_help = "Example:
  nodkey admin app-links remove")]
    Remove,
}

/// Runs the verb.
pub async fn run(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = AppLinkServiceClient::new(admin.channel(ServiceName::Registry));
    let relying_party_id = admin.relying_party()?;
    let links = match verb {
        Verb::Set { host, android, apple, download_url } => {
            let message =
                SetAppLinksRequest { relying_party_id, host, android_apps: android_apps(android), apple_app_ids: apple, download_url };
            answer(client.set_app_links(request(message))).await?
        }
        Verb::Show => answer(client.get_app_links(request(GetAppLinksRequest { relying_party_id }))).await?,
        Verb::Remove => {
            let message = SetAppLinksRequest { relying_party_id, ..SetAppLinksRequest::default() };
            answer(client.set_app_links(request(message))).await?
        }
    };
    admin.show(&to_record(&links))
}

fn package(text: &str) -> anyhow::Result<(String, String)> {
    let (package, fingerprint) = text.split_once('=').context("must be PACKAGE=FINGERPRINT, such as com.example.app=AB:CD:...")?;
    Ok((package.to_owned(), fingerprint.to_owned()))
}

/// Groups the fingerprints by package.
fn android_apps(given: Vec<(String, String)>) -> Vec<AndroidApp> {
    let mut apps: Vec<AndroidApp> = Vec::new();
    for (package_name, fingerprint) in given {
        match apps.iter_mut().find(|app| app.package_name == package_name) {
            Some(app) => app.sha256_cert_fingerprints.push(fingerprint),
            None => apps.push(AndroidApp { package_name, sha256_cert_fingerprints: vec![fingerprint] }),
        }
    }
    apps
}

fn to_record(links: &AppLinks) -> Record {
    let android: Vec<_> = links.android_apps.iter().map(|app| app.package_name.as_str()).collect();
    record([
        ("relying_party_id", json!(links.relying_party_id)),
        ("host", json!(links.host)),
        ("android", json!(android)),
        ("apple", json!(links.apple_app_ids)),
        ("download_url", json!(links.download_url)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_has_every_fingerprint_given_for_it() {
        let given = ["a.b=1", "c.d=2", "a.b=3"].map(|text| package(text).unwrap());
        let apps = android_apps(given.into());
        assert_eq!((apps.len(), &apps[0].sha256_cert_fingerprints), (2, &vec!["1".to_owned(), "3".to_owned()]));
        assert!(package("a.b").is_err());
    }
}
