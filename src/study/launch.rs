//! What a trial's trainer finds in its environment, as the service gave it.
//!
//! Sources: Cloud ML Engine's documentation of training (`TF_CONFIG`), of hyperparameter tuning (`task.trial` as a
//! string), of distributed training with containers (`CLUSTER_SPEC`) and with PyTorch (`RANK` and others); Vertex AI's
//! of the directories of a trial (`AIP_*`). The variables are listed in `docs/environment.md`, with those that are not
//! set.

use serde_json::{Map, Value as Json, json};

use super::{Replica, Role};
use crate::units::{Tag, TrialId};

/// The variable that holds a trial's own directory: no other trial has the same.
pub const TRIAL_DIR_VARIABLE: &str = "HPTUNE_JOB_DIR";

/// The variable that names a replica to itself, such as `worker-0`.
pub const REPLICA_VARIABLE: &str = "HPTUNE_REPLICA";

/// Whether the objective that a replica of this name writes is the trial's. What evaluators measure is.
#[must_use]
pub fn speaks_for_trial(replica: &str) -> bool {
    let role = replica.split('-').next().unwrap_or(replica);
    [Role::Master, Role::Chief, Role::Evaluator].iter().any(|speaker| speaker.name() == role)
}

/// What a trial's environment is made of.
#[derive(Debug, Clone, Copy)]
pub struct TrialContext<'a> {
    /// The job's name.
    pub job_id: &'a str,
    /// The trial.
    pub trial: TrialId,
    /// The trial's own directory.
    pub trial_dir: &'a str,
    /// The objective's tag.
    pub metric_tag: &'a Tag,
    /// `trainingInput` as the user gave it.
    pub training_input: &'a Json,
    /// All its replicas, the main one first, and the port of each on this machine's loopback address. Of one alone
    /// the port is not used.
    pub replicas: &'a [(Replica, u16)],
}

/// The variables that are added to the environment of one of a trial's replicas. `metrics_file` is where the
/// cloudml-hypertune package shall write.
#[must_use]
pub fn environment(trial: &TrialContext<'_>, replica: Replica, metrics_file: &str) -> Vec<(String, String)> {
    let id = trial.trial.to_string();
    let below = |name: &str| format!("{}/{name}/", trial.trial_dir.trim_end_matches('/'));
    let all = [
        ("TF_CONFIG", tf_config(trial, replica).to_string()),
        ("CLOUD_ML_JOB_ID", trial.job_id.to_owned()),
        ("CLOUD_ML_TRIAL_ID", id.clone()),
        ("CLOUD_ML_HP_METRIC_FILE", metrics_file.to_owned()),
        ("CLOUD_ML_HP_METRIC_TAG", trial.metric_tag.as_str().to_owned()),
        ("AIP_MODEL_DIR", below("model")),
        ("AIP_CHECKPOINT_DIR", below("checkpoints")),
        ("AIP_TENSORBOARD_LOG_DIR", below("logs")),
        ("HPTUNE_JOB_ID", trial.job_id.to_owned()),
        ("HPTUNE_TRIAL_ID", id),
        (REPLICA_VARIABLE, replica.to_string()),
        (TRIAL_DIR_VARIABLE, trial.trial_dir.to_owned()),
        ("HPTUNE_METRIC_TAG", trial.metric_tag.as_str().to_owned()),
    ];
    let cluster =
        (trial.replicas.len() > 1).then(|| ("CLUSTER_SPEC", cluster_spec(trial, replica).to_string()));
    let all = all.into_iter().chain(cluster).chain(of_pytorch(trial, replica).into_iter().flatten());
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What custom containers were told of their cluster: every replica, the main one always as `master`, and the job as a
/// text.
fn cluster_spec(trial: &TrialContext<'_>, replica: Replica) -> Json {
    let name = |role: Role| if role.is_main() { Role::Master.name() } else { role.name() };
    json!({
        "cluster": members(trial.replicas, |_| true, name),
        "task": {"type": name(replica.role), "index": replica.index, "trial": trial.trial.to_string()},
        "job": snake_case(trial.training_input).to_string(),
    })
}

/// What PyTorch's `init_process_group` reads, in a cluster of a master and workers: each is a process of the group.
fn of_pytorch(trial: &TrialContext<'_>, replica: Replica) -> Option<[(&'static str, String); 4]> {
    let is_of_group = |role: Role| role.is_main() || role == Role::Worker;
    let is_group =
        trial.replicas.len() > 1 && trial.replicas.iter().all(|(member, _)| is_of_group(member.role));
    let rank = trial.replicas.iter().position(|(member, _)| *member == replica)?;
    let (_, port) = trial.replicas.first()?;
    is_group.then(|| {
        [
            ("MASTER_ADDR", "127.0.0.1".to_owned()),
            ("MASTER_PORT", port.to_string()),
            ("RANK", rank.to_string()),
            ("WORLD_SIZE", trial.replicas.len().to_string()),
        ]
    })
}

