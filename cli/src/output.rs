//! What commands print: tables for people, JSON for programs.

use std::{io::Write as _, time::Duration};

use anstyle::Style;
use anyhow::Context as _;
use comfy_table::{Table, presets::NOTHING};
use nodkey_kernel::visible;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// One thing, as named values in a fixed order. The names are part of the interface: `snake_case`, never changed.
pub type Record = Map<String, Value>;

const BOLD: Style = Style::new().bold();

/// Prints a line to standard output. Colour goes to terminals alone.
pub fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(anstream::stdout(), "{text}").context("cannot write to standard output")
}

/// Prints a JSON document.
pub fn document(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Makes a record.
pub fn record<const N: usize>(values: [(&str, Value); N]) -> Record {
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Prints a page: a JSON object of `items` and `next_page_token`, or a table of `columns`.
pub fn page(json: bool, columns: &[&str], records: &[Record], next_page_token: &str) -> anyhow::Result<()> {
    if json {
        return document(&json!({"items": records, "next_page_token": filled(next_page_token)}));
    }
    if records.is_empty() {
        anstream::eprintln!("nothing found");
        return Ok(());
    }
    line(table(columns, records))?;
    if !next_page_token.is_empty() {
        anstream::eprintln!("\nthere is more: add --all, or --page-token {next_page_token}");
    }
    Ok(())
}

/// Prints one thing: a JSON object, or a line a value.
pub fn show(json: bool, record: &Record) -> anyhow::Result<()> {
    if json {
        return document(record);
    }
    let width = record.keys().map(String::len).max().unwrap_or(0);
    for (name, value) in record {
        let name = name.replace('_', " ");
        match value {
            Value::Array(items) if !items.is_empty() => {
                line(name)?;
                for item in items {
                    line(format_args!("  {}", text(item)))?;
                }
            }
            value => line(format_args!("{name:width$}  {}", text(value)))?,
        }
    }
    Ok(())
}

fn table(columns: &[&str], records: &[Record]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(columns.iter().map(|name| name.replace('_', " ").to_uppercase()));
    for record in records {
        table.add_row(columns.iter().map(|name| record.get(*name).map_or_else(String::new, text)));
    }
    table.trim_fmt()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => plain(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => plain(&other.to_string()),
    }
}

/// Shows by its number what could make a terminal show something else than what is there: control characters, changes of direction and
/// characters that nobody sees.
pub fn plain(text: &str) -> String {
    // Marks of direction are no deception on a phone, but a terminal may order a whole line by them.
    visible::escape(text).replace('\u{200e}', "\\u{200E}").replace('\u{200f}', "\\u{200F}")
}

/// Empty text is absent.
pub fn filled(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::from(text) }
}

/// Bold where it is printed by [`line`] on a terminal.
pub fn bold(text: &str) -> String {
    format!("{BOLD}{text}{BOLD:#}")
}

/// Milliseconds with one digit.
pub fn millis(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_the_columns_asked_for_and_dashes_for_nothing() {
        let records = [record([("id", json!("1")), ("is_active", json!(true)), ("name", Value::Null), ("hidden", json!("x"))])];
        let shown = table(&["id", "is_active", "name"], &records);
        assert_eq!(
            shown.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>(),
            ["ID IS ACTIVE NAME", "1 yes -"]
        );
    }

    #[test]
    fn text_from_elsewhere_cannot_steer_the_terminal() {
        assert_eq!(plain("pay\u{1b}[2K 9\u{202e}0 EUR\r\u{200f}"), "pay\\u{001B}[2K 9\\u{202E}0 EUR\\u{000D}\\u{200F}");
        assert_eq!(plain("Zürich, 東京"), "Zürich, 東京");
    }
}
