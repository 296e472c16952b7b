//! Whether each parameter reaches the trainer.

use std::fs;

use crate::support::{Place, Ran, config};

/// Runs a job, or shows it, with these words as the trainer's command.
fn run(place: &Place, config: &str, options: &[&str], command: &[&str]) -> Ran {
    place.write("c.yaml", config);
    let head = ["run", "c.yaml", "--job-id", "job", "--job-dir", "out"];
    place.run(&[&head[..], options, &["--"], command].concat())
}

#[test]
fn a_parameter_that_reaches_nobody_starts_nothing() {
    let place = Place::new();
    let ran = run(&place, &config(6, "", ""), &[], &["sh", "train.sh", "--output_dir={job_dir}"]);
    assert_eq!((ran.code, place.n_jobs()), (Some(2), 0), "{}", ran.err);
    assert!(
        ran.err.contains("none for the parameter `x`, which would never reach the trainer"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains(
            "hint: put it where the trainer takes it: sh train.sh '--output_dir={job_dir}' --x={x}"
        ),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("hint: or take out all placeholders: --x=VALUE --job-dir=DIR"), "{}", ran.err);
    assert!(!place.path().join("out").exists());
    let ran = run(&place, &config(6, "", ""), &["--dry-run"], &["sh", "train.sh", "{trial_id}"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
}

#[test]
fn a_placeholder_that_nobody_knows_is_an_error_with_the_nearest_name() {
    let place = Place::new();
    let text = config(6, "", "").replace("parameterName: x", "parameterName: lr");
    let ran = run(&place, &text, &[], &["sh", "train.sh", "--lr={learning_rate}"]);
    assert_eq!((ran.code, place.n_jobs()), (Some(2), 0), "{}", ran.err);
    assert!(ran.err.contains("no parameter is called `learning_rate`"), "{}", ran.err);
    assert!(
        ran.err.contains(
            "did you mean {lr}? Braces that are meant as they stand are doubled: {{learning_rate}}"
        )
    );
    // Those of the configuration's own arguments are placeholders too.
    let text = text.replace("trainingInput:\n", "trainingInput:\n  args: ['--out={jobdir}']\n");
    let ran = run(&place, &text, &[], &["sh", "train.sh"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("did you mean {job_dir}?"), "{}", ran.err);
}

#[test]
fn doubled_braces_give_braces_and_those_of_json_and_shells_stay() {
    let place = Place::new();
    let script = "f() { printf '%s\\n' \"$@\"; }; f \"$@\" ${HPTUNE_TRIAL_ID}";
    let words = ["sh", "-c", script, "train", "{\"a\": {\"x\": {x}}}", "{{\"k\": 1}}", "{{x}}"];
    let ran = run(&place, &config(1, "", ""), &[], &words);
    assert!(ran.err.contains("job job"), "{}", ran.err);
    let x = place.describe("job")["trainingOutput"]["trials"][0]["hyperparameters"]["x"]
        .as_str()
        .expect("x")
        .to_owned();
    let ran = place.run(&["jobs", "logs", "job", "1"]);
    assert_eq!(ran.out, format!("{{\"a\": {{\"x\": {x}}}}}\n{{\"k\": 1}}\n{{x}}\n1\n"));
}

#[test]
fn a_dry_run_says_where_each_parameter_goes() {
    let place = Place::new();
    let ran = run(&place, &config(1, "", ""), &["--dry-run"], &["sh", "t.sh", "--n={x}", "{job_dir}/logs"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("Passed  x: in '--n={x}'; job_dir: in '{job_dir}/logs'"), "{}", ran.out);
    let ran = run(&place, &config(1, "", ""), &["--dry-run"], &["sh", "t.sh"]);
    assert!(ran.out.contains("Passed  x: appended as --x=VALUE"), "{}", ran.out);
    let ran = run(&place, &config(1, "", ""), &["--dry-run", "--json"], &["sh", "t.sh", "--n={x}"]);
    let shown: serde_json::Value = serde_json::from_str(&ran.out).expect("it is JSON");
    assert_eq!(shown["places"], serde_json::json!({"x": ["--n={x}"]}));
}

#[test]
fn a_trainer_that_takes_no_job_dir_gets_none() {
    let place = Place::new();
    let text = config(1, "", "trial: {appendJobDir: false}");
    let script = "printf '%s\\n' \"$@\"";
    let ran = run(&place, &text, &[], &["sh", "-c", script, "train"]);
    assert!(ran.err.contains("the command gets no --job-dir"), "{}", ran.err);
    let log = place.run(&["jobs", "logs", "job", "1"]).out;
    assert!(log.starts_with("--x=") && log.lines().count() == 1, "{log}");
}

#[test]
fn what_a_shell_s_script_never_reads_is_warned_of() {
    let place = Place::new();
    let unread = "warning: the parameters reach nobody: what is appended to `-c SCRIPT` becomes $0, $1";
    let ran = run(&place, &config(1, "", ""), &["--dry-run"], &["bash", "-c", "python3 train.py"]);
    assert!(ran.err.contains(unread), "{}", ran.err);
    let ran = run(&place, &config(1, "", ""), &["--dry-run"], &["sh", "-c", "python3 train.py \"$@\""]);
    assert!(ran.err.contains("warning: the first parameter reaches nobody"), "{}", ran.err);
    let ran =
        run(&place, &config(1, "", ""), &["--dry-run"], &["sh", "-c", "python3 train.py \"$@\"", "train"]);
    assert!(!ran.err.contains("reaches nobody"), "{}", ran.err);
    assert!(fs::read_dir(place.path()).expect("it is there").flatten().all(|e| e.file_name() != "out"));
}

#[test]
fn numbers_are_written_so_that_every_reader_takes_them_for_numbers() {
    let place = Place::new();
    let text = "trainingInput: {hyperparameters: {algorithm: GRID_SEARCH, hyperparameterMetricTag: acc, params: \
                [{parameterName: eps, type: DISCRETE, discreteValues: [1.0e-8]}]}}";
    place.write("c.yaml", text);
    let ran = place.run(&["run", "c.yaml", "--dry-run", "--", "echo"]);
    assert!(ran.out.contains("--eps=1.0e-8"), "{}", ran.out);
    let ran = place.run(&["run", "c.yaml", "--dry-run", "--", "echo", "x={eps}"]);
    assert!(ran.out.contains("x=1.0e-8"), "{}", ran.out);
}

#[test]
fn a_command_that_cannot_be_meant_is_answered_with_the_line_that_works() {
    let place = Place::new();
    place.write("train.py", "print(1)\n");
    let hint = |arguments: &[&str], expected: &str| {
        let ran = place.run(&[&["run", "c.yaml"], arguments].concat());
        assert_eq!((ran.code, place.n_jobs()), (Some(2), 0), "{}", ran.err);
        assert!(ran.err.contains(expected), "{}", ran.err);
    };
    place.write("c.yaml", config(1, "", ""));
    hint(&["--", "sh t.sh", "-a"], "without them: hptune run c.yaml -- sh t.sh -a");
    hint(&["sh", "t.sh", "--lr", "3"], "hint: hptune run c.yaml -- sh t.sh --lr 3");
    hint(
        &["--", "--epochs", "20"],
        "the program comes first: hptune run c.yaml -- python3 train.py --epochs 20",
    );
    hint(&["--", "./train.py"], "hptune run c.yaml -- python3 ./train.py");
    hint(&["--", "train.py"], "hptune run c.yaml -- python3 train.py");
    // A watcher of a command that cannot be started opens nothing.
    let ran = place.run(&["watch", ".", "--to", "file:points.jsonl", "--", "nosuchprogram"]);
    assert!(ran.code == Some(2) && ran.err.contains("nosuchprogram: not found in PATH"), "{}", ran.err);
    assert!(!place.path().join("points.jsonl").exists() && !place.path().join("points.jsonl.state").exists());
}

#[test]
fn a_dry_run_says_in_plain_words_what_the_job_would_do_and_where_that_was_said() {
    let place = Place::new();
    let ran = run(&place, &config(6, "enableTrialEarlyStopping: true", ""), &["--dry-run"], &["sh", "t.sh"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let row = |name: &str| {
        let row =
            ran.out.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{}", ran.out));
        row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(row("goal"), ["goal", "maximize: larger is better", "c.yaml"]);
    assert_eq!(row("tag"), ["tag", "acc", "c.yaml"]);
    assert_eq!(row("trials"), ["trials", "6", "c.yaml"]);
    assert_eq!(row("at a time"), ["at a time", "1", "default"]);
    assert_eq!(row("algorithm"), ["algorithm", "random search", "c.yaml"]);
    assert!(row("early stopping")[1].starts_with("decay-curve: "), "{}", ran.out);
    assert_eq!(row("seed"), ["seed", "3", "c.yaml"]);
    assert_eq!(row("x "), ["x", "whole numbers, 1 to 1000"]);
    let ran = run(&place, &config(6, "", ""), &["--dry-run", "--seed", "9"], &["sh", "t.sh"]);
    assert!(ran.out.lines().any(|line| line.starts_with("seed") && line.ends_with("--seed")), "{}", ran.out);
}

#[test]
fn a_file_of_vertex_ai_is_named_as_such() {
    let place = Place::new();
    let text = "displayName: a\nstudySpec:\n  metrics: [{metricId: acc, goal: MAXIMIZE}]\nmaxTrialCount: 3\n";
    let ran = run(&place, text, &[], &["true"]);
    assert!(
        ran.code == Some(2) && ran.err.contains("a file of Vertex AI (it has `studySpec`)"),
        "{}",
        ran.err
    );
    assert_eq!(ran.err.matches("unknown").count(), 0, "{}", ran.err);
}
