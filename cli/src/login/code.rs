//! Shows a QR code on the terminal.

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

/// Black on white, whatever the terminal's own colours, so that every phone can read it.
const PAPER: Style =
    Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Black))).bg_color(Some(anstyle::Color::Ansi(AnsiColor::BrightWhite)));

/// Shows a code for scanning, on standard error.
pub fn show(gateway: &str, payload: &str, is_first: bool) -> anyhow::Result<()> {
    if is_first {
        anstream::eprintln!("Scan this code with the phone that took your invitation:");
    } else {
        anstream::eprintln!("That code is over. This is the next:");
    }
    for row in rows(payload)? {
        anstream::eprintln!("{PAPER}{row}{PAPER:#}");
    }
    let payload: String = url::form_urlencoded::byte_serialize(payload.as_bytes()).collect();
    anstream::eprintln!("Is the phone this machine's browser? Open {gateway}/console/phone#scan={payload}");
    Ok(())
}

/// The lines of the code.
fn rows(payload: &str) -> anyhow::Result<Vec<String>> {
    let code = QrCode::with_error_correction_level(payload, EcLevel::L).context("the code is too long to be shown")?;
    let drawn = code.render::<Dense1x2>().quiet_zone(true).build();
    Ok(drawn.lines().map(ToOwned::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_square_of_half_blocks_with_a_margin() {
        let rows = rows(&"x".repeat(300)).unwrap();
        let width = rows[0].chars().count();
        assert!(rows.iter().all(|row| row.chars().count() == width) && rows.len() == width.div_ceil(2), "{width} by {}", rows.len());
        assert!(rows[0].trim().is_empty() && rows.iter().all(|row| row.starts_with("    ")));
        assert!(super::rows(&"x".repeat(5_000)).is_err());
    }
}
