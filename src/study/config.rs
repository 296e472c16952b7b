//! The configuration file: the service's job, read whole and checked whole.
//!
//! Every problem of a file is told at once, each with its path and place. Source of the fields and
//! their rules: Cloud ML Engine's REST reference, `projects.jobs`: `Job`, `TrainingInput`,
//! `HyperparameterSpec`, `ParameterSpec`. What is ours stands under the top-level key `hptune`.

mod fields;
mod options;
mod parameters;
mod study;

pub(crate) use fields::parse_duration;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::document::{self, Node, Position, Value};
use super::{Replica, Role, StudySpec};
use crate::controller::Policy;
use crate::limits::MAX_REPLICAS;
use crate::series::RunSelector;
use fields::Reader;

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
        Self::read_continuing(text, None)
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

    /// Reads a configuration as [`Self::read`] does, of a job that continues one with the study `previous`: what it
    /// leaves out of goal, tag and parameters is taken from there, and what it gives must be the same.
    ///
    /// # Errors
    /// As of [`Self::read`].
    pub fn read_continuing(
        text: &str,
        previous: Option<&StudySpec>,
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut reader = Reader::default();
        let config = match document::parse(text) {
            Ok(node) => read_job(&mut reader, &node, previous),
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

/// Fields of a job that the service fills in: a job that was described can be run again.
const JOB_OUTPUTS: [&str; 9] = [
    "createTime",
    "startTime",
    "endTime",
    "state",
    "errorMessage",
    "trainingOutput",
    "etag",
    "jobPosition",
    OUTPUT_KEY,
];

/// Fields of a training input that have no meaning off the cloud.
const CLOUD_ONLY: [&str; 14] = [
    "scaleTier",
    "masterType",
    "masterConfig",
    "workerType",
    "workerConfig",
    "parameterServerType",
    "parameterServerConfig",
    "evaluatorType",
    "evaluatorConfig",
    "region",
    "runtimeVersion",
    "pythonVersion",
    "encryptionConfig",
    "serviceAccount",
];

/// More of them, that only newer files have.
const CLOUD_ONLY_LATER: [&str; 2] = ["network", "enableWebAccess"];

fn read_job(reader: &mut Reader, node: &Node, previous: Option<&StudySpec>) -> Option<Config> {
    if let Value::Null = node.value {
        reader.error(
            node.at,
            "",
            "the file is empty".into(),
            Some("it holds a mapping with `trainingInput`, as Cloud ML Engine's jobs do".into()),
        );
        return None;
    }
    let mut top = reader.fields(node, "")?;
    let options = top.take("hptune").cloned();
    let is_job = top.has("trainingInput");
    let mut job_id = None;
    let mut labels = BTreeMap::new();
    let mut input = if is_job {
        job_id = top.take("jobId").and_then(|node| read_job_id(reader, node));
        labels = top.take("labels").map(|node| read_labels(reader, node)).unwrap_or_default();
        for name in JOB_OUTPUTS {
            top.take(name);
        }
        let input = top.take("trainingInput");
        top.finish(reader);
        let Some(input) = input else {
            reader.error(node.at, "trainingInput", "is empty".into(), None);
            return None;
        };
        reader.fields(input, "trainingInput")?
    } else {
        if top.has("params") && !top.has("hyperparameters") {
            let hint = "put these fields below `trainingInput:` and there below `hyperparameters:`";
            reader.error(node.at, "", "a HyperparameterSpec stands alone here".into(), Some(hint.into()));
            return None;
        }
        top
    };
    let training_input = input.to_json(&["hptune"]);
    let args = input.take("args").map(|node| reader.texts(node, "args")).unwrap_or_default();
    let job_dir = input.take("jobDir").and_then(|node| reader.text(node, "jobDir"));
    let python_module = input.take("pythonModule").and_then(|node| reader.text(node, "pythonModule"));
    let packages =
        input.take("packageUris").map(|node| reader.texts(node, "packageUris")).unwrap_or_default();
    let cluster = read_cluster(reader, &mut input);
    let max_running_time = read_scheduling(reader, &mut input);
    let spec_node = input.take("hyperparameters");
    if spec_node.is_none() {
        let hint = "hptune tunes hyperparameters; see the README for a whole example";
        reader.error(node.at, &input.path_of("hyperparameters"), "missing".into(), Some(hint.into()));
    }
    let spec_path = input.path_of("hyperparameters");
    input.finish(reader);
    let (mut spec, previous) =
        match spec_node.and_then(|node| study::read(reader, node, &spec_path, previous)) {
            Some((spec, previous)) => (Some(spec), previous),
            None => (None, None),
        };
    let options_json = options.as_ref().map(Node::to_json).unwrap_or_default();
    let options = options::read(reader, options.as_ref(), spec.as_mut());
    Some(Config {
        job_id,
        labels,
        spec: spec?,
        seed: options.seed,
        args,
        job_dir,
        python_module,
        packages,
        cluster,
        max_running_time,
        previous,
        run: options.run,
        policy: options.policy,
        needs: options.needs,
        warm_start: options.warm_start,
        no_metric_after: options.no_metric_after,
        training_input,
        options: options_json,
    })
}

/// The service's rule for a job's name: a letter, then letters, digits and underscores.
fn read_job_id(reader: &mut Reader, node: &Node) -> Option<String> {
    let id = reader.text(node, "jobId")?;
    match check_job_id(&id) {
        Ok(()) => Some(id),
        Err(message) => {
            reader.error(node.at, "jobId", message, None);
            None
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

fn read_labels(reader: &mut Reader, node: &Node) -> BTreeMap<String, String> {
    let Value::Map(entries) = &node.value else {
        reader.wrong_type(node, "labels", "a mapping of texts");
        return BTreeMap::new();
    };
    let read = |(key, node): &(document::Key, Node)| {
        Some((key.text.clone(), reader.text(node, &format!("labels.{}", key.text))?))
    };
    entries.iter().filter_map(read).collect()
}

fn read_cluster(reader: &mut Reader, input: &mut fields::Fields<'_>) -> Cluster {
    let mut count = |reader: &mut Reader, name: &str| {
        let path = input.path_of(name);
        let node = input.take(name)?;
        Some((reader.integer(node, &path, 0..=i64::from(MAX_REPLICAS))? as u32, node.at, path))
    };
    let workers = count(reader, "workerCount").map_or(0, |(n, ..)| n);
    let parameter_servers = count(reader, "parameterServerCount").map_or(0, |(n, ..)| n);
    let evaluators = count(reader, "evaluatorCount").filter(|(n, ..)| *n > 0);
    let path = input.path_of("useChiefInTfConfig");
    let has_chief = input.take("useChiefInTfConfig").and_then(|node| reader.boolean(node, &path));
    if let (Some((_, at, path)), Some(false)) = (&evaluators, has_chief) {
        let message = "TensorFlow knows evaluators only beside a chief: its Estimators will refuse this cluster; \
                       leave useChiefInTfConfig out, or set it";
        reader.warn(*at, path, message);
    }
    Cluster {
        n_workers: workers,
        n_parameter_servers: parameter_servers,
        n_evaluators: evaluators.as_ref().map_or(0, |(n, ..)| *n),
        has_chief: has_chief.unwrap_or(evaluators.is_some()),
    }
}

/// Reads how long the job may run, and notes what has no meaning here.
fn read_scheduling(reader: &mut Reader, input: &mut fields::Fields<'_>) -> Option<Duration> {
    let mut max_running_time = None;
    let mut names = Vec::new();
    let mut at = None;
    for name in CLOUD_ONLY.iter().chain(&CLOUD_ONLY_LATER) {
        if let Some(node) = input.take(name) {
            names.push(*name);
            at.get_or_insert(node.at);
        }
    }
    let path = input.path_of("scheduling");
    if let Some(node) = input.take("scheduling")
        && let Some(mut scheduling) = reader.fields(node, &path)
    {
        if let Some(limit) = scheduling.take("maxRunningTime") {
            let path = scheduling.path_of("maxRunningTime");
            max_running_time = reader.duration(limit, &path);
        }
        for name in ["maxWaitTime", "priority"] {
            if scheduling.take(name).is_some() {
                names.push(name);
                at.get_or_insert(node.at);
            }
        }
        scheduling.finish(reader);
    }
    if let Some(at) = at {
        let message = format!("kept but without meaning off the cloud: {}", names.join(", "));
        reader.note(at, "", &message);
    }
    max_running_time
}

impl fields::Fields<'_> {
    /// The whole mapping as JSON but for the fields named in `except`.
    fn to_json(&self, except: &[&str]) -> Json {
        let kept = self.entries().filter(|(key, _)| !except.contains(&key.text.as_str()));
        Json::Object(
            kept.map(|(key, node)| (fields::camel_case(&key.text), node.to_json())).collect::<Map<_, _>>(),
        )
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::study::{Algorithm, Domain, EarlyStopping, Goal, Reduce, Scale};

    /// The study of a `hyperparameters` mapping.
    #[track_caller]
    pub(crate) fn spec(hyperparameters: &str) -> StudySpec {
        match Config::read(&format!("hyperparameters: {hyperparameters}")) {
            Ok((config, _)) => config.spec,
            Err(problems) => panic!("{problems:?}"),
        }
    }

    #[track_caller]
    fn problems(text: &str, expected: &[&str]) {
        let got: Vec<String> = match Config::read(text) {
            Ok((_, problems)) | Err(problems) => problems
                .iter()
                .filter(|p| p.severity > Severity::Note)
                .map(|p| p.to_string().replace("\n  hint: ", " | "))
                .collect(),
        };
        assert_eq!(got, expected);
    }

    const WHOLE: &str = "\
jobId: census_1
labels: {team: vision}
trainingInput:
  scaleTier: CUSTOM
  region: us-central1
  args: [--epochs, 10, --name, 'a b', 0.10]
  jobDir: /tmp/census
  hyperparameters:
    goal: MINIMIZE
    hyperparameterMetricTag: loss
    maxTrials: '30'
    maxParallelTrials: 3
    enableTrialEarlyStopping: TRUE
    algorithm: RANDOM_SEARCH
    params:
    - parameterName: lr
      type: DOUBLE
      minValue: 1e-4
      maxValue: 0.1
      scaleType: UNIT_LOG_SCALE
    - {parameterName: layers, type: INTEGER, minValue: 1, maxValue: 4}
    - {parameterName: batch, type: DISCRETE, discreteValues: [16, 32.0, 64]}
hptune:
  objective: {run: 'eval*', reduce: best}
  earlyStopping: {rule: median, minSteps: 100, minTrials: 3}
  trial: {gracePeriod: 5s, noMetricAfter: 2m}
  seed: 7
";

    #[test]
    fn a_whole_job_is_read_whole() {
        let (config, notes) = Config::read(WHOLE).expect("it is valid");
        assert_eq!(config.job_id.as_deref(), Some("census_1"));
        assert_eq!(config.labels["team"], "vision");
        assert_eq!(config.args, ["--epochs", "10", "--name", "a b", "0.10"]);
        assert_eq!(config.job_dir.as_deref(), Some("/tmp/census"));
        assert_eq!((config.spec.max_trials, config.spec.max_parallel_trials), (30, 3));
        assert_eq!(config.spec.goal, Goal::Minimize);
        assert_eq!(config.spec.early_stopping, EarlyStopping::Median { min_steps: 100, min_trials: 3 });
        assert_eq!(config.spec.reduce, Reduce::Best);
        assert_eq!((config.seed, config.policy.grace), (Some(7), Duration::from_secs(5)));
        assert_eq!(config.no_metric_after, Duration::from_secs(120));
        let domains: Vec<&Domain> = config.spec.space.parameters.iter().map(|p| &p.domain).collect();
        assert_eq!(domains[0], &Domain::Double { min: 1e-4, max: 0.1, scale: Scale::Log });
        assert_eq!(domains[1], &Domain::Integer { min: 1, max: 4, scale: Scale::Linear });
        assert_eq!(domains[2], &Domain::Discrete { values: vec![16.0, 32.0, 64.0], scale: Scale::Linear });
        assert_eq!(config.training_input["region"], "us-central1");
        let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
        assert_eq!(notes, ["4:14: kept but without meaning off the cloud: scaleTier, region"]);
    }

    #[test]
    fn the_training_input_alone_and_snake_case_and_json_are_read_too() {
        let text = "{\"hyperparameters\": {\"max_trials\": 10, \"params\": [{\"parameter_name\": \"a\", \
                    \"type\": \"CATEGORICAL\", \"categorical_values\": [\"x\", \"y z\"]}]}, \"hptune\": {\"seed\": 1}}";
        let (config, _) = Config::read(text).expect("it is valid");
        assert_eq!(config.spec.max_trials, 10);
        assert_eq!(config.spec.metric_tag.as_str(), "training/hptuning/metric");
        assert_eq!(config.spec.early_stopping, EarlyStopping::None);
        assert!(config.training_input.get("hptune").is_none());
    }

    #[test]
    fn all_errors_of_a_file_are_told_at_once_each_with_its_place() {
        problems(
            "trainingInput:\n  hyperparameters:\n    goal: MAX\n    maxTrial: 3\n    maxTrials: many\n    params:\n    \
             - {parameterName: lr, type: DOUBLE, minValue: 0, maxValue: 1, scaleType: UNIT_LOG_SCALE}\n    \
             - {parameterName: n, type: INTEGER, minValue: 5}\n    \
             - {parameterName: n, type: DISCRETE, discreteValues: [2, 1]}\n  args: 7\n",
            &[
                "3:11: trainingInput.hyperparameters.goal: got `MAX`, want one of MAXIMIZE, MINIMIZE, GOAL_TYPE_UNSPECIFIED",
                "4:5: trainingInput.hyperparameters.maxTrial: unknown field | did you mean `maxTrials`?",
                "5:16: trainingInput.hyperparameters.maxTrials: got `many`, want a whole number",
                "7:51: trainingInput.hyperparameters.params[0].minValue: got 0, want more than 0 for a logarithmic scale",
                "8:7: trainingInput.hyperparameters.params[1].maxValue: missing; INTEGER needs minValue and maxValue",
                "9:23: trainingInput.hyperparameters.params[2].parameterName: `n` is the name of another parameter too",
                "9:58: trainingInput.hyperparameters.params[2].discreteValues: not rising: 1 stands behind 2",
                "10:9: args: got `7`, want a list",
            ],
        );
    }

    #[test]
    fn each_rule_of_a_parameter_is_checked() {
        #[track_caller]
        fn check(parameter: &str, expected: &str) {
            let text = format!("hyperparameters:\n  maxTrials: 10\n  params:\n  - {{{parameter}}}\n");
            let (Ok((_, problems)) | Err(problems)) = Config::read(&text);
            let first = problems.iter().find(|p| p.severity > Severity::Note);
            let got = first.map(ToString::to_string).unwrap_or_default();
            assert!(got.contains(expected), "got {got:?}");
            assert_eq!(expected.is_empty(), got.is_empty(), "got {got:?}");
        }
        check("parameterName: a, type: DOUBLE, minValue: 1, maxValue: 1", "");
        check(
            "parameterName: a, type: DOUBLE, minValue: 1e-3, maxValue: 1, scaleType: UNIT_REVERSE_LOG_SCALE",
            "",
        );
        check("type: DOUBLE, minValue: 1, maxValue: 2", "params[0].parameterName: missing");
        check("parameterName: a, minValue: 1, maxValue: 2", "params[0].type: missing");
        check("parameterName: a, type: FLOAT, minValue: 1, maxValue: 2", "want one of DOUBLE, INTEGER");
        check("parameterName: a, type: DOUBLE", "minValue: missing");
        check("parameterName: a, type: DOUBLE, minValue: 2, maxValue: 1", "maxValue: 1 is below minValue, 2");
        check("parameterName: a, type: DOUBLE, minValue: .nan, maxValue: 1", "want a finite number");
        check("parameterName: a, type: INTEGER, minValue: 0.5, maxValue: 1", "want a whole number");
        check("parameterName: a, type: CATEGORICAL", "categoricalValues: missing");
        check("parameterName: a, type: CATEGORICAL, categoricalValues: []", "is empty");
        check("parameterName: a, type: CATEGORICAL, categoricalValues: [x, x]", "`x` stands there twice");
        check("parameterName: a, type: DISCRETE, discreteValues: [1, 1]", "not rising");
        check(
            "parameterName: a, type: DISCRETE, discreteValues: [0, 1], scaleType: UNIT_LOG_SCALE",
            "more than 0",
        );
        check(
            "parameterName: job-dir, type: DISCRETE, discreteValues: [1]",
            "`job-dir` is what hptune itself passes",
        );
        check("parameterName: trial_id, type: DISCRETE, discreteValues: [1]", "is what hptune itself passes");
        check("parameterName: a, type: INTEGER, minValue: 1, maxValue: 99999999999999999999", "at most 2^53");
        check("parameterName: a, parameter_name: b, type: DISCRETE, discreteValues: [1]", "is given twice");
        check("parameterName: 'a b', type: DISCRETE, discreteValues: [1]", "no name of an argument");
        check(
            "parameterName: a, type: CATEGORICAL, categoricalValues: [x], minValue: 1",
            "without effect for CATEGORICAL",
        );
    }

    #[test]
    fn a_file_that_is_no_configuration_gets_one_clear_error() {
        problems(
            "",
            &[
                "1:1: the file is empty | it holds a mapping with `trainingInput`, as Cloud ML Engine's jobs do",
            ],
        );
        problems("- a\n", &["1:1: got a list, want a mapping"]);
        problems("just text\n", &["1:1: got `just text`, want a mapping"]);
        problems(
            "params: []\n",
            &[
                "1:1: a HyperparameterSpec stands alone here | put these fields below `trainingInput:` and there below `hyperparameters:`",
            ],
        );
        problems("trainingInput:\n", &["1:1: trainingInput: is empty"]);
        problems(
            "trainingInput: {}\n",
            &[
                "1:1: trainingInput.hyperparameters: missing | hptune tunes hyperparameters; see the README for a whole example",
            ],
        );
    }

    #[test]
    fn what_this_version_cannot_do_is_refused_not_ignored() {
        let spec = "hyperparameters: {maxTrials: 10, params: [{parameterName: a, type: INTEGER, minValue: 1, maxValue: 99}]";
        #[track_caller]
        fn check(text: &str, expected: &str) {
            let problems = Config::read(text).expect_err("it is refused");
            assert!(problems.iter().any(|p| p.to_string().contains(expected)), "{problems:?}");
        }
        check(&format!("{spec}}}\nhptune: {{trial: {{gpus: 1.5}}}}\n"), "a whole number of GPUs, or a share");
        check(&format!("{spec}}}\nhptune: {{engine: {{kind: ray}}}}\n"), "want one of local");
        check(
            &format!("{spec}}}\nhptune: {{earlyStopping: {{rule: luck}}}}\n"),
            "want one of decay-curve, median, asha, hyperband, none",
        );
        let grid = "hyperparameters: {algorithm: GRID_SEARCH, params: [{parameterName: a, type: DOUBLE, minValue: 1, maxValue: 2}]}";
        check(grid, "GRID_SEARCH");
    }

    #[test]
    fn our_own_rules_and_algorithms_are_named_under_hptune() {
        #[track_caller]
        fn check(options: &str, algorithm: Algorithm, rule: EarlyStopping) {
            let text = format!(
                "hyperparameters: {{maxTrials: 10, enableTrialEarlyStopping: true, params: [{{parameterName: a, \
                 type: INTEGER, minValue: 1, maxValue: 9}}]}}\nhptune: {options}\n"
            );
            let (config, problems) = Config::read(&text).expect("it is right");
            assert_eq!(problems, []);
            assert_eq!((config.spec.algorithm, config.spec.early_stopping), (algorithm, rule));
        }
        let decay_curve = EarlyStopping::DecayCurve { min_steps: 0, min_trials: 5 };
        check("{}", Algorithm::Unspecified, decay_curve);
        check("{algorithm: tpe}", Algorithm::Tpe, decay_curve);
        check("{earlyStopping: {rule: decay-curve, minTrials: 7}}", Algorithm::Unspecified, {
            EarlyStopping::DecayCurve { min_steps: 0, min_trials: 7 }
        });
        let rungs = |reduction_factor, has_brackets| EarlyStopping::Rungs {
            min_steps: 10,
            min_trials: 5,
            reduction_factor,
            has_brackets,
        };
        check("{earlyStopping: {rule: asha, minSteps: 10}}", Algorithm::Unspecified, rungs(3, false));
        let hyperband = "{earlyStopping: {rule: hyperband, minSteps: 10, reductionFactor: 4}}";
        check(hyperband, Algorithm::Unspecified, rungs(4, true));
        check("{earlyStopping: {rule: none}}", Algorithm::Unspecified, EarlyStopping::None);
        let grid = "hyperparameters: {algorithm: GRID_SEARCH, maxTrials: 10, params: [{parameterName: a, \
                    type: INTEGER, minValue: 1, maxValue: 9}]}\nhptune: {algorithm: tpe}\n";
        let problems = Config::read(grid).expect_err("two algorithms");
        assert!(
            problems[0].to_string().contains("contradicts the algorithm of hyperparameters, GRID_SEARCH")
        );
    }

    #[test]
    fn few_trials_for_many_parameters_are_warned_of() {
        problems(
            "hyperparameters: {maxTrials: 9, params: [{parameterName: a, type: DOUBLE, minValue: 1, maxValue: 2}]}",
            &["1:30: hyperparameters.maxTrials: few for 1 parameter: got 9; the service advises at least 10"],
        );
    }
}
