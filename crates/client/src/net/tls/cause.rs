//! Explains a failed TLS handshake, and how to fix its cause.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use chrono::{DateTime, Local};
use proto::escape;
use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible,
};

use crate::net::fault::Fault;

/// Most names of a certificate that are shown.
const SHOWN: usize = 10;

/// Advice for an unknown certificate authority.
const ADD_AUTHORITY: &str = "give the certificate of its authority, or the server's own if that signed itself, with TLS_CA=FILE (--tls-ca)";

const HUNG_UP: &str =
    "the server hung up during the TLS handshake: if it speaks no TLS there, use ws:// for it";

const OLD_VERSION: &str = "the server speaks neither TLS 1.2 nor TLS 1.3, and older versions are not safe: update it, or allow these";

const NO_COMMON_PARAMETERS: &str = "the server refused the TLS handshake (HandshakeFailure): it has no cipher or kind of key in common with this client, or wants a certificate of it (--cert)";

const WEAK_SIGNATURE: &str = "is signed in a way that is not safe any more, such as SHA-1, or that is not known here: make a new one, with SHA-256";

/// The server name and the trust settings of a handshake.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Host name in the URL.
    pub(crate) name: ServerName<'static>,
    /// File of authorities trusted in addition to the system's (`TLS_CA`).
    pub(crate) tls_ca: Option<PathBuf>,
    /// Whether the system has any trusted authorities.
    pub(crate) has_system_roots: bool,
    /// Whether the client has a certificate (`--cert`).
    pub(crate) has_identity: bool,
}

impl Context {
    /// The name as a `subjectAltName` entry of openssl.
    fn alternative(&self) -> String {
        match self.name {
            ServerName::IpAddress(_) => format!("IP:{}", self.name.to_str()),
            _ => format!("DNS:{}", self.name.to_str()),
        }
    }
}

/// Explains an error of a TLS stream in one line; `None` if TLS did not cause the error.
pub(crate) fn explain(error: &io::Error, context: &Context) -> Option<String> {
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(error) => Some(handshake(error, context)),
        None => hung_up(error).then(|| HUNG_UP.into()),
    }
}

/// Whether the peer closed the connection without a TLS alert.
pub(crate) fn hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// Whether the peer broke TLS, or ended TLS with an alert.
pub(crate) fn is_violation(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Error>)
}

/// The kind of an error of a TLS stream.
pub(super) fn fault(error: &io::Error) -> Fault {
    use PeerIncompatible as Peer;
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(Error::InvalidCertificate(error)) => Fault::Certificate {
            // A bad signature means a trusted name with another key.
            is_unknown: matches!(
                error,
                CertificateError::UnknownIssuer | CertificateError::BadSignature
            ),
        },
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Fault::NotTls,
        Some(
            Error::AlertReceived(AlertDescription::ProtocolVersion)
            | Error::PeerIncompatible(
                Peer::ServerDoesNotSupportTls12Or13 | Peer::ServerTlsVersionIsDisabledByOurConfig,
            ),
        ) => Fault::OldTls,
        None if hung_up(error) => Fault::HungUp,
        _ => Fault::Other,
    }
}

fn handshake(error: &Error, context: &Context) -> String {
    use PeerIncompatible as Peer;
    match error {
        Error::InvalidCertificate(error) => certificate(error, context),
        Error::AlertReceived(alert) => refused(*alert, context),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server speaks no TLS there: use ws:// for it".into()
        }
        Error::PeerIncompatible(
            Peer::ServerDoesNotSupportTls12Or13 | Peer::ServerTlsVersionIsDisabledByOurConfig,
        ) => OLD_VERSION.into(),
        error => format!("the TLS handshake failed: {}", escape::plain(&error.to_string())),
    }
}

