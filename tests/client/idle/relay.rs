//! A relay between client and server, which cuts connections in the way that a test asks for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::select;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// What the relay does to connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// Time without traffic after which the relay cuts a connection.
    pub(crate) idle: Option<Duration>,
    /// Age at which the relay cuts a connection.
    pub(crate) lifetime: Option<Duration>,
    /// The number of one connection, from 0, and the age at which the relay cuts that one.
    pub(crate) loses: Option<(usize, Duration)>,
    /// Time after the start of the relay at which all connections are cut.
    pub(crate) instant: Option<Duration>,
    /// How connections are cut.
    pub(crate) cut: Cut,
    /// Pause between Ping frames that the relay sends to the client.
    pub(crate) pings: Option<Duration>,
}

/// How a relay cuts a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cut {
    #[default]
    Fin,
    Rst,
    /// The relay forwards nothing any more, and leaves both sides open.
    Blackhole,
    /// The relay forwards nothing any more, and answers the next bytes of the client with RST.
    BlackholeRst,
    /// The client gets a Close frame with code 1001.
    Close,
}

/// A relay that runs. It ends when dropped.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// A relay to this server.
    pub(crate) fn start(server: SocketAddr, rules: Rules) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                select! {
                    () = accept(listener, server, rules) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// `ws://127.0.0.1:PORT` and a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, rules: Rules) {
    let count = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    while let Ok((client, _)) = listener.accept().await {
        let number = count.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            // A connection that client or server ends is no error of the relay.
            let _ = pass(client, server, rules, number, start).await;
        });
    }
}

/// Passes bytes on until one end leaves, or the rules say so.
async fn pass(
    mut client: TcpStream,
    server: SocketAddr,
    rules: Rules,
    number: usize,
    start: Instant,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let born = Instant::now();
    let mut active = born;
    let mut ping = rules.pings.map(|pause| born + pause);
    let (mut from_client, mut from_server) = ([0; 4096], [0; 4096]);
    loop {
        let lost = rules.loses.filter(|(lane, _)| *lane == number).map(|(_, age)| born + age);
        let due = [
            rules.idle.map(|idle| active + idle),
            rules.lifetime.map(|age| born + age),
            rules.instant.map(|instant| start + instant),
            lost,
        ];
        let due = due.into_iter().flatten().min();
        select! {
            read = client.read(&mut from_client) => match read? {
                0 => return server.shutdown().await,
                length => {
                    active = Instant::now();
                    server.write_all(&from_client[..length]).await?;
                }
            },
            read = server.read(&mut from_server) => match read? {
                0 => return client.shutdown().await,
                length => {
                    active = Instant::now();
                    client.write_all(&from_server[..length]).await?;
                }
            },
            () = at(ping) => {
                client.write_all(b"\x89\x00").await?;
                active = Instant::now();
                ping = rules.pings.map(|pause| active + pause);
            }
            () = at(due) => return cut(client, server, rules.cut).await,
        }
    }
}

async fn cut(mut client: TcpStream, mut server: TcpStream, cut: Cut) -> std::io::Result<()> {
    match cut {
        Cut::Fin => {}
        Cut::Rst => set_socket_linger(&client, Some(Duration::ZERO))?,
        Cut::Blackhole => {
            // Bytes from the client are read and dropped.
            let mut heard = [0; 4096];
            while client.read(&mut heard).await? > 0 {}
            return server.shutdown().await;
        }
        Cut::BlackholeRst => {
            client.read_u8().await?;
            set_socket_linger(&client, Some(Duration::ZERO))?;
            drop(client);
            // The connection to the server stays open.
            std::future::pending::<()>().await;
        }
        Cut::Close => client.write_all(b"\x88\x02\x03\xe9").await?,
    }
    Ok(())
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
