//! The rows of the table of causes, with code in the backticks of Markdown.

use super::Intermediary::{
    Apache, AwsAlb, AwsApiGateway, Caddy, Envoy, Google, Haproxy, Nginx, Squid, Tinyproxy,
};

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Number of the row, from 1.
    pub number: u8,
    /// What the client sees.
    pub seen: &'static str,
    /// Why it fails.
    pub cause: &'static str,
    /// What to change.
    pub changes: &'static [Change],
    /// The default value of the setting; "often" if that is not certain.
    pub default: &'static str,
    /// The source: "seen" with the program itself, documentation of its maker, or an issue.
    pub source: &'static str,
}

/// A change that removes the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The intermediary that has the setting; `None` if the change holds for any.
    pub at: Option<super::Intermediary>,
    /// The setting and its value, in Markdown.
    pub text: &'static str,
}

const fn at(intermediary: super::Intermediary, text: &'static str) -> Change {
    Change { at: Some(intermediary), text }
}

const fn anyhow(text: &'static str) -> Change {
    Change { at: None, text }
}

const fn row(
    number: u8,
    seen: &'static str,
    cause: &'static str,
    changes: &'static [Change],
    default: &'static str,
    source: &'static str,
) -> Row {
    Row { number, seen, cause, changes, default, source }
}

