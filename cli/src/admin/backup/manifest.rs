//! What a backup says about itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read as _,
    path::Path,
};

use anyhow::Context as _;
use aws_lc_rs::digest::{Context, SHA256};
use nodkey_db::snapshot::Content;
use nodkey_kernel::service_key::ServiceName;
use serde::{Deserialize, Serialize};

use super::databases::{Engine, SERVICES, schema};
use crate::{
    connection::{read_json, write_secret},
    failure::Refused,
};

/// The file in the folder of a backup. It is written last: a folder without it is no backup.
pub const FILE: &str = "manifest.json";
/// The form of this file and of the parts beside it.
const FORMAT: u32 = 1;

/// The manifest of a backup. It has no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// Version of the `nodkey` that wrote it.
    pub nodkey: String,
    pub engine: Engine,
    /// When the databases began to be opened, RFC 3339: what was done later may be missing.
    pub taken_at: String,
    /// For how long writes were held, in milliseconds.
    pub writes_held_ms: f64,
    /// Ids of the master keys that sealed values need. Never keys.
    pub master_keys: BTreeSet<String>,
    pub databases: Vec<Part>,
}

/// A database in a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    pub service: String,
    /// In the folder of the manifest.
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
    /// Of PostgreSQL: such as 150018.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<u32>,
    /// Versions of the schema's migrations.
    pub migrations: Vec<i64>,
    pub tables: BTreeMap<String, Content>,
}

impl Manifest {
    /// Of databases that were just read.
    pub fn new(engine: Engine, taken_at: String, held: std::time::Duration, databases: Vec<Part>) -> Self {
        let contents = databases.iter().flat_map(|part| part.tables.values());
        Self {
            format: FORMAT,
            nodkey: env!("CARGO_PKG_VERSION").to_owned(),
            engine,
            taken_at,
            writes_held_ms: (held.as_secs_f64() * 10_000.0).round() / 10.0,
            master_keys: contents.flat_map(|content| content.master_keys.iter().cloned()).collect(),
            databases,
        }
    }

    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        write_secret(&folder.join(FILE), self)
    }

    /// Reads the manifest of a backup, and checks that this build can use it.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let manifest: Option<Self> = read_json(&path)?;
        let manifest =
            manifest.ok_or_else(|| Refused(format!("{} is no backup, or one that was interrupted: it has no {FILE}", folder.display())))?;
        if manifest.format != FORMAT {
            let what =
                format!("this backup has format {}, and nodkey {} reads format {FORMAT}", manifest.format, env!("CARGO_PKG_VERSION"));
            return Err(Refused(format!("{what}: use nodkey {}", manifest.nodkey)).into());
        }
        manifest.check_schemas()?;
        Ok(manifest)
    }

    /// The part of a service.
    pub fn part(&self, service: ServiceName) -> anyhow::Result<&Part> {
        let part = self.databases.iter().find(|part| part.service == service.as_str());
        Ok(part.ok_or_else(|| Refused(format!("the backup has no database of {service}")))?)
    }

    /// Number of rows in all tables.
    pub fn rows(&self) -> u64 {
        self.databases.iter().flat_map(|part| part.tables.values()).map(|content| content.rows).sum()
    }

    /// Number of bytes of all parts.
    pub fn bytes(&self) -> u64 {
        self.databases.iter().map(|part| part.bytes).sum()
    }

    /// The ids of the master keys, for people.
    pub fn master_key_list(&self) -> String {
        self.master_keys.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Number of rows of a table of a service.
    pub fn rows_of(&self, service: ServiceName, table: &str) -> u64 {
        self.part(service).ok().and_then(|part| part.tables.get(table)).map_or(0, |content| content.rows)
    }

    /// What must not go on after a restore, the build knows of its own schema alone. A newer one is restored by the version that wrote it.
    fn check_schemas(&self) -> anyhow::Result<()> {
        for service in SERVICES {
            let known = schema(service).map(|schema| schema.versions(self.engine == Engine::Postgres)).unwrap_or_default();
            let unknown: Vec<_> = self.part(service)?.migrations.iter().filter(|version| !known.contains(version)).collect();
            if !unknown.is_empty() {
                let what = format!("the backup is of nodkey {}, whose schema of {service} is newer than this nodkey's", self.nodkey);
                return Err(Refused(format!("{what}: use that version (migration {})", unknown[0])).into());
            }
        }
        Ok(())
    }

    /// Checks that every part is as it was written.
    pub fn check_parts(&self, folder: &Path) -> anyhow::Result<()> {
        for part in &self.databases {
            // A manifest from elsewhere names no file outside of its folder.
            let plain = Path::new(&part.file).file_name().is_some_and(|name| name == part.file.as_str());
            let found = if plain { hash(&folder.join(&part.file))? } else { (0, String::new()) };
            if found != (part.bytes, part.sha256.clone()) {
                return Err(Refused(format!("nothing was changed: {} is not what the backup says it is", part.file)).into());
            }
        }
        Ok(())
    }
}

/// Length and SHA-256 of a file.
pub fn hash(path: &Path) -> anyhow::Result<(u64, String)> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut digest, mut buffer, mut length) = (Context::new(&SHA256), vec![0; 1 << 20], 0);
    loop {
        let read = file.read(&mut buffer).with_context(|| format!("cannot read {}", path.display()))?;
        if read == 0 {
            return Ok((length, hex::encode(digest.finish())));
        }
        digest.update(&buffer[..read]);
        length += read as u64;
    }
}
