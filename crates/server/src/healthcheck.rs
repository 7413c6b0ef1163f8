//! `server healthcheck`: asks a running server, from the outside, whether it works.
//!
//! `/healthz` tells of the log; a real upgrade and a protocol ping show that connections are
//! served. Nothing is written to the log.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue, USER_AGENT};
use proto::path;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

/// How the check introduces itself, so that it leaves no lines about connections.
const AGENT: HeaderValue = HeaderValue::from_static("server-healthcheck");

/// Time for the whole check.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest reply that is read from `/healthz`, in bytes.
const MAX_REPLY: u64 = 4096;

/// Whether a request comes from this check.
pub(crate) fn sent(headers: &HeaderMap) -> bool {
    headers.get(USER_AGENT) == Some(&AGENT)
}

/// Checks the server that listens at `listen`.
///
/// # Errors
/// What is wrong with it.
pub async fn check(listen: SocketAddr) -> Result<(), String> {
    let server = reachable(listen);
    let work = async {
        health(server).await?;
        ping(server).await
    };
    match timeout(PATIENCE, work).await {
        Ok(result) => result.map_err(|cause| format!("{server}: {cause}")),
        Err(_) => Err(format!("{server}: no answer within {PATIENCE:?}")),
    }
}

/// An address that listens everywhere is reached at loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
        _ => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}

async fn health(server: SocketAddr) -> Result<(), String> {
    let mut stream = connect(server).await?;
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n", path::HEALTH);
    let reply = async {
        stream.write_all(request.as_bytes()).await?;
        read_all(&mut stream).await
    };
    let reply = reply.await.map_err(|error| error.to_string())?;
    let body = reply.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim_end());
    if reply.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(body.to_owned()) }
}

async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut reply = String::new();
    stream.take(MAX_REPLY).read_to_string(&mut reply).await?;
    Ok(reply)
}

async fn ping(server: SocketAddr) -> Result<(), String> {
    let stream = connect(server).await?;
    let exchange = async {
        let mut request = format!("ws://{server}{}", path::PING).into_client_request()?;
        request.headers_mut().insert(USER_AGENT, AGENT);
        let (mut socket, _) = match tokio_tungstenite::client_async(request, stream).await {
            // Every place is taken: that it says so shows that it works.
            Err(Error::Http(reply)) if reply.status() == StatusCode::SERVICE_UNAVAILABLE => {
                return Ok(());
            }
            upgraded => upgraded?,
        };
        socket.send(Message::Ping(Bytes::from_static(b"health"))).await?;
        while let Some(message) = socket.next().await.transpose()? {
            if matches!(message, Message::Pong(_)) {
                break;
            }
        }
        socket.close(None).await
    };
    exchange.await.map_err(|error| error.to_string())
}

async fn connect(server: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(server).await.map_err(|error| error.to_string())
}
