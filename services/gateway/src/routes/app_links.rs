//! Links that open a relying party's app, by the host of the link: Android App Links, Apple universal links, and the page for people
//! without the app.

use axum::{
    extract::State,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY},
        uri::{Authority, Uri},
    },
    response::{IntoResponse as _, Response},
};
use nodkey_proto::registry::v1::{AndroidApp, AppLinks, ResolveAppLinksRequest, app_link_service_client::AppLinkServiceClient};
use serde_json::json;

use crate::{limits::network::Source, problem::Problem, reply::reply, state::AppState};

/// No scripts, and nothing from other origins.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the Android apps that open links of this host (Digital Asset Links).
#[utoipa::path(get, path = "/.well-known/assetlinks.json", operation_id = "getAndroidAppLinks", tag = "public", responses(
    (status = 200, description = "The statements", body = Vec<Object>),
    (status = 404, description = "No app opens this host's links", body = Problem)))]
pub async fn android(State(state): State<AppState>, source: Source, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let links = resolve(&state, &source, &uri, &headers).await?;
    let statement = |app: &AndroidApp| {
        json!({
            "relation": ["delegate_permission/common.handle_all_urls"],
            "target": {
                "namespace": "android_app",
                "package_name": app.package_name,
                "sha256_cert_fingerprints": app.sha256_cert_fingerprints,
            },
        })
    };
    Ok(reply(StatusCode::OK, &links.android_apps.iter().map(statement).collect::<Vec<_>>()))
}

/// Returns the Apple apps that open links of this host (Associated Domains).
#[utoipa::path(get, path = "/.well-known/apple-app-site-association", operation_id = "getAppleAppLinks", tag = "public", responses(
    (status = 200, description = "The associations", body = Object), (status = 404, description = "No app opens this host's links", body = Problem)))]
pub async fn apple(State(state): State<AppState>, source: Source, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let links = resolve(&state, &source, &uri, &headers).await?;
    let components = json!([{"/": "/trucode", "?": {"payload": "?*"}, "comment": "pairs a secure QR code"}]);
    let details = json!([{"appIDs": links.apple_app_ids, "components": components}]);
    Ok(reply(StatusCode::OK, &json!({"applinks": {"details": details}})))
}

/// Returns the page of a link that no app opened, which says how to get the app. Only the app reads the payload.
#[utoipa::path(get, path = "/trucode", operation_id = "getAppLinkPage", tag = "public", params(("payload" = Option<String>, Query, description = "Payload of the secure QR code")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html"),
        (status = 404, description = "No app opens this host's links", body = Problem)))]
pub async fn page(State(state): State<AppState>, source: Source, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let links = resolve(&state, &source, &uri, &headers).await?;
    let name = html_escape::encode_text(&links.relying_party_name);
    let get = match html_escape::encode_double_quoted_attribute(&links.download_url) {
        url if url.is_empty() => "Install it, then scan the code again.".to_owned(),
        url => format!("<a href=\"{url}\" rel=\"noreferrer\">Get the app</a>, then scan the code again."),
    };
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{name}</title><style>:root{{color-scheme:light dark;font:1.1rem/1.5 system-ui}}main{{max-width:30rem;margin:20vh auto;padding:1rem}}\
         </style><main><h1>{name}</h1><p>This link opens the app of {name}, which is not on this device.</p><p>{get}</p></main></html>\n"
    );
    let header = HeaderValue::from_static;
    let headers = [
        (CONTENT_TYPE, header("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, header(POLICY)),
        // The address contains the payload.
        (REFERRER_POLICY, header("no-referrer")),
    ];
    Ok((headers, html).into_response())
}

async fn resolve(state: &AppState, source: &Source, uri: &Uri, headers: &HeaderMap) -> Result<AppLinks, Problem> {
    state.address_rates.check_source(source)?;
    // HTTP/2 has the host in the request target.
    let named = || headers.get(HOST)?.to_str().ok()?.parse::<Authority>().ok();
    let host = uri.authority().cloned().or_else(named).map(|authority| authority.host().to_ascii_lowercase());
    let request = ResolveAppLinksRequest { host: host.unwrap_or_default() };
    Ok(AppLinkServiceClient::new(state.peers.registry().unscoped()).resolve_app_links(request).await?.into_inner())
}
