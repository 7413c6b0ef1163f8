//! The configurations. `Builder::edit` of a test replaces text that stands here.

use std::fmt::Write;
use std::net::SocketAddr;

use super::{Builder, Kind};

/// The configuration of a middle that listens at this address.
pub(super) fn write(builder: &Builder, address: SocketAddr) -> String {
    match builder.kind {
        Kind::Nginx => nginx(builder, address),
        Kind::Haproxy => haproxy(builder, address),
        Kind::Apache => apache(builder, address),
        Kind::Caddy => caddy(builder, address),
    }
}

/// One line for each server.
fn servers(builder: &Builder, line: impl Fn(usize, &SocketAddr) -> String) -> String {
    let lines = builder.backends.iter().enumerate();
    lines.map(|(number, server)| line(number, server)).collect::<Vec<_>>().join("\n")
}

fn nginx(builder: &Builder, address: SocketAddr) -> String {
    let servers = servers(builder, |_, server| format!("        server {server};"));
    let (idle, global, route) = (builder.idle, builder.global.join("\n"), builder.route.join("\n"));
    // Started by root, the workers would run as nobody, who may not enter the folder.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        r#"daemon off;
worker_processes 1;
{user}
pid pid;
error_log stderr notice;
{global}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream backends {{
{servers}
    }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://backends;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_read_timeout {idle}s;
            proxy_send_timeout {idle}s;
{route}
        }}
    }}
}}
"#
    )
}

fn haproxy(builder: &Builder, address: SocketAddr) -> String {
    let servers = servers(builder, |number, server| format!("    server s{number} {server}"));
    let (idle, global, route) = (builder.idle, builder.global.join("\n"), builder.route.join("\n"));
    format!(
        "global
    maxconn 4096
{global}
defaults
    mode http
    timeout connect 5s
    timeout client {idle}s
    timeout server {idle}s
frontend front
    bind {address}
    default_backend backends
backend backends
    balance roundrobin
{route}
{servers}
"
    )
}

fn apache(builder: &Builder, address: SocketAddr) -> String {
    let servers = servers(builder, |_, server| {
        format!("    BalancerMember http://{server} upgrade=websocket")
    });
    let modules = [
        "mpm_event",
        "authz_core",
        "headers",
        "proxy",
        "proxy_http",
        "slotmem_shm",
        "proxy_balancer",
        "lbmethod_byrequests",
    ];
    let modules = modules.iter().fold(String::new(), |mut lines, name| {
        let _ = writeln!(lines, "LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so");
        lines
    });
    let (idle, global, route) = (builder.idle, builder.global.join("\n"), builder.route.join("\n"));
    // `HOME` is the folder of the configuration.
    format!(
        "{modules}ServerRoot ${{HOME}}
DefaultRuntimeDir ${{HOME}}
ServerName localhost
PidFile pid
Listen {address}
ErrorLog error.log
User www-data
Group www-data
Timeout {idle}
{global}
<Proxy balancer://backends>
{servers}
</Proxy>
<Location />
    ProxyPass balancer://backends/
{route}
</Location>
"
    )
}

fn caddy(builder: &Builder, address: SocketAddr) -> String {
    let servers = servers(builder, |_, server| format!("        to {server}"));
    let (idle, global, route) = (builder.idle, builder.global.join("\n"), builder.route.join("\n"));
    let port = address.port();
    format!(
        "{{
    admin unix/{{$HOME}}/admin
    auto_https off
{global}
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy {{
{servers}
        lb_policy round_robin
        transport http {{
            read_timeout {idle}s
        }}
{route}
    }}
}}
"
    )
}
