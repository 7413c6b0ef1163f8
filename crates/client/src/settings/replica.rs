//! `{replica}` in a client's name: the number of this container within its Compose service.
//!
//! All containers of a service have the same environment; only the name of a container has its
//! number (`websockets-client01-2`). A reverse look-up of the container's address (a PTR record,
//! RFC 1035, section 3.5) at the name server of its network returns that name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, Question, TYPE};

/// Replaced by the number in a name.
const PLACEHOLDER: &str = "{replica}";

/// Longest wait for the name server.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest DNS message over UDP, in bytes (RFC 1035, section 4.2.1).
const MAX_REPLY: usize = 512;

/// Replaces the placeholder in `name`: with nothing in the first container of a service, with `-2`
/// in the second, and with a hyphen and the host name if the container has no number.
pub(super) fn filled_in(name: &str, host: &str) -> String {
    if !name.contains(PLACEHOLDER) {
        return name.to_owned();
    }
    let number = container_name(host).ok().as_deref().and_then(number);
    name.replace(PLACEHOLDER, &suffix(number, host))
}

fn suffix(number: Option<u32>, host: &str) -> String {
    match number {
        Some(1) => String::new(),
        Some(number) => format!("-{number}"),
        None => format!("-{host}"),
    }
}

/// The number of a container, from its name with that of its network: `a-b-2.network`.
fn number(full_name: &str) -> Option<u32> {
    let (container, _) = full_name.split_once('.')?;
    // Old versions of Compose separate with an underscore.
    let (_, number) = container.rsplit_once(['-', '_'])?;
    number.parse().ok().filter(|&number| number > 0)
}

/// The name that a reverse look-up of this host's address returns.
fn container_name(host: &str) -> io::Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect((name_server()?, 53))?;
    socket.send(&query(own_address(host)?).map_err(io::Error::other)?)?;
    let mut reply = [0; MAX_REPLY];
    let length = socket.recv(&mut reply)?;
    let reply = Packet::parse(&reply[..length]).map_err(io::Error::other)?;
    let mut names = reply.answers.iter().filter_map(|answer| match &answer.rdata {
        RData::PTR(name) => Some(name.0.to_string()),
        _ => None,
    });
    names.next().ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn query(address: Ipv4Addr) -> Result<Vec<u8>, simple_dns::SimpleDnsError> {
    let [a, b, c, d] = address.octets();
    let reversed = format!("{d}.{c}.{b}.{a}.in-addr.arpa");
    let mut query = Packet::new_query(std::process::id() as u16);
    query.set_flags(simple_dns::PacketFlag::RECURSION_DESIRED);
    let name = Name::new(&reversed)?;
    query.questions.push(Question::new(name, TYPE::PTR.into(), CLASS::IN.into(), false));
    query.build_bytes_vec()
}

/// The address of this host, from `/etc/hosts`.
fn own_address(host: &str) -> io::Result<Ipv4Addr> {
    let mut addresses = (host, 0).to_socket_addrs()?.filter_map(|address| match address.ip() {
        IpAddr::V4(address) if !address.is_loopback() => Some(address),
        _ => None,
    });
    addresses.next().ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn name_server() -> io::Result<IpAddr> {
    let settings = std::fs::read_to_string("/etc/resolv.conf")?;
    let mut servers = settings.lines().filter_map(|line| line.strip_prefix("nameserver "));
    servers
        .find_map(|server| server.trim().parse().ok())
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_the_placeholder_stays_as_it_is() {
        assert_eq!(filled_in("Client-100", "9d0c7f2b1a34"), "Client-100");
    }

    #[test]
    fn the_number_is_at_the_end_of_the_name_of_the_container() {
        assert_eq!(number("websockets-client01-20.websockets_default"), Some(20));
        assert_eq!(number("websockets_client01_1.websockets_default"), Some(1));
        for other in ["websockets-client01-run-b5c3.websockets_default", "localhost", "a-0.b", ""] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn the_first_replica_has_the_bare_name_and_every_other_one_its_own() {
        assert_eq!(suffix(Some(1), "host"), "");
        assert_eq!(suffix(Some(2), "host"), "-2");
        assert_eq!(suffix(None, "host"), "-host");
    }
}
