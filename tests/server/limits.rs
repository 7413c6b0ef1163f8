//! Peers that misbehave, and other peers that have to be served meanwhile.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::support::{
    Load, RawClient, TestClient, TestServer, UPGRADE, first, frame, is_over, ping_frame, ping_text,
    wait_until,
};

/// Most growth of the memory of the server under an attack, in bytes.
const FLAT: u64 = 8 << 20;

/// Time limit for a peer to be served beside others that misbehave, on a busy machine.
const SERVED: Duration = Duration::from_secs(10);

/// How long a peer misbehaves at most: longer than any server has to bear it.
const ENDLESS: Duration = Duration::from_secs(60);

/// Bytes that a peer sends again and again, with a pause after each piece.
struct Drip {
    piece: Vec<u8>,
    pause: Duration,
}

/// A peer that misbehaves, and the number of seconds after which the server has to disconnect it.
struct Peer {
    what: &'static str,
    begin: Vec<u8>,
    then: Option<Drip>,
    reads: bool,
    seconds: u64,
}

impl Peer {
    fn silent(what: &'static str, begin: Vec<u8>, seconds: u64) -> Self {
        Self { what, begin, then: None, reads: true, seconds }
    }

    fn endless(
        what: &'static str,
        begin: Vec<u8>,
        seconds: u64,
        millis: u64,
        piece: Vec<u8>,
    ) -> Self {
        let then = Some(Drip { piece, pause: Duration::from_millis(millis) });
        Self { what, begin, then, reads: true, seconds }
    }

    /// Plays the peer, and returns how long the connection lasted.
    fn play(&self, server: &TestServer) -> Duration {
        // Before the server knows of the connection.
        let start = Instant::now();
        let mut client = RawClient::connect(server.address());
        client.send(&self.begin);
        if let Some(Drip { piece, pause }) = &self.then {
            let mut stream = client.stream().try_clone().unwrap();
            let (piece, pause) = (piece.clone(), *pause);
            let drip = thread::spawn(move || {
                while start.elapsed() < ENDLESS && stream.write_all(&piece).is_ok() {
                    thread::sleep(pause);
                }
            });
            if !self.reads {
                drip.join().unwrap();
                return start.elapsed();
            }
        }
        client.skip_to_the_end();
        start.elapsed()
    }

    fn assert_disconnected_in_time(&self, server: &TestServer) {
        let time = self.play(server).as_secs_f64();
        let seconds = self.seconds as f64;
        // A peer that does not read is noticed once the socket buffers are full, which takes a
        // busy machine a while.
        let grace = if self.reads { 10.0 } else { 40.0 };
        let in_time = seconds - 0.5..seconds + grace;
        assert!(in_time.contains(&time), "{}: {time} s, not {seconds}", self.what);
    }
}

#[test]
fn unfinished_requests_and_messages_are_disconnected_at_their_deadlines_while_others_are_served() {
    let server = TestServer::builder().env("WORKERS", "1").start();
    let after_upgrade = |bytes: &[u8]| [UPGRADE.as_bytes(), bytes].concat();
    let half_request = UPGRADE.as_bytes()[..60].to_vec();
    let text = frame(first::TEXT, &[b'x'; 1000]);
    let binary = frame(first::BINARY, &[b'x'; 1000]);
    let mirror = UPGRADE.replacen("GET / ", "GET /mirror ", 1);
    let to_mirror = [mirror.as_bytes(), &binary[..8]].concat();
    let begun = after_upgrade(&frame(first::TEXT_BEGINS, b"{"));
    let nothing = frame(first::GOES_ON, b"");
    // An error is the longest reply, so that few messages fill the socket buffers.
    let mut replies = frame(first::TEXT, b"no ping").repeat(100);
    replies.extend(ping_frame("Client-300", "Ping!"));
    let not_reading = Peer::endless("no reading", after_upgrade(b""), 5, 0, replies);
    let peers = [
        Peer::silent("a handshake not begun", Vec::new(), 5),
        Peer::silent("half a handshake", half_request.clone(), 5),
        Peer::endless("a handshake byte by byte", half_request, 5, 100, b"x".to_vec()),
        Peer::silent("the first byte of a frame", after_upgrade(&text[..1]), 10),
        Peer::silent("half a frame", after_upgrade(&text[..500]), 10),
        Peer::endless("a frame byte by byte", to_mirror, 10, 100, b"x".to_vec()),
        Peer::silent("half a ping frame", after_upgrade(&frame(first::PING, b"x")[..3]), 10),
        Peer::silent("half a message", begun.clone(), 10),
        Peer::endless("empty fragments for ever", begun.clone(), 10, 0, nothing.repeat(100)),
        Peer::endless("empty fragments now and then", begun.clone(), 10, 100, nothing),
        Peer::endless("protocol pings within a message", begun, 10, 100, frame(first::PING, b"")),
        Peer { reads: false, ..not_reading },
    ];

    let memory = server.memory();
    thread::scope(|scope| {
        let played: Vec<_> = peers
            .iter()
            .map(|peer| scope.spawn(|| peer.assert_disconnected_in_time(&server)))
            .collect();
        let mut honest = server.connect();
        while !played.iter().all(thread::ScopedJoinHandle::is_finished) {
            let start = Instant::now();
            assert_eq!(honest.ping("Client-100", "Ping!"), "Pong!");
            assert!(start.elapsed() < SERVED, "{:?}", start.elapsed());
            let grown = server.memory().saturating_sub(memory);
            assert!(grown < FLAT, "the server grew by {grown} bytes");
            thread::sleep(Duration::from_millis(20));
        }
    });
    server.assert_serves();
}

