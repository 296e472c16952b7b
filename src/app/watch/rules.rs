//! When a trainer is stopped without a controller: rules over the values that are delivered.

use std::collections::BTreeMap;

use crate::objective::{Split, is_preferred};
use crate::report::watch::Line;
use crate::units::{MetricValue, RunName, Step, Tag};

/// A rule such as `metric1 < 0.2 after 1000`.
#[derive(Debug, Clone, PartialEq)]
pub struct StopIf {
    tag: Tag,
    comparison: Comparison,
    threshold: f64,
    after: Option<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    const ALL: [(&'static str, Self); 4] =
        [("<=", Self::LessOrEqual), (">=", Self::GreaterOrEqual), ("<", Self::Less), (">", Self::Greater)];

    fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Less => value < threshold,
            Self::LessOrEqual => value <= threshold,
            Self::Greater => value > threshold,
            Self::GreaterOrEqual => value >= threshold,
        }
    }

    fn text(self) -> &'static str {
        Self::ALL.iter().find(|(_, comparison)| *comparison == self).map_or("", |(text, _)| text)
    }
}

impl std::str::FromStr for StopIf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let want = || format!("got `{text}`, want a rule such as `loss > 10 after 1000`");
        let at = text.rfind(['<', '>']).ok_or_else(want)?;
        let (tag, rest) = text.split_at(at);
        let (sign, comparison) =
            Comparison::ALL.into_iter().find(|(sign, _)| rest.starts_with(sign)).ok_or_else(want)?;
        let rest = rest.strip_prefix(sign).unwrap_or(rest);
        let (threshold, after) = match rest.split_once(" after ") {
            Some((threshold, after)) => (threshold, Some(Step(after.trim().parse().map_err(|_| want())?))),
            None => (rest, None),
        };
        let threshold: f64 = threshold.trim().parse().map_err(|_| want())?;
        if tag.trim().is_empty() || threshold.is_nan() {
            return Err(want());
        }
        Ok(Self { tag: Tag::from(tag.trim()), comparison, threshold, after })
    }
}

impl StopIf {
    /// The tag that it is about.
    #[must_use]
    pub fn tag(&self) -> &Tag {
        &self.tag
    }
}

/// Whether larger or smaller values are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Larger ones.
    Larger,
    /// Smaller ones.
    Smaller,
}

/// All rules.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Each on its own.
    pub stop_if: Vec<StopIf>,
    /// So many values of a tag in a row that are no better than the best before.
    pub patience: Option<(Tag, u64, Better)>,
    /// A value that is not finite.
    pub stop_on_nan: bool,
}

impl Rules {
    /// Whether there is none.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.stop_if.is_empty() && self.patience.is_none() && !self.stop_on_nan
    }
}

/// Judges the values as they come. A rewind takes back what it made void.
#[derive(Debug)]
pub(super) struct Judge {
    rules: Rules,
    /// The values of the tag that patience is about, for each run.
    values: BTreeMap<RunName, BTreeMap<Step, f64>>,
    is_decided: bool,
}

