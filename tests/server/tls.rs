//! `wss://`: certificates and their faults, handshakes, clients.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::python::python;
use crate::support::{RawClient, SecureClient, TestServer, UPGRADE, ping_text, wait_until};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/server/client.py");

/// Puts certificate and key of another server into `dir`, as an operator would.
fn other_pair(dir: &Path) -> TestServer {
    let server = TestServer::builder().secure().start();
    fs::create_dir_all(dir).unwrap();
    for name in ["cert.pem", "key.pem"] {
        fs::copy(server.tls_path(name), dir.join(name)).unwrap();
    }
    server
}

fn authority(server: &TestServer) -> Vec<u8> {
    fs::read(server.tls_path("ca.pem")).unwrap()
}

#[test]
fn one_setting_makes_wss_work() {
    let server = TestServer::builder().secure().start();
    let mut client = server.connect_securely();
    assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
    assert_eq!(server.log().pings(), [("Client-100", "Ping!")]);
    server.event("created a development authority: ");
    let line = server.event("to trust it, curl: ");
    let path = server.tls_path("ca.pem").canonicalize().unwrap();
    assert!(line.contains(&format!("curl --cacert {}", path.display())), "{line}");
    let line = server.event("certificate: for ");
    assert!(line.contains("localhost, 127.0.0.1, ::1, "), "{line}");
    assert!(line.contains("::1, server"), "{line}");
    server.assert_serves();
}

#[test]
fn every_service_and_page_is_there_over_tls() {
    let server = TestServer::builder().secure().start();
    for (path, reply) in
        [("/echo", "[RE]: 1"), ("/total", "Server records total=1"), ("/mirror", "1")]
    {
        let mut client = server.connect_securely_to(path);
        client.send(Message::text("1"));
        assert_eq!(client.text(), reply, "{path}");
    }
    let sample = r#"websockets_connections_total{service="/echo"}"#;
    assert_eq!(server.metrics().get(sample), 1.0);
}

