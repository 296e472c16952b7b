//! What a running `watch` shows of itself over HTTP: whether it lives, and its figures as Prometheus reads them. The server
//! comes with the feature `web`.

use std::sync::atomic::{AtomicBool, AtomicU64};

#[cfg_attr(not(feature = "web"), path = "status/server_absent.rs")]
mod server;

pub use server::serve;

/// The figures of what is delivered to one sink.
#[derive(Debug, Default)]
pub struct Figures {
    /// The sink.
    pub name: String,
    /// How many values it was given, with those that earlier processes gave it.
    pub n_points: AtomicU64,
    /// How many were left out, as was asked for.
    pub n_left_out: AtomicU64,
    /// How many stretches of files gave no event.
    pub n_damages: AtomicU64,
    /// How many files are followed.
    pub n_files: AtomicU64,
    /// How many lines it has not taken yet of those that were read.
    pub n_queued: AtomicU64,
    /// From a value's clock to its delivery, of the last value, in milliseconds.
    pub lag_ms: AtomicU64,
    /// It takes nothing more.
    pub has_ended: AtomicBool,
}
