//! The objective of a trial: one tag, read from one run directory, whichever that turns out to be, or from several that
//! were asked for together.

use std::collections::BTreeMap;

use tfevents::series::{Offered, Point, Position, Rank, Rule, Series, Shape, WriterId};

use super::candidates::{Candidate, Choice, Why, choose, is_preferred, of_best_split, pattern_of};
use crate::objective::{RunSelector, Split};
use crate::units::{MetricValue, RunName, Step, WallTime};

/// What a follower of an objective is told, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// From here on points come from this run directory; all that came before is void. It is the
    /// first change of all, and comes again where another directory turns out to be the one to read, or other values of it.
    Source(RunName),
    /// Points from this position on are void: a restarted trainer writes them anew. Those of them that stand
    /// all the same follow.
    Rewind(Position),
    /// A value of a pass; one at a step that has one already there replaces it.
    Point {
        /// The number of the pass, from 0.
        pass: u32,
        /// The value.
        point: Point,
    },
}

/// Collects the points of one tag from every run directory and passes on those that count; see [`choose`]. Two
/// directories are mixed only where that was asked for: where a glob joins them, they are one series, in which a later
/// directory goes on with an earlier one or replaces it as a restarted writer does; where their mean counts, it has the
/// steps that all of them have.
///
/// Of a trial that is tried again, the present attempt decides: a run that only earlier attempts wrote to counts where
/// this one goes on in that run, or in one beside it, above it or right below it; or as long as this one has written
/// nothing.
#[derive(Debug, Default)]
pub struct Objective {
    selector: RunSelector,
    attempt: Option<Attempt>,
    /// By the run directories that were met, under which name each is read; `None` where it is not allowed.
    names: BTreeMap<RunName, Option<RunName>>,
    /// By these names. Runs that are joined have one.
    runs: BTreeMap<RunName, Run>,
    /// When they were begun, in order.
    starts: Vec<f64>,
    reads: Reads,
    /// What is read is to be found anew before changes are handed out.
    is_stale: bool,
    changes: Vec<Change>,
    /// From where on all is told anew, once, before changes are handed out: a writer may restart very often.
    retell_from: Option<Position>,
}

/// A run, or several that are joined.
#[derive(Debug)]
struct Run {
    series: Series,
    /// The clock of the first event of the first of its files.
    started: WallTime,
    /// The latest clock of its events.
    last: WallTime,
    n_values: u64,
    /// Of which data its values are, where runs are joined.
    split: Option<Split>,
}

/// What is passed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Reads {
    #[default]
    Nothing,
    /// One, why, and those that are alike but for numbers.
    Run(RunName, Why, Vec<RunName>),
    /// The mean of these.
    Mean(Vec<RunName>),
    /// These are unlike, and nobody said which one counts.
    Unlike(Vec<RunName>),
}

/// What the present attempt of a trial has written, and what others had before it.
#[derive(Debug)]
struct Attempt {
    since: WallTime,
    runs: BTreeMap<RunName, Activity>,
    has_written: bool,
}

/// Who wrote to a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Activity {
    before: bool,
    now: bool,
}

impl Attempt {
    /// Takes it that an event of a run has this clock; whether that is news.
    fn note(&mut self, run: &RunName, clock: WallTime) -> bool {
        let is_now = clock >= self.since;
        if !self.runs.contains_key(run) {
            self.runs.insert(run.clone(), Activity::default());
        }
        let Some(activity) = self.runs.get_mut(run) else { return false };
        let known = *activity;
        activity.now |= is_now;
        activity.before |= !is_now;
        self.has_written |= is_now;
        known != *activity
    }

    /// Whether what stands in a run counts.
    fn counts(&self, run: &RunName) -> bool {
        let is_active = |run: &RunName| self.runs.get(run).is_some_and(|activity| activity.now);
        let goes_on = |activity: &Activity| activity.before && activity.now;
        !self.has_written
            || is_active(run)
            || self.runs.iter().any(|(other, activity)| goes_on(activity) && are_near(run, other))
    }
}

