//! What JSON that others write may look like.

use serde::{Deserialize, Deserializer};

/// Reads a member for which `null` is as good as absent. With `#[serde(default)]`.
pub fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
