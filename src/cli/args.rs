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
    /// Say why a metric is not found, and what mends it
    ///
    /// Looks for TAG below PATH: near misses, other directories, wrong kinds, values that are not finite, writers that
    /// have not flushed, damage. The exit code is 0 where it is found, 1 where not.
    Doctor(Doctor),
    /// Write every point as a table: CSV, JSON lines or Parquet
    ///
    /// Columns: run, tag, step, wall_time, value, attempt, and one for each hyperparameter that the runs' writers noted;
    /// in Parquet also value_exact, for integers that a 64-bit float cannot hold.
    /// Values are written so that they read back to the same bits. The exit code is 1 where there is nothing to export
    /// or the files are damaged; what is intact is written all the same.
    Export(Export),
    /// Draw curves in the terminal, or to an SVG, PNG or HTML file
    ///
    /// Without --tag the terminal gets a chart for each tag; with it, one chart with all curves.
    Plot(Plot),
    /// Check every record of event files, and save the good ones to new files
    ///
    /// The exit code is 1 where a record is damaged or a file ends inside one.
    Verify(Verify),
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
pub(super) struct Doctor {
    /// Event file, or directory that is searched at any depth
    #[arg(value_name = "PATH")]
    pub(super) path: PathBuf,
    /// Tag of the metric, whole
    #[arg(long, value_name = "TAG", default_value = crate::study::DEFAULT_METRIC_TAG)]
    pub(super) tag: String,
    /// Only runs that match this glob
    #[arg(long, value_name = "GLOB")]
    pub(super) run: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

/// Which series of many.
#[derive(Debug, Args)]
pub(super) struct Chosen {
    /// Event file, or directory that is searched at any depth
    #[arg(value_name = "PATH")]
    pub(super) path: PathBuf,
    /// Only this tag, or tags that match this glob, in which * goes beyond / (repeatable)
    #[arg(long = "tag", value_name = "GLOB")]
    pub(super) tags: Vec<String>,
    /// Only runs whose name, or one of whose directories, matches this glob (repeatable)
    #[arg(long = "run", value_name = "GLOB")]
    pub(super) runs: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    pub(super) chosen: Chosen,
    /// File to write to, replaced when all is written [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// How to write it [default: by the ending of FILE, or csv]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) format: Option<TableFormat>,
    /// A row for each step of a run, a column for each tag
    #[arg(long)]
    pub(super) wide: bool,
    /// Only what the latest attempt of a restarted trainer leaves standing, by step
    #[arg(long)]
    pub(super) latest: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TableFormat {
    /// Comma-separated values
    Csv,
    /// One JSON object a line
    Jsonl,
    /// Apache Parquet
    Parquet,
}

#[derive(Debug, Args)]
pub(super) struct Plot {
    #[command(flatten)]
    pub(super) chosen: Chosen,
    /// File to draw to, by its ending: .svg, .png or .html [default: the terminal]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Smoothing as TensorBoard's slider has it, from 0 to below 1
    #[arg(long, value_name = "WEIGHT", default_value_t = 0.0, value_parser = smoothing)]
    pub(super) smoothing: f64,
    /// Logarithmic scale for the values
    #[arg(long)]
    pub(super) log_y: bool,
    /// What goes along the x axis
    #[arg(long, value_enum, default_value_t = XAxis::Step, value_name = "AXIS")]
    pub(super) x: XAxis,
    /// A curve for each attempt of a restarted trainer, not just what the latest leaves standing
    #[arg(long)]
    pub(super) attempts: bool,
    /// Width: columns of the terminal, or pixels [default: the terminal's width, or 1000]
    #[arg(long, value_name = "N")]
    pub(super) width: Option<u32>,
    /// Height: lines of the chart, or pixels [default: 16, or 600]
    #[arg(long, value_name = "N")]
    pub(super) height: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum XAxis {
    /// The step
    Step,
    /// Seconds since the first value of the curve
    Relative,
    /// The writer's clock, in seconds since 1970
    Wall,
}

fn smoothing(text: &str) -> Result<f64, String> {
    let weight: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..1.0).contains(&weight) { Ok(weight) } else { Err("want a number from 0 to below 1".to_owned()) }
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Event file, or directory that is searched at any depth
    #[arg(value_name = "PATH")]
    pub(super) path: PathBuf,
    /// Write the good records to this new file, or below this new directory; nothing is changed in place
    #[arg(long, value_name = "OUT")]
    pub(super) repair: Option<PathBuf>,
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
