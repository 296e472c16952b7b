//! Typed access to the nodes of a document, with every problem collected.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::document::{Key, Node, Position, Value};
use super::{Problem, Severity};
use crate::limits::MAX_ARGUMENT_BYTES;

/// How alike an unknown field and a known one must be for the known one to be named, 0 to 1.
const ALIKE: f64 = 0.6;

/// Collects the problems of a file while it is read.
#[derive(Default)]
pub(super) struct Reader {
    problems: Vec<Problem>,
    /// The engines that there are; `None`: a name is taken as it is.
    engines: Option<Vec<String>>,
}

/// The fields of a mapping; those that nobody takes are unknown.
pub(super) struct Fields<'n> {
    path: String,
    entries: &'n [(Key, Node)],
    known: BTreeSet<String>,
}

impl Reader {
    pub(super) fn knowing(engines: Option<&[&str]>) -> Self {
        let engines = engines.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Self { engines, ..Self::default() }
    }

    /// The name of an engine.
    pub(super) fn engine(&mut self, node: &Node, path: &str) -> Option<String> {
        let Some(engines) = self.engines.clone() else { return self.text(node, path) };
        let choices: Vec<(&str, &str)> = engines.iter().map(|name| (name.as_str(), name.as_str())).collect();
        self.choice(node, path, &choices).map(str::to_owned)
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn error(&mut self, at: Position, path: &str, message: String, hint: Option<String>) {
        self.problems.push(Problem { severity: Severity::Error, at, path: path.to_owned(), message, hint });
    }

    pub(super) fn warn(&mut self, at: Position, path: &str, message: &str) {
        let (path, message) = (path.to_owned(), message.to_owned());
        self.problems.push(Problem { severity: Severity::Warning, at, path, message, hint: None });
    }

    pub(super) fn warn_with_hint(&mut self, at: Position, path: &str, message: &str, hint: String) {
        let (path, message) = (path.to_owned(), message.to_owned());
        self.problems.push(Problem { severity: Severity::Warning, at, path, message, hint: Some(hint) });
    }

    pub(super) fn note(&mut self, at: Position, path: &str, message: &str) {
        let (path, message) = (path.to_owned(), message.to_owned());
        self.problems.push(Problem { severity: Severity::Note, at, path, message, hint: None });
    }

    pub(super) fn wrong_type(&mut self, node: &Node, path: &str, want: &str) {
        self.error(node.at, path, format!("got {}, want {want}", node.value.describe()), None);
    }

    pub(super) fn fields<'n>(&mut self, node: &'n Node, path: &str) -> Option<Fields<'n>> {
        let Value::Map(entries) = &node.value else {
            self.wrong_type(node, path, "a mapping");
            return None;
        };
        let mut names = BTreeMap::new();
        for (key, _) in entries {
            if let Some(first) = names.insert(camel_case(&key.text), &key.text) {
                self.error(key.at, path, format!("`{}` is given twice, as `{first}` before", key.text), None);
            }
        }
        Some(Fields { path: path.to_owned(), entries, known: BTreeSet::new() })
    }

    pub(super) fn list<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [Node]> {
        let Value::List(items) = &node.value else {
            self.wrong_type(node, path, "a list");
            return None;
        };
        Some(items)
    }

    /// A scalar as it is spelled: `0.10` stays `0.10`.
    pub(super) fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        let Value::Scalar { text, .. } = &node.value else {
            self.wrong_type(node, path, "a text");
            return None;
        };
        // All of them may become arguments, or variables of the environment.
        let problem = match text.len() {
            _ if text.contains('\0') => "holds a NUL, which no argument of a program can".to_owned(),
            n if n > MAX_ARGUMENT_BYTES => {
                format!("is {n} bytes long, and an argument of a program holds {MAX_ARGUMENT_BYTES}")
            }
            _ => return Some(text.clone()),
        };
        self.error(node.at, path, problem, None);
        None
    }

    pub(super) fn texts(&mut self, node: &Node, path: &str) -> Vec<String> {
        let items = self.list(node, path).unwrap_or_default();
        items.iter().enumerate().filter_map(|(i, item)| self.text(item, &format!("{path}[{i}]"))).collect()
    }

    /// A finite number, quoted or not.
    pub(super) fn number(&mut self, node: &Node, path: &str) -> Option<f64> {
        let number = match &node.value {
            // Adding 0 makes a negative zero positive.
            Value::Scalar { text, .. } => text.parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| n + 0.0),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        };
        if number.is_none() {
            self.wrong_type(node, path, "a finite number");
        }
        number
    }

    /// A whole number, quoted or not; `3.0` and `1e3` are whole too.
    pub(super) fn integer(&mut self, node: &Node, path: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let number = match &node.value {
            Value::Scalar { text, .. } => text.parse::<i64>().ok().or_else(|| {
                let number: f64 = text.parse().ok()?;
                let is_exact = number.fract() == 0.0 && number.abs() <= (1_i64 << 53) as f64;
                is_exact.then_some(number as i64)
            }),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        };
        let Some(number) = number else {
            let is_large = matches!(&node.value, Value::Scalar { text, .. } if text.parse::<f64>().is_ok_and(|n| n.fract() == 0.0));
            let want = if is_large { "a whole number of at most 2^53" } else { "a whole number" };
            self.wrong_type(node, path, want);
            return None;
        };
        if range.contains(&number) {
            return Some(number);
        }
        let want = if *range.end() == i64::MAX {
            format!("at least {}", range.start())
        } else {
            format!("{} to {}", range.start(), range.end())
        };
        self.error(node.at, path, format!("got {number}, want {want}"), None);
        None
    }

    pub(super) fn boolean(&mut self, node: &Node, path: &str) -> Option<bool> {
        if let Value::Scalar { text, .. } = &node.value {
            match text.to_ascii_lowercase().as_str() {
                "true" => return Some(true),
                "false" => return Some(false),
                _ => {}
            }
        }
        self.wrong_type(node, path, "true or false");
        None
    }

    pub(super) fn choice<T: Copy>(&mut self, node: &Node, path: &str, choices: &[(&str, T)]) -> Option<T> {
        if let Value::Scalar { text, .. } = &node.value
            && let Some((_, choice)) = choices.iter().find(|(name, _)| name == text)
        {
            return Some(*choice);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let near = match &node.value {
            Value::Scalar { text, .. } => nearest_choice(text, &names),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        };
        let message = format!("got {}, want one of {}", node.value.describe(), names.join(", "));
        self.error(node.at, path, message, near.map(|name| format!("did you mean `{name}`?")));
        None
    }

    /// A time with its unit: `500ms`, `30s`, `10m`, `2h`, `1d`.
    pub(super) fn duration(&mut self, node: &Node, path: &str) -> Option<Duration> {
        let duration = match &node.value {
            Value::Scalar { text, .. } => parse_duration(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        };
        if duration.is_none() {
            self.wrong_type(node, path, "a time with its unit, such as 500ms, 30s, 10m, 2h or 1d");
        }
        duration
    }
}

/// A duration with its unit: `500ms`, `30s`, `10m`, `1.5h`, `2d`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

impl<'n> Fields<'n> {
    pub(super) fn entries(&self) -> impl Iterator<Item = &'n (Key, Node)> {
        self.entries.iter()
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| camel_case(&key.text) == name)
    }

    /// Where the field stands, if it does.
    pub(super) fn at(&self, name: &str) -> Option<Position> {
        let found = self.entries.iter().find(|(key, _)| camel_case(&key.text) == name);
        found.map(|(_, node)| node.at)
    }

    /// The field's node, unless it is absent or null. From now on the field is known.
    pub(super) fn take(&mut self, name: &str) -> Option<&'n Node> {
        self.known.insert(name.to_owned());
        let found = self.entries.iter().find(|(key, _)| camel_case(&key.text) == name);
        found.map(|(_, node)| node).filter(|node| !matches!(node.value, Value::Null))
    }

    /// Tells every field that was not taken.
    pub(super) fn finish(self, reader: &mut Reader) {
        for (key, _) in self.entries {
            let name = camel_case(&key.text);
            if self.known.contains(&name) {
                continue;
            }
            let likeness = |known: &&String| strsim::normalized_damerau_levenshtein(known, &name);
            let nearest = self.known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let hint = nearest
                .filter(|known| likeness(known) >= ALIKE)
                .map(|known| format!("did you mean `{known}`?"));
            reader.error(key.at, &self.path_of(&key.text), "unknown field".into(), hint);
        }
    }
}

