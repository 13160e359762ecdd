//! Where the databases of an installation are.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nodkey_binding::Binding;
use nodkey_db::{DbConfig, Migrations};
use nodkey_kernel::service_key::ServiceName;
use nodkey_notification::Notification;
use nodkey_registry::Registry;
use nodkey_runtime::Service as _;
use nodkey_trusonafication::Trusonafication;
use serde::{Deserialize, Serialize};

use crate::failure::{Refused, Usage};

/// The services with a database.
pub const SERVICES: [ServiceName; 4] =
    [ServiceName::Registry, ServiceName::Binding, ServiceName::Trusonafication, ServiceName::Notification];

/// The databases of five processes, and the programs for them.
#[derive(Clone, Debug, clap::Args)]
pub struct Servers {
    /// File with the URLs of the four PostgreSQL databases, one per line: registry=postgres://user:password@host/database
    ///
    /// Without it: the SQLite files in the data folder. A password may be in ~/.pgpass instead. A service's own user is enough.
    #[arg(long, value_name = "FILE")]
    databases: Option<PathBuf>,
    /// Folder of PostgreSQL's client programs; by default, they are found by PATH
    #[arg(long, value_name = "DIR")]
    postgres_bin: Option<PathBuf>,
}

/// On which engine the databases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    Postgres,
    Sqlite,
}

/// A database of a service.
#[derive(Clone, Debug)]
pub struct Database {
    pub service: ServiceName,
    pub config: DbConfig,
}

/// The databases of an installation.
#[derive(Clone, Debug)]
pub struct Databases {
    pub engine: Engine,
    /// One for each service, in order.
    pub all: Vec<Database>,
}

impl Servers {
    /// The databases that were named, or else those in the data folder.
    pub fn databases(&self, data_dir: &Path) -> anyhow::Result<Databases> {
        match &self.databases {
            Some(file) => Databases::on_servers(file),
            None => Ok(Databases::in_folder(data_dir)),
        }
    }

    /// The databases that were named.
    pub fn named(&self) -> anyhow::Result<Databases> {
        let file =
            self.databases.as_deref().ok_or_else(|| Usage("name the file with the URLs of the databases: --databases FILE".into()))?;
        Databases::on_servers(file)
    }

    /// The folder of PostgreSQL's programs, if it was named.
    pub fn bin(&self) -> Option<&Path> {
        self.postgres_bin.as_deref()
    }
}

impl Databases {
    /// The SQLite files of a data folder, which may not exist.
    pub fn in_folder(folder: &Path) -> Self {
        let url = |service: &ServiceName| format!("sqlite:{}", folder.join(file(*service)).display());
        let all = SERVICES.iter().map(|service| Database { service: *service, config: DbConfig::new(url(service)) });
        Self { engine: Engine::Sqlite, all: all.collect() }
    }

    /// The PostgreSQL databases that a file names.
    pub fn on_servers(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let all = parse(&text).map_err(|what| Usage(format!("{}: {what}", file.display())))?;
        Ok(Self { engine: Engine::Postgres, all })
    }

    /// Their addresses, for `nodkey-db`.
    pub fn configs(&self) -> Vec<DbConfig> {
        self.all.iter().map(|database| database.config.clone()).collect()
    }

    /// Refuses databases in which something is.
    pub async fn ensure_empty(&self) -> anyhow::Result<()> {
        for database in &self.all {
            let empty = nodkey_db::snapshot::is_empty(&database.config).await;
            if !empty.with_context(|| format!("cannot use the database of {}", database.service))? {
                let what = format!(
                    "nothing was changed: the database of {} ({}) is not empty. Create a new one, or drop what is in it once you are sure",
                    database.service,
                    database.config.server()
                );
                return Err(Refused(what).into());
            }
        }
        Ok(())
    }
}

/// The name of a service's file in a data folder.
pub fn file(service: ServiceName) -> String {
    format!("{service}.db")
}

/// The schema of a service in this build.
pub fn schema(service: ServiceName) -> Option<Migrations> {
    match service {
        ServiceName::Registry => Registry::migrations(),
        ServiceName::Binding => Binding::migrations(),
        ServiceName::Trusonafication => Trusonafication::migrations(),
        ServiceName::Notification => Notification::migrations(),
        ServiceName::Gateway => None,
    }
}

/// Reads NAME=URL lines: one for each service. Errors name no URL, because a URL may have a password.
fn parse(text: &str) -> Result<Vec<Database>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut named = Vec::new();
    for line in lines {
        let (name, url) = line.split_once('=').ok_or("each line must be a service, an equals sign and a URL")?;
        let name = name.trim();
        let service = SERVICES.into_iter().find(|service| service.as_str() == name);
        let service = service.ok_or_else(|| format!("{name:?} is none of registry, binding, trusonafication and notification"))?;
        let url = url.trim().trim_matches(['\'', '"']);
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(format!("the URL of {service} must begin with postgres://"));
        }
        named.push((service, url));
    }
    let mut all = Vec::new();
    for service in SERVICES {
        let urls: Vec<_> = named.iter().filter(|(name, _)| *name == service).collect();
        let [(_, url)] = urls[..] else { return Err(format!("there must be one line for {service}, not {}", urls.len())) };
        all.push(Database { service, config: DbConfig::new(*url) });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "# of Acme\nbinding = postgres://b@db/b\nregistry='postgres://r:secret@db/r'\n\n\
                         trusonafication=postgresql://t@db/t\nnotification=postgres://n@db/n\n";

    #[test]
    fn each_service_has_its_line_in_any_order() {
        let all = parse(LINES).unwrap();
        assert_eq!(all.iter().map(|it| it.service).collect::<Vec<_>>(), SERVICES);
        assert_eq!(all[0].config.server(), "PostgreSQL at db:5432, database r");
    }

    #[test]
    fn what_is_wrong_is_said_without_a_password() {
        for (text, said) in [
            (LINES.replace("notification=postgres://n@db/n\n", ""), "one line for notification, not 0"),
            (format!("{LINES}registry=postgres://x:secret@db/x\n"), "one line for registry, not 2"),
            (LINES.replace("binding", "bindings"), "\"bindings\" is none of"),
            (LINES.replace("'postgres://r:secret", "'mysql://r:secret"), "the URL of registry must begin with postgres://"),
            (format!("{LINES}secret\n"), "each line must be"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(said) && !error.contains("secret"), "{error}");
        }
    }
}
