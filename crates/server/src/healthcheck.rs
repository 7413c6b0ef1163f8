//! `server healthcheck`: asks a running server, from the outside, whether it works.
//!
//! `/healthz` reports the state of the log; a real upgrade and a Ping frame show that connections
//! are served. Nothing is written to the log.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::StatusCode;
use hyper::header::USER_AGENT;
use proto::{escape, path};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crate::front::http::Http;
use crate::settings::ListenAddress;

/// Time limit for the whole check.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Longest reply that is read from `/healthz`, in bytes.
const MAX_REPLY: u64 = 4096;

/// Checks the server that listens at `listen`. If `listen` stands for several addresses, one working
/// address is enough: the server does not listen on addresses that the machine does not have.
///
/// # Errors
/// If the server does not work; the error says what is wrong.
pub async fn check(listen: &ListenAddress) -> Result<(), String> {
    let checks = async {
        let mut result = Err("this name has no address".to_owned());
        for server in resolve(listen).await?.into_iter().flat_map(reachable) {
            result = check_one(server).await.map_err(|cause| format!("{server}: {cause}"));
            if result.is_ok() {
                break;
            }
        }
        result
    };
    match timeout(TIMEOUT, checks).await {
        Ok(result) => result,
        Err(_) => Err(format!("{listen}: no answer within {TIMEOUT:?}")),
    }
}

async fn resolve(listen: &ListenAddress) -> Result<Vec<SocketAddr>, String> {
    if listen.port() == 0 {
        return Err(format!(
            "LISTEN (--listen) is \"{listen}\", but a check needs the port that the server told when it started"
        ));
    }
    let address = listen.clone();
    let resolved = spawn_blocking(move || address.resolve()).await.map_err(io::Error::other);
    resolved.flatten().map_err(|error| format!("cannot look up {listen} (LISTEN): {error}"))
}

/// The addresses to connect to: loopback for a server that listens on all addresses. One at `[::]`
/// has all IPv4 addresses too as a rule, and only these on a machine without IPv6.
fn reachable(listen: SocketAddr) -> Vec<SocketAddr> {
    let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    let addresses = match listen.ip() {
        ip if !ip.is_unspecified() => return vec![listen],
        IpAddr::V4(_) => vec![v4],
        IpAddr::V6(_) => vec![v6, v4],
    };
    addresses.into_iter().map(|ip| SocketAddr::new(ip, listen.port())).collect()
}

async fn check_one(server: SocketAddr) -> Result<(), String> {
    health(server).await?;
    ping(server).await
}

async fn health(server: SocketAddr) -> Result<(), String> {
    let mut stream = connect(server).await?;
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n", path::HEALTH);
    let mut reply = Vec::new();
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        stream.take(MAX_REPLY).read_to_end(&mut reply).await
    };
    match exchange.await {
        Err(error) if reply.is_empty() => {
            Err(format!("no answer to GET {}: {error}", path::HEALTH))
        }
        // A reply counts, even if the connection breaks after the reply.
        _ => verdict(&String::from_utf8_lossy(&reply)),
    }
}

/// Interprets the reply of `/healthz`.
fn verdict(reply: &str) -> Result<(), String> {
    let head = reply.lines().next().unwrap_or_default();
    let Some((_, status)) = head.strip_prefix("HTTP/1.").and_then(|head| head.split_once(' '))
    else {
        return Err(match head {
            "" => format!("it hung up without an answer to GET {}", path::HEALTH),
            _ => format!("no HTTP server, it answered {:?}", escape::plain(head)),
        });
    };
    if status.starts_with("200") {
        return Ok(());
    }
    let body = reply.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
    let reason = if body.is_empty() { status } else { body };
    Err(format!("{} says: {}", path::HEALTH, escape::plain(reason)))
}

async fn ping(server: SocketAddr) -> Result<(), String> {
    let Some(mut socket) = upgrade(server).await? else { return Ok(()) };
    match pong(&mut socket).await {
        Ok(true) => {
            // The check has succeeded already, even if the Close frame cannot be sent.
            let _ = socket.close(None).await;
            Ok(())
        }
        Ok(false) => Err("it closed the connection instead of answering a ping".into()),
        Err(error) => Err(format!("no answer to a ping: {error}")),
    }
}

/// A WebSocket connection; `None` if the server answers 503 because it has as many connections as it
/// may have: that server works.
async fn upgrade(server: SocketAddr) -> Result<Option<WebSocketStream<TcpStream>>, String> {
    let stream = connect(server).await?;
    let upgraded = async {
        let mut request = format!("ws://{server}{}", path::PING).into_client_request()?;
        request.headers_mut().insert(USER_AGENT, Http::HEALTHCHECK_AGENT);
        tokio_tungstenite::client_async(request, stream).await
    };
    match upgraded.await {
        Ok((socket, _)) => Ok(Some(socket)),
        Err(Error::Http(reply)) if reply.status() == StatusCode::SERVICE_UNAVAILABLE => Ok(None),
        Err(error) => Err(format!("no upgrade to WebSocket: {error}")),
    }
}

/// Whether a Ping frame is answered before the connection ends.
async fn pong(socket: &mut WebSocketStream<TcpStream>) -> Result<bool, Error> {
    socket.send(Message::Ping(Bytes::from_static(b"health"))).await?;
    while let Some(message) = socket.next().await.transpose()? {
        if matches!(message, Message::Pong(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn connect(server: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(server).await.map_err(|error| format!("cannot connect: {error}"))
}