/// The addresses of those replicas that `is_wanted` takes, by what they do.
fn members(
    replicas: &[(Replica, u16)],
    is_wanted: impl Fn(Role) -> bool,
    name: impl Fn(Role) -> &'static str,
) -> Map<String, Json> {
    let mut cluster = Map::new();
    for (member, port) in replicas.iter().filter(|(member, _)| is_wanted(member.role)) {
        let addresses = cluster.entry(name(member.role)).or_insert_with(|| json!([]));
        if let Json::Array(addresses) = addresses {
            addresses.push(format!("127.0.0.1:{port}").into());
        }
    }
    cluster
}

/// Tells a replica what it is, as the service did.
///
/// A lone process has an empty cluster and no task type: without a cluster TensorFlow's Estimators refuse one.
/// Evaluators are no part of the cluster that they evaluate for.
fn tf_config(trial: &TrialContext<'_>, replica: Replica) -> Json {
    let mut task = Map::new();
    let mut cluster = Map::new();
    if trial.replicas.len() > 1 {
        task.insert("type".into(), replica.role.name().into());
        cluster = members(trial.replicas, |role| role != Role::Evaluator, Role::name);
    }
    task.insert("index".into(), replica.index.into());
    task.insert("trial".into(), trial.trial.to_string().into());
    json!({
        "cluster": cluster,
        "task": task,
        "job": snake_case(trial.training_input),
        "environment": "cloud",
    })
}

