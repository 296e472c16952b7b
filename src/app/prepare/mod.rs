//! From a configuration file and arguments to a job that can begin, or go on: everything is checked before
//! anything is made.

mod command;
mod directories;
mod earlier;
mod queue;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use crate::app::{Failure, FailureKind};
use crate::edge::clock::Clock;
use crate::edge::process_tree::Presence;
use crate::edge::remote::local_dir;
use crate::edge::store::{JobNumber, NewJob, Resource, Store, StoreError, StoredJob};
use crate::engine;
use crate::engine::local::{Machine, MachineError};
use crate::limits::{LEASE_EXPIRY, MAX_CONFIG_BYTES, MAX_TRIALS, STORE_RETRY};
use crate::study::config::check_job_id;
use crate::study::{Config, Decided, Problem, Record, Severity, State, Study};
use command::{with_packages, words};
use directories::{job_dir, make_writable, refuse_used, unmake};
pub(super) use earlier::read_stored;
use earlier::{Earlier, find_interrupted};
pub use queue::{OnThisMachine, QueueError, ReadConfig, queue, read_for};

/// A seed that nobody chose is below this: short enough to be typed again.
const SEEDS: u64 = 1_000_000;

/// How messages name the configuration of a job that is in the store.
const STORED_CONFIG: &str = "CONFIG";

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
    /// When all is to be over.
    pub deadline: Option<Deadline>,
    /// The GPUs that trials may have, as the user named them; otherwise those that are found.
    pub gpus: Option<String>,
    /// The store.
    pub store: PathBuf,
    /// The store that has the job which this one continues, if that is another one.
    pub previous_store: Option<PathBuf>,
}

/// When a job is to be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// So long after its start.
    After(Duration),
    /// At this time.
    At(Timestamp),
}

/// A job that is in the store and can begin, or go on.
#[derive(Debug)]
pub struct Plan {
    /// The configuration, its seed and its deadline set.
    pub config: Config,
    /// The job as it was stored.
    pub job: NewJob,
    /// Its number in the store.
    pub number: JobNumber,
    /// The store, which holds the job for this process.
    pub store: Store,
    /// The words of the trainer's command without what each trial adds.
    pub words: Vec<String>,
    /// The job's clock.
    pub clock: Clock,
    /// Notes and warnings about the configuration.
    pub notes: Vec<String>,
    /// What each trial gets of the machine.
    pub machine: Machine,
    /// The study, with what other jobs found, and with what its own records say of a job that goes on.
    pub study: Study,
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
    let (config, problems) = Config::read_continuing(text, None, Some(&engine::names()))
        .map_err(|problems| Failure::usage(list_problems(name, &problems)))?;
    Ok((config, problems.iter().map(|p| describe(name, p)).collect()))
}

/// A seed for a job that was given none.
pub(super) fn draw_seed(now: jiff::Timestamp) -> u64 {
    now.as_millisecond().unsigned_abs() % SEEDS
}

