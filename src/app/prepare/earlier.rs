//! Jobs that are in the store already: the one that was interrupted, the one that is continued, and those that the
//! search learns from.

use std::path::Path;

use super::directories::absolute;
use super::{Request, store_failure};
use crate::app::Failure;
use crate::edge::store::{NewJob, Store, StoredJob};
use crate::limits::{MAX_PREVIOUS_JOBS, MAX_WARM_TRIALS};
use crate::objective::Change;
use crate::study::config::WarmStart;
use crate::study::{
    Assignment, Config, JobEnd, PriorJob, Record, Severity, Stage, State, Study, StudySpec, Trial,
};
use crate::units::{MetricValue, TrialId};
use tfevents::series::Point;

/// What other jobs found.
#[derive(Debug)]
pub(super) struct Earlier {
    /// Trials of other jobs that only the search learns from, as far as their parameters are this job's.
    pub warm: Vec<Trial>,
    /// The jobs that those come from.
    pub warm_jobs: Vec<String>,
    /// The job that is continued, and those before it, the earliest first.
    pub previous: Vec<PriorJob>,
    /// The job that is continued.
    pub previous_job: Option<String>,
    /// The number of the first trial that follows.
    pub first: TrialId,
}

impl Earlier {
    /// What there is for a job of this configuration.
    ///
    /// # Errors
    /// A job that is named is not there or is not over, or the store cannot be read.
    pub(super) fn of(store: &Store, config: &Config, job_id: &str) -> Result<Self, Failure> {
        let previous = match &config.previous {
            Some(id) => previous_jobs(store, id)?,
            None => Vec::new(),
        };
        let last = previous.iter().flat_map(|job| &job.trials).next_back();
        let first = last.map_or(TrialId::after(0), |last| TrialId::after(last.id.get()));
        let (warm, warm_jobs) = warm_trials(store, config, job_id)?;
        Ok(Self { warm, warm_jobs, previous, previous_job: config.previous.clone(), first })
    }

    /// A study that knows all of it.
    pub(super) fn study(self, spec: StudySpec) -> Study {
        Study::new(spec).with_prior_trials(self.warm, self.previous, self.first)
    }

    /// What to tell the user of it.
    pub(super) fn note(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(id) = &self.previous_job {
            let n: usize = self.previous.iter().map(|job| job.trials.len()).sum();
            notes.push(format!(
                "note: continues job {id}: the search knows its {n} trials, and numbers go on"
            ));
        }
        if !self.warm_jobs.is_empty() {
            let (n, jobs) = (self.warm.len(), self.warm_jobs.join(", "));
            notes.push(format!("note: warm start: the search knows {n} trials of {jobs}"));
        }
        notes
    }
}

/// Reads the configuration of a stored job, whatever it takes from the one that it continues. Its seed is set.
///
/// # Errors
/// It cannot be read any more.
pub(in crate::app) fn read_stored(store: &Store, job: &NewJob) -> Result<Config, Failure> {
    read_chain(store, job, MAX_PREVIOUS_JOBS)
}

fn read_chain(store: &Store, job: &NewJob, n_left: usize) -> Result<Config, Failure> {
    let previous = match job.previous.as_ref().filter(|_| n_left > 0) {
        Some(id) => store.job(id).map_err(store_failure)?,
        None => None,
    };
    let spec = previous.map(|previous| read_chain(store, &previous.job, n_left - 1)).transpose()?;
    let spec = spec.map(|config| config.spec);
    let (mut config, _) = Config::read_continuing(&job.config, spec.as_ref(), None).map_err(|problems| {
        let first = problems.iter().find(|p| p.severity == Severity::Error);
        let first = first.map(ToString::to_string).unwrap_or_default();
        Failure::outside(format!("job `{}`: its stored configuration cannot be read: {first}", job.id))
    })?;
    config.spec.seed = job.seed;
    if let Some(max_trials) = job.max_trials {
        config.extend(max_trials);
    }
    Ok(config)
}

