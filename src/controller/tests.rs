//! Requests for parameters: when one is made, what it holds, and what becomes of its answer.

use std::time::Duration;

use super::*;
use crate::study::{Exit, config};
use crate::units::{MetricValue, Step, WallTime};
use tfevents::series::Point;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn spec(more: &str) -> StudySpec {
    let space = "params: [{parameterName: a, type: INTEGER, minValue: 1, maxValue: 9}]";
    config::tests::spec(&format!("{{maxTrials: 4, maxParallelTrials: 2, {more} {space}}}"))
}

/// Hands an input to a controller and gives what it puts out, each request answered at once.
pub(super) fn handle(controller: &mut Controller, now: Timestamp, input: Input) -> Vec<Output> {
    controller.handle(now, input);
    let mut outputs = Vec::new();
    while let Some(output) = controller.poll_output() {
        if let Output::Suggest(request) = &output {
            let params = answer(controller.spec(), request);
            controller.handle(now, Input::Suggested(request.trial, params));
        }
        outputs.push(output);
    }
    outputs
}

fn answer(spec: &StudySpec, request: &Request) -> Option<Assignment> {
    crate::suggest::for_spec(spec).suggest(spec, &request.observations)
}

/// What an input makes a controller put out, no request answered.
fn put_out(controller: &mut Controller, now: Timestamp, input: Input) -> Vec<Output> {
    controller.handle(now, input);
    std::iter::from_fn(|| controller.poll_output()).collect()
}

/// The only thing put out is a request.
#[track_caller]
fn request(outputs: Vec<Output>) -> Request {
    match <[Output; 1]>::try_from(outputs) {
        Ok([Output::Suggest(request)]) => request,
        other => panic!("no request alone: {other:?}"),
    }
}

fn answered(controller: &mut Controller, request: &Request) -> Vec<Output> {
    let params = answer(controller.spec(), request);
    assert!(params.is_some());
    put_out(controller, NOW, Input::Suggested(request.trial, params))
}

fn first() -> TrialId {
    TrialId::after(0)
}

#[test]
fn one_request_is_open_at_a_time_and_the_next_one_knows_its_trial() {
    let mut controller = Controller::new(Study::new(spec("")), Policy::default());
    let open = request(put_out(&mut controller, NOW, Input::Tick));
    assert_eq!((open.trial, open.observations.len()), (first(), 0));
    assert_eq!(put_out(&mut controller, NOW, Input::Tick), [], "it is open");
    let outputs = answered(&mut controller, &open);
    let [Output::Persist(Record::Suggested(..)), Output::Start(started, params, 1), Output::Suggest(second)] =
        &*outputs
    else {
        panic!("{outputs:?}");
    };
    assert_eq!((*started, second.trial), (first(), TrialId::after(1)));
    assert_eq!(second.observations.first().map(|o| &o.params), Some(params));
}

#[test]
fn values_exits_and_early_stops_do_not_wait_for_an_answer() {
    let (grace, limit) = (Duration::from_secs(5), Duration::from_secs(60));
    let policy = Policy { grace, time_limit: Some(limit), ..Policy::default() };
    let mut controller = Controller::new(Study::new(spec("")), policy);
    let open = request(put_out(&mut controller, NOW, Input::Tick));
    answered(&mut controller, &open);
    // The request for the second trial is open from here on.
    put_out(&mut controller, NOW, Input::Started(first()));
    let changes = vec![Change::Source("eval".into())];
    let stored = Output::Persist(Record::Changed(first(), changes.clone()));
    assert_eq!(put_out(&mut controller, NOW, Input::Changed(first(), changes)), [stored]);
    let later = after(NOW, Duration::from_secs(60));
    let outputs = put_out(&mut controller, later, Input::Tick);
    assert!(
        matches!(&*outputs, [Output::Persist(Record::StopDecided(..)), Output::Signal(_, Signal::Terminate)]),
        "{outputs:?}"
    );
    put_out(&mut controller, later, Input::Exited(first(), Exit::Code(0), later));
    let outputs = put_out(&mut controller, later, Input::Settled(first(), None));
    assert!(matches!(&*outputs, [Output::Persist(Record::Ended(..))]), "{outputs:?}");
}

#[test]
fn an_answer_is_dropped_once_no_trial_is_to_start() {
    #[track_caller]
    fn check(policy: Policy, later: Duration, input: Input) {
        let mut controller = Controller::new(Study::new(spec("")), policy);
        let open = request(put_out(&mut controller, NOW, Input::Tick));
        let later = after(NOW, later);
        put_out(&mut controller, later, input);
        let params = answer(controller.spec(), &open);
        let outputs = put_out(&mut controller, later, Input::Suggested(open.trial, params));
        let is_trial = |output: &Output| {
            matches!(output, Output::Persist(Record::Suggested(..)) | Output::Start(..) | Output::Suggest(_))
        };
        assert!(!outputs.iter().any(is_trial), "{outputs:?}");
        assert_eq!(controller.trials().len(), 0);
        assert_eq!(put_out(&mut controller, later, Input::Tick), [], "the job is over");
    }
    let policy = Policy { deadline: Some(after(NOW, Duration::from_secs(60))), ..Policy::default() };
    check(policy, Duration::ZERO, Input::Cancel);
    check(policy, Duration::ZERO, Input::Kill);
    check(policy, Duration::from_secs(61), Input::Tick);
    // Two slots, of which the first is lost before.
    let mut controller = Controller::new(Study::new(spec("")), policy);
    let open = request(put_out(&mut controller, NOW, Input::Tick));
    put_out(&mut controller, NOW, Input::SlotLost("a GPU".into()));
    put_out(&mut controller, NOW, Input::SlotLost("a GPU".into()));
    assert_eq!(put_out(&mut controller, NOW, Input::Suggested(open.trial, None)), []);
    assert_eq!(controller.phase, Phase::Over, "it failed for want of slots");
}

