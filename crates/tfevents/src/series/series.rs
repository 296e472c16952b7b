//! The points of one tag of one run directory while its files grow.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::writer::{Claim, counting, keep_side_by_side};
use super::{
    Live, OfferResult, Point, Position, Rank, RewindReason, Rewound, Sample, Shape, Standing, WriterId,
};
use crate::limits::MAX_SERIES_POINTS;
use crate::units::{MetricValue, Step, WallTime};

/// The tag's name in [`Live`], which follows it alone.
const TAG: &str = "";

/// How a series is read where a step has several values.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rule {
    /// Of the values that a writer writes one after the other at one step the mean counts, not the last; NaN where one
    /// is.
    pub takes_mean_of_step: bool,
    /// Of the values of writers side by side the mean counts, at the steps that all of them have; not those of one.
    pub takes_mean_of_writers: bool,
    /// What was written before belongs to earlier attempts of the trial.
    pub since: Option<WallTime>,
}

/// The points of one tag of one run directory while its files grow: those that stand, by pass and step, as the
/// latest attempt leaves them; see `pass.rs`.
///
/// What a writer replaced is kept: one that was only silent, and had not ended as it seemed, gets it back.
/// Of a series of more than [`MAX_SERIES_POINTS`] points those of a [`Sample`] of the positions are kept, of each writer
/// the last, the smallest and the largest, and all that came since the sample was taken.
#[derive(Debug, Clone, Default)]
pub struct Series {
    rule: Rule,
    live: Live,
    writers: BTreeMap<WriterId, Kept>,
    standing: BTreeMap<Position, Held>,
    /// The pass in which the latest writer began.
    pass: u32,
    /// Writers side by side that hold the same positions.
    beside: BTreeSet<WriterId>,
    /// Whether any of their values differ.
    do_they_differ: bool,
    sample: Sample,
    /// How many points of writers are kept.
    n_kept: usize,
    /// How many are kept when the next sample is taken, at least.
    thin_at: usize,
}

/// What is kept of one writer.
#[derive(Debug, Clone, Default)]
struct Kept {
    started: WallTime,
    /// Its place among the processes of a training, where it is known.
    rank: Option<Rank>,
    n_values: usize,
    /// The pass of the series that its first pass is.
    first_pass: u32,
    /// In the order in which they were written.
    points: Vec<KeptPoint>,
}

/// A point of a writer: of several at one step that count as one, what they come to.
#[derive(Debug, Clone, Copy)]
struct KeptPoint {
    /// How many values of the writer came before.
    number: usize,
    /// Its pass among the writer's own.
    pass: u32,
    point: Point,
    /// Of how many values it is the mean, and their sum.
    n: u32,
    sum: f64,
    /// A session began behind it.
    is_closed: bool,
}

/// What stands at a position.
#[derive(Debug, Clone)]
struct Held {
    point: Point,
    by: WriterId,
    /// The values of writers at its side that count less.
    beside: Vec<(Point, WriterId)>,
}

/// What became of an offered point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Offered {
    /// This stands in this pass; what was at its step before is replaced.
    Stands(u32, Point),
    /// A later attempt, or one that counts more, was there before it.
    Replaced,
    /// Points from this position on changed: those of [`Series::points_from`] stand.
    Retold(Position),
}