#[test]
fn the_only_private_key_is_that_of_the_certificate_and_for_its_owner() {
    let server = TestServer::builder().secure().start();
    let entries = fs::read_dir(server.tls_path("")).unwrap().map(|entry| entry.unwrap().path());
    let is_private = |path: &PathBuf| fs::read_to_string(path).unwrap().contains("PRIVATE KEY");
    let private: Vec<_> = entries.filter(is_private).collect();
    assert_eq!(private, [server.tls_path("key.pem")], "nobody needs the authority's key");
    assert_eq!(fs::metadata(&private[0]).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_restart_keeps_authority_and_certificate() {
    let mut server = TestServer::builder().secure().start();
    let before = server.connect_securely().certificate();
    server.stop();
    let again = server.again().secure().start();
    assert_eq!(again.connect_securely().certificate(), before);
    assert!(again.events("created a development authority").is_empty());
    again.event("clients have to trust its authority, ");
}

#[test]
fn a_further_name_needs_a_further_authority_and_that_is_told() {
    let mut server = TestServer::builder().secure().start();
    let before = authority(&server);
    server.stop();
    let again = server.again().secure().env("TLS_NAMES", "example.test, 192.0.2.7").start();
    let line = again.event("created a new development authority, ");
    assert!(line.contains("because the old one does not permit the name example.test"), "{line}");
    assert!(line.contains("clients have to trust it in place of the old one"), "{line}");
    let line = again.event("certificate: for ");
    assert!(line.contains("server, example.test, 192.0.2.7"), "{line}");
    assert!(SecureClient::connect(again.secure_address(), "/", &before).is_err());
    again.connect_securely();
}

#[test]
fn servers_that_share_a_folder_agree_on_the_certificate() {
    let first = TestServer::builder().secure().env("TLS_NAMES", "first.test").start();
    let start = |name| {
        let builder = TestServer::builder().env("TLS_LISTEN", "127.0.0.1:0");
        builder.env("TLS_DIR", first.tls_path("")).env("TLS_NAMES", name).start()
    };
    let second = start("second.test");
    second.event("created a new development authority, ");
    first.event("new certificate: for ");
    let third = start("first.test");
    assert!(third.events("created a").is_empty());
    let shown = [&first, &second, &third].map(|server| {
        let trusted = authority(&first);
        SecureClient::connect(server.secure_address(), "/", &trusted).unwrap().certificate()
    });
    assert!(shown.iter().all(|certificate| *certificate == shown[0]));
}

#[test]
fn both_versions_of_tls_are_spoken() {
    let server = TestServer::builder().secure().start();
    for version in [&TLS12, &TLS13] {
        let trusted = authority(&server);
        let mut client =
            SecureClient::connect_with(server.secure_address(), "/", &trusted, &[version]).unwrap();
        assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
        assert_eq!(client.version(), Some(version.version));
    }
}

#[test]
fn many_pings_in_one_tls_write_are_answered() {
    let server = TestServer::builder().secure().start();
    let mut client = server.connect_securely();
    for round in 0..20 {
        for number in 0..500 {
            client.queue(Message::text(ping_text("Client-100", &format!("{round}-{number}"))));
        }
        client.flush();
        for _ in 0..500 {
            assert_eq!(client.text(), "Pong!");
        }
    }
    assert_eq!(server.log().lines().len(), 10_000);
}

#[test]
fn long_messages_come_back_over_tls() {
    let server = TestServer::builder().secure().env("MAX_MESSAGE", "16M").start();
    let mut client = server.connect_securely_to("/mirror");
    let payload: Bytes = (0..4 << 20).map(|index: usize| (index % 251) as u8).collect();
    for _ in 0..2 {
        client.send(Message::Binary(payload.clone()));
        assert_eq!(client.message(), Message::Binary(payload.clone()));
    }
}

#[test]
fn a_client_that_does_not_read_over_tls_is_disconnected_as_well() {
    let server = TestServer::builder().secure().start();
    let before = server.memory();
    let mut client = server.connect_securely_to("/mirror");
    let message = Message::Binary(vec![0; 65_536].into());
    let refused = (0..2048).find_map(|_| client.try_send(message.clone()).err());
    assert!(refused.is_some(), "it reads 128 MiB ahead");
    server.event("dropped: the client does not read");
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes");
}

#[test]
fn plain_http_to_the_tls_port_gets_a_reply_that_says_so() {
    let server = TestServer::builder().secure().start();
    for request in ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", UPGRADE, "no HTTP\r\n"] {
        let response = RawClient::ask(server.secure_address(), request);
        assert_eq!(response.status, 400);
        assert_eq!(response.body, "This port speaks TLS: use wss:// or https://.\n");
    }
    server.event("refused: it does not speak TLS to the port that does; ws:// is for LISTEN");
    let refused = r#"websockets_errors_total{cause="tls"}"#;
    wait_until("all are counted", || server.metrics().get(refused) == 3.0);
}

#[test]
fn tls_to_the_plain_port_gets_a_reply_that_says_so() {
    let server = TestServer::builder().secure().start();
    let error = SecureClient::connect(server.address(), "/", &authority(&server)).unwrap_err();
    assert!(error.to_string().contains("corrupt"), "{error}");
    let mut client = RawClient::connect(server.address());
    client.send(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]);
    assert_eq!(client.response().status, 400);
    assert_eq!(client.body(), "This port does not speak TLS: use ws:// or http://.\n");
    server.event("refused: it speaks TLS to a port that does not; wss:// is for TLS_LISTEN");
    server.assert_serves();
}

#[test]
fn a_client_that_does_not_trust_the_authority_is_logged() {
    let server = TestServer::builder().secure().start();
    let stranger = TestServer::builder().secure().start();
    let trusted = authority(&stranger);
    assert!(SecureClient::connect(server.secure_address(), "/", &trusted).is_err());
    server.event("TLS handshake failed: the client does not trust the certificate (");
}

