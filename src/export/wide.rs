//! Points of one run to rows of one step each.
//!
//! Layer 6. Holds a run's points until its end, because tags come in any order.

use std::collections::HashMap;

use super::ExportError;
use super::hparams::PREFIX;
use super::points::Point;
use crate::units::{MetricValue, Step, Tag, WallTime};

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
    columns: HashMap<Tag, u32>,
    points: Vec<Held>,
    /// The row at hand: a value or nothing for each tag.
    values: Vec<Option<MetricValue>>,
}

#[derive(Debug)]
struct Held {
    attempt: u32,
    step: Step,
    /// How many points of the same attempt, step and tag came before this one.
    nth: u32,
    column: u32,
    wall_time: WallTime,
    value: MetricValue,
}

impl Held {
    fn row(&self) -> (u32, Step, u32) {
        (self.attempt, self.step, self.nth)
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
    pub(super) fn new(tags: &[Tag]) -> Self {
        let columns = tags.iter().cloned().zip(0..).collect();
        Self { columns, points: Vec::new(), values: vec![None; tags.len()] }
    }

    /// Takes a point, if its tag has a column.
    pub(super) fn offer(&mut self, point: &Point<'_>) -> Result<(), ExportError> {
        let Some(&column) = self.columns.get(point.tag) else {
            return Err(ExportError::UnknownTag { tag: Tag::from(point.tag) });
        };
        let Point { step, wall_time, value, attempt, .. } = *point;
        self.points.push(Held { attempt, step, nth: 0, column, wall_time, value });
        Ok(())
    }

    /// Gives the rows of the run, by attempt, then step, then the order in which points of one tag
    /// came, and forgets its points.
    pub(super) fn poll_rows<E>(
        &mut self,
        mut row: impl FnMut(WideRow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut points = std::mem::take(&mut self.points);
        points.sort_by_key(|point| (point.attempt, point.step, point.column));
        for same in points.chunk_by_mut(|a, b| (a.row(), a.column) == (b.row(), b.column)) {
            for (point, nth) in same.iter_mut().zip(0..) {
                point.nth = nth;
            }
        }
        points.sort_by_key(Held::row);
        for points in points.chunk_by(|a, b| a.row() == b.row()) {
            let Some(&Held { attempt, step, .. }) = points.first() else { continue };
            self.values.fill(None);
            let mut wall_time_s = f64::NAN;
            for point in points {
                // Of NaN and a time, `max` is the time.
                wall_time_s = wall_time_s.max(point.wall_time.0);
                if let Some(value) = self.values.get_mut(point.column as usize) {
                    *value = Some(point.value);
                }
            }
            row(WideRow { step, wall_time: WallTime(wall_time_s), attempt, values: &self.values })?;
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
            let mut pivot = Pivot::new(&[Tag::from("a"), Tag::from("b")]);
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
        check(&[("a", 1, f64::NAN, 1, 0), ("b", 1, 2.0, 2, 0)], &["attempt 0 step 1 at 2: 1 2"]);
        check(&[("a", 1, f64::NAN, 1, 0)], &["attempt 0 step 1 at NaN: 1 -"]);
    }
}
