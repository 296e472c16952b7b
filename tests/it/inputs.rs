//! Wrong input: one clear error, the right exit code, no panic, no half-made job.

use std::fs;

use crate::support::{Place, config};

/// Runs `hptune` with these arguments and checks its error.
#[track_caller]
fn check(place: &Place, arguments: &[&str], code: i32, expected: &[&str]) {
    let ran = place.run(arguments);
    assert_eq!(ran.code, Some(code), "{}{}", ran.out, ran.err);
    for part in expected {
        assert!(ran.err.contains(part), "no {part:?} in {:?}", ran.err);
    }
    assert_eq!(ran.err.matches("error:").count(), 1, "{}", ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    assert_eq!(ran.out, "");
    assert_eq!(place.n_jobs(), 0, "no job was made");
    assert!(
        !place.path().join("hptune-jobs").exists() && !place.path().join("jobs").exists(),
        "nothing was left"
    );
}

#[track_caller]
fn check_config(text: &str, expected: &[&str]) {
    let place = Place::new();
    place.write("c.yaml", text);
    check(&place, &["run", "c.yaml", "--", "true"], 2, expected);
}

#[test]
fn a_configuration_that_is_missing_or_no_text() {
    let place = Place::new();
    check(&place, &["run", "c.yaml", "--", "true"], 2, &["c.yaml: No such file or directory"]);
    check(&place, &["run", ".", "--", "true"], 2, &[".: Is a directory"]);
    place.write("c.yaml", [0x61, 0x3a, 0xff]);
    check(&place, &["run", "c.yaml", "--", "true"], 2, &["c.yaml: byte 2 is no UTF-8 text"]);
    place.write("c.yaml", vec![b' '; (1 << 20) + 1]);
    check(&place, &["run", "c.yaml", "--", "true"], 2, &["c.yaml: longer than 1048576 bytes"]);
}

#[test]
fn a_configuration_that_is_none() {
    check_config("", &["c.yaml:1:1: the file is empty"]);
    check_config("- a\n", &["c.yaml:1:1: got a list, want a mapping"]);
    check_config("a: [1,\n", &["c.yaml:", "unclosed"]);
    check_config("a: b: c\n", &["c.yaml:1:"]);
}

#[test]
fn a_configuration_with_wrong_fields() {
    let wrong = config(10, "maxParallelTrials: two\n    maxTrialz: 1", "").replace("minValue: 1, ", "");
    let expected = [
        "c.yaml:7:24: trainingInput.hyperparameters.maxParallelTrials: got `two`, want a whole number",
        "c.yaml:8:5: trainingInput.hyperparameters.maxTrialz: unknown field\n  hint: did you mean `maxTrials`?",
        "c.yaml:10:7: trainingInput.hyperparameters.params[0].minValue: missing",
    ];
    check_config(&wrong, &expected);
}

#[test]
fn a_command_that_cannot_be_run() {
    let place = Place::new();
    place.write("c.yaml", config(10, "", ""));
    check(&place, &["run", "c.yaml", "--", "no-such-trainer"], 2, &["no-such-trainer: not found in PATH"]);
    check(&place, &["run", "c.yaml", "--", "./c.yaml"], 2, &["./c.yaml: is not executable"]);
    check(
        &place,
        &["run", "c.yaml"],
        2,
        &["no command to run", "hint: put the trainer's command behind `--`"],
    );
}

#[test]
fn a_directory_that_cannot_be_written() {
    let place = Place::new();
    place.write("c.yaml", config(10, "", ""));
    place.write("file", "");
    check(
        &place,
        &["run", "c.yaml", "--job-dir", "file/jobs", "--", "true"],
        3,
        &["--job-dir", "cannot be written"],
    );
    check(&place, &["run", "c.yaml", "--job-dir", "/proc/jobs", "--", "true"], 3, &["--job-dir /proc/jobs"]);
}

#[test]
fn a_directory_with_another_job_s_trials() {
    let place = Place::new();
    place.write("c.yaml", config(10, "", ""));
    fs::create_dir_all(place.path().join("old/3")).expect("it is made");
    place.write("old/3/checkpoint", "");
    check(
        &place,
        &["run", "c.yaml", "--job-dir", "old", "--", "true"],
        2,
        &["--job-dir", "holds files of another job's trials, in 3/"],
    );
}

#[test]
fn a_store_that_cannot_be_opened() {
    let place = Place::new();
    place.write("c.yaml", config(10, "", ""));
    let ran = place.run(&["run", "c.yaml", "--store", "c.yaml", "--", "true"]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    assert!(
        ran.err.contains("store c.yaml: ") && ran.err.contains("hint: choose another file with --store"),
        "{}",
        ran.err
    );
    let ran = place.run(&["run", "c.yaml", "--store", "c.yaml/x/y.db", "--", "true"]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
}

#[test]
fn wrong_arguments() {
    let place = Place::new();
    place.write("c.yaml", config(10, "", ""));
    check(&place, &["run", "c.yaml", "--job-id", "1x", "--", "true"], 2, &["--job-id", "want a letter"]);
    check(&place, &["run"], 2, &["CONFIG"]);
    check(&place, &["rum"], 2, &["unrecognized subcommand 'rum'"]);
    check(&place, &["run", "c.yaml", "--sed", "1"], 2, &["--sed"]);
    check(&place, &["jobs", "describe", "nothing"], 2, &["no job `nothing` in the store"]);
}
