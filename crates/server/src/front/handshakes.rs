//! The handshakes under way, and which of them is evicted when there are too many: the oldest one that
//! has sent no byte yet, of the address that has the most of them. So a flood evicts itself, and an
//! honest client, which sends its request at once, stays.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::occupancy::network;

/// Handshakes that may be under way after their first byte. Each takes up to some 40 kB: the head
/// of the request, and buffers of TLS.
const MAX_SPEAKING: usize = 1024;

/// The handshakes of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Handshakes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when a handshake has ended, and its socket is closed or handed over.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the next handshake.
    next: u64,
    /// Handshakes whose tasks have not ended; a task that was aborted has its socket until the
    /// runtime drops the task.
    open: usize,
    /// Handshakes whose first byte has not arrived.
    silent: Queue,
    /// Handshakes whose first byte has arrived.
    speaking: Queue,
}

/// Handshakes by address and by age.
#[derive(Debug, Default)]
struct Queue {
    len: usize,
    by_address: HashMap<IpAddr, BTreeMap<u64, AbortHandle>>,
    /// The addresses; the last one has the most handshakes, or the oldest of as many.
    ranking: BTreeSet<Rank>,
}

/// How many handshakes an address has, and the number of its oldest one.
type Rank = (usize, Reverse<u64>, IpAddr);

/// The place of a handshake under way; freed when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    handshakes: Handshakes,
    address: IpAddr,
    number: u64,
}

impl Handshakes {
    /// Number of handshakes that have a socket.
    pub(super) fn open(&self) -> usize {
        self.0.state.lock().open
    }

    /// Starts a handshake: `start` spawns its task, which owns the ticket.
    pub(super) fn spawn(&self, address: IpAddr, start: impl FnOnce(Ticket) -> AbortHandle) {
        let address = network(address);
        // The task may end before `start` returns, but its ticket waits for the lock.
        let mut state = self.0.state.lock();
        let number = state.next;
        state.next += 1;
        state.open += 1;
        let task = start(Ticket { handshakes: self.clone(), address, number });
        state.silent.insert(address, number, task);
    }

    /// Evicts one handshake, and waits until its socket, or the socket of another one, is closed.
    /// Returns `false` if there is no handshake.
    pub(super) async fn evict(&self) -> bool {
        let ended = self.0.ended.notified();
        let is_open = self.abort_one() || self.open() > 0;
        if is_open {
            ended.await;
        }
        is_open
    }

    /// Ends all handshakes.
    pub(super) fn abort_all(&self) {
        while self.abort_one() {}
    }

    fn abort_one(&self) -> bool {
        let mut state = self.0.state.lock();
        let victim = state.silent.pop().or_else(|| state.speaking.pop());
        drop(state);
        victim.iter().for_each(AbortHandle::abort);
        victim.is_some()
    }
}

impl Ticket {
    /// Notes that the first byte has arrived.
    pub(super) fn note_first_byte(&self) {
        let mut state = self.handshakes.0.state.lock();
        if let Some(task) = state.silent.remove(self.address, self.number) {
            state.speaking.insert(self.address, self.number, task);
        }
        let victim = if state.speaking.len > MAX_SPEAKING { state.speaking.pop() } else { None };
        drop(state);
        victim.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.handshakes.0.state.lock();
        state.silent.remove(self.address, self.number);
        state.speaking.remove(self.address, self.number);
        state.open -= 1;
        drop(state);
        self.handshakes.0.ended.notify_waiters();
    }
}

impl Queue {
    fn insert(&mut self, address: IpAddr, number: u64, task: AbortHandle) {
        self.change(address, |tasks| _ = tasks.insert(number, task));
        self.len += 1;
    }

