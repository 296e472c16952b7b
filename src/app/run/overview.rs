//! What a job would do, in plain words: each setting with where it comes from.

use serde_json::Value as Json;

use crate::app::prepare::{DryRun, SeedFrom};
use crate::objective::RunSelector;
use crate::stop::EarlyStopping;
use crate::study::{Config, Domain, Goal, Reduce, Scale};
use crate::suggest::Algorithm;
use crate::units::shortest;

/// A setting of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// What it says.
    pub name: &'static str,
    /// Its value in words.
    pub value: String,
    /// Where it comes from: the configuration file, a flag, another job, or `default`.
    pub from: String,
}

/// A parameter of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Searched {
    /// Its name.
    pub name: String,
    /// Its values in words.
    pub values: String,
}

/// The settings of a job that would begin, the most important first.
pub(super) fn settings(dry: &DryRun) -> Vec<Setting> {
    let DryRun { config, config_name, .. } = dry;
    let spec = &config.spec;
    let file = || config_name.clone();
    let default = || "default".to_owned();
    let in_file = |is_there: bool| if is_there { file() } else { default() };
    // Goal, tag and parameters may come from the job that this one continues.
    let inherited = |is_there: bool| match &config.previous {
        Some(previous) if !is_there => format!("job {previous}"),
        Some(_) | None => in_file(is_there),
    };
    let given = |name| of_study(config, name).is_some();
    let option = |pointer: &str| config.options.pointer(pointer).is_some();
    let goal = match spec.goal {
        Goal::Maximize => "maximize: larger is better",
        Goal::Minimize => "minimize: smaller is better",
    };
    let algorithm = match spec.algorithm {
        Algorithm::Unspecified => "Bayesian optimization",
        Algorithm::Grid => "grid search: every combination in turn",
        Algorithm::Random => "random search",
        Algorithm::Tpe => "tree-structured Parzen estimator",
    };
    let result = match spec.reduce {
        Reduce::Last => "the last value of a trial",
        Reduce::Best => "the best value of a trial",
    };
    let all = [
        ("goal", goal.to_owned(), inherited(given("goal"))),
        ("tag", spec.metric_tag.to_string(), inherited(given("hyperparameterMetricTag"))),
        ("result", result.to_owned(), in_file(option("/objective/reduce"))),
        ("run", run(&config.run), in_file(option("/objective/run"))),
        ("trials", spec.max_trials.to_string(), in_file(given("maxTrials"))),
        ("at a time", spec.max_parallel_trials.to_string(), in_file(given("maxParallelTrials"))),
        ("algorithm", algorithm.to_owned(), in_file(given("algorithm") || option("/algorithm"))),
        ("early stopping", stopping(spec.early_stopping), in_file(given("enableTrialEarlyStopping"))),
        ("failed trials", failures(spec.max_failed_trials), in_file(given("maxFailedTrials"))),
        (
            "engine",
            config.engine.clone().unwrap_or_else(|| "local".to_owned()),
            in_file(option("/engine/kind")),
        ),
        ("retries of a trial", config.policy.retries.to_string(), in_file(option("/trial/retries"))),
        (
            "seed",
            spec.seed.to_string(),
            match dry.seed_from {
                SeedFrom::Flag => "--seed".to_owned(),
                SeedFrom::Config => file(),
                SeedFrom::Drawn => "drawn now".to_owned(),
            },
        ),
    ];
    all.into_iter().map(|(name, value, from)| Setting { name, value, from }).collect()
}

/// The parameters of a job, in their order.
pub(super) fn parameters(config: &Config) -> Vec<Searched> {
    let each = config.spec.space.parameters.iter();
    each.map(|parameter| Searched {
        name: parameter.name.to_string(),
        values: match &parameter.domain {
            Domain::Double { min, max, scale } => {
                format!("{} to {}{}", shortest(*min), shortest(*max), in_words(*scale))
            }
            Domain::Integer { min, max, scale } => {
                format!("whole numbers, {min} to {max}{}", in_words(*scale))
            }
            Domain::Discrete { values, scale } => {
                let values: Vec<String> = values.iter().map(|value| shortest(*value)).collect();
                format!("{}{}", values.join(", "), in_words(*scale))
            }
            Domain::Categorical(values) => values.join(" | "),
        },
    })
    .collect()
}

fn in_words(scale: Scale) -> &'static str {
    match scale {
        Scale::Linear => "",
        Scale::Log => "; log scale",
        Scale::ReverseLog => "; reverse log scale",
    }
}

fn run(selector: &RunSelector) -> String {
    match selector.pattern() {
        Some(pattern) if selector.is_mean() => format!("the mean of those that match {pattern}"),
        Some(pattern) => pattern.to_owned(),
        None => "found by its name".to_owned(),
    }
}

fn failures(n: u32) -> String {
    match n {
        0 => "the job goes on, unless the first ones all fail".to_owned(),
        1 => "the job ends with the first".to_owned(),
        n => format!("the job ends when there are {n}"),
    }
}

fn stopping(rule: EarlyStopping) -> String {
    let from = |min_trials: u32, min_steps: i64| {
        let steps = if min_steps > 0 { format!(", from step {min_steps} on") } else { String::new() };
        format!("once {min_trials} others have finished{steps}")
    };
    match rule {
        EarlyStopping::None => "none: every trial runs to its end".to_owned(),
        EarlyStopping::DecayCurve { min_steps, min_trials } => {
            format!("decay-curve: trials that would hardly beat the best, {}", from(min_trials, min_steps))
        }
        EarlyStopping::Median { min_steps, min_trials } => {
            format!("median: trials below the median of the others, {}", from(min_trials, min_steps))
        }
        EarlyStopping::Rungs { min_steps, min_trials, reduction_factor, has_brackets } => {
            let name = if has_brackets { "hyperband" } else { "asha" };
            format!(
                "{name}: one in {reduction_factor} goes on from each rung, {}",
                from(min_trials, min_steps)
            )
        }
    }
}

/// What the specification of the study has under a name, in either spelling.
fn of_study<'c>(config: &'c Config, name: &str) -> Option<&'c Json> {
    let spec = config.training_input.get("hyperparameters")?;
    let snake: String = name
        .chars()
        .flat_map(|c| c.is_ascii_uppercase().then_some('_').into_iter().chain([c.to_ascii_lowercase()]))
        .collect();
    spec.get(name).or_else(|| spec.get(snake))
}
