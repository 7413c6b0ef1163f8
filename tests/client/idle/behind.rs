//! `client idle` behind nginx, HAProxy, Apache and Caddy.

use std::process::Output;

use serde_json::json;

use super::{AT_PROBE, Said};
use crate::client::{Client, command};
use crate::interop::PythonServer;
use crate::middle::Kind;
use crate::middles::behind_middle;
use crate::python::python;
use crate::stalls::patiently;

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
    patiently(|| {
        for kind in Kind::ALL {
            let (_server, middle) = behind_middle(kind, &[], |builder| builder.idle(5));
            let said = idle(&format!("{}/probe", middle.url()));
            said.assert_ok(Some(false));
            let found = said.verdict["idle_timeout"].as_f64().unwrap();
            // Apache looks at its connections once a second only.
            assert!(found > 4.5 && found < 6.5, "{kind:?}: {said}");
            assert_eq!(said.verdict["cut_by"], "fin", "{kind:?}: {said}");
            if kind == Kind::Caddy {
                // Caddy's `read_timeout` is for what the server sends.
                let kept = ["protocol-ping", "message", "server-ping", "server-message"];
                assert_eq!(said.verdict["kept_by"], json!(kept), "{said}");
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
        }
    });
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_reload_meanwhile_is_no_timeout() {
    patiently(|| {
        let (_server, mut middle) = behind_middle(Kind::Caddy, &[], |builder| builder);
        let args = ["idle", &middle.url(), "--json", "--max", "20s"];
        let mut client = Client::spawn(command(&[]).args(args));
        // Connections ask, each after a longer silence, whether they are still there: the sixth one
        // after 6 s.
        let mut objects: Vec<_> = (0..7).map(|_| client.stdout.next()).collect();
        middle.reload();
        objects.extend(client.stdout.rest());
        let (stdout, status) = (objects.join("\n").into(), client.wait());
        let said = Said::of(&Output { status, stdout, stderr: vec![] });
        said.assert_ok(None);
        said.assert_says("ended at the same instant");
        assert_eq!(said.verdict["cut_by"], "close-1001", "{said}");
    });
}

#[test]
#[ignore = "needs Python with websockets, and nginx"]
fn a_server_of_others_that_pings_hides_longer_timeouts_alone() {
    patiently(|| {
        let server = PythonServer::of(python("-c").arg(PINGING));
        let address = server.url["ws://".len()..].parse().unwrap();
        let hidden = Kind::Nginx.to(&[address]).idle(6).start();
        let said = idle(&hidden.url());
        said.assert_ok(None);
        said.assert_begins("cannot tell: the server itself pings every 3.");
        let shown = Kind::Nginx.to(&[address]).idle(2).start();
        idle(&shown.url()).assert_idle(super::IDLE, "fin");
    });
}
