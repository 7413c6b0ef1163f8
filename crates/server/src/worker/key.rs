//! Names of connections.

use slotmap::{Key as _, KeyData, new_key_type};

new_key_type! {
    /// The connection that an event, a timer or a reply is for; it may have left.
    pub(super) struct Key;
}

/// The token of a connection at epoll.
#[derive(Clone, Copy, Debug)]
pub struct Token(pub(super) u64);

impl From<u64> for Token {
    fn from(token: u64) -> Self {
        Self(token)
    }
}

impl From<Token> for Key {
    fn from(token: Token) -> Self {
        KeyData::from_ffi(token.0).into()
    }
}

impl From<Key> for Token {
    fn from(key: Key) -> Self {
        Self(key.data().as_ffi())
    }
}
