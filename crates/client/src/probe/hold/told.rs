//! How connections ended for the server, which a server with `/probe` remembers.

use std::collections::BTreeMap;

use proto::probe::{By, Ended};

use crate::probe::crowd::shares::shown;

/// Most different ends that are kept apart: their names come from the server.
const MOST: usize = 16;

/// Number of connections by how they ended for the server.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(BTreeMap<(Side, String), u64>);

/// Who ended a connection, for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Server,
    /// The server, since what came to it broke the protocol: that is not from this client. Caddy
    /// closes connections to servers so, with a frame that is not masked.
    Broken,
    /// The client, or what stands between.
    Way,
    /// Nobody: for the server it is still open.
    Nobody,
}

impl Told {
    /// Counts an answer, as JSON of [`Ended`]. One that says nothing is left out, and so is one that
    /// tells of the client where that gave the connection up itself (`is_given_up`).
    pub(super) fn add(&mut self, end: &str, is_given_up: bool) {
        let Ok(Ended { seen, by, .. }) = serde_json::from_str(end) else { return };
        let side = match (by, &*seen) {
            (_, "open") => Side::Nobody,
            (Some(By::Server), "close-1002") => Side::Broken,
            (Some(By::Server), _) => Side::Server,
            (Some(By::Peer), _) if !is_given_up => Side::Way,
            (Some(By::Peer) | None, _) => return,
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
                Side::Way => format!("peer:{seen}"),
                Side::Nobody => seen.clone(),
            };
            (name, *count)
        };
        self.0.iter().map(name).collect()
    }

    /// What the servers tell, as a sentence.
    pub(super) fn sentence(&self) -> Option<String> {
        let word = |((side, seen), count): (&(Side, String), &u64)| {
            let seen = shown(seen);
            match side {
                Side::Server => format!("{count} that the server itself ended ({seen})"),
                Side::Broken => {
                    format!("{count} over which frames came that break RFC 6455 ({seen})")
                }
                Side::Way => format!("{count} that were ended from the client's side ({seen})"),
                Side::Nobody => format!("{count} that are still open for it"),
            }
        };
        let words: Vec<_> = self.0.iter().map(word).collect();
        let sides: Vec<_> = self.0.keys().map(|(side, _)| *side).collect();
        let conclusion = match sides.as_slice() {
            [] => return None,
            sides if sides.contains(&Side::Server) => "",
            _ => ": that was not this client, so it was something between",
        };
        Some(format!("Servers that still ran remember {}{conclusion}", words.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ends: &[&str]) -> Told {
        let mut told = Told::default();
        ends.iter().for_each(|end| told.add(end, false));
        told
    }

    fn end(seen: &str, by: &str) -> String {
        format!(r#"{{"ended":"1-2","seen":"{seen}","by":{by},"age":1.5,"silent":0.5,"at":null}}"#)
    }

    #[test]
    fn what_the_server_saw_shows_on_which_side_of_it_the_fault_lies() {
        let fin = end("fin", "\"peer\"");
        let between = told(&[&fin, &fin, &end("open", "null")]);
        assert_eq!(
            between.sentence().unwrap(),
            "Servers that still ran remember 2 that were ended from the client's side (fin), 1 that are still open for it: that was not this client, so it was something between"
        );
        let names = between.fields();
        assert_eq!((names["peer:fin"], names["open"]), (2, 1));
        let broken = told(&[&end("close-1002", "\"server\""), &fin]);
        let sentence = broken.sentence().unwrap();
        assert!(sentence.contains("1 over which frames came that break RFC 6455 (close-1002)"));
        assert!(sentence.ends_with("so it was something between"), "{sentence}");
        let itself = told(&[&end("close-1008", "\"server\"")]);
        assert_eq!(
            itself.sentence().unwrap(),
            "Servers that still ran remember 1 that the server itself ended (close-1008)"
        );
        assert_eq!(itself.fields()["server:close-1008"], 1);
    }

    #[test]
    fn what_says_nothing_is_left_out_and_memory_is_bounded() {
        let mut given_up = Told::default();
        given_up.add(&end("close-1008", "\"peer\""), true);
        assert_eq!(given_up.sentence(), None);
        given_up.add(&end("open", "null"), true);
        assert_eq!(given_up.fields()["open"], 1);
        assert_eq!(told(&["", "{}", &end("unknown", "null")]).sentence(), None);
        let many: Vec<_> =
            (0..100).map(|code| end(&format!("close-{code}"), "\"server\"")).collect();
        let told = told(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(told.fields().len(), MOST);
    }
}
