//! Rows of presence keys that a device has proven to hold: each belongs to one device.

use nodkey_db::{Tx, retention::in_list};
use nodkey_kernel::id::DeviceId;

use crate::error::Error;

/// Records that a device holds a key. A key of another device is left unchanged.
pub async fn insert(tx: &mut Tx, device: &DeviceId, thumbprint: &str) -> Result<(), Error> {
    let query = tx.query("INSERT INTO proven_key (thumbprint, device_id) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    query.bind(thumbprint).bind(device.as_str()).execute().await?;
    Ok(())
}

/// Whether one of these keys belongs to another device.
pub async fn is_anothers(tx: &mut Tx, device: &DeviceId, thumbprints: &[String]) -> Result<bool, Error> {
    let thumbprints: Vec<_> = thumbprints.iter().map(String::as_str).collect();
    let query = tx.query("SELECT device_id FROM proven_key WHERE thumbprint IN");
    let rows = in_list(query, &thumbprints).fetch_all().await?;
    for row in rows {
        if row.get::<String>("device_id")? != device.as_str() {
            return Ok(true);
        }
    }
    Ok(false)
}
