//! Axes: what range is shown, where a value lies in it, and which round numbers are written beside it.
//!
//! Imports the types of this module and does no IO. Ranges are halved before they are subtracted: the
//! span of all floats is no float.

use super::Scale;

/// Spans below this share of the values themselves are noise of the last digits, not a range.
const MIN_RELATIVE_SPAN: f64 = 1e-14;

/// The least half span: dividing by it overflows nothing.
const MIN_HALF_SPAN: f64 = 1e-290;

/// A range of values along one side of a chart: `low < high`, finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    scale: Scale,
    /// Of a logarithmic axis, the decimal logarithms.
    low: f64,
    high: f64,
}

/// A round number on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    /// Where it lies, as [`Axis::share`].
    pub(super) share: f64,
    /// The number, short.
    pub(super) label: String,
}

/// Which ticks an axis may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grain {
    /// Whole numbers only: steps are counted.
    Whole,
    /// Any.
    Fine,
}

impl Axis {
    /// The axis on which all these values can be shown: those that are not finite, and those that a
    /// logarithm does not take, are passed over. Equal values get a range around them, none 0 to 1.
    pub(super) fn over(values: impl Iterator<Item = f64>, scale: Scale) -> Self {
        match scale {
            Scale::Linear => Self::linear(values),
            Scale::Log => {
                let logs = Self::linear(values.filter(|value| *value > 0.0).map(f64::log10));
                // A range of equal values is one decade, not a share of the exponent.
                let middle = logs.low / 2.0 + logs.high / 2.0;
                let half = (logs.high / 2.0 - logs.low / 2.0).max(1e-9);
                Self { scale, low: middle - half, high: middle + half }
            }
        }
    }

    /// As [`Axis::over`], linear.
    pub(super) fn linear(values: impl Iterator<Item = f64>) -> Self {
        let range = values.filter(|value| value.is_finite()).fold(None, |range, value| match range {
            None => Some((value, value)),
            Some((low, high)) => Some((value.min(low), value.max(high))),
        });
        let (low, high) = range.unwrap_or((0.0, 1.0));
        let half = high / 2.0 - low / 2.0;
        let size = low.abs().max(high.abs());
        if half > (size * MIN_RELATIVE_SPAN).max(MIN_HALF_SPAN) {
            return Self { scale: Scale::Linear, low, high };
        }
        let middle = low / 2.0 + high / 2.0;
        let pad = if size == 0.0 { 1.0 } else { (size * 0.05).max(MIN_HALF_SPAN * 4.0) };
        Self { scale: Scale::Linear, low: finite(middle - pad), high: finite(middle + pad) }
    }

    #[cfg(feature = "pictures")]
    /// The axis with a margin at both ends, as a share of its length.
    pub(super) fn with_margin(self, share: f64) -> Self {
        let margin = (self.high / 2.0 - self.low / 2.0) * share * 2.0;
        Self { low: finite(self.low - margin), high: finite(self.high + margin), ..self }
    }

    /// Where a value lies between the low end (0) and the high end (1). What lies outside, or nowhere,
    /// is taken to an end.
    pub(super) fn share(&self, value: f64) -> f64 {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Log => value.log10(),
        };
        let share = (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }

    /// Round numbers along the axis, rising, at most `n_max` of them, which is at least 2; at least
    /// three where `n_max` is 6 or more and the grain allows it.
    pub(super) fn ticks(&self, n_max: usize, grain: Grain) -> Vec<Tick> {
        let (values, labels) = match self.scale {
            Scale::Linear => self.linear_ticks(n_max, grain),
            Scale::Log => self.log_ticks(n_max),
        };
        values
            .into_iter()
            .zip(labels)
            .map(|(value, label)| Tick { share: self.share(value), label })
            .collect()
    }

