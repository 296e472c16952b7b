//! The curves of a job's trials.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tfevents::{Contents, Faults, Keep, LogDir};

use super::{Abscissa, Curves, NamedCurve, OfTrial, along};
use crate::app::Failure;
use crate::app::jobs::{self, KnownJob};
use crate::edge::files;
use crate::edge::trial_files::TrialFiles;
use crate::objective::{SeriesFilter, Split, is_preferred};
use crate::plot::{End, Paint};
use crate::study::{Goal, Outcome, Trial};
use crate::units::{RunName, Tag};
use tfevents::series::Dropped;

/// So many trials are told apart by their colours and dashes; of more the best [`N_BEST`] are.
const MAX_TOLD_APART: usize = 16;
/// See [`MAX_TOLD_APART`].
const N_BEST: usize = 8;

/// So many trials are drawn, the best of them and the latest.
const MAX_TRIALS_DRAWN: usize = 300;

/// The series in a trial's event files that are asked for; none where the trial has no directory on this machine.
#[must_use]
pub fn series_of_trial(
    files: &TrialFiles,
    has_run: impl Fn(&RunName) -> bool,
    has_tag: impl Fn(&str) -> bool + Sync,
    keep: Keep,
) -> Contents {
    if files.address.is_some() || !files.directory.is_dir() {
        return Contents::default();
    }
    let mut logs = LogDir::of(files::directory(&files.directory));
    logs.retain_runs(has_run);
    logs.read(has_tag, keep)
}

impl Curves {
    /// Reads the curves of a job's trials: of the objective, or of the tags that `filter` names. Those of the objective are
    /// the store's where a trial's files are gone. A trial has one colour; what it measured on its training data is paler.
    ///
    /// # Errors
    /// The job is not there, or the store cannot be read.
    pub fn of_job(
        store: &Path,
        id: &str,
        filter: &SeriesFilter,
        x: Abscissa,
        smoothing: f64,
    ) -> Result<Self, Failure> {
        let known = jobs::describe(store, id)?;
        let objective = &known.spec().metric_tag;
        let has_tag =
            |tag: &str| if filter.names_tags() { filter.has_tag(tag) } else { tag == objective.as_str() };
        let (shown, n_left_out) = shown_trials(&known);
        let (mut by_tag, mut others) = (BTreeMap::<Tag, Vec<NamedCurve>>::new(), BTreeSet::new());
        let (mut faults, mut has_faint) = (Faults::default(), false);
        for (trial, look) in shown {
            let files = TrialFiles::of(&known.stored.job, trial.id);
            let contents =
                series_of_trial(&files, |run| filter.has_run(run), has_tag, Keep::Course(smoothing));
            others.extend(contents.others);
            faults.add(contents.faults);
            let mut curves: Vec<NamedCurve> = Vec::new();
            for ((tag, run), series) in contents.series {
                let latest = series.latest().map(|(point, _)| point).collect();
                let smoothed = if series.dropped().n > 0 {
                    series.smoothed().latest().map(|(point, _)| point).collect()
                } else {
                    Vec::new()
                };
                let (points, smoothed, dropped) = (along(latest, x), along(smoothed, x), series.dropped());
                curves.push(NamedCurve {
                    tag,
                    run,
                    attempt: None,
                    points,
                    smoothed,
                    dropped,
                    trial: Some(look.clone()),
                });
            }
            let has_objective = curves.iter().any(|curve| curve.tag == *objective);
            if has_tag(objective.as_str()) && !has_objective && !trial.curve.points().is_empty() {
                curves.push(stored_curve(trial, objective, x, look));
            }
            has_faint |= fade(&mut curves, trial.curve.run());
            for curve in curves {
                by_tag.entry(curve.tag.clone()).or_default().push(curve);
            }
        }
        let mut remarks = Vec::new();
        if has_faint {
            remarks.push(
                "paler: what a trial measured on its training data, or in another of its runs".to_owned(),
            );
        }
        if n_left_out > 0 {
            remarks.push(format!(
                "{n_left_out} more trials are not drawn, neither among the best nor the latest"
            ));
        }
        let curves: Vec<NamedCurve> = by_tag.into_values().flatten().collect();
        Ok(Self {
            title: id.to_owned(),
            has_no_files: curves.is_empty() && others.is_empty(),
            curves,
            remarks,
            without_steps: Vec::new(),
            other_tags: others,
            faults,
        })
    }
}

