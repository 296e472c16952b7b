//! Reports of sidecars, on their way into the store: those that come while the disk is busy with others are stored together.

use std::thread;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::error::{ApiError, Code};
use super::limits::{MAX_REPORTS_STORED, MAX_REPORTS_WAITING};
use super::stores::Stores;
use crate::edge::store::{JobNumber, NewReport, Reportable, Store};

/// Stores reports, one transaction at a time, on a thread of its own.
#[derive(Debug)]
pub(super) struct Reporter {
    waiting: mpsc::Sender<Waiting>,
}

/// A report that is to be stored.
#[derive(Debug)]
struct Waiting {
    job: String,
    report: NewReport,
    answer: oneshot::Sender<Result<Reportable, ApiError>>,
}

impl Reporter {
    /// Ends when it is dropped and all that waits is stored.
    ///
    /// # Errors
    /// Errors of starting a thread.
    pub(super) fn start(stores: std::sync::Arc<Stores>) -> std::io::Result<Self> {
        let (waiting, reports) = mpsc::channel(MAX_REPORTS_WAITING);
        thread::Builder::new().name("reporter".into()).spawn(move || store_all(&stores, reports))?;
        Ok(Self { waiting })
    }

    /// Stores a report of a trial of a job, durably, unless it is there already; one without lines is not stored. The
    /// answer says how the trial stands.
    ///
    /// # Errors
    /// 404: there is no such trial. 503: too many reports wait, or the store cannot be written for now; the report is to
    /// be sent again.
    pub(super) async fn store(&self, job: &str, report: NewReport) -> Result<Reportable, ApiError> {
        let (answer, stored) = oneshot::channel();
        let busy = || ApiError::unavailable("too many reports wait to be stored; send it again");
        self.waiting.try_send(Waiting { job: job.to_owned(), report, answer }).map_err(|_| busy())?;
        stored.await.unwrap_or_else(|_| Err(busy()))
    }
}

fn store_all(stores: &Stores, mut reports: mpsc::Receiver<Waiting>) {
    let mut store = None;
    while let Some(first) = reports.blocking_recv() {
        let mut waiting = vec![first];
        while let Some(next) = (waiting.len() < MAX_REPORTS_STORED).then(|| reports.try_recv().ok()).flatten()
        {
            waiting.push(next);
        }
        let mut opened = match store.take().map_or_else(|| stores.open(), Ok) {
            Ok(opened) => opened,
            Err(e) => {
                let message = e.to_string();
                waiting.into_iter().for_each(|waiting| waiting.fail(&message));
                continue;
            }
        };
        // After an error it is opened anew: the file may be another one.
        if store_some(&mut opened, waiting) {
            store = Some(opened);
        }
    }
}

/// Stores reports and answers them. False: the store failed.
fn store_some(store: &mut Store, waiting: Vec<Waiting>) -> bool {
    let mut known: Vec<(Waiting, Reportable)> = Vec::with_capacity(waiting.len());
    let mut new: Vec<(JobNumber, NewReport)> = Vec::new();
    for waiting in waiting {
        match store.reportable(&waiting.job, waiting.report.trial) {
            Ok(Some(trial)) => {
                // Of a trial that is over nobody reads any more.
                if !trial.is_over && waiting.report.lines != "[]" {
                    new.push((trial.job, waiting.report.clone()));
                }
                known.push((waiting, trial));
            }
            Ok(None) => {
                let message = format!("job `{}` has no trial {}", waiting.job, waiting.report.trial);
                let _ = waiting.answer.send(Err(ApiError::not_found(message)));
            }
            Err(e) => waiting.fail(&e.to_string()),
        }
    }
    let stored = if new.is_empty() { Ok(0) } else { store.add_reports(&new, Timestamp::now()) };
    match stored {
        Ok(_) => known.into_iter().for_each(|(waiting, trial)| drop(waiting.answer.send(Ok(trial)))),
        Err(ref e) => {
            let message = e.to_string();
            known.into_iter().for_each(|(waiting, _)| waiting.fail(&message));
        }
    }
    stored.is_ok()
}

impl Waiting {
    fn fail(self, message: &str) {
        // Whoever waited may be gone.
        let _ = self.answer.send(Err(ApiError::new(Code::Unavailable, message)));
    }
}
