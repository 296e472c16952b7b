//! The lines that `watch` delivers: one JSON object each, in the order of each file.
//!
//! Every line has a `kind` and a `seq`, which rises by one from line to line; a reader skips kinds and
//! fields that it does not know. `docs/watch.schema.json` describes them. The last field is `seq`, so that what
//! stands before it is the same however often a value is delivered.

use serde::Serialize;

use crate::units::{MetricValue, RunName, Step, Tag, serialize_f64};

/// The version of the format, in the `version` field of the first line.
pub const VERSION: u32 = 1;

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// The first line of all.
    Watch {
        /// That of the format.
        version: u32,
        /// Where the event files are.
        job_dir: String,
    },
    /// A tag that was not there before.
    Tag {
        /// Its run directory.
        run: RunName,
        /// The tag.
        tag: Tag,
        /// What it holds: `scalar`, `histogram`, `image` and so on.
        holds: &'static str,
    },
    /// A value.
    Point {
        /// The run directory.
        run: RunName,
        /// The tag.
        tag: Tag,
        /// The step.
        step: Step,
        /// The writer's clock, in seconds since the Unix epoch.
        #[serde(serialize_with = "serialize_f64")]
        wall_time: f64,
        /// The value; NaN and infinities as strings.
        value: MetricValue,
        /// The attempt of a restarted trainer, from 1.
        attempt: u32,
    },
    /// Values of a tag at this step and later ones that were delivered before are void; those that follow
    /// stand.
    Rewind {
        /// The run directory.
        run: RunName,
        /// The tag.
        tag: Tag,
        /// The first void step.
        from_step: Step,
        /// The attempt that begins.
        attempt: u32,
        /// How it is known: `session-start`, `falling-steps` or `still-writing`.
        reason: &'static str,
    },
    /// A stretch of a file that gave no event.
    Damage {
        /// The file, below job_dir.
        file: String,
        /// Where it starts, in bytes.
        offset: u64,
        /// Its length in bytes.
        bytes: u64,
        /// What is wrong there.
        damage: &'static str,
    },
    /// Another file stands where one was, or it was written anew: its values follow, and the old ones stay.
    Rewritten {
        /// The file, below job_dir.
        file: String,
    },
    /// Nothing follows.
    End {
        /// Why.
        reason: String,
        /// The exit code of the trainer, where it was started by us.
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// How many values were delivered, by this process and those before.
        points: u64,
        /// How many were left out, as was asked for.
        left_out: u64,
    },
}

/// Replaces `into` by lines as text, each with its `seq`, which rises by one from `first_seq`, and its `\n`.
pub fn encode_all(lines: &[Line], trial: Option<&str>, first_seq: u64, into: &mut String) {
    let mut text = std::mem::take(into).into_bytes();
    text.clear();
    for (line, seq) in lines.iter().zip(first_seq..) {
        encode_to(&mut text, line, trial);
        text.extend_from_slice(b",\"seq\":");
        text.extend_from_slice(seq.to_string().as_bytes());
        text.extend_from_slice(b"}\n");
    }
    *into = String::from_utf8(text).unwrap_or_default();
}

/// A line as text, without its `seq` and what follows that.
#[must_use]
pub fn encode(line: &Line, trial: Option<&str>) -> String {
    let mut text = Vec::new();
    encode_to(&mut text, line, trial);
    String::from_utf8(text).unwrap_or_default()
}

fn encode_to(text: &mut Vec<u8>, line: &Line, trial: Option<&str>) {
    // Memory takes all that is written.
    let _ = serde_json::to_writer(&mut *text, line);
    text.pop();
    if let Some(trial) = trial {
        text.extend_from_slice(b",\"trial\":");
        let _ = serde_json::to_writer(&mut *text, trial);
    }
}

/// What [`encode`] gave and the `seq` of a line that was delivered, without its end; `None` where it is no such
/// line.
#[must_use]
pub fn split(line: &str) -> Option<(&str, u64)> {
    let (text, seq) = line.strip_suffix('}')?.rsplit_once(",\"seq\":")?;
    Some((text, seq.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_that_ends_with_its_number() {
        #[track_caller]
        fn check(line: &Line, trial: Option<&str>, expected: &str) {
            let mut text = String::from("what was there");
            encode_all(std::slice::from_ref(line), trial, 7, &mut text);
            assert_eq!(text, format!("{expected}\n"));
            let (body, seq) = split(text.trim_end()).expect("it is a line");
            assert_eq!((body, seq), (&*encode(line, trial), 7));
        }
        let point = Line::Point {
            run: RunName::root(),
            tag: Tag::from("a \"b\""),
            step: Step(3),
            wall_time: 1.5,
            value: MetricValue::F32(f32::NAN),
            attempt: 1,
        };
        check(
            &point,
            Some("7"),
            r#"{"kind":"point","run":".","tag":"a \"b\"","step":3,"wall_time":1.5,"value":"NaN","attempt":1,"trial":"7","seq":7}"#,
        );
        check(
            &Line::Rewritten { file: "x,\"seq\":5}".into() },
            None,
            r#"{"kind":"rewritten","file":"x,\"seq\":5}","seq":7}"#,
        );
        assert_eq!(split("{\"kind\":\"x\"}"), None);
    }
}
