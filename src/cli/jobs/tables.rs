//! Tables of jobs and trials.

use super::text::{ShownValues, brief, digits_apart, rounded};
use crate::app::jobs::KnownJob;
use crate::cli::printer::Style;
use crate::cli::table::Table;
use crate::cli::text::{duration, printable};
use crate::study::{Domain, Reduce, StudySpec, Trial, UsualEnds, peak_before_end, rank};
use crate::units::RunName;

/// A row a job.
pub(super) fn jobs(jobs: &[KnownJob], style: Style) -> String {
    let mut rows = Table::new(["JOB", "STATE", "CREATED (UTC)", "TRIALS", "BEST", "TRIAL"]);
    for job in jobs {
        let best = job.best();
        let value =
            best.and_then(|trial| trial.result(job.spec().goal, job.spec().reduce)).map(|m| brief(m.value));
        let created = job.stored.job.created_at.to_string();
        rows.add_row([
            job.stored.job.id.clone(),
            job.state_in_words(),
            created.split('.').next().unwrap_or(&created).replace('T', " ").trim_end_matches('Z').to_owned(),
            format!("{}/{}", job.n_ended(), job.spec().max_trials),
            value.unwrap_or_default(),
            best.map(|trial| trial.id.to_string()).unwrap_or_default(),
        ]);
    }
    rows.align_right([3, 4, 5]);
    rows.draw(style.columns())
}

/// The run directory that all trials with values are read from: the trial's own, where there are none. `None` where they
/// differ.
pub(super) fn common_run(trials: &[Trial]) -> Option<RunName> {
    let mut runs = trials.iter().filter_map(|trial| trial.curve.run());
    let first = runs.next().cloned().unwrap_or_else(RunName::root);
    runs.all(|run| *run == first).then_some(first)
}

/// A row a trial, best first.
pub(super) fn trials(spec: &StudySpec, trials: &[Trial], style: Style) -> String {
    let names: Vec<&str> = spec.space.parameters.iter().map(|p| &*p.name).collect();
    let shown: Vec<ShownValues> =
        spec.space.parameters.iter().map(|parameter| ShownValues::of(parameter, trials.iter())).collect();
    let result = |trial: &Trial| trial.result(spec.goal, spec.reduce).map(|m| m.value);
    let n_digits = digits_apart(trials.iter().filter_map(result));
    // Where a trial was much better long before its end, that stands beside its result.
    let peak = |trial: &Trial| peak_before_end(&trial.curve, spec.goal).copied();
    let has_peaks = spec.reduce == Reduce::Last && trials.iter().any(|trial| peak(trial).is_some());
    let mut headings = vec!["TRIAL", "RESULT", "STEP"];
    headings.extend(has_peaks.then_some(["BEST", "AT STEP"]).into_iter().flatten());
    headings.push("TIME");
    let n_numbers = headings.len();
    headings.extend(&names);
    let has_runs = common_run(trials).is_none();
    headings.extend(has_runs.then_some("RUN"));
    headings.push("OUTCOME");
    let mut rows = Table::new(&headings);
    let ends = UsualEnds::of(trials);
    for id in rank(spec, trials).order {
        let Some(trial) = trials.iter().find(|trial| trial.id == id) else { continue };
        let result = trial.result(spec.goal, spec.reduce);
        let mut row = vec![
            id.to_string(),
            result.map(|m| rounded(m.value, n_digits)).unwrap_or_default(),
            result.map(|m| m.step.to_string()).unwrap_or_default(),
        ];
        if has_peaks {
            let best = trial.curve.best(spec.goal);
            row.push(best.map(|m| brief(m.value)).unwrap_or_default());
            row.push(best.map(|m| m.step.to_string()).unwrap_or_default());
        }
        row.push(trial.duration_s().map(duration).unwrap_or_default());
        row.extend(trial.params.iter().zip(&shown).map(|((_, value), shown)| printable(&shown.show(value))));
        row.extend(
            has_runs.then(|| trial.curve.run().map_or_else(String::new, |run| run.as_str().to_owned())),
        );
        let mut outcome = trial.outcome().map_or_else(|| "running".to_owned(), ToString::to_string);
        if let (Some(step), Some(usual)) = (trial.curve.reached(), ends.missed_by(trial)) {
            outcome += &format!(" at step {step} of {usual}");
        }
        row.push(match trial.outcome() {
            Some(failed) if failed.is_failure() => style.bad(&outcome),
            Some(_) | None => outcome,
        });
        rows.add_row(row);
    }
    rows.align_right(0..n_numbers);
    let is_text = |domain: &Domain| matches!(domain, Domain::Categorical(_));
    let numbers =
        spec.space.parameters.iter().enumerate().filter(|(_, parameter)| !is_text(&parameter.domain));
    rows.align_right(numbers.map(|(i, _)| n_numbers + i));
    rows.draw(style.columns())
}
