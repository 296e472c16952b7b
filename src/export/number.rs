//! Numbers as text, in the digits of [`MetricValue`]'s own.
//!
//! Layer 6. The formatters of the standard library take several times as long.

use std::io::Write;

use crate::units::MetricValue;

/// Appends the text that a value's [`Display`](std::fmt::Display) gives.
#[inline]
pub(super) fn push(value: MetricValue, text: &mut Vec<u8>) {
    let is_pushed = match value {
        MetricValue::I64(v) => push_integer(v, text),
        MetricValue::U64(v) => push_integer(v, text),
        // Beyond 2^23 all are whole.
        MetricValue::F32(v) => match small_integer(v.into()) {
            Some(integer) => push_integer(integer, text),
            None => v.abs() > 1e-5 && v.abs() < 8_388_608.0 && push_float(v, text),
        },
        MetricValue::F64(v) => match small_integer(v) {
            Some(integer) => push_integer(integer, text),
            None => has_one_shortest(v) && push_float(v, text),
        },
    };
    if !is_pushed {
        // Writing to memory does not fail.
        let _ = write!(text, "{value}");
    }
}

fn push_integer(integer: impl itoa::Integer, text: &mut Vec<u8>) -> bool {
    text.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes());
    true
}

fn push_float(number: impl zmij::Float, text: &mut Vec<u8>) -> bool {
    text.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
    true
}

/// The integer that a number is, where it is written in the same digits.
#[inline]
fn small_integer(value: f64) -> Option<i64> {
    let integer = value as i64;
    let is_same = integer as f64 == value && value.abs() < 1e15;
    // -0 has its sign.
    (is_same && (integer != 0 || value.is_sign_positive())).then_some(integer)
}

/// Whether all formatters write a number in the same plain digits: no two of the shortest decimals that read back to it are
/// equally near.
///
/// Of two such with d digits behind the point the number lies in the middle: it is an odd multiple of 2^-(d+1). With 2^-e for
/// a unit in its last place, d is 0.302 e + 1 at most, for then decimals lie closer than these units. So its last
/// e - d - 1 bits are zero: more than 8 of them below 2^37, where e is 16 or more.
#[inline]
fn has_one_shortest(value: f64) -> bool {
    let is_plain = (1e-5..(1_u64 << 37) as f64).contains(&value.abs());
    is_plain && value.to_bits().trailing_zeros() < 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(value: MetricValue) {
        let mut text = Vec::new();
        push(value, &mut text);
        assert_eq!(String::from_utf8(text).expect("it is text"), value.to_string(), "{value:?}");
    }

    #[test]
    fn numbers_between_two_shortest_decimals_are_written_as_they_print() {
        for whole in [0_i64, 1, 7, 1 << 20, 1_700_000_000, 1 << 36, 1 << 40, 1 << 47, 1 << 50] {
            for shift in 0..24 {
                for odd in [1, 3, 5, 7, 127] {
                    check(MetricValue::F64(whole as f64 + f64::from(odd) / f64::from(1 << shift)));
                    check(MetricValue::F32(whole as f32 + odd as f32 / (1 << shift) as f32));
                }
            }
        }
        for value in [0.0, -0.0, f64::NAN, f64::INFINITY, 1e-5, 1e15, 1e16, 1e300, 5e-324] {
            check(MetricValue::F64(value));
            check(MetricValue::F64(-value));
            check(MetricValue::F32(value as f32));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_number_is_written_as_it_prints(
            bits in any::<u64>(),
            clock in 0.0..2e9,
            digits in -20_000_000_i64..20_000_000,
            shift in 0..40,
        ) {
            check(MetricValue::F32(f32::from_bits(bits as u32)));
            check(MetricValue::F64(f64::from_bits(bits)));
            check(MetricValue::F64(clock));
            check(MetricValue::F64(f64::from_bits(clock.to_bits() >> (shift % 16) << (shift % 16))));
            check(MetricValue::F64(digits as f64 / 10_f64.powi(shift % 9)));
            check(MetricValue::F32((digits as f64 / 10_f64.powi(shift % 9)) as f32));
            check(MetricValue::I64(bits.cast_signed() >> shift));
            check(MetricValue::U64(bits >> shift));
        }
    }
}
