//! What files hold, kept once, plain and compressed: an answer that nobody takes keeps a reference and no copy.

use std::{
    collections::HashMap,
    io::Write as _,
    sync::{LazyLock, Mutex, PoisonError},
};

use axum::body::Bytes;
use flate2::{Compression, write::GzEncoder};
use rust_embed::EmbeddedFile;

/// By path. As many as there are files, and style sheets that are made of several.
static CONTENTS: LazyLock<Mutex<HashMap<String, (String, Content)>>> = LazyLock::new(Mutex::default);

/// What a file holds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Content {
    /// As it is.
    pub plain: Bytes,
    /// As gzip, where that is shorter. Nothing here is secret, so its length may tell what it is.
    pub compressed: Option<Bytes>,
}

/// Returns what a path stands for; made when it is asked for first, and in debug builds again when the file has changed.
pub fn content(path: &str, hash: &str, parts: &[EmbeddedFile]) -> Content {
    let mut contents = CONTENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, content)) = contents.get(path).filter(|(of, _)| of == hash) {
        return content.clone();
    }
    let plain = parts.iter().map(|part| &*part.data).collect::<Vec<_>>().concat();
    let compressed = gzip(&plain).filter(|compressed| compressed.len() < plain.len()).map(Bytes::from);
    let content = Content { plain: plain.into(), compressed };
    contents.insert(path.to_owned(), (hash.to_owned(), content.clone()));
    content
}

fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}