/// Whether two runs lie in one directory, or one of them right in the other.
fn are_near(a: &RunName, b: &RunName) -> bool {
    let above = |run: &RunName| match run.as_str() {
        "." => None,
        name => Some(name.rsplit_once('/').map_or(".", |(above, _)| above).to_owned()),
    };
    let (above_a, above_b) = (above(a), above(b));
    above_a == above_b || above_a.as_deref() == Some(b.as_str()) || above_b.as_deref() == Some(a.as_str())
}

impl Objective {
    /// An objective that is read from runs that `selector` allows.
    #[must_use]
    pub fn new(selector: RunSelector) -> Self {
        Self { selector, ..Self::default() }
    }

    /// The same for a trial that was tried before: the present attempt began at `since`.
    #[must_use]
    pub fn of_attempt(self, since: WallTime) -> Self {
        Self { attempt: Some(Attempt { since, runs: BTreeMap::new(), has_written: false }), ..self }
    }

    /// Takes a session's start of a writer in `run`; see [`Series::session_start`].
    pub fn session_start(&mut self, run: &RunName, writer: WriterId, started: WallTime, step: Step) {
        let Some(name) = self.name(run) else { return };
        if let Some(from) = self.run(&name, started).series.session_start(writer, started, step) {
            self.pass_on(&name, Offered::Retold(from));
        }
    }

    /// Takes it that some event of a writer in `run`, whatever its tag, has this clock.
    pub fn at_work(&mut self, run: &RunName, writer: WriterId, clock: WallTime) {
        self.note(run, clock);
        let Some(name) = self.name(run) else { return };
        let series = self.runs.get_mut(&name).map(|run| &mut run.series);
        if let Some(from) = series.and_then(|series| series.at_work(writer, clock)) {
            self.pass_on(&name, Offered::Retold(from));
        }
    }

    /// Takes it that a writer in `run`, whose first event has the clock `started`, was alive at `clock`.
    pub fn is_alive(&mut self, run: &RunName, writer: WriterId, started: WallTime, clock: WallTime) {
        let Some(name) = self.name(run) else { return };
        if let Some(from) = self.run(&name, started).series.is_alive(writer, started, clock) {
            self.pass_on(&name, Offered::Retold(from));
        }
    }

    /// Takes the place of a writer in `run` among the processes of a training; see [`Series::set_rank`].
    pub fn set_rank(&mut self, run: &RunName, writer: WriterId, started: WallTime, rank: Rank) {
        let Some(name) = self.name(run) else { return };
        if let Some(from) = self.run(&name, started).series.set_rank(writer, started, rank) {
            self.pass_on(&name, Offered::Retold(from));
        }
    }

    /// Takes a point of the objective's tag.
    pub fn offer(&mut self, run: &RunName, writer: WriterId, started: WallTime, point: Point) {
        self.note(run, point.wall_time);
        let Some(name) = self.name(run) else { return };
        let known = self.run(&name, started);
        known.n_values += 1;
        // The first makes it a candidate, and the second is evidence.
        let is_news = known.n_values <= 2;
        known.last.0 = known.last.0.max(point.wall_time.0);
        let offered = known.series.offer(writer, started, point);
        self.is_stale |= is_news;
        self.pass_on(&name, offered);
        if self.reads == Reads::Nothing {
            // What is told later is told from what the series keeps, which may be a sample.
            self.settle();
        }
    }

