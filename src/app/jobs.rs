//! `jobs`: what the store knows, in the service's terms.

use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::Failure;
use super::prepare::store_failure;
use crate::edge::store::{Store, StoredJob};
use crate::study::config::OUTPUT_KEY;
use crate::study::{Config, Severity, StudySpec, Trial, rank, training_output};

/// A stored job with its configuration read.
#[derive(Debug)]
pub struct KnownJob {
    /// What the store has.
    pub stored: StoredJob,
    /// Its configuration.
    pub config: Config,
}

impl KnownJob {
    fn read(stored: StoredJob) -> Result<Self, Failure> {
        let (mut config, _) = Config::read(&stored.job.config).map_err(|problems| {
            let first = problems.iter().find(|p| p.severity == Severity::Error);
            let first = first.map(ToString::to_string).unwrap_or_default();
            Failure::outside(format!(
                "job `{}`: its stored configuration cannot be read: {first}",
                stored.job.id
            ))
        })?;
        config.spec.seed = stored.job.seed;
        Ok(Self { stored, config })
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

    /// How many trials are over.
    #[must_use]
    pub fn n_ended(&self) -> usize {
        self.stored.trials.iter().filter(|trial| !trial.is_active()).count()
    }

    /// The job as the service's `Job`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let StoredJob { job, state, message, ended_at, trials } = &self.stored;
        let mut fields = Map::new();
        fields.insert("jobId".into(), job.id.clone().into());
        fields.insert("trainingInput".into(), self.config.training_input.clone());
        fields.insert("createTime".into(), job.created_at.to_string().into());
        fields.insert("startTime".into(), job.created_at.to_string().into());
        if let Some(ended_at) = ended_at {
            fields.insert("endTime".into(), ended_at.to_string().into());
        }
        fields.insert("state".into(), state.clone().into());
        if let (Some(message), true) = (message, state == "FAILED") {
            fields.insert("errorMessage".into(), message.clone().into());
        }
        let output = training_output(self.spec(), trials);
        fields.insert("trainingOutput".into(), serde_json::to_value(output).unwrap_or_default());
        if !self.config.labels.is_empty() {
            fields.insert("labels".into(), json!(self.config.labels));
        }
        if !self.config.options.is_null() {
            fields.insert("hptune".into(), self.config.options.clone());
        }
        let ranking = rank(self.spec(), trials);
        let ours = json!({
            "jobDir": job.job_dir.to_string_lossy(),
            "command": job.command,
            "seed": job.seed.to_string(),
            "message": message,
            "bestTrialIds": ranking.best,
            "recommendedTrialId": ranking.best.first(),
            "trials": trials.iter().map(trial_json).collect::<Vec<_>>(),
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
/// stopped.
fn trial_json(trial: &Trial) -> Json {
    json!({
        "trialId": trial.id,
        "outcome": trial.outcome().map(ToString::to_string),
        "run": trial.curve.run(),
        "stopReason": trial.stop,
    })
}

/// All jobs, newest first, each on its own: one that cannot be read does not hide the others.
///
/// # Errors
/// The store cannot be read.
pub fn list(store: &Path) -> Result<Vec<Result<KnownJob, Failure>>, Failure> {
    if !store.exists() {
        return Ok(Vec::new());
    }
    let jobs = Store::open_to_read(store).and_then(|store| store.jobs()).map_err(store_failure)?;
    Ok(jobs.into_iter().map(KnownJob::read).collect())
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
    let job = Store::open_to_read(store).and_then(|store| store.job(id)).map_err(store_failure)?;
    KnownJob::read(job.ok_or_else(missing)?)
}
