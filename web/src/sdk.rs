//! The SDK for relying parties' own pages, as `sdk/web` builds it: a file for each version, which never changes, for pages of any origin.

use axum::{
    Router,
    extract::Path,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL},
    },
    response::{IntoResponse as _, Response},
    routing::get,
};
use rust_embed::RustEmbed;

use crate::answer;

#[derive(RustEmbed)]
#[folder = "../sdk/web/served/"]
struct Served;

/// The versions, each with its URL and its integrity hash.
const VERSIONS: &str = "versions.json";
const ONE_YEAR: &str = "public, max-age=31536000, immutable";

/// Serves the versions of `<nodkey-code>`, and the list of them.
pub fn sdk<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let versions = |headers: HeaderMap| async move { for_any_page(VERSIONS, &headers) };
    let version = |Path(file): Path<String>, headers: HeaderMap| async move {
        if file == VERSIONS {
            return StatusCode::NOT_FOUND.into_response();
        }
        let mut response = for_any_page(&file, &headers);
        if response.status() != StatusCode::NOT_FOUND {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(ONE_YEAR));
        }
        response
    };
    Router::new().route("/sdk/nodkey-code.json", get(versions)).route("/sdk/nodkey-code/{file}", get(version))
}

/// Answers with a file that pages of other origins may load, and check by its hash.
fn for_any_page(file: &str, request: &HeaderMap) -> Response {
    let Some(content) = Served::get(file) else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = answer(&format!("sdk/{file}"), &[content], request);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
    response
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{
            Request,
            header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH},
        },
    };
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use http_body_util::BodyExt as _;
    use serde_json::Value;
    use sha2::{Digest as _, Sha384};
    use tower::ServiceExt as _;

    use super::*;

    async fn get(path: &str, known: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        let request = Request::get(path).header(IF_NONE_MATCH, known).body(Body::empty()).unwrap();
        let (head, body) = sdk().oneshot(request).await.unwrap().into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes().to_vec())
    }

    #[tokio::test]
    async fn every_version_is_served_as_its_hash_says_to_pages_of_any_origin_and_for_good() {
        let (status, headers, list) = get("/sdk/nodkey-code.json", "").await;
        assert_eq!(
            (status, &headers[CACHE_CONTROL], &headers[ACCESS_CONTROL_ALLOW_ORIGIN]),
            (StatusCode::OK, &"no-cache".parse().unwrap(), &"*".parse().unwrap())
        );
        let list: Value = serde_json::from_slice(&list).unwrap();
        let versions = list["versions"].as_object().unwrap();
        assert!(versions.contains_key(list["latest"].as_str().unwrap()));
        assert_eq!(versions.len() + 1, Served::iter().count(), "everything that is served is listed");
        for (version, about) in versions {
            let path = about["path"].as_str().unwrap();
            assert_eq!(path, format!("/sdk/nodkey-code/{version}.js"));
            let (status, headers, script) = get(path, "").await;
            assert_eq!(status, StatusCode::OK, "{path}");
            assert_eq!(about["integrity"], format!("sha384-{}", STANDARD.encode(Sha384::digest(&script))), "{path}");
            assert_eq!(headers[CONTENT_TYPE], "text/javascript; charset=utf-8");
            assert_eq!(headers[CACHE_CONTROL], ONE_YEAR);
            assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
            assert_eq!(headers["cross-origin-resource-policy"], "cross-origin");
            let (status, again, _) = get(path, headers[ETAG].to_str().unwrap()).await;
            assert_eq!((status, &again[ACCESS_CONTROL_ALLOW_ORIGIN]), (StatusCode::NOT_MODIFIED, &HeaderValue::from_static("*")));
        }
    }

    #[tokio::test]
    async fn a_version_that_there_is_not_is_not_found_and_is_not_kept() {
        for path in ["/sdk/nodkey-code/9.9.9.js", "/sdk/nodkey-code/versions.json", "/sdk/nodkey-code/..%2Fpackage.json"] {
            let (status, headers, _) = get(path, "").await;
            assert_eq!((status, headers.get(CACHE_CONTROL)), (StatusCode::NOT_FOUND, None), "{path}");
        }
    }
}
