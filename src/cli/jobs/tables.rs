//! Tables of jobs and trials.

use super::text::brief;
use crate::app::jobs::KnownJob;
use crate::cli::tables::{align_right, table, text};
use crate::cli::text::duration;
use crate::study::{Reduce, StudySpec, Trial, UsualEnds, peak_before_end, rank};

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
            if job.is_interrupted() { "INTERRUPTED".to_owned() } else { job.stored.state.to_string() },
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
    // Where a trial was much better long before its end, that stands beside its result.
    let peak = |trial: &Trial| peak_before_end(&trial.curve, spec.goal).copied();
    let has_peaks = spec.reduce == Reduce::Last && trials.iter().any(|trial| peak(trial).is_some());
    let mut headings = vec!["TRIAL", "RESULT", "STEP"];
    headings.extend(has_peaks.then_some(["BEST", "AT STEP"]).into_iter().flatten());
    headings.push("TIME");
    let n_numbers = headings.len();
    headings.extend(&names);
    // The trial's own directory goes without saying.
    let has_runs = trials.iter().filter_map(|trial| trial.curve.run()).any(|run| run.as_str() != ".");
    headings.extend(has_runs.then_some("RUN"));
    headings.push("OUTCOME");
    let mut rows = table(&headings);
    let ends = UsualEnds::of(trials);
    for id in rank(spec, trials).order {
        let Some(trial) = trials.iter().find(|trial| trial.id == id) else { continue };
        let result = trial.result(spec.goal, spec.reduce);
        let mut row = vec![
            id.to_string(),
            result.map(|m| brief(m.value)).unwrap_or_default(),
            result.map(|m| m.step.to_string()).unwrap_or_default(),
        ];
        if has_peaks {
            let best = trial.curve.best(spec.goal);
            row.push(best.map(|m| brief(m.value)).unwrap_or_default());
            row.push(best.map(|m| m.step.to_string()).unwrap_or_default());
        }
        row.push(trial.duration_s().map(duration).unwrap_or_default());
        row.extend(trial.params.iter().map(|(_, value)| value.to_string()));
        row.extend(
            has_runs.then(|| trial.curve.run().map_or_else(String::new, |run| run.as_str().to_owned())),
        );
        let mut outcome = trial.outcome().map_or_else(|| "running".to_owned(), ToString::to_string);
        if let (Some(step), Some(usual)) = (trial.curve.reached(), ends.missed_by(trial)) {
            outcome += &format!(" at step {step} of {usual}");
        }
        row.push(outcome);
        rows.add_row(row);
    }
    align_right(&mut rows, &(0..n_numbers).collect::<Vec<_>>());
    text(&rows)
}
