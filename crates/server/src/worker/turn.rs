//! What connections share, and what a connection has at hand in its turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::compression::Compression;
use super::replies::Replies;
use crate::journal::Recorder;
use crate::observe::{Metrics, Throttle, WorkerMetrics};
use crate::service;

/// The settings that concern connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest message, in bytes (`MAX_MESSAGE`).
    pub max_message: usize,
    /// Memory that the unfinished messages of one worker may take, in bytes (its share of
    /// `MAX_UNFINISHED`).
    pub max_unfinished: usize,
    /// Time that each reply is held back (`REPLY_DELAY`).
    pub reply_delay: Duration,
    /// Whether each message is logged as an event (`LOG_MESSAGES`).
    pub log_messages: bool,
}

/// What the connections of a worker share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The settings that concern them.
    pub limits: Limits,
    /// What the services remember.
    pub services: Arc<service::State>,
    /// What the server counts.
    pub metrics: Arc<Metrics>,
    /// What this worker counts.
    pub counts: Arc<WorkerMetrics>,
    /// Warnings about messages that are invalid for their service.
    pub invalid_messages: Arc<Throttle>,
}

/// What a connection has at hand in its turn.
#[derive(Debug)]
pub struct Context<'a> {
    /// The present.
    pub now: Instant,
    /// What the connections of the worker share.
    pub shared: &'a Shared,
    /// Room to read into.
    pub buffer: &'a mut [u8],
    /// Compresses and decompresses.
    pub compression: &'a mut Compression,
    /// Takes the pings.
    pub recorder: &'a mut Recorder,
    /// Takes the replies, until the pings are recorded.
    pub replies: &'a mut Replies,
}
