//! What the server tells about its certificate, and how to trust it.

use std::path::Path;

use chrono::{DateTime, Local};
use tracing::info;

use super::certificate::Certificate;
use super::folder::{AUTHORITY, CERTIFICATE, Folder};
use super::keeper::Made;

/// How an authority is trusted, by whom; `{}` is the path of its certificate.
const TRUST: [(&str, &str); 9] = [
    ("the client of this project", "TLS_CA={}"),
    ("curl", "curl --cacert {}"),
    ("Python", "SSL_CERT_FILE={}"),
    (
        "Debian and Ubuntu",
        "sudo cp {} /usr/local/share/ca-certificates/websockets.crt && sudo update-ca-certificates",
    ),
    ("Fedora and Arch", "sudo trust anchor {}"),
    (
        "Chrome and Chromium on Linux",
        "mkdir -p ~/.pki/nssdb && certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n websockets -i {}",
    ),
    (
        "macOS",
        "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {}",
    ),
    ("Windows", "certutil -addstore -f Root {}"),
    ("Firefox", "Settings, Privacy & Security, View Certificates, Authorities, Import: {}"),
];

/// Tells which certificate is shown, and how clients come to trust it.
pub(super) fn tell(folder: &Folder, made: Made, certificate: &Certificate) {
    info!("certificate: {}", described(certificate));
    let authority = folder.path(AUTHORITY);
    let path = authority.display();
    match made {
        Made::Nothing if folder.is_own(CERTIFICATE).is_ok_and(|is_own| is_own) => {
            info!("clients have to trust its authority, {path}");
        }
        Made::Nothing => {}
        Made::Certificate => info!("issued it under the authority {path}, which clients trust"),
        Made::Authority => {
            info!("made a development authority for it: {path}");
            tell_how_to_trust(&authority);
        }
    }
}

fn tell_how_to_trust(authority: &Path) {
    let mut path = quoted(&authority.display().to_string());
    if std::process::id() == 1 {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        info!("to trust it, first take it out of the container: docker cp {host}:{path} .");
        path = AUTHORITY.into();
    }
    for (who, how) in TRUST {
        info!("to trust it, {who}: {}", how.replace("{}", &path));
    }
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,%=".contains(c);
    if path.chars().all(is_plain) {
        return path.into();
    }
    format!("'{}'", proto::escape::plain(path).replace('\'', r"'\''"))
}

/// The names and the end of a certificate.
pub(super) fn described(certificate: &Certificate) -> String {
    let until = DateTime::<Local>::from(certificate.not_after).format("%d-%m-%Y");
    let names = proto::escape::plain(&certificate.names.join(", "));
    format!("for {names}, valid until {until}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_every_path() {
        assert_eq!(quoted("/home/me/tls/ca.pem"), "/home/me/tls/ca.pem");
        assert_eq!(quoted("/my certs/it's/ca.pem"), r"'/my certs/it'\''s/ca.pem'");
    }
}
