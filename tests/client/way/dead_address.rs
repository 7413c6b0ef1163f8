//! A name whose first address is dead, in a network namespace of its own.

use std::process::Command;

use crate::stalls::patiently;

/// In a network where nothing that is sent to 192.0.2.1 is answered, connects to a name with that
/// address and the one of a server; prints the milliseconds up to the request.
const SCRIPT: &str = r#"
    set -e
    ip link set lo up
    ip link add near type veth peer name far
    ip addr add 192.0.2.2/24 dev near
    ip link set near up
    ip link set far up
    # A neighbour that is known, so that packets leave, and go nowhere.
    ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev near
    exec python3 "$SCRIPT" "$CLIENT"
"#;

#[test]
#[ignore = "needs root, unshare and ip"]
fn a_dead_first_address_costs_250_ms() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/client/way/dead_address.py");
    patiently(|| {
        let output = Command::new("unshare")
            .args(["--net", "sh", "-c", SCRIPT])
            .env("SCRIPT", script)
            .env("CLIENT", env!("CARGO_BIN_EXE_client"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let told = String::from_utf8(output.stdout).unwrap();
        let millis: f64 = told.trim().parse().unwrap();
        assert!((245.0..1500.0).contains(&millis), "{told}");
    });
}
