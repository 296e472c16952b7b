//! The result of a job for people.

use std::path::Path;

use super::text::brief;
use super::{chart, tables};
use crate::app::jobs::KnownJob;
use crate::app::quoted;
use crate::app::run::remarks::unused;
use crate::app::run::{Finished, FirstTrial};
use crate::app::why::{Basis, Peer, Why};
use crate::cli::printer::Style;
use crate::cli::table::Table;
use crate::cli::text::{duration, hang, printable, width};
use crate::edge::store::NewJob;
use crate::edge::trial_files::TrialFiles;
use crate::plot::{self, Cells, Curve, Ink, Look};
use crate::study::{Domain, Outcome, Reduce, StudySpec, Trial, UsualEnds, all_alike, peak_before_end, rank};
use crate::suggest::insight::insight;
use crate::units::Step;

/// The most trials that are listed under one heading.
const MAX_LISTED: usize = 10;

/// How far further lines of a listed trial are indented: as far as what is said of it.
const LISTED_INDENT: usize = 13;

/// The result of a job that has just ended. What matters most comes last: it is what a terminal shows.
pub(super) fn of_job(finished: &Finished, store_asked: Option<&Path>, style: Style) -> String {
    let Finished { end, config, job, trials, .. } = finished;
    let mut sections = Vec::new();
    sections.extend(listed("Without a result", trials.iter().filter_map(failure), trials.len(), style));
    sections.extend(stopped_early(trials, style));
    sections.extend(ended_before(trials, style));
    sections.extend(insight_text(&config.spec, trials, style));
    sections.extend(best_so_far(&config.spec, trials, style));
    // What the trainer said was told with its trial.
    sections.push(result(&config.spec, job, trials, end.headline(), true, style));
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
    let stopped = trials.iter().filter_map(|t| Some((t, t.stop.as_ref()?.reason.to_string())));
    listed("Stopped early", stopped, trials.len(), style)
}

/// The trials that ended well far before the others.
fn ended_before(trials: &[Trial], style: Style) -> Option<String> {
    let ends = UsualEnds::of(trials);
    let text = |trial: &'_ Trial| Some(before_usual(trial.curve.reached()?, ends.missed_by(trial)?));
    listed(
        "Ended well, but far before the others",
        trials.iter().filter_map(|trial| Some((trial, text(trial)?))),
        trials.len(),
        style,
    )
}

fn before_usual(step: Step, usual: Step) -> String {
    format!("at step {step}, the others at {usual}: somebody may have told it to end")
}

/// What a job would do, and what its first trial would get.
pub(super) fn of_first_trial(first: &FirstTrial, style: Style) -> String {
    let mut settings = Table::new(["SETTING", "VALUE", "FROM"]);
    for setting in &first.settings {
        settings.add_row([setting.name.to_owned(), printable(&setting.value), printable(&setting.from)]);
    }
    let mut parameters = Table::new(["PARAMETER", "VALUES"]);
    for parameter in &first.parameters {
        parameters.add_row([printable(&parameter.name), printable(&parameter.values)]);
    }
    let hyperparameters: Vec<String> =
        first.hyperparameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut lines = vec![
        format!("{}  {}", style.bold("Job"), first.job_id),
        String::new(),
        settings.draw(style.columns()),
        String::new(),
        parameters.draw(style.columns()),
        String::new(),
        format!("{}  {}", style.bold(&format!("Trial {}", first.number)), hyperparameters.join(" ")),
        format!("{}  {}", style.bold("Passed"), passed(first)),
    ];
    if first.is_here {
        lines.push(format!("{}  {}", style.bold("Files"), first.directory.display()));
        lines.push(format!("{}  {}", style.bold("Runs in"), first.spec.directory.display()));
    }
    let is_cluster = first.spec.replicas.len() > 1;
    for replica in &first.spec.replicas {
        let words = std::iter::once(&replica.program).chain(&replica.arguments);
        let words: Vec<String> = words.map(|word| quoted(word)).collect();
        lines.push(String::new());
        let name = if is_cluster { replica.replica.to_string() } else { "Command".to_owned() };
        lines.push(style.bold(&name));
        // Indented as what is to be pasted.
        lines.push(format!("    {}", words.join(" ")));
        lines.extend(
            replica.environment.iter().map(|(name, value)| format!("      {name}={}", quoted(value))),
        );
        if first.is_here {
            lines.push(format!("    log: {}", replica.log.display()));
        }
    }
    lines.join("\n")
}

