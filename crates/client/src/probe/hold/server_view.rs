//! How the servers saw lost connections end, as far as they remember it (`/probe`).

use std::collections::BTreeMap;

use proto::probe::{Ended, EndedBy};

use crate::probe::instances::shares::shown;

/// Most different ends that are counted apart: their names come from the server.
const MOST: usize = 16;

/// Number of lost connections, by how the server saw the end.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerViews(BTreeMap<(Side, String), u64>);

/// Who ended a connection, as the server saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Server,
    /// The server, because of frames that break the protocol. Not those of this client: Caddy, for
    /// one, closes connections to servers with a Close frame that is not masked.
    Broken,
    /// The client, or something between.
    Peer,
    /// No one: for the server the connection is still open.
    Nobody,
}

impl ServerViews {
    /// Counts an answer, JSON of [`Ended`]. Left out are answers without information, and those about
    /// the client where the client itself closed the connection (`is_given_up`).
    pub(super) fn add(&mut self, end: &str, is_given_up: bool) {
        let Ok(Ended { seen, by, .. }) = serde_json::from_str(end) else { return };
        let side = match (by, &*seen) {
            (_, "open") => Side::Nobody,
            (Some(EndedBy::Server), "close-1002") => Side::Broken,
            (Some(EndedBy::Server), _) => Side::Server,
            (Some(EndedBy::Peer), _) if !is_given_up => Side::Peer,
            (Some(EndedBy::Peer) | None, _) => return,
        };
        let key = (side, seen.into_owned());
        if self.0.contains_key(&key) || self.0.len() < MOST {
            *self.0.entry(key).or_default() += 1;
        }
    }

    /// The numbers in JSON: `server:close-1001`, `peer:fin`, `open`.
    pub(super) fn fields(&self) -> BTreeMap<String, u64> {
        let name = |((side, seen), count): (&(Side, String), &u64)| {
            let name = match side {
                Side::Server | Side::Broken => format!("server:{seen}"),
                Side::Peer => format!("peer:{seen}"),
                Side::Nobody => seen.clone(),
            };
            (name, *count)
        };
        self.0.iter().map(name).collect()
    }

    /// The numbers, and what follows from them, as a sentence.
    pub(super) fn sentence(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let word = |((side, seen), count): (&(Side, String), &u64)| {
            let seen = shown(seen);
            match side {
                Side::Server => format!("{count} that the server itself ended ({seen})"),
                Side::Broken => {
                    format!("{count} over which frames came that break RFC 6455 ({seen})")
                }
                Side::Peer => format!("{count} that were ended from the client's side ({seen})"),
                Side::Nobody => format!("{count} that are still open for it"),
            }
        };
        let words: Vec<_> = self.0.iter().map(word).collect();
        let conclusion = match self.0.keys().any(|(side, _)| *side == Side::Server) {
            true => "",
            false => ": that was not this client, so it was something between",
        };
        Some(format!("Servers that still ran remember {}{conclusion}", words.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views(ends: &[&str]) -> ServerViews {
        let mut views = ServerViews::default();
        ends.iter().for_each(|end| views.add(end, false));
        views
    }

    fn end(seen: &str, by: &str) -> String {
        format!(r#"{{"ended":"1-2","seen":"{seen}","by":{by},"age":1.5,"silent":0.5,"at":null}}"#)
    }

    #[test]
    fn the_view_of_the_server_shows_on_which_side_the_fault_lies() {
        let fin = end("fin", "\"peer\"");
        let between = views(&[&fin, &fin, &end("open", "null")]);
        assert_eq!(
            between.sentence().unwrap(),
            "Servers that still ran remember 2 that were ended from the client's side (fin), 1 that are still open for it: that was not this client, so it was something between"
        );
        let names = between.fields();
        assert_eq!((names["peer:fin"], names["open"]), (2, 1));
        let broken = views(&[&end("close-1002", "\"server\""), &fin]);
        let sentence = broken.sentence().unwrap();
        assert!(sentence.contains("1 over which frames came that break RFC 6455 (close-1002)"));
        assert!(sentence.ends_with("so it was something between"), "{sentence}");
        let itself = views(&[&end("close-1008", "\"server\"")]);
        assert_eq!(
            itself.sentence().unwrap(),
            "Servers that still ran remember 1 that the server itself ended (close-1008)"
        );
        assert_eq!(itself.fields()["server:close-1008"], 1);
    }

    #[test]
    fn answers_without_information_are_left_out_and_memory_is_bounded() {
        let mut given_up = ServerViews::default();
        given_up.add(&end("close-1008", "\"peer\""), true);
        assert_eq!(given_up.sentence(), None);
        given_up.add(&end("open", "null"), true);
        assert_eq!(given_up.fields()["open"], 1);
        assert_eq!(views(&["", "{}", &end("unknown", "null")]).sentence(), None);
        let many: Vec<_> =
            (0..100).map(|code| end(&format!("close-{code}"), "\"server\"")).collect();
        let views = views(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(views.fields().len(), MOST);
    }
}
