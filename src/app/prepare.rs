//! From a configuration file and arguments to a job that can begin: everything is checked before
//! anything is made.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::app::Failure;
use crate::edge::clock::Clock;
use crate::edge::process::find_program;
use crate::edge::store::{JobNumber, NewJob, Store, StoreError};
use crate::limits::MAX_CONFIG_BYTES;
use crate::study::config::check_job_id;
use crate::study::{Config, Problem, Severity, launch};

/// A seed that nobody chose is below this: short enough to be typed again.
const SEEDS: u64 = 1_000_000;

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// How messages name the configuration: its path.
    pub config_name: String,
    /// The configuration's text.
    pub config_text: String,
    /// The trainer's command; empty: `python3 -m` the configuration's module.
    pub command: Vec<String>,
    /// The job's name; made up where there is none in the configuration either.
    pub job_id: Option<String>,
    /// The directory of its trials; before the configuration's.
    pub job_dir: Option<PathBuf>,
    /// The seed; before the configuration's.
    pub seed: Option<u64>,
    /// The store.
    pub store: PathBuf,
}

/// A job that is in the store and can begin.
#[derive(Debug)]
pub struct Plan {
    /// The configuration, its seed set.
    pub config: Config,
    /// The job as it was stored.
    pub job: NewJob,
    /// Its number in the store.
    pub number: JobNumber,
    /// The store.
    pub store: Store,
    /// The words of the trainer's command without what each trial adds.
    pub words: Vec<String>,
    /// The job's clock.
    pub clock: Clock,
    /// Notes and warnings about the configuration.
    pub notes: Vec<String>,
}

/// Reads a configuration file.
///
/// # Errors
/// It is missing, too large, or no text.
pub fn read_config_file(path: &Path) -> Result<String, Failure> {
    let fail = |e: io::Error| Failure::usage(format!("{}: {e}", path.display()));
    let file = fs::File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG_BYTES + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        let message =
            format!("{}: longer than {MAX_CONFIG_BYTES} bytes; is it a configuration?", path.display());
        return Err(Failure::usage(message));
    }
    String::from_utf8(bytes).map_err(|e| {
        Failure::usage(format!("{}: byte {} is no UTF-8 text", path.display(), e.utf8_error().valid_up_to()))
    })
}

/// Reads a configuration, and its notes and warnings.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn read_config(name: &str, text: &str) -> Result<(Config, Vec<String>), Failure> {
    let (config, problems) =
        Config::read(text).map_err(|problems| Failure::usage(list_problems(name, &problems)))?;
    Ok((config, problems.iter().map(|p| describe(name, p)).collect()))
}

/// A seed for a job that was given none.
pub(super) fn draw_seed(now: jiff::Timestamp) -> u64 {
    now.as_millisecond().unsigned_abs() % SEEDS
}

/// Checks a request whole and, if all is well, puts the job into the store.
///
/// # Errors
/// All that is wrong with the configuration; otherwise the first of: the command cannot be run, the
/// job's name or directory is taken, a directory or the store cannot be written. No job is made then.
pub fn prepare(request: Request) -> Result<Plan, Failure> {
    let (mut config, mut notes) = read_config(&request.config_name, &request.config_text)?;
    let words = words(&config, &request.command)?;
    if launch::fills_places(&words, &config.spec.space)
        && !words.iter().any(|word| word.contains("{job_dir}"))
    {
        notes.push(
            "note: the command has no {job_dir}: the trainer must write below $HPTUNE_JOB_DIR".to_owned(),
        );
    }
    let clock = Clock::start();
    let created_at = clock.now();
    let job_id = match request.job_id.or_else(|| config.job_id.clone()) {
        Some(id) => check_job_id(&id).map(|()| id).map_err(|e| Failure::usage(format!("--job-id: {e}")))?,
        None => new_job_id("hptune", created_at),
    };
    let seed = request.seed.or(config.seed).unwrap_or_else(|| draw_seed(created_at));
    config.spec.seed = seed;
    let job_dir = job_dir(&config, request.job_dir.as_deref(), &job_id)?;
    refuse_used(&job_dir, config.spec.max_trials)?;
    let mut store = Store::open(&request.store).map_err(store_failure)?;
    if store.job(&job_id).map_err(store_failure)?.is_some() {
        return Err(store_failure(StoreError::JobExists(job_id)));
    }
    let made = make_writable(&job_dir)?;
    let job = NewJob {
        id: job_id,
        config: request.config_text,
        seed,
        command: request.command,
        job_dir,
        created_at,
    };
    let number = store.create_job(&job).map_err(|e| {
        unmake(&made);
        store_failure(e)
    })?;
    Ok(Plan { config, job, number, store, words, clock, notes })
}