/// `TF_CONFIG.job` spells the fields of a training input in snake case.
fn snake_case(value: &Json) -> Json {
    match value {
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let mut snake = String::new();
                for c in name.chars() {
                    if c.is_ascii_uppercase() {
                        snake.push('_');
                    }
                    snake.push(c.to_ascii_lowercase());
                }
                (snake, snake_case(value))
            });
            Json::Object(fields.collect::<Map<_, _>>())
        }
        Json::Array(items) => items.iter().map(snake_case).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::config::Cluster;

    const MAIN: (Replica, u16) = (Replica { role: Role::Master, index: 0 }, 0);

    #[test]
    fn the_environment_is_the_service_s() {
        let trial = TrialContext {
            job_id: "job_1",
            trial: TrialId::after(0),
            trial_dir: "/jobs/1",
            metric_tag: &Tag::from("m"),
            training_input: &json!({"scaleTier": "BASIC", "hyperparameters": {"maxTrials": 3, "params": [{"minValue": 1}]}}),
            replicas: &[MAIN],
        };
        let metrics_file = "/jobs/.hptune/1/trainer.metrics";
        let variables: std::collections::BTreeMap<String, String> =
            environment(&trial, MAIN.0, metrics_file).into_iter().collect();
        let tf_config: Json = serde_json::from_str(&variables["TF_CONFIG"]).expect("it is JSON");
        assert_eq!(
            tf_config,
            json!({
                "cluster": {}, "task": {"index": 0, "trial": "1"}, "environment": "cloud",
                "job": {"scale_tier": "BASIC", "hyperparameters": {"max_trials": 3, "params": [{"min_value": 1}]}},
            })
        );
        assert_eq!(variables["CLOUD_ML_JOB_ID"], "job_1");
        assert_eq!(variables["CLOUD_ML_TRIAL_ID"], "1");
        assert_eq!(variables["CLOUD_ML_HP_METRIC_FILE"], "/jobs/.hptune/1/trainer.metrics");
        assert_eq!(variables["CLOUD_ML_HP_METRIC_TAG"], "m");
        assert_eq!(variables["AIP_TENSORBOARD_LOG_DIR"], "/jobs/1/logs/");
        assert_eq!(variables["HPTUNE_JOB_DIR"], "/jobs/1");
        // Only of clusters.
        assert!(!variables.contains_key("CLUSTER_SPEC") && !variables.contains_key("RANK"));
    }

    #[test]
    fn frameworks_without_tf_config_are_told_their_place_too() {
        #[track_caller]
        fn check(cluster: Cluster, at: usize, spec: Json, rank: Option<[&str; 3]>) {
            let replicas: Vec<(Replica, u16)> = cluster.replicas().into_iter().zip(1..).collect();
            let trial = TrialContext {
                job_id: "job_1",
                trial: TrialId::after(1),
                trial_dir: "gs://bucket/2",
                metric_tag: &Tag::from("m"),
                training_input: &json!({"scaleTier": "CUSTOM"}),
                replicas: &replicas,
            };
            let told: std::collections::BTreeMap<String, String> =
                environment(&trial, replicas[at].0, "").into_iter().collect();
            let expected = json!({"cluster": spec[0], "task": spec[1], "job": "{\"scale_tier\":\"CUSTOM\"}"});
            assert_eq!(serde_json::from_str::<Json>(&told["CLUSTER_SPEC"]).expect("it is JSON"), expected);
            let of_pytorch =
                ["RANK", "WORLD_SIZE", "MASTER_PORT"].map(|name| told.get(name).map(String::as_str));
            assert_eq!(of_pytorch, rank.map_or([None; 3], |rank| rank.map(Some)));
        }
        let cluster = Cluster { n_workers: 2, ..Cluster::default() };
        let members = json!({"master": ["127.0.0.1:1"], "worker": ["127.0.0.1:2", "127.0.0.1:3"]});
        let task = |role: &str, index: u32| json!({"type": role, "index": index, "trial": "2"});
        check(cluster, 0, json!([members, task("master", 0)]), Some(["0", "3", "1"]));
        check(cluster, 2, json!([members, task("worker", 1)]), Some(["2", "3", "1"]));
        let others =
            Cluster { n_evaluators: 1, n_parameter_servers: 1, has_chief: true, ..Cluster::default() };
        let members = json!({"master": ["127.0.0.1:1"], "ps": ["127.0.0.1:2"], "evaluator": ["127.0.0.1:3"]});
        check(others, 0, json!([members, task("master", 0)]), None);
        check(others, 2, json!([members, task("evaluator", 0)]), None);
    }

    #[test]
    fn each_replica_is_told_its_place_in_the_cluster() {
        #[track_caller]
        fn check(cluster: Cluster, at: usize, expected: Json) {
            let replicas: Vec<(Replica, u16)> = cluster.replicas().into_iter().zip(1..).collect();
            let trial = TrialContext {
                job_id: "job_1",
                trial: TrialId::after(1),
                trial_dir: "/jobs/2",
                metric_tag: &Tag::from("m"),
                training_input: &json!({}),
                replicas: &replicas,
            };
            let mut told = tf_config(&trial, replicas[at].0);
            assert_eq!(told["environment"].take(), "cloud");
            assert_eq!(json!({"cluster": told["cluster"], "task": told["task"]}), expected);
        }
        let cluster = Cluster { n_workers: 2, n_parameter_servers: 1, ..Cluster::default() };
        let members = json!({
            "master": ["127.0.0.1:1"], "worker": ["127.0.0.1:2", "127.0.0.1:3"], "ps": ["127.0.0.1:4"],
        });
        check(cluster, 0, json!({"cluster": members, "task": {"type": "master", "index": 0, "trial": "2"}}));
        check(cluster, 2, json!({"cluster": members, "task": {"type": "worker", "index": 1, "trial": "2"}}));
        check(cluster, 3, json!({"cluster": members, "task": {"type": "ps", "index": 0, "trial": "2"}}));
        let with_evaluator = Cluster { n_evaluators: 1, has_chief: true, ..Cluster::default() };
        let members = json!({"chief": ["127.0.0.1:1"]});
        check(
            with_evaluator,
            1,
            json!({"cluster": members, "task": {"type": "evaluator", "index": 0, "trial": "2"}}),
        );
    }
}
