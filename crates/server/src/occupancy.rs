//! How full the server is: a place for each connection, with a bound on all (`MAX_CONNECTIONS`) and
//! on those of one address (`MAX_PER_ADDRESS`).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// The places of a server.
#[derive(Debug)]
pub struct Occupancy {
    max: usize,
    taken: AtomicUsize,
    /// Bound on the places of one address; `None` without one.
    per_address: Option<PerAddress>,
}

/// Places by [`network`].
#[derive(Debug)]
struct PerAddress {
    max: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A place that is taken, until dropped.
#[derive(Debug)]
pub struct Place {
    occupancy: Arc<Occupancy>,
    address: IpAddr,
}

/// The limit that leaves no place, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Every place is taken (`MAX_CONNECTIONS`).
    All(usize),
    /// Every place of the address is taken (`MAX_PER_ADDRESS`).
    Address(usize),
}

impl Occupancy {
    /// An empty server with at most `max` places, and `per_address` for one address.
    #[must_use]
    pub fn new(max: usize, per_address: Option<usize>) -> Self {
        let per_address = per_address.map(|max| PerAddress { max, taken: Mutex::default() });
        Self { max, taken: AtomicUsize::new(0), per_address }
    }

    /// The number of places (`MAX_CONNECTIONS`).
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    /// The number of places for one address (`MAX_PER_ADDRESS`), if that is bounded.
    #[must_use]
    pub fn max_per_address(&self) -> Option<usize> {
        self.per_address.as_ref().map(|places| places.max)
    }

    /// How many places are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes a place for a client at `address`.
    ///
    /// # Errors
    /// If all places are taken, or all of this address.
    pub fn take_place(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let one_more = |taken| (taken < self.max).then_some(taken + 1);
        self.taken
            .try_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map_err(|_| Full::All(self.max))?;
        let address = network(address);
        if let Some(places) = &self.per_address
            && let Err(full) = places.take_place(address)
        {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return Err(full);
        }
        Ok(Place { occupancy: Arc::clone(self), address })
    }
}

/// The key under which the limits for one address count: an IPv4 address, or the /64 network of an
/// IPv6 address, in which a host may use any address (RFC 7934, section 6).
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

impl PerAddress {
    fn take_place(&self, address: IpAddr) -> Result<(), Full> {
        let mut addresses = self.taken.lock();
        let taken = addresses.entry(address).or_default();
        if *taken >= self.max {
            return Err(Full::Address(self.max));
        }
        *taken += 1;
        Ok(())
    }

    fn leave(&self, address: IpAddr) {
        let mut addresses = self.taken.lock();
        if let Some(taken) = addresses.get_mut(&address) {
            *taken -= 1;
            if *taken == 0 {
                addresses.remove(&address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.occupancy.taken.fetch_sub(1, Ordering::Relaxed);
        if let Some(places) = &self.occupancy.per_address {
            places.leave(self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const A: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn a_place_is_taken_as_long_as_its_owner_lives() {
        let occupancy = Arc::new(Occupancy::new(2, None));
        let first = occupancy.take_place(A).unwrap();
        let _second = occupancy.take_place(A).unwrap();
        assert_eq!(occupancy.take_place(B).unwrap_err(), Full::All(2));
        drop(first);
        assert_eq!(occupancy.taken(), 1);
        assert!(occupancy.take_place(B).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let of = |address: &str| network(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8:0:0:ffff::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));

        let occupancy = Arc::new(Occupancy::new(10, Some(1)));
        let take_place = |address: &str| occupancy.take_place(address.parse().unwrap());
        let place = take_place("2001:db8::1").unwrap();
        assert_eq!(take_place("2001:db8::2").unwrap_err(), Full::Address(1));
        assert!(take_place("2001:db8:0:1::1").is_ok());
        drop(place);
        assert!(take_place("2001:db8::2").is_ok());
    }

    #[test]
    fn one_address_takes_no_more_than_its_share() {
        let occupancy = Arc::new(Occupancy::new(10, Some(2)));
        let places = [occupancy.take_place(A).unwrap(), occupancy.take_place(A).unwrap()];
        assert_eq!(occupancy.take_place(A).unwrap_err(), Full::Address(2));
        assert_eq!(occupancy.taken(), 2);
        assert!(occupancy.take_place(B).is_ok());
        drop(places);
        assert!(occupancy.take_place(A).is_ok());
        assert!(occupancy.per_address.as_ref().unwrap().taken.lock().is_empty());
    }
}
