//! The public API of the Rust SDKs: what `sdk/NAME/public-api.txt` lists, in types of their own.
//!
//! `cargo test -p nodkey-public-api -- --ignored` compares, as `make sdk` does, and says how to accept a change. Every line that goes or
//! changes breaks somebody's build: such a change is a major version, before 1.0 a minor one, and stands in the changelog. To watch another
//! crate, add a line to [`sdks`].
//!
//! The list is made from rustdoc's JSON, whose form changes between compilers; the version of `public-api` that reads it changes with them.
//! Only rustdoc itself runs with unstable options (`RUSTC_BOOTSTRAP`): nothing is compiled anew for it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Whose types may be in public signatures, besides a crate's own. `Stream` is of `futures_core`, which is at 0.3 since 2019.
const ALLOWED: [&str; 4] = ["core", "std", "alloc", "futures_core"];

/// Traits of the compiler that nobody relies on.
const UNWATCHED: [&str; 5] = ["marker::Freeze", "marker::StructuralPartialEq", "marker::Unpin", "marker::UnsafeUnpin", "UnwindSafe"];

/// What has methods without being of a crate: `i32::from`.
const PRIMITIVES: [&str; 9] = ["bool", "str", "i32", "i64", "u8", "u16", "u32", "u64", "usize"];

macro_rules! sdks {
    ($($name:ident: $folder:literal, $package:literal;)+) => {$(
        mod $name {
            #[test]
            #[ignore = "documents the SDK, which takes two minutes: make sdk"]
            fn its_public_api_is_as_in_its_snapshot_and_names_nothing_of_other_crates() {
                let listed = super::listed($package);
                let found = super::strangers(&listed, $package);
                assert!(found.is_empty(), "these are not the SDK's own, and change with other crates:\n{}", found.join("\n"));
                super::compare(&listed, $folder, $package);
            }
        }
    )+};
}

sdks! {
    server: "sdk/server", "nodkey-server-sdk";
    mobile: "sdk/mobile", "nodkey-mobile-sdk";
}

/// The repository.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The items of a crate that others can use, a line each.
fn listed(package: &str) -> String {
    let made = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = made.parent().unwrap();
    // A program, since the variable would have everything else built anew.
    let rustdoc = made.join(format!("rustdoc-of-{package}"));
    let real = std::env::var_os("RUSTDOC").unwrap_or_else(|| OsString::from("rustdoc"));
    fs::write(&rustdoc, format!("#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec '{}' \"$@\"\n", real.display())).unwrap();
    fs::set_permissions(&rustdoc, fs::Permissions::from_mode(0o755)).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["rustdoc", "--locked", "--lib", "--all-features", "--package", package, "--target-dir"]).arg(target);
    cargo.args(["--", "-Zunstable-options", "--output-format=json", "--cap-lints=allow"]);
    let output = cargo.env("RUSTDOC", &rustdoc).current_dir(top()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json = target.join("doc").join(format!("{}.json", package.replace('-', "_")));
    let api = |briefly: bool| {
        let builder = public_api::Builder::from_rustdoc_json(&json).omit_blanket_impls(true);
        let api = builder.omit_auto_trait_impls(briefly).omit_auto_derived_impls(briefly).build();
        let api =
            api.unwrap_or_else(|error| panic!("this compiler's rustdoc needs another version of public-api, see Cargo.toml: {error}"));
        api.to_string()
    };
    let (brief, whole) = (api(true), api(false));
    let items: BTreeSet<&str> = brief.lines().collect();
    // That a type is `Clone` or `Send` is part of it. Which methods that has is known.
    let is_trait = |line: &str| line.starts_with("impl") && !UNWATCHED.iter().any(|name| line.contains(name));
    let listed: Vec<_> = whole.lines().filter(|line| items.contains(line) || is_trait(line)).collect();
    listed.join("\n") + "\n"
}

fn compare(listed: &str, folder: &str, package: &str) {
    let kept = fs::read_to_string(top().join(folder).join("public-api.txt")).unwrap_or_default();
    if listed == kept {
        return;
    }
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("public-api-of-{package}.txt"));
    fs::write(&made, listed).unwrap();
    let [before, now]: [BTreeSet<&str>; 2] = [&*kept, listed].map(|text| text.lines().collect());
    let gone = before.difference(&now).map(|line| format!("- {line}"));
    let new = now.difference(&before).map(|line| format!("+ {line}"));
    let changes: Vec<_> = gone.chain(new).collect();
    panic!(
        "the public API of {package} changed:\n{}\nif that is right, name it in {folder}/CHANGELOG.md and\ncp {} {folder}/public-api.txt",
        changes.join("\n"),
        made.display()
    );
}

/// The lines that name something of a crate that is not allowed there.
fn strangers<'a>(listed: &'a str, package: &str) -> Vec<&'a str> {
    let own = package.replace('-', "_");
    let is_strange = |path: &str| {
        let first = path.split("::").next().unwrap_or_default();
        // What begins with a capital is a parameter, such as `T::Item`.
        let is_known = first == own || ALLOWED.contains(&first) || PRIMITIVES.contains(&first);
        path.contains("::") && first.starts_with(|c: char| c.is_ascii_lowercase()) && !is_known
    };
    let paths = |line: &'a str| line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    listed.lines().filter(|line| paths(line).any(is_strange)).collect()
}

#[test]
fn types_of_others_are_found_wherever_they_stand() {
    let own = [
        "pub fn our_sdk::Nodkey::get(&self) -> core::result::Result<our_sdk::User, our_sdk::Error>",
        "impl core::convert::From<&str> for our_sdk::Id",
        "pub fn our_sdk::all<T: core::iter::Iterator>(items: T) -> alloc::vec::Vec<T::Item>",
        "impl futures_core::stream::Stream for our_sdk::List<u8>",
        "pub use our_sdk::Error",
        "pub fn i32::from(our_sdk::Level) -> Self",
    ];
    assert_eq!(strangers(&own.join("\n"), "our-sdk"), [""; 0]);
    for line in [
        "impl core::convert::From<tonic::status::Status> for our_sdk::Error",
        "pub our_sdk::User::key: nodkey_kernel::jose::jwk::PublicJwk",
        "pub fn our_sdk::f(value: &serde_json::value::Value)",
        "pub fn our_sdk::f() -> impl core::future::future::Future<Output = reqwest::Response>",
        "impl serde_core::ser::Serialize for our_sdk::User",
        "pub use our_sdk::<<nodkey_proto::binding::v1>>",
    ] {
        assert_eq!(strangers(&[own[0], line].join("\n"), "our-sdk"), [line]);
    }
}