/// The choice that a text may stand for: one that is the same but for case, `-` and `_`; one that it begins, or that begins
/// it; or one that is much like it.
fn nearest_choice<'c>(text: &str, names: &[&'c str]) -> Option<&'c str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let text = plain(text);
    let likeness = |name: &str| {
        let name = plain(name);
        let is_part = text.len() >= 3 && (name.starts_with(&text) || text.starts_with(&name));
        if is_part { 1.0 } else { strsim::normalized_damerau_levenshtein(&name, &text) }
    };
    let nearest = names.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(nearest) >= ALIKE).then_some(nearest)
}

/// The service's clients take `max_trials` for `maxTrials` too.
pub(super) fn camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut is_after_underscore = false;
    for c in name.chars() {
        if c == '_' && !out.is_empty() {
            is_after_underscore = true;
        } else if std::mem::take(&mut is_after_underscore) {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_its_unit() {
        #[track_caller]
        fn check(text: &str, expected_ms: Option<u64>) {
            assert_eq!(parse_duration(text), expected_ms.map(Duration::from_millis));
        }
        check("30s", Some(30_000));
        check("1.5m", Some(90_000));
        check("250ms", Some(250));
        check("2h", Some(7_200_000));
        check("0s", Some(0));
        check("30", None);
        check("s", None);
        check("-1s", None);
        check("1e999s", None);
        check("3 parsecs", None);
    }

    #[test]
    fn a_choice_is_known_in_any_spelling() {
        #[track_caller]
        fn check(text: &str, names: &[&str], expected: Option<&str>) {
            assert_eq!(nearest_choice(text, names), expected, "{text}");
        }
        let types = ["DOUBLE", "INTEGER", "DISCRETE", "CATEGORICAL"];
        for name in types {
            check(&name.to_lowercase(), &types, Some(name));
        }
        check("int", &types, Some("INTEGER"));
        check("Catagorical", &types, Some("CATEGORICAL"));
        check("FLOAT", &types, None);
        check("log", &["NONE", "UNIT_LOG_SCALE"], None);
        check("unit-log-scale", &["NONE", "UNIT_LOG_SCALE"], Some("UNIT_LOG_SCALE"));
        check("MAX", &["MAXIMIZE", "MINIMIZE"], Some("MAXIMIZE"));
        check("", &types, None);
    }
}
