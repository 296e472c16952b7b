//! The objective of a trial: one tag, read from one run directory, whichever that turns out to be.

use std::collections::BTreeMap;

use super::{Offered, Point, Series, WriterId};
use crate::scalar::RunSelector;
use crate::units::{RunName, Step, WallTime};

/// What a follower of an objective is told, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// From here on points come from this run directory; all that came before is void. It is the
    /// first change of all, and comes again where another directory turns out to be the one to read.
    Source(RunName),
    /// Points from this step on are void: a restarted trainer writes them anew. Those of them that stand
    /// all the same follow.
    Rewind(Step),
    /// A value; one at a step that has one already replaces it.
    Point(Point),
}

/// Collects the points of one tag from every run directory and passes on those of the one that
/// counts. Two directories are never mixed.
#[derive(Debug, Default)]
pub struct Objective {
    selector: RunSelector,
    runs: BTreeMap<RunName, Series>,
    chosen: Option<RunName>,
    changes: Vec<Change>,
}

impl Objective {
    /// An objective that is read from a run that `selector` chooses.
    #[must_use]
    pub fn new(selector: RunSelector) -> Self {
        Self { selector, ..Self::default() }
    }

    /// Takes a session's start of a writer in `run`; see [`Series::session_start`].
    pub fn session_start(&mut self, run: &RunName, writer: WriterId, started: WallTime, step: Step) {
        if !self.selector.allows(run) {
            return;
        }
        let series = self.runs.entry(run.clone()).or_default();
        if let Some(from) = series.session_start(writer, started, step)
            && self.chosen.as_ref() == Some(run)
        {
            retell(&mut self.changes, series, from);
        }
    }

    /// Takes it that some event of a writer in `run`, whatever its tag, has this clock.
    pub fn at_work(&mut self, run: &RunName, writer: WriterId, clock: WallTime) {
        let Some(series) = self.runs.get_mut(run) else { return };
        if let Some(from) = series.at_work(writer, clock)
            && self.chosen.as_ref() == Some(run)
        {
            retell(&mut self.changes, series, from);
        }
    }

    /// Takes a point of the objective's tag.
    pub fn offer(&mut self, run: &RunName, writer: WriterId, started: WallTime, point: Point) {
        if !self.selector.allows(run) {
            return;
        }
        let series = self.runs.entry(run.clone()).or_default();
        let offered = series.offer(writer, started, point);
        if self.chosen.as_ref() != Some(run) {
            return self.choose();
        }
        match offered {
            Offered::Stands => self.changes.push(Change::Point(point)),
            Offered::Replaced => {}
            Offered::Retold(from) => retell(&mut self.changes, series, from),
        }
    }

    /// The changes since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// The run that is read, once one holds a point.
    #[must_use]
    pub fn chosen(&self) -> Option<&RunName> {
        self.chosen.as_ref()
    }

    /// The other runs that hold points of the tag.
    pub fn left_out(&self) -> impl Iterator<Item = &RunName> {
        self.with_points().filter(|run| Some(*run) != self.chosen.as_ref())
    }

    fn with_points(&self) -> impl Iterator<Item = &RunName> {
        self.runs.iter().filter(|(_, series)| !series.is_empty()).map(|(run, _)| run)
    }

    fn choose(&mut self) {
        let best = self.selector.choose(self.with_points()).cloned();
        if best == self.chosen {
            return;
        }
        if let Some((run, series)) = best.as_ref().and_then(|run| self.runs.get_key_value(run)) {
            self.changes.push(Change::Source(run.clone()));
            self.changes.extend(series.points().map(|point| Change::Point(*point)));
        }
        self.chosen = best;
    }
}

/// Tells the points of a series from a step on anew.
fn retell(changes: &mut Vec<Change>, series: &Series, from: Step) {
    changes.push(Change::Rewind(from));
    changes.extend(series.points_from(from).map(|point| Change::Point(*point)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MetricValue;

    fn offer(objective: &mut Objective, run: &str, step: i64) {
        let point = Point { step: Step(step), wall_time: WallTime(0.0), value: MetricValue::I64(step) };
        objective.offer(&RunName::from(run), WriterId(0), WallTime(0.0), point);
    }

    fn told(objective: &mut Objective) -> Vec<Option<i64>> {
        let changes = objective.take_changes();
        changes.iter().map(|c| if let Change::Point(p) = c { Some(p.step.0) } else { None }).collect()
    }

    #[test]
    fn an_evaluation_run_that_comes_later_takes_over_from_its_first_point() {
        let mut objective = Objective::default();
        offer(&mut objective, ".", 1);
        offer(&mut objective, ".", 2);
        assert_eq!(told(&mut objective), [None, Some(1), Some(2)]);
        offer(&mut objective, "eval", 10);
        offer(&mut objective, ".", 3);
        assert_eq!(told(&mut objective), [None, Some(10)]);
        assert_eq!(objective.chosen(), Some(&RunName::from("eval")));
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
        assert_eq!(objective.take_changes().first(), Some(&Change::Rewind(Step(21))));
        offer(&mut objective, 1, 10.0, 22, 121.0);
        assert_eq!(told(&mut objective), [Some(22)]);
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
}
