//! Compression of messages (RFC 7692, section 7.2.1).

use flate2::{Compress, Compression, FlushCompress};

use super::{KEPT, MAX_WINDOW_BITS, TAIL};

/// The smallest window that zlib's compressor can have, in bits.
const MIN_BITS: u8 = 9;

/// Least space added to the output before each round of compression, in bytes.
const MIN_ROOM: usize = 64;

/// The fastest level: a message of 60 kB takes 60 µs; at zlib's default level 6, 1 ms.
const LEVEL: Compression = Compression::fast();

/// Compresses messages. Takes about 300 KiB for each size of window that is used, and memory for the
/// longest payload until [`Self::trim`].
#[derive(Debug, Default)]
pub struct Deflater {
    /// Indexed by the bits of the window less [`MIN_BITS`]; created at the first use.
    states: [Option<Compress>; (MAX_WINDOW_BITS - MIN_BITS + 1) as usize],
    /// The last payload.
    out: Vec<u8>,
}

impl Deflater {
    /// The compressed payload of `message`, without references over more than 2^`window_bits` bytes
    /// or to an earlier message. `None` if the compressor has no window so small; the message then
    /// has to be sent uncompressed.
    pub fn payload(&mut self, message: &[u8], window_bits: u8) -> Option<&[u8]> {
        if window_bits < MIN_BITS && message.len() > 1 << window_bits {
            return None;
        }
        let bits = window_bits.clamp(MIN_BITS, MAX_WINDOW_BITS);
        let state = self.states[usize::from(bits - MIN_BITS)]
            .get_or_insert_with(|| Compress::new_with_window_bits(LEVEL, false, bits));
        state.reset();
        self.out.clear();
        let mut rest = message;
        loop {
            self.out.reserve(rest.len() / 2 + MIN_ROOM);
            let before = state.total_in();
            state.compress_vec(rest, &mut self.out, FlushCompress::Sync).ok()?;
            rest = &rest[(state.total_in() - before) as usize..];
            if rest.is_empty() && self.out.len() < self.out.capacity() {
                break;
            }
        }
        self.out.strip_suffix(&TAIL)
    }

    /// Frees the output buffer of a long message, down to 64 KiB.
    pub fn trim(&mut self) {
        self.out.clear();
        self.out.shrink_to(KEPT);
    }
}
