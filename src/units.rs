//! The field's quantities as types: what a step, a time, a tag, a run, a trial and a value are.
//!
//! Layer 0: imports nothing of this crate and does no IO. All but trials are those of the reading library.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Serialize, Serializer};

pub use tfevents::units::*;

/// A trial's number within its job, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrialId(NonZeroU32);

impl TrialId {
    /// The id of the `n`-th trial of a job, `n` counted from 1; `None` for 0.
    #[must_use]
    pub fn new(n: u32) -> Option<Self> {
        NonZeroU32::new(n).map(Self)
    }

    /// The id of the trial that follows `n_before` earlier ones.
    #[must_use]
    pub fn after(n_before: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(n_before))
    }

    /// The number itself, 1 or more.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for TrialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Cloud ML Engine and its clients carry trial ids as strings; so does every interface of ours.
impl Serialize for TrialId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
