//! Numbers as people read them.

use crate::study::{Domain, ParamValue, Parameter, Trial};
use crate::units::shortest;

/// How many digits tell any two floats apart.
const MAX_DIGITS: usize = 17;

/// How many digits of a number are shown at least.
const MIN_DIGITS: usize = 4;

/// A number to five significant digits.
pub(super) fn brief(value: f64) -> String {
    rounded(value, 5)
}

/// A number to so many significant digits.
pub(super) fn rounded(value: f64, n_digits: usize) -> String {
    if !value.is_finite() {
        return shortest(value);
    }
    let rounded: f64 = format!("{value:.*e}", n_digits.saturating_sub(1)).parse().unwrap_or(value);
    shortest(rounded)
}

/// How many significant digits tell these numbers apart: four, or as many more as that takes.
pub(super) fn digits_apart(values: impl Iterator<Item = f64>) -> usize {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let are_apart = |n_digits: &usize| {
        let texts: Vec<String> = values.iter().map(|value| rounded(*value, *n_digits)).collect();
        texts.iter().zip(texts.iter().skip(1)).all(|(a, b)| a != b)
    };
    (MIN_DIGITS..MAX_DIGITS).find(are_apart).unwrap_or(MAX_DIGITS)
}

/// How the values of a parameter are shown: those of a range in as few digits as tell the trials apart, all others as they
/// are.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShownValues {
    n_digits: Option<usize>,
}

impl ShownValues {
    /// Of a parameter in these trials.
    pub(super) fn of<'t>(parameter: &Parameter, trials: impl Iterator<Item = &'t Trial>) -> Self {
        let number = |trial: &Trial| match trial.params.get(&parameter.name) {
            Some(ParamValue::Number(number)) => Some(*number),
            Some(ParamValue::Text(_)) | None => None,
        };
        let is_range = matches!(parameter.domain, Domain::Double { .. });
        Self { n_digits: is_range.then(|| digits_apart(trials.filter_map(number))) }
    }

    pub(super) fn show(self, value: &ParamValue) -> String {
        match (value, self.n_digits) {
            (ParamValue::Number(number), Some(n_digits)) => rounded(*number, n_digits),
            (ParamValue::Number(_) | ParamValue::Text(_), _) => value.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(brief(0.978_272_999), "0.97827");
        assert_eq!(brief(f64::NAN), "NaN");
        assert_eq!(brief(1234.5678), "1234.6");
    }

    #[test]
    fn as_few_digits_are_shown_as_tell_numbers_apart() {
        let digits = |values: &[f64]| digits_apart(values.iter().copied());
        assert_eq!(digits(&[]), 4);
        assert_eq!(digits(&[0.1, 0.1, f64::NAN]), 4);
        assert_eq!(digits(&[0.012_345_678, 0.012_345_999]), 6);
        assert_eq!(digits(&[1.0, 1.0 + f64::EPSILON]), 17);
        assert_eq!(rounded(0.012_345_678, 6), "0.0123457");
    }
}
