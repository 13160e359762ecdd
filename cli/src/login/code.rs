//! The sign-in code on the terminal.

use crate::qr;

/// Shows a code for scanning, on standard error.
pub fn show(gateway: &str, payload: &str, is_first: bool) -> anyhow::Result<()> {
    if is_first {
        anstream::eprintln!("Scan this code with the phone that accepted your invitation:");
    } else {
        anstream::eprintln!("That code expired. This is the next one:");
    }
    for line in qr::lines(payload)? {
        anstream::eprintln!("{line}");
    }
    let payload: String = url::form_urlencoded::byte_serialize(payload.as_bytes()).collect();
    anstream::eprintln!("Is the phone a browser on this machine? Open {gateway}/console/phone#scan={payload}");
    Ok(())
}
