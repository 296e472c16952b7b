//! A job as the store has it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;

use super::lease::holds;
use crate::edge::process_tree::ProcessIdentity;
use crate::edge::remote::local_dir;
use crate::study::{State, Trial};

/// A job as it is about to begin.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its name, unique in the store.
    pub id: String,
    /// Its configuration file.
    pub config: String,
    /// The seed of its suggestions.
    pub seed: u64,
    /// The trainer's command; empty where the configuration names a Python module.
    pub command: Vec<String>,
    /// The directory of its trials, absolute, or an address in an object store.
    pub job_dir: PathBuf,
    /// When it was created.
    pub created_at: Timestamp,
    /// Where its trainers run, absolute.
    pub directory: PathBuf,
    /// When all is to be over.
    pub deadline: Option<Timestamp>,
    /// The job that it continues.
    pub previous: Option<String>,
    /// How many trials it has since it was extended; `None`: as many as its configuration says.
    pub max_trials: Option<u32>,
    /// What a service keeps of it beside its course.
    pub resource: Resource,
}

/// A job or a study as a resource of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource {
    /// What the text of the configuration is.
    pub config_format: ConfigFormat,
    /// The resource that it belongs to, such as `owners/O` or `projects/P/locations/L`.
    pub owner: Option<String>,
    /// Its name for people, which need not be unique.
    pub display_name: Option<String>,
    /// Its labels; `None`: those of its configuration.
    pub labels: Option<BTreeMap<String, String>>,
}

/// What the text of a configuration is, in YAML or JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConfigFormat {
    /// A `Job`, a `TrainingInput` or a `HyperparameterSpec` of Cloud ML Engine.
    #[default]
    MlV1,
    /// A `HyperparameterTuningJob` or a `Study` of Vertex AI.
    VertexV1,
    /// A `Study` of the OSS Vizier service.
    Vizier,
}

impl ConfigFormat {
    const ALL: [Self; 3] = [Self::MlV1, Self::VertexV1, Self::Vizier];

    /// Its name in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MlV1 => "ml.v1",
            Self::VertexV1 => "vertex.v1",
            Self::Vizier => "vizier",
        }
    }

    /// The format of this name; `None` where none has it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// The revision of a stored job: another one after each change of the job, its trials, decisions, requests, labels or
/// metadata. Of two etags of one job the greater is the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Etag(pub u64);

/// The number in decimal.
impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl NewJob {
    /// Whether it is a study whose trials somebody else executes: it has no directory.
    #[must_use]
    pub fn is_study(&self) -> bool {
        self.job_dir.as_os_str().is_empty()
    }

    /// Where on this machine its files are; see [`local_dir`].
    #[must_use]
    pub fn local_dir(&self) -> PathBuf {
        local_dir(&self.job_dir, &self.directory, &self.id)
    }
}

/// A job as the store has it.
#[derive(Debug, Clone)]
pub struct StoredJob {
    /// What it began with.
    pub job: NewJob,
    /// Its number in the store.
    pub number: JobNumber,
    /// Its revision.
    pub etag: Etag,
    /// When it was last changed; of one that no program of this version has changed, `None`.
    pub changed_at: Option<Timestamp>,
    /// Its state.
    pub state: State,
    /// What the user should know of its end; of one that is not over, why it has failed, where that is decided.
    pub message: Option<String>,
    /// When it left the queue; of one that was never queued, when it was created.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its trials, by number.
    pub trials: Vec<Trial>,
    /// The process that runs it, or ran it and was killed; with it when that was last heard of.
    pub holder: Option<(ProcessIdentity, Timestamp)>,
}

impl StoredJob {
    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.is_over()
    }

    /// Whether a process runs it, as far as can be seen from here.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holder.as_ref().is_some_and(|(holder, heard_of)| holds(holder, *heard_of))
    }
}

/// A job's number in this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobNumber(pub(super) i64);

impl JobNumber {
    /// The number, 1 or more.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}
