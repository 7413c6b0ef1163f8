//! Failures and the rows that they fit.

use super::super::answer::tests::answer;
use super::*;

const NGINX: (&str, &str) = ("server", "nginx/1.22.1");

/// The page that nginx makes for a status.
fn page(status: &str) -> String {
    format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
    )
}

fn rows(refusal: Refusal, plain: Option<&Refusal>) -> Vec<u8> {
    let fault = Fault::Refused(refusal.into());
    diagnose(Case { fault: &fault, plain, origin_helps: false, step: None }).rows
}

#[test]
fn answers_to_an_upgrade_that_was_lost() {
    for (status, body) in [
        (
            426,
            "This path speaks WebSocket: connect with ws:// in place of http://, and let each proxy pass Upgrade and Connection on.\n",
        ),
        (400, "This is no valid WebSocket upgrade: it needs HTTP/1.1.\n"),
        (
            400,
            "This is no valid WebSocket upgrade: the Connection header has to contain Upgrade.\n",
        ),
        (
            426,
            "Failed to open a WebSocket connection: invalid Connection header: close.\n\nYou cannot access a WebSocket server directly with a browser. You need a WebSocket client.\n",
        ),
        (400, "Missing or invalid Upgrade header"),
        (
            400,
            "Bad Request\nwebsocket: the client is not using the websocket protocol: 'upgrade' token not found in 'Connection' header",
        ),
        (400, "No WebSocket UPGRADE hdr: None\n Can \"Upgrade\" only to \"WebSocket\"."),
        (426, "WebSocket protocol violation: Connection header \"close\" does not contain Upgrade"),
    ] {
        for headers in [&[][..], &[NGINX], &[("server", "Apache")]] {
            assert_eq!(rows(answer(status, headers, body), None), [1], "{body}");
        }
    }
    // Bodies without an explanation: the answer to a request without the upgrade decides.
    for (status, body, same, other) in [
        (426, "Upgrade Required", &[1][..], &[][..]),
        (400, "Bad Request", &[1], &[]),
        (200, "<!doctype html><title>Shop</title>", &[1, 23], &[]),
        (404, "{\"detail\":\"Not Found\"}", &[23, 1], &[23]),
        (505, "", &[1], &[1]),
    ] {
        let refusal = answer(status, &[NGINX], body);
        assert_eq!(rows(refusal.clone(), Some(&refusal)), same, "{status}");
        let plain = answer(200, &[NGINX], "hello");
        let plain = if status == 200 { answer(404, &[NGINX], "") } else { plain };
        assert_eq!(rows(refusal, Some(&plain)), other, "{status}");
    }
}

#[test]
fn answers_that_only_look_like_a_lost_upgrade() {
    for (status, headers, body, expected) in [
        // Our server's answer to another version.
        (
            426,
            &[("upgrade", "websocket"), ("sec-websocket-version", "13")][..],
            "This server speaks version 13 of WebSocket (RFC 6455).\n",
            &[37][..],
        ),
        (426, &[("sec-websocket-version", "8, 7")], "", &[37]),
        (400, &[], "This is no valid WebSocket upgrade: Sec-WebSocket-Key is missing.\n", &[37]),
        // Pages, and files, of the proxy itself.
        (200, &[NGINX], "<title>Welcome to nginx!</title>", &[23]),
        (200, &[("server", "Caddy")], "", &[23]),
        (200, &[NGINX, ("last-modified", "x")], "<title>Shop</title>", &[23, 1]),
        (426, &[("upgrade", "HTTP/2.0")], "", &[27]),
        // The path is wrong, behind nginx and without.
        (404, &[NGINX], "There is no /x here. The paths of this server:\n  /  pings\n", &[23]),
        (404, &[], "There is no /x here. The paths of this server:\n  /  pings\n", &[23]),
        (404, &[NGINX], &page("404 Not Found"), &[23]),
        (400, &[NGINX], &page("400 Bad Request"), &[]),
        (405, &[NGINX], "", &[]),
        (500, &[NGINX], &page("500 Internal Server Error"), &[]),
        (418, &[], "short and stout", &[]),
        (501, &[NGINX], "", &[]),
        // An error that has nothing to do with the upgrade is the same without one.
        (400, &[NGINX], "which room?", &[]),
        (400, &[], "Bad Request", &[]),
        (200, &[], "<title>Shop</title>", &[23, 1]),
        (400, &[], "This port speaks TLS: use wss:// or https://.\n", &[30]),
        (204, &[], "", &[]),
    ] {
        let refusal = answer(status, headers, body);
        assert_eq!(rows(refusal.clone(), Some(&refusal)), expected, "{status} {body}");
    }
}

