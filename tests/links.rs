//! Links and names of documents lead somewhere: in every Markdown file to files and headings, anywhere else to files of `docs/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::architecture::top;

/// Folders that are not ours, or made by a build.
const SKIPPED: [&str; 2] = ["target", "node_modules"];

/// Every file of the repository, without those in hidden folders.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !name.starts_with('.') && !SKIPPED.contains(&&*name) {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

/// The lines of a document outside of fenced blocks.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The targets of a document's links, without those in code.
fn links(text: &str) -> Vec<String> {
    // A link may go on in the next line, and so may a span of code.
    let prose = lines(text).collect::<Vec<_>>().join("\n");
    let prose: String = prose.split("\n\n").flat_map(|paragraph| paragraph.split('`').step_by(2).chain(["\n"])).collect();
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut counts = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for line in lines(text).filter(|line| line.starts_with('#') && line.trim_start_matches('#').starts_with(' ')) {
        let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
        let name: String = line.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect();
        let name = name.replace(' ', "-");
        let count = counts.entry(name.clone()).or_insert(0);
        anchors.insert(if *count == 0 { name } else { format!("{name}-{count}") });
        *count += 1;
    }
    anchors
}

/// The documents that a text names by their paths from the root, each with its anchor.
fn named(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "/._-#".contains(c);
    let paths = text.match_indices("docs/").filter(|(at, _)| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '-'));
    let paths = paths.map(|(at, _)| text[at..].split(|c| !is_part(c)).next().unwrap_or_default().trim_end_matches(['.', '#']));
    paths.filter(|path| path.split('#').next().is_some_and(|file| is_document(Path::new(file)))).collect()
}

/// What is wrong with a link from a folder: `a/b.md#c`. `None` if it leads to something, or out of the repository.
fn fault(document: &Path, target: &str) -> Option<String> {
    if target.contains(':') {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = if path.is_empty() { document.to_owned() } else { document.parent()?.join(path) };
    if !file.exists() {
        return Some(format!("{target}: there is no such file"));
    }
    let lacks = |file: &Path| !std::fs::read_to_string(file).is_ok_and(|text| anchors(&text).contains(anchor));
    (!anchor.is_empty() && lacks(&file)).then(|| format!("{target}: there is no such heading"))
}

#[test]
fn every_link_of_a_document_and_every_document_that_is_named_anywhere_is_there() {
    let mut all = Vec::new();
    files(&top(), &mut all);
    let (mut count, mut faults) = (0, Vec::new());
    for path in all {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let mut found: Vec<_> = named(&text).into_iter().map(|name| (top().join("a file"), name.to_owned())).collect();
        if is_document(&path) {
            found.extend(links(&text).into_iter().map(|target| (path.clone(), target)));
        }
        count += found.len();
        let name = path.strip_prefix(top()).unwrap().display();
        faults.extend(found.iter().filter_map(|(from, target)| fault(from, target)).map(|fault| format!("{name}: {fault}")));
    }
    assert!(count > 700, "{count} are read");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let folder = tempfile::TempDir::new().unwrap();
    let document = folder.path().join("a.md");
    let text =
        "# A `title`, twice\n\n## A title twice\n\n```sh\n# no heading\n[x](none.md)\n```\n\n`[x](none.md)` [b\n](a.md#x) [c](#y_z)\n";
    std::fs::write(&document, text).unwrap();
    assert_eq!(anchors(text), BTreeSet::from(["a-title-twice".to_owned(), "a-title-twice-1".to_owned()]));
    assert_eq!(links(text), ["a.md#x", "#y_z"]);
    for good in ["a.md", "#a-title-twice", "a.md#a-title-twice-1", ".", "https://example.com/none#none", "mailto:ada@example.com"] {
        assert_eq!(fault(&document, good), None);
    }
    for (bad, why) in
        [("b.md", "file"), ("b.md#a-title-twice", "file"), ("#no-heading", "heading"), ("a.md#a-title", "heading"), (".#x", "heading")]
    {
        assert!(fault(&document, bad).is_some_and(|fault| fault.ends_with(why)), "{bad}");
    }
    let docs = "docs/";
    let text = format!("see {docs}a.md. ({docs}b/c-d.md#e), ../../{docs}f.md; not old-{docs}g.md, {docs}h.json");
    assert_eq!(named(&text), [format!("{docs}a.md"), format!("{docs}b/c-d.md#e"), format!("{docs}f.md")]);
}
