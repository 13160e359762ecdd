//! `nodkey admin import`.

use std::{io::IsTerminal as _, path::PathBuf, time::Duration};

use anyhow::Context as _;
use futures_util::stream;
use indicatif::{ProgressBar, ProgressStyle};
use nodkey_client::ServiceName;
use nodkey_proto::binding::v1::{ImportRow, ImportUsersRequest, ImportUsersResponse, import_service_client::ImportServiceClient};
use prost::Message as _;
use serde::Deserialize;
use serde_json::json;
use tonic::Request;

use super::{Admin, answer};
use crate::{
    failure::Refused,
    output::{document, line, plain},
};

/// The maximum number of rows and of bytes in one message: the gateway accepts 64 KiB.
const ROWS: usize = 500;
const BYTES: usize = 48 << 10;
/// The deadline of the whole import.
const DEADLINE: Duration = Duration::from_mins(30);

/// Import users and bindings from a CSV file, all or none
///
/// Every line is checked first, and every error is reported with its line number. After an interruption, run it again: existing users and
/// bindings stay as they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey admin import users.csv --dry-run
  nodkey admin import users.csv

The first line names the columns; order does not matter:
  user_identifier    the relying party's own name for the user
  device_identifier  identifier of a registered device; empty: no binding
  active             true: active immediately; false or empty: waits for its activation code
  trusona_id         the user's Trusona ID, if any")]
pub struct Args {
    /// The file: UTF-8, at most 50,000 lines
    file: PathBuf,
    /// Only report what would happen
    #[arg(long)]
    dry_run: bool,
}

/// The columns. The first one is required.
const COLUMNS: [&str; 4] = ["user_identifier", "device_identifier", "active", "trusona_id"];

#[derive(Debug, Deserialize)]
struct Line {
    user_identifier: String,
    #[serde(default)]
    device_identifier: String,
    #[serde(default)]
    active: String,
    #[serde(default)]
    trusona_id: String,
}

/// Runs the command.
pub async fn run(admin: &Admin, args: Args) -> anyhow::Result<()> {
    let file = std::fs::File::open(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let rows = read(file)?;
    anyhow::ensure!(!rows.is_empty(), "{} has no lines after the column names", args.file.display());
    let bar = progress(rows.len(), admin.json);
    let (sent, dry_run) = (bar.clone(), args.dry_run);
    let messages: Vec<_> = chunks(rows).into_iter().map(|rows| ImportUsersRequest { rows, dry_run }).collect();
    let messages = stream::iter(messages.into_iter().inspect(move |message| {
        sent.inc(message.rows.len() as u64);
        if sent.length() == Some(sent.position()) {
            sent.set_message("checking and writing");
        }
    }));
    let mut request = Request::new(messages);
    request.set_timeout(DEADLINE);
    let answered = answer(ImportServiceClient::new(admin.channel(ServiceName::Binding)).import_users(request)).await;
    bar.finish_and_clear();
    report(admin, &answered?, args.dry_run)
}

/// Splits rows into messages.
fn chunks(rows: Vec<ImportRow>) -> Vec<Vec<ImportRow>> {
    let (mut chunks, mut bytes) = (Vec::<Vec<ImportRow>>::new(), 0);
    for row in rows {
        // Plus the field's own tag and length.
        let length = row.encoded_len() + 8;
        match chunks.last_mut() {
            Some(last) if last.len() < ROWS && bytes + length <= BYTES => {
                bytes += length;
                last.push(row);
            }
            _ => {
                bytes = length;
                chunks.push(vec![row]);
            }
        }
    }
    chunks
}

/// Reads a file. Reports every line that cannot be read, all together.
fn read(file: impl std::io::Read) -> anyhow::Result<Vec<ImportRow>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    let headers = reader.headers().map_err(|e| Refused(format!("the first line must name the columns; {}", fault_of(&e))))?.clone();
    check_columns(&headers)?;
    for record in reader.records() {
        let parsed = record.and_then(|record| {
            let number = record.position().map_or(0, csv::Position::line);
            Ok((number, record.deserialize::<Line>(Some(&headers))?))
        });
        match parsed {
            Ok((number, line)) => match line.active.as_str() {
                "true" | "false" | "" => rows.push(ImportRow {
                    line: i32::try_from(number)?,
                    active: line.active == "true",
                    user_identifier: line.user_identifier,
                    device_identifier: line.device_identifier,
                    trusona_id: line.trusona_id,
                }),
                other => faults.push(format!("line {number}: active must be true, false or empty, not {:?}", plain(other))),
            },
            Err(e) => faults.push(fault_of(&e)),
        }
    }
    if faults.is_empty() {
        return Ok(rows);
    }
    Err(Refused(format!("nothing was imported; the file cannot be read:\n  {}", faults.join("\n  "))).into())
}