/// Checks a request whole and, if all is well, puts the job into the store. Where the same request was made before
/// and its job was interrupted, that one goes on.
///
/// # Errors
/// All that is wrong with the configuration; otherwise the first of: the command cannot be run, the
/// job's name or directory is taken, another process runs it, a directory or the store cannot be written. No job is
/// made then. What is waited for meanwhile is told to `tell`.
pub fn prepare(request: Request, tell: &mut dyn FnMut(&str)) -> Result<Plan, Failure> {
    let clock = Clock::start();
    let directory = working_directory()?;
    let mut store = open_store(&request)?;
    if let Some(interrupted) = find_interrupted(&store, &request, &directory)? {
        let mut plan = go_on(store, &interrupted.job.id, request.gpus.as_deref(), Going::On, tell)?;
        let text = format!(
            "job {} was interrupted and goes on; --job-id with another name begins a new one",
            plan.job.id
        );
        plan.notes.insert(0, text);
        return Ok(plan);
    }
    let checked = check(&request, &store, clock.now())?;
    let Checked { mut config, mut notes, words, job_id, job_dir, earlier, machine } = checked;
    let created_at = clock.now();
    let seed = request.seed.or(config.seed).unwrap_or_else(|| draw_seed(created_at));
    config.spec.seed = seed;
    let first = earlier.first.get();
    let local = local_dir(&job_dir, &directory, &job_id);
    refuse_used(&job_dir, &local, first..=first.saturating_add(config.spec.max_trials - 1))?;
    let made = make_writable(&local)?;
    let words = with_packages(words, &config, &request.command, &local).inspect_err(|_| unmake(&made))?;
    if local != job_dir {
        notes.push(format!("note: logs, and what else is kept of the trials, are in {}", local.display()));
    }
    let job = NewJob {
        id: job_id,
        config: request.config_text,
        seed,
        command: request.command,
        job_dir,
        created_at,
        directory,
        deadline: config.policy.deadline,
        previous: config.previous.clone(),
        max_trials: None,
        resource: Resource::default(),
    };
    let number = store.create_job(&job).map_err(|e| {
        unmake(&made);
        store_failure(e)
    })?;
    hold(&mut store, number, tell)?;
    notes.extend(earlier.note());
    let study = earlier.study(config.spec.clone());
    Ok(Plan { config, job, number, store, words, clock, notes, machine, study })
}

/// Takes a job up again that was interrupted.
///
/// # Errors
/// It is not there, is over, or is run by another process; or its command cannot be run any more.
pub fn resume(
    store: &Path,
    id: &str,
    gpus: Option<&str>,
    tell: &mut dyn FnMut(&str),
) -> Result<Plan, Failure> {
    unfinished(store, id)?;
    go_on(Store::open(store).map_err(store_failure)?, id, gpus, Going::On, tell)
}

/// Has a job that is over go on, with up to `max_trials` trials.
///
/// # Errors
/// It is not there, is not over, has as many trials already, or is continued by another job; its command cannot be run any
/// more, or the directories of its further trials hold others' files. It is as it was then.
pub fn extend(
    store_path: &Path,
    id: &str,
    max_trials: u32,
    gpus: Option<&str>,
    tell: &mut dyn FnMut(&str),
) -> Result<Plan, Failure> {
    let stored = find_job(store_path, id)?;
    refuse_study(&stored)?;
    if !stored.is_over() {
        let message = format!("job `{id}` is not over: {}", stored.state);
        return Err(Failure::usage(message)
            .with_hint(format!("`hptune jobs resume {id}` goes on with one that was interrupted")));
    }
    let n_trials = stored.trials.len() as u32;
    if !(n_trials + 1..=MAX_TRIALS).contains(&max_trials) {
        let message = format!("--max-trials: got {max_trials}, want {} to {MAX_TRIALS}", n_trials + 1);
        return Err(Failure::usage(message).with_hint(format!("job `{id}` has {n_trials} trials already")));
    }
    let mut store = Store::open(store_path).map_err(store_failure)?;
    if let Some(other) = store.continued_by(id).map_err(store_failure)? {
        let message = format!("job `{other}` continues `{id}`: its trials have the numbers that follow");
        return Err(Failure::usage(message).with_hint(format!("hptune jobs extend {other} --max-trials N")));
    }
    let config = read_stored(&store, &stored.job)?;
    command::check(&words(&config, &stored.job.command, STORED_CONFIG)?, &config)?;
    let first = Earlier::of(&store, &config, id)?.first.get();
    let further = first.saturating_add(n_trials)..=first.saturating_add(max_trials - 1);
    refuse_used(&stored.job.job_dir, &stored.job.local_dir(), further)?;
    store.extend(stored.number, max_trials).map_err(store_failure)?;
    go_on(store, id, gpus, Going::On, tell)
}

/// Takes a job up again that was interrupted, only to cancel it.
///
/// # Errors
/// As of [`resume`], but for the command.
pub(crate) fn resume_to_cancel(store: &Path, id: &str, tell: &mut dyn FnMut(&str)) -> Result<Plan, Failure> {
    go_on(Store::open(store).map_err(store_failure)?, id, None, Going::ToCancel, tell)
}

