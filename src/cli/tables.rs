//! Tables of jobs, trials and runs.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use super::printer::Style;
use super::text::{brief, duration};
use crate::app::inspect::{Inspection, Run};
use crate::app::jobs::KnownJob;
use crate::series::TagSummary;
use crate::study::{StudySpec, Trial, rank};
use crate::units::{MetricValue, RunName, Tag};

/// The most stretches of damage that are listed for a run.
const MAX_DAMAGES: usize = 10;

fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings);
    table
}

fn align_right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// The table's lines without the blanks behind them.
fn text(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// A row a job.
pub(super) fn jobs(jobs: &[KnownJob]) -> String {
    let mut rows = table(&["JOB", "STATE", "CREATED (UTC)", "TRIALS", "BEST", "TRIAL"]);
    for job in jobs {
        let best = job.best();
        let value =
            best.and_then(|trial| trial.result(job.spec().goal, job.spec().reduce)).map(|m| brief(m.value));
        let created = job.stored.job.created_at.to_string();
        rows.add_row([
            job.stored.job.id.clone(),
            job.stored.state.clone(),
            created.split('.').next().unwrap_or(&created).replace('T', " ").trim_end_matches('Z').to_owned(),
            format!("{}/{}", job.n_ended(), job.spec().max_trials),
            value.unwrap_or_default(),
            best.map(|trial| trial.id.to_string()).unwrap_or_default(),
        ]);
    }
    align_right(&mut rows, &[3, 4, 5]);
    text(&rows)
}

/// A row a trial, best first.
pub(super) fn trials(spec: &StudySpec, trials: &[Trial]) -> String {
    let names: Vec<&str> = spec.space.parameters.iter().map(|p| &*p.name).collect();
    let mut headings = vec!["TRIAL", "RESULT", "STEP", "TIME"];
    headings.extend(&names);
    headings.push("OUTCOME");
    let mut rows = table(&headings);
    for id in rank(spec, trials).order {
        let Some(trial) = trials.iter().find(|trial| trial.id == id) else { continue };
        let result = trial.result(spec.goal, spec.reduce);
        let mut row = vec![
            id.to_string(),
            result.map(|m| brief(m.value)).unwrap_or_default(),
            result.map(|m| m.step.to_string()).unwrap_or_default(),
            trial.duration_s().map(duration).unwrap_or_default(),
        ];
        row.extend(trial.params.iter().map(|(_, value)| value.to_string()));
        row.push(trial.outcome().map_or_else(|| "running".to_owned(), ToString::to_string));
        rows.add_row(row);
    }
    align_right(&mut rows, &[0, 1, 2, 3]);
    text(&rows)
}

/// What is in event files: a heading a run, a row a tag, and what is damaged.
pub(super) fn inspection(path: &Path, inspection: &Inspection, style: Style) -> String {
    let mut sections = vec![style.dim(&format!("{}:", path.display()))];
    if inspection.runs.is_empty() {
        sections.push("no event files (names with `tfevents`) here or below".to_owned());
    }
    sections.extend(inspection.runs.iter().map(|(name, run)| section(name, run, style)));
    sections.extend(inspection.troubles.iter().map(|trouble| format!("cannot be read: {trouble}")));
    sections.join("\n\n") + "\n"
}

fn section(name: &RunName, run: &Run, style: Style) -> String {
    let files = if run.n_files == 1 { "file" } else { "files" };
    let mut about = vec![format!("{} {files}", run.n_files)];
    if run.n_graphs > 0 {
        about.push(format!("{} graphs", run.n_graphs));
    }
    if !run.writers.is_empty() {
        about.push(format!("written by {}", run.writers.join(", ")));
    }
    let mut lines = vec![format!("{}  {}", style.bold(name.as_str()), style.dim(&about.join(", ")))];
    if run.tags.is_empty() {
        lines.push("  no values".to_owned());
    } else {
        let mut rows = table(&["  TAG", "KIND", "COUNT", "STEPS", "LAST", "MIN", "MAX", "NON-FINITE"]);
        for (tag, summary) in &run.tags {
            rows.add_row(row(tag, summary));
        }
        align_right(&mut rows, &[2, 3, 4, 5, 6, 7]);
        lines.push(text(&rows));
    }
    lines.extend(
        run.unfinished
            .iter()
            .take(MAX_DAMAGES)
            .map(|(path, damage)| format!("  unfinished: {path}: {damage}")),
    );
    if run.n_damages > 0 {
        let places = if run.n_damages == 1 { "place" } else { "places" };
        lines.push(format!("  damage in {} {places}", run.n_damages));
        lines.extend(
            run.damages.iter().take(MAX_DAMAGES).map(|(path, damage)| format!("    {path}: {damage}")),
        );
        if run.n_damages > MAX_DAMAGES as u64 {
            lines.push(format!("    and {} more", run.n_damages - MAX_DAMAGES as u64));
        }
    }
    lines.join("\n")
}

fn row(tag: &Tag, summary: &TagSummary) -> [String; 8] {
    let value = |value: Option<MetricValue>| value.map(|v| v.to_string()).unwrap_or_default();
    let steps = if summary.min_step == summary.max_step {
        summary.min_step.to_string()
    } else {
        format!("{}..{}", summary.min_step, summary.max_step)
    };
    let non_finite = if summary.n_non_finite > 0 { summary.n_non_finite.to_string() } else { String::new() };
    [
        format!("  {tag}"),
        summary.kind.to_string(),
        summary.n_values.to_string(),
        steps,
        value(summary.last),
        value(summary.min),
        value(summary.max),
        non_finite,
    ]
}
