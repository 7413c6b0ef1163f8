//! The check of the opening handshake: for any bytes of a client there is at most one reply, which is
//! well-formed, before the deadline.
//!
//! An input is one byte for the settings of the server and whether the client hangs up, one for the
//! length less one of the pieces, and the bytes of the client.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use program::stop::{self, Stopper};
use proto::limits::HANDSHAKE_TIMEOUT;
use proto::path;
use server::front::http::{Http, Upgrade};
use server::journal::{Closer, Journal, Options, SyncPolicy};
use server::observe::{Health, Metrics};
use server::occupancy::Occupancy;
use server::service::{self, Service};
use server::throttle::Throttle;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

const RESTRICTED: u8 = 0x1;
const HANGS_UP: u8 = 0x2;

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

thread_local!(static SERVER: Server = Server::new());

pub(crate) fn check(input: &[u8]) {
    let Some((&[flags, piece], bytes)) = input.split_first_chunk() else { return };
    let hangs_up = flags & HANGS_UP != 0;
    SERVER.with(|server| {
        let http = if flags & RESTRICTED == 0 { &server.open } else { &server.restricted };
        let status = |piece| server.runtime.block_on(exchange(http, bytes, piece, hangs_up));
        let at_once = status(bytes.len().max(1));
        let cut = status(usize::from(piece) + 1);
        // A malformed head may be refused before its end, or not at all if the end does not come.
        let may_differ = !has_end(bytes) && [cut, at_once].iter().all(|status| is_refusal(*status));
        assert!(cut == at_once || may_differ, "{cut:?} in pieces of {piece} + 1, {at_once:?}");
        // All places are free again, so none was lost before.
        assert_ne!(at_once, Some(503));
    });
}

/// Whether the empty line came that ends the head of a request. Empty lines before the head do not
/// count (RFC 9112, section 2.2).
fn has_end(bytes: &[u8]) -> bool {
    let start = bytes.iter().position(|byte| !b"\r\n".contains(byte));
    let head = &bytes[start.unwrap_or(bytes.len())..];
    [&b"\n\r\n"[..], b"\n\n"].iter().any(|end| head.windows(end.len()).any(|part| part == *end))
}

fn is_refusal(status: Option<u16>) -> bool {
    matches!(status, None | Some(400 | 431))
}

/// The front of a server, without sockets.
struct Server {
    /// With a paused clock: when a client sends no more, the deadline comes at once.
    runtime: Runtime,
    /// Allows every origin.
    open: Http,
    /// With `ALLOWED_ORIGINS` and `TRUSTED_PROXIES`.
    restricted: Http,
    _log: (TempDir, Closer, Stopper),
}

impl Server {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options =
            Options { path: dir.path().join("log"), sync: SyncPolicy::No, rotation: None };
        let (journal, closer) = Journal::open(&options, io::sink()).unwrap();
        let (stopper, stop) = stop::channel();
        let health = Health { journal, stop };
        let restricted = Http {
            origins: Some("https://example.org,http://localhost:8765".parse().unwrap()),
            proxies: "127.0.0.0/8".parse().unwrap(),
            ..http(health.clone())
        };
        let runtime =
            Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        Self { runtime, open: http(health), restricted, _log: (dir, closer, stopper) }
    }
}

fn http(health: Health) -> Http {
    let occupancy = Arc::new(Occupancy::new(1, Some(1)));
    let metrics = Arc::new(Metrics::new(1, Service::paths(), occupancy, health.journal.clone()));
    Http {
        services: Arc::new(service::State::new(
            "host".into(),
            Arc::clone(&metrics),
            health.clone(),
        )),
        health,
        metrics,
        default_service: Service::at(path::PING).unwrap(),
        compression: true,
        origins: None,
        proxies: "192.0.2.1".parse().unwrap(),
        own: PEER.ip(),
        refused_requests: Throttle::default(),
        refused_origins: Throttle::default(),
    }
}

/// Serves a client, and returns the status of the reply if there was one.
async fn exchange(http: &Http, bytes: &[u8], piece: usize, hangs_up: bool) -> Option<u16> {
    let written = Arc::default();
    let client = Client {
        unread: bytes.to_vec(),
        piece,
        is_between: false,
        hangs_up,
        written: Arc::clone(&written),
    };
    let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
    let upgrade = http.serve(client, PEER, false, deadline).await;
    // A timer of tokio fires up to a millisecond late.
    assert!(Instant::now() <= deadline + std::time::Duration::from_millis(2), "late");
    let written = written.lock().unwrap();
    let status = check_reply(&written);
    assert_eq!(upgrade.is_some(), status == Some(101));
    if let Some(Upgrade { stream, read_buf, .. }) = upgrade {
        let behind = [&read_buf[..], &stream.unread].concat();
        let head = bytes.strip_suffix(&behind[..]).expect("bytes behind the head are kept");
        assert!(head.ends_with(b"\n"), "the head ends with its line");
    }
    status
}

/// The status of the reply in `written`; `None` if nothing was written.
fn check_reply(written: &[u8]) -> Option<u16> {
    if written.is_empty() {
        return None;
    }
    let end = written.windows(4).position(|end| end == b"\r\n\r\n").expect("a head has an end");
    let (head, body) = (str::from_utf8(&written[..end]).unwrap(), &written[end + 4..]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")).unwrap();
    let status = status[2..5].parse().unwrap();
    let mut length = 0;
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header has a value");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{line:?}");
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap();
        }
    }
    // A HEAD request is answered without the body.
    assert!(body.is_empty() || body.len() == length, "{} bytes of {length}", body.len());
    Some(status)
}

/// A client that sends its bytes in pieces, and takes all bytes of the server.
#[derive(Debug)]
struct Client {
    unread: Vec<u8>,
    piece: usize,
    /// Whether the next read has to wait, as it does between two pieces.
    is_between: bool,
    hangs_up: bool,
    written: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return if self.hangs_up { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        self.is_between = !self.is_between;
        if self.is_between {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let len = self.piece.min(self.unread.len()).min(buf.remaining());
        buf.put_slice(&self.unread[..len]);
        self.unread.drain(..len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written.lock().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
