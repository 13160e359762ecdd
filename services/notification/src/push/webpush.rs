//! Web Push (RFC 8030) with VAPID (RFC 8292) and encryption to the phone (RFC 8291). `UnifiedPush` takes the same requests.

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey as EcdhKey, UnparsedPublicKey, agree},
    error::Unspecified,
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
};
use nodkey_kernel::{
    jose::{Algorithm, PrivateKey, b64u, b64u_decode, jws},
    random::Random,
    time::Timestamp,
};
use reqwest::{Client, RequestBuilder, StatusCode, header::AUTHORIZATION};
use serde_json::json;
use url::Url;

use super::{Credentials, Push, SubscriptionKeys, Verdict, is_passing, reason, retry_after, unreachable};

/// The entire payload.
const LOOK: &[u8] = br#"{"nodkey":"look"}"#;
/// Size of the single record (RFC 8188), which is never larger.
const RECORD_SIZE: u32 = 4_096;
/// Lifetime of a VAPID token, in seconds; at most a day (RFC 8292 section 2).
const VAPID_LIFETIME: i64 = 12 * 3_600;

/// The public key that apps subscribe with (`applicationServerKey`), for a private key.
pub fn vapid_public_key(private_key: &str) -> Option<String> {
    Some(b64u(&vapid_key(private_key)?.public().to_raw()))
}

fn vapid_key(private_key: &str) -> Option<PrivateKey> {
    PrivateKey::from_secret_bytes(Algorithm::Es256, &b64u_decode(private_key).ok()?).ok()
}

/// Builds the request of one push.
pub fn request(
    client: &Client,
    random: &Random,
    endpoint: &str,
    keys: Option<&SubscriptionKeys>,
    vapid: Option<&Credentials>,
    push: &Push,
    now: Timestamp,
) -> Result<RequestBuilder, &'static str> {
    let mut request = client
        .post(endpoint)
        .header("ttl", now.until(push.expires_at).as_secs())
        .header("urgency", "high")
        // A new push replaces an earlier one that was not seen yet.
        .header("topic", "nodkey");
    if let Some(Credentials::WebPush { subject, private_key }) = vapid {
        let key = vapid_key(private_key).ok_or("the VAPID key cannot be read")?;
        let audience = Url::parse(endpoint).map_err(|_| "the endpoint is not a URL")?.origin().ascii_serialization();
        let claims = json!({"aud": audience, "exp": now.as_seconds() + VAPID_LIFETIME, "sub": subject});
        let (token, public) = (jws::sign("JWT", None, None, &claims, &key), b64u(&key.public().to_raw()));
        request = request.header(AUTHORIZATION, format!("vapid t={token}, k={public}"));
    }
    let Some(keys) = keys else { return Ok(request.body(LOOK)) };
    let body = encrypt(keys, LOOK, &PrivateKey::generate(Algorithm::Es256, random), random.bytes());
    let body = body.map_err(|Unspecified| "the phone's keys are not valid")?;
    Ok(request.header("content-encoding", "aes128gcm").header("content-type", "application/octet-stream").body(body))
}

/// Sends a push.
pub async fn send(request: RequestBuilder, now: Timestamp) -> Verdict {
    let response = match request.send().await {
        Ok(response) => response,
        Err(e) => return unreachable(e),
    };
    let (status, after) = (response.status(), retry_after(&response, now));
    match status {
        _ if status.is_success() => Verdict::Sent,
        StatusCode::NOT_FOUND | StatusCode::GONE => Verdict::Dead,
        _ if is_passing(status) => Verdict::Later(after, status.as_u16().to_string()),
        _ => Verdict::Refused(reason(&status.to_string())),
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Encrypts one record (RFC 8291 section 3.4) with an ephemeral key and a random salt.
fn encrypt(keys: &SubscriptionKeys, plaintext: &[u8], sender: &PrivateKey, salt: [u8; 16]) -> Result<Vec<u8>, Unspecified> {
    let decode = |text: &str| b64u_decode(text.trim_end_matches('=')).map_err(|_| Unspecified);
    let (receiver, auth) = (decode(&keys.p256dh)?, decode(&keys.auth)?);
    let public = sender.public().to_raw();
    let ecdh = EcdhKey::from_private_key(&ECDH_P256, &sender.to_secret_bytes()).map_err(|_| Unspecified)?;
    let prk = agree(&ecdh, UnparsedPublicKey::new(&ECDH_P256, &receiver), Unspecified, |secret| {
        Ok(Salt::new(HKDF_SHA256, &auth).extract(secret))
    })?;
    let ikm: [u8; 32] = expand(&prk, &[b"WebPush: info\0", &receiver, &public])?;
    let prk = Salt::new(HKDF_SHA256, &salt).extract(&ikm);
    let key: [u8; 16] = expand(&prk, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce: [u8; 12] = expand(&prk, &[b"Content-Encoding: nonce\0"])?;
    // The last record ends with 2 (RFC 8188 section 2).
    let mut record = [plaintext, &[2]].concat();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record)?;
    let key_length = u8::try_from(public.len()).map_err(|_| Unspecified)?;
    Ok([&salt[..], &RECORD_SIZE.to_be_bytes(), &[key_length], &public, &record].concat())
}

fn expand<const N: usize>(prk: &Prk, info: &[&[u8]]) -> Result<[u8; N], Unspecified> {
    let mut bytes = [0; N];
    prk.expand(info, Length(N))?.fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8291 appendix A.
    #[test]
    fn a_push_is_encrypted_as_the_rfc_has_it() {
        let keys = SubscriptionKeys {
            p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4".into(),
            auth: "BTBZMqHH6r4Tts7J_aSIgg".into(),
        };
        let sender = vapid_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw").unwrap();
        let salt = b64u_decode("DGv6ra1nlYgDCS1FRnbzlw").unwrap().try_into().unwrap();
        let body = encrypt(&keys, b"When I grow up, I want to be a watermelon", &sender, salt).unwrap();
        let expected = concat!(
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml",
            "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT",
            "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
        assert_eq!(b64u(&body), expected);
    }

    #[test]
    fn the_public_key_is_the_one_apps_subscribe_with() {
        let public = vapid_public_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw").unwrap();
        assert_eq!(public, "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8");
        assert_eq!(vapid_public_key("AAAA"), None);
    }
}