impl Series {
    /// No points yet.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self { rule, ..Self::default() }
    }

    /// Takes a session's start (`SessionLog.START`) at `step`: where a writer whose first event has the
    /// clock `started` resumed. The answer is the position from which on points are void, where there were some.
    pub fn session_start(&mut self, writer: WriterId, started: WallTime, step: Step) -> Option<Position> {
        if let Some(last) = self.writers.get_mut(&writer).and_then(|kept| kept.points.last_mut()) {
            last.is_closed = true;
        }
        let rewound = self.live.session_start(writer, started, step).pop()?;
        let from = self.resume(&rewound, started);
        Some(self.retell(from, rewound.leaves_some.then_some(Some(writer))))
    }

    /// Takes it that some event of a writer, whatever its tag, has this clock. The answer is the position from
    /// which on points changed, where they did: the writer had not ended as it seemed.
    pub fn at_work(&mut self, writer: WriterId, clock: WallTime) -> Option<Position> {
        let started = self.writers.get(&writer)?.started;
        self.is_alive(writer, started, clock)
    }

    /// The same of a writer that may have written nothing yet, whose first event has the clock `started`.
    pub fn is_alive(&mut self, writer: WriterId, started: WallTime, clock: WallTime) -> Option<Position> {
        let rewound = self.live.at_work(writer, started, clock).pop()?;
        Some(self.revive(writer, &rewound))
    }

    /// Takes the place of a writer among the processes of a training: of those side by side the lowest counts. The
    /// answer is the position from which on points changed.
    pub fn set_rank(&mut self, writer: WriterId, started: WallTime, rank: Rank) -> Option<Position> {
        let kept = self.writers.entry(writer).or_insert_with(|| Kept { started, ..Kept::default() });
        let is_news = kept.rank.replace(rank) != Some(rank) && self.beside.contains(&writer);
        let first_pass = kept.first_pass;
        is_news.then(|| self.retell(Position { pass: first_pass, ..Position::FIRST }, Some(None)))
    }

    /// Takes a point.
    pub fn offer(&mut self, writer: WriterId, started: WallTime, point: Point) -> Offered {
        if self.n_kept >= self.thin_at.max(2 * MAX_SERIES_POINTS) {
            self.thin();
        }
        let revived = self.live.at_work(writer, started, point.wall_time).pop();
        let revived = revived.map(|rewound| self.revive(writer, &rewound));
        let n_beside = self.beside.len();
        let told = self.live.offer(writer, TAG, point);
        let pass = self.live.pass(writer, TAG);
        let kept = self.writers.entry(writer).or_insert_with(|| Kept { started, ..Kept::default() });
        if kept.n_values == 0 {
            kept.first_pass = self.pass;
        }
        let added = kept.add(pass, point, self.rule.takes_mean_of_step);
        self.n_kept += added.is_new;
        let pass = kept.first_pass + pass;
        let stood = match told {
            OfferResult::Stands(_) => self.put(writer, pass, added.point),
            OfferResult::Void | OfferResult::LeftOut => false,
            OfferResult::Rewinds(rewound, _) if self.is_pass(writer, &rewound) => {
                self.pass = self.n_passes();
                let kept = self.writers.entry(writer).or_default();
                kept.first_pass = self.pass;
                self.put(writer, self.pass, added.point)
            }
            OfferResult::Rewinds(rewound, points) => {
                let from = self.resume(&rewound, started);
                let from = from.min(Position { pass: from.pass, step: point.step });
                // What counts of several values at a step is what is kept.
                let takes_mean = self.rule.takes_mean_of_step;
                let again = if takes_mean { Some(None) } else { rewound.leaves_some.then_some(Some(writer)) };
                let from = self.retell(from, again);
                let first_pass = self.writers.get(&writer).map_or(0, |kept| kept.first_pass);
                let pass = first_pass + self.live.pass(writer, TAG);
                for point in points.into_iter().filter(|_| !takes_mean) {
                    self.put(writer, pass, point);
                }
                return Offered::Retold(revived.map_or(from, |revived| revived.min(from)));
            }
        };
        let first_pass = self.writers.get(&writer).map_or(0, |kept| kept.first_pass);
        let at = Position { pass: first_pass + self.live.pass(writer, TAG), step: point.step };
        if self.rule.takes_mean_of_writers && self.beside.len() > n_beside {
            return Offered::Retold(Position::FIRST);
        }
        match revived {
            Some(from) => Offered::Retold(from.min(at)),
            None if stood => self.at(at).map_or(Offered::Replaced, |point| Offered::Stands(at.pass, point)),
            None => Offered::Replaced,
        }
    }

    /// The points that stand, each with its pass, by rising position.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = (u32, Point)> {
        self.points_from(Position::FIRST)
    }

    /// Those of them from a position on.
    pub fn points_from(&self, from: Position) -> impl DoubleEndedIterator<Item = (u32, Point)> {
        self.standing.range(from..).filter_map(|(at, held)| Some((at.pass, self.told(held)?)))
    }

    /// The point that stands at a position.
    #[must_use]
    pub fn at(&self, position: Position) -> Option<Point> {
        self.told(self.standing.get(&position)?)
    }

    /// How many points stand.
    #[must_use]
    pub fn len(&self) -> usize {
        self.standing.len()
    }

    /// Whether no point stands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.standing.is_empty()
    }

    /// What is unusual in how steps were written.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let shape = self.live.shape(TAG);
        Shape { n_passes: shape.n_passes.max(self.n_passes()), ..shape }
    }

    /// How many writers side by side hold the same steps with other values, and whether their ranks are known;
    /// `None` where none do.
    #[must_use]
    pub fn beside(&self) -> Option<(usize, bool)> {
        let rank = |writer| match self.writers.get(writer)?.rank? {
            Rank::Told(rank) => Some(rank),
            Rank::Process(_) => None,
        };
        let ranks: BTreeSet<u32> = self.beside.iter().filter_map(rank).collect();
        self.do_they_differ.then_some((self.beside.len(), ranks.len() > 1))
    }

    fn n_passes(&self) -> u32 {
        self.standing.last_key_value().map_or(1, |(at, _)| at.pass + 1)
    }

    /// What of a position is told: of writers side by side the mean, where that is asked for and all have one.
    fn told(&self, held: &Held) -> Option<Point> {
        if !self.rule.takes_mean_of_writers || !self.beside.contains(&held.by) {
            return Some(held.point);
        }
        let n = self.beside.iter().filter(|id| self.are_beside(**id, held.by)).count();
        let others = || held.beside.iter().filter(|(_, by)| self.beside.contains(by));
        let all = || std::iter::once(&held.point).chain(others().map(|(point, _)| point));
        if all().count() < n {
            return None;
        }
        let sum: f64 = all().map(|point| point.value.as_f64()).sum();
        let wall_time = all().map(|point| point.wall_time.0).fold(f64::NEG_INFINITY, f64::max);
        let value = MetricValue::F64(sum / n as f64);
        Some(Point { step: held.point.step, wall_time: WallTime(wall_time), value })
    }

    /// Whether a writer that seems to resume begins a pass: with its first value, at the beginning, without a session, in
    /// the same attempt of the trial as the writers before it.
    fn is_pass(&self, writer: WriterId, rewound: &Rewound) -> bool {
        let is_first = self.writers.get(&writer).is_some_and(|kept| kept.n_values == 1);
        let is_silent = rewound.rewind.reason == RewindReason::FallingSteps;
        let first = self.standing.range(Position { pass: self.n_passes() - 1, ..Position::FIRST }..).next();
        let started = |id| self.writers.get(id).map(|kept: &Kept| kept.started);
        is_first
            && is_silent
            && first.is_some_and(|(at, held)| {
                rewound.rewind.from <= at.step
                    && !self.are_beside(writer, held.by)
                    && (self.rule.since.is_none() || started(&held.by) >= self.rule.since)
            })
    }

    /// Takes it that a writer resumed, as `rewound` says: where in the series that is. An attempt of the trial that begins
    /// anew leaves no pass.
    fn resume(&mut self, rewound: &Rewound, started: WallTime) -> Position {
        let from = Position { pass: self.n_passes() - 1, step: rewound.rewind.from };
        let begins_attempt = self.rule.since.is_some_and(|since| started >= since)
            && self
                .writers
                .iter()
                .any(|(id, kept)| Some(*id) != rewound.by && Some(kept.started) < self.rule.since);
        let last = self.standing.range(Position { pass: from.pass, ..Position::FIRST }..).next();
        // A value at the very step of a session stands until it is written anew.
        let is_session = rewound.rewind.reason == RewindReason::Session;
        let leaves_none =
            last.is_none_or(|(at, _)| at.step.0.saturating_add(is_session.into()) >= from.step.0);
        let from = if begins_attempt && leaves_none { Position::FIRST } else { from };
        self.pass = from.pass;
        let is_new = |kept: &&mut Kept| kept.n_values <= 1;
        if let Some(kept) = rewound.by.and_then(|by| self.writers.get_mut(&by)).filter(is_new) {
            kept.first_pass = from.pass;
        }
        from
    }

    /// A writer had not ended as it seemed: those that seemed to follow it are at its side, in its pass.
    fn revive(&mut self, writer: WriterId, rewound: &Rewound) -> Position {
        let pass = self.writers.get(&writer).map_or(0, |kept| kept.first_pass);
        let later: Vec<WriterId> =
            self.writers.keys().copied().filter(|id| self.are_beside(*id, writer)).collect();
        let mut from = Position { pass, step: rewound.rewind.from };
        for id in later {
            if let Some(kept) = self.writers.get_mut(&id).filter(|kept| kept.first_pass > pass) {
                kept.first_pass = pass;
                from.step = Step(i64::MIN);
            }
        }
        self.pass = self.writers.values().map(|kept| kept.first_pass).max().unwrap_or(0);
        self.retell(from, Some(None))
    }

    /// Whether two writers work side by side, or are one.
    fn are_beside(&self, a: WriterId, b: WriterId) -> bool {
        let known = |id| self.live.known_writer(id);
        a == b || known(a).zip(known(b)).is_some_and(|(a, b)| a.is_beside(b))
    }

    /// Puts a point at its position, but where that of another writer counts more. The answer is whether what stands there
    /// changed.
    fn put(&mut self, writer: WriterId, pass: u32, point: Point) -> bool {
        let at = Position { pass, step: point.step };
        let Some(held) = self.standing.get_mut(&at) else {
            self.standing.insert(at, Held { point, by: writer, beside: Vec::new() });
            return true;
        };
        if held.by == writer && held.beside.is_empty() {
            held.point = point;
            return true;
        }
        let (was_by, others) = (held.by, std::mem::take(&mut held.beside));
        let others = std::iter::once((held.point, held.by)).chain(others).filter(|(_, by)| *by != writer);
        let values = others.chain([(point, writer)]);
        let mut claims: Vec<Claim<Point>> = values.filter_map(|(point, by)| self.claim(by, point)).collect();
        keep_side_by_side(&mut claims);
        let (stands, by) = counting(&claims).map_or((point, writer), |claim| (claim.value, claim.by.id));
        let beside: Vec<&Claim<Point>> = claims.iter().filter(|claim| claim.by.has_clock()).collect();
        let is_beside_others = beside.len() > 1 && beside.iter().any(|claim| claim.by.id == writer);
        if is_beside_others {
            let bits = |point: Point| point.value.as_f64().to_bits();
            self.beside.extend(beside.iter().map(|claim| claim.by.id));
            self.do_they_differ |= beside.iter().any(|claim| bits(claim.value) != bits(point));
        }
        let beside = claims.iter().filter(|claim| claim.by.id != by).map(|claim| (claim.value, claim.by.id));
        self.standing.insert(at, Held { point: stands, by, beside: beside.collect() });
        by != was_by || by == writer || (is_beside_others && self.rule.takes_mean_of_writers)
    }

    /// A point of a writer as one of several at its step; `None` where the writer is not known any more.
    fn claim(&self, writer: WriterId, point: Point) -> Option<Claim<Point>> {
        let rank = self.writers.get(&writer).and_then(|kept| kept.rank);
        let by = *self.live.known_writer(writer)?;
        Some(Claim { value: point, by, clock: point.wall_time, rank })
    }

    /// Removes what stands from `from` on; `again` says that points of all writers, or of all but one, stand all the
    /// same.
    fn retell(&mut self, from: Position, again: Option<Option<WriterId>>) -> Position {
        let step = if self.n_passes() == 1 { from.step } else { Step(i64::MIN) };
        self.standing.split_off(&from);
        if let Some(but) = again {
            let standing = self.live.standing(TAG, step, but);
            self.put_standing(&standing, from);
        }
        from
    }

    fn put_standing(&mut self, standing: &Standing, from: Position) {
        for writer in standing.writers() {
            let Some(kept) = self.writers.get(&writer) else { continue };
            let mut points = Vec::new();
            let (mut go_over, mut n_gone) = (standing.go_over(writer), 0);
            for KeptPoint { number, pass, point, .. } in &kept.points {
                go_over.skip(number - n_gone);
                n_gone = number + 1;
                let pass = kept.first_pass + pass;
                let is_behind = Position { pass, step: point.step } >= from;
                if go_over.next(point.step).is_some() && is_behind {
                    points.push((pass, *point));
                }
            }
            for (pass, point) in points {
                self.put(writer, pass, point);
            }
        }
    }

    /// Keeps the points of fewer positions.
    fn thin(&mut self) {
        for kept in self.writers.values_mut() {
            kept.drop_overwritten();
        }
        self.count_kept();
        while self.n_kept.max(self.standing.len()) > MAX_SERIES_POINTS && self.sample.half() != self.sample {
            self.sample = self.sample.half();
            let sample = self.sample;
            let kept = landmarks(self.standing.iter().map(|(at, held)| (*at, held.point.value)));
            self.standing.retain(|at, _| sample.has(*at) || kept.contains(&Some(*at)));
            for writer in self.writers.values_mut() {
                let of_series =
                    |kept: &KeptPoint| Position { pass: writer.first_pass + kept.pass, ..kept.at() };
                let kept = landmarks(writer.points.iter().map(|kept| (of_series(kept), kept.point.value)));
                let is_kept = |at: Position| sample.has(at) || kept.contains(&Some(at));
                let first_pass = writer.first_pass;
                writer.points.retain(|one| is_kept(Position { pass: first_pass + one.pass, ..one.at() }));
            }
            self.count_kept();
        }
        // With very many writers more is left.
        self.thin_at = 2 * self.n_kept.max(MAX_SERIES_POINTS);
    }

    fn count_kept(&mut self) {
        self.n_kept = self.writers.values().map(|kept| kept.points.len()).sum();
    }
}

