//! The configuration file: the service's job, read whole and checked whole.
//!
//! Every problem of a file is told at once, each with its path and place. Source of the fields and
//! their rules: Cloud ML Engine's REST reference, `projects.jobs`: `Job`, `TrainingInput`,
//! `HyperparameterSpec`, `ParameterSpec`. What is ours stands under the top-level key `hptune`.

mod fields;
mod job;
mod options;
mod parameters;
mod study;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value as Json;

use super::document::{self, Position};
use super::{Replica, Role, StudySpec};
use crate::controller::Policy;
use crate::objective::RunSelector;
use fields::Reader;
pub(crate) use fields::parse_duration;

/// The tag that is read where a configuration names none, as the service had it.
pub const DEFAULT_METRIC_TAG: &str = "training/hptuning/metric";

/// The key under which a described job carries what the service had no field for.
pub const OUTPUT_KEY: &str = "hptuneOutput";

/// How long the memory of a GPU may stay in use after its trial has ended, by default.
const DEFAULT_GPU_PATIENCE: Duration = Duration::from_secs(30);

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `jobId`, where the file is a whole job that has one.
    pub job_id: Option<String>,
    /// `labels` of the job.
    pub labels: BTreeMap<String, String>,
    /// The study; its seed is 0 where `seed` is `None`.
    pub spec: StudySpec,
    /// `hptune.seed`.
    pub seed: Option<u64>,
    /// `trainingInput.args`: the user's own arguments, as they were spelled.
    pub args: Vec<String>,
    /// `trainingInput.jobDir`.
    pub job_dir: Option<String>,
    /// `trainingInput.pythonModule`.
    pub python_module: Option<String>,
    /// `trainingInput.packageUris`.
    pub packages: Vec<String>,
    /// The replicas of a trial beside its main one.
    pub cluster: Cluster,
    /// `scheduling.maxRunningTime`: how long the job may run.
    pub max_running_time: Option<Duration>,
    /// `hyperparameters.resumePreviousJobId`: the job that this one continues.
    pub previous: Option<String>,
    /// `hptune.objective.run`: which run directory the objective is read from.
    pub run: RunSelector,
    /// How a trial is treated: `gracePeriod`, `retries` and `maxRunningTime` of `hptune.trial`. Without a deadline.
    pub policy: Policy,
    /// What a trial needs.
    pub needs: Needs,
    /// `hptune.trial.appendJobDir`: whether `--job-dir` is appended to a command without placeholders.
    pub appends_job_dir: bool,
    /// `hptune.trial.directory`: whether each trial runs in its own directory, and not in the job's.
    pub runs_in_own: bool,
    /// `hptune.trial.waitForChildren`: whether a trial lasts until all that its command started has ended.
    pub waits_for_children: bool,
    /// `hptune.engine.kind`: where trials run.
    pub engine: Option<String>,
    /// `hptune.warmStart`: which earlier jobs the search learns from.
    pub warm_start: WarmStart,
    /// `hptune.trial.noMetricAfter`: when to tell that no value of the objective has come.
    pub no_metric_after: Duration,
    /// `trainingInput` as it was given, to be given back.
    pub training_input: Json,
    /// The options under `hptune`, likewise; null where there are none.
    pub options: Json,
}

/// The replicas of a trial beside its main one, and what that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cluster {
    /// `workerCount`.
    pub n_workers: u32,
    /// `parameterServerCount`.
    pub n_parameter_servers: u32,
    /// `evaluatorCount`.
    pub n_evaluators: u32,
    /// `useChiefInTfConfig`, which a cluster with evaluators has where nothing is said.
    pub has_chief: bool,
}

impl Cluster {
    /// All replicas of a trial, the main one first.
    #[must_use]
    pub fn replicas(&self) -> Vec<Replica> {
        let main = if self.has_chief { Role::Chief } else { Role::Master };
        let others = [
            (Role::Worker, self.n_workers),
            (Role::Ps, self.n_parameter_servers),
            (Role::Evaluator, self.n_evaluators),
        ];
        let others =
            others.into_iter().flat_map(|(role, n)| (0..n).map(move |index| Replica { role, index }));
        std::iter::once(Replica { role: main, index: 0 }).chain(others).collect()
    }
}

