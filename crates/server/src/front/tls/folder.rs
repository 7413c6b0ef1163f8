//! The folder of the certificate (`TLS_DIR`): its files, and how they are read and replaced.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::git;
use crate::file_kind::other_than_regular;

/// The server's certificate, followed by those between it and its authority.
pub(super) const CERTIFICATE: &str = "cert.pem";
/// The private key of [`CERTIFICATE`].
pub(super) const KEY: &str = "key.pem";
/// The development authority, which clients trust.
pub(super) const AUTHORITY: &str = "ca.pem";
/// Everything that the development authority signed.
pub(super) const ISSUED: &str = "issued.pem";

/// Lock file, held while a server writes: several may share the folder.
const LOCK: &str = ".lock";

/// Longest wait for the lock. The work under it takes milliseconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// An existing folder.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

/// Modification time, size and inode of certificate and key; `None` for a missing file.
pub(super) type Revision = [Option<(SystemTime, u64, u64)>; 2];

impl Folder {
    /// The folder at `path`. It is created if only its last part is missing: a longer missing
    /// path is more likely a mistake, or a disk that is not mounted.
    ///
    /// # Errors
    /// If there can be no folder; the error is a clause about `path`.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        // A symbolic link is kept, not resolved: the operator may point it elsewhere later.
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        let parent = path.parent().unwrap_or(&path);
        match fs::create_dir(&path) {
            Ok(()) => git::ignore(&path),
            Err(_) if path.is_dir() => git::warn_if_not_ignored(&path, KEY),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err("that is not a folder".into());
            }
            Err(_) if !parent.exists() => {
                return Err(format!(
                    "there is no folder {parent:?}: correct the path, or create that folder first"
                ));
            }
            Err(error) => return Err(format!("that folder cannot be created: {error}")),
        }
        Ok(Self(path))
    }

    /// The path of a file of the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Keeps other servers from writing until the result is dropped.
    pub(super) fn lock(&self) -> io::Result<File> {
        self.check_kind(LOCK).map_err(io::Error::other)?;
        let file = File::create(self.path(LOCK))?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        while let Err(error) = file.try_lock() {
            match error {
                TryLockError::Error(error) => return Err(error),
                TryLockError::WouldBlock if Instant::now() > deadline => {
                    return Err(io::Error::other(format!("{LOCK} is locked by another program")));
                }
                TryLockError::WouldBlock => thread::sleep(LOCK_RETRY),
            }
        }
        Ok(file)
    }

    /// The content of a file; `None` if there is no such file.
    ///
    /// # Errors
    /// If the file cannot be read; the error names the file and the cause. A dangling symbolic link
    /// is an error: the operator meant some file.
    pub(super) fn read(&self, name: &str) -> Result<Option<String>, String> {
        self.check_kind(name)?;
        match fs::read(self.path(name)) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(format!("{name}: {error}")),
            Err(_) if self.path(name).is_symlink() => {
                Err(format!("{name} is a link to a file that does not exist"))
            }
            Err(_) => Ok(None),
        }
    }

    /// Checks that a file is a regular one if it exists: to open a pipe would block.
    fn check_kind(&self, name: &str) -> Result<(), String> {
        let metadata = fs::metadata(self.path(name));
        let kind = metadata.ok().and_then(|metadata| other_than_regular(metadata.file_type()));
        let refuse = |kind| Err(format!("{name} is {kind}, but allowed is a regular file"));
        kind.map_or(Ok(()), refuse)
    }

    /// Replaces a file atomically. A private key is readable by its owner only.
    ///
    /// # Errors
    /// If the file cannot be written; the error names the file and the cause.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<(), String> {
        let mode = if name == KEY { 0o600 } else { 0o644 };
        self.replace(name, content, mode).map_err(|error| format!("cannot write {name}: {error}"))
    }

    fn replace(&self, name: &str, content: &str, mode: u32) -> io::Result<()> {
        let new = self.path(&format!(".{name}.new"));
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&new)?;
        // The umask may have made a public file unreadable for others.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, self.path(name))
    }

    /// A value that changes whenever certificate or key change.
    pub(super) fn revision(&self) -> Revision {
        [CERTIFICATE, KEY].map(|name| {
            let metadata = fs::metadata(self.path(name)).ok()?;
            Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
        })
    }
}