/// The positions of values that results are made of: the last, and of those that are finite the smallest and the largest.
fn landmarks(values: impl Iterator<Item = (Position, MetricValue)>) -> [Option<Position>; 3] {
    let mut last = None;
    let (mut smallest, mut largest) = (None::<(Position, f64)>, None::<(Position, f64)>);
    for (at, value) in values {
        last = last.max(Some(at));
        let value = value.as_f64();
        if value.is_finite() {
            smallest = smallest.filter(|(_, least)| *least <= value).or(Some((at, value)));
            largest = largest.filter(|(_, most)| *most >= value).or(Some((at, value)));
        }
    }
    [last, smallest.map(|(at, _)| at), largest.map(|(at, _)| at)]
}

/// A point as it was added to those of a writer.
struct AddedPoint {
    /// Where it is one of several at a step that count as one, what they come to.
    point: Point,
    /// 1 where it is kept as one more, else 0.
    is_new: usize,
}

impl Kept {
    fn add(&mut self, pass: u32, point: Point, takes_mean: bool) -> AddedPoint {
        let number = self.n_values;
        self.n_values += 1;
        let is_same = |last: &&mut KeptPoint| {
            takes_mean && !last.is_closed && (last.pass, last.point.step) == (pass, point.step)
        };
        if let Some(last) = self.points.last_mut().filter(is_same) {
            last.n = last.n.saturating_add(1);
            last.sum += point.value.as_f64();
            last.point = Point { value: MetricValue::F64(last.sum / f64::from(last.n)), ..point };
            return AddedPoint { point: last.point, is_new: 0 };
        }
        self.points.push(KeptPoint {
            number,
            pass,
            point,
            n: 1,
            sum: point.value.as_f64(),
            is_closed: false,
        });
        AddedPoint { point, is_new: 1 }
    }

