//! A WebSocket client that follows the protocol.

use std::io;
use std::net::{SocketAddr, TcpStream};

use tokio_tungstenite::tungstenite::client::{IntoClientRequest, client};
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use super::{PATIENCE, ping_text};

/// A connected client.
#[derive(Debug)]
pub(crate) struct TestClient(WebSocket<TcpStream>);

impl TestClient {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_to(address, "/")
    }

    /// A client of the service at a path.
    #[track_caller]
    pub(crate) fn connect_to(address: SocketAddr, path: &str) -> Self {
        Self::try_connect_to(address, path).expect("the server takes a client")
    }

    pub(crate) fn try_connect(address: SocketAddr) -> Result<Self, Error> {
        Self::try_connect_to(address, "/")
    }

    fn try_connect_to(address: SocketAddr, path: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!("ws://{address}{path}").into_client_request()?;
        match client(request, stream) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(HandshakeError::Failure(error)) => Err(error),
            Err(HandshakeError::Interrupted(_)) => {
                Err(io::Error::from(io::ErrorKind::TimedOut).into())
            }
        }
    }

    /// Sends a ping, and returns the reply.
    #[track_caller]
    pub(crate) fn ping(&mut self, name: &str, message: &str) -> String {
        self.ask(&ping_text(name, message))
    }

    /// Sends a text, and returns the reply.
    #[track_caller]
    pub(crate) fn ask(&mut self, text: &str) -> String {
        self.send(text);
        self.reply()
    }

    #[track_caller]
    pub(crate) fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("the server reads");
    }

    /// The next text from the server.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> String {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return text.as_str().to_owned(),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("no reply: {other:?}"),
            }
        }
    }

    /// Waits for the Close frame of the server, and returns its code.
    #[track_caller]
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.0.read() {
                Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Ok(_) => {}
                Err(error) => panic!("no Close frame: {error}"),
            }
        }
    }

    /// Ends the connection with a closing handshake.
    #[track_caller]
    pub(crate) fn close(mut self) {
        self.0.close(None).expect("a Close frame is sent");
        while self.0.read().is_ok() {}
    }
}
