//! A server that speaks TLS.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};

use rcgen::Certificate;

use crate::certificates::{Authority, Pair};
use crate::fake::{Fake, Peer};

type TlsStream = StreamOwned<ServerConnection, TcpStream>;

/// A server that listens, until it is dropped.
pub(crate) struct Secure {
    pub(crate) fake: Fake,
    config: Arc<ServerConfig>,
    /// `wss://localhost:PORT`
    pub(crate) url: String,
}

impl Secure {
    pub(crate) fn start(pair: &Pair) -> Self {
        Self::start_with(pair, &[&TLS13, &TLS12], None)
    }

    /// A server of these versions that wants certificates of its clients, if there is an
    /// authority for them.
    pub(crate) fn start_with(
        pair: &Pair,
        versions: &[&'static SupportedProtocolVersion],
        clients: Option<&Certificate>,
    ) -> Self {
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .unwrap();
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der().clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                config.with_client_cert_verifier(verifier.unwrap())
            }
        };
        let key = PrivatePkcs8KeyDer::from(pair.key.serialize_der()).into();
        let config = config.with_single_cert(vec![pair.certificate.der().clone()], key).unwrap();
        let (fake, url) = Fake::start();
        let url = url.replace("ws://127.0.0.1", "wss://localhost");
        Self { fake, config: Arc::new(config), url }
    }

    /// A server of these versions that wants certificates of this authority.
    pub(crate) fn start_with_authority(
        pair: &Pair,
        versions: &[&'static SupportedProtocolVersion],
        clients: &Authority,
    ) -> Self {
        Self::start_with(pair, versions, Some(clients.certificate()))
    }

    /// The next connection without an upgrade, if it comes to one.
    pub(crate) fn accept_tls(&self) -> io::Result<TlsStream> {
        let mut stream = self.fake.accept_tcp();
        let mut tls = ServerConnection::new(self.config.clone()).unwrap();
        while tls.is_handshaking() {
            if let Err(error) = tls.complete_io(&mut stream) {
                // The client is to see the alert before the end.
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let _ = stream.read_to_end(&mut Vec::new());
                return Err(error);
            }
        }
        Ok(StreamOwned::new(tls, stream))
    }

    /// The next connection, if it comes to one.
    pub(crate) fn try_accept(&self) -> io::Result<Peer<TlsStream>> {
        Peer::over(self.accept_tls()?)
    }

    /// The next connection.
    pub(crate) fn accept(&self) -> Peer<TlsStream> {
        self.try_accept().unwrap()
    }
}