/// Explains the alert with which the server refused the handshake.
fn refused(alert: AlertDescription, context: &Context) -> String {
    match alert {
        AlertDescription::ProtocolVersion => OLD_VERSION.into(),
        AlertDescription::HandshakeFailure => NO_COMMON_PARAMETERS.into(),
        AlertDescription::CertificateRequired if context.has_identity => {
            "the server wants a certificate of the client, and not of the kind in --cert: one of an authority that the server trusts".into()
        }
        AlertDescription::CertificateRequired => {
            "the server wants a certificate of the client, and this client has none: give one with --cert FILE and --key FILE".into()
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::DecryptError
            if context.has_identity =>
        {
            format!("the server does not accept the certificate in --cert ({alert:?}): is that in force, for clients, and of an authority that the server trusts?")
        }
        AlertDescription::UnrecognisedName => {
            let name = context.name.to_str();
            format!("the server has no certificate for {name}: use another of its names in the URL")
        }
        alert => format!("the server refused the TLS handshake ({alert:?})"),
    }
}

fn certificate(error: &CertificateError, context: &Context) -> String {
    use CertificateError as Fault;
    let cause = match error {
        Fault::UnknownIssuer => return unknown_authority(context),
        Fault::BadSignature => return bad_signature(context),
        Fault::NotValidForNameContext { presented, .. } => return wrong_name(presented, context),
        Fault::ExpiredContext { time, not_after } => format!(
            "expired on {}, and the clock here says {}: renew it on the server, or set the clock",
            Timestamp(*not_after),
            Timestamp(*time)
        ),
        Fault::NotValidYetContext { time, not_before } => format!(
            "is valid from {} on, and the clock here says {}: wait, or set the clock that is wrong",
            Timestamp(*not_before),
            Timestamp(*time)
        ),
        Fault::UnsupportedSignatureAlgorithmContext { .. }
        | Fault::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => WEAK_SIGNATURE.into(),
        Fault::Revoked => "was revoked by its authority: the server needs a new one".into(),
        Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => {
            "is not for servers: its extendedKeyUsage lacks serverAuth".into()
        }
        Fault::BadEncoding => "is damaged: it is not correctly encoded".into(),
        Fault::Other(OtherError(error)) => match error.downcast_ref() {
            Some(webpki::Error::CaUsedAsEndEntity) => authority_itself(context),
            Some(webpki::Error::UnsupportedCertVersion) => first_version(context),
            _ => format!("cannot be used: {}", escape::plain(&error.to_string())),
        },
        error => format!("cannot be used: {}", escape::plain(&error.to_string())),
    };
    format!("the certificate of the server {cause}")
}

fn unknown_authority(context: &Context) -> String {
    let known = match (&context.tls_ca, context.has_system_roots) {
        (None, true) => "not one that this system trusts".into(),
        (None, false) => "not known to this system, which knows no authority at all".into(),
        (Some(path), true) => {
            format!("neither in {path:?} (TLS_CA) nor one that this system trusts")
        }
        (Some(path), false) => {
            format!("not in {path:?} (TLS_CA), and this system knows no authority at all")
        }
    };
    format!(
        "unknown authority: whoever signed the certificate of the server is {known}; {ADD_AUTHORITY}"
    )
}

fn wrong_name(presented: &[String], context: &Context) -> String {
    let name = context.name.to_str();
    if presented.is_empty() {
        return format!(
            "wrong name: the certificate of the server names no host, as a common name does not count: make a new one, with the extension subjectAltName={}",
            context.alternative()
        );
    }
    let more = presented.len().saturating_sub(SHOWN);
    let mut names: Vec<_> = presented.iter().take(SHOWN).map(|name| bare(name)).collect();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    let last = names.pop().unwrap_or_default();
    let names = if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) };
    format!(
        "wrong name: the certificate of the server is not for {name}, but for {names}: use such a name in the URL, or make a certificate for {name} (TLS_NAMES of the server)"
    )
}

/// The bare name in `DnsName("localhost")` or `IpAddress(0::1)`.
fn bare(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    match inner.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => escape::plain(inner.trim_matches('"')),
    }
}

