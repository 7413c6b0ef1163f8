//! A WebSocket client over TLS.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};
use tokio_tungstenite::tungstenite::client::client;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use super::{PATIENCE, ping_text};

/// A connected client.
#[derive(Debug)]
pub(crate) struct SecureClient(WebSocket<StreamOwned<ClientConnection, TcpStream>>);

impl SecureClient {
    /// Connects to the server at `address` as `localhost`, trusting the authorities in PEM.
    pub(crate) fn connect(address: SocketAddr, path: &str, authorities: &[u8]) -> io::Result<Self> {
        Self::connect_with(address, path, authorities, &[&TLS13, &TLS12])
    }

    /// [`Self::connect`] with these versions of TLS.
    pub(crate) fn connect_with(
        address: SocketAddr,
        path: &str,
        authorities: &[u8],
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities) {
            roots.add(authority.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        let config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(versions)
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let upgraded = client(format!("wss://localhost{path}"), StreamOwned::new(tls, stream));
        upgraded.map(|(socket, _)| Self(socket)).map_err(io::Error::other)
    }

    /// Sends a ping, and returns the reply.
    #[track_caller]
    pub(crate) fn ping(&mut self, name: &str, message: &str) -> String {
        self.send(Message::text(ping_text(name, message)));
        self.text()
    }

    #[track_caller]
    pub(crate) fn send(&mut self, message: Message) {
        self.try_send(message).expect("the server reads");
    }

    pub(crate) fn try_send(&mut self, message: Message) -> io::Result<()> {
        self.0.send(message).map_err(io::Error::other)
    }

    /// Queues a message; [`Self::flush`] sends all queued messages in one write.
    #[track_caller]
    pub(crate) fn queue(&mut self, message: Message) {
        self.0.write(message).expect("there is room");
    }

    #[track_caller]
    pub(crate) fn flush(&mut self) {
        self.0.flush().expect("the server reads");
    }

    /// The next text or binary message from the server.
    #[track_caller]
    pub(crate) fn message(&mut self) -> Message {
        loop {
            match self.0.read().expect("a message") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    #[track_caller]
    pub(crate) fn text(&mut self) -> String {
        self.message().into_text().expect("a text").as_str().to_owned()
    }

    /// The certificate that the server presented.
    #[track_caller]
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        let chain = self.0.get_ref().conn.peer_certificates().expect("a certificate");
        chain[0].clone().into_owned()
    }

    /// The negotiated version of TLS.
    pub(crate) fn version(&self) -> Option<ProtocolVersion> {
        self.0.get_ref().conn.protocol_version()
    }
}
