//! The pages: demo site, browser phone, operator console. What is in `assets/` is what browsers get: no build, no framework,
//! nothing from elsewhere.
//!
//! Release builds carry the files in the binary; debug builds read them from the source tree, so that an edit shows at a reload.

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse as _, Response},
    routing::get,
};
use rust_embed::{EmbeddedFile, RustEmbed};
use tower_http::compression::CompressionLayer;

const HTML: &str = "text/html; charset=utf-8";

/// Every page alike: its own scripts and styles, its own server, nothing inline, and no text that becomes markup.
macro_rules! policy {
    ($frames:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; \
             media-src 'self' blob:; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; trusted-types 'none'; ",
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
}

impl Page {
    const fn file(self) -> &'static str {
        match self {
            Self::Demo => "demo/index.html",
            Self::Phone => "phone/index.html",
            Self::Console => "console/index.html",
        }
    }

    const fn policy(self) -> &'static str {
        match self {
            Self::Demo => policy!("frame-src 'self'; frame-ancestors 'none'"),
            Self::Phone => policy!("frame-ancestors 'self'"),
            Self::Console => policy!("frame-ancestors 'none'"),
        }
    }

    /// What the page may use of the device.
    const fn permissions(self) -> &'static str {
        match self {
            Self::Demo | Self::Phone => "camera=(self), publickey-credentials-create=(self), publickey-credentials-get=(self)",
            Self::Console => "camera=()",
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
    Router::new().route(path, get(move |headers: HeaderMap| async move { page.answer(&headers) })).layer(compression())
}

/// Serves what the pages are made of, below `/assets/`.
pub fn assets<S: Clone + Send + Sync + 'static>() -> Router<S> {
    // Pages have addresses of their own, where their policy goes with them.
    let asset = |Path(path): Path<String>, headers: HeaderMap| async move {
        if content_type(&path) == HTML { StatusCode::NOT_FOUND.into_response() } else { file(&path, &headers) }
    };
    Router::new().route("/assets/{*path}", get(asset)).layer(compression())
}

/// Nothing here is secret, so its length may tell what it is.
fn compression() -> CompressionLayer {
    CompressionLayer::new()
}

/// Answers with a file, or that the one the browser has is the same.
fn file(path: &str, request: &HeaderMap) -> Response {
    let Some(EmbeddedFile { data, metadata }) = Files::get(path) else { return StatusCode::NOT_FOUND.into_response() };
    // Weak, because it is the same file however it is compressed.
    let tag = format!("W/\"{}\"", hex::encode(&metadata.sha256_hash()[..12]));
    let known = request.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    let body = if known.map(str::trim).any(|known| known == tag) { None } else { Some(Body::from(data.into_owned())) };
    let status = if body.is_some() { StatusCode::OK } else { StatusCode::NOT_MODIFIED };
    let header = HeaderValue::from_static;
    let mut response = (status, body.unwrap_or_default()).into_response();
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

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => HTML,
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json" | "webmanifest") => "application/json; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    }
}
