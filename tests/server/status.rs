//! `/status`: the state of the server as JSON.

use serde_json::Value;

use crate::support::{TestServer, eventually, wait_until};

#[test]
fn the_status_has_connections_pings_total_and_clients() {
    let server = TestServer::builder().env("WORKERS", "2").start();
    let mut clients = [server.connect(), server.connect(), server.connect()];
    for (client, name) in clients.iter_mut().zip(["Client-100", "\"Client-200\"", "Client-100"]) {
        client.ping(name, "Ping!");
        client.ping(name, "Ping!");
    }
    server.connect_to("/total").ask("42");
    let mut page = server.connect_to("/status");
    let state = eventually("all pings are counted", || {
        let state: Value = serde_json::from_str(&page.ask("?")).unwrap();
        let clients = state["clients"].as_array().unwrap().iter();
        let pings: u64 = clients.map(|client| client["pings"].as_u64().unwrap()).sum();
        (state["pings"] == 6 && pings == 6).then_some(state)
    });
    assert_eq!(state["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(state["workers"], 2);
    assert_eq!(state["pings"], 6);
    assert_eq!(state["total"], "42");
    assert_eq!(state["healthy"], true);
    assert_eq!(state["trouble"], Value::Null);
    assert!(state["uptime"].as_f64().unwrap() > 0.0);
    let service = |path: &str| {
        let mut services = state["services"].as_array().unwrap().iter();
        services.find(|service| service["path"] == path).unwrap().clone()
    };
    assert_eq!((&service("/")["open"], &service("/")["total"]), (&3.into(), &3.into()));
    assert_eq!(service("/status")["open"], 1);
    let mut names: Vec<_> = state["clients"].as_array().unwrap().iter().collect();
    names.sort_by_key(|client| client["name"].to_string());
    let counts: Vec<_> = names.iter().map(|client| (&client["name"], &client["pings"])).collect();
    assert_eq!(counts, [(&"Client-100".into(), &4.into()), (&"Client-200".into(), &2.into())]);
    assert!(names.iter().all(|client| client["idle"].as_f64().unwrap() < 60.0));
}

#[test]
fn the_status_names_fifty_clients_and_counts_the_others() {
    let server = TestServer::start();
    let mut client = server.connect();
    for number in 0..60 {
        client.ping(&format!("Client-{number}"), "Ping!");
    }
    let mut page = server.connect_to("/status");
    let state = eventually("all clients are counted", || {
        let state: Value = serde_json::from_str(&page.ask("?")).unwrap();
        (state["clients_left_out"] == 10).then_some(state)
    });
    assert_eq!(state["clients"].as_array().unwrap().len(), 50);
}

#[test]
fn the_status_is_up_to_date() {
    let server = TestServer::start();
    let mut page = server.connect_to("/status");
    page.ask("first");
    server.connect().ping("Client-100", "Ping!");
    wait_until("the ping is counted", || {
        let state: Value = serde_json::from_str(&page.ask("again")).unwrap();
        state["pings"] == 1 && state["clients"][0]["name"] == "Client-100"
    });
}