/// A job, as it can be read whoever writes to the store.
///
/// # Errors
/// It is not there, or the store cannot be read.
pub(super) fn find_job(store: &Path, id: &str) -> Result<StoredJob, Failure> {
    let missing = || {
        let message = format!("no job `{id}` in the store {}", store.display());
        Failure::usage(message).with_hint("`hptune jobs list` names those that are there")
    };
    if !store.exists() {
        return Err(missing());
    }
    let store = Store::open_to_read(store).map_err(store_failure)?;
    store.job_to_resume(id).map_err(store_failure)?.ok_or_else(missing)
}

/// A job that is not over.
///
/// # Errors
/// As of [`find_job`]; or it is over, or runs no trials.
pub(super) fn unfinished(store: &Path, id: &str) -> Result<StoredJob, Failure> {
    let stored = find_job(store, id)?;
    refuse_over(&stored)?;
    refuse_study(&stored)?;
    Ok(stored)
}

fn refuse_study(stored: &StoredJob) -> Result<(), Failure> {
    if !stored.job.is_study() {
        return Ok(());
    }
    let message = format!("`{}` is a study of `hptune tuner`, which runs no trials", stored.job.id);
    Err(Failure::usage(message).with_hint("hptune tuner CONFIG --store FILE --job-id NAME"))
}

fn refuse_over(stored: &StoredJob) -> Result<(), Failure> {
    if !stored.is_over() {
        return Ok(());
    }
    let message = format!("job `{}` is over: {}", stored.job.id, stored.state);
    let hint = format!(
        "`hptune jobs extend {} --max-trials N` has it go on; a new job does with hyperparameters.resumePreviousJobId",
        stored.job.id
    );
    Err(Failure::usage(message).with_hint(hint))
}

/// What an interrupted job is taken up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    /// To go on as it was, which may be to be cancelled.
    On,
    /// To be cancelled.
    ToCancel,
}

/// Takes a job of the store up.
fn go_on(
    mut store: Store,
    id: &str,
    gpus: Option<&str>,
    going: Going,
    tell: &mut dyn FnMut(&str),
) -> Result<Plan, Failure> {
    let number = store.number(id).map_err(store_failure)?;
    hold(&mut store, number, tell)?;
    if going == Going::On {
        // From now on it is not cancelled without this process.
        store.prepare(number).map_err(store_failure)?;
    }
    // Only now has whoever had it written all that it will.
    let Some(stored) = store.job_to_resume(id).map_err(store_failure)? else {
        return Err(Failure::usage(format!("job `{id}` is not in the store any more")));
    };
    refuse_over(&stored)?;
    let StoredJob { mut job, state, message, trials, .. } = stored;
    if job.directory.as_os_str().is_empty() {
        // Older programs did not store it.
        job.directory = working_directory()?;
    }
    let mut config = read_stored(&store, &job)?;
    config.policy.deadline = job.deadline;
    let earlier = Earlier::of(&store, &config, &job.id)?;
    let was_cancelling = state == State::Cancelling;
    let decided = match message {
        _ if was_cancelling || going == Going::ToCancel => Decided::Cancel,
        Some(why) => Decided::Fail(why),
        None => Decided::Nothing,
    };
    let mut notes = Vec::new();
    let (words, machine) = match decided {
        // No trial is started: what one needs may be gone.
        Decided::Cancel | Decided::Fail(_) => (Vec::new(), Machine::default()),
        Decided::Nothing => {
            let words = words(&config, &job.command, STORED_CONFIG)?;
            // What an earlier program began this one finishes: its words are what they were.
            if let Err(fault) = command::check(&words, &config) {
                notes.push(format!("warning: {}", fault.message));
            }
            let words = with_packages(words, &config, &job.command, &job.local_dir())?;
            let machine = machine(&mut config, gpus, &mut notes)?;
            (words, machine)
        }
    };
    let clock = Clock::start();
    if going == Going::On {
        if matches!(state, State::Queued | State::Preparing) && job.deadline.is_none() {
            let limit = config.max_running_time.and_then(|time| clock.now().checked_add(time).ok());
            (job.deadline, config.policy.deadline) = (limit, limit);
        }
        store.begin(number, clock.now(), job.deadline).map_err(store_failure)?;
    }
    if decided == Decided::Cancel && !was_cancelling {
        store.write(number, &[Record::CancelDecided(clock.now())]).map_err(store_failure)?;
    }
    let study = earlier.study(config.spec.clone()).with_trials(trials, decided);
    Ok(Plan { config, job, number, store, words, clock, notes, machine, study })
}

