//! What is known of a tag without keeping its points.

use super::{Attempts, Rewind, Stretch, WriterId};
use crate::limits::MAX_STRETCHES;
use crate::scalar::{Content, Kind};
use crate::units::{MetricValue, Step, WallTime};

/// Counts and extremes of one tag of one run directory, over every value of every attempt.
///
/// It is made for one event file first, and then joined with those of the run's other files.
#[derive(Debug, Clone)]
pub struct TagSummary {
    /// What the tag holds; where values disagree, the first that is no scalar.
    pub kind: Kind,
    /// The plugin that the tag is meant for; empty where no writer says.
    pub plugin: String,
    /// How many values were written.
    pub n_values: u64,
    /// How many of them are NaN or infinite.
    pub n_non_finite: u64,
    /// The smallest step.
    pub first_step: Step,
    /// The largest step of what the latest attempt left standing.
    pub last_step: Step,
    /// The scalar at the last step; of several, the last written.
    pub last: Option<MetricValue>,
    /// The smallest finite scalar.
    pub min: Option<MetricValue>,
    /// The largest finite scalar.
    pub max: Option<MetricValue>,
    /// The first and the last clock, of those that are numbers.
    pub wall_times: Option<(WallTime, WallTime)>,
    /// From where each of the file's sessions wrote the tag.
    stretches: Vec<Stretch>,
    /// How many of the file's sessions were known at the last value.
    n_sessions: usize,
    attempts: Attempts,
}

impl TagSummary {
    /// The summary of a tag whose first value stands at `step`.
    #[must_use]
    pub fn new(step: Step) -> Self {
        Self {
            kind: Kind::Scalar,
            plugin: String::new(),
            n_values: 0,
            n_non_finite: 0,
            first_step: step,
            last_step: step,
            last: None,
            min: None,
            max: None,
            wall_times: None,
            stretches: Vec::new(),
            n_sessions: 0,
            attempts: Attempts::default(),
        }
    }

    /// Takes a value; `sessions` are the steps of all sessions that the file began so far.
    pub fn add(&mut self, sessions: &[Step], step: Step, wall_time: WallTime, content: &Content) {
        let is_new_session = sessions.len() > self.n_sessions && self.stretches.len() < MAX_STRETCHES;
        match self.stretches.last_mut() {
            Some(stretch) if !is_new_session => stretch.add(step, wall_time),
            _ => {
                let session = sessions.get(self.n_sessions..).and_then(<[Step]>::last).copied();
                self.n_sessions = sessions.len();
                if self.stretches.last().is_some_and(|before| session.is_some_and(|s| s < before.max_step)) {
                    self.last_step = step;
                }
                self.stretches.push(Stretch::new(session, step, wall_time));
            }
        }
        self.n_values += 1;
        match content {
            Content::Other(kind) => {
                if self.kind == Kind::Scalar {
                    self.kind = *kind;
                }
            }
            Content::Scalar(value) => {
                if step >= self.last_step {
                    self.last = Some(*value);
                }
                if value.is_finite() {
                    self.min = extreme(self.min, Some(*value), |new, old| new < old);
                    self.max = extreme(self.max, Some(*value), |new, old| new > old);
                } else {
                    self.n_non_finite += 1;
                }
            }
        }
        self.first_step = self.first_step.min(step);
        self.last_step = self.last_step.max(step);
        if !wall_time.0.is_nan() {
            let (first, last) = self.wall_times.get_or_insert((wall_time, wall_time));
            first.0 = first.0.min(wall_time.0);
            last.0 = last.0.max(wall_time.0);
        }
    }

    /// Takes the first writer's part; call it before [`Self::join`].
    pub fn settle(&mut self, writer: WriterId, started: WallTime) {
        for stretch in std::mem::take(&mut self.stretches) {
            self.attempts.begin(writer, started, &stretch);
        }
    }

