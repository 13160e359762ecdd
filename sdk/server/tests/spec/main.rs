//! `sdk/spec`: the vectors are what is made here, the SDK does what each case says, and `server.json` names what there is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bearer;
mod contract;
mod deployment;
mod evidence;
#[path = "../../examples/conformance/failure.rs"]
mod failure;
#[path = "../../examples/conformance/functions.rs"]
mod functions;
mod tokens;
mod users;
mod webhooks;

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Map, Value, json};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/vectors");

/// A file of vectors.
struct Vectors {
    name: &'static str,
    about: &'static str,
    /// The members of `input` that are the same in all cases, unless a case says otherwise.
    shared: Value,
    cases: Vec<Case>,
    /// The function of the SDK that they are for.
    function: &'static str,
}

/// A case of a file.
struct Case {
    name: String,
    input: Value,
    expect: Value,
}

/// An object of one member.
fn member(name: &str, value: impl Into<Value>) -> Value {
    Map::from_iter([(name.to_owned(), value.into())]).into()
}

impl Case {
    fn ok(name: &str, input: Value, ok: Value) -> Self {
        Self { name: name.into(), input, expect: member("ok", ok) }
    }

    fn error(name: &str, input: Value, reason: &str) -> Self {
        Self { name: name.into(), input, expect: json!({ "error": reason }) }
    }

    fn detailed(name: &str, input: Value, reason: &str, detail: &str) -> Self {
        Self { name: name.into(), input, expect: json!({"error": reason, "detail": detail}) }
    }
}

impl Vectors {
    fn all() -> Vec<Self> {
        vec![
            bearer::vectors(),
            webhooks::vectors(),
            tokens::results(),
            tokens::receipts(),
            evidence::vectors(),
            tokens::device_identifiers(),
            users::vectors(),
        ]
    }

    fn to_value(&self) -> Value {
        let mut file = Map::from_iter([("about".to_owned(), json!([self.about]))]);
        file.extend(self.shared.as_object().unwrap().clone());
        let case = |case: &Case| json!({"name": case.name, "input": case.input, "expect": case.expect});
        file.insert("cases".into(), self.cases.iter().map(case).collect());
        file.into()
    }
}

#[test]
fn the_vectors_are_what_is_made_here() {
    let mut others = Vec::new();
    for vectors in Vectors::all() {
        let text = serde_json::to_string_pretty(&vectors.to_value()).unwrap() + "\n";
        let name = format!("{}.json", vectors.name);
        if fs::read_to_string(Path::new(FOLDER).join(&name)).is_ok_and(|kept| kept == text) {
            continue;
        }
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        fs::write(&made, text).unwrap();
        others.push(format!("cp {} sdk/spec/vectors/", made.display()));
    }
    assert!(others.is_empty(), "these vectors are not what the code makes; if the code is right:\n{}", others.join("\n"));
}

/// What a function makes of an input, as in `expect`.
fn run(function: &str, input: &Value) -> Value {
    match functions::run(function, input).unwrap() {
        Ok(ok) => member("ok", ok),
        Err(failure) => {
            let failure = failure.to_value();
            let mut found = member("error", failure["reason"].clone());
            if let Some(detail) = failure.get("detail") {
                found["detail"] = detail.clone();
            }
            found
        }
    }
}

#[test]
fn the_sdk_does_what_every_case_says() {
    let mut known: BTreeSet<_> = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut wrong = Vec::new();
    for vectors in Vectors::all() {
        let name = format!("{}.json", vectors.name);
        let mut file: Map<String, Value> = serde_json::from_slice(&fs::read(Path::new(FOLDER).join(&name)).unwrap()).unwrap();
        assert!(known.remove(&name));
        let (_, cases) = (file.remove("about").unwrap(), file.remove("cases").unwrap());
        let mut names = BTreeSet::new();
        for case in cases.as_array().unwrap() {
            let (Value::String(about), Value::Object(input), expect) = (&case["name"], &case["input"], &case["expect"]) else {
                panic!("{case}");
            };
            assert!(names.insert(about), "{name} has two of {about}");
            assert!(about.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{about}");
            let mut whole = file.clone();
            whole.extend(input.clone());
            let found = run(vectors.function, &whole.into());
            if found != *expect {
                wrong.push(format!("{name}: {about}:\n  expected {expect}\n  found    {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(known, BTreeSet::new(), "files that no language runs");
}
