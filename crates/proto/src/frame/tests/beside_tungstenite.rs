//! The codec and tungstenite decode the same messages from random streams, cut anywhere, in both
//! roles.

use proptest::prelude::*;
use proptest::sample::select;

use super::streams::{payload, stream};
use super::*;

fn role() -> impl Strategy<Value = Role> {
    select(vec![Role::Server, Role::Client])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_stream_is_decoded_as_tungstenite_does(role in role(), frames in stream()) {
        let stream = stream_of(&frames, role);
        let expected = tungstenite::decoded(role, &stream);
        prop_assert_eq!(decoded(role, &stream, &[usize::MAX]), expected);
    }

    #[test]
    fn cuts_change_nothing(
        role in role(),
        frames in stream(),
        sizes in vec(1_usize..60, 1..9),
    ) {
        let stream = stream_of(&frames, role);
        let whole = decoded(role, &stream, &[usize::MAX]);
        prop_assert_eq!(&decoded(role, &stream, &sizes), &whole);
        prop_assert_eq!(decoded(role, &stream, &[1]), whole);
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200), size in 1_usize..30) {
        decoded(Role::Server, &bytes, &[size]);
        decoded(Role::Client, &bytes, &[size]);
    }

    #[test]
    fn encoded_frames_are_decoded(payload in payload(), key: Option<[u8; 4]>, size in 1_usize..80) {
        let mask = key.map(Mask);
        let role = if mask.is_some() { Role::Server } else { Role::Client };
        let payload = &payload[..payload.len().min(MAX)];
        let mut stream = Vec::new();
        encode(&mut stream, Opcode::Binary, payload, mask);
        encode_close(&mut stream, CloseCode::AWAY, &"ü".repeat(100), mask);
        let close = Close { code: CloseCode::AWAY, reason: "ü".repeat(61).into() };
        let messages =
            vec![Message::Binary(payload.to_vec().into()), Message::Close(Some(close))];
        prop_assert_eq!(decoded(role, &stream, &[size]), Outcome { messages, failed: None });
    }
}