impl Judge {
    /// A judge that has seen nothing.
    #[must_use]
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, values: BTreeMap::new(), is_decided: false }
    }

    /// Takes a line; the answer is why the trainer is to be stopped, once.
    pub(super) fn handle(&mut self, line: &Line) -> Option<String> {
        if self.is_decided {
            return None;
        }
        let reason = match line {
            Line::Point { run, tag, step, value, .. } => self.judge(run, tag, *step, *value),
            Line::Rewind { run, tag, from_step, .. } => {
                if self.rules.patience.as_ref().is_some_and(|(of, ..)| of == tag) {
                    self.values.entry(run.clone()).or_default().split_off(from_step);
                }
                None
            }
            Line::Watch { .. }
            | Line::Tag { .. }
            | Line::Damage { .. }
            | Line::Rewritten { .. }
            | Line::End { .. } => None,
        };
        self.is_decided = reason.is_some();
        reason
    }

    /// Whether the tag that patience is about is in a run, too, whose data a job would rather go by.
    fn is_beside_a_better(&self, run: &RunName) -> bool {
        let split = Split::of_run(run);
        self.values.keys().any(|other| is_preferred(Split::of_run(other), split))
    }

    fn judge(&mut self, run: &RunName, tag: &Tag, step: Step, value: MetricValue) -> Option<String> {
        let number = value.as_f64();
        if self.rules.stop_on_nan && !number.is_finite() {
            return Some(format!("`{tag}` is {value} at step {step}"));
        }
        for StopIf { tag: of, comparison, threshold, after } in &self.rules.stop_if {
            if of == tag && after.is_none_or(|after| step >= after) && comparison.holds(number, *threshold) {
                let (text, after) = (comparison.text(), after.map(|step| format!(" after {step}")));
                let after = after.unwrap_or_default();
                return Some(format!("`{tag}` is {value} at step {step}: {tag} {text} {threshold}{after}"));
            }
        }
        let (of, patience, better) = self.rules.patience.clone()?;
        if of != *tag {
            return None;
        }
        let is_beside_a_better = self.is_beside_a_better(run);
        let values = self.values.entry(run.clone()).or_default();
        values.insert(step, number);
        let is_better = |new: f64, best: f64| match better {
            Better::Larger => new > best,
            Better::Smaller => new < best,
        };
        let mut best: Option<(Step, f64)> = None;
        let mut n_since = 0;
        for (step, value) in values.iter() {
            // A value that is not finite is never the best.
            if value.is_finite() && best.is_none_or(|(_, best)| is_better(*value, best)) {
                (best, n_since) = (Some((*step, *value)), 0);
            } else {
                n_since += 1;
            }
        }
        // Only what lies behind the best matters from here on.
        if let Some((best, _)) = best {
            *values = values.split_off(&best);
        }
        let (best_step, best) = best?;
        (n_since >= patience && !is_beside_a_better).then(|| {
            format!("the last {n_since} values of `{tag}` are no better than {best} at step {best_step}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(rules: Rules, values: &[(i64, f64)]) -> Option<(i64, String)> {
        let mut judge = Judge::new(rules);
        values.iter().find_map(|(step, value)| {
            let line = Line::Point {
                run: RunName::root(),
                tag: Tag::from("m x"),
                step: Step(*step),
                wall_time: 0.0,
                value: MetricValue::F64(*value),
                attempt: 1,
            };
            judge.handle(&line).map(|reason| (*step, reason))
        })
    }

    #[test]
    fn a_rule_is_read_from_its_text() {
        #[track_caller]
        fn check(text: &str, expected: Option<(&str, Comparison, f64, Option<i64>)>) {
            let expected = expected.map(|(tag, comparison, threshold, after)| StopIf {
                tag: Tag::from(tag),
                comparison,
                threshold,
                after: after.map(Step),
            });
            assert_eq!(text.parse::<StopIf>().ok(), expected, "{text}");
        }
        check("metric1 < 0.2 after 1000", Some(("metric1", Comparison::Less, 0.2, Some(1000))));
        check("a > b>=1e-3", Some(("a > b", Comparison::GreaterOrEqual, 1e-3, None)));
        check("loss after all > 3", Some(("loss after all", Comparison::Greater, 3.0, None)));
        for text in ["", "loss", "loss <", "< 3", "loss < x", "loss < nan", "loss < 3 after x"] {
            check(text, None);
        }
    }

    #[test]
    fn a_threshold_counts_after_its_step() {
        let rules = Rules { stop_if: vec!["m x < 0.2 after 3".parse().expect("a rule")], ..Rules::default() };
        let (step, reason) = judge(rules, &[(1, 0.1), (2, 0.1), (3, 0.5), (4, 0.1)]).expect("it stops");
        assert_eq!((step, &*reason), (4, "`m x` is 0.1 at step 4: m x < 0.2 after 3"));
    }

    #[test]
    fn patience_ends_after_so_many_values_without_progress() {
        let rules = |better| Rules { patience: Some((Tag::from("m x"), 2, better)), ..Rules::default() };
        let values = [(1, 1.0), (2, 2.0), (3, f64::NAN), (4, 2.5), (5, 2.5), (6, 2.4), (7, 9.0)];
        assert_eq!(judge(rules(Better::Larger), &values).map(|(step, _)| step), Some(6));
        assert_eq!(judge(rules(Better::Smaller), &values).map(|(step, _)| step), Some(3));
        assert_eq!(judge(rules(Better::Larger), &values[..5]), None);
    }

    #[test]
    fn patience_goes_by_validation_where_there_is_some() {
        let rules = Rules { patience: Some((Tag::from("m"), 2, Better::Smaller)), ..Rules::default() };
        let mut judge = Judge::new(rules);
        let mut stops_at = |run: &str, values: &[f64]| {
            values.iter().position(|value| {
                let value = MetricValue::F64(*value);
                let step = Step((value.as_f64() * 1000.0) as i64);
                let (run, tag) = (RunName::from(run), Tag::from("m"));
                judge.handle(&Line::Point { run, tag, step, wall_time: 0.0, value, attempt: 1 }).is_some()
            })
        };
        assert_eq!(stops_at("val", &[0.1]), None);
        assert_eq!(stops_at("train", &[0.1, 0.2, 0.3, 0.4]), None);
        assert_eq!(stops_at("val", &[0.2, 0.3, 0.4]), Some(1));
    }

    #[test]
    fn what_is_not_finite_stops_where_it_shall() {
        let rules = |stop_on_nan| Rules { stop_on_nan, ..Rules::default() };
        let values = [(1, 1.0), (2, f64::INFINITY)];
        assert_eq!(judge(rules(true), &values).map(|(step, _)| step), Some(2));
        assert_eq!(judge(rules(false), &values), None);
    }
}
