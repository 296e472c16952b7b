//! What is known of a tag without keeping its points.

use super::attempts::{last_standing, told_rewinds};
use super::{Rewind, Stretches, Writer};
use crate::scalar::{Content, Kind};
use crate::units::{MetricValue, Step, WallTime};

/// Counts and extremes of one tag of one run directory, over every value of every attempt.
///
/// It is made for one event file first, and then joined with those of the run's other files.
#[derive(Debug, Clone)]
pub struct TagSummary {
    /// What the tag holds: numbers, where any of its values is one; otherwise what the first holds.
    pub kind: Kind,
    /// The plugin that the tag is meant for; empty where no writer says.
    pub plugin: String,
    /// How many values were written.
    pub n_values: u64,
    /// How many of them are numbers.
    pub n_scalars: u64,
    /// How many of those are NaN or infinite.
    pub n_non_finite: u64,
    /// The smallest step; where the tag holds numbers, of one.
    pub first_step: Step,
    /// The smallest finite number.
    pub min: Option<MetricValue>,
    /// The largest finite number.
    pub max: Option<MetricValue>,
    /// The first and the last clock, of those that are numbers.
    pub wall_times: Option<(WallTime, WallTime)>,
    /// What the one writer wrote, before this is joined.
    written: Stretches,
    /// What each of the run's writers wrote.
    parts: Vec<(Writer, Stretches)>,
}

impl TagSummary {
    /// The summary of a tag whose first value stands at `step`.
    #[must_use]
    pub fn new(step: Step) -> Self {
        Self {
            kind: Kind::Scalar,
            plugin: String::new(),
            n_values: 0,
            n_scalars: 0,
            n_non_finite: 0,
            first_step: step,
            min: None,
            max: None,
            wall_times: None,
            written: Stretches::default(),
            parts: Vec::new(),
        }
    }

    /// Takes a value; `sessions` are the steps of all sessions that the file began so far.
    pub fn add(&mut self, sessions: &[Step], step: Step, wall_time: WallTime, content: &Content) {
        match content {
            Content::Other(kind) => {
                if self.n_values == 0 {
                    self.kind = *kind;
                }
                // Among numbers, what is none is counted and no more.
                if self.n_scalars == 0 {
                    self.written.add(sessions, step, wall_time, None);
                }
            }
            Content::Scalar(value) => {
                if self.n_scalars == 0 {
                    self.kind = Kind::Scalar;
                    self.written = Stretches::default();
                    self.first_step = step;
                }
                self.n_scalars += 1;
                self.written.add(sessions, step, wall_time, Some(*value));
                if value.is_finite() {
                    self.min = extreme(self.min, Some(*value), |new, old| new < old);
                    self.max = extreme(self.max, Some(*value), |new, old| new > old);
                } else {
                    self.n_non_finite += 1;
                }
            }
        }
        self.n_values += 1;
        if self.n_scalars == 0 || matches!(content, Content::Scalar(_)) {
            self.first_step = self.first_step.min(step);
        }
        if !wall_time.0.is_nan() {
            let (first, last) = self.wall_times.get_or_insert((wall_time, wall_time));
            first.0 = first.0.min(wall_time.0);
            last.0 = last.0.max(wall_time.0);
        }
    }

    /// Takes it that `writer` wrote all that was added so far. Ends the making for one file.
    pub fn settle(&mut self, writer: Writer) {
        self.parts.push((writer, std::mem::take(&mut self.written)));
    }

    /// Joins the settled summary of another file of the run.
    pub fn join(&mut self, mut other: Self) {
        match (self.n_scalars > 0, other.n_scalars > 0) {
            (true, false) => other.parts.clear(),
            (false, true) => {
                self.kind = Kind::Scalar;
                self.first_step = other.first_step;
                self.parts.clear();
            }
            (true, true) | (false, false) => self.first_step = self.first_step.min(other.first_step),
        }
        if self.plugin.is_empty() {
            self.plugin = other.plugin;
        }
        self.n_values += other.n_values;
        self.n_scalars += other.n_scalars;
        self.n_non_finite += other.n_non_finite;
        self.min = extreme(self.min, other.min, |new, old| new < old);
        self.max = extreme(self.max, other.max, |new, old| new > old);
        self.wall_times = match (self.wall_times, other.wall_times) {
            (Some((a, b)), Some((c, d))) => Some((WallTime(a.0.min(c.0)), WallTime(b.0.max(d.0)))),
            (known, other) => known.or(other),
        };
        self.parts.append(&mut other.parts);
    }

    /// The largest step of what the latest attempt left standing, and the number there: of several, the
    /// last written. For a summary that is settled.
    #[must_use]
    pub fn last(&self) -> (Step, Option<MetricValue>) {
        last_standing(self.writers())
            .map_or((self.first_step, None), |last| (last.last_step, last.last_value))
    }

    /// Where a later attempt replaced an earlier one; there is one attempt more than that.
    #[must_use]
    pub fn rewinds(&self) -> Vec<Rewind> {
        told_rewinds(self.writers())
    }

