//! The floor: a bare TCP echo on one thread, without framing and without a log. Listens on the
//! address in `LISTEN`.

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bytes read at once.
const BUFFER: usize = 64 * 1024;

/// Events taken at once.
const EVENTS: usize = 1024;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

fn main() -> Result<()> {
    raise_descriptor_limit();
    let address = env::var("LISTEN").context("LISTEN is not set; give it an address and a port")?;
    let listener =
        TcpListener::bind(&address).with_context(|| format!("cannot listen on {address}"))?;
    rustix::net::listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    Echo::new(listener)?.serve()
}

/// Takes all descriptors that the system grants.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If that fails, the present limit may do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

struct Echo {
    epoll: OwnedFd,
    listener: TcpListener,
    /// Indexed by descriptor.
    connections: Vec<Option<TcpStream>>,
    buffer: Vec<u8>,
}

impl Echo {
    fn new(listener: TcpListener) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, key(&listener), EventFlags::IN)?;
        Ok(Self { epoll, listener, connections: Vec::new(), buffer: vec![0; BUFFER] })
    }

    fn serve(&mut self) -> Result<()> {
        let listener = key(&self.listener).u64();
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), None)?;
            for event in &events {
                let key = event.data.u64();
                if key == listener {
                    self.accept()?;
                } else {
                    self.answer(usize::try_from(key)?);
                }
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot accept a connection"),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            epoll::add(&self.epoll, &stream, key(&stream), EventFlags::IN)?;
            let index = usize::try_from(stream.as_raw_fd())?;
            if self.connections.len() <= index {
                self.connections.resize_with(index + 1, || None);
            }
            self.connections[index] = Some(stream);
        }
    }

    /// Sends back what came, or drops the connection.
    fn answer(&mut self, index: usize) {
        let Some(stream) = &mut self.connections[index] else { return };
        if echo(stream, &mut self.buffer).is_err() {
            self.connections[index] = None;
        }
    }
}

fn key(socket: &impl AsRawFd) -> EventData {
    EventData::new_u64(u64::from(socket.as_raw_fd().unsigned_abs()))
}

fn echo(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    match stream.read(buffer)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        length => stream.write_all(&buffer[..length]),
    }
}
