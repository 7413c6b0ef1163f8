//! Intermediaries (RFC 9110, section 3.7): programs and services between a client and a server.

use std::fmt;

/// A proxy, load balancer or service between a client and a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is a proper name")]
pub enum Intermediary {
    Nginx,
    Apache,
    Caddy,
    Haproxy,
    Envoy,
    Traefik,
    Iis,
    Varnish,
    Squid,
    Tinyproxy,
    AwsAlb,
    AwsApiGateway,
    CloudFront,
    Cloudflare,
    Google,
    Azure,
    Heroku,
}

impl fmt::Display for Intermediary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nginx => "nginx",
            Self::Apache => "Apache",
            Self::Caddy => "Caddy",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
            Self::Traefik => "Traefik",
            Self::Iis => "IIS",
            Self::Varnish => "Varnish",
            Self::Squid => "Squid",
            Self::Tinyproxy => "tinyproxy",
            Self::AwsAlb => "AWS ALB",
            Self::AwsApiGateway => "AWS API Gateway",
            Self::CloudFront => "CloudFront",
            Self::Cloudflare => "Cloudflare",
            Self::Google => "Google Cloud",
            Self::Azure => "Azure",
            Self::Heroku => "Heroku",
        })
    }
}
