//! Tells browsers apart by a cookie, so that each sees only its own requests and calls.

use axum_extra::extract::{CookieJar, cookie::Cookie};

use crate::Site;

const COOKIE: &str = "acme_browser";

/// Returns a browser's id, if it has one.
pub fn id(jar: &CookieJar) -> Option<&str> {
    jar.get(COOKIE).map(Cookie::value)
}

/// Returns a browser's id; a browser without one gets a new one.
pub fn ensure_id(site: &Site, jar: CookieJar) -> (String, CookieJar) {
    if let Some(id) = id(&jar) {
        return (id.to_owned(), jar);
    }
    let id = site.secret();
    let jar = jar.add(site.cookie(COOKIE, id.clone()));
    (id, jar)
}
