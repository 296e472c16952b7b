//! `tuner` as a program in any language uses it: one line in, one line out.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value as Json, json};

use crate::support::Place;

const CONFIG: &str = "\
trainingInput:
  hyperparameters:
    goal: MINIMIZE
    hyperparameterMetricTag: loss
    maxTrials: 30
    enableTrialEarlyStopping: true
    params:
    - {parameterName: lr, type: DOUBLE, minValue: 0.0001, maxValue: 1, scaleType: UNIT_LOG_SCALE}
    - {parameterName: layers, type: INTEGER, minValue: 1, maxValue: 5}
    - {parameterName: opt, type: CATEGORICAL, categoricalValues: [a, b]}
hptune: {seed: 1}
";

/// A running `tuner`.
struct Session {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Session {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let requests = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, requests, answers }
    }

    fn ask_text(&mut self, request: &str) -> Json {
        writeln!(self.requests, "{request}").expect("it is taken");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers");
        serde_json::from_str(&answer).expect("it is JSON")
    }

    fn ask(&mut self, request: Json) -> Json {
        self.ask_text(&request.to_string())
    }

    /// A new trial's number and parameters.
    fn suggest(&mut self) -> (u64, Json) {
        let answer = self.ask(json!({"suggest": {}}));
        (answer["suggest"]["trial"].as_u64().expect("a number"), answer["suggest"]["params"].clone())
    }

    fn end(mut self) -> Option<i32> {
        drop(self.requests);
        self.child.wait().expect("it ends").code()
    }
}

fn loss(params: &Json) -> f64 {
    let (lr, layers) =
        (params["lr"].as_f64().expect("a number"), params["layers"].as_i64().expect("a whole number"));
    let opt = params["opt"].as_str().expect("a text");
    (lr.ln() + 4.0).powi(2) + (layers - 2).pow(2) as f64 + if opt == "a" { 0.0 } else { 1.0 }
}

#[test]
fn steps_that_begin_anew_are_passes_and_a_report_once_more_is_none() {
    let place = Place::new();
    place.write("c.yaml", CONFIG);
    let mut session = Session::start(place.command(&["tuner", "c.yaml"]));
    session.suggest();
    let mut report = |step: i64, value: f64| {
        session.ask(json!({"report": {"trial": 1, "step": step, "value": value}}));
    };
    for (pass, more) in [(0, 0.0), (1, 0.5)] {
        for step in 0..4 {
            // The last two of each pass are alike; each is reported twice.
            let value = if step > 1 { 1.0 } else { f64::from(pass) + more + step as f64 / 10.0 };
            report(step, value);
            report(step, value);
        }
    }
    report(0, 7.0);
    report(1, 8.0);
    session.ask(json!({"complete": {"trial": 1}}));
    let best = session.ask(json!({"best": {}}));
    assert_eq!(best["best"]["value"], 8.0, "the last value of the last pass");
}

