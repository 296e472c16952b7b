//! Reports of sidecars, on their way into the store: those that come while the disk is busy with others are stored together.

use std::collections::HashMap;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::error::{ApiError, Code};
use super::limits::{
    ALIVE_INTERVAL, MAX_CONNECTIONS, MAX_REPORTS_STORED, MAX_REPORTS_WAITING, MAX_SUMMARIES_KEPT,
};
use super::stores::Stores;
use crate::app::jobs::KnownJob;
use crate::edge::store::{JobNumber, NewReport, Reportable, Store, StoreError};
use crate::engine;
use crate::units::TrialId;

/// The lines of a report that has none.
const NO_LINES: &str = "[]";

/// Stores reports, one transaction at a time, on a thread of its own.
#[derive(Debug)]
pub(super) struct Reporter {
    /// `None` when it is dropped.
    waiting: Option<mpsc::Sender<Waiting>>,
    thread: Option<JoinHandle<()>>,
}

/// A report that is to be stored.
#[derive(Debug)]
struct Waiting {
    job: String,
    report: NewReport,
    answer: oneshot::Sender<Result<Reportable, ApiError>>,
}

impl Reporter {
    /// Ends when it is dropped; all that waits is stored before.
    ///
    /// # Errors
    /// Errors of starting a thread.
    pub(super) fn start(stores: std::sync::Arc<Stores>) -> std::io::Result<Self> {
        let (waiting, reports) = mpsc::channel(MAX_REPORTS_WAITING);
        let thread =
            thread::Builder::new().name("reporter".into()).spawn(move || store_all(&stores, reports))?;
        Ok(Self { waiting: Some(waiting), thread: Some(thread) })
    }

    /// Stores a report of a trial of a job, durably, unless it is there already; one without lines is stored where nothing
    /// else tells that its sidecar is there. The answer says how the trial stands.
    ///
    /// # Errors
    /// 404: there is no such trial. 503: too many reports wait, or the store cannot be written for now; the report is to
    /// be sent again.
    pub(super) async fn store(&self, job: &str, report: NewReport) -> Result<Reportable, ApiError> {
        let (answer, stored) = oneshot::channel();
        let busy = || ApiError::unavailable("too many reports wait to be stored; send it again");
        let waiting = Waiting { job: job.to_owned(), report, answer };
        self.waiting.as_ref().ok_or_else(busy)?.try_send(waiting).map_err(|_| busy())?;
        stored.await.unwrap_or_else(|_| Err(busy()))
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.waiting = None;
        if let Some(thread) = self.thread.take() {
            // It says nothing when it panics.
            let _ = thread.join();
        }
    }
}

fn store_all(stores: &Stores, mut reports: mpsc::Receiver<Waiting>) {
    let mut store = None;
    let mut alive = Alive::default();
    while let Some(first) = reports.blocking_recv() {
        let mut waiting = vec![first];
        while let Some(next) = (waiting.len() < MAX_REPORTS_STORED).then(|| reports.try_recv().ok()).flatten()
        {
            waiting.push(next);
        }
        let mut opened = match store.take().map_or_else(|| stores.open(), Ok) {
            Ok(opened) => opened,
            Err(e) => {
                let error = ApiError::from(e);
                waiting.into_iter().for_each(|waiting| fail(waiting.answer, error.clone()));
                continue;
            }
        };
        // After an error it is opened anew: the file may be another one.
        if store_some(&mut opened, waiting, &mut alive, Instant::now()) {
            store = Some(opened);
        }
    }
}

