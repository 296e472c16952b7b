//! The values that a trial has reported, by pass and step.

use super::Goal;
use crate::limits::{MAX_CURVE_POINTS, MAX_PASSES};
use crate::objective::{Change, Split};
use crate::units::{RunName, Step, WallTime};
use tfevents::series::{Position, Sample, begins_pass};

/// One value may be older than the one before it, and one of so many more, for their order to say anything.
const OUT_OF_ORDER: usize = 8;

/// One value of the objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// The pass over the steps that it belongs to, from 0; see [`Position`].
    pub pass: u32,
    /// The step it belongs to, as it was written.
    pub step: Step,
    /// The value; NaN and infinities are kept.
    pub value: f64,
    /// The trainer's clock.
    pub wall_time: WallTime,
}

impl Measurement {
    /// A value of the first pass.
    #[must_use]
    pub fn new(step: Step, value: f64, wall_time: WallTime) -> Self {
        Self { pass: 0, step, value, wall_time }
    }

    /// Where it stands among those of its trial.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { pass: self.pass, step: self.step }
    }
}

/// A trial's measurements by rising position, with the running average at each.
///
/// A trainer that passes over the same steps again and again is compared with others by the steps of all its passes, one
/// behind the other: its *global step* goes on where the pass before ended, one mean rise of that pass later. Batches 0 to 19
/// of six epochs are the global steps 0 to 119. Where there is one pass, it is the step.
///
/// Of more than [`MAX_CURVE_POINTS`] it keeps those of a [`Sample`] of the positions, and in any case the first two, the
/// last, the smallest and the largest: results are exact, and what is read between steps is off by no more than the curve
/// does within some thousandth of its length. Where a restart voids the end of so long a curve, what is last and best of the
/// rest is the last and best of those kept, until the trainer comes that far again.
#[derive(Debug, Clone, Default)]
pub struct Curve {
    run: Option<RunName>,
    points: Vec<Measurement>,
    sample: Sample,
    /// Of the finite values up to and with each point.
    so_far: Vec<SoFar>,
    /// By the number of the pass.
    passes: Vec<Pass>,
}

/// Which steps a pass has.
#[derive(Debug, Clone, Copy)]
struct Pass {
    first: Step,
    last: Step,
    n_steps: u64,
    /// By how much its global steps lie behind its steps.
    offset: i128,
}

impl Pass {
    const NONE: Self = Self { first: Step(i64::MAX), last: Step(i64::MIN), n_steps: 0, offset: 0 };

    /// Its mean rise from value to value, at least 1.
    fn rise(&self) -> i64 {
        let n_rises = self.n_steps.saturating_sub(1);
        let all = self.last.0.abs_diff(self.first.0);
        let rise = all.saturating_add(n_rises / 2).checked_div(n_rises).unwrap_or(1);
        i64::try_from(rise).unwrap_or(i64::MAX).max(1)
    }
}

/// What the values up to a point come to.
#[derive(Debug, Clone, Copy)]
struct SoFar {
    global_step: i64,
    sum: f64,
    n: u32,
    smallest: f64,
    largest: f64,
    /// How many are older than the one before them.
    n_back: usize,
}

impl Default for SoFar {
    fn default() -> Self {
        Self {
            global_step: 0,
            sum: 0.0,
            n: 0,
            smallest: f64::INFINITY,
            largest: f64::NEG_INFINITY,
            n_back: 0,
        }
    }
}

impl Curve {
    /// Takes it that measurements come from `run` from now on; those before are void.
    pub fn start_over(&mut self, run: RunName) {
        *self = Self { run: Some(run), ..Self::default() };
    }

    /// The run directory that the measurements come from, where one was told.
    #[must_use]
    pub fn run(&self) -> Option<&RunName> {
        self.run.as_ref()
    }

    /// Which data the measurements were made on, as far as their run directory's name says. Those of training and those
    /// of validation are never compared with each other.
    #[must_use]
    pub fn split(&self) -> Option<Split> {
        self.run.as_ref().and_then(Split::of_run)
    }

