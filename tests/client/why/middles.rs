//! nginx, HAProxy, Apache and Caddy before the server of this project, set wrongly.

use serde_json::{Value, json};

use super::{Told, assert_shown, why};
use crate::certificates::{Authority, PairFiles};
use crate::fake::{Fake, Port};
use crate::middle::{Builder, Kind};
use crate::middles::behind_middle;

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn an_upgrade_that_is_not_passed_on_is_told_with_the_setting() {
    for kind in Kind::ALL {
        let (_server, middle) = behind_middle(kind, &[], Builder::without_upgrade);
        let change = match kind {
            Kind::Nginx => "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection",
            Kind::Haproxy => "HAProxy: no rule that deletes",
            Kind::Apache => "upgrade=websocket",
            Kind::Caddy => "header_up",
        };
        for path in ["/echo", "/probe", "/mirror"] {
            let told = why(&(middle.url() + path), &[]);
            told.is_diagnosis(1, change);
            assert!(told.text("text").contains("was not asked for an upgrade"), "{kind:?}");
        }
        // The page for browsers.
        why(&middle.url(), &[]).is_diagnosis(1, change);
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn each_line_that_nginx_needs_for_an_upgrade_may_be_the_one_that_lacks() {
    for line in [
        "proxy_http_version 1.1;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_set_header Connection \"upgrade\";",
    ] {
        let (_server, middle) = behind_middle(Kind::Nginx, &[], |builder| builder.edit(line, ""));
        why(&(middle.url() + "/echo"), &[]).is_diagnosis(1, line.trim_end_matches(';'));
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_path_that_is_wrong_is_not_a_lost_upgrade() {
    for kind in Kind::ALL {
        let (_server, middle) = behind_middle(kind, &[], |builder| builder);
        why(&(middle.url() + "/nowhere"), &[]).is_diagnosis(23, "/probe");
    }
    let (_server, middle) =
        behind_middle(Kind::Nginx, &[], |builder| builder.edit("location / {", "location /ws {"));
    let told = why(&(middle.url() + "/echo"), &[]);
    told.is_diagnosis(23, "path");
    assert!(told.text("text").contains("nginx's own"), "{}", told.verdict);
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_server_that_is_dead_or_mute_is_told() {
    for kind in Kind::ALL {
        let nobody = Port::reserve();
        let middle = kind.to(&[nobody.address()]).start();
        let told = why(&middle.url(), &[]);
        let change = match kind {
            Kind::Nginx => "proxy_pass",
            Kind::Haproxy => "HAProxy: start the server of the backend",
            Kind::Apache => "ProxyPass",
            Kind::Caddy => "reverse_proxy",
        };
        told.is_diagnosis(26, change);
    }
    for kind in [Kind::Nginx, Kind::Haproxy, Kind::Apache] {
        let (mute, url) = Fake::start();
        let address = url.trim_start_matches("ws://").parse().unwrap();
        let middle = kind.to(&[address]).idle(1).start();
        why(&middle.url(), &[]).is_diagnosis(26, "start the server");
        drop(mute);
    }
}

/// The reported change of a header.
#[track_caller]
fn change<'a>(told: &'a Told, name: &str) -> &'a Value {
    let changes = told.verdict["changed"].as_array().unwrap();
    let change = changes.iter().find(|change| change["header"] == name);
    change.unwrap_or_else(|| panic!("{name} in {changes:?}"))
}

/// The value of a changed header, as it was sent and as it arrived.
#[track_caller]
fn changed<'a>(told: &'a Told, name: &str) -> [&'a Value; 2] {
    let change = change(told, name);
    [&change["sent"], &change["arrived"]]
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn changes_by_a_proxy_are_reported() {
    for kind in Kind::ALL {
        let (_server, middle) = behind_middle(kind, &[], |builder| builder);
        let told = why(&(middle.url() + "/probe"), &["-H", "X_id: 7"]);
        assert_eq!((told.status, told.rows()), (Some(0), vec![]), "{kind:?}: {}", told.verdict);
        let host = json!(middle.address().to_string());
        match kind {
            Kind::Nginx => {
                assert_eq!(changed(&told, "Host"), [&host, &json!("backends")]);
                assert_eq!(changed(&told, "X_id"), [&json!("7"), &Value::Null]);
                let [sent, server] = changed(&told, "Server");
                assert!(sent.is_null() && server.as_str().unwrap().starts_with("nginx"));
            }
            Kind::Haproxy => {
                let host = change(&told, "Host");
                assert_eq!(host["arrived_as"], "host", "{host}");
            }
            Kind::Apache => {
                changed(&told, "Host");
                assert_eq!(changed(&told, "X-Forwarded-Host"), [&Value::Null, &host]);
            }
            Kind::Caddy => {
                assert_eq!(changed(&told, "X-Forwarded-For"), [&Value::Null, &json!("127.0.0.1")]);
                assert_eq!(changed(&told, "X-Forwarded-Proto"), [&Value::Null, &json!("http")]);
            }
        }
        let part = "which is not this client: something is between";
        assert_shown(&(middle.url() + "/probe"), &["--max-size", "0"], 0, &[part]);
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_path_that_is_rewritten_is_told() {
    let (_server, middle) =
        behind_middle(Kind::Nginx, &[], |builder| builder.route("rewrite ^/app/(.*)$ /$1 break;"));
    let told = why(&(middle.url() + "/app/probe"), &[]);
    let lines = [&json!("GET /app/probe HTTP/1.1"), &json!("GET /probe HTTP/1.1")];
    assert_eq!(changed(&told, ""), lines, "{}", told.verdict);
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn refusals_of_nginx_itself_are_told() {
    let users = tempfile::NamedTempFile::new().unwrap();
    for (line, rows) in [
        ("return 301 https://example.com$request_uri;".to_owned(), &[20][..]),
        (format!("auth_basic x; auth_basic_user_file {};", users.path().display()), &[21]),
        ("deny all;".into(), &[38]),
        ("proxy_set_header Sec-WebSocket-Key \"\";".into(), &[37]),
        ("proxy_set_header Sec-WebSocket-Version 8;".into(), &[37]),
        ("return 429;".into(), &[25]),
        ("return 503;".into(), &[25, 26]),
        ("return 418;".into(), &[]),
    ] {
        let (_server, middle) = behind_middle(Kind::Nginx, &[], |builder| builder.route(&line));
        let told = why(&(middle.url() + "/echo"), &[]);
        assert_eq!(
            (told.status, told.rows()),
            (Some(1), rows.to_vec()),
            "{line}: {}",
            told.verdict
        );
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn refusals_of_the_server_come_through_the_middle() {
    for kind in Kind::ALL {
        let settings = ["--allowed-origins", "http://shop.example", "--max-connections", "1"];
        let (_server, middle) = behind_middle(kind, &settings, |builder| builder);
        let told = why(&(middle.url() + "/echo"), &["--origin", "http://other.example"]);
        told.is_diagnosis(22, "ALLOWED_ORIGINS");
        let held = tokio_tungstenite::tungstenite::connect(middle.url() + "/echo").unwrap();
        why(&(middle.url() + "/echo"), &[]).is_diagnosis(25, "Retry-After");
        drop(held);
    }
}

/// By `Host` the server knows which pages are its own, and here `Host` has a port. The advice of the
/// client has to help.
#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn the_page_of_the_server_behind_another_host_is_told() {
    for (kind, advice) in
        [(Kind::Nginx, "proxy_set_header Host $http_host;"), (Kind::Apache, "ProxyPreserveHost On")]
    {
        for is_mended in [false, true] {
            let (_server, middle) =
                behind_middle(kind, &["--allowed-origins", "self"], |builder| match is_mended {
                    // Apache takes the line for a whole host.
                    true if kind == Kind::Apache => builder.global(advice),
                    true => builder.route(advice),
                    false => builder,
                });
            let own = format!("http://{}", middle.address());
            let told = why(&(middle.url() + "/echo"), &["--origin", &own]);
            match is_mended {
                true => assert_eq!(told.status, Some(0), "{kind:?}: {}", told.verdict),
                false => told.is_diagnosis(22, advice),
            }
        }
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_limit_of_the_server_is_found_behind_the_middle() {
    for kind in Kind::ALL {
        let (_server, middle) = behind_middle(kind, &["--max-message", "20000"], |builder| builder);
        let told = why(&(middle.url() + "/mirror"), &["--max-size", "64K"]);
        told.is_diagnosis(19, "MAX_MESSAGE");
        assert_eq!(told.verdict["limits"]["message"], 20_000, "{kind:?}");
        assert_eq!(told.verdict["limits"]["binary"], true, "{kind:?}");
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_middle_that_freezes_is_told() {
    let (_server, middle) = behind_middle(Kind::Nginx, &[], |builder| builder);
    middle.freeze();
    why(&(middle.url() + "/echo"), &[]).is_diagnosis(35, "look at that program");
    middle.thaw();
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn the_wrong_scheme_and_the_wrong_certificate_are_told() {
    let authority = Authority::new("Example Inspection");
    let pair = authority.issue(&["127.0.0.1"]);
    let PairFiles { certificate, key, .. } = &PairFiles::of(&pair);
    let secure = format!(
        " ssl;\n        ssl_certificate {certificate};\n        ssl_certificate_key {key};\n        location / {{"
    );
    let (_server, middle) =
        behind_middle(Kind::Nginx, &[], |builder| builder.edit(";\n        location / {", &secure));
    let url = middle.url() + "/probe";
    let told = why(&url, &[]);
    told.is_diagnosis(30, "the other scheme");
    assert_eq!(told.verdict["status"], 400);
    let url = url.replace("ws://", "wss://");
    why(&url, &[]).is_diagnosis(31, "--cacert");
    let parts = ["issued by Example Inspection", "without TLS, which ends on the way"];
    assert_shown(&url, &["--cacert", &authority.file.path()], 0, &parts);
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_listener_for_http_2_alone_is_told() {
    let (_server, middle) = behind_middle(Kind::Nginx, &[], |builder| {
        builder.edit(";\n        location / {", " http2;\n        location / {")
    });
    why(&(middle.url() + "/echo"), &[]).is_diagnosis(27, "HTTP/1.1");
}
