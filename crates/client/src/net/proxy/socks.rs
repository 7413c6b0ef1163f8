//! A tunnel through a SOCKS 5 proxy (RFC 1928), with user and password (RFC 1929).

use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Target;
use crate::net::credentials::Credentials;

const VERSION: u8 = 5;

/// Version of the user and password negotiation (RFC 1929, section 2).
const PASSWORD_VERSION: u8 = 1;

/// Longest name, user or password, in bytes: the length is one byte.
const MAX_TEXT: usize = 255;

// Methods (RFC 1928, section 3).
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;

const CONNECT: u8 = 1;

// Address types (RFC 1928, section 5).
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Whether user and password are short enough for SOCKS.
pub(super) fn fit(credentials: &Credentials) -> bool {
    credentials.user().len() <= MAX_TEXT && credentials.password().len() <= MAX_TEXT
}

/// Asks the SOCKS proxy at the other end of `stream` to connect to a server.
///
/// # Errors
/// Why the proxy did not connect, and what to do.
pub(super) async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    target: &Target,
    credentials: Option<&Credentials>,
) -> Result<S, String> {
    authenticate(&mut stream, credentials).await?;
    send(&mut stream, &request(target)?).await?;
    let [version, reply, _, kind] = receive(&mut stream).await?;
    check_version(version)?;
    if reply != 0 {
        return Err(format!("it could not connect to {target}: {}", explain(reply)));
    }
    // Skips the address that the proxy connected from.
    let rest = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(receive::<1, _>(&mut stream).await?[0]),
        kind => return Err(format!("it answered with an address of the unknown kind {kind}")),
    };
    const PORT: usize = 2;
    stream.read_exact(&mut vec![0; rest + PORT]).await.map_err(|error| broken(&error))?;
    Ok(stream)
}

/// Agrees on a method, and sends user and password if the proxy wants them.
async fn authenticate(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    credentials: Option<&Credentials>,
) -> Result<(), String> {
    let offer: &[u8] = match credentials {
        Some(_) => &[VERSION, 2, NO_AUTHENTICATION, PASSWORD],
        None => &[VERSION, 1, NO_AUTHENTICATION],
    };
    send(stream, offer).await?;
    let [version, method] = receive(stream).await?;
    check_version(version)?;
    match (method, credentials) {
        (NO_AUTHENTICATION, _) => Ok(()),
        (PASSWORD, Some(credentials)) => log_in(stream, credentials).await,
        (NO_METHOD, None) => {
            Err("it wants a user and a password, as in socks5h://USER:PASSWORD@PROXY:PORT".into())
        }
        (NO_METHOD, Some(_)) => Err(
            "it takes no user and password (RFC 1929), but wants to know in another way who asks"
                .into(),
        ),
        (method, _) => Err(format!("it chose the method {method}, which was not offered")),
    }
}

async fn log_in(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    credentials: &Credentials,
) -> Result<(), String> {
    let mut message = vec![PASSWORD_VERSION];
    for text in [credentials.user(), credentials.password()] {
        message.extend(with_length(text)?);
    }
    send(stream, &message).await?;
    match receive(stream).await? {
        [_, 0] => Ok(()),
        [_, _] => Err("it does not accept the user and password that were sent".into()),
    }
}

fn request(target: &Target) -> Result<Vec<u8>, String> {
    let mut request = vec![VERSION, CONNECT, 0];
    match target.host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend(address.octets());
        }
        Err(_) => {
            request.push(NAME);
            request.extend(with_length(target.host.as_bytes())?);
        }
    }
    request.extend(target.port.to_be_bytes());
    Ok(request)
}

/// A text with its length, one byte, in front.
fn with_length(text: &[u8]) -> Result<Vec<u8>, String> {
    let length = u8::try_from(text.len())
        .map_err(|_| format!("SOCKS has room for {MAX_TEXT} bytes of a name, user or password"))?;
    Ok([&[length], text].concat())
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Result<(), String> {
    let sent = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    sent.await.map_err(|error| broken(&error))
}

async fn receive<const N: usize, S: AsyncRead + Unpin>(stream: &mut S) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(|error| broken(&error))?;
    Ok(bytes)
}

fn check_version(version: u8) -> Result<(), String> {
    match version {
        VERSION => Ok(()),
        b'H' => Err("it is no SOCKS proxy, but speaks HTTP: use http:// for it".into()),
        version => Err(format!("it is no SOCKS 5 proxy: it answers with version {version}")),
    }
}

fn broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "it hung up during the SOCKS exchange: is that a SOCKS 5 proxy?".into()
        }
        _ => format!("the SOCKS exchange broke off: {error}"),
    }
}

