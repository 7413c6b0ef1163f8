//! The bytes of a handshake as they went over the wire. An HTTP parser hides some of it: the
//! spelling of names, the order of lines.

use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io, mem};

use super::inspect::Inspect;

/// Most bytes that are kept of each direction.
const MAX: usize = 16 * 1024;

/// What was sent and received, up to [`MAX`] bytes of each. The request may hold secrets.
#[derive(Clone, Default)]
pub(crate) struct Transcript {
    pub(crate) sent: Vec<u8>,
    pub(crate) received: Vec<u8>,
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transcript({} bytes, {} bytes)", self.sent.len(), self.received.len())
    }
}

/// A transcript in the making. Clones share the transcript.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorder(Arc<Mutex<Transcript>>);

impl Recorder {
    /// Takes the transcript so far.
    pub(super) fn take(&self) -> Transcript {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, direction: fn(&mut Transcript) -> &mut Vec<u8>, bytes: &[u8]) {
        let mut transcript = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = direction(&mut transcript);
        let room = MAX - kept.len();
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

impl Inspect for Recorder {
    fn sent(&mut self, bytes: &[u8]) {
        self.add(|transcript| &mut transcript.sent, bytes);
    }

    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.add(|transcript| &mut transcript.received, bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::upgrade::inspect::Inspected;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn the_beginning_of_each_direction_is_kept() {
        let (near, mut far) = duplex(2 * MAX);
        let recorder = Recorder::default();
        let mut near = Inspected::new(near, recorder.clone());
        near.write_all(b"GET / ").await.unwrap();
        near.write_all(b"HTTP/1.1").await.unwrap();
        far.write_all(&[b'x'; MAX + 1]).await.unwrap();
        near.read_exact(&mut [0; MAX + 1]).await.unwrap();
        let Transcript { sent, received } = recorder.take();
        assert_eq!((&sent[..], received.len()), (&b"GET / HTTP/1.1"[..], MAX));
    }
}