    /// Takes changes of the objective, in order: as many of them at once as there are, since each call looks at what
    /// is kept of the whole curve.
    pub fn apply(&mut self, changes: &[Change]) {
        let mut new = Vec::new();
        for change in changes {
            match change {
                Change::Source(run) => {
                    new.clear();
                    self.start_over(run.clone());
                }
                Change::Rewind(from) => {
                    new.retain(|m: &Measurement| m.position() < *from);
                    self.rewind(*from);
                }
                Change::Point { pass, point } => new.push(Measurement {
                    pass: *pass,
                    step: point.step,
                    value: point.value.as_f64(),
                    wall_time: point.wall_time,
                }),
            }
        }
        self.insert_all(new);
        self.thin();
    }

    /// Takes a measurement; one at a position that has one already replaces it.
    pub fn insert(&mut self, measurement: Measurement) {
        self.insert_all(vec![measurement]);
        self.thin();
    }

    /// Takes measurements in the order in which they were written, and keeps them all.
    pub fn insert_all(&mut self, mut new: Vec<Measurement>) {
        // Of those at one position the last counts.
        new.sort_by_key(Measurement::position);
        let Some(first) = new.first() else { return };
        let (at, first_pass) = (self.points.partition_point(|m| m.position() < first.position()), first.pass);
        let mut old = self.points.split_off(at).into_iter().peekable();
        for m in new {
            while let Some(before) = old.next_if(|before| before.position() < m.position()) {
                self.points.push(before);
            }
            let is_new = old.next_if(|same| same.position() == m.position()).is_none();
            match self.points.last_mut() {
                Some(same) if same.position() == m.position() => *same = m,
                _ => {
                    self.points.push(m);
                    if is_new {
                        self.add_to_pass(&m);
                    }
                }
            }
        }
        self.points.extend(old);
        self.put_in_line(first_pass);
        self.sum_from(at);
    }

    fn add_to_pass(&mut self, m: &Measurement) {
        let at = m.pass as usize;
        if self.passes.len() <= at {
            self.passes.resize(at + 1, Pass::NONE);
        }
        if let Some(pass) = self.passes.get_mut(at) {
            pass.n_steps += 1;
            (pass.first, pass.last) = (pass.first.min(m.step), pass.last.max(m.step));
        }
    }

    /// Puts passes one behind the other, from this one on.
    fn put_in_line(&mut self, from: u32) {
        let at = (from as usize).min(self.passes.len());
        let (known, changed) = self.passes.split_at_mut(at);
        let mut before = known.iter().rev().find(|pass| pass.n_steps > 0).copied();
        for pass in changed.iter_mut().filter(|pass| pass.n_steps > 0) {
            if let Some(before) = before {
                let start = before.offset + i128::from(before.last.0) + i128::from(before.rise());
                pass.offset = start - i128::from(pass.first.0);
            }
            before = Some(*pass);
        }
    }

    /// Keeps a sample, where there are too many.
    pub fn thin(&mut self) {
        if !self.sample.is_all() {
            self.keep_sample();
        }
        while self.points.len() > MAX_CURVE_POINTS && self.sample != self.sample.half() {
            self.sample = self.sample.half();
            self.keep_sample();
        }
    }

    fn keep_sample(&mut self) {
        let smallest = self.best(Goal::Minimize).map(Measurement::position);
        let largest = self.best(Goal::Maximize).map(Measurement::position);
        let second = self.points.get(1).map(Measurement::position);
        let last = self.last().map(Measurement::position);
        let kept = [smallest, largest, last, self.points.last().map(Measurement::position)];
        let sample = self.sample;
        self.points.retain(|m| {
            let at = m.position();
            sample.has(at) || second.is_some_and(|second| at <= second) || kept.contains(&Some(at))
        });
        self.sum_from(0);
    }

