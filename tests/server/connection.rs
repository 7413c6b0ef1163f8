//! Connections as a worker drives them, over a stream in memory whose buffer may be a single byte,
//! with a paused clock.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Context, Poll, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use futures_util::{SinkExt, StreamExt};
use program::stop::{self, Stopper};
use proto::deflate::{Deflater, Params};
use proto::frame::{Mask, Opcode, encode_deflated};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use server::journal::{Closer, Journal, Options, SyncPolicy};
use server::observe::{Health, Metrics};
use server::occupancy::Occupancy;
use server::peer::Peer;
use server::service::probe::Opening;
use server::service::{Service, State};
use server::stream::Stream;
use server::worker::Arrival;
use server::worker::connection::Readiness;
use server::worker::connections::Connections;
use server::worker::key::Key;
use server::worker::turn::{Limits, Shared};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, split};
use tokio::task::yield_now;
use tokio::time::{Instant, advance, sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::support::{close, first, frame, seed};

/// A message that is answered with an error, and not recorded.
const NO_PING: &str = "no ping";

/// Serves one connection, whose other end `client` plays.
async fn serve<T>(reply_delay: Duration, client: impl AsyncFnOnce(DuplexStream) -> T) -> T {
    serve_over(tokio::io::duplex(64 * 1024), reply_delay, client).await
}

async fn serve_over<T>(
    streams: (DuplexStream, DuplexStream),
    reply_delay: Duration,
    client: impl AsyncFnOnce(DuplexStream) -> T,
) -> T {
    serve_at(proto::path::PING, streams, reply_delay, client).await
}

async fn serve_at<T>(
    service: &str,
    (ours, theirs): (DuplexStream, DuplexStream),
    reply_delay: Duration,
    client: impl AsyncFnOnce(DuplexStream) -> T,
) -> T {
    let driver = Driver::new(service, theirs, Vec::new(), reply_delay);
    tokio::join!(client(ours), driver.run()).0
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// A stream in memory that does not block.
#[derive(Debug)]
struct Memory {
    stream: DuplexStream,
    /// Woken when a read or write that would have blocked is possible.
    waker: Arc<AtomicWaker>,
    /// A stream has to have a descriptor; no poller watches this one.
    nothing: File,
}

/// Drives one connection as the event loop of a worker does.
struct Driver {
    waker: Arc<AtomicWaker>,
    connections: Connections,
    key: Key,
    metrics: Arc<Metrics>,
    // Dropped with the driver.
    _log: (TempDir, Closer, Stopper),
}

impl Driver {
    fn new(service: &str, stream: DuplexStream, read_buf: Vec<u8>, reply_delay: Duration) -> Self {
        Self::agreed(None, service, stream, read_buf, reply_delay)
    }

    /// [`Self::new`] with compression, if `deflate` has its agreed parameters.
    fn agreed(
        deflate: Option<Params>,
        service: &str,
        stream: DuplexStream,
        read_buf: Vec<u8>,
        reply_delay: Duration,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server_logs.txt");
        let options = Options { path, sync: SyncPolicy::No, rotation: None };
        let (journal, closer) = Journal::open(&options, io::sink()).unwrap();
        let (stopper, stop) = stop::channel();
        let occupancy = Arc::new(Occupancy::new(1, None));
        let peer = Peer::Direct(SocketAddr::from(([127, 0, 0, 1], 1)));
        let place = occupancy.take_place(peer.ip()).unwrap();
        let metrics = Arc::new(Metrics::new(1, Service::paths(), occupancy, journal.clone()));
        let health = Health { journal: journal.clone(), stop };
        let limits = Limits {
            max_message: 64 * 1024,
            max_unfinished: 1 << 20,
            reply_delay,
            log_messages: false,
        };
        let shared = Shared {
            limits,
            services: Arc::new(State::new("host".into(), Arc::clone(&metrics), health)),
            counts: Arc::clone(&metrics.workers()[0]),
            metrics: Arc::clone(&metrics),
            invalid_messages: Arc::default(),
        };
        let waker = Arc::<AtomicWaker>::default();
        let nothing = File::open("/dev/null").unwrap();
        let stream = Memory { stream, waker: Arc::clone(&waker), nothing };
        let service = Service::at(service).unwrap();
        let head = b"GET /probe HTTP/1.1\r\n\r\n";
        let probe = service.is_probe().then(|| {
            let peer = SocketAddr::from(([127, 0, 0, 1], 1));
            let (subprotocol, extensions) = (None, None);
            let opening = Opening { head, peer, is_secure: false, subprotocol, extensions };
            Box::new(shared.services.probes.as_ref().unwrap().open(&opening))
        });
        let arrival = Arrival {
            stream: Box::new(stream),
            read_buf,
            service,
            deflate,
            peer,
            place,
            is_healthcheck: false,
            probe,
        };
        let mut connections = Connections::new(shared, journal.recorder(|| ()));
        let mut key = None;
        let watch = |_: BorrowedFd<'_>, number: u64| {
            key = Some(number.into());
            Ok(())
        };
        connections.add(arrival, watch, now()).unwrap();
        connections.commit(now());
        let key = key.unwrap();
        Self { waker, connections, key, metrics, _log: (dir, closer, stopper) }
    }

    /// Drives the connection to its end.
    async fn run(mut self) {
        let waker = Arc::clone(&self.waker);
        while !self.connections.is_empty() {
            let timer = self.connections.next_timer().map(Instant::from_std);
            let woken = poll_fn(|cx| {
                waker.register(cx.waker());
                self.turn();
                while self.connections.has_runnable() {
                    self.turn();
                }
                let is_over = self.connections.is_empty();
                if !is_over && self.connections.next_timer().map(Instant::from_std) == timer {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            });
            let far = Instant::now() + Duration::from_secs(86_400);
            tokio::select! {
                () = woken => {}
                () = sleep_until(timer.unwrap_or(far)) => self.connections.on_timers(now()),
            }
        }
    }

    /// A turn of the event loop with an event for the connection.
    fn turn(&mut self) {
        let readiness = Readiness { readable: true, hung_up: false };
        self.connections.begin_turn(now());
        self.connections.on_ready(self.key, readiness, now());
        self.connections.commit(now());
    }

    /// Bytes that the server has sent so far.
    fn replied(&self) -> u64 {
        self.metrics.sum(|worker| &worker.sent_bytes)
    }
}

impl Memory {
    /// Polls the stream; pending becomes [`io::ErrorKind::WouldBlock`].
    fn poll<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut DuplexStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let waker = Waker::from(Arc::new(Wake(Arc::clone(&self.waker))));
        match poll(Pin::new(&mut self.stream), &mut Context::from_waker(&waker)) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

struct Wake(Arc<AtomicWaker>);

impl task::Wake for Wake {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }
}

impl Read for Memory {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        self.poll(|stream, cx| stream.poll_read(cx, &mut buf))?;
        Ok(buf.filled().len())
    }
}

impl Write for Memory {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.poll(|stream, cx| stream.poll_write(cx, buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.poll(AsyncWrite::poll_flush)
    }
}

impl AsFd for Memory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.nothing.as_fd()
    }
}

