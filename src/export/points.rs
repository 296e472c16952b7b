//! Points of runs as tables.
//!
//! Layer 6. The long form has a point a row, the wide form a step of a run. Both end with the
//! hyperparameters of the row's run.

use std::collections::HashSet;
use std::io::Write;

use super::hparams::{HparamColumns, HparamRow, Hparams};
use super::table::{Cell, Column, ColumnKind, Inexact, TableWriter};
use super::wide::{Pivot, WideRow, column_name};
use super::{ExportError, Format};
use crate::units::{MetricValue, RunName, Step, Tag, WallTime};

/// What a row of the table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A point: `run`, `tag`, `step`, `wall_time`, `value`, `attempt`, then a column a
    /// hyperparameter. Parquet has `value_exact` beside `value` ([`Inexact::Beside`]).
    Long,
    /// A step of a run: `run`, `step`, `wall_time`, `attempt`, then a column a tag, then a column a
    /// hyperparameter.
    ///
    /// Rows of a run go as [`WideOrder`] says. Points that would share a cell make further rows, so that none is lost;
    /// the wall time and the attempt of a row are the latest of its points.
    /// Points of one run are held in memory until it ends. Parquet refuses integers that a `DOUBLE`
    /// cannot hold ([`Inexact::Refused`]).
    ///
    /// A tag's column is named as the tag; a tag that is called as one of the first four columns, or
    /// begins with `hparam/` or `tag/`, gets `tag/` before it.
    Wide {
        /// The tags that have a column, in this order; repeated ones count once.
        tags: Vec<Tag>,
        /// Which points share a row.
        order: WideOrder,
    },
}

/// Which points of a run share a row of the wide form, and in which order the rows stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WideOrder {
    /// Those of one attempt and step; by attempt, then step.
    Attempts,
    /// Those of one step, whichever attempt they come from; by step.
    Steps,
}

/// A value that a run's writer put down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point<'a> {
    /// The tag: see [`Tag`].
    pub tag: &'a str,
    /// The step.
    pub step: Step,
    /// The writer's clock.
    pub wall_time: WallTime,
    /// The value.
    pub value: MetricValue,
    /// The attempt of the run that it belongs to, from 1: see [`tfevents::series::Attempts`].
    pub attempt: u32,
}

/// Writes the points of runs, one run after the other.
///
/// Nothing that was written counts before [`PointTable::finish`]. After an error other than
/// [`ExportError::UnknownTag`] the table is of no more use.
pub struct PointTable<W: Write + Send> {
    table: TableWriter<W>,
    hparams: HparamColumns,
    run: Option<Run>,
    /// Where points wait in the wide form.
    pivot: Option<Pivot>,
}

/// A run as the cells of its rows that are the same in all.
pub(super) struct Run {
    pub(super) name: RunName,
    pub(super) hparams: HparamRow,
}

impl Run {
    pub(super) fn new(name: &RunName, hparams: HparamRow) -> Self {
        Self { name: name.clone(), hparams }
    }

    /// That a point came before any run.
    pub(super) fn missing() -> ExportError {
        let want = "the beginning of a run";
        ExportError::Misfit { column: "run".to_owned(), got: "a point", want }
    }
}

impl<W: Write + Send> PointTable<W> {
    /// A table without points. `hparams` has the hyperparameters of all runs that will come.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn new(format: Format, shape: Shape, hparams: HparamColumns, out: W) -> Result<Self, ExportError> {
        let (mut columns, pivot) = match shape {
            Shape::Long => (long_columns(), None),
            Shape::Wide { mut tags, order } => {
                let mut known = HashSet::new();
                tags.retain(|tag| known.insert(tag.clone()));
                (wide_columns(&tags), Some(Pivot::new(&tags, order)))
            }
        };
        columns.extend(hparams.columns());
        let table = TableWriter::new(format, columns, out)?;
        Ok(Self { table, hparams, run: None, pivot })
    }

    /// Ends the run before and begins the next. The same run may come again: its rows then stand
    /// apart.
    ///
    /// # Errors
    /// Errors of writing ([`ExportError::Io`], [`ExportError::Inexact`]); [`ExportError::Misfit`] if
    /// the columns were not made for these hyperparameters.
    pub fn begin_run(&mut self, name: &RunName, hparams: &Hparams) -> Result<(), ExportError> {
        self.end_run()?;
        self.run = Some(Run::new(name, self.hparams.row(hparams)?));
        Ok(())
    }

    /// Adds a point of the run that was begun last.
    ///
    /// # Errors
    /// Errors of writing; [`ExportError::UnknownTag`] in the wide form; [`ExportError::Misfit`] if no
    /// run was begun.
    pub fn point(&mut self, point: &Point<'_>) -> Result<(), ExportError> {
        let Some(run) = &self.run else { return Err(Run::missing()) };
        match &mut self.pivot {
            None => self.table.row(long_row(run, point)),
            Some(pivot) => pivot.offer(point),
        }
    }

    /// Ends the last run, writes what is left, flushes the writer and gives it back.
    ///
    /// # Errors
    /// Errors of writing.
    pub fn finish(mut self) -> Result<W, ExportError> {
        self.end_run()?;
        self.table.finish()
    }

    /// The table and the columns of hyperparameters, where no row waits.
    pub(super) fn into_table(self) -> (TableWriter<W>, HparamColumns) {
        (self.table, self.hparams)
    }

    fn end_run(&mut self) -> Result<(), ExportError> {
        match (&self.run, &mut self.pivot) {
            (Some(run), Some(pivot)) => pivot.poll_rows(|row| self.table.row(wide_row(run, row))),
            (None, _) | (_, None) => Ok(()),
        }
    }
}

fn long_columns() -> Vec<Column> {
    vec![
        Column::required("run", ColumnKind::Text),
        Column::required("tag", ColumnKind::Text),
        Column::required("step", ColumnKind::Integer),
        Column::required("wall_time", ColumnKind::Float),
        Column::required("value", ColumnKind::Value(Inexact::Beside)),
        Column::required("attempt", ColumnKind::Count),
    ]
}

pub(super) fn long_row<'c>(run: &'c Run, point: &Point<'c>) -> impl Iterator<Item = Cell<'c>> {
    let cells = [
        Cell::Text(run.name.as_str()),
        Cell::Text(point.tag),
        Cell::Integer(point.step.0),
        Cell::Float(point.wall_time.0),
        Cell::Value(point.value),
        Cell::Count(point.attempt),
    ];
    cells.into_iter().chain(run.hparams.cells())
}

fn wide_columns(tags: &[Tag]) -> Vec<Column> {
    let mut columns = vec![
        Column::required("run", ColumnKind::Text),
        Column::required("step", ColumnKind::Integer),
        Column::required("wall_time", ColumnKind::Float),
        Column::required("attempt", ColumnKind::Count),
    ];
    let value = ColumnKind::Value(Inexact::Refused);
    columns.extend(tags.iter().map(|tag| Column::optional(column_name(tag), value)));
    columns
}

fn wide_row<'c>(run: &'c Run, row: WideRow<'c>) -> impl Iterator<Item = Cell<'c>> {
    let cells = [
        Cell::Text(run.name.as_str()),
        Cell::Integer(row.step.0),
        Cell::Float(row.wall_time.0),
        Cell::Count(row.attempt),
    ];
    let values = row.values.iter().map(|value| value.map_or(Cell::Missing, Cell::Value));
    cells.into_iter().chain(values).chain(run.hparams.cells())
}