/// Where each value goes in the command.
fn passed(first: &FirstTrial) -> String {
    if first.places.is_empty() {
        return "by whoever starts the trial".to_owned();
    }
    let each = first.places.iter().map(|(name, words)| {
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        if words.is_empty() {
            format!("{name}: appended as --{name}=VALUE")
        } else {
            format!("{name}: in {}", words.join(" and "))
        }
    });
    each.collect::<Vec<_>>().join("; ")
}

/// A job of the store with all its trials.
pub(super) fn of_known(known: &KnownJob, style: Style) -> String {
    let stored = &known.stored;
    let mut head = format!("{}  {}", style.bold(&stored.job.id), known.state_in_words());
    if known.is_interrupted() {
        head += &format!("\nNobody runs it: `hptune jobs resume {}` goes on with it", stored.job.id);
    }
    // The trial's own directory goes without saying.
    if let Some(run) = tables::common_run(&stored.trials).filter(|run| run.as_str() != ".") {
        head += &format!("\nThe run directory `{run}` of each trial is read.");
    }
    let is_over = stored.ended_at.is_some();
    let mut sections = vec![head];
    if !stored.trials.is_empty() {
        sections.push(tables::trials(known.spec(), &stored.trials, style));
    }
    sections.extend(stopped_early(&stored.trials, style));
    sections.extend(ended_before(&stored.trials, style));
    sections.extend(insight_text(known.spec(), &stored.trials, style));
    sections.extend(best_so_far(known.spec(), &stored.trials, style));
    sections.push(result(
        known.spec(),
        &stored.job,
        &stored.trials,
        stored.message.as_deref(),
        is_over,
        style,
    ));
    sections.push(format!("{}   {}", style.bold("Files"), stored.job.job_dir.display()));
    sections.join("\n\n")
}

