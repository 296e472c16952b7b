//! Arguments in, text and exit codes out.
//!
//! Layer 9. `printer` is the only place that prints, and `main` the only one that exits.

mod args;
#[cfg_attr(not(feature = "jobs"), path = "jobs_absent.rs")]
mod jobs;
mod output;
mod printer;
mod reading;
mod table;
mod tables;
mod text;
mod watching;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::app::{Failure, quoted};
use args::{Cli, Verb};
use printer::Printer;

/// Runs the program with these arguments, the first of which is its own name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let printer = Printer::new();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(e) => {
            if let Some(line) = with_separator(&e, &arguments) {
                printer.error("the trainer's command stands behind `--`");
                printer.talk(&format!("  hint: {line}"));
                return ExitCode::from(2);
            }
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

/// The command line with the `--` that it lacks, where what clap does not know is the beginning of a trainer's command.
fn with_separator(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};

    let verb = arguments.get(1).filter(|verb| *verb == "run" || *verb == "watch")?;
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return None };
    let is_word = error.kind() == ErrorKind::UnknownArgument && !unknown.starts_with('-');
    let at = arguments.iter().position(|argument| is_word && argument == unknown.as_str())?;
    let quoted = |argument: &OsString| quoted(&argument.to_string_lossy());
    let (before, command) = arguments.split_at(at);
    let words = before.iter().skip(2).map(quoted);
    let words = words.chain(["--".to_owned()]).chain(command.iter().map(quoted));
    Some(format!("hptune {} {}", verb.to_string_lossy(), words.collect::<Vec<_>>().join(" ")))
}

fn carry_out(cli: Cli, printer: Printer) -> Result<u8, Failure> {
    match cli.verb {
        Verb::Job(verb) => jobs::carry_out(verb, printer),
        Verb::Watch(args) => watching::watch(*args, printer),
        Verb::Inspect(args) => reading::inspect(&args.paths, args.json, printer),
        Verb::Doctor(args) => reading::doctor(&args, printer),
        Verb::Export(args) => reading::export(&args, printer),
        Verb::Plot(args) => reading::plot(&args, args.store.store.clone(), printer),
        Verb::Verify(args) => reading::verify(&args, printer),
    }
}
