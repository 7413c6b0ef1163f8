//! A client that sends any bytes, so that a test can break the protocol. Its frames are encoded
//! here, independently of the codec that the server uses.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};

use tokio::net::TcpSocket;
use tokio::runtime::Builder;

use super::PATIENCE;

/// A request for an upgrade, with the key of RFC 6455, section 1.3.
pub(crate) const UPGRADE: &str = "GET / HTTP/1.1\r\n\
    Host: localhost\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// First bytes of frames: the bit FIN and the opcode (RFC 6455, section 5.2).
pub(crate) mod first {
    pub(crate) const TEXT: u8 = 0x81;
    pub(crate) const TEXT_BEGINS: u8 = 0x01;
    pub(crate) const GOES_ON: u8 = 0x00;
    pub(crate) const ENDS: u8 = 0x80;
    pub(crate) const BINARY: u8 = 0x82;
    pub(crate) const CLOSE: u8 = 0x88;
    pub(crate) const PING: u8 = 0x89;
    pub(crate) const PONG: u8 = 0x8a;
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// [`UPGRADE`] at a path, with further header lines, each with its CRLF.
pub(crate) fn upgrade_at(path: &str, headers: &str) -> String {
    let request = UPGRADE.replace("GET / ", &format!("GET {path} "));
    request.replace("\r\n\r\n", &format!("\r\n{headers}\r\n"))
}

/// A frame as a client sends it. `first` is its first byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..65536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A Close frame as a client sends it.
pub(crate) fn close(code: u16) -> Vec<u8> {
    frame(first::CLOSE, &code.to_be_bytes())
}

/// The text of a ping.
pub(crate) fn ping_text(name: &str, message: &str) -> String {
    let [name, message] = [name, message].map(|text| serde_json::Value::from(text).to_string());
    format!("{{\"client_name\": {name}, \"message\": {message}}}")
}

/// A ping in a text frame.
pub(crate) fn ping_frame(name: &str, message: &str) -> Vec<u8> {
    frame(first::TEXT, ping_text(name, message).as_bytes())
}

/// A frame as the server sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.first, first::TEXT, "{self:?}");
        std::str::from_utf8(&self.payload).expect("text is UTF-8")
    }

    /// The code of a Close frame; `None` for another frame, and for a Close frame without a code.
    pub(crate) fn close_code(&self) -> Option<u16> {
        let code = self.payload.first_chunk()?;
        (self.first == first::CLOSE).then(|| u16::from_be_bytes(*code))
    }
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A TCP connection, read frame by frame.
#[derive(Debug)]
pub(crate) struct RawClient(BufReader<TcpStream>);

