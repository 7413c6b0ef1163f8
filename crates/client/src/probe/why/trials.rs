//! What passes over a connection that was made: messages of each kind and of which size, Ping
//! frames in both directions, the offer of compression.

use std::time::Duration;

use hyper::header::SEC_WEBSOCKET_EXTENSIONS;
use proto::frame::{Message, Opcode, encode_header};
use proto::limits::CLOSE_TIMEOUT;
use proto::probe::{Request, Schedule};
use tokio::time::{Instant, timeout};

use crate::net::ending::Ending;
use crate::net::notice::Notice;
use crate::net::socket::mask;
use crate::net::{ConnectError, Endpoint};
use crate::probe::link::Link;

/// Size of the first message of which the size matters.
const FIRST_SIZE: usize = 1024;

/// Bytes of a message that extend the wait for what comes behind it by a second.
const PACE: usize = 64 * 1024;

/// Connections to a server over which something is tried.
#[derive(Debug)]
pub(super) struct Trials<'a> {
    endpoint: &'a Endpoint,
    patience: Duration,
    /// How long a further connection waits for a hello, which only some servers send.
    hello_patience: Duration,
    link: Option<Link>,
    number: u64,
}

/// How a trial went: passed, after which time a Ping frame behind it was answered; or how the
/// connection ended.
pub(super) type Outcome = Result<Duration, Ending>;

/// The largest message that passes.
#[derive(Debug)]
pub(super) struct Largest {
    /// In bytes.
    pub(super) passed: usize,
    /// The smallest that does not, in bytes, and how the connection ended over that.
    pub(super) failed: Option<(usize, Ending)>,
    /// Why there was no connection for a further trial.
    pub(super) broken_off: Option<ConnectError>,
}

/// Size of the text that is sent compressed: long enough to become smaller.
const COMPRESSED_SIZE: usize = 256;

/// What came of an offer of compression.
#[derive(Debug)]
pub(super) enum Compression {
    /// The server agrees, and a compressed text went like this, if one was sent.
    Agreed(Option<Outcome>),
    /// The server does not agree.
    Declined,
    /// The offer did not reach the server.
    Dropped,
}

impl<'a> Trials<'a> {
    pub(super) fn new(endpoint: &'a Endpoint, patience: Duration, link: Link) -> Self {
        let hello_patience = if link.hello().is_some() { patience } else { Duration::ZERO };
        Self { endpoint, patience, hello_patience, link: Some(link), number: 0 }
    }

    /// The connection, made anew if a trial has ended it.
    async fn link(&mut self) -> Result<&mut Link, ConnectError> {
        if self.link.is_none() {
            self.link = Some(Link::open(self.endpoint, self.hello_patience).await?);
        }
        self.link.as_mut().ok_or_else(|| "no connection".into())
    }

    /// Sends `bytes`, of which `size` are payload, and a Ping frame behind them.
    async fn survives(&mut self, bytes: &[u8]) -> Result<Outcome, ConnectError> {
        self.number += 1;
        let payload = self.number.to_be_bytes();
        let patience = self.patience + Duration::from_secs((bytes.len() / PACE) as u64);
        let link = self.link().await?;
        let ping = async {
            link.send_bytes(bytes).await?;
            let sent = Instant::now();
            link.send(Opcode::Ping, &payload).await?;
            loop {
                if let Message::Pong(echoed) = link.receive().await?
                    && *echoed == payload
                {
                    return Ok(sent.elapsed());
                }
            }
        };
        let mut outcome = timeout(patience, ping).await.unwrap_or(Err(Ending::NoPong(patience)));
        if let Err(Ending::Lost(Some(_))) = &outcome
            && let Ok(Some(told)) = timeout(CLOSE_TIMEOUT, link.last_close()).await
        {
            outcome = Err(told);
        }
        if let Err(ending) = &outcome
            && let Some(link) = self.link.take()
        {
            link.close(ending).await;
        }
        Ok(outcome)
    }

    /// A Ping frame of the client.
    pub(super) async fn ping(&mut self) -> Result<Outcome, ConnectError> {
        self.survives(&[]).await
    }

    /// A Ping frame of the server; `None` where the server cannot be asked for one.
    pub(super) async fn ping_of_server(&mut self) -> Result<Option<bool>, ConnectError> {
        let patience = self.patience;
        let link = self.link().await?;
        if link.hello().is_none() {
            return Ok(None);
        }
        let before = link.heard().pings;
        let waiting = async {
            link.request(&Request::Pings(Schedule { every: 0.01, times: 1 })).await?;
            while link.heard().pings == before {
                link.receive().await?;
            }
            Ok::<_, Ending>(())
        };
        let has_come = timeout(patience, waiting).await.is_ok_and(|outcome| outcome.is_ok());
        Ok(Some(has_come))
    }

    /// A message in one frame.
    pub(super) async fn message(
        &mut self,
        opcode: Opcode,
        size: usize,
    ) -> Result<Outcome, ConnectError> {
        let text = self.text(size);
        self.survives(&frames(opcode, &text, 1)).await
    }

    /// A message in three frames.
    pub(super) async fn fragments(&mut self) -> Result<Outcome, ConnectError> {
        let text = self.text(30);
        self.survives(&frames(Opcode::Text, &text, 3)).await
    }