    /// Joins what another writer of the run, which started later, wrote of the tag.
    pub fn join(&mut self, writer: WriterId, started: WallTime, later: Self) {
        let mut is_rewind = false;
        for stretch in &later.stretches {
            is_rewind |= self.attempts.begin(writer, started, stretch);
        }
        if self.kind == Kind::Scalar {
            self.kind = later.kind;
        }
        if self.plugin.is_empty() {
            self.plugin = later.plugin;
        }
        if is_rewind || later.last_step >= self.last_step {
            (self.last_step, self.last) = (later.last_step, later.last.or(self.last));
        }
        self.n_values += later.n_values;
        self.n_non_finite += later.n_non_finite;
        self.first_step = self.first_step.min(later.first_step);
        self.min = extreme(self.min, later.min, |new, old| new < old);
        self.max = extreme(self.max, later.max, |new, old| new > old);
        self.wall_times = match (self.wall_times, later.wall_times) {
            (Some((a, b)), Some((c, d))) => Some((WallTime(a.0.min(c.0)), WallTime(b.0.max(d.0)))),
            (known, other) => known.or(other),
        };
    }

    /// How many attempts wrote the tag, at least 1.
    #[must_use]
    pub fn n_attempts(&self) -> u32 {
        self.attempts.n()
    }

    /// Where a later attempt replaced an earlier one.
    #[must_use]
    pub fn rewinds(&self) -> &[Rewind] {
        self.attempts.rewinds()
    }
}

fn extreme(
    known: Option<MetricValue>,
    new: Option<MetricValue>,
    is_beyond: impl Fn(f64, f64) -> bool,
) -> Option<MetricValue> {
    match (known, new) {
        (Some(known), Some(new)) if !is_beyond(new.widen(), known.widen()) => Some(known),
        (known, new) => new.or(known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(value: f64) -> Content {
        Content::Scalar(MetricValue::F64(value))
    }

    /// A summary of values at these steps, a second apart from `wall` on.
    fn summary(sessions: &[Step], wall: f64, values: &[(i64, f64)]) -> TagSummary {
        let mut summary = TagSummary::new(Step(values[0].0));
        for (i, (step, value)) in values.iter().enumerate() {
            summary.add(sessions, Step(*step), WallTime(wall + i as f64), &scalar(*value));
        }
        summary
    }

    #[test]
    fn extremes_leave_out_what_is_not_finite() {
        let summary = summary(&[], 0.0, &[(0, 0.5), (20, f64::NAN), (10, f64::INFINITY), (5, 0.25)]);
        assert_eq!((summary.n_values, summary.n_non_finite), (4, 2));
        assert_eq!((summary.first_step, summary.last_step), (Step(0), Step(20)));
        assert_eq!(summary.last, Some(MetricValue::F64(f64::NAN)));
        assert_eq!(summary.min, Some(MetricValue::F64(0.25)));
        assert_eq!(summary.max, Some(MetricValue::F64(0.5)));
        assert_eq!(summary.wall_times, Some((WallTime(0.0), WallTime(3.0))));
    }

    #[test]
    fn a_later_attempt_has_the_last_word() {
        let mut first = summary(&[], 0.0, &[(0, 0.1), (100, 0.9)]);
        first.settle(WriterId(0), WallTime(0.0));
        let later = summary(&[Step(80)], 500.0, &[(81, 0.5), (85, 0.6)]);
        first.join(WriterId(1), WallTime(500.0), later);
        assert_eq!((first.n_attempts(), first.last_step), (2, Step(85)));
        assert_eq!(first.last, Some(MetricValue::F64(0.6)));
        assert_eq!((first.n_values, first.max), (4, Some(MetricValue::F64(0.9))));
        assert_eq!(first.rewinds()[0].from, Step(81));
    }

    #[test]
    fn so_has_a_session_within_one_file() {
        let mut summary = summary(&[], 0.0, &[(0, 0.1), (100, 0.9)]);
        summary.add(&[Step(10)], Step(20), WallTime(9.0), &scalar(0.4));
        summary.settle(WriterId(0), WallTime(0.0));
        assert_eq!((summary.n_attempts(), summary.last_step), (2, Step(20)));
        assert_eq!(summary.last, Some(MetricValue::F64(0.4)));
    }

    #[test]
    fn a_writer_at_its_side_begins_no_attempt() {
        let mut first = summary(&[], 0.0, &[(0, 0.1), (50, 0.2), (100, 0.9)]);
        first.settle(WriterId(0), WallTime(0.0));
        first.join(WriterId(1), WallTime(1.0), summary(&[], 1.0, &[(40, 0.5)]));
        assert_eq!((first.n_attempts(), first.last_step), (1, Step(100)));
    }
}