    /// Drops the points whose writer wrote their step again later in the same pass: they never stand again.
    fn drop_overwritten(&mut self) {
        let mut positions = HashSet::with_capacity(self.points.len());
        let mut is_last: Vec<bool> =
            self.points.iter().rev().map(|kept| positions.insert(kept.at())).collect();
        self.points.retain(|_| is_last.pop().unwrap_or(true));
        self.points.shrink_to(MAX_SERIES_POINTS);
    }
}

impl KeptPoint {
    /// Its position among the writer's own.
    fn at(&self) -> Position {
        Position { pass: self.pass, step: self.point.step }
    }
}

#[cfg(test)]
mod tests {
    use super::Offered::{Replaced, Retold};
    use super::*;

    const A: WriterId = WriterId(0);
    const B: WriterId = WriterId(1);

    fn point(step: i64, wall: f64) -> Point {
        Point { step: Step(step), wall_time: WallTime(wall), value: MetricValue::F64(wall) }
    }

    fn at(step: i64) -> Position {
        Position::first_pass(Step(step))
    }

    #[track_caller]
    fn stands(offered: Offered) {
        assert!(matches!(offered, Offered::Stands(..)), "{offered:?}");
    }

    fn steps_and_values(series: &Series) -> Vec<(i64, f64)> {
        series.points().map(|(_, p)| (p.step.0, p.value.as_f64())).collect()
    }