/// The meaning of a reply code (RFC 1928, section 6).
fn explain(reply: u8) -> String {
    match reply {
        1 => "general failure (is the name known to the proxy?)".into(),
        2 => "its rules do not allow that".into(),
        3 => "network unreachable".into(),
        4 => "host unreachable (is the name known to the proxy?)".into(),
        5 => "connection refused".into(),
        6 => "no answer in time".into(),
        7 => "it makes no connections for clients (CONNECT)".into(),
        8 => "it does not take this kind of address: socks5h:// sends names, -4 or -6 chooses addresses for socks5://".into(),
        reply => format!("reply {reply}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    fn target(host: &str) -> Target {
        Target { host: host.into(), port: 443 }
    }

    /// The bytes that a client sends to a proxy that answers with `answers`, and the result.
    async fn exchanged(
        host: &str,
        credentials: Option<&str>,
        answers: &[&[u8]],
    ) -> (Vec<u8>, Result<Vec<u8>, String>) {
        let (near, mut far) = duplex(4096);
        far.write_all(&answers.concat()).await.unwrap();
        far.write_all(b"next").await.unwrap();
        far.shutdown().await.unwrap();
        let credentials = credentials.map(|pair| Credentials::from_pair(pair).unwrap());
        let end = match tunnel(near, &target(host), credentials.as_ref()).await {
            Ok(mut stream) => {
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await.unwrap();
                Ok(rest)
            }
            Err(cause) => Err(cause),
        };
        let mut sent = Vec::new();
        far.read_to_end(&mut sent).await.unwrap();
        (sent, end)
    }

    const OK: &[u8] = &[5, 0, 0, 1, 127, 0, 0, 1, 0, 80];

    #[tokio::test]
    async fn names_and_addresses_are_sent_as_such() {
        for (host, address) in [
            ("a.test", &b"\x03\x06a.test"[..]),
            ("192.0.2.1", &[1, 192, 0, 2, 1]),
            ("::1", &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ] {
            let (sent, end) = exchanged(host, None, &[&[5, 0], OK]).await;
            assert_eq!(sent, [&[5, 1, 0, 5, 1, 0], address, &[1, 187]].concat(), "{host}");
            assert_eq!(end.unwrap(), b"next", "{host}");
        }
    }

    #[tokio::test]
    async fn an_answer_with_any_kind_of_address_is_read_to_its_end() {
        let name = [&[5, 0, 0, 3, 255][..], &[b'x'; 257]].concat();
        let ipv6 = [&[5, 0, 0, 4][..], &[0; 18]].concat();
        for answer in [OK, &name, &ipv6] {
            assert_eq!(exchanged("a.test", None, &[&[5, 0], answer]).await.1.unwrap(), b"next");
        }
    }

    #[tokio::test]
    async fn user_and_password_are_sent_where_the_proxy_wants_them() {
        let (sent, end) = exchanged("a", Some("me:secret"), &[&[5, 2], &[1, 0], OK]).await;
        assert!(sent.starts_with(b"\x05\x02\x00\x02\x01\x02me\x06secret\x05\x01"), "{sent:?}");
        assert_eq!(end.unwrap(), b"next");
        let (sent, end) = exchanged("a", Some("me:secret"), &[&[5, 0], OK]).await;
        assert!(!sent.windows(6).any(|word| word == b"secret"), "{sent:?}");
        assert_eq!(end.unwrap(), b"next");
    }

    #[tokio::test]
    async fn each_refusal_is_explained() {
        for (credentials, answers, expected) in [
            (None, &[&[5, 255][..]][..], "it wants a user and a password, as in socks5h://"),
            (Some("a:b"), &[&[5, 255]], "it takes no user and password (RFC 1929)"),
            (Some("a:b"), &[&[5, 2], &[1, 1]], "it does not accept the user and password"),
            (None, &[&[5, 2]], "it chose the method 2, which was not offered"),
            (None, &[&[4, 0]], "it is no SOCKS 5 proxy: it answers with version 4"),
            (None, &[b"HTTP/1.1"], "it is no SOCKS proxy, but speaks HTTP: use http:// for it"),
            (
                None,
                &[&[5, 0], &[5, 5, 0, 1]],
                "it could not connect to a.test:443: connection refused",
            ),
            (
                None,
                &[&[5, 0], &[5, 2, 0, 1]],
                "it could not connect to a.test:443: its rules do not allow that",
            ),
            (None, &[&[5, 0], &[5, 99, 0, 1]], "it could not connect to a.test:443: reply 99"),
            (None, &[&[5, 0], &[5, 0, 0, 9]], "it answered with an address of the unknown kind 9"),
            (None, &[&[5, 0], &[5, 0, 0, 3, 200]], "it hung up during the SOCKS exchange"),
        ] {
            let (_, end) = exchanged("a.test", credentials, answers).await;
            let cause = end.unwrap_err();
            assert!(cause.starts_with(expected), "{answers:?}: {cause}");
        }
        let (_, end) = exchanged(&"x".repeat(256), None, &[&[5, 0]]).await;
        assert_eq!(end.unwrap_err(), "SOCKS has room for 255 bytes of a name, user or password");
    }
}
