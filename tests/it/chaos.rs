//! A controller that is killed at any moment, with trainers that end well, fail, hang, ignore TERM and fork: the job
//! goes on each time, and every promise holds at its end.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::Value as Json;

use crate::support::{Place, config, event_file, processes_with};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(300);

const N_TRIALS: u32 = 40;
const N_PARALLEL: usize = 4;
const N_KILLS: u32 = 100;

/// The first values are written at once, the others a moment later.
const VALUES: [f32; 4] = [0.1, 0.2, 0.3, 0.4];

/// What a trainer does after it has said that it was started, by the number of its trial. One reports as the
/// cloudml-hypertune package does.
const TRAINER: &str = "\
echo $CLOUD_ML_TRIAL_ID >> starts
if [ $((CLOUD_ML_TRIAL_ID % 8)) = 1 ]; then
    for step in 1 2 3 4; do
        for n in $(seq $step); do echo '{\"acc\": \"'0.$n'\", \"global_step\": \"'$n'\", \"timestamp\": '$n.5'}'; done \
            > $CLOUD_ML_HP_METRIC_FILE
        sleep 0.1
    done
    exit
fi
event=$HPTUNE_JOB_DIR/a/x.tfevents.1
mkdir -p $HPTUNE_JOB_DIR/a
cat first.part > $event
case $((CLOUD_ML_TRIAL_ID % 8)) in
2) cat last.part >> $event; exit 3;;
3) sleep 1000;;
4) trap '' TERM; cat last.part >> $event; while :; do sleep 1; done;;
5) setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & (setsid sleep 1000 &) ;;
6) sleep 0.3;;
7) kill -9 $$;;
0) sh -c 'sleep 1000 & sleep 1000 & kill -STOP $$' & sleep 0.1;;
esac
cat last.part >> $event
";

/// What becomes of such a trial, and how many values it writes.
fn expected(trial: u32) -> (&'static str, usize) {
    match trial % 8 {
        2 => ("failed: exit code 3", 4),
        3 => ("stopped early", 2),
        4 => ("stopped early", 4),
        7 => ("failed: killed by signal 9 (SIGKILL)", 2),
        _ => ("succeeded", 4),
    }
}

fn start(place: &Place, is_first: bool) -> Child {
    let words = if is_first {
        vec!["run", "c.yaml", "--job-id", "job", "--job-dir", "out", "--", "sh", "trainer.sh"]
    } else {
        vec!["jobs", "resume", "job"]
    };
    let log = fs::OpenOptions::new().create(true).append(true).open(place.path().join("controllers.log"));
    let log = log.expect("it opens");
    let mut command = place.command(&words);
    command.stdout(Stdio::null()).stderr(log).spawn().expect("it runs")
}

/// Runs a job to its end and kills its controllers meanwhile; the answer is how many.
fn run(random: &mut ChaCha8Rng) -> u32 {
    let place = Place::new();
    place.write("trainer.sh", TRAINER);
    let whole = event_file(&VALUES);
    let first = event_file(&VALUES[..2]);
    assert!(whole.starts_with(&first));
    place.write("first.part", &first);
    place.write("last.part", &whole[first.len()..]);
    let hptune = "trial: {gracePeriod: 200ms, maxRunningTime: 1500ms}";
    place.write("c.yaml", config(N_TRIALS, &format!("maxParallelTrials: {N_PARALLEL}"), hptune));
    let begun = Instant::now();
    let mut n_kills = 0;
    let mut controller = start(&place, true);
    loop {
        let kill_at = Instant::now() + Duration::from_millis(20 + random.next_u64() % 600);
        let status = loop {
            match controller.try_wait().expect("it is ours") {
                Some(status) => break Some(status),
                None if Instant::now() >= kill_at => break None,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        let log = || fs::read_to_string(place.path().join("controllers.log")).unwrap_or_default();
        assert!(begun.elapsed() < PATIENCE, "{}", log());
        if let Some(status) = status {
            assert_eq!(status.code(), Some(0), "{}", log());
            break;
        }
        controller.kill().expect("it is ours");
        controller.wait().expect("it is ours");
        n_kills += 1;
        let known = place.run(&["jobs", "describe", "job", "--json"]);
        let known = serde_json::from_str::<Json>(&known.out).ok();
        if known.as_ref().is_some_and(|job| job["state"] == "SUCCEEDED") {
            break;
        }
        controller = start(&place, known.is_none());
    }
    check(&place);
    n_kills
}

/// Checks from the store, the process table and the event files that every promise was kept.
fn check(place: &Place) {
    let log = fs::read_to_string(place.path().join("controllers.log")).expect("it is there");
    let left = processes_with(&place.path().join("out").to_string_lossy());
    assert_eq!(left, Vec::<i32>::new(), "no process is left: {log}");
    let job = place.describe("job");
    assert_eq!(job["state"], "SUCCEEDED");
    let trials = job["trainingOutput"]["trials"].as_array().expect("a list");
    assert_eq!(trials.len(), N_TRIALS as usize, "exactly maxTrials");
    let outcomes: BTreeMap<u32, &Json> = job["hptuneOutput"]["trials"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|trial| (trial["trialId"].as_str().expect("an id").parse().expect("a number"), trial))
        .collect();
    let mut times = Vec::new();
    for trial in trials {
        let id: u32 = trial["trialId"].as_str().expect("an id").parse().expect("a number");
        let (outcome, n_values) = expected(id);
        let details = format!("trial {id}: {trial}\n{log}");
        assert_eq!(outcomes[&id]["outcome"], outcome, "{details}");
        assert_eq!(outcomes[&id]["attempts"], 1, "{details}");
        let values: Vec<f32> = trial["allMetrics"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|metric| metric["objectiveValue"].as_f64().expect("a number") as f32)
            .collect();
        assert_eq!(values, VALUES[..n_values], "{details}");
        let time = |name: &str| -> jiff::Timestamp {
            trial[name].as_str().expect("a time").parse().expect("a time")
        };
        times.extend([(time("startTime"), 1), (time("endTime"), -1)]);
    }
    let mut starts: Vec<u32> = fs::read_to_string(place.path().join("starts"))
        .expect("it is there")
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    starts.sort_unstable();
    assert_eq!(starts, (1..=N_TRIALS).collect::<Vec<_>>(), "each is started once: {log}");
    // Ends come first where a trial follows another at once.
    times.sort_unstable();
    let at_once = times.iter().scan(0, |n, (_, step)| {
        *n += step;
        Some(*n)
    });
    assert!(at_once.max() <= Some(N_PARALLEL as i32), "never more than maxParallelTrials");
}

#[test]
fn a_controller_that_is_killed_at_any_moment_breaks_no_promise() {
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let mut n_kills = 0;
    while n_kills < N_KILLS {
        n_kills += run(&mut random);
    }
}
