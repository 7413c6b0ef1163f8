//! Faults of a URL, and what to write instead.

use proto::escape;

const ALLOWED: &str =
    "allowed is ws://HOST[:PORT][/PATH], or wss:// for TLS, such as ws://localhost:8765";

/// A fault of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::net) enum Fault {
    NoScheme,
    Scheme,
    NoHost,
    Host(String),
    /// A host with letters outside ASCII.
    International(String),
    /// An IPv6 address without brackets.
    BareIpv6(String),
    Port(String),
    Fragment(String),
    /// A character in the path that must be percent-encoded.
    Unencoded(char),
    Credentials(String),
}

impl Fault {
    /// Explains the fault of `text` in one line, without showing a password.
    pub(super) fn explain(&self, text: &str) -> String {
        // An unencoded /, ? or # in a password ends the authority (RFC 3986, section 3.2), so any
        // part of a text with an @ may belong to a password.
        let may_hold_password = text.contains('@');
        let part = |part: &str| match may_hold_password {
            true => "***".into(),
            false => escape::plain(part),
        };
        match self {
            Self::NoScheme if text.is_empty() => ALLOWED.into(),
            Self::NoScheme if let Some(rest) = behind_slashes(text) => {
                let scheme = text.split(':').next().unwrap_or_default();
                format!("\"://\" stands behind the scheme: write {scheme}://{}", part(rest))
            }
            Self::NoScheme => {
                format!("the scheme is missing: write ws://{}, or wss:// for TLS", part(text))
            }
            Self::Scheme => {
                let scheme = text.split("://").next().unwrap_or_default();
                format!("the scheme {} is not known: {ALLOWED}", part(scheme))
            }
            Self::NoHost => format!("the host is missing: {ALLOWED}"),
            Self::Host(host) => format!(
                "the host \"{}\" is not allowed: it is a name of letters, digits, \"-\", \"_\" and \".\", or an address, that of IPv6 in brackets",
                part(host)
            ),
            Self::International(host) => format!(
                "a host is written in ASCII: {} in place of {}",
                ascii(host).map_or_else(|| "xn--...".into(), |host| part(&host)),
                part(host)
            ),
            Self::BareIpv6(address) => {
                format!("an IPv6 address stands in brackets: [{0}] in place of {0}", part(address))
            }
            Self::Port(port) if port.is_empty() => {
                "the port is empty: leave the colon out, or write a number from 1 to 65535".into()
            }
            Self::Port(port) => format!(
                "the port {} is not allowed: it is a number from 1 to 65535{}",
                part(port),
                if may_hold_password {
                    " (in a password, / is written as %2F, ? as %3F and # as %23)"
                } else {
                    ""
                }
            ),
            Self::Fragment(fragment) => format!(
                "the fragment {} has no meaning for a WebSocket (RFC 6455, section 3): leave it out, or write %23 for a # in the path",
                part(fragment)
            ),
            Self::Unencoded(c) => {
                let c = c.to_string();
                let encoded: String = c.bytes().map(|byte| format!("%{byte:02X}")).collect();
                format!("an \"{}\" in the path is written as {encoded}", escape::plain(&c))
            }
            Self::Credentials(fault) => fault.clone(),
        }
    }
}

/// The rest after `ws:` or `ws:/`, which lack slashes.
fn behind_slashes(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let is_known =
        ["ws", "wss", "http", "https"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
    // `ws:8765` is the host `ws` with a port.
    (is_known && !rest.starts_with(|c: char| c.is_ascii_digit()))
        .then(|| rest.trim_start_matches('/'))
}

/// The ASCII form of a host (RFC 5891, section 4.4): lower case, and Punycode for labels with
/// other letters.
fn ascii(host: &str) -> Option<String> {
    let label = |label: &str| match label.is_ascii() {
        true => Some(label.to_owned()),
        false => {
            idna::punycode::encode_str(&label.to_lowercase()).map(|code| format!("xn--{code}"))
        }
    };
    Some(host.split('.').map(label).collect::<Option<Vec<_>>>()?.join("."))
}
