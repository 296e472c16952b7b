//! Steps that are written more than once by design: the same trials in ten shapes are compared alike, by every rule.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use hptune::objective::{Change, Objective};
use hptune::stop::for_spec;
use hptune::study::{Config, Outcome, Stage, StudySpec, Trial};
use hptune::units::{MetricValue, RunName, Step, TrialId, WallTime};
use tfevents::event;
use tfevents::record as tfrecord;
use tfevents::series::{Point, WriterId};

use crate::support::Place;

/// How many trials there are, and values in each.
const N_TRIALS: u32 = 14;
const N_VALUES: i64 = 120;

/// What a trial writes, one after the other.
#[derive(Debug, Clone, Copy)]
enum Said {
    /// A session starts at a step.
    Session(u32, i64),
    /// A writer writes a value at a step.
    Value(u32, i64, f64),
    /// A writer is seen to be alive.
    Alive(u32),
}
use Said::{Alive, Session, Value};

/// How the 120 values of a trial are written.
type Shape = fn(&dyn Fn(i64) -> f64) -> Vec<Vec<Said>>;

/// One value after the other by one writer, at this step.
fn at_steps(value: &dyn Fn(i64) -> f64, step: impl Fn(i64) -> i64) -> Vec<Vec<Said>> {
    (0..N_VALUES).map(|t| vec![Value(0, step(t), value(t))]).collect()
}

/// Ten ways in which they can be compared, with their names.
const ALIKE: [(&str, Shape); 10] = [
    ("the step rises over all epochs", |value| at_steps(value, |t| t)),
    ("the batch's number in each of 6 epochs", |value| at_steps(value, |t| t % 20)),
    ("the same from 1 on", |value| at_steps(value, |t| 1 + t % 20)),
    ("the folds of one writer", |value| at_steps(value, |t| t % 24)),
    ("two calls of fit(), a file each", |value| {
        (0..N_VALUES).map(|t| vec![Value((t / 60) as u32, t % 60, value(t))]).collect()
    }),
    ("two calls of fit() by one writer, of which the second is shorter", |value| {
        at_steps(value, |t| if t < 90 { t } else { t - 90 })
    }),
    ("four ranks, of which the first counts", |value| {
        let ranks = |t: i64| (1..4).map(move |rank| Value(rank, t, 9.0 + f64::from(rank)));
        let all = |t: i64| [Value(0, t, value(t))].into_iter().chain(ranks(t)).chain((0..4).map(Alive));
        (0..N_VALUES).map(|t| all(t).collect()).collect()
    }),
    ("a restart from a checkpoint that writes the same once more", |value| {
        let step = |t: i64| Value(u32::from(t >= 50), t, value(t));
        let again = (40..50).map(|t| Value(1, t, value(t)));
        let restart: Vec<Said> = [Session(1, 39)].into_iter().chain(again).chain([step(50)]).collect();
        (0..N_VALUES).map(|t| if t == 50 { restart.clone() } else { vec![step(t)] }).collect()
    }),
    ("three values at each step, of which the last counts", |value| {
        let three = |t: i64| vec![Value(0, t, 7.0), Value(0, t, 8.0), Value(0, t, value(t))];
        (0..N_VALUES).map(three).collect()
    }),
    ("a counter of 32 bits that wraps", |value| {
        at_steps(value, |t| i64::from((i32::MAX - 59).wrapping_add(t as i32)))
    }),
];

/// The value of a trial at a time: slow and fast, good and bad ones, with a little noise.
fn value(trial: u32, t: i64) -> f64 {
    let quality = f64::from(trial * 5 % 14) / 14.0;
    let noise = ((i64::from(trial) * 31 + t) * 7_919 % 101) as f64 / 10_100.0;
    0.2 + 0.5 * quality + 2.0 * (-(t as f64) / 25.0).exp() + noise
}

