//! What one line of a metrics file or of a log of reports says.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::{HypertuneEntry, Parsed};
use crate::units::{MetricValue, Step, WallTime};

/// The keys of a line that are not a metric's tag.
const OTHER_KEYS: [&str; 4] = ["timestamp", "trial", "global_step", "checkpoint_path"];

/// Whether a line is whole: JSON of any kind.
pub(super) fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<Value>(line).is_ok()
}

/// A line without an entry as a log of reports has it: as a JSON string, which half a line never is.
pub(super) fn wrapped(line: &[u8]) -> Vec<u8> {
    Value::from(String::from_utf8_lossy(line)).to_string().into_bytes()
}

/// The line that was wrapped; any other as it is.
pub(super) fn unwrapped(line: &[u8]) -> Cow<'_, [u8]> {
    match serde_json::from_slice::<String>(line) {
        Ok(text) => Cow::Owned(text.into_bytes()),
        Err(_) => Cow::Borrowed(line),
    }
}

/// Reads one line.
pub(super) fn parse(line: &[u8]) -> Parsed {
    let object: Option<Map<String, Value>> = serde_json::from_slice(line).ok().or_else(|| {
        // Python's own encoder writes NaN and Infinity bare.
        let text = std::str::from_utf8(line).ok()?;
        serde_json::from_str(&quote_bare_words(text)).ok()
    });
    let mut parsed = Parsed::default();
    let Some(object) = object else { return Parsed { n_unreadable: 1, ..parsed } };
    let step = object.get("global_step").map_or(Some(Step(0)), step);
    let wall_time = object.get("timestamp").and_then(clock).unwrap_or(f64::NAN);
    for (tag, value) in object.iter().filter(|(key, _)| !OTHER_KEYS.contains(&key.as_str())) {
        match (step, number(value)) {
            (Some(step), Some(value)) => parsed.entries.push(HypertuneEntry {
                tag: tag.clone(),
                step,
                wall_time: WallTime(wall_time),
                value: MetricValue::F64(value),
            }),
            (None, _) | (_, None) => parsed.n_unreadable += 1,
        }
    }
    if parsed.entries.is_empty() && parsed.n_unreadable == 0 {
        parsed.n_unreadable = 1;
    }
    parsed
}

/// A number, or a string that spells one as Python does (`nan` and `inf` too).
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A step; none was given where there is nothing, or Python's `None`.
fn step(value: &Value) -> Option<Step> {
    match value {
        Value::Null => return Some(Step(0)),
        Value::String(text) if ["", "None"].contains(&text.trim()) => return Some(Step(0)),
        _ => {}
    }
    let whole = match value {
        Value::Number(n) => n.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    // Beyond the range of steps is the nearest one.
    whole.or_else(|| number(value).filter(|step| !step.is_nan()).map(|step| step as i64)).map(Step)
}

/// Seconds since the Unix epoch, by a number or a date.
fn clock(value: &Value) -> Option<f64> {
    number(value).or_else(|| {
        let text = value.as_str()?.trim();
        let utc = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
        let at = text.parse::<Timestamp>().ok().or_else(utc)?;
        Some(at.as_microsecond() as f64 / 1e6)
    })
}

/// Puts quotes round the bare words `NaN`, `Infinity` and `-Infinity`, which Python and JavaScript libraries write though
/// JSON has no such numbers.
#[must_use]
pub fn quote_bare_words(line: &str) -> String {
    let mut quoted = String::with_capacity(line.len());
    let (mut is_inside, mut is_escaped) = (false, false);
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let word =
            ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| !is_inside && rest.starts_with(word));
        if let Some(word) = word {
            quoted.extend(["\"", word, "\""]);
            rest = rest.get(word.len()..).unwrap_or("");
            continue;
        }
        (is_inside, is_escaped) = match (is_inside, c) {
            (true, _) if is_escaped => (true, false),
            (true, '\\') => (true, true),
            (_, '"') => (!is_inside, false),
            _ => (is_inside, false),
        };
        quoted.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or("");
    }
    quoted
}
