//! The negotiation of permessage-deflate in `Sec-WebSocket-Extensions` (RFC 6455, section 9.1;
//! RFC 7692, sections 5 and 7.1).

use std::fmt;

use super::{MAX_WINDOW_BITS, MIN_WINDOW_BITS};

/// Name of the extension.
const NAME: &str = "permessage-deflate";

const SERVER_NO_CONTEXT: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT: &str = "client_no_context_takeover";
const SERVER_WINDOW: &str = "server_max_window_bits";
const CLIENT_WINDOW: &str = "client_max_window_bits";

/// The offers of the client. The second offer is for servers that insist on context takeover.
pub const OFFER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits, permessage-deflate; client_no_context_takeover; client_max_window_bits";

/// The parameters that the two ends agree on; displayed as the value of the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// Limits on the messages of the server.
    pub server: Sender,
    /// Limits on the messages of the client.
    pub client: Sender,
}

/// The limits that one end observes when it compresses its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// Whether no message refers to an earlier one (RFC 7692, section 7.1.1).
    pub no_context_takeover: bool,
    /// Base-2 logarithm of the longest distance, 8 to 15; `None` for no limit below 15 (RFC 7692,
    /// section 7.1.2).
    pub max_window_bits: Option<u8>,
}

/// Who wrote a `Sec-WebSocket-Extensions` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Author {
    Client,
    Server,
}

impl Sender {
    /// Base-2 logarithm of the longest distance.
    #[must_use]
    pub fn window_bits(self) -> u8 {
        self.max_window_bits.unwrap_or(MAX_WINDOW_BITS)
    }
}

impl Params {
    /// The first valid offer in these headers, as a server without context takeover accepts it.
    /// Invalid offers and other extensions are declined.
    #[must_use]
    pub fn accepted<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut offers = elements(headers).filter(|(name, _)| *name == NAME);
        let offer = offers.find_map(|(_, params)| Self::parse(params, Author::Client).ok())?;
        // Without context takeover neither end keeps a window between messages. The server can
        // decompress with any window, so it sets the client no limit.
        Some(Self {
            server: Sender { no_context_takeover: true, ..offer.server },
            client: Sender { no_context_takeover: true, max_window_bits: None },
        })
    }

    /// The parameters that a server has accepted, from the headers of its answer; `None` if it
    /// declined.
    ///
    /// # Errors
    /// If the answer does not fit [`OFFER`]; the text says why. The connection has to be failed
    /// (RFC 7692, section 7.1).
    pub fn agreed<'a>(headers: impl Iterator<Item = &'a str>) -> Result<Option<Self>, String> {
        let mut agreed = None;
        for (name, params) in elements(headers) {
            if name != NAME {
                return Err(format!("the extension {name:?} was not offered"));
            }
            if agreed.is_some() {
                return Err(format!("{NAME} was accepted twice"));
            }
            agreed = Some(Self::parse(params, Author::Server)?);
        }
        Ok(agreed)
    }

    /// Parses the parameters behind the name of the extension.
    fn parse(params: &str, author: Author) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut seen = Vec::new();
        for param in split(params, ';') {
            let (name, value) = match param.split_once('=') {
                Some((name, value)) => (trim(name), Some(unquoted(trim(value)))),
                None => (trim(param), None),
            };
            if seen.contains(&name) {
                return Err(format!("{name} of {NAME} stands there twice"));
            }
            seen.push(name);
            let is_valid = match (name, value) {
                (SERVER_NO_CONTEXT, None) => {
                    parsed.server.no_context_takeover = true;
                    true
                }
                (CLIENT_NO_CONTEXT, None) => {
                    parsed.client.no_context_takeover = true;
                    true
                }
                (SERVER_WINDOW, Some(value)) => set_bits(&mut parsed.server, value),
                (CLIENT_WINDOW, Some(value)) => set_bits(&mut parsed.client, value),
                // A client offers this parameter without a value to say that it can limit its window
                // (RFC 7692, section 7.1.2.2).
                (CLIENT_WINDOW, None) => author == Author::Client,
                _ => false,
            };
            if !is_valid {
                return Err(format!("the parameter {param:?} of {NAME} is not valid"));
            }
        }
        Ok(parsed)
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        let sides = [
            (self.server, SERVER_NO_CONTEXT, SERVER_WINDOW),
            (self.client, CLIENT_NO_CONTEXT, CLIENT_WINDOW),
        ];
        for (side, no_context, window) in sides {
            if side.no_context_takeover {
                write!(f, "; {no_context}")?;
            }
            if let Some(bits) = side.max_window_bits {
                write!(f, "; {window}={bits}")?;
            }
        }
        Ok(())
    }
}

/// Sets the limit on the window from its decimal number, which has no leading zeros.
fn set_bits(side: &mut Sender, value: &str) -> bool {
    let range = MIN_WINDOW_BITS..=MAX_WINDOW_BITS;
    let bits = range.into_iter().find(|bits| bits.to_string() == value);
    side.max_window_bits = bits;
    bits.is_some()
}

/// The extensions in these headers, each with the text of its parameters.
fn elements<'a>(
    headers: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    headers.flat_map(|list| split(list, ',')).map(|element| {
        let (name, params) = element.split_once(';').unwrap_or((element, ""));
        (trim(name), params)
    })
}

/// Splits at a separator outside of quoted strings (RFC 9110, section 5.6.4), and leaves out empty
/// parts.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = text.split(move |char| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        is_escaped = is_quoted && char == '\\';
        is_quoted ^= char == '"';
        char == separator && !is_quoted
    });
    parts.map(trim).filter(|part| !part.is_empty())
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A value without its double quotes, if it has them.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}
