//! `client idle` behind real programs.

use std::process::Stdio;

use serde_json::{Value, json};

use super::{AT_PROBE, Backend, Said};
use crate::client::{Lines, command};
use crate::middle::Kind;
use crate::python::python;

/// A server that pings by itself, as Python's `websockets` does.
const PINGING: &str = "
import asyncio, websockets
async def serve(socket):
    async for _ in socket: pass
async def main():
    async with websockets.serve(serve, '127.0.0.1', 0, ping_interval=3) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()
asyncio.run(main())
";

fn idle(url: &str) -> Said {
    Said::of(&command(&[]).args(["idle", url, "--json", "--max", "20s"]).output().unwrap())
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_timeout_of_five_seconds_is_found_behind_each_middle() {
    for kind in Kind::ALL {
        let backend = Backend::start();
        let middle = kind.to(&[backend.address]).idle(5).start();
        let said = idle(&format!("{}/probe", middle.url()));
        assert_eq!((&said.verdict["ok"], said.status), (&false.into(), Some(1)), "{kind:?}");
        let found = said.verdict["idle_timeout"].as_f64().unwrap();
        // Apache looks at its connections once a second only.
        assert!(found > 4.5 && found < 6.5, "{kind:?}: {}", said.text());
        assert_eq!(said.verdict["cut_by"], "fin", "{kind:?}: {}", said.text());
        if kind == Kind::Caddy {
            // Its `read_timeout` is for what the server sends.
            let kept = ["protocol-ping", "message", "server-ping", "server-message"];
            assert_eq!(said.verdict["kept_by"], json!(kept), "{}", said.text());
        } else {
            said.assert_kept_by(&AT_PROBE);
        }
        assert_eq!(said.verdict["suggest_ping"], 2.0, "{kind:?}");
        // HAProxy now and then resets its connection to the server.
        let text = said.text().replace("The server saw a RST", "The server saw a FIN");
        for part in [
            "without traffic (FIN, no Close; all ",
            " did not. Ping every 2 s. The server saw a FIN from 127.0.0.1 and sent no Close: something between cut the connection.",
            "Fits no default that is known here, so look for ",
        ] {
            assert!(text.contains(part), "{kind:?}: {text}");
        }
        drop(middle);
        backend.server.stop();
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_reload_meanwhile_is_no_timeout() {
    let backend = Backend::start();
    let mut middle = Kind::Caddy.to(&[backend.address]).start();
    let mut command = command(&[]);
    command.args(["idle", &middle.url(), "--json", "--max", "20s"]);
    let mut client = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = Lines::of("stdout", client.stdout.take().unwrap());
    // The connections of the ladder ask one after the other; the sixth has been silent for 6 s.
    let mut objects: Vec<_> = (0..7).map(|_| lines.next()).collect();
    middle.reload();
    objects.extend(lines.rest());
    let status = client.wait().unwrap();
    let output = std::process::Output { status, stdout: objects.join("\n").into(), stderr: vec![] };
    let said = Said::of(&output);
    assert_eq!((&said.verdict["ok"], said.status), (&Value::Null, Some(3)));
    assert!(said.text().contains("ended at the same instant"), "{}", said.text());
    assert_eq!(said.verdict["cut_by"], "close-1001", "{}", said.text());
    backend.server.stop();
}

#[test]
#[ignore = "needs Python with websockets, and nginx"]
fn a_server_of_others_that_pings_hides_longer_timeouts_alone() {
    let mut command = python("-c");
    let mut server = command.arg(PINGING).stdout(Stdio::piped()).spawn().unwrap();
    let said = Lines::of("stdout", server.stdout.take().unwrap());
    let address = format!("127.0.0.1:{}", said.next()).parse().unwrap();
    let hidden = Kind::Nginx.to(&[address]).idle(6).start();
    let verdict = idle(&hidden.url());
    assert_eq!(verdict.status, Some(3), "{}", verdict.text());
    assert!(
        verdict.text().starts_with("cannot tell: the server itself pings every 3."),
        "{}",
        verdict.text()
    );
    let shown = Kind::Nginx.to(&[address]).idle(2).start();
    let verdict = idle(&shown.url());
    verdict.assert_idle(super::IDLE, "fin");
    server.kill().unwrap();
    server.wait().unwrap();
}
