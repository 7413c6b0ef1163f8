//! A network between client and server that drops packets silently.

use std::process::Command;

use rustix::process::Signal;

use crate::client::{Client, next, seconds};
use crate::network::{Cut, Network};
use crate::real_server::RealServer;

#[test]
#[ignore = "needs root, for network namespaces"]
fn a_network_that_loses_everything_is_silence() {
    assert_eq!(Network::obstacle(), None);
    let network = Network::lay();
    let address = (network.here(), 8765).into();
    let _server = RealServer::start_at(address);
    let [ip, args @ ..] = network.wrapper();
    let mut command = Command::new(ip);
    command.args(args).arg(env!("CARGO_BIN_EXE_client")).arg(format!("ws://{address}"));
    let client = Client::spawn(command.args(["--json", "-i", "0.05", "-W", "5"]));
    for (round, cut) in [Cut::Pulled, Cut::FromThere, Cut::ToThere].into_iter().enumerate() {
        next(&client, "reply");
        network.cut(cut);
        while !client.stderr.next_event().contains("no Pong within 5s") {}
        network.heal(cut);
        let outage = next(&client, "outage");
        assert_eq!((&outage["seen"], &outage["over"]), (&"silence".into(), &true.into()));
        // The outage counts from the last frame received.
        assert!(seconds(&outage, "length") >= 5.0, "{cut:?}: {outage}");
        assert!(seconds(&outage, "silent_received") >= 5.0, "{cut:?}: {outage}");
        assert!(round > 0 || seconds(&outage, "age") >= 5.0, "{cut:?}: {outage}");
    }
    client.signal(Signal::INT);
    let verdict = next(&client, "verdict");
    assert_eq!((&verdict["outages"], &verdict["cuts"]), (&3.into(), &3.into()), "{verdict}");
}
