//! A server that sends faster than the client can print, and a stdout that nobody reads.

use std::io::{Write, pipe};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio_tungstenite::tungstenite::Message;

use crate::DEADLINE;
use crate::client::Client;
use crate::fake::{Fake, PONG, drain, read_frame};

const PINGS: usize = 6;

/// Sends texts that nobody asked for as fast as they are taken, and a Pong for each request.
fn flood(mut stream: &TcpStream, pongs: &Receiver<()>, is_over: &AtomicBool) {
    let texts = b"\x81\x05noise".repeat(1000);
    while !is_over.load(Ordering::Relaxed) {
        stream.write_all(&texts).unwrap();
        pongs.try_iter().for_each(|()| stream.write_all(PONG).unwrap());
    }
}

#[test]
fn pings_keep_their_pace_in_a_flood_and_the_lines_are_throttled() {
    let (server, url) = Fake::start();
    // A machine that is busy may take long to read what stands before a Pong.
    let client = Client::start(&url, &[("LAG_TIME", "0.1"), ("PONG_TIMEOUT", "60")]);
    let (mut stream, _) = server.accept_raw();
    let writer = stream.try_clone().unwrap();
    let (pong, pongs) = channel();
    let is_over = AtomicBool::new(false);
    let start = Instant::now();
    thread::scope(|scope| {
        let is_over = &is_over;
        scope.spawn(move || flood(&writer, &pongs, is_over));
        for _ in 0..PINGS {
            // A machine that is busy may take so long to read the flood before the first Pong that
            // a Ping frame follows the message.
            while read_frame(&mut stream).0 != 0x81 {}
            pong.send(()).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let time = start.elapsed();
    // Each Pong arrives after the flood bytes that are already in the socket buffers.
    assert!(time < DEADLINE, "{PINGS} pings took {time:?}");
    client.signal(Signal::TERM);
    drain(stream);
    let lines = client.stdout.rest();
    let time = start.elapsed();
    let noise = lines.iter().filter(|line| line.ends_with("Received from server: noise")).count();
    assert!(noise as u64 <= 10 * (time.as_secs() + 3), "{noise} lines in {time:?}");
    let pongs = lines.iter().filter(|line| line.ends_with("Received from server: Pong!")).count();
    assert!(pongs >= PINGS - 1, "{pongs} Pongs are shown");
    let events = client.stderr.rest();
    let is_told =
        |event: &String| event.contains("WARN left ") && event.ends_with(" too many come");
    assert!(events.iter().any(is_told), "{events:?}");
}

#[test]
fn a_stdout_that_nobody_reads_does_not_keep_the_socket_unread() {
    let (server, url) = Fake::start();
    let (reader, stdout) = pipe().unwrap();
    let client = Client::start_with(&url, &[], stdout.into());
    let mut peer = server.accept();
    peer.pong();
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {url}"));
    // Both the pipe and the queue of lines are full when no further ping comes at once; a single one
    // may be late for another reason.
    let long = "x".repeat(60_000);
    (0..5).for_each(|_| peer.say(&long));
    let mut late = 0;
    while late < 3 {
        let begun = Instant::now();
        peer.pong();
        late = if begun.elapsed() < Duration::from_millis(900) { 0 } else { late + 1 };
    }
    // Pings go on, and so does everything else on the connection.
    for number in 0..3 {
        peer.send(Message::Ping(vec![number].into()));
        loop {
            match peer.next() {
                Message::Text(_) => peer.say("Pong!"),
                message => break assert_eq!(message, Message::Pong(vec![number].into())),
            }
        }
        peer.pong();
    }
    drop(thread::spawn(move || std::io::copy(&mut { reader }, &mut std::io::sink())));
    let event = loop {
        peer.pong();
        if let Some(event) = client.stderr.try_next_event() {
            break event;
        }
    };
    assert!(event.starts_with("WARN left "), "{event}");
    assert!(event.ends_with(" out on stdout: its reader is too slow"), "{event}");
}
