//! Every promise of the security and protocol documents names the tests that attack it.
//!
//! A promise is a row of a table with the last column `test`, or a sentence before `**Promised** (...)`. It names its tests by the end of
//! their file's path and their names: `` `scenarios/ends.rs`: `it_expires_by_itself`, `another`; `phone.spec.js`: `a title` ``. In a table
//! with the last column `test or gap`, that cell names a test, or begins with the reason why there is none.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::architecture::rust_files;

/// How a cell begins that gives a reason instead of naming a test.
const INSTEAD: [&str; 3] = ["**Gap**", "**Note**", "**Not applicable**"];
/// Macros that turn the functions they are given into tests.
const MAKERS: [&str; 5] = ["scenarios!", "on_both_engines!", "on_both_buses!", "on_both_channels!", "behind!"];

/// A file with tests: its path from the repository root, and its contents.
type Source = (String, String);

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path, ends: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().ends_with(ends)).collect()
}

/// Every file that may contain a test.
fn sources() -> Vec<Source> {
    let top = top();
    let folders = ["tests", "crates", "services", "sdk", "cli", "web/src"];
    let mut paths: Vec<_> = folders.iter().flat_map(|folder| rust_files(&top.join(folder))).collect();
    paths.extend(files(&top.join("web/tests"), ".spec.js"));
    paths.extend(files(&top.join("web/unit"), ".test.js"));
    let name = |path: &Path| path.strip_prefix(&top).unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

fn documents() -> Vec<Source> {
    let folder = top().join("docs");
    let mut paths = files(&folder.join("security"), ".md");
    paths.extend(files(&folder.join("protocol"), ".md"));
    paths.push(folder.join("security.md"));
    paths.iter().map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The cells of a table row.
fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(row.split('|').map(str::trim).collect())
}

/// The promises of a document: the text of each, and its citation of tests.
fn promises(text: &str) -> Vec<(String, String)> {
    let mut promises = Vec::new();
    // The last header cell of the current table.
    let mut header: Option<&str> = None;
    let mut prose = String::new();
    for line in text.lines() {
        let Some(cells) = cells(line) else {
            header = None;
            prose.push_str(line);
            prose.push('\n');
            continue;
        };
        let last = *cells.last().unwrap();
        match header {
            None => header = Some(last),
            Some(_) if last.starts_with("---") => {}
            Some("test or gap") if INSTEAD.iter().any(|instead| last.starts_with(instead)) => {}
            Some("test" | "test or gap") => promises.push((cells[0].to_owned(), last.to_owned())),
            Some(_) => {}
        }
    }
    for (before, after) in prose.match_indices("**Promised**").map(|(at, mark)| (&prose[..at], &prose[at + mark.len()..])) {
        let sentence = before.rsplit("\n\n").next().unwrap_or_default().trim();
        let named = after.trim_start().strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(named, _)| named);
        promises.push((sentence.to_owned(), named.unwrap_or_default().to_owned()));
    }
    promises
}

/// Whether a file is of a kind, by its extension.
fn is_of(file: &str, kind: &str) -> bool {
    Path::new(file).extension().is_some_and(|extension| extension == kind)
}