/// All rows, in the order of their numbers.
pub const ROWS: &[Row] = &[
    row(
        1,
        "200, 400, 404, 426 or 505 of the server behind a proxy",
        "the proxy does not pass `Upgrade` and `Connection` on",
        &[
            at(
                Nginx,
                "`proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";` in the `location`",
            ),
            at(
                Apache,
                "`upgrade=websocket` at the end of `ProxyPass` (from 2.4.47 on), or `ws://` in `RewriteRule` for requests with `Upgrade`",
            ),
            at(Envoy, "`upgrade_configs: [{upgrade_type: websocket}]`"),
            at(Haproxy, "no rule that deletes or replaces `Upgrade` or `Connection`"),
            at(Caddy, "no `header_up` that deletes or replaces `Upgrade` or `Connection`"),
        ],
        "not passed on",
        "seen; gobwas/ws#75, ws#1656",
    ),
    row(
        2,
        "FIN without a Close frame after silence",
        "idle timeout of nginx or ingress-nginx",
        &[anyhow("`proxy_read_timeout`, `proxy_send_timeout`; or ping more often")],
        "60 s",
        "seen; ingress-nginx#2917",
    ),
    row(
        3,
        "FIN without a Close frame after silence",
        "idle timeout of AWS ALB or CLB",
        &[anyhow("its attribute idle timeout (up to 4,000 s); or ping more often")],
        "60 s",
        "AWS documentation",
    ),
    row(
        4,
        "cut after silence",
        "idle timeout of Cloudflare",
        &[anyhow("ping more often; Enterprise can have it changed")],
        "often 100 s",
        "Cloudflare community",
    ),
    row(
        5,
        "cut at one age, busy or not",
        "Google Cloud's external load balancer limits the lifetime",
        &[anyhow("the timeout of the backend service")],
        "30 s",
        "ingress-gce",
    ),
    row(
        6,
        "cut although Ping frames went",
        "GKE's internal load balancer counts data only",
        &[anyhow("messages in place of Ping frames; the timeout of the backend")],
        "often 30 s",
        "omi#5194 (one report)",
    ),
    row(
        7,
        "cut after silence",
        "Azure Application Gateway",
        &[anyhow("the request timeout of its backend setting")],
        "20 s; AGIC 30 s",
        "azure-docs#49622",
    ),
    row(
        8,
        "dropped or cut after silence",
        "Azure Load Balancer",
        &[anyhow("its idle timeout (up to 30 min); or ping more often")],
        "4 min",
        "Azure documentation",
    ),
    row(
        9,
        "cut after silence",
        "Heroku's router (H15)",
        &[anyhow("ping more often, as it is fixed")],
        "55 s",
        "Heroku documentation",
    ),
    row(
        10,
        "cut after silence",
        "Envoy, Istio",
        &[anyhow("`stream_idle_timeout`")],
        "5 min",
        "Envoy documentation",
    ),
    row(
        11,
        "cut at one age, busy or not",
        "timeout of a route of Envoy",
        &[anyhow("`timeout: 0s` on the route")],
        "15 s",
        "envoy#20062",
    ),
    row(
        12,
        "FIN without a Close frame after silence",
        "HAProxy without `timeout tunnel`, so that the client's or the server's holds",
        &[anyhow("`timeout tunnel 1h`")],
        "`timeout client` and `server`, often 50 s",
        "seen",
    ),
    row(
        13,
        "FIN without a Close frame after silence",
        "Apache",
        &[anyhow(
            "`Timeout` (`ProxyTimeout` and `timeout=` of `ProxyPass` changed nothing in 2.4.71)",
        )],
        "60 s",
        "seen",
    ),
    row(
        14,
        "dropped after silence, RST at the next write",
        "AWS NLB",
        &[anyhow("its TCP idle timeout (up to 6,000 s); or ping more often")],
        "350 s",
        "AWS",
    ),
    row(
        15,
        "dropped after silence",
        "IPVS of kube-proxy, or AWS Network Firewall",
        &[anyhow("`--ipvs-tcp-timeout`; or ping more often")],
        "often 900 s; the firewall 350 s",
        "kubelb#539",
    ),
    row(
        16,
        "dropped after minutes of silence, on mobile",
        "NAT of the carrier",
        &[anyhow("ping every 25 to 60 s")],
        "often minutes",
        "field reports",
    ),
    row(
        17,
        "all at one instant, busy or not: FIN without a Close frame, or a Close frame 1001 that is not the server's",
        "the proxy was reloaded",
        &[
            at(Nginx, "`worker_shutdown_timeout` (ingress-nginx: `worker-shutdown-timeout`)"),
            at(Caddy, "`stream_close_delay`"),
            at(Haproxy, "`hard-stop-after`"),
        ],
        "ingress-nginx 240 s",
        "seen (nginx: FIN; Caddy: 1001); ingress-nginx#8977, caddy#5471",
    ),
    row(
        18,
        "cut at one age, busy or not",
        "limit of the lifetime",
        &[
            at(AwsApiGateway, "reconnect in time, as both are fixed"),
            at(Google, "the request timeout of Cloud Run (up to 60 min)"),
        ],
        "API Gateway 2 h (10 min of silence); Cloud Run 5 min",
        "their quotas",
    ),
    row(
        19,
        "1009, or cut from one size on",
        "a limit for messages on the way",
        &[
            anyhow(
                "`MAX_MESSAGE` of this project's server, `max_size`, `maxPayload` and the like of others",
            ),
            at(AwsApiGateway, "smaller messages: frames of 32 KB, messages of 128 KB"),
        ],
        "64 KiB at this project's server",
        "AWS quotas",
    ),
    row(
        20,
        "301, 302, 307 or 308",
        "a redirect: from http to https, to a path with a slash, to a login",
        &[anyhow("the address in `Location` as the URL, or `-L`")],
        "",
        "seen",
    ),
    row(
        21,
        "401, 407",
        "the server, or with 407 the proxy, wants credentials",
        &[anyhow("`-u USER:PASSWORD` or `-H`; for the proxy in the URL of `-x`")],
        "",
        "RFC 9110",
    ),
    row(
        22,
        "403",
        "the origin is refused, often as the proxy changed `Host`; or a firewall",
        &[
            at(
                Nginx,
                "`proxy_set_header Host $http_host;` for a server that compares it with `Origin` (`$host` has no port); else let the server allow that origin",
            ),
            at(
                Apache,
                "`ProxyPreserveHost On` for a server that compares it with `Origin`; else let the server allow that origin",
            ),
            anyhow("`--origin` as a browser sends it; `ALLOWED_ORIGINS` of this project's server"),
        ],
        "",
        "seen; selkies#269",
    ),
    row(
        23,
        "404",
        "the path is wrong, or the proxy rewrites it",
        &[anyhow(
            "the path in the URL, or in the proxy's rule; `client why` at `/probe` shows which arrives",
        )],
        "",
        "seen",
    ),
    row(
        24,
        "400 with `Session ID unknown`",
        "a protocol that begins with long polling meets another server",
        &[anyhow("sticky sessions; or WebSocket as the only transport")],
        "",
        "ingress-nginx#2097",
    ),
    row(
        25,
        "429, 503",
        "too many requests or connections",
        &[
            at(
                Nginx,
                "`limit_conn`, `limit_req` and `return` where the answer is its own; else wait as `Retry-After` says, and raise the limit that the answer names",
            ),
            anyhow("wait as `Retry-After` says; raise the limit that the answer names"),
        ],
        "",
        "RFC 9110",
    ),
    row(
        26,
        "502, 503, 504",
        "nothing answers behind the proxy (nginx 502, HAProxy 503), or not in time (504)",
        &[
            at(
                Nginx,
                "start the server of `proxy_pass`, or correct its scheme and port; `proxy_connect_timeout`",
            ),
            at(
                Haproxy,
                "start the `server` of the backend, or correct its port; `timeout connect`",
            ),
            at(Apache, "start the server of `ProxyPass`, or correct its port; `ProxyTimeout`"),
            at(Caddy, "start the server of `reverse_proxy`, or correct its port"),
            at(
                AwsAlb,
                "make the targets healthy, and let the balancer in with their security group",
            ),
            anyhow("start the server behind it, or correct the port that the proxy has for it"),
        ],
        "",
        "seen",
    ),
    row(
        27,
        "464; an answer of HTTP/2; a refusal by CloudFront",
        "HTTP version: an upgrade needs HTTP/1.1",
        &[
            anyhow("HTTP/1.1 (ALPN `http/1.1`) at that listener"),
            at(AwsAlb, "HTTP/1.1 as the protocol version of the target group"),
        ],
        "",
        "AWS documentation",
    ),
    row(
        28,
        "a proxy answers CONNECT with 403 or 405",
        "the forward proxy forbids that port or host",
        &[
            at(Squid, "`SSL_ports`, `http_access`"),
            at(Tinyproxy, "`ConnectPort`"),
            anyhow("have the port allowed, or serve at 443"),
        ],
        "often 443 alone",
        "trafficserver#2650",
    ),
    row(
        29,
        "a reserved bit is set soon after the first message",
        "something agrees to an extension that it does not speak",
        &[
            at(Nginx, "`proxy_set_header Sec-WebSocket-Extensions \"\";`"),
            anyhow("have the proxy drop `Sec-WebSocket-Extensions`"),
        ],
        "",
        "lint-http#518",
    ),
    row(
        30,
        "an error of TLS about the version, or a plain answer to TLS",
        "`ws://` at a TLS port, or `wss://` at a plain one",
        &[anyhow(
            "the other scheme in the URL; or, behind a proxy, in its address of the server (`proxy_pass https://`)",
        )],
        "",
        "seen",
    ),
    row(
        31,
        "a certificate of an unknown authority",
        "an authority of one's own, a company's proxy that looks into TLS, or the wrong certificate",
        &[anyhow(
            "`--cacert` with the authority, whose name is the issuer; or the right certificate where TLS ends",
        )],
        "",
        "seen",
    ),
    row(
        32,
        "the name has no address",
        "the name is wrong, or not known to the name server asked here",
        &[anyhow("the name in the URL, or in DNS; `--resolve HOST:PORT:ADDRESS` tries an address")],
        "",
        "seen",
    ),
    row(
        33,
        "TCP is refused",
        "nothing listens at that address and port",
        &[anyhow("start what is to listen there, or correct host and port in the URL")],
        "",
        "seen",
    ),
    row(
        34,
        "TCP is not answered, or the network is not reached",
        "a firewall drops or rejects it, or the host is down",
        &[anyhow("let the port through in firewall or security group, or correct the address")],
        "",
        "seen",
    ),
    row(
        35,
        "TCP works, and then there is no answer",
        "what listens there hangs, or waits for a server behind it that does",
        &[anyhow("look at that program, and at the server behind it")],
        "",
        "seen",
    ),
    row(
        36,
        "hung up without an answer",
        "another protocol at that port, such as TLS for `ws://`, or something that drops the request",
        &[anyhow(
            "port and scheme in the URL (`wss://` where it speaks TLS); else the log of what listens there",
        )],
        "",
        "seen",
    ),
    row(
        37,
        "400, 426 or 101 without a right `Sec-WebSocket-Key`, `-Version` or `-Accept`",
        "a rule on the way drops or changes headers of the handshake, or the server breaks RFC 6455",
        &[anyhow(
            "no rule for the headers `Sec-WebSocket-*`, `Upgrade` and `Connection` of request and answer; a library for the server that keeps the RFC",
        )],
        "",
        "seen",
    ),
    row(
        38,
        "403 of the proxy itself",
        "a rule of the proxy forbids it",
        &[
            at(Nginx, "`allow` and `deny`, `return 403`"),
            at(Haproxy, "`http-request deny`"),
            at(Apache, "`Require`"),
            at(Caddy, "`respond 403`, `abort`"),
            anyhow("its rules for address, path or country"),
        ],
        "",
        "seen",
    ),
    row(
        39,
        "a certificate for another name, expired, not valid yet, or of no use for a server",
        "the certificate is the wrong one, was not renewed or not reloaded, or a clock is wrong",
        &[anyhow(
            "a valid certificate for the name in the URL where TLS ends, which is the proxy if there is one, and have that read it; or a name that it has in the URL",
        )],
        "",
        "seen",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_fits_into_a_table_and_into_a_line() {
        for row in ROWS {
            let line = row.to_markdown();
            assert_eq!(line.matches('|').count(), 7, "{line}");
            assert!(!line.contains('\n') && row.changes.len() < 8, "{line}");
            assert_eq!(line.matches('`').count() % 2, 0, "{line}");
        }
    }
}
