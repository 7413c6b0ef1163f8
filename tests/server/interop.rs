//! Existing clients: small Python programs with the package `websockets`.

use crate::python::python;
use crate::support::TestServer;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/server/client.py");

#[test]
#[ignore = "needs Python with websockets"]
fn the_original_client_gets_its_pongs_and_leaves_the_documented_lines() {
    for name in ["Client-300", "\"Client-300\""] {
        let server = TestServer::start();
        let output = python(CLIENT)
            .env("SERVER_URL", format!("ws://{}", server.address()))
            .env("CLIENT_NAME", name)
            .env("LAG_TIME", "0.01")
            .env("PINGS", "3")
            .output()
            .unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<_> = stdout.lines().map(|line| &line[21..]).collect();
        assert_eq!(lines, [" Received from server: Pong!"; 3]);
        assert_eq!(server.log().pings(), [("Client-300", "Ping!"); 3]);
        server.event("closed by the client (1000)");
    }
}
