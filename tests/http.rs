//! The HTTP API called by hand, as a client written from the protocol documents alone would.

use std::sync::LazyLock;

use nodkey_kernel::{dpop, jose::PrivateKey, random::Random, time::Clock, trusona_mac};
use nodkey_proto::registry::v1::CreateCredentialResponse;
use reqwest::{Client, Method, Response};
use serde_json::Value;

const JSON: &str = "application/json";

/// Made once, because making a client takes longer than a call. Each call has a connection of its own.
static CLIENT: LazyLock<Client> = LazyLock::new(|| Client::builder().pool_max_idle_per_host(0).build().unwrap());

/// A client that keeps no connections.
pub fn client() -> &'static Client {
    &CLIENT
}

/// A response.
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// `error` of a problem, or empty.
    pub error: String,
    /// The body, verbatim.
    pub text: String,
    /// The body as JSON. Null when it is none.
    pub body: Value,
    /// The `Retry-After` in seconds, if there is one.
    pub retry_after: Option<u64>,
}

/// Signs and sends a request as a server SDK does, and verifies the signature of a successful response.
pub async fn backend(http: &str, credential: &CreateCredentialResponse, method: Method, path: &str, body: &str) -> Answered {
    backend_with(http, credential, method, path, body, &[]).await
}

/// Does the same with more headers.
pub async fn backend_with(
    http: &str,
    credential: &CreateCredentialResponse,
    method: Method,
    path: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> Answered {
    backend_by(client(), http, credential, method, path, body, headers).await
}

/// Does the same over the connections of this client.
pub async fn backend_by(
    client: &Client,
    http: &str,
    credential: &CreateCredentialResponse,
    method: Method,
    path: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> Answered {
    let date = Clock::system().now().to_http_date();
    let content_type = if body.is_empty() { "" } else { JSON };
    let text = trusona_mac::string_to_sign(method.as_str(), &trusona_mac::body_md5(body.as_bytes()), content_type, &date, path);
    let token = &credential.credential.as_ref().unwrap().token;
    let authorization = trusona_mac::authorization(token, &trusona_mac::mac(&credential.secret, &text));
    let mut request =
        client.request(method.clone(), format!("{http}{path}")).header("X-Date", &date).header("Authorization", authorization);
    if !body.is_empty() {
        request = request.header("Content-Type", JSON).body(body.to_owned());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let signed = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let (signature, date, content_type) = (signed("x-signature"), signed("x-date"), signed("content-type"));
    assert!(response.headers().contains_key("x-request-id"));
    let (status, retry_after) = (response.status(), retry_after(&response));
    let bytes = response.bytes().await.unwrap();
    if status.is_success() {
        let text = trusona_mac::string_to_sign(method.as_str(), &trusona_mac::body_md5(&bytes), &content_type, &date, path);
        assert!(trusona_mac::verify(&credential.secret, &text, &signature), "the answer is signed");
        assert!(bytes.is_empty() || content_type == "application/json; charset=utf-8", "{content_type}");
    }
    answered(status.as_u16(), &bytes, retry_after)
}

/// Registers a phone with the app's mobile credential and a proof by the device key.
pub async fn register(http: &str, credential: &CreateCredentialResponse, key: &PrivateKey, body: &str) -> Answered {
    register_at(http, http, credential, key, body).await
}

/// Does the same at a gateway that the app knows by another URL.
pub async fn register_at(http: &str, known: &str, credential: &CreateCredentialResponse, key: &PrivateKey, body: &str) -> Answered {
    let proof = dpop::create(key, "POST", &format!("{known}/api/v2/devices"), body.as_bytes(), Clock::system().now(), &Random::system());
    backend_with(http, credential, Method::POST, "/api/v2/devices", body, &[("DPoP", &proof)]).await
}

/// Sends a request with a DPoP proof by `key`.
pub async fn phone(http: &str, key: &PrivateKey, method: Method, path: &str, body: &str) -> Answered {
    phone_at(http, http, key, method, path, body).await
}

/// Does the same at a gateway that the phone knows by another URL.
pub async fn phone_at(http: &str, known: &str, key: &PrivateKey, method: Method, path: &str, body: &str) -> Answered {
    let url = format!("{known}{}", path.split('?').next().unwrap());
    let proof = dpop::create(key, method.as_str(), &url, body.as_bytes(), Clock::system().now(), &Random::system());
    let mut request = client().request(method, format!("{http}{path}")).header("DPoP", proof);
    if !body.is_empty() {
        request = request.header("Content-Type", JSON).body(body.to_owned());
    }
    read(request.send().await.unwrap()).await
}

/// Sends a request without any credential.
pub async fn nobody(http: &str, method: Method, path: &str, body: &str) -> Answered {
    read(client().request(method, format!("{http}{path}")).body(body.to_owned()).send().await.unwrap()).await
}

/// Reads a response.
pub async fn read(response: Response) -> Answered {
    let (status, retry_after) = (response.status().as_u16(), retry_after(&response));
    answered(status, &response.bytes().await.unwrap(), retry_after)
}

fn retry_after(response: &Response) -> Option<u64> {
    response.headers().get("retry-after").map(|seconds| seconds.to_str().unwrap().parse().unwrap())
}

fn answered(status: u16, bytes: &[u8], retry_after: Option<u64>) -> Answered {
    let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let error = body.get("error").and_then(Value::as_str).unwrap_or_default().to_owned();
    if status >= 400 {
        for member in ["error", "message", "description", "field_errors"] {
            assert!(body.get(member).is_some(), "a refusal has `{member}`: {status} {body}");
        }
    }
    Answered { status, error, text: String::from_utf8_lossy(bytes).into_owned(), body, retry_after }
}