/// What the trials say of the parameters, where they say something.
fn insight_text(spec: &StudySpec, trials: &[Trial], style: Style) -> Option<String> {
    let insight = insight(spec, trials)?;
    let mut lines = Vec::new();
    if insight.importance.len() > 1 {
        let heading = style.bold("Importance");
        lines.push(heading + &style.dim("  total effect on the model's mean over the whole space"));
        let n_columns = insight.importance.iter().map(|i| width(&i.parameter)).max().unwrap_or(0);
        // The share stands between the name and its bar.
        let room = style.columns().unwrap_or(usize::MAX).saturating_sub(n_columns + 11).min(20);
        lines.extend(insight.importance.iter().take(MAX_LISTED).map(|i| {
            let bar = "█".repeat((i.share * room as f64).round() as usize);
            format!("  {:n_columns$}  {:>3.0} %  {bar}", i.parameter, 100.0 * i.share).trim_end().to_owned()
        }));
    }
    if let Some(best) = &insight.best_mean {
        lines.push(format!(
            "Results are noisy (one trial by ± {}). Without the noise trial {} is expected to be best: {} ± {}",
            brief(best.noise),
            best.trial_id,
            brief(best.mean),
            brief(best.deviation)
        ));
    }
    lines.extend(insight.crowded.iter().map(|crowded| {
        let domain = spec.space.parameters.iter().find(|p| p.name == crowded.parameter).map(|p| &p.domain);
        let (which, what) = match (domain, crowded.is_upper) {
            (Some(Domain::Discrete { .. }), true) => ("upper", "add larger discreteValues"),
            (Some(Domain::Discrete { .. }), false) => ("lower", "add smaller discreteValues"),
            (_, true) => ("upper", "raise maxValue"),
            (_, false) => ("lower", "lower minValue"),
        };
        format!(
            "{} of the {} best trials crowd the {which} bound of {}, {}: better values may lie beyond; {what}",
            crowded.n_near,
            crowded.n_best,
            crowded.parameter,
            brief(crowded.bound)
        )
    }));
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Why a trial was stopped early, with a chart.
pub(super) fn of_why(known: &KnownJob, why: &Why<'_>, size: Cells, ink: Ink, style: Style) -> String {
    let trial = why.trial;
    let outcome = trial.outcome().map_or_else(|| "it runs".to_owned(), ToString::to_string);
    let mut sections = vec![format!("{}  {outcome}", style.bold(&format!("Trial {}", trial.id)))];
    sections.push(match &trial.stop {
        Some(decision) => format!("Stopped early: {}", decision.reason),
        None => "It was not stopped early.".to_owned(),
    });
    sections.extend(compared(why));
    let own: Vec<(f64, f64)> =
        trial.curve.by_global_step().map(|(step, m)| (step.0 as f64, m.value)).collect();
    if own.is_empty() {
        return sections.join("\n");
    }
    let mut curves = vec![Curve { name: format!("trial {}", trial.id), points: own, ..Curve::default() }];
    let names = ["lower quartile", "median", "upper quartile"];
    for (i, name) in names.into_iter().enumerate().filter(|_| !why.band.is_empty()) {
        let value = |(step, band): &(i64, [f64; 3])| Some((*step as f64, *band.get(i)?));
        curves.push(Curve {
            name: name.to_owned(),
            points: why.band.iter().filter_map(value).collect(),
            ..Curve::default()
        });
    }
    let others = match why.basis {
        Basis::Decision { .. } => "trials that it was compared with",
        Basis::Unknown | Basis::NotDecided => "finished trials",
    };
    let title = format!("trial {} against {} {others}", trial.id, why.peers.len());
    let metric = known.spec().metric_tag.to_string();
    let look = Look { title, x_label: "step".into(), y_label: metric, ..Look::default() };
    sections.push(String::new());
    sections.push(plot::text(&curves, &look, size, ink));
    sections.join("\n")
}

/// Which trials a trial was compared with, in words.
fn compared(why: &Why<'_>) -> Option<String> {
    match why.basis {
        Basis::NotDecided => None,
        Basis::Unknown => Some(
            "What it was compared with was not stored by the program that decided so: it is shown with the trials of this \
             job that have finished by now."
                .to_owned(),
        ),
        Basis::Decision { step } => {
            let name = |peer: &Peer| match &peer.job {
                Some(job) => format!("{} of job {job}", peer.trial),
                None => peer.trial.to_string(),
            };
            let mut names: Vec<String> = why.peers.iter().take(MAX_LISTED).map(name).collect();
            let n_more = why.peers.len() - names.len();
            names.extend((n_more > 0).then(|| format!("{n_more} more (--json names all)")));
            let is_gone = why.peers.iter().any(|peer| !peer.is_known);
            let gone = if is_gone { "; not all of them are in this store any more" } else { "" };
            Some(format!("Compared at step {step} with trials {}{gone}", names.join(", ")))
        }
    }
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
        let failed = trials.iter().find(|t| matches!(t.outcome(), Some(Outcome::Failed(_))));
        let log = failed.map(|trial| (trial.id, TrialFiles::of(job, trial.id).main_log()));
        // Where trials run elsewhere there is none.
        if let Some((id, log)) = log.filter(|(_, log)| log.exists()) {
            lines.push(format!("The log of trial {id}: {}", log.display()));
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
        if let (Some(step), Some(usual)) = (best.curve.reached(), UsualEnds::of(trials).missed_by(best)) {
            lines.push(format!("It ended {}", before_usual(step, usual)));
        }
        lines.extend(peak(spec, trials, best));
    }
    let width = best.params.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    lines.extend(best.params.iter().map(|(name, value)| format!("  {name:width$}  {value}")));
    if ranking.best.len() > 1 {
        let others: Vec<String> = ranking.best.iter().skip(1).map(ToString::to_string).collect();
        let trials = if others.len() == 1 { "trial" } else { "trials" };
        lines.push(format!("As good: {trials} {}; trial {} cost least time", others.join(", "), best.id));
    }
    if let Some(n) = all_alike(trials) {
        lines.push(format!("Warning: {}", unused(n, spec.metric_tag.as_str())));
    }
    lines.join("\n")
}

/// That a trial, and how many others, were much better long before their end.
fn peak(spec: &StudySpec, trials: &[Trial], best: &Trial) -> Option<String> {
    let of = |trial: &Trial| peak_before_end(&trial.curve, spec.goal).copied();
    let peak = of(best).filter(|_| spec.reduce == Reduce::Last)?;
    let with_result: Vec<&Trial> =
        trials.iter().filter(|trial| trial.outcome().is_some_and(Outcome::is_success)).collect();
    let n = with_result.iter().filter(|trial| of(trial).is_some()).count();
    Some(format!(
        "It was {} at step {}, long before its end, as {n} of {} trials were much better before theirs: \
         `hptune: {{objective: {{reduce: best}}}}` takes the best value of each",
        brief(peak.value),
        peak.step,
        with_result.len()
    ))
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
    Some(format!("{heading}\n{}", chart::columns(&curve, style.columns().unwrap_or(usize::MAX))))
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
    let line = |(trial, text): &(&Trial, String)| {
        let line = format!("  trial {:>3}  {text}", trial.id);
        hang(&line, style.columns().unwrap_or(usize::MAX), LISTED_INDENT).join("\n")
    };
    lines.extend(all.iter().take(MAX_LISTED).map(line));
    if all.len() > MAX_LISTED {
        lines.push(format!("  and {} more", all.len() - MAX_LISTED));
    }
    Some(lines.join("\n"))
}