fn spec(rule: &str) -> StudySpec {
    let text = format!(
        "trainingInput: {{hyperparameters: {{goal: MINIMIZE, maxTrials: 14, enableTrialEarlyStopping: true, \
         params: [{{parameterName: x, type: DOUBLE, minValue: 0, maxValue: 1}}]}}}}\n\
         hptune: {{earlyStopping: {{rule: {rule}}}}}\n"
    );
    Config::read(&text).expect("it is valid").0.spec
}

/// When each trial is stopped, by how many values it had written: the trials run one after the other.
fn stops(rule: &str, shape: Shape) -> Vec<(u32, usize)> {
    let spec = spec(rule);
    let judge = for_spec(&spec).expect("there is one");
    let (mut trials, mut stops): (Vec<Trial>, _) = (Vec::new(), Vec::new());
    for number in 1..=N_TRIALS {
        let id = TrialId::new(number).expect("not 0");
        let mut trial = Trial::suggested(id, hptune::study::Assignment::default());
        trial.stage = Stage::Running;
        let (mut objective, mut clock) = (Objective::default(), 1_000.0_f64);
        let mut began: HashMap<u32, WallTime> = HashMap::new();
        let mut outcome = Outcome::Succeeded;
        let run = RunName::root();
        for (t, said) in shape(&|t| value(number, t)).into_iter().enumerate() {
            for said in said {
                clock += 1.0;
                let now = WallTime(clock);
                let (Session(writer, _) | Value(writer, ..) | Alive(writer)) = said;
                let started = *began.entry(writer).or_insert(now);
                let writer = WriterId(writer);
                match said {
                    Session(_, step) => objective.session_start(&run, writer, started, Step(step)),
                    Value(_, step, value) => {
                        let (step, value) = (Step(step), MetricValue::F64(value));
                        objective.offer(&run, writer, started, Point { step, wall_time: now, value });
                    }
                    Alive(_) => objective.is_alive(&run, writer, started, now),
                }
            }
            let changes: Vec<Change> = objective.take_changes();
            trial.curve.apply(&changes);
            trials.push(trial.clone());
            let decision = judge.judge(&spec, &trial, &trials);
            trials.pop();
            if let Some(decision) = decision {
                trial.stop = Some(decision);
                outcome = Outcome::StoppedEarly;
                stops.push((number, t));
                break;
            }
        }
        trial.stage = Stage::Ended(outcome);
        trials.push(trial);
    }
    stops
}

#[test]
fn the_same_trials_in_ten_shapes_are_stopped_alike() {
    for rule in ["decay-curve", "median", "asha"] {
        let [(_, first), others @ ..] = ALIKE;
        let expected = stops(rule, first);
        assert!((3..12).contains(&expected.len()), "{rule}: {expected:?}");
        for (name, shape) in others {
            // A rung lies at a share of the last step: where all begin at a large one, there are none.
            if rule == "asha" && name.contains("32 bits") {
                continue;
            }
            // Rungs are shares of steps counted from 0: from 1 on they lie one value earlier.
            if rule == "asha" && name.contains("from 1") {
                assert_eq!(stops(rule, shape).len(), expected.len(), "{rule}: {name}");
                continue;
            }
            assert_eq!(stops(rule, shape), expected, "{rule}: {name}");
        }
    }
}

#[test]
fn steps_in_no_order_stop_nobody() {
    for rule in ["decay-curve", "median", "asha"] {
        assert_eq!(stops(rule, |value| at_steps(value, |t| t * 37 % 41)), [], "{rule}");
        assert_eq!(stops(rule, |value| at_steps(value, |t| N_VALUES - t)), [], "{rule}");
    }
}

/// An event file of values of `loss` at these steps, one a second.
fn write(path: &Path, values: impl IntoIterator<Item = (i64, f32)>) {
    let mut bytes = Vec::new();
    tfrecord::encode(&event::encode_file_version(WallTime(1_000.0), "test"), &mut bytes);
    for (i, (step, value)) in values.into_iter().enumerate() {
        let event = event::encode_scalars(WallTime(1_001.0 + i as f64), Step(step), &[("loss", value)]);
        tfrecord::encode(&event, &mut bytes);
    }
    fs::create_dir_all(path.parent().expect("a directory")).expect("it is made");
    fs::write(path, bytes).expect("it is written");
}

