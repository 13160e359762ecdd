//! The rules of ARCHITECTURE.md that the compiler does not check.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use nodkey_bus::CONSUMERS;
use serde_json::Value;

const SERVICES: [&str; 5] = ["registry", "binding", "trusonafication", "notification", "gateway"];

/// The root of the repository.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file below a folder.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

/// The dependencies of each package of the workspace, without those of tests.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(top())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap();
        all.iter().filter(|d| d["kind"].is_null()).map(name).collect()
    };
    metadata["packages"].as_array().unwrap().iter().map(|package| (name(package), normal(package))).collect()
}

#[test]
fn no_service_depends_on_another() {
    let dependencies = dependencies();
    for service in SERVICES {
        for other in SERVICES {
            assert!(!dependencies[&format!("nodkey-{service}")].contains(&format!("nodkey-{other}")), "{service} depends on {other}");
        }
    }
}

#[test]
fn one_crate_alone_speaks_to_each_engine() {
    let libraries = [
        ("sqlx", &["nodkey-db", "nodkey-testkit"][..]),
        ("deadpool", &["nodkey-db"]),
        // `nodkey bench bounds` compares with bare clients: a bound measured through nodkey-db would degrade together with it.
        ("rusqlite", &["nodkey", "nodkey-db"]),
        ("tokio-postgres", &["nodkey"]),
        ("async-nats", &["nodkey-bus"]),
        ("protox", &[]),
    ];
    for (library, owners) in libraries {
        for (package, dependencies) in dependencies() {
            assert_eq!(dependencies.iter().any(|d| d == library), owners.contains(&package.as_str()), "{package} and {library}");
        }
    }
}

#[test]
fn crates_depend_downwards() {
    let order = ["nodkey-kernel", "nodkey-metrics", "nodkey-proto", "nodkey-db", "nodkey-bus", "nodkey-runtime"];
    let dependencies = dependencies();
    for (i, package) in order.iter().enumerate() {
        for above in order.iter().skip(i + 1).copied().chain(SERVICES.iter().copied()) {
            assert!(!dependencies[*package].iter().any(|d| d == above || d == &format!("nodkey-{above}")), "{package} depends on {above}");
        }
    }
    for io in ["tokio", "reqwest", "axum", "tonic"] {
        assert!(!dependencies["nodkey-kernel"].iter().any(|d| d == io), "the kernel does no I/O: {io}");
    }
    for sdk in ["nodkey-client", "nodkey-server-sdk", "nodkey-mobile-sdk"] {
        assert!(!dependencies[sdk].iter().any(|d| d == "nodkey-runtime" || d == "nodkey-db"), "{sdk} is for others");
    }
    // The demo site is a relying party like any other.
    let known = ["nodkey-client", "nodkey-kernel", "nodkey-web"];
    let ours = dependencies["nodkey-demo"].iter().filter(|d| d.starts_with("nodkey-"));
    assert_eq!(ours.collect::<Vec<_>>(), known, "the demo site uses public APIs alone");
}

/// The files of a service that are `<part>.rs` or below `<part>/`.
fn part(service: &str, part: &str) -> Vec<PathBuf> {
    let source = top().join("services").join(service).join("src");
    let belongs = |path: &PathBuf| {
        let first = path.strip_prefix(&source).unwrap().components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        first == part || first == format!("{part}.rs")
    };
    rust_files(&source).into_iter().filter(belongs).collect()
}

#[test]
fn domains_are_pure() {
    for service in SERVICES.iter().filter(|s| **s != "gateway") {
        let files = part(service, "domain");
        assert!(!files.is_empty(), "{service} has a domain");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for impure in ["tokio", "nodkey_db", "nodkey_bus", "nodkey_runtime", "nodkey_proto", "tonic", "axum", "reqwest", "tracing"] {
                assert!(!text.contains(&format!("{impure}::")), "{} uses {impure}", file.display());
            }
        }
    }
}

#[test]
fn the_use_cases_alone_touch_the_tables() {
    for service in SERVICES.iter().filter(|s| **s != "gateway") {
        for outside in ["grpc", "events", "jobs", "domain", "convert", "queues", "webhook", "push"] {
            for file in part(service, outside) {
                let text = std::fs::read_to_string(&file).unwrap();
                assert!(!text.contains("store::"), "{} uses the store", file.display());
            }
        }
    }
}

#[test]
fn every_service_has_the_same_rooms() {
    for service in SERVICES.iter().filter(|s| **s != "gateway") {
        for room in ["main", "lib", "config", "domain", "error", "app", "store", "grpc", "events", "jobs"] {
            assert!(!part(service, room).is_empty(), "{service} has no {room}");
        }
        for engine in ["postgres", "sqlite"] {
            let migrations = top().join("services").join(service).join("migrations").join(engine);
            assert!(migrations.is_dir(), "{}", migrations.display());
        }
    }
}

/// The first path segments after `prefix` in the `use` declarations of a text.
fn used(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for declaration in text.split(prefix).skip(1) {
        let declaration = declaration.split_once(';').unwrap().0;
        let items = declaration.strip_prefix('{').and_then(|items| items.strip_suffix('}')).unwrap_or(declaration);
        let mut depth = 0;
        let outermost = items.chars().filter(|c| {
            depth += i32::from(*c == '{') - i32::from(*c == '}');
            depth == 0 && *c != '}'
        });
        let outermost: String = outermost.collect();
        let first = |item: &str| item.trim().split("::").next().map(ToOwned::to_owned);
        words.extend(outermost.split(',').filter_map(first).filter(|word| !word.is_empty()));
    }
    words
}

/// The modules of a folder that use one another in a cycle.
fn circle(folder: &str, prefix: &str) -> Vec<String> {
    let folder = top().join(folder);
    let mut modules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in rust_files(&folder) {
        let path = file.strip_prefix(&folder).unwrap();
        if path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs") {
            continue;
        }
        let name = path.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let mut uses = used(text, prefix);
        uses.remove(&name);
        modules.entry(name).or_default().extend(uses);
    }
    // A module that uses none of those left is in no cycle.
    loop {
        let left: BTreeSet<_> = modules.keys().cloned().collect();
        modules.retain(|_, uses| uses.iter().any(|module| left.contains(module)));
        if modules.len() == left.len() {
            return left.into_iter().collect();
        }
    }
}

#[test]
fn modules_use_one_another_in_no_circle() {
    for folder in ["crates/bus/src", "crates/db/src", "crates/runtime/src", "services/gateway/src"] {
        assert_eq!(circle(folder, "use crate::"), Vec::<String>::new(), "{folder}");
    }
    for purpose in ["call", "identity", "serving", "use_case"] {
        assert_eq!(circle(&format!("crates/runtime/src/{purpose}"), "use super::"), Vec::<String>::new(), "{purpose}");
    }
}

#[test]
fn the_documents_name_every_consumer_and_no_other() {
    let text = std::fs::read_to_string(top().join("docs/events.md")).unwrap();
    let known: BTreeSet<_> = CONSUMERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let is_consumer = |word: &&str| SERVICES.iter().any(|service| word.starts_with(&format!("{service}_")) && *word != "binding_ids");
    let named: BTreeSet<_> = text.split('`').skip(1).step_by(2).filter(is_consumer).map(ToOwned::to_owned).collect();
    assert_eq!(named, known);
}