    /// Steps 0, 10 … 100 by writer A, at wall times 1000, 1010 …
    fn first_attempt() -> Series {
        let mut series = Series::default();
        for step in (0..=100).step_by(10) {
            stands(series.offer(A, WallTime(999.0), point(step, 1000.0 + step as f64)));
        }
        series
    }

    #[test]
    fn a_restart_with_a_session_replaces_the_later_steps_once() {
        let mut series = first_attempt();
        assert_eq!(series.session_start(B, WallTime(2000.0), Step(80)), Some(at(81)));
        assert_eq!(series.len(), 9, "a start alone makes void what lies behind it");
        stands(series.offer(B, WallTime(2000.0), point(80, 2080.0)));
        stands(series.offer(B, WallTime(2000.0), point(90, 2090.0)));
        assert_eq!(steps_and_values(&series)[7..], [(70, 1070.0), (80, 2080.0), (90, 2090.0)]);
    }

    #[test]
    fn a_value_at_the_checkpoint_stands_until_it_is_written_anew() {
        let mut series = first_attempt();
        series.session_start(B, WallTime(2000.0), Step(80));
        stands(series.offer(B, WallTime(2000.0), point(95, 2095.0)));
        assert_eq!(steps_and_values(&series)[7..], [(70, 1070.0), (80, 1080.0), (95, 2095.0)]);
    }

