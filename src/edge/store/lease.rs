//! One process at a time runs a job: its lease.
//!
//! It is the process as the job's row names it, with the time at which it was last heard of. Every write checks in
//! its own transaction that the row still names it, so a controller that was taken for dead and is not writes nothing
//! more.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Transaction, TransactionBehavior, params};

use super::rows::read_holder;
use super::{JobNumber, Store, StoreError};
use crate::edge::process_tree::{Presence, ProcessIdentity};
use crate::limits::LEASE_EXPIRY;

/// A job that this process runs.
#[derive(Debug)]
pub(super) struct Lease {
    job: JobNumber,
    /// This process as the store has it.
    holder: String,
}

impl Lease {
    /// Lets the store hear of this process. False: another one has the job now.
    fn keep(&self, transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
        let now = Timestamp::now().as_millisecond();
        let n_rows = transaction
            .prepare_cached("UPDATE job SET heartbeat_ms = ? WHERE number = ? AND holder = ?")?
            .execute(params![now, self.job.0, self.holder])?;
        Ok(n_rows > 0)
    }
}

/// Whether a process still holds what it held when it was last heard of.
pub(super) fn holds(holder: &ProcessIdentity, heard_of: Timestamp) -> bool {
    match holder.presence() {
        Presence::Alive => true,
        Presence::Ended => false,
        Presence::OutOfSight => {
            heard_of.checked_add(LEASE_EXPIRY).is_ok_and(|until| until > Timestamp::now())
        }
    }
}

/// What became of the attempt to take a job.
pub(super) enum Claim {
    /// This process has it.
    Taken(Lease),
    /// Another process has it.
    Held { job: String, holder: ProcessIdentity, heard_of: Timestamp },
}

/// Writes down that this process has a job, unless another one has it.
pub(super) fn claim(transaction: &Transaction<'_>, job: JobNumber) -> rusqlite::Result<Claim> {
    let select = "SELECT id, holder, heartbeat_ms FROM job WHERE number = ?";
    let (id, before) = transaction.query_row(select, [job.0], |row| {
        let id: String = row.get("id")?;
        let holder = read_holder(row, &id)?;
        Ok((id, holder))
    })?;
    if let Some((holder, heard_of)) = before.filter(|(holder, heard_of)| holds(holder, *heard_of)) {
        return Ok(Claim::Held { job: id, holder, heard_of });
    }
    let holder = serde_json::to_string(&ProcessIdentity::own()).unwrap_or_default();
    let now = Timestamp::now().as_millisecond();
    let update = "UPDATE job SET holder = ?, heartbeat_ms = ? WHERE number = ?";
    transaction.execute(update, params![holder, now, job.0])?;
    Ok(Claim::Taken(Lease { job, holder }))
}

/// Lets the store hear of this process, where it holds the job.
///
/// # Errors
/// [`StoreError::TakenOver`] where it held the job and another process has it now; or [`StoreError::Database`].
pub(super) fn ensure_held(
    lease: Option<&Lease>,
    transaction: &Transaction<'_>,
    job: JobNumber,
    path: &Path,
) -> Result<(), StoreError> {
    let fail = |error| StoreError::Database { path: path.to_owned(), error };
    let Some(lease) = lease.filter(|lease| lease.job == job) else { return Ok(()) };
    if lease.keep(transaction).map_err(fail)? {
        return Ok(());
    }
    let id = transaction.query_row("SELECT id FROM job WHERE number = ?", [job.0], |row| row.get(0));
    Err(StoreError::TakenOver(id.map_err(fail)?))
}

impl Store {
    /// Takes a job for this process: from now on only it writes to the job. What is written says at the same time
    /// that it is there, and so does writing nothing, which is to be done every [`crate::limits::LEASE_INTERVAL`].
    /// One that this store has taken before it keeps.
    ///
    /// # Errors
    /// [`StoreError::Held`] where another process has it that is there, or may be; or [`StoreError::Database`].
    pub fn hold(&mut self, job: JobNumber) -> Result<(), StoreError> {
        self.hold_and(job, |_| Ok(()))
    }

    /// Takes a job as [`Self::hold`] does, and changes it in the same transaction.
    ///
    /// # Errors
    /// As of [`Self::hold`]; nothing is changed then.
    pub(super) fn hold_and(
        &mut self,
        job: JobNumber,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let path = &self.path;
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let own = self.lease.as_ref().filter(|lease| lease.job == job);
        let claimed = if own.map_or(Ok(false), |lease| lease.keep(&transaction)).map_err(fail)? {
            None
        } else {
            match claim(&transaction, job).map_err(fail)? {
                Claim::Taken(lease) => Some(lease),
                Claim::Held { job, holder, heard_of } => {
                    return Err(StoreError::Held { job, holder: Box::new(holder), heard_of });
                }
            }
        };
        change(&transaction).and_then(|()| transaction.commit()).map_err(fail)?;
        if claimed.is_some() {
            self.lease = claimed;
        }
        Ok(())
    }
}
