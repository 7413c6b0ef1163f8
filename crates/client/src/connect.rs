//! Makes a connection: name, addresses, TCP, TLS, upgrade.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto::escape;
use proto::limits::{CONNECT_TIMEOUT, MAX_MESSAGE, MAX_REPLY};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::header::{CONTENT_TYPE, TRANSFER_ENCODING};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tracing::debug;

use crate::stream::{Plain, Stream};
use crate::tls::{Connector, Trust, hung_up};
use crate::url::ServerUrl;

/// Initial size of the read and the write buffer of a connection, in bytes.
const BUFFER: usize = 1024;

/// How much may wait to be written, in bytes: a message of any length, behind a full buffer and
/// some control frames.
const MAX_WRITE_BUFFER: usize = 2 * MAX_MESSAGE;

/// How much of a server's explanation is shown, in bytes.
const SHOWN: usize = 200;

/// Connects to the server at `url` within [`CONNECT_TIMEOUT`], over TLS if it is to be, which then
/// needs a certificate that `trust` takes. The name is looked up anew each time, and all its
/// addresses are tried.
///
/// # Errors
/// Why there is no connection; with several addresses, why not to the last one.
pub async fn connect(url: &ServerUrl, trust: &Trust) -> Result<WebSocketStream<Stream>, String> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let route = Route::find(url, trust, deadline).await?;
    route.connect(deadline, |_| None, |stream| stream).await
}

/// The way to a server: its addresses, and what makes connections to it secure.
pub(crate) struct Route {
    url: ServerUrl,
    tls: Option<Connector>,
    addresses: Vec<SocketAddr>,
}

impl Route {
    /// Reads the authorities and looks the name up.
    ///
    /// # Errors
    /// Why there is no way.
    pub(crate) async fn find(
        url: &ServerUrl,
        trust: &Trust,
        deadline: Instant,
    ) -> Result<Self, String> {
        let tls = match url.tls_name() {
            Some(name) => {
                Some(timeout_at(deadline, trust.connector(name)).await.map_err(|_| {
                    format!("the authorities to trust were not read within {CONNECT_TIMEOUT:?}")
                })??)
            }
            None => None,
        };
        let addresses = timeout_at(deadline, lookup_host((url.host(), url.port())))
            .await
            .map_err(|_| format!("the name was not looked up within {CONNECT_TIMEOUT:?}"))?
            .map_err(|error| error.to_string())?;
        Ok(Self { url: url.clone(), tls, addresses: addresses.collect() })
    }

    /// Connects, to one address after the other until one works, from the `source` for it if there
    /// is one. The upgrade goes through what `wrap` makes of the stream.
    ///
    /// # Errors
    /// Why there is no connection; with several addresses, why not to the last one.
    pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        deadline: Instant,
        source: impl Fn(IpAddr) -> Option<IpAddr>,
        wrap: impl Fn(Stream) -> S,
    ) -> Result<WebSocketStream<S>, String> {
        let attempt = async |address: SocketAddr| {
            let stream = self.stream(address, source(address.ip())).await?;
            let upgraded =
                client_async_with_config(self.url.uri(), wrap(stream), Some(config())).await;
            upgraded.map(|(socket, _)| socket).map_err(|error| explain(error, self.tls.as_ref()))
        };
        first(&self.addresses, deadline, attempt).await
    }

    async fn stream(&self, address: SocketAddr, source: Option<IpAddr>) -> Result<Stream, String> {
        let stream = tcp(address, source).await.map_err(|error| error.to_string())?;
        Ok(match &self.tls {
            Some(tls) => Stream::Secure(Box::new(tls.secure(stream).await?)),
            None => Stream::Plain(Plain::new(stream)),
        })
    }
}

/// The first attempt that succeeds. Each has its share of the time up to `deadline`, so that one
/// address that does not answer leaves some to the others.
async fn first<T>(
    addresses: &[SocketAddr],
    deadline: Instant,
    attempt: impl AsyncFn(SocketAddr) -> Result<T, String>,
) -> Result<T, String> {
    let mut cause = "the name has no address".into();
    for (left, address) in (1..=addresses.len()).rev().zip(addresses) {
        let share = deadline.duration_since(Instant::now()).div_f64(left as f64);
        cause = match timeout(share, attempt(*address)).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(cause)) => cause,
            Err(_) => format!("no answer within {}", tenths(share)),
        };
        debug!(%address, "{cause}");
    }
    Err(cause)
}

