//! Executes what the controller puts out, in order: what is to be stored is stored before the next action.
//!
//! Where the store fails for a while (a full disk, another process's lock) the trials go on, and what comes next
//! waits for it.

use std::time::Instant;

use jiff::Timestamp;

use super::Job;
use super::job::drain;
use super::pending::Start;
use crate::app::Failure;
use crate::app::prepare::store_failure;
use crate::controller::{Input, Output};
use crate::edge::store::{RequestKind, StoreError};
use crate::limits::{LEASE_INTERVAL, REQUEST_INTERVAL, STORE_PATIENCE, STORE_PAUSE};
use crate::study::{Decided, Record};

/// Where the job stands with its store.
#[derive(Debug)]
pub(super) struct Stored {
    /// What is to be stored before anything else is done.
    records: Vec<Record>,
    /// What is to be done then.
    next: Option<Output>,
    /// When it last heard of us.
    at: Instant,
    /// When it was last asked for requests.
    requested: Instant,
    failing: Option<Failing>,
    /// Another controller has the job now.
    pub(super) is_taken_over: bool,
}

/// A store that cannot be written for now.
#[derive(Debug)]
struct Failing {
    /// The controller's time stands still meanwhile: nothing that it decides is executed.
    since: Timestamp,
    /// When it was tried last.
    tried: Instant,
    /// What came of that.
    error: StoreError,
}

impl Default for Stored {
    fn default() -> Self {
        let now = Instant::now();
        Self { records: Vec::new(), next: None, at: now, requested: now, failing: None, is_taken_over: false }
    }
}

impl Job<'_> {
    /// The controller's time.
    pub(super) fn now(&self) -> Timestamp {
        self.stored.failing.as_ref().map_or_else(|| self.plan.clock.now(), |failing| failing.since)
    }

    /// Executes all that is there, as far as the store goes.
    pub(super) fn execute(&mut self) -> Result<(), Failure> {
        loop {
            let next = self.stored.next.take().or_else(|| self.controller.poll_output());
            match next {
                Some(Output::Persist(record)) => self.stored.records.push(record),
                Some(action) => {
                    if !self.persist()? {
                        self.stored.next = Some(action);
                        return Ok(());
                    }
                    self.act(action)?;
                }
                None => return self.persist().map(drop),
            }
        }
    }

    /// Starts what waited for the host, unless the store fails.
    pub(super) fn go_on_starting(&mut self) -> Result<(), Failure> {
        if self.pending.is_empty() || self.stored.failing.is_some() {
            return Ok(());
        }
        self.start_pending()?;
        self.execute()
    }

    fn act(&mut self, action: Output) -> Result<(), Failure> {
        match action {
            Output::Persist(_) | Output::Finished => {}
            Output::Suggest(request) => self.suggester.request(request),
            Output::Start(trial, params, attempt) => {
                self.start_in_turn(Start::New(trial, params, attempt))?;
            }
            Output::Reattach(trial, attempt) => self.start_in_turn(Start::Reattach(trial, attempt))?,
            Output::Signal(trial, signal) => self.engine.stop(trial, signal),
            Output::StillThere(trial) => {
                let text = format!("was killed, but {} still there", self.engine.rest_in_words(trial));
                self.note(trial, text);
            }
            Output::Quarantine(trial) => {
                let text = format!(
                    "cannot be killed: {} still there; the job goes on without its slot, until it is gone",
                    self.engine.rest_in_words(trial)
                );
                self.note(trial, text);
                match self.running.get_mut(&trial) {
                    Some(running) => {
                        running.is_quarantined = true;
                        drain(running);
                    }
                    // It went just now.
                    None => self.controller.handle(self.now(), Input::Released(trial)),
                }
            }
        }
        Ok(())
    }

    /// Stores the records that wait. False: the store fails for now.
    fn persist(&mut self) -> Result<bool, Failure> {
        if self.stored.records.is_empty() && self.stored.failing.is_none() {
            return Ok(true);
        }
        self.write()
    }

    /// Stores the records that wait, and tells them; without any it lets the store hear of us. False: it fails for
    /// now.
    fn write(&mut self) -> Result<bool, Failure> {
        let now = Instant::now();
        let Stored { records, failing, .. } = &mut self.stored;
        if failing.as_ref().is_some_and(|failing| now.duration_since(failing.tried) < STORE_PAUSE) {
            return Ok(false);
        }
        match self.plan.store.write(self.plan.number, records) {
            Ok(()) => {
                self.stored.at = now;
                if let Some(Failing { since, .. }) = self.stored.failing.take() {
                    self.controller.postpone(self.plan.clock.now().duration_since(since));
                    self.tell_job("the store can be written again".to_owned());
                }
                for record in std::mem::take(&mut self.stored.records) {
                    self.tell_record(record);
                }
                Ok(true)
            }
            Err(error) if error.may_pass() => {
                let time = self.plan.clock.now();
                let since = failing.as_ref().map_or(time, |failing| failing.since);
                if time.duration_since(since).unsigned_abs() >= STORE_PATIENCE {
                    return Err(store_failure(error));
                }
                let text = format!("{error}; trying again, the trials go on meanwhile");
                if failing.replace(Failing { since, tried: Instant::now(), error }).is_none() {
                    self.tell_job(text);
                }
                Ok(false)
            }
            Err(e) => {
                self.stored.is_taken_over = matches!(e, StoreError::TakenOver(_));
                Err(store_failure(e))
            }
        }
    }

    /// Lets the store hear of us from time to time.
    pub(super) fn keep_lease(&mut self) -> Result<(), Failure> {
        if self.stored.at.elapsed() < LEASE_INTERVAL || self.end.is_some() {
            return Ok(());
        }
        self.write().map(drop)
    }

    /// Hands on what somebody requested of this job through the store. A request is there until the store has what was
    /// decided of it.
    pub(super) fn take_requests(&mut self) -> Result<(), Failure> {
        let is_store_failing = self.stored.failing.is_some();
        if self.stored.requested.elapsed() < REQUEST_INTERVAL || self.end.is_some() || is_store_failing {
            return Ok(());
        }
        self.stored.requested = Instant::now();
        let requests = match self.plan.store.requests(self.plan.number) {
            Ok(requests) => requests,
            // They are there the next time.
            Err(e) if e.may_pass() => return Ok(()),
            Err(e) => return Err(store_failure(e)),
        };
        for request in requests {
            let is_cancelling = *self.controller.study().decided() == Decided::Cancel;
            self.feed(match request.kind {
                // Of a job that is being cancelled it is another one.
                RequestKind::Cancel if is_cancelling => Input::Kill,
                RequestKind::Cancel => Input::Cancel,
                RequestKind::StopTrial(trial) => Input::StopTrial(trial),
            })?;
        }
        Ok(())
    }

    /// Whoever wants the job to end at once does not wait for a store that fails.
    pub(super) fn give_up_store(&mut self) -> Result<(), Failure> {
        match self.stored.failing.take() {
            Some(Failing { error, .. }) => Err(store_failure(error)),
            None => Ok(()),
        }
    }

    /// That the trials are not yet told to end has to be said.
    pub(super) fn tell_store_waits(&mut self) {
        if let Some(Failing { error, .. }) = &self.stored.failing {
            let text = format!(
                "{error}; the trials are stopped when it can be written again, or by a second Ctrl-C"
            );
            self.tell_job(text);
        }
    }
}
