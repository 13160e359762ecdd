//! The pages: demo site, browser phone, operator console; and the SDK for pages of others. What is in `assets/` is what browsers get: no
//! build, no framework, nothing from elsewhere.
//!
//! Release builds carry the files in the binary; debug builds read them from the source tree, so that an edit shows at a reload.

mod name;
mod phone;
mod sdk;
mod shared;

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
            VARY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse as _, Response},
    routing::get,
};
use rust_embed::{EmbeddedFile, RustEmbed};

pub use name::is_own_name;
pub use phone::phone;
pub use sdk::sdk;

const HTML: &str = "text/html; charset=utf-8";

/// Every page alike: its own scripts and styles, its own server, nothing inline, and no text that becomes markup.
macro_rules! policy {
    ($frames:literal) => {
        policy!($frames, "'none'")
    };
    ($frames:literal, $trusted:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; \
             media-src 'self' blob:; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; trusted-types ",
            $trusted,
            "; ",
            $frames
        )
    };
}

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Files;

/// A page of its own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// A relying party's site; it shows the phone in a frame beside it.
    Demo,
    /// The browser phone.
    Phone,
    /// The operator console.
    Console,
    /// The operator console to who is signed out: the same address.
    SignIn,
    /// The reference of the HTTP API.
    Docs,
    /// What the address of a deployment answers.
    Home,
}

impl Page {
    const fn file(self) -> &'static str {
        match self {
            Self::Demo => "demo/index.html",
            Self::Phone => "phone/index.html",
            Self::Console => "console/index.html",
            Self::SignIn => "console/sign_in.html",
            Self::Docs => "docs/index.html",
            Self::Home => "home/index.html",
        }
    }

    const fn policy(self) -> &'static str {
        match self {
            Self::Demo => policy!("frame-src 'self'; frame-ancestors 'none'"),
            // Its script may name one URL as a script to be run: that of its service worker.
            Self::Phone => policy!("worker-src 'self'; frame-ancestors 'self'", "nodkey-service-worker"),
            Self::Console | Self::SignIn | Self::Docs | Self::Home => policy!("frame-ancestors 'none'"),
        }
    }

    /// What the page may use of the device.
    const fn permissions(self) -> &'static str {
        match self {
            Self::Demo | Self::Phone => "camera=(self), publickey-credentials-create=(self), publickey-credentials-get=(self)",
            Self::Console | Self::SignIn | Self::Docs | Self::Home => "camera=()",
        }
    }

    /// Answers with the page.
    #[must_use]
    pub fn answer(self, request: &HeaderMap) -> Response {
        let mut response = file(self.file(), request);
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(self.policy()));
        headers.insert(HeaderName::from_static("permissions-policy"), HeaderValue::from_static(self.permissions()));
        headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
        // The address may hold a code or an invitation.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

/// Serves a page at a path.
pub fn page<S: Clone + Send + Sync + 'static>(path: &str, page: Page) -> Router<S> {
    Router::new().route(path, get(move |headers: HeaderMap| async move { page.answer(&headers) }))
}

/// Serves what the pages are made of, below `/assets/`.
pub fn assets<S: Clone + Send + Sync + 'static>() -> Router<S> {
    // Pages have addresses of their own, where their policy goes with them.
    let asset = |Path(path): Path<String>, headers: HeaderMap| async move {
        if content_type(&path) == HTML { StatusCode::NOT_FOUND.into_response() } else { file(&path, &headers) }
    };
    Router::new().route("/assets/{*path}", get(asset))
}

/// Answers with a file, or that the one the browser has is the same.
fn file(path: &str, request: &HeaderMap) -> Response {
    parts(path).map_or_else(|| StatusCode::NOT_FOUND.into_response(), |parts| answer(path, &parts, request))
}