    /// As [`Axis::ticks`], and finer ones, up to `n_most` along the whole axis, in a part of it where most of the values lie.
    #[cfg(feature = "pictures")]
    pub(super) fn dense_ticks(&self, n_max: usize, n_most: usize, crowd: Option<(f64, f64)>) -> Vec<Tick> {
        let plain = self.ticks(n_max, Grain::Fine);
        let Some((low, high)) = crowd.filter(|_| n_most > n_max) else { return plain };
        let mut fine = self.ticks(n_most, Grain::Fine);
        let apart = 0.8 / n_most as f64;
        let is_at = |a: &Tick, b: &Tick| (a.share - b.share).abs() < 1e-9;
        let is_whole = plain.iter().all(|tick| fine.iter().any(|other| is_at(tick, other)));
        // The finer ones of a crowd and their next neighbours, all written in one manner where the plain ones are among them.
        let step = fine.iter().zip(fine.iter().skip(1)).map(|(a, b)| b.share - a.share).fold(apart, f64::max);
        let is_kept = |tick: &Tick| plain.iter().any(|other| is_at(tick, other));
        let is_crowded = |tick: &Tick| (low - step * 0.6..=high + step * 0.6).contains(&tick.share);
        if is_whole {
            fine.retain(|tick| is_kept(tick) || is_crowded(tick));
            return fine;
        }
        fine.retain(|tick| {
            is_crowded(tick) && plain.iter().all(|other| (other.share - tick.share).abs() >= apart)
        });
        fine.extend(plain);
        fine.sort_by(|a, b| a.share.total_cmp(&b.share));
        fine
    }

    /// Where the multiples of the powers of ten lie on a logarithmic axis over more than one and not too many decades.
    #[cfg(feature = "pictures")]
    pub(super) fn minor_ticks(&self) -> Vec<f64> {
        if self.scale == Scale::Linear || !(1.0..9.0).contains(&(self.high - self.low)) {
            return Vec::new();
        }
        let exponents = self.low.floor() as i32..=self.high.ceil() as i32;
        let logs = exponents
            .flat_map(|exponent| (2..10).map(move |digit| f64::from(digit).log10() + f64::from(exponent)));
        let share = |log: f64| (log - self.low) / (self.high - self.low);
        logs.map(share).filter(|share| (0.0..=1.0).contains(share)).collect()
    }

    fn linear_ticks(&self, n_max: usize, grain: Grain) -> (Vec<f64>, Vec<String>) {
        let half = self.high / 2.0 - self.low / 2.0;
        let first_exponent = half.log10().floor() as i32 - 2;
        let steps = (first_exponent..first_exponent + 6)
            .flat_map(|exponent| {
                [(10, exponent - 1), (20, exponent - 1), (25, exponent - 1), (50, exponent - 1)]
            })
            .map(|(digits, exponent)| TickStep { digits, exponent });
        for step in steps.filter(|step| grain == Grain::Fine || step.is_whole()) {
            let size = step.size();
            let (first, last) = ((self.low / size).ceil(), (self.high / size).floor());
            let n = last - first + 1.0;
            if n > n_max as f64 {
                continue;
            }
            let n = if n.is_finite() { n.max(0.0) as usize } else { 0 };
            // Adding zero makes a plain zero of a negative one.
            let values: Vec<f64> = (0..n).map(|i| (first + i as f64) * size + 0.0).collect();
            let labels = step.labels(&values);
            return (values, labels);
        }
        (Vec::new(), Vec::new())
    }

    fn log_ticks(&self, n_max: usize) -> (Vec<f64>, Vec<String>) {
        let power = |digit: u32, exponent: i64| format!("{digit}e{exponent}").parse().unwrap_or(0.0);
        let (first, last) = (self.low.floor() as i64, self.high.ceil() as i64);
        // The ends were powers once: what rounding pushed out is let in again.
        let slack = (self.high - self.low) * 1e-9;
        let is_inside =
            |value: &f64| *value > 0.0 && (self.low - slack..=self.high + slack).contains(&value.log10());
        let of_digits = |digits: &[u32], stride: i64| -> Vec<f64> {
            (first..=last)
                .filter(|exponent| exponent % stride == 0)
                .flat_map(|exponent| digits.iter().map(move |digit| power(*digit, exponent)))
                .filter(is_inside)
                .collect()
        };
        let decades = [1, 2, 3, 5, 10, 20, 50, 100, 200].into_iter().map(|stride| of_digits(&[1], stride));
        let finer = [of_digits(&[1, 2, 5], 1), of_digits(&[1, 2, 3, 4, 5, 6, 7, 8, 9], 1)];
        let candidates: Vec<Vec<f64>> = decades.chain(finer).collect();
        let of_at_least = |n_min: usize| {
            let values = candidates.iter().find(|values| (n_min..=n_max).contains(&values.len()))?;
            Some((values.clone(), values.iter().map(|value| lone_label(*value)).collect()))
        };
        let linear = || -> (Vec<f64>, Vec<String>) {
            let power = |exponent: f64| finite(10f64.powf(exponent));
            let ends = [power(self.low), power(self.high)];
            let (values, labels) = Axis::linear(ends.into_iter()).linear_ticks(n_max, Grain::Fine);
            values.into_iter().zip(labels).filter(|(value, _)| is_inside(value)).unzip()
        };
        of_at_least(3)
            // Over more than a decade equal steps would crowd at one end.
            .or_else(|| Some(linear()).filter(|(values, _)| values.len() >= 3 && self.high - self.low < 1.0))
            .or_else(|| of_at_least(2))
            .unwrap_or_else(linear)
    }
}

