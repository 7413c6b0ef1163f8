//! The clients that ping, by the names that they send, with a bound on the number of names.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::ping::unquoted;

use crate::tally::Tally;

/// Most names that a worker remembers.
const MAX_NAMES: usize = 1024;

/// Longest part of a name that is remembered, in bytes.
const MAX_NAME: usize = 128;

/// The clients of one worker by name.
#[derive(Debug)]
pub struct Clients {
    /// When the server started.
    started: Instant,
    /// The current time, in milliseconds since the start.
    now: Tally,
    listed: Mutex<HashMap<Arc<str>, Arc<Client>>>,
}

/// All clients of one name, on one worker.
#[derive(Debug)]
pub struct Client {
    name: Arc<str>,
    pings: Tally,
    /// When the last ping came, in milliseconds since the start.
    last: Tally,
    /// Whether `Clients` still lists the name.
    is_listed: AtomicBool,
}

/// The counts of one name, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCounts {
    /// The beginning of the name.
    pub name: Arc<str>,
    /// Pings so far.
    pub pings: u64,
    /// When the last ping came, since the start.
    pub last: Duration,
}

impl Clients {
    /// No client yet; time counts from `started`.
    #[must_use]
    pub fn new(started: Instant) -> Self {
        Self { started, now: Tally::default(), listed: Mutex::default() }
    }

    /// Sets the current time, at which the pings to come are counted.
    pub fn set_now(&self, now: Instant) {
        let since = now.saturating_duration_since(self.started);
        self.now.set(1000 * since.as_secs() + u64::from(since.subsec_millis()));
    }

    /// Counts a ping. `client` is the client of the connection's last ping: as a rule the name is the
    /// same, and no look-up is needed.
    pub fn pinged(&self, client: &mut Option<Arc<Client>>, name: &str) {
        let name = shown(name);
        let client = match client {
            Some(client) if client.is(name) => client,
            client => client.insert(self.named(name)),
        };
        client.pinged(self.now.get());
    }

    /// Counts a ping under the same name as the connection's last one.
    #[inline]
    pub fn pinged_again(&self, client: &mut Option<Arc<Client>>) {
        if let Some(client) = client {
            if !client.is_listed.load(Ordering::Relaxed) {
                *client = self.named(&client.name);
            }
            client.pinged(self.now.get());
        }
    }

    /// The counts of all remembered names.
    #[must_use]
    pub fn counts(&self) -> Vec<ClientCounts> {
        self.listed.lock().values().map(|client| client.counts()).collect()
    }

    /// The client of this name, listed anew if the name is not remembered.
    fn named(&self, name: &str) -> Arc<Client> {
        let mut listed = self.listed.lock();
        if let Some(client) = listed.get(name) {
            return Arc::clone(client);
        }
        if listed.len() >= MAX_NAMES {
            forget_half(&mut listed);
        }
        let client = Arc::new(Client::new(name));
        listed.insert(Arc::clone(&client.name), Arc::clone(&client));
        client
    }
}

impl Client {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            pings: Tally::default(),
            last: Tally::default(),
            is_listed: AtomicBool::new(true),
        }
    }

    /// Counts a ping at `now`.
    fn pinged(&self, now: u64) {
        self.pings.add(1);
        self.last.set(now);
    }

    fn is(&self, name: &str) -> bool {
        *self.name == *name && self.is_listed.load(Ordering::Relaxed)
    }

    fn counts(&self) -> ClientCounts {
        ClientCounts {
            name: Arc::clone(&self.name),
            pings: self.pings.get(),
            last: Duration::from_millis(self.last.get()),
        }
    }
}