#[test]
fn a_study_is_asked_and_told_line_by_line() {
    let place = Place::new();
    place.write("c.yaml", CONFIG);
    let mut session = Session::start(place.command(&["tuner", "c.yaml"]));
    let (id, params) = session.suggest();
    assert_eq!(id, 1);
    assert!(params["lr"].is_f64() && params["layers"].is_i64() && params["opt"].is_string(), "{params}");
    assert_eq!(session.ask(json!({"best": {}}))["error"]["code"], "NOT_FOUND");
    let report = session.ask(json!({"report": {"trial": 1, "step": 3, "value": 0.71}}));
    assert_eq!(report, json!({"report": {"stop": false}}));
    assert_eq!(session.ask(json!({"complete": {"trial": 1}})), json!({"complete": {}}));
    let best = session.ask(json!({"best": {}}));
    assert_eq!(best, json!({"best": {"trial": 1, "params": params, "value": 0.71}}));
    // What goes wrong is answered, and it goes on.
    let codes: Vec<Json> = [
        json!({"complete": {"trial": 1, "value": 3}}),
        json!({"report": {"trial": 9, "step": 3, "value": 0.71}}),
        json!({"report": {"trial": 0, "step": 3, "value": 0.71}}),
        json!({"report": {"trial": 1, "step": 3, "value": "much"}}),
        json!({"add": {"params": {"lr": 3, "layers": 1, "opt": "a"}, "value": 1}}),
        json!({"add": {"params": {"lr": 0.3, "layers": 1.5, "opt": "a"}, "value": 1}}),
        json!({"add": {"params": {"lr": 0.3, "layers": 1, "opt": "a", "momentum": 1}, "value": 1}}),
        json!({"suggest": {"count": 3}}),
        json!({"best": {}, "suggest": {}}),
        json!([1]),
    ]
    .into_iter()
    .map(|request| session.ask(request)["error"]["code"].clone())
    .collect();
    let mut expected = vec!["FAILED_PRECONDITION", "NOT_FOUND", "NOT_FOUND"];
    expected.extend(["INVALID_ARGUMENT"; 7]);
    assert_eq!(codes, expected);
    assert_eq!(session.ask_text("no json")["error"]["code"], "INVALID_ARGUMENT");
    // A trial from elsewhere, the best; one that cannot be run; one whose value is NaN, as Python writes it.
    let added = session.ask(json!({"add": {"params": {"lr": 0.3, "layers": 1, "opt": "a"}, "value": 0.5}}));
    assert_eq!(added, json!({"add": {"trial": 2}}));
    assert_eq!(session.ask(json!({"best": {}}))["best"]["trial"], 2);
    let (id, _) = session.suggest();
    let refused = session.ask(json!({"complete": {"trial": id, "infeasible": "out of memory"}}));
    assert_eq!(refused, json!({"complete": {}}));
    let (id, _) = session.suggest();
    let answer = session.ask_text(&format!("{{\"complete\": {{\"trial\": {id}, \"value\": NaN}}}}"));
    assert_eq!(answer, json!({"complete": {}}));
    assert_eq!(session.ask(json!({"best": {}}))["best"]["trial"], 2);
    // 30 trials were asked for; that from elsewhere is not one of them.
    for _ in 3..30 {
        let (id, params) = session.suggest();
        session.ask(json!({"complete": {"trial": id, "value": loss(&params)}}));
    }
    assert_eq!(session.ask(json!({"suggest": {}})), json!({"suggest": {"done": true}}));
    assert!(session.ask(json!({"best": {}}))["best"]["value"].as_f64().expect("a number") < 0.1);
    assert_eq!(session.end(), Some(0));
}

#[test]
fn a_killed_study_goes_on_as_if_nothing_had_happened() {
    let place = Place::new();
    place.write("c.yaml", CONFIG);
    let arguments = ["tuner", "c.yaml", "--job-id", "study", "--store", "study.db"];
    let mut whole = Session::start(place.command(&["tuner", "c.yaml"]));
    let mut session = Session::start(place.command(&arguments));
    for n in 1..=24 {
        let (id, params) = session.suggest();
        assert_eq!((id, &params), (n, &whole.suggest().1), "after {} restarts", (n - 1) / 5);
        for step in 1..=6 {
            let value = loss(&params) + 3.0 / f64::from(step);
            let report = json!({"report": {"trial": id, "step": step, "value": value}});
            let answer = session.ask(report.clone());
            assert_eq!(answer, whole.ask(report));
            if answer["report"]["stop"] == true {
                break;
            }
            if n % 5 == 0 && step == 3 {
                // With a trial open, at once.
                session.child.kill().expect("it runs");
                session.child.wait().expect("it ends");
                session = Session::start(place.command(&arguments));
            }
        }
        let complete = json!({"complete": {"trial": id}});
        assert_eq!(session.ask(complete.clone()), whole.ask(complete));
    }
    assert_eq!(session.ask(json!({"best": {}})), whole.ask(json!({"best": {}})));
    assert_eq!(session.end(), Some(0));
    // It is a job of the store like others.
    let store = ["--store", "study.db"];
    let ran = place.run(&[&["jobs", "describe", "study", "--json"][..], &store].concat());
    let job: Json = serde_json::from_str(&ran.out).expect("it is JSON");
    assert_eq!(job["trainingOutput"]["trials"].as_array().map(Vec::len), Some(24));
    let insight = &job["hptuneOutput"]["insight"];
    assert_eq!(insight["importance"].as_array().map(Vec::len), Some(3), "{insight}");
    let stopped = job["trainingOutput"]["trials"].as_array().expect("trials").iter();
    let stopped: Vec<&str> = stopped
        .filter(|trial| trial["isTrialStoppedEarly"] == true)
        .filter_map(|trial| trial["trialId"].as_str())
        .collect();
    let trial = stopped.first().expect("the rule stops some");
    let ran = place.run(&[&["jobs", "why", "study", trial][..], &store].concat());
    assert!(
        ran.out.contains("to beat") && ran.out.contains("trials that it was compared with"),
        "{}",
        ran.out
    );
    let ran = place.run(&[&["jobs", "why", "study", trial, "--json"][..], &store].concat());
    let why: Json = serde_json::from_str(&ran.out).expect("it is JSON");
    assert_eq!(why["stopReason"]["rule"], "decay_curve", "{why}");
    assert!(why["band"].as_array().is_some_and(|band| !band.is_empty()), "{why}");
    let ran = place.run(&[&["jobs", "why", "study", "99"][..], &store].concat());
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("it has trials 1 to 24"), "{}", ran.err);
}

