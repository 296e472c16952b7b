//! The trainer's command: its words, and whether each parameter reaches the trainer.

use std::path::Path;

use crate::app::{Failure, packages, program, quoted};
use crate::engine;
use crate::limits::MAX_ARGUMENT_BYTES;
use crate::study::launch::{self, TRIAL_DIR_VARIABLE, TrialContext};
use crate::study::{Appended, CommandFault, CommandLine, Config};
use crate::units::TrialId;

/// The longest command that a hint shows whole, in bytes.
const MAX_SHOWN_BYTES: usize = 200;

/// The words of a command whose packages are installed: their own Python runs the module. Those of a job whose trials run
/// elsewhere are not this machine's to install.
pub(super) fn with_packages(
    words: Vec<String>,
    config: &Config,
    command: &[String],
    job_dir: &Path,
) -> Result<Vec<String>, Failure> {
    if !engine::is_here(config) {
        return Ok(words);
    }
    Ok(match packages::install(config, command, job_dir)? {
        Some(python) => std::iter::once(python).chain(words.into_iter().skip(1)).collect(),
        None => words,
    })
}

/// The trainer's command with the configuration's own arguments; its program can be run.
pub(super) fn words(config: &Config, command: &[String], config_name: &str) -> Result<Vec<String>, Failure> {
    let mut words = command.to_vec();
    let is_here = engine::is_here(config);
    if words.is_empty() && config.python_module.is_none() && !is_here {
        // Whoever starts the trials elsewhere knows how.
        return Ok(words);
    }
    if words.is_empty() {
        let Some(module) = &config.python_module else {
            return Err(Failure::usage("no command to run: the configuration names no pythonModule either")
                .with_hint(format!(
                    "put the trainer's command behind `--`: hptune run {} -- python3 train.py",
                    quoted(config_name)
                )));
        };
        words = ["python3", "-m", module].map(str::to_owned).into();
    }
    if is_here {
        program::check(&words, &format!("hptune run {}", quoted(config_name)))?;
    }
    words.extend(config.args.iter().cloned());
    Ok(words)
}

/// Whether a command is short enough to be shown whole.
fn is_short(words: &[String]) -> bool {
    words.iter().map(|word| word.len() + 1).sum::<usize>() <= MAX_SHOWN_BYTES
}

fn command_line(words: &[String], config: &Config) -> CommandLine {
    CommandLine::new(words, config.spec.space.parameters.iter().map(|p| &*p.name))
}

/// Checks that each parameter has a place, where there are places, and that each place is known.
///
/// # Errors
/// All that is wrong, each with its remedies.
pub(super) fn check(words: &[String], config: &Config) -> Result<(), Failure> {
    let line = command_line(words, config);
    let mut messages = Vec::new();
    let mut hints = Vec::new();
    for fault in line.faults() {
        match fault {
            CommandFault::Unknown { name, word, nearest } => {
                messages.push(format!("the command has {}: no parameter is called `{name}`", quoted(&word)));
                let known = || {
                    let all = line.where_each_goes().into_iter().map(|(name, _)| name);
                    let all: Vec<String> =
                        all.chain(["job_dir", "trial_id"]).map(|name| format!("{{{name}}}")).collect();
                    format!("there are {}", all.join(", "))
                };
                let meant = nearest.map_or_else(known, |near| format!("did you mean {{{near}}}?"));
                hints
                    .push(format!("{meant} Braces that are meant as they stand are doubled: {{{{{name}}}}}"));
            }
            CommandFault::Missing(names) => {
                let (is_one, example) = (names.len() == 1, line.example().unwrap_or_default());
                messages.push(format!(
                    "the command has a placeholder, {}, but none for {} {}, which would never reach the trainer",
                    quoted(&example),
                    if is_one { "the parameter" } else { "the parameters" },
                    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
                ));
                let places = names.iter().map(|name| format!("--{name}={{{name}}}"));
                let own = words.iter().map(|word| quoted(word)).filter(|_| is_short(words));
                let completed: Vec<String> = own.chain(places).collect();
                let all: Vec<String> =
                    config.spec.space.parameters.iter().map(|p| format!("--{}=VALUE", p.name)).collect();
                hints.push(format!(
                    "put {} where the trainer takes {}: {}",
                    if is_one { "it" } else { "each" },
                    if is_one { "it" } else { "them" },
                    completed.join(" ")
                ));
                hints.push(format!(
                    "or take out all placeholders: {} --job-dir=DIR are appended then, and {TRIAL_DIR_VARIABLE} \
                     holds the directory in any case",
                    all.join(" ")
                ));
            }
        }
    }
    if messages.is_empty() {
        return check_environment(config);
    }
    Err(Failure::usage(messages.join("\n")).with_hint(hints.join("\n  hint: ")))
}

/// Checks that the environment can hold what goes there: the whole `trainingInput` does.
fn check_environment(config: &Config) -> Result<(), Failure> {
    let replicas: Vec<_> = config.cluster.replicas().into_iter().map(|replica| (replica, u16::MAX)).collect();
    let context = TrialContext {
        job_id: "",
        trial: TrialId::after(0),
        trial_dir: "",
        metric_tag: &config.spec.metric_tag,
        training_input: &config.training_input,
        replicas: &replicas,
    };
    let Some((main, _)) = replicas.first() else { return Ok(()) };
    let variables = launch::environment(&context, *main, "");
    let length = |(name, value): &(String, String)| name.len() + value.len() + 1;
    match variables.iter().find(|variable| length(variable) > MAX_ARGUMENT_BYTES) {
        None => Ok(()),
        Some(variable) => Err(Failure::usage(format!(
            "trainingInput: the variable {}, which holds it, would be {} bytes long; one holds {MAX_ARGUMENT_BYTES}",
            variable.0,
            length(variable)
        ))
        .with_hint("shorten names and lists of values, or name fewer replicas")),
    }
}

/// What should be known of a command that can run.
pub(super) fn notes(words: &[String], config: &Config) -> Vec<String> {
    let line = command_line(words, config);
    let mut notes = Vec::new();
    if line.has_places() && !config.appends_job_dir {
        notes.push(
            "note: hptune.trial.appendJobDir is without effect: the command has placeholders, and nothing is appended"
                .to_owned(),
        );
    }
    let has_no_dir = if line.has_places() { !line.has_job_dir() } else { !config.appends_job_dir };
    if has_no_dir {
        let why =
            if line.has_places() { "the command has no {job_dir}" } else { "the command gets no --job-dir" };
        notes.push(format!(
            "note: {why}: event files are looked for below ${TRIAL_DIR_VARIABLE} and where the trainer runs"
        ));
    }
    match line.appended() {
        Appended::Reach => {}
        Appended::Unread => notes.push(
            "warning: the parameters reach nobody: what is appended to `-c SCRIPT` becomes $0, $1 … of the script, \
             which reads none of them\n  hint: write {NAME} for each into the script, or \"$@\" and a word behind it: \
             sh -c 'python3 train.py \"$@\"' train"
                .to_owned(),
        ),
        Appended::FirstIsName => notes.push(
            "warning: the first parameter reaches nobody: what is appended first to `-c SCRIPT` becomes $0 of the \
             script, not $1\n  hint: put a word behind the script: sh -c 'python3 train.py \"$@\"' train"
                .to_owned(),
        ),
    }
    notes
}
