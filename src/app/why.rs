//! `jobs why`: why a trial was stopped early, or not, beside the trials that it was compared with.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::Failure;
use super::jobs::{KnownJob, find};
use super::prepare::store_failure;
use crate::edge::store::Store;
use crate::stop;
use crate::study::{Comparison, PriorJob, StopReason, Trial};
use crate::units::TrialId;

/// Why a trial was stopped early, or not.
#[derive(Debug)]
pub struct Why<'a> {
    /// The trial.
    pub trial: &'a Trial,
    /// Where it is known from which trials the trial is to be compared with.
    pub basis: Basis,
    /// Those trials, by number.
    pub peers: Vec<Peer>,
    /// At each global step of those and of its own: the lower quartile, the median and the upper quartile of what they
    /// had reported last by then. Steps that fewer than two have come to are left out.
    pub band: Vec<(i64, [f64; 3])>,
}

/// Where it is known from which trials a trial is to be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The stored decision names those that the rule compared at this global step.
    Decision {
        /// See above.
        step: i64,
    },
    /// It was stopped by comparison, but the program that decided so did not store with which trials: those of its job
    /// that have finished by now.
    Unknown,
    /// It was not stopped by comparison: those of its job that have finished by now.
    NotDecided,
}

/// A trial that another one is compared with.
#[derive(Debug)]
pub struct Peer {
    /// Its number.
    pub trial: TrialId,
    /// Its job, where that is another one.
    pub job: Option<Arc<str>>,
    /// What the rule compared; see [`crate::study::Compared`].
    pub value: Option<f64>,
    /// Whether the store still has it, and the band is of it too.
    pub is_known: bool,
}

impl Why<'_> {
    /// All of it, for programs.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let points = self.trial.curve.by_global_step();
        let reason = self.trial.stop.as_ref().map(|decision| decision.reason);
        let step = match self.basis {
            Basis::Decision { step } => Some(step),
            Basis::Unknown | Basis::NotDecided => None,
        };
        let peer =
            |peer: &Peer| json!({"trialId": peer.trial, "jobId": peer.job.as_deref(), "value": peer.value});
        json!({
            "trialId": self.trial.id,
            "outcome": self.trial.outcome().map(ToString::to_string),
            "stopReason": reason,
            "text": reason.map(|reason| reason.to_string()),
            "isFromDecision": step.is_some(),
            "comparedAtStep": step,
            "comparedWith": self.peers.iter().map(peer).collect::<Vec<_>>(),
            "finishedTrials": self.peers.len(),
            "curve": points.map(|(step, m)| json!([step, number(m.value)])).collect::<Vec<_>>(),
            "band": self.band.iter().map(|(step, band)| json!([step, band])).collect::<Vec<_>>(),
        })
    }
}

/// Why a trial of a job was stopped early, with what it was compared with.
///
/// # Errors
/// The job has no such trial; or a job that it continues cannot be read.
pub fn why<'k>(store: &Path, known: &'k KnownJob, trial: u32) -> Result<Why<'k>, Failure> {
    let (own, trial) = (&known.stored.trials, find(known, trial)?);
    let decision = trial.stop.as_ref();
    if let Some(Comparison { step, trials }) = decision.and_then(|decision| decision.compared.as_ref()) {
        let jobs: BTreeSet<&Arc<str>> = trials.iter().filter_map(|compared| compared.job.as_ref()).collect();
        let prior = prior_trials(store, jobs)?;
        let mut curves = Vec::new();
        let peers = trials.iter().filter_map(|compared| {
            let id = TrialId::new(compared.trial)?;
            let job = compared.job.clone();
            let place = match &job {
                Some(job) => prior.iter().find(|prior| prior.id == *job).map(|prior| &prior.trials),
                None => Some(own),
            };
            let found = place.and_then(|trials| trials.iter().find(|other| other.id == id));
            curves.extend(found);
            Some(Peer { trial: id, job, value: compared.value, is_known: found.is_some() })
        });
        let peers = peers.collect();
        return Ok(Why { trial, basis: Basis::Decision { step: *step }, peers, band: band(trial, &curves) });
    }
    let basis = match decision.map(|decision| decision.reason) {
        None | Some(StopReason::TimeLimit { .. } | StopReason::Request) => Basis::NotDecided,
        Some(StopReason::Median { .. } | StopReason::DecayCurve { .. } | StopReason::Rung { .. }) => {
            Basis::Unknown
        }
    };
    let finished = stop::finished(trial, own);
    let peer = |other: &&Trial| Peer { trial: other.id, job: None, value: None, is_known: true };
    Ok(Why { trial, basis, peers: finished.iter().map(peer).collect(), band: band(trial, &finished) })
}

/// The trials of some jobs, as far as the store still has them.
fn prior_trials(store: &Path, jobs: BTreeSet<&Arc<str>>) -> Result<Vec<PriorJob>, Failure> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let store = Store::open_to_read(store).map_err(store_failure)?;
    let read = |job: &Arc<str>| {
        let stored = store.job(job).map_err(store_failure)?;
        Ok(stored.map(|stored| PriorJob { id: job.clone(), trials: stored.trials }))
    };
    jobs.into_iter().filter_map(|job| read(job).transpose()).collect()
}

/// See [`Why::band`].
fn band(trial: &Trial, peers: &[&Trial]) -> Vec<(i64, [f64; 3])> {
    let all = peers.iter().copied().chain([trial]);
    let steps: BTreeSet<i64> = all.flat_map(|t| t.curve.by_global_step()).map(|(step, _)| step.0).collect();
    let quartiles = |step: i64| {
        let value = |other: &&Trial| {
            // One that has ended before says nothing of later steps.
            let is_there = other.curve.reached().is_some_and(|last| last.0 >= step);
            other.curve.finite_until(step as f64).map(|(_, value)| value).filter(|_| is_there)
        };
        let mut values: Vec<f64> = peers.iter().filter_map(value).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (values.len().checked_sub(1)? as f64);
            let (low, high) = (values.get(place.floor() as usize)?, values.get(place.ceil() as usize)?);
            Some(low + (high - low) * place.fract())
        };
        (values.len() >= 2).then_some(())?;
        Some((step, [at(0.25)?, at(0.5)?, at(0.75)?]))
    };
    steps.into_iter().filter_map(quartiles).collect()
}

/// A number, or its name where JSON has no digits for it.
fn number(value: f64) -> Json {
    if value.is_finite() {
        value.into()
    } else if value.is_nan() {
        "NaN".into()
    } else if value > 0.0 {
        "Infinity".into()
    } else {
        "-Infinity".into()
    }
}
