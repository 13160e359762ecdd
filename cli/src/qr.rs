//! A QR code on the terminal.

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

/// Black on white, whatever the terminal's own colors are: every camera reads that.
const PAPER: Style =
    Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Black))).bg_color(Some(anstyle::Color::Ansi(AnsiColor::BrightWhite)));

/// The lines of a code, with its margin; `Err` for a text of more than about 2900 bytes.
pub fn lines(text: &str) -> anyhow::Result<Vec<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).context("the text is too long for a QR code")?;
    let drawn = code.render::<Dense1x2>().quiet_zone(true).build();
    Ok(drawn.lines().map(|row| format!("{PAPER}{row}{PAPER:#}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_square_of_half_blocks_with_a_margin() {
        let (start, end) = (PAPER.render().to_string(), PAPER.render_reset().to_string());
        let rows = lines(&"x".repeat(300)).unwrap();
        let rows: Vec<_> = rows.iter().map(|row| row.strip_prefix(&start).unwrap().strip_suffix(&end).unwrap()).collect();
        let width = rows[0].chars().count();
        assert!(rows.iter().all(|row| row.chars().count() == width) && rows.len() == width.div_ceil(2), "{width} by {}", rows.len());
        assert!(rows[0].trim().is_empty() && rows.iter().all(|row| row.starts_with("    ")));
        assert!(lines(&"x".repeat(5_000)).is_err());
    }
}
