//! Numbers as people read them.

use crate::units::shortest;

/// A number to five significant digits.
pub(super) fn brief(value: f64) -> String {
    if !value.is_finite() {
        return shortest(value);
    }
    let rounded: f64 = format!("{value:.4e}").parse().unwrap_or(value);
    shortest(rounded)
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
}