const JOB: &str = "\
trainingInput:
  hyperparameters:
    goal: MINIMIZE
    hyperparameterMetricTag: loss
    maxTrials: 1
    params: [{parameterName: x, type: DOUBLE, minValue: 0, maxValue: 1}]
";

/// The arguments that run a job of one trial, whose trainer is a script with its directory as `$0`.
fn run_of(script: &str) -> Vec<&str> {
    let head = ["run", "c.yaml", "--job-id", "j", "--seed", "1", "--job-dir", "j"];
    [&head[..], &["--", "sh", "-c", script, "{job_dir}", "{x}"]].concat()
}

/// What a command prints, which succeeds.
#[track_caller]
fn said(place: &Place, arguments: &[&str]) -> String {
    let output = place.command(arguments).output().expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
}

/// What `inspect`, `doctor` and a job say of values of `loss`, and the result as `jobs describe` has it.
fn said_of(place: &Place, options: &str, values: &[(i64, f32)]) -> [String; 4] {
    write(&place.path().join("d/x.tfevents.1"), values.iter().copied());
    let said = |arguments: &[&str]| said(place, arguments);
    let (inspected, diagnosed) = (said(&["inspect", "d"]), said(&["doctor", "d", "--tag", "loss"]));
    place.write("c.yaml", format!("{JOB}{options}"));
    let job = said(&run_of("cp d/* \"$0\""));
    [inspected, diagnosed, job, said(&["jobs", "describe", "j", "--format", "json"])]
}

/// Whether a text has words, however its lines are broken.
#[track_caller]
fn has(text: &str, words: &str) {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(words), "{words}\nis not in\n{text}");
}

#[test]
fn passes_are_told_and_the_last_value_of_the_last_counts() {
    let values: Vec<(i64, f32)> = (0..113).map(|t| (t % 20, 1.0 + t as f32)).collect();
    let [inspected, diagnosed, job, described] = said_of(&Place::new(), "", &values);
    for text in [&inspected, &diagnosed, &job] {
        has(text, "each step was written 6 times; the last counts");
    }
    has(&diagnosed, "the last 113 at step 12");
    let described: serde_json::Value = serde_json::from_str(&described).expect("it is JSON");
    let trial = &described["trainingOutput"]["trials"][0];
    assert_eq!(trial["finalMetric"], serde_json::json!({"trainingStep": "12", "objectiveValue": 113.0}));
    assert_eq!(trial["allMetrics"].as_array().map(Vec::len), Some(113), "every pass is kept");
}

#[test]
fn several_values_at_a_step_are_told_and_their_mean_is_to_be_had() {
    let values: Vec<(i64, f32)> = (0..200).map(|t| (100 * (t / 40), (t % 40) as f32)).collect();
    let [inspected, diagnosed, job, described] = said_of(&Place::new(), "", &values);
    for text in [&inspected, &diagnosed, &job] {
        has(text, "40 values at each step; the last of them counts");
    }
    has(&job, "`hptune: {objective: {sameStep: mean}}`");
    has(&described, "\"objectiveValue\": 39.0");
    let [_, _, job, described] = said_of(&Place::new(), "hptune: {objective: {sameStep: mean}}\n", &values);
    has(&job, "40 values at each step; their mean counts");
    has(&described, "\"objectiveValue\": 19.5");
}

#[test]
fn steps_that_wrap_below_zero_are_told_and_not_dropped() {
    let step = |t: i32| i64::from((i32::MAX - 4).wrapping_add(t));
    let values: Vec<(i64, f32)> = (0..10).map(|t| (step(t), t as f32)).collect();
    let [inspected, diagnosed, job, described] = said_of(&Place::new(), "", &values);
    for text in [&inspected, &diagnosed, &job] {
        has(text, "steps fall from above to below 0");
    }
    let described: serde_json::Value = serde_json::from_str(&described).expect("it is JSON");
    assert_eq!(described["trainingOutput"]["trials"][0]["finalMetric"]["objectiveValue"], 9.0);
}

