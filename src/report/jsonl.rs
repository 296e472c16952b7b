//! One JSON object a line.
//!
//! Every line has a `kind`; a reader skips kinds that it does not know. `hyperparameters` is an
//! object of strings.

use serde_json::{Map, Value as Json};

use super::Report;

/// The version of the format, in the `version` field of `job_started`.
pub const VERSION: u32 = 1;

/// A report as one line, without its end.
#[must_use]
pub fn encode(report: &Report) -> String {
    let mut json = serde_json::to_value(report).unwrap_or_default();
    if let Json::Object(fields) = &mut json {
        match report {
            Report::JobStarted { .. } => {
                fields.insert("version".into(), VERSION.into());
            }
            Report::TrialStarted { hyperparameters, .. } => {
                let values =
                    hyperparameters.iter().map(|(name, value)| (name.clone(), Json::from(value.as_str())));
                fields.insert("hyperparameters".into(), values.collect::<Map<_, _>>().into());
            }
            Report::Point { .. }
            | Report::Source { .. }
            | Report::Rewind { .. }
            | Report::StopDecided { .. }
            | Report::TrialRetried { .. }
            | Report::TrialEnded { .. }
            | Report::Note { .. }
            | Report::Cancelling
            | Report::JobEnded { .. } => {}
        }
    }
    json.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{MetricValue, Step, TrialId};

    #[test]
    fn a_report_is_one_line_of_valid_json() {
        #[track_caller]
        fn check(report: Report, expected: &str) {
            assert_eq!(encode(&report), expected);
        }
        let trial = TrialId::after(0);
        check(
            Report::Point {
                trial,
                pass: 1,
                step: Step(3),
                wall_time: 1.5,
                value: MetricValue::F32(f32::NAN),
            },
            r#"{"kind":"point","trial":"1","step":3,"wall_time":1.5,"value":"NaN"}"#,
        );
        let hyperparameters = vec![("opt".to_owned(), "a \"b\"\n".to_owned())];
        check(
            Report::TrialStarted { trial, attempt: 1, hyperparameters },
            r#"{"kind":"trial_started","trial":"1","attempt":1,"hyperparameters":{"opt":"a \"b\"\n"}}"#,
        );
    }
}
