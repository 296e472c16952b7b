//! The verbs of jobs: run, tuner, demo, jobs, and those that trials are started with.

mod args;
mod chart;
mod live;
#[cfg(feature = "serve")]
mod serving;
mod sparkline;
mod summary;
mod tables;
mod text;
mod view;

use std::io::Write;
use std::path::{Path, PathBuf};

use super::output::{TableOut, TableTarget};
use super::printer::Printer;
use crate::app::delete::deletion;
use crate::app::prepare::{Plan, Request, dry_run, extend, prepare, read_config_file, resume};
use crate::app::request::{cancel, stop_trial};
use crate::app::run::{first_trial, run};
use crate::app::why::why;
use crate::app::{Failure, demo, jobs, trial_table, tuner};
use crate::engine::local::supervise;
use crate::plot::{Cells, Ink};
use crate::study::{FinalState, Outcome, State};
pub(super) use args::JobVerb;
use args::{Format, JobsVerb};
use view::Before;

/// Does what a verb of jobs asks, with the store that was named.
pub(super) fn carry_out(mut verb: JobVerb, printer: Printer) -> Result<u8, Failure> {
    let store = verb.take_store().filter(|path| !path.as_os_str().is_empty());
    // What the environment names it names to the next command too.
    let asked =
        store.clone().filter(|path| std::env::var_os("HPTUNE_STORE").is_none_or(|named| named != *path));
    match verb {
        JobVerb::Run(run) => {
            if let Some(path) = &run.previous_store {
                upgrade_store(path, printer)?;
            }
            let request = Request {
                config_name: run.config.display().to_string(),
                config_text: read_config_file(&run.config)?,
                command: run.command,
                job_id: run.job_id,
                job_dir: run.job_dir,
                seed: run.seed,
                deadline: run.deadline,
                gpus: run.gpus,
                store: store_path(store, printer)?,
                previous_store: run.previous_store,
            };
            if run.dry_run {
                return show_dry_run(&request, run.json, printer);
            }
            run_job(prepare(request, &mut |text| printer.talk(text))?, asked.as_deref(), run.json, printer)
        }
        JobVerb::Tuner(args) => {
            let store = asked.or_else(|| args.job_id.is_some().then_some(store).flatten());
            if let Some(path) = &store {
                upgrade_store(path, printer)?;
            }
            let request = tuner::Request {
                config_name: args.config.display().to_string(),
                config_text: read_config_file(&args.config)?,
                seed: args.seed,
                store,
                job_id: args.job_id,
            };
            let mut session = tuner::begin(request, &mut |text| printer.talk(text))?;
            session.notes.iter().for_each(|note| printer.talk(note));
            session.serve(&mut std::io::stdin().lock(), &mut |line| printer.document(line)).map(|()| 0)
        }
        JobVerb::Demo(args) => {
            let request = demo::request(args.job_dir, args.seed, store_path(store, printer)?)?;
            let mut plan = prepare(request, &mut |text| printer.talk(text))?;
            // They are about a file that its user did not write.
            plan.notes.clear();
            run_job(plan, asked.as_deref(), args.json, printer)
        }
        JobVerb::KeepTrial => keep_trial(printer),
        JobVerb::DemoTrainer(arguments) => demo::train(&arguments).map(|()| 0),
        #[cfg(feature = "serve")]
        JobVerb::Serve(args) => serving::serve(*args, store_path(store, printer)?, printer),
        #[cfg(feature = "serve")]
        JobVerb::ExecuteJob(args) => serving::execute(&args, &store_path(store, printer)?, printer),
        JobVerb::Jobs(args) => of_jobs(&args.verb, &store_path(store, printer)?, asked.as_deref(), printer),
    }
}

/// The store that was asked for, or that of the user.
pub(super) fn store_path(asked: Option<PathBuf>, printer: Printer) -> Result<PathBuf, Failure> {
    let path = asked.filter(|path| !path.as_os_str().is_empty()).map_or_else(default_store_path, Ok)?;
    upgrade_store(&path, printer)?;
    Ok(path)
}

/// Brings a store of an older version to this one, and says so.
fn upgrade_store(path: &Path, printer: Printer) -> Result<(), Failure> {
    if let Some(note) = jobs::upgrade(path)? {
        printer.talk(&note);
    }
    Ok(())
}

fn default_store_path() -> Result<PathBuf, Failure> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    state.map(|state| state.join("hptune/hptune.db")).ok_or_else(|| {
        Failure::usage("neither XDG_STATE_HOME nor HOME is set")
            .with_hint("name the store's file with --store")
    })
}

fn run_job(plan: Plan, store_asked: Option<&Path>, json: bool, printer: Printer) -> Result<u8, Failure> {
    let before = Before::of(&plan.config.spec, plan.study.trials());
    let mut view = view::for_output(json, printer, before);
    let finished = run(plan, &mut |event| view.show(event));
    let shown = view.finish();
    let finished = finished?;
    shown?;
    if !json {
        printer.talk("");
        printer.data(&summary::of_job(&finished, store_asked, printer.style()))?;
    }
    Ok(finished.exit_code())
}

/// The supervisor of a trial, which gets what to start on stdin.
fn keep_trial(printer: Printer) -> Result<u8, Failure> {
    let failed = |e: std::io::Error| Failure::outside(format!("cannot supervise a trial: {e}"));
    let spec = serde_json::from_reader(std::io::stdin().lock()).map_err(|e| failed(e.into()))?;
    supervise(&spec, printer.out()).map_err(failed)?;
    Ok(0)
}

