//! JSON `null`, which is as good as no member at all.

use serde::{Deserialize, Deserializer};

/// Reads a member that may be absent, with `#[serde(default)]` beside it: null is its default, too.
pub fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
