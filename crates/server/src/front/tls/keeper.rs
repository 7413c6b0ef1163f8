//! Sees to it that the folder holds a certificate: makes one where there is none, and renews what
//! the server itself made.

use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::crypto::CryptoProvider;

use super::authority::{self, Pair};
use super::certificate::{self, Certificate};
use super::folder::{AUTHORITY, AUTHORITY_KEY, CERTIFICATE, Folder, KEY};

/// Time that is left to a certificate when it is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Most names in a certificate.
const MAX_NAMES: usize = 100;

/// What had to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// Nothing: what is there will do, or is not the server's.
    Nothing,
    /// A certificate, under the authority that was there.
    Certificate,
    /// An authority, and a certificate.
    Authority,
}

/// Makes or renews what has to be, for a server on `host` that is reached under `names`.
///
/// # Errors
/// What is wrong with the folder.
pub(super) fn keep(
    folder: &Folder,
    host: &str,
    names: &[String],
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<Made, String> {
    if need(folder, names, provider, now)? == Need::Nothing {
        return Ok(Made::Nothing);
    }
    let unwritable = |error| {
        format!(
            "nothing can be made there: {error}; put cert.pem and key.pem there, or let this user write to it"
        )
    };
    let lock = folder.lock().map_err(unwritable)?;
    // Another server may have made it meanwhile.
    let made = match need(folder, names, provider, now)? {
        Need::Nothing => Ok(Made::Nothing),
        Need::Certificate { names, key } => issue(folder, host, &names, key.as_deref(), now),
    };
    drop(lock);
    made
}

/// What a folder lacks.
#[derive(PartialEq, Eq)]
enum Need {
    Nothing,
    /// A certificate for these names, with this key if there is one already.
    Certificate {
        names: Vec<String>,
        key: Option<String>,
    },
}

fn need(
    folder: &Folder,
    names: &[String],
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<Need, String> {
    let is_own = |name| folder.is_own(name).map_err(text);
    let fresh = |key| Need::Certificate { names: names.to_vec(), key };
    match (read(folder, CERTIFICATE)?, read(folder, KEY)?) {
        (Some(certificate), Some(key)) => {
            if !is_own(CERTIFICATE)? || !is_own(KEY)? {
                return Ok(Need::Nothing);
            }
            let current = Certificate::load(certificate.as_bytes(), key.as_bytes(), provider)?;
            if is_good(&current, names, now) {
                return Ok(Need::Nothing);
            }
            let names = together(names, current.names);
            Ok(Need::Certificate { names, key: Some(key) })
        }
        // One that the server made alone is what a making that was cut short leaves.
        (None, Some(key)) if is_own(KEY)? => Ok(fresh(Some(key))),
        (Some(_), None) if is_own(CERTIFICATE)? => Ok(fresh(None)),
        (None, None) => Ok(fresh(None)),
        (Some(_), None) => Err(alone(CERTIFICATE, KEY)),
        (None, Some(_)) => Err(alone(KEY, CERTIFICATE)),
    }
}

/// Further names behind the ones that are wanted: servers that share a folder would take the
/// certificate from each other otherwise.
fn together(names: &[String], further: Vec<String>) -> Vec<String> {
    let mut names = names.to_vec();
    let further: Vec<_> = further.into_iter().filter(|name| !names.contains(name)).collect();
    names.extend(further);
    names.truncate(MAX_NAMES);
    names
}

/// Reads the certificate that is to be shown.
///
/// # Errors
/// What is wrong with it.
pub(super) fn load(folder: &Folder, provider: &CryptoProvider) -> Result<Certificate, String> {
    let [certificate, key] = [CERTIFICATE, KEY]
        .map(|name| read(folder, name)?.ok_or_else(|| format!("{name} is not there")));
    Certificate::load(certificate?.as_bytes(), key?.as_bytes(), provider)
}

fn is_good(certificate: &Certificate, names: &[String], now: SystemTime) -> bool {
    let lasts = certificate.not_after > now + RENEW_BEFORE;
    lasts && names.iter().all(|name| certificate.names.contains(name))
}

/// Issues a certificate under the authority of the folder, which is made if there is none.
fn issue(
    folder: &Folder,
    host: &str,
    names: &[String],
    key: Option<&str>,
    now: SystemTime,
) -> Result<Made, String> {
    let is_own = |name| folder.is_own(name).map_err(text);
    let (made, authority) = match (read(folder, AUTHORITY)?, read(folder, AUTHORITY_KEY)?) {
        (Some(certificate), Some(key)) => (Made::Certificate, Pair { certificate, key }),
        (None, None) => (Made::Authority, authority::new(host, now).map_err(text)?),
        (None, Some(_)) if is_own(AUTHORITY_KEY)? => {
            (Made::Authority, authority::new(host, now).map_err(text)?)
        }
        (Some(_), None) => return Err(alone(AUTHORITY, AUTHORITY_KEY)),
        (None, Some(_)) => return Err(alone(AUTHORITY_KEY, AUTHORITY)),
    };
    let ends = certificate::not_after(authority.certificate.as_bytes())
        .ok_or_else(|| format!("{AUTHORITY} holds no certificate in PEM"))?;
    if ends <= now {
        return Err(format!(
            "the authority {AUTHORITY} has expired; take {AUTHORITY} and {AUTHORITY_KEY} away, and a new one is made"
        ));
    }
    let server = authority::issue(&authority, ends, names, key, now)
        .map_err(|error| format!("{AUTHORITY} and {AUTHORITY_KEY} cannot be used: {error}"))?;
    let make = |name, content| {
        folder.make(name, content).map_err(|error| format!("{name} cannot be written: {error}"))
    };
    if made == Made::Authority {
        make(AUTHORITY_KEY, &authority.key)?;
        make(AUTHORITY, &authority.certificate)?;
    }
    if key.is_none() {
        make(KEY, &server.key)?;
    }
    make(CERTIFICATE, &server.certificate)?;
    Ok(made)
}

fn read(folder: &Folder, name: &str) -> Result<Option<String>, String> {
    folder.read(name).map_err(text)
}

fn alone(name: &str, missing: &str) -> String {
    format!("{name} is there, but {missing} is not; put it there, or take {name} away")
}

#[expect(clippy::needless_pass_by_value, reason = "that is what map_err passes")]
fn text(error: impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;
    use tokio_rustls::rustls::crypto::ring;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    struct Dir {
        _dir: TempDir,
        folder: Folder,
        now: SystemTime,
    }

    impl Dir {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let folder = Folder::open(&dir.path().join("tls")).unwrap();
            let now = SystemTime::UNIX_EPOCH + 20_000 * DAY;
            Self { _dir: dir, folder, now }
        }

        fn keep_for(&self, names: &[&str]) -> Result<Made, String> {
            let names: Vec<_> = names.iter().map(|&name| name.into()).collect();
            keep(&self.folder, "host", &names, &ring::default_provider(), self.now)
        }

        fn keep(&self) -> Result<Made, String> {
            self.keep_for(&["localhost", "127.0.0.1", "::1", "*.example.com"])
        }

        fn load(&self) -> Certificate {
            load(&self.folder, &ring::default_provider()).unwrap()
        }

        fn read(&self, name: &str) -> String {
            self.folder.read(name).unwrap().unwrap()
        }

        fn write(&self, name: &str, content: &str) {
            fs::write(self.folder.path(name), content).unwrap();
        }

        fn remove(&self, name: &str) {
            fs::remove_file(self.folder.path(name)).unwrap();
        }
    }

    #[test]
    fn an_empty_folder_gets_an_authority_and_a_certificate() {
        let dir = Dir::new();
        assert_eq!(dir.keep(), Ok(Made::Authority));
        let certificate = dir.load();
        assert_eq!(certificate.names, ["localhost", "127.0.0.1", "::1", "*.example.com"]);
        assert!(!certificate.is_authority);
        assert!(certificate.not_before < dir.now);
        let lifetime = certificate.not_after.duration_since(certificate.not_before).unwrap();
        assert!(lifetime < 397 * DAY && lifetime > 390 * DAY, "{lifetime:?}");
        assert_eq!(dir.keep(), Ok(Made::Nothing));
    }

    #[test]
    fn keys_are_for_their_owner_alone() {
        let dir = Dir::new();
        dir.keep().unwrap();
        let mode = |name| fs::metadata(dir.folder.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!([KEY, AUTHORITY_KEY].map(mode), [0o600; 2]);
        assert_eq!([CERTIFICATE, AUTHORITY].map(mode), [0o644; 2]);
    }

    #[test]
    fn a_certificate_is_renewed_under_its_authority_before_it_runs_out() {
        let mut dir = Dir::new();
        dir.keep().unwrap();
        let (authority, key, first) = (dir.read(AUTHORITY), dir.read(KEY), dir.load());
        dir.now = first.not_after - 31 * DAY;
        assert_eq!(dir.keep(), Ok(Made::Nothing));
        dir.now = first.not_after - 29 * DAY;
        assert_eq!(dir.keep(), Ok(Made::Certificate));
        let second = dir.load();
        assert!(second.not_after > first.not_after + 300 * DAY);
        assert_eq!((dir.read(AUTHORITY), dir.read(KEY)), (authority, key));
        assert_eq!(dir.keep(), Ok(Made::Nothing));
        dir.now = second.not_after + DAY;
        assert_eq!(dir.keep(), Ok(Made::Certificate));
        // No name is wanted by who looks at the age alone.
        assert_eq!(dir.keep_for(&[]), Ok(Made::Nothing));
        assert_eq!(dir.load().names, first.names);
    }

    #[test]
    fn a_further_name_needs_a_further_certificate() {
        let dir = Dir::new();
        dir.keep_for(&["localhost"]).unwrap();
        assert_eq!(dir.keep_for(&["localhost", "further"]), Ok(Made::Certificate));
        assert_eq!(dir.load().names, ["localhost", "further"]);
        assert_eq!(dir.keep_for(&["localhost"]), Ok(Made::Nothing));
        // Servers that share the folder do not take it from each other.
        assert_eq!(dir.keep_for(&["other"]), Ok(Made::Certificate));
        assert_eq!(dir.load().names, ["other", "localhost", "further"]);
        assert_eq!(dir.keep_for(&["further"]), Ok(Made::Nothing));
    }

    #[test]
    fn a_certificate_does_not_outlive_its_authority() {
        let mut dir = Dir::new();
        dir.keep().unwrap();
        let end = certificate::not_after(dir.read(AUTHORITY).as_bytes()).unwrap();
        dir.now = end - 100 * DAY;
        assert_eq!(dir.keep(), Ok(Made::Certificate));
        assert_eq!(dir.load().not_after, end);
        dir.now = end + DAY;
        assert!(dir.keep().unwrap_err().starts_with("the authority ca.pem has expired"));
    }

    #[test]
    fn a_link_to_what_is_not_there_is_left_alone() {
        let dir = Dir::new();
        for name in [CERTIFICATE, KEY] {
            std::os::unix::fs::symlink("../archive/1.pem", dir.folder.path(name)).unwrap();
        }
        let error = dir.keep().unwrap_err();
        assert_eq!(error, "cert.pem is a link to what is not there");
        assert!(dir.folder.path(CERTIFICATE).is_symlink());
    }

    #[test]
    fn files_of_someone_else_need_no_folder_that_can_be_written() {
        let theirs = Dir::new();
        theirs.keep_for(&["theirs"]).unwrap();
        let dir = Dir::new();
        for name in [CERTIFICATE, KEY] {
            dir.write(name, &theirs.read(name));
        }
        assert_eq!(dir.keep(), Ok(Made::Nothing));
        let names =
            fs::read_dir(dir.folder.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, [CERTIFICATE, KEY]);
    }

    #[test]
    fn a_lock_that_another_program_keeps_is_told() {
        let dir = Dir::new();
        let _held = dir.folder.lock().unwrap();
        let error = dir.keep().unwrap_err();
        assert!(error.contains(".lock is locked by another program"), "{error}");
    }

    #[test]
    fn a_file_of_someone_else_is_never_touched() {
        let theirs = Dir::new();
        theirs.keep_for(&["theirs"]).unwrap();
        let mut dir = Dir::new();
        for name in [CERTIFICATE, KEY] {
            dir.write(name, &theirs.read(name));
        }
        dir.now += 10_000 * DAY;
        assert_eq!(dir.keep(), Ok(Made::Nothing));
        assert_eq!(dir.load().names, ["theirs"]);
        assert_eq!(dir.folder.read(AUTHORITY).unwrap(), None);

        let mut dir = Dir::new();
        dir.keep().unwrap();
        for name in [CERTIFICATE, KEY] {
            dir.write(name, &theirs.read(name));
        }
        dir.now += 10_000 * DAY;
        assert_eq!(dir.keep(), Ok(Made::Nothing));
        assert_eq!(dir.load().names, ["theirs"]);
    }

    #[test]
    fn a_making_that_was_cut_short_is_made_up_for() {
        let dir = Dir::new();
        dir.keep().unwrap();
        let key = dir.read(KEY);
        dir.remove(CERTIFICATE);
        assert_eq!(dir.keep(), Ok(Made::Certificate));
        assert_eq!(dir.read(KEY), key);
        dir.remove(KEY);
        assert_eq!(dir.keep(), Ok(Made::Certificate));
        for name in [CERTIFICATE, KEY, AUTHORITY] {
            dir.remove(name);
        }
        assert_eq!(dir.keep(), Ok(Made::Authority));
    }

    #[test]
    fn what_is_missing_is_named() {
        let theirs = Dir::new();
        theirs.keep().unwrap();
        let dir = Dir::new();
        dir.keep().unwrap();
        dir.write(CERTIFICATE, &theirs.read(CERTIFICATE));
        dir.remove(KEY);
        assert_eq!(
            dir.keep().unwrap_err(),
            "cert.pem is there, but key.pem is not; put it there, or take cert.pem away"
        );
        dir.remove(CERTIFICATE);
        dir.remove(AUTHORITY_KEY);
        assert!(dir.keep().unwrap_err().starts_with("ca.pem is there, but ca-key.pem is not"));
        dir.remove(AUTHORITY);
        assert_eq!(dir.keep(), Ok(Made::Authority));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        let dir = Dir::new();
        dir.keep().unwrap();
        let (certificate, key) = (dir.read(CERTIFICATE), dir.read(KEY));
        let other_key = dir.read(AUTHORITY_KEY);
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        for (certificate, key, told) in [
            ("", key.as_str(), "cert.pem holds no certificate"),
            (&key, &key, "cert.pem holds no certificate"),
            (&certificate, &certificate, "key.pem holds no private key"),
            (&certificate, &encrypted, "key.pem is encrypted"),
            (&certificate, &other_key, "key.pem is not the key of cert.pem"),
            (&certificate[..300], &key, "cert.pem is broken"),
        ] {
            dir.write(CERTIFICATE, certificate);
            dir.write(KEY, key);
            let error = load(&dir.folder, &ring::default_provider()).unwrap_err();
            assert!(error.starts_with(told), "{told}: {error}");
        }
    }

    #[test]
    fn a_crash_amid_a_renewal_leaves_files_that_are_known() {
        let dir = Dir::new();
        dir.keep().unwrap();
        let before = dir.read(CERTIFICATE);
        assert_eq!(dir.keep_for(&["further"]), Ok(Made::Certificate));
        // As if the file itself had not been replaced any more.
        dir.write(CERTIFICATE, &before);
        assert_eq!(dir.keep_for(&["further"]), Ok(Made::Certificate));
        assert_eq!(dir.load().names[0], "further");
    }
}
