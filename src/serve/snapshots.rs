//! Jobs as they stand in the store, kept in memory: only what has changed is read again.
//!
//! Curves of trials that are over stay as they are. Of one that goes on the store is asked for what stands behind the
//! last value that is known, and whether what stands before is still the same ([`Tally`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use tfevents::series::Position;

use super::error::ApiError;
use super::limits::{KEEP_JOB, MAX_JOBS_KEPT, MAX_SUMMARIES_KEPT};
use super::lock;
use super::summary::JobSummary;
use crate::app::jobs::KnownJob;
use crate::edge::store::{Etag, JobHead, JobNumber, Store, Tally};
use crate::limits::FOLLOW_BATCH;
use crate::study::Trial;
use crate::units::TrialId;

/// A job as it stood at one moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    /// The job with its trials; of long curves a sample, see [`crate::study::Curve`].
    pub(super) known: Arc<KnownJob>,
    /// Whether a process runs it.
    pub(super) is_led: bool,
    /// How many measurements each trial has, where they are known whole.
    pub(super) counts: Arc<BTreeMap<TrialId, u64>>,
    /// At which revision each trial was seen to have changed last.
    pub(super) changed: Arc<BTreeMap<TrialId, Etag>>,
    /// How often values of each trial were seen to be void or replaced.
    pub(super) rewinds: Arc<BTreeMap<TrialId, u64>>,
    /// The job as clients of the service get it, once it was made: a poll asks for the same again and again.
    pub(super) answer: Arc<OnceLock<Bytes>>,
}

/// What was read of a trial's measurements.
#[derive(Debug, Clone, Copy, Default)]
struct Read {
    last: Option<Position>,
    tally: Tally,
}

#[derive(Debug)]
struct Kept {
    known: Arc<KnownJob>,
    read: BTreeMap<TrialId, Read>,
    counts: Arc<BTreeMap<TrialId, u64>>,
    changed: Arc<BTreeMap<TrialId, Etag>>,
    rewinds: Arc<BTreeMap<TrialId, u64>>,
    answer: Arc<OnceLock<Bytes>>,
    used: Instant,
}

/// What is kept of jobs.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    jobs: Mutex<HashMap<String, Arc<Mutex<Option<Kept>>>>>,
    summaries: Mutex<HashMap<String, Arc<JobSummary>>>,
    /// Jobs as a list of the service has them, in JSON, with their revisions.
    rows: Mutex<HashMap<String, (Etag, Arc<str>)>>,
}

impl Snapshots {
    /// A job as it stands now.
    ///
    /// # Errors
    /// It is not there, it is a study that runs no trials, or the store cannot be read.
    pub(super) fn get(&self, store: &Store, id: &str) -> Result<Snapshot, ApiError> {
        let missing = || ApiError::not_found(format!("there is no job `{id}`"));
        let head = store.head(id)?.filter(|head| !head.is_study).ok_or_else(missing)?;
        let slot = lock(&self.jobs).entry(id.to_owned()).or_default().clone();
        let mut slot = lock(&slot);
        let is_current = slot.as_ref().is_some_and(|kept| kept.known.stored.etag == head.etag);
        if !is_current {
            let stored = store.job_without_curves(id)?.ok_or_else(missing)?;
            *slot = Some(refresh(store, slot.take(), KnownJob::read(store, stored)?)?);
        }
        let kept = slot.as_mut().ok_or_else(missing)?;
        kept.used = Instant::now();
        Ok(Snapshot {
            known: kept.known.clone(),
            is_led: head.is_held(),
            counts: kept.counts.clone(),
            changed: kept.changed.clone(),
            rewinds: kept.rewinds.clone(),
            answer: kept.answer.clone(),
        })
    }

    /// What a list shows of a job.
    ///
    /// # Errors
    /// The job's rows or its configuration cannot be read.
    pub(super) fn summary(&self, store: &Store, head: &JobHead) -> Result<JobSummary, ApiError> {
        let known = lock(&self.summaries).get(&head.id).filter(|known| known.etag() == head.etag).cloned();
        let is_led = head.is_held();
        if let Some(known) = known {
            return Ok(known.led(is_led));
        }
        let whole = lock(&self.jobs).contains_key(&head.id);
        let summary = if whole {
            let snapshot = self.get(store, &head.id)?;
            JobSummary::of(&snapshot.known, is_led)
        } else {
            let missing = || ApiError::not_found(format!("there is no job `{}`", head.id));
            let stored = store.job_with_ends(&head.id)?.ok_or_else(missing)?;
            JobSummary::of(&KnownJob::read(store, stored)?, is_led)
        };
        let mut summaries = lock(&self.summaries);
        if summaries.len() >= MAX_SUMMARIES_KEPT {
            summaries.clear();
        }
        summaries.insert(head.id.clone(), Arc::new(summary.clone()));
        Ok(summary)
    }

