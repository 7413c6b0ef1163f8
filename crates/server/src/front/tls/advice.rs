//! Events about certificates, and about how clients come to trust them.

use std::path::Path;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local};
use tracing::{info, warn};

use super::authority::DAY;
use super::certificate::Details;

/// How to make each system trust an authority, a line each; `{}` stands for the path of its
/// certificate.
const TRUST: &str = include_str!("trust.txt");

/// How long before its end a certificate is warned of.
const WARN_BEFORE: Duration = Duration::from_secs(14 * DAY.as_secs());

/// Logs a new authority, and how to trust it. `reason` says why the old one cannot be used, if
/// there was one.
pub(super) fn announce(authority: &Path, reason: Option<&str>) {
    let path = authority.display();
    match reason {
        None => info!("created a development authority: {path}"),
        Some(reason) => warn!(
            "created a new development authority, {path}, because {reason}: clients have to trust it in place of the old one"
        ),
    }
    let mut path = quoted(&path.to_string());
    if std::process::id() == 1 {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        info!("to trust it, first copy it out of the container: docker cp {host}:{path} .");
        path = "ca.pem".into();
    }
    TRUST.lines().for_each(|line| info!("to trust it, {}", line.replace("{}", &path)));
}

/// A path, quoted for a shell where necessary.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,%=".contains(c);
    if path.chars().all(is_plain) {
        return path.into();
    }
    format!("'{}'", proto::escape::plain(path).replace('\'', r"'\''"))
}

/// The names and the end of a certificate.
pub(super) fn describe(details: &Details) -> String {
    let until = DateTime::<Local>::from(details.not_after).format("%d-%m-%Y");
    let names = match details.names.as_slice() {
        [] => "no name".into(),
        names => proto::escape::plain(&names.join(", ")),
    };
    format!("for {names}, valid until {until}")
}

/// Warns if clients will refuse the certificate.
pub(super) fn warn_of_refusal(details: &Details, now: SystemTime) {
    if details.is_authority {
        warn!(
            "the certificate is marked as that of an authority (openssl req -x509 makes it so), which many clients refuse: issue one with basicConstraints=CA:FALSE"
        );
    }
    if details.names.is_empty() {
        warn!("the certificate names no host (subjectAltName), so clients refuse it");
    }
    if details.not_before > now {
        warn!("the certificate is not valid yet");
    }
}

/// Warns of a certificate that expires soon. The server replaces its own long before the end, unless
/// the authority expires too.
pub(super) fn warn_before_end(details: &Details, is_own: bool, now: SystemTime) {
    if details.not_after > now + WARN_BEFORE {
        return;
    }
    let days = WARN_BEFORE.as_secs() / DAY.as_secs();
    if details.not_after < now {
        warn!("the certificate has expired");
    } else if is_own {
        warn!(
            "the authority expires in less than {days} days; the server then creates a new one, which clients have to trust"
        );
    } else {
        warn!("the certificate expires in less than {days} days");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_every_path_as_one_word() {
        assert_eq!(quoted("/home/me/tls/ca.pem"), "/home/me/tls/ca.pem");
        assert_eq!(quoted("/my certs/it's/ca.pem"), r"'/my certs/it'\''s/ca.pem'");
    }
}
