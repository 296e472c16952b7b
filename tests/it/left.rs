//! Commands that end before the work that they started does.

use serde_json::Value as Json;

use crate::support::{Place, Ran, config};

/// Runs a job of one trial with a shell script as its command.
#[track_caller]
fn run(hptune: &str, script: &str) -> (Place, Ran, String) {
    let place = Place::of_job(&config(1, "", hptune));
    let ran = Ran::of(&place.job(&[], script).output().expect("it runs"));
    let trial: Json = place.describe("job")["hptuneOutput"]["trials"][0].take();
    let outcome = trial["outcome"].as_str().expect("it is over").to_owned();
    (place, ran, outcome)
}

/// The work of a command was left to a process of this name.
#[track_caller]
fn check_left(script: &str, name: &str) {
    let (place, ran, outcome) = run("trial: {gracePeriod: 5s}", script);
    let is_named = outcome.starts_with(&format!("failed: its command ended while `{name}"))
        && outcome.ends_with("), which it started, still ran");
    assert!(is_named, "{outcome}\n{}", ran.err);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(!ran.err.contains("Best trial"), "{}", ran.err);
    for remedy in ["no `&` at its end", "`wait` behind it", "`exec`", "waitForChildren: true"] {
        assert!(ran.err.contains(remedy), "{}", ran.err);
    }
    let why = place.run(&["jobs", "why", "job", "1"]);
    assert!(why.out.contains(&outcome), "{}{}", why.out, why.err);
}

/// What a command left behind does not matter.
#[track_caller]
fn check_harmless(script: &str) {
    let (_, ran, outcome) = run("trial: {gracePeriod: 5s}", script);
    assert_eq!((ran.code, outcome.as_str()), (Some(0), "succeeded"), "{}", ran.err);
}

#[test]
fn a_command_that_leaves_its_training_behind_has_not_succeeded() {
    // A process that was forked has yet to become its program.
    let is_begun = "until [ \"$(cat /proc/$!/comm)\" = sleep ]; do sleep 0.01; done";
    // Ended before it wrote anything.
    check_left(&format!("sleep 1000 & {is_begun}"), "sleep 1000");
    check_left(
        &format!("setsid nohup sleep 1000 > /dev/null 2>&1 & {is_begun}; echo submitted"),
        "sleep 1000",
    );
    // It has its file open, which it made itself.
    let open = "(sleep 0.1; exec 3> $HPTUNE_JOB_DIR/x.tfevents.1; cat acc.tfevents >&3; exec sleep 1000) &";
    check_left(&format!("{open} {is_begun}"), "sleep 1000");
    // It opens its file for moments only, as PyTorch's writer, which names the process.
    let named = "sh -c 'sleep 0.1; cp acc.tfevents \
                 $HPTUNE_JOB_DIR/events.out.tfevents.1700000000.$(uname -n).$$.0; exec sleep 1000' &";
    check_left(&format!("{named} {is_begun}"), "sleep 1000");
    // It writes when it is told to end.
    let late = "(trap 'cat acc.tfevents > $HPTUNE_JOB_DIR/x.tfevents.2; exit' TERM; echo > begun; \
                while :; do sleep 0.01; done) & until [ -e begun ]; do sleep 0.01; done; \
                cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1";
    check_left(late, "sh -c");
}

#[test]
fn what_a_trainer_leaves_behind_does_not_undo_its_training() {
    let write = "cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1";
    // A server, or a service.
    check_harmless(&format!("{write}; sleep 1000 &"));
    // It was there first, and reads.
    check_harmless(&format!("(sleep 0.1; exec 4< acc.tfevents; exec sleep 1000) & sleep 0.2; {write}"));
    // A worker that was forked has the files of its parent open.
    check_harmless(
        "exec 3> $HPTUNE_JOB_DIR/x.tfevents.1; cat acc.tfevents >&3; (trap '' TERM; sleep 0.3) & exit 0",
    );
    // It ends by itself.
    check_harmless(&format!("sleep 0.05 & {write}"));
}

#[test]
fn children_are_waited_for_where_that_is_asked_for() {
    let waits = "trial: {waitForChildren: true}";
    let script = "(sleep 0.3; cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1) &";
    let (_, ran, outcome) = run(waits, script);
    assert_eq!((ran.code, outcome.as_str()), (Some(0), "succeeded"), "{}", ran.err);
    assert!(ran.out.contains("0.5") || ran.err.contains("0.5"), "{}{}", ran.out, ran.err);
    // How it ended is how the trial did.
    let (_, ran, outcome) = run(waits, "(sleep 0.1; echo out of cheese; exit 7) & exit 0");
    assert_eq!((ran.code, outcome.as_str()), (Some(1), "failed: exit code 7"), "{}", ran.err);
    assert!(ran.err.contains("out of cheese"), "{}", ran.err);
    let (_, ran, outcome) = run(waits, "cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1");
    assert_eq!((ran.code, outcome.as_str()), (Some(0), "succeeded"), "{}", ran.err);
}

#[test]
fn the_master_s_children_are_waited_for_and_not_the_other_replicas() {
    let text = config(1, "", "trial: {waitForChildren: true, gracePeriod: 100ms}")
        .replace("trainingInput:\n", "trainingInput:\n  parameterServerCount: 1\n");
    let place = Place::of_job(&text);
    let script = "[ $HPTUNE_REPLICA = master-0 ] || exec sleep 1000; \
                  (sleep 0.2; cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1) &";
    let ran = Ran::of(&place.job(&[], script).output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[test]
fn launchers_that_leave_nothing_behind_are_named() {
    #[track_caller]
    fn check(command: &[&str], expected: &str) {
        let place = Place::of_job(&config(1, "", ""));
        // As the real ones: it returns at once.
        place.write("sbatch", "#!/bin/sh\necho Submitted batch job 1\n");
        place.write("submit.sh", "#!/bin/bash\nset -e\nsbatch job.sh \"$@\"\n");
        place.write("waits.sh", "#!/bin/bash\nset -e\nsbatch --wait job.sh \"$@\"\n");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        for name in ["sbatch", "submit.sh", "waits.sh"] {
            std::fs::set_permissions(place.path().join(name), std::fs::Permissions::clone(&executable))
                .expect("ours");
        }
        let path = format!("{}:{}", place.path().display(), std::env::var("PATH").expect("it is set"));
        let arguments = [&["run", "c.yaml", "--job-id", "job", "--job-dir", "out", "--"], command].concat();
        let ran = Ran::of(&place.command(&arguments).env("PATH", path).output().expect("it runs"));
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        let said = ran.err.contains(
            "`sbatch` returns before what it starts has ended, and the trial ends with it: give it `--wait`",
        );
        assert_eq!(said, !expected.is_empty(), "{}", ran.err);
        assert!(ran.err.contains("no event file was found"), "{}", ran.err);
    }
    check(&["sbatch", "job.sh"], "it");
    check(&["./submit.sh"], "it");
    check(&["bash", "submit.sh"], "it");
    check(&["bash", "-c", "sbatch job.sh $@", "name"], "it");
    check(&["./waits.sh"], "");
}