    #[test]
    fn falling_steps_in_a_later_file_are_a_restart_too() {
        let mut series = first_attempt();
        assert_eq!(series.offer(B, WallTime(2000.0), point(80, 2080.0)), Retold(at(80)));
        assert_eq!(series.len(), 9);
    }

    #[test]
    fn the_first_session_of_an_empty_series_removes_nothing() {
        let mut series = Series::default();
        assert_eq!(series.session_start(A, WallTime(2000.0), Step(0)), None);
        stands(series.offer(A, WallTime(1.0), point(0, 2.0)));
    }

    #[test]
    fn a_small_step_back_within_one_file_is_no_restart() {
        let mut series = first_attempt();
        stands(series.offer(A, WallTime(999.0), point(95, 1101.0)));
        assert_eq!(series.len(), 12);
    }

    #[test]
    fn steps_that_fall_far_and_go_on_from_there_are_told_anew() {
        let mut series = first_attempt();
        stands(series.offer(A, WallTime(999.0), point(41, 1101.0)));
        assert_eq!(series.offer(A, WallTime(999.0), point(51, 1102.0)), Retold(at(41)));
        let steps: Vec<i64> = series.points().map(|(_, point)| point.step.0).collect();
        assert_eq!(steps, [0, 10, 20, 30, 40, 41, 51]);
    }

    #[test]
    fn of_a_long_series_a_sample_is_kept_with_its_last_point_and_all_that_came_since() {
        let (mut series, n) = (Series::default(), 10 * MAX_SERIES_POINTS as i64);
        for step in 0..n {
            stands(series.offer(A, WallTime(1.0), point(step, 1.0 + step as f64)));
            assert!(series.n_kept <= 2 * MAX_SERIES_POINTS && series.len() <= 2 * MAX_SERIES_POINTS + 1);
            assert_eq!(series.points().next_back().map(|(_, point)| point.step), Some(Step(step)));
        }
        let from = Step(n / 2);
        assert_eq!(series.session_start(A, WallTime(1.0), from), Some(at(n / 2 + 1)));
        assert!(series.points().next_back().is_some_and(|(_, point)| n / 2 - point.step.0 < 500));
        // However often a step is written, it is kept once.
        for i in 0..3 * MAX_SERIES_POINTS {
            series.offer(A, WallTime(1.0), point(7, 1e6 + i as f64));
        }
        assert!(series.n_kept <= 2 * MAX_SERIES_POINTS);
    }

