//! Every point of one series, of every attempt.

use super::attempts::{Attempts, Standing};
use super::writer::{Claim, counting};
use super::{Point, Points, Stretches, Writer};
use crate::units::Step;

/// Every point that one writer wrote of one tag, in order, and from where it resumed.
#[derive(Debug, Clone, Default)]
pub struct Written {
    points: Points,
    stretches: Stretches,
    last_step: Option<Step>,
    /// Whether a point does not lie behind all before it.
    has_back_steps: bool,
    /// Whether the writer is known to count steps, by what it wrote of other tags.
    counts_steps: bool,
}

impl Written {
    /// Takes the next point; `sessions` are the steps of all sessions that the writer has begun so far.
    #[inline]
    pub fn add(&mut self, sessions: &[Step], point: Point) {
        self.stretches.add(sessions, point.step, point.wall_time, Some(point.value));
        self.has_back_steps |= Some(point.step) <= self.last_step;
        self.last_step = Some(point.step);
        self.points.push(point);
    }

    /// Takes it that the writer counts steps, as it does under other tags: what it wrote at step 0 belongs there.
    pub fn set_counts_steps(&mut self) {
        self.counts_steps = true;
    }

    /// The points in the order in which they were written.
    pub fn points(&self) -> impl Iterator<Item = Point> {
        self.points.iter()
    }

    /// From where it resumed.
    #[must_use]
    pub fn stretches(&self) -> &Stretches {
        &self.stretches
    }

    fn is_at_step_0(&self) -> bool {
        self.points.iter().all(|point| point.step == Step(0))
    }

    /// Whether all of its several points are at step 0: the writer counts no steps.
    fn lacks_steps(&self) -> bool {
        !self.counts_steps && self.points.len() > 1 && self.is_at_step_0()
    }
}

/// Every point of one tag of one run directory.
#[derive(Debug, Clone, Default)]
pub struct History {
    parts: Vec<(Writer, Written)>,
}

impl History {
    /// What the writers of a run wrote of one tag, each with the sessions that it began, and the attempts that this
    /// alone tells of.
    #[cfg(test)]
    pub(super) fn of_files(files: Vec<(Writer, Vec<Step>, Written)>) -> (Self, Attempts) {
        let tag = crate::units::Tag::from("m");
        let outlines =
            files.iter().map(|(writer, sessions, w)| (*writer, &**sessions, [(&tag, w.stretches())]));
        let attempts = Attempts::of_run(outlines);
        let mut history = Self::default();
        files.into_iter().for_each(|(writer, _, written)| history.offer(writer, written));
        (history, attempts)
    }

    /// Takes what one of the run's writers wrote of the tag.
    pub fn offer(&mut self, writer: Writer, written: Written) {
        let at = self.parts.partition_point(|(other, _)| other.start() < writer.start());
        self.parts.insert(at, (writer, written));
    }

    /// Every point with its attempt: by writer, in the order of their starts, as each wrote them.
    pub fn all(&self, attempts: &Attempts) -> impl Iterator<Item = (Point, u32)> {
        self.parts.iter().flat_map(|part| all_of(part, attempts))
    }

    /// The points that stand, by rising step, as the latest attempt leaves them, each with its attempt;
    /// in the order in which they were written where no step is counted.
    pub fn latest<'a>(&'a self, attempts: &'a Attempts) -> Box<dyn Iterator<Item = (Point, u32)> + 'a> {
        let standing = attempts.standing(self.parts.iter().map(|(writer, w)| (*writer, &w.stretches)));
        let is_cut = |(_, segments): &(_, Vec<_>)| segments.iter().any(super::attempts::Segment::is_cut);
        if let [part] = &*self.parts
            && !part.1.has_back_steps
            && !standing.writers.iter().any(is_cut)
        {
            return Box::new(all_of(part, attempts));
        }
        let parts = self.parts.iter().map(|(writer, written)| (*writer, written.points.iter()));
        Box::new(latest_of(parts, &standing, self.lacks_steps()).into_iter().map(|s| (s.point, s.attempt)))
    }

