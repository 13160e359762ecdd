//! Settings as given: in a TOML file, then in the environment, each with its name (`db.url`) and its source.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use nodkey_kernel::operator_key::OperatorKey;

use super::shape::{Known, Shape, settings};

/// Prefix of all our variables.
const PREFIX: &str = "NODKEY_";
/// Variables that are read before any setting.
const BEFORE: [&str; 3] = ["NODKEY_CONFIG", "NODKEY_LOG", "NODKEY_LOG_FORMAT"];
/// Minimum similarity of two names for one to be suggested for the other.
const ALIKE: f64 = 0.85;

/// Variables of the `nodkey` command, which services do not read.
pub const OF_THE_COMMAND: &[&str] = &[
    "NODKEY_AUDIENCE",
    "NODKEY_BENCH_TAP",
    "NODKEY_CA_CERTIFICATE",
    "NODKEY_DATA_DIR",
    "NODKEY_DEV_ALLOW_UNPROVEN_PAIRING",
    "NODKEY_DEV_DEMO",
    "NODKEY_DEV_GRPC",
    "NODKEY_DEV_HTTP",
    "NODKEY_DEV_LAN",
    "NODKEY_DEV_LIFETIME_SECONDS",
    "NODKEY_DEV_PUSH_TO_THIS_MACHINE",
    "NODKEY_DEV_RELYING_PARTY_ID",
    "NODKEY_DEV_TLS",
    "NODKEY_GRPC",
    "NODKEY_HTTP",
    "NODKEY_JWKS",
    "NODKEY_MOBILE_SECRET",
    "NODKEY_MOBILE_TOKEN",
    "NODKEY_OPERATOR_KEY",
    "NODKEY_PHONE_KEY",
    "NODKEY_PUBLIC_URL",
    "NODKEY_RELYING_PARTY",
    "NODKEY_SERVER_SECRET",
    "NODKEY_SERVER_TOKEN",
    "NODKEY_SESSION",
    "NODKEY_TEST_NATS_URL",
    "NODKEY_TEST_POSTGRES_URL",
    "NODKEY_WEBHOOK_SECRET",
];

/// All settings that were given.
#[derive(Debug, Default)]
pub(crate) struct Given {
    values: BTreeMap<String, (Value, Source)>,
    /// Variables that look like ours but name no setting, because they contain no `__`.
    strays: Vec<String>,
    faults: Vec<String>,
}

/// The source of a setting.
#[derive(Clone, Debug)]
enum Source {
    File(PathBuf),
    Variable(String),
}

/// Missing, unknown or invalid settings: one line each.
#[derive(Debug)]
pub struct Faults(Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n  "))
    }
}

impl std::error::Error for Faults {}

/// Where a file stops being TOML. Does not include the line itself, which the library's message would quote: it may contain a secret.
fn malformed(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}: {}", before.matches('\n').count() + 1, error.message())
}

/// The variable that sets a setting.
pub(crate) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('.', "__").to_uppercase())
}

impl Given {
    /// Reads the file, if there is one, and our variables from the environment.
    pub(crate) fn read(file: Option<&Path>, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, Faults> {
        let (mut given, mut files) = (Self::default(), Vec::new());
        if let Some(path) = file {
            let failed = |why: &str| Faults(vec![format!("NODKEY_CONFIG: cannot read {}: {why}", path.display())]);
            let text = std::fs::read_to_string(path).map_err(|e| failed(&nodkey_kernel::error::plain(&e.to_string())))?;
            let table: toml::Table = toml::from_str(&text).map_err(|e| failed(&malformed(&text, &e)))?;
            given.add_table("", table, &Source::File(path.to_owned()));
        }
        for (name, value) in variables {
            let Some(name) = name.to_str().map(str::to_ascii_uppercase) else { continue };
            let Some(own) = name.strip_prefix(PREFIX).filter(|_| !BEFORE.contains(&name.as_str())) else { continue };
            if !own.contains("__") {
                if !is_of_kubernetes(own, &value) {
                    given.strays.push(name);
                }
                continue;
            }
            let setting = own.to_lowercase().replace("__", ".");
            let Ok(text) = value.into_string() else {
                given.faults.push(format!("{name} is not UTF-8"));
                continue;
            };
            match setting.strip_suffix("_file").filter(|setting| is_secret(setting)) {
                Some(secret) => files.push((secret.to_owned(), name, text)),
                None => drop(given.values.insert(setting, (Value::String(text), Source::Variable(name)))),
            }
        }
        for (setting, variable, path) in files {
            given.add_file(setting, variable, &path);
        }
        given.strays.sort();
        Ok(given)
    }

    /// Adds a secret from the file that a variable names, as orchestrators mount them.
    fn add_file(&mut self, setting: String, variable: String, path: &str) {
        if matches!(self.values.get(&setting), Some((_, Source::Variable(_)))) {
            self.faults.push(format!("{variable} and {} are both set: set one of them", self::variable(&setting)));
            return;
        }
        // Nothing was set, as with any other variable; and a secret is no file name, which an error would show.
        if path.trim().is_empty() {
            return;
        }
        if !path.contains('/') {
            self.faults.push(format!("{variable} must be the path of a file, with a slash in it"));
            return;
        }
        match std::fs::read_to_string(path) {
            Ok(text) => drop(self.values.insert(setting, (Value::String(text.trim_end().to_owned()), Source::Variable(variable)))),
            Err(e) => self.faults.push(format!("{variable}: cannot read {path}: {}", nodkey_kernel::error::plain(&e.to_string()))),
        }
    }

    fn add_table(&mut self, above: &str, table: toml::Table, source: &Source) {
        for (name, value) in table {
            let name = if above.is_empty() { name } else { format!("{above}.{name}") };
            match value {
                toml::Value::Table(table) => self.add_table(&name, table, source),
                value => {
                    let value = serde_json::to_value(value).unwrap_or_default();
                    self.values.insert(name, (value, source.clone()));
                }
            }
        }
    }

    /// Whether a setting was given, and is not empty.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|(value, _)| value.as_str().is_none_or(|text| !text.trim().is_empty()))
    }