#[test]
fn an_unfinished_tls_handshake_ends_after_5_seconds_and_delays_nobody() {
    let server = TestServer::builder().secure().start();
    let begun = Instant::now();
    let mut silent = RawClient::connect(server.secure_address());
    let mut begins = RawClient::connect(server.secure_address());
    begins.send(&[0x16, 3, 1, 2, 0]);
    assert_eq!(server.connect_securely().ping("Client-100", "Ping!"), "Pong!");
    for client in [&mut silent, &mut begins] {
        client.skip_to_the_end();
        assert!(begun.elapsed() >= Duration::from_millis(4900), "{:?}", begun.elapsed());
    }
    server.event("handshake not finished within 5s");
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_and_the_others_stay() {
    let server = TestServer::builder().secure().start();
    let mut held: Vec<_> = (0..100).map(|_| server.connect_securely()).collect();
    let old = held[0].certificate();
    let dir = tempfile::tempdir().unwrap();
    let other = other_pair(dir.path());
    for name in ["cert.pem", "key.pem"] {
        fs::copy(dir.path().join(name), server.tls_path(name)).unwrap();
    }
    server.event("new certificate: for ");
    let trusted = authority(&other);
    let new = SecureClient::connect(server.secure_address(), "/", &trusted).unwrap().certificate();
    assert_ne!(new, old);
    for client in &mut held {
        assert_eq!(client.ping("Client-100", "still here"), "Pong!");
    }
}

#[test]
fn a_broken_new_certificate_causes_a_warning_and_the_old_one_stays() {
    let server = TestServer::builder().secure().start();
    let before = server.connect_securely().certificate();
    fs::write(server.tls_path("key.pem"), "nonsense").unwrap();
    let line = server.event("the new certificate cannot be used, the old one stays");
    assert!(line.contains("key.pem holds no private key"), "{line}");
    assert_eq!(server.connect_securely().certificate(), before);
    server.signal(Signal::HUP);
    wait_until("SIGHUP reads it at once", || server.events("the old one stays").len() >= 2);
}

#[test]
fn sighup_reads_the_certificate_at_once() {
    let server = TestServer::builder().secure().start();
    server.signal(Signal::HUP);
    server.event("the certificate is still the same");
    server.assert_serves();
}

#[test]
fn a_symbolic_link_to_the_folder_is_followed_again_when_it_changes() {
    let builder = TestServer::builder().secure();
    let [first, second] = ["v1", "v2"].map(|name| builder.dir().join(name));
    drop(other_pair(&first));
    let other = other_pair(&second);
    let link = builder.dir().join("tls");
    std::os::unix::fs::symlink("v1", &link).unwrap();
    let server = builder.start();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("v2", &link).unwrap();
    server.event("new certificate: for ");
    assert!(SecureClient::connect(server.secure_address(), "/", &authority(&other)).is_ok());
}

#[test]
fn a_certificate_in_a_read_only_folder_works() {
    let builder = TestServer::builder().secure();
    let dir = builder.dir().join("tls");
    let other = other_pair(&dir);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
    let server = builder.start();
    assert!(SecureClient::connect(server.secure_address(), "/", &authority(&other)).is_ok());
    assert!(server.events("WARN").is_empty());
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
}

#[test]
fn a_faulty_certificate_folder_stops_the_start() {
    let builder = TestServer::builder().secure();
    let dir = builder.dir().join("tls");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("cert.pem"), "nonsense").unwrap();
    let reported = "error: TLS_DIR (--tls-dir) is \"tls\", but it holds cert.pem without key.pem: put key.pem there, or move cert.pem elsewhere\n";
    assert_eq!(builder.fails(2), reported);

    for (path, reported) in [
        ("/proc/nowhere", "that folder cannot be created: "),
        ("file", "that is not a folder"),
        ("/nonexistent/x", "there is no folder \"/nonexistent\": correct the path, or create"),
    ] {
        let builder = TestServer::builder();
        fs::write(builder.dir().join("file"), "").unwrap();
        let line = builder.env("TLS_DIR", path).fails(2);
        let reported = format!("error: TLS_DIR (--tls-dir) is \"{path}\", but {reported}");
        assert!(line.starts_with(&reported), "{line}");
    }
    assert!(!Path::new("/nonexistent").exists());

    let line = TestServer::builder().env("TLS_NAMES", "a b").fails(2);
    assert!(line.contains("TLS_NAMES (--tls-names) is \"a b\", but allowed"), "{line}");
}

