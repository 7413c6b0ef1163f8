//! Kinds of connections, by their traffic.

use serde::{Serialize, Serializer};

/// The traffic of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No traffic, until one ping at the end.
    Silent,
    /// TCP keepalive (`SO_KEEPALIVE`).
    TcpKeepalive,
    /// Ping frames from the client.
    ProtocolPing,
    /// Messages from the client.
    Message,
    /// Pong frames from the client that nobody asked for (RFC 6455, section 5.5.3).
    UnaskedPong,
    /// Ping frames from the server, which the client answers.
    ServerPing,
    /// Messages from the server.
    ServerMessage,
    /// Messages and Ping frames from the client, at a short interval.
    Busy,
}

impl Kind {
    /// All kinds.
    pub(super) const ALL: [Self; 8] = [
        Self::Silent,
        Self::TcpKeepalive,
        Self::ProtocolPing,
        Self::Message,
        Self::UnaskedPong,
        Self::ServerPing,
        Self::ServerMessage,
        Self::Busy,
    ];

    /// The name in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::TcpKeepalive => "tcp-keepalive",
            Self::ProtocolPing => "protocol-ping",
            Self::Message => "message",
            Self::UnaskedPong => "unasked-pong",
            Self::ServerPing => "server-ping",
            Self::ServerMessage => "server-message",
            Self::Busy => "busy",
        }
    }

    /// The traffic in words, as the subject of a sentence.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Silent => "silence",
            Self::TcpKeepalive => "TCP keepalive",
            Self::ProtocolPing => "protocol pings",
            Self::Message => "messages",
            Self::UnaskedPong => "Pongs that nobody asked for",
            Self::ServerPing => "pings from the server",
            Self::ServerMessage => "messages from the server",
            Self::Busy => "traffic without a pause",
        }
    }

    /// Whether frames are sent over the connection again and again.
    pub(super) fn is_talking(self) -> bool {
        !matches!(self, Self::Silent | Self::TcpKeepalive)
    }

    /// Whether data frames are sent, which every proxy counts as traffic.
    pub(super) fn has_data(self) -> bool {
        matches!(self, Self::Message | Self::ServerMessage | Self::Busy)
    }

    /// Whether the server has to answer the traffic of the client.
    pub(super) fn is_answered(self) -> bool {
        matches!(self, Self::ProtocolPing | Self::Busy)
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