fn show_dry_run(request: &Request, json: bool, printer: Printer) -> Result<u8, Failure> {
    let mut dry = dry_run(request)?;
    std::mem::take(&mut dry.notes).iter().for_each(|note| printer.talk(note));
    let first = first_trial(dry)?;
    if json {
        printer.document(&format!("{:#}", first.to_json()))?;
    } else {
        printer.data(&summary::of_first_trial(&first, printer.style()))?;
    }
    Ok(0)
}

fn of_jobs(verb: &JobsVerb, store: &Path, asked: Option<&Path>, printer: Printer) -> Result<u8, Failure> {
    match verb {
        JobsVerb::List { json } => list_jobs(store, *json, printer),
        JobsVerb::Resume { id, gpus, json } => {
            let plan = resume(store, id, gpus.as_deref(), &mut |text| printer.talk(text))?;
            run_job(plan, asked, *json, printer)
        }
        JobsVerb::Extend { id, max_trials, gpus, json } => {
            let plan = extend(store, id, *max_trials, gpus.as_deref(), &mut |text| printer.talk(text))?;
            run_job(plan, asked, *json, printer)
        }
        JobsVerb::Delete { id, files, yes } => {
            let deletion = deletion(store, id, *files)?;
            if !yes && !printer.confirm(&deletion.question())? {
                printer.talk("nothing was deleted");
                return Ok(1);
            }
            deletion.execute()?;
            printer.talk(&format!("job {id} is deleted"));
            Ok(0)
        }
        JobsVerb::Cancel { id } => {
            let mut view = view::for_output(false, printer, Before::default());
            let cancelled = cancel(store, id, &mut |event| view.show(event));
            let shown = view.finish();
            let state = cancelled?;
            shown?;
            printer.talk(&format!("job {id}: {state}"));
            Ok(u8::from(state != State::Ended(FinalState::Cancelled)))
        }
        JobsVerb::StopTrial { id, trial } => {
            let outcome = stop_trial(store, id, *trial)?;
            printer.talk(&format!("trial {trial} of job {id}: {outcome}"));
            Ok(u8::from(outcome != Outcome::StoppedByRequest))
        }
        JobsVerb::Logs { id, trial, replica, follow } => {
            let mut out = printer.out();
            let mut print = |piece: &[u8]| {
                out.write_all(piece)
                    .and_then(|()| out.flush())
                    .map_err(|e| Failure::outside(format!("cannot write to stdout: {e}")))
            };
            jobs::logs(store, id, *trial, replica.as_deref(), *follow, &mut print).map(|()| 0)
        }
        JobsVerb::Why { id, trial, json } => {
            let known = jobs::describe(store, id)?;
            let why = why(store, &known, *trial)?;
            if *json {
                printer.document(&format!("{:#}", why.to_json()))?;
            } else {
                let ink = if printer.is_coloured() { Ink::Colour } else { Ink::Plain };
                let width = printer.style().columns().unwrap_or(Cells::default().width);
                printer.data(&summary::of_why(
                    &known,
                    &why,
                    Cells { width, ..Cells::default() },
                    ink,
                    printer.style(),
                ))?;
            }
            Ok(0)
        }
        JobsVerb::Export { id, output, replacing, format } => {
            let target = TableTarget::new(output.as_deref(), *replacing, *format, printer)?;
            let known = jobs::describe(store, id)?;
            let write = |out: &mut dyn TableOut| {
                trial_table::write(&known, target.format, out).map(|(n_trials, _)| n_trials)
            };
            let Some(n_trials) = target.write(printer, write)? else { return Ok(0) };
            if let Some(path) = output {
                printer.talk(&format!("{n_trials} trials written to {}", path.display()));
            }
            Ok(0)
        }
        #[cfg(feature = "serve")]
        JobsVerb::Report { id, output, force } => {
            let page = crate::serve::report::html(store, id)?;
            super::output::write_file(output, *force, page.as_bytes())?;
            printer.talk(&format!("report of {id} written to {}", output.display()));
            Ok(0)
        }
        JobsVerb::Describe { id, format, json } => {
            let known = jobs::describe(store, id)?;
            match if *json { Format::Json } else { *format } {
                Format::Table => printer.data(&summary::of_known(&known, printer.style()))?,
                Format::Json => printer.document(&format!("{:#}", known.to_json()))?,
                Format::Yaml => {
                    let yaml = serde_saphyr::to_string(&known.to_json())
                        .map_err(|e| Failure::outside(format!("cannot write YAML: {e}")))?;
                    printer.document(yaml.trim_end())?;
                }
            }
            Ok(0)
        }
    }
}

fn list_jobs(store: &Path, json: bool, printer: Printer) -> Result<u8, Failure> {
    let mut known = Vec::new();
    let mut code = 0;
    for job in jobs::list(store)? {
        match job {
            Ok(job) => known.push(job),
            Err(failure) => {
                printer.error(&failure.to_string());
                code = failure.exit_code();
            }
        }
    }
    if json {
        let rows: serde_json::Value = known.iter().map(jobs::KnownJob::to_json_row).collect();
        printer.document(&format!("{rows:#}"))?;
    } else if known.is_empty() && code == 0 {
        printer.talk(&format!("no jobs in the store {}", store.display()));
    } else {
        printer.data(&tables::jobs(&known, printer.style()))?;
    }
    Ok(code)
}
