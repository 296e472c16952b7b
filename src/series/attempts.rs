//! Which attempt of a restarted trainer a point belongs to.

use std::collections::BTreeMap;

use super::WriterId;
use crate::limits::MAX_REWINDS_LISTED;
use crate::units::{Step, WallTime};

/// Tells the attempts of one series apart, without keeping its points.
///
/// An attempt begins where a writer resumes at or below a step that an earlier writer, who had ended by
/// then, has a point at. Writers side by side belong to the same attempt.
#[derive(Debug, Clone, Default)]
pub struct Attempts {
    writers: BTreeMap<WriterId, Writer>,
    rewinds: Vec<Rewind>,
    n_rewinds: u32,
}

#[derive(Debug, Clone, Copy)]
struct Writer {
    /// The latest clock of a point of it.
    last: WallTime,
    /// The largest step of its points that still stand.
    max_step: Option<Step>,
    attempt: u32,
}

/// Where a later attempt replaced an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewind {
    /// Points of the earlier attempt from this step on are void.
    pub from: Step,
    /// How it is known.
    pub reason: RewindReason,
}

/// How it is known that a writer resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewindReason {
    /// It said so, by the start of a session.
    Session,
    /// Its first point lies at or below a step that was there before.
    FallingSteps,
}

impl RewindReason {
    /// A word for it, stable for JSON output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session-start",
            Self::FallingSteps => "falling-steps",
        }
    }
}

/// What one writer wrote of one tag from where it resumed: enough to tell attempts apart.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// Where it resumed.
    pub resumed: Rewind,
    /// Its largest step.
    pub max_step: Step,
    /// Its latest clock.
    pub last: WallTime,
}

impl Stretch {
    /// A stretch that begins with a point at `step`; `session` is the step of the session that the writer
    /// began since its last point of the tag, where there is one.
    #[must_use]
    pub fn new(session: Option<Step>, step: Step, wall_time: WallTime) -> Self {
        let resumed = match session {
            // The checkpoint holds the training up to its step: a value at that step still stands
            // unless it is written anew.
            Some(session) => {
                Rewind { from: step.min(Step(session.0.saturating_add(1))), reason: RewindReason::Session }
            }
            None => Rewind { from: step, reason: RewindReason::FallingSteps },
        };
        Self { resumed, max_step: step, last: wall_time }
    }

    /// Takes a further point.
    #[inline]
    pub fn add(&mut self, step: Step, wall_time: WallTime) {
        self.max_step = self.max_step.max(step);
        self.last.0 = self.last.0.max(wall_time.0);
    }
}

impl Attempts {
    /// Takes the beginning of a stretch by a writer that started at `started`, and tells whether points
    /// that stand so far are void by it. [`Attempts::is_stale`] says whose.
    pub fn begin(&mut self, writer: WriterId, started: WallTime, stretch: &Stretch) -> bool {
        let from = stretch.resumed.from;
        let mut is_rewind = false;
        for (id, other) in &mut self.writers {
            let is_over = *id == writer || other.last <= started;
            if is_over && other.max_step.is_some_and(|max| max >= from) {
                is_rewind = true;
                other.max_step = from.0.checked_sub(1).map(Step);
            }
        }
        if is_rewind {
            self.n_rewinds = self.n_rewinds.saturating_add(1);
            if self.rewinds.len() < MAX_REWINDS_LISTED {
                self.rewinds.push(stretch.resumed);
            }
        }
        let attempt = self.n();
        let state = self.writers.entry(writer).or_insert(Writer { last: started, max_step: None, attempt });
        state.attempt = if is_rewind { attempt } else { state.attempt };
        self.extend(writer, stretch);
        is_rewind
    }

    /// Takes it that the stretch which `writer` began has grown.
    pub fn extend(&mut self, writer: WriterId, stretch: &Stretch) {
        if let Some(state) = self.writers.get_mut(&writer) {
            state.max_step = state.max_step.max(Some(stretch.max_step));
            state.last.0 = state.last.0.max(stretch.last.0);
        }
    }

    /// Whether the points of writer `by` are an earlier attempt's to a writer that started at `started`:
    /// they are not while it was still at work.
    #[must_use]
    pub fn is_stale(&self, by: WriterId, writer: WriterId, started: WallTime) -> bool {
        by == writer || self.writers.get(&by).is_none_or(|other| other.last <= started)
    }

    /// The attempt that a writer's points belong to, from 1.
    #[must_use]
    pub fn of(&self, writer: WriterId) -> u32 {
        self.writers.get(&writer).map_or(1, |writer| writer.attempt)
    }

    /// How many attempts there are, at least 1.
    #[must_use]
    pub fn n(&self) -> u32 {
        self.n_rewinds.saturating_add(1)
    }

    /// Where attempts were replaced, the first [`MAX_REWINDS_LISTED`].
    #[must_use]
    pub fn rewinds(&self) -> &[Rewind] {
        &self.rewinds
    }
}