    /// The changes since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.settle();
        std::mem::take(&mut self.changes)
    }

    /// Finds what is to be read, by all that has come.
    pub fn settle(&mut self) {
        if std::mem::take(&mut self.is_stale) {
            self.choose();
        }
        if let Some(from) = self.retell_from.take() {
            match self.chosen().filter(|_| from == Position::FIRST) {
                Some(name) => self.changes.push(Change::Source(name)),
                None => self.changes.push(Change::Rewind(from)),
            }
            self.tell_from(from);
        }
    }

    /// What is read since [`Self::settle`]: a run, or a name for several.
    #[must_use]
    pub fn chosen(&self) -> Option<RunName> {
        match &self.reads {
            Reads::Nothing | Reads::Unlike(_) => None,
            Reads::Run(run, ..) => Some(run.clone()),
            Reads::Mean(runs) => {
                let pattern = self.selector.pattern().map(str::to_owned);
                let pattern = pattern.unwrap_or_else(|| pattern_of(&runs.iter().collect::<Vec<_>>()));
                Some(RunName::from(&*format!("{pattern} (mean of {})", runs.len())))
            }
        }
    }

    /// Why one run is read, and those whose names differ from its in numbers alone.
    #[must_use]
    pub fn why(&self) -> Option<(Why, &[RunName])> {
        match &self.reads {
            Reads::Run(_, why, alike) => Some((*why, alike)),
            Reads::Nothing | Reads::Mean(_) | Reads::Unlike(_) => None,
        }
    }

    /// What is unusual in how the steps of what is read were written.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.read_runs().map(|run| run.series.shape()).reduce(Shape::join).unwrap_or_default()
    }

    /// How many writers side by side hold the same steps of a run that is read with other values, and whether the rank of
    /// one of them is known; `None` where none do.
    #[must_use]
    pub fn beside(&self) -> Option<(usize, bool)> {
        self.read_runs().find_map(|run| run.series.beside())
    }

    fn read_runs(&self) -> impl Iterator<Item = &Run> {
        let names: &[RunName] = match &self.reads {
            Reads::Nothing | Reads::Unlike(_) => &[],
            Reads::Run(name, ..) => std::slice::from_ref(name),
            Reads::Mean(names) => names,
        };
        names.iter().filter_map(|name| self.runs.get(name))
    }

    /// Runs of which nobody can say which one counts; see [`Choice::Unlike`].
    #[must_use]
    pub fn unlike(&self) -> &[RunName] {
        match &self.reads {
            Reads::Unlike(runs) => runs,
            Reads::Nothing | Reads::Run(..) | Reads::Mean(_) => &[],
        }
    }

    /// The other runs that hold points of the tag.
    pub fn left_out(&self) -> impl Iterator<Item = &RunName> {
        let is_read = |run: &RunName| match &self.reads {
            Reads::Nothing => false,
            Reads::Run(read, ..) => run == read,
            Reads::Mean(read) | Reads::Unlike(read) => read.contains(run),
        };
        self.runs
            .iter()
            .filter(|(_, run)| run.n_values > 0)
            .map(|(name, _)| name)
            .filter(move |name| !is_read(name))
    }

    /// Whether a run holds only what earlier attempts of the trial wrote, which does not count.
    #[must_use]
    pub fn is_history(&self, run: &RunName) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| !attempt.counts(run))
    }

    /// Under which name a run is read, where it is allowed.
    fn name(&mut self, run: &RunName) -> Option<RunName> {
        if let Some(name) = self.names.get(run) {
            return name.clone();
        }
        let name = self.selector.allows(run).then(|| match self.selector.joins() {
            None => run.clone(),
            // Values of different data are never one series.
            Some(pattern) => match Split::of_run(run) {
                None => RunName::from(pattern),
                Some(split) => RunName::from(&*format!("{pattern} ({})", split.name())),
            },
        });
        self.names.insert(run.clone(), name.clone());
        name
    }

    fn run(&mut self, name: &RunName, started: WallTime) -> &mut Run {
        let (starts, joins) = (&mut self.starts, self.selector.joins().is_some());
        let rule = Rule {
            takes_mean_of_step: self.selector.takes_mean_of_step(),
            takes_mean_of_writers: self.selector.is_mean(),
            since: self.attempt.as_ref().map(|attempt| attempt.since),
        };
        let new = || Run {
            series: Series::new(rule),
            started: WallTime(f64::NAN),
            last: WallTime(f64::NAN),
            n_values: 0,
            split: Split::of_run(name).filter(|_| joins),
        };
        let run = self.runs.entry(name.clone()).or_insert_with(new);
        if run.started > started || (run.started.0.is_nan() && !started.0.is_nan()) {
            run.started = started;
            starts.insert(starts.partition_point(|start| *start < started.0), started.0);
            self.is_stale |= run.n_values > 0;
        }
        run.last.0 = run.last.0.max(started.0);
        run
    }

    /// Takes it that an event in `run` has this clock: it may tell which attempt wrote the run, and that it goes on
    /// beside another.
    fn note(&mut self, run: &RunName, clock: WallTime) {
        if let Some(attempt) = &mut self.attempt {
            self.is_stale |= attempt.note(run, clock);
        }
        let Some(name) = self.names.get(run).and_then(Option::as_ref) else { return };
        let Some(run) = self.runs.get_mut(name).filter(|run| run.last.0.is_nan() || clock > run.last) else {
            return;
        };
        let n_begun = |clock: WallTime| self.starts.partition_point(|start| *start <= clock.0);
        self.is_stale |= n_begun(run.last) != n_begun(clock);
        run.last = clock;
    }

    /// Passes on what became of a point, or of a run, where it is read.
    fn pass_on(&mut self, name: &RunName, offered: Offered) {
        let is_read = match &self.reads {
            Reads::Nothing | Reads::Unlike(_) => false,
            Reads::Run(read, ..) => read == name,
            Reads::Mean(read) => read.contains(name),
        };
        let (pass, point) = match offered {
            Offered::Stands(pass, point) if is_read => (pass, point),
            Offered::Retold(from) if is_read => {
                self.retell_from = Some(self.retell_from.map_or(from, |earlier| earlier.min(from)));
                return;
            }
            Offered::Stands(..) | Offered::Retold(_) | Offered::Replaced => return,
        };
        let at = Position { pass, step: point.step };
        // It is told with those.
        if self.retell_from.is_some_and(|from| at >= from) {
            return;
        }
        let point = match &self.reads {
            Reads::Mean(runs) => self.mean(runs, at),
            Reads::Nothing | Reads::Unlike(_) | Reads::Run(..) => Some(point),
        };
        self.changes.extend(point.map(|point| Change::Point { pass, point }));
    }

    /// Tells all points from a position on.
    fn tell_from(&mut self, from: Position) {
        let points_of = |name: &RunName| {
            self.runs.get(name).into_iter().flat_map(move |run| run.series.points_from(from))
        };
        let points: Vec<(u32, Point)> = match &self.reads {
            Reads::Nothing | Reads::Unlike(_) => Vec::new(),
            Reads::Run(name, ..) => points_of(name).collect(),
            Reads::Mean(runs) => {
                let mean = |(pass, point): (u32, Point)| {
                    Some((pass, self.mean(runs, Position { pass, step: point.step })?))
                };
                runs.first().into_iter().flat_map(points_of).filter_map(mean).collect()
            }
        };
        self.changes.extend(points.into_iter().map(|(pass, point)| Change::Point { pass, point }));
    }

    /// The mean of runs at a position that all of them have: NaN where one is; with the latest of their clocks.
    fn mean(&self, runs: &[RunName], at: Position) -> Option<Point> {
        let (mut sum, mut wall_time) = (0.0, WallTime(f64::NEG_INFINITY));
        for name in runs {
            let point = self.runs.get(name)?.series.at(at)?;
            sum += point.value.as_f64();
            if point.wall_time > wall_time {
                wall_time = point.wall_time;
            }
        }
        Some(Point { step: at.step, wall_time, value: MetricValue::F64(sum / runs.len() as f64) })
    }

    fn choose(&mut self) {
        let reads = self.best();
        if reads == self.reads {
            return;
        }
        let was_read = self.chosen().is_some();
        (self.reads, self.retell_from) = (reads, None);
        match self.chosen() {
            Some(name) => self.changes.push(Change::Source(name)),
            None if was_read => self.changes.push(Change::Rewind(Position::FIRST)),
            None => {}
        }
        self.tell_from(Position::FIRST);
    }

    /// What is to be read, by what is known now.
    fn best(&self) -> Reads {
        let with_values = self.runs.iter().filter(|(_, run)| run.n_values > 0);
        if self.selector.joins().is_some() {
            let best = with_values
                .reduce(|best, other| if is_preferred(other.1.split, best.1.split) { other } else { best });
            return best.map_or(Reads::Nothing, |(name, _)| Reads::Run(name.clone(), Why::Only, Vec::new()));
        }
        let candidates = with_values.filter(|(name, _)| !self.is_history(name)).map(|(name, run)| {
            Candidate { run: name, started: run.started, last: run.last, n_values: run.n_values }
        });
        let owned = |runs: Vec<&RunName>| runs.into_iter().cloned().collect();
        if self.selector.is_mean() && self.selector.pattern().is_some() {
            let runs: Vec<RunName> = owned(of_best_split(candidates));
            return if runs.is_empty() { Reads::Nothing } else { Reads::Mean(runs) };
        }
        match choose(candidates, self.selector.is_mean()) {
            None => Reads::Nothing,
            Some(Choice::Unlike(runs)) => Reads::Unlike(owned(runs)),
            Some(Choice::Run { alike, .. }) if self.selector.is_mean() && alike.len() > 1 => {
                Reads::Mean(owned(alike))
            }
            Some(Choice::Run { run, why, alike }) => Reads::Run(run.clone(), why, owned(alike)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_SERIES_POINTS;

    fn offer(objective: &mut Objective, run: &str, step: i64) {
        let point = Point { step: Step(step), wall_time: WallTime(0.0), value: MetricValue::I64(step) };
        objective.offer(&RunName::from(run), WriterId(0), WallTime(0.0), point);
    }

    fn told(objective: &mut Objective) -> Vec<Option<i64>> {
        let changes = objective.take_changes();
        changes
            .iter()
            .map(|c| if let Change::Point { point, .. } = c { Some(point.step.0) } else { None })
            .collect()
    }

    #[test]
    fn a_validation_run_that_comes_later_takes_over_from_its_first_point() {
        let mut objective = Objective::default();
        offer(&mut objective, ".", 1);
        offer(&mut objective, ".", 2);
        assert_eq!(told(&mut objective), [None, Some(1), Some(2)]);
        offer(&mut objective, "loss_val", 10);
        offer(&mut objective, ".", 3);
        assert_eq!(standing(&objective.take_changes()), (Some("loss_val".into()), vec![(10, 10.0)]));
        assert_eq!(objective.chosen(), Some("loss_val".into()));
        assert_eq!(objective.left_out().collect::<Vec<_>>(), [&RunName::root()]);
    }

    #[test]
    fn what_a_rewind_leaves_standing_is_told_again() {
        let mut objective = Objective::default();
        let run = RunName::root();
        let offer = |objective: &mut Objective, writer, started, step, clock| {
            let value = MetricValue::I64(step);
            let point = Point { step: Step(step), wall_time: WallTime(clock), value };
            objective.offer(&run, WriterId(writer), WallTime(started), point);
        };
        for step in [0, 50, 100] {
            offer(&mut objective, 0, 0.0, step, step as f64);
        }
        for step in [20, 30] {
            offer(&mut objective, 1, 10.0, step, 110.0);
        }
        objective.take_changes();
        objective.session_start(&RunName::root(), WriterId(1), WallTime(10.0), Step(20));
        offer(&mut objective, 1, 10.0, 21, 120.0);
        assert_eq!(objective.take_changes().first(), Some(&Change::Rewind(Position::first_pass(Step(21)))));
        offer(&mut objective, 1, 10.0, 22, 121.0);
        assert_eq!(told(&mut objective), [Some(22)]);
    }

    #[test]
    fn every_value_is_told_however_many_come_at_once() {
        let mut objective = Objective::default();
        let n = 4 * MAX_SERIES_POINTS;
        for step in 0..n {
            offer(&mut objective, ".", step as i64);
        }
        assert_eq!(told(&mut objective).into_iter().flatten().count(), n);
    }

    #[test]
    fn very_many_restarts_beside_another_writer_tell_the_rest_once() {
        let mut objective = Objective::default();
        let run = RunName::root();
        let offer = |objective: &mut Objective, writer, step, clock| {
            let point = Point { step: Step(step), wall_time: WallTime(clock), value: MetricValue::I64(step) };
            objective.offer(&run, WriterId(writer), WallTime(1.0), point);
        };
        for step in 1..=1000 {
            offer(&mut objective, 0, step, 1e6);
        }
        objective.take_changes();
        for _ in 0..1000 {
            objective.session_start(&run, WriterId(1), WallTime(1.0), Step(0));
            offer(&mut objective, 1, 5, 10.0);
        }
        let changes = objective.take_changes();
        assert!(changes.len() <= 1002, "{}", changes.len());
        assert_eq!(steps(&changes).last(), Some(&1000));
    }

    #[test]
    fn only_runs_that_were_asked_for_count() {
        let mut objective = Objective::new(RunSelector::glob("train").expect("a glob"));
        offer(&mut objective, "validation", 1);
        assert_eq!(told(&mut objective), []);
        assert_eq!(objective.chosen(), None);
        offer(&mut objective, "train", 2);
        assert_eq!(told(&mut objective), [None, Some(2)]);
    }

    /// A file of its own for each run, from a clock on, with values at steps, a second apart.
    fn write(objective: &mut Objective, run: &str, from: f64, steps: &[i64]) {
        let writer = WriterId(from as u32);
        for (i, step) in steps.iter().enumerate() {
            let clock = WallTime(from + 1.0 + i as f64);
            let value = MetricValue::F64(*step as f64 + from / 1000.0);
            objective.at_work(&RunName::from(run), writer, clock);
            objective.offer(
                &RunName::from(run),
                writer,
                WallTime(from),
                Point { step: Step(*step), wall_time: clock, value },
            );
        }
    }

    fn steps(changes: &[Change]) -> Vec<i64> {
        changes
            .iter()
            .filter_map(|c| if let Change::Point { point, .. } = c { Some(point.step.0) } else { None })
            .collect()
    }

    /// What stands after changes: the run, and steps with values.
    fn standing(changes: &[Change]) -> (Option<RunName>, Vec<(i64, f64)>) {
        let (mut run, mut points) = (None, BTreeMap::new());
        for change in changes {
            match change {
                Change::Source(source) => {
                    run = Some(source.clone());
                    points.clear();
                }
                Change::Rewind(from) => drop(points.split_off(from)),
                Change::Point { pass, point } => {
                    let at = Position { pass: *pass, step: point.step };
                    points.insert(at, point.value.as_f64());
                }
            }
        }
        (run, points.into_iter().map(|(at, value): (Position, f64)| (at.step.0, value)).collect())
    }

    #[test]
    fn curves_that_turn_out_to_be_unlike_are_taken_back() {
        let mut objective = Objective::default();
        write(&mut objective, "loss_policy", 100.0, &[1, 2]);
        let mut changes = objective.take_changes();
        assert_eq!(standing(&changes).1.len(), 2);
        write(&mut objective, "loss_value", 100.5, &[1, 2]);
        changes.extend(objective.take_changes());
        assert_eq!(standing(&changes).1, []);
        assert_eq!(objective.chosen(), None);
        assert_eq!(objective.unlike(), ["loss_policy".into(), "loss_value".into()]);
        // A validation run ends the doubt.
        write(&mut objective, "val", 103.0, &[2]);
        changes.extend(objective.take_changes());
        assert_eq!(standing(&changes).0, Some("val".into()));
    }

    #[test]
    fn directories_of_one_training_are_joined_where_a_glob_asks_for_it() {
        let mut objective = Objective::new(RunSelector::glob("PPO_*").expect("a glob"));
        write(&mut objective, "PPO_1", 100.0, &[1, 2, 3]);
        write(&mut objective, "PPO_2", 200.0, &[4, 5]);
        write(&mut objective, "PPO_3", 300.0, &[3, 4]);
        let expected = vec![(1, 1.1), (2, 2.1), (3, 3.3), (4, 4.3)];
        assert_eq!(standing(&objective.take_changes()), (Some("PPO_*".into()), expected));
        let mut objective = Objective::default();
        write(&mut objective, "PPO_1", 100.0, &[1, 2, 3]);
        write(&mut objective, "PPO_2", 200.0, &[4, 5]);
        assert_eq!(standing(&objective.take_changes()), (Some("PPO_2".into()), vec![(4, 4.2), (5, 5.2)]));
    }

    #[test]
    fn runs_of_different_data_are_not_joined() {
        let mut objective = Objective::new(RunSelector::glob("run_*").expect("a glob"));
        write(&mut objective, "run_1/train", 100.0, &[1, 2]);
        write(&mut objective, "run_1/val", 100.5, &[1]);
        write(&mut objective, "run_2/val", 200.0, &[2]);
        let (run, points) = standing(&objective.take_changes());
        assert_eq!(run, Some("run_* (validation)".into()));
        assert_eq!(points.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn the_mean_of_folds_has_the_steps_that_all_have() {
        for selector in [RunSelector::default(), RunSelector::glob("fold_*").expect("a glob")] {
            let mut objective = Objective::new(selector.mean());
            write(&mut objective, "fold_0", 0.0, &[1, 2, 3]);
            let mut changes = objective.take_changes();
            write(&mut objective, "fold_1", 1000.0, &[1, 2]);
            changes.extend(objective.take_changes());
            write(&mut objective, "fold_2", 2000.0, &[2, 3, 4]);
            changes.extend(objective.take_changes());
            assert_eq!(standing(&changes), (Some("fold_* (mean of 3)".into()), vec![(2, 3.0)]));
            // A fold that was silent goes on.
            write(&mut objective, "fold_1", 1000.0, &[3]);
            changes.extend(objective.take_changes());
            assert_eq!(standing(&changes).1, vec![(2, 3.0), (3, 4.0)]);
        }
    }

    #[test]
    fn the_present_attempt_decides_which_run_counts() {
        let retried = || Objective::default().of_attempt(WallTime(1000.0));
        // It has written nothing yet.
        let mut objective = retried();
        write(&mut objective, "version_0", 100.0, &[1, 2]);
        let mut changes = objective.take_changes();
        assert_eq!(standing(&changes).1.len(), 2);
        // It writes elsewhere, but not yet this tag.
        objective.at_work(&"version_1".into(), WriterId(7), WallTime(1001.0));
        changes.extend(objective.take_changes());
        assert_eq!(standing(&changes).1, []);
        assert!(objective.is_history(&"version_0".into()));
        write(&mut objective, "version_1", 1002.0, &[1]);
        changes.extend(objective.take_changes());
        assert_eq!(standing(&changes), (Some("version_1".into()), vec![(1, 2.002)]));
        // A directory that sorts before and is named better, of the dead attempt.
        let mut objective = retried();
        write(&mut objective, "a/val", 100.0, &[1, 2]);
        write(&mut objective, "b/train", 1002.0, &[1]);
        assert_eq!(standing(&objective.take_changes()).0, Some("b/train".into()));
    }

    #[test]
    fn history_counts_where_the_present_attempt_goes_on() {
        // In the same run.
        let mut objective = Objective::default().of_attempt(WallTime(1000.0));
        write(&mut objective, ".", 100.0, &[1, 2]);
        write(&mut objective, ".", 1000.0, &[3]);
        assert_eq!(steps(&objective.take_changes()), [1, 2, 3]);
        // In the training's run, and was not validated again before it ended.
        let mut objective = Objective::default().of_attempt(WallTime(1000.0));
        write(&mut objective, "validation", 100.0, &[1, 2]);
        write(&mut objective, "train", 100.5, &[1, 2]);
        write(&mut objective, "train", 1000.0, &[3]);
        assert_eq!(standing(&objective.take_changes()).0, Some("validation".into()));
    }
}