    /// A job as a list of the service has it, in JSON, by `make`.
    ///
    /// # Errors
    /// The job's rows or its configuration cannot be read.
    pub(super) fn row(
        &self,
        store: &Store,
        head: &JobHead,
        make: impl Fn(&KnownJob) -> String,
    ) -> Result<Arc<str>, ApiError> {
        let known = lock(&self.rows).get(&head.id).filter(|(etag, _)| *etag == head.etag).cloned();
        if let Some((_, row)) = known {
            return Ok(row);
        }
        let missing = || ApiError::not_found(format!("there is no job `{}`", head.id));
        let stored = store.job_with_ends(&head.id)?.ok_or_else(missing)?;
        // It may have changed since its head was read.
        let etag = stored.etag;
        let row: Arc<str> = make(&KnownJob::read(store, stored)?).into();
        let mut rows = lock(&self.rows);
        if rows.len() >= MAX_SUMMARIES_KEPT {
            rows.clear();
        }
        rows.insert(head.id.clone(), (etag, row.clone()));
        Ok(row)
    }

    /// Drops jobs that nobody has asked for in [`KEEP_JOB`], and the oldest of too many.
    pub(super) fn drop_unused(&self) {
        let mut jobs = lock(&self.jobs);
        let used = |slot: &Arc<Mutex<Option<Kept>>>| match slot.try_lock() {
            Ok(kept) => kept.as_ref().map(|kept| kept.used),
            // It is in use.
            Err(_) => Some(Instant::now()),
        };
        jobs.retain(|_, slot| used(slot).is_some_and(|used| used.elapsed() < KEEP_JOB));
        while jobs.len() > MAX_JOBS_KEPT {
            let oldest = jobs.iter().min_by_key(|(_, slot)| used(slot)).map(|(id, _)| id.clone());
            let Some(oldest) = oldest else { break };
            jobs.remove(&oldest);
        }
    }
}

/// Completes a job that was read without curves.
fn refresh(store: &Store, before: Option<Kept>, mut new: KnownJob) -> Result<Kept, ApiError> {
    let (number, etag) = (new.stored.number, new.stored.etag);
    let (mut read, mut changed, mut old) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut rewinds = BTreeMap::new();
    if let Some(before) = before.filter(|before| before.known.stored.number == number) {
        read = before.read;
        changed = Arc::unwrap_or_clone(before.changed);
        rewinds = Arc::unwrap_or_clone(before.rewinds);
        let trials = Arc::unwrap_or_clone(before.known).stored.trials;
        old = trials.into_iter().map(|trial| (trial.id, trial)).collect();
    }
    for trial in &mut new.stored.trials {
        let before: Option<Trial> = old.remove(&trial.id);
        let mut is_changed = before.as_ref().is_none_or(|before| !is_alike(before, trial));
        let before = before.filter(|before| before.curve.run() == trial.curve.run());
        let of_trial: &mut Read = read.entry(trial.id).or_default();
        let is_over = before.as_ref().is_some_and(|before| !before.is_active());
        match before {
            Some(before) if is_over || is_same(store, number, trial.id, of_trial)? => {
                trial.curve = before.curve
            }
            Some(_) | None => {
                if std::mem::take(of_trial).last.is_some() {
                    *rewinds.entry(trial.id).or_default() += 1;
                }
                is_changed = true;
            }
        }
        if !is_over {
            is_changed |= read_new(store, number, trial, of_trial)?;
        }
        if is_changed {
            changed.insert(trial.id, etag);
        }
    }
    let counts = read.iter().map(|(id, read)| (*id, read.tally.n)).collect();
    Ok(Kept {
        known: Arc::new(new),
        read,
        counts: Arc::new(counts),
        changed: Arc::new(changed),
        rewinds: Arc::new(rewinds),
        answer: Arc::default(),
        used: Instant::now(),
    })
}

/// Whether two readings of a trial are the same but for its curve.
fn is_alike(a: &Trial, b: &Trial) -> bool {
    (a.started_at, a.attempt, a.attempt_at, a.ended_at) == (b.started_at, b.attempt, b.attempt_at, b.ended_at)
        && a.stop == b.stop
        && a.outcome() == b.outcome()
}

/// Whether what was read of a trial's measurements stands.
fn is_same(store: &Store, job: JobNumber, trial: TrialId, read: &Read) -> Result<bool, ApiError> {
    match read.last {
        Some(last) => Ok(store.tally(job, trial, last)? == read.tally),
        None => Ok(true),
    }
}

/// Reads what stands behind the last measurement that is known. The answer is whether there is anything.
fn read_new(store: &Store, job: JobNumber, trial: &mut Trial, read: &mut Read) -> Result<bool, ApiError> {
    let mut is_any = false;
    loop {
        let new = store.measurements(job, trial.id, read.last, FOLLOW_BATCH)?;
        let Some(last) = new.last().map(|m| m.position()) else { return Ok(is_any) };
        let is_all = new.len() < FOLLOW_BATCH;
        trial.curve.insert_all(new);
        trial.curve.thin();
        read.last = Some(last);
        read.tally = store.tally(job, trial.id, last)?;
        is_any = true;
        if is_all {
            return Ok(is_any);
        }
    }
}