/// Takes a job for this process. One that was held from where nobody can look, another container perhaps that was
/// started anew, is taken when nothing has been heard of its holder for long enough.
pub(super) fn hold(store: &mut Store, number: JobNumber, tell: &mut dyn FnMut(&str)) -> Result<(), Failure> {
    let first = match store.hold(number) {
        Ok(()) => return Ok(()),
        Err(e) => {
            let StoreError::Held { holder, heard_of, .. } = &e else { return Err(store_failure(e)) };
            if holder.presence() != Presence::OutOfSight {
                return Err(store_failure(e));
            }
            let patience = LEASE_EXPIRY.as_secs();
            tell(&format!(
                "{e}, which cannot be seen from here: waiting {patience} s at most for more of it"
            ));
            *heard_of
        }
    };
    loop {
        thread::sleep(STORE_RETRY.saturating_mul(10));
        match store.hold(number) {
            Err(StoreError::Held { heard_of, .. }) if heard_of == first => {}
            held => return held.map_err(store_failure),
        }
    }
}

/// What a dry run shows of a job: all that its first trial would get.
#[derive(Debug)]
pub struct DryRun {
    /// How messages name the configuration: its path.
    pub config_name: String,
    /// The configuration, its seed set.
    pub config: Config,
    /// Where the seed comes from.
    pub seed_from: SeedFrom,
    /// The job's name.
    pub job_id: String,
    /// The words of the trainer's command without what a trial adds.
    pub words: Vec<String>,
    /// Notes and warnings about the configuration.
    pub notes: Vec<String>,
    /// The directory of the job, absolute.
    pub job_dir: PathBuf,
    /// What each trial gets of the machine.
    pub machine: Machine,
    /// The study, with what other jobs found.
    pub study: Study,
}

/// Where the seed of a job comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedFrom {
    /// From the command line.
    Flag,
    /// From the configuration.
    Config,
    /// It was drawn.
    Drawn,
}

/// Checks a request as [`prepare`] does, and makes nothing.
///
/// # Errors
/// As of [`prepare`].
pub fn dry_run(request: &Request) -> Result<DryRun, Failure> {
    let now = Clock::start().now();
    let path = request.previous_store.as_ref().unwrap_or(&request.store);
    let store = if path.exists() { Store::open_to_read(path) } else { Store::open(Path::new(":memory:")) };
    let store = store.map_err(store_failure)?;
    let Checked { mut config, mut notes, words, job_id, job_dir, earlier, machine } =
        check(request, &store, now)?;
    let (seed, seed_from) = match (request.seed, config.seed) {
        (Some(seed), _) => (seed, SeedFrom::Flag),
        (None, Some(seed)) => (seed, SeedFrom::Config),
        (None, None) => (draw_seed(now), SeedFrom::Drawn),
    };
    config.spec.seed = seed;
    let first = earlier.first.get();
    let local = local_dir(&job_dir, &working_directory()?, &job_id);
    refuse_used(&job_dir, &local, first..=first.saturating_add(config.spec.max_trials - 1))?;
    notes.extend(earlier.note());
    let study = earlier.study(config.spec.clone());
    let config_name = request.config_name.clone();
    Ok(DryRun { config_name, config, seed_from, job_id, words, notes, job_dir, machine, study })
}

/// The store of a request, with the job in it that is to be continued.
fn open_store(request: &Request) -> Result<Store, Failure> {
    let mut store = Store::open(&request.store).map_err(store_failure)?;
    if let (Some(path), Some(id)) = (&request.previous_store, Config::previous_job_id(&request.config_text)) {
        earlier::import(&mut store, path, &id)?;
    }
    Ok(store)
}

