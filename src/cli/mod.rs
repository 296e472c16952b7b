//! Arguments in, text and exit codes out.
//!
//! Layer 9. `printer` is the only place that prints, and `main` the only one that exits.

mod args;
#[cfg_attr(not(feature = "jobs"), path = "jobs_absent.rs")]
mod jobs;
mod printer;
mod reading;
mod table;
mod tables;
mod text;
mod watching;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::app::Failure;
use args::{Cli, Verb};
use printer::Printer;

/// Runs the program with these arguments, the first of which is its own name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let printer = Printer::new();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are what was asked for, and go to stdout.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    match carry_out(cli, printer) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            printer.error(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}

fn carry_out(cli: Cli, printer: Printer) -> Result<u8, Failure> {
    match cli.verb {
        Verb::Job(verb) => jobs::carry_out(verb, cli.store, printer),
        Verb::Watch(args) => watching::watch(*args, printer),
        Verb::Inspect(args) => reading::inspect(&args.paths, args.json, printer),
        Verb::Doctor(args) => reading::doctor(&args, printer),
        Verb::Export(args) => reading::export(&args, printer),
        Verb::Plot(args) => reading::plot(&args, printer),
        Verb::Verify(args) => reading::verify(&args, printer),
    }
}
