//! The output of commands: tables for people, JSON for programs.

use std::{io::Write as _, time::Duration};

use anstyle::Style;
use anyhow::Context as _;
use comfy_table::{Table, presets::NOTHING};
use nodkey_kernel::{custom_fields::CustomFields, visible};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// An item, as named values in a fixed order. The names are part of the interface: `snake_case`, never changed.
#[derive(Clone, Debug, Default)]
pub struct Record(Vec<(String, Shown)>);

/// A value of a record.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Shown {
    /// A value of our own.
    Value(Value),
    /// Custom fields of a backend, shown verbatim.
    Fields(CustomFields),
}

impl From<Value> for Shown {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<CustomFields> for Shown {
    fn from(fields: CustomFields) -> Self {
        Self::Fields(fields)
    }
}

impl Record {
    /// The value with this name.
    pub fn get(&self, name: &str) -> Option<&Shown> {
        self.0.iter().find_map(|(own, value)| (own == name).then_some(value))
    }

    /// Sets a value: replaces the one with this name, or appends it.
    pub fn insert(&mut self, name: &str, value: impl Into<Shown>) {
        match self.0.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => *own = value.into(),
            None => self.0.push((name.to_owned(), value.into())),
        }
    }
}

impl Extend<(String, Shown)> for Record {
    fn extend<I: IntoIterator<Item = (String, Shown)>>(&mut self, values: I) {
        values.into_iter().for_each(|(name, value)| self.insert(&name, value));
    }
}

impl IntoIterator for Record {
    type Item = (String, Shown);
    type IntoIter = std::vec::IntoIter<(String, Shown)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A page, for programs.
#[derive(Serialize)]
struct Page<'a> {
    items: &'a [Record],
    next_page_token: Value,
}

const BOLD: Style = Style::new().bold();

/// Prints a line to standard output. Colours appear on terminals only.
pub fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(anstream::stdout(), "{text}").context("cannot write to standard output")
}

/// Prints a JSON document.
pub fn document(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Makes a record.
pub fn record<const N: usize>(values: [(&str, Value); N]) -> Record {
    Record(values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
}

/// Prints a page: a JSON object of `items` and `next_page_token`, or a table of `columns`.
pub fn page(json: bool, columns: &[&str], records: &[Record], next_page_token: &str) -> anyhow::Result<()> {
    if json {
        return document(&Page { items: records, next_page_token: filled(next_page_token) });
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

/// Prints an item: a JSON object, or one line per value.
pub fn show(json: bool, record: &Record) -> anyhow::Result<()> {
    if json {
        return document(record);
    }
    let width = record.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in &record.0 {
        let name = name.replace('_', " ");
        match value {
            Shown::Value(Value::Array(items)) if !items.is_empty() => {
                line(name)?;
                for item in items {
                    line(format_args!("  {}", text(item)))?;
                }
            }
            Shown::Value(value) => line(format_args!("{name:width$}  {}", text(value)))?,
            Shown::Fields(fields) => line(format_args!("{name:width$}  {}", plain(&fields.to_line())))?,
        }
    }
    Ok(())
}

fn table(columns: &[&str], records: &[Record]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(columns.iter().map(|name| name.replace('_', " ").to_uppercase()));
    for record in records {
        table.add_row(columns.iter().map(|name| match record.get(name) {
            None => String::new(),
            Some(Shown::Value(value)) => text(value),
            Some(Shown::Fields(fields)) => plain(&fields.to_line()),
        }));
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

/// Escapes characters that could make a terminal show something other than the text: control characters, changes of direction and invisible
/// characters.
pub fn plain(text: &str) -> String {
    // Direction marks cannot deceive on a phone, but a terminal may reorder a whole line by them.
    visible::escape(text).replace('\u{200e}', "\\u{200E}").replace('\u{200f}', "\\u{200F}")
}

/// Empty text becomes null.
pub fn filled(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::from(text) }
}

/// Bold, if printed by [`line`] on a terminal.
pub fn bold(text: &str) -> String {
    format!("{BOLD}{text}{BOLD:#}")
}

/// Milliseconds with one decimal.
pub fn millis(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn programs_get_what_a_backend_wrote_to_the_letter_and_in_its_place() {
        let written = r#"{"b": 1.0, "a":89370400440532013000}"#;
        let mut record = record([("id", json!("1")), ("custom_fields", Value::Null), ("status", json!("s"))]);
        record.insert("custom_fields", CustomFields::parse(written).unwrap());
        let expected = format!(r#"{{"id":"1","custom_fields":{written},"status":"s"}}"#);
        assert_eq!(serde_json::to_string(&record).unwrap(), expected);
        assert_eq!(
            serde_json::to_string(&Page { items: &[record], next_page_token: Value::Null }).unwrap(),
            format!(r#"{{"items":[{expected}],"next_page_token":null}}"#)
        );
    }

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
