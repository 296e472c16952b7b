//! Why a trainer failed, as far as its log tells.

use std::path::Path;

use super::Job;
use crate::app::{last_words, log_tail, quoted};
use crate::limits::COMPLAINT_BYTES;
use crate::study::CommandLine;
use crate::study::launch::TRIAL_DIR_VARIABLE;

/// What parsers of arguments say of one that they do not know: argparse, absl, click, fire, transformers, hydra, getopt,
/// Go's flag.
const COMPLAINTS: [&str; 12] = [
    "unrecognized",
    "unrecognised",
    "not recognized",
    "unknown",
    "no such option",
    "no option",
    "could not consume",
    "not used by",
    "not defined",
    "unexpected",
    "undefined",
    "no viable alternative",
];

/// The argument that names a trial's directory.
const JOB_DIR: &str = "job-dir";

impl Job<'_> {
    /// The end of the log of a trainer that failed, and what to do where that can be told.
    pub(super) fn why_failed(&self, log: &Path) -> String {
        if self.engine.takes_reports() {
            return "what its trainer printed is where its watcher runs".to_owned();
        }
        let mut said = last_words(log);
        let (config, words) = (&self.plan.config, &self.plan.words);
        let names: Vec<&str> = config.spec.space.parameters.iter().map(|p| &*p.name).collect();
        if !CommandLine::new(words, names.iter().copied()).has_places() {
            let appended = names.iter().copied().chain(config.appends_job_dir.then_some(JOB_DIR));
            let unknown = unknown_arguments(&log_tail(log, COMPLAINT_BYTES).unwrap_or_default(), appended);
            said.extend(
                hint(&unknown, &names, &self.plan.job.command).map(|hint| format!("\n  hint: {hint}")),
            );
        }
        said
    }
}

/// Those of some appended arguments that a trainer says it does not know.
fn unknown_arguments<'n>(said: &str, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let said = said.to_lowercase();
    let complains = |line: &&str| COMPLAINTS.iter().any(|complaint| line.contains(complaint));
    let lines: Vec<&str> = said.lines().filter(complains).collect();
    let is_named = |line: &&str, name: &str| {
        line.match_indices(name).any(|(at, _)| {
            let before = line.get(..at).and_then(|before| before.chars().next_back());
            let behind = line.get(at + name.len()..).and_then(|behind| behind.chars().next());
            before.is_some_and(|c| "-'\"`".contains(c))
                && behind.is_none_or(|c| !c.is_alphanumeric() && !"-_".contains(c))
        })
    };
    names.filter(|name| lines.iter().any(|line| is_named(line, &name.to_lowercase()))).collect()
}

/// What to do about arguments that the trainer does not know.
fn hint(unknown: &[&str], parameters: &[&str], command: &[String]) -> Option<String> {
    if unknown.is_empty() {
        return None;
    }
    let named: Vec<String> = unknown.iter().map(|name| format!("--{name}")).collect();
    let own = command.iter().map(|word| quoted(word));
    let own: Vec<String> = if command.is_empty() { vec!["COMMAND".to_owned()] } else { own.collect() };
    let places = parameters.iter().map(|name| {
        // What it does not know it may know by another name.
        if unknown.contains(name) { format!("ARGUMENT={{{name}}}") } else { format!("--{name}={{{name}}}") }
    });
    let places: Vec<String> = places.chain(["ARGUMENT={job_dir}".to_owned()]).collect();
    let mut hint = format!(
        "the trainer does not know {}: put placeholders where it takes these: hptune run CONFIG -- {} {}",
        named.join(", "),
        own.join(" "),
        places.join(" ")
    );
    if unknown == [JOB_DIR] {
        hint += &format!(
            "\n  hint: or leave --job-dir out: `hptune: {{trial: {{appendJobDir: false}}}}`; event files are looked for \
             below ${TRIAL_DIR_VARIABLE} and where the trainer runs"
        );
    }
    Some(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parsers_of_arguments_say_is_understood() {
        #[track_caller]
        fn check(said: &str, expected: &[&str]) {
            assert_eq!(unknown_arguments(said, ["lr", "batch_size", JOB_DIR].into_iter()), expected);
        }
        check(
            "usage: t.py [-h] [--lr LR]\nt.py: error: unrecognized arguments: --job-dir=/tmp/1",
            &["job-dir"],
        );
        check("t.py: error: unrecognized arguments: --lr=0.1 --job-dir=/tmp/1", &["lr", "job-dir"]);
        check("FATAL Flags parsing error:\n  Unknown command line flag 'job-dir'\nPass --help", &["job-dir"]);
        check("Error: No such option: --job-dir", &["job-dir"]);
        check("ERROR: Could not consume arg: --batch_size=3", &["batch_size"]);
        check(
            "ValueError: Some specified arguments are not used by the HfArgumentParser: ['--job-dir=x']",
            &["job-dir"],
        );
        check("flag provided but not defined: -job-dir", &["job-dir"]);
        check("t.py: error: argument --lr: invalid float value: 'x'", &[]);
        check("RuntimeError: unknown layer --lrx of /jobs/job-dir/1", &[]);
        check("", &[]);
    }

    #[test]
    fn the_hint_has_the_line_to_paste() {
        let command = ["python3", "t.py"].map(str::to_owned);
        let got = hint(&["job-dir"], &["lr"], &command).expect("there is one");
        assert!(got.contains("hptune run CONFIG -- python3 t.py --lr={lr} ARGUMENT={job_dir}"), "{got}");
        assert!(got.contains("appendJobDir: false"), "{got}");
        let got = hint(&["lr", "job-dir"], &["lr"], &command).expect("there is one");
        assert!(got.contains("python3 t.py ARGUMENT={lr} ARGUMENT={job_dir}"), "{got}");
        assert_eq!(hint(&[], &["lr"], &command), None);
    }
}
