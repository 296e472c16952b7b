//! Stands in for the verbs of jobs in a program without the feature `jobs`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::printer::Printer;
use crate::app::Failure;

/// The verbs that there are not.
#[derive(Debug, Subcommand)]
pub(super) enum JobVerb {
    /// Needs the feature `jobs`
    #[command(hide = true, disable_help_flag = true)]
    Run(Any),
    /// Needs the feature `jobs`
    #[command(hide = true, disable_help_flag = true)]
    Demo(Any),
    /// Needs the feature `jobs`
    #[command(hide = true, disable_help_flag = true)]
    Tuner(Any),
    /// Needs the feature `jobs`
    #[command(hide = true, disable_help_flag = true)]
    Jobs(Any),
    /// Needs the feature `serve`
    #[command(hide = true, disable_help_flag = true)]
    Serve(Any),
}

/// Whatever follows.
#[derive(Debug, Args)]
pub(super) struct Any {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<OsString>,
}

/// Says that jobs are absent.
pub(super) fn carry_out(verb: JobVerb, _printer: Printer) -> Result<u8, Failure> {
    Err(Failure::usage(match verb {
        JobVerb::Serve(_) => "this hptune was built without the service (the feature `serve`)",
        JobVerb::Run(_) | JobVerb::Demo(_) | JobVerb::Tuner(_) | JobVerb::Jobs(_) => {
            "this hptune was built without jobs (the feature `jobs`)"
        }
    }))
}

/// Says that jobs are absent.
pub(super) fn store_path(_asked: Option<PathBuf>, _printer: Printer) -> Result<PathBuf, Failure> {
    Err(Failure::usage("this hptune was built without jobs (the feature `jobs`)"))
}