    #[test]
    fn writers_side_by_side_keep_each_other_s_points() {
        let mut series = first_attempt();
        stands(series.offer(B, WallTime(1050.0), point(55, 1101.0)));
        assert_eq!(series.len(), 12);
    }

    #[test]
    fn of_two_values_at_one_step_the_last_is_kept() {
        let mut series = Series::default();
        series.offer(A, WallTime(0.0), point(5, 1.0));
        stands(series.offer(A, WallTime(0.0), point(5, 2.0)));
        assert_eq!(steps_and_values(&series), [(5, 2.0)]);
    }

    #[test]
    fn a_writer_s_restart_leaves_those_at_its_side_alone() {
        // B works beside A, which goes on to step 100, and resumes from its own step 20.
        let mut series = first_attempt();
        for step in [20, 21, 25] {
            series.offer(B, WallTime(1050.0), point(step, 1100.0 + step as f64));
        }
        assert_eq!(series.session_start(B, WallTime(1050.0), Step(20)), Some(at(21)));
        stands(series.offer(B, WallTime(1050.0), point(22, 1200.0)));
        let steps: Vec<i64> = series.points().map(|(_, point)| point.step.0).collect();
        assert_eq!(steps, [0, 10, 20, 22, 30, 40, 50, 60, 70, 80, 90, 100]);
    }

    #[test]
    fn a_value_that_does_not_count_stands_when_the_one_that_does_is_void() {
        // B works beside A, which began first.
        let mut series = first_attempt();
        assert_eq!(series.offer(B, WallTime(1050.0), point(30, 1150.0)), Replaced);
        assert_eq!(steps_and_values(&series)[3], (30, 1030.0));
        assert_eq!(series.beside(), Some((2, false)));
        assert_eq!(series.session_start(A, WallTime(999.0), Step(5)), Some(at(6)));
        assert_eq!(steps_and_values(&series), [(0, 1000.0), (30, 1150.0)]);
    }

    #[test]
    fn the_lowest_rank_counts_or_the_mean_of_all() {
        let beside = |rule: Rule| {
            let mut series = Series::new(rule);
            for (writer, more) in [(A, 0.0), (B, 10.0)] {
                for step in 0..3 {
                    series.offer(writer, WallTime(999.0), point(step, 1000.0 + step as f64 + more));
                }
            }
            series.at_work(A, WallTime(2000.0));
            series
        };
        let mut series = beside(Rule::default());
        assert_eq!(steps_and_values(&series), [(0, 1000.0), (1, 1001.0), (2, 1002.0)]);
        assert_eq!(series.set_rank(B, WallTime(999.0), Rank::Told(0)), Some(Position::FIRST));
        assert_eq!(steps_and_values(&series), [(0, 1010.0), (1, 1011.0), (2, 1012.0)]);
        assert_eq!(series.set_rank(A, WallTime(999.0), Rank::Told(1)), Some(Position::FIRST));
        assert_eq!(steps_and_values(&series), [(0, 1010.0), (1, 1011.0), (2, 1012.0)]);
        let mut series = beside(Rule { takes_mean_of_writers: true, ..Rule::default() });
        assert_eq!(steps_and_values(&series), [(0, 1005.0), (1, 1006.0), (2, 1007.0)]);
        series.offer(A, WallTime(999.0), point(3, 1.0));
        assert_eq!(series.len() - steps_and_values(&series).len(), 1, "B has none at this step");
    }