impl RawClient {
    /// A TCP connection, without a request.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&address, PATIENCE).expect("it listens"))
    }

    /// A connection with a small receive buffer, which soon fills up if the client does not read.
    #[track_caller]
    pub(crate) fn with_small_buffer(address: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        let stream = runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(4096)?;
            socket.connect(address).await?.into_std()
        });
        let stream = stream.expect("it listens");
        stream.set_nonblocking(false).unwrap();
        Self::over(stream)
    }

    /// A TCP connection that comes from an address of this machine.
    #[track_caller]
    pub(crate) fn from_address(from: Ipv4Addr, address: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        let stream = runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((from, 0).into())?;
            socket.connect(address).await?.into_std()
        });
        let stream = stream.expect("it listens");
        stream.set_nonblocking(false).unwrap();
        Self::over(stream)
    }

    /// A client over a connected stream.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// A connection that was upgraded to WebSocket.
    #[track_caller]
    pub(crate) fn upgraded(address: SocketAddr) -> Self {
        let mut client = Self::connect(address);
        client.upgrade();
        client
    }

    /// A connection that was upgraded at a path.
    #[track_caller]
    pub(crate) fn upgraded_at(address: SocketAddr, path: &str) -> Self {
        let mut client = Self::connect(address);
        client.upgrade_at(path);
        client
    }

    #[track_caller]
    pub(crate) fn upgrade(&mut self) {
        self.upgrade_at("/");
    }

    #[track_caller]
    fn upgrade_at(&mut self, path: &str) {
        self.send(upgrade_at(path, "").as_bytes());
        let response = self.response();
        assert_eq!(response.status, 101, "{response:?}");
    }

    /// Sends an HTTP request, and reads the head of the response.
    #[track_caller]
    pub(crate) fn request(address: SocketAddr, request: &str) -> (Self, Response) {
        let mut client = Self::connect(address);
        client.send(request.as_bytes());
        let response = client.response();
        (client, response)
    }

    /// Sends an HTTP request, and reads the response to the end of the connection.
    #[track_caller]
    pub(crate) fn ask(address: SocketAddr, request: &str) -> Response {
        let (mut client, mut response) = Self::request(address, request);
        client.0.read_to_string(&mut response.body).expect("a body");
        response
    }

    /// Shuts down the writing side, and reads the body of a response to the end of the connection.
    #[track_caller]
    pub(crate) fn body(&mut self) -> String {
        self.end();
        let mut body = String::new();
        self.0.read_to_string(&mut body).expect("a body");
        body
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the server reads");
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Shuts down the writing side of the connection.
    pub(crate) fn end(&self) {
        let _ = self.stream().shutdown(Shutdown::Write);
    }

    /// Reads the head of a response.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Response {
        self.try_response().expect("a reply")
    }

    pub(crate) fn try_response(&mut self) -> io::Result<Response> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no reply: {line:?}")))?;
        let mut headers = Vec::new();
        while let Some((name, value)) = self.line()?.split_once(':') {
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Response { status, headers, body: String::new() })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line)
    }

    pub(crate) fn try_frame(&mut self) -> io::Result<Frame> {
        let [first, len] = self.bytes()?;
        let len = match len {
            0..126 => usize::from(len),
            126 => usize::from(u16::from_be_bytes(self.bytes()?)),
            127 => usize::try_from(u64::from_be_bytes(self.bytes()?)).unwrap(),
            _ => panic!("a server does not mask its frames"),
        };
        let mut payload = vec![0; len];
        self.0.read_exact(&mut payload)?;
        Ok(Frame { first, payload })
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    #[track_caller]
    pub(crate) fn frame(&mut self) -> Frame {
        self.try_frame().expect("a frame")
    }

    /// Reads frames to the end of the connection.
    #[track_caller]
    pub(crate) fn frames_to_the_end(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            match self.try_frame() {
                Ok(frame) => frames.push(frame),
                Err(error) if is_over(&error) => return frames,
                Err(error) => panic!("the connection goes on: {error}, after {frames:?}"),
            }
        }
    }

    /// Reads to the end of the connection, which has to bring `pongs` Pongs and a Close frame.
    #[track_caller]
    pub(crate) fn assert_pongs_and_close(&mut self, pongs: usize, code: u16) {
        let frames = self.frames_to_the_end();
        let (close, replies) = frames.split_last().expect("a Close frame");
        assert_eq!((close.close_code(), replies.len()), (Some(code), pongs), "{frames:?}");
        replies.iter().for_each(|frame| assert_eq!(frame.text(), "Pong!"));
    }

    /// Reads to the end of the connection, and discards all bytes.
    #[track_caller]
    pub(crate) fn skip_to_the_end(&mut self) {
        let mut block = [0; 4096];
        loop {
            match self.0.read(&mut block) {
                Ok(1..) => {}
                Ok(0) => return,
                Err(error) if is_over(&error) => return,
                Err(error) => panic!("the connection goes on: {error}"),
            }
        }
    }

    /// Reads to the end of the connection; the code of its last frame, if this is a Close frame.
    #[track_caller]
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        self.frames_to_the_end().last().and_then(Frame::close_code)
    }
}

/// Whether an error means that the connection has ended, and not that a read or write timed out.
pub(crate) fn is_over(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