#[test]
fn a_request_that_is_too_long_is_answered_and_passed_over() {
    let place = Place::new();
    place.write("c.yaml", CONFIG);
    let mut session = Session::start(place.command(&["tuner", "c.yaml"]));
    let answer = session.ask_text(&"x".repeat(3 << 20));
    assert_eq!(answer["error"]["code"], "INVALID_ARGUMENT");
    // One of just the longest length is read.
    let spaces = " ".repeat((1 << 20) - r#"{"suggest":{}}"#.len());
    assert_eq!(session.ask_text(&format!("{{\"suggest\":{{}}}}{spaces}"))["suggest"]["trial"], 1);
    assert_eq!(session.end(), Some(0));
}

#[test]
fn a_study_that_cannot_begin_says_why() {
    let place = Place::new();
    place.write("c.yaml", CONFIG);
    place.write("other.yaml", CONFIG.replace("maxTrials: 30", "maxTrials: 31"));
    place.write("wrong.yaml", CONFIG.replace("MINIMIZE", "SMALL"));
    #[track_caller]
    fn check(place: &Place, arguments: &[&str], expected: &str) {
        let ran = place.run(&[&["tuner"], arguments].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains(expected), "{}", ran.err);
        assert_eq!(ran.out, "");
    }
    check(&place, &["missing.yaml"], "missing.yaml: No such file");
    check(&place, &["wrong.yaml"], "trainingInput.hyperparameters.goal");
    check(&place, &["c.yaml", "--store", "study.db"], "give it with --job-id");
    let begun = place.run(&["tuner", "c.yaml", "--store", "study.db", "--job-id", "study"]);
    assert_eq!(begun.code, Some(0), "{}", begun.err);
    let again = ["other.yaml", "--store", "study.db", "--job-id", "study"];
    check(&place, &again, "with another configuration or seed");
    let seed = ["c.yaml", "--store", "study.db", "--job-id", "study", "--seed", "9"];
    check(&place, &seed, "with another configuration or seed");
}

#[test]
fn whole_floats_are_whole_numbers_and_texts_are_none() {
    let place = Place::new();
    place.write("c.yaml", CONFIG);
    let mut session = Session::start(place.command(&["tuner", "c.yaml"]));
    let (id, _) = session.suggest();
    let report =
        session.ask_text(&format!("{{\"report\": {{\"trial\": {id}.0, \"step\": 3.0, \"value\": 0.5}}}}"));
    assert_eq!(report, json!({"report": {"stop": false}}));
    let mut refused = |request: Json| session.ask(request)["error"]["message"].to_string();
    let message = refused(json!({"add": {"params": {"lr": "0.05", "layers": 1, "opt": "a"}, "value": 1}}));
    assert!(
        message.contains("params.lr: got the text \\\"0.05\\\", want a number from 0.0001 to 1"),
        "{message}"
    );
    let message = refused(json!({"report": {"trial": "1", "step": 3, "value": 1}}));
    assert!(message.contains("report.trial: got the text"), "{message}");
    assert_eq!(session.end(), Some(0));
}
