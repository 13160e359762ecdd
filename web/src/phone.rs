//! The browser phone as an installable app: its page, its manifest and its service worker, at one address.

use std::sync::LazyLock;

use axum::{
    Router,
    body::Bytes,
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    routing::get,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{Files, Page, content_type, file, page, parts};

const WORKER: &str = "phone/app/service_worker.js";
const MANIFEST: &str = "phone/app/manifest.webmanifest";
const PAGE: &str = "phone/index.html";
/// The service worker fetches the app shell, and nothing from elsewhere.
const POLICY: &str = "default-src 'none'; connect-src 'self'; img-src 'self'";

/// Serves the phone at a path, and below it its manifest and its service worker, whose scope is the path.
pub fn phone<S: Clone + Send + Sync + 'static>(path: &'static str) -> Router<S> {
    let manifest = |headers: HeaderMap| async move { file(MANIFEST, &headers) };
    let worker = move || async move {
        let header = HeaderValue::from_static;
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, header(content_type(WORKER))),
            (CACHE_CONTROL, header("no-cache")),
            (X_CONTENT_TYPE_OPTIONS, header("nosniff")),
            (CONTENT_SECURITY_POLICY, header(POLICY)),
            // Its own folder is below the path of the page.
            (HeaderName::from_static("service-worker-allowed"), header(path)),
        ]);
        (headers, worker())
    };
    page(path, Page::Phone).route(&format!("{path}/manifest.webmanifest"), get(manifest)).route(&format!("{path}/sw.js"), get(worker))
}

/// The service worker. Release builds make it once; debug builds read the files each time, so that an edit shows at a reload.
fn worker() -> Bytes {
    static MADE: LazyLock<Bytes> = LazyLock::new(|| make_worker().into());
    if cfg!(debug_assertions) { make_worker().into() } else { MADE.clone() }
}

/// The service worker, after the files of the app shell and their version: it changes when one of them does, and browsers update it then.
fn make_worker() -> String {
    let mut files: Vec<_> = Files::iter().filter(|path| is_shell(path)).map(|path| path.to_string()).collect();
    files.extend(["design.css", "phone.css", "favicon.svg"].map(str::to_owned));
    files.sort_unstable();
    let mut hash = Sha256::new();
    for path in files.iter().map(String::as_str).chain([PAGE]) {
        hash.update(path);
        parts(path).iter().flatten().for_each(|part| hash.update(part.metadata.sha256_hash()));
    }
    let files: Vec<_> = files.iter().map(|path| format!("/assets/{path}")).collect();
    let shell = json!({"version": hex::encode(&hash.finalize()[..12]), "files": files});
    let worker = parts(WORKER).into_iter().flatten().next().map(|part| part.data.into_owned()).unwrap_or_default();
    format!("self.SHELL = {shell};\n{}", String::from_utf8_lossy(&worker))
}

/// Scripts that the phone's page imports, at once or later.
fn is_shell(path: &str) -> bool {
    let folder = ["phone/", "lib/", "vendor/qr/"].iter().any(|folder| path.starts_with(folder));
    let is_script = std::path::Path::new(path).extension().is_some_and(|extension| extension == "js");
    folder && is_script && path != WORKER
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn answer(path: &str) -> (HeaderMap, String) {
        let answer = phone("/demo/phone").oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        (head.headers, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_service_worker_covers_its_page_and_names_the_files_of_the_app_shell() {
        let (headers, worker) = answer("/demo/phone/sw.js").await;
        assert_eq!(headers["service-worker-allowed"], "/demo/phone");
        assert_eq!(headers[CONTENT_SECURITY_POLICY], POLICY);
        assert!(headers[CONTENT_TYPE].to_str().unwrap().starts_with("text/javascript"));
        let shell = worker.lines().next().and_then(|line| line.strip_prefix("self.SHELL = ")?.strip_suffix(';')).unwrap();
        let shell: serde_json::Value = serde_json::from_str(shell).unwrap();
        let files: Vec<_> = shell["files"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
        for file in &files {
            assert!(parts(file.strip_prefix("/assets/").unwrap()).is_some(), "{file}");
        }
        for file in
            ["/assets/phone/app.js", "/assets/phone/views/later.js", "/assets/lib/dom.js", "/assets/design.css", "/assets/phone.css"]
        {
            assert!(files.contains(&file), "{file}");
        }
        assert!(!files.iter().any(|file| file.contains("/app/") || file.contains("/console/")));
    }

    #[tokio::test]
    async fn the_manifest_starts_the_page_it_is_served_below() {
        let (headers, manifest) = answer("/demo/phone/manifest.webmanifest").await;
        assert_eq!(headers[CONTENT_TYPE], "application/manifest+json");
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!((&manifest["start_url"], &manifest["display"]), (&json!("../phone"), &json!("standalone")));
        for icon in manifest["icons"].as_array().unwrap() {
            assert!(parts(icon["src"].as_str().unwrap().strip_prefix("/assets/").unwrap()).is_some(), "{icon}");
        }
        assert!(manifest["icons"].to_string().contains("maskable"));
    }
}