/// Stops a server while messages to it are unfinished, for longer than they may be, and finishes them
/// meanwhile, or once the server goes on.
fn finish_messages_in_a_pause(pause: Duration, sizes: &[usize], finish_afterwards: bool) {
    let server = TestServer::builder().env("WORKERS", "1").start();
    let mut begun: Vec<_> = sizes.iter().map(|&size| (server.raw_at("/mirror"), size)).collect();
    for (client, _) in &mut begun {
        client.send(&frame(first::TEXT_BEGINS, b"x"));
        client.send(&frame(first::PING, b""));
        assert_eq!(client.frame().first, first::PONG);
    }
    let finish = |begun: &mut [(RawClient, usize)]| {
        for (client, size) in begun {
            client.send(&frame(first::ENDS, &vec![b'x'; *size]));
        }
    };
    server.signal(Signal::STOP);
    if !finish_afterwards {
        finish(&mut begun);
    }
    thread::sleep(pause);
    server.signal(Signal::CONT);
    if finish_afterwards {
        server.assert_serves();
        finish(&mut begun);
    }
    for (client, size) in &mut begun {
        let reply = client.frame();
        let seen = (reply.first, reply.payload.len(), reply.close_code());
        assert_eq!(seen, (first::TEXT, 1 + *size, None), "after {pause:?}");
    }
}

#[test]
fn a_message_of_which_the_rest_arrives_in_a_pause_of_the_server_or_soon_after_is_served() {
    thread::scope(|scope| {
        let [just, long] = [10_300, 11_500].map(Duration::from_millis);
        for (pause, finish_afterwards) in [(just, false), (long, false), (long, true)] {
            scope
                .spawn(move || finish_messages_in_a_pause(pause, &[10, 60_000], finish_afterwards));
        }
    });
}

#[test]
fn memory_follows_what_arrives_and_not_what_is_announced() {
    let builder = TestServer::builder().env("MAX_MESSAGE", "1G").env("MAX_UNFINISHED", "4G");
    let server = builder.env("WORKERS", "1").start();
    // The header of a masked frame of 16 MiB, and five bytes of its payload.
    let length = (16_u64 << 20).to_be_bytes();
    let announced = [&[first::BINARY, 0xff][..], &length, &[0; 4 + 5]].concat();
    let before = server.memory();
    let mut peers: Vec<_> = (0..100).map(|_| server.raw_at("/mirror")).collect();
    peers.iter_mut().for_each(|peer| peer.send(&announced));
    server.assert_serves();
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes for 100 announcements");
}

#[test]
fn unfinished_messages_share_one_bound_and_the_oldest_make_room() {
    let builder = TestServer::builder().env("MAX_UNFINISHED", "1M").env("WORKERS", "1");
    let server = builder.start();
    let half = frame(first::BINARY, &[0; 60_000]);
    let mut peers: Vec<_> = (0..60).map(|_| server.raw_at("/mirror")).collect();
    for peer in &mut peers {
        peer.send(&half[..50_000]);
    }
    assert_eq!(peers[0].close_code(), Some(1013));
    let mut honest = server.raw_at("/mirror");
    honest.send(&half[..50_000]);
    honest.send(&half[50_000..]);
    assert_eq!(honest.frame().payload.len(), 60_000);
    let last = peers.last_mut().unwrap();
    last.send(&half[50_000..]);
    assert_eq!(last.frame().payload.len(), 60_000);
    let evicted = "websockets_errors_total{cause=\"unfinished_evicted\"}";
    wait_until("it is counted", || server.metrics().get(evicted) > 0.0);
}

