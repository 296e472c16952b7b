//! `jobs`: what the store knows, in the service's terms.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::thread;

use serde_json::{Map, Value as Json, json};

use super::Failure;
use super::prepare::{read_stored, store_failure};
use crate::edge::store::{Store, StoredJob};
use crate::edge::trial_files::TrialFiles;
use crate::engine;
use crate::limits::{LOG_INTERVAL, READ_CHUNK_BYTES};
use crate::study::config::OUTPUT_KEY;
use crate::study::{
    Config, FinalState, Goal, HyperparameterMetric, State, StudySpec, Trial, UsualEnds, peak_before_end,
    rank, training_output,
};
use crate::suggest::insight::insight;

/// A stored job with its configuration read.
#[derive(Debug, Clone)]
pub struct KnownJob {
    /// What the store has.
    pub stored: StoredJob,
    /// Its configuration.
    pub config: Config,
}

impl KnownJob {
    /// A job of this store.
    ///
    /// # Errors
    /// Its configuration cannot be read any more.
    pub(crate) fn read(store: &Store, stored: StoredJob) -> Result<Self, Failure> {
        Ok(Self { config: read_stored(store, &stored.job)?, stored })
    }

    /// The study.
    #[must_use]
    pub fn spec(&self) -> &StudySpec {
        &self.config.spec
    }

    /// The recommended trial, where one gave a result.
    #[must_use]
    pub fn best(&self) -> Option<&Trial> {
        let best = rank(self.spec(), &self.stored.trials).best;
        self.stored.trials.iter().find(|trial| Some(&trial.id) == best.first())
    }

    /// Whether it has left the queue, is not over and no process executes it: it can be resumed. A study of `tuner`
    /// waits for requests.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        let stored = &self.stored;
        let has_begun = stored.state != State::Queued && !stored.job.is_study();
        has_begun && !stored.is_over() && !stored.is_held()
    }

    /// Its state as people are shown it: that it was interrupted, where it was.
    #[must_use]
    pub fn state_in_words(&self) -> String {
        if self.is_interrupted() { "INTERRUPTED".to_owned() } else { self.stored.state.to_string() }
    }

    /// Its labels: those of its configuration until others are set.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        self.stored.job.resource.labels.as_ref().unwrap_or(&self.config.labels)
    }

    /// How many trials are over.
    #[must_use]
    pub fn n_ended(&self) -> usize {
        self.stored.trials.iter().filter(|trial| !trial.is_active()).count()
    }

    /// The job as the service's `Job`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let StoredJob { job, state, message, started_at, ended_at, trials, .. } = &self.stored;
        let mut fields = Map::new();
        fields.insert("jobId".into(), job.id.clone().into());
        fields.insert("trainingInput".into(), self.config.training_input.clone());
        fields.insert("createTime".into(), job.created_at.to_string().into());
        if let Some(started_at) = started_at {
            fields.insert("startTime".into(), started_at.to_string().into());
        }
        if let Some(ended_at) = ended_at {
            fields.insert("endTime".into(), ended_at.to_string().into());
        }
        fields.insert("state".into(), state.name().into());
        // One that is not over yet has a message where it has failed.
        if let Some(message) = message
            && !matches!(state, State::Ended(FinalState::Succeeded | FinalState::Cancelled))
        {
            fields.insert("errorMessage".into(), message.clone().into());
        }
        let output = training_output(self.spec(), trials);
        fields.insert("trainingOutput".into(), serde_json::to_value(output).unwrap_or_default());
        if !self.labels().is_empty() {
            fields.insert("labels".into(), json!(self.labels()));
        }
        if !self.config.options.is_null() {
            fields.insert("hptune".into(), self.config.options.clone());
        }
        let ranking = rank(self.spec(), trials);
        let ends = UsualEnds::of(trials);
        let ours = json!({
            "jobDir": job.job_dir.to_string_lossy(),
            "command": job.command,
            "seed": job.seed.to_string(),
            "message": message,
            "bestTrialIds": ranking.best,
            "recommendedTrialId": ranking.best.first(),
            "insight": insight(self.spec(), trials),
            "trials": trials.iter().map(|trial| trial_json(trial, &ends, self.spec().goal)).collect::<Vec<_>>(),
        });
        fields.insert(OUTPUT_KEY.into(), ours);
        Json::Object(fields)
    }

    /// The job in one row of a list, as JSON.
    #[must_use]
    pub fn to_json_row(&self) -> Json {
        let best = self.best();
        let result = best.and_then(|trial| trial.final_measurement(self.spec().goal, self.spec().reduce));
        json!({
            "jobId": self.stored.job.id,
            "state": self.stored.state,
            "createTime": self.stored.job.created_at.to_string(),
            "endTime": self.stored.ended_at.map(|at| at.to_string()),
            "trials": self.n_ended(),
            "maxTrials": self.spec().max_trials,
            "bestTrialId": best.map(|trial| trial.id),
            "bestObjectiveValue": result.map(|m| m.value),
        })
    }
}

