//! The command line of jobs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::app::demo::TrainerArguments;
use crate::app::prepare::Deadline;
use crate::cli::args::{StoreArg, TableFormat, path};
use crate::cli::output::Replacing;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum JobVerb {
    /// Run a tuning job: suggest, train, follow, stop the hopeless, report the best
    ///
    /// COMMAND is started once a trial, with --NAME=VALUE for each parameter and --job-dir=DIR appended; where it
    /// contains {NAME}, {job_dir} or {trial_id}, those are filled in instead, and each parameter needs its own ({{ and }}
    /// give braces then). Its event files are followed at any depth below DIR. Ctrl-C stops the trials and settles the
    /// job; a second one kills them. A job whose controller was killed goes on where the same command is given again.
    Run(Run),
    /// Tune a small neural network on handwritten digits, to see how it all works
    Demo(Demo),
    /// Suggest trials to another program, and take their results: ask and tell over lines of JSON
    ///
    /// Reads one request a line from stdin and answers each by one line on stdout: suggest, report, complete, add,
    /// best; see docs/tuner.md. With --store FILE --job-id NAME the study is kept, and goes on after a restart.
    Tuner(Tuner),
    /// Show the jobs in the store, or go on with one
    Jobs(Jobs),
    /// Serve jobs over HTTP: to Google's clients for Cloud ML Engine, and to a browser
    ///
    /// Jobs are submitted, watched and cancelled as with ml.googleapis.com v1, by its own clients; the page is at /.
    /// Each job is a process of its own, which goes on when the service ends. What `hptune run` runs is shown too. See
    /// docs/serve.md.
    #[cfg(feature = "serve")]
    Serve(Box<super::serving::Serve>),
    /// The process of a job that was submitted to the service
    #[cfg(feature = "serve")]
    #[command(name = crate::serve::executor::EXECUTOR_VERB, hide = true)]
    ExecuteJob(super::serving::ExecuteJob),
    /// Waits for a trial's processes, so that how they end is known whatever happens to the controller
    #[command(name = crate::engine::local::SUPERVISOR_VERB, hide = true)]
    KeepTrial,
    /// The trainer of `hptune demo`
    #[command(name = crate::app::demo::TRAINER_VERB, hide = true)]
    DemoTrainer(TrainerArguments),
}