#[test]
fn a_client_that_floods_with_protocol_pings_and_reads_nothing_is_disconnected_and_memory_stays_flat()
 {
    let block = frame(first::PING, &[b'x'; 125]).repeat(1000);
    let server = TestServer::builder().env("WORKERS", "1").start();
    server.assert_serves();
    let memory = server.memory();
    let mut flood = server.raw();
    let mut honest = server.connect();
    thread::scope(|scope| {
        let flooding = scope.spawn(move || {
            loop {
                if let Err(error) = flood.try_send(&block) {
                    return error;
                }
            }
        });
        while !flooding.is_finished() {
            assert_eq!(honest.ping("Client-100", "Ping!"), "Pong!");
            let grown = server.memory().saturating_sub(memory);
            assert!(grown < FLAT, "the server grew by {grown} bytes");
            thread::sleep(Duration::from_millis(1));
        }
        let error = flooding.join().unwrap();
        assert!(is_over(&error), "not disconnected: {error}");
    });
}

#[test]
fn a_slow_reader_gets_every_reply_whole_and_in_order() {
    const MESSAGES: usize = 80_000;
    const PER_PING: usize = 500;
    let server = TestServer::builder().env("WORKERS", "1").start();
    let mut client = RawClient::with_small_buffer(server.address());
    client.upgrade();
    let mut stream = client.stream().try_clone().unwrap();
    let ping = ping_frame("Client-300", "Ping!");
    let writer = thread::spawn(move || {
        for number in 0..MESSAGES / PER_PING {
            let mut block = frame(first::TEXT, b"no ping").repeat(PER_PING - 1);
            block.extend(frame(first::PING, number.to_string().as_bytes()));
            block.extend(&ping);
            stream.write_all(&block).unwrap();
        }
    });
    let mut pongs = 0;
    for number in 1..=MESSAGES {
        let mut reply = client.frame();
        while reply.first == first::PONG {
            let at = String::from_utf8(reply.payload).unwrap().parse::<usize>().unwrap();
            assert!(at >= pongs, "{at}, not {pongs}");
            pongs = at + 1;
            reply = client.frame();
        }
        let expected = if number % PER_PING == 0 { "Pong!" } else { "Error: expected a JSON" };
        assert!(reply.text().starts_with(expected), "{number}: {reply:?}");
        // At these two messages, the server has to wait in the middle of a write.
        if number == 1 || number == MESSAGES / 2 {
            server.wait_until_idle();
        }
    }
    writer.join().unwrap();
    assert!(pongs > 0);
}

#[test]
fn a_flood_of_control_frames_is_closed_with_1008_and_a_few_are_not() {
    let server = TestServer::start();
    for kind in [first::PING, first::PONG] {
        let mut few = server.raw();
        few.send(&frame(kind, b"").repeat(100));
        few.send(&ping_frame("Client-300", "Ping!"));
        while few.frame().first != first::TEXT {}

        let mut many = server.raw();
        many.send(&frame(kind, b"").repeat(3000));
        let frames = many.frames_to_the_end();
        let close = frames.iter().position(|frame| frame.first == first::CLOSE);
        let close = close.unwrap_or_else(|| panic!("no Close frame: {frames:?}"));
        assert_eq!(frames[close].close_code(), Some(1008));
        assert_eq!(frames[close + 1..], [], "nothing may follow a Close frame");
    }
    server.assert_serves();
}

/// Connections with an unfinished handshake.
fn half_open(server: &TestServer, number: usize) -> Vec<RawClient> {
    let begin = |_| {
        let mut client = RawClient::connect(server.address());
        client.send(b"GET / HTTP/1.1\r\nHost: ");
        client
    };
    (0..number).map(begin).collect()
}

#[test]
fn half_open_handshakes_keep_no_one_out() {
    let few_descriptors =
        || TestServer::builder().under(["sh", "-c", "ulimit -n 100; exec \"$0\""]);
    for builder in [
        TestServer::builder().env("WORKERS", "1"),
        few_descriptors().env("WORKERS", "1"),
        few_descriptors().env("WORKERS", "2"),
    ] {
        let server = builder.start();
        let mut client = server.connect();
        let start = Instant::now();
        let _half = half_open(&server, 300);
        for _ in 0..3 {
            server.assert_serves();
        }
        assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
        // If each had its 5 s, fewer than 100 at a time, this would take 15 s.
        assert!(start.elapsed() < SERVED, "{:?}", start.elapsed());
    }
}