impl Stream for Memory {
    /// Always `false`: the waker is registered only by a read that would block.
    fn is_drained(&self, _read: usize, _room: usize) -> bool {
        false
    }

    fn shut_down(&mut self) -> io::Result<()> {
        self.poll(AsyncWrite::poll_shutdown)
    }
}

async fn socket(stream: DuplexStream) -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

/// Sends a message, and receives its reply next.
async fn exchange(socket: &mut WebSocketStream<DuplexStream>) {
    socket.send(Message::text(NO_PING)).await.unwrap();
    let message = socket.next().await.unwrap().unwrap();
    assert!(message.is_text(), "{message:?}");
}

#[track_caller]
fn assert_seconds(since: Instant, seconds: u64) {
    let time = since.elapsed();
    let expected = Duration::from_secs(seconds);
    let in_time = expected..expected + Duration::from_secs(1);
    assert!(in_time.contains(&time), "{time:?}, not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_messages_the_server_does_not_read_yet_is_not_treated_as_silent() {
    let play = async |stream| {
        let mut socket = socket(stream).await;
        let start = Instant::now();
        let long = "x".repeat(60_000);
        for _ in 0..3 {
            socket.send(Message::text(&long)).await.unwrap();
        }
        let mut replies = 0;
        while replies < 3 {
            match socket.next().await.unwrap().unwrap() {
                Message::Text(text) => {
                    assert!(text.contains(&long));
                    replies += 1;
                }
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
        // The server reads the third message after it has sent the first two replies.
        assert_seconds(start, 400);
    };
    let delay = Duration::from_secs(200);
    serve_at(proto::path::ECHO, tokio::io::duplex(1024 * 1024), delay, play).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_every_20_seconds_and_stays_while_it_answers() {
    let play = async |stream| {
        let mut socket = socket(stream).await;
        let start = Instant::now();
        for round in 1..=10 {
            let message = socket.next().await.unwrap().unwrap();
            assert!(matches!(message, Message::Ping(_)), "{message:?}");
            assert_seconds(start, 20 * round);
        }
        exchange(&mut socket).await;
    };
    serve(Duration::ZERO, play).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_nothing_is_closed_after_60_seconds() {
    let play = async |mut stream: DuplexStream| {
        let start = Instant::now();
        let mut ping = [0; 2];
        stream.read_exact(&mut ping).await.unwrap();
        assert_eq!(ping, [first::PING, 0]);
        assert_seconds(start, 20);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest[0], first::CLOSE, "{rest:?}");
        assert_eq!(rest.len(), 2 + usize::from(rest[1]), "{rest:?}");
        assert_eq!(rest[2..4], 1008_u16.to_be_bytes());
        assert_seconds(start, 60);
    };
    serve(Duration::ZERO, play).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_probe_is_left_alone_for_an_hour() {
    let play = async |mut stream: DuplexStream| {
        let start = Instant::now();
        let (opcode, hello) = read_frame(&mut stream).await;
        assert_eq!((opcode, &hello[..11]), (first::TEXT, &b"{\"hello\":1,"[..]));
        assert_seconds(start, 0);
        assert_eq!(read_frame(&mut stream).await, (first::PING, Vec::new()));
        assert_seconds(start, 3600);
        let (opcode, reason) = read_frame(&mut stream).await;
        assert_eq!((opcode, &reason[..2]), (first::CLOSE, &1008_u16.to_be_bytes()[..]));
        assert_seconds(start, 3640);
    };
    serve_at(proto::path::PROBE, tokio::io::duplex(4096), Duration::ZERO, play).await;
}

#[tokio::test(start_paused = true)]
async fn pushes_come_at_their_times_and_those_that_were_missed_are_not_made_up_for() {
    let play = async |mut stream: DuplexStream| {
        read_frame(&mut stream).await;
        let start = Instant::now();
        let request = br#"{"push": {"every": 10, "times": 4}}"#;
        stream.write_all(&frame(first::TEXT, request)).await.unwrap();
        for (number, at) in [(1, 10), (2, 20)] {
            let push = format!("{{\"push\":{number}}}").into_bytes();
            assert_eq!(read_frame(&mut stream).await, (first::TEXT, push));
            assert_seconds(start, at);
        }
        // As in a paused container: the clock goes on, and nothing runs.
        advance(Duration::from_secs(35)).await;
        for (number, at) in [(3, 55), (4, 65)] {
            let push = format!("{{\"push\":{number}}}").into_bytes();
            assert_eq!(read_frame(&mut stream).await, (first::TEXT, push));
            assert_seconds(start, at);
        }
        assert_eq!(read_frame(&mut stream).await.0, first::PING);
        assert_seconds(start, 3600);
    };
    serve_at(proto::path::PROBE, tokio::io::duplex(4096), Duration::ZERO, play).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_messages_gets_no_ping_frame() {
    let play = async |stream| {
        let mut socket = socket(stream).await;
        for _ in 0..20 {
            sleep(Duration::from_secs(19)).await;
            exchange(&mut socket).await;
        }
    };
    serve(Duration::ZERO, play).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sent_a_message_while_the_server_was_suspended_is_not_closed() {
    let play = async |stream| {
        let mut socket = socket(stream).await;
        exchange(&mut socket).await;
        // As in a paused container: the server does not run, and the message of the peer waits.
        socket.send(Message::text(NO_PING)).await.unwrap();
        advance(Duration::from_secs(100)).await;
        loop {
            let message = socket.next().await.unwrap().unwrap();
            if !message.is_ping() {
                assert!(message.is_text(), "{message:?}");
                break;
            }
        }
    };
    serve(Duration::ZERO, play).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_can_still_answer_after_the_server_was_suspended() {
    let play = async |stream| {
        let mut socket = socket(stream).await;
        exchange(&mut socket).await;
        advance(Duration::from_secs(100)).await;
        for _ in 0..3 {
            let message = socket.next().await.unwrap().unwrap();
            assert!(message.is_ping(), "{message:?}");
        }
    };
    serve(Duration::ZERO, play).await;
}

#[tokio::test(start_paused = true)]
async fn pong_frames_that_arrive_in_pieces_are_no_unfinished_message() {
    let play = async |mut stream: DuplexStream| {
        let pongs = frame(first::PONG, b"beat").repeat(31);
        // Each piece but the last one ends in the middle of a frame.
        let (piece, rest) = pongs.split_at(3);
        stream.write_all(piece).await.unwrap();
        for piece in rest.chunks(10) {
            sleep(Duration::from_secs(1)).await;
            stream.write_all(piece).await.unwrap();
        }
        exchange(&mut socket(stream).await).await;
    };
    serve(Duration::ZERO, play).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_reply_delay_does_not_count_as_an_unfinished_message() {
    const MESSAGES: usize = 3000;
    let play = async |stream: DuplexStream| {
        let (mut reader, mut writer) = split(stream);
        let messages = frame(first::TEXT, NO_PING.as_bytes()).repeat(MESSAGES);
        let replies = async {
            for number in 0..MESSAGES {
                let (first, text) = loop {
                    let frame = read_frame(&mut reader).await;
                    if frame.0 != first::PING {
                        break frame;
                    }
                };
                let text = String::from_utf8_lossy(&text);
                assert_eq!(first, first::TEXT, "{number}: {text}");
            }
        };
        let (sent, ()) = tokio::join!(writer.write_all(&messages), replies);
        sent.unwrap();
    };
    serve(Duration::from_secs(15), play).await;
}

/// The next frame of the server: its first byte and its payload.
async fn read_frame(reader: &mut (impl AsyncRead + Unpin)) -> (u8, Vec<u8>) {
    let first = reader.read_u8().await.unwrap();
    let mut len = u16::from(reader.read_u8().await.unwrap());
    if len == 126 {
        len = reader.read_u16().await.unwrap();
    }
    let mut payload = vec![0; len.into()];
    reader.read_exact(&mut payload).await.unwrap();
    (first, payload)
}

#[tokio::test(start_paused = true)]
async fn frames_stay_complete_and_in_order_when_every_write_is_short() {
    let mut rng = StdRng::seed_from_u64(seed());
    for narrow in [1, 2, 7, 64, 150, 300] {
        let is_ping: Vec<_> = (0..300).map(|_| rng.random_bool(0.4)).collect();
        let mut frames = Vec::new();
        for (number, &is_ping) in is_ping.iter().enumerate() {
            let number = format!("{number:0>9}");
            let kind = if is_ping { first::PING } else { first::TEXT };
            frames.extend(frame(kind, number.repeat(rng.random_range(1..14)).as_bytes()));
        }
        frames.extend(close(1000));
        let play = async |stream: DuplexStream| {
            let (mut reader, mut writer) = split(stream);
            let replies = async {
                let mut texts = 0;
                let mut latest = None;
                loop {
                    for _ in 0..rng.random_range(0..3) {
                        yield_now().await;
                    }
                    let (first, payload) = read_frame(&mut reader).await;
                    match first {
                        first::TEXT => assert!(payload.starts_with(b"Error: "), "{payload:?}"),
                        // One Pong frame may answer several Ping frames (RFC 6455, section 5.5.3).
                        first::PONG => assert!(latest.replace(payload.clone()) < Some(payload)),
                        first::CLOSE => break assert_eq!(payload, 1000_u16.to_be_bytes()),
                        _ => panic!("{first:x} {payload:?}"),
                    }
                    texts += usize::from(first == first::TEXT);
                }
                assert_eq!(texts, is_ping.iter().filter(|&is_ping| !is_ping).count());
                assert!(latest.is_some());
            };
            let (sent, ()) = tokio::join!(writer.write_all(&frames), replies);
            sent.unwrap();
        };
        let pair = tokio::io::duplex(narrow);
        serve_over(pair, Duration::ZERO, play).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_answers_only_as_much_as_the_peer_reads() {
    let (_ours, theirs) = tokio::io::duplex(64);
    let flood = frame(first::TEXT, b"").repeat(2700);
    let mut driver = Driver::new(proto::path::PING, theirs, flood, Duration::ZERO);
    let start = Instant::now();
    let replied = driver.replied();
    assert!(replied > 0);
    driver.connections.stop(now());
    driver.connections.commit(now());
    assert_eq!(driver.replied(), replied);
    driver.run().await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stop_answers_all_pings_that_were_read() {
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    let flood = frame(first::TEXT, b"").repeat(2700);
    let mut driver = Driver::new(proto::path::PING, theirs, flood, Duration::ZERO);
    driver.connections.stop(now());
    let play = async {
        let mut replies = 0;
        loop {
            let (first, payload) = read_frame(&mut ours).await;
            if first != first::TEXT {
                assert_eq!((first, &payload[..2]), (first::CLOSE, &1001_u16.to_be_bytes()[..]));
                return replies;
            }
            replies += 1;
        }
    };
    let (replies, ()) = tokio::join!(play, driver.run());
    assert_eq!(replies, 2700);
}

/// The frames that a client sends to the mirror, and the messages that it has to get back.
#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    replies: Vec<(u8, Vec<u8>)>,
}

impl Part {
    /// Adds a message in one frame, or in several with Ping frames between them.
    fn add_message(&mut self, longest: usize, rng: &mut StdRng) {
        let kind = if rng.random_bool(0.5) { first::TEXT } else { first::BINARY };
        let len = [0, 1, 125, 126, 300, longest][rng.random_range(0..6)];
        let letters: Vec<u8> = (0..len).map(|_| rng.random_range(b'a'..=b'z')).collect();
        let fragments = if rng.random_bool(0.7) { 1 } else { rng.random_range(2..5) };
        let mut rest = letters.as_slice();
        for number in 1..=fragments {
            let is_last = number == fragments;
            let taken = if is_last { rest.len() } else { rng.random_range(0..=rest.len()) };
            let (fragment, behind) = rest.split_at(taken);
            let opcode = if number == 1 { kind & !FIN } else { 0 };
            let fin = if is_last { FIN } else { 0 };
            self.bytes.extend(frame(fin | opcode, fragment));
            rest = behind;
            if !is_last && rng.random_bool(0.3) {
                self.bytes.extend(frame(first::PING, b"between"));
                self.replies.push((first::PONG, b"between".to_vec()));
            }
        }
        self.replies.push((kind, letters));
    }
}

/// The bit FIN of a frame.
const FIN: u8 = 0x80;

#[tokio::test(start_paused = true)]
async fn a_mirror_returns_every_message_however_it_is_cut() {
    let mut rng = StdRng::seed_from_u64(seed());
    for (narrow, longest) in [(1, 400), (3, 400), (50, 4000), (4096, 60_000), (1 << 20, 60_000)] {
        let mut part = Part::default();
        for _ in 0..40 {
            part.add_message(longest, &mut rng);
        }
        part.bytes.extend(close(1000));
        let play = async |stream: DuplexStream| {
            let (mut reader, mut writer) = split(stream);
            let replies = async {
                let mut replies = Vec::new();
                loop {
                    let reply = read_frame(&mut reader).await;
                    if reply.0 == first::CLOSE {
                        assert_eq!(reply.1, 1000_u16.to_be_bytes());
                        return replies;
                    }
                    replies.push(reply);
                }
            };
            tokio::join!(writer.write_all(&part.bytes), replies).1
        };
        let pair = tokio::io::duplex(narrow);
        let replies = serve_at(proto::path::MIRROR, pair, Duration::ZERO, play).await;
        // Pong frames do not wait for the replies to earlier messages.
        let messages = |replies: &[(u8, Vec<u8>)]| {
            let is_message = |reply: &&(u8, Vec<u8>)| reply.0 != first::PONG;
            replies.iter().filter(is_message).cloned().collect::<Vec<_>>()
        };
        assert!(messages(&replies) == messages(&part.replies), "{narrow}");
        assert_eq!(replies.len(), part.replies.len(), "{narrow}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_small_on_the_way_and_long_afterwards_leave_others_their_turn() {
    const LEN: u64 = 60_000;
    let mut frames = Vec::new();
    let mut deflater = Deflater::default();
    let payload = deflater.payload(&[b'x'; LEN as usize], 15).unwrap();
    for _ in 0..20 {
        encode_deflated(&mut frames, Opcode::Text, payload, Some(Mask([1, 2, 3, 4])));
    }
    for service in [proto::path::MIRROR, proto::path::PING] {
        let agreed = Params::accepted(["permessage-deflate"].into_iter());
        let (_ours, theirs) = tokio::io::duplex(64 * 1024);
        let mut driver = Driver::agreed(agreed, service, theirs, frames.clone(), Duration::ZERO);
        let served = |driver: &Driver| driver.metrics.sum(|worker| &worker.received_deflated.plain);
        for _ in 0..20 {
            let before = served(&driver);
            driver.turn();
            assert!(served(&driver) - before <= 2 * LEN, "{service}");
        }
        assert_eq!(served(&driver), 20 * LEN, "{service}");
    }
}
