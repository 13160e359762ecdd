//! The keys of a deployment under test, made the way operators make them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use nodkey_kernel::service_key::{ServiceKey, ServiceName};
use tempfile::TempDir;

/// A folder managed by `nodkey keys`.
#[derive(Clone, Debug)]
pub struct Keys {
    folder: PathBuf,
    _made: Option<Arc<TempDir>>,
}

impl Keys {
    /// Makes all keys.
    pub fn made() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("keys");
        run(&["init", folder.to_str().unwrap()]);
        Self { folder, _made: Some(Arc::new(dir)) }
    }

    /// Opens the keys in a folder.
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), _made: None }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The settings for a service.
    pub fn settings(&self, service: &str) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(self.folder.join(format!("{service}.env"))).unwrap();
        let settings = text.lines().map(|line| line.split_once('=').unwrap());
        settings.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
    }

    /// The key of `nodkey admin`.
    pub fn operator(&self) -> String {
        self.settings("operator")["NODKEY_OPERATOR_KEY"].clone()
    }

    /// The keys of the services.
    pub fn of_services(&self) -> Vec<ServiceKey> {
        let key = |name: &ServiceName| {
            let secret = &self.settings(name.as_str())["NODKEY_DEPLOYMENT__SERVICE_KEY"];
            ServiceKey::from_secret(*name, secret).unwrap()
        };
        ServiceName::ALL.iter().map(key).collect()
    }

    /// Takes the next step in the rotation of a key.
    pub fn rotate(&self, key: &str) {
        run(&["rotate", self.folder.to_str().unwrap(), key]);
    }
}

/// Runs `nodkey keys` and returns its output, whether it succeeds or not.
pub fn nodkey_keys(arguments: &[&str]) -> Output {
    // Beside this test's binary.
    let binaries = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
    let mut command = Command::new(binaries.join("nodkey"));
    // Settings from the shell could belong to another deployment.
    command.env_clear().arg("keys").args(arguments).output().unwrap()
}

fn run(arguments: &[&str]) {
    let output = nodkey_keys(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