fn finite(value: f64) -> f64 {
    value.clamp(f64::MIN, f64::MAX)
}

/// A number on its own.
fn lone_label(value: f64) -> String {
    if (1e-4..1e5).contains(&value) { value.to_string() } else { format!("{value:e}") }
}

/// The distance between two ticks: `digits * 10^exponent`, two digits.
#[derive(Clone, Copy)]
struct TickStep {
    digits: u32,
    exponent: i32,
}

impl TickStep {
    fn size(self) -> f64 {
        format!("{}e{}", self.digits, self.exponent).parse().unwrap_or(f64::MAX)
    }

    fn is_whole(self) -> bool {
        self.n_decimals() == 0
    }

    /// How many digits behind the point a multiple has.
    fn n_decimals(self) -> usize {
        let exponent = if self.digits.is_multiple_of(10) { self.exponent + 1 } else { self.exponent };
        usize::try_from(-exponent).unwrap_or(0)
    }

    /// Multiples of the step as text, all in one manner.
    fn labels(self, values: &[f64]) -> Vec<String> {
        const UNITS: [(f64, i32, &str); 4] = [(1e12, 12, "T"), (1e9, 9, "G"), (1e6, 6, "M"), (1e3, 3, "k")];
        let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        if (1e5..1e15).contains(&largest) {
            for (unit, exponent, name) in UNITS {
                let scaled = Self { exponent: self.exponent - exponent, ..self };
                if (unit..unit * 1e3).contains(&largest) && scaled.n_decimals() <= 2 {
                    let label = |value: &f64| match *value {
                        0.0 => "0".to_owned(),
                        value => format!("{:.*}{name}", scaled.n_decimals(), value / unit),
                    };
                    return values.iter().map(label).collect();
                }
            }
        }
        if (1e-3..1e15).contains(&largest) && self.n_decimals() <= 9 || largest == 0.0 {
            return values.iter().map(|value| format!("{value:.*}", self.n_decimals().min(9))).collect();
        }
        let step = self.size();
        let n_digits = |value: f64| ((value.abs() / step).log10().floor().max(0.0) as usize + 1).min(17);
        let label = |value: &f64| match *value {
            0.0 => "0".to_owned(),
            value => {
                let rounded: f64 = format!("{value:.*e}", n_digits(value)).parse().unwrap_or(value);
                format!("{rounded:e}")
            }
        };
        values.iter().map(label).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(axis: Axis, n_max: usize, grain: Grain, expected: &[&str]) {
        let ticks = axis.ticks(n_max, grain);
        let labels: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, expected);
        assert!(ticks.windows(2).all(|pair| pair[0].share < pair[1].share), "{ticks:?}");
    }

    fn linear(low: f64, high: f64) -> Axis {
        Axis::over([low, high].into_iter(), Scale::Linear)
    }

    fn log(low: f64, high: f64) -> Axis {
        Axis::over([low, high].into_iter(), Scale::Log)
    }

