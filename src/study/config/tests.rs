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
            "3:11: trainingInput.hyperparameters.goal: got `MAX`, want one of MAXIMIZE, MINIMIZE, GOAL_TYPE_UNSPECIFIED | did you mean `MAXIMIZE`?",
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
        &["1:1: the file is empty | it holds a mapping with `trainingInput`, as Cloud ML Engine's jobs do"],
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
    let text = format!("{spec}}}\nhptune: {{engine: {{kind: ray}}}}\n");
    let problems =
        Config::read_continuing(&text, None, Some(&["local", "slurm"])).expect_err("no such engine");
    assert!(problems.iter().any(|p| p.to_string().contains("want one of local, slurm")), "{problems:?}");
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
    assert!(problems[0].to_string().contains("contradicts the algorithm of hyperparameters, GRID_SEARCH"));
}

#[test]
fn a_type_that_lacks_its_fields_and_has_another_s_is_told_which_was_meant() {
    #[track_caller]
    fn check(parameter: &str, expected: &str) {
        problems(
            &format!("hyperparameters:\n  maxTrials: 10\n  params:\n  - {{parameterName: a, {parameter}}}\n"),
            &[expected],
        );
    }
    let path = "4:30: hyperparameters.params[0]";
    check(
        "type: DOUBLE, discreteValues: [16, 8, 32]",
        &format!("{path}.type: DOUBLE without minValue and maxValue | did you mean `type: DISCRETE`?"),
    );
    check(
        "type: INTEGER, categoricalValues: [a, b]",
        &format!("{path}.type: INTEGER without minValue and maxValue | did you mean `type: CATEGORICAL`?"),
    );
    check(
        "type: CATEGORICAL, discreteValues: [1, 2]",
        &format!("{path}.type: CATEGORICAL without categoricalValues | did you mean `type: DISCRETE`?"),
    );
    check(
        "type: DISCRETE, minValue: 1, maxValue: 2",
        &format!("{path}.type: DISCRETE without discreteValues | did you mean `type: DOUBLE`?"),
    );
    check(
        "type: integer, minValue: 1, maxValue: 2",
        &format!(
            "{path}.type: got `integer`, want one of DOUBLE, INTEGER, DISCRETE, CATEGORICAL | did you mean `INTEGER`?"
        ),
    );
    check(
        "type: DOUBLE, minValue: 1, maxValue: 2, discreteValues: [2, 1]",
        "4:80: hyperparameters.params[0].discreteValues: without effect for DOUBLE | `type: DISCRETE` has the values to try",
    );
}

#[test]
fn what_no_argument_can_hold_is_refused_with_its_place() {
    let long = "n".repeat(40_000);
    let value = "v".repeat(131_070);
    let longer = "v".repeat(131_072);
    problems(
        &format!(
            "hyperparameters:\n  maxTrials: 99\n  params:\n  - {{parameterName: \"a\\0b\", type: DISCRETE, discreteValues: [1]}}\n  \
             - {{parameterName: {long}, type: DISCRETE, discreteValues: [1]}}\n  \
             - {{parameterName: c, type: CATEGORICAL, categoricalValues: [x, \"y\\0\"]}}\n  \
             - {{parameterName: d, type: CATEGORICAL, categoricalValues: [{value}]}}\nargs: [{longer}]\n"
        ),
        &[
            "4:21: hyperparameters.params[0].parameterName: holds a NUL, which no argument of a program can",
            "5:21: hyperparameters.params[1].parameterName: is 40000 bytes long, want at most 32768: it becomes an argument",
            "6:66: hyperparameters.params[2].categoricalValues[1]: holds a NUL, which no argument of a program can",
            "7:63: hyperparameters.params[3].categoricalValues[0]: makes an argument of 131074 bytes, and one holds 131071",
            "8:8: args[0]: is 131072 bytes long, and an argument of a program holds 131071",
        ],
    );
}

#[test]
fn few_trials_for_many_parameters_are_warned_of() {
    problems(
        "hyperparameters: {maxTrials: 9, params: [{parameterName: a, type: DOUBLE, minValue: 1, maxValue: 2}]}",
        &["1:30: maxTrials: 9 for 1 parameter; 10 are advised"],
    );
}

#[test]
fn categories_and_arguments_are_the_texts_that_the_trainer_gets() {
    let text = "
args: [--flag, True, 0.10]
hyperparameters:
  params:
  - {parameter_name: bn, type: CATEGORICAL, categorical_values: [True, False]}
  - {parameterName: lr, type: CATEGORICAL, categoricalValues: [1e-3, 0.010, '1.0']}
  - {parameterName: n, type: DISCRETE, discreteValues: [1, 2.0]}
";
    let (config, _) = Config::read(text).expect("it is valid");
    assert_eq!(config.training_input["args"], serde_json::json!(["--flag", "True", "0.10"]));
    let params = &config.training_input["hyperparameters"]["params"];
    assert_eq!(params[0]["categorical_values"], serde_json::json!(["True", "False"]));
    assert_eq!(params[1]["categoricalValues"], serde_json::json!(["1e-3", "0.010", "1.0"]));
    assert_eq!(params[2]["discreteValues"], serde_json::json!([1, 2.0]));
}

#[test]
fn workers_that_are_tpus_are_no_processes() {
    #[track_caller]
    fn check(fields: &str, n_workers: u32) {
        let text = format!(
            "workerCount: 1\n{fields}\nhyperparameters: {{params: [{{parameterName: a, type: INTEGER, minValue: 1, maxValue: 2}}]}}"
        );
        let (config, problems) = Config::read(&text).expect("it is valid");
        assert_eq!(config.cluster.n_workers, n_workers, "{fields}");
        let told =
            problems.iter().filter(|problem| problem.message.contains("TPUs and no processes")).count();
        assert_eq!(told, usize::from(n_workers == 0), "{problems:?}");
    }
    check("workerType: cloud_tpu", 0);
    check("worker_type: CLOUD_TPU", 0);
    check("workerConfig: {acceleratorConfig: {type: TPU_V2, count: 8}}", 0);
    check("worker_config: {accelerator_config: {type: tpu_v3_pod}}", 0);
    check("workerType: n1-standard-4", 1);
    check("workerConfig: {acceleratorConfig: {type: NVIDIA_TESLA_K80, count: 1}}", 1);
    // The master is a process whatever it runs on.
    check("masterType: cloud_tpu", 1);
}