/// The tests in a citation: the end of a path, and a name.
fn named(citation: &str) -> Vec<(String, String)> {
    let mut file = String::new();
    let mut named = Vec::new();
    for span in citation.split('`').skip(1).step_by(2) {
        if is_of(span, "rs") || is_of(span, "js") {
            span.clone_into(&mut file);
        } else {
            named.push((file.clone(), span.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    named
}

/// The text between the first bracket and the one that closes it.
fn bracketed(text: &str) -> &str {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 && !c.is_whitespace() {
            return &text[..at];
        }
    }
    text
}

/// The name of the function that begins on a line.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    line.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// The functions of Rust code that run as tests.
fn rust_tests(text: &str) -> BTreeSet<&str> {
    let mut tests = BTreeSet::new();
    let mut functions = BTreeSet::new();
    let mut marked = false;
    for line in text.lines() {
        if let Some(name) = function(line) {
            functions.insert(name);
            if marked {
                tests.insert(name);
            }
            marked = false;
        } else {
            let line = line.trim_start();
            let above = line.starts_with('#') || line.starts_with("//");
            marked = line.starts_with("#[test]") || line.starts_with("#[tokio::test") || marked && above;
        }
    }
    for maker in MAKERS {
        for call in text.split(maker).skip(1) {
            let list = bracketed(call);
            // The setup of the tests precedes the arrow.
            let names = list.rsplit_once("=>").map_or(list, |(_, names)| names);
            let words = names.split(|c: char| !c.is_alphanumeric() && c != '_');
            tests.extend(words.filter(|word| functions.contains(word)));
        }
    }
    tests
}

/// Whether JavaScript code has a test with this title.
fn has_script_test(text: &str, title: &str) -> bool {
    text.split("test(").skip(1).any(|call| {
        let call = call.trim_start();
        ['\'', '"', '`'].iter().any(|quote| {
            let rest = call.strip_prefix(*quote).and_then(|call| call.strip_prefix(title));
            rest.is_some_and(|rest| rest.starts_with(*quote))
        })
    })
}

/// Why a citation names no test. `None` if it does.
fn fault(file: &str, test: &str, sources: &[Source]) -> Option<String> {
    if file.is_empty() {
        return Some(format!("{test} stands without its file"));
    }
    let mut found = sources.iter().filter(|(path, _)| path == file || path.ends_with(&format!("/{file}"))).peekable();
    if found.peek().is_none() {
        return Some(format!("there is no {file}"));
    }
    let has = |(path, text): &Source| {
        if is_of(path, "js") { has_script_test(text, test) } else { rust_tests(text).contains(test) }
    };
    (!found.any(has)).then(|| format!("{file} has no test {test}"))
}

/// What is wrong with the promises of a document.
fn faults(text: &str, sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for (promise, citation) in promises(text) {
        let named = named(&citation);
        if named.is_empty() {
            faults.push(format!("no test is named for: {promise}"));
        }
        faults.extend(named.iter().filter_map(|(file, test)| fault(file, test, sources)).map(|fault| format!("{fault}, for: {promise}")));
    }
    faults
}

#[test]
fn every_promise_of_the_documents_names_a_test_that_there_is() {
    let (documents, sources) = (documents(), sources());
    let count: usize = documents.iter().map(|(_, text)| promises(text).len()).sum();
    assert!(count > 150, "{count} promises are read");
    let faults: Vec<_> =
        documents.iter().flat_map(|(path, text)| faults(text, &sources).into_iter().map(move |fault| format!("{path}: {fault}"))).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_promise_without_a_test_that_there_is_is_found() {
    let sources = [
        (
            "tests/scenarios/ends.rs".to_owned(),
            "scenarios!(\n    it_ends,\n);\nasync fn it_ends(world: &World) {}\nasync fn helper() {}\n\
             #[tokio::test(flavor = \"multi_thread\")]\n// Why.\nasync fn alone() {}\n#[test]\nfn quick() {}\nfn after() {}\n"
                .to_owned(),
        ),
        ("web/tests/phone.spec.js".to_owned(), "test('a title, with (brackets)', async () => {});\ntest(\n  \"another\",".to_owned()),
    ];
    let rows = |rows: &[&str]| format!("| attack | test |\n|---|---|\n{}\n", rows.join("\n"));
    let good = [
        "| a | `scenarios/ends.rs`: `it_ends`, `alone`; `phone.spec.js`: `another` |",
        "| b | `ends.rs`: `quick`; `phone.spec.js`: `a title, with (brackets)` |",
    ];
    let good = rows(&good) + "\nIt ends. **Promised** (`ends.rs`:\n`it_ends`).\n\n| what | how |\n|---|---|\n| c | `no_test` |\n";
    assert_eq!(promises(&good).len(), 3);
    assert_eq!(faults(&good, &sources), Vec::<String>::new());
    for (citation, fault) in [
        ("", "no test is named"),
        ("the same", "no test is named"),
        ("`ends.rs`", "no test is named"),
        ("**Gap**: none", "no test is named"),
        ("`it_ends`", "without its file"),
        ("`starts.rs`: `it_ends`", "there is no starts.rs"),
        ("`nds.rs`: `it_ends`", "there is no nds.rs"),
        ("`ends.rs`: `it_ends_well`", "has no test it_ends_well"),
        ("`ends.rs`: `it_ends`, `helper`", "has no test helper"),
        ("`ends.rs`: `after`", "has no test after"),
        ("`phone.spec.js`: `a title`", "has no test a title"),
    ] {
        for text in [rows(&[format!("| a | {citation} |").as_str()]), format!("It ends. **Promised** ({citation}).\n")] {
            let found = faults(&text, &sources);
            assert!(found.len() == 1 && found[0].contains(fault), "{citation}: {found:?}");
        }
    }
    assert_eq!(faults("It ends. **Promised**\n", &sources).len(), 1);
    let gaps = "| requirement | how | test or gap |\n|---|---|---|\n| a | - | **Gap**: not there |\n| b | - | soon |\n";
    assert_eq!(faults(gaps, &sources), ["no test is named for: b"]);
}
