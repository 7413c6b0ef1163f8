//! Trials over an open connection: which messages pass, of which kind and size, Ping frames in both
//! directions, and compression.

use std::time::Duration;

use hyper::header::SEC_WEBSOCKET_EXTENSIONS;
use proto::frame::{Opcode, encode_header};
use proto::limits::CLOSE_TIMEOUT;
use proto::probe::{Request, Schedule};
use tokio::time::{Instant, sleep, timeout};

use super::failures::is_full;
use crate::net::ending::Ending;
use crate::net::notice::Notice;
use crate::net::socket::mask;
use crate::net::{ConnectError, Endpoint};
use crate::probe::link::{Link, within};

/// Size of the first message of [`Trials::largest`], in bytes.
const FIRST_SIZE: usize = 1024;

/// How long a server that is full is asked again for a further connection: it may still count
/// the one before.
const ROOM: Duration = Duration::from_secs(2);

/// Pause before each of these attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Bytes of a message that extend the wait for the answer by a second.
const PACE: usize = 64 * 1024;

/// A connection for trials, opened anew when a trial has ended it.
#[derive(Debug)]
pub(super) struct Trials<'a> {
    endpoint: &'a Endpoint,
    patience: Duration,
    /// How long a further connection waits for the hello of `/probe`.
    hello_patience: Duration,
    link: Option<Link>,
    number: u64,
}

/// The result of a trial: the round-trip time of a Ping frame sent after the frames of the trial,
/// or how the connection ended.
pub(super) type Outcome = Result<Duration, Ending>;

/// The largest message that passes.
#[derive(Debug)]
pub(super) struct Largest {
    /// Size of the largest message that passes, in bytes.
    pub(super) passed: usize,
    /// The smallest size that does not pass, in bytes, and how the connection ended over it.
    pub(super) failed: Option<(usize, Ending)>,
    /// Why a further connection could not be opened.
    pub(super) broken_off: Option<ConnectError>,
}

/// Size of the text that is sent compressed, in bytes: long enough for compression to help.
const COMPRESSED_SIZE: usize = 256;

/// The result of an offer of compression.
#[derive(Debug)]
pub(super) enum Compression {
    /// The server agrees. With the result of a compressed text, if one was sent.
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

    /// The connection, opened anew if a trial has ended it.
    async fn link(&mut self) -> Result<&mut Link, ConnectError> {
        if self.link.is_none() {
            self.link = Some(open(self.endpoint, self.hello_patience).await?);
        }
        self.link.as_mut().ok_or_else(|| "no connection".into())
    }

    /// Sends frames and then a Ping, and waits for the Pong.
    async fn send_and_ping(&mut self, bytes: &[u8]) -> Result<Outcome, ConnectError> {
        self.number += 1;
        let payload = self.number.to_be_bytes();
        let patience = self.patience + Duration::from_secs((bytes.len() / PACE) as u64);
        let link = self.link().await?;
        let ping = async {
            link.send_bytes(bytes).await?;
            let sent = Instant::now();
            link.send(Opcode::Ping, &payload).await?;
            link.receive_pong(&payload).await?;
            Ok(sent.elapsed())
        };
        let mut outcome = within(patience, ping).await;
        if let Err(Ending::Lost(Some(_))) = &outcome
            && let Ok(Some(told)) = timeout(CLOSE_TIMEOUT, link.last_close()).await
        {
            outcome = Err(told);
        }
        let Err(ending) = outcome else { return Ok(outcome) };
        let Some(link) = self.link.take() else { return Ok(Err(ending)) };
        let ending = link.explained(ending);
        link.close(&ending).await;
        Ok(Err(ending))
    }

    /// A Ping frame of the client.
    pub(super) async fn ping(&mut self) -> Result<Outcome, ConnectError> {
        self.send_and_ping(&[]).await
    }

    /// A Ping frame of the server; `None` where the server cannot be asked for one.
    pub(super) async fn ping_of_server(&mut self) -> Result<Option<bool>, ConnectError> {
        let patience = self.patience;
        let link = self.link().await?;
        if link.hello().is_none() {
            return Ok(None);
        }
        let before = link.pings();
        let waiting = async {
            link.request(&Request::Pings(Schedule { every: 0.01, times: 1 })).await?;
            while link.pings() == before {
                link.receive().await?;
            }
            Ok(())
        };
        Ok(Some(within(patience, waiting).await.is_ok()))
    }

    /// A message in one frame.
    pub(super) async fn message(
        &mut self,
        opcode: Opcode,
        size: usize,
    ) -> Result<Outcome, ConnectError> {
        let text = self.text(size);
        self.send_and_ping(&frames(opcode, &text, 1)).await
    }

    /// A message in three frames.
    pub(super) async fn fragments(&mut self) -> Result<Outcome, ConnectError> {
        let text = self.text(30);
        self.send_and_ping(&frames(Opcode::Text, &text, 3)).await
    }

    /// A text of this size: a request if the server speaks `/probe`, else the name of this program.
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

    /// Offers compression over another connection, once the first one is closed: a server may allow a
    /// single one. A compressed text follows if `sends_text`.
    ///
    /// # Errors
    /// Why there is no further connection.
    pub(super) async fn compression(
        &mut self,
        sends_text: bool,
    ) -> Result<Compression, ConnectError> {
        if let Some(link) = self.link.take() {
            link.close(&Ending::Stopped).await;
        }
        let mut endpoint = self.endpoint.clone();
        endpoint.options.request.compress = true;
        endpoint.options.notices.compression = Notice::silent();
        let link = open(&endpoint, self.hello_patience).await?;
        let is_agreed = link.agreed.deflate.is_some();
        let has_arrived = link.hello().is_none_or(|hello| {
            let mut headers = hello.request.headers.iter();
            headers.any(|(name, _)| name.eq_ignore_ascii_case(SEC_WEBSOCKET_EXTENSIONS.as_str()))
        });
        let mut trials = Trials { endpoint: &endpoint, link: Some(link), ..*self };
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

/// Opens a further connection.
///
/// # Errors
/// If the connection cannot be opened; the error says why.
async fn open(endpoint: &Endpoint, hello_patience: Duration) -> Result<Link, ConnectError> {
    let begun = Instant::now();
    loop {
        match Link::open(endpoint, hello_patience).await {
            Err(error) if is_full(&error) && begun.elapsed() < ROOM => {
                sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// The size to try after `tried`; `None` if the largest that passes is known.
fn next_size(passed: usize, failed: Option<usize>, tried: usize, max: usize) -> Option<usize> {
    match failed {
        None if passed >= max => None,
        None => Some((2 * passed).min(max)),
        Some(failed) if failed <= passed + 1 => None,
        // Most limits are a power of two: one byte more than that settles the question.
        Some(failed) if failed == tried && passed.is_power_of_two() && failed == 2 * passed => {
            Some(passed + 1)
        }
        Some(failed) => Some(passed + (failed - passed) / 2),
    }
}

/// A message in this many frames.
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
    use proto::frame::{Decoder, Message, Role};

    /// The sizes that are tried if messages up to `limit` pass.
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