    fn remove(&mut self, address: IpAddr, number: u64) -> Option<AbortHandle> {
        let mut removed = None;
        self.change(address, |tasks| removed = tasks.remove(&number));
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// Changes the handshakes of an address, and with them its rank.
    fn change(&mut self, address: IpAddr, change: impl FnOnce(&mut BTreeMap<u64, AbortHandle>)) {
        let tasks = self.by_address.entry(address).or_default();
        rank(address, tasks).inspect(|rank| _ = self.ranking.remove(rank));
        change(tasks);
        match rank(address, tasks) {
            Some(rank) => _ = self.ranking.insert(rank),
            None => _ = self.by_address.remove(&address),
        }
    }

    /// Removes the oldest handshake of the address that has the most.
    fn pop(&mut self) -> Option<AbortHandle> {
        let &(_, Reverse(oldest), address) = self.ranking.last()?;
        self.remove(address, oldest)
    }
}

/// The rank of an address; `None` without handshakes.
fn rank(address: IpAddr, tasks: &BTreeMap<u64, AbortHandle>) -> Option<Rank> {
    let (&oldest, _) = tasks.first_key_value()?;
    Some((tasks.len(), Reverse(oldest), address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::task::{JoinHandle, spawn};

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Starts a handshake that never ends, and whose first byte has arrived if it `speaks`.
    fn start(handshakes: &Handshakes, last: u8, speaks: bool) -> JoinHandle<()> {
        let mut handshake = None;
        handshakes.spawn(address(last), |ticket| {
            let task = spawn(async move {
                if speaks {
                    ticket.note_first_byte();
                }
                pending::<()>().await;
            });
            handshake.insert(task).abort_handle()
        });
        handshake.unwrap()
    }

    async fn settle() {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_oldest_silent_one_of_the_address_with_the_most_goes_first() {
        let handshakes = Handshakes::default();
        let honest = start(&handshakes, 1, false);
        let flood: Vec<_> = (0..5).map(|_| start(&handshakes, 2, false)).collect();
        let speaking: Vec<_> = (0..9).map(|_| start(&handshakes, 3, true)).collect();
        settle().await;
        assert_eq!(handshakes.open(), 15);
        for (gone, left) in [(1, 14), (2, 13), (3, 12), (4, 11)] {
            assert!(handshakes.evict().await);
            let finished = flood.iter().take_while(|task| task.is_finished()).count();
            assert_eq!((finished, handshakes.open()), (gone, left));
        }
        assert!(!honest.is_finished() && !speaking.iter().any(JoinHandle::is_finished));
        handshakes.abort_all();
        settle().await;
        assert!(honest.is_finished() && speaking.iter().all(JoinHandle::is_finished));
        assert_eq!(handshakes.open(), 0);
        assert!(!handshakes.evict().await);
    }

    #[tokio::test]
    async fn a_newcomer_stays_where_each_address_has_one() {
        let handshakes = Handshakes::default();
        let flood: Vec<_> = (1..5).map(|last| start(&handshakes, last, false)).collect();
        let newcomer = start(&handshakes, 250, false);
        settle().await;
        for task in &flood {
            assert!(handshakes.evict().await);
            assert!(task.is_finished());
        }
        assert!(!newcomer.is_finished());
    }

    #[tokio::test]
    async fn an_evicted_handshake_counts_until_its_socket_is_closed() {
        let handshakes = Handshakes::default();
        let handshake = start(&handshakes, 1, false);
        settle().await;
        handshakes.abort_all();
        assert_eq!((handshake.is_finished(), handshakes.open()), (false, 1));
        assert!(handshakes.evict().await);
        assert_eq!((handshake.is_finished(), handshakes.open()), (true, 0));
    }

    #[tokio::test]
    async fn speaking_handshakes_are_bounded_too() {
        let handshakes = Handshakes::default();
        let honest = start(&handshakes, 1, true);
        let flood: Vec<_> = (0..MAX_SPEAKING + 5).map(|_| start(&handshakes, 2, true)).collect();
        settle().await;
        assert_eq!(handshakes.open(), MAX_SPEAKING);
        assert!(!honest.is_finished());
        assert!(flood[..6].iter().all(JoinHandle::is_finished));
    }
}
