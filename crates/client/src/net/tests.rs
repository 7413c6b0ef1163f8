//! Phases and address of a connection.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio_tungstenite::accept_async;

use super::*;
use proxy::choice::{Proxies, Schemes};

/// Accepts the upgrade over `stream`, and waits for the end of the connection.
async fn serve(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut socket = accept_async(stream).await.unwrap();
    while let Some(Ok(_)) = futures_util::StreamExt::next(&mut socket).await {}
}

/// Whether each phase has a time: name, proxy, TCP, TLS, upgrade.
fn had(phases: Phases) -> [bool; 5] {
    let Phases { dns, proxy, tcp, tls, upgrade } = phases;
    [dns, proxy, tcp, tls, upgrade].map(|time| time.is_some())
}

#[tokio::test]
async fn only_the_phases_that_a_connection_has_are_timed() {
    for (host, phases) in [
        ("127.0.0.1", [false, false, true, false, true]),
        ("localhost", [true, false, true, false, true]),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { serve(listener.accept().await.unwrap().0).await });
        let url = format!("ws://{host}:{}", address.port()).parse().unwrap();
        let connected = connect(&Endpoint::new(url)).await.unwrap();
        assert_eq!(had(connected.phases), phases, "{host}");
        assert_eq!(connected.address, Address::Tcp(address));
        drop(connected);
        server.await.unwrap();
    }
}

#[tokio::test]
async fn the_address_is_that_of_the_proxy_where_there_is_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        stream.read_exact(&mut [0; 3]).await.unwrap();
        stream.write_all(&[5, 0]).await.unwrap();
        stream.read_exact(&mut [0; 4 + 12 + 2]).await.unwrap();
        stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]).await.unwrap();
        serve(stream).await;
    });
    let mut endpoint = Endpoint::new("ws://server.test".parse().unwrap());
    let through = format!("socks5h://{address}");
    endpoint.options.proxies = Proxies::choose(Some(&through), Schemes::Any, |_| Ok(None)).unwrap();
    let connected = connect(&endpoint).await.unwrap();
    assert_eq!(had(connected.phases), [false, true, true, false, true]);
    assert_eq!(connected.address, Address::Tcp(address));
    drop(connected);
    server.await.unwrap();
}

#[tokio::test]
async fn a_unix_socket_has_neither_name_nor_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move { serve(listener.accept().await.unwrap().0).await });
    let mut endpoint = Endpoint::new("ws://server.test".parse().unwrap());
    endpoint.options.unix_socket = Some(path.clone());
    let connected = connect(&endpoint).await.unwrap();
    assert_eq!(had(connected.phases), [false, false, true, false, true]);
    assert_eq!(connected.address, Address::Unix(path));
    drop(connected);
    server.await.unwrap();
}