fn tenths(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

async fn tcp(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let stream = match source {
        Some(source) => {
            let socket = match source {
                IpAddr::V4(_) => TcpSocket::new_v4()?,
                IpAddr::V6(_) => TcpSocket::new_v6()?,
            };
            socket.bind((source, 0).into())?;
            socket.connect(address).await?
        }
        None => TcpStream::connect(address).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_REPLY))
        .max_frame_size(Some(MAX_REPLY))
}

/// Why an upgrade failed.
fn explain(error: Error, tls: Option<&Connector>) -> String {
    match error {
        Error::Io(error) if hung_up(&error) => left(tls),
        Error::Io(error) => {
            tls.and_then(|tls| tls.explain(&error)).unwrap_or_else(|| error.to_string())
        }
        Error::Http(response) => refusal(&response),
        Error::Protocol(ProtocolError::HandshakeIncomplete) => left(tls),
        error => format!("no WebSocket server: {}", escape::plain(&error.to_string())),
    }
}

fn left(tls: Option<&Connector>) -> String {
    match tls {
        Some(_) => "the server hung up during the handshake".into(),
        None => {
            "the server hung up during the handshake; if it speaks TLS there, use wss:// for it"
                .into()
        }
    }
}

/// The status of a server that does not upgrade, with the first line of what it says, if that is
/// text and came along with the status.
fn refusal(response: &Response) -> String {
    let headers = response.headers();
    let is_text =
        headers.get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/plain"))
            && !headers.contains_key(TRANSFER_ENCODING);
    let body = response.body().as_deref().filter(|_| is_text).unwrap_or_default();
    let body = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    match body.lines().next() {
        Some(line) if !line.is_empty() => {
            format!("the server answered {}: {}", response.status(), escape::plain(line))
        }
        _ => format!("the server answered {}", response.status()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    fn addresses(count: u8) -> Vec<SocketAddr> {
        (1..=count).map(|last| SocketAddr::from(([192, 0, 2, last], 80))).collect()
    }

    async fn tried(
        count: u8,
        attempt: impl AsyncFn(u8) -> Result<u8, String>,
    ) -> Result<u8, String> {
        let deadline = Instant::now() + Duration::from_secs(6);
        let attempt = async |address: SocketAddr| match address {
            SocketAddr::V4(address) => attempt(address.ip().octets()[3]).await,
            SocketAddr::V6(_) => unreachable!(),
        };
        first(&addresses(count), deadline, attempt).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_does_not_answer_leaves_time_for_the_others() {
        let start = Instant::now();
        let connected = tried(3, async |last| match last {
            1 => Err("refused".into()),
            2 => std::future::pending().await,
            last => {
                sleep(Duration::from_millis(2900)).await;
                Ok(last)
            }
        });
        assert_eq!(connected.await, Ok(3));
        assert_eq!(start.elapsed(), Duration::from_millis(5900));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_cause_is_told() {
        let start = Instant::now();
        assert_eq!(
            tried(2, async |_| std::future::pending().await).await,
            Err("no answer within 3.0 s".into())
        );
        assert_eq!(start.elapsed(), Duration::from_secs(6));
        assert_eq!(
            tried(2, async |last| Err(format!("{last} is down"))).await,
            Err("2 is down".into())
        );
        assert_eq!(tried(0, async |_| unreachable!()).await, Err("the name has no address".into()));
    }

    #[test]
    fn a_refusal_is_explained_where_that_is_text() {
        let refused = |content_type: &str, body: &str| {
            let response = tokio_tungstenite::tungstenite::http::Response::builder()
                .status(503)
                .header(CONTENT_TYPE, content_type)
                .body(Some(body.as_bytes().to_vec()));
            refusal(&response.unwrap())
        };
        let status = "the server answered 503 Service Unavailable";
        assert_eq!(
            refused("text/plain; charset=utf-8", "All taken\nx"),
            format!("{status}: All taken")
        );
        assert_eq!(refused("text/plain", "\u{1b}[2J"), format!("{status}: \\u001b[2J"));
        assert_eq!(refused("text/plain", ""), status);
        assert_eq!(refused("text/html", "<html>"), status);
        assert!(refused("text/plain", &"é".repeat(1000)).len() < 2 * SHOWN);
    }
}
