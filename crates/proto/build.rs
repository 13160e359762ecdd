//! Compiles `proto/` without a `protoc` binary, and turns the `allow`, `idempotency_level` and `reconfirm` options of every method into
//! tables.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use prost_reflect::{DescriptorPool, Value};

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    protos(&root, &mut files)?;
    files.sort();
    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let descriptors = compiler.file_descriptor_set();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let pool = compiler.descriptor_pool();
    fs::write(out.join("access.rs"), access(&pool)? + &idempotent(&pool)? + &reconfirmed(&pool)?)?;
    // Encoded by the compiler: the generated types know neither our options nor `debug_redact`, and would lose them.
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().build_transport(false).bytes(".").include_file("nodkey.rs").compile_fds(descriptors)?;
    Ok(())
}

fn protos(dir: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            protos(&path, into)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            into.push(path);
        }
    }
    Ok(())
}

/// One line a method: its path and the principals its `allow` option names.
fn access(pool: &DescriptorPool) -> Result<String, Box<dyn std::error::Error>> {
    let allow = pool.get_extension_by_name("nodkey.options.v1.allow").ok_or("options.proto lost its extension")?;
    let mut table = String::from("/// Method path and the principals that may call it.\npub const ACCESS: &[(&str, &[Principal])] = &[\n");
    for service in pool.services() {
        for method in service.methods() {
            let options = method.options();
            let mut principals = Vec::new();
            if let Value::List(values) = &*options.get_extension(&allow) {
                for value in values {
                    principals.push(match value.as_enum_number() {
                        Some(1) => "Principal::Public",
                        Some(2) => "Principal::Backend",
                        Some(4) => "Principal::Operator",
                        Some(5) => "Principal::Owner",
                        Some(6) => "Principal::Auditor",
                        Some(7) => "Principal::Service(ServiceName::Gateway)",
                        Some(8) => "Principal::Service(ServiceName::Registry)",
                        Some(9) => "Principal::Service(ServiceName::Binding)",
                        Some(10) => "Principal::Service(ServiceName::Trusonafication)",
                        Some(11) => "Principal::Service(ServiceName::Notification)",
                        Some(12) => "Principal::ForConsole(ServiceName::Gateway)",
                        Some(13) => "Principal::ForConsole(ServiceName::Registry)",
                        Some(14) => "Principal::Oneself",
                        other => return Err(format!("{}: unknown principal {other:?}", method.full_name()).into()),
                    });
                }
            }
            writeln!(table, "    (\"/{}/{}\", &[{}]),", service.full_name(), method.name(), principals.join(", "))?;
        }
    }
    table.push_str("];\n");
    Ok(table)
}

/// The paths of the methods whose `idempotency_level` says that they may be repeated. One that streams its request may not: what was
/// sent is gone.
fn idempotent(pool: &DescriptorPool) -> Result<String, Box<dyn std::error::Error>> {
    let mut table =
        String::from("/// Methods that may be repeated when nobody knows whether they were done.\npub const IDEMPOTENT: &[&str] = &[\n");
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let level = method.options().get_field_by_name("idempotency_level").and_then(|level| level.as_enum_number());
        // NO_SIDE_EFFECTS, IDEMPOTENT.
        if matches!(level, Some(1 | 2)) && !method.is_client_streaming() {
            writeln!(table, "    \"/{}/{}\",", method.parent_service().full_name(), method.name())?;
        }
    }
    table.push_str("];\n");
    Ok(table)
}

/// The paths of the methods that operators confirm on their phones.
fn reconfirmed(pool: &DescriptorPool) -> Result<String, Box<dyn std::error::Error>> {
    let reconfirm = pool.get_extension_by_name("nodkey.options.v1.reconfirm").ok_or("options.proto lost its extension")?;
    let mut table = String::from("/// Methods that operators confirm on their phones.\npub const RECONFIRMED: &[&str] = &[\n");
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        if method.options().get_extension(&reconfirm).as_bool() == Some(true) {
            writeln!(table, "    \"/{}/{}\",", method.parent_service().full_name(), method.name())?;
        }
    }
    table.push_str("];\n");
    Ok(table)
}
