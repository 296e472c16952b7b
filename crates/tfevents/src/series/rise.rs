//! Values of one tag whose steps rise, as one: what a summary or [`Stretches`](super::Stretches) take of them at once.

use super::stretch::Added;
use crate::units::{MetricValue, Step, WallTime};

/// Float32 values of one tag that follow each other, each at a larger step than the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rise {
    /// How many there are, 1 or more.
    pub(super) n: u32,
    /// How many of them are NaN or infinite.
    pub(super) n_non_finite: u32,
    pub(super) first_step: Step,
    /// The step of the last but one; where there is only one, its step.
    pub(super) before: Step,
    pub(super) last_step: Step,
    last_clock: WallTime,
    last_value: f32,
    /// The widest difference of two steps that follow each other.
    pub(super) widest: u64,
    /// The earliest and the latest clock; infinite where all are NaN.
    clocks: (f64, f64),
    /// The smallest and the largest finite value, of several that are equal the first; infinite where there are none.
    extremes: (f32, f32),
}

impl Rise {
    /// One value.
    #[inline]
    pub(crate) fn new(step: Step, clock: WallTime, value: f32) -> Self {
        let mut rise = Self {
            n: 0,
            n_non_finite: 0,
            first_step: step,
            before: step,
            last_step: step,
            last_clock: clock,
            last_value: value,
            widest: 0,
            clocks: (f64::INFINITY, f64::NEG_INFINITY),
            extremes: (f32::INFINITY, f32::NEG_INFINITY),
        };
        rise.take(step, clock, value);
        rise
    }

    /// Takes the next value. False, with nothing changed, where its step is not larger than the last.
    #[inline]
    pub(crate) fn push(&mut self, step: Step, clock: WallTime, value: f32) -> bool {
        let rises = step > self.last_step;
        if rises {
            self.take(step, clock, value);
        }
        rises
    }

    #[inline]
    fn take(&mut self, step: Step, clock: WallTime, value: f32) {
        self.n += 1;
        self.widest = self.widest.max(step.0.abs_diff(self.last_step.0));
        (self.before, self.last_step) = (self.last_step, step);
        (self.last_clock, self.last_value) = (clock, value);
        self.clocks = (self.clocks.0.min(clock.0), self.clocks.1.max(clock.0));
        if value.is_finite() {
            let (min, max) = &mut self.extremes;
            if value < *min {
                *min = value;
            }
            if value > *max {
                *max = value;
            }
        } else {
            self.n_non_finite += 1;
        }
    }

    /// The last value.
    pub(super) fn last(&self) -> Added {
        let value = Some(MetricValue::F32(self.last_value));
        Added { step: self.last_step, clock: self.last_clock, value }
    }

    /// The earliest and the latest clock; `None` where all are NaN.
    pub(super) fn clocks(&self) -> Option<(WallTime, WallTime)> {
        let (first, last) = self.clocks;
        (first <= last).then_some((WallTime(first), WallTime(last)))
    }

    /// The smallest and the largest finite value.
    pub(super) fn extremes(&self) -> Option<(MetricValue, MetricValue)> {
        let (min, max) = self.extremes;
        (self.n_non_finite < self.n).then_some((MetricValue::F32(min), MetricValue::F32(max)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scalar::Content;
    use crate::series::{Stretches, TagSummary};

    /// What a writer of a tag does.
    #[derive(Debug, Clone)]
    enum Does {
        Writes { by: i64, n: u32, value: f32, clock: f64 },
        BeginsSession(i64),
    }

    fn does() -> impl Strategy<Value = Does> {
        let by = prop_oneof![6 => Just(1_i64), 2 => 2_i64..5, 1 => -30_i64..1, 1 => -3000_i64..3000];
        let clock = prop_oneof![8 => 0.0..1e9, 1 => Just(f64::NAN), 1 => Just(-1.0)];
        let writes = (by, 1_u32..12, any::<f32>(), clock);
        prop_oneof![
            20 => writes.prop_map(|(by, n, value, clock)| Does::Writes { by, n, value, clock }),
            1 => (0_i64..60).prop_map(Does::BeginsSession),
        ]
    }

    /// A value, and how many sessions there were.
    type Written = (usize, Step, WallTime, f32);

    /// The values one by one.
    fn values(all: &[Does]) -> (Vec<Step>, Vec<Written>) {
        let (mut sessions, mut values, mut at) = (Vec::new(), Vec::new(), 0_i64);
        for does in all {
            match does {
                Does::BeginsSession(step) => sessions.push(Step(*step)),
                Does::Writes { by, n, value, clock } => {
                    for i in 0..*n {
                        at += if i == 0 { *by } else { 1 };
                        let clock = WallTime(clock + f64::from(i));
                        values.push((sessions.len(), Step(at), clock, value + i as f32));
                    }
                }
            }
        }
        (sessions, values)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn values_at_once_are_as_each_of_them(
            all in prop::collection::vec(does(), 0..40),
            lengths in prop::collection::vec(1_usize..40, 1..8),
        ) {
            let (sessions, values) = values(&all);
            let first = values.first().map_or(Step(0), |(_, step, ..)| *step);
            let (mut one_by_one, mut at_once) = (Stretches::default(), Stretches::default());
            let (mut summary, mut summary_at_once) = (TagSummary::new(first), TagSummary::new(first));
            let add = |stretches: &mut Stretches, summary: &mut TagSummary, part: &[Written]| {
                for (n_sessions, step, clock, value) in part {
                    let value = MetricValue::F32(*value);
                    stretches.add(&sessions[..*n_sessions], *step, *clock, Some(value));
                    summary.add(&sessions[..*n_sessions], *step, *clock, &Content::Scalar(value));
                }
            };
            add(&mut one_by_one, &mut summary, &values);
            let (mut rest, mut lengths) = (&values[..], lengths.iter().cycle());
            while let Some((n_sessions, step, clock, value)) = rest.first() {
                let mut rise = Rise::new(*step, *clock, *value);
                let length = lengths.next().copied().unwrap_or(1).min(rest.len());
                let n_more = rest[1..length]
                    .iter()
                    .take_while(|(n, step, clock, value)| n == n_sessions && rise.push(*step, *clock, *value))
                    .count();
                let (part, later) = rest.split_at(1 + n_more);
                let accepts = at_once.accepts(*n_sessions, &rise);
                prop_assert_eq!(summary_at_once.accepts(*n_sessions, &rise), accepts);
                if accepts {
                    at_once.take_rise(&rise);
                    summary_at_once.take_rise(&rise);
                } else {
                    add(&mut at_once, &mut summary_at_once, part);
                }
                rest = later;
            }
            prop_assert_eq!(format!("{at_once:?}"), format!("{one_by_one:?}"));
            prop_assert_eq!(format!("{summary_at_once:?}"), format!("{summary:?}"));
        }
    }

    #[test]
    fn values_that_rise_evenly_are_taken_at_once() {
        let mut stretches = Stretches::default();
        for step in 0..6 {
            stretches.add(&[], Step(step), WallTime(1.0), None);
        }
        assert!(stretches.accepts(0, &Rise::new(Step(6), WallTime(1.0), 0.5)));
        assert!(!stretches.accepts(0, &Rise::new(Step(5), WallTime(1.0), 0.5)));
        assert!(!stretches.accepts(1, &Rise::new(Step(6), WallTime(1.0), 0.5)));
    }
}
