//! The README is compiled (`cargo test --doc`); what it says of files is so.

const README: &str = include_str!("../README.md");
const LOGIN: &str = include_str!("../examples/login.rs");

#[test]
fn the_login_of_the_readme_is_the_example() {
    let shown = README.split("```rust,no_run\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a login");
    let above = |line: &&str| line.starts_with("//!") || line.starts_with("#!") || line.is_empty();
    let example: Vec<_> = LOGIN.lines().skip_while(above).collect();
    assert_eq!(shown.lines().collect::<Vec<_>>(), example);
    let code = shown.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with("//"));
    assert!(code.count() <= 30, "a first login has thirty lines at most");
}

#[test]
fn every_call_of_the_specification_is_in_the_table_of_the_readme() {
    let spec: serde_json::Value = serde_json::from_str(include_str!("../../spec/server.json")).expect("JSON");
    for call in spec["calls"].as_array().expect("calls") {
        let (resource, method) = call["name"].as_str().and_then(|name| name.split_once('.')).expect("a name");
        let row = README.lines().find(|line| line.starts_with('|') && line.contains(&format!("`nodkey.{resource}()`")));
        assert!(row.is_some_and(|row| row.contains(&format!("`{method}`"))), "{resource}.{method}");
    }
}