/// Explains a wrong signature. The authority has a new key, or a self-signed certificate has the
/// name of another one, such as `localhost`, that the system trusts.
fn bad_signature(context: &Context) -> String {
    let old = match &context.tls_ca {
        Some(path) => format!(" (is {path:?}, TLS_CA, an old one?)"),
        None => String::new(),
    };
    format!(
        "unknown authority: whoever signed the certificate of the server has the name of one that is known here, but another key{old}; {ADD_AUTHORITY}; or else a key is too short (RSA needs 2048 bits)"
    )
}

/// Explains a CA certificate used as the server's own, as `openssl req -x509` creates by default.
fn authority_itself(context: &Context) -> String {
    format!(
        "is marked as an authority (CA:TRUE, as openssl req -x509 does), which that of a server must not be: make one with openssl req -x509 -newkey rsa:2048 -nodes -days 365 -keyout key.pem -out cert.pem -subj /CN={} -addext subjectAltName={} -addext basicConstraints=critical,CA:FALSE, and give it here with TLS_CA=cert.pem (--tls-ca)",
        context.name.to_str(),
        context.alternative()
    )
}

/// Explains an X.509 version 1 certificate, as `openssl x509 -req` creates without extensions.
fn first_version(context: &Context) -> String {
    format!(
        "is of an old kind (X.509 version 1), which names no host: make a new one, with the extension subjectAltName={}",
        context.alternative()
    )
}

/// A time in the format of the events on stderr.
struct Timestamp(UnixTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX);
        match DateTime::from_timestamp(seconds, 0) {
            Some(time) => write!(f, "{}", time.with_timezone(&Local).format("%d-%m-%Y %H:%M:%S")),
            None => write!(f, "{seconds} s after 1970"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn context(name: &'static str) -> Context {
        let name = ServerName::try_from(name).unwrap();
        Context { name, tls_ca: None, has_system_roots: true, has_identity: false }
    }

    fn explained(error: impl Into<Error>) -> String {
        explain(&io::Error::other(error.into()), &context("server")).unwrap()
    }

    fn other(error: webpki::Error) -> CertificateError {
        CertificateError::Other(OtherError(Arc::new(error)))
    }

    #[test]
    fn rare_causes_are_explained() {
        for (error, cause) in [
            (CertificateError::Revoked, "was revoked by its authority: the server needs a new one"),
            (CertificateError::BadEncoding, "is damaged: it is not correctly encoded"),
            (
                CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                    signature_algorithm_id: vec![],
                    public_key_algorithm_id: vec![],
                },
                "is signed in a way that is not safe any more, such as SHA-1, or that is not known here: make a new one, with SHA-256",
            ),
            (
                other(webpki::Error::UnsupportedCertVersion),
                "is of an old kind (X.509 version 1), which names no host: make a new one, with the extension subjectAltName=DNS:server",
            ),
            (other(webpki::Error::EndEntityUsedAsCa), "cannot be used: EndEntityUsedAsCa"),
        ] {
            assert_eq!(explained(error), format!("the certificate of the server {cause}"));
        }
        assert_eq!(
            explained(Error::DecryptError),
            "the TLS handshake failed: cannot decrypt peer's message"
        );
    }

    #[test]
    fn an_ip_address_is_named_as_one_in_the_advice() {
        assert_eq!(context("::1").alternative(), "IP:::1");
        assert_eq!(context("127.0.0.1").alternative(), "IP:127.0.0.1");
    }

    #[test]
    fn errors_outside_tls_are_not_explained() {
        assert_eq!(explain(&io::Error::other("no room"), &context("server")), None);
    }

    #[test]
    fn a_time_beyond_the_calendar_is_shown_in_seconds() {
        let far = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::MAX));
        assert_eq!(Timestamp(far).to_string(), "9223372036854775807 s after 1970");
    }

    proptest! {
        #[test]
        fn names_in_a_certificate_are_escaped(names in prop::collection::vec(any::<String>(), 0..20)) {
            let presented = names.iter().map(|name| format!("DnsName(\"{name}\")")).collect();
            let expected = ServerName::try_from("server").unwrap();
            let explained = explained(CertificateError::NotValidForNameContext { expected, presented });
            prop_assert!(!explained.chars().any(char::is_control), "{explained:?}");
        }
    }
}
