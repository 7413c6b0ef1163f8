//! A server that misbehaves, as the real one never does.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use tokio_tungstenite::tungstenite::{WebSocket, accept};

/// A WebSocket server that handles each of its connections by `serve`.
#[derive(Debug)]
pub(crate) struct FakeServer {
    pub(crate) address: SocketAddr,
}

impl FakeServer {
    pub(crate) fn start(serve: fn(WebSocket<TcpStream>)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || accept(stream).ok().map(serve));
            }
        });
        Self { address }
    }
}