    /// Removes every measurement from a position on.
    pub fn rewind(&mut self, from: Position) {
        let keep = self.points.partition_point(|m| m.position() < from);
        self.points.truncate(keep);
        self.so_far.truncate(keep);
        self.passes.truncate(from.pass as usize + 1);
        let of_pass = self.points.iter().rev().take_while(|m| m.pass == from.pass);
        let (n_kept, last) = of_pass.fold((0, None), |(n, last), m| (n + 1, last.or(Some(m.step))));
        if let Some(pass) = self.passes.get_mut(from.pass as usize) {
            // Of a sample it is known only about how many there were.
            let n_about =
                last.map_or(0, |last| 1 + last.0.abs_diff(pass.first.0) / pass.rise().unsigned_abs());
            let n_steps = if self.sample.is_all() { n_kept } else { n_about };
            *pass = last.map_or(Pass::NONE, |last| Pass { last, n_steps, ..*pass });
        }
    }

    /// The measurements by rising position.
    #[must_use]
    pub fn points(&self) -> &[Measurement] {
        &self.points
    }

    /// The same, each with its global step.
    pub fn by_global_step(&self) -> impl DoubleEndedIterator<Item = (Step, &Measurement)> {
        self.so_far.iter().map(|so_far| Step(so_far.global_step)).zip(&self.points)
    }

    /// How many passes there are: 0 where there is no measurement.
    #[must_use]
    pub fn n_passes(&self) -> u32 {
        self.points.last().map_or(0, |last| last.pass + 1)
    }

    /// The last measurement: that at the largest step of the last pass. A pass of one value behind one of several says nothing
    /// yet: a trainer may write a last one at step 0.
    #[must_use]
    pub fn last(&self) -> Option<&Measurement> {
        self.points.get(self.last_at()?)
    }

    /// The global step of the last measurement.
    #[must_use]
    pub fn reached(&self) -> Option<Step> {
        self.so_far.get(self.last_at()?).map(|so_far| Step(so_far.global_step))
    }

    fn last_at(&self) -> Option<usize> {
        let last = self.points.len().checked_sub(1)?;
        match self.points.as_slice() {
            [.., a, b, c] if a.pass == b.pass && b.pass < c.pass => Some(last - 1),
            _ => Some(last),
        }
    }