    /// Whether all points are at step 0, and several of one writer: it counts no steps. Where each of several writers
    /// has one value at step 0, that is where it belongs.
    #[must_use]
    pub fn lacks_steps(&self) -> bool {
        self.parts.iter().any(|(_, written)| written.lacks_steps())
            && self.parts.iter().all(|(_, written)| written.is_at_step_0())
    }
}

/// Every point of a writer with its attempt.
fn all_of<'a>(
    (writer, written): &'a (Writer, Written),
    attempts: &Attempts,
) -> impl Iterator<Item = (Point, u32)> + use<'a> {
    let by_stretch: Vec<(usize, u32)> = attempts.of_values(writer, &written.stretches).collect();
    let attempts = by_stretch.into_iter().flat_map(|(n, attempt)| std::iter::repeat_n(attempt, n));
    written.points.iter().zip(attempts)
}

/// A point that stands.
#[derive(Debug, Clone, Copy)]
struct Latest {
    point: Point,
    writer: Writer,
    attempt: u32,
}

/// The points that stand of what some writers wrote, by rising step; of several at one step that which counts, of one
/// writer the last written. Where no step is counted, all that stand.
fn latest_of(
    parts: impl Iterator<Item = (Writer, impl Iterator<Item = Point>)>,
    standing: &Standing,
    lacks_steps: bool,
) -> Vec<Latest> {
    let mut all = Vec::new();
    for (writer, points) in parts {
        let mut go_over = standing.go_over(writer.id);
        let stands = |point: Point| {
            let attempt = go_over.next(point.step)?;
            Some(Latest { point, writer, attempt })
        };
        let mut of_writer: Vec<Latest> = points.filter_map(stands).collect();
        if !lacks_steps {
            of_writer.sort_by_key(|latest| latest.point.step);
            // Of one writer the last written.
            of_writer.dedup_by(|later, kept| {
                let is_same = later.point.step == kept.point.step;
                if is_same {
                    *kept = *later;
                }
                is_same
            });
        }
        all.append(&mut of_writer);
    }
    if !lacks_steps {
        all.sort_by_key(|latest: &Latest| (latest.point.step, latest.writer.start()));
        return all.chunk_by(|a, b| a.point.step == b.point.step).filter_map(counting_of).collect();
    }
    all
}

/// Of the values of several writers at one step that which counts.
fn counting_of(at_step: &[Latest]) -> Option<Latest> {
    if let [one] = at_step {
        return Some(*one);
    }
    let claim =
        |value: &Latest| Claim { value: *value, by: value.writer, clock: value.point.wall_time, rank: None };
    let claims: Vec<Claim<Latest>> = at_step.iter().map(claim).collect();
    counting(&claims).map(|claim| claim.value)
}

#[cfg(test)]
mod tests {
    use super::super::WriterId;
    use super::*;
    use crate::units::{MetricValue, Tag, WallTime};

    type File = (Writer, Vec<Step>, Written);

    /// What a writer wrote: the clock at which it started, and its points as step and clock, the sessions
    /// that it began between them as `Err`.
    fn written(id: u32, started: f64, said: &[Result<(i64, f64), i64>]) -> File {
        let mut writer = Writer::new(WriterId(id), WallTime(started));
        let (mut sessions, mut written) = (Vec::new(), Written::default());
        for said in said {
            match said {
                Err(step) => sessions.push(Step(*step)),
                Ok((step, clock)) => {
                    let (wall_time, value) = (WallTime(*clock), MetricValue::F64(*clock));
                    writer.at_work(wall_time);
                    written.add(&sessions, Point { step: Step(*step), wall_time, value });
                }
            }
        }
        (writer, sessions, written)
    }

    fn points(steps: std::ops::RangeInclusive<i64>, clock: f64) -> Vec<Result<(i64, f64), i64>> {
        steps.enumerate().map(|(i, step)| Ok((step, clock + i as f64))).collect()
    }