/// A name for a job: a prefix and the time.
#[must_use]
pub fn new_job_id(prefix: &str, now: jiff::Timestamp) -> String {
    let digits: String = now.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
    let (date, time) = digits.split_at_checked(8).unwrap_or((&digits, ""));
    format!("{prefix}_{date}_{time}_{:03}", now.as_millisecond().rem_euclid(1000))
}

/// The failure that a store's error is.
#[must_use]
pub fn store_failure(error: StoreError) -> Failure {
    let message = error.to_string();
    match error {
        StoreError::JobExists(_) => Failure::usage(message).with_hint("choose another name with --job-id"),
        StoreError::Database { .. } | StoreError::Directory { .. } | StoreError::TooNew { .. } => {
            Failure::outside(message).with_hint("choose another file with --store or HPTUNE_STORE")
        }
    }
}

fn describe(name: &str, problem: &Problem) -> String {
    let word = match problem.severity {
        Severity::Note => "note: ",
        Severity::Warning => "warning: ",
        Severity::Error => "",
    };
    format!("{word}{name}:{problem}")
}

fn list_problems(name: &str, problems: &[Problem]) -> String {
    let errors: Vec<String> =
        problems.iter().filter(|p| p.severity == Severity::Error).map(|p| describe(name, p)).collect();
    if errors.len() == 1 {
        errors.concat()
    } else {
        format!("{} in {name}:\n{}", errors.len(), errors.join("\n"))
    }
}

/// The trainer's command with the configuration's own arguments; its program can be run.
fn words(config: &Config, command: &[String]) -> Result<Vec<String>, Failure> {
    let mut words = command.to_vec();
    if words.is_empty() {
        let Some(module) = &config.python_module else {
            return Err(Failure::usage("no command to run: the configuration names no pythonModule either")
                .with_hint("put the trainer's command behind `--`: hptune run CONFIG -- python3 train.py"));
        };
        if config.has_packages {
            return Err(Failure::usage("packageUris: installing packages is not supported by this version")
                .with_hint("install them yourself and put the trainer's command behind `--`"));
        }
        words = ["python3", "-m", module].map(str::to_owned).into();
    }
    if let Some(program) = words.first() {
        find_program(program).map_err(|e| Failure::usage(format!("cannot run the command: {e}")))?;
    }
    words.extend(config.args.iter().cloned());
    Ok(words)
}

/// The directory of the job's trials, absolute.
fn job_dir(config: &Config, asked: Option<&Path>, job_id: &str) -> Result<PathBuf, Failure> {
    let (name, path) = match (asked, &config.job_dir) {
        (Some(path), _) => ("--job-dir", path.to_owned()),
        (None, Some(path)) => ("trainingInput.jobDir", PathBuf::from(path)),
        (None, None) => ("--job-dir", Path::new("hptune-jobs").join(job_id)),
    };
    if path.to_str().is_some_and(|path| path.contains("://")) {
        let message =
            format!("{name} {}: remote directories are not supported by this version", path.display());
        return Err(Failure::usage(message).with_hint("give a local one with --job-dir"));
    }
    let absolute = std::path::absolute(&path)
        .map_err(|e| Failure::usage(format!("--job-dir {}: {e}", path.display())))?;
    if absolute.to_str().is_none() {
        return Err(Failure::usage(format!("--job-dir {}: is no UTF-8 text", absolute.display())));
    }
    Ok(absolute)
}

/// Refuses a directory that holds files of another job's trials.
fn refuse_used(job_dir: &Path, max_trials: u32) -> Result<(), Failure> {
    let Ok(entries) = fs::read_dir(job_dir) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let trial =
            name.to_str().and_then(|name| name.parse::<u32>().ok()).filter(|n| (1..=max_trials).contains(n));
        let is_used = fs::read_dir(entry.path()).map_or(true, |mut inside| inside.next().is_some());
        if trial.is_some() && is_used {
            let message = format!(
                "--job-dir {}: holds files of another job's trials, in {}/",
                job_dir.display(),
                name.display()
            );
            return Err(
                Failure::usage(message).with_hint("choose another directory, or remove what is there")
            );
        }
    }
    Ok(())
}

/// Makes a directory and what is missing above it, and checks that it can be written to. The answer
/// is what was made, innermost last.
fn make_writable(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut missing: Vec<PathBuf> =
        directory.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect();
    missing.reverse();
    let probe = directory.join(".hptune-probe");
    let made = fs::create_dir_all(directory)
        .and_then(|()| fs::write(&probe, ""))
        .and_then(|()| fs::remove_file(&probe));
    made.map_err(|e| {
        unmake(&missing);
        Failure::outside(format!("--job-dir {}: cannot be written: {e}", directory.display()))
    })?;
    Ok(missing)
}

/// Removes directories that were made for nothing; one that is not empty stays.
fn unmake(made: &[PathBuf]) {
    for directory in made.iter().rev() {
        let _ = fs::remove_dir(directory);
    }
}
