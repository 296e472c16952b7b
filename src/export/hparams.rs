//! Hyperparameters of a run as columns of a table.
//!
//! Layer 6. A column's type is what all runs agree on; where they do not, it is text.

use std::collections::BTreeMap;

use super::ExportError;
use super::table::{Cell, Column, ColumnKind};
use crate::units::shortest;
use tfevents::scalar::HparamValue;

/// A run's hyperparameters by name.
pub type Hparams = BTreeMap<String, HparamValue>;

/// The hyperparameters that a table has columns for, in the order of their names, and their types.
///
/// The column of a hyperparameter is `hparam/NAME`: its name may be that of a tag or of one of the
/// table's own columns, such as `step`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HparamColumns(BTreeMap<String, ColumnKind>);

/// What the names of hyperparameters' columns begin with.
pub(super) const PREFIX: &str = "hparam/";

impl HparamColumns {
    /// The columns for these runs.
    pub fn of<'a>(runs: impl IntoIterator<Item = &'a Hparams>) -> Self {
        let mut columns = Self::default();
        for hparams in runs {
            columns.add(hparams);
        }
        columns
    }

    /// Makes room for one more run: a hyperparameter on whose type the runs do not agree is text.
    pub fn add(&mut self, hparams: &Hparams) {
        for (name, value) in hparams {
            let kind = match value {
                HparamValue::Bool(_) => ColumnKind::Bool,
                HparamValue::Number(_) => ColumnKind::Float,
                HparamValue::Text(_) => ColumnKind::Text,
            };
            match self.0.get_mut(name) {
                Some(known) if *known == kind => {}
                Some(known) => *known = ColumnKind::Text,
                None => {
                    self.0.insert(name.clone(), kind);
                }
            }
        }
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = Column> {
        self.0.iter().map(|(name, kind)| Column::optional(format!("{PREFIX}{name}"), *kind))
    }

    /// The values of a run in the order of the columns, as texts where the column is text.
    pub(super) fn row(&self, hparams: &Hparams) -> Result<HparamRow, ExportError> {
        let misfit = |name: &str, got| {
            let column = format!("{PREFIX}{name}");
            Err(ExportError::Misfit { column, got, want: "one that the columns were made for" })
        };
        if let Some(name) = hparams.keys().find(|name| !self.0.contains_key(*name)) {
            return misfit(name, "a hyperparameter without a column");
        }
        let mut cells = Vec::with_capacity(self.0.len());
        for (name, kind) in &self.0 {
            let cell = match (hparams.get(name), kind) {
                (Some(value), ColumnKind::Text) => Some(HparamValue::Text(text(value))),
                (Some(HparamValue::Bool(_)), ColumnKind::Bool)
                | (Some(HparamValue::Number(_)), ColumnKind::Float)
                | (None, _) => hparams.get(name).cloned(),
                (Some(_), _) => return misfit(name, "a hyperparameter of another type"),
            };
            cells.push(cell);
        }
        Ok(HparamRow(cells))
    }
}

/// The hyperparameters of one run as the last cells of its rows.
#[derive(Debug)]
pub(super) struct HparamRow(Vec<Option<HparamValue>>);

impl HparamRow {
    pub(super) fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.0.iter().map(|value| match value {
            None => Cell::Missing,
            Some(HparamValue::Bool(flag)) => Cell::Bool(*flag),
            Some(HparamValue::Number(number)) => Cell::Float(*number),
            Some(HparamValue::Text(text)) => Cell::Text(text),
        })
    }
}

fn text(value: &HparamValue) -> String {
    match value {
        HparamValue::Bool(flag) => flag.to_string(),
        HparamValue::Number(number) => shortest(*number),
        HparamValue::Text(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_the_type_that_all_runs_agree_on() {
        #[track_caller]
        fn check(values: &[HparamValue], kind: ColumnKind, last: Cell<'_>) {
            let runs: Vec<Hparams> =
                values.iter().map(|value| Hparams::from([("lr".to_owned(), value.clone())])).collect();
            let columns = HparamColumns::of(&runs);
            assert_eq!(columns.columns().collect::<Vec<_>>(), [Column::optional("hparam/lr", kind)]);
            let row = columns.row(runs.last().unwrap()).unwrap();
            assert_eq!(row.cells().collect::<Vec<_>>(), [last]);
            let none = columns.row(&Hparams::new()).unwrap();
            assert_eq!(none.cells().collect::<Vec<_>>(), [Cell::Missing]);
        }
        let text = |text: &str| HparamValue::Text(text.to_owned());
        use HparamValue::{Bool, Number};
        check(&[Number(1.0), Number(0.1)], ColumnKind::Float, Cell::Float(0.1));
        check(&[Bool(true)], ColumnKind::Bool, Cell::Bool(true));
        check(&[text("adam"), Number(0.1)], ColumnKind::Text, Cell::Text("0.1"));
        check(&[Number(32.0), Bool(false)], ColumnKind::Text, Cell::Text("false"));
        check(&[Bool(false), Number(32.0), Number(64.0)], ColumnKind::Text, Cell::Text("64"));
    }

    #[test]
    fn a_run_that_the_columns_were_not_made_for_is_refused() {
        #[track_caller]
        fn check(name: &str, value: HparamValue, expected: &str) {
            let known = Hparams::from([("lr".to_owned(), HparamValue::Number(0.1))]);
            let run = Hparams::from([(name.to_owned(), value)]);
            assert_eq!(HparamColumns::of([&known]).row(&run).unwrap_err().to_string(), expected);
        }
        let want = "want one that the columns were made for";
        let without = format!("column \"hparam/wd\": got a hyperparameter without a column, {want}");
        check("wd", HparamValue::Number(0.1), &without);
        let other = format!("column \"hparam/lr\": got a hyperparameter of another type, {want}");
        check("lr", HparamValue::Bool(true), &other);
    }
}