/// The trials that are drawn, the best first where there are many, and how many more there are.
fn shown_trials(known: &KnownJob) -> (Vec<(&Trial, OfTrial)>, usize) {
    let spec = known.spec();
    let best = known.best().map(|trial| trial.id);
    let mut trials: Vec<&Trial> =
        known.stored.trials.iter().filter(|trial| trial.started_at.is_some()).collect();
    let is_many = trials.len() > MAX_TOLD_APART;
    let rank = |trial: &Trial| match trial.final_measurement(spec.goal, spec.reduce).map(|m| m.value) {
        _ if Some(trial.id) == best => f64::NEG_INFINITY,
        Some(value) if value.is_finite() && spec.goal == Goal::Minimize => value,
        Some(value) if value.is_finite() => -value,
        Some(_) | None => f64::INFINITY,
    };
    if is_many {
        // What says least of them comes last: the oldest without a good result.
        trials.reverse();
        trials.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
        if let Some(rest) = trials.get_mut(N_BEST..) {
            rest.sort_by_key(|trial| Reverse(trial.id));
        }
    }
    let n_left_out = trials.len().saturating_sub(MAX_TRIALS_DRAWN);
    trials.truncate(MAX_TRIALS_DRAWN);
    let look = |(place, trial): (usize, &Trial)| {
        let paint = if is_many && place >= N_BEST { Paint::Quiet } else { Paint::Of(place) };
        look_of(trial, paint, Some(trial.id) == best)
    };
    let looks: Vec<OfTrial> = trials.iter().copied().enumerate().map(look).collect();
    (trials.into_iter().zip(looks).collect(), n_left_out)
}

fn look_of(trial: &Trial, paint: Paint, is_best: bool) -> OfTrial {
    let (end, state) = match trial.outcome() {
        _ if is_best => (End::Best, " (best)"),
        None | Some(Outcome::Succeeded) => (End::Plain, ""),
        Some(Outcome::StoppedEarly | Outcome::StoppedByRequest) => (End::Stopped, " (stopped)"),
        Some(Outcome::Cancelled) => (End::Stopped, " (cancelled)"),
        Some(_) => (End::Stopped, " (failed)"),
    };
    let mut about: Vec<(String, String)> =
        trial.params.iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
    if let Some(decision) = &trial.stop {
        about.push(("stopped".to_owned(), decision.reason.to_string()));
    }
    OfTrial { name: format!("trial {}{state}", trial.id), paint, is_faint: false, end, about }
}

/// The objective as the store has it.
fn stored_curve(trial: &Trial, objective: &Tag, x: Abscissa, look: OfTrial) -> NamedCurve {
    let begun = trial.curve.points().first().map_or(0.0, |first| first.wall_time.0);
    let at = |step: i64, wall_time: f64| match x {
        Abscissa::Step => step as f64,
        Abscissa::Relative => wall_time - begun,
        Abscissa::Wall => wall_time,
    };
    let points = trial.curve.by_global_step();
    NamedCurve {
        tag: objective.clone(),
        run: trial.curve.run().cloned().unwrap_or_else(|| RunName::from(".")),
        attempt: None,
        points: points.map(|(step, m)| (at(step.0, m.wall_time.0), m.value)).collect(),
        smoothed: Vec::new(),
        dropped: Dropped::default(),
        trial: Some(look),
    }
}

/// Makes those curves of a trial faint beside which another of the same tag counts: that of the run by which it is judged, or
/// of the run whose name says most.
fn fade(curves: &mut [NamedCurve], judged_by: Option<&RunName>) -> bool {
    let mut main: BTreeMap<Tag, RunName> = BTreeMap::new();
    for curve in curves.iter() {
        let is_better = main.get(&curve.tag).is_none_or(|now| {
            Some(now) != judged_by
                && (Some(&curve.run) == judged_by
                    || is_preferred(Split::of_run(&curve.run), Split::of_run(now)))
        });
        if is_better {
            main.insert(curve.tag.clone(), curve.run.clone());
        }
    }
    let mut any = false;
    for curve in curves {
        let is_faint = main.get(&curve.tag).is_some_and(|run| *run != curve.run);
        if let Some(trial) = curve.trial.as_mut().filter(|_| is_faint) {
            trial.is_faint = true;
            trial.name = format!("{} · {}", trial.name, curve.run);
            any = true;
        }
    }
    any
}