/// Stores reports and answers them. False: the store failed.
fn store_some(store: &mut Store, waiting: Vec<Waiting>, alive: &mut Alive, now: Instant) -> bool {
    let mut known: Vec<(oneshot::Sender<_>, Reportable)> = Vec::with_capacity(waiting.len());
    let mut new: Vec<(JobNumber, NewReport)> = Vec::new();
    let mut is_well = true;
    for Waiting { job, mut report, answer } in waiting {
        match store.reportable(&job, report.trial) {
            Ok(Some(trial)) => {
                match alive.takes_reports(store, &job, trial.job) {
                    Ok(true) => {}
                    Ok(false) => {
                        fail(answer, runs_here(&job));
                        continue;
                    }
                    Err(e) => {
                        is_well = false;
                        fail(answer, e.into());
                        continue;
                    }
                }
                // Of a trial that is over nobody reads any more.
                let is_due =
                    !trial.is_over && (report.lines != NO_LINES || alive.is_due(&trial, &report, now));
                if is_due {
                    if report.lines == NO_LINES {
                        report.key = format!("alive at {}", Timestamp::now());
                    }
                    alive.heard.insert((trial.job, report.trial), now);
                    new.push((trial.job, report));
                }
                known.push((answer, trial));
            }
            Ok(None) => {
                let message = format!("job `{job}` has no trial {}", report.trial);
                let _ = answer.send(Err(ApiError::not_found(message)));
            }
            Err(e) => {
                is_well = false;
                fail(answer, e.into());
            }
        }
    }
    match if new.is_empty() { Ok(0) } else { store.add_reports(&new, Timestamp::now()) } {
        Ok(_) => {
            known.into_iter().for_each(|(answer, trial)| drop(answer.send(Ok(trial))));
            is_well
        }
        Err(e) => {
            alive.heard.clear();
            let error = ApiError::from(e);
            known.into_iter().for_each(|(answer, _)| fail(answer, error.clone()));
            false
        }
    }
}

fn fail(answer: oneshot::Sender<Result<Reportable, ApiError>>, error: ApiError) {
    // Whoever waited may be gone.
    let _ = answer.send(Err(error));
}

fn runs_here(job: &str) -> ApiError {
    let what = format!(
        "job `{job}` starts its trials itself and reads their files; \
         a watcher reports to one with `hptune: {{engine: {{kind: sidecar}}}}`"
    );
    ApiError::new(Code::FailedPrecondition, what)
}

/// What is known of trials that report.
#[derive(Debug, Default)]
struct Alive {
    /// When a report of each trial was stored last, as far as it matters.
    heard: HashMap<(JobNumber, TrialId), Instant>,
    /// Whether the trials of each job report.
    engines: HashMap<JobNumber, bool>,
}

impl Alive {
    /// Whether the trials of a job report; those of one that cannot be read may.
    fn takes_reports(&mut self, store: &Store, id: &str, job: JobNumber) -> Result<bool, StoreError> {
        if let Some(takes) = self.engines.get(&job) {
            return Ok(*takes);
        }
        let Some(stored) = store.job_without_curves(id)? else { return Ok(true) };
        let takes = KnownJob::read(store, stored).map_or(true, |known| !engine::is_here(&known.config));
        if self.engines.len() >= MAX_SUMMARIES_KEPT {
            self.engines.clear();
        }
        self.engines.insert(job, takes);
        Ok(takes)
    }

    /// Whether the store has heard nothing of a trial for so long that it is to be told that its sidecar is there.
    fn is_due(&mut self, trial: &Reportable, report: &NewReport, now: Instant) -> bool {
        if self.heard.len() >= MAX_CONNECTIONS {
            self.heard.retain(|_, at| now.duration_since(*at) < ALIVE_INTERVAL);
        }
        let heard = self.heard.get(&(trial.job, report.trial));
        heard.is_none_or(|at| now.duration_since(*at) >= ALIVE_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::edge::store::tests::new_job;
    use crate::study::{Assignment, Record};

    #[test]
    fn the_store_hears_now_and_then_of_a_sidecar_that_reports_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(&directory.path().join("db")).expect("it opens");
        let job = store.create_job(&new_job("a")).expect("it is new");
        let trial = TrialId::after(0);
        store.write(job, &[Record::Suggested(trial, Assignment::default())]).expect("it writes");
        let (mut alive, began) = (Alive::default(), Instant::now());
        let mut report = |lines: &str, at: Duration| {
            let (answer, mut answered) = oneshot::channel();
            let report = NewReport { trial, key: String::new(), lines: lines.into() };
            let waiting = Waiting { job: "a".into(), report, answer };
            assert!(store_some(&mut store, vec![waiting], &mut alive, began + at));
            assert!(matches!(answered.try_recv(), Ok(Ok(_))));
            store.reports(job, 0, 99).expect("it reads").len()
        };
        let lines: Vec<usize> = [
            ("[]", Duration::ZERO),
            ("[]", Duration::from_secs(5)),
            ("[{}]", Duration::from_secs(50)),
            ("[]", ALIVE_INTERVAL),
            ("[]", ALIVE_INTERVAL + Duration::from_secs(50)),
        ]
        .map(|(lines, at)| report(lines, at))
        .into();
        assert_eq!(lines, [1, 1, 2, 2, 3]);
    }
}