/// What the service had no field for: how a trial ended, where its objective was read, why it was
/// stopped, where the others ended, if it ended well far before them, and its best value, if that was long before its
/// end.
fn trial_json(trial: &Trial, ends: &UsualEnds<'_>, goal: Goal) -> Json {
    json!({
        "trialId": trial.id,
        "outcome": trial.outcome().map(ToString::to_string),
        "run": trial.curve.run(),
        "stopReason": trial.stop.as_ref().map(|decision| decision.reason),
        "attempts": trial.attempt,
        "endedFarBefore": ends.missed_by(trial),
        "bestLongBefore": peak_before_end(&trial.curve, goal).map(HyperparameterMetric::from),
    })
}

/// Brings a store of an older version to this one, where there is one at this path. The answer is a note for the user.
///
/// # Errors
/// It cannot be copied or written; it is as it was then.
pub fn upgrade(store: &Path) -> Result<Option<String>, Failure> {
    let upgraded = Store::upgrade(store).map_err(store_failure)?;
    Ok(upgraded.map(|upgraded| format!("note: the store {} {upgraded}", store.display())))
}

/// All jobs, newest first, each on its own: one that cannot be read does not hide the others.
///
/// # Errors
/// The store cannot be read.
pub fn list(store: &Path) -> Result<Vec<Result<KnownJob, Failure>>, Failure> {
    if !store.exists() {
        return Ok(Vec::new());
    }
    let store = Store::open_to_read(store).map_err(store_failure)?;
    let jobs = store.jobs().map_err(store_failure)?;
    let read = |job: Result<_, _>| KnownJob::read(&store, job.map_err(store_failure)?);
    Ok(jobs.into_iter().map(read).collect())
}

/// Hands what a trial's trainer printed to `each`, piece by piece; where `is_following`, until the trial is over.
/// `replica` names another replica than the main one, such as `worker-0`.
///
/// # Errors
/// There is no such job, trial or log, it cannot be read, or what `each` gives.
pub fn logs(
    store: &Path,
    id: &str,
    trial: u32,
    replica: Option<&str>,
    is_following: bool,
    each: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let known = describe(store, id)?;
    let found = find(&known, trial)?.id;
    if !engine::is_here(&known.config) {
        let message = format!("the trials of job `{id}` run elsewhere: what they print is there");
        return Err(
            Failure::usage(message).with_hint("it is what `hptune watch … -- COMMAND` of the trial prints")
        );
    }
    let files = TrialFiles::of(&known.stored.job, found);
    let named = replica.map(|name| {
        let replicas = known.config.cluster.replicas();
        replicas.iter().copied().find(|replica| replica.to_string() == name).ok_or_else(|| {
            let names: Vec<String> = replicas.iter().map(ToString::to_string).collect();
            Failure::usage(format!("--replica {name}: want one of {}", names.join(", ")))
        })
    });
    let path = named.transpose()?.map_or_else(|| files.main_log(), |replica| files.log(replica));
    let failed = |e: io::Error| Failure::outside(format!("{}: {e}", path.display()));
    let mut file = loop {
        match fs::File::open(&path) {
            Ok(file) => break file,
            // It has not begun yet.
            Err(e) if is_following && e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
        }
        if !is_running(store, id, trial)? {
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        thread::sleep(LOG_INTERVAL);
    };
    let mut buffer = vec![0; READ_CHUNK_BYTES];
    loop {
        // Asked for before the last look: what was printed by then is read.
        let goes_on = is_following && is_running(store, id, trial)?;
        loop {
            let n = file.read(&mut buffer).map_err(failed)?;
            let Some(piece) = buffer.get(..n).filter(|piece| !piece.is_empty()) else { break };
            each(piece)?;
        }
        if !goes_on {
            return Ok(());
        }
        thread::sleep(LOG_INTERVAL);
    }
}

/// Whether more can come of a trial.
fn is_running(store: &Path, id: &str, trial: u32) -> Result<bool, Failure> {
    let known = describe(store, id)?;
    Ok(!known.stored.is_over() && find(&known, trial)?.is_active())
}

pub(super) fn find(known: &KnownJob, trial: u32) -> Result<&Trial, Failure> {
    let trials = &known.stored.trials;
    trials.iter().find(|t| t.id.get() == trial).ok_or_else(|| {
        let message = format!("job `{}` has no trial {trial}", known.stored.job.id);
        let hint = match (trials.first(), trials.last()) {
            (Some(first), Some(last)) => format!("it has trials {} to {}", first.id, last.id),
            _ => "it has none yet".to_owned(),
        };
        Failure::usage(message).with_hint(hint)
    })
}

/// One job.
///
/// # Errors
/// It is not there, or the store cannot be read.
pub fn describe(store: &Path, id: &str) -> Result<KnownJob, Failure> {
    let missing = || {
        let message = format!("no job `{id}` in the store {}", store.display());
        Failure::usage(message).with_hint("`hptune jobs list` names those that are there")
    };
    if !store.exists() {
        return Err(missing());
    }
    let store = Store::open_to_read(store).map_err(store_failure)?;
    let job = store.job(id).map_err(store_failure)?;
    KnownJob::read(&store, job.ok_or_else(missing)?)
}
