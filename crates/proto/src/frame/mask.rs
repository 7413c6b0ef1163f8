//! Masking (RFC 6455, section 5.3).

/// The masking key of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask(pub [u8; 4]);

impl Mask {
    /// Masks or unmasks a payload; both are the same XOR.
    pub fn apply(self, payload: &mut [u8]) {
        let (key, key_twice) = self.words();
        let (words, rest) = payload.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ key_twice).to_ne_bytes();
        }
        let (words, rest) = rest.as_chunks_mut::<4>();
        for word in words {
            *word = (u32::from_ne_bytes(*word) ^ key).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(self.0) {
            *byte ^= key;
        }
    }

    /// Whether masking `plain` gives `masked`. Both have the same length.
    #[inline]
    pub(super) fn masks_to(self, plain: &[u8], masked: &[u8]) -> bool {
        let (_, key_twice) = self.words();
        let (plain_words, plain_rest) = plain.as_chunks::<8>();
        let (words, rest) = masked.as_chunks::<8>();
        let differ = |(plain, masked): (&[u8; 8], &[u8; 8])| {
            u64::from_ne_bytes(*plain) ^ u64::from_ne_bytes(*masked) ^ key_twice
        };
        let difference = plain_words.iter().zip(words).map(differ).fold(0, |all, one| all | one);
        let rest = plain_rest.iter().zip(rest).zip(self.0.iter().cycle());
        difference == 0
            && rest.fold(0, |all, ((plain, masked), key)| all | plain ^ masked ^ key) == 0
    }

    /// The key as a word to XOR four bytes at a time, and repeated in a word for eight.
    #[inline]
    fn words(self) -> (u32, u64) {
        let key = u32::from_ne_bytes(self.0);
        (key, u64::from(key) << 32 | u64::from(key))
    }

    /// The key for the rest of a payload, from `offset` on.
    #[must_use]
    pub fn at(mut self, offset: usize) -> Self {
        self.0.rotate_left(offset % 4);
        self
    }
}