    /// Whether the order of the steps is that in which the values were written, but for a few: otherwise an early value
    /// and one of a finished trial at the same step are not alike.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        self.so_far.last().is_none_or(|all| all.n_back <= 1 || all.n_back * OUT_OF_ORDER <= self.points.len())
    }

    /// The pass of a value that follows all these, where the order of arrival is all that is known; see
    /// [`begins_pass`].
    #[must_use]
    pub fn pass_of_next(&self, step: Step) -> u32 {
        let Some(last) = self.points.last() else { return 0 };
        let begins = self.passes.get(last.pass as usize).is_some_and(|pass| {
            let second = Step(pass.first.0.saturating_add(pass.rise()));
            begins_pass([pass.first, second, pass.last], pass.n_steps, step)
        });
        if begins { last.pass.saturating_add(1).min(MAX_PASSES) } else { last.pass }
    }

    /// The best finite measurement; of equal ones the earliest.
    #[must_use]
    pub fn best(&self, goal: Goal) -> Option<&Measurement> {
        self.points
            .iter()
            .filter(|m| m.value.is_finite())
            .reduce(|best, m| if goal.is_better(m.value, best.value) { m } else { best })
    }

    /// The average of the finite values up to and with a global step; `None` where there is none.
    #[must_use]
    pub fn running_average(&self, step: Step) -> Option<f64> {
        let SoFar { sum, n, .. } = self.so_far(step)?;
        Some(sum / f64::from(n))
    }

    /// The best finite value up to and with a global step; `None` where there is none.
    #[must_use]
    pub fn running_best(&self, step: Step, goal: Goal) -> Option<f64> {
        let SoFar { smallest, largest, .. } = self.so_far(step)?;
        Some(match goal {
            Goal::Maximize => largest,
            Goal::Minimize => smallest,
        })
    }

    /// The last finite value at or before a global step, and its own.
    #[must_use]
    pub fn finite_until(&self, step: f64) -> Option<(f64, f64)> {
        let n = self.so_far.partition_point(|so_far| so_far.global_step as f64 <= step);
        self.finite().take(n).rev().find(|(_, value)| value.is_finite())
    }

    /// The first finite value at or behind a global step, and its own.
    #[must_use]
    pub fn finite_from(&self, step: f64) -> Option<(f64, f64)> {
        let n = self.so_far.partition_point(|so_far| (so_far.global_step as f64) < step);
        self.finite().skip(n).find(|(_, value)| value.is_finite())
    }

    fn finite(&self) -> impl DoubleEndedIterator<Item = (f64, f64)> + ExactSizeIterator {
        self.so_far.iter().zip(&self.points).map(|(so_far, m)| (so_far.global_step as f64, m.value))
    }

    fn so_far(&self, step: Step) -> Option<SoFar> {
        let n = self.so_far.partition_point(|so_far| so_far.global_step <= step.0);
        self.so_far.get(n.checked_sub(1)?).copied().filter(|so_far| so_far.n > 0)
    }

    fn sum_from(&mut self, at: usize) {
        self.so_far.truncate(at);
        let mut so_far = self.so_far.last().copied().unwrap_or_default();
        let mut clock = at.checked_sub(1).and_then(|at| self.points.get(at)).map(|m| m.wall_time);
        for m in self.points.iter().skip(at) {
            let offset = self.passes.get(m.pass as usize).map_or(0, |pass| pass.offset);
            so_far.global_step = i64::try_from(offset + i128::from(m.step.0)).unwrap_or(i64::MAX);
            if m.value.is_finite() {
                so_far.sum += m.value;
                so_far.n += 1;
                so_far.smallest = so_far.smallest.min(m.value);
                so_far.largest = so_far.largest.max(m.value);
            }
            so_far.n_back += usize::from(clock.is_some_and(|before| m.wall_time < before));
            clock = Some(m.wall_time);
            self.so_far.push(so_far);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MetricValue;
    use tfevents::series::Point;

    fn curve(points: &[(i64, f64)]) -> Curve {
        let mut curve = Curve::default();
        for (step, value) in points {
            curve.insert(Measurement::new(Step(*step), *value, WallTime(0.0)));
        }
        curve
    }

    #[test]
    fn averages_run_over_the_finite_values_in_step_order() {
        let mut curve = curve(&[(10, 1.0), (30, 5.0), (20, f64::NAN), (40, 3.0)]);
        assert_eq!(curve.running_average(Step(9)), None);
        assert_eq!(curve.running_average(Step(20)), Some(1.0));
        assert_eq!(curve.running_average(Step(30)), Some(3.0));
        assert_eq!(curve.running_average(Step(99)), Some(3.0));
        curve.insert(Measurement::new(Step(10), 4.0, WallTime(0.0)));
        assert_eq!(curve.running_average(Step(99)), Some(4.0));
        curve.rewind(Position::first_pass(Step(30)));
        assert_eq!(curve.points().len(), 2);
        assert_eq!(curve.running_average(Step(99)), Some(4.0));
    }

    #[test]
    fn the_best_so_far_and_the_finite_neighbours_of_a_step() {
        let mut curve = curve(&[(10, 3.0), (20, f64::NAN), (30, 1.0), (40, 2.0)]);
        assert_eq!(curve.running_best(Step(25), Goal::Minimize), Some(3.0));
        assert_eq!(curve.running_best(Step(40), Goal::Minimize), Some(1.0));
        assert_eq!(curve.running_best(Step(40), Goal::Maximize), Some(3.0));
        assert_eq!(curve.running_best(Step(9), Goal::Maximize), None);
        assert_eq!(curve.finite_until(29.5), Some((10.0, 3.0)));
        assert_eq!(curve.finite_from(10.5), Some((30.0, 1.0)));
        assert_eq!(curve.finite_from(41.0), None);
        curve.rewind(Position::first_pass(Step(30)));
        assert_eq!(curve.running_best(Step(40), Goal::Minimize), Some(3.0));
    }

    #[test]
    fn changes_in_any_order_give_the_curve_of_one_after_the_other() {
        let mut one_by_one = Curve::default();
        let mut random = 7u64;
        for _ in 0..50 {
            let mut changes = Vec::new();
            for _ in 0..20 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (step, pass) = (Step((random >> 58) as i64), (random >> 56 & 1) as u32);
                match random >> 40 & 15 {
                    0 => {
                        let from = Position { pass, step };
                        one_by_one.rewind(from);
                        changes.push(Change::Rewind(from));
                    }
                    _ => {
                        let (value, wall_time) = (random as f64, WallTime(0.0));
                        one_by_one.insert(Measurement { pass, step, value, wall_time });
                        let point = Point { step, wall_time, value: MetricValue::F64(value) };
                        changes.push(Change::Point { pass, point });
                    }
                }
            }
            let mut at_once = one_by_one.clone();
            at_once.rewind(Position::FIRST);
            let told = |m: &Measurement| {
                let value = MetricValue::F64(m.value);
                Change::Point { pass: m.pass, point: Point { step: m.step, wall_time: m.wall_time, value } }
            };
            let before: Vec<Change> = one_by_one.points().iter().map(told).collect();
            at_once.apply(&before);
            assert_eq!(at_once.points(), one_by_one.points());
            let mut curve = Curve::default();
            curve.apply(&changes);
            let mut expected = Curve::default();
            changes.iter().for_each(|change| expected.apply(std::slice::from_ref(change)));
            assert_eq!(curve.points(), expected.points());
            assert_eq!(curve.running_average(Step(99)), expected.running_average(Step(99)));
        }
    }

    #[test]
    fn a_long_curve_is_a_sample_of_itself_whatever_order_it_comes_in() {
        let n = 200_000i64;
        let value = |step: i64| 1.0 / (1.0 + step as f64 / 1e4) + if step == 77_777 { 3.0 } else { 0.0 };
        let point = |step: i64| {
            let value = MetricValue::F64(value(step));
            Change::Point { pass: 0, point: Point { step: Step(step), wall_time: WallTime(0.0), value } }
        };
        let orders: [Vec<i64>; 3] =
            [(0..n).collect(), (0..n).rev().collect(), (0..n).map(|i| i * 48_271 % n).collect()];
        let mut first: Option<Curve> = None;
        for order in orders {
            let mut curve = Curve::default();
            for steps in order.chunks(4_096) {
                curve.apply(&steps.iter().map(|step| point(*step)).collect::<Vec<_>>());
                assert!(curve.points().len() <= MAX_CURVE_POINTS);
            }
            assert_eq!(curve.last().map(|m| (m.step.0, m.value)), Some((n - 1, value(n - 1))));
            assert_eq!(curve.best(Goal::Maximize).map(|m| m.step.0), Some(77_777));
            assert_eq!(curve.best(Goal::Minimize).map(|m| m.step.0), Some(n - 1));
            assert_eq!(curve.points().iter().take(2).map(|m| m.step.0).collect::<Vec<_>>(), [0, 1]);
            for step in [1_000, 50_000, 150_000] {
                let (near, exact) = (curve.finite_until(step as f64).expect("there is one"), value(step));
                assert!((near.1 - exact).abs() < 5e-3, "{} at {step}, not {exact}", near.1);
                let exact = (0..=step).map(value).sum::<f64>() / (step + 1) as f64;
                let average = curve.running_average(Step(step)).expect("there is one");
                assert!((average - exact).abs() < 5e-3, "an average of {average} until {step}, not {exact}");
            }
            assert_eq!(first.get_or_insert_with(|| curve.clone()).points(), curve.points());
        }
    }

    #[test]
    fn passes_stand_one_behind_the_other() {
        #[track_caller]
        fn check(passes: &[&[i64]], expected: &[i64]) {
            let mut curve = Curve::default();
            for (pass, steps) in (0..).zip(passes) {
                for step in *steps {
                    let wall_time = WallTime(0.0);
                    curve.insert(Measurement { pass, step: Step(*step), value: 0.5, wall_time });
                }
            }
            let global: Vec<i64> = curve.by_global_step().map(|(step, _)| step.0).collect();
            assert_eq!(global, expected);
            let mut at_once = Curve::default();
            at_once.insert_all(curve.points().to_vec());
            assert_eq!(at_once.by_global_step().map(|(step, _)| step.0).collect::<Vec<_>>(), expected);
        }
        check(&[&[0, 1, 2, 3], &[0, 1, 2, 3], &[0, 1]], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        check(&[&[1, 2, 3], &[1, 2, 3]], &[1, 2, 3, 4, 5, 6]);
        check(&[&[0, 100, 200], &[50, 150, 250]], &[0, 100, 200, 300, 400, 500]);
        check(&[&[5], &[5, 6]], &[5, 6, 7]);
        let (most, least) = (i64::from(i32::MAX), i64::from(i32::MIN));
        check(&[&[most - 1, most], &[least, least + 1]], &[most - 1, most, most + 1, most + 2]);
        check(&[&[i64::MAX - 1, i64::MAX], &[i64::MIN]], &[i64::MAX - 1, i64::MAX, i64::MAX]);
    }

    #[test]
    fn a_pass_of_one_value_is_no_end_and_what_is_made_void_leaves_none() {
        let mut curve = Curve::default();
        let at =
            |pass, step: i64, value| Measurement { pass, step: Step(step), value, wall_time: WallTime(0.0) };
        curve.insert_all(vec![at(0, 0, 0.1), at(0, 1, 0.2), at(0, 2, 0.3), at(1, 0, 0.4)]);
        assert_eq!(curve.last().map(|m| m.value), Some(0.3));
        curve.insert(at(1, 1, 0.5));
        assert_eq!((curve.last().map(|m| m.value), curve.reached()), (Some(0.5), Some(Step(4))));
        curve.rewind(Position { pass: 1, step: Step(1) });
        assert_eq!((curve.last().map(|m| m.value), curve.reached()), (Some(0.3), Some(Step(2))));
        curve.rewind(Position { pass: 0, step: Step(1) });
        curve.insert(at(0, 4, 0.6));
        curve.insert(at(1, 0, 0.7));
        assert_eq!(curve.by_global_step().map(|(step, _)| step.0).collect::<Vec<_>>(), [0, 4, 8]);
    }

    #[test]
    fn steps_that_are_written_to_and_fro_are_in_no_order() {
        let order = |steps: &[i64]| {
            let mut curve = Curve::default();
            for (i, step) in steps.iter().enumerate() {
                curve.insert(Measurement::new(Step(*step), 0.5, WallTime(i as f64)));
            }
            curve.is_in_order()
        };
        assert!(order(&(0..40).collect::<Vec<_>>()));
        assert!(order(&[0, 1, 2, 3, 4, 5, 6, 8, 7, 9, 10, 11, 12, 13, 14, 15]), "one is late");
        assert!(!order(&(0..40).rev().collect::<Vec<_>>()));
        assert!(!order(&(0..200).map(|i| i * 31 % 40).collect::<Vec<_>>()));
    }

    #[test]
    fn the_best_is_finite_and_the_earliest() {
        let curve = curve(&[(1, f64::INFINITY), (2, 0.5), (3, 0.9), (4, 0.9), (5, f64::NAN)]);
        assert_eq!(curve.best(Goal::Maximize).map(|m| m.step), Some(Step(3)));
        assert_eq!(curve.best(Goal::Minimize).map(|m| m.step), Some(Step(2)));
        assert_eq!(Curve::default().best(Goal::Maximize), None);
    }
}
