//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::jobs::JobVerb;
use super::output::Replacing;
use crate::edge::home::expand_home;

const AFTER_HELP: &str = "\
Exit codes: 0 done; 1 it ran and the answer is no (no trial gave a result, damage was found);
2 wrong arguments or configuration; 3 the outside failed; 128 + N ended by signal N.";

/// Tunes hyperparameters from the TensorFlow event files that trainers already write
#[derive(Debug, Parser)]
#[command(name = "hptune", version, after_help = AFTER_HELP, max_term_width = 100, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// The store of jobs, for the verbs that have one.
#[derive(Debug, Args)]
pub(super) struct StoreArg {
    /// File of the job store [default: $XDG_STATE_HOME/hptune/hptune.db]
    #[arg(long, global = true, value_name = "PATH", env = "HPTUNE_STORE", hide_env_values = true, value_parser = path())]
    pub(super) store: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    #[command(flatten)]
    Job(JobVerb),
    /// Follow the event files of a trainer and deliver each value as it is written
    ///
    /// With COMMAND, watch is the trainer's parent: it passes signals on, delivers what is left when the trainer has
    /// ended, and ends with its exit code. Without, it follows until it is told to end. Lines are JSON objects; see
    /// docs/watch.md. Values are written, and compared by --stop-if, as the numbers that `hptune export` writes. Where
    /// lines go to stdout, COMMAND's output goes to stderr.
    Watch(Box<Watch>),
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
    /// A value is the same number in every format, and reads back to the same bits: a whole float32 as the number that it
    /// is (2147483648), any other as the shortest decimal that is this float32 (0.1). The exit code is 1 where there is
    /// nothing to export or the files are damaged; what is intact is written all the same.
    Export(Export),
    /// Draw curves in the terminal, or to an SVG, PNG or HTML file
    ///
    /// Each tag has a chart with an axis of its own: one below the other in the terminal, side by side with one legend in a
    /// file; --together makes one of all. Of a --job each trial has a curve of the objective, or of --tag, in one colour for
    /// training and validation; what is known of a trial is told in the page where the pointer is on its curve.
    Plot(Plot),
    /// Check every record of event files, and save the good ones to new files
    ///
    /// The exit code is 1 where a record is damaged or a file ends inside one.
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Directory that is followed at any depth; it may come later. Runs of several are named below what they have in common
    #[arg(required = true, value_name = "JOB_DIR", value_parser = path())]
    pub(super) job_dirs: Vec<PathBuf>,
    /// Where to deliver: - (stdout), file:PATH, unix:PATH, http(s)://… (repeatable) [default: -]
    #[arg(long, value_name = "SINK")]
    pub(super) to: Vec<String>,
    /// Only this tag, whole (repeatable) [default: all tags]
    #[arg(long = "tag", value_name = "TAG")]
    pub(super) tags: Vec<String>,
    /// Only tags that match this glob, in which * goes beyond / (repeatable)
    #[arg(long = "tag-glob", value_name = "GLOB")]
    pub(super) tag_globs: Vec<String>,
    /// All tags, as without --tag
    #[arg(long, conflicts_with_all = ["tags", "tag_globs"])]
    pub(super) all: bool,
    /// Only runs whose name, or one of whose directories, matches this glob (repeatable)
    #[arg(long = "run", value_name = "GLOB")]
    pub(super) runs: Vec<String>,
    /// Deliver only where TF_CONFIG says that this replica is the chief, or where there is no TF_CONFIG
    #[arg(long)]
    pub(super) chief_only: bool,
    /// Deliver the first of each N values of a tag; the others are counted
    #[arg(long, value_name = "N", default_value = "1")]
    pub(super) every: std::num::NonZeroU64,
    /// Deliver values from this step on
    #[arg(long, value_name = "STEP", allow_negative_numbers = true)]
    pub(super) since: Option<i64>,
    /// Deliver only the latest value of each tag in each of these times, such as 1s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) latest_per: Option<Duration>,
    /// File that keeps how far each sink has come, so that a restart goes on there [for file:PATH: PATH.state]
    #[arg(long, value_name = "FILE", value_parser = path())]
    pub(super) state: Option<PathBuf>,
    /// Look at all files this often, and do without the system's notifications [default: 500ms, and notifications]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) poll: Option<Duration>,
    /// End when this process has ended
    #[arg(long, value_name = "PID", conflicts_with = "command")]
    pub(super) until_pid: Option<i32>,
    /// End when this file is there
    #[arg(long, value_name = "FILE", conflicts_with = "command", value_parser = path())]
    pub(super) until_file: Option<PathBuf>,
    /// End when nothing new has come for so long, such as 10m
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "command")]
    pub(super) until_idle: Option<Duration>,
    /// End when all that is there is delivered
    #[arg(long, conflicts_with = "command")]
    pub(super) once: bool,
    /// How long a trainer that is stopped may take to end, and a sink to take what is left
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub(super) grace: Duration,
    /// Stop the trainer where a value says so, such as 'metric1 < 0.2 after 1000' (repeatable)
    #[arg(long, value_name = "RULE")]
    pub(super) stop_if: Vec<crate::app::watch::StopIf>,
    /// Stop the trainer after N values of --tag in a row that are no better than the best
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) patience: Option<u64>,
    /// What --patience takes for better
    #[arg(long, value_enum, default_value_t = Goal::Maximize, value_name = "GOAL")]
    pub(super) goal: Goal,
    /// Stop the trainer at a value that is NaN or infinite
    #[arg(long)]
    pub(super) stop_on_nan: bool,
    /// Explain it where no value of a --tag has come after so long, such as 10m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) no_metric_after: Option<Duration>,
    /// Serve /healthz and /metrics (Prometheus) on this address, such as 127.0.0.1:9100; port 0 takes any
    #[arg(long, value_name = "ADDRESS")]
    pub(super) status_addr: Option<std::net::SocketAddr>,
    /// File with the bearer token for http(s) sinks, read before each request [default: $HPTUNE_TOKEN]
    #[arg(long, value_name = "FILE", value_parser = path())]
    pub(super) token_file: Option<PathBuf>,
    /// Name of the trial in the lines
    #[arg(long, value_name = "ID", env = "CLOUD_ML_TRIAL_ID")]
    pub(super) trial: Option<String>,
    /// The trainer's command
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Goal {
    /// Larger values
    Maximize,
    /// Smaller values
    Minimize,
}