/// The job that a configuration continues, which must be over.
fn previous_job(store: &Store, id: &str) -> Result<StoredJob, Failure> {
    let job = store.job(id).map_err(store_failure)?.ok_or_else(|| {
        let message = format!("resumePreviousJobId: no job `{id}` in the store {}", store.path().display());
        Failure::usage(message)
            .with_hint("`hptune jobs list` names those that are there; --previous-store names another store")
    })?;
    if !job.is_over() {
        let message = format!("resumePreviousJobId: job `{id}` is not over: {}", job.state);
        return Err(Failure::usage(message).with_hint(format!("`hptune jobs resume {id}` goes on with it")));
    }
    Ok(job)
}

/// The study of the job that a configuration continues.
///
/// # Errors
/// It is not there, is not over, or cannot be read.
pub(super) fn previous_spec(store: &Store, id: &str) -> Result<StudySpec, Failure> {
    Ok(read_stored(store, &previous_job(store, id)?.job)?.spec)
}

/// A job and those that it continues, the earliest first.
fn previous_jobs(store: &Store, id: &str) -> Result<Vec<PriorJob>, Failure> {
    let mut parts = Vec::new();
    let mut next = Some(id.to_owned());
    while let Some(id) = next.take().filter(|_| parts.len() < MAX_PREVIOUS_JOBS) {
        let StoredJob { job, mut trials, .. } = previous_job(store, &id)?;
        trials.retain(|trial| !trial.is_active());
        next = job.previous;
        parts.push(PriorJob { id: job.id.into(), trials });
    }
    parts.reverse();
    Ok(parts)
}

/// Trials that only the search learns from: those that succeeded with what are parameters of this job too.
fn warm_trials(store: &Store, config: &Config, job_id: &str) -> Result<(Vec<Trial>, Vec<String>), Failure> {
    let jobs: Vec<StoredJob> = match &config.warm_start {
        WarmStart::Off => Vec::new(),
        WarmStart::Auto => {
            let jobs = store.jobs().map_err(store_failure)?;
            let jobs: Vec<StoredJob> = jobs.into_iter().collect::<Result<_, _>>().map_err(store_failure)?;
            jobs.into_iter().filter(|job| job.is_over() && job.job.id != job_id).collect()
        }
        WarmStart::Jobs(ids) => {
            let named = |id: &String| {
                let job = store.job(id).map_err(store_failure)?;
                job.ok_or_else(|| {
                    let place = store.path().display();
                    Failure::usage(format!("hptune.warmStart: no job `{id}` in the store {place}"))
                })
            };
            ids.iter().map(named).collect::<Result<_, _>>()?
        }
    };
    let spec = &config.spec;
    let (mut warm, mut names) = (Vec::new(), Vec::new());
    for stored in jobs {
        // One that is continued is known as a whole.
        let Ok(theirs) = read_stored(store, &stored.job) else { continue };
        let is_alike = theirs.spec.metric_tag == spec.metric_tag && theirs.spec.goal == spec.goal;
        if !is_alike || config.previous.as_ref() == Some(&stored.job.id) {
            continue;
        }
        let before = warm.len();
        for trial in &stored.trials {
            let is_success = trial.outcome().is_some_and(crate::study::Outcome::is_success);
            if let Some(params) = shared(spec, &trial.params).filter(|_| is_success)
                && warm.len() < MAX_WARM_TRIALS
            {
                // Numbers that no trial of this job has.
                let id = TrialId::after(u32::MAX - 1 - warm.len() as u32);
                warm.push(Trial { id, params, ..trial.clone() });
            }
        }
        if warm.len() > before {
            names.push(stored.job.id);
        }
    }
    Ok((warm, names))
}

/// What another job's trial had for this study's parameters, where it had all of them.
fn shared(spec: &StudySpec, params: &Assignment) -> Option<Assignment> {
    let names = spec.space.parameters.iter().map(|parameter| &parameter.name);
    let values = names.map(|name| params.0.iter().find(|(other, _)| other == name).cloned());
    let shared = Assignment(values.collect::<Option<_>>()?);
    spec.space.contains(&shared).then_some(shared)
}

