//! What is known of a tag without keeping its points.

use crate::scalar::{Content, Kind};
use crate::units::{MetricValue, Step};

/// Counts and extremes of one tag of one run directory, over every value of every attempt.
#[derive(Debug, Clone)]
pub struct TagSummary {
    /// What the tag holds; where values disagree, the first that is no scalar.
    pub kind: Kind,
    /// How many values were written.
    pub n_values: u64,
    /// How many of them are NaN or infinite.
    pub n_non_finite: u64,
    /// The smallest step.
    pub min_step: Step,
    /// The largest step.
    pub max_step: Step,
    /// The scalar at the largest step; of several, the last written.
    pub last: Option<MetricValue>,
    /// The smallest finite scalar.
    pub min: Option<MetricValue>,
    /// The largest finite scalar.
    pub max: Option<MetricValue>,
}

impl TagSummary {
    /// The summary of a single value.
    #[must_use]
    pub fn new(step: Step, content: &Content) -> Self {
        let kind = match content {
            Content::Scalar(_) => Kind::Scalar,
            Content::Other(kind) => *kind,
        };
        let mut summary = Self {
            kind,
            n_values: 0,
            n_non_finite: 0,
            min_step: step,
            max_step: step,
            last: None,
            min: None,
            max: None,
        };
        summary.add(step, content);
        summary
    }

    /// Takes one more value.
    pub fn add(&mut self, step: Step, content: &Content) {
        self.n_values += 1;
        match content {
            Content::Other(kind) if self.kind == Kind::Scalar => self.kind = *kind,
            Content::Other(_) => {}
            Content::Scalar(value) => {
                if step >= self.max_step {
                    self.last = Some(*value);
                }
                if value.is_finite() {
                    let number = value.widen();
                    if self.min.is_none_or(|min| number < min.widen()) {
                        self.min = Some(*value);
                    }
                    if self.max.is_none_or(|max| number > max.widen()) {
                        self.max = Some(*value);
                    }
                } else {
                    self.n_non_finite += 1;
                }
            }
        }
        self.min_step = self.min_step.min(step);
        self.max_step = self.max_step.max(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_leave_out_what_is_not_finite() {
        let scalar = |v: f64| Content::Scalar(MetricValue::F64(v));
        let mut summary = TagSummary::new(Step(0), &scalar(0.5));
        summary.add(Step(20), &scalar(f64::NAN));
        summary.add(Step(10), &scalar(f64::INFINITY));
        summary.add(Step(5), &scalar(0.25));
        assert_eq!((summary.n_values, summary.n_non_finite), (4, 2));
        assert_eq!((summary.min_step, summary.max_step), (Step(0), Step(20)));
        assert_eq!(summary.last, Some(MetricValue::F64(f64::NAN)));
        assert_eq!(summary.min, Some(MetricValue::F64(0.25)));
        assert_eq!(summary.max, Some(MetricValue::F64(0.5)));
    }
}
