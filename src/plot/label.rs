//! Names and numbers as they stand in a chart.
//!
//! Imports nothing of this crate and does no IO. Names come from files of others: nothing that moves
//! a cursor, turns the writing direction or is no XML leaves here.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A name on one line, with everything that does not print spelled out.
#[must_use]
pub fn printable(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '\u{200E}'
            | '\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2066}'..='\u{2069}'
            | '\u{FFFE}'
            | '\u{FFFF}' => {
                out.extend(c.escape_unicode());
            }
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// A value to five significant digits, with an exponent where plain digits would run long.
pub(super) fn brief(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let rounded: f64 = format!("{value:.4e}").parse().unwrap_or(value);
    if rounded != 0.0 && !(1e-4..1e7).contains(&rounded.abs()) {
        format!("{rounded:e}")
    } else {
        rounded.to_string()
    }
}

/// How many columns of a terminal a text takes.
pub(super) fn columns(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// A text in at most `width` columns, its middle given for an ellipsis where it is longer: names of
/// runs tell their difference at either end.
pub(super) fn fit(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let Some(kept) = width.checked_sub(1) else { return String::new() };
    let head = take(text.chars(), kept.div_ceil(2));
    let tail = take(text.chars().rev(), kept / 2);
    head.into_iter().chain(['…']).chain(tail.into_iter().rev()).collect()
}

/// The first characters that fit into `width` columns.
fn take(chars: impl Iterator<Item = char>, width: usize) -> Vec<char> {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_print_is_spelled_out() {
        assert_eq!(printable("\u{1b}[31mred\u{7}\n\tö\u{202e}x"), "\\u{1b}[31mred\\u{7}\\n\\tö\\u{202e}x");
        assert_eq!(printable("日本 loss/α"), "日本 loss/α");
    }

    #[test]
    fn values_are_short() {
        #[track_caller]
        fn check(value: f64, expected: &str) {
            assert_eq!(brief(value), expected);
        }
        check(0.978_272_999, "0.97827");
        check(1_234_567.0, "1234600");
        check(3.2e-7, "3.2e-7");
        check(-0.0, "-0");
        check(f64::NAN, "NaN");
        check(f64::INFINITY, "inf");
    }

    #[test]
    fn a_long_name_loses_its_middle() {
        #[track_caller]
        fn check(text: &str, width: usize, expected: &str) {
            assert_eq!(fit(text, width), expected);
            assert!(columns(expected) <= width);
        }
        check("train/loss", 10, "train/loss");
        check("trial-1/train/loss", 9, "tria…loss");
        check("日本語の名前", 7, "日…前");
        check("abc", 1, "…");
        check("abc", 0, "");
    }
}