#[test]
fn refusals_of_other_kinds() {
    let haproxy = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n";
    let tls =
        "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>";
    for (status, headers, body, expected) in [
        (301, &[("location", "https://a/")][..], "", &[20][..]),
        (308, &[("location", "/x/")], "", &[20]),
        (304, &[], "", &[]),
        (401, &[("www-authenticate", "Basic")], "", &[21]),
        (407, &[], "", &[21]),
        (403, &[], "Pages of http://a may not connect here; ALLOWED_ORIGINS is http://b.\n", &[22]),
        (403, &[NGINX], &page("403 Forbidden"), &[38]),
        (403, &[NGINX], "no entry", &[22]),
        (403, &[("server", "envoy")], "", &[1]),
        (403, &[("server", "envoy")], "RBAC: access denied", &[22]),
        (
            403,
            &[("server", "CloudFront")],
            "<H1>403 ERROR</H1> The request could not be satisfied.",
            &[22, 27],
        ),
        (400, &[], "{\"code\":1,\"message\":\"Session ID unknown\"}", &[24]),
        (429, &[], "", &[25]),
        (
            503,
            &[("retry-after", "1")],
            "All 1 connections of this server (MAX_CONNECTIONS) are taken; try again later.\n",
            &[25],
        ),
        (503, &[], haproxy, &[26]),
        (503, &[NGINX], &page("503 Service Temporarily Unavailable"), &[25, 26]),
        (503, &[("server", "awselb/2.0")], "", &[26]),
        (503, &[], "", &[26, 25]),
        (502, &[NGINX], &page("502 Bad Gateway"), &[26]),
        (502, &[("server", "Caddy")], "", &[26]),
        (504, &[NGINX], &page("504 Gateway Time-out"), &[26]),
        (522, &[("server", "cloudflare")], "", &[26]),
        (464, &[("server", "awselb/2.0")], "", &[27]),
        (400, &[NGINX], tls, &[30]),
        (400, &[], "Client sent an HTTP request to an HTTPS server.\n", &[30]),
    ] {
        assert_eq!(rows(answer(status, headers, body), None), expected, "{status} {body}");
    }
}

#[test]
fn failures_without_an_answer_from_the_server() {
    let proxied = |status| Fault::ProxyRefused(answer(status, &[], "").into());
    let extension = [("sec-websocket-extensions", "permessage-deflate")];
    let switched = |is_about_extension| Fault::BadSwitch {
        answer: answer(101, &extension, "").into(),
        is_about_extension,
    };
    for (fault, expected) in [
        (Fault::NoName, &[32][..]),
        (Fault::Unreachable { is_refused: true }, &[33]),
        (Fault::Unreachable { is_refused: false }, &[34]),
        (Fault::Silent, &[35]),
        (Fault::HungUp, &[36]),
        (Fault::Tls, &[30]),
        (Fault::NotTls, &[30]),
        (Fault::OldTls, &[]),
        (Fault::Certificate { is_unknown: true }, &[31]),
        (Fault::Certificate { is_unknown: false }, &[39]),
        (Fault::NotHttp(b"\0\0\x12\x04\0\0\0\0\0".to_vec()), &[27]),
        (Fault::NotHttp(b"HTTP/2 200\r\n".to_vec()), &[27]),
        (Fault::NotHttp(b"SSH-2.0-OpenSSH\r\n".to_vec()), &[]),
        (Fault::NotHttp(Vec::new()), &[]),
        (proxied(407), &[21]),
        (proxied(401), &[21]),
        (proxied(403), &[28]),
        (proxied(405), &[28]),
        (proxied(502), &[26]),
        (proxied(500), &[]),
        (switched(true), &[29]),
        // The fault is not about extensions, although the answer mentions them.
        (switched(false), &[37]),
        (Fault::Other, &[]),
    ] {
        let case = Case { fault: &fault, plain: None, origin_helps: false, step: None };
        assert_eq!(diagnose(case).rows, expected, "{fault:?}");
    }
    let step = Some(Step::Tls);
    let case = Case { fault: &Fault::HungUp, plain: None, origin_helps: false, step };
    assert_eq!(diagnose(case).rows, [30], "in the TLS handshake");
}

#[test]
fn an_origin_that_helps_is_the_cause() {
    let fault = Fault::Refused(answer(403, &[("server", "envoy")], "").into());
    let diagnosis = diagnose(Case { fault: &fault, plain: None, origin_helps: true, step: None });
    assert_eq!(diagnosis.rows, [22]);
    assert_eq!(diagnosis.intermediaries, [Intermediary::Envoy]);
    assert_eq!(diagnosis.evidence.as_deref(), Some("with another Origin it connects"));
}

#[test]
fn a_page_of_the_proxy_itself_is_evidence() {
    let fault = Fault::Refused(answer(502, &[NGINX], &page("502 Bad Gateway")).into());
    let diagnosis = diagnose(Case { fault: &fault, plain: None, origin_helps: false, step: None });
    let own = "the answer is nginx's own, not that of a server behind it";
    assert_eq!(diagnosis.evidence.as_deref(), Some(own));
}
