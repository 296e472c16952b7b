//! The result of a job for people.

use std::path::Path;

use super::printer::Style;
use super::text::{brief, duration};
use super::{chart, tables};
use crate::app::jobs::KnownJob;
use crate::app::run::{Finished, log_path};
use crate::edge::store::NewJob;
use crate::study::{Outcome, StudySpec, Trial, rank};

/// The most trials that are listed under one heading.
const MAX_LISTED: usize = 10;

/// The result of a job that has just ended.
pub(super) fn of_job(finished: &Finished, store_asked: Option<&Path>, style: Style) -> String {
    let Finished { end, config, job, trials, .. } = finished;
    let mut sections = vec![result(&config.spec, job, trials, end.message.as_deref(), true, style)];
    sections.extend(best_so_far(&config.spec, trials, style));
    sections.extend(stopped_early(trials, style));
    sections.extend(listed("Without a result", trials.iter().filter_map(failure), trials.len(), style));
    let store = store_asked.map(|path| format!(" --store {}", path.display())).unwrap_or_default();
    sections.push(format!(
        "{}   {}\n{}   hptune jobs describe {}{store}",
        style.bold("Files"),
        job.job_dir.display(),
        style.bold("Again"),
        job.id
    ));
    sections.join("\n\n")
}

fn stopped_early(trials: &[Trial], style: Style) -> Option<String> {
    listed("Stopped early", trials.iter().filter_map(|t| Some((t, t.stop?.to_string()))), trials.len(), style)
}

/// A job of the store with all its trials.
pub(super) fn of_known(known: &KnownJob, style: Style) -> String {
    let stored = &known.stored;
    let head = format!("{}  {}", style.bold(&stored.job.id), stored.state);
    let is_over = stored.ended_at.is_some();
    let mut sections = vec![
        head,
        result(known.spec(), &stored.job, &stored.trials, stored.message.as_deref(), is_over, style),
    ];
    sections.extend(best_so_far(known.spec(), &stored.trials, style));
    if !stored.trials.is_empty() {
        sections.push(tables::trials(known.spec(), &stored.trials));
    }
    sections.extend(stopped_early(&stored.trials, style));
    sections.push(format!("{}   {}", style.bold("Files"), stored.job.job_dir.display()));
    sections.join("\n\n")
}

/// The recommended trial with its parameters, those as good, and what there is to say of the end.
fn result(
    spec: &StudySpec,
    job: &NewJob,
    trials: &[Trial],
    message: Option<&str>,
    is_over: bool,
    style: Style,
) -> String {
    let ranking = rank(spec, trials);
    let find = |id| trials.iter().find(|trial| Some(&trial.id) == id);
    let mut lines = Vec::new();
    if let Some(message) = message {
        lines.push(format!("Note: {message}"));
    }
    let Some(best) = find(ranking.best.first()) else {
        lines.extend(match (is_over, message) {
            (false, _) => Some("No trial has finished with a result yet.".to_owned()),
            (true, None) => Some("No trial gave a result.".to_owned()),
            (true, Some(_)) => None,
        });
        if let Some(trial) = trials.iter().find(|t| matches!(t.outcome(), Some(Outcome::Failed(_)))) {
            lines.push(format!(
                "The log of trial {}: {}",
                trial.id,
                log_path(&job.job_dir, trial.id).display()
            ));
        }
        return lines.join("\n");
    };
    if let Some(m) = best.result(spec.goal, spec.reduce) {
        let time = best.duration_s().map(|s| format!(", after {}", duration(s))).unwrap_or_default();
        let headline = format!(
            "Best trial {}: {} {} at step {}{time}",
            best.id,
            spec.metric_tag,
            brief(m.value),
            m.step
        );
        lines.push(style.bold(&headline));
    }
    let width = best.params.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    lines.extend(best.params.iter().map(|(name, value)| format!("  {name:width$}  {value}")));
    if ranking.best.len() > 1 {
        let others: Vec<String> = ranking.best.iter().skip(1).map(ToString::to_string).collect();
        let trials = if others.len() == 1 { "trial" } else { "trials" };
        lines.push(format!("As good: {trials} {}; trial {} cost least time", others.join(", "), best.id));
    }
    lines.join("\n")
}

/// The curve of the best result after each trial that gave one, in the order in which they ended.
fn best_so_far(spec: &StudySpec, trials: &[Trial], style: Style) -> Option<String> {
    let mut ended: Vec<&Trial> =
        trials.iter().filter(|t| t.outcome().is_some_and(Outcome::is_success)).collect();
    ended.sort_by_key(|trial| (trial.ended_at, trial.id));
    let mut best: Option<f64> = None;
    let mut curve = Vec::new();
    for trial in ended {
        let Some(value) = trial.result(spec.goal, spec.reduce).map(|m| m.value) else { continue };
        if best.is_none_or(|best| spec.goal.is_better(value, best)) {
            best = Some(value);
        }
        curve.extend(best);
    }
    if curve.is_empty() {
        return None;
    }
    let heading = style.bold("Best so far") + &style.dim("  after each trial with a result");
    Some(format!("{heading}\n{}", chart::columns(&curve)))
}

fn failure(trial: &Trial) -> Option<(&Trial, String)> {
    let outcome = trial.outcome().filter(|outcome| outcome.is_failure())?;
    Some((trial, outcome.to_string()))
}

/// A heading with its number of trials, and the first of them with what there is to say.
fn listed<'t>(
    heading: &str,
    trials: impl Iterator<Item = (&'t Trial, String)>,
    n_trials: usize,
    style: Style,
) -> Option<String> {
    let all: Vec<(&Trial, String)> = trials.collect();
    if all.is_empty() {
        return None;
    }
    let mut lines = vec![format!("{}: {} of {n_trials} trials", style.bold(heading), all.len())];
    lines.extend(all.iter().take(MAX_LISTED).map(|(trial, text)| format!("  trial {:>3}  {text}", trial.id)));
    if all.len() > MAX_LISTED {
        lines.push(format!("  and {} more", all.len() - MAX_LISTED));
    }
    Some(lines.join("\n"))
}
