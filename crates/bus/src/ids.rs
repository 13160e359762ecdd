//! Ids for what comes without a usable one.

use nodkey_kernel::jose::sha256;
use uuid::Uuid;

/// The id that the same parts always give. No generator of ids gives it.
pub(crate) fn derived_id(parts: &[&[u8]]) -> Uuid {
    let hash = sha256(&parts.concat());
    uuid::Builder::from_custom_bytes(*hash.first_chunk().unwrap_or(&[0; 16])).into_uuid()
}