    type Steps = Vec<(i64, u32)>;

    /// Both views as steps with attempts: all, and the latest.
    fn views(files: &[File]) -> (Steps, Steps) {
        let (history, attempts) = History::of_files(files.iter().rev().cloned().collect());
        let steps = |(point, attempt): (Point, u32)| (point.step.0, attempt);
        (history.all(&attempts).map(steps).collect(), history.latest(&attempts).map(steps).collect())
    }

    #[test]
    fn both_views_of_a_restarted_series() {
        let later = [vec![Err(3)], points(4..=6, 100.0)].concat();
        let (all, latest) = views(&[written(0, 1.0, &points(0..=5, 1.0)), written(1, 100.0, &later)]);
        assert_eq!(latest, [(0, 1), (1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2)]);
        assert_eq!(all, [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (4, 2), (5, 2), (6, 2)]);
    }

    #[test]
    fn a_session_within_one_file_begins_an_attempt() {
        let said = [vec![Err(0)], points(0..=5, 1.0), vec![Err(2)], points(3..=4, 50.0)].concat();
        let (_, latest) = views(&[written(0, 1.0, &said)]);
        assert_eq!(latest, [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2)]);
    }

    #[test]
    fn writers_side_by_side_are_one_attempt() {
        let parts = [written(0, 1.0, &points(0..=5, 1.0)), written(1, 3.0, &points(2..=3, 3.5))];
        assert_eq!(views(&parts).1, [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
    }

    #[test]
    fn a_continued_series_is_no_new_attempt() {
        let later = [vec![Err(5)], points(6..=7, 100.0)].concat();
        let (_, latest) = views(&[written(0, 1.0, &points(0..=5, 1.0)), written(1, 100.0, &later)]);
        assert_eq!(latest.len(), 8);
        assert!(latest.iter().all(|(_, attempt)| *attempt == 1));
    }

    #[test]
    fn a_second_value_at_a_step_replaces_the_first_in_the_latest_view_only() {
        let (all, latest) = views(&[written(0, 1.0, &[Ok((5, 1.0)), Ok((5, 2.0))])]);
        assert_eq!((all.len(), latest.len()), (2, 1));
    }

    #[test]
    fn where_no_step_is_counted_all_points_stand_in_their_order() {
        let (history, attempts) =
            History::of_files(vec![written(0, 1.0, &[Ok((0, 1.0)), Ok((0, 3.0)), Ok((0, 2.0))])]);
        assert!(history.lacks_steps());
        let clocks: Vec<f64> = history.latest(&attempts).map(|(point, _)| point.wall_time.0).collect();
        assert_eq!(clocks, [1.0, 3.0, 2.0]);
    }

    #[test]
    fn writers_side_by_side_with_a_value_at_step_0_give_one() {
        let parts = [written(0, 1.0, &[Ok((0, 3.0))]), written(1, 2.0, &[Ok((0, 4.0))])];
        let (all, latest) = views(&parts);
        assert_eq!((all.len(), latest.len()), (2, 1));
        // So does one that writes there twice, and is known to count steps.
        let mut twice = written(0, 1.0, &[Ok((0, 1.0)), Ok((0, 2.0))]);
        assert_eq!(views(&[twice.clone()]).1.len(), 2);
        twice.2.set_counts_steps();
        assert_eq!(views(&[twice]).1.len(), 1);
    }

    #[test]
    fn an_attempt_has_one_number_in_all_tags_of_a_run() {
        // The second writer begins with a tag that the first never wrote.
        let (first, none, loss) = written(0, 1.0, &points(1..=3, 1.0));
        let (second, sessions, again) = written(1, 100.0, &[Err(1), Ok((2, 101.0))]);
        let [a, b] = [Tag::from("loss"), Tag::from("only later")];
        let attempts = Attempts::of_run([
            (first, &*none, vec![(&a, loss.stretches())]),
            (second, &*sessions, vec![(&a, again.stretches()), (&b, again.stretches())]),
        ]);
        assert_eq!(
            (attempts.n(), attempts.of_session(&first, 0), attempts.of_session(&second, 1)),
            (2, 1, 2)
        );
    }

    #[test]
    fn a_session_makes_void_what_it_never_writes_again() {
        let eval = [Ok((100, 1.0)), Ok((500, 2.0)), Ok((1_000, 3.0))];
        let silent = written(1, 100.0, &[Err(500)]);
        let (all, latest) = views(&[written(0, 1.0, &eval), silent]);
        assert_eq!(all, [(100, 1), (500, 1), (1_000, 1)]);
        assert_eq!(latest, [(100, 1), (500, 1)]);
        let own = [&eval[..], &[Err(200)]].concat();
        assert_eq!(views(&[written(0, 1.0, &own)]).1, [(100, 1)]);
    }

    #[test]
    fn steps_that_fall_far_and_go_on_from_there_begin_an_attempt() {
        let steps = [100, 200, 300, 101, 201].map(|step| Ok((step, 1.0)));
        let (all, latest) = views(&[written(0, 1.0, &steps)]);
        assert_eq!(all, [(100, 1), (200, 1), (300, 1), (101, 2), (201, 2)]);
        assert_eq!(latest, [(100, 1), (101, 2), (201, 2)]);
    }
}

#[cfg(test)]
mod properties {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::{Offered, Position, Rule, Series, TagSummary, WriterId};
    use super::*;
    use crate::scalar::Content;
    use crate::units::{MetricValue, WallTime};

    /// What one file says of a tag: from which clock on, and each a session or a point, with its clock.
    type File = (u8, Vec<(bool, i64, u8)>);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// However the events of several files are mixed as they arrive, a follower that takes what it is
        /// told ends with the points that a reader of the whole files gets, and the same last one.
        #[test]
        fn following_and_reading_agree(
            files in prop::collection::vec((1u8..40, prop::collection::vec((prop::bool::weighted(0.1), 1i64..12, 0u8..20), 1..8)), 1..5),
            order in prop::collection::vec(any::<prop::sample::Index>(), 40),
        ) {
            let mut files: Vec<File> = files;
            // Only one file without sessions passes over its steps again, and in a later pass steps fall to the beginning
            // alone: passes, and what was written beside them or made void in one of them, are not told apart by step.
            let is_alone = files.len() == 1 && files.iter().flat_map(|(_, said)| said).all(|(is_session, ..)| !is_session);
            for (_, said) in &mut files {
                let (mut last, mut beginning, mut is_first_pass) = (0, Vec::new(), true);
                for (is_session, step, _) in said {
                    if *is_session {
                        last = 0;
                        continue;
                    }
                    let is_pass = is_alone && beginning.last().is_some_and(|second| *step < *second);
                    let rises = *step >= last || (is_alone && is_first_pass);
                    if is_pass {
                        (is_first_pass, beginning) = (false, vec![*step]);
                    } else if !rises {
                        *step = last;
                    }
                    if beginning.len() < 2 {
                        beginning.push(*step);
                    }
                    last = *step;
                }
            }
            let mut queues: Vec<Vec<(bool, i64, f64)>> = files.iter().map(|(started, said)| {
                let mut clock = f64::from(*started);
                said.iter().map(|(is_session, step, later)| {
                    clock += f64::from(*later);
                    (*is_session, *step, clock)
                }).collect()
            }).collect();
            let whole = queues.clone();
            queues.iter_mut().for_each(|queue| queue.reverse());

            // What a new file begins anew is told by readers of files as an attempt.
            let since = Some(WallTime(f64::INFINITY));
            let mut series = Series::new(Rule { since, ..Rule::default() });
            let mut told: BTreeMap<Position, f64> = BTreeMap::new();
            for pick in order.iter().cycle() {
                let left: Vec<usize> = (0..queues.len()).filter(|i| !queues[*i].is_empty()).collect();
                if left.is_empty() {
                    break;
                }
                let i = left[pick.index(left.len())];
                let (is_session, step, clock) = queues[i].pop().expect("it is not empty");
                let (writer, started) = (WriterId(i as u32), WallTime(f64::from(files[i].0)));
                if is_session {
                    if let Some(from) = series.session_start(writer, started, Step(step)) {
                        told.split_off(&from);
                        told.extend(series.points_from(from).map(|(pass, p)| (Position { pass, step: p.step }, p.wall_time.0)));
                    }
                    continue;
                }
                let point = Point { step: Step(step), wall_time: WallTime(clock), value: MetricValue::F64(clock) };
                match series.offer(writer, started, point) {
                    Offered::Stands(pass, point) => {
                        told.insert(Position { pass, step: point.step }, point.wall_time.0);
                    }
                    Offered::Replaced => {}
                    Offered::Retold(from) => {
                        told.split_off(&from);
                        told.extend(series.points_from(from).map(|(pass, p)| (Position { pass, step: p.step }, p.wall_time.0)));
                    }
                }
            }

            let mut summary: Option<TagSummary> = None;
            let mut files_read = Vec::new();
            for (i, said) in whole.iter().enumerate() {
                let mut writer = Writer::new(WriterId(i as u32), WallTime(f64::from(files[i].0)));
                let (mut sessions, mut written) = (Vec::new(), Written::default());
                let mut of_file: Option<TagSummary> = None;
                for (is_session, step, clock) in said {
                    let (step, wall_time, value) = (Step(*step), WallTime(*clock), MetricValue::F64(*clock));
                    if *is_session {
                        sessions.push(step);
                        continue;
                    }
                    writer.at_work(wall_time);
                    written.add(&sessions, Point { step, wall_time, value });
                    let of_file = of_file.get_or_insert_with(|| TagSummary::new(step));
                    of_file.add(&sessions, step, wall_time, &Content::Scalar(value));
                }
                files_read.push((writer, sessions, written));
                if let Some(mut of_file) = of_file {
                    of_file.settle(writer);
                    match &mut summary {
                        Some(summary) => summary.join(of_file),
                        none => *none = Some(of_file),
                    }
                }
            }
            let points: Vec<(WriterId, Vec<Point>)> =
                files_read.iter().map(|(writer, _, written)| (writer.id, written.points.iter().collect())).collect();
            let (history, attempts) = History::of_files(files_read);
            let read: Vec<(i64, f64)> =
                history.latest(&attempts).map(|(p, _)| (p.step.0, p.wall_time.0)).collect();
            // Of several passes the last one to write a step counts.
            let by_step: BTreeMap<i64, f64> = told.iter().map(|(at, clock)| (at.step.0, *clock)).collect();
            prop_assert_eq!(&by_step.into_iter().collect::<Vec<_>>(), &read);
            let last = summary.map(|mut summary| {
                if let Some(standing) = summary.finish(&attempts) {
                    for (writer, points) in &points {
                        let mut go_over = standing.go_over(*writer);
                        for point in points {
                            if go_over.next(point.step).is_some() {
                                summary.take_standing(*writer, point.step, point.wall_time, Some(point.value));
                            }
                        }
                    }
                }
                (summary.last(), summary.first_step)
            });
            if let Some((last, first_step)) = last {
                let value = |(step, clock): &(i64, f64)| (Step(*step), Some(MetricValue::F64(*clock)));
                // Of a writer with several passes, that of the last with several steps.
                let passes: Vec<u32> = told.keys().map(|at| at.pass).collect();
                let has_steps = |pass: &&u32| passes.iter().filter(|other| other == pass).count() > 1;
                let ended = passes.iter().rev().find(has_steps).filter(|pass| **pass > 0);
                let ended = ended.and_then(|pass| told.iter().rev().find(|(at, _)| at.pass == *pass));
                let expected = ended.map(|(at, clock)| (at.step.0, *clock)).or(read.last().copied());
                prop_assert_eq!(last, expected.as_ref().map_or((first_step, None), value));
            }
        }
    }
}
