//! How the server saw connections end, which it reports at `/probe`.

use std::time::Duration;

use proto::probe::{Ended, EndedBy};

use super::super::link::Link;
use crate::net::Endpoint;
use crate::net::ending::Ending;

/// Most connections opened to find the instance of a lost connection.
const TRIES: usize = 6;

/// Most lost connections that one instance is asked about.
const ASKED: usize = 3;

/// How the server saw a connection end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerView {
    /// `open`, `close-CODE`, `fin`, `rst` or `silence`.
    pub(super) seen: String,
    pub(super) by: Option<EndedBy>,
    /// The address that connections come from, as the server sees it.
    pub(super) peer: String,
}

/// Asks the server how one of these connections ended, given as number and instance. `None` if the
/// server does not know, or cannot be reached.
pub(super) async fn ask(
    endpoint: &Endpoint,
    patience: Duration,
    lost: &[(String, String)],
) -> Option<ServerView> {
    for _ in 0..TRIES {
        let mut link = Link::open(endpoint, patience).await.ok()?;
        let (instance, peer) = link
            .hello()
            .map(|hello| (hello.instance.into_owned(), host(&hello.peer).to_owned()))?;
        let own = lost.iter().filter(|(_, of)| *of == instance).map(|(number, _)| number);
        let mut view = None;
        for number in own.take(ASKED) {
            let answer = link.ask_for_end(number, patience).await.ok()?;
            let Ok(Ended { seen, by, .. }) = serde_json::from_str(&answer) else { continue };
            if seen != "unknown" {
                view = Some(ServerView { seen: seen.into_owned(), by, peer });
                break;
            }
        }
        link.close(&Ending::Stopped).await;
        if view.is_some() {
            return view;
        }
    }
    None
}

/// An address without its port.
fn host(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(host, _)| host)
}

impl ServerView {
    /// The end as a sentence.
    pub(super) fn sentence(&self) -> String {
        let Self { seen, by, peer } = self;
        match (seen.as_str(), by) {
            ("open", _) => {
                "For the server the connection is still open: something between dropped it silently"
                    .into()
            }
            ("silence", _) => {
                "The server gave the connection up, since nothing came over it".into()
            }
            (seen, Some(EndedBy::Server)) => {
                format!("The server itself closed the connection ({})", shown(seen))
            }
            (seen, _) if seen.starts_with("close-") => {
                format!("The server got a Close ({}) from {peer}", shown(seen))
            }
            (seen, _) => format!(
                "The server saw a {} from {peer} and sent no Close: something between cut the connection",
                shown(seen)
            ),
        }
    }

    /// Whether the server ended the connection.
    pub(super) fn is_by_server(&self) -> bool {
        self.by == Some(EndedBy::Server) && self.seen != "open"
    }
}

/// An end as text: `FIN`, or the code of a Close frame.
fn shown(seen: &str) -> String {
    match seen {
        "fin" | "rst" => seen.to_uppercase(),
        seen => seen.strip_prefix("close-").unwrap_or(seen).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_view_of_the_server_is_a_sentence() {
        for (seen, by, sentence) in [
            (
                "fin",
                Some(EndedBy::Peer),
                "The server saw a FIN from 10.0.3.4 and sent no Close: something between cut the connection",
            ),
            ("close-1001", Some(EndedBy::Server), "The server itself closed the connection (1001)"),
            ("close-1000", Some(EndedBy::Peer), "The server got a Close (1000) from 10.0.3.4"),
            (
                "open",
                None,
                "For the server the connection is still open: something between dropped it silently",
            ),
            (
                "silence",
                Some(EndedBy::Server),
                "The server gave the connection up, since nothing came over it",
            ),
        ] {
            let view = ServerView { seen: seen.into(), by, peer: host("10.0.3.4:4711").into() };
            assert_eq!(view.sentence(), sentence);
        }
    }
}