/// Forgets the half whose last pings are the longest ago. Half of them at once, so that this happens
/// rarely, however fast the names change.
fn forget_half(listed: &mut HashMap<Arc<str>, Arc<Client>>) {
    let mut clients: Vec<_> = listed.drain().map(|(_, client)| client).collect();
    clients.sort_unstable_by_key(|client| client.last.get());
    let recent = clients.split_off(clients.len() / 2);
    clients.iter().for_each(|client| client.is_listed.store(false, Ordering::Relaxed));
    listed.extend(recent.into_iter().map(|client| (Arc::clone(&client.name), client)));
}

/// The name as the log has it, cut at [`MAX_NAME`].
fn shown(name: &str) -> &str {
    let name = unquoted(name);
    &name[..name.floor_char_boundary(MAX_NAME)]
}

/// The clients of all workers, each name once, the one with the latest ping first.
pub(super) fn merged<'a>(workers: impl IntoIterator<Item = &'a Clients>) -> Vec<ClientCounts> {
    let mut names: HashMap<Arc<str>, ClientCounts> = HashMap::new();
    for client in workers.into_iter().flat_map(Clients::counts) {
        match names.get_mut(&client.name) {
            Some(counts) => {
                counts.pings += client.pings;
                counts.last = counts.last.max(client.last);
            }
            None => _ = names.insert(Arc::clone(&client.name), client),
        }
    }
    let mut clients: Vec<_> = names.into_values().collect();
    clients.sort_unstable_by(|a, b| b.last.cmp(&a.last).then_with(|| a.name.cmp(&b.name)));
    clients
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ping of `name` that long after the start.
    fn ping(clients: &Clients, client: &mut Option<Arc<Client>>, name: &str, millis: u64) {
        clients.set_now(clients.started + Duration::from_millis(millis));
        clients.pinged(client, name);
    }

    fn counts(name: &str, pings: u64, millis: u64) -> ClientCounts {
        ClientCounts { name: name.into(), pings, last: Duration::from_millis(millis) }
    }

    #[test]
    fn pings_are_counted_by_name_over_connections_and_workers() {
        let started = Instant::now();
        let workers = [Clients::new(started), Clients::new(started)];
        let (mut first, mut second, mut third) = (None, None, None);
        ping(&workers[0], &mut first, "a", 1);
        ping(&workers[0], &mut first, "a", 2);
        ping(&workers[0], &mut second, "\"a\"", 1500);
        ping(&workers[1], &mut third, "a", 30);
        ping(&workers[1], &mut third, "b", 1500);
        assert_eq!(merged(&workers), [counts("a", 4, 1500), counts("b", 1, 1500)]);
    }

    #[test]
    fn long_names_are_cut_and_idle_ones_forgotten() {
        let clients = Clients::new(Instant::now());
        let mut steady = None;
        let long = "é".repeat(1000);
        for millis in 0..10 * MAX_NAMES as u64 {
            ping(&clients, &mut steady, &long, millis);
            ping(&clients, &mut None, &millis.to_string(), millis);
        }
        let counts = clients.counts();
        assert!(counts.len() <= MAX_NAMES, "{}", counts.len());
        let steady = counts.iter().find(|client| *client.name == *"é".repeat(MAX_NAME / 2));
        assert_eq!(steady.unwrap().pings, 10 * MAX_NAMES as u64);
    }

    #[test]
    fn a_name_that_was_forgotten_is_listed_again_with_its_next_ping() {
        let clients = Clients::new(Instant::now());
        let mut idle = None;
        ping(&clients, &mut idle, "idle", 0);
        for name in 0..MAX_NAMES {
            ping(&clients, &mut None, &name.to_string(), 1);
        }
        assert!(clients.counts().iter().all(|client| &*client.name != "idle"));
        ping(&clients, &mut idle, "idle", 2);
        assert_eq!(merged([&clients])[0], counts("idle", 1, 2));
        for name in 0..MAX_NAMES {
            ping(&clients, &mut None, &name.to_string(), 3);
        }
        clients.set_now(clients.started + Duration::from_millis(4));
        clients.pinged_again(&mut idle);
        assert_eq!(merged([&clients])[0], counts("idle", 1, 4));
    }
}