/// What a request comes to.
struct Checked {
    config: Config,
    notes: Vec<String>,
    words: Vec<String>,
    job_id: String,
    job_dir: PathBuf,
    earlier: Earlier,
    machine: Machine,
}

fn check(request: &Request, store: &Store, now: Timestamp) -> Result<Checked, Failure> {
    let previous = match Config::previous_job_id(&request.config_text) {
        Some(id) => Some(earlier::previous_spec(store, &id)?),
        None => None,
    };
    let engines = engine::names();
    let read = Config::read_continuing(&request.config_text, previous.as_ref(), Some(&engines));
    let (mut config, problems) = read.map_err(|p| Failure::usage(list_problems(&request.config_name, &p)))?;
    let mut notes: Vec<String> = problems.iter().map(|p| describe(&request.config_name, p)).collect();
    let words = words(&config, &request.command, &request.config_name)?;
    command::check(&words, &config)?;
    notes.extend(command::notes(&words, &config));
    let job_id = match request.job_id.clone().or_else(|| config.job_id.clone()) {
        Some(id) => check_job_id(&id).map(|()| id).map_err(|e| Failure::usage(format!("--job-id: {e}")))?,
        None => new_job_id("hptune", now),
    };
    if store.state(&job_id).map_err(store_failure)?.is_some() {
        return Err(store_failure(StoreError::JobExists(job_id)));
    }
    let asked = request.deadline.map(|deadline| match deadline {
        Deadline::After(time) => now.checked_add(time).unwrap_or(Timestamp::MAX),
        Deadline::At(time) => time,
    });
    let limit = config.max_running_time.map(|time| now.checked_add(time).unwrap_or(Timestamp::MAX));
    config.policy.deadline = asked.into_iter().chain(limit).min();
    if config.policy.deadline.is_some_and(|deadline| deadline <= now) {
        return Err(Failure::usage("--deadline: is over").with_hint("give a time such as 2h, or one to come"));
    }
    let job_dir = job_dir(&config, request.job_dir.as_deref(), &job_id)?;
    let earlier = Earlier::of(store, &config, &job_id)?;
    let machine = machine(&mut config, request.gpus.as_deref(), &mut notes)?;
    Ok(Checked { config, notes, words, job_id, job_dir, earlier, machine })
}

fn working_directory() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|e| Failure::outside(format!("the working directory: {e}")))
}

/// What there is of this machine for trials.
fn machine(config: &mut Config, named: Option<&str>, notes: &mut Vec<String>) -> Result<Machine, Failure> {
    if !engine::is_here(config) {
        return Ok(Machine::default());
    }
    Machine::find(&mut config.spec, config.needs, named, notes).map_err(|MachineError { message, hint }| {
        let failure = Failure::usage(message);
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    })
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
    let may_pass = error.may_pass();
    let mut failure = match error {
        StoreError::JobExists(_) => Failure::usage(message).with_hint("choose another name with --job-id"),
        StoreError::Held { .. } => Failure::outside(message).with_hint(
            "wait for its end, or end that process; `hptune jobs resume` goes on with the job then",
        ),
        StoreError::TakenOver(_) => Failure::outside(message),
        StoreError::NotOurs { .. } => {
            Failure::usage(message).with_hint("choose another file with --store or HPTUNE_STORE")
        }
        StoreError::Database { .. } | StoreError::Directory { .. } | StoreError::TooNew { .. } => {
            Failure::outside(message).with_hint("choose another file with --store or HPTUNE_STORE")
        }
        StoreError::Copy { .. } => Failure::outside(message)
            .with_hint("make room on its disk and let its directory be written; the store is as it was"),
        StoreError::NoJob(_) | StoreError::NoTrial { .. } => Failure::usage(message)
            .with_hint("`hptune jobs list` names the jobs, `hptune jobs describe` their trials"),
        StoreError::JobOver { .. } | StoreError::TrialOver { .. } | StoreError::Changed { .. } => {
            Failure::usage(message)
        }
    };
    if may_pass {
        failure.kind = FailureKind::Busy;
    }
    failure
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