/// What a trial has to itself while it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Needs {
    /// `hptune.trial.gpus`: a whole number of GPUs, or a share of one below 1.
    pub gpus: f64,
    /// `hptune.trial.cpus`: processors; 0: it runs on any.
    pub cpus: u32,
    /// `hptune.trial.gpuFreeTimeout`: how long the memory of its GPUs may stay in use after its end, before nobody
    /// gets them any more.
    pub gpu_patience: Duration,
}

impl Default for Needs {
    fn default() -> Self {
        Self { gpus: 0.0, cpus: 0, gpu_patience: DEFAULT_GPU_PATIENCE }
    }
}

/// Which earlier jobs a search learns from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WarmStart {
    /// From none.
    #[default]
    Off,
    /// From those in the store that have the same tag and goal, and parameters that are the same.
    Auto,
    /// From these.
    Jobs(Vec<String>),
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// Probably not what was meant.
    Warning,
    /// The job cannot run.
    Error,
}

/// Something to tell about a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub at: Position,
    /// The field, such as `trainingInput.hyperparameters.maxTrials`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// `LINE:COLUMN: PATH: MESSAGE`, and the hint on a line of its own.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.at.line, self.at.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl Config {
    /// Reads a configuration from YAML or JSON: a job, or its `trainingInput` alone.
    ///
    /// # Errors
    /// All problems of the file, at least one of them a [`Severity::Error`], by place. Otherwise the
    /// configuration comes with its notes and warnings.
    pub fn read(text: &str) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        Self::read_continuing(text, None, None)
    }

    /// `jobId` of a configuration, where it is readable so far and has one.
    #[must_use]
    pub fn job_id_of(text: &str) -> Option<String> {
        let document = document::parse(text).ok()?.to_json();
        Some(["jobId", "job_id"].iter().find_map(|name| document.get(name))?.as_str()?.to_owned())
    }

    /// The job that a configuration continues, where it is readable so far and names one.
    #[must_use]
    pub fn previous_job_id(text: &str) -> Option<String> {
        let document = document::parse(text).ok()?.to_json();
        let input = ["trainingInput", "training_input"].iter().find_map(|name| document.get(name));
        let spec = input.unwrap_or(&document).get("hyperparameters")?;
        let names = ["resumePreviousJobId", "resume_previous_job_id"];
        Some(names.iter().find_map(|name| spec.get(name))?.as_str()?.to_owned())
    }

    /// Has the job make so many trials, as if the configuration said so.
    pub fn extend(&mut self, max_trials: u32) {
        self.spec.max_trials = max_trials;
        if let Some(Json::Object(spec)) = self.training_input.get_mut("hyperparameters") {
            spec.shift_remove("max_trials");
            spec.insert("maxTrials".into(), max_trials.into());
        }
    }

    /// Reads a configuration as [`Self::read`] does, of a job that continues one with the study `previous`: what it
    /// leaves out of goal, tag and parameters is taken from there, and what it gives must be the same. `engines` are the
    /// names that `hptune.engine.kind` may have; `None`: any.
    ///
    /// # Errors
    /// As of [`Self::read`].
    pub fn read_continuing(
        text: &str,
        previous: Option<&StudySpec>,
        engines: Option<&[&str]>,
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut reader = Reader::knowing(engines);
        let config = match document::parse(text) {
            Ok(node) => job::read(&mut reader, &node, previous),
            Err(e) => {
                reader.error(e.at, "", e.message, None);
                None
            }
        };
        let mut problems = reader.into_problems();
        problems.sort_by_key(|p| p.at);
        match config {
            Some(config) if problems.iter().all(|p| p.severity < Severity::Error) => Ok((config, problems)),
            _ => Err(problems),
        }
    }
}

/// Checks a job's name.
///
/// # Errors
/// What is wrong with it.
pub fn check_job_id(id: &str) -> Result<(), String> {
    let is_valid = id.starts_with(|c: char| c.is_ascii_alphabetic())
        && id.len() <= 128
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_valid {
        Ok(())
    } else {
        Err(format!("got {id:?}, want a letter, then letters, digits and underscores, at most 128 in all"))
    }
}
