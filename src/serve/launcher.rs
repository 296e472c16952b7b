//! Starts the processes of submitted jobs, as many at once as are allowed, and takes back jobs whose process is gone.
//!
//! What is to be done is in the store, so that nothing is lost with this process: jobs that wait in the queue, and jobs
//! that were submitted here, are not over, and have no process. A process that is started twice does no harm: the store
//! gives a job to one of them, and the other one ends.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, OpenOptions};
use std::num::NonZeroUsize;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::limits::{LONGEST_RESTART_PAUSE, LOOK_INTERVAL, LOOK_SHARE, PRESENCE_INTERVAL, RESTART_PAUSE};
use super::stores::Stores;
use super::{ApiError, Shared, lock};
use crate::edge::signals::{SignalEvent, Signals};
use crate::edge::store::{JobHead, RequestKind, Store, StoreError};
use crate::layout::OWN_DIRECTORY;
use crate::study::State;

/// The program's verb for the process of a job.
pub const EXECUTOR_VERB: &str = "execute-job";

/// What the owners of jobs begin with that were submitted to a service.
pub(super) const OWNERS: &str = "projects/";

/// How long a service that ends waits between two looks whether its jobs are over.
const END_INTERVAL: Duration = Duration::from_millis(100);

/// Starts the processes of jobs.
#[derive(Debug)]
pub(super) struct Launcher {
    stores: Arc<Stores>,
    max_jobs: NonZeroUsize,
    /// How many file handles this process had, where it has raised that for itself.
    handles: Option<u64>,
    woken: Notify,
    processes: Mutex<HashMap<String, Child>>,
    /// Jobs whose process ended before they did: how often, and when the next one may be started.
    restarts: Mutex<BTreeMap<String, (u32, Instant)>>,
}

/// What the process of a job is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Execute,
    Cancel,
}

impl Launcher {
    pub(super) fn new(stores: Arc<Stores>, max_jobs: NonZeroUsize, handles: Option<u64>) -> Self {
        Self {
            stores,
            max_jobs,
            handles,
            woken: Notify::new(),
            processes: Mutex::default(),
            restarts: Mutex::default(),
        }
    }

    pub(super) fn max_jobs(&self) -> usize {
        self.max_jobs.get()
    }

    /// Has it look now whether there is something to start.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Starts what is to be started. A job whose process cannot be started is put off.
    fn look(&self, store: &Store) -> Result<(), ApiError> {
        self.collect();
        let unfinished = store.heads()?.into_iter().filter(|head| !head.state.is_over() && !head.is_study);
        // The oldest first.
        let mut ours: Vec<JobHead> = unfinished.filter(is_ours).collect();
        ours.reverse();
        lock(&self.restarts).retain(|id, _| ours.iter().any(|head| head.id == *id));
        let has_process = |head: &JobHead| lock(&self.processes).contains_key(&head.id) || head.is_held();
        let (led, others): (Vec<_>, Vec<_>) = ours.into_iter().partition(has_process);
        let mut n_free = self.max_jobs.get().saturating_sub(led.len());
        // Those that have begun come before those that wait.
        let (waiting, begun): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|head| head.state == State::Queued);
        for head in begun.into_iter().chain(waiting) {
            if n_free == 0 {
                break;
            }
            if !self.may_start(&head.id) {
                continue;
            }
            match self.start(store, &head.id, Purpose::Execute) {
                Ok(()) => n_free -= 1,
                // It is tried again, and stands in no other's way.
                Err(_) => put_off(&mut lock(&self.restarts), &head.id),
            }
        }
        Ok(())
    }

    /// Collects the processes that have ended.
    fn collect(&self) {
        let mut restarts = lock(&self.restarts);
        lock(&self.processes).retain(|id, child| {
            let has_ended = !matches!(child.try_wait(), Ok(None));
            if has_ended {
                put_off(&mut restarts, id);
            }
            !has_ended
        });
    }

    fn may_start(&self, id: &str) -> bool {
        lock(&self.restarts).get(id).is_none_or(|(_, at)| *at <= Instant::now())
    }

    /// Starts the process of a job, unless one that was started here is there.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(&self, store: &Store, id: &str, purpose: Purpose) -> Result<(), ApiError> {
        let failed = |e: std::io::Error| {
            ApiError::unavailable(format!("the process of job `{id}` cannot be started: {e}"))
        };
        let mut processes = lock(&self.processes);
        if processes.get_mut(id).is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
            return Ok(());
        }
        let Some(stored) = store.job_without_curves(id)? else { return Ok(()) };
        let directory = stored.job.local_dir().join(OWN_DIRECTORY);
        let _ = fs::create_dir_all(&directory);
        let log = OpenOptions::new().create(true).append(true).open(directory.join("job.log"));
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg(EXECUTOR_VERB).arg("--store").arg(self.stores.path()).arg(id);
        if purpose == Purpose::Cancel {
            command.arg("--to-cancel");
        }
        if let Some(handles) = self.handles {
            command.arg(format!("--handles={handles}"));
        }
        if stored.job.directory.is_dir() {
            command.current_dir(&stored.job.directory);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.map_or_else(|_| Stdio::null(), Stdio::from))
            .spawn()
            .map_err(failed)?;
        processes.insert(id.to_owned(), child);
        Ok(())
    }
}

