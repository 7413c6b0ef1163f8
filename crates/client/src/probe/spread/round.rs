//! A round of connections: they are opened a few at a time, and held until the last one is open.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use futures_util::stream::{StreamExt, iter};
use tokio::time::Instant;

use crate::net::ConnectError;
use crate::net::ending::Ending;
use crate::probe::connector::{Connector, evidence, first_message, message_wait};
use crate::probe::instances::{Evidence, Instance, NameSource};
use crate::probe::link::Link;

/// Connections that are being opened at the same time.
pub(super) const IN_FLIGHT: usize = 8;

/// An open connection.
pub(super) struct Held {
    pub(super) link: Link,
    pub(super) evidence: Evidence,
    pub(super) at: SystemTime,
}

impl Held {
    /// The instance that answered, if it is known.
    pub(super) fn instance(&self, by: Option<&NameSource>) -> Option<Instance> {
        self.evidence.instance(by?)
    }
}

/// How to open one connection of a round.
pub(super) struct Attempt<'a> {
    pub(super) connector: &'a Connector,
    /// Number of the key that the connection presents: a cookie or its local address.
    pub(super) key: usize,
    /// Number of the connection.
    pub(super) number: u64,
    /// The local address; `None` leaves the choice to the connector.
    pub(super) source: Option<IpAddr>,
    pub(super) patience: Duration,
}

impl Attempt<'_> {
    async fn open(self) -> (usize, Result<Held, ConnectError>) {
        let Self { connector, key, number, source, patience } = self;
        let opened = match source {
            Some(source) => connector.connect_from(|_| Some(source), patience).await,
            None => connector.connect(number, patience).await,
        };
        let held = |link| Held { evidence: evidence(&link), link, at: SystemTime::now() };
        (key, opened.map(held))
    }
}

/// Opens connections, and passes each with the number of its key to `take`, which returns whether
/// to go on.
pub(super) async fn open(
    attempts: impl Iterator<Item = Attempt<'_>>,
    mut take: impl FnMut(usize, Result<Held, ConnectError>) -> bool,
) {
    let mut opened =
        iter(attempts.map(|attempt| Box::pin(attempt.open()))).buffer_unordered(IN_FLIGHT);
    while let Some((key, outcome)) = opened.next().await {
        if !take(key, outcome) {
            break;
        }
    }
}

/// Reads the first messages that are not read yet, if they may name the instances. Cancel-safe.
pub(super) async fn read_messages(held: &mut [Held], by: Option<&NameSource>, patience: Duration) {
    let have_hello = held.iter().all(|held| held.evidence.hello.is_some());
    let Some(wait) = message_wait(by, have_hello, patience) else { return };
    let until = Instant::now() + wait;
    let unread = held.iter_mut().filter(|held| held.evidence.message.is_none());
    let read = unread.map(async |held| {
        held.evidence.message = first_message(&mut held.link, until).await;
    });
    join_all(read).await;
}

/// Closes connections with closing handshakes, all at the same time.
pub(super) async fn close(held: impl Iterator<Item = Held>) {
    join_all(held.map(|held| Box::pin(held.link.close(&Ending::Stopped)))).await;
}
