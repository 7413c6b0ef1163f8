//! TLS handshakes that are begun and abandoned. Each costs the server a signature, and the attacker
//! next to nothing.

use std::io::Write;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::{Attacker, Flood};
use crate::support::TestServer;

/// Bursts of TLS handshakes, a few hundred a second.
pub(super) const HELLOS: Flood =
    Flood { name: "TLS handshakes", attackers: 1, growth: 96 << 20, attack: burst };

/// Handshakes of a burst.
const BURST: usize = 100;

/// Time between two bursts.
const PAUSE: Duration = Duration::from_millis(250);

/// The first message of a TLS handshake.
static HELLO: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut hello).unwrap();
    hello
});

fn burst(attacker: &mut Attacker) {
    for _ in 0..BURST {
        if let Some(mut stream) = attacker.connect(attacker.secure)
            && stream.write_all(&HELLO).is_ok()
        {
            attacker.hold(stream, 3 * BURST);
            attacker.done += 1;
        }
    }
    thread::sleep(PAUSE);
}

#[test]
#[ignore = "takes long: README.md in its folder"]
fn tls_handshakes() {
    HELLOS.stand_with(TestServer::builder(), |server| {
        assert_eq!(
            server.connect_securely_to("/echo").ping("Secure", ""),
            "[RE]: {\"client_name\": \"Secure\", \"message\": \"\"}"
        );
    });
}
