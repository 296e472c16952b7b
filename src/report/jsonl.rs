//! One JSON object a line.
//!
//! Every line has a `kind`; a reader skips kinds and fields that it does not know. `docs/events.md` describes them.

use serde_json::Value as Json;

use super::{JobEvent, JobEventKind};

/// The version of the format, in the `version` field of `job_started`.
pub const VERSION: u32 = 1;

/// An event as one line, without its end. The time of the event is not in it.
#[must_use]
pub fn encode(event: &JobEvent) -> String {
    to_json(event).to_string()
}

/// The same as a value.
#[must_use]
pub fn to_json(event: &JobEvent) -> Json {
    let mut json = serde_json::to_value(&event.kind).unwrap_or_default();
    if let (Json::Object(fields), JobEventKind::JobStarted { .. }) = (&mut json, &event.kind) {
        fields.insert("version".into(), VERSION.into());
    }
    json
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::study::{Assignment, Goal, ParamValue};
    use crate::units::{MetricValue, Step, Tag, TrialId, WallTime};

    #[test]
    fn an_event_is_one_line_of_valid_json() {
        #[track_caller]
        fn check(kind: JobEventKind, expected: &str) {
            assert_eq!(encode(&JobEvent { at: Timestamp::UNIX_EPOCH, kind }), expected);
        }
        let trial = TrialId::after(0);
        check(
            JobEventKind::Point {
                trial,
                pass: 1,
                step: Step(3),
                wall_time: WallTime(1.5),
                value: MetricValue::F32(f32::NAN),
            },
            r#"{"kind":"point","trial":"1","step":3,"wall_time":1.5,"value":"NaN"}"#,
        );
        let hyperparameters = Assignment(vec![("opt".into(), ParamValue::Text("a \"b\"\n".into()))]);
        check(
            JobEventKind::TrialStarted { trial, attempt: 1, hyperparameters },
            r#"{"kind":"trial_started","trial":"1","attempt":1,"hyperparameters":{"opt":"a \"b\"\n"}}"#,
        );
        check(
            JobEventKind::JobStarted {
                job: "j".into(),
                job_dir: "/j".into(),
                metric_tag: Tag::from("acc"),
                goal: Goal::Minimize,
                max_trials: 3,
                seed: 7,
            },
            r#"{"kind":"job_started","job":"j","job_dir":"/j","metric_tag":"acc","goal":"MINIMIZE","max_trials":3,"seed":7,"version":1}"#,
        );
    }
}