#[test]
fn an_answer_without_a_slot_is_dropped_and_asked_for_again() {
    let mut controller = Controller::new(Study::new(spec("")), Policy::default());
    let open = request(put_out(&mut controller, NOW, Input::Tick));
    let outputs = answered(&mut controller, &open);
    put_out(&mut controller, NOW, Input::Started(first()));
    let Some(Output::Suggest(second)) = outputs.last() else { panic!("{outputs:?}") };
    put_out(&mut controller, NOW, Input::SlotLost("a GPU".into()));
    assert_eq!(answered(&mut controller, second), [], "its slot is lost");
    put_out(&mut controller, NOW, Input::Exited(first(), Exit::Code(0), NOW));
    let outputs = put_out(&mut controller, NOW, Input::Settled(first(), None));
    let Some(Output::Suggest(again)) = outputs.last() else { panic!("{outputs:?}") };
    assert_eq!(again.trial, second.trial);
    assert_ne!(again.observations, second.observations, "more is known by now");
}

#[test]
fn an_answer_to_another_request_changes_nothing() {
    let mut controller = Controller::new(Study::new(spec("")), Policy::default());
    assert_eq!(put_out(&mut controller, NOW, Input::Suggested(first(), None)).len(), 1, "the request");
    assert_eq!(put_out(&mut controller, NOW, Input::Suggested(TrialId::after(7), None)), []);
    assert_eq!(controller.phase, Phase::Open);
    put_out(&mut controller, NOW, Input::Suggested(first(), None));
    assert_eq!(controller.phase, Phase::Over, "nothing is left to try");
}

#[test]
fn a_controller_that_goes_on_makes_the_request_that_was_open_again() {
    let mut killed = Controller::new(Study::new(spec("algorithm: RANDOM_SEARCH,")), Policy::default());
    let open = request(put_out(&mut killed, NOW, Input::Tick));
    let outputs = answered(&mut killed, &open);
    let Some(Output::Suggest(second)) = outputs.last() else { panic!("{outputs:?}") };
    let mut controller = Controller::new(killed.study.clone(), Policy::default());
    let outputs = put_out(&mut controller, NOW, Input::Tick);
    let [Output::Start(_, _, 1), Output::Suggest(again)] = &*outputs else { panic!("{outputs:?}") };
    assert_eq!(again, second);
}

#[test]
fn a_trial_is_given_up_once_by_request_whether_it_runs_or_not() {
    let policy = Policy { grace: Duration::from_secs(5), ..Policy::default() };
    let mut controller = Controller::new(Study::new(spec("")), policy);
    handle(&mut controller, NOW, Input::Tick);
    let (running, suggested) = (first(), TrialId::after(1));
    handle(&mut controller, NOW, Input::Started(running));
    let reason: StopDecision = StopReason::Request.into();
    let decided = |id| Output::Persist(Record::StopDecided(id, NOW, reason.clone()));
    let terminate = |id| Output::Signal(id, Signal::Terminate);
    let outputs = put_out(&mut controller, NOW, Input::StopTrial(running));
    assert_eq!(outputs, [decided(running), terminate(running)]);
    assert_eq!(put_out(&mut controller, NOW, Input::StopTrial(running)), [], "it was heard");
    assert_eq!(put_out(&mut controller, NOW, Input::StopTrial(suggested)), [decided(suggested)]);
    let outputs = put_out(&mut controller, NOW, Input::Started(suggested));
    assert_eq!(outputs, [Output::Persist(Record::Started(suggested, NOW, 1)), terminate(suggested)]);
    assert_eq!(put_out(&mut controller, NOW, Input::StopTrial(TrialId::after(9))), [], "there is none");
    // One has a value, and the other has none.
    let point = Point { step: Step(1), wall_time: WallTime(0.0), value: MetricValue::F64(0.5) };
    put_out(&mut controller, NOW, Input::Changed(running, vec![Change::Point { pass: 0, point }]));
    for (id, outcome) in [(running, Outcome::StoppedByRequest), (suggested, Outcome::NoMetric)] {
        put_out(&mut controller, NOW, Input::Exited(id, Exit::Signal(15), NOW));
        put_out(&mut controller, NOW, Input::Settled(id, None));
        assert_eq!(controller.trial(id).and_then(Trial::outcome), Some(&outcome));
        assert_eq!(put_out(&mut controller, NOW, Input::StopTrial(id)), [], "it is over");
    }
}
