//! Our own options, below the top-level key `hptune`.

use std::time::Duration;

use super::super::document::{Node, Position, Value};
use super::super::{Algorithm, EarlyStopping, Reduce, StudySpec};
use super::fields::Reader;
use super::{Needs, WarmStart};
use crate::controller::{OnMissingMetric, Policy};
use crate::limits::{MAX_CPUS, MAX_GPUS, MAX_TRIALS};
use crate::objective::RunSelector;
use crate::stop::Settings;

/// The default time between TERM and KILL.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// When a trial without a value of the objective is told of, by default.
const DEFAULT_NO_METRIC_AFTER: Duration = Duration::from_secs(600);

/// The options as far as they do not belong to the study.
pub(super) struct Options {
    pub(super) seed: Option<u64>,
    pub(super) run: RunSelector,
    pub(super) policy: Policy,
    pub(super) needs: Needs,
    pub(super) appends_job_dir: bool,
    pub(super) runs_in_own: bool,
    pub(super) waits_for_children: bool,
    pub(super) engine: Option<String>,
    pub(super) warm_start: WarmStart,
    pub(super) no_metric_after: Duration,
}

/// Reads what stands under `hptune:`, and puts into `spec` what belongs there.
pub(super) fn read(reader: &mut Reader, node: Option<&Node>, spec: Option<&mut StudySpec>) -> Options {
    let mut options = Options {
        seed: None,
        run: RunSelector::default(),
        policy: Policy { grace: DEFAULT_GRACE, ..Policy::default() },
        needs: Needs::default(),
        appends_job_dir: true,
        runs_in_own: false,
        waits_for_children: false,
        engine: None,
        warm_start: WarmStart::default(),
        no_metric_after: DEFAULT_NO_METRIC_AFTER,
    };
    let Some(mut fields) = node.and_then(|node| reader.fields(node, "hptune")) else { return options };
    let mut reduce = Reduce::default();
    if let Some(node) = fields.take("objective")
        && let Some(mut objective) = reader.fields(node, "hptune.objective")
    {
        if let Some(node) = objective.take("run")
            && let Some(pattern) = reader.text(node, "hptune.objective.run")
        {
            match RunSelector::glob(&pattern) {
                Ok(run) => options.run = run,
                Err(e) => reader.error(node.at, "hptune.objective.run", e.to_string(), None),
            }
        }
        if let Some(node) = objective.take("across")
            && reader.choice(node, "hptune.objective.across", &[("mean", ())]).is_some()
        {
            options.run = options.run.mean();
        }
        if let Some(node) = objective.take("sameStep") {
            let choices = [("last", false), ("mean", true)];
            if reader.choice(node, "hptune.objective.sameStep", &choices) == Some(true) {
                options.run = options.run.mean_of_step();
            }
        }
        if let Some(node) = objective.take("reduce") {
            let choices = [("last", Reduce::Last), ("best", Reduce::Best)];
            reduce = reader.choice(node, "hptune.objective.reduce", &choices).unwrap_or_default();
        }
        objective.finish(reader);
    }
    let algorithm = fields
        .take("algorithm")
        .and_then(|node| Some((reader.choice(node, "hptune.algorithm", &Algorithm::OURS)?, node.at)));
    let stopping = fields.take("earlyStopping").and_then(|node| read_stopping(reader, node));
    if let Some(spec) = spec {
        spec.reduce = reduce;
        match (algorithm, spec.algorithm) {
            (None, _) => {}
            (Some((algorithm, _)), Algorithm::Unspecified) => spec.algorithm = algorithm,
            (Some((_, at)), given) => {
                let message = format!("contradicts the algorithm of hyperparameters, {}", given.name());
                reader.error(at, "hptune.algorithm", message, Some("leave one of the two out".into()));
            }
        }
        match (stopping, spec.early_stopping) {
            (None, _) => {}
            (Some((_, at)), EarlyStopping::None) => reader.warn(
                at,
                "hptune.earlyStopping",
                "without effect: enableTrialEarlyStopping is not set in hyperparameters",
            ),
            (Some((rule, _)), _) => spec.early_stopping = rule,
        }
    }
    if let Some(node) = fields.take("trial") {
        read_trial_options(reader, node, &mut options);
    }
    if let Some(node) = fields.take("engine")
        && let Some(mut engine) = reader.fields(node, "hptune.engine")
    {
        if let Some(kind) = engine.take("kind") {
            options.engine = reader.engine(kind, "hptune.engine.kind");
        }
        engine.finish(reader);
    }
    if let Some(node) = fields.take("warmStart") {
        options.warm_start = read_warm_start(reader, node);
    }
    if let Some(node) = fields.take("seed") {
        options.seed = reader.integer(node, "hptune.seed", 0..=i64::MAX).and_then(|v| u64::try_from(v).ok());
    }
    fields.finish(reader);
    options
}