#[test]
fn connections_over_tls_are_closed_with_1001_when_the_server_stops() {
    let mut server = TestServer::builder().secure().env("DRAIN_TIMEOUT", "3600").start();
    let mut clients: Vec<_> = (0..10).map(|_| server.connect_securely()).collect();
    for client in &mut clients {
        client.ping("Client-100", "Ping!");
    }
    let waiting: Vec<_> =
        clients.into_iter().map(|mut client| thread::spawn(move || client.message())).collect();
    server.assert_stops_within(Duration::from_secs(30));
    for client in waiting {
        let Message::Close(Some(frame)) = client.join().unwrap() else { panic!("no Close frame") };
        assert_eq!(u16::from(frame.code), 1001);
    }
}

/// Tests with openssl, curl and the original client.
mod tools {
    use super::*;

    /// Runs `openssl`, in the folder of the certificates.
    #[track_caller]
    fn openssl(dir: &Path, args: &str) {
        let output =
            Command::new("openssl").current_dir(dir).args(args.split(' ')).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    #[ignore = "needs openssl"]
    fn every_form_of_a_key_is_read() {
        for key in [
            "genrsa -traditional -out key.pem 2048",
            "genrsa -out key.pem 2048",
            "genrsa -out key.pem 4096",
            "ecparam -name secp384r1 -genkey -noout -out key.pem",
            "ecparam -name prime256v1 -genkey -noout -out key.pem",
            "genpkey -algorithm ed25519 -out key.pem",
        ] {
            let builder = TestServer::builder().secure();
            let dir = builder.dir().join("tls");
            fs::create_dir_all(&dir).unwrap();
            openssl(&dir, key);
            openssl(
                &dir,
                "req -x509 -key key.pem -out cert.pem -days 7 -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE",
            );
            let server = builder.start();
            let curl = Command::new("curl")
                .args(["-sS", "--cacert", "cert.pem", "--connect-to"])
                .arg(format!("localhost:443:{}", server.secure_address()))
                .arg("https://localhost/healthz")
                .current_dir(&dir)
                .output()
                .unwrap();
            assert_eq!(curl.stdout, b"ok\n", "{key}: {}", String::from_utf8_lossy(&curl.stderr));
            server.event("the certificate expires in less than 14 days");
        }
    }

    #[test]
    #[ignore = "needs openssl"]
    fn a_key_of_another_kind_is_refused_with_the_kinds_that_are_allowed() {
        for key in [
            "genrsa -out key.pem 1024",
            "genrsa -out key.pem 4112",
            "ecparam -name secp521r1 -genkey -noout -out key.pem",
            "genpkey -algorithm ed448 -out key.pem",
        ] {
            let builder = TestServer::builder().secure();
            let dir = builder.dir().join("tls");
            fs::create_dir_all(&dir).unwrap();
            openssl(&dir, key);
            openssl(&dir, "req -x509 -key key.pem -out cert.pem -days 7 -subj /CN=localhost");
            let reported = "but key.pem holds a key that the server cannot use: allowed is RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, or Ed25519\n";
            let line = builder.fails(2);
            assert!(line.ends_with(reported), "{key}: {line}");
        }
    }

    #[test]
    #[ignore = "needs openssl"]
    fn a_certificate_that_clients_would_refuse_causes_a_warning() {
        let builder = TestServer::builder().secure();
        let dir = builder.dir().join("tls");
        fs::create_dir_all(&dir).unwrap();
        openssl(
            &dir,
            "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 30 -subj /CN=localhost",
        );
        let server = builder.start();
        server.event("the certificate is marked as that of an authority (openssl req -x509");
        server.event("the certificate names no host (subjectAltName)");
    }

    #[test]
    #[ignore = "needs openssl"]
    fn openssl_accepts_the_chain_in_its_strict_mode() {
        let server = TestServer::builder().secure().start();
        let text = |name: &str| {
            let shown = Command::new("openssl")
                .args(["x509", "-noout", "-text", "-in"])
                .arg(server.tls_path(name))
                .output()
                .unwrap();
            String::from_utf8(shown.stdout).unwrap()
        };
        let certificate = text("cert.pem");
        for part in [
            "CA:FALSE",
            "TLS Web Server Authentication",
            "DNS:localhost",
            "IP Address:127.0.0.1",
            "Authority Key Identifier",
        ] {
            assert!(certificate.contains(part), "{part}: {certificate}");
        }
        let authority = text("ca.pem");
        for part in ["CA:TRUE, pathlen:0", "Name Constraints: critical", "IP:127.0.0.1/255"] {
            assert!(authority.contains(part), "{part}: {authority}");
        }
        let verified = Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"])
            .args([server.tls_path("ca.pem"), server.tls_path("cert.pem")])
            .output()
            .unwrap();
        assert!(verified.status.success(), "{verified:?}");
    }

    #[test]
    #[ignore = "needs git"]
    fn git_leaves_the_keys_alone_or_the_server_warns() {
        let git = |dir: &Path, args: &[&str]| {
            let output = Command::new("git").current_dir(dir).args(args).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let untracked = |dir: &Path| git(dir, &["status", "--porcelain", "tls"]);
        let warning = "git does not ignore the private key in ";

        // A folder that the server creates.
        let builder = TestServer::builder().secure();
        git(builder.dir(), &["init", "-q"]);
        let mut server = builder.start();
        assert_eq!(untracked(server.dir()), "");
        assert_eq!(fs::read_to_string(server.tls_path(".gitignore")).unwrap(), "*\n");
        server.stop();
        assert!(server.again().secure().start().events(warning).is_empty());

        // A folder of the operator.
        let builder = TestServer::builder().secure();
        git(builder.dir(), &["init", "-q"]);
        fs::create_dir(builder.dir().join("tls")).unwrap();
        let mut server = builder.start();
        server.event(warning);
        assert!(!server.tls_path(".gitignore").exists());
        server.stop();
        fs::write(server.dir().join(".gitignore"), "/tls/\n").unwrap();
        assert!(server.again().secure().start().events(warning).is_empty());

        // No repository.
        let server = TestServer::builder().secure().start();
        assert!(!server.tls_path(".gitignore").exists());
    }

    #[test]
    #[ignore = "needs openssl"]
    fn old_versions_of_tls_are_refused() {
        let server = TestServer::builder().secure().start();
        let output = Command::new("openssl")
            .args(["s_client", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-connect"])
            .arg(server.secure_address().to_string())
            .output()
            .unwrap();
        assert!(!output.status.success(), "{output:?}");
        server.event("TLS handshake failed");
    }

    #[test]
    #[ignore = "needs curl"]
    fn curl_accepts_the_server_with_its_authority_only() {
        let server = TestServer::builder().secure().start();
        let get = |args: &[&str]| {
            let url = format!("https://localhost:{}/healthz", server.secure_address().port());
            Command::new("curl")
                .args(["-sS", "--max-time", "60"])
                .args(args)
                .arg(url)
                .output()
                .unwrap()
        };
        let path = server.tls_path("ca.pem").display().to_string();
        assert_eq!(get(&["--cacert", &path]).stdout, b"ok\n");
        assert_eq!(get(&["--cacert", &path, "--tls-max", "1.2"]).stdout, b"ok\n");
        assert_eq!(get(&[]).status.code(), Some(60));
    }

    #[test]
    #[ignore = "needs Python with websockets"]
    fn the_original_client_pings_over_wss() {
        let server = TestServer::builder().secure().start();
        let output = python(CLIENT)
            .env("SERVER_URL", format!("wss://localhost:{}", server.secure_address().port()))
            .env("SSL_CERT_FILE", server.tls_path("ca.pem"))
            .env("CLIENT_NAME", "Client-300")
            .env("LAG_TIME", "0.01")
            .env("PINGS", "3")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(server.log().pings(), [("Client-300", "Ping!"); 3]);
    }
}
