//! Compiles `proto/` without a `protoc` binary, and turns the `allow`, `idempotency_level` and `reconfirm` options of every method and the
//! `text` and `max_bytes` options of every field into tables.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use prost_reflect::{DescriptorPool, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value};

/// Maximum length of a request's string field without a `max_bytes` option, in bytes.
const MAX_TEXT: u32 = 16 << 10;

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
    // Encoded by the compiler: the generated types know neither our options nor `debug_redact`, and would drop them.
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    fs::write(out.join("texts.rs"), Texts::of(&pool)?.table(&pool)?)?;
    let config = tonic_prost_build::configure().build_transport(false).bytes(".").codec_path("crate::codec::Checked");
    config.include_file("nodkey.rs").compile_fds(descriptors)?;
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

/// One line per method: its path and the principals that its `allow` option names.
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

/// The paths of the methods that may be repeated according to their `idempotency_level`. A method with a streaming request may not: what
/// was sent is gone.
fn idempotent(pool: &DescriptorPool) -> Result<String, Box<dyn std::error::Error>> {
    let mut table =
        String::from("/// Methods that may be repeated when it is unknown whether they took effect.\npub const IDEMPOTENT: &[&str] = &[\n");
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

/// The rules for the texts of requests, by message.
struct Texts {
    text: ExtensionDescriptor,
    max_bytes: ExtensionDescriptor,
    /// Every message that contains text, at any depth.
    messages: Vec<MessageDescriptor>,
}

impl Texts {
    fn of(pool: &DescriptorPool) -> Result<Self, Box<dyn std::error::Error>> {
        let option = |name: &str| pool.get_extension_by_name(name).ok_or("options.proto lost its extension");
        let messages = pool.all_messages().filter(|message| holds_text(message, &mut BTreeSet::new())).collect();
        Ok(Self { text: option("nodkey.options.v1.text")?, max_bytes: option("nodkey.options.v1.max_bytes")?, messages })
    }

    /// The table, and for each message that is sent the row that describes it, if it is a request.
    fn table(&self, pool: &DescriptorPool) -> Result<String, Box<dyn std::error::Error>> {
        let mut table = String::from("/// Messages that contain text.\npub(crate) static MESSAGES: &[&[Field]] = &[\n");
        for message in &self.messages {
            let fields: Vec<_> = message.fields().filter_map(|field| self.field(&field)).collect();
            writeln!(table, "    // {}\n    &[{}],", message.full_name(), fields.join(", "))?;
        }
        table.push_str("];\n");
        let methods: Vec<_> = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
        let requests: BTreeSet<_> = methods.iter().map(|method| method.input().full_name().to_owned()).collect();
        let answers = methods.iter().map(|method| method.output().full_name().to_owned());
        for name in requests.iter().cloned().chain(answers).collect::<BTreeSet<_>>() {
            let path = name.replace('.', "::");
            let request = match self.row(&name) {
                _ if !requests.contains(&name) => "None".to_owned(),
                None => "Some(&[])".to_owned(),
                Some(row) => format!("Some(MESSAGES[{row}])"),
            };
            writeln!(table, "impl Sent for crate::generated::{path} {{\n    const REQUEST: Option<&'static [Field]> = {request};\n}}")?;
        }
        Ok(table)
    }

    fn row(&self, name: &str) -> Option<usize> {
        self.messages.iter().position(|message| message.full_name() == name)
    }

    /// Returns `None` for a field that contains no text.
    fn field(&self, field: &FieldDescriptor) -> Option<String> {
        let holds = match field.kind() {
            Kind::String => {
                let options = field.options();
                // JSON in the form of well-known types: stored as received.
                let foreign = field.parent_message().package_name() == "google.protobuf";
                let text = match options.get_extension(&self.text).as_enum_number() {
                    _ if foreign => "Any",
                    Some(1) => "Lines",
                    Some(2) => "Any",
                    _ => "Line",
                };
                let max = options.get_extension(&self.max_bytes).as_u32().filter(|max| *max > 0).unwrap_or(MAX_TEXT);
                let max = if foreign { u32::MAX } else { max };
                let max = if max == u32::MAX { "u32::MAX".to_owned() } else { grouped(max) };
                format!("Holds::Text {{ text: Text::{text}, max: {max} }}")
            }
            Kind::Message(message) => format!("Holds::Message({})", self.row(message.full_name())?),
            _ => return None,
        };
        let (number, name, repeated) = (field.number(), field.name(), field.is_list() || field.is_map());
        Some(format!("Field {{ number: {number}, name: \"{name}\", repeated: {repeated}, holds: {holds} }}"))
    }
}

fn holds_text(message: &MessageDescriptor, seen: &mut BTreeSet<String>) -> bool {
    seen.insert(message.full_name().to_owned())
        && message.fields().any(|field| match field.kind() {
            Kind::String => true,
            Kind::Message(inner) => holds_text(&inner, seen),
            _ => false,
        })
}

/// A number formatted as a Rust literal: `16_384`.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join("_")
}
