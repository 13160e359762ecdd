//! The data folder of an embedded process: readable only by its owner, used by only one process.

use std::{
    fmt,
    fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nodkey_kernel::time::Clock;
use serde::{Deserialize, Serialize};

/// Locked by the process that uses the folder, and names that process. The file stays when the process ends; the lock does not.
const LOCK_FILE: &str = "lock.json";

/// A data folder that belongs to this process until this value is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    lock: File,
    holder: Holder,
}

/// The process that uses a data folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// When it opened the folder, RFC 3339.
    pub since: String,
    /// The gateway's public URL; `None` until it serves.
    pub url: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}, since {}", self.pid, self.since)?;
        self.url.iter().try_for_each(|url| write!(f, ", at {url}"))
    }
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process is using it.
    #[error("the data folder {} is already in use by {}", path.display(), holder.as_ref().map_or_else(|| "another process".to_owned(), ToString::to_string))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other process; `None` if it has not written its details yet.
        holder: Option<Holder>,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The action that was attempted.
        action: &'static str,
        /// The path concerned.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl DataDir {
    /// Takes a folder for this process and restricts it to its owner. Creates it when it is missing.
    pub fn open(path: impl Into<PathBuf>, clock: &Clock) -> Result<Self, DataDirError> {
        let path = path.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed("create", &path))?;
        restrict(&path, 0o700)?;
        let lock_path = path.join(LOCK_FILE);
        let mut lock = private_file(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse { holder: read_holder(&mut lock), path }),
            Err(TryLockError::Error(e)) => return Err(failed("lock", &lock_path)(e)),
        }
        let holder = Holder { pid: std::process::id(), since: clock.now().to_string(), url: None };
        let mut data_dir = Self { path, lock, holder };
        data_dir.write_holder()?;
        data_dir.ignore()?;
        Ok(data_dir)
    }

    /// Path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records where this process serves, for the error message of a second process on this folder.
    pub(crate) fn set_url(&mut self, url: &str) -> Result<(), DataDirError> {
        self.holder.url = Some(url.to_owned());
        self.write_holder()
    }

    /// The file of a SQLite database. It exists and is restricted to its owner, as are the files that SQLite keeps beside it, which get the
    /// mode of the database.
    pub(crate) fn database(&self, name: &str) -> Result<PathBuf, DataDirError> {
        let database = self.path.join(format!("{name}.db"));
        private_file(&database)?;
        for suffix in ["-wal", "-shm"] {
            let beside = self.path.join(format!("{name}.db{suffix}"));
            if beside.exists() {
                restrict(&beside, 0o600)?;
            }
        }
        Ok(database)
    }

    /// Keeps its keys out of the repository that it may lie in, unless somebody has decided otherwise.
    fn ignore(&self) -> Result<(), DataDirError> {
        // A folder that is a repository itself has more in it than ours.
        if self.path.join(".git").exists() {
            return Ok(());
        }
        let path = self.path.join(".gitignore");
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).and_then(|mut file| file.write_all(b"*\n"));
        match written {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(failed("write", &path)(e)),
            _ => Ok(()),
        }
    }

    fn write_holder(&mut self) -> Result<(), DataDirError> {
        let text = serde_json::to_vec(&self.holder).map_err(io::Error::other);
        let write = || {
            self.lock.set_len(0)?;
            self.lock.rewind()?;
            self.lock.write_all(&text?)
        };
        write().map_err(failed("write", &self.path.join(LOCK_FILE)))
    }
}

/// Opens or creates a file, and makes it readable and writable only by its owner.
fn private_file(path: &Path) -> Result<File, DataDirError> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(failed("open", path))?;
    restrict(path, 0o600)?;
    Ok(file)
}

/// Changes the mode only if it is wrong: the file may belong to another user.
fn restrict(path: &Path, mode: u32) -> Result<(), DataDirError> {
    let current = path.metadata().map_err(failed("read", path))?.permissions().mode();
    if current & 0o777 == mode {
        return Ok(());
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("take others' access away from", path))
}

fn read_holder(lock: &mut File) -> Option<Holder> {
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::time::Timestamp;

    use super::*;

    fn clock() -> Clock {
        Clock::manual(Timestamp::parse_rfc3339("2026-11-26T05:00:00Z").unwrap())
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_second_process_is_refused_and_learns_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = DataDir::open(folder.path(), &clock()).unwrap();
        let refused = DataDir::open(folder.path(), &clock()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}, since 2026-11-26T05:00:00", std::process::id())), "{refused}");
        first.set_url("http://127.0.0.1:7070").unwrap();
        let refused = DataDir::open(folder.path(), &clock()).unwrap_err().to_string();
        assert!(refused.ends_with(", at http://127.0.0.1:7070"), "{refused}");
        drop(first);
        DataDir::open(folder.path(), &clock()).unwrap();
    }

    #[test]
    fn who_has_not_said_its_name_yet_is_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let lock = private_file(&folder.path().join(LOCK_FILE)).unwrap();
        lock.lock().unwrap();
        let refused = DataDir::open(folder.path(), &clock()).unwrap_err();
        assert!(matches!(&refused, DataDirError::InUse { holder: None, .. }));
        assert!(refused.to_string().ends_with("is already in use by another process"), "{refused}");
    }

    #[test]
    fn what_others_could_read_before_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        for name in ["registry.db", "registry.db-wal", "registry.db-shm", LOCK_FILE] {
            std::fs::write(path.join(name), "").unwrap();
            std::fs::set_permissions(path.join(name), Permissions::from_mode(0o644)).unwrap();
        }
        let data_dir = DataDir::open(&path, &clock()).unwrap();
        assert_eq!(data_dir.database("registry").unwrap(), path.join("registry.db"));
        assert_eq!(mode(&path), 0o700);
        for name in ["registry.db", "registry.db-wal", "registry.db-shm", LOCK_FILE] {
            assert_eq!(mode(&path.join(name)), 0o600, "{name}");
        }
    }

    #[test]
    fn what_is_new_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let data_dir = DataDir::open(&path, &clock()).unwrap();
        assert_eq!((mode(&path), mode(&data_dir.database("registry").unwrap())), (0o700, 0o600));
        assert!(!path.join("registry.db-wal").exists());
    }

    #[test]
    fn no_repository_takes_it_in() {
        let folder = tempfile::tempdir().unwrap();
        drop(DataDir::open(folder.path(), &clock()).unwrap());
        let ignored = folder.path().join(".gitignore");
        assert_eq!(std::fs::read_to_string(&ignored).unwrap(), "*\n");
        std::fs::write(&ignored, "").unwrap();
        drop(DataDir::open(folder.path(), &clock()).unwrap());
        assert_eq!(std::fs::read_to_string(&ignored).unwrap(), "", "it was changed on purpose");
        let repository = tempfile::tempdir().unwrap();
        std::fs::create_dir(repository.path().join(".git")).unwrap();
        drop(DataDir::open(repository.path(), &clock()).unwrap());
        assert!(!repository.path().join(".gitignore").exists(), "nobody's repository is ignored whole");
    }

    #[test]
    fn a_file_in_its_place_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::write(&path, "").unwrap();
        let error = DataDir::open(&path, &clock()).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot create {}", path.display()));
    }
}