impl JobVerb {
    /// The store that was named, for verbs that have one.
    pub(super) fn take_store(&mut self) -> Option<PathBuf> {
        match self {
            Self::Run(args) => args.store.store.take(),
            Self::Demo(args) => args.store.store.take(),
            Self::Tuner(args) => args.store.store.take(),
            Self::Jobs(args) => args.store.store.take(),
            #[cfg(feature = "serve")]
            Self::Serve(args) => args.store.store.take(),
            #[cfg(feature = "serve")]
            Self::ExecuteJob(args) => args.store.store.take(),
            Self::KeepTrial | Self::DemoTrainer(_) => None,
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Run {
    #[command(flatten)]
    pub(super) store: StoreArg,
    /// Configuration as Cloud ML Engine took it, YAML or JSON
    #[arg(value_name = "CONFIG", value_parser = path())]
    pub(super) config: PathBuf,
    /// Directory of the job; trial N has N/ below it [default: jobDir of CONFIG, or hptune-jobs/JOB]
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(super) job_dir: Option<PathBuf>,
    /// Name of the job: a letter, then letters, digits, underscores [default: jobId of CONFIG, or made of the time]
    #[arg(long, value_name = "JOB")]
    pub(super) job_id: Option<String>,
    /// Seed of the search: same seed and results, same suggestions [default: hptune.seed of CONFIG, or random]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// When all is to be over: a time from now such as 8h, or a time such as 2030-01-31T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = deadline)]
    pub(super) deadline: Option<Deadline>,
    /// GPUs that trials may have, by number or UUID [default: $CUDA_VISIBLE_DEVICES, or all]
    #[arg(long, value_name = "GPUS")]
    pub(super) gpus: Option<String>,
    /// Store of the job that CONFIG continues by resumePreviousJobId, if that is another one
    #[arg(long, value_name = "PATH", value_parser = path())]
    pub(super) previous_store: Option<PathBuf>,
    /// Show the first trial's command, where each value goes in it, environment and directories, and run nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print what happens as JSON, one object a line
    #[arg(long)]
    pub(super) json: bool,
    /// The trainer's command [default: python3 -m pythonModule of CONFIG]
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Tuner {
    #[command(flatten)]
    pub(super) store: StoreArg,
    /// Configuration as Cloud ML Engine took it, YAML or JSON
    #[arg(value_name = "CONFIG", value_parser = path())]
    pub(super) config: PathBuf,
    /// Name of the study in the store [default: jobId of CONFIG]
    #[arg(long, value_name = "JOB")]
    pub(super) job_id: Option<String>,
    /// Seed of the search: same seed and results, same suggestions [default: hptune.seed of CONFIG, or random]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Demo {
    #[command(flatten)]
    pub(super) store: StoreArg,
    /// Directory of the job [default: one in the system's temporary directory]
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(super) job_dir: Option<PathBuf>,
    /// Seed of the search [default: 3]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Print what happens as JSON, one object a line
    #[arg(long)]
    pub(super) json: bool,
}

fn deadline(text: &str) -> Result<Deadline, String> {
    if let Ok(at) = text.parse() {
        return Ok(Deadline::At(at));
    }
    let after = crate::study::config::parse_duration(text).filter(|after| !after.is_zero());
    after.map(Deadline::After).ok_or_else(|| {
        "want a time from now with its unit, such as 8h, or a time such as 2030-01-31T18:00:00Z".to_owned()
    })
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Jobs {
    #[command(flatten)]
    pub(super) store: StoreArg,
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
    /// Go on with a job whose controller was killed
    ///
    /// Trials that still run are taken back, what happened meanwhile is read from their files, and no trial is run
    /// twice. The same `hptune run` command again does the same.
    Resume {
        /// Name of the job
        #[arg(value_name = "JOB")]
        id: String,
        /// GPUs that trials may have, by number or UUID [default: $CUDA_VISIBLE_DEVICES, or all]
        #[arg(long, value_name = "GPUS")]
        gpus: Option<String>,
        /// Print what happens as JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// End a job, whoever runs it: its trials are stopped with their grace
    ///
    /// The process that runs it takes the request from the store, wherever it is, and is waited for; where none does, this
    /// one ends it. Given once more meanwhile, the trials are killed at once. The exit code is 0 where the job is cancelled then, 1 where it had come to its end before.
    Cancel {
        /// Name of the job
        #[arg(value_name = "JOB")]
        id: String,
    },
    /// Stop one trial of a job that runs; what it has reported is its result
    ///
    /// The process that runs the job takes the request from the store, wherever it is, and stops the trial with its grace;
    /// that is waited for. The job goes on with its other trials. The exit code is 0 where the trial is stopped by request
    /// then, 1 where it ended in another way.
    StopTrial {
        /// Name of the job
        #[arg(value_name = "JOB")]
        id: String,
        /// Number of the trial
        #[arg(value_name = "TRIAL")]
        trial: u32,
    },
    /// Have a job that is over go on with more trials
    ///
    /// The search knows the trials that there are; what the job was over for, a cancellation or failures, is no more.
    Extend {
        /// Name of the job
        #[arg(value_name = "JOB")]
        id: String,
        /// How many trials the job is to have in all
        #[arg(long, value_name = "N")]
        max_trials: u32,
        /// GPUs that trials may have, by number or UUID [default: $CUDA_VISIBLE_DEVICES, or all]
        #[arg(long, value_name = "GPUS")]
        gpus: Option<String>,
        /// Print what happens as JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Delete a job that is over from the store; its files stay
    Delete {
        /// Name of the job
        #[arg(value_name = "JOB")]
        id: String,
        /// Delete the directories of its trials too
        #[arg(long)]
        files: bool,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Show what a trial's trainer printed
    Logs {
        /// Name of the job
        #[arg(value_name = "JOB")]
        id: String,
        /// Number of the trial
        #[arg(value_name = "TRIAL")]
        trial: u32,
        /// Another replica than the main one, such as worker-0
        #[arg(long, value_name = "NAME")]
        replica: Option<String>,
        /// Go on until the trial is over
        #[arg(short, long)]
        follow: bool,
    },
    /// Write the trials of a job as a table, one a row: CSV, JSON lines or Parquet
    ///
    /// Columns: trial, state, outcome, hparam/NAME for each parameter, value and step of the result, best_value and best_step,
    /// run, attempts, start_time, end_time, elapsed_s, stop_rule, stop_reason. A category is a text, letter for letter. Of a
    /// trial that goes on value is the last that it has reported.
    Export {
        /// Name of the job
        #[arg(value_name = "JOB")]
        id: String,
        /// File to write to; it is there when all is written [default: standard output]
        #[arg(short, long, value_name = "FILE", value_parser = path())]
        output: Option<PathBuf>,
        #[command(flatten)]
        replacing: Replacing,
        /// How to write it [default: by the ending of FILE, or csv]
        #[arg(long, value_enum, value_name = "FORMAT")]
        format: Option<TableFormat>,
    },
    /// Write a job as one web page that needs no server: charts, trials, configuration, what was stopped and why
    ///
    /// The page is one HTML file that refers to nothing outside, to keep or to send. It has what the page of `hptune serve`
    /// shows of a job: the objective by trial, learning curves, parallel coordinates, importance and slices, the table of
    /// trials. Of a job that goes on it is how the job stands now.
    #[cfg(feature = "serve")]
    Report {
        /// Name of the job
        #[arg(value_name = "JOB")]
        id: String,
        /// File to write, such as report.html; must not be there yet
        #[arg(short, long, value_name = "FILE", value_parser = path())]
        output: PathBuf,
        /// Replace FILE if it is there
        #[arg(long)]
        force: bool,
    },
    /// Say why a trial was stopped early, with its curve against those of the trials that it was compared with
    Why {
        /// Name of the job
        #[arg(value_name = "JOB")]
        id: String,
        /// Number of the trial
        #[arg(value_name = "TRIAL")]
        trial: u32,
        /// Print one JSON document
        #[arg(long)]
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
