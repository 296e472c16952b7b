//! The states of jobs and trials, under the names of the service.
//!
//! ```text
//!   Queued ──▶ Preparing ──▶ Running ──▶ Cancelling
//!     │            │            │            │
//!     ▼            ▼            ▼            ▼
//!   Ended(Succeeded | Failed | Cancelled)
//! ```
//!
//! Source of the names: the `State` of jobs and of trials (`HyperparameterOutput`) in the REST reference of Cloud ML
//! Engine, `projects.jobs`.

use std::fmt;

use serde::{Serialize, Serializer};

/// The state of a job or of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// A job that waits for a process to execute it.
    Queued,
    /// A job that a process has taken from the queue, or a trial that has parameters and was not started yet.
    Preparing,
    /// A job whose trials are started as slots become free, or a trial that was started.
    Running,
    /// A job whose trials are stopped, because the user cancelled it.
    Cancelling,
    /// It is over.
    Ended(FinalState),
}

/// The final state of a job or of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FinalState {
    /// Of a job: at least one trial has a result. Of a trial: it has a finite result.
    Succeeded,
    /// Of a job: no trial has a result, or too many failed. Of a trial: it has no finite result.
    Failed,
    /// It was ended by the user.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Preparing,
        Self::Running,
        Self::Cancelling,
        Self::Ended(FinalState::Succeeded),
        Self::Ended(FinalState::Failed),
        Self::Ended(FinalState::Cancelled),
    ];

    /// The name in the service's terms.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Preparing => "PREPARING",
            Self::Running => "RUNNING",
            Self::Cancelling => "CANCELLING",
            Self::Ended(end) => end.name(),
        }
    }

    /// The state of this name; `None` where no state has it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether it is a final state.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

impl FinalState {
    /// The name in the service's terms.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

impl From<FinalState> for State {
    fn from(end: FinalState) -> Self {
        Self::Ended(end)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for FinalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// As its name.
impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// As its name.
impl Serialize for FinalState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_its_state() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
            assert_eq!(serde_json::to_value(state).expect("it serializes"), state.name());
        }
        assert_eq!(State::from_name("running"), None);
    }
}
