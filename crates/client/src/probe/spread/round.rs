//! A round of connections: they are made a few at a time, and held until the last one is there.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use futures_util::stream::{StreamExt, iter};
use tokio::time::Instant;

use crate::net::ConnectError;
use crate::net::ending::Ending;
use crate::probe::crowd::instance::{By, Evidence, Instance};
use crate::probe::crowd::way::{Way, evidence, first_message};
use crate::probe::link::Link;

/// Connections that are made at the same time.
pub(super) const IN_FLIGHT: usize = 8;

/// How long servers have for a first message that may name them.
const MESSAGE: Duration = Duration::from_secs(1);

/// A connection that was made.
pub(super) struct Held {
    pub(super) link: Link,
    pub(super) evidence: Evidence,
    pub(super) at: SystemTime,
}

impl Held {
    /// The instance that answered, if it is known.
    pub(super) fn instance(&self, by: Option<&By>) -> Option<Instance> {
        self.evidence.instance(by?)
    }
}

/// How one of the connections of a round is made.
pub(super) struct Call<'a> {
    pub(super) way: &'a Way,
    /// Number of the key that the connection presents, if it does.
    pub(super) key: usize,
    /// Number of the connection.
    pub(super) number: u64,
    /// The local address; `None` leaves it to the way.
    pub(super) source: Option<IpAddr>,
    pub(super) patience: Duration,
}

impl Call<'_> {
    async fn make(self) -> (usize, Result<Held, ConnectError>) {
        let Self { way, key, number, source, patience } = self;
        let made = match source {
            Some(source) => way.connect_from(|_| Some(source), patience).await,
            None => way.connect(number, patience).await,
        };
        let held = |link| Held { evidence: evidence(&link), link, at: SystemTime::now() };
        (key, made.map(held))
    }
}

/// Makes connections, and passes each with the number of its key to `take`, which says whether to
/// go on.
pub(super) async fn make(
    calls: impl Iterator<Item = Call<'_>>,
    mut take: impl FnMut(usize, Result<Held, ConnectError>) -> bool,
) {
    let mut made = iter(calls.map(|call| Box::pin(call.make()))).buffer_unordered(IN_FLIGHT);
    while let Some((key, outcome)) = made.next().await {
        if !take(key, outcome) {
            break;
        }
    }
}

/// Reads the first messages where they may name the instance. Where they certainly do, servers
/// have `patience` for it.
pub(super) async fn read_messages(held: &mut [Held], by: Option<&By>, patience: Duration) {
    let is_needless = |held: &Held| held.evidence.hello.is_some();
    let wait = match by {
        Some(by) if by.is_message() => patience,
        None if !held.iter().all(is_needless) => MESSAGE,
        _ => return,
    };
    let until = Instant::now() + wait;
    let read = held.iter_mut().map(async |held| {
        held.evidence.message = first_message(&mut held.link, until).await;
    });
    join_all(read).await;
}

/// Closes connections in good order.
pub(super) async fn close(held: impl Iterator<Item = Held>) {
    join_all(held.map(|held| Box::pin(held.link.close(&Ending::Stopped)))).await;
}