/// What is wrong with a line, in terms of the file.
fn fault_of(error: &csv::Error) -> String {
    let at = |line: Option<&csv::Position>| line.map_or_else(|| "a line".to_owned(), |position| format!("line {}", position.line()));
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            format!("{}: it has {len} values, and the first line names {expected_len} columns", at(pos.as_ref()))
        }
        csv::ErrorKind::Utf8 { pos, .. } => format!("{}: it is not UTF-8", at(pos.as_ref())),
        csv::ErrorKind::Io(e) => nodkey_kernel::error::plain(&e.to_string()),
        csv::ErrorKind::Deserialize { pos, .. } => format!("{}: it cannot be read", at(pos.as_ref())),
        _ => "a line cannot be read".to_owned(),
    }
}

/// Refuses a header with unknown columns.
fn check_columns(headers: &csv::StringRecord) -> anyhow::Result<()> {
    if let Some(unknown) = headers.iter().find(|name| !COLUMNS.contains(name)) {
        let text = format!("nothing was imported; there is no column {:?}: there are {}", plain(unknown), COLUMNS.join(", "));
        return Err(Refused(text).into());
    }
    let named = |column| headers.iter().filter(|name| *name == column).count();
    if let Some(twice) = COLUMNS.iter().find(|column| named(**column) > 1) {
        return Err(Refused(format!("nothing was imported; the first line names {twice} more than once")).into());
    }
    if named(COLUMNS[0]) == 0 {
        return Err(Refused(format!("nothing was imported; the first line must name the column {}", COLUMNS[0])).into());
    }
    Ok(())
}

fn progress(rows: usize, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} lines {msg} {elapsed}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(rows as u64).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn report(admin: &Admin, answer: &ImportUsersResponse, dry_run: bool) -> anyhow::Result<()> {
    let faults: Vec<_> = answer.faults.iter().map(|f| json!({"line": f.line, "reason": f.reason, "message": f.message})).collect();
    if admin.json {
        document(&json!({"dry_run": dry_run, "changed": answer.changed, "unchanged": answer.unchanged, "faults": faults}))?;
    } else if faults.is_empty() {
        let (would, were) = if dry_run { ("would be ", "are") } else { ("", "were") };
        line(format_args!("{} {would}imported, {} {were} there already", answer.changed, answer.unchanged))?;
    }
    if faults.is_empty() {
        return Ok(());
    }
    let told: Vec<_> = answer.faults.iter().map(|f| format!("line {}: {} ({})", f.line, plain(&f.message), f.reason)).collect();
    Err(Refused(format!("nothing was imported:\n  {}", told.join("\n  "))).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_any_order_and_may_be_missing() {
        let rows = read("active,user_identifier,device_identifier\ntrue,ada,d\n,\"b, ob\",\n".as_bytes()).unwrap();
        assert_eq!((rows[0].line, rows[0].user_identifier.as_str(), rows[0].active), (2, "ada", true));
        assert_eq!((rows[1].line, rows[1].user_identifier.as_str(), rows[1].active), (3, "b, ob", false));
    }

    #[test]
    fn messages_are_as_large_as_the_gateway_takes_and_hold_every_row() {
        let row = |n: i32, name: &str| ImportRow { line: n, user_identifier: name.into(), ..ImportRow::default() };
        let rows: Vec<_> = (0..1_200).map(|n| row(n, "ada")).chain((1_200..1_400).map(|n| row(n, &"ä".repeat(255)))).collect();
        let chunks = chunks(rows);
        for chunk in &chunks {
            let message = ImportUsersRequest { rows: chunk.clone(), dry_run: true };
            assert!(chunk.len() <= ROWS && message.encoded_len() < 64 << 10);
        }
        assert!(chunks.len() > 3);
        assert!(chunks.into_iter().flatten().map(|row| row.line).eq(0..1_400));
    }

    #[test]
    fn every_line_that_cannot_be_read_is_told() {
        let text = "user_identifier,device_identifier,active\nada,d,yes\nbob\ncarol,d,true\n\"x,d,\n";
        let told = read(text.as_bytes()).unwrap_err().to_string();
        assert!(told.contains("line 2: active") && told.contains("line 3: it has"), "{told}");
        assert!(read("user,device\nada,d\n".as_bytes()).unwrap_err().to_string().contains("user"));
    }
}
