//! From an accepted connection to a WebSocket: TLS if the port speaks TLS, then HTTP.

use std::io;
use std::net::SocketAddr;

use proto::limits::HANDSHAKE_TIMEOUT;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{AlertDescription, Error};
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::core_yield::CoreYield;
use super::http::{Http, Upgrade, UpgradeRequest};
use super::maybe_tls::MaybeTls;
use super::tls::TlsSocket;
use crate::observe::Cause;
use crate::stream::Socket;
use crate::throttle::{Throttle, warn_throttled};
use crate::worker::Arrival;

/// The first byte of TLS: the type of a record of its handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Takes connections from their first byte to their upgrade.
#[derive(Debug)]
pub struct Handshaker {
    http: Http,
    core_yield: CoreYield,
    /// Warnings about TLS handshakes that failed.
    failed: Throttle,
    /// Warnings about TLS on the plain port, and the reverse.
    wrong_port: Throttle,
}

/// The protocol that the first byte of a connection shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstByte {
    Tls,
    Other,
}

impl Handshaker {
    /// Handshakes whose requests `http` answers.
    #[must_use]
    pub fn new(http: Http) -> Self {
        Self {
            http,
            core_yield: CoreYield::new(),
            failed: Throttle::default(),
            wrong_port: Throttle::default(),
        }
    }

    /// Waits for the first byte, until [`HANDSHAKE_TIMEOUT`] after the connection was `accepted`.
    pub(super) async fn first_byte(
        &self,
        stream: &TcpStream,
        peer: SocketAddr,
        accepted: Instant,
    ) -> Option<FirstByte> {
        let Ok(first_byte) =
            timeout_at(accepted + HANDSHAKE_TIMEOUT, peek_first_byte(stream)).await
        else {
            // Browsers open connections ahead of requests: nothing to warn of.
            self.http.errors().count(Cause::HandshakeTimeout);
            debug!(%peer, "nothing came within {HANDSHAKE_TIMEOUT:?}");
            return None;
        };
        first_byte
    }

    /// Answers the one request that a connection may carry, until [`HANDSHAKE_TIMEOUT`] after it
    /// was `accepted`. With an `acceptor`, the client has to speak TLS. Returns the connection
    /// if it was upgraded.
    pub(super) async fn perform(
        &self,
        stream: TcpStream,
        first_byte: FirstByte,
        acceptor: Option<TlsAcceptor>,
        peer: SocketAddr,
        accepted: Instant,
    ) -> Option<Arrival> {
        let deadline = accepted + HANDSHAKE_TIMEOUT;
        let is_secure = acceptor.is_some();
        let stream = match (first_byte, acceptor) {
            (FirstByte::Other, None) => MaybeTls::Plain(stream),
            (FirstByte::Tls, Some(acceptor)) => MaybeTls::Secure(Box::new(
                self.accept_tls(stream, &acceptor, peer, deadline).await?,
            )),
            (FirstByte::Tls, None) => {
                warn_throttled!(self.wrong_port, %peer, "refused: it speaks TLS to a port that does not; wss:// is for TLS_LISTEN, with TLS_DIR set");
                self.refuse(stream, TLS_TO_PLAIN, deadline).await;
                return None;
            }
            (FirstByte::Other, Some(_)) => {
                warn_throttled!(self.wrong_port, %peer, "refused: it does not speak TLS to the port that does; ws:// is for LISTEN");
                self.refuse(stream, PLAIN_TO_TLS, deadline).await;
                return None;
            }
        };
        let Upgrade { stream, read_buf, request } =
            self.http.serve(stream, peer, is_secure, deadline).await?;
        let upgraded = match stream {
            MaybeTls::Plain(stream) => plain_arrival(stream, read_buf, request),
            MaybeTls::Secure(stream) => tls_arrival(*stream, read_buf, request),
        };
        upgraded.inspect_err(|error| debug!(%peer, "lost after its upgrade: {error}")).ok()
    }

    /// Replies 400 with the reason, and closes in an order that lets the client read the reply.
    async fn refuse(&self, mut stream: TcpStream, why: &str, deadline: Instant) {
        self.http.errors().count(Cause::Tls);
        let reply = format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{why}",
            why.len()
        );
        let said = async {
            stream.write_all(reply.as_bytes()).await?;
            stream.shutdown().await?;
            // Closing a socket with unread bytes resets the connection, and the client may lose the
            // reply.
            while stream.read(&mut [0; 512]).await? > 0 {}
            io::Result::Ok(())
        };
        if !matches!(timeout_at(deadline, said).await, Ok(Ok(()))) {
            debug!("a refused client did not hang up in order");
        }
    }

    async fn accept_tls(
        &self,
        stream: TcpStream,
        acceptor: &TlsAcceptor,
        peer: SocketAddr,
        deadline: Instant,
    ) -> Option<TlsStream<TcpStream>> {
        match timeout_at(deadline, self.core_yield.between_steps(acceptor.accept(stream))).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                self.http.errors().count(Cause::Tls);
                let why = explain(&error);
                warn_throttled!(self.failed, %peer, "TLS handshake failed: {why}");
                None
            }
            Err(_) => {
                self.http.warn_late(peer);
                None
            }
        }
    }
}

const TLS_TO_PLAIN: &str = "This port does not speak TLS: use ws:// or http://.\n";
const PLAIN_TO_TLS: &str = "This port speaks TLS: use wss:// or https://.\n";

async fn peek_first_byte(stream: &TcpStream) -> Option<FirstByte> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) if first[0] == TLS_HANDSHAKE => Some(FirstByte::Tls),
        Ok(1) => Some(FirstByte::Other),
        Ok(_) => None,
        Err(error) => {
            debug!("a connection ended before its first byte: {error}");
            None
        }
    }
}

/// A connection in the clear, as a worker takes it.
fn plain_arrival(
    stream: TcpStream,
    read_buf: Vec<u8>,
    request: UpgradeRequest,
) -> io::Result<Arrival> {
    let stream = Socket::new(stream.into_std()?);
    Ok(request.arrival(Box::new(stream), read_buf))
}

/// A connection over TLS, as a worker takes it. Bytes that were decrypted during the handshake
/// cause no event any more, so they are read here.
fn tls_arrival(
    stream: TlsStream<TcpStream>,
    mut read_buf: Vec<u8>,
    request: UpgradeRequest,
) -> io::Result<Arrival> {
    let (stream, tls) = stream.into_inner();
    let mut stream = TlsSocket::new(Socket::new(stream.into_std()?), tls);
    stream.read_decrypted(&mut read_buf)?;
    Ok(request.arrival(Box::new(stream), read_buf))
}

/// Why a TLS handshake failed. The usual cause is a client that does not trust the certificate,
/// which sends an alert.
fn explain(error: &io::Error) -> String {
    let alert = match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::AlertReceived(alert)) => *alert,
        _ if error.kind() == io::ErrorKind::UnexpectedEof => {
            return "the client hung up; if it does so each time, it does not trust the certificate".into();
        }
        _ => return error.to_string(),
    };
    match alert {
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError => format!(
            "the client does not trust the certificate ({alert:?}); give it the authority that issued it"
        ),
        AlertDescription::CertificateExpired => "to the client the certificate has expired".into(),
        alert => format!("the client says {alert:?}"),
    }
}
