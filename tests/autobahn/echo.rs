//! The client's part in the Autobahn test suite (`.ci/autobahn`), which plays the server: the
//! client echoes each message of a case.
//!
//! `autobahn URL AGENT` runs all cases in the name of the agent, and has the suite write its
//! report; `--compress` after them offers compression.

use std::env;

use client::net::{Endpoint, Opened, open};
use proto::frame::{Message, Opcode};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), String> {
    let args: Vec<_> = env::args().skip(1).collect();
    let (url, agent, compress) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [url, agent] => (url, agent, false),
        [url, agent, "--compress"] => (url, agent, true),
        _ => return Err("usage: autobahn URL AGENT [--compress]".into()),
    };
    let count = run(&format!("{url}/getCaseCount"), false).await?;
    let count: u32 = count.parse().map_err(|_| format!("{count:?} is no number of cases"))?;
    for case in 1..=count {
        run(&format!("{url}/runCase?case={case}&agent={agent}"), compress).await?;
    }
    run(&format!("{url}/updateReports?agent={agent}"), false).await.map(drop)
}

/// Returns each message, until the connection ends. The result is the last text.
async fn run(url: &str, compress: bool) -> Result<String, String> {
    let url = url.parse().map_err(|_| format!("{url} is no URL of a server"))?;
    let mut endpoint = Endpoint::new(url);
    endpoint.options.request.compress = compress;
    let Opened { mut socket, .. } = open(&endpoint).await.map_err(|error| error.to_string())?;
    let mut last = String::new();
    let ending = loop {
        let returned = match socket.receive().await {
            Ok(Message::Text(text)) => {
                last = text.into_owned();
                socket.send(Opcode::Text, last.as_bytes()).await
            }
            Ok(Message::Binary(bytes)) => socket.send(Opcode::Binary, &bytes).await,
            Ok(_) => Ok(()),
            Err(ending) => break ending,
        };
        if let Err(ending) = returned {
            break ending;
        }
    };
    socket.close(&ending).await;
    Ok(last)
}
