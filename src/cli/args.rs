//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::app::demo::TrainerArguments;

const AFTER_HELP: &str = "\
Exit codes: 0 done; 1 it ran and the answer is no (no trial gave a result, damage was found);
2 wrong arguments or configuration; 3 the outside failed; 128 + N ended by signal N.";

/// Tunes hyperparameters from the TensorFlow event files that trainers already write
#[derive(Debug, Parser)]
#[command(name = "hptune", version, after_help = AFTER_HELP, max_term_width = 100, arg_required_else_help = true)]
pub(super) struct Cli {
    /// File of the job store [default: $XDG_STATE_HOME/hptune/hptune.db]
    #[arg(long, global = true, value_name = "PATH", env = "HPTUNE_STORE", hide_env_values = true)]
    pub(super) store: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run a tuning job: suggest, train, follow, stop the hopeless, report the best
    ///
    /// COMMAND is started once a trial, with --NAME=VALUE for each parameter and --job-dir=DIR appended; where it
    /// contains {NAME}, {job_dir} or {trial_id}, those are filled in instead. Its event files are followed at any depth
    /// below DIR. Ctrl-C stops the trials and settles the job; a second one kills them.
    Run(Run),
    /// Tune a small neural network on handwritten digits, to see how it all works
    Demo(Demo),
    /// Show what is in event files: runs, tags, counts, steps, last values, damage
    ///
    /// The exit code is 1 where there is damage, or no event file at all. A file that ends inside a record may still be
    /// written, and is no damage.
    Inspect(Inspect),
    /// Show the jobs in the store
    Jobs(Jobs),
    /// The trainer of `hptune demo`
    #[command(name = crate::app::demo::TRAINER_VERB, hide = true)]
    DemoTrainer(TrainerArguments),
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Configuration as Cloud ML Engine took it, YAML or JSON
    #[arg(value_name = "CONFIG")]
    pub(super) config: PathBuf,
    /// Directory of the job; trial N has N/ below it [default: jobDir of CONFIG, or hptune-jobs/JOB]
    #[arg(long, value_name = "DIR")]
    pub(super) job_dir: Option<PathBuf>,
    /// Name of the job: a letter, then letters, digits, underscores [default: jobId of CONFIG, or made of the time]
    #[arg(long, value_name = "JOB")]
    pub(super) job_id: Option<String>,
    /// Seed of the search: same seed and results, same suggestions [default: hptune.seed of CONFIG, or random]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Print what happens as JSON, one object a line
    #[arg(long)]
    pub(super) json: bool,
    /// The trainer's command [default: python3 -m pythonModule of CONFIG]
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Directory of the job [default: one in the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(super) job_dir: Option<PathBuf>,
    /// Seed of the search [default: 3]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Print what happens as JSON, one object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Event file, or directory that is searched at any depth
    #[arg(required = true, value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Jobs {
    #[command(subcommand)]
    pub(super) verb: JobsVerb,
}

#[derive(Debug, Subcommand)]
pub(super) enum JobsVerb {
    /// List all jobs, newest first
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show one job with its trials, best first
    Describe {
        /// Name of the job
        #[arg(value_name = "JOB")]
        id: String,
        /// How to print: a table, or the service's Job with its TrainingOutput
        #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
        format: Format,
        /// The same as --format json
        #[arg(long, conflicts_with = "format")]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// YAML, as gcloud printed it
    Yaml,
    /// One JSON document
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