#[test]
fn the_best_long_before_the_last_is_told() {
    let values: Vec<(i64, f32)> = (0..40).map(|t| (t, 0.3 + (t - 10_i64).abs() as f32 * 0.02)).collect();
    let place = Place::new();
    let [_, _, job, described] = said_of(&place, "", &values);
    has(&job, "It was 0.3 at step 10, long before its end");
    has(&job, "`hptune: {objective: {reduce: best}}`");
    has(&described, "\"bestLongBefore\": { \"trainingStep\": \"10\"");
    let table = said(&place, &["jobs", "describe", "j"]);
    has(&table, "TRIAL RESULT STEP BEST AT STEP");
    has(&table, "1 0.88 39 0.3 10");
    let [_, _, job, _] = said_of(&Place::new(), "hptune: {objective: {reduce: best}}\n", &values);
    assert!(!job.contains("long before"), "{job}");
}

/// A job whose trainer starts two processes that write to one directory in turn: the one that begins first and is silent
/// when the other begins, whose values are 10 more. `ranks` are their numbers, where a launcher tells.
fn ranks(options: &str, ranks: [&str; 2]) -> [String; 2] {
    let place = Place::new();
    fs::create_dir(place.path().join("parts")).expect("it is made");
    for (writer, more) in [(0, 0.0), (1, 10.0)] {
        for part in 0..4i64 {
            let started = 1_000.0 + 0.5 * f64::from(writer);
            let mut bytes = Vec::new();
            if part == 0 {
                tfrecord::encode(&event::encode_file_version(WallTime(started), "test"), &mut bytes);
            }
            for step in 3 * part..3 * part + 3 {
                let clock = WallTime(started + part as f64 + 0.01 * (step % 3 + 1) as f64);
                tfrecord::encode(
                    &event::encode_scalars(clock, Step(step), &[("loss", step as f32 + more)]),
                    &mut bytes,
                );
            }
            place.write(&format!("parts/{writer}.{part}"), bytes);
        }
    }
    place.write(
        "rank.sh",
        "exec 3>>\"$1/events.out.tfevents.100$2.node\"\nfor part in parts/$2.*; do cat $part >&3; sleep 0.3; done\n",
    );
    let [first, second] = ranks;
    let start = format!("{first} sh rank.sh \"$0\" 0 & sleep 0.15; {second} sh rank.sh \"$0\" 1 & wait");
    place.write("c.yaml", format!("{JOB}{options}"));
    let output = place.command(&run_of(&start)).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let described = place.command(&["jobs", "describe", "j", "--format", "json"]).output().expect("it runs");
    let described: serde_json::Value = serde_json::from_slice(&described.stdout).expect("it is JSON");
    let metrics =
        described["trainingOutput"]["trials"][0]["allMetrics"].as_array().expect("an array").clone();
    let values = metrics.iter().map(|m| m["objectiveValue"].as_f64().expect("a number").to_string());
    [
        [String::from_utf8_lossy(&output.stdout).into_owned(), told].concat(),
        values.collect::<Vec<_>>().join(" "),
    ]
}

#[test]
fn of_processes_that_write_one_directory_the_first_counts_or_rank_0_or_the_mean() {
    let [told, values] = ranks("", ["", ""]);
    assert!(!told.contains("restarted"), "{told}");
    has(&told, "2 writers side by side hold the same steps with other values: those of the first count");
    assert_eq!(values, "0 1 2 3 4 5 6 7 8 9 10 11");
    let [told, values] = ranks("", ["RANK=1", "RANK=0"]);
    assert!(!told.contains("restarted"), "{told}");
    has(&told, "those of the lowest rank count");
    assert_eq!(values, "10 11 12 13 14 15 16 17 18 19 20 21");
    let [told, values] = ranks("hptune: {objective: {across: mean}}\n", ["", ""]);
    has(&told, "their mean counts");
    assert_eq!(values, "5 6 7 8 9 10 11 12 13 14 15 16");
}
