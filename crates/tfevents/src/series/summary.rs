//! What is known of a tag without keeping its points.

use std::cmp::Ordering;

use super::attempts::{Ended, Largest, LastStanding, last_standing};
use super::{Attempts, Rewind, RewindReason, Rise, Shape, Standing, Stretches, Writer, WriterId};
use crate::limits::MAX_WRITERS_COMPARED;
use crate::scalar::{Content, Kind};
use crate::units::{MetricValue, Step, WallTime};

/// Counts and extremes of one tag of one run directory, over every value of every attempt.
///
/// It is made for one event file first, and then joined with those of the run's other files.
#[derive(Debug, Clone)]
pub struct TagSummary {
    /// What the tag holds: numbers, where any of its values is one; otherwise what the first holds.
    pub kind: Kind,
    /// What the first of its values that is no number holds.
    pub other: Option<Kind>,
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
    /// What each of the run's writers wrote, before this is finished.
    parts: Vec<(Writer, Stretches)>,
    last: Largest,
    /// Whose values are to be gone over to find the last.
    writers: Vec<Writer>,
    rewinds: Vec<Rewind>,
    shape: Shape,
    /// How many writers side by side wrote the same steps; 0 where none did.
    n_beside: usize,
    clocks: (WallTime, WallTime),
}

impl TagSummary {
    /// The summary of a tag whose first value stands at `step`.
    #[must_use]
    pub fn new(step: Step) -> Self {
        Self {
            kind: Kind::Scalar,
            other: None,
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
            last: Largest::default(),
            writers: Vec::new(),
            rewinds: Vec::new(),
            shape: Shape::default(),
            n_beside: 0,
            clocks: (WallTime(f64::NAN), WallTime(f64::NAN)),
        }
    }

