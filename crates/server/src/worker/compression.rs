//! The compressor and the decompressor of a worker (RFC 7692). All its connections share them, as
//! no message refers to an earlier one.

use proto::deflate::{Deflater, Inflater, Params};

use crate::observe::WorkerMetrics;

/// Shortest reply that is compressed, in bytes: hardly a shorter one becomes smaller.
const MIN_REPLY: usize = 32;

/// The compressor and the decompressor of a worker, made when a connection first needs them.
#[derive(Debug, Default)]
pub struct Compression {
    deflater: Option<Box<Deflater>>,
    inflater: Option<Box<Inflater>>,
}

impl Compression {
    /// Hands out the payload of the compressed `reply` if that is smaller; returns whether it is.
    #[cold]
    pub fn deflate(
        &mut self,
        reply: &[u8],
        agreed: Params,
        counts: &WorkerMetrics,
        take: impl FnOnce(&[u8]),
    ) -> bool {
        if reply.len() < MIN_REPLY {
            return false;
        }
        let deflater = self.deflater.get_or_insert_default();
        let payload = deflater.payload(reply, agreed.server.window_bits());
        let Some(payload) = payload.filter(|payload| payload.len() < reply.len()) else {
            return false;
        };
        counts.sent_deflated.add(payload.len(), reply.len());
        take(payload);
        deflater.trim();
        true
    }

    /// Takes the decompressor out, until [`Self::put_inflater`].
    pub fn take_inflater(&mut self) -> Box<Inflater> {
        self.inflater.take().unwrap_or_default()
    }

    /// Puts the decompressor back.
    pub fn put_inflater(&mut self, mut inflater: Box<Inflater>) {
        inflater.trim();
        self.inflater = Some(inflater);
    }
}
