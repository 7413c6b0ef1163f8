//! Folders of version 0.1, which kept the private key of the authority.

use std::fs;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tracing::info;

use super::folder::{AUTHORITY, CERTIFICATE, Folder, ISSUED, KEY};

/// The private key of the authority.
const AUTHORITY_KEY: &str = "ca-key.pem";

/// The files that the server created, as `sha256sum` writes them.
const OWN_FILES: &str = "made-by-server.sha256";

/// Whether the folder holds the private key of an authority that the server created.
pub(super) fn is_in(folder: &Folder) -> bool {
    is_own(folder, AUTHORITY) && is_own(folder, AUTHORITY_KEY)
}

/// Deletes the key of the authority. Clients still trust the authority, until its certificate
/// expires.
///
/// # Errors
/// If a file cannot be written or deleted; the error names the file.
pub(super) fn migrate(folder: &Folder) -> Result<(), String> {
    let mut issued = folder.read(AUTHORITY)?.unwrap_or_default();
    if is_own(folder, CERTIFICATE) && is_own(folder, KEY) {
        issued += &folder.read(CERTIFICATE)?.unwrap_or_default();
    }
    folder.write(ISSUED, &issued)?;
    for name in [AUTHORITY_KEY, OWN_FILES] {
        let deleted = fs::remove_file(folder.path(name));
        deleted.map_err(|error| format!("cannot delete {name}: {error}"))?;
    }
    info!("deleted {AUTHORITY_KEY}, the authority's private key, so that nobody can steal it");
    Ok(())
}

/// Whether the server created a file and nobody has changed it.
fn is_own(folder: &Folder, name: &str) -> bool {
    let (Ok(Some(content)), Ok(Some(files))) = (folder.read(name), folder.read(OWN_FILES)) else {
        return false;
    };
    let digest = HEXLOWER.encode(&Sha256::digest(content));
    files.lines().any(|listed| listed == format!("{digest}  {name}"))
}
