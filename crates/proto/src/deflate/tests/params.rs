//! The negotiation, case by case.

use super::super::*;

fn accepted(headers: &[&str]) -> Option<String> {
    Params::accepted(headers.iter().copied()).map(|params| params.to_string())
}

#[test]
fn a_valid_offer_is_accepted_without_context_takeover() {
    const PLAIN: &str =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    const LIMITED: &str = "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_no_context_takeover";
    const SMALLEST: &str = "permessage-deflate; server_no_context_takeover; server_max_window_bits=8; client_no_context_takeover";
    for (headers, expected) in [
        (&["permessage-deflate"][..], PLAIN),
        // As Chromium and Firefox offer it.
        (&["permessage-deflate; client_max_window_bits"], PLAIN),
        (&["permessage-deflate; client_max_window_bits=8"], PLAIN),
        (&["permessage-deflate; client_max_window_bits=\"15\""], PLAIN),
        (&["permessage-deflate; server_no_context_takeover; client_no_context_takeover"], PLAIN),
        (&["permessage-deflate; server_max_window_bits=10; client_max_window_bits"], LIMITED),
        (&["permessage-deflate; server_max_window_bits=\"10\""], LIMITED),
        (&["permessage-deflate ;server_max_window_bits = 10 ; "], LIMITED),
        (&["permessage-deflate; server_max_window_bits=8"], SMALLEST),
        // The first valid offer counts, over all lines.
        (&["permessage-deflate; server_max_window_bits=10, permessage-deflate"], LIMITED),
        (&["permessage-deflate; mystery, permessage-deflate;server_max_window_bits=10"], LIMITED),
        (&["x-webkit-deflate-frame, foo; bar=\"a, b; \\\"c\" ,", "", " permessage-deflate"], PLAIN),
        (&["\u{fc}ml\u{e4}ut; =;,,;", "permessage-deflate"], PLAIN),
    ] {
        assert_eq!(accepted(headers).as_deref(), Some(expected), "{headers:?}");
    }
}

#[test]
fn an_invalid_offer_is_declined() {
    for offer in [
        "",
        "deflate-frame",
        "permessage-bzip2",
        "permessage-deflate=1",
        "permessage-deflate; mystery",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; client_no_context_takeover=\"\"",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=99999999999",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "\"permessage-deflate",
        "foo; bar=\"permessage-deflate, permessage-deflate",
    ] {
        assert_eq!(accepted(&[offer]), None, "{offer}");
    }
}

#[test]
fn the_client_takes_what_it_offered() {
    let agreed = |headers: &[&str]| Params::agreed(headers.iter().copied());
    assert_eq!(agreed(&[]), Ok(None));
    for answer in [
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=8; client_max_window_bits=9",
    ] {
        assert_eq!(agreed(&[answer]).unwrap().unwrap().to_string(), answer);
    }
    let limited = agreed(&["permessage-deflate; client_max_window_bits=9"]).unwrap().unwrap();
    assert_eq!((limited.client.window_bits(), limited.server.window_bits()), (9, 15));
    // The server's answer to the client's own offer is valid.
    assert!(agreed(&[&accepted(&[OFFER]).unwrap()]).unwrap().unwrap().server.no_context_takeover);

    for (answers, why) in [
        (&["foo"][..], "the extension \"foo\" was not offered"),
        (&["permessage-deflate", "permessage-deflate"], "permessage-deflate was accepted twice"),
        (&["permessage-deflate; a=b"], "the parameter \"a=b\" of permessage-deflate is not valid"),
        (
            &["permessage-deflate; client_max_window_bits"],
            "the parameter \"client_max_window_bits\" of permessage-deflate is not valid",
        ),
        (
            &["permessage-deflate; server_no_context_takeover; server_no_context_takeover"],
            "server_no_context_takeover of permessage-deflate stands there twice",
        ),
    ] {
        assert_eq!(agreed(answers), Err(why.to_owned()));
    }
}