/// A path; one that is nothing is taken too, for a variable that is set to nothing is as good as none.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|text| expand_home(Path::new(&text)))
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = crate::study::config::parse_duration(text);
    duration
        .filter(|d| !d.is_zero())
        .ok_or_else(|| "want a time with its unit, such as 500ms, 30s or 10m".to_owned())
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Event file, or directory that is searched at any depth
    #[arg(required = true, value_name = "PATH", value_parser = path())]
    pub(super) paths: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Event file, or directory that is searched at any depth; of a job's directory each trial for itself
    #[arg(required = true, value_name = "PATH", value_parser = path())]
    pub(super) paths: Vec<PathBuf>,
    /// Tag of the metric, whole [default: that of the job at PATH; otherwise training/hptuning/metric]
    #[arg(long, value_name = "TAG")]
    pub(super) tag: Option<String>,
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
    /// Only this tag, or tags that match this glob, in which * goes beyond / (repeatable)
    #[arg(long = "tag", value_name = "GLOB")]
    pub(super) tags: Vec<String>,
    /// Only runs whose name, or one of whose directories, matches this glob (repeatable)
    #[arg(long = "run", value_name = "GLOB")]
    pub(super) runs: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Event file, or directory that is searched at any depth. Runs of several are named below what they have in common
    #[arg(required = true, value_name = "PATH", value_parser = path())]
    pub(super) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) chosen: Chosen,
    /// File to write to; it is there when all is written [default: standard output]
    #[arg(short, long, value_name = "FILE", value_parser = path())]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) replacing: Replacing,
    /// How to write it [default: by the ending of FILE, or csv]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) format: Option<TableFormat>,
    /// A row for each step of a run, a column for each tag, up to 16,000 of them
    #[arg(long)]
    pub(super) wide: bool,
    /// One value for each step, as the latest attempt of a restarted trainer leaves it standing
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
    pub(super) store: StoreArg,
    /// Event file, or directory that is searched at any depth. Runs of several are named below what they have in common
    #[arg(required_unless_present = "job", conflicts_with = "job", value_name = "PATH", value_parser = path())]
    pub(super) paths: Vec<PathBuf>,
    /// Draw the trials of a job in the store: the best and those that were stopped are marked
    #[arg(long, value_name = "JOB")]
    pub(super) job: Option<String>,
    #[command(flatten)]
    pub(super) chosen: Chosen,
    /// All curves in one chart, whatever their tags
    #[arg(long)]
    pub(super) together: bool,
    /// File to draw to, by its ending: .svg, .png or .html [default: the terminal]
    #[arg(short, long, value_name = "FILE", value_parser = path())]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) replacing: Replacing,
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
    #[arg(long, conflicts_with = "job")]
    pub(super) attempts: bool,
    /// Width: columns of the terminal, or pixels [default: the terminal's width, or 1000]
    #[arg(long, value_name = "N")]
    pub(super) width: Option<u32>,
    /// Height: lines of a chart, or pixels of the whole [default: 16, or 600; more where there are several charts]
    #[arg(long, value_name = "N")]
    pub(super) height: Option<u32>,
    /// Dark paper, for .png and .svg; without it a PNG is light, and an SVG as its viewer
    #[arg(long)]
    pub(super) dark: bool,
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
    /// Event file, or directory that is searched at any depth. Runs of several are named below what they have in common
    #[arg(required = true, value_name = "PATH", value_parser = path())]
    pub(super) paths: Vec<PathBuf>,
    /// Write the good records to this new file, or below this new directory; nothing is changed in place
    #[arg(long, value_name = "OUT", value_parser = path())]
    pub(super) repair: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
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