/// Answers with what a path stands for, or that the browser has the same.
fn answer(path: &str, parts: &[EmbeddedFile], request: &HeaderMap) -> Response {
    let hash: String = parts.iter().map(|part| hex::encode(&part.metadata.sha256_hash()[..12])).collect();
    // Weak, because it is the same file however it is compressed.
    let tag = format!("W/\"{hash}\"");
    let listed = |name| request.get_all(name).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim);
    let header = HeaderValue::from_static;
    let mut response = if listed(IF_NONE_MATCH).any(|known| known == tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let content = shared::content(path, &hash, parts);
        match content.compressed.filter(|_| listed(ACCEPT_ENCODING).any(takes_gzip)) {
            Some(compressed) => ([(CONTENT_ENCODING, header("gzip"))], Body::from(compressed)).into_response(),
            None => Body::from(content.plain).into_response(),
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, header(content_type(path)));
    headers.insert(CACHE_CONTROL, header("no-cache"));
    headers.insert(VARY, header("accept-encoding"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, header("nosniff"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    response
}

/// Whether one of the encodings that a browser accepts is gzip (RFC 9110, section 12.5.3).
fn takes_gzip(accepted: &str) -> bool {
    let (coding, weight) = accepted.split_once(';').unwrap_or((accepted, ""));
    let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
    coding.trim().eq_ignore_ascii_case("gzip") && !refused
}

/// What a path stands for: a file; or, where a folder has a style sheet's name, all of the folder's in the order of their names: a
/// request costs a browser more than what is in it.
fn parts(path: &str) -> Option<Vec<EmbeddedFile>> {
    if let Some(file) = Files::get(path) {
        return Some(vec![file]);
    }
    let folder = path.strip_suffix(".css")?;
    let mut sheets: Vec<_> = Files::iter().filter(|name| is_sheet_of(folder, name)).collect();
    sheets.sort_unstable();
    let parts: Vec<_> = sheets.iter().filter_map(|name| Files::get(name)).collect();
    (!parts.is_empty()).then_some(parts)
}

fn is_sheet_of(folder: &str, name: &str) -> bool {
    let name = std::path::Path::new(name);
    name.parent() == Some(folder.as_ref()) && name.extension().is_some_and(|extension| extension == "css")
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => HTML,
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json") => "application/json; charset=utf-8",
        Some("webmanifest") => "application/manifest+json",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Bytes, http::Request};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    fn site() -> Router {
        let pages = [
            ("/demo", Page::Demo),
            ("/demo/phone", Page::Phone),
            ("/console", Page::Console),
            ("/sign-in", Page::SignIn),
            ("/docs", Page::Docs),
            ("/", Page::Home),
        ];
        pages.into_iter().fold(assets(), |router, (path, of)| router.merge(page(path, of)))
    }

    async fn get(path: &str, known: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::get(path).header(IF_NONE_MATCH, known).body(Body::empty()).unwrap();
        let (head, body) = site().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (head.status, head.headers, String::from_utf8(body).unwrap())
    }

    /// The bytes of an answer as they are handed over, and how they are encoded.
    async fn body(path: &str, accepted: &str) -> (Bytes, Option<HeaderValue>) {
        let request = Request::get(path).header(ACCEPT_ENCODING, accepted).body(Body::empty()).unwrap();
        let answer = site().oneshot(request).await.unwrap();
        let encoding = answer.headers().get(CONTENT_ENCODING).cloned();
        (answer.into_body().frame().await.unwrap().unwrap().into_data().unwrap(), encoding)
    }

    #[tokio::test]
    async fn all_answers_with_a_file_share_its_bytes_however_they_are_encoded() {
        for path in ["/assets/vendor/qr/decode.js", "/assets/design.css", "/console"] {
            let (plain, encoding) = body(path, "identity").await;
            assert_eq!((encoding, body(path, "gzip;q=0, br").await.0.as_ptr()), (None, plain.as_ptr()), "{path}");
            let (compressed, encoding) = body(path, "deflate, GZIP;q=0.5").await;
            assert_eq!((encoding, body(path, "gzip").await.0.as_ptr()), (Some(HeaderValue::from_static("gzip")), compressed.as_ptr()));
            let mut read = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*compressed), &mut read).unwrap();
            assert_eq!(read, plain, "{path}");
        }
    }

    #[tokio::test]
    async fn no_page_runs_what_is_inline_or_from_elsewhere() {
        for path in ["/demo", "/demo/phone", "/console", "/sign-in", "/docs", "/"] {
            let (status, headers, body) = get(path, "").await;
            assert_eq!((status, &headers[CONTENT_TYPE]), (StatusCode::OK, &HeaderValue::from_static(HTML)), "{path}");
            let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
            assert!(policy.contains("require-trusted-types-for 'script'") && policy.contains("frame-ancestors"), "{policy}");
            assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
            let is_phone = path == "/demo/phone";
            assert_eq!(policy.contains("trusted-types 'none'"), !is_phone, "{policy}");
            assert_eq!(policy.contains("worker-src 'self'"), is_phone, "{policy}");
            assert!(policy.contains("manifest-src 'self'"), "{policy}");
            assert_eq!(headers[REFERRER_POLICY], "no-referrer");
            assert!(!body.contains("style=") && !body.contains("<style") && !body.contains("onclick"), "{path}");
        }
    }

    #[tokio::test]
    async fn a_file_the_browser_has_is_not_sent_again() {
        for path in ["/assets/lib/dom.js", "/assets/design.css", "/console"] {
            let (_, headers, body) = get(path, "").await;
            assert!(!body.is_empty(), "{path}");
            let (status, again, body) = get(path, headers[ETAG].to_str().unwrap()).await;
            assert_eq!((status, &again[ETAG], body.as_str()), (StatusCode::NOT_MODIFIED, &headers[ETAG], ""), "{path}");
        }
    }

    #[tokio::test]
    async fn the_style_sheets_of_a_folder_are_served_as_one_in_the_order_of_their_names() {
        let (status, headers, joined) = get("/assets/design.css", "").await;
        assert_eq!((status, headers[CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, "text/css; charset=utf-8"));
        let mut expected = String::new();
        for name in ["base", "controls", "countdown", "data", "surfaces", "utilities"] {
            expected.push_str(&get(&format!("/assets/design/{name}.css"), "").await.2);
        }
        assert_eq!(joined, expected);
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_found() {
        for path in ["/assets/none.css", "/assets/design", "/assets/.css", "/assets/../src/lib.rs", "/assets/demo/index.html"] {
            assert_eq!(get(path, "").await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
