//! The job around a study: its fields, its cluster, its limits.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::fields::{self, Reader};
use super::{Cluster, Config, OUTPUT_KEY, check_job_id, options, study};
use crate::limits::MAX_REPLICAS;
use crate::study::StudySpec;
use crate::study::document::{self, Node, Value};

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

pub(super) fn read(reader: &mut Reader, node: &Node, previous: Option<&StudySpec>) -> Option<Config> {
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
    if let Some(found) =
        ["studySpec", "trialJobSpec", "workerPoolSpecs"].into_iter().find(|name| top.has(name))
    {
        reader.error(
            node.at,
            "",
            format!("a file of Vertex AI (it has `{found}`); want one of Cloud ML Engine"),
            Some(
                "write `studySpec.parameters` as `trainingInput.hyperparameters.params`, and the metric's id as \
                 `hyperparameterMetricTag`; the command goes behind `--`"
                    .into(),
            ),
        );
        return None;
    }
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
        appends_job_dir: options.appends_job_dir,
        runs_in_own: options.runs_in_own,
        waits_for_children: options.waits_for_children,
        engine: options.engine,
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
    let workers = count(reader, "workerCount");
    let parameter_servers = count(reader, "parameterServerCount").map_or(0, |(n, ..)| n);
    let evaluators = count(reader, "evaluatorCount").filter(|(n, ..)| *n > 0);
    // The service's workers of this type are TPUs that the master uses, and run nothing of the user's.
    let is_tpu = names_tpu(input, "worker");
    if let Some((n, at, path)) = workers.as_ref().filter(|(n, ..)| is_tpu && *n > 0) {
        let message =
            format!("got {n}, which are TPUs and no processes: no worker is started beside the master");
        reader.note(*at, path, &message);
    }
    let workers = workers.map_or(0, |(n, ..)| if is_tpu { 0 } else { n });
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

/// Whether the machines of a role are TPUs: by their type, or by their accelerators.
fn names_tpu(input: &mut fields::Fields<'_>, role: &str) -> bool {
    let mut json = |name: String| input.take(&name).map(Node::to_json).unwrap_or_default();
    let (machine, config) = (json(format!("{role}Type")), json(format!("{role}Config")));
    let accelerator = ["acceleratorConfig", "accelerator_config"].iter().find_map(|name| config.get(name));
    let accelerator = accelerator.and_then(|config| config.get("type")).and_then(Json::as_str);
    machine.as_str().is_some_and(|machine| machine.eq_ignore_ascii_case("cloud_tpu"))
        || accelerator.is_some_and(|kind| kind.to_ascii_uppercase().starts_with("TPU"))
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
    /// The whole mapping as JSON but for the fields named in `except`. Categories and arguments are the texts that the
    /// trainer gets: `False`, `0.010`.
    fn to_json(&self, except: &[&str]) -> Json {
        let are_texts = |key: &str| ["categoricalValues", "args"].contains(&&*fields::camel_case(key));
        let kept = self.entries().filter(|(key, _)| !except.contains(&key.text.as_str()));
        let json = |(key, node): &(document::Key, Node)| {
            // As an entry of a mapping, where its own name counts.
            let whole = Node { at: node.at, value: Value::Map(vec![(key.clone(), node.clone())]) };
            let json = whole.to_json_with(&are_texts);
            (fields::camel_case(&key.text), json.get(&key.text).cloned().unwrap_or_default())
        };
        Json::Object(kept.map(json).collect::<Map<_, _>>())
    }
}