fn read_stopping(reader: &mut Reader, node: &Node) -> Option<(EarlyStopping, Position)> {
    let mut fields = reader.fields(node, "hptune.earlyStopping")?;
    let mut integer = |reader: &mut Reader, name: &str, range| {
        let path = format!("hptune.earlyStopping.{name}");
        fields.take(name).and_then(|node| reader.integer(node, &path, range))
    };
    let default = Settings::default();
    let min_steps = integer(reader, "minSteps", 0..=i64::MAX).unwrap_or(default.min_steps);
    let min_trials = integer(reader, "minTrials", 1..=i64::from(MAX_TRIALS));
    let min_trials = min_trials.map_or(default.min_trials, |n| n as u32);
    let reduction_factor = integer(reader, "reductionFactor", 2..=100).map(|n| n as u32);
    let choices = EarlyStopping::choices(Settings { min_steps, min_trials, reduction_factor });
    let rule = match fields.take("rule") {
        None => choices.first().map(|(_, rule)| *rule),
        Some(node) => reader.choice(node, "hptune.earlyStopping.rule", &choices),
    };
    if reduction_factor.is_some() && rule.is_some_and(|rule| !rule.takes_reduction_factor()) {
        let takes =
            |(_, rule): &&(_, EarlyStopping)| *rule != EarlyStopping::None && rule.takes_reduction_factor();
        let rules: Vec<&str> = choices.iter().filter(takes).map(|(name, _)| *name).collect();
        let message = format!("without effect: it belongs to the rules {}", rules.join(" and "));
        reader.warn(node.at, "hptune.earlyStopping.reductionFactor", &message);
    }
    fields.finish(reader);
    Some((rule?, node.at))
}

fn read_trial_options(reader: &mut Reader, node: &Node, options: &mut Options) {
    let Some(mut fields) = reader.fields(node, "hptune.trial") else { return };
    let mut duration = |reader: &mut Reader, name: &str| {
        let path = format!("hptune.trial.{name}");
        fields.take(name).and_then(|node| reader.duration(node, &path))
    };
    let policy = &mut options.policy;
    policy.grace = duration(reader, "gracePeriod").unwrap_or(policy.grace);
    policy.time_limit = duration(reader, "maxRunningTime").filter(|limit| !limit.is_zero());
    options.no_metric_after = duration(reader, "noMetricAfter").unwrap_or(options.no_metric_after);
    let gpu_patience = duration(reader, "gpuFreeTimeout");
    options.needs.gpu_patience = gpu_patience.unwrap_or(options.needs.gpu_patience);
    if let Some(node) = fields.take("gpus")
        && let Some(gpus) = reader.number(node, "hptune.trial.gpus")
    {
        if (0.0..1.0).contains(&gpus) || (gpus.fract() == 0.0 && (1.0..=f64::from(MAX_GPUS)).contains(&gpus))
        {
            options.needs.gpus = gpus;
        } else {
            let message = format!("got {gpus}, want a whole number of GPUs, or a share of one such as 0.5");
            reader.error(node.at, "hptune.trial.gpus", message, None);
        }
    }
    if let Some(node) = fields.take("cpus") {
        let cpus = reader.integer(node, "hptune.trial.cpus", 0..=i64::from(MAX_CPUS));
        options.needs.cpus = cpus.map_or(0, |cpus| cpus as u32);
    }
    if let Some(node) = fields.take("directory") {
        let choices = [("current", false), ("own", true)];
        options.runs_in_own = reader.choice(node, "hptune.trial.directory", &choices).unwrap_or_default();
    }
    if let Some(node) = fields.take("retries") {
        let retries = reader.integer(node, "hptune.trial.retries", 0..=1000);
        options.policy.retries = retries.map_or(0, |retries| retries as u32);
    }
    if let Some(node) = fields.take("onMissingMetric") {
        let choices = [("fail", OnMissingMetric::Fail), ("continue", OnMissingMetric::Continue)];
        let chosen = reader.choice(node, "hptune.trial.onMissingMetric", &choices);
        options.policy.on_missing_metric = chosen.unwrap_or_default();
    }
    if let Some(node) = fields.take("appendJobDir") {
        let appends = reader.boolean(node, "hptune.trial.appendJobDir");
        options.appends_job_dir = appends.unwrap_or(true);
    }
    if let Some(node) = fields.take("waitForChildren") {
        options.waits_for_children = reader.boolean(node, "hptune.trial.waitForChildren").unwrap_or_default();
    }
    fields.finish(reader);
}

fn read_warm_start(reader: &mut Reader, node: &Node) -> WarmStart {
    if let Value::List(_) = node.value {
        return WarmStart::Jobs(reader.texts(node, "hptune.warmStart"));
    }
    // YAML takes `off` for a truth value in some of its versions.
    let choices = [("auto", true), ("off", false), ("false", false)];
    match reader.choice(node, "hptune.warmStart", &choices) {
        Some(true) => WarmStart::Auto,
        Some(false) | None => WarmStart::Off,
    }
}
