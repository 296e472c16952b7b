//! Stored records as events: the one place where what is stored becomes what is reported.

use jiff::Timestamp;

use super::{JobEvent, JobEventKind};
use crate::objective::Change;
use crate::study::{JobEnd, Record, StudySpec, Trial, rank};
use crate::units::{MetricValue, TrialId};

/// Hands the events that a record of the job `job` stands for to `each`, in order. `trials` are those of the job, the
/// record applied; `now` is the time of a record that has none of its own. A suggestion and the decision that a job has
/// failed are no events: the start of the trial and the end of the job say what they say.
pub fn events_of(
    record: &Record,
    now: Timestamp,
    job: &str,
    spec: &StudySpec,
    trials: &[Trial],
    each: &mut dyn FnMut(JobEvent),
) {
    let find = |id: TrialId| trials.iter().find(|trial| trial.id == id);
    let (at, kind) = match record {
        Record::Suggested(..) | Record::FailDecided(..) => return,
        Record::Changed(trial, changes) => {
            for change in changes {
                each(JobEvent { at: now, kind: of_change(*trial, change) });
            }
            return;
        }
        Record::Started(trial, at, attempt) => {
            let hyperparameters = find(*trial).map(|t| t.params.clone()).unwrap_or_default();
            (*at, JobEventKind::TrialStarted { trial: *trial, attempt: *attempt, hyperparameters })
        }
        Record::StopDecided(trial, at, decision) => {
            (*at, JobEventKind::StopDecided { trial: *trial, reason: decision.reason })
        }
        Record::Retried(trial, at, outcome, attempt) => {
            (*at, JobEventKind::TrialRetried { trial: *trial, outcome: outcome.clone(), attempt: *attempt })
        }
        Record::Ended(trial, at, outcome) => {
            let ended = find(*trial);
            let result = ended.and_then(|t| t.result(spec.goal, spec.reduce));
            let kind = JobEventKind::TrialEnded {
                trial: *trial,
                state: outcome.state(),
                outcome: outcome.clone(),
                value: result.map(|m| MetricValue::F64(m.value)),
                step: result.map(|m| m.step),
                duration_s: ended.and_then(Trial::duration_s),
            };
            (*at, kind)
        }
        Record::CancelDecided(at) => (*at, JobEventKind::Cancelling),
        Record::JobEnded(at, JobEnd { state, message }) => {
            let best = rank(spec, trials).best;
            let winner = best.first().and_then(|id| find(*id));
            let value =
                winner.and_then(|t| t.result(spec.goal, spec.reduce)).map(|m| MetricValue::F64(m.value));
            let (job, message) = (job.to_owned(), message.clone());
            (*at, JobEventKind::JobEnded { job, state: *state, message, best, value })
        }
    };
    each(JobEvent { at, kind });
}

fn of_change(trial: TrialId, change: &Change) -> JobEventKind {
    match change {
        Change::Source(run) => JobEventKind::Source { trial, run: run.clone() },
        Change::Rewind(from) => JobEventKind::Rewind { trial, pass: from.pass + 1, from_step: from.step },
        Change::Point { pass, point } => JobEventKind::Point {
            trial,
            pass: pass + 1,
            step: point.step,
            wall_time: point.wall_time,
            value: point.value,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Assignment, FinalState, Measurement, Outcome, ParamValue, Stage, StopReason, config};
    use crate::units::{Step, WallTime};
    use tfevents::series::{Point, Position};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// The events of a record in a job of one trial that ended with 0.5 at step 7.
    fn events(record: &Record) -> Vec<JobEvent> {
        let spec =
            config::tests::spec("{params: [{parameterName: a, type: INTEGER, minValue: 1, maxValue: 2}]}");
        let params = Assignment(vec![("a".into(), ParamValue::Number(2.0))]);
        let mut trial = Trial::suggested(TrialId::after(0), params);
        trial.curve.insert(Measurement::new(Step(7), 0.5, WallTime(0.0)));
        (trial.started_at, trial.ended_at) = (Some(at(1)), Some(at(3)));
        trial.stage = Stage::Ended(Outcome::Succeeded);
        let mut events = Vec::new();
        events_of(record, at(99), "job", &spec, &[trial], &mut |event| events.push(event));
        events
    }

    #[test]
    fn each_record_has_its_events_at_its_own_time() {
        #[track_caller]
        fn check(record: Record, expected: &[(i64, &str)]) {
            let lines: Vec<(i64, String)> = events(&record)
                .iter()
                .map(|event| (event.at.as_second(), super::super::jsonl::encode(event)))
                .collect();
            let lines: Vec<(i64, &str)> = lines.iter().map(|(at, line)| (*at, &**line)).collect();
            assert_eq!(lines, expected);
        }
        let id = TrialId::after(0);
        check(Record::Suggested(id, Assignment::default()), &[]);
        check(
            Record::Started(id, at(1), 1),
            &[(1, r#"{"kind":"trial_started","trial":"1","attempt":1,"hyperparameters":{"a":"2"}}"#)],
        );
        let point = Point { step: Step(7), wall_time: WallTime(2.5), value: MetricValue::F32(0.5) };
        let changes = vec![
            Change::Source("eval".into()),
            Change::Rewind(Position { pass: 1, step: Step(3) }),
            Change::Point { pass: 0, point },
        ];
        check(
            Record::Changed(id, changes),
            &[
                (99, r#"{"kind":"source","trial":"1","run":"eval"}"#),
                (99, r#"{"kind":"rewind","trial":"1","pass":2,"from_step":3}"#),
                (99, r#"{"kind":"point","trial":"1","step":7,"wall_time":2.5,"value":0.5}"#),
            ],
        );
        let reason = StopReason::TimeLimit { ran_s: 2.0, limit_s: None };
        check(
            Record::StopDecided(id, at(2), reason.into()),
            &[(
                2,
                r#"{"kind":"stop_decided","trial":"1","reason":"the job's time was over when it had run 2 s"}"#,
            )],
        );
        check(
            Record::Retried(id, at(2), Outcome::Lost, 2),
            &[(
                2,
                r#"{"kind":"trial_retried","trial":"1","outcome":"lost: it vanished, and its end was not seen","attempt":2}"#,
            )],
        );
        check(
            Record::Ended(id, at(3), Outcome::Succeeded),
            &[(
                3,
                r#"{"kind":"trial_ended","trial":"1","state":"SUCCEEDED","outcome":"succeeded","value":0.5,"step":7,"duration_s":2.0}"#,
            )],
        );
        check(Record::CancelDecided(at(4)), &[(4, r#"{"kind":"cancelling"}"#)]);
        check(Record::FailDecided(at(4), "why".into()), &[]);
        check(
            Record::JobEnded(at(5), JobEnd { state: FinalState::Succeeded, message: None }),
            &[(
                5,
                r#"{"kind":"job_ended","job":"job","state":"SUCCEEDED","message":null,"best":["1"],"value":0.5}"#,
            )],
        );
    }
}