/// The job of an earlier request that was the same, where it was interrupted.
///
/// # Errors
/// The job that is named is not over but another one; or the store cannot be read.
pub(super) fn find_interrupted(
    store: &Store,
    request: &Request,
    directory: &Path,
) -> Result<Option<StoredJob>, Failure> {
    let named = request.job_id.clone().or_else(|| Config::job_id_of(&request.config_text));
    let job_dir = request.job_dir.as_ref().and_then(|path| absolute(path).ok());
    let difference = |stored: &StoredJob| -> Option<&str> {
        let job = &stored.job;
        if job.is_study() {
            Some("purpose: it is a study of `hptune tuner`")
        } else if job.config != request.config_text {
            Some("configuration")
        } else if job.command != request.command {
            Some("command")
        } else if request.seed.is_some_and(|seed| seed != job.seed) {
            Some("seed")
        } else if job_dir.as_ref().is_some_and(|path| *path != job.job_dir) {
            Some("directory")
        } else {
            None
        }
    };
    if let Some(id) = named {
        let stored = store.job(&id).map_err(store_failure)?.filter(|stored| !stored.is_over());
        return match stored.as_ref().and_then(difference) {
            Some(what) => {
                let message = format!("job `{id}` is in the store, not over, with another {what}");
                Err(Failure::usage(message).with_hint(format!(
                    "`hptune jobs resume {id}` goes on with it; --job-id with another name begins a new one"
                )))
            }
            None => Ok(stored),
        };
    }
    for id in store.unfinished().map_err(store_failure)? {
        let stored = store.job(&id).map_err(store_failure)?;
        let is_it = |stored: &StoredJob| {
            !stored.is_held() && difference(stored).is_none() && stored.job.directory == directory
        };
        if let Some(stored) = stored.filter(is_it) {
            return Ok(Some(stored));
        }
    }
    Ok(None)
}

/// Copies a job that is over, and those that it continues, from another store; those that are here already stay.
///
/// # Errors
/// One is not there, not over, or another one here has its name; or a store cannot be used.
pub(super) fn import(store: &mut Store, from: &Path, id: &str) -> Result<(), Failure> {
    let other = Store::open_to_read(from).map_err(store_failure)?;
    let mut jobs = Vec::new();
    let mut next = Some(id.to_owned());
    while let Some(id) = next.take().filter(|_| jobs.len() < MAX_PREVIOUS_JOBS) {
        let stored = previous_job(&other, &id)?;
        next = stored.job.previous.clone();
        jobs.push(stored);
    }
    for stored in jobs.into_iter().rev() {
        if let Some(here) = store.job(&stored.job.id).map_err(store_failure)? {
            if here.job.created_at != stored.job.created_at {
                let message = format!("--previous-store: another job `{id}` is in the store here");
                return Err(Failure::usage(message));
            }
            continue;
        }
        let number = store.create_job(&stored.job).map_err(store_failure)?;
        store.write(number, &records(&stored)).map_err(store_failure)?;
    }
    Ok(())
}

/// The records that make a stored job what it is.
fn records(stored: &StoredJob) -> Vec<Record> {
    let mut records = Vec::new();
    for trial in &stored.trials {
        records.push(Record::Suggested(trial.id, trial.params.clone()));
        if let Some(at) = trial.started_at {
            records.push(Record::Started(trial.id, at, trial.attempt));
        }
        let source = trial.curve.run().cloned().map(Change::Source);
        let points = trial.curve.points().iter().map(|m| {
            let value = MetricValue::F64(m.value);
            Change::Point { pass: m.pass, point: Point { step: m.step, wall_time: m.wall_time, value } }
        });
        records.push(Record::Changed(trial.id, source.into_iter().chain(points).collect()));
        let ended_at = trial.ended_at.unwrap_or(stored.job.created_at);
        if let Some(decision) = &trial.stop {
            records.push(Record::StopDecided(trial.id, ended_at, decision.clone()));
        }
        if let Stage::Ended(outcome) = &trial.stage {
            records.push(Record::Ended(trial.id, ended_at, outcome.clone()));
        }
    }
    if let State::Ended(state) = stored.state {
        let end = JobEnd { state, message: stored.message.clone() };
        records.push(Record::JobEnded(stored.ended_at.unwrap_or(stored.job.created_at), end));
    }
    records
}
