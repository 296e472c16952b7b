//! What one writer wrote of one tag, from session to session, without its points.

use serde::{Deserialize, Serialize};

use crate::limits::MAX_STRETCHES;
use crate::units::{MetricValue, Step, WallTime};

/// Where a later attempt replaced an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewind {
    /// Values of the earlier attempt from this step on are void.
    pub from: Step,
    /// How it is known.
    pub reason: RewindReason,
}

/// How it is known that a writer resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RewindReason {
    /// It said so, by the start of a session.
    #[serde(rename = "session-start")]
    Session,
    /// Its first value lies at or below a step that was there before.
    FallingSteps,
    /// The writer of an earlier attempt goes on: it was only silent, and its values stand again.
    StillWriting,
}

impl RewindReason {
    /// A word for it, stable for JSON output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session-start",
            Self::FallingSteps => "falling-steps",
            Self::StillWriting => "still-writing",
        }
    }
}

/// What one writer wrote of one tag in one session.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Stretch {
    /// How many sessions the writer had begun by then.
    pub(super) session: usize,
    /// Where the writer resumed.
    pub(super) resumed: Rewind,
    /// How many values there are.
    pub(super) n_values: usize,
    /// The largest step.
    pub(super) last_step: Step,
    /// The clock of the value there; of several, the last written.
    #[serde(with = "crate::units::bits")]
    pub(super) last_clock: WallTime,
    /// The value there, where it is a number.
    #[serde(skip)]
    pub(super) last_value: Option<MetricValue>,
}

/// What one writer wrote of one tag: a stretch for each session in which it wrote some, of the first
/// [`MAX_STRETCHES`]; values of later sessions count as the last one's.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Stretches(Vec<Stretch>);

impl Stretches {
    /// Takes a value; `sessions` are the steps of all sessions that the writer has begun so far.
    #[inline]
    pub fn add(&mut self, sessions: &[Step], step: Step, clock: WallTime, value: Option<MetricValue>) {
        let is_full = self.0.len() >= MAX_STRETCHES;
        match self.0.last_mut() {
            Some(stretch) if stretch.session == sessions.len() || is_full => stretch.add(step, clock, value),
            _ => self.begin(sessions, step, clock, value),
        }
    }

    #[inline(never)]
    fn begin(&mut self, sessions: &[Step], step: Step, clock: WallTime, value: Option<MetricValue>) {
        let n_before = self.0.last().map_or(0, |stretch| stretch.session);
        let resumed = match sessions.get(n_before..).and_then(<[Step]>::last) {
            // The checkpoint holds the training up to its step: a value at that step still stands
            // unless it is written anew.
            Some(session) => {
                Rewind { from: step.min(Step(session.0.saturating_add(1))), reason: RewindReason::Session }
            }
            None => Rewind { from: step, reason: RewindReason::FallingSteps },
        };
        if self.0.is_empty() {
            self.0.reserve_exact(1);
        }
        self.0.push(Stretch {
            session: sessions.len(),
            resumed,
            n_values: 1,
            last_step: step,
            last_clock: clock,
            last_value: value,
        });
    }

    /// The stretches, in the order in which they were written.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Stretch> {
        self.0.iter()
    }
}

impl Stretch {
    #[inline]
    fn add(&mut self, step: Step, clock: WallTime, value: Option<MetricValue>) {
        self.n_values += 1;
        if step >= self.last_step {
            (self.last_step, self.last_clock, self.last_value) = (step, clock, value.or(self.last_value));
        }
    }
}
