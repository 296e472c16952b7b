//! `jobs export`: the trials of a job as a table, one a row.

use std::io::Write;

use super::jobs::KnownJob;
use crate::export::{Cell, Column, ColumnKind, ExportError, Format, TableWriter};
use crate::limits::MAX_WIDE_TAGS;
use crate::study::{Domain, ParamValue, Trial};

/// What the column of a parameter begins with, as in a table of points.
const PREFIX: &str = "hparam/";

/// Writes the trials of a job to `out`, by number, one a row. The answer is how many there are.
///
/// The column of a parameter is `hparam/NAME`: numbers for DOUBLE and DISCRETE, whole ones for INTEGER, and for CATEGORICAL the
/// category as a text, letter for letter.
///
/// # Errors
/// As of [`TableWriter`].
pub fn write<W: Write + Send>(known: &KnownJob, format: Format, out: W) -> Result<(usize, W), ExportError> {
    let parameters = &known.spec().space.parameters;
    let mut columns = vec![
        Column::required("trial", ColumnKind::Count),
        Column::required("state", ColumnKind::Text),
        Column::optional("outcome", ColumnKind::Text),
    ];
    columns.extend(parameters.iter().take(MAX_WIDE_TAGS).map(|parameter| {
        let kind = match parameter.domain {
            Domain::Double { .. } | Domain::Discrete { .. } => ColumnKind::Float,
            Domain::Integer { .. } => ColumnKind::Integer,
            Domain::Categorical(_) => ColumnKind::Text,
        };
        Column::optional(format!("{PREFIX}{}", parameter.name), kind)
    }));
    columns.extend([
        Column::optional("value", ColumnKind::Float),
        Column::optional("step", ColumnKind::Integer),
        Column::optional("best_value", ColumnKind::Float),
        Column::optional("best_step", ColumnKind::Integer),
        Column::optional("run", ColumnKind::Text),
        Column::required("attempts", ColumnKind::Count),
        Column::optional("start_time", ColumnKind::Text),
        Column::optional("end_time", ColumnKind::Text),
        Column::optional("elapsed_s", ColumnKind::Float),
        Column::optional("stop_rule", ColumnKind::Text),
        Column::optional("stop_reason", ColumnKind::Text),
    ]);
    let kinds: Vec<ColumnKind> = columns.iter().map(|column| column.kind).collect();
    let mut table = TableWriter::new(format, columns, out)?;
    let mut trials: Vec<&Trial> = known.stored.trials.iter().collect();
    trials.sort_by_key(|trial| trial.id);
    for trial in &trials {
        let texts = Texts::of(trial);
        let mut cells = vec![
            Cell::Count(trial.id.get()),
            Cell::Text(&texts.state),
            texts.outcome.as_deref().map_or(Cell::Missing, Cell::Text),
        ];
        for parameter in parameters.iter().take(MAX_WIDE_TAGS) {
            let kind = kinds.get(cells.len()).copied().unwrap_or(ColumnKind::Text);
            cells.push(match (trial.params.get(&parameter.name), kind) {
                (Some(ParamValue::Text(text)), ColumnKind::Text) => Cell::Text(text),
                (Some(ParamValue::Number(n)), ColumnKind::Float) => Cell::Float(*n),
                (Some(ParamValue::Number(n)), ColumnKind::Integer) => Cell::Integer(*n as i64),
                (Some(_) | None, _) => Cell::Missing,
            });
        }
        let (goal, reduce) = (known.spec().goal, known.spec().reduce);
        // Of one that goes on the result is what it would be now.
        for measurement in [trial.result(goal, reduce), trial.curve.best(goal)] {
            cells.push(measurement.map_or(Cell::Missing, |m| Cell::Float(m.value)));
            cells.push(measurement.map_or(Cell::Missing, |m| Cell::Integer(m.step.0)));
        }
        cells.extend([
            trial.curve.run().map_or(Cell::Missing, |run| Cell::Text(run.as_str())),
            Cell::Count(trial.attempt),
            texts.started.as_deref().map_or(Cell::Missing, Cell::Text),
            texts.ended.as_deref().map_or(Cell::Missing, Cell::Text),
            trial.duration_s().map_or(Cell::Missing, Cell::Float),
            texts.stop_rule.as_deref().map_or(Cell::Missing, Cell::Text),
            texts.stop_reason.as_deref().map_or(Cell::Missing, Cell::Text),
        ]);
        table.row(cells)?;
    }
    Ok((trials.len(), table.finish()?))
}

/// What stands as text in the row of a trial.
struct Texts {
    state: String,
    outcome: Option<String>,
    started: Option<String>,
    ended: Option<String>,
    stop_rule: Option<String>,
    stop_reason: Option<String>,
}

impl Texts {
    fn of(trial: &Trial) -> Self {
        let reason = trial.stop.as_ref().map(|decision| &decision.reason);
        let rule = reason.and_then(|reason| serde_json::to_value(reason).ok());
        Self {
            state: trial.state().name().to_owned(),
            outcome: trial.outcome().map(ToString::to_string),
            started: trial.started_at.map(|at| at.to_string()),
            ended: trial.ended_at.map(|at| at.to_string()),
            stop_rule: rule.and_then(|rule| Some(rule.get("rule")?.as_str()?.to_owned())),
            stop_reason: reason.map(ToString::to_string),
        }
    }
}
