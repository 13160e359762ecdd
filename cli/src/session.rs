//! The session that `nodkey login` stores, in a file that only its owner can read.

use std::path::PathBuf;

use anyhow::Context as _;
use nodkey_kernel::time::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

use crate::connection::{create_private_dir, read_json, write_secret};

/// Where the session is stored.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct SessionFile {
    #[arg(
        id = "session",
        long = "session",
        env = "NODKEY_SESSION",
        value_name = "FILE",
        global = true,
        help = "Session file of `nodkey login` [default: nodkey/session.json in $XDG_STATE_HOME or ~/.local/state]"
    )]
    path: Option<PathBuf>,
}

/// An operator's session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// URL of the gateway.
    pub gateway: String,
    /// The deployment's audience.
    pub audience: String,
    /// The session id.
    pub id: String,
    /// The secret, which signs.
    pub secret: String,
    /// The operator.
    pub operator: SignedIn,
    /// The latest time at which it ends.
    pub expires_at: String,
    /// PEM file of the only authority to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<PathBuf>,
}

/// The signed-in operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignedIn {
    /// UUID.
    pub id: String,
    /// The name, for people.
    pub name: String,
    /// `owner`, `operator` or `auditor`.
    pub role: String,
}

/// The session has ended, or never existed.
#[derive(Debug, thiserror::Error)]
#[error("your session at {0} has ended")]
pub struct SessionEnded(pub String);

/// Where the user's files are that outlive a command: `nodkey` in `$XDG_STATE_HOME` (XDG Base Directory Specification).
pub fn state_dir() -> anyhow::Result<PathBuf> {
    // The specification has a relative path ignored.
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(std::env::home_dir()?.join(".local/state")));
    Ok(state.context("neither XDG_STATE_HOME nor HOME says where your files are")?.join("nodkey"))
}

impl SessionFile {
    /// The path of the file. An error where the user's folders are unknown.
    pub fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.path {
            return Ok(path.clone());
        }
        Ok(state_dir().context("name a file with --session FILE")?.join("session.json"))
    }

    /// Reads the session, if there is one. An expired session is an error.
    pub fn read(&self) -> anyhow::Result<Option<Session>> {
        let Some(session) = self.path().ok().map(|path| read_json::<Session>(&path)).transpose()?.flatten() else { return Ok(None) };
        let over = Timestamp::parse_rfc3339(&session.expires_at).is_ok_and(|end| end <= Clock::system().now());
        if over { Err(SessionEnded(session.gateway).into()) } else { Ok(Some(session)) }
    }

    /// Reads the session, whether it has expired or not.
    pub fn kept(&self) -> anyhow::Result<Option<Session>> {
        read_json(&self.path()?)
    }

    /// Writes the session atomically.
    pub fn write(&self, session: &Session) -> anyhow::Result<PathBuf> {
        let path = self.path()?;
        if let Some(folder) = path.parent() {
            create_private_dir(folder)?;
        }
        write_secret(&path, session)?;
        Ok(path)
    }

    /// Deletes the session.
    pub fn delete(&self) -> anyhow::Result<()> {
        let path = self.path()?;
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).with_context(|| format!("cannot delete {}", path.display())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn session(expires_at: &str) -> Session {
        Session {
            gateway: "https://id.example.com".into(),
            audience: "nodkey".into(),
            id: "1".into(),
            secret: "s".into(),
            operator: SignedIn { id: "2".into(), name: "Ada".into(), role: "owner".into() },
            expires_at: expires_at.into(),
            ca_certificate: None,
        }
    }

    #[test]
    fn a_session_is_its_owners_alone_and_is_over_when_it_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = SessionFile { path: Some(folder.path().join("deep/session.json")) };
        assert!(file.read().unwrap().is_none());
        file.delete().unwrap();
        let path = file.write(&session("2999-01-01T00:00:00Z")).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(file.read().unwrap().unwrap().secret, "s");
        file.write(&session("2001-01-01T00:00:00Z")).unwrap();
        assert!(file.read().unwrap_err().downcast_ref::<SessionEnded>().is_some());
        file.delete().unwrap();
        assert!(!path.exists());
    }
}