    /// Whether any setting of a section was given.
    pub(crate) fn has_section(&self, section: &str) -> bool {
        self.values.keys().any(|name| name.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')))
    }

    /// The given list's settings that are missing, described for the person who has to set them.
    pub(crate) fn missing(&self, required: &[&str]) -> Vec<String> {
        let missing = required.iter().filter(|name| !self.has(name));
        missing.map(|name| format!("{name} is missing: set {}", variable(name))).collect()
    }

    /// Builds a type of settings. `missing` are faults that were found before; everything wrong is reported together.
    pub(crate) fn to_settings<T: DeserializeOwned>(&self, missing: Vec<String>) -> Result<T, Faults> {
        let known = settings::<T>();
        let mut faults = self.faults.clone();
        faults.extend(missing);
        let mut values = Map::new();
        for (name, (value, source)) in &self.values {
            match known.iter().find(|known| known.name == *name) {
                None => faults.push(unknown(name, source, &known)),
                Some(setting) => match fitting(value, source, setting) {
                    Ok(value) => insert(&mut values, name, value),
                    Err(must) => faults.push(format!("{} {must}", named(name, source))),
                },
            }
        }
        if faults.is_empty() {
            match serde_path_to_error::deserialize(Value::Object(values)) {
                Ok(settings) => return Ok(settings),
                Err(e) => {
                    let name = e.path().to_string();
                    let name = name.split('[').next().unwrap_or_default();
                    let named = self.values.get(name).map_or_else(|| name.to_owned(), |(_, source)| named(name, source));
                    faults.push(format!("{named}: {}", e.into_inner()));
                }
            }
        }
        Err(Faults(faults))
    }

    /// The settings of `T` as a TOML file that has the same effect, one a line, with where each came from. Secrets are left out.
    pub(crate) fn to_toml<T: DeserializeOwned>(&self) -> String {
        let line = |setting: &Known| match self.values.get(&setting.name) {
            None => format!("# {} has its default", setting.name),
            Some((value, source)) if is_secret(&setting.name) || value.as_str().is_some_and(|text| OperatorKey::is_secret(text.trim())) => {
                format!("# {} is secret, and set by {source}", setting.name)
            }
            Some((value, source)) => match fitting(value, source, setting) {
                Ok(value) => format!("{} = {value} # {source}", setting.name),
                Err(must) => format!("# {} {must}", named(&setting.name, source)),
            },
        };
        settings::<T>().iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Reads one section, from the valid settings in it. For callers that can do nothing about the rest.
    pub(crate) fn section<T: DeserializeOwned + Default>(&self, section: &str) -> T {
        let known = settings::<T>();
        let mut values = Map::new();
        for (name, (value, source)) in &self.values {
            let Some(inner) = name.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')) else { continue };
            let setting = known.iter().find(|known| known.name == inner);
            if let Some(Ok(value)) = setting.map(|setting| fitting(value, source, setting)) {
                insert(&mut values, inner, value);
            }
        }
        serde_json::from_value(Value::Object(values)).unwrap_or_default()
    }

    /// Variables that name no setting of `T`, described for the person who may have meant one.
    pub(crate) fn strays<T: DeserializeOwned>(&self) -> Vec<String> {
        let known = settings::<T>();
        let told = |name: &String| {
            if OF_THE_COMMAND.contains(&name.as_str()) {
                return format!("{name} is read by the `nodkey` command alone: it has no effect here, and does not belong here");
            }
            let own = name.strip_prefix(PREFIX).unwrap_or(name);
            match alike(own, &known) {
                Some(meant) => format!("{name} has no effect; did you mean {}?", variable(meant)),
                None => format!("{name} has no effect: there is no such setting"),
            }
        };
        self.strays.iter().map(told).collect()
    }
}

/// Whether the value of a setting is secret: it is never shown, and may be in a file that the variable with `_FILE` names.
fn is_secret(name: &str) -> bool {
    const SECRETS: [&str; 9] = [
        "password",
        "master_key",
        "previous_master_keys",
        "service_key",
        "internal_key",
        "operator_key",
        "previous_operator_key",
        "cookie_key",
        "previous_cookie_key",
    ];
    // The URL of a database has a password in it, and that of a bus may have one.
    ["db.url", "bus.url"].contains(&name) || name.rsplit('.').next().is_some_and(|last| SECRETS.contains(&last))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// The name of a setting as it was given: by file or variable.
fn named(name: &str, source: &Source) -> String {
    match source {
        Source::File(path) => format!("{name} in {}", path.display()),
        Source::Variable(variable) => variable.clone(),
    }
}

fn unknown(name: &str, source: &Source, known: &[Known]) -> String {
    let meant = alike(name, known).map(|meant| match source {
        Source::File(_) => format!("; did you mean {meant}?"),
        Source::Variable(_) => format!("; did you mean {}?", variable(meant)),
    });
    format!("{} is not a setting of this service{}", named(name, source), meant.unwrap_or_default())
}

/// The setting with the most similar name, if it is similar enough.
fn alike<'a>(name: &str, known: &'a [Known]) -> Option<&'a str> {
    let letters = |name: &str| name.to_lowercase().replace(['_', '.'], "");
    let name = letters(name);
    let likeness = |known: &'a Known| (strsim::normalized_damerau_levenshtein(&name, &letters(&known.name)), known.name.as_str());
    let best = known.iter().map(likeness).max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness >= ALIKE).map(|(_, name)| name)
}