    #[test]
    fn linear_ticks_are_round_numbers() {
        check(linear(0.0, 1.0), 6, Grain::Fine, &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        check(linear(0.013, 0.987), 6, Grain::Fine, &["0.2", "0.4", "0.6", "0.8"]);
        check(linear(0.0, 0.0001), 6, Grain::Fine, &["0", "2e-5", "4e-5", "6e-5", "8e-5", "1e-4"]);
        check(linear(-1.0, 1.0), 6, Grain::Fine, &["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
        check(linear(0.0, 2_000_000.0), 6, Grain::Whole, &["0", "0.5M", "1.0M", "1.5M", "2.0M"]);
        check(linear(0.0, 120_000.0), 6, Grain::Whole, &["0", "25k", "50k", "75k", "100k"]);
        check(
            linear(1_000_000.0, 1_000_004.0),
            6,
            Grain::Whole,
            &["1000000", "1000001", "1000002", "1000003", "1000004"],
        );
        check(
            linear(-1e308, 1.7e308),
            6,
            Grain::Fine,
            &["-1e308", "-5e307", "0", "5e307", "1e308", "1.5e308"],
        );
    }

    #[test]
    fn steps_are_counted_in_whole_numbers() {
        check(linear(0.0, 3.0), 10, Grain::Whole, &["0", "1", "2", "3"]);
        check(linear(0.0, 10.0), 6, Grain::Whole, &["0", "2", "4", "6", "8", "10"]);
        check(linear(7.0, 7.0), 6, Grain::Whole, &["7"]);
        check(linear(-20.0, 5.0), 4, Grain::Whole, &["-20", "-10", "0"]);
    }

    #[test]
    fn logarithmic_ticks_are_powers_where_there_are_enough() {
        check(log(1e-4, 1.0), 6, Grain::Fine, &["0.0001", "0.001", "0.01", "0.1", "1"]);
        check(log(1e-12, 1.0), 6, Grain::Fine, &["1e-12", "1e-9", "1e-6", "0.001", "1"]);
        check(log(0.9, 90.0), 6, Grain::Fine, &["1", "2", "5", "10", "20", "50"]);
        check(log(0.3, 0.5), 6, Grain::Fine, &["0.3", "0.4", "0.5"]);
        check(log(0.31, 0.32), 6, Grain::Fine, &["0.310", "0.312", "0.314", "0.316", "0.318", "0.320"]);
        check(log(1e-5, 0.5), 3, Grain::Fine, &["0.0001", "0.01"]);
        check(log(5e-324, 1.7e308), 6, Grain::Fine, &["1e-200", "1", "1e200"]);
    }

    #[test]
    fn equal_values_get_a_range_around_them() {
        check(linear(0.7, 0.7), 6, Grain::Fine, &["0.68", "0.70", "0.72"]);
        check(linear(0.0, 0.0), 6, Grain::Fine, &["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(linear(0.7, 0.7).share(0.7), 0.5);
        assert_eq!(log(0.7, 0.7).share(0.7), 0.5);
        assert_eq!(log(1.0, 1.0).share(1.0), 0.5);
    }

    #[test]
    #[cfg(feature = "pictures")]
    fn where_values_crowd_there_are_more_ticks() {
        #[track_caller]
        fn check(axis: Axis, crowd: (f64, f64), expected: &[&str]) {
            let ticks = axis.dense_ticks(6, 16, Some(crowd));
            let labels: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
            assert_eq!(labels, expected);
            assert!(ticks.windows(2).all(|pair| pair[1].share - pair[0].share > 0.04), "{ticks:?}");
        }
        check(linear(0.0, 1.0), (0.9, 0.98), &["0.0", "0.2", "0.4", "0.6", "0.8", "0.9", "1.0"]);
        check(linear(0.0, 2.4), (0.0, 0.1), &["0.0", "0.2", "0.5", "1.0", "1.5", "2.0"]);
        assert_eq!(linear(0.0, 1.0).dense_ticks(6, 16, None), linear(0.0, 1.0).ticks(6, Grain::Fine));
        assert_eq!(log(1e-4, 1.0).minor_ticks().len(), 32);
        assert_eq!(linear(0.0, 1.0).minor_ticks().len(), 0);
    }

    #[test]
    fn every_axis_has_a_length_and_few_ticks() {
        let values = [0.0, 5e-324, 1e-300, 1e-9, 0.1, 1.0, 1.0 + f64::EPSILON, 1e15, 9.2e18, 1e300, f64::MAX];
        let signed = || values.into_iter().chain(values.map(|value| -value));
        for (low, high) in signed().flat_map(|low| signed().map(move |high| (low, high))) {
            for axis in [linear(low, high), log(low, high), linear(low, high).with_margin(0.05)] {
                assert!(axis.low < axis.high && axis.low.is_finite() && axis.high.is_finite(), "{axis:?}");
                for grain in [Grain::Fine, Grain::Whole] {
                    for n_max in 2..12 {
                        let ticks = axis.ticks(n_max, grain);
                        assert!(ticks.len() <= n_max, "{axis:?} {ticks:?}");
                        assert!(
                            n_max < 6 || grain == Grain::Whole || ticks.len() > 2,
                            "{axis:?} {n_max} {ticks:?}"
                        );
                        assert!(ticks.iter().all(|tick| tick.label.len() < 25), "{axis:?} {ticks:?}");
                    }
                }
            }
        }
    }
}
