//! What each verb does, as one loop over the layers below.
//!
//! Layer 9: may import every layer. It prints nothing: what there is to tell is handed to
//! [`crate::cli`].

pub mod cancel;
pub mod choice;
pub mod demo;
pub mod doctor;
pub mod export;
pub mod gathered;
mod hparams;
pub mod inspect;
mod job_dir;
pub mod jobs;
mod origin;
mod packages;
pub mod plot;
pub mod prepare;
pub mod run;
pub mod run_choice;
pub mod tuner;
pub mod verify;
pub mod watch;

use std::fmt;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::limits::{LOG_TAIL_BYTES, LOG_TAIL_LINES};

/// Why a verb could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// Whose fault it is.
    pub kind: FailureKind,
    /// What happened and where.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Whose fault a failure is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The arguments or the configuration: exit code 2.
    Usage,
    /// The outside: exit code 3; trying again may help.
    Outside,
}

impl Failure {
    /// A fault of the arguments or the configuration.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Usage, message: message.into(), hint: None }
    }

    /// A fault of the outside.
    pub fn outside(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Outside, message: message.into(), hint: None }
    }

    /// The same with a way out.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            FailureKind::Usage => 2,
            FailureKind::Outside => 3,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The end of a log.
fn log_tail(log: &Path) -> io::Result<String> {
    let mut file = fs::File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of a log.
fn last_lines(log: &Path) -> io::Result<Vec<String>> {
    let text = log_tail(log)?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(LOG_TAIL_LINES);
    Ok(lines.iter().skip(from).map(|line| (*line).to_owned()).collect())
}

/// A text as a shell takes it for one word.
#[must_use]
pub fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_quoted_text_for_one_word() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(quoted(text), expected);
        }
        check("runs/a_1.0", "runs/a_1.0");
        check("it's $x", r"'it'\''s $x'");
        check("", "''");
    }
}