    #[test]
    fn a_file_that_begins_anew_is_a_pass_of_one_attempt_and_replaces_that_of_another() {
        let begin_anew = |since: Option<f64>| {
            let mut series = Series::new(Rule { since: since.map(WallTime), ..Rule::default() });
            for (writer, started) in [(A, 1000.0), (B, 2000.0)] {
                for step in 0..3 {
                    series.offer(writer, WallTime(started), point(step, started + 1.0 + step as f64));
                }
            }
            series.points().map(|(pass, point)| (pass, point.step.0)).collect::<Vec<_>>()
        };
        assert_eq!(begin_anew(None), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
        assert_eq!(begin_anew(Some(500.0)), begin_anew(None));
        assert_eq!(begin_anew(Some(1500.0)), [(0, 0), (0, 1), (0, 2)]);
    }

    #[test]
    fn passes_of_several_files_follow_each_other() {
        let mut series = Series::default();
        for (writer, started) in [(A, 1000.0), (B, 2000.0)] {
            for i in 0..6 {
                series.offer(writer, WallTime(started), point(i % 2, started + 1.0 + i as f64));
            }
        }
        let told: Vec<(u32, f64)> = series.points().map(|(pass, point)| (pass, point.wall_time.0)).collect();
        let clocks = (0..6).map(|i| 1001.0 + f64::from(i)).chain((0..6).map(|i| 2001.0 + f64::from(i)));
        let expected: Vec<(u32, f64)> = (0..12).map(|i| i / 2).zip(clocks).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn the_mean_of_writers_side_by_side_is_that_of_each_time() {
        let mut series = Series::new(Rule { takes_mean_of_writers: true, ..Rule::default() });
        for (n, started) in [(0, 1000.0), (2, 2000.0)] {
            for step in 0..2 {
                for writer in [n, n + 1] {
                    let clock = started + 10.0 * f64::from(writer - n) + step as f64 + 1.0;
                    series.offer(WriterId(writer), WallTime(started), point(step, clock));
                }
            }
        }
        let values: Vec<f64> = series.points().map(|(_, point)| point.value.as_f64()).collect();
        assert_eq!(values, [1006.0, 1007.0, 2006.0, 2007.0]);
    }

    #[test]
    fn a_writer_that_was_only_silent_gets_its_values_back() {
        let mut series = first_attempt();
        // At B's start A seems to have ended.
        assert_eq!(series.offer(B, WallTime(1105.0), point(5, 1110.0)), Retold(at(5)));
        assert_eq!(steps_and_values(&series), [(0, 1000.0), (5, 1110.0)]);
        assert_eq!(series.at_work(A, WallTime(1160.0)), Some(at(5)));
        assert_eq!(series.len(), 12);
        assert_eq!(series.at_work(A, WallTime(1170.0)), None);
        stands(series.offer(A, WallTime(999.0), point(110, 1180.0)));
    }

    #[test]
    fn a_late_value_of_an_earlier_attempt_is_no_news() {
        let mut series = Series::default();
        series.offer(B, WallTime(2000.0), point(80, 2080.0));
        stands(series.offer(A, WallTime(999.0), point(70, 1070.0)));
        assert_eq!(series.offer(A, WallTime(999.0), point(80, 1080.0)), Replaced);
        assert_eq!(series.offer(A, WallTime(999.0), point(90, 1090.0)), Replaced);
        assert_eq!(steps_and_values(&series), [(70, 1070.0), (80, 2080.0)]);
    }

    #[test]
    fn a_sample_has_what_results_are_made_of() {
        let mut series = Series::default();
        let n = 5 * MAX_SERIES_POINTS as i64 + 1;
        for step in 0..n {
            let value = if step == 77_777 { 3.0 } else { -f64::from(u8::from(step == 88_889)) };
            let point = Point { step: Step(step), wall_time: WallTime(1.0), value: MetricValue::F64(value) };
            series.offer(A, WallTime(1.0), point);
        }
        assert!(series.len() < 3 * MAX_SERIES_POINTS);
        // OfferResult anew from what the writers keep.
        series.retell(Position::FIRST, Some(None));
        let steps: Vec<i64> = series.points().map(|(_, point)| point.step.0).collect();
        for step in [77_777, 88_889, n - 1] {
            assert!(steps.contains(&step), "{step}");
        }
    }

    #[test]
    fn a_clock_that_says_nothing_replaces_nothing_but_its_own_step() {
        for clock in [f64::NAN, 0.0, -1.0] {
            let mut series = first_attempt();
            series.offer(B, WallTime(clock), Point { wall_time: WallTime(clock), ..point(55, 1.0) });
            assert_eq!(series.len(), 12);
        }
    }
}
