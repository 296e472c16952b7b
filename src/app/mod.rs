//! What each verb does, as one loop over the layers below.
//!
//! Layer 9: may import every layer. It prints nothing: what there is to tell is handed to
//! [`crate::cli`].

pub mod delete;
pub mod demo;
pub mod doctor;
pub mod export;
pub mod hparams;
pub mod inspect;
mod job_dir;
pub mod jobs;
mod packages;
pub mod plot;
pub mod prepare;
mod program;
pub mod request;
pub mod run;
pub mod run_choice;
pub mod trial_table;
pub mod tuner;
mod tuner_request;
pub mod verify;
pub mod watch;
pub mod why;

use std::fmt;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tfevents::LogDir;
use tfevents::disk::Root;

use crate::edge::files;
use crate::limits::LOG_TAIL_BYTES;
use crate::objective::FilterError;
use crate::study::log_excerpt;

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
    /// The store is locked or has no room for now: exit code 3; trying again helps.
    Busy,
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
            FailureKind::Outside | FailureKind::Busy => 3,
        }
    }
}

impl From<FilterError> for Failure {
    fn from(error: FilterError) -> Self {
        let failure = Self::usage(error.to_string());
        match error.with_plain_brackets() {
            Some(plain) => {
                failure.with_hint(format!("where brackets are meant as characters: {}", quoted(&plain)))
            }
            None => failure,
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

/// The last bytes of a log.
fn log_tail(log: &Path, n_bytes: u64) -> io::Result<String> {
    let mut file = fs::File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(n_bytes)))?;
    let mut bytes = Vec::new();
    file.take(n_bytes).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The lines of a log that say why a program failed, for people.
fn last_words(log: &Path) -> String {
    let lines = log_excerpt(&log_tail(log, LOG_TAIL_BYTES).unwrap_or_default());
    if lines.is_empty() { "it printed nothing".into() } else { lines.join("\n    ") }
}

/// The event files at or below some paths, to be read by a verb.
fn open_logs(verb: &str, paths: &[PathBuf]) -> Result<LogDir, Failure> {
    open_root(verb, paths).map(LogDir::of)
}

/// Where they are, without a look at what is there.
fn open_root(verb: &str, paths: &[PathBuf]) -> Result<Root, Failure> {
    files::open(paths).map_err(|(path, e)| {
        let message = format!("{}: {e}", path.display());
        let failure = match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
                Failure::usage(message)
            }
            _ => Failure::outside(message),
        };
        match pattern_hint(verb, &path) {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    })
}

/// What to do where no file has the name of an event file, and some are event files all the same.
#[must_use]
pub fn unnamed_hint(verb: &str, paths: &[PathBuf]) -> Option<String> {
    let mut found = Vec::new();
    let mut has_more = false;
    for path in paths {
        let (there, more) = files::event_files_by_content(path);
        has_more |= more;
        found.extend(there);
    }
    let command: Vec<String> = found.iter().map(|path| quoted(&path.display().to_string())).collect();
    let (are, names) = match &*found {
        [] => return None,
        [_] => ("file is an event file", "its name"),
        _ => ("files are event files", "their names"),
    };
    let n = if has_more { format!("more than {}", found.len()) } else { found.len().to_string() };
    Some(format!(
        "{n} {are} without `tfevents` in {names}; a file that is named itself is read: hptune {verb} {}",
        command.join(" ")
    ))
}

/// What to do about a path that is not there and has a pattern's `*` or `?` in it, which shells leave where nothing
/// matches, or where it is quoted.
#[must_use]
pub fn pattern_hint(verb: &str, path: &Path) -> Option<String> {
    let is_pattern = |name: &str| name.contains(['*', '?', '[']);
    let text = path.to_str().filter(|text| is_pattern(text) && !path.exists())?;
    let parts: Vec<&str> = text.split('/').collect();
    let at = parts.iter().position(|part| is_pattern(part))?;
    let (directory, pattern) = parts.split_at(at);
    let directory = match directory {
        [] => ".".to_owned(),
        [""] => "/".to_owned(),
        parts => parts.join("/"),
    };
    let (directory, pattern) = (quoted(&directory), format!("'{}'", pattern.join("/")));
    Some(match verb {
        "verify" | "inspect" => format!("no path matches the pattern {pattern} in {directory}"),
        _ => format!(
            "patterns are the shell's affair, and match nothing between quotes; runs are chosen with --run: \
             hptune {verb} {directory} --run {pattern}"
        ),
    })
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
    fn a_pattern_that_is_no_path_is_answered_with_the_flag_for_it() {
        #[track_caller]
        fn check(verb: &str, path: &str, expected: Option<&str>) {
            let hint = pattern_hint(verb, Path::new(path));
            assert_eq!(hint.is_some(), expected.is_some(), "{hint:?}");
            assert!(hint.unwrap_or_default().ends_with(expected.unwrap_or_default()));
        }
        check("plot", "runs/seed?", Some("hptune plot runs --run 'seed?'"));
        check("export", "*/a", Some("hptune export . --run '*/a'"));
        check("doctor", "/no-such/*", Some("hptune doctor /no-such --run '*'"));
        check("verify", "runs/*", Some("no path matches the pattern '*' in runs"));
        check("plot", "runs/seed1", None);
    }

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
