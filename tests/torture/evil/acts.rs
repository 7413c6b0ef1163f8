//! The acts of malicious servers.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::stream::{answer, pour, read, read_ping, upgrade, write};
use super::{Evil, Seen};

/// All acts.
pub(super) const ACTS: [Evil; 13] = [
    lasting("texts that nobody asked for", texts),
    lasting("every byte for itself", byte_by_byte),
    fleeting("a head byte by byte, without an end", slow_head),
    fleeting("headers without an end", |stream, seen| {
        let answer = answer(stream, seen)?;
        write(stream, answer.trim_end().as_bytes(), seen)?;
        pour(stream, "\r\nX: y".repeat(1000).as_bytes(), seen)
    }),
    fleeting("one header without an end", |stream, seen| {
        answer(stream, seen)?;
        write(stream, b"HTTP/1.1 101 Switching Protocols\r\nX: ", seen)?;
        pour(stream, &[b'x'; 10_000], seen)
    }),
    fleeting("interim answers without an end", |stream, seen| {
        answer(stream, seen)?;
        pour(stream, "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n".repeat(100).as_bytes(), seen)
    }),
    fleeting("a body without an end", |stream, seen| {
        answer(stream, seen)?;
        let head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\n";
        write(stream, head, seen)?;
        pour(stream, &[b'x'; 10_000], seen)
    }),
    fleeting("a message without an end", |stream, seen| {
        upgrade(stream, seen)?;
        write(stream, &[0x01, 0x00], seen)?;
        let mut fragment = vec![0x00, 126, 0xff, 0xff];
        fragment.resize(4 + 0xffff, b'x');
        while seen.goes_on() {
            write(stream, &fragment, seen)?;
        }
        Ok(())
    }),
    fleeting("empty fragments without an end", |stream, seen| {
        upgrade(stream, seen)?;
        write(stream, &[0x01, 0x00], seen)?;
        while seen.goes_on() {
            write(stream, &[0x00; 10_000], seen)?;
        }
        Ok(())
    }),
    fleeting("protocol pings whose answers nobody reads", |stream, seen| {
        upgrade(stream, seen)?;
        while seen.goes_on() {
            write(stream, &b"\x89\x04ping".repeat(1000), seen)?;
        }
        Ok(())
    }),
    fleeting("bytes at random", |stream, seen| {
        upgrade(stream, seen)?;
        let connections = seen.connections.load(Ordering::Relaxed) as u64;
        let mut rng = StdRng::seed_from_u64(seen.seed ^ connections);
        while seen.goes_on() {
            let bytes: [u8; 1000] = rng.random();
            write(stream, &bytes, seen)?;
        }
        Ok(())
    }),
    fleeting("one Pong, and the end", |stream, seen| {
        upgrade(stream, seen)?;
        read_ping(stream, seen)?;
        pong(stream, seen)?;
        write(stream, b"\x88\x02\x03\xe8", seen)?;
        stream.shutdown(Shutdown::Write)?;
        while read(stream, &mut [0], seen).is_ok() {}
        Ok(())
    }),
    fleeting("silence", |stream, seen| {
        while seen.goes_on() {
            read(stream, &mut [0], seen)?;
        }
        Ok(())
    }),
];

const fn lasting(name: &'static str, act: super::Act) -> Evil {
    Evil { name, act, keeps_pace: true }
}

const fn fleeting(name: &'static str, act: super::Act) -> Evil {
    Evil { name, act, keeps_pace: false }
}

/// A good server: answers pings until the client leaves.
pub(super) fn good(stream: &TcpStream, seen: &Seen) -> io::Result<()> {
    upgrade(stream, seen)?;
    loop {
        if read_ping(stream, seen)? {
            pong(stream, seen)?;
            seen.good_pongs.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn pong(stream: &TcpStream, seen: &Seen) -> io::Result<()> {
    seen.pongs.fetch_add(1, Ordering::Relaxed);
    write(stream, b"\x81\x05Pong!", seen)
}

/// Texts as fast as they are taken, and a Pong for each ping among them.
fn texts(stream: &TcpStream, seen: &Seen) -> io::Result<()> {
    upgrade(stream, seen)?;
    let texts = [b"\x81\x7d".as_slice(), &[b'x'; 125]].concat().repeat(20);
    let (pinged, pings) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            while let Ok(is_ping) = read_ping(stream, seen) {
                if is_ping && pinged.send(()).is_err() {
                    return;
                }
            }
        });
        let flooded = (|| {
            while seen.goes_on() {
                write(stream, &texts, seen)?;
                pings.try_iter().try_for_each(|()| pong(stream, seen))?;
            }
            Ok(())
        })();
        stream.shutdown(Shutdown::Both)?;
        flooded
    })
}

/// An answer and Pongs of which every byte comes for itself.
fn byte_by_byte(stream: &TcpStream, seen: &Seen) -> io::Result<()> {
    let answer = answer(stream, seen)?;
    slowly(stream, answer.as_bytes(), Duration::from_millis(2), seen)?;
    while seen.goes_on() {
        if read_ping(stream, seen)? {
            seen.pongs.fetch_add(1, Ordering::Relaxed);
            slowly(stream, b"\x81\x05Pong!", Duration::from_millis(10), seen)?;
        }
    }
    Ok(())
}

fn slow_head(stream: &TcpStream, seen: &Seen) -> io::Result<()> {
    answer(stream, seen)?;
    slowly(stream, b"HTTP/1.1 101 Switching Protocols\r\nX: ", Duration::from_millis(2), seen)?;
    while seen.goes_on() {
        slowly(stream, b"x", Duration::from_millis(100), seen)?;
    }
    Ok(())
}

fn slowly(stream: &TcpStream, bytes: &[u8], pause: Duration, seen: &Seen) -> io::Result<()> {
    for byte in bytes {
        write(stream, &[*byte], seen)?;
        thread::sleep(pause);
    }
    Ok(())
}
