//! A network between this host and a network namespace, which can be cut. Needs root.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

/// A pair of veth devices, a cable, to a network namespace. Dropped, both are removed.
#[derive(Debug)]
pub(crate) struct Network {
    /// The name of the namespace, and of the end of the cable on this host.
    name: String,
    /// The two ends of the cable, of the addresses for measurements (RFC 2544, appendix C.2.2).
    here: Ipv4Addr,
    there: Ipv4Addr,
}

/// A way to cut a network.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// The cable is pulled at the other end: that side knows at once.
    Pulled,
    /// Packets from the other end are lost.
    FromThere,
    /// Packets to the other end are lost.
    ToThere,
}

impl Network {
    /// Why no network can be made; `None` if one can.
    pub(crate) fn obstacle() -> Option<String> {
        let output = Command::new("ip").args(["link", "add", "type", "veth", "help"]).output();
        if let Err(error) = output {
            return Some(format!("ip of iproute2 is missing: {error}"));
        }
        if !rustix::process::geteuid().is_root() {
            return Some("this needs root".into());
        }
        let network = Self::new();
        network.try_lay().err()
    }

    /// Makes a network.
    #[track_caller]
    pub(crate) fn lay() -> Self {
        let network = Self::new();
        network.try_lay().expect("a network");
        network
    }

    fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed) % 32;
        let process = std::process::id();
        // Four addresses each, of which two belong to hosts.
        let [.., high, low] = process.to_be_bytes();
        let subnet = Ipv4Addr::new(198, 18 | (high & 1), low, 0).to_bits() + 4 * u32::from(next);
        let (here, there) = (Ipv4Addr::from_bits(subnet + 1), Ipv4Addr::from_bits(subnet + 2));
        Self { name: format!("t{process}-{next}"), here, there }
    }

    fn try_lay(&self) -> Result<(), String> {
        let Self { name, here, there } = self;
        ip(&format!("netns add {name}"))?;
        ip(&format!("link add {name} type veth peer name eth0 netns {name}"))?;
        ip(&format!("address add {here}/30 dev {name}"))?;
        ip(&format!("-n {name} address add {there}/30 dev eth0"))?;
        ip(&format!("link set {name} up"))?;
        ip(&format!("-n {name} link set eth0 up"))
    }

    /// The address of this host.
    pub(crate) fn here(&self) -> Ipv4Addr {
        self.here
    }

    /// The beginning of a command line that runs the rest at the other end.
    pub(crate) fn wrapper(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    #[track_caller]
    pub(crate) fn cut(&self, cut: Cut) {
        self.change(cut, true);
    }

    #[track_caller]
    pub(crate) fn heal(&self, cut: Cut) {
        self.change(cut, false);
    }

    #[track_caller]
    fn change(&self, cut: Cut, is_cut: bool) {
        let Self { name, here, there } = self;
        let command = match (cut, is_cut) {
            (Cut::Pulled, true) => format!("-n {name} link set eth0 down"),
            (Cut::Pulled, false) => format!("-n {name} link set eth0 up"),
            (Cut::FromThere, true) => format!("-n {name} neigh replace {here} dev eth0 {NOBODY}"),
            (Cut::FromThere, false) => format!("-n {name} neigh del {here} dev eth0"),
            (Cut::ToThere, true) => format!("neigh replace {there} dev {name} {NOBODY}"),
            (Cut::ToThere, false) => format!("neigh del {there} dev {name}"),
        };
        ip(&command).unwrap();
    }
}

/// A hardware address that no one has.
const NOBODY: &str = "lladdr 02:00:00:00:00:01 nud permanent";

fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

impl Drop for Network {
    fn drop(&mut self) {
        // To delete one end of the cable deletes the other.
        let _ = ip(&format!("link del {}", self.name));
        let _ = ip(&format!("netns del {}", self.name));
    }
}
