//! How many checks run at the same time: fewer if the server has no room for all of them.

use std::cell::Cell;

use tokio::sync::{Semaphore, SemaphorePermit};

/// The places of the running checks, and whether the server has refused any for lack of room.
#[derive(Debug)]
pub(super) struct Room {
    semaphore: Semaphore,
    places: Cell<usize>,
    /// Whether the usual request was refused for lack of room.
    is_scarce: Cell<bool>,
    /// Whether a check that ran alone found no room, and none was upgraded since.
    is_gone: Cell<bool>,
}

impl Room {
    /// Room for this many checks.
    pub(super) fn new(places: usize) -> Self {
        Self {
            semaphore: Semaphore::new(places),
            places: Cell::new(places),
            is_scarce: Cell::new(false),
            is_gone: Cell::new(false),
        }
    }

    /// Waits for a place; the check has it for as long as the result lives.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.semaphore.acquire().await.ok()
    }

    /// Notes that the usual request was refused for lack of room.
    pub(super) fn refused(&self) {
        self.is_scarce.set(true);
    }

    /// Notes that the server upgraded a connection.
    pub(super) fn upgraded(&self) {
        self.is_gone.set(false);
    }

    /// Whether the server has room for fewer connections than the checks use. If not, a status such
    /// as 503 answers the content of a changed request.
    pub(super) fn is_scarce(&self) -> bool {
        self.is_scarce.get()
    }

    /// Whether a refused check should not retry at once: other checks run and may free a place, or
    /// one that ran alone has retried long enough.
    pub(super) fn is_hopeless(&self) -> bool {
        self.is_scarce() && (self.places.get() > 1 || self.is_gone.get())
    }

    /// Takes the place of a refused check away for good, unless it is the last one. Returns whether
    /// the check may run once more, in the place of another.
    pub(super) fn take_away(&self, place: Option<SemaphorePermit<'_>>) -> bool {
        let places = self.places.get();
        if places == 1 {
            self.is_gone.set(true);
            return false;
        }
        self.places.set(places - 1);
        if let Some(place) = place {
            place.forget();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refused_check_gives_up_its_place_unless_it_is_the_last() {
        let room = Room::new(2);
        let (first, second) = (room.place().await, room.place().await);
        assert!(!room.is_hopeless());
        room.refused();
        assert!(room.is_hopeless() && room.take_away(first));
        assert!(!room.is_hopeless() && !room.take_away(second));
        assert!(room.is_hopeless());
        room.upgraded();
        assert!(!room.is_hopeless());
        assert_eq!(room.semaphore.available_permits(), 1);
    }
}
