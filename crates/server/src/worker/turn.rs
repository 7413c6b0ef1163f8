//! The state that the connections of a worker share, and the arguments of their calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::compression::Compression;
use super::replies::Replies;
use crate::journal::Recorder;
use crate::observe::{Metrics, WorkerMetrics};
use crate::service;
use crate::throttle::Throttle;

/// The settings of connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest message, in bytes (`MAX_MESSAGE`).
    pub max_message: usize,
    /// Most memory that the unfinished messages of one worker may take together, in bytes (its
    /// share of `MAX_UNFINISHED`).
    pub max_unfinished: usize,
    /// Time that each reply is held back (`REPLY_DELAY`).
    pub reply_delay: Duration,
    /// Whether each message is logged as an event (`LOG_MESSAGES`).
    pub log_messages: bool,
}

/// The state that the connections of a worker share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The settings of connections.
    pub limits: Limits,
    /// The state of the services.
    pub services: Arc<service::State>,
    /// The metrics of the server.
    pub metrics: Arc<Metrics>,
    /// The metrics of this worker.
    pub counts: Arc<WorkerMetrics>,
    /// Warnings about messages that are invalid for their service.
    pub invalid_messages: Arc<Throttle>,
}

/// The arguments of each call of a connection.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// When the turn began.
    pub(super) now: Instant,
    pub(super) shared: &'a Shared,
    /// The buffer for reads from the socket.
    pub(super) buffer: &'a mut [u8],
    pub(super) compression: &'a mut Compression,
    /// Takes the lines of the pings of the turn.
    pub(super) recorder: &'a mut Recorder,
    /// Takes the replies of the turn, which are sent after the commit.
    pub(super) replies: &'a mut Replies,
}