    /// Takes a value; `sessions` are the steps of all sessions that the file began so far.
    #[inline]
    pub fn add(&mut self, sessions: &[Step], step: Step, wall_time: WallTime, content: &Content) {
        match content {
            Content::Other(kind) => {
                if self.n_values == 0 {
                    self.kind = *kind;
                }
                self.other = self.other.or(Some(*kind));
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
                    if self.min.is_none_or(|min| value.compare(min) == Some(Ordering::Less)) {
                        self.min = Some(*value);
                    }
                    if self.max.is_none_or(|max| value.compare(max) == Some(Ordering::Greater)) {
                        self.max = Some(*value);
                    }
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

    /// Whether [`Self::take_rise`] may be given these values, `n_sessions` being how many sessions the file began so far.
    #[must_use]
    pub fn accepts(&self, n_sessions: usize, rise: &Rise) -> bool {
        self.n_scalars > 0 && self.written.accepts(n_sessions, rise)
    }

    /// Takes values that [`Self::accepts`] has accepted, as [`Self::add`] takes each of them.
    pub fn take_rise(&mut self, rise: &Rise) {
        self.written.take_rise(rise);
        self.n_values += u64::from(rise.n);
        self.n_scalars += u64::from(rise.n);
        self.n_non_finite += u64::from(rise.n_non_finite);
        self.first_step = self.first_step.min(rise.first_step);
        let (min, max) = rise.extremes().unzip();
        self.min = extreme(self.min, min, Ordering::Less);
        self.max = extreme(self.max, max, Ordering::Greater);
        self.wall_times = earliest_and_latest(self.wall_times, rise.clocks());
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
        self.other = self.other.or(other.other);
        self.n_values += other.n_values;
        self.n_scalars += other.n_scalars;
        self.n_non_finite += other.n_non_finite;
        self.min = extreme(self.min, other.min, Ordering::Less);
        self.max = extreme(self.max, other.max, Ordering::Greater);
        self.wall_times = earliest_and_latest(self.wall_times, other.wall_times);
        self.parts.append(&mut other.parts);
    }

    /// Ends the joining: all files of the run were read, and `attempts` has the sessions that they began. The answer
    /// says which values stand, where the last of these can only be found by reading them again.
    pub fn finish(&mut self, attempts: &Attempts) -> Option<Standing> {
        let parts = std::mem::take(&mut self.parts);
        let writers = parts.iter().map(|(writer, written)| (*writer, written));
        let shapes = writers.clone().map(|(_, written)| written.shape());
        self.shape = shapes.reduce(Shape::join).unwrap_or_default();
        self.rewinds = attempts.rewinds(writers.clone());
        self.n_beside = n_beside(&parts);
        self.clocks = parts.iter().fold(self.clocks, |(started, last), (writer, _)| {
            let (begun, ended) = writer.clocks();
            (WallTime(started.0.min(begun.0)), WallTime(last.0.max(ended.0)))
        });
        match last_standing(writers.clone(), attempts) {
            LastStanding::None => None,
            LastStanding::Of(last) => {
                self.last.take(last);
                None
            }
            LastStanding::Hidden => {
                self.writers = parts.iter().map(|(writer, _)| *writer).collect();
                Some(attempts.standing(writers))
            }
        }
    }

    /// Takes a value that stands, as reading it again showed.
    pub fn take_standing(
        &mut self,
        writer: WriterId,
        step: Step,
        clock: WallTime,
        value: Option<MetricValue>,
    ) {
        if let Some(by) = self.writers.iter().find(|known| known.id == writer) {
            self.last.take(Ended { step, clock, value, by: *by });
        }
    }

    /// How many values count: where it holds numbers, those that are.
    #[must_use]
    pub fn count(&self) -> u64 {
        if self.n_scalars > 0 { self.n_scalars } else { self.n_values }
    }

    /// The clock of the first event of the first of its files, and the latest clock of any of their events; NaN where there
    /// are none. For a summary that is finished.
    #[must_use]
    pub fn clocks(&self) -> (WallTime, WallTime) {
        self.clocks
    }

    /// The largest step of what the latest attempt left standing, of the last pass, and the number there: of several, the
    /// last written; the first step of all where nothing stands. For a summary that is finished.
    #[must_use]
    pub fn last(&self) -> (Step, Option<MetricValue>) {
        self.last.counting().map_or((self.first_step, None), |last| (last.step, last.value))
    }

    /// How often a file began the steps anew from the beginning, without a session: by a restart or as a pass. For a summary
    /// that is finished.
    #[must_use]
    pub fn n_begun_anew(&self) -> u32 {
        let is_anew =
            |rewind: &&Rewind| rewind.reason == RewindReason::FallingSteps && rewind.from <= self.first_step;
        u32::try_from(self.rewinds.iter().filter(is_anew).count()).unwrap_or(u32::MAX)
    }

    /// What is unusual in how steps were written. For a summary that is finished.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What there is to say of steps that were written more than once, in a sentence each. For a summary that is finished.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        // A writer that counts no steps has its own.
        let lacks_steps = self.first_step == Step(0) && self.last().0 == Step(0);
        let mut remarks = if lacks_steps { Vec::new() } else { self.shape.sentences(false) };
        let n_anew = self.n_begun_anew();
        if n_anew > 0 {
            remarks.push(format!(
                "its steps are begun anew in {n_anew} later file{}, by a restart or as another pass; the last counts",
                if n_anew == 1 { "" } else { "s" }
            ));
        }
        if self.n_beside > 1 {
            let n = self.n_beside;
            remarks.push(format!(
                "{n} writers side by side wrote the same steps; the values of the first count (to a job, which sees them at \
                 work, those of rank 0)"
            ));
        }
        remarks
    }

    /// Where a later attempt replaced an earlier one; there is one attempt more than that. For a summary that is
    /// finished.
    #[must_use]
    pub fn rewinds(&self) -> &[Rewind] {
        &self.rewinds
    }
}

/// How many of some writers wrote steps that others wrote too which were at work at the same time.
fn n_beside(parts: &[(Writer, Stretches)]) -> usize {
    let mut by_start: Vec<(Writer, Step, Step)> = Vec::new();
    for (writer, written) in parts {
        let steps = written.steps();
        by_start.extend(
            steps.map(|(first, last)| (*writer, first, last)).filter(|(writer, ..)| writer.has_clock()),
        );
    }
    by_start.sort_by_key(|(writer, ..)| writer.start());
    let meets = |(i, (writer, first, last)): &(usize, &(Writer, Step, Step))| {
        let is_met = |(other, from, to): &(Writer, Step, Step)| {
            writer.is_beside(other) && (first == from || last == to)
        };
        let near =
            by_start.iter().skip(i.saturating_sub(MAX_WRITERS_COMPARED)).take(2 * MAX_WRITERS_COMPARED + 1);
        near.filter(|(other, ..)| other.id != writer.id).any(is_met)
    };
    by_start.iter().enumerate().filter(meets).count()
}

/// The first and the last clock of both.
fn earliest_and_latest(
    known: Option<(WallTime, WallTime)>,
    new: Option<(WallTime, WallTime)>,
) -> Option<(WallTime, WallTime)> {
    match (known, new) {
        (Some((a, b)), Some((c, d))) => Some((WallTime(a.0.min(c.0)), WallTime(b.0.max(d.0)))),
        (known, new) => known.or(new),
    }
}

/// The one of two that lies further in a direction; the first of two that are equal.
fn extreme(known: Option<MetricValue>, new: Option<MetricValue>, beyond: Ordering) -> Option<MetricValue> {
    match (known, new) {
        (Some(known), Some(new)) if new.compare(known) != Some(beyond) => Some(known),
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

    /// What a writer that began these sessions first wrote at these steps, a second apart from `wall` on.
    fn summary(writer: u32, sessions: &[Step], wall: f64, values: &[(i64, f64)]) -> Summed {
        let mut summary = TagSummary::new(Step(values[0].0));
        let mut writer = Writer::new(WriterId(writer), WallTime(wall));
        for (i, (step, value)) in values.iter().enumerate() {
            let clock = WallTime(wall + i as f64);
            writer.at_work(clock);
            summary.add(sessions, Step(*step), clock, &scalar(*value));
        }
        summary.settle(writer);
        (summary, writer, sessions.to_vec())
    }

    /// The summary of one file, its writer, and the sessions that this began.
    type Summed = (TagSummary, Writer, Vec<Step>);

    fn finished(files: &[Summed], first: usize) -> (TagSummary, Option<Standing>) {
        let mut joined = files[first].0.clone();
        for other in files[first + 1..].iter().chain(&files[..first]) {
            joined.join(other.0.clone());
        }
        let attempts = Attempts::of_sessions(files.iter().map(|(_, writer, steps)| (*writer, &**steps)));
        let standing = joined.finish(&attempts);
        (joined, standing)
    }

    #[track_caller]
    fn check(files: &[Summed], last: (i64, f64), n_rewinds: usize) {
        // In whichever order the files are joined.
        for first in 0..files.len() {
            let (joined, standing) = finished(files, first);
            assert!(standing.is_none());
            assert_eq!(joined.last(), (Step(last.0), Some(MetricValue::F64(last.1))));
            assert_eq!(joined.rewinds().len(), n_rewinds);
        }
    }

    #[test]
    fn extremes_leave_out_what_is_not_finite() {
        let file = summary(0, &[], 1.0, &[(0, 0.5), (20, f64::NAN), (10, f64::INFINITY), (5, 0.25)]);
        let (summary, _) = finished(&[file], 0);
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
        assert_eq!(finished(&[falling], 0).0.rewinds(), []);
    }

    #[test]
    fn the_reason_of_a_rewind_is_told() {
        let files = [
            summary(0, &[], 1.0, &[(0, 0.1), (100, 0.9)]),
            summary(1, &[Step(80)], 500.0, &[(90, 0.5)]),
            summary(2, &[], 900.0, &[(85, 0.7)]),
        ];
        let (joined, _) = finished(&files, 0);
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
        let writer = Writer::new(WriterId(0), WallTime(1.0));
        both.settle(writer);
        check(&[(both, writer, vec![Step(10)])], (20, 0.4), 1);
    }

    #[test]
    fn a_session_makes_void_what_it_never_writes_again() {
        let first = summary(0, &[], 1.0, &[(100, 0.1), (500, 0.5), (1_000, 0.9)]);
        let writer = Writer::new(WriterId(1), WallTime(500.0));
        let silent = (TagSummary::new(Step(0)), writer, vec![Step(500)]);
        let mut joined = first.0.clone();
        let attempts = Attempts::of_sessions([(first.1, &[][..]), (silent.1, &*silent.2)]);
        let standing = joined.finish(&attempts).expect("which value is the last is not known");
        let mut go_over = standing.go_over(WriterId(0));
        for (step, value) in [(100, 0.1), (500, 0.5), (1_000, 0.9)] {
            if go_over.next(Step(step)).is_some() {
                joined.take_standing(WriterId(0), Step(step), WallTime(1.0), Some(MetricValue::F64(value)));
            }
        }
        assert_eq!(joined.last(), (Step(500), Some(MetricValue::F64(0.5))));
        assert_eq!(joined.rewinds(), [Rewind { from: Step(501), reason: RewindReason::Session }]);
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
        check(&[first, (restarted, writer, vec![Step(20)])], (100, 0.9), 1);
    }

    #[test]
    fn a_writer_that_goes_on_under_other_tags_has_not_ended() {
        let mut first = summary(0, &[], 1.0, &[(100, 0.9)]);
        let later = summary(1, &[], 150.0, &[(50, 0.5)]);
        check(&[first.clone(), later.clone()], (50, 0.5), 1);
        first.0.parts[0].0.at_work(WallTime(990.0));
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
        assert_eq!(mixed.count(), 1);
        mixed.settle(Writer::new(WriterId(0), WallTime(1.0)));
        let mut alone = mixed.clone();
        alone.finish(&Attempts::default());
        assert_eq!((alone.first_step, alone.last().0), (Step(1), Step(1)));
        let mut images = TagSummary::new(Step(7));
        images.add(&[], Step(7), WallTime(2.0), &Content::Other(Kind::Image));
        images.settle(Writer::new(WriterId(1), WallTime(2.0)));
        for (mut first, second) in [(mixed.clone(), images.clone()), (images, mixed)] {
            first.join(second);
            first.finish(&Attempts::default());
            assert_eq!((first.kind, first.first_step, first.last().0), (Kind::Scalar, Step(1), Step(1)));
        }
    }
}