/// Converts a value to its setting's type. The text of a variable is interpreted by that type: a text setting keeps it as it is, digits or
/// not. `Err` says what the value must be.
fn fitting(value: &Value, source: &Source, setting: &Known) -> Result<Value, String> {
    let given_as_text = matches!(source, Source::Variable(_));
    if setting.list {
        let parts = match value {
            Value::Array(parts) => parts.clone(),
            Value::String(text) if given_as_text => parts(text),
            _ => return Err("must be a list, such as [\"a\", \"b\"]".to_owned()),
        };
        return parts.iter().map(|part| single(part, given_as_text, setting.shape)).collect::<Result<_, _>>().map(Value::Array);
    }
    single(value, given_as_text, setting.shape)
}

fn single(value: &Value, given_as_text: bool, shape: Shape) -> Result<Value, String> {
    let text = value.as_str().filter(|_| given_as_text).map(str::trim);
    match shape {
        Shape::Text if value.is_string() => Ok(value.clone()),
        Shape::Text => Err("must be text: put it between quotes".to_owned()),
        Shape::Switch => {
            let read = text.map_or(value.as_bool(), |text| text.parse().ok());
            read.map(Value::Bool).ok_or_else(|| "must be true or false".to_owned())
        }
        Shape::Whole { most } => {
            let read = text.map_or(value.as_u64(), |text| text.parse().ok()).filter(|number| *number <= most);
            read.map(Value::from).ok_or_else(|| format!("must be a whole number from 0 to {most}"))
        }
    }
}

/// The values of `[a, b]`; brackets and quotes are optional.
fn parts(text: &str) -> Vec<Value> {
    let text = text.trim();
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parts = inner.split(',').map(|part| part.trim().trim_matches('"')).filter(|part| !part.is_empty());
    parts.map(Value::from).collect()
}

fn insert(values: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => drop(values.insert(name.to_owned(), value)),
        Some((section, rest)) => {
            let section = values.entry(section).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(section) = section {
                insert(section, rest, value);
            }
        }
    }
}

/// Whether Kubernetes created the variable, for a service whose name begins with `nodkey`: `NODKEY_REGISTRY_PORT=tcp://10.0.0.1:7070`.
fn is_of_kubernetes(own: &str, value: &OsString) -> bool {
    let is_url = value.to_str().is_some_and(|value| ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme)));
    let numbered = own.split_once("_PORT_").is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()));
    own.contains("_SERVICE_HOST") || own.contains("_SERVICE_PORT") || is_url || numbered
}

#[cfg(test)]
mod tests;
