//! Firebase Cloud Messaging, HTTP v1: an access token for a service account (RFC 7523), then a message.

use std::time::Duration;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use moka::future::Cache;
use nodkey_kernel::{jose::b64u, time::Timestamp};
use reqwest::{Client, StatusCode};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Configuration, Credentials, Push, TIMEOUT, Verdict, is_passing, reason, retry_after, unreachable};
use crate::{answer, config::PushConfig};

/// How long an access token is used: Google's tokens live an hour.
const TOKEN_LIFETIME: Duration = Duration::from_mins(50);
/// Maximum number of cached tokens, one per relying party.
const MAX_TOKENS: u64 = 10_000;
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

#[derive(Debug)]
pub struct Fcm {
    client: Client,
    url: String,
    token_url: String,
    /// Tokens by version of the configuration.
    tokens: Cache<String, String>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// Checks a private key.
pub fn check_key(pem: &str) -> Result<(), &'static str> {
    key(pem).map(drop).ok_or("must be the private_key of the service account: RSA, PKCS #8, in PEM")
}

fn key(pem: &str) -> Option<RsaKeyPair> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()
}

impl Fcm {
    pub fn new(client: Client, config: &PushConfig) -> Self {
        let tokens = Cache::builder().max_capacity(MAX_TOKENS).time_to_live(TOKEN_LIFETIME).build();
        Self { client, url: config.fcm_url.clone(), token_url: config.google_token_url.clone(), tokens }
    }

    pub async fn send(&self, device_token: &str, configuration: &Configuration, push: &Push, now: Timestamp) -> Verdict {
        let Credentials::Fcm { project_id, client_email, private_key } = &configuration.credentials else {
            return Verdict::Refused("the credentials are not for FCM".to_owned());
        };
        // Of several concurrent calls that need it, one fetches it.
        let fetched = self.tokens.try_get_with_by_ref(&configuration.version, self.access_token(client_email, private_key, now));
        let token = match fetched.await {
            Ok(token) => token,
            Err(verdict) => return verdict.as_ref().clone(),
        };
        let message = json!({"message": {
            "token": device_token,
            "data": {"nodkey": "look"},
            "android": {"priority": "HIGH", "ttl": format!("{}s", now.until(push.expires_at).as_secs()), "collapse_key": "nodkey"},
        }});
        let url = format!("{}/v1/projects/{project_id}/messages:send", self.url);
        let response = match self.client.post(url).bearer_auth(token).json(&message).send().await {
            Ok(response) => response,
            Err(e) => return unreachable(e),
        };
        let (status, after) = (response.status(), retry_after(&response, now));
        if status.is_success() {
            return Verdict::Sent;
        }
        let answer: Value = answer::json(response).await.unwrap_or_default();
        let code = error_code(&answer);
        match (status, code) {
            (StatusCode::NOT_FOUND, _) | (_, "UNREGISTERED" | "SENDER_ID_MISMATCH") => Verdict::Dead,
            (StatusCode::UNAUTHORIZED, _) => {
                self.tokens.invalidate(&configuration.version).await;
                Verdict::Later(None, reason(&format!("401 {code}")))
            }
            _ => {
                let why = reason(&format!("{} {code}", status.as_u16()));
                if is_passing(status) { Verdict::Later(after, why) } else { Verdict::Refused(why) }
            }
        }
    }

    async fn access_token(&self, client_email: &str, private_key: &str, now: Timestamp) -> Result<String, Verdict> {
        let assertion = assertion(client_email, private_key, &self.token_url, now)
            .ok_or_else(|| Verdict::Refused("the key of the service account cannot be read".to_owned()))?;
        let form = format!("grant_type={}&assertion={assertion}", GRANT_TYPE.replace(':', "%3A"));
        let request = self.client.post(&self.token_url).header("content-type", "application/x-www-form-urlencoded").body(form);
        let response = request.send().await.map_err(unreachable)?;
        let (status, after) = (response.status(), retry_after(&response, now));
        if status.is_success() {
            let token: Option<Token> = answer::json_within(response, TIMEOUT).await;
            return token
                .map(|token| token.access_token)
                .ok_or_else(|| Verdict::Later(None, "access token: the response contains none".to_owned()));
        }
        let answer: Value = answer::json(response).await.unwrap_or_default();
        let why = reason(&format!("access token: {} {}", status.as_u16(), answer["error"].as_str().unwrap_or_default()));
        Err(if is_passing(status) { Verdict::Later(after, why) } else { Verdict::Refused(why) })
    }
}

/// The JWT that is exchanged for an access token. Google accepts RS256, which is used only here.
fn assertion(client_email: &str, private_key: &str, audience: &str, now: Timestamp) -> Option<String> {
    let key = key(private_key)?;
    let iat = now.as_seconds();
    let claims = json!({"iss": client_email, "scope": SCOPE, "aud": audience, "iat": iat, "exp": iat + 3_600});
    let input = format!("{}.{}", b64u(br#"{"alg":"RS256","typ":"JWT"}"#), b64u(claims.to_string().as_bytes()));
    let mut signature = vec![0; key.public_modulus_len()];
    // PKCS #1 v1.5 is deterministic: the generator is only used for blinding.
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature).ok()?;
    Some(format!("{input}.{}", b64u(&signature)))
}

/// `error.details[].errorCode` of FCM, or `error.status` of every Google API.
fn error_code(answer: &Value) -> &str {
    let details = answer["error"]["details"].as_array();
    let code = details.into_iter().flatten().find_map(|detail| detail["errorCode"].as_str());
    code.or_else(|| answer["error"]["status"].as_str()).unwrap_or_default()
}
