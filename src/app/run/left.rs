//! Trials whose command ended before their work did.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Job;
use crate::limits::MAX_SCRIPT_BYTES;
use crate::objective::Seen;
use crate::objective::missing::Missing;
use crate::study::launcher::{Detached, detached, detached_in_script};

/// What to do where a command puts its work into the background.
const REMEDY: &str = "have the command last as long as its work: no `&` at its end, or `wait` behind it; `exec` for the \
                      last command of a script; or `hptune: {trial: {waitForChildren: true}}` in the configuration \
                      waits for all that it started";

impl Job<'_> {
    /// What there is to say of a trial whose work was left to processes that its command started.
    pub(super) fn explain_left(&self, named: &str, seen: &Seen) -> String {
        let mut said =
            format!("the command ended while {named}, which it started, still ran; that was ended with it");
        if seen.n_files == 0 {
            said += "; no event file was written";
        }
        said + "\n  hint: " + REMEDY
    }

    /// Adds to the reason why a trial wrote nothing that its command may return before its work is done.
    pub(super) fn suspect_launcher(&self, mut missing: Missing, seen: &Seen) -> Missing {
        if seen.n_files == 0
            && let Some(Detached { program, remedy }) =
                find_detached(&self.plan.words, &self.plan.job.directory)
        {
            missing.notes.push(format!(
                "`{program}` returns before what it starts has ended, and the trial ends with it: {remedy}, so that the \
                 command lasts as long as the training"
            ));
        }
        missing
    }
}

/// The command of these words that hands its work to somebody else: itself, or one in the shell's script that it is.
fn find_detached(words: &[String], directory: &Path) -> Option<Detached> {
    let all: Vec<&str> = words.iter().map(String::as_str).collect();
    let (program, rest) = all.split_first()?;
    let name = program.rsplit('/').next().unwrap_or(program);
    if !["sh", "ash", "bash", "dash", "ksh", "zsh"].contains(&name) {
        // Others are looked for in PATH, and are no script of the user's.
        return detached(&all)
            .or_else(|| program.contains('/').then(|| in_file(&directory.join(program)))?);
    }
    let takes_code = rest.iter().take_while(|word| word.starts_with('-'));
    let takes_code = takes_code.into_iter().any(|word| !word.starts_with("--") && word.contains('c'));
    let script = rest.iter().find(|word| !word.starts_with('-'))?;
    if takes_code { detached_in_script(script) } else { in_file(&directory.join(script)) }
}

/// The same in a file, where that is a shell's script.
fn in_file(path: &Path) -> Option<Detached> {
    let mut script = Vec::new();
    File::open(path).ok()?.take(MAX_SCRIPT_BYTES).read_to_end(&mut script).ok()?;
    let script = String::from_utf8_lossy(&script);
    let first = script.lines().next().unwrap_or_default();
    let is_shell =
        (first.starts_with("#!") && first.contains("sh")) || path.extension() == Some("sh".as_ref());
    is_shell.then(|| detached_in_script(&script))?
}
