//! Sizes, times and texts as people read them, in as many columns as there are.

use unicode_width::UnicodeWidthChar;

use crate::plot::printable as name;

/// Lines indented by so much are to be pasted, or somebody else's: they are never broken.
const VERBATIM_INDENT: usize = 4;

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

/// How many columns a line takes on a terminal; styles take none.
pub(super) fn width(line: &str) -> usize {
    let mut is_style = false;
    let mut columns = 0;
    for c in line.chars() {
        if is_style {
            is_style = c != 'm';
        } else if c == '\x1b' {
            is_style = true;
        } else {
            columns += c.width().unwrap_or(0);
        }
    }
    columns
}

/// The beginning of an unstyled line that takes more than `columns`, with `…` behind it, cut between words where one ends
/// in its last third.
#[cfg(feature = "jobs")]
pub(super) fn cut(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    let mut taken = 0;
    let mut fits = |c: char| {
        taken += c.width().unwrap_or(0);
        taken < columns
    };
    let n_bytes = line.chars().take_while(|c| fits(*c)).map(char::len_utf8).sum();
    let beginning: &str = line.get(..n_bytes).unwrap_or_default();
    let is_at_word = line.get(n_bytes..).is_some_and(|rest| rest.starts_with(' '));
    let words = beginning.rfind(' ').and_then(|at| beginning.get(..at));
    let kept = match words.filter(|words| !is_at_word && 3 * width(words) >= 2 * columns) {
        Some(words) => format!("{} ", words.trim_end()),
        None => beginning.trim_end().to_owned(),
    };
    if columns == 0 { String::new() } else { kept + "…" }
}

/// A text whose lines take at most `columns` each, broken between words. What stands between backquotes, and lines that are
/// indented by four blanks or more, are not broken: they are to be pasted.
pub(super) fn wrap(text: &str, columns: usize) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| wrap_line(line, columns)).collect();
    lines.join("\n")
}

fn wrap_line(line: &str, columns: usize) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    if indent >= VERBATIM_INDENT || width(line) <= columns {
        return line.to_owned();
    }
    hang(line, columns, indent + 2).join("\n")
}

/// A line in lines of at most `columns`, broken between words, the further ones behind `indent` blanks. A word that is
/// longer has a line to itself.
pub(super) fn hang(line: &str, columns: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for word in unbroken(line) {
        let is_first = current.trim_end().is_empty();
        if !is_first && width(&current) + width(word.trim_end()) > columns {
            lines.push(std::mem::replace(&mut current, " ".repeat(indent)).trim_end().to_owned());
        }
        current += word;
    }
    lines.push(current.trim_end().to_owned());
    lines
}

/// The pieces of a line that may stand in different lines, each with the blanks behind it.
fn unbroken(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let mut is_quoted = false;
        let mut is_behind = false;
        let end = rest.char_indices().find_map(|(at, c)| {
            is_quoted ^= c == '`';
            if is_behind && c != ' ' {
                return Some(at);
            }
            is_behind = c == ' ' && !is_quoted;
            None
        });
        let (piece, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind;
        Some(piece).filter(|piece| !piece.is_empty())
    })
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
    fn lines_are_broken_between_words() {
        #[track_caller]
        fn check(text: &str, columns: usize, expected: &str) {
            assert_eq!(wrap(text, columns), expected);
        }
        check("note: the trainer writes to ./runs", 20, "note: the trainer\n  writes to ./runs");
        check("a `hptune jobs why J 2` b", 12, "a\n  `hptune jobs why J 2`\n  b");
        check("  hint: give it\nshort", 12, "  hint: give\n    it\nshort");
        check("    python3 train.py --lr=0.1", 10, "    python3 train.py --lr=0.1");
        check("averyverylongword then", 8, "averyverylongword\n  then");
        check("\x1b[1mbold words\x1b[0m", 10, "\x1b[1mbold words\x1b[0m");
        check("漢字 漢字", 8, "漢字\n  漢字");
    }

    #[cfg(feature = "jobs")]
    #[test]
    fn what_is_too_long_is_cut_between_words() {
        #[track_caller]
        fn check(text: &str, columns: usize, expected: &str) {
            assert_eq!(cut(text, columns), expected);
            assert!(width(&cut(text, columns)) <= columns);
        }
        check("abcd", 4, "abcd");
        check("abcd", 3, "ab…");
        check("lr=0.01 layers=3", 14, "lr=0.01 layer…");
        check("lr=0.01 layers=3 x=1", 18, "lr=0.01 layers=3 …");
        check("lr=0.01 layers=3 x=1", 17, "lr=0.01 layers=3…");
        check("漢字漢字", 5, "漢字…");
        check("ab", 0, "");
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
