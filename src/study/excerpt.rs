//! The lines of a log that say why a program failed.
//!
//! Those are the last ones; but launchers (torchrun, accelerate) write a summary behind the error of the process that
//! failed, others warn while they end, and a progress bar is one long line.

use crate::limits::{LOG_TAIL_LINES, MAX_ERROR_LINES, MAX_LOG_LINE_CHARS};

/// What launchers say of a process that failed: its own error says more.
const OF_LAUNCHERS: [&str; 5] = [
    "ChildFailedError",
    "CalledProcessError",
    "ProcessRaisedException",
    "ProcessExitedException",
    "srun: error",
];

/// What programs say of an error in other words than `…Error: …`.
const OTHERS: [&str; 8] = [
    "Segmentation fault",
    "terminate called after",
    " panicked at ",
    "panic: ",
    "fatal: ",
    "Fatal Python error",
    "Bus error",
    "Out of memory",
];

/// The last lines of a log, oldest first; where no error is among them, the last lines above that name one come before,
/// and `…` where lines are left out between. Blank lines are left out, and of a line that was written over (a progress
/// bar) only what stands last is taken.
#[must_use]
pub fn log_excerpt(log: &str) -> Vec<String> {
    let lines: Vec<String> = log.lines().map(shown).filter(|line| !line.trim().is_empty()).collect();
    let (above, last) = lines.split_at(lines.len().saturating_sub(LOG_TAIL_LINES));
    let mut excerpt: Vec<String> = Vec::new();
    if !last.iter().any(|line| is_error(line)) {
        // The same of several processes is said once.
        let mut errors: Vec<(usize, &String)> = Vec::new();
        for (at, line) in above.iter().enumerate().rev().filter(|(_, line)| is_error(line)) {
            if errors.len() < MAX_ERROR_LINES && errors.iter().all(|(_, known)| *known != line) {
                errors.push((at, line));
            }
        }
        errors.reverse();
        excerpt.extend(errors.iter().map(|(_, line)| (*line).clone()));
        let is_cut = errors.last().is_some_and(|(at, _)| at + 1 < above.len());
        excerpt.extend(is_cut.then(|| "…".to_owned()));
    }
    excerpt.extend_from_slice(last);
    excerpt
}

/// A line as a terminal shows it: what stands behind its last carriage return, without colours.
fn shown(line: &str) -> String {
    let last = line.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or_default();
    let (mut plain, mut n_chars) = (String::new(), 0);
    let mut chars = last.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // To the letter that ends the sequence.
            if chars.next() == Some('[') {
                chars.by_ref().find(|c| ('@'..='~').contains(c));
            }
            continue;
        }
        if n_chars == MAX_LOG_LINE_CHARS {
            plain.push('…');
            break;
        }
        plain.push(c);
        n_chars += 1;
    }
    plain
}

/// Whether a line names an error, as languages write them: `ValueError: …`, `torch.OutOfMemoryError: …`, `ERROR: …`,
/// `t.py: error: …`, `Exception in thread …`.
fn is_error(line: &str) -> bool {
    if line.contains("Warning")
        || line.contains("Exception ignored")
        || OF_LAUNCHERS.iter().any(|of| line.contains(of))
    {
        return false;
    }
    OTHERS.iter().any(|other| line.contains(other))
        || line.starts_with("Error in ")
        || line.starts_with("Exception in ")
        || ["error", "exception", "interrupt"].iter().any(|word| names(line, word))
}

/// Whether a word that ends in this one stands before a colon with more behind it than a number, or, as `KeyError`
/// without a message, alone at the end.
fn names(line: &str, word: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    lower.match_indices(word).any(|(at, _)| {
        let Some(behind) = line.get(at + word.len()..) else { return false };
        match behind.strip_prefix(':') {
            // A metric may be called `val_error`.
            Some(said) => said.trim().parse::<f64>().is_err() && !said.starts_with(':'),
            // Nothing but the name of a class, perhaps with its module.
            None => {
                behind.is_empty() && line.get(at..at + 1).is_some_and(|c| c.starts_with(char::is_uppercase))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(log: &str, expected: &[&str]) {
        assert_eq!(log_excerpt(log), expected, "{log}");
    }

    #[test]
    fn the_line_that_names_the_error_is_shown() {
        check("", &[]);
        check("a\n\nb\n", &["a", "b"]);
        check("a\nb\nc\nd\ne\nf\n", &["b", "c", "d", "e", "f"]);
        // It is among the last ones.
        check("ValueError: x\na\nb\nc\nKeyError: 'y'\nd\n", &["a", "b", "c", "KeyError: 'y'", "d"]);
        // Behind it something else was said.
        check("x\nValueError: x\na\nb\nc\nd\ne\nf\n", &["ValueError: x", "…", "b", "c", "d", "e", "f"]);
        check("x\nValueError: x\nb\nc\nd\ne\nf\n", &["ValueError: x", "b", "c", "d", "e", "f"]);
        // That of a launcher is none, and that of several processes one.
        let rank = "[rank0]: torch.OutOfMemoryError: CUDA out of memory.\n".repeat(3);
        let torchrun =
            "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:\n====\na\nb\nc\nd\n";
        check(
            &format!("{rank}{torchrun}"),
            &["[rank0]: torch.OutOfMemoryError: CUDA out of memory.", "…", "====", "a", "b", "c", "d"],
        );
        // What it came from is named too.
        check(
            "KeyError: 'a'\nAssertionError\n1\n2\n3\n4\n5",
            &["KeyError: 'a'", "AssertionError", "1", "2", "3", "4", "5"],
        );
    }

    #[test]
    fn errors_are_known_in_several_languages() {
        for line in [
            "RuntimeError: CUDA out of memory",
            "torch.cuda.OutOfMemoryError: CUDA out of memory",
            "  raise: builtins.StopIterationError",
            "AssertionError",
            "KeyboardInterrupt",
            "t.py: error: unrecognized arguments: --x",
            "ERROR: LoadError: UndefVarError: `x` not defined",
            "Error in train(lr) : object 'x' not found",
            "Exception in thread \"main\" java.lang.IllegalStateException: no",
            "thread 'main' panicked at src/main.rs:3:5:",
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "line 3: 12 Segmentation fault (core dumped)",
        ] {
            assert!(is_error(line), "{line}");
        }
        for line in [
            "UserWarning: RuntimeError: may come",
            "val_error: 0.25",
            "mean absolute error: 3e-2",
            "  error_file: <N/A>",
            "Exception ignored in: <function f>",
            "subprocess.CalledProcessError: Command '['python']' returned non-zero exit status 1.",
            "step 3: loss 0.3, error",
            "[W socket.cpp:663] failed to connect (errno: 99 - Cannot assign requested address)",
        ] {
            assert!(!is_error(line), "{line}");
        }
    }

    #[test]
    fn a_line_that_was_written_over_is_what_stands_last() {
        check("\r 1%|# |\r99%|###|\nValueError: x", &["99%|###|", "ValueError: x"]);
        check(" 1%|# |\r99%|###|\r\nb", &["99%|###|", "b"]);
        check("\u{1b}[31mValueError\u{1b}[0m: x", &["ValueError: x"]);
        let long = "é".repeat(MAX_LOG_LINE_CHARS + 1);
        check(&long, &[&*("é".repeat(MAX_LOG_LINE_CHARS) + "…")]);
    }
}
