//! What sidecars report of trials that run elsewhere, until the process that executes their job has read it.
//!
//! A report is a batch of lines as a watcher delivers them (`docs/watch.md`). It is durable when [`Store::add_reports`] returns,
//! and read in the order in which it was stored. The same report once more, by its key, is not stored again.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, TransactionBehavior, params};

use super::rows::{self, Unreadable};
use super::{JobNumber, Store, StoreError};
use crate::study::StopDecision;
use crate::units::TrialId;

/// A report that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReport {
    /// The trial that it is of.
    pub trial: TrialId,
    /// What tells it apart from every other report of the trial.
    pub key: String,
    /// Its lines: a JSON array of objects.
    pub lines: String,
}

/// A report as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReport {
    /// Its place: rises from report to report of all jobs.
    pub number: i64,
    /// The trial that it is of.
    pub trial: TrialId,
    /// When it was stored.
    pub at: Timestamp,
    /// Its lines: a JSON array of objects.
    pub lines: String,
}

/// A trial as those see it who report on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reportable {
    /// Its job.
    pub job: JobNumber,
    /// It is over, and so whatever still runs of it is to be stopped.
    pub is_over: bool,
    /// Why it is being stopped.
    pub stop: Option<StopDecision>,
    /// The job is being cancelled, and all its trials with it.
    pub is_cancelled: bool,
}

impl Store {
    /// A trial of the job `id` as those see it who report on it; `None` where there is no such trial.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn reportable(&self, id: &str, trial: TrialId) -> Result<Option<Reportable>, StoreError> {
        let read = || -> rusqlite::Result<Option<Reportable>> {
            let mut query = self.connection.prepare_cached(
                "SELECT job.number, trial.ended_ms IS NOT NULL OR job.ended_ms IS NOT NULL AS is_over,
                        (SELECT d.reason FROM decision d WHERE d.job = job.number AND d.trial = trial.id AND d.kind = 'stop'
                         ORDER BY d.number DESC LIMIT 1) AS reason,
                        EXISTS (SELECT 1 FROM decision d WHERE d.job = job.number AND d.trial IS NULL AND d.kind = 'cancel')
                            AS is_cancelled
                 FROM job JOIN trial ON trial.job = job.number WHERE job.id = ? AND trial.id = ?",
            )?;
            let of = || format!("the decision on trial {trial} of job `{id}`");
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Reportable {
                    job: JobNumber(row.get("number")?),
                    is_over: row.get("is_over")?,
                    stop: rows::parsed(row, "reason", of)?,
                    is_cancelled: row.get("is_cancelled")?,
                })
            };
            query.query_row(params![id, trial.get()], read).optional()
        };
        read().map_err(|e| self.fail(e))
    }

    /// Stores reports of some jobs in one transaction: all that are new, or none. The answer is how many were new.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing was stored.
    pub fn add_reports(
        &mut self,
        reports: &[(JobNumber, NewReport)],
        at: Timestamp,
    ) -> Result<usize, StoreError> {
        let path = &self.path;
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let add = || -> rusqlite::Result<usize> {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO report (job, trial, key, lines, at_ms) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (job, trial, key) DO NOTHING",
            )?;
            let mut n_new = 0;
            for (job, report) in reports {
                let values =
                    params![job.0, report.trial.get(), report.key, report.lines, at.as_millisecond()];
                n_new += insert.execute(values)?;
            }
            Ok(n_new)
        };
        let n_new = add().map_err(fail)?;
        transaction.commit().map_err(fail)?;
        Ok(n_new)
    }

    /// Up to `limit` reports of a job that were stored behind the one with the number `after`, in that order.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn reports(&self, job: JobNumber, after: i64, limit: usize) -> Result<Vec<StoredReport>, StoreError> {
        let read = || -> rusqlite::Result<Vec<StoredReport>> {
            let mut query = self.connection.prepare_cached(
                "SELECT number, trial, at_ms, lines FROM report WHERE job = ? AND number > ? ORDER BY number LIMIT ?",
            )?;
            query.query_map(params![job.0, after, limit as i64], read_report)?.collect()
        };
        read().map_err(|e| self.fail(e))
    }
}

fn read_report(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredReport> {
    let (number, trial): (i64, u32) = (row.get("number")?, row.get("trial")?);
    let of = || format!("report {number}");
    let trial = TrialId::new(trial)
        .ok_or_else(|| Unreadable::error(of(), "trial", "there is no trial 0".to_owned()))?;
    let at = rows::time(row, "at_ms", of)?.unwrap_or_default();
    Ok(StoredReport { number, trial, at, lines: row.get("lines")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::store::tests::new_job;
    use crate::study::{Assignment, Outcome, Record, StopReason};

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).expect("a time")
    }

    fn report(trial: u32, key: &str, lines: &str) -> NewReport {
        let trial = TrialId::new(trial).expect("not 0");
        NewReport { trial, key: key.into(), lines: lines.into() }
    }

    #[test]
    fn a_report_is_stored_once_and_read_in_order() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(&directory.path().join("db")).expect("it opens");
        let [job, other] = ["a", "b"].map(|id| store.create_job(&new_job(id)).expect("it is new"));
        let first =
            [(job, report(1, "k", "[1]")), (other, report(1, "k", "[2]")), (job, report(2, "k", "[3]"))];
        assert_eq!(store.add_reports(&first, at(7)).expect("it writes"), 3);
        assert_eq!(store.add_reports(&first, at(8)).expect("it writes"), 0, "they are there");
        assert_eq!(store.add_reports(&[(job, report(1, "l", "[4]"))], at(9)).expect("it writes"), 1);
        let read = |after, limit| store.reports(job, after, limit).expect("it reads");
        let all = read(0, 9);
        let lines: Vec<(u32, &str)> = all.iter().map(|r| (r.trial.get(), &*r.lines)).collect();
        assert_eq!(lines, [(1, "[1]"), (2, "[3]"), (1, "[4]")]);
        assert_eq!((all[0].at, all[2].at), (at(7), at(9)));
        assert_eq!(read(all[0].number, 1), all[1..2]);
    }

    #[test]
    fn who_reports_on_a_trial_learns_whether_it_is_to_go_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(&directory.path().join("db")).expect("it opens");
        let job = store.create_job(&new_job("a")).expect("it is new");
        let trial = TrialId::after(0);
        let reportable = |store: &Store| store.reportable("a", trial).expect("it reads");
        assert_eq!(reportable(&store), None);
        store.write(job, &[Record::Suggested(trial, Assignment::default())]).expect("it writes");
        let runs = Reportable { job, is_over: false, stop: None, is_cancelled: false };
        assert_eq!(reportable(&store), Some(runs.clone()));
        let decision = StopDecision { reason: StopReason::Request, compared: None };
        store.write(job, &[Record::StopDecided(trial, at(6), decision.clone())]).expect("it writes");
        assert_eq!(reportable(&store), Some(Reportable { stop: Some(decision.clone()), ..runs.clone() }));
        store.write(job, &[Record::CancelDecided(at(7))]).expect("it writes");
        let cancelled = Reportable { stop: Some(decision), is_cancelled: true, ..runs };
        assert_eq!(reportable(&store), Some(cancelled.clone()));
        store.write(job, &[Record::Ended(trial, at(8), Outcome::StoppedByRequest)]).expect("it writes");
        assert_eq!(reportable(&store), Some(Reportable { is_over: true, ..cancelled }));
    }
}
