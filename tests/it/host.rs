//! What the host does to a job: too few file handles, supervisors that somebody stopped, control groups.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::support::{PROGRAM, Place, Ran, config, processes_with, wait_for};

/// Copies the prepared event file to where the trial's belong.
const WRITE: &str = "cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1";

/// The job `job` after what the shell does with its limits.
fn limited(place: &Place, limits: &str, script: &str) -> Command {
    let mut command = Command::new("sh");
    let run = format!("{limits}; exec \"$0\" run c.yaml --job-id job --job-dir out -- sh -c \"$1\" trainer");
    command.args(["-c", &run, PROGRAM, script]).current_dir(place.path());
    command.env("HPTUNE_STORE", place.path().join("store.db")).stdin(Stdio::null());
    command
}

fn read(place: &Place, name: &str) -> String {
    fs::read_to_string(place.path().join(name)).unwrap_or_default()
}

fn outcomes(place: &Place) -> Vec<String> {
    let job = place.describe("job");
    let trials = job["hptuneOutput"]["trials"].as_array().expect("a list").clone();
    trials.iter().map(|trial: &Json| trial["outcome"].as_str().unwrap_or("none").to_owned()).collect()
}

#[test]
fn too_few_file_handles_make_fewer_trials_at_once_and_cost_none() {
    let place = Place::of_job(&config(12, "maxParallelTrials: 12", ""));
    // Where all could run at once they would: each waits until no other has begun for a while.
    let script = format!(
        "{WRITE}; : > running.$CLOUD_ML_TRIAL_ID; sleep 1; ls running.* | wc -l >> at-once; rm running.$CLOUD_ML_TRIAL_ID"
    );
    let ran = Ran::of(&limited(&place, "ulimit -n 48", &script).output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(outcomes(&place), ["succeeded"; 12], "{}", ran.err);
    assert_eq!(ran.err.matches("others wait").count(), 1, "{}", ran.err);
    let at_once = read(&place, "at-once").lines().filter_map(|n| n.trim().parse::<u32>().ok()).max();
    assert!(at_once.is_some_and(|n| (1..12).contains(&n)), "{at_once:?} at once: {}", ran.err);
}

#[test]
fn the_controller_has_all_handles_that_it_may_have_and_its_trainers_what_it_was_given() {
    let place = Place::of_job(&config(1, "", ""));
    let script = format!(
        "ulimit -Sn > soft; ulimit -Hn > hard; {WRITE}; : > begun; until [ -e go ]; do sleep 0.01; done"
    );
    let mut job = limited(&place, "ulimit -S -n 100", &script)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    wait_for("the trainer", || place.path().join("begun").exists());
    let limits = fs::read_to_string(format!("/proc/{}/limits", job.id())).expect("it runs");
    let limits = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("it is there");
    let limits: Vec<&str> = limits.split_whitespace().collect();
    place.write("go", "");
    assert!(job.wait().expect("it ends").success());
    assert_eq!(limits[0], limits[1], "{limits:?}");
    assert_eq!((read(&place, "soft").trim(), read(&place, "hard").trim()), ("100", limits[1]));
}

#[test]
fn a_supervisor_that_its_trainer_stopped_goes_on() {
    let place = Place::of_job(&config(3, "", ""));
    // At once, again and again, and as the last thing that it does.
    let script = format!(
        "kill -STOP $PPID; {WRITE}; case $CLOUD_ML_TRIAL_ID in 2) sleep 0.5; kill -STOP $PPID; sleep 0.5;; esac; \
         kill -STOP $PPID"
    );
    let ran = Ran::of(&place.job(&[], &script).output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(outcomes(&place), ["succeeded"; 3], "{}", ran.err);
}

#[test]
fn a_job_whose_supervisors_are_stopped_is_cancelled_and_leaves_none() {
    let place = Place::of_job(&config(2, "maxParallelTrials: 2", "trial: {gracePeriod: 200ms}"));
    let script = "echo $PPID >> supervisors; trap '' TERM; while :; do kill -STOP $PPID; sleep 0.05; done";
    let mut job = place.start_job(script);
    let supervisors = || read(&place, "supervisors").lines().map(str::to_owned).collect::<Vec<_>>();
    wait_for("both trials", || supervisors().len() == 2);
    let ran = place.run(&["jobs", "cancel", "job"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    job.wait().expect("it ends");
    assert_eq!(outcomes(&place), ["cancelled", "cancelled"]);
    for id in supervisors() {
        let command = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        assert!(!command.contains("keep-trial"), "{id} is left");
    }
    assert_eq!(processes_with(&place.path().join("out").to_string_lossy()), Vec::<i32>::new());
}

#[test]
fn a_supervisor_that_was_stopped_while_no_controller_ran_goes_on_with_the_next_one() {
    let place = Place::of_job(&config(1, "", ""));
    let script = format!(
        "{WRITE}; echo $PPID > supervisor; : > begun; until [ -e alone ]; do sleep 0.01; done; kill -STOP $PPID"
    );
    let mut first = place.start_job(&script);
    wait_for("the trainer", || place.path().join("begun").exists());
    first.kill().expect("it runs");
    first.wait().expect("it ends");
    place.write("alone", "");
    let stat = format!("/proc/{}/stat", read(&place, "supervisor").trim());
    wait_for("its end", || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    let ran = Ran::of(&place.job(&[], &script).output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(outcomes(&place), ["succeeded"], "{}", ran.err);
}

/// The control groups below `directory` whose name has this in it.
fn groups_with(directory: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for path in entries.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir())).map(|entry| entry.path())
    {
        found.extend(groups_with(&path, name));
        if path.file_name().is_some_and(|of| of.to_string_lossy().contains(name)) {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_trial_that_cannot_be_started_leaves_no_control_group() {
    let place = Place::of_job(&config(5, "", ""));
    let program = place.write("trainer", "#!/no/such/interpreter\n");
    let made = Command::new("chmod").args(["755", &program]).status().expect("it runs");
    assert!(made.success());
    let job = format!("groupless_{}", std::process::id());
    let ran = place.run(&["run", "c.yaml", "--job-id", &job, "--job-dir", "out", "--", &program]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.contains("3 trials in a row could not be started"), "{}", ran.out);
    assert_eq!(groups_with(Path::new("/sys/fs/cgroup"), &job), Vec::<PathBuf>::new());
}
