//! The study of a configuration: `HyperparameterSpec`.

use super::super::document::Node;
use super::super::{Algorithm, EarlyStopping, Goal, Reduce, StudySpec};
use super::fields::Reader;
use super::{DEFAULT_METRIC_TAG, parameters};
use crate::limits::{MAX_PARALLEL_TRIALS, MAX_TRIALS};
use crate::units::Tag;

/// The study, and the job that it continues.
pub(super) fn read(
    reader: &mut Reader,
    node: &Node,
    path: &str,
    previous: Option<&StudySpec>,
) -> Option<(StudySpec, Option<String>)> {
    let mut fields = reader.fields(node, path)?;
    let max_trials_at = fields.at("maxTrials");
    let goal_path = fields.path_of("goal");
    let goals = [
        ("MAXIMIZE", Goal::Maximize),
        ("MINIMIZE", Goal::Minimize),
        ("GOAL_TYPE_UNSPECIFIED", Goal::Maximize),
    ];
    let goal_at = fields.at("goal");
    let goal = fields.take("goal").map_or_else(
        || Some(previous.map(|p| p.goal).unwrap_or_default()),
        |n| reader.choice(n, &goal_path, &goals),
    );
    let tag_path = fields.path_of("hyperparameterMetricTag");
    let tag_at = fields.at("hyperparameterMetricTag");
    let tag = match fields.take("hyperparameterMetricTag") {
        None => Some(previous.map_or(DEFAULT_METRIC_TAG, |p| p.metric_tag.as_str()).to_owned()),
        Some(node) => match reader.text(node, &tag_path) {
            Some(tag) if tag.is_empty() => {
                reader.error(node.at, &tag_path, "is empty".into(), None);
                None
            }
            tag => tag,
        },
    };
    let mut count = |reader: &mut Reader, name: &str, range, default: u32| {
        let path = fields.path_of(name);
        fields.take(name).map_or(Some(default), |n| reader.integer(n, &path, range).map(|v| v as u32))
    };
    let max_trials = count(reader, "maxTrials", 1..=i64::from(MAX_TRIALS), 1);
    let max_parallel = count(reader, "maxParallelTrials", 1..=i64::from(MAX_PARALLEL_TRIALS), 1);
    let max_failed = count(reader, "maxFailedTrials", 0..=i64::from(MAX_TRIALS), 0);
    let stopping_path = fields.path_of("enableTrialEarlyStopping");
    let is_stopping =
        fields.take("enableTrialEarlyStopping").map_or(Some(false), |n| reader.boolean(n, &stopping_path));
    let resume_path = fields.path_of("resumePreviousJobId");
    let resumed = fields.take("resumePreviousJobId").and_then(|node| reader.text(node, &resume_path));
    let algorithm_path = fields.path_of("algorithm");
    let algorithm = match fields.take("algorithm") {
        None => Some(Algorithm::default()),
        Some(node) => reader.choice(node, &algorithm_path, &Algorithm::OF_SERVICE),
    };
    let params_path = fields.path_of("params");
    let params_at = fields.at("params");
    let space = match fields.take("params") {
        None if previous.is_some() => previous.map(|previous| previous.space.clone()),
        Some(node) => parameters::read(reader, node, &params_path, algorithm == Some(Algorithm::Grid)),
        None => {
            reader.error(node.at, &params_path, "missing".into(), Some("name at least one parameter".into()));
            None
        }
    };
    fields.finish(reader);
    let (space, max_trials) = (space?, max_trials?);
    let n_params = space.parameters.len() as u32;
    // One who has not chosen needs no advice.
    if let Some(at) = max_trials_at
        && max_trials < n_params.saturating_mul(10)
        && space.size().is_none_or(|size| size > u64::from(max_trials))
    {
        let parameters = if n_params == 1 { "parameter" } else { "parameters" };
        let advised = n_params.saturating_mul(10);
        reader.warn(
            at,
            "maxTrials",
            &format!("{max_trials} for {n_params} {parameters}; {advised} are advised"),
        );
    }
    let early_stopping = if is_stopping? { EarlyStopping::default() } else { EarlyStopping::None };
    let (goal, tag) = (goal?, tag?);
    if let Some(previous) = previous {
        let differs = |what: &str, theirs: &str| {
            format!("{what} differs from that of the job that this one continues, which has {theirs}")
        };
        let hint = || Some("leave it out: it comes from there".to_owned());
        if let Some(at) = goal_at.filter(|_| goal != previous.goal) {
            reader.error(at, &goal_path, differs("the goal", previous.goal.name()), hint());
        }
        if let Some(at) = tag_at.filter(|_| tag != previous.metric_tag.as_str()) {
            let theirs = format!("`{}`", previous.metric_tag);
            reader.error(at, &tag_path, differs("the tag", &theirs), hint());
        }
        if let (Some(at), Some(difference)) = (params_at, space.difference(&previous.space)) {
            reader.error(
                at,
                &params_path,
                format!("{difference}, unlike in the job that this one continues"),
                hint(),
            );
        }
    }
    let spec = StudySpec {
        goal,
        metric_tag: Tag::from(tag.as_str()),
        max_trials,
        max_parallel_trials: max_parallel?,
        max_failed_trials: max_failed?,
        algorithm: algorithm?,
        early_stopping,
        reduce: Reduce::default(),
        space,
        seed: 0,
    };
    Some((spec, resumed))
}
