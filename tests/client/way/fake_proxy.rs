//! Proxies that the tests play.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::DEADLINE;
use crate::fake::{drain, join, read_head};

/// A proxy that connects to one server, whatever it is asked for.
pub(super) struct FakeProxy {
    pub(super) address: SocketAddr,
    asked: Receiver<String>,
}

impl FakeProxy {
    /// An HTTP proxy that gives this answer; only with 200 in it, it connects.
    pub(super) fn http(server: SocketAddr, answer: &'static str) -> Self {
        Self::start(server, move |stream| {
            let head = read_head(stream);
            stream.write_all(answer.as_bytes()).unwrap();
            (head, answer.contains(" 200 "))
        })
    }

    /// A SOCKS proxy; with a method of RFC 1928, section 3.
    pub(super) fn socks(server: SocketAddr, method: u8) -> Self {
        Self::start(server, move |stream| (socks_request(stream, method), true))
    }

    fn start(
        server: SocketAddr,
        ask: impl Fn(&mut TcpStream) -> (String, bool) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, asked) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (request, connects) = ask(&mut stream);
                if sender.send(request).is_err() {
                    return;
                }
                match connects {
                    true => connect(stream, server),
                    false => drain(stream),
                }
            }
        });
        Self { address, asked }
    }

    /// What the proxy is asked for next.
    pub(super) fn asked(&self) -> String {
        self.asked.recv_timeout(DEADLINE).unwrap()
    }

    /// Whether nobody has asked yet.
    pub(super) fn is_unused(&self) -> bool {
        self.asked.try_recv().is_err()
    }
}

fn connect(client: TcpStream, server: SocketAddr) {
    let server = TcpStream::connect(server).unwrap();
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    join(client, server);
}

/// Answers a request for a connection; returns `USER:PASSWORD@HOST:PORT` out of it.
fn socks_request(stream: &mut TcpStream, method: u8) -> String {
    let [5, methods] = read(stream) else { panic!("not SOCKS 5") };
    let mut offered = vec![0; methods.into()];
    stream.read_exact(&mut offered).unwrap();
    assert!(offered.contains(&method), "{offered:?}");
    stream.write_all(&[5, method]).unwrap();
    let mut asked = String::new();
    if method == 2 {
        let [1] = read(stream) else { panic!("not RFC 1929") };
        asked = format!("{}:{}@", text(stream), text(stream));
        stream.write_all(&[1, 0]).unwrap();
    }
    let [5, 1, 0, kind] = read(stream) else { panic!("no CONNECT") };
    asked += &match kind {
        1 => read::<4>(stream).map(|byte| byte.to_string()).join("."),
        3 => text(stream),
        kind => panic!("kind of address: {kind}"),
    };
    let port = u16::from_be_bytes(read(stream));
    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]).unwrap();
    format!("{asked}:{port}")
}

fn read<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn text(stream: &mut TcpStream) -> String {
    let [length] = read(stream);
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}
