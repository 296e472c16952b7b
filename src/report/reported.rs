//! The lines of a watcher as whoever gets them reads them: the other end of [`super::watch`].

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use crate::units::{MetricValue, RunName, Step, Tag};

/// A line; see [`super::watch::Line`], whose fields these are. Kinds and fields that are not known are passed over.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ReportedLine {
    /// A watcher begins: all that it finds follows, from the beginning.
    Watch {},
    /// A value.
    Point {
        /// The run directory.
        run: RunName,
        /// The tag.
        tag: Tag,
        /// The step.
        step: Step,
        /// The writer's clock, in seconds since the Unix epoch; NaN where it is missing.
        #[serde(default = "nan", deserialize_with = "number")]
        wall_time: f64,
        /// The value.
        #[serde(deserialize_with = "value")]
        value: MetricValue,
    },
    /// Values of a tag at this step and later ones are void.
    Rewind {
        /// The run directory.
        run: RunName,
        /// The tag.
        tag: Tag,
        /// The first void step.
        from_step: Step,
    },
    /// A stretch of a file that gave no event.
    Damage {
        /// The file, below the watcher's directory.
        file: String,
        /// Where it starts, in bytes.
        offset: u64,
        /// Its length in bytes.
        bytes: u64,
        /// What is wrong there.
        damage: String,
    },
    /// Nothing follows.
    End {
        /// Why.
        reason: String,
        /// The exit code of the trainer, where the watcher had started it.
        exit_code: Option<i32>,
    },
    /// Something else.
    #[serde(other)]
    Other,
}

impl ReportedLine {
    /// Reads the lines of a batch: a JSON array of objects.
    ///
    /// # Errors
    /// What is wrong, and with which line, from 1.
    pub fn read_all(lines: &[Json]) -> Result<Vec<Self>, String> {
        let read = |(n, line): (usize, &Json)| {
            Self::deserialize(line).map_err(|e| format!("line {} of the batch: {e}", n + 1))
        };
        lines.iter().enumerate().map(read).collect()
    }
}

fn nan() -> f64 {
    f64::NAN
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    value(deserializer).map(MetricValue::as_f64)
}

/// A number, or one of the words for what JSON has no number for.
fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MetricValue, D::Error> {
    let given = Json::deserialize(deserializer)?;
    let value = match &given {
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), ..) => Some(MetricValue::I64(value)),
            (_, Some(value), _) => Some(MetricValue::U64(value)),
            (_, _, value) => value.map(MetricValue::F64),
        },
        Json::String(text) => match &**text {
            "NaN" => Some(MetricValue::F64(f64::NAN)),
            "Infinity" => Some(MetricValue::F64(f64::INFINITY)),
            "-Infinity" => Some(MetricValue::F64(f64::NEG_INFINITY)),
            _ => None,
        },
        _ => None,
    };
    value.ok_or_else(|| D::Error::custom("want a number, \"NaN\", \"Infinity\" or \"-Infinity\""))
}

#[cfg(test)]
mod tests {
    use super::super::watch::{Line, encode};
    use super::*;

    #[test]
    fn what_a_watcher_writes_is_read() {
        #[track_caller]
        fn check(line: &Line, expected: ReportedLine) {
            let json: Json = serde_json::from_str(&(encode(line, Some("1")) + "}")).expect("it is JSON");
            assert_eq!(ReportedLine::read_all(&[json]).expect("it is a line"), [expected]);
        }
        let (run, tag) = (RunName::from("val"), Tag::from("m"));
        let value = |value| Line::Point {
            run: RunName::from("val"),
            tag: Tag::from("m"),
            step: Step(3),
            wall_time: 1.5,
            value,
            attempt: 2,
        };
        let read = |value| ReportedLine::Point {
            run: RunName::from("val"),
            tag: Tag::from("m"),
            step: Step(3),
            wall_time: 1.5,
            value,
        };
        check(&value(MetricValue::F32(0.1)), read(MetricValue::F64(0.1)));
        check(&value(MetricValue::I64(7)), read(MetricValue::I64(7)));
        check(&value(MetricValue::F64(f64::INFINITY)), read(MetricValue::F64(f64::INFINITY)));
        let rewind = Line::Rewind {
            run: run.clone(),
            tag: tag.clone(),
            from_step: Step(4),
            attempt: 2,
            reason: "session-start",
        };
        check(&rewind, ReportedLine::Rewind { run: run.clone(), tag: tag.clone(), from_step: Step(4) });
        let end = Line::End { reason: "x".into(), exit_code: Some(3), points: 1, left_out: 0 };
        check(&end, ReportedLine::End { reason: "x".into(), exit_code: Some(3) });
        check(&Line::Watch { version: 1, job_dir: "/x".into() }, ReportedLine::Watch {});
        check(&Line::Tag { run, tag, holds: "image" }, ReportedLine::Other);
    }

    #[test]
    fn what_is_no_line_is_named() {
        let error = |text: &str| {
            let lines: Vec<Json> = serde_json::from_str(text).expect("it is JSON");
            ReportedLine::read_all(&lines).expect_err("it is none")
        };
        assert!(error(r#"[{"kind":"watch"},{"kind":"point","run":"."}]"#).starts_with("line 2 of the batch"));
        let text = error(r#"[{"kind":"point","run":".","tag":"m","step":1,"value":"much"}]"#);
        assert!(text.contains("want a number"), "{text}");
    }
}