    /// A text of that size: a request where a server at `/probe` answers, else one that says where
    /// it comes from.
    fn text(&self, size: usize) -> Vec<u8> {
        let is_probe = self.link.as_ref().is_none_or(|link| link.hello().is_some());
        let request = br#"{"ping":0}"#;
        if is_probe && size >= request.len() && self.endpoint.url.path().contains("probe") {
            let mut text = request.to_vec();
            text.resize(size, b' ');
            return text;
        }
        b"client why ".iter().copied().cycle().take(size).collect()
    }

    /// The largest message up to `max` bytes that passes, by doubling and then by halving.
    pub(super) async fn largest(&mut self, max: usize, tell: impl Fn(usize)) -> Largest {
        let mut largest = Largest { passed: 0, failed: None, broken_off: None };
        let mut size = FIRST_SIZE.min(max);
        loop {
            tell(size);
            match self.message(Opcode::Text, size).await {
                Ok(Ok(_)) => largest.passed = size,
                Ok(Err(ending)) => {
                    let is_silent = matches!(ending, Ending::NoPong(_));
                    largest.failed = Some((size, ending));
                    if is_silent {
                        return largest;
                    }
                }
                Err(error) => {
                    largest.broken_off = Some(error);
                    return largest;
                }
            }
            let failed = largest.failed.as_ref().map(|(size, _)| *size);
            size = match next_size(largest.passed, failed, size, max) {
                Some(size) => size,
                None => return largest,
            };
        }
    }

    /// Offers compression over a connection of its own, after the other one: a server may allow one
    /// at a time. A compressed text follows if `sends_text`.
    ///
    /// # Errors
    /// Why there is no such connection.
    pub(super) async fn compression(self, sends_text: bool) -> Result<Compression, ConnectError> {
        if let Some(link) = self.link {
            link.close(&Ending::Stopped).await;
        }
        let mut endpoint = self.endpoint.clone();
        endpoint.options.request.compress = true;
        endpoint.options.notices.compression = Notice::silent();
        let link = Link::open(&endpoint, self.hello_patience).await?;
        let is_agreed = link.agreed.deflate.is_some();
        let has_arrived = link.hello().is_none_or(|hello| {
            let mut headers = hello.request.headers.iter();
            headers.any(|(name, _)| name.eq_ignore_ascii_case(SEC_WEBSOCKET_EXTENSIONS.as_str()))
        });
        let mut trials = Trials { endpoint: &endpoint, link: Some(link), ..self };
        let compression = match is_agreed {
            true if sends_text => {
                Compression::Agreed(Some(trials.message(Opcode::Text, COMPRESSED_SIZE).await?))
            }
            true => Compression::Agreed(None),
            false if has_arrived => Compression::Declined,
            false => Compression::Dropped,
        };
        if let Some(link) = trials.link {
            link.close(&Ending::Stopped).await;
        }
        Ok(compression)
    }
}

/// The size to try after that one; `None` if the largest that passes is known.
fn next_size(passed: usize, failed: Option<usize>, tried: usize, max: usize) -> Option<usize> {
    match failed {
        None if passed >= max => None,
        None => Some((2 * passed).min(max)),
        Some(failed) if failed <= passed + 1 => None,
        // Most limits are a power of two, which has passed.
        Some(failed) if failed == tried && passed.is_power_of_two() && failed == 2 * passed => {
            Some(passed + 1)
        }
        Some(failed) => Some(passed + (failed - passed) / 2),
    }
}

/// A message in that many frames.
fn frames(opcode: Opcode, payload: &[u8], count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chunks = payload.chunks(payload.len().div_ceil(count).max(1)).peekable();
    let mut opcode = opcode;
    while let Some(chunk) = chunks.next() {
        let mask = mask();
        encode_header(&mut out, chunks.peek().is_none(), opcode, chunk.len(), Some(mask));
        let start = out.len();
        out.extend_from_slice(chunk);
        mask.apply(&mut out[start..]);
        opcode = Opcode::Continuation;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proto::frame::{Decoder, Role};

    /// The sizes that are tried where messages up to `limit` pass.
    fn tried(limit: usize, max: usize) -> Vec<usize> {
        let (mut passed, mut failed) = (0, None);
        let mut sizes = vec![FIRST_SIZE.min(max)];
        loop {
            let size = *sizes.last().unwrap();
            if size <= limit {
                passed = size;
            } else {
                failed = Some(size);
            }
            match next_size(passed, failed, size, max) {
                Some(next) => sizes.push(next),
                None => {
                    assert_eq!(passed, limit.min(max));
                    return sizes;
                }
            }
        }
    }

    #[test]
    fn a_limit_that_is_a_power_of_two_is_found_at_once() {
        assert_eq!(tried(65536, 1 << 20)[6..], [65536, 131_072, 65537]);
        assert_eq!(tried(1 << 20, 1 << 20).len(), 11);
        assert_eq!(tried(5000, 3000), [1024, 2048, 3000]);
    }

    proptest! {
        #[test]
        fn each_limit_is_found(limit in 0usize..20_000_000, max in 1usize..16_777_217) {
            prop_assert!(tried(limit, max).len() < 45);
        }

        #[test]
        fn frames_carry_the_message(size in 0usize..300, count in 1usize..5) {
            let payload = vec![b'x'; size];
            let mut bytes = frames(Opcode::Text, &payload, count);
            if size > 0 {
                let mut decoder = Decoder::new(Role::Server, 300);
                let mut rest = &mut bytes[..];
                let message = loop {
                    if let Some(message) = decoder.decode(&mut rest).unwrap() {
                        break message.into_owned();
                    }
                };
                prop_assert_eq!(message, Message::Text("x".repeat(size).into()));
            }
        }
    }
}
