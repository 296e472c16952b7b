//! Sizes, times and texts as people read them.

use crate::plot::printable as name;

/// A time in seconds, such as `0.44 s`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0 => format!("{seconds:.2} s"),
        1..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A number of bytes, such as `512 B`, `1.5 KiB`, `90 MiB`.
pub(super) fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if value < 10.0 && unit != "B" { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// A text of somebody else, with everything that does not print but line ends and tabs spelled out: it does not move the
/// cursor, change colours or the writing direction, or ring the bell.
pub(super) fn printable(text: &str) -> String {
    let piece = |piece: &str| match piece.strip_suffix(['\n', '\t']) {
        Some(line) => name(line) + piece.get(line.len()..).unwrap_or_default(),
        None => name(piece),
    };
    text.split_inclusive(['\n', '\t']).map(piece).collect()
}

/// A text with styles of our own, likewise: bold, dim and the colours of curves stay.
pub(super) fn printable_styled(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let mut out = printable(pieces.next().unwrap_or_default());
    for piece in pieces {
        let is_style = |codes: &str| codes.chars().all(|c| c.is_ascii_digit() || c == ';');
        match piece.split_once('m').filter(|(codes, _)| is_style(codes)) {
            Some((codes, rest)) => out += &format!("\x1b[{codes}m{}", printable(rest)),
            None => out += &printable(&format!("\x1b[{piece}")),
        }
    }
    out
}

/// A document for programs, in which a control character but a line end or a tab can only stand in a text: JSON, and YAML in
/// double quotes, may spell it out there.
pub(super) fn document(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' && c != '\t' {
            out += &format!("\\u{:04x}", u32::from(c));
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
    fn sizes_and_times_are_short() {
        assert_eq!([size(512), size(1536), size(90 << 20)], ["512 B", "1.5 KiB", "90 MiB"]);
        assert_eq!(duration(0.444), "0.44 s");
        assert_eq!(duration(200.0), "3 min 20 s");
        assert_eq!(duration(7500.0), "2 h 5 min");
    }

    #[test]
    fn what_does_not_print_is_spelled_out() {
        assert_eq!(
            printable("\u{1b}[31mred\u{7}\n\tö\u{9b}\u{202e}"),
            "\\u{1b}[31mred\\u{7}\n\tö\\u{9b}\\u{202e}"
        );
        assert_eq!(
            printable_styled("\u{1b}[1mbold\u{1b}[0m\u{1b}[2J\u{7}"),
            "\u{1b}[1mbold\u{1b}[0m\\u{1b}[2J\\u{7}"
        );
        assert_eq!(document("{\"a\": \"\u{9b}\u{7f}\"}\n"), "{\"a\": \"\\u009b\\u007f\"}\n");
    }
}
