//! Points of one run to rows of one step each.
//!
//! Layer 6. Holds a run's points until its end, because tags come in any order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use super::ExportError;
use super::hparams::PREFIX;
use super::points::{Point, WideOrder};
use crate::units::{MetricValue, Step, Tag, WallTime};
use tfevents::series::{self, Points};

/// Names that a tag's column must not take.
const TAKEN_NAMES: [&str; 4] = ["run", "step", "wall_time", "attempt"];

/// What begins the column's name of a tag that may not have its own.
const ESCAPE: &str = "tag/";

/// The name of a tag's column: the tag, unless that is or may be the name of another column; then
/// `tag/` comes before it. Two tags never get the same name.
pub(super) fn column_name(tag: &Tag) -> String {
    let tag = tag.as_str();
    if TAKEN_NAMES.contains(&tag) || tag.starts_with(PREFIX) || tag.starts_with(ESCAPE) {
        format!("{ESCAPE}{tag}")
    } else {
        tag.to_owned()
    }
}

/// Gathers the points of one run.
#[derive(Debug)]
pub(super) struct Pivot {
    columns: HashMap<Tag, usize>,
    order: WideOrder,
    /// The points of each column, by attempt where rows are.
    held: BTreeMap<(u32, usize), Held>,
    /// The row at hand: a value or nothing for each tag.
    values: Vec<Option<MetricValue>>,
}

/// The points of one column, in the order in which they came.
#[derive(Debug, Default)]
struct Held {
    points: Points,
    /// Their attempts, each with how many points in a row have it.
    attempts: Vec<(u32, usize)>,
    last: Option<Step>,
    has_back_steps: bool,
}

impl Held {
    fn push(&mut self, point: series::Point, attempt: u32) {
        self.has_back_steps |= self.last.is_some_and(|last| point.step < last);
        self.last = Some(point.step);
        self.points.push(point);
        match self.attempts.last_mut() {
            Some((last, n)) if *last == attempt => *n += 1,
            Some(_) | None => self.attempts.push((attempt, 1)),
        }
    }

    /// The points by rising step, those at one step in the order in which they came.
    fn by_step(&self) -> Box<dyn Iterator<Item = (series::Point, u32)> + '_> {
        let attempts = self.attempts.iter().flat_map(|(attempt, n)| std::iter::repeat_n(*attempt, *n));
        let points = self.points.iter().zip(attempts);
        if !self.has_back_steps {
            return Box::new(points);
        }
        let mut points: Vec<(series::Point, u32)> = points.collect();
        points.sort_by_key(|(point, _)| point.step);
        Box::new(points.into_iter())
    }
}

/// A row without its run.
#[derive(Debug, Clone, Copy)]
pub(super) struct WideRow<'a> {
    pub(super) step: Step,
    pub(super) wall_time: WallTime,
    pub(super) attempt: u32,
    pub(super) values: &'a [Option<MetricValue>],
}

impl Pivot {
    /// A pivot for these tags, all different.
    pub(super) fn new(tags: &[Tag], order: WideOrder) -> Self {
        let columns = tags.iter().cloned().zip(0..).collect();
        Self { columns, order, held: BTreeMap::new(), values: vec![None; tags.len()] }
    }

    /// Takes a point, if its tag has a column.
    pub(super) fn offer(&mut self, point: &Point<'_>) -> Result<(), ExportError> {
        let Some(&column) = self.columns.get(point.tag) else {
            return Err(ExportError::UnknownTag { tag: Tag::from(point.tag) });
        };
        let Point { step, wall_time, value, attempt, .. } = *point;
        let group = match self.order {
            WideOrder::Attempts => attempt,
            WideOrder::Steps => 0,
        };
        let held = self.held.entry((group, column)).or_default();
        held.push(series::Point { step, wall_time, value }, attempt);
        Ok(())
    }