    fn writers(&self) -> impl Iterator<Item = (Writer, &Stretches)> + Clone {
        self.parts.iter().map(|(writer, written)| (*writer, written))
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
    use super::super::{RewindReason, WriterId};
    use super::*;

    fn scalar(value: f64) -> Content {
        Content::Scalar(MetricValue::F64(value))
    }

    /// What a writer wrote at these steps, a second apart from `wall` on.
    fn summary(writer: u32, sessions: &[Step], wall: f64, values: &[(i64, f64)]) -> TagSummary {
        let mut summary = TagSummary::new(Step(values[0].0));
        let mut writer = Writer::new(WriterId(writer), WallTime(wall));
        for (i, (step, value)) in values.iter().enumerate() {
            let clock = WallTime(wall + i as f64);
            writer.at_work(clock);
            summary.add(sessions, Step(*step), clock, &scalar(*value));
        }
        summary.settle(writer);
        summary
    }

    #[track_caller]
    fn check(summaries: &[TagSummary], last: (i64, f64), n_rewinds: usize) {
        // In whichever order the files are joined.
        for first in 0..summaries.len() {
            let mut joined = summaries[first].clone();
            for other in summaries[first + 1..].iter().chain(&summaries[..first]) {
                joined.join(other.clone());
            }
            assert_eq!(joined.last(), (Step(last.0), Some(MetricValue::F64(last.1))));
            assert_eq!(joined.rewinds().len(), n_rewinds);
        }
    }

    #[test]
    fn extremes_leave_out_what_is_not_finite() {
        let summary = summary(0, &[], 1.0, &[(0, 0.5), (20, f64::NAN), (10, f64::INFINITY), (5, 0.25)]);
        assert_eq!((summary.n_values, summary.n_non_finite), (4, 2));
        assert_eq!(summary.first_step, Step(0));
        assert_eq!(summary.last(), (Step(20), Some(MetricValue::F64(f64::NAN))));
        assert_eq!(summary.min, Some(MetricValue::F64(0.25)));
        assert_eq!(summary.max, Some(MetricValue::F64(0.5)));
        assert_eq!(summary.wall_times, Some((WallTime(1.0), WallTime(4.0))));
    }

    #[test]
    fn a_later_attempt_has_the_last_word() {
        let first = summary(0, &[], 1.0, &[(0, 0.1), (100, 0.9)]);
        let later = summary(1, &[Step(80)], 500.0, &[(81, 0.5), (85, 0.6)]);
        check(&[first.clone(), later.clone()], (85, 0.6), 1);
        let falling = summary(2, &[], 900.0, &[(10, 0.7)]);
        check(&[first, later, falling.clone()], (10, 0.7), 2);
        assert_eq!(falling.rewinds(), []);
    }

    #[test]
    fn the_reason_of_a_rewind_is_told() {
        let mut joined = summary(0, &[], 1.0, &[(0, 0.1), (100, 0.9)]);
        joined.join(summary(1, &[Step(80)], 500.0, &[(90, 0.5)]));
        joined.join(summary(2, &[], 900.0, &[(85, 0.7)]));
        let told: Vec<(i64, RewindReason)> = joined.rewinds().iter().map(|r| (r.from.0, r.reason)).collect();
        assert_eq!(told, [(81, RewindReason::Session), (85, RewindReason::FallingSteps)]);
    }

    #[test]
    fn so_has_a_session_within_one_file() {
        let mut both = TagSummary::new(Step(0));
        for (sessions, step, clock, value) in
            [(&[][..], 0, 1.0, 0.1), (&[], 100, 2.0, 0.9), (&[Step(10)], 20, 9.0, 0.4)]
        {
            both.add(sessions, Step(step), WallTime(clock), &scalar(value));
        }
        both.settle(Writer::new(WriterId(0), WallTime(1.0)));
        check(&[both], (20, 0.4), 1);
    }

    #[test]
    fn a_writer_at_its_side_begins_no_attempt_and_its_restart_takes_nothing() {
        let first = summary(0, &[], 1.0, &[(0, 0.1), (50, 0.2), (100, 0.9)]);
        check(&[first.clone(), summary(1, &[], 2.0, &[(40, 0.5)])], (100, 0.9), 0);
        let mut restarted = TagSummary::new(Step(1));
        let mut writer = Writer::new(WriterId(1), WallTime(2.0));
        for (sessions, step, clock) in [(&[][..], 1, 2.0), (&[], 50, 3.0), (&[Step(20)], 21, 60.0)] {
            restarted.add(sessions, Step(step), WallTime(clock), &scalar(0.3));
            writer.at_work(WallTime(clock));
        }
        restarted.settle(writer);
        check(&[first, restarted], (100, 0.9), 1);
    }

    #[test]
    fn a_writer_that_goes_on_under_other_tags_has_not_ended() {
        let mut first = summary(0, &[], 1.0, &[(100, 0.9)]);
        let later = summary(1, &[], 150.0, &[(50, 0.5)]);
        check(&[first.clone(), later.clone()], (50, 0.5), 1);
        first.parts[0].0.at_work(WallTime(990.0));
        check(&[first, later], (100, 0.9), 0);
    }

    #[test]
    fn numbers_among_other_values_make_it_a_scalar() {
        let mut mixed = TagSummary::new(Step(0));
        mixed.add(&[], Step(0), WallTime(1.0), &Content::Other(Kind::Histogram));
        assert_eq!(mixed.kind, Kind::Histogram);
        mixed.add(&[], Step(1), WallTime(1.0), &scalar(f64::NAN));
        mixed.add(&[], Step(2), WallTime(1.0), &Content::Other(Kind::Image));
        assert_eq!((mixed.kind, mixed.n_values, mixed.n_scalars), (Kind::Scalar, 3, 1));
        mixed.settle(Writer::new(WriterId(0), WallTime(1.0)));
        assert_eq!((mixed.first_step, mixed.last().0), (Step(1), Step(1)));
        let mut images = TagSummary::new(Step(7));
        images.add(&[], Step(7), WallTime(2.0), &Content::Other(Kind::Image));
        images.settle(Writer::new(WriterId(1), WallTime(2.0)));
        for (mut first, second) in [(mixed.clone(), images.clone()), (images, mixed)] {
            first.join(second);
            assert_eq!((first.kind, first.first_step, first.last().0), (Kind::Scalar, Step(1), Step(1)));
        }
    }
}
