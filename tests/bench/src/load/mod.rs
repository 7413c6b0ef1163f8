//! A closed-loop load on one thread: each connection sends some pings at once, and the next ones
//! when all were answered.

mod connection;
mod frames;
mod stream;
mod trust;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustls::ClientConfig;

use crate::stop::Stop;
use connection::{Burst, Connection, State};
pub(crate) use trust::trusting;

/// Events taken at once.
const EVENTS: usize = 1024;

/// Bytes read at once.
const BUFFER: usize = 256 * 1024;

/// Handshakes under way at once.
pub(crate) const HANDSHAKES: usize = 64;

/// Longest silence of a program that owes a reply.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest wait for events between two readings of the clock.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// The protocol of a load.
#[derive(Clone, Debug)]
pub(crate) enum Protocol {
    /// Pings as bytes, which the program echoes.
    Tcp,
    /// Pings as text frames, each answered with a `Pong!`.
    WebSocket,
    /// As `WebSocket`, through TLS.
    SecureWebSocket(Arc<ClientConfig>),
}

/// The target of a load.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) protocol: Protocol,
}

/// How long a load is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    /// Time under load before the measurement begins.
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// The result of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured<T> {
    /// Replies during the measurement.
    pub(crate) replies: u64,
    /// The readings at the beginning and at the end of the measurement.
    pub(crate) start: T,
    pub(crate) end: T,
}

/// Connections to one program, all open.
pub(crate) struct Load {
    connections: Vec<Connection>,
    epoll: OwnedFd,
    events: Vec<Event>,
    buffer: Vec<u8>,
    replies: u64,
    stop: Stop,
}

impl Load {
    /// Opens connections, [`HANDSHAKES`] at a time.
    pub(crate) fn open(target: &Target, count: usize, stop: &Stop) -> Result<Self> {
        let mut load = Self {
            connections: Vec::with_capacity(count),
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; BUFFER],
            replies: 0,
            stop: stop.clone(),
        };
        let mut open = 0;
        let mut silent_since = Instant::now();
        while open < count {
            while load.connections.len() < count.min(open + HANDSHAKES) {
                load.connect(target)
                    .with_context(|| format!("connection {}", load.connections.len() + 1))?;
            }
            let before = open;
            load.wait()?;
            for event in 0..load.events.len() {
                open += usize::from(load.advance(event)?);
            }
            if open > before {
                silent_since = Instant::now();
            } else if silent_since.elapsed() > PATIENCE {
                bail!("no handshake was completed for {PATIENCE:?}; {open} of {count} were before");
            }
        }
        Ok(load)
    }

    /// Begins to make a connection.
    fn connect(&mut self, target: &Target) -> Result<()> {
        let connection = Connection::begin(target)?;
        let data = EventData::new_u64(self.connections.len() as u64);
        epoll::add(&self.epoll, connection.socket(), data, EventFlags::OUT)?;
        self.connections.push(connection);
        Ok(())
    }

    /// Continues a handshake. Returns whether the handshake is now complete.
    fn advance(&mut self, event: usize) -> Result<bool> {
        let index = self.index(event)?;
        let connection = &mut self.connections[index];
        let before = connection.state();
        connection
            .advance(&mut self.buffer)
            .with_context(|| format!("connection {}", index + 1))?;
        if before == State::Connecting {
            let data = EventData::new_u64(index as u64);
            epoll::modify(&self.epoll, connection.socket(), data, EventFlags::IN)?;
        }
        Ok(before != State::Open && connection.state() == State::Open)
    }

    /// Keeps `in_flight` pings on their way over each connection. `read` is called when the
    /// measurement begins and when it ends.
    pub(crate) fn run<T>(
        &mut self,
        in_flight: u32,
        length: Length,
        read: impl Fn() -> Result<T>,
    ) -> Result<Measured<T>> {
        let burst = Burst::new(in_flight);
        for connection in &mut self.connections {
            connection.send(&burst)?;
        }
        self.run_until(Instant::now() + length.warm_up, &burst)?;
        let (replies, start) = (self.replies, read()?);
        self.run_until(Instant::now() + length.measured, &burst)?;
        let measured = Measured { replies: self.replies - replies, start, end: read()? };
        let silent = self.connections.iter().filter(|connection| !connection.is_answered()).count();
        if silent > 0 {
            bail!(
                "{silent} of {} connections got no reply within {:?}",
                self.connections.len(),
                length.warm_up + length.measured
            );
        }
        Ok(measured)
    }

    fn run_until(&mut self, end: Instant, burst: &Burst) -> Result<()> {
        while Instant::now() < end {
            self.wait()?;
            for event in 0..self.events.len() {
                let index = self.index(event)?;
                let connection = &mut self.connections[index];
                self.replies += connection
                    .receive(&mut self.buffer, burst)
                    .with_context(|| format!("connection {}", index + 1))?;
            }
        }
        Ok(())
    }

    /// Waits for events, at most [`TICK`].
    fn wait(&mut self) -> Result<()> {
        self.stop.check()?;
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&TICK)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("cannot wait for the program"),
        }
    }

    /// The index of the connection of an event.
    fn index(&self, event: usize) -> Result<usize> {
        Ok(usize::try_from(self.events[event].data.u64())?)
    }
}