    /// Gives the rows of the run, by attempt where they are, then step, then the order in which points of one tag
    /// came, and forgets its points.
    pub(super) fn poll_rows<E>(
        &mut self,
        mut row: impl FnMut(WideRow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let held: Vec<((u32, usize), Held)> = std::mem::take(&mut self.held).into_iter().collect();
        for of_attempt in held.chunk_by(|((a, _), _), ((b, _), _)| a == b) {
            // The columns that have points left, with the next one of each, least step first.
            let mut next = BinaryHeap::new();
            let mut columns: Vec<_> =
                of_attempt.iter().map(|((_, at), held)| (*at, held.by_step())).collect();
            let mut heads: Vec<Option<(series::Point, u32)>> = vec![None; columns.len()];
            for (i, ((_, points), head)) in columns.iter_mut().zip(&mut heads).enumerate() {
                *head = points.next();
                next.extend(head.map(|(point, _)| Reverse((point.step, i))));
            }
            let mut in_row = Vec::new();
            while let Some(Reverse((step, _))) = next.peek().copied() {
                self.values.fill(None);
                let (mut wall_time_s, mut attempt) = (f64::NAN, 0);
                while let Some(Reverse((_, i))) = next.peek().copied().filter(|Reverse((at, _))| *at == step)
                {
                    next.pop();
                    in_row.push(i);
                }
                for i in in_row.drain(..) {
                    let (Some((column, points)), Some(head)) = (columns.get_mut(i), heads.get_mut(i)) else {
                        continue;
                    };
                    let Some((point, its_attempt)) = std::mem::replace(head, points.next()) else { continue };
                    attempt = attempt.max(its_attempt);
                    // Of NaN and a time, `max` is the time.
                    wall_time_s = wall_time_s.max(point.wall_time.0);
                    if let Some(value) = self.values.get_mut(*column) {
                        *value = Some(point.value);
                    }
                    // A further point at the same step makes a further row.
                    next.extend(head.map(|(point, _)| Reverse((point.step, i))));
                }
                row(WideRow { step, wall_time: WallTime(wall_time_s), attempt, values: &self.values })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tag_takes_the_name_of_another_column() {
        #[track_caller]
        fn check(tag: &str, expected: &str) {
            assert_eq!(column_name(&Tag::from(tag)), expected);
        }
        check("eval/loss", "eval/loss");
        check("step", "tag/step");
        check("tag/step", "tag/tag/step");
        check("hparam/lr", "tag/hparam/lr");
        check("tags", "tags");
    }

    #[test]
    fn a_step_is_a_row() {
        /// Tag, step, wall time, value, attempt.
        type Told = (&'static str, i64, f64, i64, u32);
        #[track_caller]
        fn check(points: &[Told], expected: &[&str]) {
            check_by(WideOrder::Attempts, points, expected);
        }
        #[track_caller]
        fn check_by(order: WideOrder, points: &[Told], expected: &[&str]) {
            let mut pivot = Pivot::new(&[Tag::from("a"), Tag::from("b")], order);
            for &(tag, step, wall_time, value, attempt) in points {
                let (step, wall_time) = (Step(step), WallTime(wall_time));
                let value = MetricValue::I64(value);
                pivot.offer(&Point { tag, step, wall_time, value, attempt }).unwrap();
            }
            let mut rows = Vec::new();
            let told = pivot.poll_rows(|row| {
                let values: Vec<String> =
                    row.values.iter().map(|value| value.map_or("-".into(), |v| v.to_string())).collect();
                let WideRow { step, wall_time: WallTime(at), attempt, .. } = row;
                rows.push(format!("attempt {attempt} step {step} at {at}: {}", values.join(" ")));
                Ok::<_, ()>(())
            });
            told.unwrap();
            assert_eq!(rows, expected);
        }
        check(&[], &[]);
        check(&[("b", 1, 5.0, 20, 0), ("a", 1, 4.0, 10, 0)], &["attempt 0 step 1 at 5: 10 20"]);
        check(
            &[("a", 2, 2.0, 20, 0), ("a", 1, 1.0, 10, 0), ("b", 2, 3.0, 21, 0)],
            &["attempt 0 step 1 at 1: 10 -", "attempt 0 step 2 at 3: 20 21"],
        );
        // What was written twice stays twice.
        check(
            &[("a", 1, 1.0, 10, 0), ("a", 1, 2.0, 11, 0), ("b", 1, 3.0, 12, 0)],
            &["attempt 0 step 1 at 3: 10 12", "attempt 0 step 1 at 2: 11 -"],
        );
        // A restarted trainer's steps come after those that it repeats.
        check(
            &[("a", 1, 9.0, 11, 1), ("a", 1, 1.0, 10, 0), ("a", 2, 2.0, 20, 0)],
            &["attempt 0 step 1 at 1: 10 -", "attempt 0 step 2 at 2: 20 -", "attempt 1 step 1 at 9: 11 -"],
        );
        check_by(
            WideOrder::Steps,
            &[("a", 1, 9.0, 11, 2), ("b", 0, 0.5, 8, 1), ("b", 1, 1.0, 10, 1), ("b", 2, 3.0, 20, 2)],
            &["attempt 1 step 0 at 0.5: - 8", "attempt 2 step 1 at 9: 11 10", "attempt 2 step 2 at 3: - 20"],
        );
        check(&[("a", 1, f64::NAN, 1, 0), ("b", 1, 2.0, 2, 0)], &["attempt 0 step 1 at 2: 1 2"]);
        check(&[("a", 1, f64::NAN, 1, 0)], &["attempt 0 step 1 at NaN: 1 -"]);
    }
}