/// The next process of a job is started after a pause that grows.
fn put_off(restarts: &mut BTreeMap<String, (u32, Instant)>, id: &str) {
    let (n, at) = restarts.entry(id.to_owned()).or_insert((0, Instant::now()));
    let pause = RESTART_PAUSE.saturating_mul(1 << (*n).min(10)).min(LONGEST_RESTART_PAUSE);
    (*n, *at) = (*n + 1, Instant::now() + pause);
}

/// Whether a job was submitted to a service.
fn is_ours(head: &JobHead) -> bool {
    head.owner.as_ref().is_some_and(|owner| owner.starts_with(OWNERS))
}

/// Looks at the store for as long as it changes, and starts what is to be started.
pub(super) async fn run(shared: Arc<Shared>, mut ended: watch::Receiver<bool>) {
    // Whether anything has changed only one and the same store can tell.
    let mut store: Option<Store> = None;
    let mut seen = None;
    let mut looked_at: Option<Instant> = None;
    loop {
        let (launching, before, began) = (shared.clone(), store.take(), Instant::now());
        let is_due = looked_at.is_none_or(|at| at.elapsed() >= PRESENCE_INTERVAL);
        let look = tokio::task::spawn_blocking(move || -> Result<_, ApiError> {
            let store = before.map_or_else(|| launching.stores.open(), Ok)?;
            let changes = store.changes()?;
            let is_due = is_due || seen != Some(changes);
            if is_due {
                let launched = launching.launcher.look(&store);
                let told = launching.feed.look(&launching, &store);
                launching.snapshots.drop_unused();
                launched.and(told)?;
            }
            Ok((store, changes, is_due))
        });
        match look.await {
            Ok(Ok((open, changes, has_looked))) => {
                (store, seen) = (Some(open), Some(changes));
                looked_at = if has_looked { Some(Instant::now()) } else { looked_at };
            }
            // It is opened and looked at again; whoever asks for something is told.
            Ok(Err(_)) | Err(_) => seen = None,
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL.max(began.elapsed() * LOOK_SHARE)) => {}
            () = shared.launcher.woken.notified() => seen = None,
            _ = ended.wait_for(|ended| *ended) => return,
        }
    }
}

/// Ends the service: its jobs go on, or are cancelled and waited for. Another signal ends the waiting. The answer says
/// what became of them.
pub(super) async fn leave(shared: &Arc<Shared>, signals: &mut Signals) -> String {
    let cancels = shared.options.cancels_on_exit;
    let asked = shared.stores.call(move |store| {
        let heads = store.heads()?;
        let ours: Vec<JobHead> =
            heads.into_iter().filter(|head| !head.state.is_over() && is_ours(head)).collect();
        for head in ours.iter().filter(|_| cancels) {
            match store.request(&head.id, RequestKind::Cancel, "the service that ends", Timestamp::now()) {
                Ok(_) | Err(StoreError::JobOver { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(ours.into_iter().map(|head| head.id).collect::<Vec<String>>())
    });
    let ours = match asked.await {
        Ok(ours) if ours.is_empty() => return "ended; no job was left".to_owned(),
        Ok(ours) => ours,
        Err(e) => return format!("ended; what became of its jobs is not known: {e}"),
    };
    let names = ours.join(", ");
    if !cancels {
        return format!(
            "ended; jobs that run go on, and those that wait start with the next service: {names} \
             (`hptune jobs cancel JOB` ends one)"
        );
    }
    let over = async {
        loop {
            let ids = ours.clone();
            let left = shared.stores.call(move |store| {
                let states = ids.iter().map(|id| store.state(id)).collect::<Result<Vec<_>, _>>()?;
                Ok(states.into_iter().flatten().any(|state| !state.is_over()))
            });
            if matches!(left.await, Ok(false)) {
                return;
            }
            tokio::time::sleep(END_INTERVAL).await;
        }
    };
    let hurried = async { while !matches!(signals.next().await, SignalEvent::End(_)) {} };
    tokio::select! {
        () = over => format!("ended; cancelled: {names}"),
        () = hurried => format!("ended; being cancelled: {names}"),
    }
}
