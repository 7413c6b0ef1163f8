//! The key of a connection in its worker, which is its token at epoll too.

use slotmap::{Key as _, KeyData, new_key_type};

new_key_type! {
    /// The connection that an event, a timer or a reply is for; it may have ended meanwhile.
    pub struct Key;
}

impl From<u64> for Key {
    fn from(token: u64) -> Self {
        KeyData::from_ffi(token).into()
    }
}

impl From<Key> for u64 {
    fn from(key: Key) -> Self {
        key.data().as_ffi()
    }
}
