//! The compressor and the decompressor of a worker (RFC 7692). The connections of the worker share
//! them: without context takeover, no message refers to an earlier one.

use proto::deflate::{Deflater, Inflater, Params};

use crate::observe::WorkerMetrics;

/// Length of the shortest reply that is compressed, in bytes: a shorter one hardly gets smaller.
const MIN_REPLY: usize = 32;

/// A compressor and a decompressor, each made when a connection first needs it.
#[derive(Debug, Default)]
pub(super) struct Compression {
    deflater: Option<Box<Deflater>>,
    inflater: Option<Box<Inflater>>,
}

impl Compression {
    /// Passes the compressed payload of `reply` to `take` if compression makes it smaller; returns
    /// whether it does.
    #[cold]
    pub(super) fn deflate(
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
    pub(super) fn take_inflater(&mut self) -> Box<Inflater> {
        self.inflater.take().unwrap_or_default()
    }

    /// Puts the decompressor back.
    pub(super) fn put_inflater(&mut self, mut inflater: Box<Inflater>) {
        inflater.trim();
        self.inflater = Some(inflater);
    }
}
