//! `pg_dump` and `pg_restore`, PostgreSQL's own programs.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use nodkey_db::DbConfig;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret as _;
use tokio::process::Command;
use url::Url;

use crate::failure::{Refused, Usage};

/// Parameters of a URL that the programs understand, by the names that services accept.
const PARAMETERS: &[(&str, &str)] = &[
    ("sslmode", "sslmode"),
    ("ssl-mode", "sslmode"),
    ("sslrootcert", "sslrootcert"),
    ("ssl-root-cert", "sslrootcert"),
    ("ssl-ca", "sslrootcert"),
    ("sslcert", "sslcert"),
    ("ssl-cert", "sslcert"),
    ("sslkey", "sslkey"),
    ("ssl-key", "sslkey"),
    ("host", "host"),
    ("hostaddr", "hostaddr"),
    ("port", "port"),
    ("user", "user"),
    ("dbname", "dbname"),
    ("options", "options"),
];

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs<'a>(pub Option<&'a Path>);

impl Programs<'_> {
    /// The major version of a program; refused if it is missing.
    pub async fn version(&self, program: &str) -> anyhow::Result<u32> {
        let output = Command::new(self.path(program)).arg("--version").stdin(Stdio::null()).output().await;
        let output = match output {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let what =
                    format!("{program} is missing: install the client programs of PostgreSQL, in the server's version or a newer one");
                return Err(Refused(format!("{what}; if they are not in PATH, name their folder with --postgres-bin")).into());
            }
            output => output.with_context(|| format!("cannot run {program}"))?,
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        major(&said).with_context(|| format!("{program} does not say its version: {}", said.trim()))
    }

    /// Writes the snapshot of a database to a new file.
    pub async fn dump(&self, database: &DbConfig, snapshot: &str, file: &Path) -> anyhow::Result<()> {
        let mut command = self.command("pg_dump", database)?;
        command.args(["--format=custom", "--no-owner", "--no-privileges"]).arg(format!("--snapshot={snapshot}")).arg("--file").arg(file);
        run(command, "pg_dump").await
    }

    /// Restores an empty database from a file, all or nothing.
    pub async fn restore(&self, database: &DbConfig, file: &Path) -> anyhow::Result<()> {
        let mut command = self.command("pg_restore", database)?;
        command.args(["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]).arg(file);
        run(command, "pg_restore").await
    }

    fn path(&self, program: &str) -> PathBuf {
        self.0.map_or_else(|| program.into(), |folder| folder.join(program))
    }

    fn command(&self, program: &str, database: &DbConfig) -> anyhow::Result<Command> {
        let (url, password) = without_password(database.url.expose_secret())?;
        let mut command = Command::new(self.path(program));
        command.arg("--no-password").arg(format!("--dbname={url}"));
        // Other users of the machine see arguments, but not the environment.
        command.envs(password.map(|password| ("PGPASSWORD", password)));
        Ok(command)
    }
}

async fn run(mut command: Command, program: &str) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.with_context(|| format!("cannot run {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::bail!("{program} failed: {}", said.trim())
}

/// A URL as the programs understand it, and the password, which is not in it.
fn without_password(url: &str) -> anyhow::Result<(String, Option<String>)> {
    // The parser's error would show the URL.
    let mut parsed = Url::parse(url).map_err(|_| Usage("the URL of a database is not valid".into()))?;
    let mut password = parsed.password().map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
    let _ = parsed.set_password(None);
    let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
    parsed.set_query(None);
    for (name, value) in pairs {
        if name == "password" {
            password = Some(value);
        } else if let Some((_, name)) = PARAMETERS.iter().find(|(known, _)| *known == name) {
            parsed.query_pairs_mut().append_pair(name, &value);
        }
    }
    // libpq takes a plus sign for itself, not for a space.
    if let Some(query) = parsed.query().map(|query| query.replace('+', "%20")) {
        parsed.set_query(Some(&query));
    }
    Ok((parsed.into(), password))
}

/// `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major(said: &str) -> Option<u32> {
    said.split_whitespace().find_map(|word| word.split(['.', 'b', 'd', 'r']).next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_in_an_argument() {
        for (url, rest, password) in [
            ("postgres://me:s%2Be+c%26@db/x", "postgres://me@db/x", Some("s+e+c&")),
            ("postgres://me@db/x?password=p%26q&sslmode=require", "postgres://me@db/x?sslmode=require", Some("p&q")),
            (
                "postgres://me@db:6432/x?ssl-mode=verify-full&statement-cache-capacity=9",
                "postgres://me@db:6432/x?sslmode=verify-full",
                None,
            ),
            ("postgresql:///x?host=%2Frun%2Fpg&options=-c%20a%3Db", "postgresql:///x?host=%2Frun%2Fpg&options=-c%20a%3Db", None),
        ] {
            assert_eq!(without_password(url).unwrap(), (rest.to_owned(), password.map(ToOwned::to_owned)), "{url}");
        }
        let error = without_password("postgres://me:secret@[x/y").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn versions_are_read_from_what_the_programs_say() {
        assert_eq!(major("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("pg_restore (PostgreSQL) 18beta2"), Some(18));
        assert_eq!(major("nonsense"), None);
    }
}
