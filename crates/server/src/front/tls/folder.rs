//! The folder of the certificates (`TLS_DIR`): what is in it, and what of that the server made.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

/// The server's certificate, with those between it and its authority.
pub(super) const CERTIFICATE: &str = "cert.pem";
/// Its private key.
pub(super) const KEY: &str = "key.pem";
/// The certificate of the development authority.
pub(super) const AUTHORITY: &str = "ca.pem";
/// Its private key.
pub(super) const AUTHORITY_KEY: &str = "ca-key.pem";

/// What the server made, as `sha256sum --check` reads it. A file that was changed since is not
/// the server's any more.
const MADE: &str = "made-by-server.sha256";

/// Locked while files are made: several servers may share the folder.
const LOCK: &str = ".lock";

/// How long another server may hold the lock; making files takes milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

/// Tells whether certificate and key changed.
pub(super) type Stamp = [Option<(SystemTime, u64, u64)>; 2];

impl Folder {
    /// The folder at `path`, which is made if it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        // Links stay as they are: whoever switches one wants what it leads to then.
        std::path::absolute(path).map(Self)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Keeps other servers from making files as long as the result lives.
    pub(super) fn lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options.create(true).write(true).truncate(false).open(self.path(LOCK))?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::other(format!("{LOCK} is locked by another program")));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// The content of a file; `None` if it is not there.
    ///
    /// # Errors
    /// Which file cannot be read, and why.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<String>> {
        match fs::read(self.path(name)) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.path(name).is_symlink() {
                    let why = format!("{name} is a link to what is not there");
                    return Err(io::Error::new(error.kind(), why));
                }
                Ok(None)
            }
            Err(error) => Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
        }
    }

    /// Whether a file is there as the server made it.
    pub(super) fn is_own(&self, name: &str) -> io::Result<bool> {
        let (Some(content), Some(made)) = (self.read(name)?, self.read(MADE)?) else {
            return Ok(false);
        };
        Ok(made.lines().any(|line| line == made_line(name, &content)))
    }

    /// Puts a file there as a whole, for its owner alone if it is private, and notes that the
    /// server made it.
    pub(super) fn make(&self, name: &str, content: &str) -> io::Result<()> {
        let mode = if [KEY, AUTHORITY_KEY].contains(&name) { PRIVATE } else { PUBLIC };
        // Noted first, beside what is there now: whatever happens, both are known as the server's.
        let now = self.read(name)?.map(|content| made_line(name, &content));
        let made = self.read(MADE)?.unwrap_or_default();
        let is_kept =
            |line: &&str| !line.ends_with(&format!("  {name}")) || now.as_deref() == Some(line);
        let mut lines: Vec<_> = made.lines().filter(is_kept).map(str::to_owned).collect();
        lines.push(made_line(name, content));
        self.replace(MADE, &(lines.join("\n") + "\n"), PUBLIC)?;
        self.replace(name, content, mode)
    }

    fn replace(&self, name: &str, content: &str, mode: u32) -> io::Result<()> {
        let new = self.path(&format!(".{name}.new"));
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&new)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, self.path(name))
    }

    /// What changes when certificate or key do.
    pub(super) fn stamp(&self) -> Stamp {
        [CERTIFICATE, KEY].map(|name| {
            let metadata = fs::metadata(self.path(name)).ok()?;
            Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
        })
    }
}

fn made_line(name: &str, content: &str) -> String {
    let digest = Sha256::digest(content);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digest}  {name}")
}
