//! The bill of materials that `make sbom` generates.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

#[test]
fn the_list_of_components_has_everything_that_is_linked_and_nothing_that_is_not() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let made = || Command::new(top.join("scripts/sbom")).output().unwrap();
    let output = made();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(made().stdout, output.stdout, "the same lock file gives the same list");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value, member: &str| value[member].as_str().unwrap_or_default().to_owned();
    assert_eq!((text(&document, "bomFormat"), text(&document, "specVersion")), ("CycloneDX".into(), "1.6".into()));
    assert_eq!(text(&document["metadata"]["component"], "name"), "nodkey");
    let components = document["components"].as_array().unwrap();
    for it in components {
        let (name, version) = (text(it, "name"), text(it, "version"));
        assert_eq!(text(it, "type"), "library", "{name}");
        assert_eq!((text(it, "purl"), text(it, "bom-ref")), (format!("pkg:cargo/{name}@{version}"), text(it, "purl")));
        assert!(!text(&it["licenses"][0], "expression").contains(['/', ',']), "{name}: {}", it["licenses"]);
        let (hash, own) = (text(&it["hashes"][0], "content"), name.starts_with("nodkey"));
        assert!(own == hash.is_empty() && (own || hash.len() == 64), "{name} {hash}");
    }
    let names: BTreeSet<_> = components.iter().map(|it| text(it, "name")).collect();
    for linked in ["nodkey-gateway", "nodkey-kernel", "tokio", "rustls", "aws-lc-sys", "libsqlite3-sys", "ed25519-dalek"] {
        assert!(names.contains(linked), "{linked}");
    }
    for other in ["proptest", "nodkey-testkit", "nodkey-e2e", "serde_derive", "tonic-prost-build", "windows-sys"] {
        assert!(!names.contains(other), "{other}");
    }
    let references: BTreeSet<_> = components.iter().map(|it| text(it, "bom-ref")).collect();
    assert_eq!(references.len(), components.len(), "each once");
    let depends = document["dependencies"].as_array().unwrap();
    assert_eq!(depends.len(), components.len() + 1, "each says what it depends on, and so does the product");
    for on in depends.iter().flat_map(|it| it["dependsOn"].as_array().unwrap()) {
        assert!(references.contains(on.as_str().unwrap()), "{on}");
    }
}
