//! From the handshake into the loop.

use std::io;
use std::time::Instant;

use slotmap::Key as _;
use tokio::net::TcpStream;
use tracing::{error, info};

use super::{Entry, EventLoop, Key};
use crate::connection::{Connection, Socket, Stream};
use crate::handshake::Established;
use crate::http::{Terms, Upgrade};
use crate::metrics::OpenConnection;
use crate::tls::Secure;

/// A connection that is ready for its first message.
#[derive(Debug)]
pub struct Arrival<C> {
    /// Its stream, upgraded.
    pub established: Established,
    /// Counts the connection as long as it lives.
    pub counted: C,
}

impl<C> EventLoop<C> {
    /// Takes a connection in, and gives it its first turn.
    pub(super) fn admit(&mut self, Arrival { established, counted }: Arrival<C>) {
        let added = match established {
            Established::Plain(Upgrade { stream, early, terms }) => {
                self.add(stream, |socket| socket, early, terms, counted)
            }
            Established::Secure(upgrade) => {
                let Upgrade { stream, early, terms } = *upgrade;
                let (stream, tls) = stream.into_inner();
                self.add(stream, |socket| Secure::new(socket, tls), early, terms, counted)
            }
        };
        let key = match added {
            Ok(key) => key,
            Err(error) => return error!("cannot serve a connection: {error}"),
        };
        let now = self.begin();
        if self.stopping {
            self.visit(key, now, |entry, turn| entry.connection.stop(turn));
        } else {
            self.visit(key, now, |entry, turn| entry.connection.proceed(turn));
        }
        self.commit(now);
    }

    fn add<S: Stream + 'static>(
        &mut self,
        stream: TcpStream,
        wrap: impl FnOnce(Socket) -> S,
        early: Vec<u8>,
        terms: Terms,
        counted: C,
    ) -> io::Result<Key> {
        let socket = stream.into_std()?;
        let Terms { service, peer, permit, is_healthcheck } = terms;
        self.shared.counts.received_bytes.add(early.len() as u64);
        let key = self.connections.try_insert_with_key(|key| {
            self.poller.add(&socket, key.data().as_ffi())?;
            let connection =
                Connection::new(wrap(Socket::new(socket)), early, service, peer, Instant::now());
            let open = (!is_healthcheck).then(|| OpenConnection::of(service, &self.shared.counts));
            Ok::<_, io::Error>(Entry {
                connection: Box::new(connection),
                peer,
                timer: None,
                is_eager: false,
                open,
                _permit: permit,
                _counted: counted,
            })
        })?;
        if !is_healthcheck {
            info!(%peer, "connected");
        }
        Ok(key)
    }
}