#[test]
fn half_open_handshakes_do_not_use_up_max_connections() {
    let server = TestServer::builder().env("MAX_CONNECTIONS", "1").start();
    let _half = half_open(&server, 10);
    server.assert_serves();
}

#[test]
fn running_out_of_descriptors_delays_new_connections_only() {
    let server = TestServer::builder().env("WORKERS", "1").start();
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
    server.limit(Resource::Nofile, Some(server.free_descriptor() + 2));

    // The first two connections have descriptors; the others have to wait.
    let waiting: Vec<_> = (0..20).map(|_| RawClient::connect(server.address())).collect();
    server.event("cannot accept connections");
    let (start, cpu) = (Instant::now(), server.cpu());
    while start.elapsed() < Duration::from_secs(1) {
        assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
        thread::sleep(Duration::from_millis(20));
    }
    let (spent, time) = (server.cpu() - cpu, start.elapsed());
    assert!(spent < time / 2, "{spent:?} of {time:?}");
    // One warning at first, and one every 5 s.
    let warnings = server.events("cannot accept connections");
    assert!(warnings.len() <= 2 + time.as_secs() as usize / 5, "{warnings:?} in {time:?}");

    server.limit(Resource::Nofile, Some(1000));
    server.assert_serves();
    drop(waiting);
    assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
}

/// Raises the descriptor limit of the test process, for thousands of connections.
fn allow_many_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

#[test]
fn a_thousand_clients_are_served_at_once() {
    const CLIENTS: usize = 1000;
    allow_many_descriptors();
    let mut server = TestServer::builder().env("DRAIN_TIMEOUT", "3600").start();
    let mut clients: Vec<TestClient> = (0..CLIENTS).map(|_| server.connect()).collect();
    for round in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(&ping_text(&format!("Client-{number}"), &round.to_string()));
        }
        for client in &mut clients {
            assert_eq!(client.reply(), "Pong!");
        }
    }
    let mut pings: Vec<_> = server.log().pings().iter().map(|ping| format!("{ping:?}")).collect();
    pings.sort_unstable();
    pings.dedup();
    assert_eq!(pings.len(), 3 * CLIENTS);
    server.assert_stops_within(Duration::from_secs(30));
    clients.iter_mut().for_each(|client| assert_eq!(client.close_code(), Some(1001)));
}

#[test]
fn a_thousand_clients_that_connect_at_the_same_moment_all_get_in() {
    allow_many_descriptors();
    let server = TestServer::start();
    // A machine that is too slow for a thousand in the 5 s of a handshake has to take fewer.
    for clients in [1000, 1000, 500, 250, 100] {
        let begun = Instant::now();
        // A request comes a while after its connection, as over a network.
        let mut clients: Vec<_> =
            (0..clients).map(|_| RawClient::connect(server.address())).collect();
        server.assert_serves();
        let sent = clients.iter_mut().all(|client| client.try_send(UPGRADE.as_bytes()).is_ok());
        let answered =
            clients.iter_mut().all(|client| client.try_response().is_ok_and(|r| r.status == 101));
        if sent && answered {
            return;
        }
        let time = begun.elapsed();
        assert!(time > Duration::from_secs(4), "{sent} {answered} after {time:?}");
    }
    panic!("a hundred do not get in");
}

#[test]
fn one_noisy_client_leaves_room_for_the_others() {
    let server = TestServer::builder().env("WORKERS", "1").start();
    let load = Load::start(server.address(), "Noisy", 2, 1000);
    let mut honest = server.connect();
    for _ in 0..20 {
        let start = Instant::now();
        assert_eq!(honest.ping("Client-100", "Ping!"), "Pong!");
        assert!(start.elapsed() < SERVED, "{:?}", start.elapsed());
    }
    load.finish();
}

#[test]
fn closed_connections_leak_no_descriptor() {
    let server = TestServer::start();
    server.assert_serves();
    let descriptors = server.descriptors();
    for number in 0..100 {
        let mut client = server.raw();
        match number % 4 {
            0 => client.send(&frame(first::CLOSE, b"")),
            1 => client.send(&[0xff; 10]),
            2 => client.end(),
            _ => {}
        }
    }
    wait_until("the descriptors are closed", || server.descriptors() <= descriptors);
}
