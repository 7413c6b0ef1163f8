//! Tests of [`provision`] on real folders.

mod accidents;
mod operator;
mod years;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tempfile::TempDir;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::ring;

use super::authority::DAY;
use super::certificate::{Certificate, Details};
use super::folder::{AUTHORITY, CERTIFICATE, Folder, ISSUED, KEY};
use super::provision;

const FILES: [&str; 4] = [CERTIFICATE, KEY, AUTHORITY, ISSUED];
const NAMES: [&str; 4] = ["localhost", "127.0.0.1", "::1", "*.example.com"];

struct Dir {
    _dir: TempDir,
    folder: Folder,
    now: SystemTime,
}

impl Dir {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(&dir.path().join("tls")).unwrap();
        Self { _dir: dir, folder, now: SystemTime::UNIX_EPOCH + DAY * 20_000 }
    }

    fn provisioned() -> Self {
        let dir = Self::new();
        dir.provision().unwrap();
        dir
    }

    fn provision_for(&self, names: &[&str]) -> Result<(), String> {
        let names: Vec<_> = names.iter().map(|&name| name.into()).collect();
        provision::ensure_certificate(&self.folder, &names, Some("box"), self.now)
    }

    fn provision(&self) -> Result<(), String> {
        self.provision_for(&NAMES)
    }

    fn load(&self) -> Result<Details, String> {
        Certificate::load(&self.folder, &ring::default_provider()).map(|loaded| loaded.details)
    }

    fn names(&self) -> Vec<String> {
        self.load().unwrap().names
    }

    fn read(&self, name: &str) -> String {
        self.folder.read(name).unwrap().unwrap()
    }

    /// All files, by name.
    fn files(&self) -> BTreeMap<String, String> {
        let files = fs::read_dir(self.folder.path("")).unwrap().map(|entry| entry.unwrap().path());
        let file = |path: PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        };
        files.map(file).collect()
    }

    #[track_caller]
    fn assert_all_is_well_for(&self, names: &[&str]) {
        let before = self.files();
        self.provision_for(names).unwrap();
        assert_eq!(self.files(), before);
    }

    fn has_new_authority(&self, since: &BTreeMap<String, String>) -> bool {
        self.read(AUTHORITY) != since[AUTHORITY]
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.folder.path(name), content).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path(name)).unwrap();
    }

    /// Copies certificate and key of another folder.
    fn copy_pair(&self, from: &Self) {
        for name in [CERTIFICATE, KEY] {
            self.write(name, &from.read(name));
        }
    }

    /// Whether a client that trusts `authority` accepts the server as `name` now.
    fn is_accepted(&self, authority: &str, name: &str) -> bool {
        let [authority, certificate] = [authority, &self.read(CERTIFICATE)]
            .map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap());
        let mut roots = RootCertStore::empty();
        roots.add(authority).unwrap();
        let provider = ring::default_provider().into();
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now =
            UnixTime::since_unix_epoch(self.now.duration_since(SystemTime::UNIX_EPOCH).unwrap());
        let verifier = verifier.build().unwrap();
        verifier.verify_server_cert(&certificate, &[], &name, &[], now).is_ok()
    }
}
