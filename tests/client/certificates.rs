//! Certificates, valid and invalid ones.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use tempfile::TempDir;

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
}

/// A certificate and its key in files of one folder: each alone, and both in one.
pub(crate) struct PairFiles {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) both: String,
    _folder: TempDir,
}

impl PairFiles {
    pub(crate) fn of(pair: &Pair) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (pair.certificate.pem(), pair.key.serialize_pem());
        let write = |name, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        Self {
            certificate: write("cert.pem", &certificate),
            key: write("key.pem", &key),
            both: write("both.pem", &(certificate + &key)),
            _folder: folder,
        }
    }
}

/// An authority, and a file with its certificate.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) file: CertificateFile,
}

/// A certificate on disk, until it is dropped.
pub(crate) struct CertificateFile {
    folder: TempDir,
}

impl CertificateFile {
    pub(crate) fn new(pem: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(&[]);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = CertificateFile::new(&issuer.pem());
        Self { issuer, file }
    }

    /// The certificate of the authority itself.
    pub(crate) fn certificate(&self) -> &Certificate {
        self.issuer.as_ref()
    }

    /// A certificate for these names.
    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        self.sign(&params(names))
    }

    pub(crate) fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate, key }
    }
}

/// A certificate that signed itself.
pub(crate) fn self_signed(is_ca: IsCa) -> Pair {
    let mut params = params(&["localhost"]);
    params.is_ca = is_ca;
    let key = KeyPair::generate().unwrap();
    Pair { certificate: params.self_signed(&key).unwrap(), key }
}

/// The parameters of a certificate for these names.
pub(crate) fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// The parameters of a certificate for `localhost`, valid from the beginning of one year to that of
/// another.
pub(crate) fn valid(from: i32, to: i32) -> CertificateParams {
    let mut params = params(&["localhost"]);
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    params
}
