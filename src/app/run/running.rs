//! A trial as the job's runner has it, until its files are read to their end.

use crate::edge::follow::Follower;

/// A trial whose attempt runs, or ran.
#[derive(Debug)]
pub(super) struct Running {
    /// `None`: its sidecar reports, or its files are read.
    pub(super) follower: Option<Follower>,
    /// Its files are being read to their end.
    pub(super) is_draining: bool,
    /// It cannot be killed: it is settled before it is gone.
    pub(super) is_quarantined: bool,
}

impl Running {
    pub(super) fn new(follower: Option<Follower>) -> Self {
        Self { follower, is_draining: false, is_quarantined: false }
    }
}
